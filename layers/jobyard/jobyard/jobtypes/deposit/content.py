"""Stores a stream of blocks as an object in the archive, hashed on the way, in constant memory.

The key is the digest, which is known only at the end, and S3 cannot rename an object. So a small
file is hashed in memory first. A large file is uploaded to its key if the manifest has its sha-256;
the upload is completed only if our own hash is the same. Other large files are staged in the work
bucket and then copied.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, TypedDict

from botocore.exceptions import ClientError

from jobyard.domain.jobs.failures import Failure
from jobyard.jobtypes.deposit import bucket
from jobyard.jobtypes.deposit.keys import content_key
from jobyard.jobtypes.deposit.refusal import Refused
from jobyard.jobtypes.http_client import RESERVE_S
from jobyard.jobtypes.step_context import StorageContext

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

SHA256 = "sha-256"

# A worker has about 14 minutes: 8 GiB at 10 MB/s. A hash cannot be saved halfway, so a file must be
# fetched within one attempt.
MAX_FILE_BYTES = 8 * 1024**3

SMALL_BYTES = 8 * 1024**2  # up to this size, one PutObject; a multipart upload has three requests
_CHECK_FIRST_BYTES = 64 * 1024  # above this size, we check first whether S3 has the file
_MAX_PARTS = 9_000  # S3 allows 10,000

# A large file takes the memory of two parts: one is filled while another is sent. So a worker has
# at most 8 files above `_SLOT_BYTES` at once, although it runs 25 jobs. Smaller files do not wait.
_SLOT_BYTES = 1024**2
LARGE_FILE_SLOTS = BoundedSemaphore(8)

_MAX_SINGLE_COPY_BYTES = 1024**3  # S3 allows 5 GB; larger files are copied in parts, in parallel
_COPY_PART_BYTES = 512 * 1024**2
_CONCURRENT_COPIES = 4

_HASHES = {"md5": "md5", SHA256: "sha256", "sha-512": "sha512"}


@dataclass(frozen=True)
class Wanted:
    """A file as the manifest describes it: `size` in bytes and lower-case `digest`, if given.

    `limit` is the largest size in bytes that is accepted.
    """

    name: str
    size: int | None = None
    algorithm: str = ""
    digest: str = ""
    limit: int = MAX_FILE_BYTES


@dataclass(frozen=True)
class Stored:
    """A file in the archive. `digests` are by algorithm and always have sha-256."""

    name: str
    size: int
    digests: Mapping[str, str]

    @property
    def key(self) -> str:
        """The file's key in the archive."""
        return content_key(self.digests[SHA256])


@dataclass(frozen=True)
class Staged:
    """A file in the work bucket. `etag` identifies the bytes that were hashed."""

    key: str
    etag: str
    size: int
    digests: Mapping[str, str]


class Hashing:
    """The digests and the size of the blocks so far."""

    def __init__(self, algorithm: str) -> None:
        names = sorted({SHA256, algorithm} & _HASHES.keys())
        self._hashes = {name: hashlib.new(_HASHES[name], usedforsecurity=False) for name in names}
        self.size = 0

    def update(self, block: bytes) -> None:
        self.size += len(block)
        for each in self._hashes.values():
            each.update(block)

    def digests(self) -> dict[str, str]:
        return {name: each.hexdigest() for name, each in self._hashes.items()}


def store(
    blocks: Iterable[bytes], wanted: Wanted, staging_key: str, context: StorageContext
) -> Stored:
    """Store a file in the archive. A repeat changes nothing.

    Raises:
        Refused: TOO_LARGE, SIZE_MISMATCH, DIGEST_MISMATCH; TIMEOUT, the worker's time is up;
            STEP_ERROR, another worker interfered.
    """
    hashing = Hashing(wanted.algorithm)
    with _buffered_start(checked(blocks, wanted, context, hashing), context) as (small, large):
        if small is not None:
            stored = Stored(wanted.name, hashing.size, hashing.digests())
            _put_small(small, stored.key, context)
            return stored
        if wanted.algorithm == SHA256 and wanted.digest:
            _store_by_digest(large, wanted, context)
            return Stored(wanted.name, hashing.size, hashing.digests())
        etag = _Upload(context.s3, context.work_bucket, staging_key, wanted).send(large)
    stored = Stored(wanted.name, hashing.size, hashing.digests())
    _copy_to_archive(Staged(staging_key, etag, hashing.size, stored.digests), context)
    return stored


def stage(
    blocks: Iterable[bytes], wanted: Wanted, staging_key: str, context: StorageContext
) -> Staged:
    """Store a file in the work bucket.

    Raises:
        Refused: as `store`.
    """
    s3, bucket_name = context.s3, context.work_bucket
    hashing = Hashing(wanted.algorithm)
    with _buffered_start(checked(blocks, wanted, context, hashing), context) as (small, large):
        if small is not None:
            etag = s3.put_object(Bucket=bucket_name, Key=staging_key, Body=small)["ETag"]
        else:
            etag = _Upload(s3, bucket_name, staging_key, wanted).send(large)
    return Staged(staging_key, etag, hashing.size, hashing.digests())


def part_bytes(size: int) -> int:
    """The smallest part size for uploading a file of `size` bytes."""
    return max(SMALL_BYTES, -(-size // _MAX_PARTS))


def checked(
    blocks: Iterable[bytes], wanted: Wanted, context: StorageContext, hashing: Hashing | None = None
) -> Iterator[bytes]:
    """The blocks, hashed on the way, and checked against `wanted`.

    Raises:
        Refused: TOO_LARGE, SIZE_MISMATCH, DIGEST_MISMATCH, TIMEOUT.
    """
    hashing = hashing or Hashing(wanted.algorithm)
    for block in blocks:
        if context.remaining() <= RESERVE_S:
            message = f"{wanted.name}: the worker ran out of time in the middle of the file"
            raise Refused(Failure.TIMEOUT, message)
        hashing.update(block)
        if hashing.size > wanted.limit:
            raise Refused(Failure.TOO_LARGE, f"{wanted.name} has more than {wanted.limit} bytes")
        if wanted.size is not None and hashing.size > wanted.size:
            message = f"{wanted.name} has more than the {wanted.size} bytes of its manifest"
            raise Refused(Failure.SIZE_MISMATCH, message)
        yield block
    if wanted.size is not None and hashing.size != wanted.size:
        message = f"{wanted.name} has {hashing.size} bytes, its manifest says {wanted.size}"
        raise Refused(Failure.SIZE_MISMATCH, message)
    found = hashing.digests().get(wanted.algorithm, "")
    if wanted.digest and found != wanted.digest:
        message = (
            f"{wanted.name} has the {wanted.algorithm} {found}, its manifest says {wanted.digest}"
        )
        raise Refused(Failure.DIGEST_MISMATCH, message)


@contextmanager
def _buffered_start(
    blocks: Iterator[bytes], context: StorageContext
) -> Iterator[tuple[bytearray | None, Iterator[bytes | bytearray]]]:
    """All bytes of a small file and no blocks; for a large file None and all of its blocks."""
    start = bytearray()
    with ExitStack() as slots:
        for block in blocks:
            if len(start) <= _SLOT_BYTES < len(start) + len(block):
                slots.enter_context(_large_file_slot(context))
            start += block
            if len(start) > SMALL_BYTES:
                start_holder = [start]
                del start, block  # else they stay in memory until the last byte is sent
                yield None, _rest_after(start_holder, blocks)
                return
        yield start, iter(())


def _rest_after(
    start_holder: list[bytearray], blocks: Iterator[bytes]
) -> Iterator[bytes | bytearray]:
    yield start_holder.pop()
    yield from blocks


@contextmanager
def _large_file_slot(context: StorageContext) -> Iterator[None]:
    if not LARGE_FILE_SLOTS.acquire(timeout=max(context.remaining() - RESERVE_S, 0)):
        message = "the worker ran out of time while the file waited for other large files"
        raise Refused(Failure.TIMEOUT, message)
    try:
        yield
    finally:
        LARGE_FILE_SLOTS.release()


def _put_small(body: bytearray, key: str, context: StorageContext) -> None:
    """Write a small file unless it exists. For a very small one, a check first would cost more."""
    if len(body) > _CHECK_FIRST_BYTES and bucket.exists(context.s3, context.archive_bucket, key):
        return
    bucket.put_new(context.s3, context.archive_bucket, key, body)


def _store_by_digest(
    blocks: Iterable[bytes | bytearray], wanted: Wanted, context: StorageContext
) -> None:
    """Upload a file to the key of its expected digest. If it is stored already, only read it."""
    key = content_key(wanted.digest)
    if bucket.exists(context.s3, context.archive_bucket, key):
        for _ in blocks:
            pass
        return
    with _ignoring_stored(key, context):
        _Upload(context.s3, context.archive_bucket, key, wanted, only_new=True).send(blocks)


def _copy_to_archive(staged: Staged, context: StorageContext) -> None:
    """Copy a staged file to its key in the archive. Only the bytes that were hashed are copied."""
    key = content_key(staged.digests[SHA256])
    if bucket.exists(context.s3, context.archive_bucket, key):
        return
    with _ignoring_stored(key, context):
        if staged.size > _MAX_SINGLE_COPY_BYTES:
            copy_in_parts(staged, key, context)
            return
        context.s3.copy_object(
            Bucket=context.archive_bucket,
            Key=key,
            CopySource={"Bucket": context.work_bucket, "Key": staged.key},
            CopySourceIfMatch=staged.etag,
            IfNoneMatch="*",
            ContentType=bucket.CONTENT_TYPE,
            MetadataDirective="REPLACE",
        )


@contextmanager
def _ignoring_stored(key: str, context: StorageContext) -> Iterator[None]:
    """Ignore a refused write if the file is stored: its key is its digest, so it is the same file.

    Raises:
        Refused: STEP_ERROR, the write was refused but the file is not stored.
    """
    try:
        yield
    except ClientError as error:
        if not bucket.is_refused_write(error):
            raise
        if not bucket.exists(context.s3, context.archive_bucket, key):
            message = "another worker changed the file while it was written"
            raise Refused(Failure.STEP_ERROR, message) from error


def copy_in_parts(
    staged: Staged, key: str, context: StorageContext, part_size: int = _COPY_PART_BYTES
) -> None:
    """Copy a staged file into the archive in parts of `part_size` bytes, several at once."""
    with _multipart(context.s3, context.archive_bucket, key) as upload_id:

        def copy(number: int) -> "CompletedPartTypeDef":
            first = (number - 1) * part_size
            last = min(first + part_size, staged.size) - 1
            copied = context.s3.upload_part_copy(
                Bucket=context.archive_bucket,
                Key=key,
                UploadId=upload_id,
                PartNumber=number,
                CopySource={"Bucket": context.work_bucket, "Key": staged.key},
                CopySourceIfMatch=staged.etag,
                CopySourceRange=f"bytes={first}-{last}",
            )
            return {"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]}

        with ThreadPoolExecutor(_CONCURRENT_COPIES) as pool:
            parts = list(pool.map(copy, range(1, -(-staged.size // part_size) + 1)))
        context.s3.complete_multipart_upload(
            Bucket=context.archive_bucket,
            Key=key,
            UploadId=upload_id,
            MultipartUpload={"Parts": parts},
            MpuObjectSize=staged.size,
            IfNoneMatch="*",
        )


@dataclass(frozen=True)
class _Upload:
    """A multipart upload. S3 checks the CRC32 that botocore sends with each part."""

    s3: "S3Client"
    bucket: str
    key: str
    wanted: Wanted
    only_new: bool = False

    def send(self, blocks: Iterable[bytes | bytearray]) -> str:
        """Upload the blocks and return the ETag. One part is sent while the next is filled."""
        with _multipart(self.s3, self.bucket, self.key) as upload_id:
            parts: list[CompletedPartTypeDef] = []
            sent = 0
            with ThreadPoolExecutor(1) as sender:
                sending: Future[CompletedPartTypeDef] | None = None
                for number, part in enumerate(self._parts(blocks), start=1):
                    sent += len(part)
                    if sending:
                        parts.append(sending.result())
                    sending = sender.submit(self._send_part, upload_id, number, part)
                if sending:
                    parts.append(sending.result())
            return self._complete(upload_id, parts, sent)

    def _parts(self, blocks: Iterable[bytes | bytearray]) -> Iterator[bytearray]:
        part_size = part_bytes(self.wanted.size or self.wanted.limit)
        part = bytearray()
        for block in blocks:
            if len(part) >= part_size:
                yield part
                part = bytearray()
            part += block
        yield part

    def _send_part(self, upload_id: str, number: int, part: bytearray) -> "CompletedPartTypeDef":
        response = self.s3.upload_part(
            Bucket=self.bucket, Key=self.key, UploadId=upload_id, PartNumber=number, Body=part
        )
        return {"PartNumber": number, "ETag": response["ETag"]}

    def _complete(self, upload_id: str, parts: "list[CompletedPartTypeDef]", size: int) -> str:
        condition: _OnlyNew = {"IfNoneMatch": "*"} if self.only_new else {}
        return self.s3.complete_multipart_upload(
            Bucket=self.bucket,
            Key=self.key,
            UploadId=upload_id,
            MultipartUpload={"Parts": parts},
            MpuObjectSize=size,
            **condition,
        )["ETag"]


class _OnlyNew(TypedDict, total=False):
    IfNoneMatch: str


@contextmanager
def _multipart(s3: "S3Client", bucket_name: str, key: str) -> Iterator[str]:
    """Start a multipart upload and yield its id. If the block raises, abort it: S3 bills parts."""
    upload_id = s3.create_multipart_upload(
        Bucket=bucket_name, Key=key, ContentType=bucket.CONTENT_TYPE
    )["UploadId"]
    try:
        yield upload_id
    except BaseException:
        with suppress(ClientError):
            s3.abort_multipart_upload(Bucket=bucket_name, Key=key, UploadId=upload_id)
        raise
