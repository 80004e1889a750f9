"""The runner: run the due jobs of a source concurrently, whatever origin they have.

A worker starts the jobs that are due, at most `CONCURRENT_JOBS` at a time, and writes up to 25
starts or ends in one call. It starts nothing in the last seconds of its own time. A worker that is
invoked twice or cut off does no harm: each write requires the state that it saw, and steps are
safe to repeat.
"""

from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from jobyard.domain.jobs.job import NO_FAILURES, JobAddress, JobRecord, JobState
from jobyard.jobtypes.step_context import StepContext
from jobyard.services.jobs.attempt import (
    ORPHAN_LIMIT,
    AttemptInput,
    AttemptResult,
    Progress,
    after_attempt,
    after_start,
    failed_as_orphaned,
    run_steps,
    show_running,
    unexpected_failure,
)
from jobyard.services.jobs.source import Change, DueJob, JobSource
from jobyard.services.jobs.worker import Worker
from jobyard.services.jobs.write_group import WriteGroup
from jobyard.store.statements import BATCH_LIMIT

CONCURRENT_JOBS = 25  # jobs of a source that run at the same time
_REFRESH_S = 2.0  # how often a worker looks for holds and cancels; its source saves counts then
_GATHER_S = 0.02  # how long an ended job waits for others to end, to write them in one call
_POLL_S = 0.1  # how long a worker waits for a job to end before it checks the others
_PAUSE_S = 0.5  # how long an idle worker waits for a free slot of its source


@dataclass(frozen=True)
class AttemptOutcome:
    """How an attempt of this invocation ended its job or failed, for the log and metrics."""

    address: JobAddress
    job_type: str
    state: JobState
    failure_code: str
    step: str = ""  # that failed
    error: BaseException | None = None  # the unexpected error that a step raised


def run_jobs(source: JobSource, worker: Worker) -> list[AttemptOutcome]:
    """Run the due jobs of a source. Returns those that ended, or whose attempt failed."""
    runner = _Runner(source, worker)
    runner.run()
    return runner.finished


@dataclass(frozen=True)
class _ActiveJob:
    """A job that runs: its record when it started, its lock key, its progress."""

    job: JobRecord
    lock_key: str
    progress: Progress
    runs_alone: bool


@dataclass(frozen=True)
class _AttemptEnd:
    """The end of an attempt, still to be written, and the unexpected error that a step raised."""

    change: Change
    error: BaseException | None = None


class _Runner:
    """One invocation of a worker: it runs the due jobs of a source."""

    def __init__(self, source: JobSource, worker: Worker) -> None:
        self.source, self.worker = source, worker
        self.finished: list[AttemptOutcome] = []
        self.todo = deque(source.due())
        self.active: dict[Future[_AttemptEnd | None], _ActiveJob] = {}
        self.ended: list[_AttemptEnd] = []
        self.writes = WriteGroup()
        self.refreshed_at = worker.now()
        self.counter = worker.job_counter

    def run(self) -> None:
        """Start the due jobs, keep up to `CONCURRENT_JOBS` running, and write their ends."""
        try:
            while self.todo or self.active:
                if self.todo and self._may_start():
                    self._start()
                if self.active or self.ended:
                    self._gather()
                    running = (each.progress for each in self.active.values())
                    show_running(running, self.worker.now())
                    self._refresh()
                elif self._must_stop():
                    break
                elif self.todo and not self._free_slots():
                    self.worker.pause(_PAUSE_S)
                    self._refresh()
        finally:
            wait(self.active)  # no step outlives its invocation
        self.source.finish(self.todo)

    def _may_start(self) -> bool:
        """Whether to start jobs now: when half of the slots are free, so that one call writes
        many starts.
        """
        if len(self.active) > CONCURRENT_JOBS // 2:
            return False
        if any(each.runs_alone for each in self.active.values()) or self._must_stop():
            return False
        return self._free_slots() > 0

    def _free_slots(self) -> int:
        active_count = len(self.active)
        slots = min(CONCURRENT_JOBS - active_count, self.source.free_slots(active_count))
        return max(slots, 0)

    def _must_stop(self) -> bool:
        """Whether no more jobs may start, for lack of time or because the source is stopped."""
        return self.worker.is_out_of_time() or self.source.is_stopped

    def _refresh(self) -> None:
        now = self.worker.now()
        if (now - self.refreshed_at).total_seconds() >= _REFRESH_S:
            self.refreshed_at = now
            self.source.refresh()
            self.counter.save_if_due(now)

    def _start(self) -> None:
        """Write the starts of the next jobs, then run them.

        An orphaned job runs alone, because it may have killed its worker. Jobs with the same lock
        key run one after the other.
        """
        now = self.worker.now()
        lock_keys = {each.lock_key for each in self.active.values()}
        starts: list[tuple[DueJob, str]] = []  # each with its lock key
        later: list[DueJob] = []
        free_slots = self._free_slots()
        while self.todo and len(starts) < free_slots:
            due = self.todo.popleft()
            lock_key = self.source.lock_key(due.job)
            if due.is_orphaned and (self.active or starts):
                later.append(due)
                break
            if lock_key and lock_key in lock_keys:
                later.append(due)
                continue
            lock_keys.add(lock_key)
            starts.append((due, lock_key))
            if due.is_orphaned:
                break
        self.todo.extendleft(reversed(later))
        changes = [(due.job.stored, self._started(due, now)) for due, _ in starts]
        for (due, lock_key), stored in zip(starts, self.source.write(changes), strict=True):
            if stored is None:
                continue
            if stored.state is JobState.RUNNING:
                self.counter.count_start(stored, due.ready_at)
                active = _ActiveJob(stored, lock_key, Progress(stored), due.is_orphaned)
                self.active[self.worker.threads.submit(self._attempt, active)] = active
            else:
                self._finish(stored)

    def _started(self, due: DueJob, now: datetime) -> JobRecord:
        job = due.job
        cause_key = self.source.run.cause(job.address, job.start_count + 1)
        if due.is_orphaned and job.orphan_count >= ORPHAN_LIMIT:
            return failed_as_orphaned(job, now, cause_key, self.source.orphan_failure(job, now))
        return after_start(job, now, cause_key, self.worker.request_id)

    def _attempt(self, active: _ActiveJob) -> _AttemptEnd | None:
        """One attempt at a job, in a thread of the pool; None if someone else changed the job."""
        job, progress, job_type = active.job, active.progress, self.source.job_type
        step_input = self.source.step_input(job)
        context: StepContext = self.worker.step_context(job_type, self.source.collection)
        # Less than the worker's time if the source wants the step to end earlier.
        remaining_for_job = self.source.remaining_for(job, context.remaining)

        def remaining() -> float:
            since = progress.began or self.worker.now()
            left = job_type.step_limit - (self.worker.now() - since).total_seconds()
            return min(remaining_for_job(), left)

        def must_stop() -> bool:
            return self.source.must_stop(progress.record, progress.step)

        context = replace(
            context, remaining=remaining, progress=progress.report, must_stop=must_stop
        )
        attempt = AttemptInput(
            job_type, step_input, context, self.source.interruption_before, self.source.time_out
        )
        try:
            result = run_steps(attempt, progress, self.worker.now, self.writes)
        except Exception as error:
            failure = unexpected_failure(progress, self.worker.now())
            return _AttemptEnd(self._end_change(failure, attempt), error)
        return None if result is None else _AttemptEnd(self._end_change(result, attempt))

    def _end_change(self, result: AttemptResult, attempt: AttemptInput[Any]) -> Change:
        """The record before and after the end of an attempt.

        If the job fails for good, call its type's `on_failure`, and add what that returns to its
        data.
        """
        before, job_type = result.record, attempt.job_type
        after = after_attempt(result, job_type, self.worker.now(), before.cause)
        if after.state is not JobState.FAILED:
            return before, after
        step_input = replace(attempt.step_input, data=before.data)
        returned = job_type.on_failure(
            step_input,
            attempt.context,
            after.failure_code,
            after.failure_message,
            before.requeue_count,
        )
        return before, after.with_data({**after.data, **returned})

    def _gather(self) -> None:
        """Wait for jobs to end, and write up to 25 ends in one call."""
        done = wait(self.active, timeout=_POLL_S, return_when=FIRST_COMPLETED).done
        if done and len(done) < len(self.active):
            done = wait(self.active, timeout=_GATHER_S).done
        now = self.worker.now()
        for future in done:
            active = self.active.pop(future)
            error = future.exception()  # of a context that cannot be built, or of `on_failure`
            if error:
                result = unexpected_failure(active.progress, now)
                after = after_attempt(result, self.source.job_type, now, active.job.cause)
                self.ended.append(_AttemptEnd((result.record, after), error))
            elif end := future.result():
                self.ended.append(end)
            else:
                self.source.note_stale_job()
        # While jobs keep ending, wait for a full call.
        waits_for_more = done and self.active and len(self.ended) < BATCH_LIMIT
        if self.ended and not waits_for_more:
            self._write_ends()

    def _write_ends(self) -> None:
        written, self.ended = self.ended, []
        stored = self.source.write([end.change for end in written])
        for job, end in zip(stored, written, strict=True):
            if job is not None:
                self._finish(job, end.error)

    def _finish(self, job: JobRecord, error: BaseException | None = None) -> None:
        has_ended = job.state is not JobState.SCHEDULED
        if has_ended:
            self.counter.count_end(job)
        last = job.attempts[-1] if job.attempts else None
        if has_ended or (last and last.failure_code not in NO_FAILURES):
            name, step = self.source.job_type.name, last.step if last else ""
            finished = AttemptOutcome(
                job.address, name, job.state, job.failure_code, step=step, error=error
            )
            self.finished.append(finished)
