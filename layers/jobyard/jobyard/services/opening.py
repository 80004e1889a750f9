"""Opening a batch: claim its object, read and check the whole manifest, write its rows.

Either every row is written and the batch has jobs, or the manifest has an error and it has none.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING, Any

from jobyard.domain.batch import BATCH, Batch, BatchState, HistoryEntry, Source
from jobyard.domain.chunks import MOST_CHUNKS, Chunk
from jobyard.domain.errors import Gone, StaleState, Unknown
from jobyard.domain.hold import NAME, in_force, scopes_of
from jobyard.domain.ids import batch_id_of_object, is_batch_id
from jobyard.domain.lifecycle import MACHINE, Cause
from jobyard.domain.manifest.entry import row
from jobyard.domain.manifest.reading import Reading
from jobyard.jobtypes import TYPES
from jobyard.services import rows
from jobyard.services.settings import MANIFEST_BYTES, SAME_MANIFEST, Settings
from jobyard.services.steering import MAIN, Next, Run
from jobyard.store import batches, holds, remembered

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "manifests/"
REASON = 500  # characters kept of why a manifest could not be opened
_BLOCK = 1024 * 1024
_IN_MEMORY = 8 * 1024 * 1024  # a larger spool lies on the worker's disk
_Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Opening:
    """What opening needs: the deployment, the S3 client, the clock and who asks.

    `execution` is the name of the execution that asks, "" when it opens nothing; a second
    execution for the same object finds the batch claimed by another name and goes away.
    """

    settings: Settings
    s3: "S3Client"
    now: _Clock
    execution: str


def source_of(detail: Mapping[str, Any]) -> Source:
    """The object that the detail of S3's "Object Created" event tells of; its version id may be
    missing."""
    found = detail["object"]
    return Source(
        detail["bucket"]["name"], found["key"], found.get("version-id", ""), found["size"]
    )


def open_object(source: Source, opening: Opening) -> Next:
    """Open the batch of a manifest that landed as `source`."""
    if not _is_manifest(source):
        return Next("", "end")
    source = replace(source, version_id=_version_of(source, opening.s3))
    batch = _claimed(source, opening)
    return open_batch(replace(batch, source=batch.source or source), opening)


def note_landed(source: Source, opening: Opening, words: str) -> Batch | None:
    """Write down that a manifest landed which could not be opened, and why; it waits for the minute
    rule then, which has it opened. None when it is no manifest."""
    if not _is_manifest(source):
        return None
    source = replace(source, version_id=_version_of(source, opening.s3))
    batch = _claimed(source, opening)
    cause = f"landed.{source.version_id}"
    known = any(entry.cause == cause for entry in batch.history)
    if batch.state is not BatchState.PENDING or known:
        return batch
    landed = HistoryEntry(
        "open", batch.state, batch.state, opening.now(), MACHINE, cause, words[:REASON]
    )
    return batches.note(batch, landed, source=batch.source or source)


def _is_manifest(source: Source) -> bool:
    """Whether an object is none of a folder's marker, a file its owner hides, or one astray."""
    name = source.key.rsplit("/", 1)[-1]
    named = name and not name.startswith(".")
    return bool(source.size and named and _collection_of(source.key))


def open_batch(batch: Batch, opening: Opening) -> Next:
    """Open a batch whose manifest is known, from where an earlier try of this execution stopped."""
    cause = Cause(f"open.{opening.execution}")
    if batch.state is BatchState.PENDING:
        hold = in_force(holds.of_scopes(scopes_of(batch.collection, batch.job_type)), opening.now())
        if hold:
            reason = replace(cause, reason=hold.words())
            move = BATCH.move(batch.state, "hold", opening.now(), reason)
            batches.apply(batch, move, source=batch.source)
            return Next(batch.batch_id, "end")
        move = BATCH.move(batch.state, "start", opening.now(), cause)
        batch = batches.apply(batch, move, source=batch.source, started_at=move.at)
    mine = any(entry.cause == cause.key for entry in batch.history)
    if not mine:
        return Next(batch.batch_id, "end")
    if batch.state is BatchState.REPORTING:
        return Next(batch.batch_id, "report")
    if batch.state is not BatchState.PROCESSING:
        return Next(batch.batch_id, "settle")
    return _first_pass(batch, opening) if batch.entries else _read(batch, opening)


def batch_of_key(
    bucket: str, key: str, version_id: str, s3: "S3Client", now: datetime
) -> Batch | None:
    """The batch of a manifest that landed, if it came as far as having one."""
    source = Source(bucket, key, version_id, 0)
    submitted = _submitted_as(key)
    dropped = batch_id_of_object(bucket, key, _version_of(source, s3))
    for batch_id in filter(None, (submitted, dropped)):
        try:
            return batches.get(batch_id, now)
        except (Unknown, Gone):
            continue
    return None


def _submitted_as(key: str) -> str:
    """The id of the batch a key was promised to, "" when it was simply dropped."""
    parts = key.removeprefix(PREFIX).split("/")
    return parts[1] if len(parts) > 2 and is_batch_id(parts[1]) else ""


def _version_of(source: Source, s3: "S3Client") -> str:
    if source.version_id:
        return source.version_id
    return s3.head_object(Bucket=source.bucket, Key=source.key)["VersionId"]


def _collection_of(key: str) -> str:
    parts = key.removeprefix(PREFIX).split("/")
    return parts[0] if key.startswith(PREFIX) and len(parts) > 1 else ""


def _claimed(source: Source, opening: Opening) -> Batch:
    """The batch of this object: the one that was submitted for it, or one made for it now."""
    now = opening.now()
    promised = _submitted_as(source.key)
    if promised:
        try:
            # A second upload to the same address is another version of the object: its execution
            # finds the batch claimed and goes away.
            return batches.get(promised, now)
        except (Unknown, Gone):
            pass  # never promised, or too late: a manifest like any that is dropped
    metadata = opening.s3.head_object(
        Bucket=source.bucket, Key=source.key, VersionId=source.version_id
    )["Metadata"]
    notify = metadata.get("notify", opening.settings.mail_to)
    batch = Batch(
        batch_id=batch_id_of_object(source.bucket, source.key, source.version_id),
        state=BatchState.PENDING,
        version=0,
        collection=_collection_of(source.key),
        submitter="s3",
        job_type=metadata.get("job-type", "deposit"),
        filename=source.key.rsplit("/", 1)[-1],
        submitted_at=now,
        profile=metadata.get("profile", ""),
        source=source,
        notify=tuple(address.strip() for address in notify.split(",") if address.strip()),
        parameters={"callback_url": metadata["callback-url"]} if "callback-url" in metadata else {},
    )
    try:
        return batches.put_new(batch)
    except StaleState:
        return batches.get(batch.batch_id, now)


def _read(batch: Batch, opening: Opening) -> Next:
    """Read the manifest; write rows and findings; note what came of it."""
    source = batch.source
    if source is None:
        raise Unknown(f"batch {batch.batch_id} has no manifest")
    if source.size > MANIFEST_BYTES:
        return _refuse(batch, opening, f"the manifest is larger than {MANIFEST_BYTES} bytes", 0)
    if not re.fullmatch(NAME, batch.collection):
        words = f"{batch.collection!r} is no name of a collection: letters, digits, . _ and -"
        return _refuse(batch, opening, words, 0)
    kinds = [name for name, job_type in TYPES.items() if job_type.takes_manifests]
    if batch.job_type not in kinds:
        words = f"there is no job type {batch.job_type!r}; there are {', '.join(kinds)}"
        return _refuse(batch, opening, words, 0)
    digest = hashlib.sha256()
    body = opening.s3.get_object(Bucket=source.bucket, Key=source.key, VersionId=source.version_id)[
        "Body"
    ]

    def blocks() -> Iterator[bytes]:
        for block in body.iter_chunks(_BLOCK):
            digest.update(block)
            yield block

    reading = Reading(blocks(), filename=batch.filename, profile=batch.profile or None)
    with spool() as lines, spool() as findings, spool() as index:
        found = spread(reading, Spools(lines, findings, index), opening.settings.chunk_size)
        _upload(opening, findings, rows.findings_key(batch.batch_id))
        if reading.verdict == "error":
            words = f"the manifest has {reading.errors} error{'s' * (reading.errors != 1)}"
            return _refuse(batch, opening, words, found)
        most = MOST_CHUNKS * opening.settings.chunk_size
        if reading.entries > most:
            words = f"the manifest has {reading.entries} lines; {most} are allowed: divide it"
            return _refuse(batch, opening, words, found)
        if reading.per_object:
            _upload(opening, lines, rows.files_key(batch.batch_id))
            _put_only_row(batch, reading.files, opening)
        else:
            _upload(opening, lines, rows.rows_key(batch.batch_id))
            _upload(opening, index, rows.index_key(batch.batch_id))
    now = opening.now()
    similar = remembered.seen_before(
        f"{batch.collection}#{digest.hexdigest()}", batch.batch_id, now, now + SAME_MANIFEST
    )
    noted = HistoryEntry(
        "open",
        batch.state,
        batch.state,
        now,
        MACHINE,
        f"opened.{opening.execution}",
        f"{reading.entries} jobs",
    )
    batch = batches.note(
        batch,
        noted,
        profile=reading.profile,
        entries=reading.entries,
        files=reading.files,
        chunk_size=opening.settings.chunk_size,
        findings=found,
        similar_to=similar,
    )
    return _first_pass(batch, opening)


@dataclass(frozen=True)
class Spools:
    lines: IO[bytes]
    findings: IO[bytes]
    index: IO[bytes]


def spool() -> "SpooledTemporaryFile[bytes]":
    return SpooledTemporaryFile(max_size=_IN_MEMORY)


def spread(reading: Reading, spools: Spools, chunk_size: int) -> int:
    """Write rows, findings and index while reading, nothing of it kept in memory; the answer is
    how many findings there are."""
    number = start = end = held = found = 0
    for entries, findings in reading:
        found += len(findings)
        for finding in findings:
            spools.findings.write(json.dumps(asdict(finding)).encode() + b"\n")
        for entry in entries:
            line = row(entry)
            spools.lines.write(line)
            end += len(line)
            held += 1
            if held == chunk_size:
                spools.index.write(Chunk(number, start, end).line())
                number, start, held = number + 1, end, 0
    if held:
        spools.index.write(Chunk(number, start, end).line())
    return found


def _upload(opening: Opening, spool: IO[bytes], key: str) -> None:
    spool.seek(0)
    opening.s3.put_object(Bucket=opening.settings.work_bucket, Key=key, Body=spool)


def _put_only_row(batch: Batch, files: int, opening: Opening) -> None:
    """A manifest of one object is one job, whose files lie beside the rows."""
    only = {
        "line": 1,
        "kind": "files",
        "files_key": rows.files_key(batch.batch_id),
        "count": files,
        "name": batch.filename,
    }
    line = json.dumps(only, separators=(",", ":")).encode() + b"\n"
    settings = opening.settings
    opening.s3.put_object(Bucket=settings.work_bucket, Key=rows.rows_key(batch.batch_id), Body=line)
    rows.put_index(opening.s3, settings, rows.index_key(batch.batch_id), [Chunk(0, 0, len(line))])


def _refuse(batch: Batch, opening: Opening, words: str, findings: int) -> Next:
    """No job is made; the report will list every finding."""
    now = opening.now()
    move = BATCH.move(batch.state, "report", now, Cause(f"opened.{opening.execution}"))
    batches.apply(batch, move, message=words, findings=findings)
    return Next(batch.batch_id, "report")


def _first_pass(batch: Batch, opening: Opening) -> Next:
    settings, key = opening.settings, rows.index_key(batch.batch_id)
    version = opening.s3.head_object(Bucket=settings.work_bucket, Key=key).get("VersionId", "")
    return Next(
        batch.batch_id,
        "execute",
        run=Run(MAIN, 1),
        index_bucket=settings.work_bucket,
        index_key=key,
        index_version=version,
        max_concurrency=settings.max_concurrency,
    )
