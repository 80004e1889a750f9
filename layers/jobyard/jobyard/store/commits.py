"""Stores the commits of datasets, one item each."""

from collections.abc import Iterator

from jobyard.domain.datasets.change_file import origin_document, parse_origin
from jobyard.domain.datasets.commit import Commit
from jobyard.domain.datasets.extent import Box
from jobyard.store.documents import from_ms, to_ms
from jobyard.store.tables import CommitItem


def put(dataset: str, commit: Commit) -> None:
    """Store a commit. A repeat stores the same."""
    body = {
        "at": to_ms(commit.at),
        **origin_document(commit.origin),
        "file": [commit.file, commit.size],
        "changes": [commit.inserted, commit.updated, commit.deleted],
        "features": commit.features,
        "boxes": [list(each) for each in commit.boxes],
    }
    CommitItem(dataset=dataset, revision=commit.revision, body=body).save()


def find(dataset: str, revision: int) -> Commit | None:
    """The commit that made a revision; None if none did."""
    try:
        return _commit(CommitItem.get(dataset, revision, consistent_read=True))
    except CommitItem.DoesNotExist:
        return None


def between(dataset: str, first: int, last: int) -> Iterator[Commit]:
    """The commits that made the revisions `first` to `last`, in order."""
    if first <= last:
        condition = CommitItem.revision.between(first, last)
        for item in CommitItem.query(dataset, condition, consistent_read=True):
            yield _commit(item)


def latest(dataset: str, *, until: int, limit: int) -> list[Commit]:
    """Up to `limit` commits that made revisions up to `until`, the last one first."""
    found = CommitItem.query(
        dataset,
        CommitItem.revision <= until,
        scan_index_forward=False,
        limit=limit,
        consistent_read=True,
    )
    return [_commit(item) for item in found]


def oldest(dataset: str) -> Commit | None:
    """The first commit of a dataset that is left; None if none is."""
    found = CommitItem.query(dataset, limit=1, consistent_read=True)
    return next((_commit(item) for item in found), None)


def remove(dataset: str, revision: int) -> None:
    """Remove a commit."""
    CommitItem(dataset=dataset, revision=revision).delete()


def _commit(item: CommitItem) -> Commit:
    body = item.body
    file, size = body["file"]
    inserted, updated, deleted = body["changes"]
    return Commit(
        revision=int(item.revision),
        at=from_ms(body["at"]),
        origin=parse_origin(body),
        file=file,
        size=size,
        inserted=inserted,
        updated=updated,
        deleted=deleted,
        features=body["features"],
        boxes=tuple(Box(*each) for each in body["boxes"]),
    )
