"""Datasets, commits and versions: what was written is read back, and heads move by one writer."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobyard.domain.datasets.changes import ChangeKind
from jobyard.domain.datasets.commit import MAX_AUTHORS, Author, Commit, CommitOrigin
from jobyard.domain.datasets.dataset import Dataset, PendingCommit
from jobyard.domain.datasets.extent import Box
from jobyard.domain.errors import BadRequest, NotFound, StaleState
from jobyard.store import commits, datasets, tables, versions
from jobyard.store.versions import FeatureVersion

pytestmark = [pytest.mark.emulator, pytest.mark.usefixtures("store_endpoint")]
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
ORIGIN = CommitOrigin("e1", 2, (Author("id-anna", "anna"),), "bridges")
FILE = f"datasets/{'n' * 64}/changes/1000000-{'0' * 32}.jsonl"
BOXES = (Box(-179.1234567, -89.1234567, -100.1234567, 9.1234567), Box(100.1234567, 0, 180, 1))


def a_dataset(name: str, **changes: Any) -> Dataset:
    """A dataset with a value in each field."""
    values: dict[str, Any] = {
        "title": "Roads",
        "created_at": NOON,
        "created_by": "anna",
        "created_by_sub": "id-anna",
        "base": f"datasets/{name}/base/1",
        "features": 3,
        "boxes": BOXES,
        "precision": 6,
        "missing_is_null": True,
        "rules": ({"rule": "unique", "property": "name"},),
        "rules_version": "abc",
        "edit_types": {"survey": {"quarantine": True}},
        "load_id": "l1",
        "changed_at": NOON,
        "cause": "r1",
    }
    return Dataset(name, **(values | changes))


def a_commit(revision: int, **changes: Any) -> Commit:
    """A commit with a value in each field."""
    return replace(Commit(revision, NOON, ORIGIN, FILE, 999, 1, 2, 3, 4, BOXES), **changes)


class Units:
    """The write units of each call to DynamoDB."""

    def __init__(self) -> None:
        self.by_call: list[tuple[str, float]] = []

    def note(self, parsed: Mapping[str, Any], model: Any, **_: Any) -> None:
        reported = parsed.get("ConsumedCapacity", [])
        of_tables = reported if isinstance(reported, list) else [reported]
        self.by_call.append((model.name, sum(each["CapacityUnits"] for each in of_tables)))


@pytest.fixture
def units(store_endpoint: str) -> Iterator[Units]:
    counted = Units()
    events = tables.client().meta.events
    events.register("after-call.dynamodb.*", counted.note)
    yield counted
    events.unregister("after-call.dynamodb.*", counted.note)


def test_a_dataset_is_read_as_it_was_written() -> None:
    dataset = a_dataset("read", pending=PendingCommit(2, FILE, "e1", 3, NOON))
    datasets.put_new(dataset)

    assert datasets.find("read") == datasets.get("read") == dataset
    datasets.put_new(dataset)  # a repeat of a call whose answer was lost
    assert datasets.find("none") is None
    with pytest.raises(NotFound):
        datasets.get("none")


def test_there_is_one_dataset_of_a_name() -> None:
    datasets.put_new(a_dataset("once"))

    with pytest.raises(StaleState, match="there is a dataset once already"):
        datasets.put_new(a_dataset("once", created_at=NOON + timedelta(minutes=1)))


def test_a_head_is_moved_by_one_of_two_writers() -> None:
    first = a_dataset("moved")
    datasets.put_new(first)
    decided = first.awaiting(PendingCommit(2, FILE, "e1", 1, NOON))
    other = first.awaiting(PendingCommit(2, FILE, "e2", 1, NOON))

    assert datasets.put_head(decided)
    assert not datasets.put_head(other)
    assert datasets.get("moved") == decided
    after = decided.after(a_commit(2, boxes=()))
    assert datasets.put_head(after)
    assert datasets.get("moved") == after


def test_settings_and_head_do_not_stand_in_each_others_way() -> None:
    first = a_dataset("settings")
    datasets.put_new(first)
    changed = first.with_settings(title="Streets", rules=())
    datasets.put_head(first.after(a_commit(2, boxes=())))

    datasets.put_settings(changed)
    datasets.put_settings(changed)

    stored = datasets.get("settings")
    assert (stored.title, stored.version, stored.revision) == ("Streets", 2, 2)
    with pytest.raises(StaleState):
        datasets.put_settings(first.with_settings(title="Paths"))
    with pytest.raises(BadRequest, match="up to 100,000 bytes"):
        stored.with_settings(rules=({"x": "y" * 100_000},))


def test_datasets_are_listed_by_name_from_a_place_on() -> None:
    for name in ("zz-3", "zz-1", "zz-2"):
        datasets.put_new(a_dataset(name))

    assert [each.name for each in datasets.by_name(after="zz", limit=2)] == ["zz-1", "zz-2"]
    assert datasets.by_name(after="zz-2", limit=2) == [a_dataset("zz-3")]
    assert datasets.by_name(after="zz-3", limit=2) == []


def test_commits_are_read_in_order_and_latest_first() -> None:
    for revision in (2, 3, 4):
        commits.put("c", a_commit(revision))
    commits.put("c", a_commit(4))
    commits.put("d", a_commit(3, inserted=9))

    assert commits.find("c", 3) == a_commit(3)
    assert commits.find("c", 5) is None
    assert [*commits.between("c", 3, 9)] == [a_commit(3), a_commit(4)]
    assert [*commits.between("c", 3, 2)] == []
    assert commits.latest("c", until=3, limit=1) == [a_commit(3)]


def test_versions_of_equal_ids_in_two_datasets_never_meet() -> None:
    """Source: QFieldCloud#570."""
    mine = [FeatureVersion("7#é", each, ChangeKind.UPDATE, "f", each, 9) for each in (2, 5)]
    other = FeatureVersion("7#é", 3, ChangeKind.DELETE, "g", 0, 1)
    versions.put_all("mine", mine)
    versions.put_all("other", [other])
    versions.put_all("mine", mine)

    assert versions.of_feature("mine", "7#é", until=9, limit=9) == mine[::-1]
    assert versions.of_feature("mine", "7#é", until=4, limit=1) == mine[:1]
    assert versions.of_feature("mine", "7", until=9, limit=9) == []
    assert versions.first_after("mine", "7#é", 2) == mine[1]
    assert versions.first_after("mine", "7#é", 5) is None
    assert versions.first_after("other", "7#é", 0) == other


def test_moving_a_head_and_a_version_cost_one_unit_each_at_their_largest(units: Units) -> None:
    first = a_dataset("n" * 64, revision=10**9, base_revision=10**9, features=10**6)
    datasets.put_new(first)
    units.by_call.clear()

    pending = PendingCommit(10**9 + 1, FILE, "e" * 21, 10**6, NOON)
    assert datasets.put_head(first.awaiting(pending))
    longest = FeatureVersion("\U0001f600" * 128, 10**9, ChangeKind.UPDATE, FILE, 10**9, 10**9)
    versions.put_all("n" * 64, [longest])

    assert units.by_call == [("PutItem", 1.0), ("BatchExecuteStatement", 1.0)]


def test_a_commit_at_its_largest_stays_small() -> None:
    authors = tuple(Author("s" * 36, "\U0001f600" * 99) for _ in range(MAX_AUTHORS))
    largest = a_commit(10**9, origin=CommitOrigin("e" * 21, 10**6, authors, "\U0001f600" * 999))
    commits.put("large", largest)

    (item,) = tables.CommitItem.query("large")
    assert len(str(item.serialize()).encode()) < 8_000
