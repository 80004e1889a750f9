"""Objects in the intake bucket: which are manifests, and the batch that each belongs to."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from jobyard.domain.batches.batch import (
    INTAKE_PREFIX,
    S3_SUBMITTER,
    UPLOAD_GRACE,
    Batch,
    BatchState,
    ManifestSource,
)
from jobyard.domain.collection import NOBODY, deposit_refusal
from jobyard.domain.errors import Gone, NotFound, StaleState
from jobyard.domain.ids import NAME_PATTERN, batch_id_of_object, is_batch_id
from jobyard.domain.mail_addresses import Addresses, addresses
from jobyard.services.batches.open_context import OpenContext
from jobyard.services.settings import Settings
from jobyard.store import batches, collections

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NO_COLLECTION = "-"  # the collection of a misplaced manifest; no collection can have this name


def with_version(source: ManifestSource, s3: "S3Client") -> ManifestSource:
    """The object with its version id, which is looked up if it is missing."""
    if source.version_id:
        return source
    found = s3.head_object(Bucket=source.bucket, Key=source.key)
    return replace(source, version_id=found["VersionId"])


def is_manifest(source: ManifestSource) -> bool:
    """Whether an object is a manifest, not an empty object, a folder marker or a hidden file.

    A manifest uploaded for a submission may have any name.
    """
    name = source.key.rsplit("/", 1)[-1]
    is_hidden = name.startswith(".") and not _submitted_as(source.key)
    return bool(source.size and name and not is_hidden and _collection_of(source.key))


def is_misplaced(source: ManifestSource) -> bool:
    """Whether an object is a manifest outside every collection. It is refused, and the report goes
    to the deployment's address.
    """
    return is_manifest(source) and _collection_of(source.key) == NO_COLLECTION


def find_batch(source: ManifestSource, s3: "S3Client", now: datetime) -> Batch | None:
    """The batch of an uploaded manifest; None if there is none yet."""
    submitted = _submitted_batch(source.key, now)
    if submitted:
        return submitted
    source = with_version(source, s3)
    try:
        dropped_id = batch_id_of_object(source.bucket, source.key, source.version_id)
        return batches.get(dropped_id, now)
    except (NotFound, Gone):
        return None


def find_or_create_batch(source: ManifestSource, context: OpenContext) -> Batch:
    """The batch of a manifest: the submitted one, or a new one for a dropped manifest.

    A second upload to the key of a submission is another version of the object. Its execution finds
    the batch opened by another execution, and ends.
    """
    return _submitted_batch(source.key, context.now()) or _put_dropped(source, context)


def _submitted_batch(key: str, now: datetime) -> Batch | None:
    """The batch that was submitted for a key, if its upload is not too late.

    An object that someone dropped under another person's batch id is an ordinary dropped manifest.
    """
    batch_id = _submitted_as(key)
    if not batch_id:
        return None
    try:
        batch = batches.get(batch_id, now, grace=UPLOAD_GRACE)
    except (NotFound, Gone):
        return None
    return batch if batch.upload_key == key else None


def _submitted_as(key: str) -> str:
    """The id of the batch that was submitted for a key; "" for a dropped manifest."""
    parts = key.removeprefix(INTAKE_PREFIX).split("/")
    return parts[1] if len(parts) > 2 and is_batch_id(parts[1]) else ""


def _collection_of(key: str) -> str:
    """The collection in a key; "" for a key that is not of a manifest."""
    if not key.startswith(INTAKE_PREFIX):
        return ""
    name, slash, _ = key.removeprefix(INTAKE_PREFIX).partition("/")
    return name if name and slash else NO_COLLECTION


def _put_dropped(source: ManifestSource, context: OpenContext) -> Batch:
    """The batch of a dropped manifest, created by this or an earlier execution."""
    now = context.now()
    metadata = context.s3.head_object(
        Bucket=source.bucket, Key=source.key, VersionId=source.version_id
    )["Metadata"]
    collection = _collection_of(source.key)
    recipients = _recipients(collection, metadata, context.settings)
    batch = Batch(
        batch_id=batch_id_of_object(source.bucket, source.key, source.version_id),
        state=BatchState.PENDING,
        version=0,
        collection=collection,
        submitter=S3_SUBMITTER,
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


def _recipients(collection: str, metadata: Mapping[str, str], settings: Settings) -> Addresses:
    """Who gets the report on a dropped manifest: the addresses that it names, else its
    collection's, else the deployment's. A manifest whose `notify` is empty names nobody.

    The deployment's are added if none of the named ones is valid. Only they are used if the
    manifest will be refused.
    """
    fallback = addresses(settings.mail_to)
    found = collections.find(collection) if re.fullmatch(NAME_PATTERN, collection) else None
    if found is None or deposit_refusal(collection, found, NOBODY):
        return fallback
    if "notify" not in metadata and not found.notify:
        return fallback
    named = addresses(metadata["notify"]) if "notify" in metadata else Addresses(found.notify)
    named = named.within(settings.mail_domains)
    is_unusable = named.invalid and not named.valid
    return named + fallback if is_unusable else named
