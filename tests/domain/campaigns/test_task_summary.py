"""What a campaign knows of its tasks."""

from datetime import timedelta

import pytest

from jobyard.domain.campaigns.task_summary import offline_in_a_row
from jobyard.domain.jobs.job import JOB, PART, Attempt, JobAddress, JobRecord, new_job
from jobyard.domain.lifecycle import Cause
from tests.domain.campaigns.schedules import instant

NOON = instant("2026-11-25T12:00")


def tried(*codes: str) -> JobRecord:
    """A task whose attempts ended with these codes, each an hour after the other."""
    task = new_job(JobAddress("c" + "a" * 20, 0, 0), NOON)
    for number, code in enumerate(codes):
        at = NOON + timedelta(hours=number)
        cause = Cause(f"main/{number}")
        task = task.moved(JOB.move(task.state, "start", at, cause))
        attempts = (*task.attempts, Attempt(at, at, "reach", code))
        task = task.moved(JOB.move(task.state, "reschedule", at, cause), attempts=attempts)
    return task


@pytest.mark.parametrize(
    ("codes", "number"),
    [
        ((), 0),
        (("DEVICE_OFFLINE",) * 40, 40),
        (("DEVICE_OFFLINE", PART) * 40, 40),
        (("DEVICE_OFFLINE", "VERIFY_FAILED"), 0),
        (("VERIFY_FAILED", *("DEVICE_OFFLINE", PART) * 2), 2),
        ((*("VERIFY_FAILED", PART) * 30, "DEVICE_OFFLINE"), 1),
    ],
)
def test_failures_of_an_offline_device_are_counted_in_a_record_that_was_made_shorter(
    codes: tuple[str, ...], number: int
) -> None:
    task = tried(*codes)

    assert len(task.attempts) <= 30
    assert offline_in_a_row(task) == number
