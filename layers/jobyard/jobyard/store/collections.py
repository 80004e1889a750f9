"""Stores collections."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobyard.domain.collection import Collection, CollectionChange
from jobyard.domain.errors import StaleState
from jobyard.domain.hold import Hold
from jobyard.store import holds, reads, worker_leases
from jobyard.store.documents import from_ms, to_ms
from jobyard.store.tables import CollectionItem, HoldItem, is_version, save_if
from jobyard.store.worker_leases import SharedLimits

_LIST_PARTITION = "collections"  # one partition of the index for all: there are few writes


def _item(collection: Collection) -> CollectionItem:
    changes = [
        [each.event, to_ms(each.at), each.actor, each.sub, each.reason, each.cause, each.summary]
        for each in collection.changes
    ]
    body = {
        "owner": collection.owner,
        "owner_sub": collection.owner_sub,
        "people": dict(collection.people),
        "groups": sorted(collection.groups),
        "naans": list(collection.naans),
        "notify": list(collection.notify),
        "drops": collection.accepts_drops,
        "changes": changes,
    }
    return CollectionItem(
        name=collection.name, list_partition=_LIST_PARTITION, version=collection.version, body=body
    )


def _collection(item: CollectionItem) -> Collection:
    body: dict[str, Any] = item.body
    return Collection(
        name=item.name,
        version=int(item.version),
        owner=body["owner"],
        owner_sub=body["owner_sub"],
        people=body["people"],
        groups=frozenset(body["groups"]),
        naans=tuple(body["naans"]),
        notify=tuple(body["notify"]),
        accepts_drops=body["drops"],
        changes=tuple(
            CollectionChange(event, from_ms(at), *rest) for event, at, *rest in body["changes"]
        ),
    )


def put(collection: Collection) -> None:
    """Store a new version of a collection, or the first one. A repeat succeeds.

    Raises:
        StaleState: the collection changed since it was read.
    """
    item = _item(collection)
    is_saved = save_if(item, is_version(CollectionItem, collection.version - 1))
    if not is_saved and find(collection.name) != _collection(item):
        raise StaleState(f"collection {collection.name} has changed since it was read")


def find(name: str) -> Collection | None:
    """The collection; None if there is none."""
    try:
        return _collection(CollectionItem.get(name, consistent_read=True))
    except CollectionItem.DoesNotExist:
        return None


@dataclass(frozen=True)
class WorkerView:
    """What a worker has to know while it runs a chunk: the collection, None if there is none, the
    holds on it, and what all workers share.
    """

    collection: Collection | None
    holds: Sequence[Hold]
    limits: SharedLimits


def worker_view(name: str, scopes: Sequence[str]) -> WorkerView:
    """Read a collection, the holds of `scopes`, and what all workers share, in one call."""
    keys = [CollectionItem(name), worker_leases.key(), *(HoldItem(scope) for scope in scopes)]
    collection, limits, *found = reads.get_many(keys)
    placed = [holds.of_item(item) for item in found if item]
    return WorkerView(
        _collection(collection) if collection else None, placed, worker_leases.of_item(limits)
    )


def by_name(*, after: str, limit: int) -> list[Collection]:
    """Up to `limit` collections with names after `after`, by name, from the index."""
    condition = CollectionItem.name > after if after else None
    found = CollectionItem.listed.query(_LIST_PARTITION, range_key_condition=condition, limit=limit)
    return [_collection(item) for item in found]
