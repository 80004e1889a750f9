"""Stores jobs: a worker's jobs 25 at a time, a change of a single job in a transaction.

A worker writes its jobs by BatchExecuteStatement and counts them afterwards. INSERT refuses a
duplicate; UPDATE has the state and the version in its condition. A single change is written
together with the counts of the job's chunk and a new version of the batch's list of running
operations: a new operation that has read the list before has to read it again.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from botocore.exceptions import ClientError
from pynamodb.expressions.condition import Condition

from jobyard.domain.batches.batch import BatchState
from jobyard.domain.batches.chunks import ChunkRecord
from jobyard.domain.errors import StaleState
from jobyard.domain.jobs.job import JobAddress, JobRecord, JobState, failed_as_unwritable
from jobyard.store import chunks, job_format, operations, transactions
from jobyard.store.statements import BATCH_LIMIT, CONFLICT_ERRORS, RETRYABLE_ERRORS, repeat
from jobyard.store.tables import BatchItem, JobItem, client

# Error codes for content that cannot be stored: of one statement, and of the whole call.
_UNWRITABLE = frozenset({"ValidationError", "ItemCollectionSizeLimitExceeded"})
_UNWRITABLE_CALL = frozenset({"ValidationException", "SerializationException"})
_TRIES = 8
_READ_ATTRIBUTES = [
    "position",
    "s",
    "v",
    "b",
]  # the chunk is known; each attribute takes time to parse
_Change = tuple[JobRecord | None, JobRecord]
_Prepared = tuple[_Change, dict[str, Any]]  # a change with its statement


def _chunk_id(address: JobAddress) -> str:
    return f"{address.origin_id}#{address.chunk}"


def _of_item(address: JobAddress, item: JobItem) -> JobRecord:
    return job_format.decode(address, item.state, int(item.version), item.body)


def find(address: JobAddress) -> JobRecord | None:
    """The job's record; None if it has not started and nobody changed it."""
    try:
        item = JobItem.get(_chunk_id(address), address.position, consistent_read=True)
    except JobItem.DoesNotExist:
        return None
    return _of_item(address, item)


def of_chunk(
    origin_id: str, chunk: int, *, first: int = 0, last: int | None = None, state: str = ""
) -> Iterator[JobRecord]:
    """The records of a chunk's jobs from position `first` to `last`, both included, in order; of
    those in `state`, "" for any.
    """
    condition: Condition | None = JobItem.position >= first if first else None
    if last is not None:
        condition = JobItem.position.between(first, last)
    for item in JobItem.query(
        f"{origin_id}#{chunk}",
        range_key_condition=condition,
        filter_condition=JobItem.state == state if state else None,
        consistent_read=True,
        attributes_to_get=_READ_ATTRIBUTES,
    ):
        yield _of_item(JobAddress(origin_id, chunk, int(item.position)), item)


def write_many(
    changes: Sequence[_Change], pause: Callable[[float], None] = time.sleep
) -> list[JobRecord | None]:
    """Write pairs of records `(before, after)`, 25 per call; `before` is None for a new record.

    Returns one result per change, in order: the stored record, or None if another writer came
    first, or if it cannot be stored and has no state to fail from. A repeat of a cause that was
    written already returns its record. A job whose record cannot be stored fails with UNWRITABLE;
    the other jobs are written.

    Raises:
        ValueError: two changes are for one job, which DynamoDB refuses in one call.
        RuntimeError: DynamoDB refused a statement because of a bug, or failed it `_TRIES` times.
        ClientError: the call failed.
    """
    addresses = [after.address for _, after in changes]
    if len(set(addresses)) != len(addresses):
        raise ValueError("two changes are for the same job")
    stored: list[JobRecord | None] = []
    for first in range(0, len(changes), BATCH_LIMIT):
        stored += _write_batch(changes[first : first + BATCH_LIMIT], pause)
    return stored


def _write_batch(
    changes: Sequence[_Change], pause: Callable[[float], None]
) -> list[JobRecord | None]:
    # Inserts and updates are separate calls: then each call is one IAM action.
    writing = _BatchWrite(pause)
    writing.write([change for change in changes if change[0] is None])
    writing.write([change for change in changes if change[0] is not None])
    unwritable, writing.unwritable = writing.unwritable, []
    for before, after in unwritable:
        stored = find(after.address)
        failed = failed_as_unwritable(stored, after) if _is_unchanged(stored, before) else None
        if failed is None:
            writing.results[after.address] = None
        else:
            writing.write([(stored, failed)])
    if writing.unwritable:
        raise RuntimeError("DynamoDB refuses the record that says UNWRITABLE")
    return [writing.results[after.address] for _, after in changes]


def _is_unchanged(stored: JobRecord | None, before: JobRecord | None) -> bool:
    """Whether the stored record is still `before`. None stands for no record."""
    if stored is None or before is None:
        return stored is before
    return (stored.version, stored.state) == (before.version, before.state)


def _is_repeat(stored: JobRecord, after: JobRecord) -> bool:
    """Whether the cause of `after` has written the stored record already."""
    return stored.cause == after.cause and stored.state is after.state


@dataclass
class _BatchWrite:
    """Changes being written: the `results` so far, and the changes that are `unwritable`."""

    pause: Callable[[float], None]
    results: dict[JobAddress, JobRecord | None] = field(default_factory=dict)
    unwritable: list[_Change] = field(default_factory=list)

    def write(self, changes: list[_Change]) -> None:
        """Repeat calls until each of `changes` has a result or is unwritable."""
        repeat(self._with_statements(changes), self._call, self.pause)

    def _with_statements(self, changes: Iterable[_Change]) -> list[_Prepared]:
        """The changes with their statements. Those whose record is not JSON or not UTF-8 are
        unwritable.
        """
        prepared: list[_Prepared] = []
        for change in changes:
            try:
                prepared.append((change, _statement(*change)))
            except (TypeError, ValueError):
                self.unwritable.append(change)
        return prepared

    def _call(self, pending: Sequence[_Prepared]) -> list[_Prepared]:
        """Make one call and note its results. Returns the changes to try again."""
        try:
            responses = client().batch_execute_statement(
                Statements=[statement for _, statement in pending], ReturnConsumedCapacity="TOTAL"
            )["Responses"]
        except ClientError as error:
            if error.response["Error"]["Code"] not in _UNWRITABLE_CALL:
                raise
            # The error does not say which statement it was: send each alone.
            if len(pending) == 1:
                self.unwritable.append(pending[0][0])
                return []
            return [failed for each in pending for failed in self._call([each])]
        answered = zip(pending, responses, strict=True)
        return [each for each, response in answered if not self._note_result(each[0], response)]

    def _note_result(self, change: _Change, response: Mapping[str, Any]) -> bool:
        """Note the result of a change. Returns False if it has to be tried again."""
        after = change[1]
        refusal = response.get("Error")
        if refusal is None:
            self.results[after.address] = after
        elif refusal["Code"] in CONFLICT_ERRORS:
            # AWS can return the item with the error, the emulator does not: always read it.
            now = find(after.address)
            self.results[after.address] = now if now and _is_repeat(now, after) else None
        elif refusal["Code"] in _UNWRITABLE:
            self.unwritable.append(change)
        elif refusal["Code"] not in RETRYABLE_ERRORS:
            raise RuntimeError(f"{refusal['Code']}: {refusal.get('Message', '')}")
        return refusal is None or refusal["Code"] not in RETRYABLE_ERRORS


def _statement(before: JobRecord | None, after: JobRecord) -> dict[str, Any]:
    """The statement of a change. Texts are parameters. States and numbers are literals, because
    botocore takes a tenth of a worker's CPU time to serialize them as parameters.
    """
    table, position = JobItem.Meta.table_name, int(after.address.position)
    chunk_id, body = {"S": _chunk_id(after.address)}, {"S": job_format.encode(after)}
    state, version = after.state.value, int(after.version)
    if before is None:
        return {
            "Statement": f"""INSERT INTO "{table}" VALUE """
            f"""{{'chunk_id':?,'position':{position},'s':'{state}','v':{version},'b':?}}""",
            "Parameters": [chunk_id, body],
        }
    return {
        "Statement": f"""UPDATE "{table}" SET "s"='{state}' SET "v"={version} SET "b"=? """
        f"""WHERE "chunk_id"=? AND "position"={position} """
        f"""AND "v"={int(before.version)} AND "s"='{before.state.value}'""",
        "Parameters": [body, chunk_id],
    }


def apply(
    before: JobRecord,
    after: JobRecord,
    batch_state: BatchState,
    pause: Callable[[float], None] = time.sleep,
) -> JobRecord:
    """Write `after` over `before` and update the chunk's counts, in one transaction.

    The batch must be in `batch_state`. `before` of version 0 means that there is no record yet. A
    repeat of the last cause succeeds and counts nothing twice.

    Raises:
        StaleState: the job or its batch changed since it was read.
        ClientError, BotoCoreError: DynamoDB failed, or no answer came. The change may have been
            written; it can be repeated.
    """
    cancelled = client().exceptions.TransactionCanceledException
    for tries in range(_TRIES):
        if tries:
            pause(transactions.backoff_s(tries))
        seen = chunks.get(after.address.origin_id, after.address.chunk)
        try:
            _transact(before, after, seen, batch_state)
        except cancelled as error:
            reasons = error.response.get("CancellationReasons")
            if not reasons:
                raise
            batch_reason, job_reason, *other_reasons = reasons  # in the order of the items
            if batch_reason["Code"] == transactions.CONDITION_FAILED:
                raise StaleState(
                    f"the batch of job {after.address.job_id} is no longer {batch_state}"
                ) from error
            if job_reason["Code"] != transactions.CONDITION_FAILED:
                codes = {each["Code"] for each in (batch_reason, job_reason, *other_reasons)}
                if tries == _TRIES - 1 and not codes & transactions.CHANGED_MEANWHILE:
                    raise
                continue  # the counts changed, or two transactions collided: read them again
            now = find(after.address)
            if now and _is_repeat(now, after):
                return now
            found = now.state if now else JobState.SCHEDULED
            raise StaleState(
                f"job {after.address.job_id} was {before.state} when read and has changed since; "
                f"it is {found}"
            ) from error
        return after
    raise StaleState(f"the counts of job {after.address.job_id}'s chunk change too fast; try again")


def _with_new_counts(seen: ChunkRecord, after: JobRecord) -> ChunkRecord:
    """The chunk's counts with `after`. All of its jobs are counted again, so they never drift."""
    stored = {job.address: job for job in of_chunk(seen.batch_id, seen.chunk)}
    new = seen.with_counts_of((stored | {after.address: after}).values())
    return replace(new, version=seen.version + 1)


def item_of(record: JobRecord) -> JobItem:
    """The record as an item, for a transaction."""
    return JobItem(
        chunk_id=_chunk_id(record.address),
        position=record.address.position,
        state=record.state.value,
        version=record.version,
        body=job_format.encode(record),
    )


def _transact(
    before: JobRecord, after: JobRecord, seen: ChunkRecord, batch_state: BatchState
) -> None:
    """Write the job, its chunk's counts and the batch's list of running operations in one
    transaction: batch, job, chunk, list, in this order."""
    items = [
        transactions.require_state(BatchItem(after.address.origin_id), batch_state.value),
        transactions.put(item_of(after), before.version),
        transactions.put(chunks.item_of(_with_new_counts(seen, after)), seen.version),
        operations.version_increment(after.address.origin_id),
    ]
    client().transact_write_items(TransactItems=items, ReturnConsumedCapacity="TOTAL")


def remove(records: Iterable[JobRecord]) -> None:
    """Remove the records, whatever their version. Those that are gone already are ignored."""
    with JobItem.batch_write() as removing:
        for record in records:
            removing.delete(JobItem(_chunk_id(record.address), record.address.position))


def deletion(record: JobRecord) -> transactions.TransactItem:
    """The item of a transaction that removes the record if it has not changed meanwhile."""
    return transactions.delete(
        JobItem(_chunk_id(record.address), record.address.position), record.version
    )
