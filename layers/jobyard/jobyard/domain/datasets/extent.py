"""Where something is: boxes of longitudes and latitudes, and the extent of a piece of work."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from jobyard.domain.datasets.feature import MAX_ID_LETTERS, Feature, Geometry, is_id
from jobyard.domain.datasets.geometry import (
    Position,
    crossing_in,
    do_lines_intersect,
    parts_of,
)
from jobyard.domain.errors import BadRequest

MAX_VERTICES = 500  # of a polygon
MAX_EXTENT_BYTES = 16_000  # of its document, so that the records that have one stay small
_KINDS = ("box", "polygon", "features")


class Box(NamedTuple):
    """A box in degrees, edges included. `west` <= `east`: what crosses the antimeridian has two."""

    west: float
    south: float
    east: float
    north: float

    def intersects(self, other: "Box") -> bool:
        """Whether two boxes have a point in common."""
        return (
            self.west <= other.east
            and other.west <= self.east
            and self.south <= other.north
            and other.south <= self.north
        )

    def contains(self, other: "Box") -> bool:
        """Whether `other` is inside this box."""
        return (
            self.west <= other.west
            and self.south <= other.south
            and self.east >= other.east
            and self.north >= other.north
        )

    @property
    def corners(self) -> "_Ring":
        """Its corners, counterclockwise from the south-west, without a closing one."""
        west, south, east, north = self
        return (west, south), (east, south), (east, north), (west, north)

    @property
    def centre(self) -> tuple[float, float]:
        """Its longitude and latitude in the middle."""
        return (self.west + self.east) / 2, (self.south + self.north) / 2

    def grown(self, degrees: float) -> "Boxes":
        """The box with `degrees` more on each side; two boxes if it crosses the antimeridian."""
        south, north = max(-90.0, self.south - degrees), min(90.0, self.north + degrees)
        west, east = self.west - degrees, self.east + degrees
        if east - west >= 360:
            return (Box(-180.0, south, 180.0, north),)
        if west < -180:
            return Box(west + 360, south, 180.0, north), Box(-180.0, south, east, north)
        if east > 180:
            return Box(west, south, 180.0, north), Box(-180.0, south, east - 360, north)
        return (Box(west, south, east, north),)


Boxes = tuple[Box, ...]
_Ring = tuple[tuple[float, float], ...]  # without the closing position


def boxes_of(geometry: Geometry | None) -> Boxes:
    """The smallest box on the globe around a geometry: none, one, or two across the antimeridian.

    A polygon or line is not cut: parts on both sides of the antimeridian are parts of a Multi.
    """
    return () if geometry is None else boxes_around(_part_boxes(geometry))


def boxes_around(boxes: Iterable[Box]) -> Boxes:
    """The smallest box on the globe around `boxes`: none, one, or two across the antimeridian."""
    ordered = sorted(boxes)
    if not ordered:
        return ()
    first, reach, cut = ordered[0], ordered[0].east, 0
    widest = 0.0
    for index, box in enumerate(ordered):
        if box.west - reach > widest:
            widest, cut = box.west - reach, index
        reach = max(reach, box.east)
    if widest <= first.west + 360 - reach:
        cut = 0
    return tuple(union(part) for part in (ordered[:cut], ordered[cut:]) if part)


def do_boxes_intersect(boxes: Iterable[Box], others: Sequence[Box]) -> bool:
    """Whether one of `boxes` intersects one of the others."""
    return any(box.intersects(other) for box in boxes for other in others)


def union(boxes: Iterable[Box]) -> Box:
    """The box around at least one box, as wide as their numbers say."""
    wests, souths, easts, norths = zip(*boxes, strict=True)
    return Box(min(wests), min(souths), max(easts), max(norths))


def _box_around(places: Iterable[Position]) -> Box:
    columns = [*zip(*(each[:2] for each in places), strict=True)]
    return Box(min(columns[0]), min(columns[1]), max(columns[0]), max(columns[1]))


def _part_boxes(geometry: Geometry) -> Iterator[Box]:
    for kind, coordinates in parts_of(geometry):
        if kind == "Point":
            yield Box(*coordinates[:2], *coordinates[:2])
        else:
            yield _box_around(coordinates[0] if kind == "Polygon" else coordinates)


@dataclass(frozen=True)
class Extent:
    """What a piece of work is about: an area, or features by their ids. One of the three is set.

    `boxes` are one box, or the two of a box across the antimeridian. `polygon` are its vertices
    without the closing one. What touches the edge of an area is in it.
    """

    boxes: Boxes = ()
    polygon: _Ring = ()
    feature_ids: tuple[str, ...] = ()

    @property
    def area(self) -> Boxes:
        """The boxes around it; none if it lists features."""
        return (_box_around(self.polygon),) if self.polygon else self.boxes

    def includes(self, feature: Feature) -> bool:
        """Whether a feature is in it, wholly or in part."""
        if self.feature_ids:
            return feature.feature_id in self.feature_ids
        geometry = feature.geometry
        if geometry is None or not do_boxes_intersect(boxes_of(geometry), self.area):
            return False
        rings = [self.polygon] if self.polygon else [each.corners for each in self.boxes]
        parts = [*parts_of(geometry)]
        if any(box.contains(each) for box in self.boxes for each in _part_boxes(geometry)):
            return True
        return any(_is_part_in(*part, ring) for part in parts for ring in rings)

    def document(self) -> dict[str, Any]:
        """The extent as JSON: `box` ([west, south, east, north]), `polygon`, or `features`."""
        if self.feature_ids:
            return {"features": [*self.feature_ids]}
        if self.polygon:
            return {"polygon": [[*each] for each in self.polygon]}
        first, last = self.boxes[0], self.boxes[-1]
        return {"box": [first.west, first.south, last.east, first.north]}


def extent_around(boxes: Boxes) -> Extent:
    """The extent of a box, or of the two of a box across the antimeridian."""
    if len(boxes) == 2 and boxes[0].west < boxes[1].west:  # `boxes_around` sorts by longitude
        west, east = boxes
        south, north = min(west.south, east.south), max(west.north, east.north)
        boxes = (Box(east.west, south, 180.0, north), Box(-180.0, south, west.east, north))
    return Extent(boxes=boxes)


def parse_extent(document: Mapping[str, Any]) -> Extent:
    """The extent of a document as `Extent.document` gives one. A box across the antimeridian has a
    `west` that is larger than its `east`, as in RFC 7946.

    Raises:
        BadRequest: it is not valid; the message says what is allowed.
    """
    given = [kind for kind in _KINDS if document.get(kind) is not None]
    if len(given) != 1 or document.keys() - set(_KINDS):
        raise BadRequest(f"an extent has one of {', '.join(_KINDS)}")
    if len(json.dumps(document).encode()) > MAX_EXTENT_BYTES:
        raise BadRequest(f"an extent has up to {MAX_EXTENT_BYTES:,} bytes as JSON")
    match given[0]:
        case "box":
            return Extent(boxes=_parse_box(document["box"]))
        case "polygon":
            return Extent(polygon=_parse_polygon(document["polygon"]))
        case _:
            return Extent(feature_ids=_parse_ids(document["features"]))


def _parse_box(value: Any) -> Boxes:
    if not _is_list_of_numbers(value, 4):
        raise BadRequest("a box is [west, south, east, north], in degrees")
    _check_position(value[:2], "the south-west corner of the box")
    _check_position(value[2:], "the north-east corner of the box")
    west, south, east, north = map(float, value)
    if south > north:
        raise BadRequest(f"the south of the box, {south}, is above its north, {north}")
    if west > east:
        return Box(west, south, 180.0, north), Box(-180.0, south, east, north)
    return (Box(west, south, east, north),)


def _parse_polygon(value: Any) -> _Ring:
    if not isinstance(value, list | tuple):
        raise BadRequest("a polygon is a list of vertices [longitude, latitude]")
    for number, each in enumerate(value, start=1):
        if not _is_list_of_numbers(each, 2):
            raise BadRequest(f"vertex {number} of the polygon is not [longitude, latitude]")
        _check_position(each, f"vertex {number} of the polygon")
    ring = [(float(each[0]), float(each[1])) for each in value]
    if len(ring) > 1 and ring[0] == ring[-1]:
        ring.pop()
    if len(ring) < 3:
        raise BadRequest(f"a polygon has at least 3 different vertices, not {len(ring)}")
    if len(ring) > MAX_VERTICES:
        raise BadRequest(f"a polygon has up to {MAX_VERTICES} vertices, not {len(ring)}")
    first_of: dict[tuple[float, float], int] = {}
    for number, vertex in enumerate(ring, start=1):
        if first_of.setdefault(vertex, number) != number:
            message = f"vertex {number} of the polygon repeats vertex {first_of[vertex]}"
            raise BadRequest(message)
    at = crossing_in([*ring, ring[0]])
    if at is not None:
        raise BadRequest(f"the polygon intersects itself after vertex {at + 1}, {[*ring[at]]}")
    return tuple(ring)


def _parse_ids(value: Any) -> tuple[str, ...]:
    is_list = isinstance(value, list | tuple) and bool(value)
    if not is_list or not all(isinstance(each, str) and each for each in value):
        raise BadRequest("features are a list of at least one id, each a text")
    if not all(map(is_id, value)):
        raise BadRequest(f"an id has up to {MAX_ID_LETTERS} printable characters")
    return tuple(dict.fromkeys(value))


def _is_list_of_numbers(value: Any, length: int) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == length
        and all(isinstance(each, int | float) and not isinstance(each, bool) for each in value)
    )


def _check_position(position: Sequence[float], what: str) -> None:
    longitude, latitude = position
    if not -180 <= longitude <= 180:
        raise BadRequest(f"{what} has a longitude that is not between -180 and 180: {longitude}")
    if not -90 <= latitude <= 90:
        raise BadRequest(f"{what} has a latitude that is not between -90 and 90: {latitude}")


def _is_part_in(kind: str, coordinates: Sequence[Any], area: _Ring) -> bool:
    """Whether a Point, LineString or Polygon has a point in common with the area of a ring."""
    if kind == "Point":
        return _is_inside(coordinates, area)
    rings = coordinates if kind == "Polygon" else [coordinates]
    if _is_inside(rings[0][0], area) or _do_edges_intersect(rings, area):
        return True
    if kind != "Polygon":
        return False
    # No edges intersect: the area is wholly inside, in a hole, or outside.
    return _is_inside(area[0], rings[0]) and not any(
        _is_inside(area[0], hole) for hole in rings[1:]
    )


def _do_edges_intersect(lines: Iterable[Sequence[Position]], area: _Ring) -> bool:
    around = _box_around(area)
    edges = [(each, _box_around(each)) for each in pairwise((*area, area[0]))]
    for line in lines:
        for start, end in pairwise(line):
            segment = (start[0], start[1]), (end[0], end[1])
            box = _box_around(segment)
            if box.intersects(around) and any(
                box.intersects(edge_box) and do_lines_intersect(segment, edge)
                for edge, edge_box in edges
            ):
                return True
    return False


def _is_inside(position: Position, ring: Sequence[Position]) -> bool:
    """Whether a position is inside a ring, closed or not, or on its edge."""
    x, y = position[0], position[1]
    is_inside = False
    start = ring[-1]
    for end in ring:
        (x1, y1), (x2, y2) = start[:2], end[:2]
        across = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)
        if across == 0 and min(x1, x2) <= x <= max(x1, x2) and min(y1, y2) <= y <= max(y1, y2):
            return True
        if (y1 > y) != (y2 > y) and (across > 0) == (y2 > y1):
            is_inside = not is_inside
        start = end
    return is_inside
