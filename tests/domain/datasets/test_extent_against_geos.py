"""What is in an extent is what GEOS finds, for real borders."""

import gzip
import random
from typing import Any

from shapely.geometry import shape

from cli.local.emulator import ROOT
from jobyard.domain.datasets.extent import parse_extent
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.datasets.geojson import FeatureReader

COUNTIES = ROOT / "examples/datasets/counties.geojson.gz"
EXTENTS = 4


def random_extent(chance: random.Random) -> tuple[dict[str, Any], list[list[float]]]:
    """A box or a triangle in North America, as a document and as a ring."""
    x, y = chance.uniform(-125, -67), chance.uniform(25, 49)
    if chance.random() < 0.5:
        east, north = x + chance.uniform(0.1, 4), y + chance.uniform(0.1, 4)
        return {"box": [x, y, east, north]}, [[x, y], [east, y], [east, north], [x, north], [x, y]]
    second = [x + chance.uniform(0.5, 4), y + chance.uniform(-1, 1)]
    third = [x + chance.uniform(-0.4, 2), y + chance.uniform(1.2, 4)]
    return {"polygon": [[x, y], second, third]}, [[x, y], second, third, [x, y]]


def test_the_counties_in_an_extent_are_those_that_geos_finds(turn: int) -> None:
    reading = FeatureReader([gzip.decompress(COUNTIES.read_bytes())])
    features = [each for found, _ in reading for each in found if each.geometry]
    shapes = {each.feature_id: shape(each.geometry) for each in features}
    valid: list[Feature] = [each for each in features if shapes[each.feature_id].is_valid]
    assert len(valid) > 3_000
    chance = random.Random(turn)

    for _ in range(EXTENTS):
        document, ring = random_extent(chance)
        extent, area = parse_extent(document), shape({"type": "Polygon", "coordinates": [ring]})
        expected = {each.feature_id for each in valid if shapes[each.feature_id].intersects(area)}

        assert {each.feature_id for each in valid if extent.includes(each)} == expected
