"""Writes base files. A base exists when its index does; a head that names it makes it count."""

from collections.abc import Iterable, Sequence
from itertools import chain, islice

from jobyard.domain.datasets.base_format import (
    SEGMENT_CHUNKS,
    BaseIndex,
    IdBlock,
    IdEntry,
    KeyedLine,
    SegmentBuilder,
    SegmentEntry,
    chunks_of,
    id_blocks,
)
from jobyard.services.datasets import files
from jobyard.services.datasets.context import DatasetContext


def write_base(lines: Iterable[KeyedLine], folder: str, context: DatasetContext) -> BaseIndex:
    """Write the base files of features in the order of the curve. Returns their index."""
    segments, entries = write_segments(lines, folder, 0, context)
    entries.sort()
    blocks = write_ids(entries, folder, context)
    index = BaseIndex(tuple(segments), files.ids_key(folder), blocks)
    write_index(index, folder, context)
    return index


def write_segments(
    lines: Iterable[KeyedLine], folder: str, first_number: int, context: DatasetContext
) -> tuple[list[SegmentEntry], list[IdEntry]]:
    """Write segments, numbered from `first_number` on. Returns what the index has of them, and the
    places of their features."""
    builder = SegmentBuilder(first_number)
    entries: list[IdEntry] = []
    chunks = chunks_of(lines)
    for first in chunks:
        key = files.segment_key(folder, builder.number)
        with files.upload_to(key, context) as upload:
            for chunk in chain([first], islice(chunks, SEGMENT_CHUNKS - 1)):
                at = builder.add(chunk)
                entries += [(feature_id, at) for feature_id in chunk.feature_ids]
                upload.write(chunk.data)
            upload.finish()
        builder.close(key)
    return builder.segments, entries


def write_ids(
    entries: Iterable[IdEntry], folder: str, context: DatasetContext
) -> tuple[IdBlock, ...]:
    """Write the file of ids, which `entries` give in their order. Returns its blocks."""
    blocks: list[IdBlock] = []
    with files.upload_to(files.ids_key(folder), context) as upload:
        for block, data in id_blocks(entries):
            blocks.append(block)
            upload.write(data)
        upload.finish()
    return tuple(blocks)


def write_index(index: BaseIndex, folder: str, context: DatasetContext) -> None:
    """Write the index, with which a base exists."""
    files.write(files.index_key(folder), [index.to_bytes()], context)


def in_curve_order(lines: Iterable[KeyedLine]) -> Sequence[KeyedLine]:
    """Lines in the order of the curve, and of their ids at one position."""
    return sorted(lines, key=lambda each: (each.key, each.feature_id))
