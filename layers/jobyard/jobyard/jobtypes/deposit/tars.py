"""Reads the files of a tar as a stream."""

import gzip
import io
import re
import tarfile
from collections.abc import Iterator
from functools import partial
from typing import IO

from jobyard.jobtypes.deposit.container_limits import ContainerLimits, broken, limit_exceeded, shown
from jobyard.jobtypes.deposit.member import Member, guarded
from jobyard.jobtypes.deposit.staged_reader import StagedReader
from jobyard.jobtypes.http_client import BLOCK

_Source = IO[bytes] | gzip.GzipFile | StagedReader

_HEADER_BYTES = 1024**2  # at most in a member's names and attributes, which are in memory
_ALLOWANCE = _HEADER_BYTES + 2 * BLOCK  # bytes that may be read before the next member

# Member types of GNU tar. Source: its manual, "Basic Tar Format".
_DUMP_FOLDER = b"D"  # a folder of an incremental archive; its content lists what was in it
_LABEL = b"V"
_CONTINUED = b"M"

_GNU = b"ustar  \0"
_NUMBER = re.compile(rb"[0-7 \0]*|[\x80\xff].*", re.DOTALL)  # octal digits, or base 256
_LENGTH = re.compile(rb"([0-9]{1,7}) ")


def tar_members(source: _Source, limits: ContainerLimits) -> Iterator[Member]:
    """The files of a tar, each checked in turn. What the caller does not read is skipped."""
    unpacked = _Unpacked(source, limits)
    unpacked.allowance = _ALLOWANCE
    with tarfile.open(fileobj=unpacked, mode="r|", bufsize=BLOCK, tarinfo=_Header) as archive:
        while True:
            unpacked.allowance = _ALLOWANCE
            info = archive.next()
            if info is None:
                break
            limits.count_header()
            unpacked.allowance = None
            archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps them all
            if sum(map(len, archive.pax_headers.values())) > _HEADER_BYTES:
                raise limit_exceeded("its global attributes are too long")
            if not _is_file(info, limits):
                continue
            name = limits.admit(info.name, info.size)
            member = archive.extractfile(info)
            if member:
                blocks = guarded(iter(partial(member.read, BLOCK), b""))
                yield Member(name, blocks)
                for _ in blocks:
                    pass
    unpacked.allowance = _ALLOWANCE
    while unpacked.read(BLOCK):  # gzip and bzip2 have their checksum at the end
        pass
    limits.check_names()


def _is_file(info: tarfile.TarInfo, limits: ContainerLimits) -> bool:
    """Whether a member is a file. Folders are checked and left out; labels too, with a remark."""
    if info.isdir() or info.type == _DUMP_FOLDER:
        limits.admit_folder(info.name)
        return False
    if info.type == _LABEL:
        limits.remarks.add("left out the tar's label", info.name)
        return False
    if info.type == _CONTINUED:
        raise broken(f"{shown(info.name)} begins in another volume: create the tar as one volume")
    if not info.isreg() or info.issparse():
        raise broken(f"{shown(info.name)} is a link, a device or a sparse file, not a regular file")
    return True


class _Header(tarfile.TarInfo):
    """A tar header, read more strictly than by tarfile; one of GNU tar is read as by GNU tar."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        """Refuse a broken header. tarfile would treat it as the end of the archive."""
        end_mark = len(buf) == tarfile.BLOCKSIZE and not any(buf)
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if end_mark:
                raise
            raise broken("the tar archive is truncated or corrupt") from error
        if buf[257:265] == _GNU and _NUMBER.fullmatch(buf[345:357]):
            # An incremental archive of GNU tar has times where ustar has the start of a name.
            header.name = bytes(buf[:100]).partition(b"\0")[0].decode(encoding, errors)
            if header.isdir():
                header.name = header.name.rstrip("/")
        return header

    def _proc_pax(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        """Read a member's attributes in linear time. tarfile searches again from each digit
        (CVE-2024-6232).

        Source: POSIX.1-2017, pax, "pax Extended Header".
        """
        content = archive.fileobj.read(self._block(self.size))[: self.size]  # type: ignore[attr-defined]
        own = _attributes(content)
        if any(name.startswith("GNU.sparse.") for name in own):
            raise broken("a member is a sparse file, not a regular file")
        if self.type == tarfile.XGLTYPE:
            archive.pax_headers = {**archive.pax_headers, **own}
        try:
            header: tarfile.TarInfo = self.fromtarfile(archive)
        except tarfile.HeaderError as error:
            raise broken("the tar archive ends after a member's attributes") from error
        if self.type != tarfile.XGLTYPE:
            attributes = {**archive.pax_headers, **own}
            header._apply_pax_info(attributes, archive.encoding, archive.errors)  # type: ignore[attr-defined]
            header.offset = self.offset
            if "size" in own:
                after = header.offset_data
                if header.isreg() or header.type not in tarfile.SUPPORTED_TYPES:
                    after += header._block(header.size)  # type: ignore[attr-defined]
                archive.offset = after
        return header


def _attributes(content: bytes) -> dict[str, str]:
    """The records "LENGTH NAME=VALUE\\n" of a pax header.

    Raises:
        Refused: BAD_CONTAINER, the header has no such records.
    """
    found: dict[str, str] = {}
    at = 0
    while at < len(content) and content[at]:
        length = _LENGTH.match(content, at)
        end = at + int(length[1]) if length else 0
        name, equals, value = content[length.end() if length else at : end].partition(b"=")
        if not equals or value[-1:] != b"\n" or end > len(content):
            raise broken("a member's attributes are broken")
        found[_text(name)] = _text(value[:-1])
        at = end
    return found


def _text(value: bytes) -> str:
    return value.decode(errors="surrogateescape")


class _Unpacked(io.RawIOBase):
    """The unpacked bytes of a tar, counted. At most `allowance` more may be read; None: any."""

    def __init__(self, source: _Source, limits: ContainerLimits) -> None:
        self._source = source
        self._limits = limits
        self.allowance: int | None = None

    def read(self, size: int = -1) -> bytes:
        block = self._source.read(size)
        self._limits.count_bytes(len(block))
        if self.allowance is not None:
            self.allowance -= len(block)
            if self.allowance < 0:
                raise limit_exceeded("a member's names and attributes are too long")
        return block
