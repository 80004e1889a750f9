"""The parts of the demo of edit jobs that need no stack. `tests/live` plays the demo."""

import gzip
import json

import pytest

from cli import demo_edit
from cli.demo_edit import ALAMEDA, STANISLAUS, Feature
from cli.local.emulator import ROOT


@pytest.fixture(scope="module")
def counties() -> dict[str, Feature]:
    collection = json.loads(gzip.decompress((ROOT / demo_edit.COUNTIES).read_bytes()))
    return {each["id"]: each for each in collection["features"]}


@pytest.mark.parametrize("feature_id", [ALAMEDA, STANISLAUS])
def test_a_county_that_intersects_itself_is_sound_without_one_corner(
    counties: dict[str, Feature], feature_id: str
) -> None:
    county = counties[feature_id]

    repaired = demo_edit.without_spike(county)

    assert demo_edit.intersects_itself(county)
    assert not demo_edit.intersects_itself(repaired)
    before, after = (each["geometry"]["coordinates"][0] for each in (county, repaired))
    assert len(before) - len(after) == before.count(demo_edit.SPIKE) == 1


def test_the_mistake_makes_a_county_intersect_itself(counties: dict[str, Feature]) -> None:
    assert demo_edit.intersects_itself(demo_edit.with_self_intersection(counties[STANISLAUS]))
