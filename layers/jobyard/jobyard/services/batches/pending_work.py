"""The pending work of a batch: what executions still have to do for it.

It is derived from what is stored. Only counts of chunks that are wrong are corrected.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from jobyard.domain.batches.batch import Batch, BatchState
from jobyard.domain.batches.chunks import ChunkRecord
from jobyard.domain.cause_key import MAIN_RUN, Action, CauseKey
from jobyard.domain.errors import StaleState
from jobyard.domain.jobs.job import JobRecord, JobState
from jobyard.services.batches.commands import COMMANDS
from jobyard.services.batches.settle import continued_executions, due_chunks, open_jobs
from jobyard.services.executions import Executions, batch_execution
from jobyard.services.pending_work import WORKER_TIMEOUT, PendingWork, work_of_job
from jobyard.services.runs import ExecutionRun
from jobyard.store import chunks, jobs, operations

CHUNKS_CHECKED = 20  # of one batch at a time; the other chunks are checked in the next minutes


def work_of_batch(batch: Batch, executions: Executions, now: datetime) -> Iterator[PendingWork]:
    """The work that executions have to do for a batch."""
    since = batch.history[-1].at if batch.history else batch.submitted_at
    is_reading = batch.state is BatchState.PROCESSING and not batch.entries
    if batch.source is not None and (batch.state is BatchState.PENDING or is_reading):
        yield _batch_work(batch, "open", _possible_executions(batch), since, executions)
        return
    if batch.state is BatchState.REPORTING:
        yield _batch_work(batch, "settle", _possible_executions(batch), since, executions)
        return
    records = {record.chunk: record for record in chunks.of_batch(batch.batch_id)}
    incomplete: list[JobRecord] = []
    for number in _chunks_to_check(records.values(), now):
        found = [*jobs.of_chunk(batch.batch_id, number)]
        records[number] = _recount(batch, records[number], found, now)
        incomplete += found
    running = [*operations.running(batch.batch_id)]
    for operation in running:
        run = operation.operation_id
        last_pass = max((each.progress(run).last_pass for each in records.values()), default=0)
        yield _operation_work(batch, run, last_pass, operation.requested_at, executions)
    owners = {MAIN_RUN, *(operation.operation_id for operation in running)}
    for job in incomplete:
        if _awaits_work(job) and _owner(job) not in owners:  # it has an execution of its own
            yield work_of_job(job.address, _owner(job), job.at, executions)
    if batch.state is not BatchState.FAILED:
        due, last_pass = due_chunks(batch, records, ExecutionRun(MAIN_RUN, 1), now)
        if due or not (running or open_jobs(batch, records.values())):
            others = _possible_executions(batch, last_pass)
            yield _batch_work(batch, "settle", others, since, executions)


def _possible_executions(batch: Batch, last_pass: int = 0) -> tuple[str, ...]:
    """The names of the executions that may be working on a whole batch, from its history."""
    names: dict[str, None] = {}
    for entry in reversed(batch.history):
        opened = CauseKey.parse(entry.cause)
        if opened.action is Action.OPEN:
            names[opened.subject] = None
            break
    for entry in reversed(batch.history):
        if entry.event in COMMANDS:
            names[batch_execution(batch.batch_id, COMMANDS[entry.event], entry.cause)] = None
            break
    settled = CauseKey.parse(batch.history[-1].cause) if batch.history else CauseKey()
    if settled.action is Action.SETTLE:
        run = ExecutionRun(settled.run, settled.pass_number)
        names |= dict.fromkeys(continued_executions(batch.batch_id, run.name, run.number))
        if run.name != MAIN_RUN:
            names[batch_execution(batch.batch_id, "operation", run.name)] = None
            names[batch_execution(batch.batch_id, "settle", run.name, run.recoveries)] = None
    return (*names, *continued_executions(batch.batch_id, MAIN_RUN, last_pass))


def _batch_work(
    batch: Batch,
    command: str,
    other_names: tuple[str, ...],
    since: datetime,
    executions: Executions,
) -> PendingWork:
    return PendingWork(
        executions.settings.batch_machine,
        since,
        1,
        lambda number: batch_execution(batch.batch_id, command, MAIN_RUN, number),
        lambda number: executions.start_batch(batch.batch_id, command, MAIN_RUN, number),
        other_names,
    )


def _operation_work(
    batch: Batch, run: str, last_pass: int, since: datetime, executions: Executions
) -> PendingWork:
    def command(number: int) -> str:
        return "settle" if number else "operation"

    return PendingWork(
        executions.settings.batch_machine,
        since,
        0,
        lambda number: batch_execution(batch.batch_id, command(number), run, number),
        lambda number: executions.start_batch(batch.batch_id, command(number), run, number),
        tuple(continued_executions(batch.batch_id, run, last_pass)),
    )


def _chunks_to_check(records: Iterable[ChunkRecord], now: datetime) -> list[int]:
    """Up to `CHUNKS_CHECKED` of the incomplete chunks, different ones each minute."""
    numbers = [record.chunk for record in records if _is_incomplete(record)]
    start = int(now.timestamp() // 60) * CHUNKS_CHECKED % max(len(numbers), 1)
    return [*numbers[start:], *numbers[:start]][:CHUNKS_CHECKED]


def _is_incomplete(record: ChunkRecord) -> bool:
    """Whether a chunk counts open jobs, but the batch's own run has no further pass over it."""
    progress = record.progress(MAIN_RUN)
    is_open = record.count(JobState.SCHEDULED) or record.count(JobState.RUNNING)
    return bool(is_open and progress.last_pass and progress.next_at is None)


def _recount(
    batch: Batch, record: ChunkRecord, found: list[JobRecord], now: datetime
) -> ChunkRecord:
    """Correct the counts of a chunk from its jobs `found`, which were read after it.

    A late worker, or one that was cut off, may have saved wrong counts. If a job of the batch's own
    run has had no worker for long, another pass over the chunk becomes due.
    """
    if not found:
        return record
    has_orphan = any(
        _awaits_work(job) and _owner(job) == MAIN_RUN and now - job.at >= WORKER_TIMEOUT
        for job in found
    )
    counted = replace(record.with_counts_of(found), collection=batch.collection)
    if counted.counts == record.counts and not has_orphan:
        return record
    progress = replace(record.progress(MAIN_RUN), next_at=now if has_orphan else None)
    runs = {**record.runs, MAIN_RUN: progress}
    try:
        return chunks.put(replace(counted, runs=runs))
    except StaleState:
        return record  # a worker has just saved its own counts


def _awaits_work(job: JobRecord) -> bool:
    return job.state in {JobState.SCHEDULED, JobState.RUNNING}


def _owner(job: JobRecord) -> str:
    """The name of the run that last moved a job."""
    return CauseKey.parse(job.cause).run
