"""Read and check a manifest; write its rows, the index of their chunks, and the findings.

The manifest is streamed: memory grows by at most 40 bytes a line.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

from jobyard.domain.batches.batch import Batch, ManifestSource
from jobyard.domain.batches.chunks import MAX_CHUNKS, Chunk
from jobyard.domain.manifests.entry import row_of
from jobyard.domain.manifests.findings import BoundedFindings, Finding
from jobyard.domain.manifests.reader import ManifestReader
from jobyard.domain.plurals import plural
from jobyard.services.batches import rows
from jobyard.services.batches.open_context import OpenContext
from jobyard.services.batches.uploads import MultipartUpload
from jobyard.services.settings import MANIFEST_LINES

_REMOVED = frozenset({"NoSuchKey", "NoSuchVersion", "404", "405"})  # 405: a delete marker
_BLOCK = 1024 * 1024
_MARGIN_S = 60.0  # kept of the worker's time to report that the manifest takes too long


@dataclass(frozen=True)
class ManifestResult:
    """The result of reading a manifest.

    `refusal` is why the batch gets no jobs, "" if it does; only then the fields after `findings`
    are set. `findings` and `files` are counts, `entries` is the number of jobs, `size` the bytes of
    all files whose size it gives.
    """

    refusal: str
    findings: int = 0
    entries: int = 0
    files: int = 0
    profile: str | None = None
    sha256: str = ""
    size: int = 0


def read_manifest(batch: Batch, source: ManifestSource, context: OpenContext) -> ManifestResult:
    """Read and check the manifest of a batch, and write what it contains to the work bucket.

    The rows and the index exist only if the manifest is accepted; the findings always do, unless
    there was no manifest to read.
    """
    try:
        body = context.s3.get_object(
            Bucket=source.bucket, Key=source.key, VersionId=source.version_id
        )["Body"]
    except context.s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in _REMOVED:
            raise
        return ManifestResult("the manifest was removed before it was read")
    digest = hashlib.sha256()

    def blocks() -> Iterator[bytes]:
        for block in body.iter_chunks(_BLOCK):
            _check_limits(reading, context)
            digest.update(block)
            yield block

    def lines_key() -> str:  # known only when the first rows have been read
        key_of = rows.files_key if reading.is_one_object else rows.rows_key
        return key_of(batch.batch_id)

    reading = ManifestReader(
        blocks(),
        filename=batch.filename,
        profile=batch.profile or None,
        allowed_hosts=context.settings.allowed_hosts,
    )
    findings = Findings()
    with ExitStack() as stack:
        lines = stack.enter_context(_upload(context, lines_key))
        index = stack.enter_context(_upload(context, rows.index_key(batch.batch_id)))
        output = ManifestOutput(lines, index, findings)
        size, refusal = _write(reading, output, context.settings.chunk_size)
        with _upload(context, rows.findings_key(batch.batch_id)) as upload:
            upload.write(findings.text())
            upload.finish()
        if refusal:
            return ManifestResult(refusal, findings.count)
        lines.finish()
        if reading.is_one_object:
            _put_only_row(batch, reading.row_count, context)
        else:
            index.finish()
    return ManifestResult(
        "",
        findings.count,
        reading.job_count,
        reading.row_count,
        reading.profile,
        digest.hexdigest(),
        size,
    )


def _check_limits(reading: ManifestReader, context: OpenContext) -> None:
    """Stop before the worker runs out of time or memory.

    Raises:
        ManifestTooLarge: the time is nearly over, or there are more lines than fit into memory.
    """
    if context.remaining() < _MARGIN_S:
        read = f"{reading.row_count} of its lines were read"
        raise ManifestTooLarge(f"the manifest takes too long to read; {read}")
    if reading.row_count > MANIFEST_LINES:
        raise ManifestTooLarge(f"the manifest has more than {MANIFEST_LINES} lines")


class ManifestTooLarge(Exception):
    """The manifest exceeds a worker's time or memory. The message is for its depositor."""


class Findings:
    """The findings of a manifest. Of each level a bounded number is kept."""

    def __init__(self) -> None:
        self._lines: list[Finding] = []
        self._kept = BoundedFindings()

    @property
    def count(self) -> int:
        """How many findings there were, kept or not."""
        return self._kept.count

    def add(self, found: Sequence[Finding]) -> None:
        """Add findings, in the manifest's order."""
        self._lines += self._kept.take(found)

    def text(self) -> bytes:
        """The findings as JSON Lines; the last line says how many more there are."""
        findings = (*self._lines, *self._kept.rest())
        return b"".join(json.dumps(finding.document()).encode() + b"\n" for finding in findings)


class Writer(Protocol):
    """A file or an upload."""

    def write(self, data: bytes, /) -> int:
        """Write all of `data`."""


@dataclass(frozen=True)
class ManifestOutput:
    """What is written from a manifest: a line per entry, the index of the chunks, findings."""

    lines: Writer
    index: Writer
    findings: Findings


def write_rows(reading: ManifestReader, output: ManifestOutput, chunk_size: int) -> int:
    """Write rows and index while reading. Returns the bytes of all files whose size is given.

    After the first error no more rows are written, because the batch will have no jobs.
    """
    chunk = start = end = row_count = size = 0
    for entries, findings in reading:
        output.findings.add(findings)
        size += sum(each.size or 0 for each in entries)
        while entries and not reading.errors:
            taken, entries = entries[: chunk_size - row_count], entries[chunk_size - row_count :]
            block = b"".join(map(row_of, taken))
            output.lines.write(block)
            end += len(block)
            row_count += len(taken)
            if row_count == chunk_size:
                output.index.write(Chunk(chunk, start, end).index_line())
                chunk, start, row_count = chunk + 1, end, 0
    if row_count:
        output.index.write(Chunk(chunk, start, end).index_line())
    return size


def _write(reading: ManifestReader, output: ManifestOutput, chunk_size: int) -> tuple[int, str]:
    """Write rows and index. Returns the bytes of all files, and why the batch gets no jobs; "" if
    it does.
    """
    try:
        size = write_rows(reading, output, chunk_size)
    except ManifestTooLarge as reason:
        return 0, f"{reason}: divide it"
    if reading.worst_level == "error":
        return size, f"the manifest has {plural(reading.errors, 'error')}"
    most = MAX_CHUNKS * chunk_size
    if reading.job_count > most:
        return size, f"the manifest has {reading.job_count} lines; {most} are allowed: divide it"
    return size, ""


def _upload(context: OpenContext, key: str | Callable[[], str]) -> MultipartUpload:
    return MultipartUpload(context.s3, context.settings.work_bucket, key)


def _put_only_row(batch: Batch, files: int, context: OpenContext) -> None:
    """Write the only row of a manifest of one object; a separate S3 object lists its files."""
    only = {
        "line": 1,
        "kind": "files",
        "files_key": rows.files_key(batch.batch_id),
        "count": files,
        "name": batch.filename,
    }
    line = json.dumps(only, separators=(",", ":")).encode() + b"\n"
    settings = context.settings
    context.s3.put_object(Bucket=settings.work_bucket, Key=rows.rows_key(batch.batch_id), Body=line)
    rows.put_index(context.s3, settings, rows.index_key(batch.batch_id), [Chunk(0, 0, len(line))])
