"""The job source of a batch's chunk: all of its jobs, or a single one.

A worker starts what its run owns: rows without a record, jobs whose retry is due, orphaned jobs.
The chunk's record has the counts of its jobs. They are saved every five seconds and at the end, so
once for a chunk of jobs that take a second.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from jobyard.domain.batches.batch import Batch, BatchState
from jobyard.domain.batches.chunks import Chunk
from jobyard.domain.batches.operation import (
    ACCEPTED,
    REFUSED,
    Filter,
    JobOutcome,
    Operation,
    count_outcomes,
)
from jobyard.domain.batches.worker_leases import must_yield
from jobyard.domain.cause_key import MAIN_RUN
from jobyard.domain.collection import Collection
from jobyard.domain.errors import InvalidTransition, StaleState
from jobyard.domain.hold import Hold, active_hold, scopes_of
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import (
    JOB,
    OPEN_JOB_STATES,
    JobAddress,
    JobRecord,
    JobState,
    apply_event,
    new_job,
)
from jobyard.domain.jobs.job_type import JobType, StepInput
from jobyard.domain.lifecycle import Cause
from jobyard.jobtypes import job_type_of
from jobyard.services.batches import rows
from jobyard.services.batches.worker_leases import host_limit, run_key, share_limits
from jobyard.services.jobs.chunk_jobs import ChunkJobs
from jobyard.services.jobs.runner import CONCURRENT_JOBS, AttemptOutcome, run_jobs
from jobyard.services.jobs.source import Change, DueJob
from jobyard.services.jobs.worker import Worker
from jobyard.services.runs import ExecutionRun, NextStep
from jobyard.store import batches, collections, holds, jobs, operations, worker_leases
from jobyard.store.worker_leases import SharedLimits

_SAVE_EACH = timedelta(seconds=5)
_EARLY = timedelta(seconds=0.5)  # how much before its time a retry may start


def run_chunk(
    batch_id: str, chunk: Chunk, run: ExecutionRun, worker: Worker
) -> list[AttemptOutcome]:
    """Run one pass over a chunk's jobs."""
    batch = batches.get(batch_id, worker.now())
    if run.name == MAIN_RUN and not batch.is_executing:
        return []
    source = ChunkSource.read(batch, chunk, run, worker)
    if run.name != MAIN_RUN:
        operation = operations.find(batch_id, run.name)
        if operation:
            source.apply_operation(operation)
    return run_jobs(source, worker)


def job_source(address: JobAddress, run: ExecutionRun, worker: Worker) -> "ChunkSource":
    """The source of one job of a batch.

    Raises:
        NotFound, Gone: there is no such batch, or it was archived.
    """
    batch = batches.get(address.origin_id, worker.now())
    chunk = rows.chunk_of(worker.s3, worker.settings, batch, address.chunk)
    return ChunkSource.read(batch, chunk, run, worker, position=address.position)


@dataclass
class ChunkSource:
    """The due jobs of a chunk. `read` creates it for the whole chunk or for one position.

    `rows` are all rows of the chunk, `jobs` those that have a record, with their counts.
    """

    batch: Batch
    chunk: Chunk
    run: ExecutionRun
    worker: Worker
    job_type: JobType[Any]
    rows: list[rows.Row]
    jobs: ChunkJobs
    positions: Sequence[int]
    saved_at: datetime
    hold: Hold | None = None
    found_collection: Collection | None = None
    is_cancelling: bool = False
    is_yielding: bool = False

    @classmethod
    def read(
        cls,
        batch: Batch,
        chunk: Chunk,
        run: ExecutionRun,
        worker: Worker,
        *,
        position: int | None = None,
    ) -> "ChunkSource":
        """Read the rows, counts and jobs of a chunk. With a `position`, only that job is due."""
        found = rows.rows_of(worker.s3, worker.settings, batch.batch_id, chunk)
        is_first = run == ExecutionRun(MAIN_RUN, 1)
        read_jobs = ChunkJobs.read_before_first_pass if is_first else ChunkJobs.read
        return cls(
            batch=batch,
            chunk=chunk,
            run=run,
            worker=worker,
            job_type=job_type_of(batch.job_type),
            rows=found,
            jobs=read_jobs(batch.batch_id, chunk.number, batch.collection),
            positions=range(len(found)) if position is None else [position],
            saved_at=worker.now(),
        )

    # The methods of JobSource

    def due(self) -> list[DueJob]:
        """The rows without a record, due retries and orphaned jobs of this run, in row order."""
        self._read_stops(self.batch.state)
        now = self.worker.now()
        return [due for position in self.positions if (due := self._due(position, now))]

    def _due(self, position: int, now: datetime) -> DueJob | None:
        job = self.jobs.records.get(position)
        if job is None:
            address = JobAddress(self.batch.batch_id, self.chunk.number, position)
            started = DueJob(new_job(address, now), ready_at=self.batch.started_at)
            return started if self.run.name == MAIN_RUN else None
        if not self.run.owns(job.cause):
            return None
        if job.state is JobState.RUNNING:
            return DueJob(job, is_orphaned=True)
        is_due = job.next_at is None or job.next_at <= now + _EARLY
        due = DueJob(job, ready_at=job.next_at or job.at)
        return due if job.state is JobState.SCHEDULED and is_due else None

    def step_input(self, job: JobRecord) -> StepInput:
        """The job's row, and the parameters and depositor of its batch."""
        return StepInput(
            batch_id=self.batch.batch_id,
            job_id=job.address.job_id,
            collection=self.batch.collection,
            entry=self.rows[job.address.position],
            parameters=self.batch.parameters,
            data=job.data,
            attempt=job.start_count,
            depositor=self.batch.depositor,
        )

    def lock_key(self, job: JobRecord) -> str:
        """The object in the job's row, as the job type names it."""
        return self.job_type.lock(self.rows[job.address.position])

    def collection(self) -> Collection | None:
        """The batch's collection, as of the last refresh."""
        return self.found_collection

    def remaining_for(
        self, job: JobRecord, worker_remaining: Callable[[], float]
    ) -> Callable[[], float]:
        """The worker's own time: a step of a batch's job is not interrupted by a cancel."""
        return worker_remaining

    def free_slots(self, active_count: int) -> int:
        """No limit besides the runner's own."""
        return CONCURRENT_JOBS

    def interruption_before(self, job: JobRecord, step: str) -> None:
        """Returns None: an attempt runs all of its steps."""

    def must_stop(self, job: JobRecord, step: str) -> bool:
        """Returns False: a step ends when it is done."""
        return False

    def time_out(self, job: JobRecord) -> None:
        """Returns None: its parts may take any time, each of them that of its job type."""

    def orphan_failure(self, job: JobRecord, at: datetime) -> Failure:
        """Always `WORKER_LOST`."""
        return Failure.WORKER_LOST

    def write(self, changes: Sequence[Change]) -> list[JobRecord | None]:
        """Write changes to jobs; the next save counts them."""
        return self.jobs.write(changes)

    def note_stale_job(self) -> None:
        """Read and count the jobs again at the next save."""
        self.jobs.is_outdated = True

    def refresh(self) -> None:
        """Look for a hold, a cancel and other batches that wait; save the counts if it is time."""
        now = self.worker.now()
        self._read_stops(batches.get(self.batch.batch_id, now).state)
        if now - self.saved_at >= _SAVE_EACH:
            self.saved_at = now
            self.jobs.save(self.run)

    def _read_stops(self, state: BatchState) -> None:
        """Read the hold, a cancel from `state`, the leases of workers, and the collection, which
        steps check before they write.
        """
        scopes = scopes_of(self.batch.collection, self.batch.job_type)
        view, now = collections.worker_view(self.batch.collection, scopes), self.worker.now()
        self.found_collection = view.collection
        self.hold = active_hold(view.holds, now)
        self.is_cancelling = state in {BatchState.CANCELLING, BatchState.DELETED}
        self._share(view.limits, now)

    def _share(self, limits: SharedLimits, now: datetime) -> None:
        """Follow what all workers share: yield, or renew the lease; bound requests to hosts."""
        lease, settings = run_key(self.batch.batch_id, self.run.name), self.worker.settings
        self.is_yielding = must_yield(limits.leases, lease, settings.worker_limit, now)
        hosts = self.worker.http.hosts
        hosts.allow(host_limit(limits, settings), limits.busy_hosts)
        learned = hosts.learned()
        renews = "" if self.is_yielding else lease
        if share_limits(limits, renews, self.chunk.number, learned, now):
            hosts.shared(learned)

    @property
    def is_stopped(self) -> bool:
        """Whether a hold or a cancel forbids further starts, or other batches wait for workers."""
        return self._is_closed or self.is_yielding

    @property
    def _is_closed(self) -> bool:
        return self.is_cancelling or self.hold is not None

    def finish(self, not_started: Iterable[DueJob]) -> None:
        """Save the counts. After a hold or a cancel, first hold or cancel the jobs not started.

        A worker that yielded before it started any job writes nothing: the chunk stays due.
        """
        not_started = list(not_started)
        if self.worker.http.hosts.learned():
            self._share(worker_leases.get(), self.worker.now())
        if self._is_closed:
            self._stop(not_started)
        if self.is_yielding and not self.jobs.records:
            return
        self.jobs.save(self.run, ends_pass=self._is_closed or not not_started)
        if self.hold and not_started:
            self._lift_again(self.hold)

    def next_step(self) -> NextStep:
        """Another pass if the single job has a retry to come, else settle the batch."""
        (position,) = self.positions
        address = JobAddress(self.batch.batch_id, self.chunk.number, position)
        settle = NextStep(self.batch.batch_id, "settle", run=self.run, address=address)
        job = self.jobs.records.get(position)
        if job and job.state is JobState.SCHEDULED and self.run.owns(job.cause) and job.next_at:
            return replace(settle, next="next_pass", run=self.run.next_pass(), until=job.next_at)
        return settle

    # Holds and cancels

    def _stop(self, not_started: Sequence[DueJob]) -> None:
        """Under a hold, hold the jobs not started. In a cancelled batch, cancel its scheduled and
        held jobs that have a record, and orphaned ones. Rows without a record need no write.

        Under a hold, an orphaned job is first rescheduled, so that the next pass can hold it.
        """
        if self.is_cancelling:
            events = dict.fromkeys((JobState.SCHEDULED, JobState.HELD, JobState.RUNNING), "cancel")
            orphaned = [due.job for due in not_started if due.is_orphaned]
            waiting = [
                job for job in self.jobs.records.values() if job.state is not JobState.RUNNING
            ]
            stopped = [job for job in (*waiting, *orphaned) if job.state in events]
            reason = "its batch was cancelled or deleted"
        else:
            events = {JobState.SCHEDULED: "hold", JobState.RUNNING: "reschedule"}
            stopped = [due.job for due in not_started]
            reason = self.hold.description() if self.hold else ""
        now = self.worker.now()
        changes: list[Change] = []
        for job in stopped:
            cause = Cause(self.run.cause(job.address, job.start_count), reason=reason)
            move = JOB.move(job.state, events[job.state], now, cause)
            next_at = now if move.event == "reschedule" else None
            changes.append((job.stored, job.moved(move, next_at=next_at)))
        self.write(changes)

    def _lift_again(self, seen: Hold) -> None:
        """If the hold was lifted meanwhile, put it back, expired: the next tick lifts it, and so
        releases the jobs that this late worker held.
        """
        if holds.of_scopes(scopes_of(self.batch.collection, self.batch.job_type)):
            return
        with suppress(StaleState):  # someone holds the scope again
            holds.put(replace(seen, until=self.worker.now()))

    # An operation

    def apply_operation(self, operation: Operation) -> None:
        """Apply the operation's event to each job that matches, and save each job's outcome.

        Jobs that the event opens are counted as open before they are written, and jobs that it ends
        are counted after. So the batch never looks ended in between.
        """
        # The event is applied once, although a job that failed again matches in a later pass.
        earlier = [job for job in self.jobs.records.values() if _has_event(job, operation)]
        outcomes = [JobOutcome(job.address.job_id, ACCEPTED) for job in earlier]
        matching = [
            job
            for job in (*self.jobs.records.values(), *self._unrecorded(operation))
            if not _has_event(job, operation) and self._is_wanted(job, operation.filter)
        ]
        changes: list[Change] = []
        refused = []
        for job in matching:
            try:
                changes.append((job.stored, self._with_event(job, operation)))
            except InvalidTransition as refusal:
                refused.append(JobOutcome(job.address.job_id, REFUSED, str(refusal)))
        opened = [after for _, after in changes if after.state in OPEN_JOB_STATES]
        self.jobs.save(self.run, planned=opened)
        for (_, after), stored in zip(changes, self.write(changes), strict=True):
            # A concurrent worker of the same pass may have written it.
            if stored or _has_event(jobs.find(after.address), operation):
                outcomes.append(JobOutcome(after.address.job_id, ACCEPTED))
            else:
                reason = "someone else changed it first"
                refused.append(JobOutcome(after.address.job_id, REFUSED, reason))
        self._save_outcomes(operation, [*refused, *outcomes])

    def _unrecorded(self, operation: Operation) -> Iterator[JobRecord]:
        """The jobs without a record, if the operation may change them. In a cancelled batch they
        have ended.
        """
        if operation.filter.state is not JobState.SCHEDULED or self.batch.is_cancelled:
            return
        for position in range(len(self.rows)):
            if position not in self.jobs.records:
                address = JobAddress(self.batch.batch_id, self.chunk.number, position)
                yield new_job(address, self.worker.now())

    def _is_wanted(self, job: JobRecord, wanted: Filter) -> bool:
        if not wanted.matches(job):
            return False
        row = self.rows[job.address.position]
        return wanted.matches_row(self.job_type.current_step(job), rows.names_in(row))

    def _with_event(self, job: JobRecord, operation: Operation) -> JobRecord:
        cause = Cause(operation.operation_id, operation.actor, operation.reason, operation.sub)
        return apply_event(job, operation.event, self.worker.now(), cause)

    def _save_outcomes(self, operation: Operation, outcomes: Iterable[JobOutcome]) -> None:
        """Add to the outcomes of earlier passes, in which other jobs may have matched. The save
        that ends the pass has their number.
        """
        settings, s3 = self.worker.settings, self.worker.s3
        earlier = rows.outcomes_of(s3, settings, operation, self.chunk.number)
        latest = {each.job_id: each for each in (*earlier, *outcomes)}
        rows.put_outcomes(s3, settings, operation, self.chunk.number, latest.values())
        self.jobs.outcomes = count_outcomes(latest.values())


def _has_event(job: JobRecord | None, operation: Operation) -> bool:
    """Whether the operation's event has reached the job, whichever worker applied it."""
    return job is not None and any(e.cause == operation.operation_id for e in job.history)
