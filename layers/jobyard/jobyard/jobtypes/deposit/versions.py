"""A version of an object: its manifest in the archive, and its record.

A manifest is written once and never replaced; this reserves the version number. The record, also a
conditional insert, makes the version valid. If a job dies between the two, its number stays unused.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from jobyard.domain.errors import StaleState
from jobyard.domain.jobs.job_type import StepInput
from jobyard.domain.objects import ObjectVersion
from jobyard.domain.redaction import without_secrets
from jobyard.jobtypes.deposit import bucket
from jobyard.jobtypes.deposit.access import belongs_elsewhere, check_ownership
from jobyard.jobtypes.deposit.content import Stored
from jobyard.jobtypes.deposit.identity import description_of, mint
from jobyard.jobtypes.deposit.keys import version_key
from jobyard.jobtypes.deposit.refusal import RetryLater
from jobyard.jobtypes.step_context import StorageContext

FORMAT = "jobyard-object-1"

# A reserved number that is older and not recorded is skipped. No worker lives that long.
_ABANDONED_AFTER = timedelta(minutes=20)
_WAIT_S = 15.0
_RACES = 5  # version numbers that other jobs record first, before we wait


@dataclass(frozen=True)
class VersionManifest:
    """A version's manifest in the archive. `same`: nothing changed since the latest version."""

    version: int
    digest: str
    files: int
    bytes: int
    same: bool = False


def write_manifest(
    step_input: StepInput, context: StorageContext, ark: str, stored: tuple[Stored, ...]
) -> VersionManifest:
    """Write the manifest of the object's next version, if anything changed.

    A job makes only one version of an object, even if it runs again.

    Raises:
        RetryLater: another job has reserved the number and not recorded it yet.
        Refused: IDENTIFIER_CONFLICT, the object belongs to another collection.
    """
    content = _content(step_input, ark, stored)
    if ark == mint(step_input.job_id):
        # This job minted the ark, so there is rarely a version yet, and its first one is v1.
        body = _encode(content, step_input, 1)
        if bucket.put_new(context.s3, context.archive_bucket, version_key(ark, 1), body):
            return _from_body(1, body)
    latest, own = context.objects.latest_and_own(ark, step_input.job_id)
    if own:
        return _from_record(own)
    check_ownership(latest, step_input)
    if latest and _is_same_content(latest, content, context):
        return replace(_from_record(latest), same=latest.job_id != step_input.job_id)
    version = latest.version if latest else 0
    while True:
        version += 1
        body = _encode(content, step_input, version)
        key = version_key(ark, version)
        if bucket.put_new(context.s3, context.archive_bucket, key, body):
            return _from_body(version, body)
        found = context.s3.get_object(Bucket=context.archive_bucket, Key=key)
        body = found["Body"].read()
        manifest = json.loads(body)
        if manifest["collection"] != step_input.collection:
            # That collection was first, even if its job never recorded the version.
            raise belongs_elsewhere(ark)
        owner = manifest["job_id"]
        if owner == step_input.job_id:
            return _from_body(version, body)
        if context.now() - found["LastModified"] < _ABANDONED_AFTER:
            raise RetryLater(_WAIT_S, f"job {owner} is storing version {version} of {ark}")


def record(
    step_input: StepInput,
    context: StorageContext,
    ark: str,
    manifest: VersionManifest,
    stored: Callable[[], tuple[Stored, ...]],
) -> VersionManifest:
    """Record the version. If another job recorded its number, record the next number instead.

    Raises:
        RetryLater: too many other jobs are recording versions of the object.
        Refused: IDENTIFIER_CONFLICT, the object belongs to another collection.
    """
    for _ in range(_RACES):
        latest, own = context.objects.latest_and_own(ark, step_input.job_id)
        if own:
            return _from_record(own)
        check_ownership(latest, step_input)
        if not latest or latest.version < manifest.version:
            try:
                context.objects.record(_version(step_input, context, ark, manifest))
            except StaleState:
                pass  # another job has just recorded it
            else:
                return manifest
        manifest = write_manifest(step_input, context, ark, stored())
        if manifest.same:
            return manifest
    raise RetryLater(_WAIT_S, f"other jobs are recording versions of {ark}")


def _version(
    step_input: StepInput, context: StorageContext, ark: str, manifest: VersionManifest
) -> ObjectVersion:
    return ObjectVersion(
        ark=ark,
        version=manifest.version,
        collection=step_input.collection,
        batch_id=step_input.batch_id,
        job_id=step_input.job_id,
        files=manifest.files,
        bytes=manifest.bytes,
        manifest_digest=manifest.digest,
        local_ids=description_of(step_input).local,
        at=context.now(),
    )


def _content(step_input: StepInput, ark: str, stored: tuple[Stored, ...]) -> dict[str, Any]:
    """What two versions are compared by: files by name, identifiers, metadata."""
    description = description_of(step_input)
    return {
        "format": FORMAT,
        "ark": ark,
        "collection": step_input.collection,
        "local_ids": list(description.local),
        "metadata": description.metadata(ark),
        "bytes": sum(each.size for each in stored),
        "files": [
            {
                "name": each.name,
                "size": each.size,
                "digests": dict(each.digests),
                "key": each.key,
            }
            for each in sorted(stored, key=lambda each: each.name)
        ],
    }


def _source(step_input: StepInput) -> dict[str, Any]:
    """Where a version comes from. The URL has no query, because that may be a signature."""
    source = {"kind": step_input.entry["kind"], "name": step_input.entry["name"]}
    if url := step_input.entry.get("url"):
        source["url"] = without_secrets(urlunsplit((*urlsplit(url)[:3], "", "")))
    return {"batch_id": step_input.batch_id, "job_id": step_input.job_id, "source": source}


def _is_same_content(
    latest: ObjectVersion, content: Mapping[str, Any], context: StorageContext
) -> bool:
    """Whether the latest version has exactly this content."""
    if latest.files != len(content["files"]) or latest.bytes != content["bytes"]:
        return False
    key = version_key(latest.ark, latest.version)
    body = bucket.read(context.s3, context.archive_bucket, key)
    if body is None or hashlib.sha256(body).hexdigest() != latest.manifest_digest:
        return False
    stored = json.loads(body)
    return all(stored.get(name) == value for name, value in content.items())


def _from_record(version: ObjectVersion) -> VersionManifest:
    return VersionManifest(version.version, version.manifest_digest, version.files, version.bytes)


def _from_body(version: int, body: bytes) -> VersionManifest:
    manifest = json.loads(body)
    digest = hashlib.sha256(body).hexdigest()
    return VersionManifest(version, digest, len(manifest["files"]), manifest["bytes"])


def _encode(content: Mapping[str, Any], step_input: StepInput, version: int) -> bytes:
    """A version's manifest as canonical JSON: the same version always has the same bytes."""
    value = {**content, **_source(step_input), "version": version}
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode() + b"\n"
