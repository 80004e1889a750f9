"""Random access to a staged container, one window at a time."""

import errno
import io
from collections.abc import Callable
from typing import TYPE_CHECKING

from jobyard.domain.jobs.failures import Failure
from jobyard.jobtypes.deposit.content import Staged
from jobyard.jobtypes.deposit.refusal import Refused, check_time

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_WINDOW = 4 * 1024**2  # bytes of one request to S3

# Only the central directory of a zip file is read at once. 4 MiB list more files than are allowed.
_MAX_READ_BYTES = 4 * 1024**2


class StagedReader(io.RawIOBase):
    """The bytes of a staged file, seekable. A read fails if the file was staged again meanwhile.

    `remaining` returns the seconds the worker has left. It is checked at every window, because for
    some files a library reads gigabytes before it returns anything.
    """

    def __init__(
        self,
        s3: "S3Client",
        bucket: str,
        staged: Staged,
        remaining: Callable[[], float],
        window: int = _WINDOW,
    ) -> None:
        self._s3 = s3
        self._remaining = remaining
        self._window_bytes = window
        self._bucket = bucket
        self._staged = staged
        self._position = 0
        self._window = b""
        self._window_at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._staged.size}[
            whence
        ]
        if start + offset < 0:
            # As a file on disk: zipfile stops its search on this error.
            raise OSError(errno.EINVAL, "seek before the start")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        taken = self._in_window(len(buffer))
        buffer[: len(taken)] = taken
        return len(taken)

    def read(self, size: int = -1) -> bytes:
        """Exactly `size` bytes, unless the file ends before."""
        left = max(self._staged.size - self._position, 0)
        size = left if size < 0 else min(size, left)
        if size > _MAX_READ_BYTES:
            raise Refused(Failure.CONTAINER_LIMIT, "the container's central directory is too long")
        pieces = []
        while size:
            piece = bytes(self._in_window(size))
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def _in_window(self, size: int) -> memoryview:
        if self._position >= self._staged.size:
            return memoryview(b"")
        offset = self._position - self._window_at
        if not 0 <= offset < len(self._window):
            self._window = self._fetched(self._position)
            self._window_at, offset = self._position, 0
        taken = memoryview(self._window)[offset : offset + size]
        self._position += len(taken)
        return taken

    def _fetched(self, start: int) -> bytes:
        check_time(self._remaining())
        last = min(start + self._window_bytes, self._staged.size) - 1
        found = self._s3.get_object(
            Bucket=self._bucket,
            Key=self._staged.key,
            Range=f"bytes={start}-{last}",
            IfMatch=self._staged.etag,
        )
        window: bytes = found["Body"].read()
        return window
