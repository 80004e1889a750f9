"""Stores the versions of objects, and which object a local identifier belongs to."""

from collections.abc import Iterator, Sequence
from typing import Any

from jobyard.domain.errors import StaleState
from jobyard.domain.objects import IdentifierConflict, ObjectVersion
from jobyard.store.documents import from_ms, to_ms
from jobyard.store.tables import IdentifierItem, ObjectItem, save_if


def identify(collection: str, local_ids: Sequence[str], ark: str) -> str:
    """Claim `local_ids` for one ark and return it: the ark they belong to already, else `ark`.

    Each id is claimed by a separate conditional write, in sorted order. So of two jobs with the
    same ids, one loses the first claim and uses the winner's ark. If the ids of two jobs only
    overlap, each may win one; then the later job is refused.

    Raises:
        IdentifierConflict: the ids belong to different arks.
    """
    if len(local_ids) == 1:
        return _claim(f"{collection}#{local_ids[0]}", ark)
    names = {local_id: f"{collection}#{local_id}" for local_id in sorted(local_ids)}
    owners = {name: owner for name in names.values() if (owner := _owner(name))}
    chosen = next(iter(owners.values()), ark)
    for name in names.values():
        if name in owners:
            continue
        owners[name] = _claim(name, chosen)
        if owners[name] != chosen and chosen == ark and ark not in _others(owners, name):
            # We own none of the ids yet: use the other job's ark.
            return identify(collection, local_ids, ark)
    if set(owners.values()) - {chosen}:
        owned = ", ".join(f"{local_id} to {owners[name]}" for local_id, name in names.items())
        raise IdentifierConflict(f"the local identifiers belong to different objects: {owned}")
    return chosen


def _others(owners: dict[str, str], name: str) -> set[str]:
    return {owner for other, owner in owners.items() if other != name}


def _owner(name: str) -> str:
    try:
        return IdentifierItem.get(name, consistent_read=True).ark
    except IdentifierItem.DoesNotExist:
        return ""


def _claim(name: str, ark: str) -> str:
    if not save_if(
        IdentifierItem(identifier=name, ark=ark), IdentifierItem.identifier.does_not_exist()
    ):
        return _owner(name)
    return ark


def _version(item: ObjectItem) -> ObjectVersion:
    body: dict[str, Any] = item.body
    return ObjectVersion(
        ark=item.ark,
        version=int(item.number),
        collection=body["collection"],
        batch_id=body["batch_id"],
        job_id=item.job_id,
        files=body["files"],
        bytes=body["bytes"],
        manifest_digest=body["manifest_digest"],
        local_ids=tuple(body["local_ids"]),
        at=from_ms(body["at"]),
    )


def latest(ark: str) -> ObjectVersion | None:
    """The highest version of the object; None if it has none."""
    found = ObjectItem.query(ark, scan_index_forward=False, limit=1, consistent_read=True)
    return next((_version(item) for item in found), None)


def find(ark: str, number: int) -> ObjectVersion | None:
    """A version of the object; None if there is none with this number."""
    try:
        return _version(ObjectItem.get(ark, number, consistent_read=True))
    except ObjectItem.DoesNotExist:
        return None


def versions(ark: str, *, before: int | None, limit: int) -> Iterator[ObjectVersion]:
    """Up to `limit` versions of the object, newest first: those before a number (None: all)."""
    condition = ObjectItem.number < before if before is not None else None
    for item in ObjectItem.query(
        ark,
        range_key_condition=condition,
        scan_index_forward=False,
        limit=limit,
        consistent_read=True,
    ):
        yield _version(item)


def ark_of(collection: str, local_id: str) -> str:
    """The ark of the object to which a local identifier of a collection belongs; "" if to none."""
    return _owner(f"{collection}#{local_id}")


def record(version: ObjectVersion) -> None:
    """Record a version. A repeat by the same job succeeds.

    Raises:
        StaleState: another job has recorded this version.
    """
    item = ObjectItem(
        ark=version.ark,
        number=version.version,
        job_id=version.job_id,
        body={
            "collection": version.collection,
            "batch_id": version.batch_id,
            "files": version.files,
            "bytes": version.bytes,
            "manifest_digest": version.manifest_digest,
            "local_ids": list(version.local_ids),
            "at": to_ms(version.at),
        },
    )
    is_own = ObjectItem.job_id == version.job_id
    if not save_if(item, ObjectItem.ark.does_not_exist() | is_own):
        raise StaleState(f"another job recorded version {version.version} of {version.ark}")


def latest_and_own(ark: str, job_id: str) -> tuple[ObjectVersion | None, ObjectVersion | None]:
    """The highest version of the object, and the one that this job recorded; None if missing."""
    highest = own = None
    for item in ObjectItem.query(ark, scan_index_forward=False, consistent_read=True):
        highest = highest or _version(item)
        if item.job_id == job_id:
            own = _version(item)
            break
    return highest, own
