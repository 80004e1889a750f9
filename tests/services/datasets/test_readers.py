"""Readers see a dataset as it was at their revision, however they look."""

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from jobyard.domain.datasets import base_format
from jobyard.domain.datasets.base_format import place
from jobyard.domain.datasets.extent import Box, Extent, boxes_of, parse_extent
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.errors import BadRequest
from jobyard.services.datasets import base, files, readers
from jobyard.services.datasets.commit import commit
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.datasets.readers import (
    RevisionReader,
    all_features,
    changes_since,
    features_at,
    features_in,
    head,
)
from jobyard.store import datasets
from tests.harness import Harness
from tests.services.datasets.datasets import (
    Features,
    by_id,
    changes_to,
    context_of,
    make_dataset,
    origin,
    point,
)

pytestmark = pytest.mark.emulator
EXTENTS = [
    parse_extent({"box": [-180, -90, 0, 90]}),
    parse_extent({"box": [-20, -20, 20, 20]}),
    parse_extent({"box": [170, -40, -170, 40]}),
    parse_extent({"polygon": [[0, 0], [60, 10], [10, 60]]}),
    parse_extent({"features": ["1", "7", "12", "none", "33"]}),
    parse_extent({"features": [str(n) for n in range(60)]}),  # too many to look up one by one
]


@pytest.fixture
def context(harness: Harness) -> DatasetContext:
    return context_of(harness)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few features need many chunks, segments and blocks."""
    monkeypatch.setattr(base_format, "CHUNK_FEATURES", 3)
    monkeypatch.setattr(base_format, "ID_BLOCK", 4)
    monkeypatch.setattr(base, "SEGMENT_CHUNKS", 2)
    monkeypatch.setattr(readers, "_CHUNKS_KEPT", 2)


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
            inside = {each.feature_id: each for each in expected.values() if extent.has(each)}
            assert by_id(features_in(dataset, revision, extent, context)) == inside
            assert by_id(shared.features_in(extent)) == inside
        near = Box(-30, -30, 30, 30)
        assert by_id(shared.features_near([near])) == {
            each.feature_id: each
            for each in expected.values()
            if any(box.meets(near) for box in boxes_of(each.geometry))
        }
    assert len(expected) == dataset.features


@pytest.mark.usefixtures("small_parts")
def test_readers_see_each_revision_as_it_was(context: DatasetContext, turn: int) -> None:
    revisions = history_of("turns", context, turn)

    check_reads("turns", revisions, context)


@pytest.mark.usefixtures("small_parts")
def test_readers_see_each_revision_before_and_after_that_of_the_base(
    context: DatasetContext, turn: int
) -> None:
    """As it is after a pack, whose base has a later revision."""
    revisions = history_of("packed", context, turn)
    rebase("packed", 4, revisions[3], context)

    check_reads("packed", revisions, context)


def rebase(name: str, revision: int, features: Features, context: DatasetContext) -> None:
    """Give a dataset a base with the features at a later revision."""
    folder = files.base_folder(name, revision, "rebased")
    base.write_base(base.in_curve_order(map(place, features.values())), folder, context)
    dataset = head(name)
    after = replace(
        dataset,
        base=folder,
        base_revision=revision,
        head_version=dataset.head_version + 1,
    )
    assert datasets.put_head(after)


def test_changes_between_two_revisions_are_those_of_the_commits(context: DatasetContext) -> None:
    revisions = history_of("changes", context, 7)
    now = dict(revisions[1])

    for change in changes_since(head("changes"), 2, 5, context):
        assert now.get(change.feature_id) == change.before
        if change.after is None:
            del now[change.feature_id]
        else:
            now[change.feature_id] = change.after

    assert now == revisions[4]


def test_a_revision_that_does_not_exist_is_refused(context: DatasetContext) -> None:
    dataset = make_dataset("short", [point("1", 0)], context)

    for revision in (0, 2):
        with pytest.raises(BadRequest, match="has the revisions 1 to 1"):
            RevisionReader(dataset, revision, context)
    with pytest.raises(BadRequest, match="has the revisions 1 to 1"):
        [*changes_since(dataset, 1, 2, context)]


def test_a_dataset_may_be_empty(context: DatasetContext) -> None:
    dataset = make_dataset("empty", [], context)
    reader = RevisionReader(dataset, 1, context)

    assert [*reader.all_features()] == []
    assert reader.features_at(["1"]) == {}
    assert [*reader.features_in(Extent(boxes=(Box(-180, -90, 180, 90),)))] == []
    commit("empty", 1, changes_to({}, by_id([point("1", 0)])), origin(), context)
    assert [*all_features(head("empty"), 2, context)] == [point("1", 0)]
