"""Opening a batch: claim its manifest, read and check all of it, write its rows.

Either all rows are written and the batch has jobs, or the manifest has an error and it has none.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from jobyard.domain import urls
from jobyard.domain.batches.batch import (
    BATCH,
    INTAKE_PREFIX,
    UPLOAD_GRACE,
    Batch,
    BatchState,
    ManifestSource,
)
from jobyard.domain.batches.chunks import MAX_CHUNKS, Chunk
from jobyard.domain.cause_key import MAIN_RUN, Action, CauseKey
from jobyard.domain.collection import NOBODY, deposit_refusal
from jobyard.domain.errors import Gone, NotFound, StaleState
from jobyard.domain.history import HistoryEntry
from jobyard.domain.hold import NAME_PATTERN, active_hold, scopes_of
from jobyard.domain.ids import batch_id_of_object, is_batch_id
from jobyard.domain.lifecycle import MACHINE, Cause
from jobyard.domain.mail_addresses import Addresses, addresses
from jobyard.domain.manifests.entry import row_of
from jobyard.domain.manifests.findings import BoundedFindings, Finding
from jobyard.domain.manifests.reader import ManifestReader
from jobyard.domain.plurals import plural
from jobyard.jobtypes import batch_refusal
from jobyard.services.batches import rows
from jobyard.services.batches.uploads import MultipartUpload
from jobyard.services.runs import ExecutionRun, NextStep
from jobyard.services.settings import (
    MANIFEST_BYTES,
    MANIFEST_LINES,
    SAME_MANIFEST,
    Settings,
)
from jobyard.store import batches, collections, holds, key_values

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NO_COLLECTION = "-"  # the collection of a misplaced manifest; no collection can have this name
_REMOVED = frozenset({"NoSuchKey", "NoSuchVersion", "404", "405"})  # 405: a delete marker
_BLOCK = 1024 * 1024
_MARGIN_S = 60.0  # seconds before its time is over, from which a manifest is read no further
_Clock = Callable[[], datetime]


def _no_limit() -> float:
    return math.inf


@dataclass(frozen=True)
class OpenContext:
    """The deployment, S3, the clock, the execution that opens, and its time limit.

    `execution` is the execution's name, "" when it opens nothing. A second execution for the same
    object finds the batch claimed by another name, and ends. `remaining` is in seconds.
    """

    settings: Settings
    s3: "S3Client"
    now: _Clock
    execution: str
    remaining: Callable[[], float] = _no_limit


class ManifestTooLarge(Exception):
    """The manifest is too large to read on; the message is for its depositor."""


def open_object(source: ManifestSource, context: OpenContext) -> NextStep:
    """Open the batch of the manifest `source`."""
    if not is_manifest(source):
        return NextStep("", "end")
    source = replace(source, version_id=version_of(source, context.s3))
    batch = claim(source, context)
    return open_batch(replace(batch, source=batch.source or source), context)


def record_unopened(source: ManifestSource, context: OpenContext, reason: str) -> Batch | None:
    """Record that a manifest landed which could not be opened, and why. The scheduler tick has it
    opened again. Returns None when the object is no manifest.
    """
    if not is_manifest(source):
        return None
    source = replace(source, version_id=version_of(source, context.s3))
    batch = claim(source, context)
    cause = str(CauseKey(action=Action.UPLOADED, subject=source.version_id))
    known = any(entry.cause == cause for entry in batch.history)
    if batch.state is not BatchState.PENDING or known:
        return batch
    landed = HistoryEntry("open", batch.state, batch.state, context.now(), MACHINE, cause, reason)
    return batches.add_entry(batch, landed, source=batch.source or source)


def unopened_message(request_id: str) -> str:
    """The message for a manifest that could not be opened for a reason within Jobyard."""
    return f"the manifest could not be opened; the cause is logged under request ID {request_id}"


def is_manifest(source: ManifestSource) -> bool:
    """Whether an object is a manifest: not a folder's marker, and not a hidden file. A manifest
    uploaded for a submission may have any name.
    """
    name = source.key.rsplit("/", 1)[-1]
    named = name and (not name.startswith(".") or _submitted_as(source.key))
    return bool(source.size and named and _collection_of(source.key))


def is_misplaced(source: ManifestSource) -> bool:
    """Whether an object is a manifest outside every collection. It is refused, and the deployment's
    people are mailed.
    """
    return is_manifest(source) and _collection_of(source.key) == NO_COLLECTION


def open_batch(batch: Batch, context: OpenContext) -> NextStep:
    """Open a batch whose manifest is known, from where an earlier try of this execution stopped."""
    cause = Cause(str(CauseKey(action=Action.OPEN, subject=context.execution)))
    if batch.state is BatchState.PENDING:
        hold = active_hold(
            holds.of_scopes(scopes_of(batch.collection, batch.job_type)), context.now()
        )
        if hold:
            reason = replace(cause, reason=hold.description())
            move = BATCH.move(batch.state, "hold", context.now(), reason)
            batches.apply(batch, move, source=batch.source)
            return NextStep(batch.batch_id, "end")
        move = BATCH.move(batch.state, "start", context.now(), cause)
        batch = batches.apply(batch, move, source=batch.source, started_at=move.at)
    is_ours = any(entry.cause == cause.key for entry in batch.history)
    if not is_ours:
        return NextStep(batch.batch_id, "end")
    if batch.state is BatchState.REPORTING:
        return NextStep(batch.batch_id, "report")
    if batch.state is not BatchState.PROCESSING:
        return NextStep(batch.batch_id, "settle")
    return _first_pass(batch, context) if batch.entries else _read(batch, context)


def batch_of_key(
    bucket: str, key: str, version_id: str, s3: "S3Client", now: datetime
) -> Batch | None:
    """The batch of a manifest that landed; None if none was made yet."""
    source = ManifestSource(bucket, key, version_id, 0)
    submitted = _submitted_as(key)
    dropped = batch_id_of_object(bucket, key, version_of(source, s3))
    for batch_id in filter(None, (submitted, dropped)):
        try:
            found = batches.get(batch_id, now - UPLOAD_GRACE)
        except (NotFound, Gone):
            continue
        if batch_id == dropped or key == found.upload_key:
            return found
    return None


def _submitted_as(key: str) -> str:
    """The id of the batch that was submitted for a key; "" for a dropped manifest."""
    parts = key.removeprefix(INTAKE_PREFIX).split("/")
    return parts[1] if len(parts) > 2 and is_batch_id(parts[1]) else ""


def version_of(source: ManifestSource, s3: "S3Client") -> str:
    if source.version_id:
        return source.version_id
    return s3.head_object(Bucket=source.bucket, Key=source.key)["VersionId"]


def _collection_of(key: str) -> str:
    if not key.startswith(INTAKE_PREFIX):
        return ""
    name, slash, _ = key.removeprefix(INTAKE_PREFIX).partition("/")
    return name if name and slash else NO_COLLECTION


def claim(source: ManifestSource, context: OpenContext) -> Batch:
    """The batch of this object: the submitted one, or a new one for a dropped manifest."""
    now = context.now()
    submitted = _submitted_as(source.key)
    if submitted:
        try:
            # A second upload to the same address is another version of the object: its execution
            # finds the batch claimed and goes away.
            batch = batches.get(submitted, now - UPLOAD_GRACE)
        except (NotFound, Gone):
            pass  # never promised, or too late: a manifest like any that is dropped
        else:
            if source.key == batch.upload_key:
                return batch
            # Dropped by somebody under an id that is not theirs: it has a drop's rights.
    metadata = context.s3.head_object(
        Bucket=source.bucket, Key=source.key, VersionId=source.version_id
    )["Metadata"]
    recipients = _recipients(_collection_of(source.key), metadata, context.settings)
    batch = Batch(
        batch_id=batch_id_of_object(source.bucket, source.key, source.version_id),
        state=BatchState.PENDING,
        version=0,
        collection=_collection_of(source.key),
        submitter="s3",
        job_type=metadata.get("job-type") or "deposit",
        filename=source.key.rsplit("/", 1)[-1],
        submitted_at=now,
        profile=metadata.get("profile", ""),
        source=source,
        notify=recipients.valid,
        undeliverable=recipients.invalid,
        parameters={"callback_url": metadata["callback-url"]} if "callback-url" in metadata else {},
    )
    try:
        return batches.put_new(batch)
    except StaleState:
        return batches.get(batch.batch_id, now)


def _recipients(name: str, metadata: Mapping[str, str], settings: Settings) -> Addresses:
    """Who gets the report on a dropped manifest: whom it names, else its collection's people, else
    the deployment's people.

    The deployment's people get it too when none of the named addresses is valid, and they alone
    when the manifest will be refused.
    """
    collection = collections.find(name) if re.fullmatch(NAME_PATTERN, name) else None
    if collection is None or deposit_refusal(name, collection, NOBODY):
        return addresses(settings.mail_to)
    if "notify" not in metadata:
        return Addresses(collection.notify) if collection.notify else addresses(settings.mail_to)
    named = addresses(metadata["notify"])
    return named if named.valid or not named.invalid else named + addresses(settings.mail_to)


def _read(batch: Batch, context: OpenContext) -> NextStep:
    """Read the manifest; write rows and findings; record the result."""
    source = batch.source
    if source is None:
        raise NotFound(f"batch {batch.batch_id} has no manifest")
    refusal = _refusal(batch, source, context.settings)
    if refusal:
        return _refuse(batch, context, refusal, 0)
    digest = hashlib.sha256()
    try:
        body = context.s3.get_object(
            Bucket=source.bucket, Key=source.key, VersionId=source.version_id
        )["Body"]
    except context.s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in _REMOVED:
            raise
        return _refuse(batch, context, "the manifest was removed before it was read", 0)

    def blocks() -> Iterator[bytes]:
        for block in body.iter_chunks(_BLOCK):
            _check_limits(reading, context)
            digest.update(block)
            yield block

    def per_line_key() -> str:
        by_line = rows.files_key if reading.per_object else rows.rows_key
        return by_line(batch.batch_id)

    reading = ManifestReader(
        blocks(),
        filename=batch.filename,
        profile=batch.profile or None,
        allowed_hosts=context.settings.allowed_hosts,
    )
    findings = Findings()
    with ExitStack() as stack:
        lines = stack.enter_context(_upload(context, per_line_key))
        index = stack.enter_context(_upload(context, rows.index_key(batch.batch_id)))
        reason = _write_all(
            reading, ManifestOutput(lines, index, findings), context.settings.chunk_size
        )
        with _upload(context, rows.findings_key(batch.batch_id)) as upload:
            upload.write(findings.text())
            upload.finish()
        if reason:
            return _refuse(batch, context, reason, findings.count)
        lines.finish()
        if reading.per_object:
            _put_only_row(batch, reading.files, context)
        else:
            index.finish()
    now = context.now()
    similar = key_values.register_manifest(
        f"{batch.collection}#{digest.hexdigest()}", batch.batch_id, now, now + SAME_MANIFEST
    )
    opened = HistoryEntry(
        "open",
        batch.state,
        batch.state,
        now,
        MACHINE,
        _opened_cause(context),
        plural(reading.entries, "job"),
    )
    batch = batches.add_entry(
        batch,
        opened,
        profile=reading.profile,
        entries=reading.entries,
        files_count=reading.files,
        chunk_size=context.settings.chunk_size,
        findings=findings.count,
        duplicate_of=similar,
    )
    return _first_pass(batch, context)


def _opened_cause(context: OpenContext) -> str:
    """The key for what an execution decided after it had read the manifest."""
    return str(CauseKey(action=Action.OPENED, subject=context.execution))


def _refusal(batch: Batch, source: ManifestSource, settings: Settings) -> str:
    """Why a manifest is refused unread; "" if it is not. The right to deposit may be gone since the
    submission, and for a dropped manifest it is checked here first.
    """
    if source.size > MANIFEST_BYTES:
        return f"the manifest is larger than {MANIFEST_BYTES} bytes"
    if batch.collection == NO_COLLECTION:
        return f"it lies beside every collection: put it under {INTAKE_PREFIX}COLLECTION/"
    if not re.fullmatch(NAME_PATTERN, batch.collection):
        reason = "a letter or digit, then letters, digits, . _ and -"
        return f"{batch.collection!r} is no name of a collection: {reason}"
    if reason := deposit_refusal(
        batch.collection, collections.find(batch.collection), batch.depositor
    ):
        return reason
    if reason := batch_refusal(batch.job_type):
        return reason
    callback = batch.parameters.get("callback_url")
    reason = urls.callback_error(callback, settings.allowed_hosts) if callback else ""
    return f"its callback URL {reason}" if reason else ""


def _check_limits(reading: ManifestReader, context: OpenContext) -> None:
    """Raises:
    ManifestTooLarge: the time is nearly over, or there are more lines than fit into memory.
    """
    if context.remaining() < _MARGIN_S:
        read = f"{reading.files} of its lines were read"
        raise ManifestTooLarge(f"the manifest takes too long to read; {read}")
    if reading.files > MANIFEST_LINES:
        raise ManifestTooLarge(f"the manifest has more than {MANIFEST_LINES} lines")


class Findings:
    """The findings of a manifest, up to a bound."""

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
        """The findings, a line each; the last line says how many more there are."""
        findings = (*self._lines, *self._kept.rest())
        return b"".join(json.dumps(finding.document()).encode() + b"\n" for finding in findings)


class _Writer(Protocol):
    def write(self, data: bytes, /) -> int: ...


@dataclass(frozen=True)
class ManifestOutput:
    """What Open writes from a manifest: rows, the index of their chunks, findings."""

    lines: _Writer
    index: _Writer
    findings: Findings


def write_rows(reading: ManifestReader, output: ManifestOutput, chunk_size: int) -> None:
    """Write rows and index while reading; nothing of them is kept in memory. After the first error
    no more rows are written, because the batch will have no jobs.
    """
    number = start = end = held = 0
    for entries, findings in reading:
        output.findings.add(findings)
        for entry in entries if not reading.errors else ():
            line = row_of(entry)
            output.lines.write(line)
            end += len(line)
            held += 1
            if held == chunk_size:
                output.index.write(Chunk(number, start, end).index_line())
                number, start, held = number + 1, end, 0
    if held:
        output.index.write(Chunk(number, start, end).index_line())


def _write_all(reading: ManifestReader, output: ManifestOutput, chunk_size: int) -> str:
    """Write rows and index. Returns why the batch gets no jobs; "" if it does."""
    try:
        write_rows(reading, output, chunk_size)
    except ManifestTooLarge as reason:
        return f"{reason}: divide it"
    if reading.verdict == "error":
        return f"the manifest has {plural(reading.errors, 'error')}"
    most = MAX_CHUNKS * chunk_size
    if reading.entries > most:
        return f"the manifest has {reading.entries} lines; {most} are allowed: divide it"
    return ""


def _upload(context: OpenContext, key: str | Callable[[], str]) -> MultipartUpload:
    return MultipartUpload(context.s3, context.settings.work_bucket, key)


def _put_only_row(batch: Batch, files: int, context: OpenContext) -> None:
    """Write the one row of a manifest of one object; its files are in an object of their own."""
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


def _refuse(batch: Batch, context: OpenContext, reason: str, findings: int) -> NextStep:
    """End the batch without jobs; its report lists the findings."""
    now = context.now()
    move = BATCH.move(batch.state, "report", now, Cause(_opened_cause(context)))
    batches.apply(batch, move, failure_message=reason, findings=findings)
    return NextStep(batch.batch_id, "report")


def _first_pass(batch: Batch, context: OpenContext) -> NextStep:
    settings, key = context.settings, rows.index_key(batch.batch_id)
    version = context.s3.head_object(Bucket=settings.work_bucket, Key=key).get("VersionId", "")
    return NextStep(
        batch.batch_id,
        "execute",
        run=ExecutionRun(MAIN_RUN, 1),
        index_bucket=settings.work_bucket,
        index_key=key,
        index_version=version,
        max_concurrency=settings.max_concurrency,
    )
