"""Reads the files of a zip in the order of its directory."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator

from jobyard.jobtypes.deposit.container_limits import (
    MAX_HEADERS,
    ContainerLimits,
    broken,
    limit_exceeded,
    shown,
)
from jobyard.jobtypes.deposit.member import Member, guarded
from jobyard.jobtypes.deposit.staged_reader import StagedReader
from jobyard.jobtypes.http_client import BLOCK

_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # these unpack in bounded memory

# Source: PKWARE's APPNOTE 4.4.2.2 (made by), 4.4.4 (flags), 4.6.9 (Unicode path).
_MADE_ON_WINDOWS = {0, 6, 10, 11, 14}  # FAT, HPFS, NTFS, NTFS by Info-ZIP, VFAT
_IN_UTF8 = 0x800
_ENCRYPTED = 0x1
_FOLDER_BIT = 0x10  # in the attributes of FAT
_UNICODE_PATH = 0x7075
_HEADER = b"PK\x01\x02"
_TOTAL, _DIRECTORY_BYTES = 4, 5  # indexes in zipfile's end record
_ZIP64_ENDS = 56 + 20  # bytes that may be between the directory and its end record

_MAC = "__MACOSX/"  # where macOS stores its attributes of files


def zip_members(reader: StagedReader, limits: ContainerLimits) -> Iterator[Member]:
    """The files of a zip. All are checked before the first is returned."""
    _check_directory(reader)
    with zipfile.ZipFile(reader) as archive:
        headers = archive.infolist()
        backslashes = any(map(_is_backslash_folder, headers))
        files = [
            (name, info)
            for info in headers
            if (name := _admitted(info, limits, backslashes=backslashes)) is not None
        ]
        limits.check_names()
        for name, info in files:
            yield Member(name, guarded(_content(archive, info, limits)))


def _check_directory(reader: StagedReader) -> None:
    """Count the headers in the directory before zipfile creates an object for each.

    zipfile finds the end record, so that both read the same directory. The number of headers in it
    may be wrong, so they are counted too. A directory over 4 MiB is refused.
    """
    end = zipfile._EndRecData(reader)  # type: ignore[attr-defined]
    if not end:
        raise broken("it is not a zip file, or its end is missing")
    too_many = limit_exceeded(f"it has more than {MAX_HEADERS} files and folders")
    if end[_TOTAL] > MAX_HEADERS:
        raise too_many
    reader.seek(max(end[-1] - end[_DIRECTORY_BYTES] - _ZIP64_ENDS, 0))
    if reader.read(end[_DIRECTORY_BYTES] + _ZIP64_ENDS).count(_HEADER) > MAX_HEADERS:
        raise too_many


def _admitted(info: zipfile.ZipInfo, limits: ContainerLimits, *, backslashes: bool) -> str | None:
    """The name to store a file under; None for a folder, and for a file that is left out."""
    limits.count_header()
    name = _name(info, limits, backslashes=backslashes)
    if not name:
        raise broken("it has a member without a name")
    kind = stat.S_IFMT(info.external_attr >> 16)
    windows_folder = info.create_system in _MADE_ON_WINDOWS and info.external_attr & _FOLDER_BIT
    if name.endswith("/") or kind == stat.S_IFDIR or windows_folder:
        if info.file_size:
            raise broken(f"{shown(name)} is a folder with content")
        if not name.startswith(_MAC):
            limits.admit_folder(name)
        return None
    if kind not in {0, stat.S_IFREG}:
        raise broken(f"{shown(name)} is a link or a device, not a file")
    if info.flag_bits & _ENCRYPTED:
        raise broken(f"{shown(name)} is encrypted")
    if info.compress_type not in _METHODS:
        raise broken(f"{shown(name)} is compressed by a method other than deflate")
    if name.startswith(_MAC) and name.rpartition("/")[2].startswith("._"):
        limits.remarks.add("left out the macOS attributes of a file", name)
        return None
    return limits.admit(name, info.file_size)


def _is_backslash_folder(info: zipfile.ZipInfo) -> bool:
    """Whether a header is a folder that was made on Windows, whatever system it names."""
    name = info.orig_filename
    return name.endswith("\\") and "/" not in name and not info.file_size


def _name(info: zipfile.ZipInfo, limits: ContainerLimits, *, backslashes: bool) -> str:
    """A member's name, decoded as the writer of the zip meant it.

    If the zip does not name the encoding, valid UTF-8 is UTF-8, as Info-ZIP and Finder write it.
    Other bytes are code page 437, as the format says. In a name without a slash, backslashes
    separate folders if the name is from Windows, or if the zip's folders end in `backslashes`.
    """
    if info.flag_bits & _IN_UTF8:
        name = info.orig_filename
    else:
        raw = info.orig_filename.encode("cp437")
        name = _unicode_path(info.extra, raw) or _decoded(raw, limits)
    name = name.partition("\0")[0]
    of_windows = backslashes or info.create_system in _MADE_ON_WINDOWS
    if of_windows and "\\" in name and "/" not in name:
        limits.remarks.add("read backslashes as folders", name)
        name = name.replace("\\", "/")
    return name


def _decoded(raw: bytes, limits: ContainerLimits) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        name = raw.decode("cp437")
        limits.remarks.add("read a name as code page 437, as it is not UTF-8", name)
        return name


def _unicode_path(extra: bytes, raw: bytes) -> str:
    """The UTF-8 name that Info-ZIP writes next to `raw`; "" if there is none for this name."""
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        content = extra[at + 4 : at + 4 + size]
        at += 4 + size
        if kind == _UNICODE_PATH and content[:5] == b"\x01" + struct.pack("<L", zlib.crc32(raw)):
            return content[5:].decode()
    return ""


def _content(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, limits: ContainerLimits
) -> Iterator[bytes]:
    """A member's bytes. Their number is checked: zipfile accepts a member that is too short."""
    length = 0
    with archive.open(info) as source:
        while block := source.read(BLOCK):
            limits.count_bytes(len(block))
            length += len(block)
            yield block
    if length != info.file_size:
        raise broken(f"a member has {length} bytes; the directory says {info.file_size}")
