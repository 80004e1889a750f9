"""The head of a dataset after a commit, and what its records refuse or cut."""

from datetime import UTC, datetime

import pytest

from jobyard.domain.datasets.commit import MAX_AUTHORS, Author, Commit, CommitOrigin
from jobyard.domain.datasets.dataset import Dataset, PendingCommit, check_name
from jobyard.domain.datasets.extent import Box
from jobyard.domain.errors import BadRequest

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
ORIGIN = CommitOrigin("e1", 2, (Author("id-anna", "anna"),), "bridges")
COUNTIES = Dataset(
    "counties",
    "Counties",
    NOON,
    "anna",
    "id-anna",
    "datasets/counties/base/1",
    3,
    (Box(0, 0, 1, 1),),
)


def test_a_commit_moves_the_head_and_widens_its_boxes() -> None:
    pending = PendingCommit(2, "file", "e1", 2, NOON)
    dataset = Dataset(**{**vars(COUNTIES), "pending": pending})
    commit = Commit(2, NOON, ORIGIN, "file", 9, 2, 1, 0, 5, (Box(3, 0, 4, 2),))

    after = dataset.after(commit)

    assert (after.revision, after.features, after.pending) == (2, 5, None)
    assert after.boxes == (Box(0, 0, 4, 2),)
    assert commit.changes == 3


def test_a_pending_commit_is_known_by_its_job_and_attempt() -> None:
    dataset = Dataset(**{**vars(COUNTIES), "pending": PendingCommit(2, "file", "e1", 2, NOON)})

    assert dataset.is_pending(ORIGIN)
    assert not dataset.is_pending(CommitOrigin("e1", 1))
    assert not dataset.is_pending(CommitOrigin("e2", 2))
    assert not COUNTIES.is_pending(ORIGIN)


@pytest.mark.parametrize("revision", [0, -1, 2])
def test_a_revision_that_does_not_exist_is_refused_with_those_that_do(revision: int) -> None:
    COUNTIES.check_revision(1)

    with pytest.raises(BadRequest, match="counties has the revisions 1 to 1, not"):
        COUNTIES.check_revision(revision)


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a b", "x" * 65, "é", "a\n"])
def test_a_name_is_one_that_keys_and_urls_can_have(name: str) -> None:
    check_name("us.counties_2026-10")

    with pytest.raises(BadRequest, match="cannot be the name of a dataset"):
        check_name(name)


def test_texts_of_records_are_cleaned_and_bounded() -> None:
    origin = CommitOrigin(
        "e1", 1, tuple(Author(str(n), "n\x1b" * 999) for n in range(99)), "c" * 999
    )
    dataset = Dataset(**{**vars(COUNTIES), "title": "t\n" * 999})

    assert len(origin.authors) == MAX_AUTHORS
    assert "\x1b" not in origin.authors[0].name
    assert len(origin.comment.encode()) <= 500
    assert "\n" not in dataset.title
