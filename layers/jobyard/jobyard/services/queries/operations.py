"""A batch's operations, as details show them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from jobyard.domain.batches.operation import ACCEPTED, JobOutcome, Operation, count_outcomes
from jobyard.domain.jobs.job import JobAddress
from jobyard.services.access import visible_batch
from jobyard.services.batches import rows
from jobyard.services.context import QueryContext
from jobyard.store import jobs, operations


@dataclass(frozen=True)
class OperationView:
    """An operation with the outcomes of some of its jobs, in manifest order, and their counts.

    `after` is the position of the next chunk in the operation's list; None after the last.
    """

    operation: Operation
    counts: Mapping[str, int]
    outcomes: tuple[JobOutcome, ...]
    after: int | None


def operation(
    batch_id: str, operation_id: str, context: QueryContext, *, after: int = 0, limit: int = 10
) -> OperationView:
    """An operation with the outcomes in up to `limit` of its chunks, from position `after` on.

    Raises:
        NotFound, Gone: there is no such batch or operation, or the actor may not see it.
    """
    visible_batch(batch_id, context.actor, context.now)
    found = operations.get(batch_id, operation_id)
    outcomes: list[JobOutcome] = []
    for number in found.chunks[after : after + limit]:
        outcomes += _outcomes(found, number, context)
    next_chunk = after + limit
    return OperationView(
        found,
        count_outcomes(outcomes),
        tuple(outcomes),
        next_chunk if next_chunk < len(found.chunks) else None,
    )


def operations_version(batch_id: str) -> int:
    """A number that changes whenever an operation of a batch starts or ends."""
    return operations.running_list(batch_id).version


def list_operations(batch_id: str, context: QueryContext) -> tuple[Operation, ...]:
    """The operations on a batch's jobs, newest first.

    Raises:
        NotFound, Gone: there is no such batch, or the actor may not see it.
    """
    visible_batch(batch_id, context.actor, context.now)
    found = operations.of_batch(batch_id)
    return tuple(sorted(found, key=lambda each: each.requested_at, reverse=True))


def rows_of_outcomes(view: OperationView, context: QueryContext) -> dict[str, rows.Row]:
    """The rows of the jobs whose outcomes a view has, by job id.

    Raises:
        NotFound, Gone: there is no such batch, or the actor may not see it.
    """
    batch = visible_batch(view.operation.batch_id, context.actor, context.now)
    addresses = [each for job in view.outcomes if (each := JobAddress.parse(job.job_id))]
    of_chunks = {}
    for number in {each.chunk for each in addresses}:
        chunk = rows.chunk_of(context.s3, context.settings, batch, number)
        of_chunks[number] = rows.rows_of(context.s3, context.settings, batch.batch_id, chunk)
    return {each.job_id: of_chunks[each.chunk][each.position] for each in addresses}


def _outcomes(found: Operation, number: int, context: QueryContext) -> list[JobOutcome]:
    """The outcomes in a chunk. The outcome of an accepted job is its present state."""
    outcomes = rows.outcomes_of(context.s3, context.settings, found, number)
    if not outcomes:
        return []
    states = {job.address.job_id: job.state.value for job in jobs.of_chunk(found.batch_id, number)}
    return [
        replace(each, outcome=states[each.job_id]) if each.outcome == ACCEPTED else each
        for each in outcomes
    ]
