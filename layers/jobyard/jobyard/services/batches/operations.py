"""Operations: one event applied to many jobs of a batch, chunk by chunk."""

from dataclasses import dataclass

from jobyard.domain.activity import Subject
from jobyard.domain.batches.batch import REPAIRABLE, Batch, BatchState
from jobyard.domain.batches.operation import Filter, Operation
from jobyard.domain.errors import BadRequest, InvalidTransition
from jobyard.domain.jobs.job import JOB, JobAddress, JobState
from jobyard.services import activity
from jobyard.services.access import authorize, visible_batch
from jobyard.services.context import CommandContext, require_reason
from jobyard.store import chunks, jobs, operations

_RELEASABLE = REPAIRABLE | {BatchState.UPDATE_REPORTING}  # which waits for what is held
_MAX_JOB_IDS = 1000  # job ids in one operation; a filter can match more jobs


@dataclass(frozen=True)
class MatchingJobs:
    """How many jobs of a batch match a filter, and the numbers of their chunks.

    `refused` of them cannot be requeued. `reason` says why for the first of these, and is "" when
    the filter has no job ids.
    """

    total: int
    chunks: tuple[int, ...]
    refused: int = 0
    reason: str = ""


def matching_jobs(batch_id: str, wanted: Filter) -> MatchingJobs:
    """Count the jobs that match a filter, by the counts of chunks.

    A filter with job ids is counted exactly. The counts of a chunk that a worker runs may lag.
    """
    if wanted.job_ids:
        addresses = [
            address for job_id in sorted(wanted.job_ids) if (address := JobAddress.parse(job_id))
        ]
        found = [
            job for address in addresses if (job := jobs.find(address)) and wanted.matches(job)
        ]
        refused = [job for job in found if job.state is JobState.FAILED and not job.recoverable]
        reason = f"job {refused[0].address.job_id}: {refused[0].failure_message}" if refused else ""
        numbers = tuple(sorted({job.address.chunk for job in found}))
        return MatchingJobs(len(found), numbers, len(refused), reason)
    total = refused_count = 0
    numbers_found: list[int] = []
    for record in chunks.of_batch(batch_id):
        number = wanted.match_count(record)
        if number > 0:
            total += number
            refused_count += wanted.not_retryable_count(record)
            numbers_found.append(record.chunk)
    return MatchingJobs(total, tuple(numbers_found), refused_count)


def requeue_jobs(batch_id: str, wanted: Filter, context: CommandContext) -> Operation:
    """Requeue all matching failed jobs, as one tracked operation of a person.

    Raises:
        NotFound, Gone, Forbidden, BadRequest, InvalidTransition: as for `start_operation`.
        OperationInProgress: a requeue of the same jobs is running.
    """
    return change_jobs(batch_id, "requeue", wanted, context)


def change_jobs(batch_id: str, event: str, wanted: Filter, context: CommandContext) -> Operation:
    """Apply a person's event to all matching jobs of a batch, as `start_operation` does."""
    operation = start_operation(batch_id, event, wanted, context)
    subject = Subject("job", batch_id, count=operation.matched)
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
        matching = matching_jobs(batch_id, wanted)
        if not matching.total:
            raise InvalidTransition(f"no {wanted.state} job of batch {batch_id} matches")
        if event == "requeue" and matching.refused == matching.total:
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
                not_retryable=matching.refused if event == "requeue" else 0,
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
    return matching_jobs(batch_id, wanted)


def _check_allowed(batch: Batch, event: str, wanted: Filter, context: CommandContext) -> None:
    """Check that the filter and the batch's state allow `event`."""
    JOB.authorized_move(wanted.state, event, context.now(), context.cause, context.actor.roles)
    foreign = [each for each in wanted.job_ids if not each.startswith(f"{batch.batch_id}.")]
    if len(wanted.job_ids) > _MAX_JOB_IDS or foreign:
        raise BadRequest(f"job_ids takes up to {_MAX_JOB_IDS} job ids of batch {batch.batch_id}")
    if batch.state not in (_RELEASABLE if event == "release" else REPAIRABLE):
        raise InvalidTransition(
            f"batch {batch.batch_id} is {batch.state}: cannot {event} jobs of it"
        )
