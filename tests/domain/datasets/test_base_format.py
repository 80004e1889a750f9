"""Base files: features in spatial order in chunks, their index, and look-ups by id."""

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobyard.domain.datasets.base_format import (
    CHUNK_BYTES,
    CHUNK_FEATURES,
    ID_BLOCK,
    NO_LOCATION_KEY,
    SEGMENT_CHUNKS,
    BaseIndex,
    ChunkLocation,
    SegmentBuilder,
    chunks_of,
    curve_key,
    features_in_chunk,
    id_blocks,
    ids_in,
    keyed_line,
    lines_in,
    parse_feature,
    with_segments,
)
from jobyard.domain.datasets.extent import Box, boxes_of
from jobyard.domain.datasets.feature import Feature, value_key


def point(feature_id: str, x: float, y: float, **properties: Any) -> Feature:
    """A feature at a point."""
    return Feature(feature_id, {"type": "Point", "coordinates": [x, y]}, properties)


class Packed:
    """Base files in memory."""

    def __init__(self, features: list[Feature]) -> None:
        builder = SegmentBuilder()
        self.files: dict[str, bytes] = {}
        entries = []
        chunks = [*chunks_of(sorted(map(keyed_line, features)))]
        for start in range(0, len(chunks), SEGMENT_CHUNKS):
            file = f"s{builder.number}"
            for chunk in chunks[start : start + SEGMENT_CHUNKS]:
                at = builder.add(chunk)
                entries += [(each, at) for each in chunk.feature_ids]
                self.files[file] = self.files.get(file, b"") + chunk.data
            builder.close(file)
        blocks = [*id_blocks(sorted(entries))]
        self.files["ids"] = b"".join(each for _, each in blocks)
        index = BaseIndex(tuple(builder.segments), "ids", tuple(each for each, _ in blocks))
        self.index_bytes = index.to_bytes()
        self.index = BaseIndex.from_bytes(self.index_bytes)

    def find(self, feature_id: str) -> Feature | None:
        """A look-up: the index is at hand, two ranges are read."""
        block = self.index.block_of(feature_id)
        at = block and dict(ids_in(self.files["ids"][block.start : block.end])).get(feature_id)
        if not at:
            return None
        return next(each for each in self.chunk(at) if each.feature_id == feature_id)

    def chunk(self, at: ChunkLocation) -> list[Feature]:
        """The features of a chunk."""
        file, start, end = self.index.byte_range_of(at)
        return features_in_chunk(self.files[file][start:end])

    def near(self, box: Box) -> set[str]:
        """The ids in the chunks that meet a box."""
        return {each.feature_id for at in self.index.chunks_in([box]) for each in self.chunk(at)}


@pytest.fixture(scope="module")
def world() -> Packed:
    """40,000 points everywhere, and one thing that is nowhere."""
    chance = random.Random(7)
    features = [
        point(f"{n:x}", chance.uniform(-180, 180), chance.uniform(-90, 90), number=n)
        for n in range(40_000)
    ]
    return Packed([*features, Feature("nowhere", None, {"name": None})])


def test_segments_have_64_chunks_of_250_features(world: Packed) -> None:
    segments = world.index.segments

    assert [len(each.chunks) for each in segments] == [SEGMENT_CHUNKS, SEGMENT_CHUNKS, 33]
    assert segments[0].chunks[0].feature_count == CHUNK_FEATURES
    assert world.index.feature_count == 40_001
    assert world.index.next_number == 3
    assert len(world.index.id_blocks) == -(-40_001 // ID_BLOCK)


def test_every_feature_is_found_by_its_id_and_no_other_is(world: Packed) -> None:
    found = world.find("9c3f")
    assert found is not None
    assert found.properties == {"number": 0x9C3F}
    assert world.find("nowhere") == Feature("nowhere", None, {"name": None})
    for unknown in ("", "9c3g", "zzz", "!", "09c3f"):
        assert world.find(unknown) is None
    assert {each for each, _ in ids_in(world.files["ids"])} >= {"0", "ff", "nowhere"}


def test_what_is_in_a_box_is_in_few_chunks(world: Packed) -> None:
    box = Box(-10, 36, 30, 70)  # 3.8 % of all
    near = world.near(box)
    inside = {
        each.feature_id
        for data in (world.files[segment.file] for segment in world.index.segments)
        for each in features_in_chunk(data)
        if any(own.intersects(box) for own in boxes_of(each.geometry))
    }

    assert inside <= near
    assert len([*world.index.chunks_in([box])]) < 20  # of 161
    assert "nowhere" not in near


def test_the_curve_passes_all_cells_from_one_to_a_neighbour() -> None:
    x_step, y_step = 360 / 2**16, 180 / 2**16

    def key(x: int, y: int) -> int:
        at = (x + 0.5) * x_step - 180, (y + 0.5) * y_step - 90
        return curve_key((Box(*at, *at),))

    cells = {key(x, y): (x, y) for x in range(16) for y in range(16)}

    assert sorted(cells) == [*range(256)]
    for number, after in pairwise(range(256)):
        (x1, y1), (x2, y2) = cells[number], cells[after]
        assert abs(x1 - x2) + abs(y1 - y2) == 1
    assert curve_key((Box(180, 90, 180, 90),)) < NO_LOCATION_KEY == curve_key(())


def test_a_chunk_is_bounded_in_bytes_too() -> None:
    large = [point(str(n), 0, 0, text="x" * (CHUNK_BYTES // 3)) for n in range(5)]
    huge = point("huge", 0, 0, text="x" * 2 * CHUNK_BYTES)

    chunks = [*chunks_of(map(keyed_line, [*large, huge]))]

    assert [each.feature_ids for each in chunks] == [["0", "1"], ["2", "3"], ["4"], ["huge"]]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Readers refuse halves of surrogate pairs.
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("aé\n\u2028", max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)
NUMBERS = st.floats(-90, 90)
FEATURES = st.builds(
    Feature,
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=4),
    st.none()
    | st.builds(
        lambda x, y: {"type": "MultiPoint", "coordinates": [[x, y], [y, x]]}, NUMBERS, NUMBERS
    ),
    st.dictionaries(st.text("ab", max_size=2), JSON, max_size=3),
)


@settings(max_examples=60)
@given(st.lists(FEATURES, max_size=12, unique_by=lambda each: each.feature_id))
def test_features_are_read_as_they_were_packed(features: list[Feature]) -> None:
    packed = Packed(features)

    for each in features:
        found = packed.find(each.feature_id)
        assert found is not None
        assert value_key(found.document()) == value_key(each.document())  # null is not missing
        assert all(each.feature_id in packed.near(box) for box in boxes_of(each.geometry))
    assert packed.index.feature_count == len(features)
    assert BaseIndex.from_bytes(packed.index_bytes).to_bytes() == packed.index_bytes


def test_a_line_of_a_feature_is_geojson() -> None:
    line = keyed_line(point("é\u2028", 1, 2, name="a\nb")).line

    assert line.count(b"\n") == 1
    assert parse_feature(line).document()["type"] == "Feature"
    assert lines_in(next(chunks_of([keyed_line(point("1", 1, 2))])).data) == [
        b'{"type":"Feature","id":"1","geometry":{"type":"Point","coordinates":[1,2]},"properties":{}}\n'
    ]


def test_replaced_segments_keep_the_order_of_the_curve(world: Packed) -> None:
    first, middle, last = world.index.segments
    builder = SegmentBuilder(world.index.next_number)
    moved = [keyed_line(point(f"new-{n}", 0, 0)) for n in range(2)]
    for chunk in chunks_of(moved):
        assert builder.add(chunk) == ChunkLocation(3, 0)
    builder.close("new")
    builder.close("nothing is in it")

    index = with_segments(world.index, [middle.number], builder.segments)

    assert {each.number for each in index.segments} == {first.number, last.number, 3}
    assert [each.first_key for each in index.segments] == sorted(
        each.first_key for each in index.segments
    )
    assert index.segment_at(moved[0].key) == builder.segments[0]
    assert index.byte_range_of(ChunkLocation(3, 0))[0] == "new"
    assert index.segment_at(0) == index.segments[0]
    assert BaseIndex((), "ids", ()).segment_at(0) is None
    assert BaseIndex((), "ids", ()).boxes == ()
