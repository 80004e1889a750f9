"""What a campaign does next, by its tasks, its window, a hold and the time."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from jobyard.domain.campaigns.abort import OutcomeCounts
from jobyard.domain.campaigns.campaign import Campaign, StopReason
from jobyard.domain.campaigns.fields import FieldReader
from jobyard.domain.campaigns.planning import (
    MAX_REST,
    CampaignPlan,
    PlannedAction,
    TaskTotals,
    plan,
)
from jobyard.domain.campaigns.rules import RULE_FIELDS, rules_of
from jobyard.domain.campaigns.targets_file import TargetsFile
from jobyard.domain.hold import Hold
from jobyard.domain.jobs.job import JOB, JobState
from jobyard.domain.lifecycle import Cause
from tests.domain.campaigns.schedules import calendar_for, instant

CREATED = instant("2026-11-25T10:00")
OPENS, CLOSES = instant("2026-11-27T21:00"), instant("2026-11-28T01:00")
EXPIRES = instant("2026-11-30T23:00")
HOLD = Hold("campaign:c1", "Ada", "the switch is being moved", OPENS)
SLICE = timedelta(seconds=60)
NIGHTS: dict[str, Any] = {
    "kind": "scheduled",
    "zone": "Europe/Zurich",
    "from": "2026-11-25",
    "to": "2026-11-30",
    "window": {"from": "22:00", "to": "02:00", "weekdays": ["fri"]},
}


def campaign(
    state: JobState = JobState.SCHEDULED, stop: StopReason | None = None, **fields: Any
) -> Campaign:
    reader = FieldReader({**NIGHTS, **fields}, RULE_FIELDS)
    rules = rules_of(reader, CREATED, calendar_for)
    reader.check()
    return Campaign(
        "c1", state, 1, "n", "device-update", "Ada", CREATED, rules, tasks=3, stop_reason=stop
    )


def planned(
    of: Campaign, totals: TaskTotals, now: datetime, hold: Hold | None = None
) -> CampaignPlan:
    found = plan(of, totals, of.openings, hold, now)
    assert found.until is None or now < found.until <= now + MAX_REST
    state = of.state
    for event in found.events:  # the moves exist, and lead to the state
        state = JobState(JOB.transition(state, event).after)
    assert state is found.state
    return found


def test_a_campaign_that_could_not_be_opened_is_tried_again_for_a_day() -> None:
    unopened = replace(campaign(), targets_file=TargetsFile("targets/t1/t2/a.csv", "v1", 9))

    again = planned(unopened, FRESH, CREATED, HOLD)
    given_up = planned(unopened, FRESH, CREATED + timedelta(days=1))
    expired = planned(unopened, FRESH, EXPIRES)
    stopped = replace(unopened, state=S.STOPPING, stop_reason=StopReason.CANCEL)

    assert (again.action, again.until) == (REST, CREATED + timedelta(minutes=1))
    assert again.reason.startswith("it is not opened yet")
    assert (given_up.action, given_up.events) == (END, ("give_up",))
    assert (expired.action, expired.stop) == (END, StopReason.EXPIRE)
    assert planned(stopped, FRESH, CREATED).state is S.CANCELLED
    assert planned(replace(unopened, chunk_size=25), FRESH, OPENS).action is EXECUTE


def test_a_campaign_that_is_cancelled_in_a_pass_ends_when_all_starts_are_counted() -> None:
    running = campaign(S.SCHEDULED).moved(JOB.move(S.SCHEDULED, "start", OPENS, Cause("x")))
    stop = JOB.move(S.RUNNING, "stop", OPENS + SLICE, Cause("x", "Ada", "wrong image"))
    stopped = running.moved(stop, stop_reason=StopReason.CANCEL)

    early = planned(stopped, FRESH, OPENS + SLICE)
    late = planned(stopped, FRESH, OPENS + SLICE + timedelta(seconds=5))
    rested = planned(replace(stopped, rests_until=CLOSES), FRESH, OPENS + SLICE)

    assert (early.action, early.until) == (REST, OPENS + SLICE + timedelta(seconds=5))
    assert (late.action, late.events) == (END, ("cancel",))
    assert rested.action is END


def test_tasks_that_are_replaced_end_although_nothing_may_start() -> None:
    replaced = replace(FRESH, replaced=1)

    closed = planned(campaign(), replaced, CREATED)
    held = planned(campaign(S.RUNNING), replaced, OPENS, HOLD)
    waiting = planned(campaign(S.RUNNING), replace(WAITING, replaced=1), OPENS)
    ended = planned(campaign(S.RUNNING), TaskTotals(succeeded=1, cancelled=2, replaced=2), OPENS)

    assert {(each.action, each.grant) for each in (closed, held, waiting)} == {(EXECUTE, 0)}
    assert (ended.action, ended.events) == (END, ("succeed_partially",))


REST, EXECUTE, END = PlannedAction.REST, PlannedAction.EXECUTE, PlannedAction.END
FRESH = TaskTotals(untouched=3)
WAITING = TaskTotals(waiting=3, next_at=OPENS + timedelta(minutes=5))
S = JobState


@pytest.mark.parametrize(
    ("state", "totals", "now", "expected"),
    [
        (S.SCHEDULED, FRESH, CREATED, CampaignPlan(REST, S.SCHEDULED, OPENS, 0, "its window")),
        (S.SCHEDULED, FRESH, OPENS,
         CampaignPlan(EXECUTE, S.RUNNING, OPENS + SLICE, 1000, "", ("start",))),
        (S.RUNNING, FRESH, CLOSES - SLICE / 2, CampaignPlan(EXECUTE, S.RUNNING, CLOSES, 1000)),
        (S.RUNNING, WAITING, OPENS,
         CampaignPlan(REST, S.RUNNING, OPENS + 5 * SLICE, 0, "its tasks wait for a retry")),
        (S.RUNNING, WAITING, OPENS + 5 * SLICE,
         CampaignPlan(EXECUTE, S.RUNNING, OPENS + 6 * SLICE, 1000)),
        (S.RUNNING, WAITING, CLOSES,
         CampaignPlan(REST, S.PAUSED, EXPIRES, 0, "no further window", ("pause",))),
        # While the last step runs, it is running.
        (S.RUNNING, TaskTotals(running=1, waiting=2, next_at=OPENS), CLOSES,
         CampaignPlan(REST, S.RUNNING, CLOSES + SLICE, 0, "no further window")),
        # Bound steps continue whatever the window says.
        (S.RUNNING, TaskTotals(bound=1, bound_at=CLOSES, untouched=2), CLOSES,
         CampaignPlan(EXECUTE, S.RUNNING, CLOSES + SLICE, 0, "no further window")),
        (S.RUNNING, TaskTotals(bound=1, bound_at=CLOSES + SLICE, untouched=2), CLOSES,
         CampaignPlan(REST, S.RUNNING, CLOSES + SLICE, 0, "no further window")),
        (S.PAUSED, TaskTotals(bound=1, bound_at=CLOSES, untouched=2), CLOSES,
         CampaignPlan(EXECUTE, S.RUNNING, CLOSES + SLICE, 0, "no further window", ("resume",))),
        (S.RUNNING, TaskTotals(bound=1, bound_at=OPENS), OPENS,
         CampaignPlan(EXECUTE, S.RUNNING, OPENS + SLICE)),
        (S.PAUSED, FRESH, OPENS,
         CampaignPlan(EXECUTE, S.RUNNING, OPENS + SLICE, 1000, "", ("resume",))),
        (S.HELD, FRESH, OPENS,
         CampaignPlan(EXECUTE, S.RUNNING, OPENS + SLICE, 1000, "", ("release", "start"))),
        (S.HELD, FRESH, CREATED, CampaignPlan(REST, S.SCHEDULED, OPENS, 0, "its", ("release",))),
        # Its end, by its tasks.
        (S.RUNNING, TaskTotals(succeeded=3), OPENS,
         CampaignPlan(END, S.SUCCEEDED, events=("succeed",))),
        (S.PAUSED, TaskTotals(succeeded=2, failed=1), CLOSES,
         CampaignPlan(END, S.PARTIALLY_SUCCEEDED, events=("succeed_partially",))),
        (S.RUNNING, TaskTotals(failed=2, cancelled=1), OPENS,
         CampaignPlan(END, S.FAILED, events=("fail",))),
        (S.SCHEDULED, TaskTotals(cancelled=3), CREATED,
         CampaignPlan(END, S.FAILED, events=("start", "fail"))),
        (S.HELD, TaskTotals(cancelled=3), CREATED,
         CampaignPlan(END, S.FAILED, events=("release", "start", "fail"))),
        # It expires.
        (S.PAUSED, TaskTotals(untouched=2, succeeded=1), EXPIRES,
         CampaignPlan(END, S.PARTIALLY_SUCCEEDED, None, 0, "", ("stop", "succeed_partially"),
                      StopReason.EXPIRE)),
        (S.SCHEDULED, FRESH, EXPIRES,
         CampaignPlan(END, S.FAILED, None, 0, "", ("stop", "fail"), StopReason.EXPIRE)),
        (S.RUNNING, TaskTotals(running=1), EXPIRES,
         CampaignPlan(EXECUTE, S.STOPPING, EXPIRES + SLICE, 0, "it is stopping", ("stop",),
                      StopReason.EXPIRE)),
        (S.PAUSED, WAITING, EXPIRES,
         CampaignPlan(EXECUTE, S.STOPPING, EXPIRES + SLICE, 0, "it is stopping", ("stop",),
                      StopReason.EXPIRE)),
        (S.SUCCEEDED, TaskTotals(succeeded=3), OPENS, CampaignPlan(END, S.SUCCEEDED)),
    ],
)  # fmt: skip
def test_a_campaign_does_next_what_its_state_and_tasks_call_for(
    state: JobState, totals: TaskTotals, now: datetime, expected: CampaignPlan
) -> None:
    found = planned(campaign(state), totals, now)

    assert found.reason.startswith(expected.reason)
    assert replace(found, reason=expected.reason) == expected


@pytest.mark.parametrize(
    ("state", "totals", "after", "events"),
    [
        (S.SCHEDULED, FRESH, S.HELD, ("hold",)),
        (S.HELD, FRESH, S.HELD, ()),
        (S.RUNNING, FRESH, S.PAUSED, ("pause",)),
        (S.RUNNING, TaskTotals(running=1), S.RUNNING, ()),
        (S.PAUSED, FRESH, S.PAUSED, ()),
    ],
)
def test_a_hold_lets_what_runs_end_and_starts_nothing(
    state: JobState, totals: TaskTotals, after: JobState, events: tuple[str, ...]
) -> None:
    found = planned(campaign(state), totals, OPENS, HOLD)

    assert (found.action, found.state, found.events) == (REST, after, events)
    assert found.reason == "campaign:c1 is held by Ada: the switch is being moved"
    assert found.until == (OPENS + SLICE if totals.running else EXPIRES)


def test_a_hold_that_ends_is_planned_for() -> None:
    hold = replace(HOLD, until=OPENS + SLICE)

    assert planned(campaign(S.PAUSED), FRESH, OPENS, hold).until == OPENS + SLICE


def test_a_held_campaign_expires() -> None:
    found = planned(campaign(S.HELD), FRESH, EXPIRES, HOLD)

    assert (found.state, found.events) == (S.FAILED, ("stop", "fail"))


@pytest.mark.parametrize(
    ("reason", "totals", "state"),
    [
        (StopReason.CANCEL, TaskTotals(succeeded=1, untouched=2), S.CANCELLED),
        (StopReason.CANCEL, TaskTotals(succeeded=3), S.CANCELLED),
        (StopReason.ABORT, TaskTotals(failed=3), S.CANCELLED),
        (StopReason.REPLACE, TaskTotals(succeeded=1, cancelled=2), S.REPLACED),
        (StopReason.EXPIRE, TaskTotals(succeeded=3), S.SUCCEEDED),
        (StopReason.EXPIRE, TaskTotals(succeeded=1, failed=2), S.PARTIALLY_SUCCEEDED),
        (StopReason.EXPIRE, FRESH, S.FAILED),
    ],
)
def test_a_campaign_that_stops_ends_by_its_reason(
    reason: StopReason, totals: TaskTotals, state: JobState
) -> None:
    stopping = campaign(S.STOPPING, reason)

    assert planned(stopping, totals, OPENS).state is state
    running = planned(stopping, replace(totals, running=1), OPENS)
    assert (running.action, running.state, running.grant) == (EXECUTE, S.STOPPING, 0)


def test_nothing_starts_with_less_time_left_than_a_task_needs() -> None:
    needy = campaign(S.RUNNING, needs=30)
    last = CLOSES - timedelta(minutes=30)

    assert planned(needy, FRESH, last).action is EXECUTE
    late = planned(needy, FRESH, last + timedelta(seconds=1))
    assert (late.action, late.state, late.until) == (REST, S.RUNNING, CLOSES)
    assert late.reason == "less than 30 minutes are left, which a task needs"


def test_a_grant_is_that_of_the_rollout_and_small_in_the_first_slice() -> None:
    careful = campaign(
        S.RUNNING,
        rollout={"per_minute": 50, "factor": 2.0, "every": 2},
        abort={"percent": 50, "at_least": 10},
    )
    later = TaskTotals(untouched=1, succeeded=2, outcomes=OutcomeCounts(started=2, ended=2))

    assert planned(careful, FRESH, OPENS).grant == 10
    assert planned(careful, later, OPENS + SLICE).grant == 100


BAD = TaskTotals(untouched=90, failed=5, succeeded=5, outcomes=OutcomeCounts(10, 10, 5))


@pytest.mark.parametrize("running", [0, 3])
def test_too_many_bad_tasks_put_the_campaign_on_hold(running: int) -> None:
    aborting = campaign(S.RUNNING, abort={"percent": 50})

    found = planned(aborting, replace(BAD, running=running), OPENS)

    assert found.places_hold
    assert found.reason == "5 of 10 tasks failed; the limit is 50 %"
    assert found.action is REST
    assert found.state is (S.RUNNING if running else S.PAUSED)
    # Another Settle that saw the same, after the hold was placed, places none.
    assert not planned(aborting, replace(BAD, running=running), OPENS, HOLD).places_hold


def test_after_a_release_it_counts_again() -> None:
    released = replace(BAD, outcomes=OutcomeCounts())

    found = planned(campaign(S.PAUSED, abort={"percent": 50}), released, OPENS)

    assert (found.action, found.events, found.grant) == (EXECUTE, ("resume",), 10)


def test_too_many_bad_tasks_cancel_the_campaign_if_it_says_so() -> None:
    """edgehog#342: what runs is counted before the end."""
    aborting = campaign(S.RUNNING, abort={"percent": 50, "then": "cancel"})

    found = planned(aborting, replace(BAD, running=3), OPENS)

    assert (found.action, found.state, found.events) == (EXECUTE, S.STOPPING, ("stop",))
    assert found.stop is StopReason.ABORT
    assert planned(aborting, BAD, OPENS).state is S.CANCELLED


def test_a_long_rest_ends_after_30_days() -> None:
    long = campaign(S.SCHEDULED, **{"from": "2027-06-01", "to": "2027-07-01"})

    assert planned(long, FRESH, CREATED).until == CREATED + MAX_REST


def test_a_campaign_at_once_ignores_windows_and_runs_for_30_minutes() -> None:
    at_once = campaign(**{name: None for name in NIGHTS} | {"kind": "fire_and_forget"})

    assert planned(at_once, FRESH, CREATED).events == ("start",)
    expired = planned(replace(at_once, state=S.RUNNING), FRESH, CREATED + timedelta(minutes=30))
    assert expired.events == ("stop", "fail")


def test_a_stack_that_was_down_over_a_window_starts_nothing_before_the_next() -> None:
    """awx#5014"""
    weeks = campaign(S.SCHEDULED, to="2026-12-06")

    late = planned(weeks, FRESH, CLOSES + timedelta(hours=2))

    assert (late.action, late.state) == (REST, S.SCHEDULED)
    assert late.until == OPENS + timedelta(days=7)
