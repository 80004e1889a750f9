"""Running the jobs of a chunk, overlapped; and running one job by itself.

A worker takes up what its run owns: rows nothing happened to yet, jobs whose retry is due, jobs
left running by a worker that vanished. It starts and ends them up to 25 a call, keeps the chunk's
counts, and stops in time for its own end. Called twice, late or cut off, it does nothing twice:
every write has the state it saw in its condition, and steps may be repeated.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from jobyard.domain.batches.batch import Batch, BatchState
from jobyard.domain.batches.chunks import MAIN, Chunk, ChunkRecord, Passage
from jobyard.domain.batches.operation import ACCEPTED, REFUSED, JobOutcome, Operation
from jobyard.domain.cause_key import Turn
from jobyard.domain.collection import Collection
from jobyard.domain.errors import InvalidTransition, StaleState
from jobyard.domain.hold import Hold, in_force, scopes_of
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JOB, JobAddress, JobRecord, JobState, apply_event, new_job
from jobyard.domain.jobs.job_type import Done, JobType, StepInput
from jobyard.domain.lifecycle import Cause
from jobyard.jobtypes import job_type_of
from jobyard.jobtypes.http_client import HttpClient
from jobyard.jobtypes.step_context import MaintenanceTasks, StepContext
from jobyard.services.batches import rows
from jobyard.services.jobs.attempt import (
    ORPHAN_LIMIT,
    AttemptResult,
    Progress,
    ended,
    orphaned,
    run_steps,
    show_running,
    started,
    unexpected_failure,
)
from jobyard.services.runs import ExecutionRun, NextStep
from jobyard.services.settings import Settings
from jobyard.store import (
    batches,
    checkpoints,
    chunks,
    collections,
    holds,
    jobs,
    objects,
    operations,
    tables,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

OVERLAP = 25  # jobs of a chunk at work at once
_LOOK_S = 2.0  # how often a worker looks for holds and a cancel, and shows its counts
_LINGER_S = 0.02  # what an ended job waits for others to end, so that one call writes them all
MARGIN_S = 20.0  # what a worker keeps of its time to write down how things stand


Going = dict[Future[AttemptResult | None], tuple[JobRecord, str]]  # jobs at work, and their locks


@dataclass(frozen=True)
class Worker:
    """What a worker is given: the deployment, S3, the safe opener, the clock, the time left (s),
    and what makes ready what only the system's jobs ask for."""

    settings: Settings
    s3: "S3Client"
    fetch: HttpClient
    now: Callable[[], datetime]
    remaining: Callable[[], float]
    upkeep: Callable[[], MaintenanceTasks]

    def touch(
        self, limit_s: float, collection: Callable[[], Collection | None] = lambda: None
    ) -> StepContext:
        """What the steps of one attempt may touch, which may take `limit_s` at the most; and the
        collection they work for."""
        began = self.now()

        def remaining() -> float:
            left = limit_s - (self.now() - began).total_seconds()
            return min(left, self.remaining() - MARGIN_S)

        return StepContext(
            s3=self.s3,
            work_bucket=self.settings.work_bucket,
            archive_bucket=self.settings.archive_bucket,
            fetch=self.fetch,
            s3_sources=self.settings.s3_sources,
            objects=objects,
            dynamodb=tables.client(),
            sweep_tables=self.settings.sweep_tables,
            checkpoints=checkpoints,
            upkeep=self.upkeep,
            collection=collection,
            now=self.now,
            remaining=remaining,
        )


@dataclass(frozen=True)
class FinishedJob:
    """A job that ended in this pass, or met a surprise, for the log and the metrics."""

    job_id: str
    job_type: str
    state: str
    failure_code: str
    surprise: BaseException | None = None  # what a step raised that no step should raise


def run_chunk(batch_id: str, chunk: Chunk, run: ExecutionRun, worker: Worker) -> list[FinishedJob]:
    """Run one pass over a chunk's jobs."""
    batch = batches.get(batch_id, worker.now())
    if run.name == MAIN and batch.state not in {BatchState.PROCESSING, BatchState.CANCELLING}:
        return []
    work = ChunkRunner(batch, chunk, run, worker)
    if run.name != MAIN:
        operation = operations.find(batch_id, run.name)
        if operation:
            work.carry_out(operation)
    work.run()
    return work.finished


def run_job(
    place: JobAddress, run: ExecutionRun, worker: Worker
) -> tuple[NextStep, list[FinishedJob]]:
    """Run one job by itself, for the run that a person's release or requeue began."""
    batch = batches.get(place.origin_id, worker.now())
    chunk = rows.chunk_of(worker.s3, worker.settings, batch, place.chunk)
    work = ChunkRunner(batch, chunk, run, worker, only=place.position)
    work.run()
    job = work.records.get(place.position)
    if job and job.state is JobState.SCHEDULED and run.owns(job.cause) and job.next_at:
        again = ExecutionRun(run.name, run.number + 1)
        return NextStep(place.origin_id, "again", run=again, until=job.next_at), work.finished
    return NextStep(place.origin_id, "settle", run=run), work.finished


def give_up_job(place: JobAddress, run: ExecutionRun, at: datetime) -> None:
    """Fail a job whose own execution could not get through it, if it still holds it."""
    job = jobs.get(place)
    if job and job.state is JobState.RUNNING and run.owns(job.cause):
        state = batches.get(place.origin_id, at).state
        jobs.apply(job, orphaned(job, at, run.cause(place.chunk, job.tries, Turn.LOST)), state)


def give_up_chunk(batch: Batch, number: int, run: ExecutionRun, at: datetime) -> None:
    """Have no worker come to a chunk any more for `run`, as for long none got through it, and count
    its jobs.

    A job that was running when its worker vanished fails. One that nothing happened to is let be: a
    batch that is being cancelled takes it for cancelled.
    """
    seen = chunks.get(batch.batch_id, number)  # first: what a late worker counts meanwhile is kept
    found = {job.place.position: job for job in jobs.of_chunk(batch.batch_id, number)}
    cancelling = batch.state is BatchState.CANCELLING
    given_up = (
        (job, _given_up(job, cancelling, at, run.cause(number, job.tries, Turn.LOST)))
        for job in found.values()
        if run.owns(job.cause) or (cancelling and job.state is not JobState.RUNNING)
    )
    written = jobs.write_many([(job, after) for job, after in given_up if after is not None])
    for stored in written:
        if stored is not None:
            found[stored.place.position] = stored
    if any(stored is None for stored in written):
        found = {job.place.position: job for job in jobs.of_chunk(batch.batch_id, number)}
    through = seen.passed(run.name, Passage(run.number)).counting(found.values())
    chunks.put(replace(through, collection=batch.collection))


def _given_up(job: JobRecord, cancelling: bool, at: datetime, cause: str) -> JobRecord | None:
    """A job that no worker gets to; None when it does not wait for one."""
    if job.state is JobState.RUNNING:
        return orphaned(job, at, cause)
    waits = job.state is JobState.SCHEDULED or (cancelling and job.state is JobState.HELD)
    if not waits:
        return None
    if cancelling or not job.attempts:
        why = Failure.NO_WORKER.description
        return job.moved(JOB.move(job.state, "cancel", at, Cause(cause, reason=why)), next_at=None)
    return orphaned(job, at, cause, Failure.NO_WORKER)


@dataclass
class ChunkRunner:
    """A worker's pass over a chunk."""

    batch: Batch
    chunk: Chunk
    run_: ExecutionRun
    worker: Worker
    only: int | None = None
    records: dict[int, JobRecord] = field(default_factory=dict)
    finished: list[FinishedJob] = field(default_factory=list)

    def __post_init__(self) -> None:
        worker, batch_id = self.worker, self.batch.batch_id
        self.job_type: JobType = job_type_of(self.batch.job_type)
        self.rows = rows.rows_of(worker.s3, worker.settings, batch_id, self.chunk)
        self.seen = self._counts()
        self._reread()
        self.ended: list[tuple[JobRecord, JobRecord]] = []
        self.surprises: dict[int, BaseException] = {}
        self.progress: dict[int, Progress] = {}
        self.looked_at = worker.now()
        self.overtaken = False  # another worker wrote a job first, so the records here are not all
        self.hold: Hold | None = None
        self.collection: Collection | None = None
        self.cancelling = False

    def _counts(self) -> ChunkRecord:
        seen = chunks.get(self.batch.batch_id, self.chunk.chunk)
        return replace(seen, collection=self.batch.collection)

    def _reread(self) -> None:
        found = jobs.of_chunk(self.batch.batch_id, self.chunk.chunk)
        self.records = {job.place.position: job for job in found}

    # What is there to do

    def carry_out(self, operation: Operation) -> None:
        """Send the operation's event to each job that matches, and note what came of each.

        The chunk shows them as open before the first of them is, so that nobody can take the batch
        for ended in between.
        """
        # A later pass finds jobs that were sent it before and failed again: once is enough.
        sent_before = {
            position for position, job in self.records.items() if _was_sent(job, operation)
        }
        outcomes = [
            JobOutcome(self.records[each].place.job_id, ACCEPTED) for each in sorted(sent_before)
        ]
        matching = [
            job
            for position, job in self.records.items()
            if position not in sent_before and operation.filter.matches(job)
        ]
        changes, refused = [], []
        for job in matching:
            try:
                changes.append((job, self._sent(job, operation)))
            except InvalidTransition as refusal:
                refused.append(JobOutcome(job.place.job_id, REFUSED, str(refusal)))
        self._save(planned=[after for _, after in changes])
        stored = self._written(changes)
        for (before, after), now in zip(changes, stored, strict=True):
            if now:
                self.records[after.place.position] = now
            if now or _was_sent(jobs.get(before.place), operation):  # perhaps by a twin of ours
                outcomes.append(JobOutcome(after.place.job_id, ACCEPTED))
            else:
                words = "someone else changed it first"
                refused.append(JobOutcome(before.place.job_id, REFUSED, words))
        self._put_outcomes(operation, [*refused, *outcomes])

    def _sent(self, job: JobRecord, operation: Operation) -> JobRecord:
        asked = operation
        cause = Cause(asked.operation_id, asked.actor, asked.reason, asked.sub)
        return apply_event(job, operation.event, self.worker.now(), cause)

    def _put_outcomes(self, operation: Operation, outcomes: Iterable[JobOutcome]) -> None:
        """Add to what earlier passes noted: a job refused then may not even match now."""
        settings, s3 = self.worker.settings, self.worker.s3
        noted = rows.outcomes_of(s3, settings, operation, self.chunk.chunk)
        latest = {each.job_id: each for each in (*noted, *outcomes)}
        rows.put_outcomes(s3, settings, operation, self.chunk.chunk, latest.values())

    def _todo(self) -> deque[tuple[JobRecord, bool]]:
        """The jobs to take up now, in row order, and whether each lost its worker."""
        now = self.worker.now()
        todo: deque[tuple[JobRecord, bool]] = deque()
        positions = range(len(self.rows)) if self.only is None else [self.only]
        for position in positions:
            job = self.records.get(position)
            if job is None:
                if self.run_.name == MAIN:
                    place = JobAddress(self.batch.batch_id, self.chunk.chunk, position)
                    todo.append((new_job(place, now), False))
            elif self.run_.owns(job.cause):
                due = job.next_at is None or job.next_at <= now + timedelta(seconds=0.5)
                if job.state is JobState.RUNNING:
                    todo.append((job, True))
                elif job.state is JobState.SCHEDULED and due:
                    todo.append((job, False))
        return todo

    # The loop

    def run(self) -> None:
        """Start what there is to do, keep `OVERLAP` of it going, end it, count it."""
        todo = self._todo()
        self._check(self.batch.state)
        going: Going = {}
        with ThreadPoolExecutor(OVERLAP) as pool:
            while todo or going:
                if todo and self._may_start(going):
                    self._start(todo, going, pool)
                if not going and not self.ended:
                    if not todo or self._out_of_time() or self._stopped():
                        break
                    continue
                self._gather(going)
                show_running(self.progress.values(), self.worker.now())
                self._look()
        if self._stopped():
            self._put_aside(todo)
        self._save(passed=not (todo and not self._stopped()))
        if self.hold and todo:
            self._leave_to_a_lift(self.hold)

    def _leave_to_a_lift(self, seen: Hold) -> None:
        """If the hold that jobs were put aside for is gone by now, let it be lifted once more: this
        worker was late, and nobody else would look for them."""
        if holds.of_scopes(scopes_of(self.batch.collection, self.batch.job_type)):
            return
        with suppress(StaleState):  # somebody holds the scope again
            holds.put(replace(seen, until=self.worker.now()))

    def _may_start(self, going: Going) -> bool:
        alone = any(job.history[-1].event == "restart" for job, _ in going.values())
        few = len(going) <= OVERLAP // 2
        return few and not alone and not self._out_of_time() and not self._stopped()

    def _out_of_time(self) -> bool:
        return self.worker.remaining() < MARGIN_S

    def _stopped(self) -> bool:
        return self.cancelling or self.hold is not None

    def _check(self, state: BatchState) -> None:
        """Is there a hold, was the batch cancelled? Then nothing more is started. Who may deposit
        is looked at too: a job that is at work asks for that before it writes."""
        now = self.worker.now()
        self.looked_at = now
        scopes = scopes_of(self.batch.collection, self.batch.job_type)
        self.hold = in_force(holds.of_scopes(scopes), now)
        self.collection = collections.find(self.batch.collection)
        self.cancelling = state in {BatchState.CANCELLING, BatchState.DELETED}

    def _look(self) -> None:
        """Every two seconds of a long pass: check, and show the counts."""
        now = self.worker.now()
        if (now - self.looked_at).total_seconds() >= _LOOK_S:
            self._check(batches.get(self.batch.batch_id, now).state)
            self._save()

    def _start(
        self,
        todo: deque[tuple[JobRecord, bool]],
        going: Going,
        pool: ThreadPoolExecutor,
    ) -> None:
        """Write that the next jobs run, then run them. Jobs that lost a worker run one at a time:
        one of them may be what killed it."""
        now = self.worker.now()
        busy = {key for _, key in going.values() if key}
        changes: list[tuple[JobRecord, JobRecord]] = []
        later: deque[tuple[JobRecord, bool]] = deque()
        while todo and len(going) + len(changes) < OVERLAP:
            job, was_lost = todo.popleft()
            key = self.job_type.lock(self.rows[job.place.position])
            if was_lost and (going or changes):
                later.append((job, was_lost))
                break
            if key and key in busy:
                later.append((job, was_lost))
                continue
            busy.add(key)
            cause = self.run_.cause(self.chunk.chunk, job.tries + 1)
            if was_lost and job.lost >= ORPHAN_LIMIT:
                changes.append((job, orphaned(job, now, cause)))
            else:
                changes.append((job, started(job, now, cause)))
            if was_lost:
                break
        todo.extendleft(reversed(later))
        written = self._written([(_stored(job), after) for job, after in changes])
        for (_, after), stored in zip(changes, written, strict=True):
            if stored is None:
                continue
            self.records[after.place.position] = stored
            if stored.state is JobState.RUNNING:
                key = self.job_type.lock(self.rows[after.place.position])
                progress = self.progress[stored.place.position] = Progress(stored)
                going[pool.submit(self._perform, stored, progress)] = (stored, key)
            else:
                self._finish(stored)

    def _perform(self, job: JobRecord, progress: Progress) -> AttemptResult | None:
        row = self.rows[job.place.position]
        work = StepInput(
            batch_id=self.batch.batch_id,
            job_id=job.place.job_id,
            collection=self.batch.collection,
            entry=row,
            parameters=self.batch.parameters,
            data=job.data,
            attempt=job.tries,
            depositor=self.batch.depositor,
        )
        touch = self.worker.touch(self.job_type.time_limit, lambda: self.collection)
        with ExitStack() as met:
            met.push(lambda kind, *_: self._tell_surprise(kind, progress, work, touch))
            attempted = run_steps(self.job_type, progress, work, touch, self.worker.now)
        return attempted and self._told_if_failed(attempted, work, touch)

    def _tell_surprise(
        self,
        kind: type[BaseException] | None,
        progress: Progress,
        work: StepInput,
        touch: StepContext,
    ) -> bool:
        """When a step raised what it did not foresee, and the job fails by that: tell of it too."""
        if kind is not None and issubclass(kind, Exception):
            met = unexpected_failure(progress, self.worker.now())
            told = self._told_if_failed(met, work, touch)
            with progress.lock:
                progress.record = replace(progress.record, data=told.record.data)
        return False  # what was raised goes on

    def _told_if_failed(
        self, attempted: AttemptResult, work: StepInput, touch: StepContext
    ) -> AttemptResult:
        """The attempt, and if the job fails by it what came of telling whom its type tells."""
        if isinstance(attempted.outcome, Done):
            return attempted
        record = attempted.record
        after = ended(attempted, self.job_type, self.worker.now(), record.cause)
        if after.state is not JobState.FAILED:
            return attempted
        work = replace(work, data=record.data)
        met = (after.failure_code, after.failure_message, record.requeues)
        found = self.job_type.failed(work, touch, *met)
        return replace(attempted, record=replace(record, data={**record.data, **found}))

    def _gather(self, going: Going) -> None:
        """Wait for jobs to end; write their ends together, up to 25 of them."""
        done, _ = wait(going, timeout=0.1, return_when=FIRST_COMPLETED) if going else (set(), None)
        if done and len(done) < len(going):
            done, _ = wait(going, timeout=_LINGER_S)
        now = self.worker.now()
        for future in done:
            job, _ = going.pop(future)
            error = future.exception()
            if error:
                self.surprises[job.place.position] = error
            progress = self.progress.pop(job.place.position)
            attempted = unexpected_failure(progress, now) if error else future.result()
            if attempted is None:
                self.overtaken = True
                continue
            after = ended(attempted, self.job_type, now, job.cause)
            self.ended.append((attempted.record, after))
        if self.ended and (len(self.ended) >= jobs.BATCH_LIMIT or not going or not done):
            self._write_ends()

    def _write_ends(self) -> None:
        stored, self.ended = self._written(self.ended), []
        for job in filter(None, stored):
            self.records[job.place.position] = job
            self._finish(job)

    def _finish(self, job: JobRecord) -> None:
        place = job.place
        surprise = self.surprises.pop(place.position, None)
        if job.state is not JobState.SCHEDULED or surprise:
            self.finished.append(
                FinishedJob(
                    place.job_id,
                    self.job_type.name,
                    job.state.value,
                    job.failure_code,
                    surprise,
                )
            )

    def _put_aside(self, todo: deque[tuple[JobRecord, bool]]) -> None:
        """Under a hold what would start is held; in a cancelled batch what is recorded ends.

        A job that lost its worker is first scheduled again, so that the next pass can hold it.
        """
        if self.cancelling:
            events = {JobState.SCHEDULED: "cancel", JobState.HELD: "cancel"}
            events[JobState.RUNNING] = "cancel"
            own = [job for job, was_lost in todo if was_lost]
            waiting = [job for job in self.records.values() if job.state is not JobState.RUNNING]
            jobs_aside = [job for job in (*waiting, *own) if job.state in events]
            reason = "its batch was cancelled or deleted"
        else:
            events = {JobState.SCHEDULED: "hold", JobState.RUNNING: "reschedule"}
            jobs_aside = [job for job, _ in todo]
            reason = self.hold.words() if self.hold else ""
        now = self.worker.now()
        changes: list[tuple[JobRecord | None, JobRecord]] = []
        for job in jobs_aside:
            cause = Cause(self.run_.cause(self.chunk.chunk, job.tries), reason=reason)
            move = JOB.move(job.state, events[job.state], now, cause)
            next_at = now if move.event == "reschedule" else None
            changes.append((_stored(job), job.moved(move, next_at=next_at)))
        for (_, after), stored in zip(changes, self._written(changes), strict=True):
            if stored is not None:
                self.records[after.place.position] = stored

    # Counting

    def _written(
        self, changes: Sequence[tuple[JobRecord | None, JobRecord]]
    ) -> list[JobRecord | None]:
        """The changes as they are stored now; None for those that someone else was first at."""
        written = jobs.write_many(changes)
        self.overtaken |= any(stored is None for stored in written)
        return written

    def _save(self, *, passed: bool = False, planned: Iterable[JobRecord] = ()) -> None:
        """Write the chunk's counts; when someone else changed a job meanwhile, count again."""
        while True:
            if self.overtaken:
                self.overtaken = False
                self.seen = self._counts()
                self._reread()
            known = self.records | {job.place.position: job for job in planned}
            waiting = [
                job.next_at
                for job in known.values()
                if job.state is JobState.SCHEDULED and job.next_at and self.run_.owns(job.cause)
            ]
            before = self.seen.passage(self.run_.name)
            number = max(before.passed, self.run_.number)  # a late worker is in an earlier pass
            passage = Passage(number, min(waiting, default=None)) if passed else before
            new = self.seen.passed(self.run_.name, passage).counting(known.values())
            if new == self.seen:
                return
            try:
                self.seen = chunks.put(new)
            except StaleState:
                self.overtaken = True
            else:
                return


def _was_sent(job: JobRecord | None, operation: Operation) -> bool:
    """Whether the operation's event has reached the job, whichever worker sent it."""
    return job is not None and any(e.cause == operation.operation_id for e in job.history)


def _stored(job: JobRecord) -> JobRecord | None:
    return job if job.version else None
