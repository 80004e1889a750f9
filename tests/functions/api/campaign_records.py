"""Campaigns and their tasks in any state, written as the machine and people would."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from itertools import count
from typing import Any

import boto3

from jobyard.domain.campaigns.campaign import Campaign, StopReason, request_of
from jobyard.domain.campaigns.targets import CampaignTarget
from jobyard.domain.ids import campaign_id_of
from jobyard.domain.jobs.job import (
    JOB,
    Attempt,
    JobAddress,
    JobRecord,
    JobState,
    StepRecord,
    StepStatus,
    new_job,
)
from jobyard.domain.lifecycle import Cause
from jobyard.services.campaigns.open import chunk_size_of, put_rows
from jobyard.services.settings import Settings
from jobyard.store import campaigns, jobs
from jobyard.store.tables import JobItem
from tests.functions.api.api_client import NOW
from tests.functions.api.batch_records import HOUR_AGO
from tests.functions.api.campaign_requests import campaign_request
from tests.people import sub_of
from tests.tables import REGION

_numbers = count(1)
# The events that bring a campaign, a task, to each state.
_TO_CAMPAIGN = {
    "scheduled": (),
    "running": ("start",),
    "paused": ("start", "pause"),
    "held": ("hold",),
    "stopping": ("start", "stop"),
    "succeeded": ("start", "succeed"),
    "partially_succeeded": ("start", "succeed_partially"),
    "failed": ("start", "fail"),
    "cancelled": ("start", "stop", "cancel"),
    "replaced": ("start", "stop", "replace"),
}
_TO_TASK = {
    "running": ("start",),
    "rescheduled": ("start", "reschedule"),
    "succeeded": ("start", "succeed"),
    "failed": ("start", "fail"),
    "cancelled": ("start", "cancel"),
}
_STOPPED = {"cancelled": StopReason.CANCEL, "replaced": StopReason.REPLACE}
STEPS = ("reach", "compare", "upload", "apply", "verify")


@cache
def _s3() -> Any:
    return boto3.client("s3", region_name=REGION)


def a_campaign(
    settings: Settings,
    state: str = "running",
    *,
    request: dict[str, Any] | None = None,
    targets: Sequence[CampaignTarget] = (),
    **changes: Any,
) -> Campaign:
    """A campaign in `state` that was started an hour ago, for `targets`, or those of `request`."""
    asked = request_of(campaign_request(**(request or {})), HOUR_AGO, lambda _: None)
    assert asked.targets
    targets = targets or asked.targets
    campaign = Campaign(
        campaign_id=campaign_id_of(str(next(_numbers)).encode()),
        state=JobState.SCHEDULED,
        version=1,
        name=asked.name,
        job_type=asked.job_type,
        creator="admin",
        creator_sub=sub_of("admin"),
        created_at=HOUR_AGO,
        rules=asked.rules,
        parameters=asked.parameters,
        tasks=len(targets),
        chunk_size=chunk_size_of(len(targets)),
        check_at=NOW + timedelta(minutes=5),
    )
    put_rows(campaign.campaign_id, targets, _s3(), settings)
    for number, event in enumerate(_TO_CAMPAIGN[state]):
        cause = Cause(f"main.p1.c0.t{number}", reason=f"to be {state}")
        campaign = campaign.moved(JOB.move(campaign.state, event, HOUR_AGO, cause))
    given = {"stop_reason": _STOPPED[state]} if state in _STOPPED else {}
    return campaigns.put_new(replace(campaign, **given | changes))


def a_task(campaign: Campaign, number: int, state: str, **changes: Any) -> JobRecord:
    """Task `number` (from 0) of a campaign in `state`, with `changes` by the last move."""
    record = _task(campaign, number, state, **changes)
    jobs.item_of(record).save()
    return record


def put_tasks(campaign: Campaign, states: Iterable[str]) -> Campaign:
    """The first tasks of a campaign in these states, and the campaign that counts them."""
    records = [_task(campaign, number, state) for number, state in enumerate(states)]
    with JobItem.batch_write() as writing:
        for record in records:
            writing.save(jobs.item_of(record))
    counts = Counter(record.state.value for record in records)
    after = replace(campaign, counts=dict(counts), version=campaign.version + 1)
    return campaigns.write(campaign, after)


def _task(campaign: Campaign, number: int, state: str, **changes: Any) -> JobRecord:
    size = campaign.chunk_size
    record = new_job(JobAddress(campaign.campaign_id, number // size, number % size), HOUR_AGO)
    events = _TO_TASK[state]
    for event in events:
        move = JOB.move(record.state, event, HOUR_AGO, Cause(f"main.p1.c0.t{record.version}"))
        given = changes if event == events[-1] else {}
        record = record.moved(move, **(_signs(event) | given))
    return record


def _signs(event: str) -> dict[str, Any]:
    """What the machine notes with an event."""
    ended = HOUR_AGO + timedelta(seconds=40)
    failure = ("DEVICE_OFFLINE", "no connection to gw-1.example.org: timed out after 10 seconds")
    done = {name: StepRecord(name, StepStatus.COMPLETED, HOUR_AGO, ended) for name in STEPS}
    if event in {"reschedule", "fail"}:
        code, message = (
            failure if event == "reschedule" else ("VERIFY_FAILED", "it still has 4.1.7")
        )
        last = "upload" if event == "reschedule" else "verify"
        before = [done[name] for name in STEPS[: STEPS.index(last)]]
        return {
            "failure_code": code,
            "failure_message": message,
            "attempts": (Attempt(HOUR_AGO, ended, last, code, message),),
            "steps": (*before, StepRecord(last, StepStatus.FAILED, HOUR_AGO, ended)),
            **({"next_at": NOW + timedelta(minutes=3)} if event == "reschedule" else {}),
        }
    if event == "succeed":
        return {"attempts": (Attempt(HOUR_AGO, ended),), "steps": tuple(done.values())}
    return {"start_count": 1} if event == "start" else {}
