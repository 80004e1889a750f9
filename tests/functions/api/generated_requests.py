"""Requests that schemathesis generates from the OpenAPI document, and their answers checked.

Apart from the tests, because schemathesis takes a second to import, and each of xdist's workers
imports all tests.
"""

from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Literal

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi import checks

from jobyard.domain.access import ROLES
from tests.functions.api.api_client import described
from tests.functions.api.gateway import HOST, Gateway

Mode = Literal["positive", "negative"]
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    schemathesis.checks.not_a_server_error,
]
ROLES_AND_NOBODY = [*sorted(ROLES), "program:depositor", "program:admin", "none", "nobody"]


def _as_described() -> dict[str, Any]:
    """The document without tokens: roles are chosen here, and the gateway does the rest."""
    document = deepcopy(described())
    del document["security"], document["components"]["securitySchemes"]
    for operations in document["paths"].values():
        for operation in operations.values():
            operation.pop("security", None)
    return document


SCHEMA = schemathesis.openapi.from_dict(_as_described())
OPERATIONS = {
    each.ok().definition.raw["operationId"]: each.ok() for each in SCHEMA.get_all_operations()
}


def send_requests(
    gateway: Gateway,
    name: str,
    mode: Mode,
    existing: Mapping[str, list[str]],
    examples: int,
    turn: int,
) -> Counter[int]:
    """How often each status was returned. Every answer is checked.

    `existing` are ids by parameter, `turn` is the seed.
    """
    statuses: Counter[int] = Counter()

    @seed(turn)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # shrinking an example takes minutes here
        suppress_health_check=list(HealthCheck),
    )
    @given(case=OPERATIONS[name].as_strategy(generation_mode=GenerationMode(mode)), data=st.data())
    def send(case: Case, data: st.DataObject) -> None:
        named = (case.path_parameters or {}).keys() & existing.keys()
        uses_existing = bool(named) and data.draw(st.booleans(), label="uses existing")
        for parameter in sorted(named) if uses_existing else ():
            case.path_parameters[parameter] = data.draw(st.sampled_from(existing[parameter]))
        role = data.draw(st.sampled_from(ROLES_AND_NOBODY), label="role")
        case.headers["Authorization"] = f"Bearer {role}"
        response = case.call(base_url=HOST, app=gateway)
        statuses[response.status_code] += 1
        # A path that should be wrong may hit an existing id: then nothing need be wrong.
        rejection = [] if uses_existing else [checks.negative_data_rejection]
        case.validate_response(response, checks=[*CHECKS, *rejection])

    send()
    return statuses
