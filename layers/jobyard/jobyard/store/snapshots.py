"""Stores snapshots: documents that are computed for readers, one item each, under a name.

A snapshot can always be computed again. So one that could not be written is no error, and one that
nobody has computed for a day expires. Who computes it has claimed it first, in a small item next to
it: a claim in the same item would cost a write of the whole document.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pynamodb.exceptions import PutError

from jobyard.domain.freshness import CLAIM_TIME, MAX_CLOCK_SKEW
from jobyard.store.documents import from_ms, to_ms
from jobyard.store.tables import DocumentAttribute, KeyValueItem, is_version, save_if

SNAPSHOT_LIFETIME = timedelta(days=1)  # from when computing it began
_MILLISECOND = timedelta(milliseconds=1)
_DOCUMENT = DocumentAttribute()


@dataclass(frozen=True)
class Snapshot:
    """A document, when computing it began, and how long that took."""

    document: Mapping[str, Any]
    started_at: datetime
    duration: timedelta = timedelta()


@dataclass(frozen=True)
class StoredSnapshot:
    """The item of a snapshot, which is None before the first. `version` counts the item's writes; 0
    is no item.
    """

    snapshot: Snapshot | None = None
    version: int = 0


def as_stored(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document as those will read it who did not compute it."""
    read: dict[str, Any] = json.loads(_DOCUMENT.serialize(document))
    return read


def find(name: str) -> StoredSnapshot:
    """The stored snapshot with this name."""
    try:
        item = KeyValueItem.get(_key(name), consistent_read=True)
    except KeyValueItem.DoesNotExist:
        return StoredSnapshot()
    document, at, ms = json.loads(item.content)
    return StoredSnapshot(Snapshot(document, from_ms(at), ms * _MILLISECOND), int(item.version))


def claim(name: str, seen: StoredSnapshot, now: datetime) -> bool:
    """Note that somebody computes the snapshot that follows `seen`, for `CLAIM_TIME`.

    Returns False if someone else does, or if DynamoDB failed. The claim ends when the snapshot is
    stored, because the next one has a higher version.
    """
    second = int(now.timestamp())
    latest = second + int((CLAIM_TIME + MAX_CLOCK_SKEW).total_seconds())
    item = KeyValueItem(
        id=f"{_key(name)}#claim",
        content="",
        expires=second + int(CLAIM_TIME.total_seconds()),
        version=seen.version,
    )
    is_free = (
        KeyValueItem.id.does_not_exist()
        | (KeyValueItem.version < seen.version)
        | (KeyValueItem.expires <= second)
        | (KeyValueItem.expires > latest)
    )
    try:
        return save_if(item, is_free)
    except PutError:
        return False


def put(name: str, seen: StoredSnapshot, snapshot: Snapshot) -> bool:
    """Store the snapshot that follows `seen`. Returns False if another was stored since, or if
    DynamoDB failed.
    """
    line = [snapshot.document, to_ms(snapshot.started_at), snapshot.duration // _MILLISECOND]
    item = KeyValueItem(
        id=_key(name),
        content=_DOCUMENT.serialize(line),
        expires=int((snapshot.started_at + SNAPSHOT_LIFETIME).timestamp()),
        version=seen.version + 1,
    )
    try:
        return save_if(item, is_version(KeyValueItem, seen.version))
    except PutError:
        return False


def _key(name: str) -> str:
    return f"snapshot#{name}"
