"""Stores the versions of features: where the change file of a commit has the change.

The features stay in S3, so an item has some 200 bytes, and writing it is one unit.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from jobyard.domain.datasets.changes import ChangeKind
from jobyard.store.tables import VersionItem


@dataclass(frozen=True, slots=True)
class FeatureVersion:
    """A version of a feature: the change that made it is at `start` to `end` in `file`."""

    feature_id: str
    revision: int
    kind: ChangeKind
    file: str
    start: int
    end: int


def put_all(dataset: str, versions: Iterable[FeatureVersion]) -> None:
    """Store versions, in batches. A repeat stores the same."""
    with VersionItem.batch_write() as batch:
        for each in versions:
            batch.save(
                VersionItem(
                    feature=_key(dataset, each.feature_id),
                    revision=each.revision,
                    body=[each.kind.value, each.file, each.start, each.end],
                )
            )


def remove_all(dataset: str, feature_ids: Iterable[str], revision: int) -> None:
    """Remove the versions of features at a revision, in batches."""
    with VersionItem.batch_write() as batch:
        for each in feature_ids:
            batch.delete(VersionItem(feature=_key(dataset, each), revision=revision))


def of_feature(dataset: str, feature_id: str, *, until: int, limit: int) -> list[FeatureVersion]:
    """Up to `limit` versions of a feature up to the revision `until`, the last one first."""
    found = VersionItem.query(
        _key(dataset, feature_id),
        VersionItem.revision <= until,
        scan_index_forward=False,
        limit=limit,
        consistent_read=True,
    )
    return [_version(feature_id, item) for item in found]


def first_after(dataset: str, feature_id: str, revision: int) -> FeatureVersion | None:
    """The first version of a feature after a revision; None if there is none."""
    found = VersionItem.query(
        _key(dataset, feature_id),
        VersionItem.revision > revision,
        limit=1,
        consistent_read=True,
    )
    return next((_version(feature_id, item) for item in found), None)


def _key(dataset: str, feature_id: str) -> str:
    return f"{dataset}#{feature_id}"


def _version(feature_id: str, item: VersionItem) -> FeatureVersion:
    kind, file, start, end = item.body
    return FeatureVersion(feature_id, int(item.revision), ChangeKind(kind), file, start, end)
