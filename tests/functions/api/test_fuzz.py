"""Schemathesis sends any request that the OpenAPI document allows, and some that it forbids: as
everybody, about existing and missing things."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from jobyard.domain.arks import object_id_of
from jobyard.domain.batches.batch import BatchState
from jobyard.domain.edits.child import FailureType
from jobyard.domain.jobs.job import JobState
from jobyard.domain.schedules.schedule import CatchUp, MissedPolicy, OverlapPolicy, Policy
from jobyard.services.datasets.context import DatasetContext
from jobyard.store import schedules as store
from tests.functions.api.api_client import NOW, Api, described
from tests.functions.api.batch_records import a_batch, a_delivery, a_job, a_report_of
from tests.functions.api.campaign_requests import an_ended_campaign, campaign_request
from tests.functions.api.gateway import Gateway
from tests.functions.api.object_records import a_version
from tests.functions.api.schedule_records import a_schedule, minute, work
from tests.services.datasets.datasets import make_dataset, point
from tests.services.edits.edit_records import (
    a_dataset,
    a_stored_child,
    a_stored_job,
    a_team,
    member,
)
from tests.tables import contents, put_back

if TYPE_CHECKING:
    from tests.functions.api.generated_requests import Mode

OPERATIONS = {
    operation["operationId"]: operation
    for operations in described()["paths"].values()
    for operation in operations.values()
}
# An operation with no parameter but If-None-Match, which is any text, has no wrong requests.
TAKING = [
    name
    for name, operation in OPERATIONS.items()
    if "requestBody" in operation
    or any(each["in"] in {"path", "query"} for each in operation.get("parameters", ()))
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
    hold, a calendar, campaigns and their tasks, edit jobs and their children, objects. Created
    once, and restored for each test."""
    if not made:
        made |= {"names": _make_everything(api), "contents": contents(), "at": api.now}
    put_back(made["contents"])
    api.now = made["at"]
    return made["names"]  # type: ignore[no-any-return]


def _make_everything(api: Api) -> dict[str, list[str]]:
    batches = [a_batch(state, entries=2) for state in _REACHED]
    repaired = a_batch("failed", entries=2 * len(JobState))
    jobs = [a_job(repaired, number, state).address.job_id for number, state in enumerate(_JOBS)]
    path = f"/batches/{repaired.batch_id}/operations"
    retry = api.post(path, {"reason": "again"}).json["operation_id"]
    api.request("PUT", "/holds/collection:maps", body={"reason": "wait"})
    why = {"reason": "because"}
    api.request("PUT", "/calendars/holidays", body=why | CALENDAR)
    arks = ["ark:/99999/fuzzed", "ark:/99999/closed"]
    for ark in arks:
        a_version(ark)
    hook = {"name": "ours", "url": "https://hooks.example.org/", "events": ["batch.ended.v1"]}
    api.post("/webhooks", hook | why)
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
    campaigns = [
        api.post("/campaigns", campaign_request(name=name)).json["campaign_id"]
        for name in ("waits", "ended")
    ]
    an_ended_campaign(campaigns[1])
    a_report_of(campaigns[1])
    a_team("north", member("worker"), member("reviewer", worker=False, reviewer=True))
    from api.handler import CONTEXT

    context = DatasetContext(CONTEXT.settings, CONTEXT.s3, api.tick)
    make_dataset("counties", [point("1", 0), point("a/b", 1)], context)
    a_dataset(border={})
    edits = [a_stored_job(), a_stored_job("allocated"), a_stored_job("downloaded", "worker")]
    children = [a_stored_child(each) for each in FailureType]
    return {
        "batch_id": [batch.batch_id for batch in (*batches, repaired)],
        "job_id": [
            *(*jobs, f"{batches[0].batch_id}.0.0"),
            *(place.job_id for place in of_schedules),
            *(f"{campaign_id}.0.0" for campaign_id in campaigns),
            *(each.edit_id for each in edits for _ in jobs),  # most of these routes are theirs
            *(each.child_id for each in children for _ in range(3)),
        ],
        "object_id": [*map(object_id_of, arks)],
        "number": ["1"],
        "campaign_id": campaigns,
        "dataset": ["counties"],
        "edit_type": ["border"],
        "team": ["north"],
        "schedule_id": [each.schedule_id for each in (*schedules, suspended)],
        "calendar": ["holidays"],
        "webhook": ["ours"],
        "delivery_id": [a_delivery(repaired.batch_id, "ours")],
        "collection": ["maps", "books"],
        "operation_id": [retry],
        "scope": ["collection:maps", "type:deposit", "everything"],
    }


CALENDAR = {"exclude": ["2026-12-24..2027-01-01"], "include": ["mon,tue,wed 19:00-06:00"]}
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
    return Sampling(300 if everything else 10, turn)


@pytest.mark.turns(6)
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_request_as_described_is_answered_as_described(
    name: str, gateway: Gateway, there: Mapping[str, list[str]], sampling: Sampling
) -> None:
    _ask(gateway, name, "positive", there, sampling)


@pytest.mark.turns(6)
@pytest.mark.parametrize("name", TAKING)
def test_a_request_that_is_not_as_described_is_refused_as_described(
    name: str, gateway: Gateway, there: Mapping[str, list[str]], sampling: Sampling
) -> None:
    statuses = _ask(gateway, name, "negative", there, sampling)

    assert any(status >= 400 for status in statuses)


def _ask(
    gateway: Gateway,
    name: str,
    mode: "Mode",
    there: Mapping[str, list[str]],
    sampling: Sampling,
) -> Counter[int]:
    """How often each status was returned."""
    from tests.functions.api.generated_requests import send_requests  # brings schemathesis

    return send_requests(gateway, name, mode, there, *sampling)
