"""Packs a dataset: writes base files of its head, so that readers have fewer commits to lay over.

Only the segments with changes are written again, and the ids; the others stay where they are. The
files are new ones, and count once the head names them: a pack that dies has done nothing.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

from jobyard.domain.datasets.base_format import (
    BaseIndex,
    IdEntry,
    KeyedLine,
    SegmentEntry,
    curve_key,
    ids_in,
    keyed_line,
    lines_in,
    parse_feature,
    with_segments,
)
from jobyard.domain.datasets.dataset import Dataset
from jobyard.domain.datasets.extent import boxes_around
from jobyard.domain.errors import StaleState
from jobyard.services.datasets import base, files
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.datasets.files import ByteRange
from jobyard.services.datasets.overlay import Overlay
from jobyard.services.datasets.readers import chunk_locations
from jobyard.store import commits, datasets

MAX_COMMITS = 500  # since the base, before a dataset is packed
MAX_SHARE = 0.05  # of the features that changed since the base
MIN_CHANGES = 250  # since the base: fewer are no work for readers
UNUSED_KEPT = timedelta(days=1)  # base files that no head names: readers may have begun before
_TRIES = 5
_MAX_SWEPT = 4 * MAX_COMMITS  # revisions: a request each


def is_due(dataset: Dataset) -> bool:
    """Whether enough was committed since the base."""
    since = dataset.revision - dataset.base_revision
    if not 0 < since <= MAX_COMMITS:
        return since > 0
    made = commits.between(dataset.name, dataset.base_revision + 1, dataset.revision)
    changes = sum(each.changes for each in made)
    return changes > max(MIN_CHANGES, MAX_SHARE * dataset.features)


def pack(dataset: Dataset, context: DatasetContext) -> Dataset:
    """Write base files of the head of a dataset. Returns the dataset with them."""
    revision = dataset.revision
    folder = files.base_folder(dataset.name, revision, f"{context.now():%Y%m%dT%H%M%S}")
    before = BaseIndex.from_bytes(files.read(files.index_key(dataset.base), context))
    overlay = Overlay(dataset, revision, context)
    arriving = _arriving(before, overlay)
    locations = chunk_locations(before, overlay.entries.keys(), context)
    touched = arriving.keys() | {each.segment for each in locations.values()}
    segments: list[SegmentEntry] = []
    entries: list[IdEntry] = []
    number = before.next_number
    found: list[SegmentEntry | None] = [*before.segments] or [None]
    for segment in found:
        if segment is not None and segment.number not in touched:
            continue
        lines = base.in_curve_order(_lines(segment, overlay, arriving, context))
        written, placed = base.write_segments(lines, folder, number, context)
        segments += written
        entries += placed
        number += len(written)
    entries.sort()
    blocks = base.write_ids(
        heapq.merge(_kept_ids(before, touched, context), entries), folder, context
    )
    after = replace(
        with_segments(before, touched, segments),
        ids_file=files.ids_key(folder),
        id_blocks=blocks,
    )
    base.write_index(after, folder, context)
    return _rebase(dataset.name, folder, revision, after)


def _arriving(index: BaseIndex, overlay: Overlay) -> dict[int, list[str]]:
    """The ids of the changed features that a segment gets, by its number; -1 if there is none."""
    arriving: dict[int, list[str]] = defaultdict(list)
    for feature_id, entry in overlay.entries.items():
        if entry.exists:
            segment = index.segment_at(curve_key(entry.boxes))
            arriving[segment.number if segment else -1].append(feature_id)
    return arriving


def _lines(
    segment: SegmentEntry | None,
    overlay: Overlay,
    arriving: dict[int, list[str]],
    context: DatasetContext,
) -> Iterator[KeyedLine]:
    """The features of a segment that did not change, and the changed ones that it gets."""
    number = -1
    if segment is not None:
        number = segment.number
        ranges = (ByteRange(segment.file, each.start, each.end) for each in segment.chunks)
        for data in files.read_ranges(ranges, context):
            for feature in map(parse_feature, lines_in(data)):
                if feature.feature_id not in overlay:
                    yield keyed_line(feature)
    changed = [overlay.entries[each] for each in arriving.get(number, ())]
    yield from map(keyed_line, overlay.read(changed))


def _kept_ids(
    index: BaseIndex, touched: Iterable[int], context: DatasetContext
) -> Iterator[IdEntry]:
    """The ids of the features in segments that stay, in order."""
    gone = set(touched)
    ranges = (ByteRange(index.ids_file, each.start, each.end) for each in index.id_blocks)
    for data in files.read_ranges(ranges, context):
        for entry in ids_in(data):
            if entry[1].segment not in gone:
                yield entry


def _rebase(name: str, folder: str, revision: int, index: BaseIndex) -> Dataset:
    """Have the head name new base files, unless others of a later revision were written."""
    for _ in range(_TRIES):
        dataset = datasets.get(name)
        if dataset.base_revision >= revision:
            return dataset
        later = commits.between(name, revision + 1, dataset.revision)
        boxes = boxes_around((*index.boxes, *(box for made in later for box in made.boxes)))
        after = dataset.rebased(folder, revision, boxes)
        if datasets.put_head(after):
            return after
    raise StaleState(f"the head of {name} changes all the time: try again")


def remove_lost(dataset: Dataset, context: DatasetContext) -> int:
    """Remove the change files of commits since the base that lost their race, or were written again
    after a crash. Returns their number.

    A revision has its commit, so no other file of it can be decided any more.
    """
    first = max(dataset.base_revision, dataset.revision - _MAX_SWEPT) + 1
    lost = [
        each.key
        for made in commits.between(dataset.name, first, dataset.revision)
        for each in files.stored_under(files.change_prefix(dataset.name, made.revision), context)
        if each.key != made.file
    ]
    files.remove(lost, context)
    return len(lost)


def remove_unused(dataset: Dataset, context: DatasetContext) -> int:
    """Remove base files that no index of the dataset names any more. Returns their number.

    They are kept for a day: readers that took the head before may still need them, and another pack
    may be writing its own.
    """
    index = BaseIndex.from_bytes(files.read(files.index_key(dataset.base), context))
    used = {files.index_key(dataset.base), index.ids_file, *(each.file for each in index.segments)}
    latest = context.now() - UNUSED_KEPT
    unused = [
        each.key
        for each in files.stored_under(files.base_prefix(dataset.name), context)
        if each.key not in used and each.at < latest
    ]
    files.remove(unused, context)
    return len(unused)
