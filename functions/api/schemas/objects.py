"""Objects, their versions and files."""

from datetime import datetime
from typing import Any

from pydantic import Field, JsonValue

from api.context import RequestContext
from api.links import object_links
from api.schemas.fields import Links, NextCursor, Schema
from jobyard.domain import objects as domain
from jobyard.domain.arks import object_id_of
from jobyard.services.queries import objects as object_queries


class ObjectVersion(Schema):
    """A version of an object."""

    version: int = Field(description="Its number, from 1. Numbers may be missing.")
    stored_at: datetime = Field(description="When it was stored.")
    files_count: int = Field(description="The number of its files.")
    bytes: int = Field(description="Their size in all.")
    manifest_sha256: str = Field(
        description="The SHA-256 digest of its manifest in the archive, in hexadecimal."
    )
    batch_id: str = Field(description="The batch that deposited it.")
    job_id: str = Field(description="The job that stored it.")
    links: Links

    @classmethod
    def of(cls, version: domain.ObjectVersion, request: RequestContext) -> "ObjectVersion":
        """A version as it is recorded."""
        return cls(**_version(version, request))


class StoredObject(Schema):
    """An object with a page of its versions, newest first."""

    ark: str = Field(description="Its persistent identifier, in the normal form.")
    object_id: str = Field(description="The same with hyphens, as in paths.")
    collection: str = Field(description="The collection that owns it.")
    local_ids: list[str] = Field(description="The depositor's names for it, of its newest version.")
    versions: list[ObjectVersion] = Field(description="Its versions.")
    next_cursor: NextCursor
    links: Links

    @classmethod
    def of(
        cls, view: object_queries.ObjectView, next_cursor: str | None, request: RequestContext
    ) -> "StoredObject":
        """An object, and the cursor of the next page of its versions."""
        return cls(
            ark=view.ark,
            object_id=object_id_of(view.ark),
            collection=view.collection,
            local_ids=list(view.local_ids),
            versions=[ObjectVersion.of(each, request) for each in view.versions],
            next_cursor=next_cursor,
            links=object_links(view.ark, request),
        )


class StoredFile(Schema):
    """A file of a version."""

    name: str = Field(description="Its name.")
    size: int = Field(description="Its size in bytes.")
    digests: dict[str, str] = Field(description="Its digests in hexadecimal, by algorithm.")


class ObjectVersionDetails(ObjectVersion):
    """A version of an object with a page of its files, by name."""

    ark: str = Field(description="The object's ark.")
    depositor: str = Field(description='Who submitted its batch; "" if that is not known any more.')
    metadata: dict[str, JsonValue] = Field(description="What the depositor said about it.")
    source: dict[str, JsonValue] = Field(description="Where it came from.")
    files: list[StoredFile] = Field(description="Its files.")
    next_cursor: NextCursor

    @classmethod
    def of_details(
        cls, view: object_queries.VersionView, next_cursor: str | None, request: RequestContext
    ) -> "ObjectVersionDetails":
        """A version, and the cursor of the next page of its files."""
        return cls(
            **_version(view.version, request),
            ark=view.version.ark,
            depositor=view.depositor,
            metadata=dict(view.metadata),
            source=dict(view.source),
            files=[
                StoredFile(name=each.name, size=each.size, digests=dict(each.digests))
                for each in view.files
            ],
            next_cursor=next_cursor,
        )


class DownloadLink(Schema):
    """A link to download a file."""

    url: str = Field(description="Send a GET without the access token.")
    expires_s: int = Field(description="How many seconds the link is valid.")


def _version(version: domain.ObjectVersion, request: RequestContext) -> dict[str, Any]:
    links = object_links(version.ark, request)
    own = f"{links['self']}/versions/{version.version}"
    return {
        "version": version.version,
        "stored_at": version.at,
        "files_count": version.files,
        "bytes": version.bytes,
        "manifest_sha256": version.manifest_digest,
        "batch_id": version.batch_id,
        "job_id": version.job_id,
        "links": {"self": own, "download": f"{own}/download", "object": links["self"]},
    }
