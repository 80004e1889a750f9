"""The archive: records are written to it, and read back before they are deleted.

An object of the archive is written once. A late worker must not overwrite it: after the deletion
has begun, the worker would write fewer records.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any

from jobyard.domain.archive import INVENTORY, Inventory, Part, kind_of
from jobyard.services.batches.uploads import MultipartUpload
from jobyard.services.settings import Settings

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_s3 import S3Client

_IN_MEMORY = 8 * 1024 * 1024  # bytes; a larger part is written to the worker's disk first
_BLOCK = 1024 * 1024
_GZIP = "application/gzip"


class NotArchivable(Exception):
    """Something cannot be archived, or is not archived as it should be; a person has to act."""


@dataclass(frozen=True)
class Archive:
    """One folder of the archive bucket: the records of a batch, or of a month of a schedule."""

    settings: Settings
    s3: "S3Client"
    folder: str

    def write(self, name: str, lines: Iterable[bytes]) -> None:
        """Write lines as the part `name`, unless it exists."""
        counts: dict[str, int] = {}
        digest, length = hashlib.sha256(), 0
        with SpooledTemporaryFile(max_size=_IN_MEMORY) as spool:
            # mtime=0, so that the same records give the same bytes.
            with gzip.GzipFile(fileobj=spool, mode="wb", filename="", mtime=0) as packed:
                for line in lines:
                    kind = kind_of(line)
                    counts[kind] = counts.get(kind, 0) + 1
                    digest.update(line)
                    length += len(line)
                    packed.write(line)
            spool.seek(0)
            self._put(name, spool, _GZIP, _metadata(digest.hexdigest(), length, counts))

    def copy(self, name: str, key: str) -> None:
        """Write an object of the work bucket as the part `name`, unless it exists.

        It is read twice: it may be larger than a worker's disk, and S3 needs the metadata, which
        contains the digest, before the first byte.
        """
        found = {"Bucket": self.settings.work_bucket, "Key": key}
        answer = self.s3.get_object(**found)  # type: ignore[arg-type]
        digest, length = hashlib.sha256(), 0
        for block in answer["Body"].iter_chunks(_BLOCK):
            digest.update(block)
            length += len(block)
        metadata = _metadata(digest.hexdigest(), length, {})
        again = self.s3.get_object(**found, IfMatch=answer["ETag"])  # type: ignore[arg-type]
        archive_key = f"{self.folder}/{name}"
        headers = {"ContentType": _GZIP, "Metadata": metadata}
        with MultipartUpload(
            self.s3, self.settings.archive_bucket, archive_key, **headers
        ) as upload:
            with gzip.GzipFile(fileobj=upload, mode="wb", filename="", mtime=0) as packed:  # type: ignore[call-overload]
                for block in again["Body"].iter_chunks(_BLOCK):
                    packed.write(block)
            with self._unless_exists():
                upload.finish(IfNoneMatch="*")

    def _put(self, name: str, body: Any, content_type: str, metadata: dict[str, str]) -> None:
        with self._unless_exists():
            self.s3.put_object(
                Bucket=self.settings.archive_bucket,
                Key=f"{self.folder}/{name}",
                Body=body,
                ContentType=content_type,
                Metadata=metadata,
                IfNoneMatch="*",
            )

    @contextmanager
    def _unless_exists(self) -> Iterator[None]:
        """Ignore S3's refusal to overwrite an object."""
        try:
            yield
        except self.s3.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 412:
                raise

    def part(self, name: str) -> Part:
        """The stored part of that name.

        Raises:
            NotArchivable: it is not stored.
        """
        try:
            found = self.s3.head_object(
                Bucket=self.settings.archive_bucket, Key=f"{self.folder}/{name}"
            )
        except self.s3.exceptions.ClientError as error:
            raise _missing(error, f"{name} is not in the archive") from error
        metadata = found["Metadata"]
        counts = json.loads(metadata["counts"])
        return Part(
            name, found["ContentLength"], int(metadata["length"]), metadata["sha256"], counts
        )

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a part, read back.

        Raises:
            NotArchivable: it is not stored, or damaged.
        """
        body = self._get(name)
        try:
            with gzip.GzipFile(fileobj=body, mode="rb") as packed:
                yield from packed
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise NotArchivable(f"{self.folder}/{name} is damaged: {error}") from error

    def seal(self, inventory: Inventory) -> None:
        """Write the inventory, unless it exists. From then on its parts count as archived."""
        self._put(INVENTORY, inventory.text(), "application/json", {})

    def inventory(self) -> Inventory:
        """The stored inventory.

        Raises:
            NotArchivable: it is not stored.
        """
        return Inventory.of(self._get(INVENTORY).read())

    def _get(self, name: str) -> Any:
        try:
            return self.s3.get_object(
                Bucket=self.settings.archive_bucket, Key=f"{self.folder}/{name}"
            )["Body"]
        except self.s3.exceptions.ClientError as error:
            raise _missing(error, f"{self.folder}/{name} is not in the archive") from error

    def ensure(self, names: Iterable[str], lines: list[bytes]) -> None:
        """Ensure that each of `lines` is in one of the parts `names`. Write the others to an extra
        part, which the inventory does not list.

        Records may be deleted after this call only.

        Raises:
            NotArchivable: a part is not stored, or damaged.
        """
        if not lines:
            return
        kept = {text for name in names for text in self.lines(name)}
        late = [text for text in lines if text not in kept]
        if late:
            digest = hashlib.sha256(b"".join(late)).hexdigest()
            self.write(f"late-{digest[:16]}.jsonl.gz", late)


def _metadata(digest: str, length: int, counts: dict[str, int]) -> dict[str, str]:
    """The metadata of a part, about its uncompressed content."""
    return {"sha256": digest, "length": str(length), "counts": json.dumps(counts)}


def _missing(error: "ClientError", reason: str) -> Exception:
    """`NotArchivable` if S3 has no such object, else the error itself."""
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return NotArchivable(reason) if status == 404 else error
