"""Objects streamed to S3 by multipart uploads, without the worker's disk.

An object exists only when it is complete. An upload that fails leaves nothing behind.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PART_BYTES = 8 * 1024 * 1024  # of a part, and so of memory
_MIN_PART_BYTES = 5 * 1024 * 1024  # S3 refuses smaller parts, except the last one
_BLOCK = 1024 * 1024


class WrittenObject(NamedTuple):
    """An object that was written. `version` is "" in a bucket without versions."""

    key: str
    version: str
    size: int


class MultipartUpload:
    """One object, written from its first byte to its last; `finish` makes it exist.

    Up to `PART_BYTES` are kept in memory; a smaller object is one PutObject. A `key` that is a
    function is called when the first part is sent. As a context manager it aborts an unfinished
    upload.
    """

    def __init__(
        self, s3: "S3Client", bucket: str, key: str | Callable[[], str], **parameters: Any
    ) -> None:
        """`parameters` are S3's own for a new object: content type, metadata."""
        self.size = 0
        self._s3, self._bucket, self._key, self._parameters = s3, bucket, key, parameters
        self._part = bytearray()
        self._parts: list[CompletedPartTypeDef] = []
        self._id = ""
        self._target: dict[str, str] = {}

    def __enter__(self) -> "MultipartUpload":
        return self

    def __exit__(self, *_: object) -> None:
        self.abort()

    def write(self, data: bytes) -> int:
        """Add bytes; returns their number, as a file does."""
        self._part += data
        self.size += len(data)
        if len(self._part) >= PART_BYTES:
            self._send_part()
        return len(data)

    def add(self, written: WrittenObject) -> None:
        """Append an object of the same bucket. S3 copies large ones itself."""
        source = {"Bucket": self._bucket, "Key": written.key}
        source |= {"VersionId": written.version} if written.version else {}
        if written.size >= _MIN_PART_BYTES and (
            not self._part or len(self._part) >= _MIN_PART_BYTES
        ):
            if self._part:
                self._send_part()
            self._copy_part(source, written.size)
            return
        body: IO[bytes] = self._s3.get_object(**source)["Body"]  # type: ignore[arg-type]
        while block := body.read(_BLOCK):
            self.write(block)

    def _object_key(self) -> str:
        return self._key if isinstance(self._key, str) else self._key()

    def _create(self) -> None:
        if not self._id:
            self._target = {"Bucket": self._bucket, "Key": self._object_key()}
            created = self._s3.create_multipart_upload(**self._target, **self._parameters)  # type: ignore[arg-type]
            self._id = created["UploadId"]

    def _send_part(self) -> None:
        self._create()
        number = len(self._parts) + 1
        response = self._s3.upload_part(
            **self._target,  # type: ignore[arg-type]
            UploadId=self._id,
            PartNumber=number,
            Body=self._part,
        )
        self._parts.append({"PartNumber": number, "ETag": response["ETag"]})
        self._part = bytearray()

    def _copy_part(self, source: dict[str, str], size: int) -> None:
        self._create()
        number = len(self._parts) + 1
        response = self._s3.upload_part_copy(
            **self._target,  # type: ignore[arg-type]
            UploadId=self._id,
            PartNumber=number,
            CopySource=source,  # type: ignore[arg-type]
            CopySourceRange=f"bytes=0-{size - 1}",
        )
        self._parts.append({"PartNumber": number, "ETag": response["CopyPartResult"]["ETag"]})
        self.size += size

    def finish(self, **condition: Any) -> WrittenObject:
        """Complete the upload. `condition` is one of S3's, such as `IfNoneMatch`."""
        if not self._id:
            key = self._object_key()
            response: Any = self._s3.put_object(
                Bucket=self._bucket, Key=key, Body=self._part, **self._parameters, **condition
            )
            return WrittenObject(key, response.get("VersionId", ""), self.size)
        if self._part:
            self._send_part()
        response = self._complete(condition)
        self._id = ""
        return WrittenObject(self._target["Key"], response.get("VersionId", ""), self.size)

    def _complete(self, condition: dict[str, Any]) -> Any:
        try:
            return self._s3.complete_multipart_upload(
                **self._target,  # type: ignore[arg-type]
                UploadId=self._id,
                MultipartUpload={"Parts": self._parts},
                MpuObjectSize=self.size,
                **condition,
            )
        except self._s3.exceptions.ClientError as error:
            if error.response["Error"].get("Code") != "NoSuchUpload":
                raise
            # The client lost the response to a first request that succeeded, and sent it again.
            found = self._s3.head_object(**self._target)  # type: ignore[arg-type]
            if found["ContentLength"] != self.size:
                raise
            return found

    def abort(self) -> None:
        """Abort an unfinished upload: its parts are charged until they are removed."""
        if self._id:
            with suppress(self._s3.exceptions.ClientError):
                self._s3.abort_multipart_upload(**self._target, UploadId=self._id)  # type: ignore[arg-type]
            self._id = ""
