"""Operations: one event applied to many jobs of a batch, chunk by chunk."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from jobyard.domain.activity import Subject
from jobyard.domain.batches.batch import REPAIRABLE, Batch, BatchState
from jobyard.domain.batches.chunks import ChunkRecord, unrecorded_job, unrecorded_state
from jobyard.domain.batches.operation import Filter, Operation
from jobyard.domain.errors import BadRequest, InvalidTransition
from jobyard.domain.jobs.job import JOB, JobAddress, JobRecord, JobState
from jobyard.jobtypes import job_type_of
from jobyard.services import activity
from jobyard.services.access import authorize, visible_batch
from jobyard.services.batches import rows
from jobyard.services.context import CommandContext, require_reason
from jobyard.store import chunks, jobs, operations

# Of a batch whose jobs an operation changes. An update of the report waits for what is held.
_STATES_FOR_HELD = REPAIRABLE | {BatchState.UPDATE_REPORTING}
MAX_JOB_IDS = 1000  # job ids in one operation; a filter can match more jobs
MAX_CHUNKS_COUNTED = 30  # whose rows are read to count jobs by step or name


@dataclass(frozen=True)
class MatchingJobs:
    """How many jobs of a batch match a filter, and the numbers of their chunks.

    `refused` of them cannot be requeued. `reason` says why for the first of these, and is "" when
    the filter has no job ids. Both are for a requeue only. If it `may_match_more`, only the first
    chunks were counted.
    """

    total: int
    chunks: tuple[int, ...]
    refused: int = 0
    reason: str = ""
    may_match_more: bool = False


NO_JOBS = MatchingJobs(0, ())


def events_for_many(batch: Batch, state: JobState, roles: Iterable[str]) -> tuple[str, ...]:
    """The events that a person with `roles` may send to many jobs in `state` at once."""
    return JOB.actions(state, roles) if batch.state in _batch_states(state) else ()


def _batch_states(state: JobState) -> frozenset[BatchState]:
    return _STATES_FOR_HELD if state is JobState.HELD else REPAIRABLE


def _matching_jobs(
    batch: Batch, event: str, wanted: Filter, context: CommandContext
) -> MatchingJobs:
    """Count the jobs that match a filter, by the counts of chunks.

    A filter with job ids is counted exactly. The counts of a chunk that a worker runs may lag. For
    a step or a name, the rows of up to `MAX_CHUNKS_COUNTED` chunks are read.
    """
    if wanted.job_ids:
        found = [job for job in _named_jobs(batch, wanted.job_ids) if wanted.matches(job)]
        refused = [job for job in found if event == "requeue" and not job.requeueable]
        reason = f"job {refused[0].address.job_id}: {refused[0].failure_message}" if refused else ""
        numbers = tuple(sorted({job.address.chunk for job in found}))
        return MatchingJobs(len(found), numbers, len(refused), reason)
    total = refused_count = 0
    numbers_found: list[int] = []
    for record, unrecorded in _chunk_counts(batch, wanted):
        number = wanted.match_count(record) + unrecorded
        if number > 0:
            total += number
            refused_count += wanted.not_requeueable_count(record) if event == "requeue" else 0
            numbers_found.append(record.chunk)
    if wanted.needs_rows:
        return _matching_rows(batch, event, wanted, numbers_found, context)
    return MatchingJobs(total, tuple(numbers_found), refused_count)


def _matching_rows(
    batch: Batch, event: str, wanted: Filter, numbers: list[int], context: CommandContext
) -> MatchingJobs:
    """Count the jobs that match a filter with a step or a name, in the first of the chunks with
    these numbers. The others are searched by the operation.
    """
    counted, left = numbers[:MAX_CHUNKS_COUNTED], numbers[MAX_CHUNKS_COUNTED:]
    job_type = job_type_of(batch.job_type)
    found: list[JobRecord] = []
    for chunk in rows.chunks_of(context.s3, context.settings, batch.batch_id, counted):
        stored = jobs.of_chunk(batch.batch_id, chunk.number)
        records = {job.address.position: job for job in stored}
        lines = rows.rows_of(context.s3, context.settings, batch.batch_id, chunk)
        for position, row in enumerate(lines):
            address = JobAddress(batch.batch_id, chunk.number, position)
            job = records.get(position) or unrecorded_job(batch, address)
            if wanted.matches(job) and wanted.matches_row(
                job_type.current_step(job), rows.names_in(row)
            ):
                found.append(job)
    refused = sum(event == "requeue" and not job.requeueable for job in found)
    matching = sorted({job.address.chunk for job in found})
    return MatchingJobs(len(found), (*matching, *left), refused, may_match_more=bool(left))


def _named_jobs(batch: Batch, job_ids: Iterable[str]) -> Iterator[JobRecord]:
    """The jobs with these ids, as far as the batch has them."""
    for job_id in sorted(job_ids):
        address = JobAddress.parse(job_id)
        if address and batch.has_job(address.chunk, address.position):
            yield jobs.find(address) or unrecorded_job(batch, address)


def _chunk_counts(batch: Batch, wanted: Filter) -> Iterator[tuple[ChunkRecord, int]]:
    """The counts of each chunk, and how many of its jobs match although they have no record."""
    records = {record.chunk: record for record in chunks.of_batch(batch.batch_id)}
    if wanted.state is JobState.SCHEDULED is unrecorded_state(batch):
        for number in range(batch.chunk_count):
            record = records.get(number, ChunkRecord(batch.batch_id, number))
            yield record, batch.job_count(number) - record.recorded
    else:
        yield from ((record, 0) for record in records.values())


def change_jobs(batch_id: str, event: str, wanted: Filter, context: CommandContext) -> Operation:
    """Apply a person's event to all matching jobs of a batch, as one tracked operation of theirs.

    Raises:
        NotFound, Gone, Forbidden, BadRequest, InvalidTransition, StaleState, OperationInProgress:
            as for `start_operation`.
    """
    title = visible_batch(batch_id, context.actor, context.now()).filename
    operation = start_operation(batch_id, event, wanted, context)
    count = 0 if operation.may_match_more else operation.matched
    subject = Subject("job", batch_id, title, count)
    activity.record(context, event, subject, operation.requested_at)
    return operation


def start_operation(
    batch_id: str, event: str, wanted: Filter, context: CommandContext
) -> Operation:
    """Apply `event` to all matching jobs of a batch, as one tracked operation.

    Raises:
        NotFound, Gone, Forbidden, BadRequest, InvalidTransition, StaleState: as for one job.
            InvalidTransition also if no job matches.
        OperationInProgress: an operation that excludes this one is running.
    """
    batch = visible_batch(batch_id, context.actor, context.now())
    authorize(context.actor, "job", event)
    operation = operations.find(batch_id, context.run)
    if operation is None:
        _check_allowed(batch, event, wanted, context)
        require_reason(context, event)
        matching = _matching_jobs(batch, event, wanted, context)
        if not matching.chunks:
            raise InvalidTransition(f"no {wanted.state} job of batch {batch_id} matches")
        if matching.refused == matching.total and not matching.may_match_more:
            which = "the failed job" if matching.total == 1 else f"all {matching.total} failed jobs"
            why = f" ({matching.reason})" if matching.reason else ""
            raise InvalidTransition(f"{which} cannot be requeued{why}; the depositor submits again")
        operation = operations.put_new(
            Operation(
                batch_id=batch_id,
                operation_id=context.run,
                event=event,
                filter=wanted,
                actor=context.actor.name,
                reason=context.reason,
                requested_at=context.now(),
                matched=matching.total,
                not_requeueable=matching.refused,
                may_match_more=matching.may_match_more,
                chunks=matching.chunks,
                sub=context.actor.sub,
            ),
            batch.state,
        )
    context.executions.start_batch(batch_id, "operation", context.run)
    return operation


def preview_operation(
    batch_id: str, event: str, wanted: Filter, context: CommandContext
) -> MatchingJobs:
    """Count the jobs that `start_operation` would apply `event` to now. Needs no reason.

    Raises:
        NotFound, Gone, Forbidden, BadRequest, InvalidTransition: as for `start_operation`, but
            not when no job matches.
    """
    batch = visible_batch(batch_id, context.actor, context.now())
    authorize(context.actor, "job", event)
    _check_allowed(batch, event, wanted, context)
    return _matching_jobs(batch, event, wanted, context)


def _check_allowed(batch: Batch, event: str, wanted: Filter, context: CommandContext) -> None:
    """Check that the filter and the batch's state allow `event`."""
    JOB.authorized_move(wanted.state, event, context.now(), context.cause, context.actor.roles)
    foreign = [each for each in wanted.job_ids if not each.startswith(f"{batch.batch_id}.")]
    if len(wanted.job_ids) > MAX_JOB_IDS or foreign:
        raise BadRequest(f"job_ids takes up to {MAX_JOB_IDS} job ids of batch {batch.batch_id}")
    if wanted.codes and wanted.state is not JobState.FAILED:
        raise BadRequest(f"{wanted.state} jobs have no failure code: leave the codes out")
    if batch.state not in _batch_states(wanted.state):
        raise InvalidTransition(
            f"batch {batch.batch_id} is {batch.state}: cannot {event} jobs of it"
        )
