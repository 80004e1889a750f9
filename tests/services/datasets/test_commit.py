"""A commit is all or nothing under any crash, and readers see what was committed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from jobyard.domain.datasets.commit import CommitOrigin
from jobyard.domain.datasets.dataset import HeadMoved
from jobyard.domain.errors import NotFound
from jobyard.services.datasets.commit import commit, committed_revision, roll_forward
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.datasets.readers import RevisionReader, changes_since, feature_history, head
from jobyard.store import commits
from tests.call_interceptor import Answer, Call, Listener
from tests.harness import Harness
from tests.services.datasets.crashes import Died, DyingAt, Units
from tests.services.datasets.datasets import (
    Features,
    by_id,
    changes_to,
    make_dataset,
    origin,
    point,
)

pytestmark = pytest.mark.emulator
BEFORE = by_id([point("1", 0), point("2", 1), point("3", 2, name=None)])
AFTER = by_id([point("1", 0, name="x"), point("3", 2, name=None), point("4", 9)])
CHANGES = changes_to(BEFORE, AFTER)  # an update, a delete, an insert


@contextmanager
def counted(harness: Harness) -> Iterator[Units]:
    units = Units()
    with harness.interceptor.listening(units):
        yield units


def contents(name: str, revision: int, context: DatasetContext) -> Features:
    """All features of a dataset at a revision."""
    return by_id(RevisionReader(head(name), revision, context).all_features())


def test_a_commit_makes_the_next_revision_and_the_last_one_stays(context: DatasetContext) -> None:
    make_dataset("roads", BEFORE.values(), context)

    assert commit("roads", 1, CHANGES, origin(), context) == 2

    dataset = head("roads")
    assert (dataset.revision, dataset.features, dataset.pending) == (2, 3, None)
    assert contents("roads", 2, context) == AFTER
    assert contents("roads", 1, context) == BEFORE
    made = commits.find("roads", 2)
    assert made is not None
    assert (made.inserted, made.updated, made.deleted, made.features) == (1, 1, 1, 3)
    assert made.origin == origin()


def test_a_commit_on_another_head_is_refused(context: DatasetContext) -> None:
    make_dataset("raced", BEFORE.values(), context)
    commit("raced", 1, CHANGES[:1], origin(1), context)

    with pytest.raises(HeadMoved, match="has the revision 2 by now"):
        commit("raced", 1, CHANGES[:1], origin(2), context)
    with pytest.raises(HeadMoved):
        commit("raced", 5, CHANGES[1:], origin(2), context)
    with pytest.raises(HeadMoved):
        commit("raced", 1, [], origin(2), context)
    with pytest.raises(NotFound):
        commit("none", 1, CHANGES, origin(2), context)
    assert head("raced").revision == 2


def test_a_commit_without_changes_writes_nothing(harness: Harness, context: DatasetContext) -> None:
    make_dataset("same", BEFORE.values(), context)

    with counted(harness) as units:
        assert commit("same", 1, [], origin(), context) == 1

    assert units.written == 0
    assert head("same").revision == 1


def test_a_commit_sent_twice_is_one_commit(context: DatasetContext) -> None:
    """Source: openstreetmap-website#2201, QFieldCloud#228."""
    make_dataset("twice", BEFORE.values(), context)
    commit("twice", 1, CHANGES, origin(), context)
    commit("twice", 2, changes_to(AFTER, BEFORE), origin(2), context)

    assert commit("twice", 1, CHANGES, origin(), context) == 2
    assert head("twice").revision == 3
    assert committed_revision("twice", "e1", 1, since=1, context=context) == 2
    assert committed_revision("twice", "e1", 2, since=1, context=context) is None
    assert committed_revision("twice", "e1", 1, since=2, context=context) is None


def finish_by_repeating(name: str, context: DatasetContext) -> None:
    assert commit(name, 1, CHANGES, origin(), context) == 2


def finish_by_a_rival(name: str, context: DatasetContext) -> None:
    """A rival's commit comes first, or meets this one and finishes it."""
    with suppress(HeadMoved):
        commit(name, 1, changes_to(BEFORE, {}), origin(9), context)


def finish_by_the_minute(name: str, context: DatasetContext) -> None:
    roll_forward(name, context)


FINISHERS = [finish_by_repeating, finish_by_a_rival, finish_by_the_minute]


@pytest.mark.parametrize("finish", FINISHERS)
@pytest.mark.parametrize("is_sent", [False, True])
def test_a_commit_is_all_or_nothing_wherever_its_worker_dies(
    harness: Harness,
    context: DatasetContext,
    is_sent: bool,
    finish: Callable[[str, DatasetContext], None],
) -> None:
    calls: list[str] = []
    for number in range(99):
        name = f"d{number}"
        make_dataset(name, BEFORE.values(), context)
        dying = DyingAt(number, is_sent=is_sent)
        with harness.interceptor.listening(dying), suppress(Died):
            commit(name, 1, CHANGES, origin(), context)
        calls = dying.calls
        revision = head(name).revision
        was_decided = head(name).pending is not None or revision == 2
        assert contents(name, revision, context) == (AFTER if revision == 2 else BEFORE)
        assert contents(name, 1, context) == BEFORE

        finish(name, context)

        revision = head(name).revision
        is_mine = was_decided or finish is finish_by_repeating
        expected = AFTER if is_mine else {1: BEFORE, 2: {}}[revision]
        assert contents(name, revision, context) == expected
        assert head(name).features == len(expected)
        assert head(name).pending is None
        found = committed_revision(name, "e1", 1, since=1, context=context)
        assert found == (2 if is_mine else None)
        if len(calls) <= number:
            break
    assert calls == [
        "Query",  # the head
        "PutObject",  # the change file
        "PutItem",  # decide
        "Query",  # whose commit is decided?
        "Query",
        "GetObject",  # the change file
        "BatchExecuteStatement",  # versions
        "PutItem",  # the commit
        "PutItem",  # the head
        "Query",
    ]


class RivalAt(Listener):
    """A rival commits between two calls of a worker, before call `number` is sent."""

    def __init__(self, number: int, rival: Callable[[], None]) -> None:
        self.calls = 0
        self._number, self._rival = number, rival

    def before(self, call: Call) -> Answer | None:
        self.calls += 1
        if self.calls == self._number + 1:
            self._rival()
        return None


def test_of_two_commits_one_wins_wherever_they_meet(
    harness: Harness, context: DatasetContext
) -> None:
    others = by_id([point("1", 0, name="z"), point("9", 9)])
    winners = set()
    for number in range(99):
        name = f"meet-{number}"
        make_dataset(name, BEFORE.values(), context)
        won = []

        def rival(name: str = name, won: list[str] = won) -> None:
            with harness.interceptor.muted(), suppress(HeadMoved):
                commit(name, 1, changes_to(BEFORE, others), origin(9), context)
                won.append("rival")

        met = RivalAt(number, rival)
        with harness.interceptor.listening(met), suppress(HeadMoved):
            commit(name, 1, CHANGES, origin(), context)
            won.append("mine")
        assert len(won) == 1
        winners.add(won[0])
        assert contents(name, 2, context) == (AFTER if won == ["mine"] else others)
        assert contents(name, 1, context) == BEFORE
        assert (head(name).revision, head(name).pending) == (2, None)
        if met.calls <= number:
            break
    assert winners == {"mine", "rival"}


def test_a_commit_may_be_finished_several_times(harness: Harness, context: DatasetContext) -> None:
    make_dataset("late", BEFORE.values(), context)
    decided = 3
    with harness.interceptor.listening(DyingAt(decided, is_sent=False)), suppress(Died):
        commit("late", 1, CHANGES, origin(), context)
    versions_stored = 4
    with harness.interceptor.listening(DyingAt(versions_stored, is_sent=False)), suppress(Died):
        roll_forward("late", context)

    first = roll_forward("late", context)

    assert roll_forward("late", context) == first == head("late")
    assert [each.revision for each in commits.latest("late", until=9, limit=9)] == [2]


@pytest.mark.parametrize(("features", "allowed"), [(0, 2.0), (10, 15.0), (1_000, 1_100.0)])
def test_a_commit_costs_little_more_than_a_unit_for_each_feature(
    harness: Harness, context: DatasetContext, features: int, allowed: float
) -> None:
    name = f"units-{features}"
    before = by_id(point(str(n), n / 100, text="x" * 3_000) for n in range(max(features, 1)))
    make_dataset(name, before.values(), context)
    after = {each: point(each, 0, text="y" * 3_000) for each in [*before][:features]}
    long = CommitOrigin("e" * 21, 99, origin().authors * 20, "c" * 300)

    with counted(harness) as units:
        commit(name, 1, changes_to(before, before | after), long, context)

    assert units.written <= allowed
    assert units.read <= 8


def test_equal_ids_in_two_datasets_never_meet(context: DatasetContext) -> None:
    """Source: QFieldCloud#570."""
    for name in ("left", "right"):
        make_dataset(name, BEFORE.values(), context)
    commit("left", 1, CHANGES, origin(), context)

    assert contents("right", 1, context) == BEFORE
    found = RevisionReader(head("right"), 1, context).features_at(["1", "2", "3", "4"])
    assert found == BEFORE
    assert [*feature_history(head("right"), "1", context, until=9, limit=9)] == []


def test_each_change_of_a_feature_is_in_its_history(context: DatasetContext) -> None:
    make_dataset("history", BEFORE.values(), context)
    commit("history", 1, CHANGES, origin(1), context)
    commit("history", 2, changes_to(AFTER, BEFORE), origin(2), context)
    dataset = head("history")

    found = [*feature_history(dataset, "2", context, until=9, limit=9)]

    assert [(each.revision, each.kind.value, each.origin) for each in found] == [
        (3, "insert", origin(2)),
        (2, "delete", origin(1)),
    ]
    assert (found[0].after, found[1].before) == (BEFORE["2"], BEFORE["2"])
    assert [each.revision for each in changes_since(dataset, 2, 3, context)] == [3, 3, 3]
    assert [*changes_since(dataset, 3, 3, context)] == []
