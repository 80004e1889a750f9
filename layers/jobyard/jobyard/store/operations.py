"""Stores operations on many jobs.

Each batch has one more item, the list of the ids of its running operations. An operation starts
and ends in one transaction with this list, so the list is always exact. A person's change of a
single job is counted in its version too. So the version says whether people changed any job.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from jobyard.domain.batches.batch import BatchState
from jobyard.domain.batches.operation import Filter, Operation, OperationState
from jobyard.domain.errors import NotFound, StaleState
from jobyard.domain.jobs.job import JobState
from jobyard.domain.lifecycle import MACHINE
from jobyard.store import batches, transactions
from jobyard.store.documents import from_ms, from_ms_or_none, to_ms, to_ms_or_none
from jobyard.store.tables import OperationItem

_RUNNING = "running"  # the id of the list's item; an operation's is "r" and twelve digits
_TRIES = 30  # transactions with a list that other operations change at the same time


def _bitmap(chunks: Sequence[int]) -> str:
    """The chunks' numbers as bits in base64: 80,000 of them take 14 KB; as a list, 560 KB."""
    bits = bytearray(max(chunks, default=-1) // 8 + 1)
    for number in chunks:
        bits[number // 8] |= 1 << number % 8
    return base64.b64encode(bits).decode()


def _numbers(bitmap: str) -> tuple[int, ...]:
    bits = base64.b64decode(bitmap)
    return tuple(
        index * 8 + bit for index, byte in enumerate(bits) for bit in range(8) if byte >> bit & 1
    )


@dataclass(frozen=True)
class RunningOperations:
    """The list of a batch's running operations: its version, and their ids in the order of their
    start. Version 0 means that people have not changed any job of the batch yet.
    """

    version: int = 0
    ids: tuple[str, ...] = ()


def _running_of(item: OperationItem) -> RunningOperations:
    return RunningOperations(int(item.version or 0), tuple(item.body["running"]))


def running_list(batch_id: str) -> RunningOperations:
    """The list of the batch's running operations."""
    try:
        return _running_of(OperationItem.get(batch_id, _RUNNING, consistent_read=True))
    except OperationItem.DoesNotExist:
        return RunningOperations()


def running_lists(batch_ids: Iterable[str]) -> dict[str, RunningOperations]:
    """The lists of several batches, by batch. A batch without a list is left out."""
    keys = [(batch_id, _RUNNING) for batch_id in batch_ids]
    found = OperationItem.batch_get(keys, consistent_read=True)
    return {item.batch_id: _running_of(item) for item in found}


def version_increment(batch_id: str) -> transactions.TransactItem:
    """The item of a transaction that counts a change of one job in the version of the list."""
    empty = OperationItem(batch_id, _RUNNING, state=_RUNNING, version=0, body={"running": []})
    return transactions.increment_version(empty)


def _running_item(batch_id: str, version: int, ids: Sequence[str]) -> transactions.TransactItem:
    item = OperationItem(
        batch_id=batch_id,
        operation_id=_RUNNING,
        state=_RUNNING,
        version=version + 1,
        body={"running": [*ids]},
    )
    return transactions.put(item, version)


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
            "step": operation.filter.step,
            "name": operation.filter.name,
            "actor": operation.actor,
            "sub": operation.sub,
            "reason": operation.reason,
            "asked_at": to_ms(operation.requested_at),
            "matched": operation.matched,
            "refused": operation.not_requeueable,
            "more": operation.may_match_more,
            "chunks": _bitmap(operation.chunks),
            "ended_at": to_ms_or_none(operation.ended_at),
            "outcomes": None if operation.outcomes is None else dict(operation.outcomes),
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
            body.get("step", ""),
            body.get("name", ""),
        ),
        actor=body["actor"],
        reason=body["reason"],
        requested_at=from_ms(body["asked_at"]),
        matched=body["matched"],
        not_requeueable=body.get("refused", 0),
        may_match_more=body.get("more", False),
        chunks=_numbers(body["chunks"]),
        state=OperationState(item.state),
        ended_at=from_ms_or_none(body["ended_at"]),
        sub=body.get("sub", ""),
        outcomes=body.get("outcomes"),
    )


def put_new(operation: Operation, batch_state: BatchState) -> Operation:
    """Store a new operation if its batch is in `batch_state`. Returns the stored one if it exists.

    Raises:
        OperationInProgress: it conflicts with a running operation.
        StaleState: the batch is in another state, or other operations start and end too fast.
    """
    batch_id = operation.batch_id
    for _ in range(_TRIES):
        stored = find(batch_id, operation.operation_id)
        if stored is not None:
            return stored
        seen = running_list(batch_id)
        operation.check_conflicts([*_found(batch_id, seen.ids)])
        ids = seen.ids
        if operation.state is OperationState.RUNNING:
            ids = (*ids, operation.operation_id)
        try:
            transactions.write(
                [
                    batches.require_state(batch_id, batch_state),
                    transactions.put(_item(operation), 0),
                    _running_item(batch_id, seen.version, ids),
                ]
            )
        except StaleState as error:
            is_changed = running_list(batch_id).version != seen.version
            if is_changed or find(batch_id, operation.operation_id):
                continue  # it exists, or someone else changed jobs of the batch first
            raise StaleState(f"batch {batch_id} is no longer {batch_state}") from error
        return operation
    raise StaleState(f"operations on batch {batch_id} start and end too fast; try again")


def find(batch_id: str, operation_id: str) -> Operation | None:
    """The operation; None if there is none with this id."""
    try:
        return _operation(OperationItem.get(batch_id, operation_id, consistent_read=True))
    except OperationItem.DoesNotExist:
        return None


def of_batch(batch_id: str) -> Iterator[Operation]:
    """All operations on a batch's jobs, by id."""
    for item in OperationItem.query(batch_id, consistent_read=True):
        if item.operation_id != _RUNNING:
            yield _operation(item)


def remove(batch_id: str, found: Iterable[Operation]) -> None:
    """Remove a batch's operations and its list of running ones. What is gone already is ignored."""
    with OperationItem.batch_write() as removing:
        for name in (_RUNNING, *(each.operation_id for each in found)):
            removing.delete(OperationItem(batch_id, name))


def running(batch_id: str) -> Iterator[Operation]:
    """The running operations on a batch's jobs, in the order of their start."""
    yield from _found(batch_id, running_list(batch_id).ids)


def _found(batch_id: str, ids: Iterable[str]) -> Iterator[Operation]:
    for operation_id in ids:
        operation = find(batch_id, operation_id)
        if operation is not None and operation.state is OperationState.RUNNING:
            yield operation


def is_any_running(batch_id: str) -> bool:
    """Whether an operation on the batch's jobs is running."""
    return bool(running_list(batch_id).ids)


def get(batch_id: str, operation_id: str) -> Operation:
    """The operation.

    Raises:
        NotFound: there is none with this id.
    """
    operation = find(batch_id, operation_id)
    if operation is None:
        raise NotFound(f"batch {batch_id} has no operation {operation_id}")
    return operation


def end(operation: Operation, at: datetime, outcomes: Mapping[str, int] | None = None) -> None:
    """Store that the operation is done with these outcomes, and take it off the list. A repeat
    succeeds.

    Raises:
        StaleState: other operations on the batch start and end too fast.
    """
    batch_id, operation_id = operation.batch_id, operation.operation_id
    done = replace(operation, state=OperationState.DONE, ended_at=at, outcomes=outcomes)
    for _ in range(_TRIES):
        seen = running_list(batch_id)
        if operation_id not in seen.ids:
            return
        left = [each for each in seen.ids if each != operation_id]
        try:
            transactions.write(
                [transactions.replace(_item(done)), _running_item(batch_id, seen.version, left)]
            )
        except StaleState:
            continue
        return
    raise StaleState(f"operations on batch {batch_id} start and end too fast; try again")
