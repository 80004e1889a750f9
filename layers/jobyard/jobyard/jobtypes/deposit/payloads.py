"""Opens payloads: files on web servers, or in S3 where the deployment allows it.

An s3:// payload is read with the worker's own permissions. So only listed buckets and prefixes are
allowed, and never our own buckets, where a depositor could read what others deposited.
"""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from jobyard.domain.jobs.failures import Failure
from jobyard.jobtypes.deposit.content import Wanted
from jobyard.jobtypes.deposit.refusal import Refused
from jobyard.jobtypes.http_client import BLOCK, RESERVE_S, FetchRefused, failure_of
from jobyard.jobtypes.step_context import StorageContext

if TYPE_CHECKING:
    from botocore.response import StreamingBody

_MISMATCHES = frozenset({Failure.SIZE_MISMATCH, Failure.DIGEST_MISMATCH})
_S3_URL = re.compile(r"s3://([^/]+)/(.+)", re.DOTALL)


class Payload(Protocol):
    """A file that is being read; see `http_client.Response`."""

    @property
    def length(self) -> int | None: ...

    @property
    def framed(self) -> bool: ...

    def blocks(
        self, expected_size: int | None = None, *, has_digest: bool = False
    ) -> Iterator[bytes]: ...


def is_in_bucket(url: str) -> bool:
    """Whether the file is in S3, where HEAD can be trusted."""
    return url.startswith("s3://")


def length(url: str, context: StorageContext) -> int | None:
    """The size in bytes that the server gives; None if it gives none.

    Raises:
        FetchRefused: the server cannot be reached, or has no such file.
    """
    if not is_in_bucket(url):
        return context.http.head(url, context.remaining)
    bucket, key = _bucket_and_key(url, context)
    with _s3_errors_as_refusals():
        return context.s3.head_object(Bucket=bucket, Key=key)["ContentLength"]


@contextmanager
def opened(url: str, context: StorageContext) -> Iterator[Payload]:
    """The file, open for reading.

    Raises:
        FetchRefused: the file cannot be fetched.
    """
    if not is_in_bucket(url):
        with context.http.get(url, context.remaining) as response:
            try:
                yield response
            except Refused as refusal:
                if response.encoding and refusal.code in _MISMATCHES:
                    message = response.encoding_message
                    raise FetchRefused(Failure.PAYLOAD_REFUSED, message) from refusal
                raise
        return
    bucket, key = _bucket_and_key(url, context)
    with _s3_errors_as_refusals():
        found = context.s3.get_object(Bucket=bucket, Key=key)
    with closing(found["Body"]) as body:  # its own context manager returns the raw stream
        yield _S3Payload(found["ContentLength"], body, context)


def blocks(payload: Payload, wanted: Wanted) -> Iterator[bytes]:
    """The blocks of the payload, unless its declared length is wrong already.

    Raises:
        Refused: SIZE_MISMATCH, TOO_LARGE.
        FetchRefused: PAYLOAD_REFUSED, nothing can show that the file is complete; and as `opened`.
    """
    name, declared = wanted.name, payload.length
    if declared is not None and wanted.size not in {None, declared}:
        message = f"{name}: the server declares {declared} bytes, its manifest says {wanted.size}"
        raise Refused(Failure.SIZE_MISMATCH, message)
    if declared is not None and declared > wanted.limit:
        raise Refused(Failure.TOO_LARGE, f"{name} has {declared} bytes, more than {wanted.limit}")
    if not payload.framed and wanted.size is None and not wanted.digest:
        message = "neither the server nor the manifest gives its length or its digest"
        raise FetchRefused(Failure.PAYLOAD_REFUSED, message)
    yield from payload.blocks(wanted.size, has_digest=bool(wanted.digest))


@dataclass(frozen=True)
class _S3Payload:
    length: int
    body: "StreamingBody"
    context: StorageContext
    framed: bool = True

    def blocks(
        self, expected_size: int | None = None, *, has_digest: bool = False
    ) -> Iterator[bytes]:
        while True:
            if self.context.remaining() <= RESERVE_S:
                message = "the worker ran out of time in the middle of a file"
                raise FetchRefused(Failure.TIMEOUT, message)
            try:
                block = self.body.read(BLOCK)
            except BotoCoreError as error:
                message = "S3 closed the connection before the end of the file"
                raise FetchRefused(Failure.PAYLOAD_TRUNCATED, message) from error
            if not block:
                return
            yield block


def _bucket_and_key(url: str, context: StorageContext) -> tuple[str, str]:
    match = _S3_URL.fullmatch(url)
    if match is None:
        raise FetchRefused(
            Failure.ADDRESS_NOT_ALLOWED, "the URL is not of the form s3://bucket/key"
        )
    bucket, key = match.groups()
    is_ours = bucket in {context.work_bucket, context.archive_bucket}
    is_listed = any(
        f"{bucket}/{key}".startswith(f"{source.rstrip('/')}/") for source in context.s3_sources
    )
    if is_ours or not is_listed:
        message = f"payloads may not be read from this part of the bucket {bucket}"
        raise FetchRefused(Failure.ADDRESS_NOT_ALLOWED, message)
    return bucket, key


@contextmanager
def _s3_errors_as_refusals() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        message = f"S3 answered {status} {error.response['Error'].get('Code', '')}"
        raise FetchRefused(failure_of(status), message, status=status) from error
    except BotoCoreError as error:
        raise FetchRefused(Failure.PAYLOAD_UNREACHABLE, "S3 cannot be reached") from error
