"""Two geometries are the same if they mean the same place, however they are written."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.datasets.geometry import (
    crossing_in,
    has_heights,
    is_same_geometry,
    winding_of,
)

RING = [[0, 0], [3, 0], [3, 2], [1, 3], [0, 2], [0, 0]]
HOLES = [
    [[1, 1], [1, 1.5], [1.5, 1.5], [1, 1]],
    [[2, 1], [2, 1.5], [2.5, 1.5], [2, 1]],
]


def geometry(kind: str, coordinates: Any) -> dict[str, Any]:
    """A geometry as GeoJSON."""
    return {"type": kind, "coordinates": coordinates}


def turned(ring: list[Any], steps: int) -> list[Any]:
    """A ring that begins elsewhere."""
    points = ring[:-1]
    points = points[steps % len(points) :] + points[: steps % len(points)]
    return [*points, points[0]]


@given(
    steps=st.integers(0, 10),
    is_reversed=st.booleans(),
    repeated=st.integers(0, 4),
    seed=st.integers(0, 99),
)
def test_where_a_ring_begins_and_how_it_is_wound_does_not_count(
    steps: int, is_reversed: bool, repeated: int, seed: int
) -> None:
    noise = random.Random(seed)
    ring = turned(RING, steps)
    ring.insert(repeated, ring[repeated])
    ring = [[x + noise.uniform(-4e-8, 4e-8), y] for x, y in ring]
    ring[-1] = ring[0]
    other = geometry("Polygon", [ring[::-1] if is_reversed else ring, *HOLES[::-1]])

    assert is_same_geometry(geometry("Polygon", [RING, *HOLES]), other)
    assert is_same_geometry(other, geometry("MultiPolygon", [[RING, *HOLES]]))


def test_a_point_that_moves_by_more_than_the_precision_is_a_change() -> None:
    moved = [[0, 0], [3, 0.0000002], *RING[2:]]
    one, other = geometry("Polygon", [RING]), geometry("Polygon", [moved])

    assert not is_same_geometry(one, other)
    assert is_same_geometry(one, other, precision=6)


def test_the_direction_of_a_line_counts() -> None:
    line = [[0, 0], [1, 1], [2, 0]]

    assert not is_same_geometry(geometry("LineString", line), geometry("LineString", line[::-1]))
    assert is_same_geometry(
        geometry("LineString", line), geometry("MultiLineString", [[line[0], *line]])
    )


def test_the_order_of_parts_does_not_count() -> None:
    squares = [[[[x, 0], [x + 1, 0], [x, 1], [x, 0]]] for x in (0, 2, 4)]
    points = [geometry("Point", [1, 2]), geometry("LineString", [[0, 0], [1, 1]])]

    assert is_same_geometry(
        geometry("MultiPolygon", squares), geometry("MultiPolygon", squares[::-1])
    )
    assert is_same_geometry(
        {"type": "GeometryCollection", "geometries": points},
        {"type": "GeometryCollection", "geometries": points[::-1]},
    )


def test_a_hole_is_no_exterior() -> None:
    assert not is_same_geometry(
        geometry("Polygon", [HOLES[0], HOLES[1]]), geometry("Polygon", [HOLES[1], HOLES[0]])
    )


def test_minus_zero_is_zero_and_a_height_counts() -> None:
    assert is_same_geometry(geometry("Point", [-0.0, 0]), geometry("Point", [0, -1e-9]))
    assert not is_same_geometry(geometry("Point", [1, 2, 3]), geometry("Point", [1, 2]))
    assert has_heights(geometry("LineString", [[1, 2], [1, 2, 3]]))
    assert not has_heights(geometry("MultiPoint", [[1, 2], [2, 2]]))


def test_nothing_is_the_same_as_nothing_only() -> None:
    assert is_same_geometry(None, None)
    assert not is_same_geometry(None, geometry("Point", [0, 0]))


@pytest.mark.parametrize(
    ("ring", "winding"),
    [
        (RING, 1),
        (RING[::-1], -1),
        ([[0, 0], [1, 1], [2, 2], [0, 0]], 0),
        # Where the sum of products of floats has lost the area.
        ([[179, 89], [179.0000001, 89], [179.0000001, 89.0000001], [179, 89]], 1),
    ],
)
def test_winding_is_exact(ring: list[Any], winding: int) -> None:
    assert winding_of(ring) == winding


@pytest.mark.parametrize(
    ("ring", "index"),
    [
        (RING, None),
        ([[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]], 0),  # lines cross
        ([[0, 0], [2, 0], [2, 2], [1, 0], [0, 2], [0, 0]], 0),  # a corner touches a line
        ([[0, 0], [2, 0], [1, 1], [2, 2], [0, 2], [1, 1], [0, 0]], 1),  # corners meet
        ([[0, 0], [1, 0], [2, 0], [1, 0], [1, 1], [0, 0]], 0),  # a spike
        ([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0], [0, 0]], None),  # a repeated position
        ([[0, 0], [1e-9, 0], [1e-9, 1e-9], [0, 1e-9], [0, 0]], None),
    ],
)
def test_where_a_ring_meets_itself(ring: list[Any], index: int | None) -> None:
    assert crossing_in(ring) == index
    assert (crossing_in(ring[::-1]) is None) is (index is None)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=7))
def test_a_ring_meets_itself_wherever_it_begins(points: list[tuple[int, int]]) -> None:
    ring = [list(each) for each in points]
    ring.append(ring[0])
    found = {crossing_in(turned(ring, steps)) is None for steps in range(len(points))}
    mirrored = [[y, x] for x, y in ring]

    assert len(found | {crossing_in(mirrored) is None, crossing_in(ring[::-1]) is None}) == 1


def test_a_ring_that_crosses_itself_has_one_form_only() -> None:
    eight = [[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]  # without area, so it has no direction

    for steps in range(4):
        assert is_same_geometry(
            geometry("Polygon", [eight]), geometry("Polygon", [turned(eight, steps)])
        )
        assert is_same_geometry(
            geometry("Polygon", [eight]), geometry("Polygon", [turned(eight, steps)[::-1]])
        )
