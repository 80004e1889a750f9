"""Geometries of GeoJSON: when two are the same, and how rings are wound."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from jobyard.domain.datasets.feature import Geometry

DEFAULT_PRECISION = 7  # decimals of a degree: some 11 mm at the equator
MAX_PRECISION = 12
SINGLE_OF = {"MultiPoint": "Point", "MultiLineString": "LineString", "MultiPolygon": "Polygon"}
MAX_LINE_PAIRS = 5_000_000  # of a ring that are compared: some two seconds
COLLECTION = "GeometryCollection"

Position = Sequence[float]
_Point = tuple[int, ...]  # a position in units of the last decimal
_Place = tuple[float, ...]
_Line = tuple[_Place, _Place]


class TooLong(ValueError):
    """A ring has too many lines at the same longitudes to compare them all."""


def is_same_geometry(
    geometry: Geometry | None, other: Geometry | None, precision: int = DEFAULT_PRECISION
) -> bool:
    """Whether two geometries are the same at `precision` decimals of a degree.

    Where a ring begins, how it is wound, repeated points and the order of parts do not count. The
    direction of a line does. A Multi of one part is that part.
    """
    if geometry is None or other is None or geometry == other:
        return geometry is other or geometry == other
    return normal_form(geometry, precision) == normal_form(other, precision)


def normal_form(geometry: Geometry, precision: int = DEFAULT_PRECISION) -> tuple[Any, ...]:
    """A value that is equal for geometries that are the same, and only for these."""
    kind = geometry["type"]
    if kind == COLLECTION:
        return kind, tuple(sorted(normal_form(each, precision) for each in geometry["geometries"]))
    scale = 10**precision
    parts = geometry["coordinates"]
    if kind not in SINGLE_OF:
        return kind, _normal_part(kind, parts, scale)
    single = SINGLE_OF[kind]
    normal = sorted(_normal_part(single, part, scale) for part in parts)
    return (single, normal[0]) if len(normal) == 1 else (kind, tuple(normal))


def _normal_part(kind: str, coordinates: Sequence[Any], scale: int) -> tuple[Any, ...]:
    if kind == "Point":
        return _point(coordinates, scale)
    if kind == "LineString":
        return tuple(_without_repeats(_point(each, scale) for each in coordinates))
    exterior, *holes = (_normal_ring(ring, scale) for ring in coordinates)
    return exterior, *sorted(holes)


def _point(position: Position, scale: int) -> _Point:
    return tuple([round(each * scale) for each in position])


def _without_repeats(points: Iterable[_Point]) -> list[_Point]:
    kept: list[_Point] = []
    for point in points:
        if not kept or point != kept[-1]:
            kept.append(point)
    return kept


def _normal_ring(ring: Sequence[Position], scale: int) -> tuple[_Point, ...]:
    """The ring without its closing point, counterclockwise, from its smallest point on.

    A ring without area has no direction: the smaller of both is taken.
    """
    points = _without_repeats(_point(each, scale) for each in ring)
    if len(points) > 1 and points[0] == points[-1]:
        points.pop()
    area = _twice_area(points)
    if area < 0:
        points.reverse()
    first = _from_smallest(points)
    return min(first, _from_smallest(points[::-1])) if area == 0 else first


def _from_smallest(points: Sequence[_Point]) -> tuple[_Point, ...]:
    smallest = min(points)
    starts = [index for index, point in enumerate(points) if point == smallest]
    return min((*points[start:], *points[:start]) for start in starts)


def _twice_area(points: Sequence[Position]) -> float:
    """Twice the area of a ring, above zero if it is wound counterclockwise."""
    total: float = 0
    x, y = points[-1][:2]
    for point in points:
        total += x * point[1] - point[0] * y
        x, y = point[0], point[1]
    return total


def winding_of(ring: Sequence[Position], precision: int = MAX_PRECISION) -> int:
    """1 if a ring is wound counterclockwise, -1 if clockwise, 0 if it has no area.

    It is exact at `precision` decimals.
    """
    scale = 10**precision
    area = _twice_area([_point(each[:2], scale) for each in ring])
    return (area > 0) - (area < 0)


def crossing_in(ring: Sequence[Position], precision: int = MAX_PRECISION) -> int | None:
    """The index of a position of a ring from which its line meets another part of the ring.

    None if the ring does not intersect itself, at `precision` decimals; it is exact there.

    Raises:
        TooLong: it would take more than `MAX_LINE_PAIRS` comparisons.
    """
    scale = 10**precision
    points: list[_Point] = []
    indexes: list[int] = []
    for index, position in enumerate(ring):
        point = _point(position[:2], scale)
        if not points or point != points[-1]:
            points.append(point)
            indexes.append(index)
    lines = list(pairwise(points))
    last = len(lines) - 1
    pairs = 0
    active: list[int] = []  # lines that reach the current one from the west
    for number in sorted(range(len(lines)), key=lambda each: min(lines[each])):
        (x, y), (to_x, to_y) = lines[number]
        west, south, north = min(x, to_x), min(y, to_y), max(y, to_y)
        active = [each for each in active if max(lines[each])[0] >= west]
        pairs += len(active)
        if pairs > MAX_LINE_PAIRS:
            raise TooLong
        for other in active:
            (_, low), (_, high) = lines[other]
            if (low > north and high > north) or (low < south and high < south):
                continue
            first, second = sorted((number, other))
            is_next = second == first + 1
            if is_next or (first, second) == (0, last):
                before, after = (first, second) if is_next else (second, first)
                if _turns_back(*lines[before], lines[after][1]):
                    return indexes[before]
            elif do_lines_intersect(lines[first], lines[second]):
                return indexes[first]
        active.append(number)
    return None


def _turns_back(start: _Point, corner: _Point, end: _Point) -> bool:
    """Whether a line to a corner and the next one from it lie on each other."""
    ahead = (corner[0] - start[0]) * (end[0] - corner[0])
    ahead += (corner[1] - start[1]) * (end[1] - corner[1])
    return ahead < 0 and _side(start, corner, end) == 0


def do_lines_intersect(line: _Line, other: _Line) -> bool:
    """Whether two lines, each from one position to another, have a point in common."""
    (start, end), (from_, to) = line, other
    sides = _side(start, end, from_), _side(start, end, to)
    other_sides = _side(from_, to, start), _side(from_, to, end)
    if sides[0] * sides[1] > 0 or other_sides[0] * other_sides[1] > 0:
        return False
    if any(sides) or any(other_sides):
        return True
    return max(min(line), min(other)) <= min(max(line), max(other))  # all on one line


def _side(start: _Place, end: _Place, point: _Place) -> int:
    """On which side of a line a point is: above 0 on the left, 0 on the line."""
    across = (end[0] - start[0]) * (point[1] - start[1])
    across -= (end[1] - start[1]) * (point[0] - start[0])
    return (across > 0) - (across < 0)


def parts_of(geometry: Geometry) -> Iterator[tuple[str, Sequence[Any]]]:
    """The kind and the coordinates of each Point, LineString and Polygon of a geometry."""
    kind = geometry["type"]
    if kind == COLLECTION:
        for each in geometry["geometries"]:
            yield from parts_of(each)
    elif kind in SINGLE_OF:
        for part in geometry["coordinates"]:
            yield SINGLE_OF[kind], part
    else:
        yield kind, geometry["coordinates"]


def positions(geometry: Geometry) -> Iterator[Position]:
    """All positions of a geometry, in order."""
    if geometry["type"] == COLLECTION:
        for each in geometry["geometries"]:
            yield from positions(each)
    else:
        yield from _positions_in(geometry["coordinates"])


def _positions_in(coordinates: Sequence[Any]) -> Iterator[Position]:
    if coordinates and not isinstance(coordinates[0], Sequence):
        yield coordinates
    else:
        for each in coordinates:
            yield from _positions_in(each)


def has_heights(geometry: Geometry | None) -> bool:
    """Whether a position of a geometry has a third number, its height."""
    return geometry is not None and any(len(each) > 2 for each in positions(geometry))
