"""A schedule counts its edits, however many there are."""

from datetime import UTC, datetime, timedelta

from jobyard.domain.lifecycle import Cause
from jobyard.domain.schedules.recurrence import Recurrence
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import SCHEDULE, Policy, Schedule, ScheduleState

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def _rule() -> Recurrence:
    return recurrence_of({"kind": "daily", "at": "09:00", "zone": "UTC", "anchor": "2026-11-25"})


def _moved(schedule: Schedule, event: str, number: int, by: str) -> Schedule:
    cause = Cause(f"r{number}", by, "x" * 200)
    move = SCHEDULE.move(schedule.state, event, NOON + timedelta(minutes=number), cause)
    return schedule.moved(move)


def test_the_revision_counts_edits_that_the_history_omits_but_no_runs() -> None:
    schedule = Schedule("s1", ScheduleState.ACTIVE, 1, "a", "sweep", _rule(), Policy(), "ann", NOON)
    revisions = [schedule.revision]

    for number in range(60):
        schedule = _moved(schedule, "fire", number, "machine")
        schedule = _moved(schedule, "edit", number, "ann")
        revisions.append(schedule.revision)

    assert revisions == [*range(1, 62)]
    assert len(schedule.history) < 60
