"""What becomes of a job's record by what its step answers."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from jobyard.domain.failures import Failure
from jobyard.domain.job import JobRecord, JobState, Place, unrecorded
from jobyard.domain.jobtype import JobType, Outcome, Stop, Wait, Work
from jobyard.services.performing import NO_FAILURES, WAITS, Progress, ended, perform

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PLACE = Place("s1", 0, 0)
RUNNING = replace(unrecorded(PLACE, NOON), state=JobState.RUNNING, tries=1)


def after_one(record: JobRecord, outcome: Outcome) -> JobRecord:
    """The record after an attempt whose only step answers `outcome`."""
    job_type = JobType("count", "Count", (("counting", lambda _work, _touch: outcome),))
    work = Work("", PLACE.job_id, "", {}, {}, record.data, attempt=record.tries)
    touch: Any = None
    attempted = perform(job_type, Progress(record), work, touch, lambda: NOON)
    assert attempted is not None
    return ended(attempted, job_type, NOON, "c")


def test_a_job_that_did_a_part_each_time_goes_on_however_often_it_waited() -> None:
    going_on = Wait(0, "went through 99 records", progressed=True)
    waiting = Wait(15, "another job has it")
    record = RUNNING

    for outcome in [*[waiting] * WAITS, *[going_on] * (2 * WAITS), *[waiting] * WAITS]:
        after = after_one(record, outcome)
        assert after.attempts[-1].code in NO_FAILURES
        assert (after.state, after.tries) == (JobState.SCHEDULED, 0)
        record = replace(after, state=JobState.RUNNING, tries=1)

    assert after_one(record, waiting).attempts[-1].code == Failure.TIMEOUT


def test_what_a_step_found_is_kept_although_it_failed() -> None:
    counts = {"records": {"processed": 4, "failed": 1, "total": 5}}
    before = replace(RUNNING, data={"earlier": 1})

    after = after_one(before, Stop(Failure.STEP_ERROR, "1 of 5 failed", result=counts))

    assert after.state is JobState.FAILED
    assert after.data == {"earlier": 1, **counts}
