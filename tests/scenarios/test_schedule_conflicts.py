"""Schedules with several clocks, requests in between, and invalid records: no time is lost, none
runs twice, and a broken schedule delays no other."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobyard.domain.errors import InvalidParameters, InvalidRule, InvalidTransition
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JobState
from jobyard.domain.jobs.job_type import Fail, JobType
from jobyard.domain.schedules.calendar import calendar_of
from jobyard.domain.schedules.occurrence import SkipReason, Trigger, Verdict
from jobyard.domain.schedules.planning import next_run
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import (
    MAX_ACTIVE_RUNS,
    MAX_HISTORY_BYTES,
    CatchUp,
    MissedPolicy,
    OverlapPolicy,
    Policy,
    ScheduleState,
)
from jobyard.jobtypes import TYPES
from jobyard.services import calendars
from jobyard.services import holds as hold_commands
from jobyard.services.jobs.commands import send_job_event
from jobyard.services.machines.execute_job import run_job
from jobyard.services.machines.inputs import ExecutionInput
from jobyard.services.queries.schedules import list_schedules
from jobyard.services.runs import ExecutionRun
from jobyard.services.schedules import clock
from jobyard.services.schedules import commands as schedule_commands
from jobyard.services.schedules.commands import MAX_PARAMETER_BYTES, ScheduleEdit, ScheduleSpec
from jobyard.store import jobs, schedules, tables
from tests.call_interceptor import Answer, Call, Listener
from tests.harness import ADMIN, Harness
from tests.machines import ExecutionFailed, NoWorkerFree
from tests.scenarios.test_schedules import (
    DAILY,
    HOURLY,
    create_schedule,
    history,
    instant,
    late,
    pass_time,
    ran_at,
    skipped,
    stored,
)
from tests.scripted_job_type import NAME, Script, scripted


@pytest.fixture(autouse=True)
def script() -> Iterator[Script]:
    """What the jobs do."""
    with scripted() as script:
        yield script


def minute(harness: Harness, at: str) -> clock.ClockResult:
    """A tick at that time; then run what it started."""
    harness.at = instant(at)
    fired = harness.tick()
    harness.machines.run_all()
    return fired


# ---- Clocks that differ


def test_an_edit_during_a_due_time_lets_it_run_once(
    harness: Harness,
) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)
    early = iter([instant("2026-11-25T08:59:59.900Z")])
    later = instant("2026-11-25T09:00:00.200Z")
    context = replace(harness.context(), now=lambda: next(early, later))
    changes = ScheduleEdit(rule=recurrence_of(DAILY | {"end": "2027-05-05"}))

    schedule_commands.edit(schedule.schedule_id, changes, context)
    harness.machines.run_all()
    minute(harness, "2026-11-25T09:01:00Z")
    minute(harness, "2026-11-26T09:00:05Z")

    assert ran_at(schedule) == ["2026-11-25T09:00Z", "2026-11-26T09:00Z"]
    assert stored(schedule).next_at == instant("2026-11-27T09:00:00Z")


def test_an_edit_with_a_late_clock_does_not_schedule_a_decided_time(
    harness: Harness,
) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)
    minute(harness, "2026-11-25T09:00:00.050Z")
    harness.at = instant("2026-11-25T08:59:59.950Z")
    changes = ScheduleEdit(rule=recurrence_of(DAILY | {"end": "2027-05-05"}))

    schedule_commands.edit(schedule.schedule_id, changes, harness.context())
    minute(harness, "2026-11-26T09:00:05Z")

    assert ran_at(schedule) == ["2026-11-25T09:00Z", "2026-11-26T09:00Z"]


@pytest.mark.parametrize("at", ["2026-11-25T08:59:59.999700Z", "2026-11-25T09:00:00Z"])
def test_a_run_now_at_the_time_of_the_rule_is_another_job(harness: Harness, at: str) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY, Policy(overlap=OverlapPolicy.ALLOW))
    harness.at = instant(at)

    schedule_commands.run_now(schedule.schedule_id, harness.context())
    minute(harness, "2026-11-25T09:01:00Z")

    assert sorted(each.trigger for each in history(schedule)) == [Trigger.MANUAL, Trigger.SCHEDULE]
    assert stored(schedule).next_at == instant("2026-11-26T09:00:00Z")


def test_of_two_ticks_that_skip_a_time_one_logs_it(harness: Harness) -> None:
    harness.at = instant("2026-11-24T23:59:00Z")
    schedule = create_schedule(harness, HOURLY)
    schedule_commands.suspend(schedule.schedule_id, None, harness.context())
    harness.at = instant("2026-11-25T00:00:01Z")
    seen = stored(schedule)
    second = harness.at + timedelta(seconds=1)

    _, one = clock.start_due(seen, clock.ScheduleCache(), harness.executions, harness.at)
    _, other = clock.start_due(seen, clock.ScheduleCache(), harness.executions, second)

    assert [len(one.occurrences), len(other.occurrences)] == [1, 0]


class BeforeSecondWrite(Listener):
    """Calls `action` before the second write."""

    def __init__(self, action: Callable[[], object]) -> None:
        self._action, self._writes = action, 0

    def before(self, call: Call) -> None:
        if call.operation == "TransactWriteItems":
            self._writes += 1
            if self._writes == 2:
                self._action()


def test_two_ticks_at_once_record_each_skipped_time_once(harness: Harness) -> None:
    harness.at = instant("2026-11-24T23:30:00Z")
    schedule = create_schedule(harness, HOURLY, Policy(CatchUp(MissedPolicy.NONE)))
    harness.at = instant("2026-11-29T23:30:00Z")
    others: list[clock.ClockResult] = []

    def start(at: datetime) -> clock.ClockResult:
        return clock.start_due(stored(schedule), clock.ScheduleCache(), harness.executions, at)[1]

    second = harness.at + timedelta(seconds=1)
    with harness.interceptor.listening(BeforeSecondWrite(lambda: others.append(start(second)))):
        fired = start(harness.at)

    assert len(skipped(schedule)) == 120
    assert [len(each.skipped) for each in (fired, *others)] == [90, 30]


def test_the_latest_run_is_the_one_that_started_last(harness: Harness, script: Script) -> None:
    """It need not have the latest time: a run that a hold delayed starts after a run now."""
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)
    hold_commands.place_hold("everything", None, harness.context())
    minute(harness, "2026-11-25T09:00:10Z")
    harness.at = instant("2026-11-25T09:20:00Z")
    script.answers = [Fail(Failure.RECORDS_FAILED, "2 of 12")]
    schedule_commands.run_now(schedule.schedule_id, harness.context())
    harness.machines.run_all()
    failed = stored(schedule).label
    hold_commands.lift_hold("everything", harness.context())
    minute(harness, "2026-11-25T09:21:00Z")

    assert (failed, stored(schedule).label) == ("Failed", "Completed")
    latest = stored(schedule).latest
    assert latest
    assert latest.scheduled_for == instant("2026-11-25T09:00:00Z")


def test_a_queued_run_under_a_hold_runs_before_later_times(
    harness: Harness, script: Script
) -> None:
    script.during = lambda: harness.advance(7)
    harness.at = instant("2026-11-24T23:59:00Z")
    schedule = create_schedule(harness, HOURLY, Policy(overlap=OverlapPolicy.QUEUE_ONE))
    for hour in range(2):
        harness.at = instant(f"2026-11-25T0{hour}:00:01Z")
        harness.tick()
    hold_commands.place_hold("everything", None, harness.context())
    harness.machines.run_all()
    minute(harness, "2026-11-25T02:00:01Z")
    hold_commands.lift_hold("everything", harness.context())
    for minutes in range(1, 4):
        minute(harness, f"2026-11-25T02:0{minutes}:01Z")

    ends = {
        each.scheduled_for.hour: each.outcome.started_at
        for each in history(schedule)
        if each.outcome
    }
    assert sorted(ends) == [0, 1, 2]
    assert sorted(ends, key=lambda hour: str(ends[hour])) == [0, 1, 2]


# ---- Requests in between


def test_a_request_after_the_end_of_a_suspension_removes_no_time(
    harness: Harness,
) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)
    until = instant("2026-11-25T08:00:00Z")
    schedule_commands.suspend(schedule.schedule_id, until, harness.context())

    harness.at = instant("2026-11-25T09:00:10Z")
    schedule_commands.edit(
        schedule.schedule_id, ScheduleEdit(title="another title"), harness.context()
    )
    minute(harness, "2026-11-25T09:00:20Z")

    assert (skipped(schedule), ran_at(schedule)) == ([], ["2026-11-25T09:00Z"])
    assert stored(schedule).state is ScheduleState.ACTIVE


def test_a_schedule_that_ended_while_suspended_is_no_longer_due(harness: Harness) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    once = {"kind": "once", "at": "09:00", "zone": "UTC", "anchor": "2026-11-25"}
    schedule = create_schedule(harness, once)
    until = instant("2026-11-27T00:00:00Z")
    schedule_commands.suspend(schedule.schedule_id, until, harness.context())
    minute(harness, "2026-11-25T09:00:05Z")
    rule = recurrence_of(once | {"anchor": "2027-11-25"})

    schedule_commands.edit(schedule.schedule_id, ScheduleEdit(rule=rule), harness.context())
    fired = minute(harness, "2026-12-27T00:00:05Z")

    assert fired.checked == 0
    assert stored(schedule).due_at == instant("2027-11-25T09:00:00Z")


def test_a_run_now_starts_although_the_schedule_is_suspended(
    harness: Harness,
) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY, Policy(overlap=OverlapPolicy.QUEUE_ONE))
    schedule_commands.suspend(schedule.schedule_id, None, harness.context())
    schedule_commands.run_now(schedule.schedule_id, harness.context())
    harness.advance(1)

    schedule_commands.run_now(schedule.schedule_id, harness.context(reason="I need this"))
    harness.machines.run_all()

    assert [each.verdict for each in history(schedule)] == [Verdict.RUN, Verdict.RUN]
    assert all(each.outcome for each in history(schedule))


def test_a_held_time_is_not_attributed_to_a_later_suspension(
    harness: Harness,
) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)
    harness.at = instant("2026-11-25T08:00:00Z")
    hold_commands.place_hold("everything", None, harness.context())
    harness.at = instant("2026-11-25T10:00:00Z")

    schedule_commands.suspend(schedule.schedule_id, None, harness.context())
    minute(harness, "2026-11-26T09:01:00Z")

    assert skipped(schedule) == [
        ("11-25T09:00", SkipReason.MISSED),
        ("11-26T09:00", SkipReason.SUSPENDED),
    ]


def test_the_next_run_under_a_hold_is_never_a_time_that_will_be_missed(harness: Harness) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)
    hold_commands.place_hold("everything", None, harness.context())

    harness.at = instant("2026-11-28T12:00:00Z")

    assert next_run(stored(schedule), None, harness.at) == instant("2026-11-29T09:00:00Z")


def test_a_hold_on_everything_holds_queued_runs(harness: Harness, script: Script) -> None:
    harness.at = instant("2026-11-24T23:59:00Z")
    schedule = create_schedule(harness, HOURLY, Policy(overlap=OverlapPolicy.QUEUE_ONE))
    for hour in range(2):
        harness.at = instant(f"2026-11-25T0{hour}:00:01Z")
        harness.tick()
    hold_commands.place_hold("everything", None, harness.context())
    harness.machines.run_all()
    under_hold = len(script.inputs)
    minute(harness, "2026-11-25T01:10:01Z")
    still = len(script.inputs)

    hold_commands.lift_hold("everything", harness.context())
    fired = minute(harness, "2026-11-25T01:12:01Z")

    assert fired.started == 1
    assert (under_hold, still, len(script.inputs)) == (1, 1, 2)
    assert ran_at(schedule) == ["2026-11-25T00:00Z", "2026-11-25T01:00Z"]


@pytest.mark.parametrize("event", ["edit", "delete"])
def test_a_held_time_is_recorded_when_it_is_skipped(harness: Harness, event: str) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)
    hold_commands.place_hold("everything", None, harness.context())
    minute(harness, "2026-11-25T09:00:10Z")
    harness.at = instant("2026-11-25T09:05:00Z")

    if event == "edit":
        other = ScheduleEdit(rule=recurrence_of(DAILY | {"at": "10:00"}))
        schedule_commands.edit(schedule.schedule_id, other, harness.context())
    else:
        schedule_commands.delete(schedule.schedule_id, harness.context())
    hold_commands.lift_hold("everything", harness.context())
    minute(harness, "2026-11-25T09:06:00Z")

    given_up = SkipReason.EDITED if event == "edit" else SkipReason.DELETED
    assert skipped(schedule) == [("11-25T09:00", given_up)]
    assert ran_at(schedule) == []


def test_deleting_a_schedule_under_a_hold_skips_its_queued_run(harness: Harness) -> None:
    harness.at = instant("2026-11-24T23:59:00Z")
    schedule = create_schedule(harness, HOURLY, Policy(overlap=OverlapPolicy.QUEUE_ONE))
    for hour in range(2):
        harness.at = instant(f"2026-11-25T0{hour}:00:01Z")
        harness.tick()
    hold_commands.place_hold("everything", None, harness.context())
    harness.machines.run_all()

    schedule_commands.delete(schedule.schedule_id, harness.context())
    hold_commands.lift_hold("everything", harness.context())
    minute(harness, "2026-11-25T01:12:01Z")

    assert skipped(schedule) == [("11-25T01:00", SkipReason.DELETED)]
    assert stored(schedule).due_at is None


def test_a_cancelled_job_has_its_start_and_duration(harness: Harness, script: Script) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)

    def cancelled() -> None:
        harness.advance(2400)
        (run,) = stored(schedule).active
        send_job_event(schedule.job_address(run.scheduled_for).job_id, "cancel", harness.context())

    script.during = cancelled
    pass_time(harness, "2026-11-25T12:00:00Z")

    (run,) = history(schedule)
    assert (late(run), run.duration) == (timedelta(seconds=1), timedelta(minutes=40))


def test_no_more_failed_jobs_are_requeued_than_may_run_at_once(
    harness: Harness, script: Script
) -> None:
    harness.at = instant("2026-11-24T23:59:00Z")
    schedule = create_schedule(harness, HOURLY, Policy(overlap=OverlapPolicy.ALLOW))
    script.answers = [Fail(Failure.PAYLOAD_NOT_FOUND, "gone")] * (MAX_ACTIVE_RUNS + 1)
    pass_time(harness, "2026-11-25T20:30:00Z")
    failed = history(schedule)

    for each in failed[:MAX_ACTIVE_RUNS]:
        send_job_event(each.address.job_id, "requeue", harness.context())
    with pytest.raises(InvalidTransition, match="is active"):
        send_job_event(failed[MAX_ACTIVE_RUNS].address.job_id, "requeue", harness.context())

    assert len(stored(schedule).active) == MAX_ACTIVE_RUNS


# ---- After a long time


def test_the_only_time_of_a_rule_is_caught_up_even_days_later(
    harness: Harness,
) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(
        harness, {"kind": "once", "at": "09:00", "zone": "UTC", "anchor": "2026-11-25"}
    )

    minute(harness, "2026-11-29T10:00:00Z")

    (run,) = history(schedule)
    assert (run.trigger, stored(schedule).label) == (Trigger.CATCH_UP, "Completed")


def test_all_missed_times_run_twenty_at_a_time(harness: Harness) -> None:
    harness.at = instant("2026-11-24T23:59:00Z")
    policy = Policy(CatchUp(MissedPolicy.ALL, limit=30, max_age_h=48), OverlapPolicy.ALLOW)
    schedule = create_schedule(harness, HOURLY, policy)

    minute(harness, "2026-11-26T05:30:00Z")
    minute(harness, "2026-11-26T05:31:01Z")

    assert Counter(each.verdict for each in history(schedule)) == {Verdict.RUN: 30}


def test_the_replaced_runs_of_several_days_fit_into_one_write(
    harness: Harness,
) -> None:
    harness.at = instant("2026-11-24T23:59:00Z")
    schedule = create_schedule(harness, HOURLY, Policy(overlap=OverlapPolicy.ALLOW))
    for hour in range(6):
        harness.at = instant(f"2026-11-25T0{hour}:00:01Z")
        harness.tick()
    schedule_commands.edit(
        schedule.schedule_id, ScheduleEdit(overlap=OverlapPolicy.REPLACE), harness.context()
    )

    harness.at = instant("2026-11-28T23:30:00Z")
    fired = harness.tick()

    assert fired.errors == ()
    assert [run.scheduled_for for run in stored(schedule).active] == [
        instant("2026-11-28T23:00:00Z")
    ]
    ends = [each.outcome.state for each in history(schedule) if each.outcome]
    assert ends == [JobState.REPLACED] * 6


def test_a_replaced_job_names_the_one_that_runs(harness: Harness) -> None:
    harness.at = instant("2026-11-24T22:59:00Z")
    excluding = calendar_of({"name": "c", "exclude": ["2026-11-26"]})
    calendars.put(excluding, None, harness.context())
    schedule = create_schedule(harness, HOURLY, Policy(overlap=OverlapPolicy.REPLACE, calendar="c"))
    harness.at = instant("2026-11-25T22:00:01Z")
    harness.tick()

    harness.at = instant("2026-11-26T01:30:01Z")
    harness.tick()

    replaced = jobs.find(schedule.job_address(instant("2026-11-25T22:00:00Z")))
    following = schedule.job_address(instant("2026-11-25T23:00:00Z")).job_id
    assert replaced is not None
    assert replaced.history[-1].reason == f"replaced by {following}"


def test_a_time_that_is_skipped_keeps_no_parameters(harness: Harness) -> None:
    harness.at = instant("2026-11-24T23:59:00Z")
    large = {"x": "y" * (MAX_PARAMETER_BYTES - 100)}
    wanted = ScheduleSpec("large", NAME, recurrence_of(HOURLY), Policy(), large)
    schedule = schedule_commands.create(wanted, harness.context())

    fired = minute(harness, "2026-11-28T07:00:00Z")

    assert fired.errors == ()
    assert {each.verdict for each in history(schedule) if each.parameters} == {Verdict.RUN}
    with pytest.raises(InvalidParameters, match="bytes"):
        schedule_commands.create(
            replace(wanted, parameters={"x": "y" * MAX_PARAMETER_BYTES}), harness.context()
        )


def test_a_schedule_that_is_changed_for_years_keeps_a_bounded_history(harness: Harness) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)

    for number in range(55):
        context = harness.context(reason="ж" * 1000)
        changes = ScheduleEdit(title=f"the {number}th title")
        schedule_commands.edit(schedule.schedule_id, changes, context)

    kept = stored(schedule).history
    assert sum(len(entry.reason.encode()) for entry in kept) <= MAX_HISTORY_BYTES
    assert sum(sum(entry.counts.values()) or 1 for entry in kept) == 55
    assert "more moves: edit" in kept[3].reason
    assert stored(schedule).title == "the 54th title"


# ---- Unusual records


def test_an_unreadable_schedule_does_not_affect_others(harness: Harness) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    several = [create_schedule(harness, DAILY) for _ in range(8)]
    item = tables.ScheduleItem.get(several[0].schedule_id)
    item.body = {**item.body, "rule": {**item.body["rule"], "zone": "US/Nowhere"}}
    item.save()

    fired = minute(harness, "2026-11-25T09:00:05Z")

    assert [(of, type(error)) for of, error in fired.errors] == [
        (several[0].schedule_id, InvalidRule)
    ]
    assert {stored(each).label for each in several[1:]} == {"Completed"}
    ids = {each.schedule_id for each in several[1:]}
    assert ids <= {each.schedule_id for each in schedules.list_all(limit=1000)}
    listed = list_schedules(
        harness.query_context(ADMIN), system=False, label="", after="", limit=1000
    ).items
    assert ids <= {each.schedule.schedule_id for each in listed}
    assert [*schedules.with_calendar("nobody's")] == []
    item.delete()


class Throttled(Listener):
    """Throttles some transactions, as DynamoDB does."""

    def __init__(self, times: int) -> None:
        self.left = times

    def before(self, call: Call) -> Answer | None:
        if call.operation != "TransactWriteItems" or not self.left:
            return None
        self.left -= 1
        reasons = [{"Code": "ThrottlingError", "Message": "slow down"}, {"Code": "None"}]
        return Answer.error(400, "TransactionCanceledException", CancellationReasons=reasons)


def test_a_throttled_write_is_repeated(harness: Harness) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)

    throttled = Throttled(2)

    with harness.interceptor.listening(throttled):
        fired = minute(harness, "2026-11-25T09:00:05Z")

    assert fired.errors == ()
    assert throttled.left == 0
    assert ran_at(schedule) == ["2026-11-25T09:00Z"]


def test_due_jobs_start_before_active_runs_are_checked(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.at = instant("2026-11-25T08:00:00Z")
    for _ in range(12):
        create_schedule(harness, DAILY)
    for _ in range(4):
        create_schedule(harness, DAILY | {"at": "09:01"})
    harness.at = instant("2026-11-25T09:00:01Z")
    harness.tick()
    order: list[str] = []
    describe, start = harness.machines.describe_execution, harness.machines.start_execution

    def described(**parameters: Any) -> Any:
        order.append("describe")
        return describe(**parameters)

    def started(**parameters: Any) -> Any:
        order.append("start")
        return start(**parameters)

    monkeypatch.setattr(harness.machines, "describe_execution", described)
    monkeypatch.setattr(harness.machines, "start_execution", started)
    harness.at = instant("2026-11-25T09:01:02Z")
    harness.tick()

    assert order[:4] == ["start"] * 4
    assert order.count("describe") == 12


def test_a_job_waits_until_a_worker_is_free(harness: Harness) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)
    invoke_once = harness.machines.invoke

    def refused(name: str, function: Any, event: Any) -> Any:
        if name == "ExecuteJobFunction":
            raise NoWorkerFree
        return invoke_once(name, function, event)

    harness.machines.invoke = refused
    harness.at = instant("2026-11-25T09:00:01Z")
    harness.tick()
    with pytest.raises(ExecutionFailed):
        harness.machines.run_all()
    waiting = stored(schedule).label
    harness.machines.invoke = invoke_once
    minute(harness, "2026-11-25T09:01:02Z")

    assert (waiting, stored(schedule).label) == ("In Progress", "Completed")


def test_a_job_of_a_removed_type_ends(harness: Harness) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)
    harness.at = instant("2026-11-25T09:00:01Z")
    harness.tick()
    types: dict[str, JobType] = TYPES  # type: ignore[assignment]
    gone = types.pop(NAME)

    try:
        harness.machines.run_all()
    finally:
        types[NAME] = gone

    (run,) = history(schedule)
    assert run.outcome is not None
    assert run.outcome.failure_codes == ("JOB_TYPE_GONE",)
    assert f"there is no job type {NAME!r} any more" in run.outcome.failure_message
    assert stored(schedule).label == "Failed"


def test_a_run_that_ended_unnoticed_is_not_replaced(harness: Harness) -> None:
    harness.at = instant("2026-11-24T23:59:00Z")
    schedule = create_schedule(harness, HOURLY, Policy(overlap=OverlapPolicy.REPLACE))
    harness.at = instant("2026-11-25T00:00:01Z")
    harness.tick()
    (run,) = stored(schedule).active
    address = schedule.job_address(run.scheduled_for)
    request = ExecutionInput(address.origin_id, ExecutionRun(run.run, 1), address=address)
    run_job(request, harness.worker())

    minute(harness, "2026-11-25T01:00:01Z")

    ends = [each.outcome.state for each in history(schedule) if each.outcome]
    assert ends == ["succeeded", "succeeded"]


def test_a_step_whose_job_is_cancelled_has_no_time_left(harness: Harness, script: Script) -> None:
    harness.at = instant("2026-11-24T23:59:00Z")
    schedule = create_schedule(harness, HOURLY)
    left: list[float] = []

    def cancel() -> None:
        (run,) = stored(schedule).active
        send_job_event(schedule.job_address(run.scheduled_for).job_id, "cancel", harness.context())
        assert script.context
        left.append(script.context.remaining())
        harness.advance(3)
        left.append(script.context.remaining())

    script.during = cancel
    minute(harness, "2026-11-25T00:00:01Z")

    assert left[0] > 0  # it is checked every two seconds
    assert left[1] == 0
    assert [each.outcome.state for each in history(schedule) if each.outcome] == ["cancelled"]


def test_a_run_in_progress_is_not_checked_again_at_once(harness: Harness) -> None:
    harness.at = instant("2026-11-24T23:59:00Z")
    schedule = create_schedule(harness, HOURLY)
    for at in ("2026-11-25T00:00:01Z", "2026-11-25T00:02:01Z"):
        harness.at = instant(at)
        harness.tick()

    next_check_at = stored(schedule).next_check_at
    assert next_check_at
    assert next_check_at > harness.at


def test_a_suspension_ends_after_all_earlier_times_are_decided(harness: Harness) -> None:
    harness.at = instant("2026-11-24T23:30:00Z")
    schedule = create_schedule(harness, HOURLY, Policy(CatchUp(MissedPolicy.NONE)))
    until = harness.at + timedelta(days=5)
    schedule_commands.suspend(schedule.schedule_id, until, harness.context())
    harness.at += timedelta(days=5, hours=2)
    tick = clock.ScheduleTick(clock.ScheduleCache(), harness.executions, harness.at)

    found = clock.catch_up(stored(schedule), tick, max_writes=1)
    reasons = Counter(each.skip_reason for each in tick.decided)
    clock.start_due(found, clock.ScheduleCache(), harness.executions, harness.at)

    assert (found.state, reasons) == (ScheduleState.SUSPENDED, {SkipReason.SUSPENDED: 90})
    assert stored(schedule).state is ScheduleState.ACTIVE
    assert Counter(reason for _, reason in skipped(schedule)) == {
        SkipReason.SUSPENDED: 120,
        SkipReason.MISSED: 2,
    }


def test_times_are_in_utc_in_all_messages(harness: Harness) -> None:
    harness.at = instant("2026-11-24T12:00:00Z")
    schedule = create_schedule(harness, DAILY)
    minute(harness, "2026-11-25T09:00:01Z")

    (run,) = history(schedule)
    assert run.scheduled_for == datetime(2026, 11, 25, 9, tzinfo=UTC)
    assert run.scheduled_for.tzinfo is UTC
