"""Opening a batch: find or create it, read and check it, write its rows.

Either all rows are written and the batch has jobs, or the manifest is refused and it has none.
"""

import re
from dataclasses import replace

from jobyard.domain import urls
from jobyard.domain.access import listed, roles_for
from jobyard.domain.batches.batch import (
    BATCH,
    INTAKE_PREFIX,
    Batch,
    BatchState,
    ManifestSource,
)
from jobyard.domain.cause_key import MAIN_RUN, Action, CauseKey
from jobyard.domain.collection import deposit_refusal
from jobyard.domain.errors import NotFound, QuotaExceeded
from jobyard.domain.hold import active_hold, scopes_of
from jobyard.domain.ids import NAME_PATTERN
from jobyard.domain.lifecycle import Cause
from jobyard.domain.plurals import plural
from jobyard.domain.quota import quota_owner
from jobyard.jobtypes import TYPES, batch_refusal
from jobyard.services.batches import rows
from jobyard.services.batches.intake import (
    NO_COLLECTION,
    find_or_create_batch,
    is_manifest,
    with_version,
)
from jobyard.services.batches.manifest_rows import read_manifest
from jobyard.services.batches.open_attempts import open_entry
from jobyard.services.batches.open_context import OpenContext
from jobyard.services.batches.worker_leases import lease_workers
from jobyard.services.quotas import check_room, count_bytes, may_mail, take_slot
from jobyard.services.runs import ExecutionRun, NextStep
from jobyard.services.settings import MANIFEST_BYTES, SAME_MANIFEST, Settings
from jobyard.store import batches, collections, holds, key_values


def open_object(source: ManifestSource, context: OpenContext) -> NextStep:
    """Open the batch of the manifest `source`; end if the object is not a manifest."""
    if not is_manifest(source):
        return NextStep("", "end")
    source = with_version(source, context.s3)
    batch = find_or_create_batch(source, context)
    return open_batch(replace(batch, source=batch.source or source), context)


def open_batch(batch: Batch, context: OpenContext) -> NextStep:
    """Open a batch whose manifest is known. A repeat continues after the last write that succeeded.

    Ends without a change if another execution opens the batch.
    """
    cause = Cause(str(CauseKey(action=Action.OPEN, subject=context.execution)))
    if batch.state is BatchState.PENDING:
        hold = active_hold(
            holds.of_scopes(scopes_of(batch.collection, batch.job_type)), context.now()
        )
        if hold:
            held = replace(cause, reason=hold.description())
            move = BATCH.move(batch.state, "hold", context.now(), held)
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
    """Read the manifest and record the result: the batch has jobs, or it is refused."""
    if (source := batch.source) is None:
        raise NotFound(f"batch {batch.batch_id} has no manifest")
    if reason := _refusal(batch, source, context.settings):
        return _refuse(batch, context, reason, 0)
    if reason := _room_refusal(batch, context):
        if not _may_mail(batch, context):
            batch = replace(batch, notify=())
        return _refuse(batch, context, reason, 0)
    manifest = read_manifest(batch, source, context)
    if manifest.refusal:
        return _refuse(batch, context, manifest.refusal, manifest.findings)
    now = context.now()
    if reason := _byte_refusal(batch, source.size + manifest.size, context):
        return _refuse(batch, context, reason, manifest.findings)
    earlier_batch = key_values.register_manifest(
        f"{batch.collection}#{batch.submitter_sub}#{manifest.sha256}",
        batch.batch_id,
        now,
        now + SAME_MANIFEST,
    )
    opened = open_entry(batch, now, _opened_cause(context), plural(manifest.entries, "job"))
    batch = batches.add_entry(
        batch,
        opened,
        profile=manifest.profile,
        entries=manifest.entries,
        files_count=manifest.files,
        chunk_size=context.settings.chunk_size,
        findings=manifest.findings,
        duplicate_of=earlier_batch,
        manifest_sha256=manifest.sha256,
    )
    return _first_pass(batch, context)


def _room_refusal(batch: Batch, context: OpenContext) -> str:
    """Why there is no room for a dropped manifest in its collection's quota; "" if there is, and
    for a submission, which was counted with its request.
    """
    owner, limits = quota_owner("", batch.collection), context.settings.quotas
    try:
        if batch.is_dropped:
            check_room(owner, batch.batch_id, len(batch.notify), limits, context.now())
    except QuotaExceeded as exceeded:
        return str(exceeded)
    return ""


def _byte_refusal(batch: Batch, size: int, context: OpenContext) -> str:
    """Why a batch exceeds a quota with its bytes; "" if it does not. Then they are counted. Of a
    dropped manifest the batch and its mails are counted too: a submission's were with its request.
    """
    owner, limits, now = quota_owner("", batch.collection), context.settings.quotas, context.now()
    try:
        if batch.is_dropped:
            take_slot(owner, batch.batch_id, len(batch.notify), limits, now, size)
        else:
            count_bytes(batch, size, limits, now)
    except QuotaExceeded as exceeded:
        return str(exceeded)
    return ""


def _may_mail(batch: Batch, context: OpenContext) -> bool:
    """Whether the report on a batch that exceeds a quota may be mailed."""
    owner = quota_owner(batch.submitter_sub, batch.collection)
    return may_mail(owner, len(batch.notify), context.settings.quotas, context.now())


def _opened_cause(context: OpenContext) -> str:
    """The cause of what an execution records after it has read the manifest."""
    return str(CauseKey(action=Action.OPENED, subject=context.execution))


def _refusal(batch: Batch, source: ManifestSource, settings: Settings) -> str:
    """Why a manifest is refused before it is read; "" if it is not.

    The right to deposit may have been withdrawn since the submission; of a dropped manifest it is
    checked here for the first time.
    """
    if source.size > MANIFEST_BYTES:
        return f"the manifest is larger than {MANIFEST_BYTES} bytes"
    if batch.collection == NO_COLLECTION:
        return f"the manifest is in no collection: put it under {INTAKE_PREFIX}COLLECTION/"
    if not re.fullmatch(NAME_PATTERN, batch.collection):
        names = "names are a letter or digit, then letters, digits, . _ and -"
        return f"{batch.collection!r} is not a collection name: {names}"
    if reason := deposit_refusal(
        batch.collection, collections.find(batch.collection), batch.depositor
    ):
        return reason
    if reason := batch_refusal(batch.job_type):
        return reason
    if reason := _drop_refusal(batch):
        return reason
    callback = batch.parameters.get("callback_url")
    reason = urls.callback_error(callback, settings.allowed_hosts) if callback else ""
    return f"its callback URL {reason}" if reason else ""


def _drop_refusal(batch: Batch) -> str:
    """Why a manifest of this job type cannot be dropped in the bucket; "" if it can, or was not.

    Nobody knows who dropped it, so nobody's roles can allow more than a deposit.
    """
    kind = TYPES[batch.job_type].batch_kind
    if batch.submitter_sub or kind == "batch":
        return ""
    people = listed(roles_for(kind, "submit"))
    return f"a {kind} is submitted by {people}, not dropped in the bucket"


def _refuse(batch: Batch, context: OpenContext, reason: str, findings: int) -> NextStep:
    """End the batch without jobs; its report lists the findings."""
    now = context.now()
    move = BATCH.move(batch.state, "report", now, Cause(_opened_cause(context)))
    batches.apply(batch, move, failure_message=reason, findings=findings, notify=batch.notify)
    return NextStep(batch.batch_id, "report")


def _first_pass(batch: Batch, context: OpenContext) -> NextStep:
    """The next step: a pass over the chunks of the batch. If no worker is free, Settle waits."""
    s3, settings, run = context.s3, context.settings, ExecutionRun(MAIN_RUN, 1)
    size = lease_workers(batch, run.name, batch.chunk_count, settings, context.now())
    if not size.workers:
        return NextStep(batch.batch_id, "settle", run=run.before())
    if size.chunks >= batch.chunk_count:
        key = rows.index_key(batch.batch_id)
        version = s3.head_object(Bucket=settings.work_bucket, Key=key).get("VersionId", "")
    else:
        key = rows.pass_key(batch.batch_id, run.name, run.number)
        index = rows.chunks_between(s3, settings, batch.batch_id, 0, size.chunks - 1)
        version = rows.put_index(s3, settings, key, index)
    return NextStep(
        batch.batch_id,
        "execute",
        run=run,
        index_bucket=settings.work_bucket,
        index_key=key,
        index_version=version,
        max_concurrency=size.workers,
    )
