"""Operations on many jobs as they are stored."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from pynamodb.exceptions import PutError

from jobyard.domain.batch import BatchState
from jobyard.domain.errors import StaleState, Unknown
from jobyard.domain.job import JobState
from jobyard.domain.lifecycle import MACHINE
from jobyard.domain.operation import Filter, Operation, OperationState
from jobyard.store import batches, together
from jobyard.store.documents import moment, moment_or_none, stamp
from jobyard.store.tables import OperationItem, is_refused


def _item(operation: Operation) -> OperationItem:
    return OperationItem(
        batch_id=operation.batch_id,
        operation_id=operation.operation_id,
        state=operation.state.value,
        body={
            "event": operation.event,
            "of": operation.filter.state.value,
            "codes": sorted(operation.filter.codes),
            "job_ids": sorted(operation.filter.job_ids),
            "of_actor": MACHINE if operation.filter.by_machine else "",
            "actor": operation.actor,
            "sub": operation.sub,
            "reason": operation.reason,
            "asked_at": stamp(operation.asked_at),
            "matched": operation.matched,
            "chunks": list(operation.chunks),
            "ended_at": None if operation.ended_at is None else stamp(operation.ended_at),
        },
    )


def _operation(item: OperationItem) -> Operation:
    body = item.body
    return Operation(
        batch_id=item.batch_id,
        operation_id=item.operation_id,
        event=body["event"],
        filter=Filter(
            JobState(body["of"]),
            frozenset(body["codes"]),
            frozenset(body["job_ids"]),
            body["of_actor"] == MACHINE,
        ),
        actor=body["actor"],
        reason=body["reason"],
        asked_at=moment(body["asked_at"]),
        matched=body["matched"],
        chunks=tuple(body["chunks"]),
        state=OperationState(item.state),
        ended_at=moment_or_none(body["ended_at"]),
        sub=body.get("sub", ""),
    )


def put_new(operation: Operation, batch_is: BatchState) -> Operation:
    """Write the operation down while its batch is `batch_is`; if it is there already, the stored
    one is the answer.

    Raises:
        StaleState: the batch has moved on.
    """
    batch_id = operation.batch_id
    try:
        together.write([batches.standing(batch_id, batch_is), together.put(_item(operation), 0)])
    except StaleState as error:
        stored = find(batch_id, operation.operation_id)
        if stored is None:
            raise StaleState(f"batch {batch_id} is no longer {batch_is}") from error
        return stored
    return operation


def find(batch_id: str, operation_id: str) -> Operation | None:
    """The operation, strongly read; None when there is none of that id."""
    try:
        return _operation(OperationItem.get(batch_id, operation_id, consistent_read=True))
    except OperationItem.DoesNotExist:
        return None


def of_batch(batch_id: str) -> Iterator[Operation]:
    """All operations on a batch's jobs, strongly read."""
    for item in OperationItem.query(batch_id, consistent_read=True):
        yield _operation(item)


def remove(found: Iterable[Operation]) -> None:
    """Remove operations; those that are no more are let be."""
    with OperationItem.batch_write() as removing:
        for operation in found:
            removing.delete(OperationItem(operation.batch_id, operation.operation_id))


def running(batch_id: str) -> Iterator[Operation]:
    """The operations on a batch's jobs that have not come to their end."""
    for item in OperationItem.query(
        batch_id,
        filter_condition=OperationItem.state == OperationState.RUNNING.value,
        consistent_read=True,
    ):
        yield _operation(item)


def is_any_running(batch_id: str) -> bool:
    """Whether some operation on the batch's jobs has not come to its end."""
    return any(True for _ in running(batch_id))


def get(batch_id: str, operation_id: str) -> Operation:
    """The operation, strongly read.

    Raises:
        Unknown: there is none.
    """
    operation = find(batch_id, operation_id)
    if operation is None:
        raise Unknown(f"batch {batch_id} has no operation {operation_id}")
    return operation


def end(operation: Operation, at: datetime) -> None:
    """Note that every chunk of the operation has been gone through; a repeat changes nothing."""
    done = replace(operation, state=OperationState.DONE, ended_at=at)
    try:
        _item(done).save(condition=OperationItem.state == OperationState.RUNNING.value)
    except PutError as error:
        if not is_refused(error):
            raise
