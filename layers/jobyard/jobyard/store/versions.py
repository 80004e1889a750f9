"""Stores the versions of features: where the change file of a commit has the change.

The features stay in S3, so an item has some 200 bytes, and writing it is one unit.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from jobyard.domain.datasets.changes import ChangeKind
from jobyard.store.statements import BATCH_LIMIT, execute
from jobyard.store.tables import DocumentAttribute, VersionItem

_BODY = DocumentAttribute()
_INSERT = """INSERT INTO "{}" VALUE {{'body':?,'feature':?,'revision':?}}"""
_UPDATE = """UPDATE "{}" SET "body"=? WHERE "feature"=? AND "revision"=?"""


@dataclass(frozen=True, slots=True)
class FeatureVersion:
    """A version of a feature: the change that made it is at `start` to `end` in `file`."""

    feature_id: str
    revision: int
    kind: ChangeKind
    file: str
    start: int
    end: int


def put_all(
    dataset: str, versions: Iterable[FeatureVersion], pause: Callable[[float], None] = time.sleep
) -> None:
    """Store versions, 25 per call. A repeat stores the same.

    By statements: who may send a BatchWriteItem may delete with it, and the functions that call
    this read what people send.

    Raises:
        RuntimeError: DynamoDB refused a statement because of a bug, or failed it too often.
    """
    remaining = iter(versions)
    while some := [_parameters(dataset, each) for each in islice(remaining, BATCH_LIMIT)]:
        inserted = execute([_statement(_INSERT, each) for each in some], pause)
        known = [each for each, is_new in zip(some, inserted, strict=True) if not is_new]
        if known and not all(execute([_statement(_UPDATE, each) for each in known], pause)):
            raise RuntimeError("a version refused its update, which has no condition")


def _statement(text: str, parameters: Any) -> Any:
    return {"Statement": text.format(VersionItem.Meta.table_name), "Parameters": parameters}


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


def _parameters(dataset: str, version: FeatureVersion) -> Any:
    """The parameters of the statements that store a version: body, feature, revision."""
    body = [version.kind.value, version.file, version.start, version.end]
    return [
        {"S": _BODY.serialize(body)},
        {"S": _key(dataset, version.feature_id)},
        {"N": str(version.revision)},
    ]
