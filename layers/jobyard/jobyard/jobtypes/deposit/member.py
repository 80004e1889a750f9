"""A file in a container, and the errors when it is read."""

import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from jobyard.domain.text import clean
from jobyard.jobtypes.deposit.container_limits import broken

# What the libraries raise for a broken container. S3's errors are none of these.
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,
    RecursionError,
    ValueError,
    struct.error,
)
_SHOWN_BYTES = 200  # of a library's message


@dataclass(frozen=True)
class Member:
    """A file in a container: its safe, unique name, and its bytes. Read it before the next one."""

    name: str
    blocks: Iterator[bytes]


@contextmanager
def refusing_broken() -> Iterator[None]:
    """Refuse the container if a library raises an error about its content.

    Raises:
        Refused: BAD_CONTAINER.
    """
    try:
        yield
    except _BROKEN as error:
        message = clean(str(error), _SHOWN_BYTES) or type(error).__name__
        raise broken(f"the container cannot be unpacked: {message}") from error


def guarded(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The blocks. Errors while they are read refuse the container, as `refusing_broken` does."""
    with refusing_broken():
        yield from blocks
