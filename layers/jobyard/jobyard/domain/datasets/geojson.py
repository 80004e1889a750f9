"""Reads the features of GeoJSON (RFC 7946) as a stream, strictly, with findings at their places."""

import json
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import count
from typing import Any

from jobyard.domain.datasets.feature import (
    MAX_ID_LETTERS,
    MAX_SAFE_NUMBER,
    Feature,
    Geometry,
    is_id,
    value_key,
)
from jobyard.domain.datasets.geojson_checks import FeatureFinding, GeoJsonCheck
from jobyard.domain.datasets.geometry import (
    COLLECTION,
    DEFAULT_PRECISION,
    SINGLE_OF,
    TooLong,
    crossing_in,
    winding_of,
)
from jobyard.domain.datasets.json_stream import (
    DEPTH_MESSAGE,
    MAX_DEPTH,
    JsonError,
    JsonStream,
    Path,
)
from jobyard.domain.manifests.findings import Check, FindingCheck, FindingLevels, quoted
from jobyard.domain.plurals import plural

MAX_FEATURES = 1_000_000
_MAX_TURNED = 20  # rings that are turned and listed one by one
_MAX_PLACED = 20  # findings of a feature whose place is searched: each search reads the feature
_MAX_ERRORS = 1_000  # of a feature
_MAX_MEMBERS = 100  # names of unknown members that are reported once each
_CRS84 = frozenset(
    {
        "urn:ogc:def:crs:OGC:1.3:CRS84",
        "urn:ogc:def:crs:OGC::CRS84",
        "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
        "https://www.opengis.net/def/crs/OGC/1.3/CRS84",
        "OGC:CRS84",
        "CRS84",
    }
)
_CRS_MESSAGE = (
    "only CRS84 is read, longitude and latitude of WGS 84: transform the file, or leave `crs` out"
)
_FEATURE_MEMBERS = frozenset({"type", "id", "geometry", "properties", "bbox", "crs"})
_GEOMETRY_MEMBERS = frozenset({"type", "coordinates", "bbox", "crs"})
_COLLECTION_MEMBERS = frozenset({"type", "geometries", "bbox", "crs"})
_LEVELS = {"Point": 0, "LineString": 1, "Polygon": 2}  # of lists within those of the coordinates
_KINDS = ("Point", "LineString", "Polygon", *SINGLE_OF, COLLECTION)
_NUMBERS = (int, float)  # the types of numbers; a bool is none

FeaturesAndFindings = tuple[list[Feature], list[FeatureFinding]]


class FeatureReader(FindingLevels):
    """A pass over GeoJSON: iterating gives its features with findings, in file order.

    A feature with an error is left out. `errors`, `warnings`, `worst_level` and `count` are whole
    after the end. Ids are texts: 1 and "1" are the same feature. A feature without an id gets one
    that follows from its content, so that the same file always gives the same ids.

    Of the collection's own members, those named in `keep` are in `members` after the end.
    """

    def __init__(
        self,
        blocks: Iterable[bytes],
        precision: int = DEFAULT_PRECISION,
        keep: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.count = 0
        self.members: dict[str, Any] = {}
        self._keep = keep
        self._stream = JsonStream(blocks)
        self._precision = precision
        self._lines: dict[str, int] = {}  # of each feature, by its id
        self._reported: set[str] = set()  # names of unknown members
        self._turned = 0  # rings

    def __iter__(self) -> Iterator[FeaturesAndFindings]:
        try:
            for feature, findings in self._read():
                self._levels.update(finding.level for finding in findings)
                self.count += feature is not None
                yield [] if feature is None else [feature], findings
        except JsonError as error:
            finding = _finding_of(error)
            self._levels[finding.level] += 1
            yield [], [finding]

    def line_of(self, feature_id: str) -> int:
        """The line of a feature that was read; 0 if there is none of that id."""
        return self._lines.get(feature_id, 0)

    def _read(self) -> Iterator[tuple[Feature | None, list[FeatureFinding]]]:
        stream = self._stream
        if stream.skip_byte_order_mark():
            message = "the file begins with a byte order mark, which is ignored"
            yield None, [_finding(Check.BYTE_ORDER_MARK, 1, 1, message)]
        members: set[str] = set()
        for name in stream.members():
            if name in members:
                raise JsonError(
                    GeoJsonCheck.KEY_REPEATED,
                    *stream.place(),
                    f"the key {quoted(name)} is repeated",
                )
            members.add(name)
            if name == "features":
                for _ in stream.elements():
                    yield self._next_feature()
            else:
                yield None, self._member_findings(name)
        if stream.peek():
            message = "something follows the end of the collection"
            raise JsonError(GeoJsonCheck.GEOJSON_BAD, *stream.here(), message)
        if self._turned > _MAX_TURNED:
            more = plural(self._turned - _MAX_TURNED, "more ring")
            yield None, [_finding(GeoJsonCheck.RING_WOUND, 0, 0, f"{more} of the file: turned too")]
        missing = [name for name in ("type", "features") if name not in members]
        if missing:
            message = f"a FeatureCollection has a member {quoted(missing[0])}"
            raise JsonError(GeoJsonCheck.COLLECTION_BAD, 1, 1, message)

    def _member_findings(self, name: str) -> list[FeatureFinding]:
        """What is wrong with a member of the collection other than its features."""
        value = self._stream.value()
        place = self._stream.place()
        if name in self._keep:
            self.members[name] = value
        if name == "type" and value != "FeatureCollection":
            message = f'the type must be "FeatureCollection", not {_shown(value)}'
            if value == "Feature" or value in _KINDS:
                message += ": put it into a FeatureCollection"
            raise JsonError(GeoJsonCheck.COLLECTION_BAD, *place, message)
        if name == "crs" and not _is_crs84(value):
            return [_finding(GeoJsonCheck.CRS_UNSUPPORTED, *place, _CRS_MESSAGE)]
        wrong = _wrong_values([((), value)], 2, has_surrogates=False)
        return [
            _finding(check, *self._stream.place(path), message) for check, path, message in wrong
        ]

    def _next_feature(self) -> tuple[Feature | None, list[FeatureFinding]]:
        if len(self._lines) == MAX_FEATURES:
            message = f"at most {MAX_FEATURES:,} features are allowed"
            raise JsonError(GeoJsonCheck.TOO_MANY_FEATURES, *self._stream.here(), message)
        try:
            value = self._stream.value()
        except JsonError as error:
            if error.is_final:
                raise
            return None, [_finding_of(error)]
        check = _FeatureCheck(self._stream, self._precision, self._reported)
        feature = check.feature(value)
        if check.feature_id:
            self._check_repeated(check)
        elif feature is not None and not check.has_errors:
            feature = self._with_id(feature)
            message = f"the feature has no id: it gets {quoted(feature.feature_id)}"
            check.feature_id = feature.feature_id
            check.add(GeoJsonCheck.ID_MISSING, (), message)
        return None if check.has_errors else feature, [*filter(self._is_listed, check.findings)]

    def _is_listed(self, finding: FeatureFinding) -> bool:
        """Whether a finding is listed: programs that wind rings the wrong way do so throughout."""
        if finding.code != GeoJsonCheck.RING_WOUND:
            return True
        self._turned += 1
        return self._turned <= _MAX_TURNED

    def _check_repeated(self, check: "_FeatureCheck") -> None:
        line = self._stream.place()[0]
        if check.feature_id in self._lines:
            first = self._lines[check.feature_id]
            message = f"the feature on line {first} has the id {quoted(check.feature_id)} already"
            check.add(GeoJsonCheck.ID_REPEATED, ("id",), message)
        else:
            self._lines[check.feature_id] = line

    def _with_id(self, feature: Feature) -> Feature:
        content = value_key([feature.geometry, feature.properties])
        digest = blake2b(content.encode(), digest_size=8).hexdigest()
        new_ids = (f"{digest}-{number}" if number else digest for number in count())
        feature_id = next(each for each in new_ids if each not in self._lines)
        self._lines[feature_id] = self._stream.place()[0]
        return Feature(feature_id, feature.geometry, feature.properties)


class _FeatureCheck:
    """Checks one feature, the last value of a stream. It collects the findings."""

    def __init__(self, stream: JsonStream, precision: int, reported: set[str]) -> None:
        self.feature_id = ""
        self.findings: list[FeatureFinding] = []
        self._stream = stream
        self._precision = precision
        self._reported = reported
        self._errors = 0

    @property
    def has_errors(self) -> bool:
        """Whether the feature cannot be used."""
        return self._errors > 0

    def add(self, check: FindingCheck, path: Path, message: str) -> None:
        """Add a finding about what is at `path` within the feature. After many findings, its place
        is that of the feature; after many errors, no more are added.
        """
        if check.level == "error":
            self._errors += 1
            if self._errors > _MAX_ERRORS:
                return
        place = self._stream.place(path if len(self.findings) < _MAX_PLACED else ())
        self.findings.append(_finding(check, *place, message, self.feature_id))

    def feature(self, value: Any) -> Feature | None:
        """The feature in a JSON value; None if it is no feature."""
        if not isinstance(value, dict) or value.get("type") != "Feature":
            message = f'a feature is an object with the type "Feature", not {_shown(value)}'
            self.add(GeoJsonCheck.FEATURE_BAD, ("type",), message)
            return None
        self.feature_id = self._id_in(value)
        for name in ("geometry", "properties"):
            if name not in value:
                message = f"a feature has a member {quoted(name)}, which may be null"
                self.add(GeoJsonCheck.FEATURE_BAD, (), message)
        self._check_members(value, _FEATURE_MEMBERS, ())
        properties = value.get("properties")
        if properties is not None and not isinstance(properties, dict):
            message = f"properties are an object or null, not {_shown(properties)}"
            self.add(GeoJsonCheck.FEATURE_BAD, ("properties",), message)
            properties = None
        self._check_values(value)
        geometry = self._geometry(value.get("geometry"), ("geometry",))
        return Feature(self.feature_id, geometry, properties or {})

    def _id_in(self, value: Mapping[str, Any]) -> str:
        given = value.get("id")
        if given is None or given == "":
            return ""
        message = ""
        if isinstance(given, bool) or not isinstance(given, str | int | float):
            message = f"an id is a text or a number, not {_shown(given)}"
        elif isinstance(given, str):
            if not is_id(given):
                message = f"an id has up to {MAX_ID_LETTERS} printable characters"
        elif not abs(given) <= MAX_SAFE_NUMBER:
            message = f"a number as id is at most {MAX_SAFE_NUMBER:,}: write it as a text"
        elif given != int(given):
            message = "a number as id is whole: write it as a text"
        if message:
            self.add(GeoJsonCheck.ID_BAD, ("id",), message)
            return ""
        return given if isinstance(given, str) else str(int(given))

    def _check_members(self, value: Mapping[str, Any], known: frozenset[str], path: Path) -> None:
        if "crs" in value and not _is_crs84(value["crs"]):
            self.add(GeoJsonCheck.CRS_UNSUPPORTED, (*path, "crs"), _CRS_MESSAGE)
        for name in value.keys() - known - self._reported:
            if len(self._reported) < _MAX_MEMBERS:
                self._reported.add(name)
                message = f"{quoted(name)} is not a member that GeoJSON defines: it is not kept, "
                self.add(GeoJsonCheck.MEMBER_IGNORED, (*path, name), f"{message}here or elsewhere")

    def _check_values(self, feature: Mapping[str, Any]) -> None:
        """Check the depth, numbers and texts of a feature, but not its positions."""
        has_surrogates = self._stream.text_has("\\ud")
        values: list[tuple[Path, Any]] = [
            ((name,), value)
            for name, value in feature.items()
            if name != "geometry" or has_surrogates
        ]
        for check, path, message in _wrong_values(values, 3, has_surrogates=has_surrogates):
            self.add(check, path, message)

    def _geometry(self, value: Any, path: Path) -> Geometry | None:
        """The geometry in a JSON value; None if there is none, or it has an error."""
        if value is None and path == ("geometry",):
            return None
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(value, dict) or kind not in _KINDS:
            message = f"a geometry is an object with one of the types {', '.join(_KINDS)}, "
            self.add(GeoJsonCheck.GEOMETRY_BAD, path, f"{message}not {_shown(value)}")
            return None
        if kind == COLLECTION:
            return self._collection(value, path)
        self._check_members(value, _GEOMETRY_MEMBERS, path)
        coordinates, path = value.get("coordinates"), (*path, "coordinates")
        if not isinstance(coordinates, list):
            message = f"the coordinates of a {kind} are a list, not {_shown(coordinates)}"
            self.add(GeoJsonCheck.GEOMETRY_BAD, path, message)
            return None
        if not coordinates:
            self.add(GeoJsonCheck.GEOMETRY_EMPTY, path, f"the {kind} has no coordinates")
            return None
        if kind not in SINGLE_OF:
            part = self._part(kind, coordinates, path)
            return {"type": kind, "coordinates": part} if part else None
        parts = []
        for index, each in enumerate(coordinates):
            part = self._part(SINGLE_OF[kind], each, (*path, index))
            if part:
                parts.append(part)
        return {"type": kind, "coordinates": parts} if parts else None

    def _collection(self, value: Mapping[str, Any], path: Path) -> Geometry | None:
        self._check_members(value, _COLLECTION_MEMBERS, path)
        values, path = value.get("geometries"), (*path, "geometries")
        if not isinstance(values, list):
            message = f"the geometries of a {COLLECTION} are a list, not {_shown(values)}"
            self.add(GeoJsonCheck.GEOMETRY_BAD, path, message)
            return None
        if not values:
            self.add(GeoJsonCheck.GEOMETRY_EMPTY, path, f"the {COLLECTION} has no geometries")
        geometries = []
        for index, each in enumerate(values):
            if isinstance(each, dict) and each.get("type") == COLLECTION:
                message = f"a {COLLECTION} must not contain another one"
                self.add(GeoJsonCheck.GEOMETRY_BAD, (*path, index), message)
                continue
            geometry = self._geometry(each, (*path, index))
            if geometry is not None:
                geometries.append(geometry)
        return {"type": COLLECTION, "geometries": geometries} if geometries else None

    def _part(self, kind: str, value: Any, path: Path) -> list[Any] | None:
        """The coordinates of a point, line or polygon; None if it is empty or has an error."""
        if _is_empty(value, _LEVELS[kind]):
            self.add(GeoJsonCheck.GEOMETRY_EMPTY, path, f"a {kind} has no coordinates")
            return None
        if kind == "Point":
            message = _position_error(value)
            if message:
                self.add(GeoJsonCheck.POSITION_BAD, path, message)
            return None if message else list(value)
        if kind == "LineString":
            return list(value) if self._are_positions(value, path, 2, "a line") else None
        if not isinstance(value, list):
            message = f"a polygon is a list of rings, not {_shown(value)}"
            self.add(GeoJsonCheck.GEOMETRY_BAD, path, message)
            return None
        rings = [self._ring(ring, index, (*path, index)) for index, ring in enumerate(value)]
        return [ring for ring in rings if ring] if rings[0] else None

    def _ring(self, value: Any, index: int, path: Path) -> list[Any] | None:
        if not self._are_positions(value, path, 4, "a ring"):
            return None
        ring = list(value)
        if ring[0] != ring[-1]:
            message = "a ring ends where it begins: repeat its first position"
            self.add(GeoJsonCheck.RING_OPEN, (*path, len(ring) - 1), message)
            return None
        winding = winding_of(ring)
        if winding == 0:
            self.add(GeoJsonCheck.RING_DEGENERATE, path, "the ring has no area")
            return ring
        try:
            self._check_crossing(ring, path)
        except TooLong:
            message = "the ring has too many lines to find out whether it intersects itself"
            self.add(GeoJsonCheck.RING_NOT_CHECKED, path, message)
        if winding != (-1 if index else 1):
            wanted = "a hole is wound clockwise" if index else "a polygon is wound counterclockwise"
            self.add(GeoJsonCheck.RING_WOUND, path, f"{wanted}: the ring is turned")
            return ring[::-1]
        return ring

    def _check_crossing(self, ring: list[Any], path: Path) -> None:
        """Check whether a ring intersects itself, or does so once it is rounded."""
        at = crossing_in(ring)
        if at is not None:
            message = f"the ring intersects itself after {ring[at]}"
            self.add(GeoJsonCheck.RING_CROSSES, (*path, at), message)
            return
        if all(round(each, self._precision) == each for place in ring for each in place[:2]):
            return
        at = crossing_in(ring, self._precision)
        if at is None and winding_of(ring, self._precision) == 0:
            at = 0
        if at is not None:
            message = f"rounded to {self._precision} decimals, the precision of the dataset, the "
            message += f"ring intersects itself after {ring[at]}: a higher precision keeps it valid"
            self.add(GeoJsonCheck.RING_BROKEN_BY_ROUNDING, (*path, at), message)

    def _are_positions(self, value: Any, path: Path, least: int, what: str) -> bool:
        if not isinstance(value, list) or len(value) < least:
            message = f"{what} is a list of at least {least} positions, not {_shown(value)}"
            self.add(GeoJsonCheck.GEOMETRY_BAD, path, message)
            return False
        at = next((at for at, each in enumerate(value) if not _is_position(each)), None)
        if at is not None:
            message = _position_error(value[at])
            self.add(GeoJsonCheck.POSITION_BAD, (*path, at), message)
        return at is None


def _is_position(value: Any) -> bool:
    if type(value) is list and len(value) == 2:
        x, y = value
        if type(x) in _NUMBERS and type(y) in _NUMBERS and -180 <= x <= 180 and -90 <= y <= 90:
            return True
    return not _position_error(value)


def _position_error(value: Any) -> str:
    """What is wrong with a position; "" if nothing is."""
    if not isinstance(value, list) or not all(type(each) in _NUMBERS for each in value):
        return f"a position is a list of numbers, not {_shown(value)}"
    if not 2 <= len(value) <= 3:
        numbers = plural(len(value), "number")
        return f"a position has a longitude, a latitude and perhaps a height, not {numbers}"
    if not -180 <= value[0] <= 180:
        return f"the longitude {value[0]} is not between -180 and 180"
    if not -90 <= value[1] <= 90:
        swapped = ": are longitude and latitude swapped?" if -180 <= value[1] <= 180 else ""
        return f"the latitude {value[1]} is not between -90 and 90{swapped}"
    if len(value) == 3 and not abs(value[2]) <= sys.float_info.max:
        return "the height is too large"
    return ""


def _wrong_values(
    values: list[tuple[Path, Any]], level: int, *, has_surrogates: bool
) -> Iterator[tuple[GeoJsonCheck, Path, str]]:
    """What is wrong with the depth, the numbers and the texts of some values within one that is
    `level` levels deep. After one that is too deep, nothing more is checked.
    """
    pending = list(values)
    while pending:
        path, value = pending.pop()
        if isinstance(value, dict | list) and len(path) > MAX_DEPTH - level:
            yield GeoJsonCheck.TOO_DEEP, path, DEPTH_MESSAGE
            return
        if isinstance(value, dict):
            pending += [((*path, name), each) for name, each in value.items()]
            if has_surrogates and not all(map(_is_text, value)):
                yield GeoJsonCheck.TEXT_BAD, path, "a key has half of a surrogate pair"
        elif isinstance(value, list):
            pending += [((*path, index), each) for index, each in enumerate(value)]
        elif isinstance(value, int | float) and not abs(value) <= sys.float_info.max:
            yield GeoJsonCheck.NUMBER_BAD, path, "the number is too large"
        elif has_surrogates and isinstance(value, str) and not _is_text(value):
            yield GeoJsonCheck.TEXT_BAD, path, "the text has half of a surrogate pair"


def _is_empty(value: Any, levels: int) -> bool:
    """Whether a list has nothing but, on some levels, lists that are empty."""
    if not isinstance(value, list):
        return False
    return not value or (levels > 0 and all(_is_empty(each, levels - 1) for each in value))


def _is_crs84(value: Any) -> bool:
    properties = value.get("properties") if isinstance(value, dict) else None
    return isinstance(properties, dict) and str(properties.get("name")) in _CRS84


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: Any) -> str:
    """A JSON value for a message."""
    if isinstance(value, dict):
        kind = value.get("type")
        return f"an object of type {quoted(kind)}" if isinstance(kind, str) else "an object"
    if isinstance(value, list):
        return "an empty list" if not value else f"a list of {len(value):,}"
    return quoted(value) if isinstance(value, str) else json.dumps(value)[:40]


def _finding(
    check: FindingCheck, line: int, column: int, message: str, feature_id: str = ""
) -> FeatureFinding:
    return FeatureFinding(check.level, check.value, line, column, message, feature_id)


def _finding_of(error: JsonError) -> FeatureFinding:
    return _finding(error.check, error.line, error.column, error.message)
