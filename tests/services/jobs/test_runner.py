"""How a worker ends attempts, with a source in memory."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Event
from typing import Any, cast

import pytest

from jobyard.domain.collection import Collection
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import WAITED, Attempt, JobAddress, JobRecord, JobState, new_job
from jobyard.domain.jobs.job_type import (
    Continue,
    Done,
    Fail,
    JobType,
    Snooze,
    StepInput,
    StepResult,
)
from jobyard.jobtypes.step_context import StepContext
from jobyard.services.jobs.job_counter import JobCounter
from jobyard.services.jobs.runner import run_jobs
from jobyard.services.jobs.source import Change, DueJob
from jobyard.services.jobs.worker import Worker
from jobyard.services.runs import ExecutionRun, NextStep

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass
class OneJob:
    """The source of one job, which writes nowhere."""

    job: JobRecord
    job_type: JobType[Any]
    run: ExecutionRun = field(default_factory=lambda: ExecutionRun("main", 1))
    written: list[JobRecord] = field(default_factory=list)
    is_stopped: bool = False

    def due(self) -> Sequence[DueJob]:
        return [DueJob(self.job)]

    def step_input(self, job: JobRecord) -> StepInput:
        return StepInput("", job.address.job_id, "", {}, {}, job.data, job.start_count)

    def lock_key(self, job: JobRecord) -> str:
        return ""

    def collection(self) -> Collection | None:
        return None

    def remaining_for(
        self, job: JobRecord, worker_remaining: Callable[[], float]
    ) -> Callable[[], float]:
        return worker_remaining

    def free_slots(self, active_count: int) -> int:
        return 1

    def interruption_before(self, job: JobRecord, step: str) -> Snooze | Continue | None:
        return None

    def must_stop(self, job: JobRecord, step: str) -> bool:
        return False

    def time_out(self, job: JobRecord) -> Fail | None:
        return None

    def orphan_failure(self, job: JobRecord, at: datetime) -> Failure:
        return Failure.WORKER_LOST

    def write(self, changes: Sequence[Change]) -> list[JobRecord | None]:
        self.written += [after for _, after in changes]
        return [after for _, after in changes]

    def note_stale_job(self) -> None: ...

    def refresh(self) -> None: ...

    def finish(self, left: Iterable[DueJob]) -> None: ...

    def next_step(self) -> NextStep:
        return NextStep(self.job.address.origin_id, "settle")


class UnsavedCounter(JobCounter):
    """A counter that adds to no table."""

    def save_if_due(self, now: datetime) -> None: ...


def worker_from(start: datetime) -> Worker:
    """A worker whose clock is a tenth of a second later at each reading."""
    tenths = count()

    def now() -> datetime:
        return start + timedelta(seconds=next(tenths) / 10)

    unused = cast("Any", None)
    threads = ThreadPoolExecutor(1)
    return Worker(
        unused,
        unused,
        unused,
        now,
        lambda: 600.0,
        unused,
        "request-1",
        unused,
        threads,
        UnsavedCounter(),
    )


@pytest.mark.parametrize("left_tenths", range(12))
def test_on_failure_is_called_whenever_the_job_fails(left_tenths: int) -> None:
    """The day that a job may wait ends at any reading of the clock."""
    failures: list[str] = []

    def wait(_step_input: StepInput, _context: StepContext) -> StepResult:
        return Snooze(60.0, "the server is busy", exhausted_code=Failure.TIMEOUT)

    def on_failure(
        _step_input: StepInput, _context: StepContext, code: str, _message: str, _requeues: int
    ) -> Mapping[str, Any]:
        failures.append(code)
        return {"noted": code}

    job_type = JobType("wait", "Wait", (("waiting", wait),), StepContext, on_failure=on_failure)
    waited = Attempt(NOON, NOON, "waiting", WAITED, "the server is busy")
    job = replace(new_job(JobAddress("b", 0, 0), NOON), version=1, attempts=(waited,))
    source = OneJob(job, job_type)
    run_jobs(source, worker_from(NOON + DAY - timedelta(seconds=left_tenths / 10)))

    last = source.written[-1]
    assert last.state in {JobState.FAILED, JobState.SCHEDULED}
    assert (last.state is JobState.FAILED) == bool(failures) == bool(last.data)


@dataclass
class Unwritable(OneJob):
    """Two jobs. The first one's end cannot be written, while the second one still runs."""

    fails: Event = field(default_factory=Event)

    def due(self) -> Sequence[DueJob]:
        other = new_job(JobAddress("b", 0, 1), NOON)
        return [DueJob(self.job), DueJob(other)]

    def free_slots(self, active_count: int) -> int:
        return 2

    def write(self, changes: Sequence[Change]) -> list[JobRecord | None]:
        if self.written:
            self.fails.set()
            raise OSError("no answer")
        return super().write(changes)


def test_a_worker_that_fails_waits_for_the_steps_that_run() -> None:
    """Its threads are those of the next invocation too."""
    ended: list[str] = []

    def step(step_input: StepInput, _context: StepContext) -> StepResult:
        if step_input.job_id == "b.0.1":
            source.fails.wait()
            time.sleep(0.05)  # the worker has failed by now
        ended.append(step_input.job_id)
        return Done()

    job = new_job(JobAddress("b", 0, 0), NOON)
    source = Unwritable(job, JobType("slow", "Slow", (("waiting", step),), StepContext))
    worker = replace(worker_from(NOON), now=lambda: NOON, threads=ThreadPoolExecutor(2))

    with pytest.raises(OSError, match="no answer"):
        run_jobs(source, worker)

    assert ended == ["b.0.0", "b.0.1"]


def test_no_more_jobs_start_than_the_source_has_slots() -> None:
    """The source gives one every five seconds."""
    worker = worker_from(NOON)
    paused: list[float] = []
    started_at: list[datetime] = []

    class PacedJobs(OneJob):
        def due(self) -> Sequence[DueJob]:
            return [DueJob(new_job(JobAddress("b", 0, number), NOON)) for number in range(5)]

        def free_slots(self, active_count: int) -> int:
            earned = (worker.now() - NOON) // timedelta(seconds=5)
            return earned - len(started_at)

        def write(self, changes: Sequence[Change]) -> list[JobRecord | None]:
            started_at.extend(after.at for before, after in changes if before is None)
            return [replace(after, version=1) for _, after in changes]

    steps = (("noting", lambda _step_input, _context: Done()),)
    job_type = JobType("note", "Note", steps, StepContext)
    job = new_job(JobAddress("b", 0, 0), NOON)
    finished = run_jobs(PacedJobs(job, job_type), replace(worker, pause=paused.append))

    assert len(finished) == len(started_at) == 5
    for number, at in enumerate(started_at, start=1):
        assert at >= NOON + number * timedelta(seconds=5)
    assert paused


def test_an_attempt_waits_before_a_step_that_its_source_does_not_let_begin() -> None:
    ran: list[str] = []

    def step(name: str) -> tuple[str, Any]:
        return name, lambda _step_input, _context: ran.append(name) or Done()

    class ClosedBeforeUpload(OneJob):
        def interruption_before(self, job: JobRecord, step: str) -> Snooze | Continue | None:
            return Continue(90.0, "the window is closed") if step == "upload" else None

    steps = tuple(step(name) for name in ("reach", "upload", "verify"))
    job_type = JobType("update", "Update", steps, StepContext)
    job = replace(new_job(JobAddress("b", 0, 0), NOON), version=1)
    source = ClosedBeforeUpload(job, job_type)
    run_jobs(source, worker_from(NOON))

    last = source.written[-1]
    assert ran == ["reach"]
    assert last.state is JobState.SCHEDULED
    assert last.next_at is not None
    assert last.next_at - last.at == timedelta(seconds=90)
    assert last.attempts[-1].failure_message == "the window is closed"
    assert [step.name for step in last.steps] == ["reach"]
    assert last.earlier_parts_ms == 500  # without the wait, which no step chose


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Continue(60, "a part"), "TIMEOUT"),
        (Snooze(60, "the device reboots"), "TIMEOUT"),
        (Fail(Failure.DEVICE_OFFLINE, "no answer", retryable=True), "TIMEOUT"),
        (Fail(Failure.INCOMPATIBLE, "another model"), "INCOMPATIBLE"),
        (Snooze(60, "429", exhausted_code=Failure.DEVICE_BUSY), "WAIT"),
        (Done(), ""),
    ],
)
def test_an_attempt_that_took_too_long_ends_unless_its_step_is_done(
    outcome: StepResult, code: str
) -> None:
    class TooLong(OneJob):
        def time_out(self, job: JobRecord) -> Fail | None:
            return Fail(Failure.TIMEOUT, "too long", retryable=True) if ran else None

    ran: list[str] = []
    step = ("upload", lambda _step_input, _context: ran.append("upload") or outcome)
    job_type = JobType("update", "Update", (step,), StepContext)
    job = replace(new_job(JobAddress("b", 0, 0), NOON), version=1)
    source = TooLong(job, job_type)
    run_jobs(source, worker_from(NOON))

    assert source.written[-1].attempts[-1].failure_code == code
