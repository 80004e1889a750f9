"""The base files of a dataset: its features in spatial order, a spatial index, and their ids.

Features are lines of GeoJSON, in the order of a Hilbert curve through their centres, so that
neighbours are close to each other. A chunk is a gzip member of up to `CHUNK_FEATURES` lines, which
can be read alone; it is no chunk of a batch. A segment is a file of up to `SEGMENT_CHUNKS` chunks.
The index has the bounding boxes of all chunks. The file of ids, sorted, has the chunk of each
feature: with the index in memory, a look-up is two ranged reads.
"""

import gzip
import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from math import ceil, floor
from typing import Any, NamedTuple

from jobyard.domain.datasets.extent import Box, Boxes, boxes_around, boxes_of, do_boxes_intersect
from jobyard.domain.datasets.feature import Feature

CHUNK_FEATURES = 250
CHUNK_BYTES = 1024 * 1024  # of lines, before compression; a longer feature is a chunk of its own
SEGMENT_CHUNKS = 64
ID_BLOCK = 1_000  # ids that are read together
NO_LOCATION_KEY = 1 << 32  # the key of a feature without a geometry, after all others
_ORDER = 16  # of the curve: cells of 0.005 degrees of longitude
_BOX_SCALE = 10_000  # boxes of the index have 4 decimals, rounded outward
_GZIP_LEVEL = 4


class KeyedLine(NamedTuple):
    """A feature as its line in a chunk. `key` is its position on the curve."""

    key: int
    feature_id: str
    boxes: Boxes
    line: bytes


class PackedChunk(NamedTuple):
    """A chunk: its compressed bytes, the ids of its features, its first position on the curve."""

    data: bytes
    feature_ids: Sequence[str]
    boxes: Boxes
    first_key: int


class ChunkEntry(NamedTuple):
    """A chunk in the index. `start` and `end` are its bytes in the file of its segment."""

    start: int
    end: int
    feature_count: int
    boxes: Boxes


@dataclass(frozen=True)
class SegmentEntry:
    """A segment in the index. `number` never changes; `file` is the key of its file.

    Its features are on the curve from `first_key` on, until the next segment begins.
    """

    number: int
    file: str
    first_key: int
    chunks: tuple[ChunkEntry, ...]

    @property
    def feature_count(self) -> int:
        """The number of its features."""
        return sum(each.feature_count for each in self.chunks)


class IdBlock(NamedTuple):
    """A block in the file of ids: its first id, and its bytes."""

    first_id: str
    start: int
    end: int


class ChunkLocation(NamedTuple):
    """Where a chunk is: the number of its segment, and its own number in that, from 0."""

    segment: int
    chunk: int


@dataclass(frozen=True)
class BaseIndex:
    """The index of base files. The segments are in the order of the curve."""

    segments: tuple[SegmentEntry, ...]
    ids_file: str
    id_blocks: tuple[IdBlock, ...]

    @property
    def feature_count(self) -> int:
        """The number of features."""
        return sum(each.feature_count for each in self.segments)

    @property
    def boxes(self) -> Boxes:
        """The boxes around all features."""
        return boxes_around(
            box for each in self.segments for chunk in each.chunks for box in chunk.boxes
        )

    @property
    def next_number(self) -> int:
        """The number of the next new segment."""
        return max((each.number for each in self.segments), default=-1) + 1

    def chunks_in(self, boxes: Sequence[Box]) -> Iterator[ChunkLocation]:
        """The chunks whose boxes intersect one of `boxes`, in the order of the curve."""
        for segment in self.segments:
            for number, chunk in enumerate(segment.chunks):
                if do_boxes_intersect(chunk.boxes, boxes):
                    yield ChunkLocation(segment.number, number)

    def chunk_boxes(self, boxes: Sequence[Box]) -> list[Box]:
        """The boxes of the chunks whose boxes intersect one of `boxes`."""
        chunks = (chunk for segment in self.segments for chunk in segment.chunks)
        return [
            box for each in chunks if do_boxes_intersect(each.boxes, boxes) for box in each.boxes
        ]

    def byte_range_of(self, chunk_at: ChunkLocation) -> tuple[str, int, int]:
        """Where a chunk is: the key of its file, its first byte, and the one after its last."""
        segment = self._by_number[chunk_at.segment]
        chunk = segment.chunks[chunk_at.chunk]
        return segment.file, chunk.start, chunk.end

    def block_of(self, feature_id: str) -> IdBlock | None:
        """The block that has an id if any has it."""
        at = bisect_right(self.id_blocks, feature_id, key=lambda each: each.first_id)
        return self.id_blocks[at - 1] if at else None

    @cached_property
    def _by_number(self) -> dict[int, SegmentEntry]:
        return {each.number: each for each in self.segments}

    def segment_at(self, key: int) -> SegmentEntry | None:
        """The segment of a position on the curve; None if the index has no segment."""
        at = bisect_right(self.segments, key, key=lambda each: each.first_key)
        return self.segments[max(at - 1, 0)] if self.segments else None

    def to_bytes(self) -> bytes:
        """The index as a file."""
        document = {
            "segments": [
                [
                    each.number,
                    each.file,
                    each.first_key,
                    [
                        [at.end - at.start, at.feature_count, *_numbers_of(at.boxes)]
                        for at in each.chunks
                    ],
                ]
                for each in self.segments
            ],
            "ids": self.ids_file,
            "blocks": [[each.first_id, each.end - each.start] for each in self.id_blocks],
        }
        return _compressed(json.dumps(document, separators=(",", ":")).encode())

    @classmethod
    def from_bytes(cls, data: bytes) -> "BaseIndex":
        """The index in a file."""
        document = json.loads(gzip.decompress(data))
        segments = tuple(
            SegmentEntry(number, file, first_key, tuple(_chunk_entries(chunks)))
            for number, file, first_key, chunks in document["segments"]
        )
        ends = accumulate(length for _, length in document["blocks"])
        blocks = tuple(
            IdBlock(first_id, end - length, end)
            for (first_id, length), end in zip(document["blocks"], ends, strict=True)
        )
        return cls(segments, document["ids"], blocks)


def _chunk_entries(chunks: Iterable[Sequence[int]]) -> Iterator[ChunkEntry]:
    start = 0
    for length, features, *numbers in chunks:
        boxes = tuple(
            Box(*(each / _BOX_SCALE for each in numbers[at : at + 4]))
            for at in range(0, len(numbers), 4)
        )
        yield ChunkEntry(start, start + length, features, boxes)
        start += length


def _numbers_of(boxes: Boxes) -> list[int]:
    return [round(each * _BOX_SCALE) for box in boxes for each in box]


def _rounded_outward(boxes: Boxes) -> Boxes:
    """Boxes with fewer decimals, so that the index is shorter."""
    return tuple(
        Box(
            floor(west * _BOX_SCALE) / _BOX_SCALE,
            floor(south * _BOX_SCALE) / _BOX_SCALE,
            ceil(east * _BOX_SCALE) / _BOX_SCALE,
            ceil(north * _BOX_SCALE) / _BOX_SCALE,
        )
        for west, south, east, north in boxes
    )


def keyed_line(feature: Feature) -> KeyedLine:
    """A feature as its line, with its position on the curve."""
    boxes = boxes_of(feature.geometry)
    return KeyedLine(curve_key(boxes), feature.feature_id, boxes, line_of_feature(feature))


def line_of_feature(feature: Feature) -> bytes:
    """A feature as a line of GeoJSON."""
    return to_json(feature.document()) + b"\n"


def to_json(value: Any) -> bytes:
    """A value as JSON in UTF-8, without line ends."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def parse_feature(line: bytes) -> Feature:
    """The feature of a line."""
    return feature_of(json.loads(line))


def feature_of(document: Any) -> Feature:
    """The feature of a document that `Feature.document` gave."""
    return Feature(document["id"], document["geometry"], document["properties"])


def curve_key(boxes: Boxes) -> int:
    """The position on the Hilbert curve around the globe of what has these bounding boxes."""
    if not boxes:
        return NO_LOCATION_KEY
    longitude, latitude = boxes[0].centre
    cells = 1 << _ORDER
    x = min(int((longitude + 180) / 360 * cells), cells - 1)
    y = min(int((latitude + 90) / 180 * cells), cells - 1)
    return _hilbert_distance(x, y)


def _hilbert_distance(x: int, y: int) -> int:
    """How far along the curve a cell is. Source: Hilbert, 1891; the usual bitwise form of it."""
    distance = 0
    side = 1 << (_ORDER - 1)
    while side:
        in_east, in_north = bool(x & side), bool(y & side)
        distance += side * side * ((3 * in_east) ^ in_north)
        if not in_north:
            if in_east:
                x, y = ~x, ~y
            x, y = y, x
        side >>= 1
    return distance


def chunks_of(lines: Iterable[KeyedLine]) -> Iterator[PackedChunk]:
    """The chunks of lines that are in the order of the curve."""
    taken: list[KeyedLine] = []
    size = 0
    for each in lines:
        if taken and (len(taken) == CHUNK_FEATURES or size + len(each.line) > CHUNK_BYTES):
            yield _packed(taken)
            taken, size = [], 0
        taken.append(each)
        size += len(each.line)
    if taken:
        yield _packed(taken)


def _packed(lines: Sequence[KeyedLine]) -> PackedChunk:
    data = _compressed(b"".join(each.line for each in lines))
    boxes = boxes_around(box for each in lines for box in each.boxes)
    return PackedChunk(data, [each.feature_id for each in lines], boxes, lines[0].key)


def _compressed(data: bytes) -> bytes:
    return gzip.compress(data, _GZIP_LEVEL, mtime=0)


def lines_in(chunk: bytes) -> list[bytes]:
    """The lines of a chunk, or of several in a row, as they were packed."""
    return gzip.decompress(chunk).splitlines(keepends=True)


def features_in_chunk(chunk: bytes) -> list[Feature]:
    """The features of a chunk, or of several in a row."""
    return [parse_feature(line) for line in lines_in(chunk)]


class SegmentBuilder:
    """Numbers chunks in their order, and notes what the index has of them."""

    def __init__(self, first_number: int = 0) -> None:
        self.segments: list[SegmentEntry] = []
        self._number = first_number
        self._chunks: list[ChunkEntry] = []
        self._first_key = 0

    @property
    def number(self) -> int:
        """The number of the segment that is being filled."""
        return self._number

    def add(self, chunk: PackedChunk) -> ChunkLocation:
        """Note a chunk; returns its location."""
        start = self._chunks[-1].end if self._chunks else 0
        self._first_key = self._first_key if self._chunks else chunk.first_key
        boxes = _rounded_outward(chunk.boxes)
        entry = ChunkEntry(start, start + len(chunk.data), len(chunk.feature_ids), boxes)
        self._chunks.append(entry)
        return ChunkLocation(self._number, len(self._chunks) - 1)

    def close(self, file: str) -> None:
        """End the segment, whose chunks are in `file`. Without chunks no segment is made."""
        if self._chunks:
            entry = SegmentEntry(self._number, file, self._first_key, tuple(self._chunks))
            self.segments.append(entry)
            self._number += 1
            self._chunks = []


IdEntry = tuple[str, ChunkLocation]


def id_blocks(entries: Iterable[IdEntry]) -> Iterator[tuple[IdBlock, bytes]]:
    """The blocks of the file of ids, with their bytes. `entries` are sorted by id."""
    taken: list[IdEntry] = []
    end = 0
    for entry in entries:
        taken.append(entry)
        if len(taken) == ID_BLOCK:
            block, data = _id_block(taken, end)
            yield block, data
            taken, end = [], block.end
    if taken:
        yield _id_block(taken, end)


def _id_block(entries: Sequence[IdEntry], start: int) -> tuple[IdBlock, bytes]:
    lines = b"".join(to_json([feature_id, *at]) + b"\n" for feature_id, at in entries)
    data = _compressed(lines)
    return IdBlock(entries[0][0], start, start + len(data)), data


def ids_in(block: bytes) -> Iterator[IdEntry]:
    """The ids of a block, or of several in a row, with the chunks of their features, by id."""
    for line in gzip.decompress(block).splitlines():
        feature_id, segment, chunk = json.loads(line)
        yield feature_id, ChunkLocation(segment, chunk)


def with_segments(
    index: BaseIndex, replaced: Iterable[int], segments: Iterable[SegmentEntry]
) -> BaseIndex:
    """The index with some segments, by number, replaced by others, in the order of the curve."""
    gone = set(replaced)
    kept = [each for each in index.segments if each.number not in gone]
    ordered = sorted((*kept, *segments), key=lambda each: (each.first_key, each.number))
    return replace(index, segments=tuple(ordered))
