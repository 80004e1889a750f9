"""A record has a bounded size whatever is done to it, and can always take another transition."""

import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jobyard.domain.batches.batch import BATCH, Batch, BatchState
from jobyard.domain.compaction import KEPT_FIRST, KEPT_LAST, MAX_JOB_BYTES, MAX_RECORD_BYTES
from jobyard.domain.history import HistoryEntry
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import (
    JOB,
    SUMMARY_CODE,
    Attempt,
    JobAddress,
    JobRecord,
    JobState,
    StepRecord,
    StepStatus,
    apply_event,
    new_job,
)
from jobyard.domain.jobs.job_type import Continue, Fail, JobType, RetryPolicy, Snooze
from jobyard.domain.lifecycle import MACHINE, Cause
from jobyard.domain.schedules.occurrence import RunOutcome
from jobyard.domain.text import NAME_BYTES, REASON_BYTES, clean
from jobyard.services.jobs.attempt import (
    MAX_SNOOZES,
    AttemptResult,
    Progress,
    after_attempt,
    after_start,
    failed_as_orphaned,
    unexpected_failure,
)
from jobyard.store import batches, job_format, jobs
from tests.store.sizes import batch_bytes, job_bytes

pytestmark = [pytest.mark.emulator, pytest.mark.usefixtures("aws_semantics")]
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TYPE = JobType(
    "count",
    "Count",
    (("counting", lambda _step_input, _context: Fail(Failure.TIMEOUT, "")),),
    object,
)
# The widest letters: of four bytes, escaped by JSON, and replaced when cleaned.
WIDE = ("\U0001f5c3", '"', "\\", "\x1b", "\ud800", "\u202e", "ä", "\r\n")
REQUEST_ID = "8f5a6a2e-0000-4000-8000-000000000000"  # as long as those of AWS
_numbers = iter(range(10**6))


def address() -> JobAddress:
    """An address that no other job has."""
    return JobAddress(f"bsmall{next(_numbers):015d}", 9999, 99)


def long_text(letter: str) -> str:
    """The longest text of a person or a server."""
    return letter * 10_000


def failed(job: JobRecord, letter: str, at: datetime) -> JobRecord:
    """The job after its only step failed for good."""
    progress = Progress(job, "counting", at)
    failure = replace(
        unexpected_failure(progress, at), outcome=Fail(Failure.STEP_ERROR, long_text(letter))
    )
    return after_attempt(failure, TYPE, at, job.cause)


@pytest.mark.parametrize("letter", WIDE, ids=ascii)
def test_a_job_requeued_for_ever_stays_small_and_can_be_moved_at_every_event(
    letter: str, everything: bool, turn: int
) -> None:
    """More than a hundred moves, and three times as many with one letter each day."""
    person = long_text(letter)
    job, at = new_job(address(), NOON), NOON
    is_its_day = WIDE.index(letter) == turn % len(WIDE)
    for number in range(150 if everything or is_its_day else 50):
        at += timedelta(hours=1)
        before = job
        if job.state is JobState.FAILED:
            job = apply_event(job, "requeue", at, Cause(f"r{number:012d}", person, person))
        elif number % 7 == 1:
            job = apply_event(job, "hold", at, Cause(f"r{number:012d}", person, person))
            jobs.write_many([(before if before.version else None, job)])
            before, job = (
                job,
                apply_event(job, "release", at, Cause(f"r1{number:011d}", person, person)),
            )
        else:
            job = after_start(job, at, f"r{number:012d}.p1.c9999.t{job.start_count}", REQUEST_ID)
            jobs.write_many([(before if before.version else None, job)])
            before, job = job, failed(replace(job, start_count=9), letter, at)
        assert jobs.write_many([(before if before.version else None, job)]) == [job]
        assert job_bytes(job.address.origin_id, 9999, 99) <= MAX_JOB_BYTES
    assert jobs.find(job.address) == job


@pytest.mark.parametrize("letter", WIDE, ids=ascii)
def test_with_a_hundred_steps_of_data_and_messages_it_still_ends(letter: str) -> None:
    """Each part as large as it can be."""
    at = NOON
    words = long_text(letter)
    job = replace(
        new_job(address(), NOON),
        steps=tuple(
            StepRecord(f"step-{number}", StepStatus.COMPLETED, at, at, words) for number in range(8)
        ),
        data={"sha256": "a" * 64, "much": letter.strip("\ud800") * 200},
    )
    for number in range(60):
        before = job
        if number % 2 == 0:
            job = after_start(job, at, f"r{number:012d}.p1.c9999.t1", REQUEST_ID)
        if number % 2:
            job = after_attempt(AttemptResult(job, Continue(1.0, words), "s"), TYPE, at, job.cause)
        assert jobs.write_many([(before if before.version else None, job)]) == [job]
    running = after_start(job, at, "main.p1.c9999.t1", REQUEST_ID)
    over = failed_as_orphaned(running, at, "main.p2.c9999.t1.lost")
    assert jobs.write_many([(job, running)]) == [running]
    assert jobs.write_many([(running, over)]) == [over]
    assert job_bytes(job.address.origin_id, 9999, 99) <= MAX_JOB_BYTES


def requeued(times: int, reason: str = "again") -> JobRecord:
    """A job after so many requeues and failures."""
    job, at = new_job(address(), NOON), NOON
    for number in range(times):
        at += timedelta(hours=1)
        job = after_start(job, at, f"main.p{number}.c0.t1")
        job = failed(replace(job, start_count=9), "x", at)
        job = apply_event(
            job, "requeue", at, Cause(f"r{number:012d}", "operator", f"{reason} {number}")
        )
    return job


def test_the_first_and_the_last_are_kept_and_those_between_are_counted() -> None:
    job = requeued(40)
    events = [entry.event for entry in job.history]
    between = [entry for entry in job.history if entry.counts]

    assert events[:KEPT_FIRST] == ["start", "fail", "requeue"]
    assert len([each for each in events[-KEPT_LAST:] if each != "more"]) == KEPT_LAST
    assert sum(sum(entry.counts.values()) for entry in between) == 120 - (
        len(job.history) - len(between)
    )
    (gap,) = between
    assert gap.reason == "97 more moves: fail 32, requeue 32, start 33"
    assert (gap.before, gap.actor) == ("scheduled", MACHINE)
    assert [entry.before for entry in job.history[1:]] == [
        entry.after for entry in job.history[:-1]
    ]


def test_attempts_that_are_alike_are_folded_but_for_the_last_three() -> None:
    job = requeued(40)
    folded, *apart = job.attempts

    assert job.attempt_count == 40
    assert (folded.times, folded.failure_code, folded.step) == (37, "STEP_ERROR", "counting")
    assert folded.started_at == NOON + timedelta(hours=1)
    assert folded.ended_at == NOON + timedelta(hours=37)
    assert [each.times for each in apart] == [1, 1, 1]
    assert [number for number, _ in job.numbered_attempts] == [1, 38, 39, 40]


def test_attempts_that_differ_are_counted_by_their_code_and_none_is_lost() -> None:
    attempts = tuple(
        Attempt(NOON, NOON, step, "TIMEOUT") for _ in range(20) for step in ("reach", "upload")
    )
    job = replace(requeued(5), attempts=attempts).compacted()
    (gap,) = [each for each in job.attempts if each.counts]

    assert job.attempt_count == 40
    assert (gap.failure_code, gap.failure_message) == (SUMMARY_CODE, "17 more attempts: TIMEOUT 17")
    assert len(job.attempts) == KEPT_FIRST + 1 + KEPT_LAST


@pytest.mark.turns(3)
@pytest.mark.parametrize("letter", WIDE, ids=ascii)
def test_a_task_that_is_retried_for_days_stays_small(letter: str) -> None:
    """Each five minutes, with the longest messages, and longer with short ones. The results of the
    device are as long as allowed.
    """
    words = clean(long_text(letter))
    times = 600 if letter == "ä" else 60
    words = words[:20] if letter == "ä" else words
    device = JobType("d", "D", (), object, retry=RetryPolicy(10**9, 300.0, 1.0))
    steps = ("reach", "compare", "upload", "apply", "verify")
    job, at = new_job(address(), NOON), NOON
    job = replace(job, data={"model": "m" * 200, "version_before": "v" * 200, "serial": "s" * 200})
    failures = itertools.cycle(
        [*["DEVICE_OFFLINE"] * 20, "DEVICE_BUSY", "DEVICE_OFFLINE", "DEVICE_ERROR"]
    )
    largest = 0
    for number in range(times):
        at += timedelta(minutes=5)
        job = after_start(job, at, f"main.p{number}.c9999.t{number}", REQUEST_ID)
        for step in steps[: number % 6]:
            job = job.with_step(StepRecord(step, StepStatus.COMPLETED, at, at, words))
        outcome = Fail(Failure(next(failures)), words, retryable=True)
        attempted = AttemptResult(job, outcome, steps[number // 50 % 2])
        job = after_attempt(attempted, device, at, job.cause)
        largest = max(largest, len(job_format.encode(job).encode()))
    assert jobs.write_many([(None, job)]) == [job]

    assert largest <= MAX_JOB_BYTES
    assert job_bytes(job.address.origin_id, 9999, 99) <= MAX_JOB_BYTES
    assert job.attempt_count == times


def test_a_task_with_short_messages_keeps_its_last_twenty_moves() -> None:
    device = JobType("d", "D", (), object, retry=RetryPolicy(10**9, 300.0, 1.0))
    job, at = new_job(address(), NOON), NOON
    for number in range(456):
        at += timedelta(minutes=5)
        job = after_start(job, at, f"main.p{number}.c0.t{number}", REQUEST_ID)
        outcome = Fail(Failure.DEVICE_OFFLINE, "gw-1.example.org: no answer", retryable=True)
        job = after_attempt(AttemptResult(job, outcome, "reach"), device, at, job.cause)
    jobs.write_many([(None, job)])

    assert len([each for each in job.history if not each.counts]) == KEPT_FIRST + KEPT_LAST
    assert [each.times for each in job.attempts] == [453, 1, 1, 1]
    assert job_bytes(job.address.origin_id, 9999, 99) <= MAX_JOB_BYTES


def test_what_is_left_out_reads_back_as_it_was_written() -> None:
    job = requeued(40, "why \U0001f5c3")

    jobs.write_many([(None, job)])

    assert jobs.find(job.address) == job


def test_a_request_and_starts_are_recognized_after_a_hundred_moves() -> None:
    job = replace(requeued(30), start_count=0)
    requeue = job.history[-1]
    first = job.history[0].at
    at = resumed = job.at + timedelta(days=1)
    for _ in range(100):
        job = after_start(job, at, "r000000000029.p1.c0.t1")
        outcome = Continue(1.0, "did a part")
        job = after_attempt(AttemptResult(job, outcome, "counting"), TYPE, at, job.cause)
        at += timedelta(minutes=1)

    assert any(entry.cause == requeue.cause and entry.event == "requeue" for entry in job.history)
    outcome_of_it = RunOutcome.of(job)
    assert (outcome_of_it.started_at, outcome_of_it.resumed_at) == (first, resumed)
    assert outcome_of_it.failure_codes == (Failure.STEP_ERROR.value,)


def test_waiting_counts_as_a_failed_attempt_however_many_there_were_before() -> None:
    job, at = requeued(40), NOON
    for _ in range(MAX_SNOOZES + 1):
        job = after_start(job, at, "main.p1.c0.t1")
        job = after_attempt(
            AttemptResult(job, Snooze(1.0, "not yet"), "counting"), TYPE, at, job.cause
        )

    assert job.attempts[-1].failure_code == Failure.TIMEOUT


def test_a_record_that_is_too_large_is_read_and_shrinks_with_its_next_move() -> None:
    """As one that was written before there was a bound."""
    long = tuple(
        HistoryEntry("requeue", "failed", "scheduled", NOON, "operator", f"r{n}", "x" * 500)
        for n in range(400)
    )
    many = tuple(Attempt(NOON, NOON, "counting", "TIMEOUT", "slow " * 90) for _ in range(100))
    swollen = replace(
        new_job(address(), NOON), state=JobState.FAILED, version=400, history=long, attempts=many
    )
    jobs.write_many([(None, swollen)])
    assert job_bytes(swollen.address.origin_id, 9999, 99) > 200_000

    found = jobs.find(swollen.address)
    assert found == swollen
    deleted = apply_event(found, "delete", NOON, Cause("r1", "admin", "y" * 500))
    jobs.write_many([(found, deleted)])

    assert job_bytes(swollen.address.origin_id, 9999, 99) <= MAX_JOB_BYTES
    assert deleted.history[-1].reason == "y" * REASON_BYTES
    assert deleted.attempt_count == 100


MOVES: dict[JobState, tuple[str, ...]] = {}
for _transition in JOB.transitions:
    _before = JobState(_transition.before)
    MOVES[_before] = (*MOVES.get(_before, ()), _transition.event)


@pytest.mark.turns(4)
@pytest.mark.parametrize("seed", range(8))
def test_whatever_moves_are_made_in_any_order_the_next_one_fits(seed: int) -> None:
    """Any event the lifecycle knows, with the longest reasons; where it ends, it begins again."""
    chance = random.Random(seed)
    job = new_job(address(), NOON)
    for number in range(200):
        events = MOVES.get(job.state)
        if events is None:
            job = replace(job, state=JobState.FAILED)  # a requeue starts it again
            events = MOVES[job.state]
        words = long_text(chance.choice(WIDE))
        cause = Cause(chance.choice([f"r{number:012d}", f"main.p{number}.c0.t1"]), words, words)
        job = job.moved(JOB.move(job.state, chance.choice(events), NOON, cause))
        if chance.random() < 0.5:
            code = "PAYLOAD_SERVER_ERROR"
            attempt = Attempt(NOON, NOON, "downloading", code, words, request_id=REQUEST_ID)
            job = replace(job, attempts=(*job.attempts, attempt)).compacted()
        again = replace(job, address=JobAddress(job.address.origin_id, 9999, 0))
    jobs.write_many([(None, again)])

    assert job_bytes(job.address.origin_id, 9999, 0) <= MAX_JOB_BYTES
    assert len(job.history[-1].actor.encode()) <= NAME_BYTES


def full_batch(letter: str) -> Batch:
    """A batch whose fields are as long as the API allows."""
    return Batch(
        batch_id=f"bsmall{next(_numbers):015d}",
        state=BatchState.FAILED,
        version=0,
        collection="c" * 64,
        submitter="s" * 128,
        job_type="deposit",
        filename="f" * 255,
        submitted_at=NOON,
        notify=tuple(f"{number}{'n' * 98}@example.org" for number in range(18)),
        parameters={"local": ["p" * 4000]},
        note=letter * (1000 // len(letter.encode(errors="replace"))),
    )


@pytest.mark.parametrize("letter", ["\U0001f5c3", '"', "ä"], ids=ascii)
def test_a_batch_reported_again_and_again_stays_small(letter: str) -> None:
    batch = batches.put_new(full_batch(letter))
    cancelled: Callable[[Batch], bool] = lambda each: each.is_cancelled  # noqa: E731
    for number in range(40):
        cause = Cause(f"r{number:012d}", long_text(letter), long_text(letter))
        batch = batches.apply(batch, BATCH.move("failed", "update_reporting", NOON, cause))
        noted = HistoryEntry("note", batch.state, batch.state, NOON, "x", "y", long_text(letter))
        batch = batches.add_entry(batch, noted, failure_message=long_text(letter))
        batch = batches.apply(
            batch, BATCH.move("update_reporting", "fail", NOON, Cause(f"report.{number}"))
        )
        assert batch_bytes(batch.batch_id) <= MAX_RECORD_BYTES
    assert batches.get(batch.batch_id, NOON) == batch
    assert not cancelled(batch)


def test_a_cancelled_batch_is_recognized_after_any_number_of_notes() -> None:
    batch = batches.put_new(replace(full_batch("x"), state=BatchState.PROCESSING, notify=()))
    claim = HistoryEntry("open", "processing", "processing", NOON, MACHINE, "open.e1", "")
    batch = batches.add_entry(batch, claim)
    for number in range(30):
        noted = HistoryEntry("note", "processing", "processing", NOON, MACHINE, f"n{number}", "")
        batch = batches.add_entry(batch, noted)
    batch = batches.apply(
        batch, BATCH.move("processing", "cancel", NOON, Cause("r1", "admin", "no"))
    )
    for number in range(60):
        noted = HistoryEntry("note", "cancelling", "cancelling", NOON, MACHINE, f"m{number}", "")
        batch = batches.add_entry(batch, noted)

    found = batches.get(batch.batch_id, NOON)
    assert found.is_cancelled
    assert [entry.cause for entry in found.history if entry.event == "cancel"] == ["r1"]
    assert "open.e1" in [entry.cause for entry in found.history]
    assert len(found.history) < 40
