"""What a task waits for: by its campaign, a hold, its own next attempt and the time."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.campaigns.task_wait import NO_WAIT, Wait, rest_of, wait_of
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

MINUTE = timedelta(minutes=1)
OPEN = campaign(JobState.RUNNING)
RESTING = replace(OPEN, rests_until=OPENS + MINUTE, rest_reason="all slots are taken")
HOLD = Hold("campaign:c1", "Ada", "the switch is being moved", CREATED, OPENS)
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
        (RESTING, replace(HOLD, until=None), OPENS, (HOLD.description(), None)),
        (OPEN, None, CLOSES, ("no further window opens before it expires", EXPIRES)),
        (OPEN, HOLD, EXPIRES, ("its campaign is ending", None)),
        (campaign(JobState.STOPPING), HOLD, OPENS, ("its campaign is ending", None)),
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
