"""What is in a container, a member at a time, with every trick of containers refused.

Nothing is written to a disk, so a path cannot lead out of a folder here; but whoever takes the
object out of the archive will write it to one, so names that would are refused all the same.
"""

import bz2
import gzip
import io
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import IO

from jobyard.domain.failures import Failure
from jobyard.jobtypes.deposit.content import MAX_FILE_BYTES
from jobyard.jobtypes.deposit.refusal import Refused
from jobyard.jobtypes.deposit.staged import StagedReader
from jobyard.jobtypes.fetch import BLOCK

MAX_OBJECT_BYTES = 32 * 1024**3  # of all files of an object: what four attempts of a job can carry
MAX_FILES = 10_000  # of an object: its version's manifest is one document of some 3 MB
MAX_PATH_BYTES = 1024  # of a member's name in UTF-8, and of one of its parts:
MAX_PART_BYTES = 255  # what file systems take

# The best deflate can do is about 1:1000, which only a bomb needs; text packs 1:10. A small
# container may be as dense as it likes.
MAX_RATIO = 100
_FREE_BYTES = 64 * 1024**2

_TAR_HEADER_BYTES = 1024**2  # of a tar member's names and attributes, which are held in memory
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # those that unpack in bounded memory

_Source = IO[bytes] | gzip.GzipFile | StagedReader

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


@dataclass(frozen=True)
class Member:
    """A file in a container: its safe, unique name and its bytes, to be read before the next."""

    name: str
    blocks: Iterator[bytes]


@dataclass
class _Limits:
    """What has been let out of a container of `packed` bytes so far."""

    packed: int
    names: set[str] = field(default_factory=set)
    unpacked: int = 0

    def admit(self, name: str, size: int = 0) -> str:
        """Judge a member by its name and what it says of its size; return the name to keep it by.

        Raises:
            Refused: CONTAINER_LIMIT.
        """
        kept = _safe(name)
        if kept in self.names:
            raise _over(f"it has two files named {kept}")
        self.names.add(kept)
        if len(self.names) > MAX_FILES:
            raise _over(f"it has more than {MAX_FILES} files")
        if size > MAX_FILE_BYTES:
            raise _over(f"{kept} has more than {MAX_FILE_BYTES} bytes")
        return kept

    def grow(self, count: int) -> None:
        """Count bytes that came out.

        Raises:
            Refused: CONTAINER_LIMIT.
        """
        self.unpacked += count
        if self.unpacked > MAX_OBJECT_BYTES:
            raise _over(f"it unpacks to more than {MAX_OBJECT_BYTES} bytes")
        if self.unpacked > max(_FREE_BYTES, MAX_RATIO * self.packed):
            raise _over(f"it unpacks to more than {MAX_RATIO} times its size")


def members(name: str, size: int, reader: StagedReader) -> Iterator[Member]:
    """The files in the container `name` of `size` bytes, in its order. Folders are left out.

    Raises:
        Refused: BAD_CONTAINER, it cannot be unpacked; CONTAINER_LIMIT, it breaks a limit.
    """
    limits = _Limits(size)
    lower = name.lower()
    if lower.endswith(".zip"):
        found = _zip(reader, limits)
    elif lower.endswith(".tar"):
        found = _tar(reader, limits)
    elif lower.endswith(".tar.gz"):
        found = _tar(gzip.GzipFile(fileobj=io.BufferedReader(reader)), limits)
    elif lower.endswith(".bz2"):
        found = _bzip2(name, reader, limits)
    else:
        raise Refused(Failure.BAD_CONTAINER, f"{name} is not .zip, .tar, .tar.gz or .bz2")
    with _telling():
        yield from found
    if not limits.names:
        raise Refused(Failure.BAD_CONTAINER, f"{name} has no file in it")


def _zip(reader: StagedReader, limits: _Limits) -> Iterator[Member]:
    with zipfile.ZipFile(reader) as archive:
        files = [info for info in archive.infolist() if not info.is_dir()]
        names = [_admitted(info, limits) for info in files]  # all, before the first is kept
        for name, info in zip(names, files, strict=True):
            with archive.open(info) as source:
                yield from _member(name, _whole(source, info.file_size, limits))


def _admitted(info: zipfile.ZipInfo, limits: _Limits) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in {0, stat.S_IFREG}:
        raise Refused(Failure.BAD_CONTAINER, f"{info.filename} is a link or a device, not a file")
    if info.flag_bits & 0x1:
        raise Refused(Failure.BAD_CONTAINER, f"{info.filename} is encrypted")
    if info.compress_type not in _METHODS:
        words = f"{info.filename} is packed by a method other than deflate"
        raise Refused(Failure.BAD_CONTAINER, words)
    return limits.admit(info.filename, info.file_size)


class _Member(tarfile.TarInfo):
    """A tar header. tarfile takes a broken one for the end of the archive; here it is refused."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Member":
        end_mark = len(buf) == tarfile.BLOCKSIZE and not any(buf)
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if end_mark:
                raise
            words = "the tar archive is cut short or broken in the middle"
            raise Refused(Failure.BAD_CONTAINER, words) from error


class _Unpacked(io.RawIOBase):
    """What comes out of a tar's packing, counted. `allowance` is how much more may, if not None."""

    def __init__(self, source: _Source, limits: _Limits) -> None:
        self._source = source
        self._limits = limits
        self.allowance: int | None = None

    def read(self, size: int = -1) -> bytes:
        block = self._source.read(size)
        self._limits.grow(len(block))
        if self.allowance is not None:
            self.allowance -= len(block)
            if self.allowance < 0:
                raise _over("a member's names and attributes are too long")
        return block


def _tar(source: _Source, limits: _Limits) -> Iterator[Member]:
    unpacked = _Unpacked(source, limits)
    unpacked.allowance = _TAR_HEADER_BYTES + 2 * BLOCK
    with tarfile.open(fileobj=unpacked, mode="r|", bufsize=BLOCK, tarinfo=_Member) as archive:
        while True:
            unpacked.allowance = _TAR_HEADER_BYTES + 2 * BLOCK
            info = archive.next()
            if info is None:
                break
            unpacked.allowance = None
            archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps them all
            if sum(map(len, archive.pax_headers.values())) > _TAR_HEADER_BYTES:
                raise _over("its global attributes are too long")
            if info.isdir():
                continue
            if not info.isreg() or info.issparse():
                words = f"{info.name} is a link, a device or has holes: not a plain file"
                raise Refused(Failure.BAD_CONTAINER, words)
            name = limits.admit(info.name, info.size)
            member = archive.extractfile(info)
            if member:
                yield from _member(name, iter(partial(member.read, BLOCK), b""))
    unpacked.allowance = _TAR_HEADER_BYTES + 2 * BLOCK
    while unpacked.read(BLOCK):  # gzip and bzip2 have their checksum at the very end
        pass


def _bzip2(name: str, reader: StagedReader, limits: _Limits) -> Iterator[Member]:
    """A packed tar, or one packed file, whose name is then the container's without `.bz2`."""
    buffered = io.BufferedReader(reader)
    start = bz2.BZ2File(buffered).read(tarfile.BLOCKSIZE)
    buffered.seek(0)
    if name.lower().endswith(".tar.bz2") or start[257:262] == b"ustar":
        yield from _tar(bz2.BZ2File(buffered), limits)
    else:
        inner = limits.admit(name.rpartition("/")[2][: -len(".bz2")])
        yield from _member(inner, _counted(bz2.BZ2File(buffered), limits))


def _counted(source: IO[bytes], limits: _Limits) -> Iterator[bytes]:
    while block := source.read(BLOCK):
        limits.grow(len(block))
        yield block


def _whole(source: IO[bytes], size: int, limits: _Limits) -> Iterator[bytes]:
    """What is read of a zip's member, which zipfile ends without a word when it falls short."""
    came = 0
    for block in _counted(source, limits):
        came += len(block)
        yield block
    if came != size:
        words = f"a member has {came} bytes; the container's directory says {size}"
        raise Refused(Failure.BAD_CONTAINER, words)


def _member(name: str, source: Iterator[bytes]) -> Iterator[Member]:
    """One member; what its reader leaves unread is read here, for the next one comes after it."""

    def blocks() -> Iterator[bytes]:
        with _telling():
            yield from source

    flow = blocks()
    yield Member(name, flow)
    for _ in flow:
        pass


def _safe(name: str) -> str:
    """The name to keep a member by: relative, without empty or dot parts.

    Raises:
        Refused: CONTAINER_LIMIT, it would lead out of its folder or no file system would take it.
    """
    try:
        length = len(name.encode())
    except UnicodeEncodeError as error:
        raise _over(f"the name {name!r} is not UTF-8") from error
    parts = [part for part in name.split("/") if part not in {"", "."}]
    folders = name.replace("\\", "/")
    if folders.startswith("/") or folders[1:3] == ":/" or ".." in folders.split("/"):
        raise _over(f"the name {name!r} leads out of its folder")
    if not parts or any(unicodedata.category(letter) == "Cc" for letter in name):
        raise _over(f"the name {name!r} is empty or has control characters")
    if length > MAX_PATH_BYTES or any(len(part.encode()) > MAX_PART_BYTES for part in parts):
        raise _over(f"the name {name[:60]!r}… is too long")
    return "/".join(parts)


@contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        words = f"the container cannot be unpacked: {error or type(error).__name__}"
        raise Refused(Failure.BAD_CONTAINER, words) from error


def _over(message: str) -> Refused:
    return Refused(Failure.CONTAINER_LIMIT, message)
