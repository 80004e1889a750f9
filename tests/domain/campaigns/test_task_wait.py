"""What a task waits for: by its campaign, a hold, its own next attempt and the time."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.campaigns.task_wait import NO_WAIT, Wait, rest_of, wait_of, waits_for_turn
from jobyard.domain.hold import Hold
from jobyard.domain.jobs.job import (
    PART,
    Attempt,
    JobAddress,
    JobRecord,
    JobState,
    StepRecord,
    StepStatus,
    new_job,
)
from tests.domain.campaigns.test_planning import CLOSES, CREATED, EXPIRES, OPENS, campaign

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
OPEN = campaign(JobState.RUNNING)
RESTING = replace(OPEN, rests_until=OPENS + MINUTE, rest_reason="all slots are taken")
HOLD = Hold("campaign:c1", "Ada", "the switch is being moved", CREATED, OPENS)
LATE = campaign(JobState.RUNNING, needs=5, window={"from": "22:00", "to": "02:00"})
AFTER_HOLD = replace(RESTING, rest_reason=HOLD.description())
ENDING = ("its campaign is ending, and ends it too", None)
FOR_A_WINDOW = ("its window is closed", OPENS)
RETRY = ("retry after DEVICE_OFFLINE", OPENS + MINUTE)


@pytest.mark.parametrize(
    ("of", "hold", "now", "rest"),
    [
        (OPEN, None, OPENS, NO_WAIT),
        (RESTING, None, OPENS, ("all slots are taken", OPENS + MINUTE)),
        (RESTING, None, OPENS + MINUTE, NO_WAIT),  # it decides again
        (RESTING, None, CREATED, FOR_A_WINDOW),  # whatever it decides before
        (RESTING, HOLD, CREATED, (HOLD.description(), OPENS)),
        (
            RESTING,
            replace(HOLD, until=None),
            OPENS,
            (f"{HOLD.description()}, until a person releases it", None),
        ),
        (AFTER_HOLD, None, OPENS, ("its hold has ended: it continues shortly", None)),
        (
            replace(OPEN, check_at=CREATED),
            None,
            OPENS,
            (f"no execution has settled it since {CREATED:%Y-%m-%d %H:%M} UTC", None),
        ),
        (LATE, None, CLOSES - MINUTE, (LATE.rules.schedule.too_late_text, OPENS + DAY)),
        (OPEN, None, CLOSES, ("no further window opens before it expires", EXPIRES)),
        (OPEN, HOLD, EXPIRES, ENDING),
        (campaign(JobState.STOPPING), HOLD, OPENS, ENDING),
    ],
)
def test_a_campaign_rests_for_a_hold_or_until_its_window_opens(
    of: Campaign, hold: Hold | None, now: datetime, rest: Wait
) -> None:
    assert rest_of(of, hold, now) == rest


def task(code: str, next_at: datetime | None, *steps: str) -> JobRecord:
    """A task whose last attempt ended with a code, and that has done some steps."""
    done = [StepRecord(each, StepStatus.COMPLETED, CREATED, CREATED) for each in steps]
    message = "the device restarts" if code == PART else "timed out"
    return replace(
        new_job(JobAddress("c1", 0, 0), CREATED),
        next_at=next_at,
        failure_code="" if code == PART else code,
        attempts=(Attempt(CREATED, CREATED, "verify", code, message),),
        steps=tuple(done),
    )


OFFLINE = task("DEVICE_OFFLINE", OPENS + MINUTE)
PARTLY = task(PART, OPENS + MINUTE, "reach")
BOUND = task(PART, OPENS + MINUTE, "reach", "apply")
CONTINUES = ("the device restarts", OPENS + MINUTE)


@pytest.mark.parametrize(
    ("waiting", "rest", "wait"),
    [
        (OFFLINE, NO_WAIT, RETRY),
        (OFFLINE, ("held", None), ("held", None)),
        (OFFLINE, ("held", OPENS + 2 * MINUTE), ("held", OPENS + 2 * MINUTE)),
        (OFFLINE, ("held", OPENS), RETRY),  # its retry is later
        (replace(OFFLINE, next_at=OPENS), NO_WAIT, NO_WAIT),  # due: never a time that is past
        (replace(OFFLINE, next_at=None), ("held", OPENS), ("held", OPENS)),
        (PARTLY, NO_WAIT, CONTINUES),
        (PARTLY, ("held", None), ("held", None)),
        (BOUND, ("held", None), CONTINUES),  # bound steps end together
    ],
)
def test_a_task_waits_for_its_campaign_or_for_its_own_next_attempt(
    waiting: JobRecord, rest: Wait, wait: Wait
) -> None:
    assert wait_of(waiting, rest, {"apply", "verify"}, OPENS) == wait


def test_a_task_waits_for_those_before_it_and_a_retry_for_all() -> None:
    of = replace(
        campaign(JobState.RUNNING, rollout={"per_minute": 10}),
        tasks=400,
        chunk_size=100,
        counts={"running": 4, "succeeded": 16},
    )
    first, second, third = (new_job(JobAddress("c1", number, 50), CREATED) for number in range(3))
    retry, unreached = replace(OFFLINE, next_at=OPENS), new_job(JobAddress("c1", 3, 99), CREATED)
    tasks = {"1": first, "2": second, "3": third, "retry": retry, "last": unreached}

    found = waits_for_turn(of, tasks, 2, OPENS)

    # Two workers run the first two chunks side by side; 20 tasks have started.
    minutes = {name: (until - OPENS) // MINUTE for name, (_, until) in found.items() if until}
    assert minutes == {"1": 9, "2": 9, "3": 29, "retry": 39, "last": 38}
    assert {reason for reason, _ in found.values()} == {"waits for its turn, by the forecast"}
    too_late = waits_for_turn(of, {"last": unreached}, 2, of.openings.all[-1].end - 2 * MINUTE)
    assert too_late == {
        "last": ("by the forecast, its turn does not come before its campaign expires", EXPIRES)
    }
