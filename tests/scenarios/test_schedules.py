"""Schedules in simulated time, through the real services, store and job machine."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from jobyard.domain.errors import BadRequest, Forbidden, Gone, InvalidTransition
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JobState
from jobyard.domain.jobs.job_type import Done, Fail
from jobyard.domain.schedules.calendar import calendar_of
from jobyard.domain.schedules.occurrence import Occurrence, SkipReason, Trigger, Verdict
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import (
    CatchUp,
    MissedPolicy,
    OverlapPolicy,
    Policy,
    Schedule,
    ScheduleState,
)
from jobyard.services import calendars
from jobyard.services import holds as hold_commands
from jobyard.services.context import CommandContext
from jobyard.services.jobs.commands import send_job_event
from jobyard.services.schedules import commands as schedule_commands
from jobyard.services.schedules.commands import ScheduleEdit, ScheduleSpec
from jobyard.store import jobs, occurrences, schedules
from tests.harness import ADMIN, DEPOSITOR, Harness
from tests.scripted_job_type import NAME, Script, scripted

LOS_ANGELES = {"zone": "America/Los_Angeles"}
DAILY = {"kind": "daily", "at": "09:00", "zone": "UTC", "anchor": "2026-11-25"}
HOURLY = {"kind": "hourly", "at": "00:00", "zone": "UTC", "anchor": "2026-11-25"}


@pytest.fixture(autouse=True)
def script() -> Iterator[Script]:
    """What the jobs do."""
    with scripted() as script:
        yield script


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def create_schedule(
    harness: Harness, rule: dict[str, Any], policy: Policy | None = None
) -> Schedule:
    """Create a schedule at the harness's present time."""
    wanted = ScheduleSpec(
        "a schedule", NAME, recurrence_of(rule), policy or Policy(), {"of": "a test"}
    )
    return schedule_commands.create(wanted, harness.context())


def pass_time(harness: Harness, until: str, *, run: bool = True) -> None:
    """Run a tick whenever something is due, until then."""
    end = instant(until)
    while True:
        with harness.interceptor.muted():  # these reads are the test's own
            found = [
                each.schedule()
                for shard in range(schedules.DUE_SHARDS)
                for each in schedules.due(shard, end)
            ]
        due = [schedule.due_at for schedule in found if schedule.due_at]
        if not due:
            break
        harness.at = max(harness.at, min(due)) + timedelta(seconds=1)
        harness.tick()
        if run:
            harness.machines.run_all()
    harness.at = end


def history(schedule: Schedule) -> list[Occurrence]:
    """The schedule's occurrences, oldest first."""
    return [*reversed(occurrences.newest(schedule.schedule_id, limit=500))]


def ran_at(schedule: Schedule) -> list[str]:
    """When jobs ran, by their times."""
    return [
        f"{each.scheduled_for:%Y-%m-%dT%H:%MZ}"
        for each in history(schedule)
        if each.verdict is Verdict.RUN
    ]


def late(run: Occurrence) -> timedelta | None:
    """How late an ended run started."""
    return run.start_delay(run.outcome.started_at) if run.outcome else None


def skipped(schedule: Schedule) -> list[tuple[str, SkipReason | None]]:
    """The times without a job, with the reasons."""
    return [
        (f"{each.scheduled_for:%m-%dT%H:%M}", each.skip_reason)
        for each in history(schedule)
        if each.verdict is Verdict.SKIP
    ]


def stored(schedule: Schedule) -> Schedule:
    """The schedule as it is in the store."""
    return schedules.get(schedule.schedule_id)


@pytest.mark.parametrize(
    ("rule", "since", "until", "ran"),
    [
        (
            {"kind": "daily", "at": "02:30", "anchor": "2027-03-13"},
            "2027-03-13T00:00:00Z",
            "2027-03-16T00:00:00Z",
            ["2027-03-13T10:30Z", "2027-03-14T10:00Z", "2027-03-15T09:30Z"],
        ),
        (
            {"kind": "daily", "at": "01:30", "anchor": "2026-10-31"},
            "2026-10-31T00:00:00Z",
            "2026-11-02T12:00:00Z",
            ["2026-10-31T08:30Z", "2026-11-01T08:30Z", "2026-11-02T09:30Z"],
        ),
        (
            {"kind": "hourly", "every": 6, "at": "20:00", "anchor": "2026-10-31"},
            "2026-10-31T12:00:00Z",
            "2026-11-01T10:00:00Z",
            ["2026-11-01T03:00Z", "2026-11-01T09:00Z"],
        ),
        (
            {
                "kind": "weekly",
                "every": 2,
                "weekdays": ["mon", "wed"],
                "at": "09:00",
                "anchor": "2026-11-25",
            },
            "2026-11-24T00:00:00Z",
            "2026-12-22T00:00:00Z",
            ["2026-11-25T17:00Z", "2026-12-07T17:00Z", "2026-12-09T17:00Z", "2026-12-21T17:00Z"],
        ),
        (
            {"kind": "monthly", "day": 31, "at": "08:00", "anchor": "2027-01-31"},
            "2027-01-30T00:00:00Z",
            "2027-05-01T00:00:00Z",
            ["2027-01-31T16:00Z", "2027-02-28T16:00Z", "2027-03-31T15:00Z", "2027-04-30T15:00Z"],
        ),
        (
            {"kind": "monthly", "every": 3, "day": 31, "at": "08:00", "anchor": "2027-01-31"},
            "2027-01-30T00:00:00Z",
            "2027-11-01T00:00:00Z",
            ["2027-01-31T16:00Z", "2027-04-30T15:00Z", "2027-07-31T15:00Z", "2027-10-31T15:00Z"],
        ),
    ],
)
def test_the_worked_examples_run_at_the_documented_times(
    harness: Harness, rule: dict[str, Any], since: str, until: str, ran: list[str]
) -> None:
    harness.at = instant(since)
    schedule = create_schedule(harness, rule | LOS_ANGELES)

    pass_time(harness, until)

    assert ran_at(schedule) == ran
    assert {each.trigger for each in history(schedule)} == {Trigger.SCHEDULE}
    assert stored(schedule).active == ()


def test_the_end_of_a_run_is_noted_with_its_schedule(harness: Harness, script: Script) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)
    labels = [stored(schedule).label]
    script.answers = [Done({"records": {"processed": 40, "failed": 2, "total": 42}})]
    script.during = lambda: harness.advance(30)

    harness.at = instant("2026-11-25T09:00:07Z")
    harness.tick()
    labels.append(stored(schedule).label)
    harness.machines.run_all()

    labels.append(stored(schedule).label)
    (run,) = history(schedule)
    assert labels == ["Idle", "In Progress", "Completed"]
    assert run.outcome is not None
    assert (run.outcome.processed, run.outcome.failed, run.outcome.total) == (40, 2, 42)
    assert (late(run), run.duration) == (timedelta(seconds=7), timedelta(seconds=30))
    assert stored(schedule).next_at == instant("2026-11-26T09:00:00Z")
    assert script.inputs[0].entry == {"scheduled_for": "2026-11-25T09:00:00Z"}
    assert script.inputs[0].parameters == {"of": "a test"}


def test_a_failed_run_shows_its_codes_and_the_schedule_continues(
    harness: Harness, script: Script
) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)
    script.answers = [
        Fail(Failure.PAYLOAD_BUSY, "busy", retryable=True),
        Fail(Failure.PAYLOAD_NOT_FOUND, "gone"),
    ]

    pass_time(harness, "2026-11-25T10:00:00Z")
    failed = stored(schedule)
    pass_time(harness, "2026-11-26T10:00:00Z")

    first, second = history(schedule)
    assert first.outcome is not None
    assert second.outcome is not None
    assert first.outcome.failure_codes == ("PAYLOAD_BUSY", "PAYLOAD_NOT_FOUND")
    assert (failed.label, stored(schedule).label) == ("Failed", "Completed")
    assert (first.outcome.state, second.outcome.state) == (JobState.FAILED, JobState.SUCCEEDED)


def test_once_runs_once_and_has_no_next_time(harness: Harness) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(
        harness, {"kind": "once", "at": "09:00", "zone": "UTC", "anchor": "2026-11-25"}
    )

    pass_time(harness, "2026-12-25T10:00:00Z")

    ended = stored(schedule)
    assert ran_at(schedule) == ["2026-11-25T09:00Z"]
    assert (ended.state, ended.label) == (ScheduleState.ENDED, "Completed")
    assert (ended.next_at, ended.due_at) == (None, None)


def test_once_in_the_past_is_refused(harness: Harness) -> None:
    harness.at = instant("2026-11-25T12:00:00Z")

    with pytest.raises(BadRequest, match="no future run"):
        create_schedule(
            harness, {"kind": "once", "at": "09:00", "zone": "UTC", "anchor": "2026-11-25"}
        )


def test_a_repeated_or_late_tick_starts_each_time_once(harness: Harness, script: Script) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)

    harness.at = instant("2026-11-25T09:04:00Z")
    for _ in range(3):
        harness.tick()
    harness.machines.run_all()
    harness.tick()
    harness.machines.run_all()

    assert len(script.inputs) == 1
    assert ran_at(schedule) == ["2026-11-25T09:00Z"]
    assert late(history(schedule)[0]) == timedelta(minutes=4)


# ---- Overlapping runs


def test_a_time_during_the_previous_run_is_skipped_and_not_queued(
    harness: Harness, script: Script
) -> None:
    harness.at = instant("2026-11-24T23:59:00Z")
    schedule = create_schedule(harness, HOURLY)

    harness.at = instant("2026-11-25T00:00:01Z")
    harness.tick()
    harness.at = instant("2026-11-25T01:00:01Z")
    harness.tick()
    harness.machines.run_all()
    pass_time(harness, "2026-11-25T02:30:00Z")

    assert skipped(schedule) == [("11-25T01:00", SkipReason.PREVIOUS_ACTIVE)]
    assert ran_at(schedule) == ["2026-11-25T00:00Z", "2026-11-25T02:00Z"]
    assert len(script.inputs) == 2
    assert SkipReason.PREVIOUS_ACTIVE.description == "Skipped (previous run active)"


def test_runs_that_may_overlap_do(harness: Harness, script: Script) -> None:
    harness.at = instant("2026-11-24T23:59:00Z")
    schedule = create_schedule(harness, HOURLY, Policy(overlap=OverlapPolicy.ALLOW))

    for hour in range(3):
        harness.at = instant(f"2026-11-25T0{hour}:00:01Z")
        harness.tick()
    active = stored(schedule).active
    harness.machines.run_all()

    assert len(active) == 3
    assert len(script.inputs) == 3
    assert stored(schedule).active == ()


def test_a_run_is_stopped_by_the_one_that_replaces_it(harness: Harness, script: Script) -> None:
    harness.at = instant("2026-11-24T23:59:00Z")
    schedule = create_schedule(harness, HOURLY, Policy(overlap=OverlapPolicy.REPLACE))

    def an_hour_passes() -> None:
        if len(script.inputs) == 1:
            harness.at = instant("2026-11-25T01:00:01Z")
            harness.tick()

    script.during = an_hour_passes
    harness.at = instant("2026-11-25T00:00:01Z")
    harness.tick()
    harness.machines.run_all()

    states = [each.outcome and each.outcome.state for each in history(schedule)]
    assert states == [JobState.REPLACED, JobState.SUCCEEDED]
    assert (stored(schedule).active, stored(schedule).label) == ((), "Completed")


def test_one_waits_for_the_end_and_what_comes_meanwhile_is_skipped(
    harness: Harness, script: Script
) -> None:
    harness.at = instant("2026-11-24T23:59:00Z")
    schedule = create_schedule(harness, HOURLY, Policy(overlap=OverlapPolicy.QUEUE_ONE))

    for hour in range(3):
        harness.at = instant(f"2026-11-25T0{hour}:00:01Z")
        harness.tick()
    waiting = history(schedule)[1]
    harness.machines.run_all()

    assert waiting.verdict is Verdict.WAIT
    assert ran_at(schedule) == ["2026-11-25T00:00Z", "2026-11-25T01:00Z"]
    assert skipped(schedule) == [("11-25T02:00", SkipReason.ONE_WAITS)]
    assert len(script.inputs) == 2
    assert (stored(schedule).active, stored(schedule).queued_for) == ((), None)


# ---- Missed times


@pytest.mark.parametrize(
    ("missed", "ran", "why"),
    [
        (CatchUp(MissedPolicy.NONE), [], [SkipReason.MISSED] * 5),
        (CatchUp(MissedPolicy.LATEST), ["2026-11-25T04:00Z"], [SkipReason.MISSED] * 4),
        (
            CatchUp(MissedPolicy.ALL, limit=3),
            ["2026-11-25T02:00Z", "2026-11-25T03:00Z", "2026-11-25T04:00Z"],
            [SkipReason.MISSED] * 2,
        ),
        (
            CatchUp(MissedPolicy.ALL, limit=10, max_age_h=2),
            ["2026-11-25T03:00Z", "2026-11-25T04:00Z"],
            [SkipReason.TOO_OLD] * 3,
        ),
    ],
)
def test_after_an_outage_missed_times_follow_the_schedules_policy(
    harness: Harness, missed: CatchUp, ran: list[str], why: list[SkipReason]
) -> None:
    harness.at = instant("2026-11-24T23:59:00Z")
    schedule = create_schedule(harness, HOURLY, Policy(catch_up=missed))

    harness.at = instant("2026-11-25T04:30:00Z")
    for _ in range(6):
        harness.tick()
        harness.machines.run_all()
        harness.advance(60)

    assert ran_at(schedule) == ran
    assert [reason for _, reason in skipped(schedule)] == why
    assert {each.trigger for each in history(schedule) if each.verdict is Verdict.RUN} <= {
        Trigger.CATCH_UP
    }
    assert stored(schedule).next_at == instant("2026-11-25T05:00:00Z")


def test_a_catch_up_older_than_a_day_is_not_run(harness: Harness) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    rule = DAILY | {"every": 7}
    schedule = create_schedule(harness, rule)

    harness.at = instant("2026-11-26T09:00:01Z")
    harness.tick()

    assert skipped(schedule) == [("11-25T09:00", SkipReason.TOO_OLD)]


def test_a_year_without_ticks_is_noted_hour_by_hour(harness: Harness) -> None:
    harness.at = instant("2026-11-24T23:59:00Z")
    schedule = create_schedule(harness, HOURLY)

    harness.at = instant("2027-01-05T00:30:00Z")
    harness.tick()

    found = [*occurrences.older(schedule.schedule_id, harness.at)]
    assert len(found) == 41 * 24 + 1
    assert [each.scheduled_for for each in found if each.verdict is Verdict.RUN] == [
        instant("2027-01-05T00:00:00Z")
    ]
    assert stored(schedule).next_at == instant("2027-01-05T01:00:00Z")


def test_once_that_was_missed_is_caught_up(harness: Harness) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(
        harness, {"kind": "once", "at": "09:00", "zone": "UTC", "anchor": "2026-11-25"}
    )

    harness.at = instant("2026-11-25T20:00:00Z")
    harness.tick()
    harness.machines.run_all()

    (run,) = history(schedule)
    assert (run.trigger, late(run)) == (Trigger.CATCH_UP, timedelta(hours=11))
    assert stored(schedule).state is ScheduleState.ENDED


def test_under_a_hold_nothing_starts_and_afterwards_the_latest_missed_time_runs(
    harness: Harness,
) -> None:
    harness.at = instant("2026-11-24T23:59:00Z")
    schedule = create_schedule(harness, HOURLY)
    hold_commands.place_hold(f"type:{NAME}", None, harness.context())

    harness.at = instant("2026-11-25T02:30:00Z")
    harness.tick()
    under = history(schedule)
    hold_commands.lift_hold(f"type:{NAME}", harness.context())
    harness.tick()
    harness.machines.run_all()

    assert under == []
    assert ran_at(schedule) == ["2026-11-25T02:00Z"]
    assert skipped(schedule) == [
        ("11-25T00:00", SkipReason.MISSED),
        ("11-25T01:00", SkipReason.MISSED),
    ]


def test_a_nonexistent_time_has_a_note_if_it_does_not_run(harness: Harness) -> None:
    harness.at = instant("2027-03-13T00:00:00Z")
    rule = {"kind": "daily", "at": "02:30", "anchor": "2027-03-13", "dst": "skip"}
    schedule = create_schedule(harness, rule | LOS_ANGELES)

    pass_time(harness, "2027-03-16T00:00:00Z")

    assert ran_at(schedule) == ["2027-03-13T10:30Z", "2027-03-15T09:30Z"]
    assert skipped(schedule) == [("03-14T10:00", SkipReason.CLOCKS)]
    assert "forward" in history(schedule)[1].reason


# ---- Commands of people


def test_a_suspended_schedule_notes_skipped_times_and_resumes_at_its_end(harness: Harness) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)
    until = instant("2026-11-27T12:00:00Z")
    schedule_commands.suspend(schedule.schedule_id, until, harness.context(reason="an audit"))

    pass_time(harness, "2026-11-26T10:00:00Z")
    suspended = stored(schedule)
    pass_time(harness, "2026-11-28T10:00:00Z")

    assert suspended.state is ScheduleState.SUSPENDED
    assert stored(schedule).state is ScheduleState.ACTIVE
    assert skipped(schedule) == [
        ("11-25T09:00", SkipReason.SUSPENDED),
        ("11-26T09:00", SkipReason.SUSPENDED),
        ("11-27T09:00", SkipReason.SUSPENDED),
    ]
    assert ran_at(schedule) == ["2026-11-28T09:00Z"]
    assert history(schedule)[0].reason == "suspended by admin: an audit"


def test_a_time_at_the_moment_a_suspension_ends_runs(harness: Harness) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)
    hold_commands.place_hold(f"type:{NAME}", instant("2026-11-25T08:00:00Z"), harness.context())
    until = instant("2026-11-26T09:00:00Z")
    schedule_commands.suspend(schedule.schedule_id, until, harness.context())

    pass_time(harness, "2026-11-26T10:00:00Z")

    assert skipped(schedule) == [("11-25T09:00", SkipReason.SUSPENDED)]
    assert ran_at(schedule) == ["2026-11-26T09:00Z"]


def test_a_time_that_came_just_before_the_suspension_still_runs(harness: Harness) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)

    harness.at = instant("2026-11-25T09:00:20Z")
    schedule_commands.suspend(schedule.schedule_id, None, harness.context())
    harness.machines.run_all()

    assert ran_at(schedule) == ["2026-11-25T09:00Z"]
    assert stored(schedule).state is ScheduleState.SUSPENDED


def test_a_person_s_run_now_comes_in_addition_to_the_schedule_s_times(
    harness: Harness, script: Script
) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)

    first = schedule_commands.run_now(
        schedule.schedule_id, harness.context(key="one", reason="to see")
    )
    again = schedule_commands.run_now(
        schedule.schedule_id, harness.context(key="one", reason="to see")
    )
    with pytest.raises(InvalidTransition, match="running"):
        schedule_commands.run_now(schedule.schedule_id, harness.context(key="two"))
    harness.machines.run_all()

    (run,) = history(schedule)
    assert first.address == again.address == run.address
    assert (run.trigger, run.actor, run.reason) == (Trigger.MANUAL, "admin", "to see")
    assert len(script.inputs) == 1
    assert stored(schedule).next_at == instant("2026-11-25T09:00:00Z")


def test_an_edit_shows_how_the_next_runs_change_and_touches_no_history(harness: Harness) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)
    pass_time(harness, "2026-11-25T12:00:00Z")
    before = history(schedule)
    rule = recurrence_of(DAILY | {"at": "15:00"})

    edited = schedule_commands.edit(
        schedule.schedule_id, ScheduleEdit(rule=rule), harness.context()
    )

    assert edited.runs_before[0] == instant("2026-11-26T09:00:00Z")
    assert edited.runs_after[0] == instant("2026-11-25T15:00:00Z")
    assert stored(schedule).next_at == instant("2026-11-25T15:00:00Z")
    assert history(schedule) == before


def test_an_edit_of_a_suspended_schedule_shows_the_runs_after_the_suspension(
    harness: Harness,
) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)
    until = instant("2026-11-27T12:00:00Z")
    schedule_commands.suspend(schedule.schedule_id, until, harness.context())
    rule = recurrence_of(DAILY | {"at": "15:00"})

    edited = schedule_commands.edit(
        schedule.schedule_id, ScheduleEdit(rule=rule), harness.context()
    )

    assert edited.runs_before[0] == instant("2026-11-28T09:00:00Z")
    assert edited.runs_after[0] == instant("2026-11-27T15:00:00Z")


def test_an_ended_schedule_with_new_times_continues(harness: Harness) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(
        harness, {"kind": "once", "at": "09:00", "zone": "UTC", "anchor": "2026-11-25"}
    )
    pass_time(harness, "2026-11-25T12:00:00Z")

    schedule_commands.edit(
        schedule.schedule_id, ScheduleEdit(rule=recurrence_of(DAILY)), harness.context()
    )
    pass_time(harness, "2026-11-26T12:00:00Z")

    assert ran_at(schedule) == ["2026-11-25T09:00Z", "2026-11-26T09:00Z"]


def test_a_deleted_schedule_runs_no_more_and_is_gone(harness: Harness) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)
    schedule_commands.delete(schedule.schedule_id, harness.context(reason="not needed"))

    pass_time(harness, "2026-11-26T12:00:00Z")

    assert history(schedule) == []
    with pytest.raises(Gone):
        schedule_commands.active_schedule(schedule.schedule_id, ADMIN)


def test_a_deleted_schedule_is_not_resumed_by_itself(harness: Harness) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)
    schedule_commands.suspend(
        schedule.schedule_id, harness.at + timedelta(days=2), harness.context()
    )

    deleted = schedule_commands.delete(schedule.schedule_id, harness.context())

    assert (deleted.state, deleted.resume_at, deleted.due_at) == (ScheduleState.DELETED, None, None)


def test_only_an_admin_may(harness: Harness) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule_id = create_schedule(harness, DAILY).schedule_id
    wanted = ScheduleSpec("mine", NAME, recurrence_of(DAILY), Policy(), {})
    operator = replace(
        DEPOSITOR, name="operator", groups=frozenset({"operator", "viewer", "planner"})
    )
    commands: list[Callable[[CommandContext], object]] = [
        partial(schedule_commands.create, wanted),
        partial(schedule_commands.edit, schedule_id, ScheduleEdit(title="mine")),
        partial(schedule_commands.suspend, schedule_id, None),
        partial(schedule_commands.resume, schedule_id),
        partial(schedule_commands.run_now, schedule_id),
        partial(schedule_commands.delete, schedule_id),
        partial(calendars.put, calendar_of({"name": "mine"}), None),
        partial(calendars.delete, "mine", None),
    ]

    for person in (DEPOSITOR, operator):
        for command in commands:
            with pytest.raises(Forbidden):
                command(harness.context(person, reason="mine"))


# ---- Commands about its jobs


def test_the_requeue_of_a_failed_job_is_noted_with_its_schedule(
    harness: Harness, script: Script
) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)
    script.answers = [Fail(Failure.PAYLOAD_NOT_FOUND, "gone")]
    pass_time(harness, "2026-11-25T12:00:00Z")
    (run,) = history(schedule)
    script.during = lambda: harness.advance(10)

    send_job_event(run.address.job_id, "requeue", harness.context())
    labels = [stored(schedule).label]
    harness.machines.run_all()

    labels.append(stored(schedule).label)
    (run,) = history(schedule)
    assert labels == ["In Progress", "Completed"]
    assert run.outcome is not None
    assert run.outcome.failure_codes == ("PAYLOAD_NOT_FOUND",)
    assert run.duration == timedelta(seconds=10)


def test_a_failed_job_that_is_deleted_leaves_its_run_as_it_was(
    harness: Harness, script: Script
) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)
    script.answers = [Fail(Failure.PAYLOAD_NOT_FOUND, "gone")]
    pass_time(harness, "2026-11-26T12:00:00Z")
    first, second = history(schedule)

    send_job_event(first.address.job_id, "delete", harness.context())

    deleted, _ = history(schedule)
    assert deleted.outcome is not None
    assert first.outcome is not None
    assert deleted.outcome.state is JobState.DELETED
    assert deleted.outcome.ended_at == first.outcome.ended_at
    latest = stored(schedule).latest
    assert latest is not None
    assert latest.scheduled_for == second.scheduled_for
    assert stored(schedule).label == "Completed"


def test_a_running_job_is_cancelled_and_its_late_result_changes_nothing(
    harness: Harness, script: Script
) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)

    def cancelled() -> None:
        (run,) = stored(schedule).active
        send_job_event(schedule.job_address(run.scheduled_for).job_id, "cancel", harness.context())

    script.during = cancelled
    pass_time(harness, "2026-11-25T12:00:00Z")

    (run,) = history(schedule)
    job = jobs.find(run.address)
    assert job is not None
    assert job.state is JobState.CANCELLED
    assert run.outcome is not None
    assert run.outcome.state is JobState.CANCELLED
    assert (stored(schedule).active, stored(schedule).label) == ((), "Failed")


# ---- Lost executions


def test_a_job_that_was_decided_but_not_started_is_started_by_the_next_tick(
    harness: Harness, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)
    harness.at = instant("2026-11-25T09:00:01Z")

    def unreachable(**_: Any) -> None:
        raise ConnectionError("states is not there")

    with monkeypatch.context() as patch:
        patch.setattr(harness.machines, "start_execution", unreachable)
        result = harness.tick()
    harness.advance(61)
    harness.tick()
    harness.machines.run_all()

    assert [type(error) for _, error in result.errors] == [ConnectionError]
    assert len(script.inputs) == 1
    assert stored(schedule).label == "Completed"
