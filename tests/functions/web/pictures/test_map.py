"""Maps of features: small, safe, complete in words, and the same in any place on the globe."""

import gzip
import json
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from cli.local.emulator import ROOT
from jobyard.domain.datasets.extent import parse_extent
from web.edit_map import frame_text
from web.pictures.map import MAX_BYTES, Map, Mark, Shape, draw_map, extent_shape

COUNTIES = ROOT / "examples" / "datasets" / "counties.geojson.gz"


def square(west: float, south: float, size: float = 1.0) -> dict[str, Any]:
    east, north = west + size, south + size
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def drawn(*shapes: Shape, **how: Any) -> Map:
    """A map that is well-formed, small, and has an alternative in words."""
    found = draw_map(shapes, "A map", **how)
    root = ElementTree.fromstring(found.picture)
    assert root.get("aria-label", "").startswith("A map: ")
    assert len(found.picture) <= MAX_BYTES + 20_000
    return found


def test_a_map_of_all_counties_is_small_and_leaves_none_out() -> None:
    features = json.loads(gzip.decompress(COUNTIES.read_bytes()))["features"]
    shapes = [Shape(each["geometry"], Mark.CONTEXT) for each in features if each["geometry"]]

    found = draw_map(shapes, "Counties")

    assert len(found.picture) <= MAX_BYTES
    assert found.left_out == 0
    assert found.legend == (("context", "", f"{len(shapes):,} other features"),)


def test_what_is_too_much_to_draw_is_counted_and_changes_come_before_what_is_around() -> None:
    around = [
        Shape(square(number % 170, number // 170, 0.9), Mark.CONTEXT) for number in range(8000)
    ]
    changed = Shape(square(0, 0, 40), Mark.UPDATED)

    found = drawn(*around, changed)

    assert found.left_out > 0
    assert ("updated", "~", "1 changed") in found.legend


def test_each_kind_of_change_has_a_sign_and_a_class_so_that_colour_is_not_needed() -> None:
    shapes = [Shape(square(3.0 * at, 0), mark) for at, mark in enumerate(Mark)]

    found = drawn(*shapes)
    text = {
        each.get("class"): each.text for each in ElementTree.fromstring(found.picture).iter("text")
    }

    signs = [sign for _, sign, _ in found.legend if sign]
    assert len({*signs}) == len(signs) == 6
    assert text[Mark.DELETED] != text[Mark.INSERTED]
    assert [mark for mark, _, _ in found.legend] == [*Mark]


def test_what_crosses_the_antimeridian_is_in_one_piece() -> None:
    found = drawn(Shape(square(178, 0), Mark.FEATURE), Shape(square(-179.5, 0), Mark.FEATURE))

    assert 177 < found.frame.west < 178
    assert 181 < found.frame.east < 185
    assert "° E to " in found.picture
    assert "° W" in found.picture


def test_names_are_escaped_and_cut() -> None:
    found = drawn(Shape(square(0, 0), Mark.FEATURE, "<b onload='x'>" + "y" * 500, "/edits/e?a=1&b"))

    assert "<b" not in found.picture
    assert "y" * 100 not in found.picture
    assert 'href="/edits/e?a=1&amp;b"' in found.picture
    assert 'role="group"' in found.picture


def test_a_frame_shows_what_is_inside_and_counts_the_rest() -> None:
    shapes = [Shape(square(at, 0), Mark.FEATURE) for at in (0, 50)]
    frame = parse_extent({"box": [-1, -1, 3, 3]}).boxes

    found = drawn(*shapes, frame=frame)

    assert found.left_out == 1
    assert found.frame.contains(frame[0])
    assert re.fullmatch(r"-?[\d.]+(,-?[\d.]+){3}", frame_text(found.frame))


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Point", "coordinates": [8.5, 47.4, 400]},
        {"type": "MultiPoint", "coordinates": [[0, 0], [180, 90], [-180, -90]]},
        {"type": "LineString", "coordinates": [[0, 0], [0, 0]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [0, 0], [0, 0], [0, 0]]]},
        {"type": "GeometryCollection", "geometries": [square(0, 0), square(5, 5)]},
        {"type": "MultiPolygon", "coordinates": [square(0, 89)["coordinates"]]},
    ],
    ids=lambda geometry: geometry["type"],
)
def test_every_geometry_can_be_drawn(geometry: dict[str, Any]) -> None:
    found = drawn(Shape(geometry, Mark.UPDATED))

    assert 'class="updated" d="M' in found.picture
    assert "NaN" not in found.picture


def test_a_map_of_nothing_shows_the_world() -> None:
    assert "nothing; from" in drawn().picture


def test_an_extent_is_drawn_above_features_and_one_of_features_has_no_shape() -> None:
    polygon = parse_extent({"polygon": [[0, 0], [4, 0], [4, 4]]})
    across = parse_extent({"box": [179, 0, -179, 1]})

    picture = drawn(*extent_shape(polygon, "Bridges"), Shape(square(0, 0), Mark.FEATURE)).picture

    assert picture.index('class="feature"') < picture.index('class="extent"')
    assert len([*extent_shape(across)]) == 2
    assert [*extent_shape(parse_extent({"features": ["1"]}))] == []
