"""GeoJSON is read strictly, as a stream, and every finding has its place."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.datasets import geojson, json_stream
from jobyard.domain.datasets import geometry as geometries
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.datasets.geojson import FeatureReader
from jobyard.domain.datasets.geojson_checks import FeatureFinding
from jobyard.domain.datasets.json_stream import JsonStream, Path

SQUARE = [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]


def feature(feature_id: Any = 1, geometry: Any = None, **properties: Any) -> dict[str, Any]:
    """A feature as GeoJSON; without an id if `feature_id` is "none"."""
    named = {} if feature_id == "none" else {"id": feature_id}
    return {"type": "Feature", **named, "geometry": geometry, "properties": properties}


def polygon(*rings: Any) -> dict[str, Any]:
    """A polygon as GeoJSON."""
    return {"type": "Polygon", "coordinates": [*rings]}


def collection(*features: Any, **members: Any) -> str:
    """A collection as a text, with a feature on each line from line 2 on."""
    head = json.dumps({"type": "FeatureCollection", **members})[:-1]
    return head + ', "features": [\n' + ",\n".join(map(json.dumps, features)) + "\n]}"


def blocks(data: bytes, size: int) -> Iterator[bytes]:
    """`data` in blocks of `size` bytes."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


def read(
    text: str | bytes, precision: int = 7, size: int = 1_000_000
) -> tuple[list[Feature], list[FeatureFinding]]:
    """The features and findings in a file."""
    data = text.encode() if isinstance(text, str) else text
    features, findings = [], []
    for some, found in FeatureReader(blocks(data, size), precision):
        features += some
        findings += found
    return features, findings


def codes(text: str | bytes, **options: Any) -> list[tuple[str, int]]:
    """The code and line of each finding."""
    return [(each.code, each.line) for each in read(text, **options)[1]]


def test_features_are_read_with_ids_as_texts() -> None:
    point = {"type": "Point", "coordinates": [7.5, 47, 300.0]}

    features, findings = read(collection(feature(1, point, name="a"), feature("01"), feature(2.0)))

    assert [each.feature_id for each in features] == ["1", "01", "2"]
    assert features[0].document() == feature("1", point, name="a")
    assert findings == []


def test_ids_are_the_same_as_number_and_as_text() -> None:
    _, findings = read(collection(feature(1), feature("1")))

    assert [(each.code, each.line, each.column) for each in findings] == [("ID_REPEATED", 3, 27)]
    assert "line 2" in findings[0].message


@pytest.mark.parametrize("bad", [2**53, -(2**53), 1.5, True, [1], {"a": 1}, "a" * 129, "a\nb"])
def test_an_id_that_programs_read_differently_is_refused(bad: Any) -> None:
    assert codes(collection(feature(bad))) == [("ID_BAD", 2)]


def test_features_without_id_get_ids_of_their_own_always_the_same() -> None:
    text = collection(
        feature("none", a=1), feature(None, a=1), feature(None, a=2), feature(7), feature("8")
    )

    features, findings = read(text)

    ids = [each.feature_id for each in features]
    assert len(set(ids)) == 5
    assert ids[3:] == ["7", "8"]
    assert [(each.level, each.code, each.feature_id) for each in findings] == [
        ("warning", "ID_MISSING", given) for given in ids[:3]
    ]
    assert [each.feature_id for each in read(text)[0]] == ids


def test_a_byte_order_mark_is_dropped_with_a_warning() -> None:
    features, findings = read(b"\xef\xbb\xbf" + collection(feature()).encode())

    assert len(features) == 1
    assert [(each.level, each.code) for each in findings] == [("warning", "BYTE_ORDER_MARK")]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_refused_in_words(encoding: str) -> None:
    _, findings = read(collection(feature()).encode(encoding))

    assert [(each.code, each.line, each.column) for each in findings] == [("INVALID_UTF8", 1, 1)]
    assert "UTF-16" in findings[0].message


def test_a_byte_that_is_no_text_is_refused_at_its_place() -> None:
    data = collection(feature(1, name="Z?rich")).encode().replace(b"?", b"\xfc")

    _, findings = read(data)

    assert [(each.code, each.line) for each in findings] == [("INVALID_UTF8", 2)]
    assert findings[0].column == data.split(b"\n")[1].index(b"\xfc") + 1


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 5_000])
def test_a_number_that_is_not_one_is_refused_with_its_position(number: str) -> None:
    text = collection(feature(1, x="?"), feature(2)).replace('"?"', number)

    _, findings = read(text)

    assert findings[0].code == "NUMBER_BAD"
    assert (findings[0].line, findings[0].column) == (2, text.split("\n")[1].index(number) + 1)


def test_reading_continues_after_a_feature_that_cannot_be_read() -> None:
    text = collection(feature(1, x="?"), feature(2), feature(3, x="?")).replace('"?"', "NaN")

    features, findings = read(text)

    assert [each.feature_id for each in features] == ["2"]
    assert [(each.code, each.line) for each in findings] == [("NUMBER_BAD", 2), ("NUMBER_BAD", 4)]


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ('{"type": "Feature", "type": "Feature"}', 21),
        ('{"type": "Feature", "properties": {"a": 1, "b": {"a": 2}, "a": 3}}', 59),
        ('{"type": "Feature", "properties": {"a": [{"c": 1}, {"c": 2, "c": 2}]}}', 61),
    ],
)
def test_a_repeated_key_is_refused_where_it_is_repeated(text: str, column: int) -> None:
    _, findings = read('{"type": "FeatureCollection", "features": [\n' + text + "]}")

    assert [(each.code, each.line, each.column) for each in findings] == [
        ("KEY_REPEATED", 2, column)
    ]


def test_a_collection_with_two_lists_of_features_is_refused() -> None:
    text = '{"type": "FeatureCollection", "features": [], "features": []}'

    assert codes(text) == [("KEY_REPEATED", 1)]


@pytest.mark.parametrize("depth", [33, 40, 500, 100_000])
@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_too_deep_nesting_is_refused(depth: int, brackets: str) -> None:
    opening = "[" if brackets == "[]" else '{"a":'
    inner = opening * (depth - 4) + "1" + brackets[1] * (depth - 4)

    assert codes(collection(feature(1, x="?")).replace('"?"', inner)) == [("TOO_DEEP", 2)]


@pytest.mark.parametrize("empty", ["[]", "{}"])
def test_an_empty_list_or_object_at_level_33_is_too_deep(empty: str) -> None:
    inner = "[" * 28 + empty + "]" * 28
    text = collection(feature(1, x="?"))

    assert codes(text.replace('"?"', inner)) == [("TOO_DEEP", 2)]
    assert codes(text.replace('"?"', inner[1:-1])) == []


def test_what_is_next_to_the_features_is_read_as_strictly() -> None:
    assert codes(collection(feature(), x="?").replace('"?"', "1e400")) == [("NUMBER_BAD", 1)]
    for depth, expected in [(31, []), (32, [("TOO_DEEP", 1)])]:
        text = collection(feature(), x="?").replace('"?"', "[" * depth + "]" * depth)
        assert codes(text) == expected


def test_an_integer_beyond_all_floats_is_too_large_however_it_is_written() -> None:
    _, findings = read(collection(feature(1, x=10**400)))

    assert [(each.code, each.line, each.feature_id) for each in findings] == [
        ("NUMBER_BAD", 2, "1")
    ]
    assert codes(collection(feature(1, x=10**300))) == []


def test_nesting_of_32_levels_is_read() -> None:
    inner = "[" * 28 + "1" + "]" * 28  # in properties, a feature, the features, the collection

    assert codes(collection(feature(1, x="?")).replace('"?"', inner)) == []


@pytest.mark.parametrize(
    "crs",
    [
        None,
        {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}},
        {"type": "name", "properties": {"name": "EPSG:4326"}},  # latitude comes first there
        {"type": "name", "properties": None},
        {"type": "name", "properties": {"name": []}},
        "CRS84",
    ],
)
def test_another_reference_system_is_refused(crs: Any) -> None:
    assert codes(collection(feature(), crs=crs)) == [("CRS_UNSUPPORTED", 1)]


@pytest.mark.parametrize("crs", [None, {"type": "name", "properties": {"name": "EPSG:3857"}}])
def test_another_reference_system_is_refused_wherever_it_is_named(crs: Any) -> None:
    point = {"type": "Point", "coordinates": [1, 2]}
    many = {"type": "GeometryCollection", "geometries": [point | {"crs": crs}]}

    for each in (feature(1) | {"crs": crs}, feature(1, point | {"crs": crs}), feature(1, many)):
        features, findings = read(collection(each))

        assert not features
        assert [(each.code, each.line) for each in findings] == [("CRS_UNSUPPORTED", 2)]


@pytest.mark.parametrize(
    "name", ["urn:ogc:def:crs:OGC:1.3:CRS84", "http://www.opengis.net/def/crs/OGC/1.3/CRS84"]
)
def test_crs84_may_be_named(name: str) -> None:
    crs = {"type": "name", "properties": {"name": name}}

    assert codes(collection(feature() | {"crs": crs}, crs=crs, name="districts")) == []


@pytest.mark.parametrize(
    ("position", "words"),
    [
        ([180.1, 0], "longitude"),
        ([-181, 0], "longitude"),
        ([0, 90.5], "latitude"),
        ([0, -91], "latitude"),
        ([8.5, 147.4], "swapped"),
        ([1], "not 1 number"),
        ([1, 2, 3, 4], "not 4 numbers"),
        (["1", 2], "list of numbers"),
        ([True, 2], "list of numbers"),
        ([1, None], "list of numbers"),
        ([10**400, 0], "longitude"),
        ([0, 0, 10**400], "height"),
        ({"x": 1}, "not an object"),
    ],
)
def test_a_position_out_of_bounds_is_refused(position: Any, words: str) -> None:
    line = {"type": "LineString", "coordinates": [[0, 0], position]}

    _, findings = read(collection(feature(1, line)))

    assert [(each.code, each.line, each.feature_id) for each in findings] == [
        ("POSITION_BAD", 2, "1")
    ]
    assert words in findings[0].message
    text = json.dumps(feature(1, line))
    assert findings[0].column == text.index(json.dumps(position), text.index("[0, 0]") + 6) + 1


@pytest.mark.parametrize("position", [[180, 90], [-180, -90], [0, 0, 1e300]])
def test_the_bounds_themselves_are_read(position: Any) -> None:
    assert codes(collection(feature(1, {"type": "Point", "coordinates": position}))) == []


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Circle", "coordinates": [0, 0]},
        {"coordinates": [0, 0]},
        {"type": "Point"},
        {"type": "Point", "coordinates": "0,0"},
        {"type": "LineString", "coordinates": [[0, 0]]},
        {"type": "MultiPolygon", "coordinates": [SQUARE[0]]},
        {"type": "Polygon", "coordinates": [SQUARE[:2]]},
        {"type": "GeometryCollection"},
        {"type": "GeometryCollection", "geometries": [None]},
        {
            "type": "GeometryCollection",
            "geometries": [{"type": "GeometryCollection", "geometries": []}],
        },
        [],
    ],
)
def test_a_geometry_that_is_none_is_refused(geometry: Any) -> None:
    assert set(codes(collection(feature(1, geometry)))) == {("GEOMETRY_BAD", 2)}


def test_an_open_ring_is_refused_at_its_end() -> None:
    ring = [*SQUARE[:-1], [0, 0.5]]

    _, findings = read(collection(feature(1, polygon(ring))))

    assert [(each.code, each.line) for each in findings] == [("RING_OPEN", 2)]
    assert findings[0].column == json.dumps(feature(1, polygon(ring))).index("[0, 0.5]") + 1


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Point", "coordinates": []},
        {"type": "Polygon", "coordinates": []},
        {"type": "MultiPolygon", "coordinates": [[]]},
        {"type": "Polygon", "coordinates": [[]]},
        {"type": "MultiPolygon", "coordinates": [[[]], []]},
        {"type": "MultiPoint", "coordinates": [[]]},
        {"type": "MultiLineString", "coordinates": [[], []]},
        {"type": "GeometryCollection", "geometries": []},
    ],
)
def test_empty_coordinates_become_null(geometry: Any) -> None:
    features, findings = read(collection(feature(1, geometry)))

    assert features[0].geometry is None
    assert {(each.level, each.code) for each in findings} == {("warning", "GEOMETRY_EMPTY")}


def test_rings_are_wound_as_the_standard_says_and_that_is_reported() -> None:
    hole = [[0.2, 0.2], [0.4, 0.2], [0.4, 0.4], [0.2, 0.2]]

    features, findings = read(collection(feature(1, polygon(SQUARE[::-1], hole))))

    assert features[0].geometry == polygon(SQUARE, hole[::-1])
    assert [(each.level, each.code) for each in findings] == [("warning", "RING_WOUND")] * 2


def test_a_file_wound_the_wrong_way_throughout_is_not_a_flood() -> None:
    features, findings = read(collection(*(feature(n, polygon(SQUARE[::-1])) for n in range(30))))

    assert len(features) == 30
    assert [each.code for each in findings] == ["RING_WOUND"] * 21
    assert "10 more rings" in findings[-1].message


def test_a_ring_without_area_is_reported_and_kept() -> None:
    ring = [[0, 0], [1, 1], [0, 0], [0, 0]]

    features, findings = read(collection(feature(1, polygon(ring))))

    assert features[0].geometry == polygon(ring)
    assert [(each.level, each.code) for each in findings] == [("warning", "RING_DEGENERATE")]


@pytest.mark.parametrize(
    "ring",
    [
        [[0, 0], [0.0004, 0], [0.0004, 0.0004], [0, 0]],  # nothing is left
        [[0, 0], [1, 0], [1, 1], [0.0004, 0.0001], [0, 1], [0, 0]],  # two corners meet
    ],
)
def test_a_ring_that_rounding_breaks_is_refused_and_the_precision_named(ring: Any) -> None:
    assert codes(collection(feature(1, polygon(ring)))) == []

    _, findings = read(collection(feature(1, polygon(ring))), precision=3)

    assert [each.code for each in findings] == ["RING_BROKEN_BY_ROUNDING"]
    assert "3 decimals" in findings[0].message


def test_a_ring_that_meets_itself_is_reported_where_it_does() -> None:
    ring = [[0, 0], [2, 0], [2, 2], [1, -1], [0, 2], [0, 0]]

    features, findings = read(collection(feature(1, polygon(ring))))

    assert len(features) == 1
    assert [(each.level, each.code) for each in findings] == [("warning", "RING_CROSSES")]
    assert findings[0].column == json.dumps(feature(1, polygon(ring))).index("[0, 0]") + 1


def test_the_text_of_a_feature_is_not_read_again_for_each_of_many_findings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A megabyte of rings that cross themselves would take hours."""
    reads: list[JsonStream] = []
    places = JsonStream._places

    def counted(stream: JsonStream) -> Iterator[tuple[Path, int, bool]]:
        reads.append(stream)
        return places(stream)

    monkeypatch.setattr(JsonStream, "_places", counted)
    bow = [[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]
    many = {"type": "MultiPolygon", "coordinates": [[bow]] * 500}
    text = collection(feature(1, many), feature(2, x="?")).replace('"?"', f"[{'1e999,' * 2_000}0]")

    features, findings = read(text)

    assert [each.feature_id for each in features] == ["1"]
    assert [each.code for each in findings].count("NUMBER_BAD") == 1_000
    assert {each.line for each in findings} == {2, 3}
    assert len(reads) == 2 * 20


def test_a_ring_that_would_take_too_long_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geometries, "MAX_LINE_PAIRS", 3)

    features, findings = read(collection(feature(1, polygon(SQUARE))))

    assert len(features) == 1
    assert [(each.level, each.code) for each in findings] == [("warning", "RING_NOT_CHECKED")]


def test_half_of_a_surrogate_pair_is_refused() -> None:
    text = collection(feature(1, x="?", y="\U0001f5fa")).replace('"?"', '"\\ud83d"')

    _, findings = read(text)

    assert [(each.code, each.line) for each in findings] == [("TEXT_BAD", 2)]
    assert findings[0].column == text.split("\n")[1].index('"\\ud83d"') + 1


def test_members_that_are_not_kept_are_reported_once_each() -> None:
    odd = {**feature(1), "style": "red"}

    features, findings = read(collection(odd, {**odd, "id": 2}))

    assert len(features) == 2
    assert [(each.level, each.code, each.line) for each in findings] == [
        ("warning", "MEMBER_IGNORED", 2)
    ]


@pytest.mark.parametrize("name", ["type", "geometry", "properties"])
def test_a_feature_without_one_of_its_members_is_refused(name: str) -> None:
    whole = feature(1)
    del whole[name]

    assert codes(collection(whole)) == [("FEATURE_BAD", 2)]


def test_properties_may_be_null() -> None:
    features, findings = read(collection({**feature(1), "properties": None}))

    assert features[0].properties == {}
    assert findings == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "GEOJSON_BAD"),
        ("[]", "GEOJSON_BAD"),
        ("{}", "COLLECTION_BAD"),
        ('{"type": "FeatureCollection"}', "COLLECTION_BAD"),
        ('{"type": "FeatureCollection", "features": {}}', "GEOJSON_BAD"),
        ('{"type": "Feature"}', "COLLECTION_BAD"),
        ('{"type": "Point", "coordinates": [0, 0]}', "COLLECTION_BAD"),
        ('{"type": "FeatureCollection", "features": []} x', "GEOJSON_BAD"),
        ('{"type": "FeatureCollection", "features": [1]}', "FEATURE_BAD"),
        ('{"type": "FeatureCollection", "features": [{]}', "GEOJSON_BAD"),
        ('{"type": "FeatureCollection" "features": []}', "GEOJSON_BAD"),
        ('{type: "FeatureCollection"}', "GEOJSON_BAD"),
    ],
)
def test_an_invalid_feature_collection_is_refused(text: str, code: str) -> None:
    assert codes(text) == [(code, 1)]


def test_every_file_that_is_cut_off_is_refused() -> None:
    text = collection(feature(1, polygon(SQUARE), name="Z\u00fcrich \\ud83d", n=1.5), feature(2))
    data = text.encode()

    for end in range(len(data)):
        assert any(each.level == "error" for each in read(data[:end])[1]), data[:end]


def test_a_feature_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "MAX_VALUE_LETTERS", 1_000)

    assert codes(collection(feature(1, x="a" * 5_000)), size=100) == [("FEATURE_TOO_LARGE", 2)]


def test_one_feature_too_many_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geojson, "MAX_FEATURES", 2)

    assert codes(collection(feature(1), feature(2))) == []
    assert codes(collection(feature(1), feature(2), feature(3))) == [("TOO_MANY_FEATURES", 4)]


@given(size=st.integers(1, 60))
def test_the_result_does_not_depend_on_the_blocks(size: int) -> None:
    text = collection(
        feature(1, polygon(SQUARE[::-1]), name="Z\u00fcrich"),
        feature(2, {"type": "Point", "coordinates": [200, 0]}),
        feature(3, x="?"),
        feature("none", n=12_345_678),
        {**feature(1), "extra": [1, [2]]},
    ).replace('"?"', "NaN")

    assert read(text, size=size) == read(text)
