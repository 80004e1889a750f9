"""Occurrences: the outcome of their jobs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from jobyard.domain.history import HistoryEntry
from jobyard.domain.jobs.checkpoint import Checkpoint
from jobyard.domain.jobs.job import Attempt, JobRecord, JobState
from jobyard.domain.schedules.occurrence import Occurrence, RunOutcome, Trigger, Verdict
from jobyard.domain.schedules.schedule import job_address

SCHEDULE_ID = "saaaaaaaaaaaaaaaaaaaa"
START = datetime(2026, 10, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def stopped(event: str, state: str, actor: str, reason: str) -> JobRecord:
    """A job that was stopped after its start."""
    history = (
        HistoryEntry("start", "scheduled", "running", START, "machine", "c"),
        HistoryEntry(event, "running", state, START + MINUTE, actor, "c", reason),
    )
    address = job_address(SCHEDULE_ID, START)
    return JobRecord(address, JobState(state), 3, "c", START + MINUTE, history=history)


def job_of_an_earlier_go() -> JobRecord:
    """A job with the result of an earlier start."""
    counts = {"processed": 5, "failed": 3, "total": 8}
    return replace(stopped("cancel", "cancelled", "admin", "moves"), data={"records": counts})


def test_a_stopped_job_has_the_actor_the_reason_and_its_progress() -> None:
    came = Checkpoint("a job").advanced(7, [("key", "busy")], {"page": 2})

    cancelled = RunOutcome.of(stopped("cancel", "cancelled", "admin", "the table moves"), came)
    replaced = RunOutcome.of(stopped("replace", "replaced", "machine", "replaced by s.0.1"))

    assert (
        RunOutcome.of(replace(job_of_an_earlier_go(), state=JobState.CANCELLED), came).total is None
    )
    assert cancelled.failure_message == "cancelled by admin: the table moves"
    assert (cancelled.processed, cancelled.failed, cancelled.total) == (7, 1, None)
    assert replaced.failure_message == "replaced by s.0.1"
    assert (replaced.processed, replaced.failed, replaced.total) == (None, None, None)


def test_an_outcome_has_each_code_once_and_the_last_start_s_duration() -> None:
    job = JobRecord(
        job_address(SCHEDULE_ID, START),
        JobState.FAILED,
        5,
        "",
        START + 9 * MINUTE,
        failure_code="TIMEOUT",
        attempts=(
            Attempt(START + MINUTE, START + 2 * MINUTE, "x", "PAYLOAD_BUSY"),
            Attempt(START + 3 * MINUTE, START + 4 * MINUTE, "x", "WAIT"),
            Attempt(START + 5 * MINUTE, START + 6 * MINUTE, "x", "PAYLOAD_BUSY"),
            Attempt(START + 7 * MINUTE, START + 9 * MINUTE, "x", "TIMEOUT"),
        ),
        data={"records": {"processed": 3, "failed": 1, "total": 4}},
        history=(
            HistoryEntry("start", "scheduled", "running", START + MINUTE, "machine", "c"),
            HistoryEntry("fail", "running", "failed", START + 4 * MINUTE, "machine", "c"),
            HistoryEntry("requeue", "failed", "scheduled", START + 5 * MINUTE, "admin", "c"),
            HistoryEntry("start", "scheduled", "running", START + 7 * MINUTE, "machine", "c"),
        ),
    )

    outcome = RunOutcome.of(job)

    assert outcome.failure_codes == ("PAYLOAD_BUSY", "TIMEOUT")
    assert (outcome.started_at, outcome.resumed_at) == (START + MINUTE, START + 7 * MINUTE)
    run = Occurrence(SCHEDULE_ID, START, 1, Trigger.SCHEDULE, Verdict.RUN, START)
    assert run.with_outcome(outcome).duration == 2 * MINUTE
    assert (outcome.processed, outcome.failed, outcome.total) == (3, 1, 4)
