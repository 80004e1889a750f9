"""How a job's record changes by the result of its step."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import (
    NO_FAILURES,
    JobAddress,
    JobRecord,
    JobState,
    apply_event,
    new_job,
)
from jobyard.domain.jobs.job_type import (
    Continue,
    Done,
    Fail,
    JobType,
    Snooze,
    StepInput,
    StepResult,
)
from jobyard.domain.lifecycle import Cause
from jobyard.services.jobs import attempt
from jobyard.services.jobs.attempt import (
    MAX_SNOOZES,
    AttemptInput,
    Progress,
    after_attempt,
    after_start,
    failed_as_orphaned,
    run_steps,
    show_running,
    unexpected_failure,
)
from jobyard.services.jobs.write_group import WriteGroup
from jobyard.store import job_format

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ADDRESS = JobAddress("s1", 0, 0)
RUNNING = replace(new_job(ADDRESS, NOON), state=JobState.RUNNING, start_count=1)


def after_one(record: JobRecord, outcome: StepResult, at: datetime = NOON) -> JobRecord:
    """The record after an attempt whose only step returns `outcome`."""
    job_type = JobType(
        "count", "Count", (("counting", lambda _step_input, _context: outcome),), object
    )
    step_input = StepInput("", ADDRESS.job_id, "", {}, {}, record.data, attempt=record.start_count)
    attempted = run_steps(
        AttemptInput(job_type, step_input, None), Progress(record), lambda: at, WriteGroup()
    )
    assert attempted is not None
    return after_attempt(attempted, job_type, at, "c")


def test_the_progress_of_a_step_is_written_each_ten_seconds_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A step reports it each second for a minute, and then stays where it is."""
    written: list[JobRecord] = []

    def write_many(changes: Sequence[tuple[JobRecord, JobRecord]]) -> list[JobRecord]:
        written.extend(after for _, after in changes)
        return [after for _, after in changes]

    monkeypatch.setattr(attempt.jobs, "write_many", write_many)
    progress = Progress(RUNNING)
    progress.begin("upload", NOON)
    for second in range(600):
        progress.report(min(1.5 * second, 90.9))
        show_running([progress], NOON + timedelta(seconds=second))

    percents = [record.steps[-1].percent for record in written]
    assert percents == [3, 18, 33, 48, 63, 78, 90]
    record = written[-1]
    assert (
        job_format.decode(ADDRESS, "running", record.version, job_format.encode(record)) == record
    )


def test_a_step_that_continues_later_keeps_its_progress() -> None:
    progress = Progress(RUNNING)

    def upload(_step_input: StepInput, _context: object) -> StepResult:
        progress.report(142)
        return Continue(0, "the rest follows")

    job_type = JobType("update", "Update", (("upload", upload),), object)
    step_input = StepInput("", ADDRESS.job_id, "", {}, {}, {}, attempt=1)
    attempted = run_steps(
        AttemptInput(job_type, step_input, None), progress, lambda: NOON, WriteGroup()
    )

    assert attempted is not None
    after = after_attempt(attempted, job_type, NOON, "c")
    assert (after.steps[-1].status, after.steps[-1].percent) == ("pending", 100)


def test_a_job_that_makes_progress_continues_however_often_it_waited() -> None:
    progress = Continue(0, "went through 99 records")
    waiting = Snooze(15, "another job has it")
    record = RUNNING

    for outcome in [
        *[waiting] * MAX_SNOOZES,
        *[progress] * (2 * MAX_SNOOZES),
        *[waiting] * MAX_SNOOZES,
    ]:
        after = after_one(record, outcome)
        assert after.attempts[-1].failure_code in NO_FAILURES
        assert (after.state, after.start_count) == (JobState.SCHEDULED, 0)
        record = replace(after, state=JobState.RUNNING, start_count=1)

    assert after_one(record, waiting).attempts[-1].failure_code == Failure.TIMEOUT


@pytest.mark.parametrize("wait_s", [0.0, 1.0, 5.0, 300.0, 3_600.0, 50_000.0, 10.0**9])
def test_a_job_waits_as_long_as_the_server_wants_but_at_most_a_day(wait_s: float) -> None:
    snooze = Snooze(wait_s, "the server answered GET with 202", exhausted_code=Failure.PAYLOAD_BUSY)
    record, at = RUNNING, NOON

    while (after := after_one(record, snooze, at)).state is JobState.SCHEDULED:
        assert after.next_at is not None
        waited = after.next_at - at
        assert waited >= min(timedelta(seconds=wait_s), NOON + DAY - at)
        assert (after.start_count, after.attempts[-1].failure_message) == (0, snooze.message)
        at = after.next_at
        record = replace(after, state=JobState.RUNNING, start_count=1, at=at)

    assert (after.state, after.failure_code) == (JobState.FAILED, "PAYLOAD_BUSY")
    assert "over 24 hours" in after.failure_message
    assert at == NOON + DAY
    assert record.snooze_count <= MAX_SNOOZES


def test_the_first_wait_is_the_one_that_was_asked_for() -> None:
    snooze = Snooze(5, "202", exhausted_code=Failure.PAYLOAD_BUSY)

    assert after_one(RUNNING, snooze).next_at == NOON + timedelta(seconds=5)


def test_what_a_step_found_is_kept_although_it_failed() -> None:
    counts = {"records": {"processed": 4, "failed": 1, "total": 5}}
    before = replace(RUNNING, data={"earlier": 1})

    after = after_one(before, Fail(Failure.STEP_ERROR, "1 of 5 failed", result=counts))

    assert after.state is JobState.FAILED
    assert after.data == {"earlier": 1, **counts}


def test_what_a_step_raised_is_not_shown() -> None:
    failure = unexpected_failure(Progress(RUNNING, "counting", NOON), NOON)
    job_type = JobType("count", "Count", (), object)

    after = after_attempt(failure, job_type, NOON, "c")

    message = "step counting failed; the cause is logged under the job's id"
    assert (after.failure_code, after.failure_message) == (Failure.STEP_ERROR, message)
    assert after.attempts[-1].failure_message == after.failure_message


def started(request_id: str, record: JobRecord | None = None) -> JobRecord:
    """A record after its start by an invocation."""
    return after_start(record or new_job(ADDRESS, NOON), NOON, "c", request_id)


@pytest.mark.parametrize(
    "outcome", [Done(), Fail(Failure.TIMEOUT, "slow"), Snooze(5, "later"), Continue(5, "a part")]
)
def test_an_attempt_keeps_the_request_id_of_its_invocation(outcome: StepResult) -> None:
    after = after_one(started("request-1"), outcome)

    assert after.attempts[-1].request_id == "request-1"
    assert after.request_id == ""


def test_a_running_job_has_the_request_id_of_its_attempt() -> None:
    (_, first), (number, running) = started(
        "request-2", after_one(started("request-1"), Snooze(5, "later"))
    ).numbered_attempts

    assert (number, running.request_id, running.ended_at) == (2, "request-2", None)
    assert first.request_id == "request-1"


def test_the_log_of_a_lost_worker_can_be_found() -> None:
    restarted = started("request-2", started("request-1"))
    failed = failed_as_orphaned(restarted, NOON, "c")

    assert restarted.history[-1].reason == "the worker with request id request-1 was lost"
    assert failed.attempts[-1].request_id == "request-2"


def test_a_job_that_a_person_stopped_runs_no_more() -> None:
    cancelled = apply_event(started("request-1"), "cancel", NOON, Cause("r1", "operator", "why"))

    assert (cancelled.request_id, cancelled.numbered_attempts) == ("", ())
