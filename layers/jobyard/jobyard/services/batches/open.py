"""Opening a batch: claim its manifest, read and check all of it, write its rows.

Either all rows are written and the batch has jobs, or the manifest has an error and it has none.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from jobyard.domain import urls
from jobyard.domain.batches.batch import (
    BATCH,
    INTAKE_PREFIX,
    Batch,
    BatchState,
    ManifestSource,
)
from jobyard.domain.batches.chunks import MAX_CHUNKS, Chunk
from jobyard.domain.cause_key import MAIN_RUN, Action, CauseKey
from jobyard.domain.collection import deposit_refusal
from jobyard.domain.errors import NotFound
from jobyard.domain.history import HistoryEntry
from jobyard.domain.hold import NAME_PATTERN, active_hold, scopes_of
from jobyard.domain.lifecycle import MACHINE, Cause
from jobyard.domain.manifests.reader import ManifestReader
from jobyard.domain.plurals import plural
from jobyard.jobtypes import batch_refusal
from jobyard.services.batches import rows
from jobyard.services.batches.intake import NO_COLLECTION, claim, is_manifest, version_of
from jobyard.services.batches.manifest_rows import (
    Findings,
    ManifestOutput,
    ManifestTooLarge,
    write_rows,
)
from jobyard.services.batches.open_context import OpenContext
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
    pass

_REMOVED = frozenset({"NoSuchKey", "NoSuchVersion", "404", "405"})  # 405: a delete marker
_BLOCK = 1024 * 1024
_MARGIN_S = 60.0  # seconds before its time is over, from which a manifest is read no further


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
