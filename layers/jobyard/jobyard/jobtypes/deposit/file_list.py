"""The files of an object: one file, those of a nested manifest, or those of a whole batch."""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import StepInput
from jobyard.domain.manifests.entry import row_of
from jobyard.domain.manifests.findings import Check, Finding
from jobyard.domain.manifests.reader import ManifestReader
from jobyard.domain.plurals import plural
from jobyard.jobtypes.deposit import bucket, payloads
from jobyard.jobtypes.deposit.container_limits import MAX_FILES, MAX_OBJECT_BYTES
from jobyard.jobtypes.deposit.content import MAX_FILE_BYTES, Wanted, checked
from jobyard.jobtypes.deposit.keys import staging
from jobyard.jobtypes.deposit.refusal import Refused
from jobyard.jobtypes.http_client import FetchRefused
from jobyard.jobtypes.step_context import StorageContext

OBJECT_PROFILE = "mrt-ingest-manifest"  # of a nested manifest: the files of one object
NESTED_MANIFEST_BYTES = 5_000_000  # at most in a nested manifest; Merritt's limit
MAX_HEAD_REQUESTS = 1_000  # files that are checked before the download
_CONCURRENT_REQUESTS = 8

# Statuses of servers that do not support HEAD, or that sign a URL for GET alone.
_NO_HEAD = frozenset({400, 401, 403, 405, 501})
_MAX_SHOWN = 3  # findings or missing files in a message
# Warnings that the download makes obsolete.
_CHECKED_BY_DOWNLOAD = frozenset({Check.URL_DOUBTFUL.value})


Size = int | FetchRefused | None  # None: not known; FetchRefused: why the file cannot be fetched


@dataclass(frozen=True)
class File:
    """A file to fetch, as its row describes it."""

    url: str
    wanted: Wanted


@dataclass(frozen=True)
class Rows:
    """The rows of a list of files, one line of JSON each.

    `remarks` are the warnings of a nested manifest, if this attempt read it; else "".
    """

    lines: list[bytes]
    remarks: str = ""


@dataclass(frozen=True)
class Estimate:
    """The bytes of all files with a known size, and of the largest. None: no size is known."""

    total: int | None
    largest: int


def is_listed(entry: Mapping[str, Any]) -> bool:
    """Whether the object's files are in a list, not in the job's own row."""
    return entry["kind"] in {"manifest", "files"}


def rows(step_input: StepInput, context: StorageContext) -> Rows:
    """The rows of a listed object's files, in order.

    Raises:
        Refused: TOO_LARGE, there are too many; BAD_MANIFEST, DIGEST_MISMATCH and the like.
        FetchRefused: the nested manifest cannot be fetched.
    """
    if step_input.entry.get("count", 0) > MAX_FILES:  # before they are all read
        raise _too_many()
    text = bucket.read(context.s3, context.work_bucket, _rows_key(step_input))
    found = _nested(step_input, context) if text is None else Rows(text.splitlines())
    if len(found.lines) > MAX_FILES:
        raise _too_many()
    return found


def save(step_input: StepInput, context: StorageContext, found: Rows) -> None:
    """Save the rows of a nested manifest for later steps. The first list that was saved counts."""
    bucket.put_new(context.s3, context.work_bucket, _rows_key(step_input), b"".join(found.lines))


def files(found: Rows) -> tuple[File, ...]:
    """The files of these rows."""
    return tuple(file(json.loads(each)) for each in found.lines)


def file(fields: Mapping[str, Any]) -> File:
    """The file of a row."""
    wanted = Wanted(
        name=fields["name"],
        size=fields.get("size"),
        algorithm=fields.get("algorithm", ""),
        digest=fields.get("digest", "").lower(),
    )
    return File(fields["url"], wanted)


def estimate(listed: tuple[File, ...], context: StorageContext) -> Estimate:
    """Check with the servers that the files exist, and get their sizes.

    Many servers answer HEAD wrongly. So an error on HEAD counts only if GET confirms it.

    Raises:
        FetchRefused: a file does not exist, or S3 cannot be reached.
    """
    requested, rest = listed[:MAX_HEAD_REQUESTS], listed[MAX_HEAD_REQUESTS:]
    without_head: set[str] = set()
    found = _sizes_of(requested, lambda file: _size_by_head(file, without_head, context))
    sizes = _known(found)
    if max(sizes, default=0) > MAX_FILE_BYTES or sum(sizes) > MAX_OBJECT_BYTES:
        found = _sizes_of(requested, lambda file: _size_by_get(file, context))
        sizes = _known(found)
    refused = [each for each in found if isinstance(each, FetchRefused)]
    if refused:
        raise _decisive_refusal(refused)
    sizes += [file.wanted.size for file in rest if file.wanted.size is not None]
    return Estimate(sum(sizes) if sizes else None, max(sizes, default=0))


def _sizes_of(files: tuple[File, ...], size: Callable[[File], Size]) -> list[Size]:
    if len(files) == 1:
        return [size(files[0])]
    with ThreadPoolExecutor(_CONCURRENT_REQUESTS) as pool:
        return list(pool.map(size, files))


def _known(found: list[Size]) -> list[int]:
    return [each for each in found if isinstance(each, int)]


def _size_by_head(file: File, without_head: set[str], context: StorageContext) -> Size:
    """The size by HEAD. Servers in `without_head` did not answer HEAD and are not sent it again."""
    server = file.url.partition("://")[2].partition("/")[0]
    if server in without_head:
        return file.wanted.size
    try:
        size = payloads.length(file.url, context)
    except FetchRefused as refusal:
        if refusal.status in _NO_HEAD:
            return file.wanted.size
        if payloads.is_in_bucket(file.url) or refusal.code is Failure.TIMEOUT:
            return refusal.about(file.wanted.name)
        if not refusal.retryable:
            return _size_by_get(file, context)
        if refusal.status is None:
            without_head.add(server)
        size = None
    return size if file.wanted.size is None else file.wanted.size


def _size_by_get(file: File, context: StorageContext) -> Size:
    """The size by GET. Errors that a retry may solve are ignored: the download handles them."""
    if file.wanted.size is not None and file.wanted.size > MAX_FILE_BYTES:
        return file.wanted.size
    try:
        with payloads.opened(file.url, context) as payload:
            size = payload.length
    except FetchRefused as refusal:
        return file.wanted.size if refusal.retryable else refusal.about(file.wanted.name)
    return size if file.wanted.size is None else file.wanted.size


def _decisive_refusal(refused: list[FetchRefused]) -> FetchRefused:
    """The refusal to raise: one that no retry can help, if any. It names other files like it."""
    first = min(refused, key=lambda refusal: refusal.retryable)
    similar = [each for each in refused if each.code is first.code]
    if len(similar) == 1:
        return first
    more = f" and {len(similar) - _MAX_SHOWN} more" if len(similar) > _MAX_SHOWN else ""
    message = "; ".join(each.message for each in similar[:_MAX_SHOWN]) + more
    return FetchRefused(first.code, message, retry_after=first.retry_after, status=first.status)


def _too_many() -> Refused:
    return Refused(Failure.TOO_LARGE, f"the object has more than {MAX_FILES} files")


def _rows_key(step_input: StepInput) -> str:
    return step_input.entry.get("files_key") or staging(step_input.job_id, "files.jsonl")


def _nested(step_input: StepInput, context: StorageContext) -> Rows:
    """The rows of the manifest that describes the object."""
    manifest = file(step_input.entry)
    name = manifest.wanted.name
    reading = ManifestReader(
        _manifest_blocks(manifest, context), filename=name, profile=OBJECT_PROFILE
    )
    found: list[bytes] = []
    errors: list[Finding] = []
    shown_warnings: list[Finding] = []
    warnings = 0
    for entries, findings in reading:
        if len(found) <= MAX_FILES:
            found += map(row_of, entries)
        if len(errors) < _MAX_SHOWN:
            errors += [finding for finding in findings if finding.level == "error"]
        new = [
            each
            for each in findings
            if each.level == "warning" and each.code not in _CHECKED_BY_DOWNLOAD
        ]
        warnings += len(new)
        shown_warnings += new[: _MAX_SHOWN - len(shown_warnings)]
    if reading.errors:
        raise Refused(Failure.BAD_MANIFEST, _summary(name, "error", reading.errors, errors))
    return Rows(found, _summary(name, "warning", warnings, shown_warnings) if warnings else "")


def _summary(name: str, level: str, number: int, findings: list[Finding]) -> str:
    """A message with the number of findings of a level in a manifest, and the first of them."""
    first = "; ".join(f"{each.position}: {each.message}" for each in findings[:_MAX_SHOWN])
    return f"{name} has {plural(number, level)}{'' if number == 1 else ', the first'}: {first}"


def _manifest_blocks(manifest: File, context: StorageContext) -> Iterator[bytes]:
    wanted = replace(manifest.wanted, limit=NESTED_MANIFEST_BYTES)
    with payloads.opened(manifest.url, context) as payload:
        yield from checked(payloads.blocks(payload, wanted), wanted, context)
