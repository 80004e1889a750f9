"""Chunks' counts as they are stored."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pynamodb.exceptions import PutError
from pynamodb.expressions.condition import Condition

from jobyard.domain.chunks import ChunkRecord, Passage
from jobyard.domain.errors import StaleState
from jobyard.store.documents import moment_or_none, stamp, without_blanks
from jobyard.store.tables import ChunkItem, is_refused


def item_of(record: ChunkRecord) -> ChunkItem:
    """The record as an item, for those who write it together with something else."""
    return ChunkItem(
        batch_id=record.batch_id,
        chunk=record.chunk,
        version=record.version,
        body=without_blanks(
            {
                "counts": dict(record.counts),
                "failures": dict(record.failures),
                "runs": {
                    run: [passage.passed, passage.next_at and stamp(passage.next_at)]
                    for run, passage in record.runs.items()
                },
            }
        ),
    )


def _record(item: ChunkItem) -> ChunkRecord:
    return ChunkRecord(
        batch_id=item.batch_id,
        chunk=int(item.chunk),
        version=int(item.version),
        counts=item.body.get("counts", {}),
        failures=item.body.get("failures", {}),
        runs={
            run: Passage(passed, moment_or_none(next_at))
            for run, (passed, next_at) in item.body.get("runs", {}).items()
        },
    )


def get(batch_id: str, chunk: int) -> ChunkRecord:
    """The chunk's counts, strongly read; of version 0 and empty when nothing happened in it yet."""
    try:
        return _record(ChunkItem.get(batch_id, chunk, consistent_read=True))
    except ChunkItem.DoesNotExist:
        return ChunkRecord(batch_id, chunk)


def put(record: ChunkRecord) -> ChunkRecord:
    """Write the counts over those they follow (`record.version` is the version that was read).

    Raises:
        StaleState: the counts changed since they were read.
    """
    new = replace(record, version=record.version + 1)
    condition = (
        ChunkItem.version == record.version
        if record.version
        else ChunkItem.batch_id.does_not_exist()
    )
    try:
        item_of(new).save(condition=condition)
    except PutError as error:
        if not is_refused(error):
            raise
        raise StaleState(
            f"the counts of chunk {record.chunk} of batch {record.batch_id} changed"
        ) from error
    return new


def of_batch(batch_id: str, *, first: int = 0, last: int | None = None) -> Iterator[ChunkRecord]:
    """The counts of a batch's chunks from `first` on, up to and with `last` if that is given, in
    order, strongly read."""
    condition: Condition | None = ChunkItem.chunk >= first if first else None
    if last is not None:
        condition = ChunkItem.chunk.between(first, last)
    for item in ChunkItem.query(batch_id, range_key_condition=condition, consistent_read=True):
        yield _record(item)


def remove(records: Iterable[ChunkRecord]) -> None:
    """Remove the counts; those that are no more are let be."""
    with ChunkItem.batch_write() as removing:
        for record in records:
            removing.delete(ChunkItem(record.batch_id, record.chunk))
