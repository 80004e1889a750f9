"""Readers see a dataset as it was at their revision, however they look."""

import pytest

from jobyard.domain.datasets.extent import Box, Extent
from jobyard.domain.errors import BadRequest
from jobyard.services.datasets.commit import commit
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.datasets.readers import (
    RevisionReader,
    all_features,
    changes_since,
    head,
)
from tests.services.datasets.datasets import (
    by_id,
    changes_to,
    check_reads,
    history_of,
    make_dataset,
    origin,
    point,
)

pytestmark = pytest.mark.emulator


@pytest.mark.usefixtures("small_parts")
def test_readers_see_each_revision_as_it_was(context: DatasetContext, turn: int) -> None:
    revisions = history_of("turns", context, turn)

    check_reads("turns", revisions, context)


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
