"""Schedules and their occurrences, written as the clock and workers would."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from itertools import count
from typing import Any

from jobyard.domain.ids import schedule_id_of
from jobyard.domain.jobs.checkpoint import Checkpoint
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JOB, Attempt, JobAddress, JobRecord, new_job
from jobyard.domain.lifecycle import Cause
from jobyard.domain.schedules.planning import rule_times_from
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import SCHEDULE, Policy, Schedule, ScheduleState
from jobyard.services.executions import Executions
from jobyard.services.schedules.clock import ScheduleCache, start_due
from jobyard.services.schedules.jobs import settle_job
from jobyard.store import checkpoints, jobs, schedules, tables
from jobyard.store.schedules import ScheduleWrites
from tests.functions.api.api_client import NOW
from tests.tables import ROOT

TODAY = NOW.date().isoformat()
DAILY = {"kind": "daily", "at": "09:00", "zone": "UTC", "anchor": "2026-11-25"}
_numbers = count(1)


@cache
def sweep() -> dict[str, Any]:
    """The parameters of the example's sweep."""
    found: dict[str, Any] = json.loads((ROOT / "examples" / "voters" / "sweep.json").read_text())
    return found


def wanted(**changes: Any) -> dict[str, Any]:
    """The body of a request to create a schedule."""
    return {
        "title": "Expired Confidential Voter Status Sweep",
        "job_type": "sweep",
        "rule": DAILY,
        "parameters": sweep(),
        **changes,
    }


def a_schedule(
    rule: dict[str, Any] | None = None, *, since: datetime = NOW, **changes: Any
) -> Schedule:
    """A schedule created at `since`; none of its times is decided yet."""
    read = recurrence_of(rule or DAILY)
    made = Schedule(
        schedule_id=schedule_id_of(str(next(_numbers)).encode()),
        state=ScheduleState.ACTIVE,
        version=1,
        title=changes.pop("title", "a sweep"),
        job_type="sweep",
        rule=read,
        policy=changes.pop("policy", Policy()),
        owner="admin",
        created_at=since,
        parameters=sweep(),
        next_at=next(rule_times_from(read, since), None),
        **changes,
    )
    return schedules.put_new(made)


def executions() -> Executions:
    """How executions are started."""
    from api.handler import CONTEXT

    return Executions(CONTEXT.settings, CONTEXT.machines)


def minute(schedule: Schedule, now: datetime = NOW) -> Schedule:
    """The schedule once the clock has looked at it."""
    start_due(schedules.get(schedule.schedule_id), ScheduleCache(), executions(), now)
    return schedules.get(schedule.schedule_id)


_EVENTS = {
    "running": ("start",),
    "succeeded": ("start", "succeed"),
    "failed": ("start", "fail"),
}


def work(
    address: JobAddress, state: str, began: datetime, took: timedelta, **changes: Any
) -> JobRecord:
    """A job in `state`, started at `began`; its schedule notes an end."""
    record = before = new_job(address, began)
    for event in _EVENTS[state]:
        at = began if event == "start" else began + took
        given = _signs(event, began, at) | changes if event == _EVENTS[state][-1] else {}
        move = JOB.move(record.state, event, at, Cause(f"main.p1.c0.t{record.version}"))
        record = record.moved(move, **given)
    schedule = schedules.get(address.origin_id)
    noted = SCHEDULE.move(schedule.state, "track", began, Cause(f"work-{next(_numbers)}"))
    schedules.write(schedule, schedule.moved(noted), ScheduleWrites(jobs=[(before, record)]))
    settle_job(address, executions(), began + took)
    stored = jobs.find(address)
    assert stored
    return stored


def _signs(event: str, began: datetime, at: datetime) -> dict[str, Any]:
    if event == "fail":
        code, words = Failure.RECORDS_FAILED.value, "2 of 12 records could not be changed"
        return {
            "attempts": (Attempt(began, at, "sweep", code, words),),
            "failure_code": code,
            "failure_message": words,
            "data": {
                "records": {"processed": 10, "failed": 2, "total": 12},
                "failed_records": {"number": 3, "records": 2},
            },
        }
    if event == "succeed":
        return {
            "attempts": (Attempt(began, at),),
            "data": {"records": {"processed": 12, "failed": 0, "total": 12}},
        }
    return {"start_count": 1}


@contextmanager
def items_read() -> Iterator[Counter[str]]:
    """The number of items read from tables in the block, by operation. Those that a filter of a
    query leaves out count too, because they are read and paid.
    """
    found: Counter[str] = Counter()

    def count_items(parsed: dict[str, Any], model: Any, **_: Any) -> None:
        by_table = parsed.get("Responses", {}).values() if model.name == "BatchGetItem" else ()
        found[model.name] += parsed.get("ScannedCount", 0) + sum(map(len, by_table))
        found[model.name] += "Item" in parsed

    events = tables.client().meta.events
    events.register("after-call.dynamodb", count_items)
    try:
        yield found
    finally:
        events.unregister("after-call.dynamodb", count_items)


def put_progress(address: JobAddress, processed: int) -> None:
    """The job at `address` has processed so many records, and continues."""
    seen = Checkpoint(address.job_id)
    after = seen.advanced(processed, (), {"page": 2})
    tables.client().transact_write_items(TransactItems=[checkpoints.put_item(seen, after, NOW)])
