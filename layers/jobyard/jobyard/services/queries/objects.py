"""Objects of the archive: their versions, the files of a version, and links to download these.

Who may see a collection may see its objects and download their files.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from jobyard.domain.arks import EXAMPLE_ARK, normal_ark
from jobyard.domain.batches.batch import Batch
from jobyard.domain.errors import BadRequest, Gone, NotFound
from jobyard.domain.objects import ObjectVersion
from jobyard.domain.text import clean
from jobyard.jobtypes.deposit.keys import version_key
from jobyard.services.access import visible_collection
from jobyard.services.context import QueryContext
from jobyard.store import batches, objects

MAX_MANIFEST_BYTES = 16 * 1024 * 1024  # of a version, whose files are listed
LINK_EXPIRES_S = 900


@dataclass(frozen=True)
class ObjectView:
    """An object with a page of its versions, newest first. `after` is the version before which the
    next page begins; None after the last.
    """

    ark: str
    collection: str
    local_ids: tuple[str, ...]
    versions: tuple[ObjectVersion, ...]
    after: int | None


@dataclass(frozen=True)
class StoredFile:
    """A file of a version. `digests` are in hexadecimal, by algorithm; `size` is bytes."""

    name: str
    size: int
    digests: Mapping[str, str]
    key: str


@dataclass(frozen=True)
class VersionView:
    """A version of an object with a page of its files, by name.

    `depositor` submitted its batch, whose manifest is `filename`; both are "" if the batch is not
    known any more. `source` is where it came from: its kind, name and URL. `after` is the number of
    the next file; None after the last.
    """

    version: ObjectVersion
    depositor: str
    filename: str
    metadata: Mapping[str, Any]
    source: Mapping[str, Any]
    files: tuple[StoredFile, ...]
    after: int | None


def stored_object(
    ark: str, context: QueryContext, *, before: int | None = None, limit: int = 50
) -> ObjectView:
    """An object, by its ark in any spelling, with a page of its versions.

    Raises:
        BadRequest: it is no ark. NotFound: there is no such object, or the actor may not see it.
    """
    normal = _normal(ark)
    versions = [*islice(objects.versions(normal, before=before, limit=limit + 1), limit + 1)]
    newest = versions[0] if versions else objects.latest(normal)
    if newest is None:
        raise NotFound(f"there is no object {normal}")
    _check_visible(newest, context)
    shown = tuple(versions[:limit])
    after = shown[-1].version if len(versions) > limit else None
    return ObjectView(normal, newest.collection, newest.local_ids, shown, after)


def object_with_local_id(collection: str, local_id: str, context: QueryContext) -> ObjectView:
    """The object to which a local identifier of a collection belongs.

    Raises:
        NotFound: there is none, or the actor may not see the collection.
    """
    visible_collection(collection, context.actor)
    ark = objects.ark_of(collection, local_id)
    if not ark:
        raise NotFound(f"collection {collection} has no object with local identifier {local_id!r}")
    return stored_object(ark, context)


def object_version(
    ark: str, number: int, context: QueryContext, *, after: int = 0, limit: int = 100
) -> VersionView:
    """A version of an object, with the files from number `after` on.

    Raises:
        BadRequest: it is no ark, or has too many files to list. NotFound: there is no such object
            or version, or the actor may not see it.
    """
    version = _visible_version(ark, number, context)
    manifest = _manifest(version, context)
    listed = manifest["files"]
    files = tuple(StoredFile(**each) for each in listed[after : after + limit])
    following = after + limit
    batch = _batch(version, context)
    return VersionView(
        version,
        batch.submitter if batch else "",
        batch.filename if batch else "",
        manifest.get("metadata", {}),
        manifest.get("source", {}),
        files,
        following if following < len(listed) else None,
    )


def download_link(ark: str, number: int, name: str, context: QueryContext) -> str:
    """A link to a file of a version, valid for 15 minutes. Browsers download it.

    Raises:
        BadRequest, NotFound: as for `object_version`. NotFound also if it has no such file.
    """
    version = _visible_version(ark, number, context)
    files = (StoredFile(**each) for each in _manifest(version, context)["files"])
    found = next((each for each in files if each.name == name), None)
    if found is None:
        raise NotFound(f"version {number} of {version.ark} has no file {name!r}")
    filename = clean(name.rsplit("/", 1)[-1]).replace("\\", "_").replace('"', "_")
    return context.s3.generate_presigned_url(
        "get_object",
        Params={
            "Bucket": context.settings.archive_bucket,
            "Key": found.key,
            "ResponseContentType": "application/octet-stream",
            "ResponseContentDisposition": f'attachment; filename="{filename}"',
        },
        ExpiresIn=LINK_EXPIRES_S,
    )


def _normal(ark: str) -> str:
    """The normal form of an ark.

    Raises:
        BadRequest: it is no ark.
    """
    normal = normal_ark(ark)
    if not normal:
        raise BadRequest(f"{clean(ark, 100)!r} is not an ark, such as {EXAMPLE_ARK}")
    return normal


def _check_visible(version: ObjectVersion, context: QueryContext) -> None:
    try:
        visible_collection(version.collection, context.actor)
    except NotFound:
        raise NotFound(f"there is no object {version.ark}") from None


def _visible_version(ark: str, number: int, context: QueryContext) -> ObjectVersion:
    normal = _normal(ark)
    version = objects.find(normal, number)
    if version is None:
        raise NotFound(f"there is no version {number} of {normal}")
    _check_visible(version, context)
    return version


def _manifest(version: ObjectVersion, context: QueryContext) -> dict[str, Any]:
    """The manifest of a version in the archive.

    Raises:
        BadRequest: it is too large to be read here.
    """
    response = context.s3.get_object(
        Bucket=context.settings.archive_bucket, Key=version_key(version.ark, version.version)
    )
    if response["ContentLength"] > MAX_MANIFEST_BYTES:
        raise BadRequest(f"version {version.version} of {version.ark} has too many files to list")
    manifest: dict[str, Any] = json.loads(response["Body"].read())
    return manifest


def _batch(version: ObjectVersion, context: QueryContext) -> Batch | None:
    """The batch of a version; None if it is not known any more."""
    try:
        return batches.get(version.batch_id, context.now)
    except Gone:
        tombstone = batches.BATCH_TOMBSTONES.find(version.batch_id)
        return tombstone.origin if tombstone else None
    except NotFound:
        return None
