"""Boxes never wrap, and an extent has what touches it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.datasets.extent import (
    MAX_EXTENT_BYTES,
    MAX_VERTICES,
    Box,
    Extent,
    boxes_around,
    boxes_of,
    extent_around,
    parse_extent,
)
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.errors import BadRequest

EUROPE = parse_extent({"box": [-10, 36, 30, 70]})
ALEUTIANS = parse_extent({"box": [170, 50, -170, 60]})


def square(west: float, south: float, size: float = 1) -> list[list[float]]:
    """A ring, counterclockwise."""
    east, north = west + size, south + size
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def placed(kind: str, coordinates: Any) -> Feature:
    """A feature with a geometry."""
    return Feature("f", {"type": kind, "coordinates": coordinates}, {})


ALASKA = placed("MultiPolygon", [[square(-150, 60, 5)], [square(178, 51)], [square(-180, 51)]])


def test_a_multipolygon_across_the_antimeridian_has_two_boxes() -> None:
    assert boxes_of(ALASKA.geometry) == (Box(-180, 51, -145, 65), Box(178, 51, 179, 52))


def test_an_extent_in_europe_does_not_have_alaska() -> None:
    """Source: turf#2061."""
    assert not EUROPE.includes(ALASKA)
    assert ALEUTIANS.includes(ALASKA)
    assert not parse_extent({"box": [-170, 50, 170, 60]}).includes(
        placed("MultiPolygon", [[square(178, 51)], [square(-180, 51)]])
    )


def test_an_extent_across_the_antimeridian_is_read_as_it_was_written() -> None:
    assert ALEUTIANS.boxes == (Box(170, 50, 180, 60), Box(-180, 50, -170, 60))
    assert parse_extent(ALEUTIANS.document()) == ALEUTIANS
    assert extent_around(boxes_of(ALASKA.geometry)).includes(ALASKA)
    assert not extent_around(boxes_of(ALASKA.geometry)).includes(placed("Point", [0, 55]))


@pytest.mark.parametrize(
    ("kind", "coordinates", "inside"),
    [
        ("Point", [1, 1], True),
        ("Point", [0, 2], True),  # on an edge
        ("Point", [4, 4], True),  # on a corner
        ("Point", [4.000001, 4], False),
        ("Point", [1, 1, 500], True),
        ("MultiPoint", [[9, 9], [1, 1]], True),
        ("LineString", [[-1, 2], [5, 2]], True),  # through it, no vertex inside
        ("LineString", [[-1, 4.5], [4.5, -1]], True),
        ("LineString", [[3, 6], [6, 3]], False),  # its box intersects, the line does not
        ("Polygon", [square(-5, -5, 20)], True),  # around it
        ("Polygon", [square(1, 1)], True),  # inside it
        ("Polygon", [square(-5, -5, 20), square(-1, -1, 6)[::-1]], False),  # it is in the hole
        ("Polygon", [square(-5, -5, 20), square(1, 1)[::-1]], True),  # the hole is inside it
        ("Polygon", [square(4, 4)], True),  # they share a corner
        ("Polygon", [[[5, -1], [9, 8], [-1, 9], [5, 5], [5, -1]]], False),
    ],
)
def test_what_touches_an_extent_is_in_it(kind: str, coordinates: Any, inside: bool) -> None:
    feature = placed(kind, coordinates)
    box = parse_extent({"box": [0, 0, 4, 4]})
    polygon = parse_extent({"polygon": square(0, 0, 4)})

    assert (box.includes(feature), polygon.includes(feature)) == (inside, inside)


def test_a_feature_without_a_place_is_in_no_area_but_may_be_listed() -> None:
    nowhere = Feature("7", None, {})

    assert not parse_extent({"box": [-180, -90, 180, 90]}).includes(nowhere)
    assert parse_extent({"features": ["7", "8"]}).includes(nowhere)
    assert not parse_extent({"features": ["07"]}).includes(nowhere)


def test_an_extent_with_an_inner_corner_does_not_have_what_is_in_the_corner() -> None:
    corner = parse_extent({"polygon": [[0, 0], [4, 0], [4, 1], [1, 1], [1, 4], [0, 4]]})

    assert not corner.includes(placed("Point", [3, 3]))
    assert corner.includes(placed("Point", [3, 1]))
    assert corner.includes(placed("Point", [0.5, 3]))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "one of box, polygon, features"),
        ({"box": [0, 0, 1, 1], "features": ["1"]}, "one of box, polygon, features"),
        ({"circle": [0, 0, 1]}, "one of box, polygon, features"),
        ({"box": [0, 0, 1]}, r"\[west, south, east, north\]"),
        ({"box": [0, 0, 1, True]}, r"\[west, south, east, north\]"),
        ({"box": [0, 5, 1, 1]}, "above its north"),
        ({"box": [0, 0, 181, 1]}, "longitude that is not between"),
        ({"box": [0, float("nan"), 1, 1]}, "latitude that is not between"),
        ({"box": [0, 0, 10**400, 1]}, "longitude that is not between"),
        ({"polygon": [[0, 0], [1, -(10**400)], [0, 1]]}, "latitude that is not between"),
        ({"polygon": [[0, 0], [1, 1], [0, 0]]}, "at least 3 different vertices, not 2"),
        ({"polygon": [[0, 0], [1, 0], [1, 1], [1, 0]]}, "vertex 4 of the polygon repeats vertex 2"),
        ({"polygon": [[0, 0], [1, 1], [1, 0], [0, 1]]}, "intersects itself after vertex 1"),
        ({"polygon": [[0, 0], [2, 0], [1, 0]]}, "intersects itself"),
        ({"polygon": [[0, 0], [1, 0], "x"]}, "vertex 3 of the polygon is not"),
        ({"polygon": [[n / 10, (n % 2)] for n in range(MAX_VERTICES + 1)]}, "up to 500 vertices"),
        ({"features": []}, "at least one id"),
        ({"features": [1]}, "each a text"),
        ({"features": ["x" * 129]}, "up to 128 printable"),
        ({"features": [f"{n:0100}" for n in range(200)]}, f"up to {MAX_EXTENT_BYTES:,} bytes"),
    ],
)
def test_an_extent_that_is_not_valid_is_refused_with_what_is_allowed(
    document: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadRequest, match=message):
        parse_extent(document)


LONGITUDES, LATITUDES = st.floats(-180, 180), st.floats(-90, 90)
POINTS = st.tuples(LONGITUDES, LATITUDES)
BOXES = st.tuples(POINTS, POINTS).map(
    lambda both: Box(*map(min, *both), *map(max, *both))  # type: ignore[call-overload]
)


@given(st.lists(BOXES, min_size=1, max_size=8))
def test_the_boxes_around_boxes_have_each_of_them_and_never_wrap(boxes: list[Box]) -> None:
    around = boxes_around(boxes)

    assert len(around) <= 2
    assert all(each.west <= each.east and each.south <= each.north for each in around)
    assert all(any(large.contains(each) for large in around) for each in boxes)
    assert set(boxes_around(around)) == set(around)


@given(st.lists(LONGITUDES, min_size=1, max_size=6), LONGITUDES)
def test_turning_the_globe_makes_the_boxes_around_points_no_wider(
    longitudes: list[float], turn: float
) -> None:
    def width(places: list[float]) -> float:
        around = boxes_around(Box(each, 0, each, 0) for each in places)
        if len(around) == 2:  # from the second, across the antimeridian, to the first
            return around[0].east + 360 - around[1].west
        return around[0].east - around[0].west

    turned = [(each + turn + 180) % 360 - 180 for each in longitudes]

    assert width(turned) == pytest.approx(width(longitudes), abs=1e-6)


@given(POINTS, BOXES)
def test_a_point_is_in_a_box_by_its_numbers(point: tuple[float, float], box: Box) -> None:
    is_inside = box.west <= point[0] <= box.east and box.south <= point[1] <= box.north

    assert Extent(boxes=(box,)).includes(placed("Point", [*point])) == is_inside


@pytest.mark.parametrize(
    ("box", "grown"),
    [
        (Box(0, 0, 1, 1), (Box(-2, -2, 3, 3),)),
        (Box(-179, 0, 1, 89), (Box(179, -2, 180, 90), Box(-180, -2, 3, 90))),
        (Box(170, 0, 179, 1), (Box(168, -2, 180, 3), Box(-180, -2, -179, 3))),
        (Box(-180, -90, 180, 90), (Box(-180, -90, 180, 90),)),
    ],
)
def test_a_box_grows_across_the_antimeridian(box: Box, grown: tuple[Box, ...]) -> None:
    assert box.grown(2) == grown
