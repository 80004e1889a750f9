"""Which files an object is made of: one, those of a nested manifest, or those of a listing."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from jobyard.domain.failures import Failure
from jobyard.domain.jobtype import Work
from jobyard.domain.manifest.entry import row
from jobyard.domain.manifest.findings import Finding
from jobyard.domain.manifest.reading import Reading
from jobyard.jobtypes.deposit import bucket, payloads
from jobyard.jobtypes.deposit.admission import MAX_FILES
from jobyard.jobtypes.deposit.content import Wanted, checked
from jobyard.jobtypes.deposit.keys import staging
from jobyard.jobtypes.deposit.refusal import Refused
from jobyard.jobtypes.fetch import FetchRefused
from jobyard.jobtypes.touch import Touch

OBJECT_PROFILE = "mrt-ingest-manifest"  # what a manifest in a manifest is: one object's files
MANIFEST_BYTES = 5_000_000  # of a nested manifest, domain.md 1.d
LOOKED_AT = 1_000  # files whose servers are asked before the download; the rest show when they come
_AT_ONCE = 8  # of them

# Servers that do not know HEAD, or sign a URL for GET alone. Their file shows when it comes.
_NO_HEAD = frozenset({400, 401, 403, 405, 501})
_SHOWN = 3  # findings, or missing files, named in a message


@dataclass(frozen=True)
class File:
    """A file to fetch, as its row describes it."""

    url: str
    wanted: Wanted


@dataclass(frozen=True)
class Estimate:
    """How many bytes are to come, of those files that said so; None when none did."""

    total: int | None
    largest: int


def is_listed(entry: Mapping[str, Any]) -> bool:
    """Whether the object's files stand in a list, rather than in its own row."""
    return entry["kind"] in {"manifest", "files"}


def rows(work: Work, touch: Touch) -> list[bytes]:
    """The rows of a listed object's files, in order.

    Raises:
        Refused: TOO_LARGE, there are too many; BAD_MANIFEST, DIGEST_MISMATCH and the like.
        FetchRefused: a nested manifest cannot be had.
    """
    if work.entry.get("count", 0) > MAX_FILES:  # before they are all read
        raise _too_many()
    text = bucket.read(touch.s3, touch.work_bucket, _rows_key(work))
    found = _nested(work, touch) if text is None else text.splitlines()
    if len(found) > MAX_FILES:
        raise _too_many()
    return found


def write_down(work: Work, touch: Touch, found: list[bytes]) -> None:
    """Keep the rows of a nested manifest for the later steps; the first list written counts."""
    bucket.put_new(touch.s3, touch.work_bucket, _rows_key(work), b"".join(found))


def files(found: list[bytes]) -> tuple[File, ...]:
    """The files of these rows."""
    return tuple(file(json.loads(each)) for each in found)


def file(fields: Mapping[str, Any]) -> File:
    """The file of a row."""
    wanted = Wanted(
        name=fields["name"],
        size=fields.get("size"),
        algorithm=fields.get("algorithm", ""),
        digest=fields.get("digest", "").lower(),
    )
    return File(fields["url"], wanted)


def estimate(listed: tuple[File, ...], touch: Touch) -> Estimate:
    """Ask the servers for their files' sizes, and whether they have them at all.

    Raises:
        FetchRefused: a file is not there, or a server does not answer.
    """
    asked, rest = listed[:LOOKED_AT], listed[LOOKED_AT:]
    if len(asked) == 1:
        found = [_size(asked[0], touch)]
    else:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = list(pool.map(lambda file: _size(file, touch), asked))
    refused = [each for each in found if isinstance(each, FetchRefused)]
    if refused:
        raise _worst(refused)
    sizes = [each for each in found if isinstance(each, int)]
    sizes += [file.wanted.size for file in rest if file.wanted.size is not None]
    return Estimate(sum(sizes) if sizes else None, max(sizes, default=0))


def _size(file: File, touch: Touch) -> int | FetchRefused | None:
    try:
        said = payloads.length(file.url, touch)
    except FetchRefused as refusal:
        if refusal.status not in _NO_HEAD:
            return refusal.about(file.wanted.name)
        said = None
    return said if file.wanted.size is None else file.wanted.size


def _worst(refused: list[FetchRefused]) -> FetchRefused:
    """The refusal that decides: one that no retry mends, with the names of the others like it."""
    first = min(refused, key=lambda refusal: refusal.retryable)
    like = [each for each in refused if each.code is first.code]
    if len(like) == 1:
        return first
    more = f" and {len(like) - _SHOWN} more" if len(like) > _SHOWN else ""
    message = "; ".join(each.message for each in like[:_SHOWN]) + more
    return FetchRefused(first.code, message, retry_after=first.retry_after, status=first.status)


def _too_many() -> Refused:
    return Refused(Failure.TOO_LARGE, f"the object has more than {MAX_FILES} files")


def _rows_key(work: Work) -> str:
    return work.entry.get("files_key") or staging(work.job_id, "files.jsonl")


def _nested(work: Work, touch: Touch) -> list[bytes]:
    """The rows of the manifest that describes the object."""
    manifest = file(work.entry)
    name = manifest.wanted.name
    reading = Reading(_manifest_blocks(manifest, touch), filename=name, profile=OBJECT_PROFILE)
    found: list[bytes] = []
    wrong: list[Finding] = []
    for entries, findings in reading:
        if len(found) <= MAX_FILES:
            found += map(row, entries)
        if len(wrong) < _SHOWN:
            wrong += [finding for finding in findings if finding.level == "error"]
    if reading.errors:
        first = "; ".join(f"{each.place}: {each.message}" for each in wrong[:_SHOWN])
        more = "" if reading.errors == 1 else "s, the first"
        words = f"{name} has {reading.errors} error{more}: {first}"
        raise Refused(Failure.BAD_MANIFEST, words)
    return found


def _manifest_blocks(manifest: File, touch: Touch) -> Iterator[bytes]:
    wanted = replace(manifest.wanted, limit=MANIFEST_BYTES)
    with payloads.opened(manifest.url, touch) as payload:
        yield from checked(payloads.blocks(payload, wanted), wanted, touch)
