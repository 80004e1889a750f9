"""For any rule, policy and time: each time of a schedule is decided once, in order, and the overlap
policy is never violated."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobyard.domain.errors import InvalidTransition
from jobyard.domain.jobs.checkpoint import Checkpoint
from jobyard.domain.jobs.job import Attempt, JobRecord, JobState
from jobyard.domain.lifecycle import Cause
from jobyard.domain.schedules.calendar import Calendar, calendar_of
from jobyard.domain.schedules.next_runs import next_runs
from jobyard.domain.schedules.occurrence import Occurrence, SkipReason, Trigger, Verdict
from jobyard.domain.schedules.planning import (
    GRACE_PERIOD,
    MAX_OCCURRENCES,
    after_end,
    after_wait,
    next_run,
    plan,
    plan_manual_run,
    rule_times_from,
)
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import (
    MAX_ACTIVE_RUNS,
    SCHEDULE,
    ActiveJob,
    CatchUp,
    MissedPolicy,
    OverlapPolicy,
    Policy,
    Schedule,
    ScheduleState,
    job_address,
    next_check,
    occurrence_time,
)

START = datetime(2026, 10, 30, tzinfo=UTC)
CLOCK = Cause("clock")
WORKDAYS = calendar_of(
    {
        "name": "workdays",
        "exclude": ["2026-11-26"],
        "include": [{"weekdays": ["mon", "tue", "wed", "thu", "fri"]}],
    }
)
RULES = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["hourly", "daily", "weekly", "monthly"]),
        "every": st.integers(1, 3),
        "at": st.sampled_from(["00:00", "01:30", "02:30", "17:45"]),
        "zone": st.sampled_from(["UTC", "America/Los_Angeles", "Australia/Lord_Howe"]),
        "anchor": st.sampled_from(["2026-10-01", "2026-10-31", "2026-11-01"]),
        "dst": st.sampled_from(["shift", "skip", "once", "twice"]),
    },
    optional={"count": st.integers(1, 80), "end": st.just("2026-11-20")},
)
POLICIES = st.builds(
    Policy,
    st.builds(CatchUp, st.sampled_from(MissedPolicy), st.integers(1, 5), st.integers(1, 72)),
    st.sampled_from(OverlapPolicy),
)


def schedule_of(rule: dict[str, object], policy: Policy = Policy()) -> Schedule:  # noqa: B008
    made = recurrence_of(rule)
    return Schedule(
        schedule_id="saaaaaaaaaaaaaaaaaaaa",
        state=ScheduleState.ACTIVE,
        version=1,
        title="a schedule",
        job_type="sweep",
        rule=made,
        policy=policy,
        owner="admin",
        created_at=START,
        next_at=next(rule_times_from(made, START), None),
    )


def after_success(schedule: Schedule, run: ActiveJob, at: datetime) -> Schedule:
    """The schedule after a run has succeeded."""
    job = JobRecord(
        schedule.job_address(run.scheduled_for),
        JobState.SUCCEEDED,
        2,
        "",
        at,
        attempts=(Attempt(run.started_at, at),),
    )
    occurrence = Occurrence(
        schedule.schedule_id, run.scheduled_for, 1, Trigger.SCHEDULE, Verdict.RUN, run.started_at
    )
    queued = schedule.queued_for
    move = SCHEDULE.move(schedule.state, "track", at, CLOCK)
    after, _ = after_end(schedule, occurrence, job, Checkpoint(job.address.job_id), move)
    if queued and not after.active:
        waiting = replace(occurrence, scheduled_for=queued, verdict=Verdict.WAIT)
        after, _ = after_wait(after, waiting, SCHEDULE.move(after.state, "track", at, CLOCK))
    return after


@settings(deadline=None, max_examples=60)
@given(
    RULES,
    POLICIES,
    st.sampled_from([None, WORKDAYS]),
    st.lists(st.tuples(st.integers(0, 4 * 24 * 60), st.booleans()), min_size=1, max_size=12),
)
def test_each_time_is_decided_once_and_in_order(
    rule: dict[str, object],
    policy: Policy,
    calendar: Calendar | None,
    ticks: list[tuple[int, bool]],
) -> None:
    schedule = schedule_of(rule, policy)
    now, made = START, []
    for minutes, runs_end in ticks:
        now += timedelta(minutes=minutes)
        while schedule.next_at and schedule.next_at <= now:
            decision = plan(schedule, calendar, now, CLOCK)
            again = plan(schedule, calendar, now, CLOCK)
            assert decision == again
            if decision is None:
                break
            gone = set(schedule.active) - set(decision.schedule.active)
            assert gone == set(decision.replaced)
            assert len(decision.occurrences) <= MAX_OCCURRENCES
            made += decision.occurrences
            schedule = decision.schedule
        assert policy.overlap is OverlapPolicy.ALLOW or len(schedule.active) <= 1
        assert len(schedule.active) <= MAX_ACTIVE_RUNS
        assert schedule.queued_for is None or schedule.active
        while runs_end and schedule.active:
            schedule = after_success(schedule, schedule.active[0], now)

    end = schedule.next_at or datetime.max.replace(tzinfo=UTC)
    expected = [*takewhile(lambda at: at < end, rule_times_from(schedule.rule, START))]
    assert [each.scheduled_for for each in made] == expected
    for each in made:
        assert (each.skip_reason is None) is (each.verdict is not Verdict.SKIP)
        refused = calendar is not None and calendar.refusal(each.scheduled_for, schedule.rule.zone)
        assert not (refused and each.verdict is not Verdict.SKIP)
        assert (each.skip_reason is SkipReason.CLOCKS) is (
            schedule.rule.first_from(each.scheduled_for) != each.scheduled_for
        )
        late = each.decided_at - each.scheduled_for
        if each.trigger is Trigger.CATCH_UP:
            assert GRACE_PERIOD < late < timedelta(hours=policy.catch_up.max_age_h)
            assert policy.catch_up.runs is not MissedPolicy.NONE


def test_a_skipped_time_has_its_reason_whatever_the_policy() -> None:
    schedule = schedule_of({"kind": "hourly", "at": "00:00", "zone": "UTC", "anchor": "2026-11-01"})

    decision = plan(schedule, None, START + timedelta(days=3), CLOCK, SkipReason.EDITED)

    assert decision
    assert {each.skip_reason for each in decision.occurrences} == {SkipReason.EDITED}
    assert decision.started == ()


def test_the_next_run_is_one_that_the_calendar_lets_run() -> None:
    rule = {"kind": "daily", "at": "09:00", "zone": "UTC", "anchor": "2026-11-26"}
    schedule = schedule_of(rule)

    assert next_run(schedule, WORKDAYS, START) == datetime(2026, 11, 27, 9, tzinfo=UTC)
    assert next_run(schedule, None, START) == datetime(2026, 11, 26, 9, tzinfo=UTC)
    assert next_run(replace(schedule, state=ScheduleState.SUSPENDED), None, START) is None
    assert next_run(
        replace(
            schedule,
            state=ScheduleState.SUSPENDED,
            resume_at=datetime(2026, 12, 1, 9, tzinfo=UTC),
        ),
        None,
        START,
    ) == datetime(2026, 12, 1, 9, tzinfo=UTC)


def test_a_calendar_that_refuses_for_ever_leaves_no_next_run() -> None:
    rule = {"kind": "weekly", "weekdays": ["sun"], "at": "09:00", "zone": "UTC"}
    schedule = schedule_of(rule | {"anchor": "2026-11-01"})

    assert [*next_runs(schedule.rule, WORKDAYS, START)] == []


def test_run_now_is_refused_where_runs_may_not_meet() -> None:
    schedule = schedule_of({"kind": "daily", "at": "09:00", "zone": "UTC", "anchor": "2026-11-01"})
    first = plan_manual_run(schedule, START, Cause("r1", "admin", "to see"))

    with pytest.raises(InvalidTransition, match="running"):
        plan_manual_run(first.schedule, START + timedelta(minutes=1), Cause("r2", "admin", "again"))

    (occurrence,) = first.started
    assert (occurrence.trigger, occurrence.actor) == (Trigger.MANUAL, "admin")
    assert (
        occurrence_time(job_address("saaaaaaaaaaaaaaaaaaaa", occurrence.scheduled_for))
        == occurrence.scheduled_for
    )


def test_the_longer_a_run_takes_the_more_rarely_it_is_checked() -> None:
    runs = (ActiveJob(START, START, "main"),)
    waits = []
    now = START
    for _ in range(7):
        following = next_check(runs, now)
        assert following is not None
        waits.append((following - now).total_seconds() / 60)
        now = following

    assert waits == [1, 1, 2, 4, 8, 15, 15]
    fresh = ActiveJob(now, now, "main")
    assert next_check((*runs, fresh), now) == now + timedelta(minutes=1)
    assert next_check((), START) is None


DAILY = {"kind": "daily", "at": "09:00", "zone": "UTC", "anchor": "2026-11-01"}
NINE = datetime(2026, 11, 1, 9, tzinfo=UTC)
MOMENT = timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("late", "trigger"),
    [(GRACE_PERIOD, Trigger.SCHEDULE), (GRACE_PERIOD + MOMENT, Trigger.CATCH_UP)],
    ids=["in time", "late"],
)
def test_a_time_counts_as_missed_after_so_long_and_not_before(
    late: timedelta, trigger: Trigger
) -> None:
    made = plan(schedule_of(DAILY), None, NINE + late, CLOCK)
    never = plan(schedule_of(DAILY, Policy(CatchUp(MissedPolicy.NONE))), None, NINE + late, CLOCK)

    assert made
    assert never
    assert [(each.verdict, each.trigger) for each in made.occurrences] == [(Verdict.RUN, trigger)]
    missed = None if trigger is Trigger.SCHEDULE else SkipReason.MISSED
    assert [each.skip_reason for each in never.occurrences] == [missed]


@pytest.mark.parametrize(
    ("late", "reason"),
    [(timedelta(hours=5) - MOMENT, None), (timedelta(hours=5), SkipReason.TOO_OLD)],
    ids=["less than five hours old", "five hours old"],
)
def test_a_missed_time_is_too_old_to_catch_up_after_so_many_hours(
    late: timedelta, reason: SkipReason | None
) -> None:
    policy = Policy(CatchUp(MissedPolicy.LATEST, max_age_h=5))

    decision = plan(schedule_of(DAILY, policy), None, NINE + late, CLOCK)

    assert decision
    assert [each.skip_reason for each in decision.occurrences] == [reason]


def test_a_decided_time_is_not_decided_again_whatever_the_next_time_is() -> None:
    schedule = replace(schedule_of(DAILY), next_at=NINE, decided_until=NINE)

    assert plan(schedule, None, NINE + timedelta(hours=1), CLOCK) is not None
    decision = plan(schedule, None, NINE + timedelta(days=1), CLOCK)

    assert decision
    assert [each.scheduled_for for each in decision.occurrences] == [NINE + timedelta(days=1)]


@pytest.mark.parametrize(
    ("overlap", "made_up_for"), [(OverlapPolicy.ALLOW, [1, 2, 3, 4]), (OverlapPolicy.REPLACE, [4])]
)
def test_of_missed_times_that_would_replace_each_other_only_the_newest_runs(
    overlap: OverlapPolicy, made_up_for: list[int]
) -> None:
    rule = {"kind": "hourly", "at": "09:00", "zone": "UTC", "anchor": "2026-11-01"}
    schedule = schedule_of(rule, Policy(CatchUp(MissedPolicy.ALL, 4, 24), overlap))

    decision = plan(schedule, None, NINE + timedelta(hours=4, minutes=30), CLOCK)

    assert decision
    assert [each.scheduled_for for each in decision.started] == [
        NINE + timedelta(hours=hours) for hours in made_up_for
    ]
    others = [each.skip_reason for each in decision.occurrences if each.verdict is Verdict.SKIP]
    assert others == [SkipReason.MISSED] * (5 - len(made_up_for))


def test_the_end_of_a_schedule_is_the_end_of_its_suspension_too() -> None:
    schedule = replace(
        schedule_of(DAILY | {"count": 1}),
        state=ScheduleState.SUSPENDED,
        resume_at=NINE + timedelta(days=9),
    )

    decision = plan(schedule, None, NINE, CLOCK)

    assert decision
    assert (decision.schedule.state, decision.schedule.due_at) == (ScheduleState.ENDED, None)
    assert decision.schedule.resume_at is None


def test_a_run_that_is_late_is_the_next_as_long_as_it_is_in_time() -> None:
    schedule = schedule_of(DAILY)

    assert next_run(schedule, None, NINE + GRACE_PERIOD) == NINE
    assert next_run(schedule, None, NINE + GRACE_PERIOD + MOMENT) == NINE + timedelta(days=1)


def test_after_a_suspension_that_ended_early_the_next_run_is_the_rule_s_own() -> None:
    schedule = replace(
        schedule_of(DAILY),
        state=ScheduleState.SUSPENDED,
        next_at=NINE + timedelta(days=3),
        resume_at=NINE,
    )

    assert next_run(schedule, None, START) == NINE + timedelta(days=3)


@pytest.mark.parametrize(
    ("state", "trigger", "verdict", "reason"),
    [
        (ScheduleState.ACTIVE, Trigger.SCHEDULE, Verdict.RUN, None),
        (ScheduleState.SUSPENDED, Trigger.SCHEDULE, Verdict.SKIP, SkipReason.SUSPENDED),
        (ScheduleState.SUSPENDED, Trigger.MANUAL, Verdict.RUN, None),
    ],
)
def test_what_waited_runs_unless_its_schedule_was_suspended_and_no_person_wanted_it(
    state: ScheduleState, trigger: Trigger, verdict: Verdict, reason: SkipReason | None
) -> None:
    schedule = replace(schedule_of(DAILY), state=state, queued_for=NINE)
    waiting = Occurrence(
        schedule.schedule_id, NINE, 1, trigger, Verdict.WAIT, NINE, parameters={"table": "voters"}
    )
    move = SCHEDULE.move(state, "track", NINE + MOMENT, CLOCK)

    after, judged = after_wait(schedule, waiting, move)

    assert (judged.verdict, judged.skip_reason, judged.version) == (verdict, reason, 2)
    assert judged.parameters == ({"table": "voters"} if verdict is Verdict.RUN else {})
    assert judged.reason == ("suspended" if reason else "")
    assert [run.scheduled_for for run in after.active] == ([NINE] if verdict is Verdict.RUN else [])
    assert after.queued_for is None
