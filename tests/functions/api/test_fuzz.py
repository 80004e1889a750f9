"""Schemathesis sends any request that the OpenAPI document allows, and some that it forbids: as
everybody, about existing and missing things."""

from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi import checks

from jobyard.domain.access import ROLES
from jobyard.domain.batches.batch import BatchState
from jobyard.domain.jobs.job import JobState
from jobyard.domain.schedules.schedule import CatchUp, MissedPolicy, OverlapPolicy, Policy
from jobyard.store import schedules as store
from tests.functions.api.api_client import NOW, Api, described
from tests.functions.api.batch_records import a_batch, a_job
from tests.functions.api.gateway import HOST, Gateway
from tests.functions.api.schedule_records import a_schedule, minute, work
from tests.tables import contents, put_back

CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    schemathesis.checks.not_a_server_error,
]
EVERYBODY = [*sorted(ROLES), "none", "nobody"]


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
# An operation with no parameter but If-None-Match, which is any text, has no wrong requests.
TAKING = [
    name
    for name, operation in OPERATIONS.items()
    if operation.path_parameters or operation.query or operation.body
]


@pytest.fixture
def gateway(api: Api) -> Gateway:
    """The gateway in front of the API of an empty deployment."""
    return Gateway(api)


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """The records that the first test of the module made, for the others."""
    return {}


@pytest.fixture
def there(gateway: Gateway, api: Api, made: dict[str, Any]) -> Mapping[str, list[str]]:
    """Existing ids by path parameter: batches and jobs in every state, schedules and their jobs, a
    hold, a calendar. Created once, and restored for each test."""
    if not made:
        made |= {"names": _make_everything(api), "contents": contents(), "at": api.now}
    put_back(made["contents"])
    api.now = made["at"]
    return made["names"]  # type: ignore[no-any-return]


def _make_everything(api: Api) -> dict[str, list[str]]:
    batches = [a_batch(state, entries=2) for state in _REACHED]
    repaired = a_batch("failed", entries=2 * len(JobState))
    jobs = [a_job(repaired, number, state).address.job_id for number, state in enumerate(_JOBS)]
    path = f"/batches/{repaired.batch_id}/retries"
    retry = api.post(path, {"reason": "again"}).json["operation_id"]
    api.request("PUT", "/holds/collection:maps", body={"reason": "wait"})
    why = {"reason": "because"}
    api.request("PUT", "/calendars/holidays", body=why)
    schedules = [
        a_schedule(),
        minute(a_schedule(_HOURLY, since=NOW - timedelta(hours=3))),
        a_schedule(policy=Policy(CatchUp(MissedPolicy.ALL), OverlapPolicy.QUEUE_ONE, "holidays")),
        a_schedule(is_system=True),
    ]
    for schedule in schedules:
        api.post(f"/schedules/{schedule.schedule_id}/run_now", why)
    suspended = a_schedule()
    api.post(f"/schedules/{suspended.schedule_id}/suspend", why)
    of_schedules = [
        stored.job_address(stored.active[0].scheduled_for)
        for each in schedules
        if (stored := store.get(each.schedule_id))
    ]
    work(of_schedules[0], "failed", NOW, timedelta(seconds=1))
    return {
        "batch_id": [batch.batch_id for batch in (*batches, repaired)],
        "job_id": [
            *(*jobs, f"{batches[0].batch_id}.0.0"),
            *(place.job_id for place in of_schedules),
        ],
        "schedule_id": [each.schedule_id for each in (*schedules, suspended)],
        "calendar": ["holidays"],
        "collection": ["maps", "books"],
        "operation_id": [retry],
        "scope": ["collection:maps", "type:deposit", "everything"],
    }


_HOURLY = {"kind": "hourly", "at": "00:00", "zone": "UTC", "anchor": "2026-01-01"}
_REACHED = [state.value for state in BatchState if state is not BatchState.COMPLETED]
_JOBS = ["scheduled", "held", "running", "succeeded", "failed", "cancelled", "deleted"]


class Sampling(NamedTuple):
    """How many requests each operation gets, and the seed of their choice."""

    examples: int
    turn: int


@pytest.fixture
def sampling(everything: bool, turn: int) -> Sampling:
    """Many requests when everything is tried; else a few, others every day."""
    return Sampling(300 if everything else 15, turn)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_request_as_described_is_answered_as_described(
    name: str, gateway: Gateway, there: Mapping[str, list[str]], sampling: Sampling
) -> None:
    _ask(gateway, name, GenerationMode.POSITIVE, there, sampling)


@pytest.mark.parametrize("name", TAKING)
def test_a_request_that_is_not_as_described_is_refused_as_described(
    name: str, gateway: Gateway, there: Mapping[str, list[str]], sampling: Sampling
) -> None:
    statuses = _ask(gateway, name, GenerationMode.NEGATIVE, there, sampling)

    assert any(status >= 400 for status in statuses)


def _ask(
    gateway: Gateway,
    name: str,
    mode: GenerationMode,
    there: Mapping[str, list[str]],
    sampling: Sampling,
) -> Counter[int]:
    """How often each status was returned. Every answer is checked."""
    statuses: Counter[int] = Counter()

    @seed(sampling.turn)
    @settings(
        max_examples=sampling.examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # shrinking an example takes minutes here
        suppress_health_check=list(HealthCheck),
    )
    @given(case=OPERATIONS[name].as_strategy(generation_mode=mode), data=st.data())
    def send(case: Case, data: st.DataObject) -> None:
        named = (case.path_parameters or {}).keys() & there.keys()
        is_there = bool(named) and data.draw(st.booleans(), label="is there")
        for parameter in sorted(named) if is_there else ():
            case.path_parameters[parameter] = data.draw(st.sampled_from(there[parameter]))
        role = data.draw(st.sampled_from(EVERYBODY), label="role")
        case.headers["Authorization"] = f"Bearer {role}"
        response = case.call(base_url=HOST, app=gateway)
        statuses[response.status_code] += 1
        # A path that should be wrong may hit an existing id: then nothing need be wrong.
        rejection = [] if is_there else [checks.negative_data_rejection]
        case.validate_response(response, checks=[*CHECKS, *rejection])

    send()
    return statuses
