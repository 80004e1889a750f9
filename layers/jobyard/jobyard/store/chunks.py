"""Stores the counts of chunks."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any
from zlib import crc32

from pynamodb.expressions.condition import Condition

from jobyard.domain.batches.chunks import ChunkRecord, RunProgress
from jobyard.domain.errors import StaleState
from jobyard.store.documents import (
    from_ms_or_none,
    history_document,
    parse_history,
    parse_spans,
    spans_document,
    to_ms_or_none,
    without_blanks,
)
from jobyard.store.tables import ChunkItem, is_version, save_if

HELD_SHARDS = 8  # partitions of the index of held chunks: workers write hundreds of them a second
_HELD_PAGE = 100  # items of the index in one read


def item_of(record: ChunkRecord) -> ChunkItem:
    """The record as an item, for a transaction."""
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
                "final": dict(record.not_requeueable),
                "failed_at": spans_document(record.failed_at),
                "summary": dict(record.summary),
                "cancels": {
                    str(position): history_document((entry,))[0]
                    for position, entry in record.cancels.items()
                },
                "replacements": _positions_by_id(record.replacements),
                "runs": {run: _progress_document(each) for run, each in record.runs.items()},
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
        not_requeueable=item.body.get("final", {}),
        summary=item.body.get("summary", {}),
        cancels={
            int(position): parse_history([line])[0]
            for position, line in item.body.get("cancels", {}).items()
        },
        replacements={
            position: campaign_id
            for campaign_id, bits in item.body.get("replacements", {}).items()
            for position in _positions(int(bits, 16))
        },
        failed_at=parse_spans(item.body.get("failed_at", {})),
        collection=(item.held_of or "").partition("#")[0],
        runs={run: _progress(*fields) for run, fields in item.body.get("runs", {}).items()},
    )


def _progress_document(progress: RunProgress) -> list[Any]:
    """The progress of a run as a list; without outcomes it is shorter."""
    known = [dict(progress.outcomes)] if progress.outcomes is not None else []
    return [progress.last_pass, to_ms_or_none(progress.next_at), *known]


def _progress(
    last_pass: int, next_at: int | None, outcomes: Mapping[str, int] | None = None
) -> RunProgress:
    return RunProgress(last_pass, from_ms_or_none(next_at), outcomes)


def _positions_by_id(ids: Mapping[int, str]) -> dict[str, str]:
    """The positions that each id has: a bit for each, in hex. A thousand take 250 bytes."""
    bits: dict[str, int] = {}
    for position, each in ids.items():
        bits[each] = bits.get(each, 0) | 1 << position
    return {each: f"{number:x}" for each, number in bits.items()}


def _positions(bits: int) -> list[int]:
    return [position for position in range(bits.bit_length()) if bits >> position & 1]


def get(batch_id: str, chunk: int) -> ChunkRecord:
    """The chunk's counts; empty and of version 0 if no job of it has started."""
    try:
        return _record(ChunkItem.get(batch_id, chunk, consistent_read=True))
    except ChunkItem.DoesNotExist:
        return ChunkRecord(batch_id, chunk)


def put(record: ChunkRecord) -> ChunkRecord:
    """Store the counts over those of version `record.version`. Returns them with the next version.

    Raises:
        StaleState: the counts changed since they were read.
    """
    new = replace(record, version=record.version + 1)
    if not save_if(item_of(new), is_version(ChunkItem, record.version)):
        raise StaleState(f"the counts of chunk {record.chunk} of batch {record.batch_id} changed")
    return new


def of_batch(
    batch_id: str,
    *,
    first: int = 0,
    last: int | None = None,
    page_size: int | None = None,
    is_backwards: bool = False,
) -> Iterator[ChunkRecord]:
    """The counts of a batch's chunks from `first` to `last`, both included, in order.

    With a `page_size`, that number is read at once, as the iteration needs them.
    """
    condition: Condition | None = ChunkItem.chunk >= first if first else None
    if last is not None:
        condition = ChunkItem.chunk.between(first, last)
    for item in ChunkItem.query(
        batch_id,
        range_key_condition=condition,
        consistent_read=True,
        page_size=page_size,
        scan_index_forward=not is_backwards,
    ):
        yield _record(item)


def of_numbers(batch_id: str, numbers: Iterable[int]) -> dict[int, ChunkRecord]:
    """The counts of the chunks with these numbers. A chunk without counts is left out."""
    keys = [(batch_id, number) for number in numbers]
    found = ChunkItem.batch_get(keys, consistent_read=True)
    return {record.chunk: record for record in map(_record, found)}


def _shard(batch_id: str) -> str:
    return str(crc32(batch_id.encode()) % HELD_SHARDS)


@dataclass(frozen=True)
class HeldBatch:
    """A batch in which the machine holds jobs, and the numbers of some of their chunks.

    `cursor` continues the listing after this batch.
    """

    batch_id: str
    chunks: tuple[int, ...]
    cursor: str


def held_batches(shard: int, collection: str | None, after: str = "") -> Iterator[HeldBatch]:
    """The batches of a shard in which the machine holds jobs, after the cursor `after`, from the
    index: one may be outdated or missing.

    `collection` None means all; "" means chunks stored without a collection. Of each batch one page
    of chunks is read, however many are held.
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
    """Remove the counts. Those that are gone already are ignored."""
    with ChunkItem.batch_write() as removing:
        for record in records:
            removing.delete(ChunkItem(record.batch_id, record.chunk))
