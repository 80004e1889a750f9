"""Packages: the zip that a worker downloads, and what is accepted of one that they upload."""

import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import IO, Protocol, cast

from jobyard.domain.edits.work import Package
from jobyard.domain.errors import BadRequest
from jobyard.domain.manifests.findings import quoted
from jobyard.domain.paths import folded, unportable_reason
from jobyard.domain.text import is_clean

FEATURES_FILE = "features.geojson"  # the features to edit
CONTEXT_FILE = "context.geojson"  # those around them, which are read-only
JOB_FILE = "job.json"  # the metadata, with the id of the package
RULES_FILE = "rules.json"
FINDINGS_FILE = "findings.json"  # of a child: failures, conflicts, or the feedback of a review
CHANGES_FILE = "changes.geojson"  # of an upload, or of what a review is about
CHECKSUMS_FILE = "checksums.sha256"  # of all other files, as sha256sum writes them
ATTACHMENTS_FOLDER = "attachments/"

MAX_UNPACKED_BYTES = 128 * 1024**2  # of what is read of an upload
MAX_RATIO = 100  # text compresses 1:10; only a bomb has more
_ALWAYS_ALLOWED_BYTES = 64 * 1024**2  # may have any ratio
_MAX_ENTRIES = 1_000
_MAX_NAME_BYTES = 1_024
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
_BLOCK = 1024**2
_FIRST_TIME = (1980, 1, 1, 0, 0, 0)  # of all files: the same content gives the same zip


@dataclass(frozen=True)
class PackageFile:
    """A file of a package. `blocks` are its bytes, read once."""

    name: str
    blocks: Iterable[bytes]


def package_id_of(job_id: str, attempt: int, number: int) -> str:
    """The id of a package: that of the job, the attempt, and the number of the package in it."""
    return f"{job_id}.{attempt}.{number}"


def attempt_of(package_id: str) -> int:
    """The attempt of a package; 0 if it is none."""
    parts = package_id.split(".")
    return int(parts[1]) if len(parts) == 3 and parts[1].isdecimal() else 0


def check_package(package_id: str, job_id: str, package: Package | None) -> None:
    """Check that an upload answers the package that a job has now.

    Raises:
        BadRequest: it is for another job, or for an earlier package of this one.
    """
    other = package_id.partition(".")[0]
    if other != job_id:
        raise BadRequest(f"the package {quoted(package_id)} is of job {other}, not of {job_id}")
    if package is None or package.package_id != package_id:
        current = "it has none now" if package is None else f"it has {package.package_id} now"
        raise BadRequest(
            f"the package {quoted(package_id)} is no longer that of the job: {current}"
        )


class WritableStream(Protocol):
    """A stream that bytes are written to, from the first to the last."""

    def write(self, data: bytes, /) -> int:
        """Add bytes; returns their number."""

    def flush(self) -> None:
        """Keep nothing back, if it can be helped."""


def write_package(stream: WritableStream, files: Iterable[PackageFile]) -> None:
    """Write the zip of a package with the checksums of its files. The same files give the same zip.

    Raises:
        ValueError: two files have the same name.
    """
    sums: dict[str, str] = {}
    with zipfile.ZipFile(cast("IO[bytes]", stream), "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            if file.name in sums:
                raise ValueError(f"a package has one file named {file.name}")
            sums[file.name] = _write(archive, file)
        lines = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
        _write(archive, PackageFile(CHECKSUMS_FILE, [lines.encode()]))


def _write(archive: zipfile.ZipFile, file: PackageFile) -> str:
    entry = zipfile.ZipInfo(file.name, _FIRST_TIME)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    digest = sha256()
    with archive.open(entry, "w", force_zip64=True) as target:
        for block in file.blocks:
            digest.update(block)
            target.write(block)
    return digest.hexdigest()


def attachment_name(index: int, filename: str) -> str:
    """The name of an attachment in a package: its number, and what of its name is safe."""
    last = filename.replace("\\", "/").rpartition("/")[2]
    safe = "".join(each if each.isalnum() or each in "._- " else "_" for each in last)
    return f"{ATTACHMENTS_FOLDER}{index:02d}-{safe.strip('. ')[:100] or 'file'}"


def uploaded_blocks(stream: IO[bytes], wanted: str) -> Iterator[bytes]:
    """The bytes of an uploaded file; of a zip, those of its file named `wanted`. `stream` can seek.

    All entries of a zip are checked before the first byte is given, whether they are read or not.

    Raises:
        BadRequest: the zip is damaged or hostile, or has no such file.
    """
    start = stream.read(4)
    stream.seek(0)
    if start[:2] != b"PK":
        yield from _limited(iter(lambda: stream.read(_BLOCK), b""))
        return
    try:
        with zipfile.ZipFile(stream) as archive:
            entry = _wanted(archive.infolist(), wanted)
            with archive.open(entry) as source:
                yield from _limited(iter(lambda: source.read(_BLOCK), b""))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise BadRequest(f"the zip is damaged: {error}") from error


def _wanted(entries: list[zipfile.ZipInfo], wanted: str) -> zipfile.ZipInfo:
    """The entry to read. Whatever a zip has next to it is checked too."""
    if len(entries) > _MAX_ENTRIES:
        raise BadRequest(f"the zip has more than {_MAX_ENTRIES:,} entries")
    found: zipfile.ZipInfo | None = None
    names: set[str] = set()
    for entry in entries:
        name = entry.orig_filename
        _check_name(name)
        if folded(name) in names:
            raise BadRequest(f"the zip has two files named {quoted(name)}")
        names.add(folded(name))
        _check_entry(entry)
        if name == wanted:
            found = entry
    _check_overlaps(entries)
    _check_size(sum(each.file_size for each in entries), sum(e.compress_size for e in entries))
    if found is None:
        raise BadRequest(f"the zip has no file {quoted(wanted)}, which the edits are read from")
    return found


def _check_name(name: str) -> None:
    parts = name.removesuffix("/").split("/")
    problem = ""
    if not name or len(name.encode()) > _MAX_NAME_BYTES or not is_clean(name):
        problem = "has no name that can be used"
    elif name.startswith("/") or "\\" in name or name[1:2] == ":":
        problem = "has an absolute name, or one with a backslash"
    elif any(part in ("", ".", "..") for part in parts):
        problem = "leads out of the folder"
    elif reason := unportable_reason(name.removesuffix("/")):
        problem = f"has a bad name: {reason}"
    if problem:
        raise BadRequest(f"the zip is refused: {quoted(name)} {problem}")


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = quoted(entry.orig_filename)
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise BadRequest(f"the zip is refused: {name} is a link or a device")
    if entry.flag_bits & _ENCRYPTED:
        raise BadRequest(f"the zip is refused: {name} is encrypted")
    if entry.compress_type not in _METHODS:
        raise BadRequest(f"the zip is refused: {name} is compressed by another method than deflate")
    _check_size(entry.file_size, entry.compress_size)


def _check_overlaps(entries: list[zipfile.ZipInfo]) -> None:
    """Entries that share bytes make a small zip of any size. Source: D. Fifield, zip bombs."""
    end = 0
    for entry in sorted(entries, key=lambda each: each.header_offset):
        if entry.header_offset < end:
            raise BadRequest("the zip is refused: its files share the same bytes")
        end = entry.header_offset + entry.compress_size


def _check_size(unpacked: int, packed: int) -> None:
    is_large = unpacked > MAX_UNPACKED_BYTES
    if is_large or unpacked > max(_ALWAYS_ALLOWED_BYTES, MAX_RATIO * packed):
        raise BadRequest(f"the zip is refused: unpacked it has {unpacked:,} bytes")


def _limited(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The blocks of what may be larger than it says."""
    size = 0
    for block in blocks:
        size += len(block)
        if size > MAX_UNPACKED_BYTES:
            raise BadRequest(f"an upload has up to {MAX_UNPACKED_BYTES:,} bytes, unpacked")
        yield block
