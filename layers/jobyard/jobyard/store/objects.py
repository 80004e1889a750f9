"""Objects' versions and local identifiers as they are stored."""

from collections.abc import Sequence
from typing import Any

from pynamodb.exceptions import PutError

from jobyard.domain.errors import StaleState
from jobyard.domain.objects import IdentifierConflict, ObjectVersion
from jobyard.store.documents import moment, stamp
from jobyard.store.tables import IdentifierItem, ObjectItem

_CONDITION_FAILED = "ConditionalCheckFailedException"


def identify(collection: str, local_ids: Sequence[str], ark: str) -> str:
    """The ark all of `local_ids` belong to from now on: their owner's, else `ark`.

    Each id is claimed by a conditional write of its own. Two jobs that claim the same ids in
    another order can each win one; both are then told of the conflict.

    Raises:
        IdentifierConflict: they belong to different arks.
    """
    names = {local_id: f"{collection}#{local_id}" for local_id in local_ids}
    owners = {name: owner for name in names.values() if (owner := _owner(name))}
    arks = set(owners.values())
    if len(arks) > 1:
        raise IdentifierConflict(_conflict(names, owners))
    chosen = arks.pop() if arks else ark
    for name in names.values():
        if name not in owners:
            owners[name] = _claim(name, chosen)
    others = set(owners.values()) - {chosen}
    if len(others) == 1 and not set(owners.values()) - others:
        return others.pop()  # another job claimed them all just now: it is that job's object
    if others:
        raise IdentifierConflict(_conflict(names, owners))
    return chosen


def _owner(name: str) -> str:
    try:
        return IdentifierItem.get(name, consistent_read=True).ark
    except IdentifierItem.DoesNotExist:
        return ""


def _claim(name: str, ark: str) -> str:
    try:
        IdentifierItem(identifier=name, ark=ark).save(
            condition=IdentifierItem.identifier.does_not_exist()
        )
    except PutError as error:
        if error.cause_response_code != _CONDITION_FAILED:
            raise
        return _owner(name)
    return ark


def _conflict(names: dict[str, str], owners: dict[str, str]) -> str:
    said = ", ".join(f"{local_id} to {owners[name]}" for local_id, name in names.items())
    return f"the local identifiers belong to different objects: {said}"


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
        at=moment(body["at"]),
    )


def latest(ark: str) -> ObjectVersion | None:
    """The highest version of the object; None when it has none."""
    found = ObjectItem.query(ark, scan_index_forward=False, limit=1, consistent_read=True)
    return next((_version(item) for item in found), None)


def record(version: ObjectVersion) -> None:
    """Record a version; a repeat by the same job changes nothing.

    Raises:
        StaleState: another job has recorded that version.
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
            "at": stamp(version.at),
        },
    )
    mine = ObjectItem.job_id == version.job_id
    try:
        item.save(condition=ObjectItem.ark.does_not_exist() | mine)
    except PutError as error:
        if error.cause_response_code != _CONDITION_FAILED:
            raise
        raise StaleState(
            f"another job recorded version {version.version} of {version.ark}"
        ) from error


def of_job(ark: str, job_id: str) -> ObjectVersion | None:
    """The version of the object that this job recorded; None when it has not."""
    for item in ObjectItem.query(ark, scan_index_forward=False, consistent_read=True):
        if item.job_id == job_id:
            return _version(item)
    return None
