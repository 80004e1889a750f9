"""Maps of features: equirectangular, true to scale at the middle latitude, without tiles.

A map is as detailed as its pixels. One that would be too large is drawn more coarsely.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from markupsafe import Markup

from jobyard.domain.datasets.changes import ChangeKind
from jobyard.domain.datasets.extent import Box, Boxes, Extent, boxes_around, boxes_of
from jobyard.domain.datasets.feature import Geometry
from jobyard.domain.datasets.geometry import Position, parts_of
from web.filters import cut

MAX_BYTES = 60_000  # of a map
_WIDTH = 1000  # units; a map is shown some 1,000 pixels wide, or less
_HEIGHTS = (360, 680)
_MARGIN = 24
_OUTSIDE = 200  # units beyond the edge at which lines are cut off
_LEAST_SPAN = 1e-4  # degrees, some 10 m: a map of one point
_TOLERANCES = (0.7, 1.5, 3.0, 6.0, 12.0)  # units
_MAX_SIGNS = 150
_SIGN_DISTANCE = 32.0  # units
_MAX_LABELLED = 400  # shapes with a title of their own
_LABEL_LENGTH = 80
_KM_A_DEGREE = 111.32

_Point = tuple[float, float]


class Mark(StrEnum):
    """What a shape on a map is. Each has a sign or a line of its own, so that colour is never
    needed to tell two apart.
    """

    CONTEXT = "context"
    FEATURE = "feature"
    BEFORE = "before"
    INSERTED = "inserted"
    UPDATED = "updated"
    DELETED = "deleted"
    CONFLICT = "conflict"
    FAILURE = "failure"
    INHERITED = "inherited"
    EXTENT = "extent"
    DONE = "done"


# What a legend says of one shape and of several, and the sign on the map.
_WORDS = {
    Mark.CONTEXT: ("other feature", "other features", ""),
    Mark.FEATURE: ("feature", "features", ""),
    Mark.BEFORE: ("outline before", "outlines before", ""),
    Mark.INSERTED: ("new", "new", "+"),
    Mark.UPDATED: ("changed", "changed", "~"),
    Mark.DELETED: ("deleted", "deleted", "\N{MINUS SIGN}"),
    Mark.CONFLICT: ("conflict", "conflicts", "≠"),
    Mark.FAILURE: ("breaks a rule", "break rules", "!"),
    Mark.INHERITED: ("broke a rule before", "broke rules before", "i"),
    Mark.EXTENT: ("extent", "extents", ""),
    Mark.DONE: ("extent of ended work", "extents of ended work", ""),
}
MARK_OF_CHANGE = {
    ChangeKind.INSERT: Mark.INSERTED,
    ChangeKind.UPDATE: Mark.UPDATED,
    ChangeKind.DELETE: Mark.DELETED,
}
_AREAS = frozenset({Mark.EXTENT, Mark.DONE})  # they are drawn last, as lines


@dataclass(frozen=True)
class Shape:
    """A geometry to draw. With an `address` it is a link. `number` is drawn on it, in place of the
    sign of its mark.
    """

    geometry: Geometry
    mark: Mark
    label: str = ""
    address: str = ""
    number: str = ""


@dataclass(frozen=True)
class Map:
    """A drawn map: the picture, its legend as (mark, sign, words), the box that it shows, and how
    many shapes were left out, because they are outside or the map would be too large.
    """

    picture: Markup
    legend: tuple[tuple[str, str, str], ...]
    frame: Box
    left_out: int


def extent_shape(
    extent: Extent, label: str = "", mark: Mark = Mark.EXTENT, address: str = "", number: str = ""
) -> Iterator[Shape]:
    """The shapes of an extent; none if it lists features."""
    for ring in [extent.polygon] if extent.polygon else [each.corners for each in extent.boxes]:
        geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
        yield Shape(geometry, mark, label, address, number)


def draw_map(shapes: Sequence[Shape], title: str, frame: Boxes = ()) -> Map:
    """The map of `shapes`, which are drawn in this order, extents last. `frame` is what it shows;
    without one all shapes.
    """
    boxes = frame or boxes_around(box for each in shapes for box in boxes_of(each.geometry))
    plane = _Plane.of(boxes)
    ordered = sorted(shapes, key=lambda shape: shape.mark in _AREAS)
    inside = [each for each in ordered if plane.shows(each.geometry)]
    drawn, parts = _drawn(inside, plane)
    text = Markup("").join(parts)
    counts = Counter(each.mark for each in drawn)
    words = _counted(counts)
    sides = plane.sides()
    title = f"{title}: {', '.join(words) or 'nothing'}; {sides}"
    is_linked = any(each.address for each in drawn)
    picture = Markup(
        '<svg class="picture map" viewBox="0 0 {} {}" role="{}" aria-label="{}" {}>{}{}{}</svg>'
    ).format(
        *(_WIDTH, plane.height, "group" if is_linked else "img", title, plane.attributes()),
        *(text, Markup("").join(_signs(drawn, plane)), plane.scale_bar()),
    )
    legend = tuple(
        (mark.value, _WORDS[mark][2], word)
        for (mark, _), word in zip(_in_order(counts), words, strict=True)
    )
    return Map(picture, legend, plane.frame, len(shapes) - len(drawn))


def shown_box(boxes: Boxes) -> Box:
    """The box that a map with this frame shows: its margins, and what makes it as wide as all."""
    return _Plane.of(boxes).frame


def _in_order(counts: Counter[Mark]) -> list[tuple[Mark, int]]:
    return [(mark, counts[mark]) for mark in Mark if counts[mark]]


def _counted(counts: Counter[Mark]) -> list[str]:
    """Counts in words, such as "2 changed"."""
    return [f"{count:,} {_WORDS[mark][count != 1]}" for mark, count in _in_order(counts)]


@dataclass(frozen=True)
class _Plane:
    """Where degrees are on a map. Longitudes west of `west` are on the other side of the
    antimeridian. `x` and `y` are units in a degree.
    """

    west: float
    north: float
    east: float
    south: float
    x: float
    y: float
    left: float
    top: float
    height: int

    @classmethod
    def of(cls, boxes: Boxes) -> "_Plane":
        west, south, east, north = _frame_of(boxes)
        middle = math.radians((south + north) / 2)
        squeeze = max(math.cos(middle), 0.05)
        wide = max((east - west) * squeeze, _LEAST_SPAN)
        tall = max(north - south, _LEAST_SPAN)
        inner = _WIDTH - 2 * _MARGIN
        least, most = _HEIGHTS
        height = round(min(max(inner * tall / wide + 2 * _MARGIN, least), most))
        y = min(inner / wide, (height - 2 * _MARGIN) / tall)
        x = y * squeeze
        left = (_WIDTH - (east - west) * x) / 2
        top = (height - (north - south) * y) / 2
        return cls(west, north, east, south, x, y, left, top, height)

    @property
    def frame(self) -> Box:
        """The box that the whole picture shows; `east` is beyond 180 across the antimeridian."""
        east = self.west + (_WIDTH - self.left) / self.x
        south = self.north - (self.height - self.top) / self.y
        return Box(
            self.west - self.left / self.x,
            max(south, -90.0),
            east,
            min(self.north + self.top / self.y, 90.0),
        )

    def place(self, position: Position) -> _Point:
        """Where a position is, in units, not far outside the picture."""
        longitude = position[0]
        if longitude < self.west and longitude + 360 <= self.east:
            longitude += 360
        x = self.left + (longitude - self.west) * self.x
        y = self.top + (self.north - position[1]) * self.y
        return (
            min(max(x, -_OUTSIDE), _WIDTH + _OUTSIDE),
            min(max(y, -_OUTSIDE), self.height + _OUTSIDE),
        )

    def shows(self, geometry: Geometry) -> bool:
        """Whether a geometry is in the picture, wholly or in part."""
        frame = self.frame
        return any(
            box.intersects(frame)
            or Box(box.west + 360, box.south, box.east + 360, box.north).intersects(frame)
            for box in boxes_of(geometry)
        )

    def attributes(self) -> Markup:
        """What a script needs to know where a pointer is."""
        return Markup(
            'data-west="{:.7f}" data-north="{:.7f}" data-x="{:.7g}" data-y="{:.7g}"'
        ).format(self.west - self.left / self.x, self.north + self.top / self.y, self.x, self.y)

    def sides(self) -> str:
        """What the map shows, in words."""
        frame = self.frame
        return (
            f"from {_degrees(frame.west, 'EW')} to {_degrees(frame.east, 'EW')}, "
            f"{_degrees(frame.south, 'NS')} to {_degrees(frame.north, 'NS')}"
        )

    def scale_bar(self) -> Markup:
        """The length of a round number of kilometres, as people measure."""
        km_a_unit = _KM_A_DEGREE / self.y
        km = _round_below(km_a_unit * _WIDTH / 4)
        length = km / km_a_unit
        text = f"{km:,g} km" if km >= 1 else f"{km * 1000:,g} m"
        return Markup(
            '<g class="scale-bar"><path d="M16 {}v6h{:.0f}v-6"/><text x="16" y="{}">{}</text></g>'
        ).format(self.height - 22, length, self.height - 28, text)


def _frame_of(boxes: Boxes) -> tuple[float, float, float, float]:
    """West, south, east and north of all boxes; east is beyond 180 across the antimeridian."""
    if not boxes:
        return -180.0, -85.0, 180.0, 85.0
    south, north = min(each.south for each in boxes), max(each.north for each in boxes)
    wests, easts = [each.west for each in boxes], [each.east for each in boxes]
    if len(boxes) == 2 and min(easts) + 360 - max(wests) < max(easts) - min(wests):
        return max(wests), south, min(easts) + 360, north
    return min(wests), south, max(easts), north


def _degrees(value: float, sides: str) -> str:
    value = (value + 180) % 360 - 180 if sides == "EW" else value
    side = sides[0] if value >= 0 else sides[1]
    return f"{abs(value):.4g}° {side}"


def _round_below(value: float) -> float:
    """The largest of 1, 2 and 5 with zeros that is not larger."""
    size = 10.0 ** math.floor(math.log10(max(value, 1e-6)))
    return max(step * size for step in (1, 2, 5) if step * size <= value * 1.000001)


def _drawn(shapes: Sequence[Shape], plane: _Plane) -> tuple[list[Shape], list[Markup]]:
    """The shapes that fit into a map of `MAX_BYTES`, and what is drawn of them."""
    own_label = {id(each) for each in [s for s in shapes if s.label or s.address][:_MAX_LABELLED]}
    for tolerance in _TOLERANCES:
        pieces = [(each, _path(each.geometry, plane, tolerance)) for each in shapes]
        parts = _joined(pieces, own_label)
        if sum(map(len, parts)) <= MAX_BYTES:
            return [*shapes], parts
    # Even so it is too large: what is around the work is left out first.
    kept: list[tuple[Shape, str]] = []
    size = 0
    for shape, path in sorted(pieces, key=lambda piece: piece[0].mark is Mark.CONTEXT):
        size += len(path) + 120
        if size > MAX_BYTES:
            break
        kept.append((shape, path))
    wanted = {id(shape) for shape, _ in kept}
    kept = [(shape, path) for shape, path in pieces if id(shape) in wanted]
    return [shape for shape, _ in kept], _joined(kept, own_label)


def _joined(pieces: Iterable[tuple[Shape, str]], own_label: set[int]) -> list[Markup]:
    """The paths: one for each shape with a label, one for all others of the same mark in a row."""
    parts: list[Markup] = []
    run: list[str] = []
    mark = Mark.CONTEXT

    def flush() -> None:
        if run:
            parts.append(Markup('<path class="{}" d="{}"/>').format(mark.value, "".join(run)))
            run.clear()

    for shape, path in pieces:
        if id(shape) not in own_label:
            if shape.mark is not mark:
                flush()
                mark = shape.mark
            run.append(path)
            continue
        flush()
        label = cut(shape.label, _LABEL_LENGTH)
        title = Markup("<title>{}</title>").format(label) if label else Markup("")
        drawn = Markup('<path class="{}" d="{}">{}</path>').format(shape.mark.value, path, title)
        if shape.address:
            drawn = Markup('<a href="{}" aria-label="{}">{}</a>').format(
                shape.address, label or shape.address, drawn
            )
        parts.append(drawn)
    flush()
    return parts


def _path(geometry: Geometry, plane: _Plane, tolerance: float) -> str:
    """A geometry as the data of a path, at whole units."""
    return "".join(_lines(geometry, plane, tolerance))


def _lines(geometry: Geometry, plane: _Plane, tolerance: float) -> Iterator[str]:
    """Each line, and points as dots. Of what is too small to see, one dot remains."""
    dots: dict[str, None] = {}
    has_lines = False
    for kind, coordinates in parts_of(geometry):
        if kind == "Point":
            yield _dot(plane.place(coordinates))
            has_lines = True
            continue
        for ring in coordinates if kind == "Polygon" else [coordinates]:
            points = _simplified([plane.place(each) for each in ring], tolerance)
            if len(points) > (2 if kind == "Polygon" else 1):
                yield _moves(points) + ("z" if kind == "Polygon" else "")
                has_lines = True
            else:
                dots[_dot(points[0])] = None
    if not has_lines:
        yield from [*dots][:1]


def _dot(point: _Point) -> str:
    return f"M{point[0]:.0f} {point[1]:.0f}h.1"


def _moves(points: Sequence[_Point]) -> str:
    """A line as relative moves between whole units."""
    x, y = round(points[0][0]), round(points[0][1])
    text = [f"M{x} {y}l"]
    for point in points[1:]:
        to_x, to_y = round(point[0]), round(point[1])
        if (to_x, to_y) == (x, y):
            continue
        separator = "" if len(text) == 1 or to_x - x < 0 else " "
        between = "" if to_y - y < 0 else " "
        text.append(f"{separator}{to_x - x}{between}{to_y - y}")
        x, y = to_x, to_y
    return "".join(text) if len(text) > 1 else f"M{x} {y}h.1"


def _simplified(points: list[_Point], tolerance: float) -> list[_Point]:
    """The points that are needed to be nowhere farther than `tolerance` from the line (Douglas and
    Peucker). Points within half a unit of the one before are dropped first.
    """
    near = [points[0]]
    for point in points[1:]:
        if abs(point[0] - near[-1][0]) + abs(point[1] - near[-1][1]) >= tolerance / 2:
            near.append(point)
    if len(near) > 1 and near[0] == near[-1]:
        near.pop()
    if len(near) < 4:
        return near
    is_kept = [False] * len(near)
    is_kept[0] = is_kept[-1] = True
    spans = [(0, len(near) - 1)]
    while spans:
        first, last = spans.pop()
        farthest, at = _farthest(near, first, last)
        if farthest > tolerance:
            is_kept[at] = True
            spans += [(first, at), (at, last)]
    return [point for point, kept in zip(near, is_kept, strict=True) if kept]


def _farthest(points: Sequence[_Point], first: int, last: int) -> tuple[float, int]:
    """How far the farthest point between two is from the line through them, and which it is."""
    x, y = points[first]
    across, down = points[last][0] - x, points[last][1] - y
    length = math.hypot(across, down)
    most, at = 0.0, first
    for index in range(first + 1, last):
        dx, dy = points[index][0] - x, points[index][1] - y
        distance = abs(across * dy - down * dx) / length if length else math.hypot(dx, dy)
        if distance > most:
            most, at = distance, index
    return most, at


def _signs(shapes: Iterable[Shape], plane: _Plane) -> Iterator[Markup]:
    """The signs and numbers of shapes, where they do not cover each other."""
    places: list[_Point] = []
    for shape in reversed([*shapes]):  # what is drawn on top has its sign first
        sign = shape.number or _WORDS[shape.mark][2]
        if not sign:
            continue
        x, y = _anchor(shape.geometry, plane)
        is_free = all(math.dist((x, y), each) >= _SIGN_DISTANCE for each in places)
        if not is_free or len(places) >= _MAX_SIGNS:
            continue
        places.append((x, y))
        yield Markup(
            '<text class="{}" x="{:.0f}" y="{:.0f}" text-anchor="middle"'
            ' aria-hidden="true">{}</text>'
        ).format(shape.mark.value, x, y + 6, sign)


def _anchor(geometry: Geometry, plane: _Plane) -> _Point:
    """A place for a sign: the middle of the largest part that is seen."""
    best = (-1.0, (0.0, 0.0))
    for kind, coordinates in parts_of(geometry):
        line = coordinates[0] if kind == "Polygon" else coordinates
        places = [plane.place(each) for each in ([line] if kind == "Point" else line)]
        xs = [min(max(x, 12), _WIDTH - 12) for x, _ in places]
        ys = [min(max(y, 12), plane.height - 12) for _, y in places]
        size = (max(xs) - min(xs)) * (max(ys) - min(ys))
        if size > best[0]:
            best = size, ((max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2)
    return best[1]
