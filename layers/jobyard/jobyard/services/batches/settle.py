"""Settles a batch after a pass: sums up the counts of its chunks and decides what comes next.

Every pass of every run ends here. Several executions may settle a batch at once: only one of them
can move it to `reporting`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from jobyard.domain.batches.batch import BATCH, Batch, BatchState
from jobyard.domain.batches.chunks import ChunkRecord, sum_counts
from jobyard.domain.cause_key import MAIN_RUN, Action, CauseKey
from jobyard.domain.errors import StaleState
from jobyard.domain.jobs.job import OPEN_JOB_STATES, JobAddress, JobState
from jobyard.domain.lifecycle import Cause
from jobyard.services.batches import rows
from jobyard.services.batches.orphans import give_up_chunk
from jobyard.services.batches.worker_leases import lease_workers, release_workers
from jobyard.services.executions import Executions, batch_execution
from jobyard.services.runs import NEVER_WAITED, RECOVERY_PASSES, ExecutionRun, NextStep, Waits
from jobyard.services.settings import Settings
from jobyard.store import batches, chunks, jobs, operations

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Passes in a row without progress, until chunks are given up. Waits grow to half an hour, so this
# is three days: time to fix what stops workers from starting, even over a weekend.
STALLED_PASSES = 150
STALLED_CANCEL = 5  # the same for a batch that is being cancelled
_MAX_GIVEN_UP = 200  # chunks: the Lambda has five minutes, and the next pass tries the others
_CHECKED_CHUNKS = 20  # unfinished chunks that are checked for progress
PASSES_PER_EXECUTION = 500  # AWS ends an execution after 25,000 history events
_WAITS_PER_EXECUTION = 500  # the same; a wait has nine events
_MAX_IDLE = timedelta(seconds=10)  # if the next pass begins later, the workers are released
_FIRST_WAIT_S = 5.0  # after a pass without progress; then four times as long each time
_LONGEST_WAIT_S = 1800.0


@dataclass(frozen=True)
class SettleContext:
    """The deployment, S3, the clock and the executions."""

    settings: Settings
    s3: "S3Client"
    now: Callable[[], datetime]
    executions: Executions


def settle(
    batch_id: str, run: ExecutionRun, context: SettleContext, waits: Waits = NEVER_WAITED
) -> NextStep:
    """Decide what comes after a pass of `run`: another pass, the report, or the execution's end.

    The workers of the pass are leased again for the next one, or given back.
    """
    batch = batches.get(batch_id, context.now())
    step = _next_step(batch, run, context, waits)
    if step.next in {"report", "end"}:
        release_workers(batch_id, run.name, context.settings, context.now())
    return step


def _next_step(batch: Batch, run: ExecutionRun, context: SettleContext, waits: Waits) -> NextStep:
    batch_id = batch.batch_id
    cause = run.cause_of(Action.SETTLE)
    if batch.state is BatchState.REPORTING:
        is_ours = batch.history[-1].cause == cause or run.recoveries > 0
        return NextStep(batch_id, "report" if is_ours else "end", run=run)
    if not batch.entries:
        if batch.state is BatchState.CANCELLING:
            reason = "it was cancelled before its manifest was read"
            return _report(batch, run, cause, context, reason)
        return NextStep(batch_id, "end", run=run)
    records = {record.chunk: record for record in chunks.of_batch(batch_id)}
    due, last_pass = due_chunks(batch, records, run, context.now())
    if due:
        return _next_pass(batch, _DueChunks(due, last_pass), run, context, waits)
    if run.name != MAIN_RUN:
        _end_operation(batch_id, run, records, context)
    if open_jobs(batch, records.values()) or operations.is_any_running(batch_id):
        return NextStep(batch_id, "end", run=run)
    if batch.is_executing:
        return _report(batch, run, cause, context, "")
    is_updating = batch.state is BatchState.UPDATE_REPORTING
    return NextStep(batch_id, "report" if is_updating else "end", run=run)


def settle_job(address: JobAddress, run: ExecutionRun, context: SettleContext) -> NextStep:
    """Decide what comes after the execution of a single job of a batch. It runs no passes."""
    step = settle(address.origin_id, run, context)
    if step.next == "report":
        return step
    release_workers(address.origin_id, run.name, context.settings, context.now())
    return replace(step, next="end")


def give_up(batch_id: str, run: ExecutionRun, context: SettleContext, reason: str) -> NextStep:
    """Report a batch that could not be opened, with `reason` as its failure message."""
    batch = batches.get(batch_id, context.now())
    cause = run.cause_of(Action.SETTLE)
    if batch.state is BatchState.REPORTING and batch.history[-1].cause == cause:
        return NextStep(batch_id, "report", run=run)
    if batch.state is not BatchState.PROCESSING or batch.entries:
        return settle(batch_id, run, context)
    return _report(batch, run, cause, context, reason)


def _report(
    batch: Batch, run: ExecutionRun, cause: str, context: SettleContext, reason: str
) -> NextStep:
    move = BATCH.move(batch.state, "report", context.now(), Cause(cause))
    try:
        batches.apply(batch, move, failure_message=reason or batch.failure_message)
    except StaleState:
        return NextStep(batch.batch_id, "end", run=run)  # another settle was first
    return NextStep(batch.batch_id, "report", run=run)


def open_jobs(batch: Batch, records: Iterable[ChunkRecord]) -> int:
    """How many jobs have not ended, at least. In a cancelled batch, jobs without a record will not
    start: there each chunk without a pass counts as one.
    """
    seen = list(records)
    counts = sum_counts(record.counts for record in seen)
    open_count = sum(counts.get(state, 0) for state in OPEN_JOB_STATES)
    if batch.state is BatchState.CANCELLING:
        passed = sum(record.progress(MAIN_RUN).last_pass > 0 for record in seen)
        return open_count + (batch.chunk_count - passed)
    return open_count + batch.entries - sum(record.recorded for record in seen)


@dataclass(frozen=True)
class _DueChunks:
    """The chunks that need another pass of a run, each with the time at which it is due, and the
    run's last pass.
    """

    times: dict[int, datetime]
    last_pass: int


def _next_pass(
    batch: Batch, found: _DueChunks, run: ExecutionRun, context: SettleContext, waits: Waits
) -> NextStep:
    """Another pass over the due chunks, or over as many as the run gets workers for.

    A run without progress waits longer each time. In the end its chunks are given up.
    """
    now, due = context.now(), found.times
    # Passes after the Nth recovery are counted from N * RECOVERY_PASSES.
    stalled = run.number - max(found.last_pass, run.recoveries * RECOVERY_PASSES)
    if stalled > 0:
        stalled = min(stalled, run.number - _last_progress(batch, [*due], run))
    if stalled >= (STALLED_CANCEL if batch.state is BatchState.CANCELLING else STALLED_PASSES):
        batch = _cancel_stalled(batch, run, now)
        for number in [*due][:_MAX_GIVEN_UP]:
            give_up_chunk(batch, number, run, now)
            del due[number]
        if not due:
            return _next_step(batches.get(batch.batch_id, now), run, context, waits)
        stalled = 0
    # If this execution has just waited, and ran no pass since, there is no second backoff.
    has_waited = waits.pass_began is None and waits.count > 0
    backoff_s = 0.0
    if stalled > 0 and not has_waited:
        backoff_s = min(_FIRST_WAIT_S * 4 ** min(stalled - 1, 10), _LONGEST_WAIT_S)
    until = max(min(due.values()), now + timedelta(seconds=backoff_s))
    if until > now + _MAX_IDLE:
        release_workers(batch.batch_id, run.name, context.settings, now)
        return _settle_later(batch, run, until, waits)
    ready = [number for number, at in due.items() if at <= until + timedelta(seconds=1)]
    size = lease_workers(batch, run.name, len(ready), context.settings, now)
    if not size.workers:
        return _settle_later(batch, run, now + size.wait, waits)
    next_run = run.next_pass()
    key = rows.pass_key(batch.batch_id, next_run.name, next_run.number)
    index = rows.chunks_of(context.s3, context.settings, batch.batch_id, ready[: size.chunks])
    version = rows.put_index(context.s3, context.settings, key, index)
    passes = run.number % RECOVERY_PASSES  # since the last recovery
    is_last = passes > 0 and passes % PASSES_PER_EXECUTION == 0
    return NextStep(
        batch.batch_id,
        "continue_as_new" if is_last else "next_pass",
        run=next_run,
        until=until,
        index_bucket=context.settings.work_bucket,
        index_key=key,
        index_version=version,
        max_concurrency=size.workers,
        execution_name=_next_execution(batch.batch_id, next_run),
        waits=waits.count,
    )


def _settle_later(batch: Batch, run: ExecutionRun, until: datetime, waits: Waits) -> NextStep:
    """Settle again at `until`. An execution that has waited often continues in a new one, because
    its history is long, with the name that a recovery would give to it.
    """
    step = NextStep(batch.batch_id, "settle_later", run=run, until=until, waits=waits.count + 1)
    if waits.count < _WAITS_PER_EXECUTION:
        return step
    number = run.recoveries + 1
    name = batch_execution(batch.batch_id, "settle", run.name, number)
    recovered = ExecutionRun.recovered(run.name, number)
    return replace(step, next="continue_as_new", run=recovered, execution_name=name)


def _next_execution(batch_id: str, run: ExecutionRun) -> str:
    """The name of the execution that continues a run after `PASSES_PER_EXECUTION` passes."""
    return f"{batch_id}-{run.name}-p{run.number}"


def continued_executions(batch_id: str, run: str, last_pass: int) -> list[str]:
    """The names of the new executions that may continue a run after its pass `last_pass`.

    Passes without progress are not in `last_pass`: up to `STALLED_PASSES` may have followed it, and
    the latest execution may have begun before them or among them.
    """
    ended = (last_pass, last_pass + STALLED_PASSES)
    latest = {each // PASSES_PER_EXECUTION * PASSES_PER_EXECUTION for each in ended}
    return [
        _next_execution(batch_id, ExecutionRun(run, number + 1))
        for number in sorted(latest)
        if number % RECOVERY_PASSES
    ]


def due_chunks(
    batch: Batch, records: dict[int, ChunkRecord], run: ExecutionRun, now: datetime
) -> tuple[dict[int, datetime], int]:
    """The chunks that need another pass of a run, each with the time at which it is due; and the
    run's last pass.
    """
    due: dict[int, datetime] = {}
    last_pass = 0
    for number in _chunks_of_run(batch, records, run):
        record = records.get(number, ChunkRecord(batch.batch_id, number))
        progress = record.progress(run.name)
        last_pass = max(last_pass, progress.last_pass)
        if not progress.last_pass:
            due[number] = now
        elif progress.next_at:
            due[number] = progress.next_at
        elif batch.state is BatchState.CANCELLING and _has_waiting(record):
            due[number] = now
    return due, last_pass


def _chunks_of_run(
    batch: Batch, records: dict[int, ChunkRecord], run: ExecutionRun
) -> Iterable[int]:
    """The chunks of a run: all of the batch's, the operation's, or those with jobs to cancel."""
    if run.name == MAIN_RUN:
        return range(batch.chunk_count) if batch.is_executing else ()
    operation = operations.find(batch.batch_id, run.name)
    if operation:
        return operation.chunks
    if batch.state is BatchState.CANCELLING:
        return [number for number, record in records.items() if _has_waiting(record)]
    return ()


def _has_waiting(record: ChunkRecord) -> bool:
    """Whether a chunk counts jobs that are scheduled or held."""
    return bool(record.count(JobState.SCHEDULED) or record.count(JobState.HELD))


def _last_progress(batch: Batch, due: list[int], run: ExecutionRun) -> int:
    """The last pass of `run` that moved a job of the due chunks; 0 if none did.

    A worker that dies on one job after another counts as progress: each of them is orphaned and
    in the end fails.
    """
    passes = (
        CauseKey.parse(job.cause).pass_number
        for number in due[:_CHECKED_CHUNKS]
        for job in jobs.of_chunk(batch.batch_id, number)
        if run.owns(job.cause)
    )
    return max(passes, default=0)


def _cancel_stalled(batch: Batch, run: ExecutionRun, now: datetime) -> Batch:
    """Cancel a batch whose workers cannot start its jobs. Then it is reported, and jobs that never
    started count as cancelled, not failed. A run of an operation leaves the batch as it is.
    """
    if batch.state is not BatchState.PROCESSING or run.name != MAIN_RUN:
        return batch
    reason = f"in {STALLED_PASSES} passes no worker could start its jobs"
    cause = Cause(run.cause_of(Action.STALLED), reason=reason)
    return batches.apply(batch, BATCH.move(batch.state, "cancel", now, cause))


def _end_operation(
    batch_id: str, run: ExecutionRun, records: Mapping[int, ChunkRecord], context: SettleContext
) -> None:
    operation = operations.find(batch_id, run.name)
    if operation:
        of_chunks = [records[number].progress(run.name).outcomes for number in operation.chunks]
        known = [each for each in of_chunks if each is not None]
        is_known = len(known) == len(of_chunks)
        operations.end(operation, context.now(), sum_counts(known) if is_known else None)
