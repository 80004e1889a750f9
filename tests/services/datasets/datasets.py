"""Datasets on the emulator, and what they should contain."""

import random
from collections.abc import Iterable, Iterator
from typing import Any

from jobyard.domain.datasets.base_format import keyed_line
from jobyard.domain.datasets.changes import FeatureChange, change_of
from jobyard.domain.datasets.commit import Author, CommitOrigin
from jobyard.domain.datasets.dataset import Dataset
from jobyard.domain.datasets.extent import Box, boxes_of, parse_extent
from jobyard.domain.datasets.feature import Feature
from jobyard.services.datasets import base, files
from jobyard.services.datasets.commit import commit
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.datasets.readers import (
    RevisionReader,
    all_features,
    features_at,
    features_in,
    head,
)
from jobyard.store import datasets
from tests.harness import Harness

Features = dict[str, Feature]
EXTENTS = [
    parse_extent({"box": [-180, -90, 0, 90]}),
    parse_extent({"box": [-20, -20, 20, 20]}),
    parse_extent({"box": [170, -40, -170, 40]}),
    parse_extent({"polygon": [[0, 0], [60, 10], [10, 60]]}),
    parse_extent({"features": ["1", "7", "12", "none", "33"]}),
    parse_extent({"features": [str(n) for n in range(60)]}),  # too many to look up one by one
]


def context_of(harness: Harness) -> DatasetContext:
    """The context of the services."""
    return DatasetContext(harness.settings, harness.s3, harness.now)


def point(feature_id: str, x: float, y: float = 0.0, **properties: Any) -> Feature:
    """A feature at a point."""
    return Feature(feature_id, {"type": "Point", "coordinates": [x, y]}, properties)


def by_id(features: Iterable[Feature]) -> Features:
    """Features by their ids. There are no two of one id."""
    listed = [*features]
    found = {each.feature_id: each for each in listed}
    assert len(found) == len(listed)
    return found


def origin(number: int = 1, attempt: int = 1) -> CommitOrigin:
    """An attempt at an edit job."""
    return CommitOrigin(f"e{number}", attempt, (Author("id-anna", "anna"),), f"edit {number}")


def make_dataset(name: str, features: Iterable[Feature], context: DatasetContext) -> Dataset:
    """A dataset with these features at its first revision."""
    folder = files.base_folder(name, 1, "test")
    index = base.write_base(base.in_curve_order(map(keyed_line, features)), folder, context)
    dataset = Dataset(
        name,
        name.title(),
        context.now(),
        "anna",
        "id-anna",
        folder,
        index.feature_count,
        index.boxes,
    )
    datasets.put_new(dataset)
    return dataset


def changes_to(before: Features, after: Features) -> list[FeatureChange]:
    """The changes from one to the other."""
    found = (change_of(each, before.get(each), after.get(each)) for each in before | after)
    return [each for each in found if each]


def random_features(chance: random.Random, ids: range) -> Iterator[Feature]:
    """Points, lines, things on both sides of the antimeridian, and things that are nowhere."""
    for n in ids:
        x, y = chance.uniform(-180, 178), chance.uniform(-90, 88)
        line = {"type": "LineString", "coordinates": [[x, y], [x + 2, y + 2]]}
        both = {"type": "MultiPoint", "coordinates": [[179, y], [-179, y]]}
        dot = {"type": "Point", "coordinates": [x, y]}
        yield Feature(str(n), chance.choice([dot, dot, line, both, None]), {"n": chance.random()})


def history_of(name: str, context: DatasetContext, turn: int) -> list[Features]:
    """A dataset with some commits; what it should contain at each revision, from 1 on."""
    chance = random.Random(turn)
    now = by_id(random_features(chance, range(30)))
    make_dataset(name, now.values(), context)
    revisions = [now]
    for number in range(5):
        changed = dict(now)
        for each in chance.sample([*changed], 4):
            del changed[each]
        again = chance.sample(range(30), 3)  # deleted before, or updated
        changed |= by_id(random_features(chance, range(30 + 3 * number, 33 + 3 * number)))
        for n in again:
            changed |= by_id(random_features(chance, range(n, n + 1)))
        commit(name, number + 1, changes_to(now, changed), origin(number), context)
        now = changed
        revisions.append(now)
    return revisions


def check_reads(name: str, revisions: list[Features], context: DatasetContext) -> None:
    """Check that a reader of each revision sees what it should, however it looks."""
    dataset = head(name)
    for revision, expected in enumerate(revisions, start=1):
        ids = [str(n) for n in range(60)]
        assert by_id(all_features(dataset, revision, context)) == expected
        assert features_at(dataset, revision, ids[:40], context) == {
            each: expected[each] for each in ids[:40] if each in expected
        }
        shared = RevisionReader(dataset, revision, context)
        assert shared.features_at(ids) == {each: expected[each] for each in ids if each in expected}
        for extent in EXTENTS:
            inside = {each.feature_id: each for each in expected.values() if extent.includes(each)}
            assert by_id(features_in(dataset, revision, extent, context)) == inside
            assert by_id(shared.features_in(extent)) == inside
        near = Box(-30, -30, 30, 30)
        assert by_id(shared.features_near([near])) == {
            each.feature_id: each
            for each in expected.values()
            if any(box.intersects(near) for box in boxes_of(each.geometry))
        }
    assert len(expected) == dataset.features
