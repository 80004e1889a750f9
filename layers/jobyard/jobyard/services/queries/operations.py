"""A batch's operations, as lists and details show them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby

from jobyard.domain.batches.batch import Batch
from jobyard.domain.batches.operation import ACCEPTED, JobOutcome, Operation, count_outcomes
from jobyard.domain.jobs.job import JobAddress
from jobyard.services.access import visible_batch
from jobyard.services.batches import rows
from jobyard.services.context import QueryContext
from jobyard.store import chunks, jobs, operations

MAX_CHUNKS_READ = 30  # whose outcomes a page reads
MAX_COUNTS_READ = 1_000  # chunks whose counts a page reads to find outcomes of one kind
_COUNTS_PER_READ = 100


@dataclass(frozen=True)
class OperationView:
    """An operation with the outcomes of some of its jobs, in manifest order, and their counts.

    `after` is the (chunk, position) where the next page begins; None after the last.
    """

    operation: Operation
    counts: Mapping[str, int]
    outcomes: tuple[JobOutcome, ...]
    after: tuple[int, int] | None


def operation(
    batch_id: str,
    operation_id: str,
    context: QueryContext,
    *,
    outcome: str = "",
    after: tuple[int, int] = (0, 0),
    limit: int = 100,
) -> OperationView:
    """An operation with up to `limit` outcomes from `after` on: of accepted or refused jobs, "" for
    both. In their place, accepted jobs have their present state.

    The outcomes in up to `MAX_CHUNKS_READ` chunks are read, so a page may be short, or empty,
    although another follows.

    Raises:
        NotFound, Gone: there is no such batch or operation, or the actor may not see it.
    """
    _, found = visible_operation(batch_id, operation_id, context)
    shown: list[JobOutcome] = []
    following = None
    for here, each in _outcomes(found, outcome, after, context):
        if each is None or len(shown) == limit:
            following = here
            break
        shown.append(each)
    outcomes = tuple(_with_states(batch_id, shown))
    return OperationView(found, count_outcomes(outcomes), outcomes, following)


def visible_operation(
    batch_id: str, operation_id: str, context: QueryContext
) -> tuple[Batch, Operation]:
    """An operation and its batch.

    Raises:
        NotFound, Gone: there is no such batch or operation, or the actor may not see it.
    """
    batch = visible_batch(batch_id, context.actor, context.now)
    return batch, operations.get(batch_id, operation_id)


def _outcomes(
    found: Operation, outcome: str, after: tuple[int, int], context: QueryContext
) -> Iterator[tuple[tuple[int, int], JobOutcome | None]]:
    """The outcomes from `after` on, each with its chunk and position; None where the search ends
    before the last one.
    """
    if outcome and found.outcomes is not None and not found.outcomes.get(outcome):
        return
    first, position = after
    numbers = [number for number in found.chunks if number >= first]
    searched = numbers[:MAX_COUNTS_READ] if outcome else numbers
    for read, number in enumerate(_chunks_with(found, outcome, searched)):
        if read == MAX_CHUNKS_READ:
            yield (number, 0), None
            return
        outcomes = rows.outcomes_of(context.s3, context.settings, found, number)
        for each in sorted(outcomes, key=_place):
            if _place(each) >= (first, position) and outcome in {"", each.outcome}:
                yield _place(each), each
    if len(searched) < len(numbers):
        yield (numbers[len(searched)], 0), None


def _place(outcome: JobOutcome) -> tuple[int, int]:
    """The chunk and the position of a job."""
    *_, chunk, position = outcome.job_id.rsplit(".", 2)
    return int(chunk), int(position)


def _chunks_with(found: Operation, outcome: str, numbers: Sequence[int]) -> Iterator[int]:
    """Those of the chunks in which jobs have this outcome, or may have it; "" is any."""
    if not outcome:
        yield from numbers
        return
    for start in range(0, len(numbers), _COUNTS_PER_READ):
        some = numbers[start : start + _COUNTS_PER_READ]
        records = chunks.of_numbers(found.batch_id, some)
        for number in some:
            record = records.get(number)
            counts = record.progress(found.operation_id).outcomes if record else None
            if counts is None or counts.get(outcome):
                yield number


def _with_states(batch_id: str, outcomes: Iterable[JobOutcome]) -> Iterator[JobOutcome]:
    """The outcomes, with the present state of each accepted job."""
    for chunk, of_chunk in groupby(outcomes, key=lambda each: _place(each)[0]):
        some = [*of_chunk]
        places = [_place(each)[1] for each in some if each.outcome == ACCEPTED]
        states: dict[str, str] = {}
        if places:
            found = jobs.of_chunk(batch_id, chunk, first=min(places), last=max(places))
            states = {job.address.job_id: job.state.value for job in found}
        for each in some:
            is_accepted = each.outcome == ACCEPTED
            yield replace(each, outcome=states[each.job_id]) if is_accepted else each


def outcomes_version(found: Operation, first_chunk: int, context: QueryContext) -> str:
    """A text that changes when a page of outcomes that begins in `first_chunk` has another one. The
    states of accepted jobs change without it.
    """
    if found.ended_at is not None:
        return ""
    return rows.outcomes_version(context.s3, context.settings, found, first_chunk)


def operations_version(batch_id: str) -> int:
    """A number that changes whenever an operation of a batch starts or ends."""
    return operations.running_list(batch_id).version


@dataclass(frozen=True)
class OperationList:
    """A page of operations, newest first. `after` is the time and the id of its last one, where the
    next page begins; None on the last page.
    """

    items: tuple[Operation, ...]
    after: tuple[str, str] | None


def list_operations(
    batch_id: str, context: QueryContext, *, after: tuple[str, str] | None = None, limit: int = 20
) -> OperationList:
    """A page of the operations on a batch's jobs, newest first.

    Raises:
        NotFound, Gone: there is no such batch, or the actor may not see it.
    """
    visible_batch(batch_id, context.actor, context.now)

    def key(each: Operation) -> tuple[datetime, str]:
        return each.requested_at, each.operation_id

    found = sorted(operations.of_batch(batch_id), key=key, reverse=True)
    if after:
        last = datetime.fromisoformat(after[0]), after[1]
        found = [each for each in found if key(each) < last]
    items = tuple(found[:limit])
    has_more = len(found) > limit
    following = (items[-1].requested_at.isoformat(), items[-1].operation_id) if has_more else None
    return OperationList(items, following)


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
