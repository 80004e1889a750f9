"""More schedules are due in one minute than a tick has time for."""

import zlib
from collections.abc import Iterator
from datetime import timedelta
from itertools import count, islice
from typing import Any

import pytest

from jobyard.domain.ids import schedule_id_of
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import Policy, Schedule, ScheduleState
from jobyard.services.schedules.clock import PARALLEL_SCHEDULES, ClockResult, start_due_schedules
from jobyard.store import schedules, tables
from tests.harness import Harness
from tests.scenarios.test_schedules import history, instant
from tests.scripted_job_type import NAME, scripted

DUE_AT = instant("2026-11-25T09:00:00Z")
CROWD = 450  # of one shard, and with it more than a page


@pytest.fixture(autouse=True)
def script() -> Iterator[None]:
    """What the jobs do."""
    with scripted():
        yield


def of_one_shard(shard: int) -> Iterator[str]:
    """Schedule ids in that shard."""
    ids = (schedule_id_of(f"crowd {number}".encode()) for number in count())
    return (each for each in ids if zlib.crc32(each.encode()) % schedules.DUE_SHARDS == shard)


@pytest.fixture
def crowd(harness: Harness) -> list[Schedule]:
    """Schedules that are due at once, in the first shard of the tick."""
    shard = int(DUE_AT.timestamp() // 60) % schedules.DUE_SHARDS
    rule = recurrence_of({"kind": "daily", "at": "09:00", "zone": "UTC", "anchor": "2026-11-25"})
    return [
        schedules.put_new(
            Schedule(
                schedule_id=schedule_id,
                state=ScheduleState.ACTIVE,
                version=1,
                title="one of many",
                job_type=NAME,
                rule=rule,
                policy=Policy(),
                owner="admin",
                created_at=harness.now(),
                next_at=DUE_AT,
            )
        )
        for schedule_id in islice(of_one_shard(shard), CROWD)
    ]


class Reads:
    """Counts the items that queries return."""

    def __init__(self) -> None:
        self.items = 0

    def __call__(self, parsed: dict[str, Any], **_: Any) -> None:
        self.items += len(parsed.get("Items", ()))


@pytest.fixture
def reads(harness: Harness) -> Iterator[Reads]:
    """The items that queries have returned since now."""
    reads, events = Reads(), tables.client().meta.events
    events.register("after-call.dynamodb.Query", reads)
    yield reads
    events.unregister("after-call.dynamodb.Query", reads)


def hurried(harness: Harness, readings: int) -> ClockResult:
    """A tick with time for so many readings of its clock."""
    left = iter([1.0] * readings)
    return start_due_schedules(harness.executions, harness.now, lambda: next(left, 0.0))


def test_what_a_tick_has_no_time_for_starts_in_the_next_and_only_once(
    harness: Harness, crowd: list[Schedule], reads: Reads
) -> None:
    harness.at = DUE_AT + timedelta(seconds=5)

    first = hurried(harness, readings=PARALLEL_SCHEDULES)
    read = reads.items
    harness.at += timedelta(minutes=schedules.DUE_SHARDS)  # when it begins with the same shard
    second = hurried(harness, readings=10 * CROWD)

    assert (first.started, second.started) == (PARALLEL_SCHEDULES, CROWD - PARALLEL_SCHEDULES)
    assert read < CROWD / 2, "it read what it had no time for"
    assert {len(history(each)) for each in crowd} == {1}
