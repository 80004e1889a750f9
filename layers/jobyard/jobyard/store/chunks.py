"""Chunks' counts as they are stored."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from zlib import crc32

from pynamodb.expressions.condition import Condition

from jobyard.domain.batches.chunks import ChunkRecord, RunProgress
from jobyard.domain.errors import StaleState
from jobyard.store.documents import from_ms_or_none, to_ms, without_blanks
from jobyard.store.tables import ChunkItem, is_version, save_if

HELD_SHARDS = (
    8  # partitions of the index of what is held: workers write some hundred chunks a second
)
_HELD_PAGE = 100  # of the index, read at once


def item_of(record: ChunkRecord) -> ChunkItem:
    """The record as an item, for those who write it together with something else."""
    is_held = bool(record.machine_held)
    return ChunkItem(
        batch_id=record.batch_id,
        chunk=record.chunk,
        version=record.version,
        held_shard=_shard(record.batch_id) if is_held else None,
        held_of=f"{record.collection}#{record.batch_id}" if is_held else None,
        body=without_blanks(
            {
                "counts": dict(record.counts),
                "failures": dict(record.failures),
                "stopped": record.machine_held,
                "final": dict(record.not_retryable),
                "runs": {
                    run: [progress.last_pass, progress.next_at and to_ms(progress.next_at)]
                    for run, progress in record.runs.items()
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
        machine_held=item.body.get("stopped", 0),
        not_retryable=item.body.get("final", {}),
        collection=(item.held_of or "").partition("#")[0],
        runs={
            run: RunProgress(last_pass, from_ms_or_none(next_at))
            for run, (last_pass, next_at) in item.body.get("runs", {}).items()
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
    if not save_if(item_of(new), is_version(ChunkItem, record.version)):
        raise StaleState(f"the counts of chunk {record.chunk} of batch {record.batch_id} changed")
    return new


def of_batch(batch_id: str, *, first: int = 0, last: int | None = None) -> Iterator[ChunkRecord]:
    """The counts of a batch's chunks from `first` on, up to and with `last` if that is given, in
    order, strongly read."""
    condition: Condition | None = ChunkItem.chunk >= first if first else None
    if last is not None:
        condition = ChunkItem.chunk.between(first, last)
    for item in ChunkItem.query(batch_id, range_key_condition=condition, consistent_read=True):
        yield _record(item)


def _shard(batch_id: str) -> str:
    return str(crc32(batch_id.encode()) % HELD_SHARDS)


@dataclass(frozen=True)
class HeldBatch:
    """A batch in which the machine holds jobs, as the index knows it, with the numbers of some of
    the chunks they lie in. `cursor` is where the listing continues after it."""

    batch_id: str
    chunks: tuple[int, ...]
    cursor: str


def held_batches(shard: int, collection: str | None, after: str = "") -> Iterator[HeldBatch]:
    """The batches of a shard in which the machine holds jobs, from the place `after` on: those of
    one `collection` ("": of whose chunks none was said), all for None. A suggestion, not the truth.

    However many chunks of a batch are held, one page of them is read.
    """
    first = " " if collection is None else f"{collection}#"
    last = "~" if collection is None else f"{collection}#~"
    start = f"{after}~" if after else first
    while True:
        rows = [
            *ChunkItem.held.query(
                str(shard),
                range_key_condition=ChunkItem.held_of.between(start, last),
                limit=_HELD_PAGE,
            )
        ]
        for key, of_one in groupby(rows, key=lambda row: row.held_of):
            batch_id = str(key).partition("#")[2]
            yield HeldBatch(batch_id, tuple(int(row.chunk) for row in of_one), str(key))
        if len(rows) < _HELD_PAGE:
            return
        start = f"{rows[-1].held_of}~"


def remove(records: Iterable[ChunkRecord]) -> None:
    """Remove the counts; those that are no more are let be."""
    with ChunkItem.batch_write() as removing:
        for record in records:
            removing.delete(ChunkItem(record.batch_id, record.chunk))
