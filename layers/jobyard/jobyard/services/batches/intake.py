"""Objects in the intake bucket: which are manifests, and the batch that each belongs to."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from jobyard.domain.batches.batch import (
    INTAKE_PREFIX,
    UPLOAD_GRACE,
    Batch,
    BatchState,
    ManifestSource,
)
from jobyard.domain.collection import NOBODY, deposit_refusal
from jobyard.domain.errors import Gone, NotFound, StaleState
from jobyard.domain.hold import NAME_PATTERN
from jobyard.domain.ids import batch_id_of_object, is_batch_id
from jobyard.domain.mail_addresses import Addresses, addresses
from jobyard.services.batches.open_context import OpenContext
from jobyard.services.settings import (
    Settings,
)
from jobyard.store import batches, collections

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NO_COLLECTION = "-"  # the collection of a misplaced manifest; no collection can have this name


def is_manifest(source: ManifestSource) -> bool:
    """Whether an object is a manifest: not a folder's marker, and not a hidden file. A manifest
    uploaded for a submission may have any name.
    """
    name = source.key.rsplit("/", 1)[-1]
    named = name and (not name.startswith(".") or _submitted_as(source.key))
    return bool(source.size and named and _collection_of(source.key))


def is_misplaced(source: ManifestSource) -> bool:
    """Whether an object is a manifest outside every collection. It is refused, and the deployment's
    people are mailed.
    """
    return is_manifest(source) and _collection_of(source.key) == NO_COLLECTION


def batch_of_key(
    bucket: str, key: str, version_id: str, s3: "S3Client", now: datetime
) -> Batch | None:
    """The batch of a manifest that landed; None if none was made yet."""
    source = ManifestSource(bucket, key, version_id, 0)
    submitted = _submitted_as(key)
    dropped = batch_id_of_object(bucket, key, version_of(source, s3))
    for batch_id in filter(None, (submitted, dropped)):
        try:
            found = batches.get(batch_id, now - UPLOAD_GRACE)
        except (NotFound, Gone):
            continue
        if batch_id == dropped or key == found.upload_key:
            return found
    return None


def _submitted_as(key: str) -> str:
    """The id of the batch that was submitted for a key; "" for a dropped manifest."""
    parts = key.removeprefix(INTAKE_PREFIX).split("/")
    return parts[1] if len(parts) > 2 and is_batch_id(parts[1]) else ""


def version_of(source: ManifestSource, s3: "S3Client") -> str:
    if source.version_id:
        return source.version_id
    return s3.head_object(Bucket=source.bucket, Key=source.key)["VersionId"]


def _collection_of(key: str) -> str:
    if not key.startswith(INTAKE_PREFIX):
        return ""
    name, slash, _ = key.removeprefix(INTAKE_PREFIX).partition("/")
    return name if name and slash else NO_COLLECTION


def claim(source: ManifestSource, context: OpenContext) -> Batch:
    """The batch of this object: the submitted one, or a new one for a dropped manifest."""
    now = context.now()
    submitted = _submitted_as(source.key)
    if submitted:
        try:
            # A second upload to the same address is another version of the object: its execution
            # finds the batch claimed and goes away.
            batch = batches.get(submitted, now - UPLOAD_GRACE)
        except (NotFound, Gone):
            pass  # never promised, or too late: a manifest like any that is dropped
        else:
            if source.key == batch.upload_key:
                return batch
            # Dropped by somebody under an id that is not theirs: it has a drop's rights.
    metadata = context.s3.head_object(
        Bucket=source.bucket, Key=source.key, VersionId=source.version_id
    )["Metadata"]
    recipients = _recipients(_collection_of(source.key), metadata, context.settings)
    batch = Batch(
        batch_id=batch_id_of_object(source.bucket, source.key, source.version_id),
        state=BatchState.PENDING,
        version=0,
        collection=_collection_of(source.key),
        submitter="s3",
        job_type=metadata.get("job-type") or "deposit",
        filename=source.key.rsplit("/", 1)[-1],
        submitted_at=now,
        profile=metadata.get("profile", ""),
        source=source,
        notify=recipients.valid,
        undeliverable=recipients.invalid,
        parameters={"callback_url": metadata["callback-url"]} if "callback-url" in metadata else {},
    )
    try:
        return batches.put_new(batch)
    except StaleState:
        return batches.get(batch.batch_id, now)


def _recipients(name: str, metadata: Mapping[str, str], settings: Settings) -> Addresses:
    """Who gets the report on a dropped manifest: whom it names, else its collection's people, else
    the deployment's people.

    The deployment's people get it too when none of the named addresses is valid, and they alone
    when the manifest will be refused.
    """
    collection = collections.find(name) if re.fullmatch(NAME_PATTERN, name) else None
    if collection is None or deposit_refusal(name, collection, NOBODY):
        return addresses(settings.mail_to)
    if "notify" not in metadata:
        return Addresses(collection.notify) if collection.notify else addresses(settings.mail_to)
    named = addresses(metadata["notify"])
    return named if named.valid or not named.invalid else named + addresses(settings.mail_to)
