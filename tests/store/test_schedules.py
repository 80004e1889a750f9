"""Schedules: only the version that was read is replaced, together with its occurrences, all or
nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jobyard.domain.errors import StaleState
from jobyard.domain.schedules.occurrence import Occurrence, SkipReason, Trigger, Verdict
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import Policy, Schedule, ScheduleState
from jobyard.store import occurrences, schedules
from jobyard.store.schedules import ScheduleWrites

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
RULE = {"kind": "daily", "at": "12:00", "zone": "UTC", "anchor": "2026-11-22"}

pytestmark = [pytest.mark.emulator, pytest.mark.usefixtures("store_endpoint")]


@pytest.fixture
def first(request: pytest.FixtureRequest) -> Schedule:
    """A new schedule."""
    return schedules.put_new(
        Schedule(
            schedule_id=f"s-{request.node.name}",
            state=ScheduleState.ACTIVE,
            version=1,
            title="a schedule",
            job_type="sweep",
            rule=recurrence_of(RULE),
            policy=Policy(),
            owner="admin",
            created_at=NOON,
            next_at=NOON,
        )
    )


def changed(schedule: Schedule, title: str = "another") -> Schedule:
    return replace(schedule, version=schedule.version + 1, title=title)


def skipped(schedule: Schedule, at: datetime) -> Occurrence:
    """An occurrence of it without a job."""
    verdict = (Trigger.SCHEDULE, Verdict.SKIP, NOON, SkipReason.MISSED)
    return Occurrence(schedule.schedule_id, at, 1, *verdict, job_type="sweep")


def test_what_is_written_is_read(first: Schedule) -> None:
    writes = ScheduleWrites(new_occurrences=[skipped(first, NOON)])

    assert schedules.write(first, changed(first), writes) == changed(first)

    assert schedules.get(first.schedule_id) == changed(first)
    assert occurrences.newest(first.schedule_id, limit=9) == (skipped(first, NOON),)


def test_a_write_whose_answer_was_lost_is_repeated_and_stored_once(first: Schedule) -> None:
    writes = ScheduleWrites(new_occurrences=[skipped(first, NOON)])

    answers = [schedules.write(first, changed(first), writes) for _ in range(2)]

    assert answers == [changed(first)] * 2
    assert schedules.get(first.schedule_id) == changed(first)
    assert len(occurrences.newest(first.schedule_id, limit=9)) == 1


def test_a_schedule_is_written_over_the_one_that_was_seen_and_no_other(first: Schedule) -> None:
    second = schedules.write(first, changed(first))

    for seen, after in ((first, changed(first, "of somebody else")), (changed(second), first)):
        with pytest.raises(StaleState, match="it is active"):
            schedules.write(seen, after)
    with pytest.raises(StaleState, match="already"):
        schedules.put_new(first)
    assert schedules.get(first.schedule_id) == second


def test_if_one_of_them_has_changed_nothing_is_written(first: Schedule) -> None:
    schedules.write(first, changed(first))
    late = ScheduleWrites(new_occurrences=[skipped(first, NOON + timedelta(days=1))])

    with pytest.raises(StaleState):
        schedules.write(first, changed(first, "of somebody else"), late)

    assert occurrences.newest(first.schedule_id, limit=9) == ()
