"""A batch's operations, as details show them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from jobyard.domain.batches.operation import ACCEPTED, JobOutcome, Operation, count_outcomes
from jobyard.services.access import visible_batch
from jobyard.services.batches import rows
from jobyard.services.context import QueryContext
from jobyard.store import jobs, operations


@dataclass(frozen=True)
class OperationView:
    """An operation with the outcome of each job, chunk by chunk. `after` is the position of the
    next chunk in the operation's list; None when all are shown.
    """

    operation: Operation
    counts: Mapping[str, int]
    outcomes: tuple[JobOutcome, ...]
    after: int | None


def operation(
    batch_id: str, operation_id: str, context: QueryContext, *, after: int = 0, limit: int = 10
) -> OperationView:
    """An operation, with the outcomes in up to `limit` of its chunks.

    Raises:
        NotFound, Gone: there is no such batch or operation, or the actor may not know of it.
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


def _outcomes(found: Operation, number: int, context: QueryContext) -> list[JobOutcome]:
    outcomes = rows.outcomes_of(context.s3, context.settings, found, number)
    if not outcomes:
        return []
    stands = {job.address.job_id: job.state.value for job in jobs.of_chunk(found.batch_id, number)}
    return [
        replace(each, outcome=stands[each.job_id]) if each.outcome == ACCEPTED else each
        for each in outcomes
    ]
