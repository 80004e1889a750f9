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

from api.access import access_of
from jobyard.domain.access import ACCESS, ROLES, SUBMITTER, TEAM
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
# The relations of the people that are named like their roles to the records that exist. A stranger
# has the same role and none of them.
RELATIONS_OF = {"depositor": {SUBMITTER}, "worker": {TEAM}, "reviewer": {TEAM}}
CALLERS = [
    *sorted(ROLES),
    *(f"{role} stranger" for role in RELATIONS_OF),
    *("client:depositor", "client:admin", "none", "nobody"),
]
# The kinds of records of which each is for its own people, as the table of access names them: by
# the first part of the path, or, for jobs, by the first letter of the id.
PRIVATE = {"batches": "batch", "edits": "edit"}
JOBS = {"b": "job", "c": "task", "s": "schedule job"}


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

    What is done is a right of its caller. `existing` are ids by parameter, `turn` is the seed.
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
        caller = data.draw(st.sampled_from(CALLERS), label="caller")
        case.headers["Authorization"] = f"Bearer {caller}"
        response = case.call(base_url=HOST, app=gateway)
        statuses[response.status_code] += 1
        assert response.status_code >= 400 or is_right(case.method, gateway.path, caller)
        # A path that should be wrong may hit an existing id: then nothing need be wrong.
        rejection = [] if uses_existing else [checks.negative_data_rejection]
        case.validate_response(response, checks=[*CHECKS, *rejection])

    send()
    return statuses


def is_right(method: str, path: str, caller: str) -> bool:
    """Whether the table of access lets a caller send a request that succeeds."""
    needed = _right_of(method, path.removeprefix("/api/"))
    role = caller.removeprefix("client:").partition(" ")[0]
    has = {role, *RELATIONS_OF.get(caller, ())}
    return needed is None or not has.isdisjoint(ACCESS[needed])


def _right_of(method: str, path: str) -> tuple[str, str] | None:
    noun, _, rest = path.partition("/")
    thing = rest.partition("/")[0]
    needed = access_of(method, path)
    if noun == "jobs":
        return JOBS[thing[0]], needed[1] if needed else "view"
    if needed is None and thing and noun in PRIVATE:
        return PRIVATE[noun], "view"
    return needed
