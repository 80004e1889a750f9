"""Report a batch: write the files, send the mail, end the batch.

The order is: the report's record, the mail, the batch's transition. An existing record is not
written again. So each change is reported once, even after a crash.

The jobs of a large batch are reported in slices, one per call: see `slices`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobyard.domain.batches.batch import BATCH, Batch, BatchState
from jobyard.domain.batches.report import Delivery, DeliveryState, Report, ReportKind
from jobyard.domain.batches.report_text import ReportContent, finding_line, mail_of
from jobyard.domain.cause_key import Action, CauseKey
from jobyard.domain.lifecycle import Cause
from jobyard.domain.mail_text import MAX_LISTED_JOBS
from jobyard.domain.text import safe_cell
from jobyard.domain.webhooks import WebhookEvent
from jobyard.services.quotas import count_stored
from jobyard.services.reports.context import ReportContext
from jobyard.services.reports.cost import cost_document, cost_of
from jobyard.services.reports.files import Files, findings_of
from jobyard.services.reports.links import report_address
from jobyard.services.reports.mail import deliver
from jobyard.services.reports.reported_jobs import BatchJobs
from jobyard.services.reports.slices import Slices, write_all
from jobyard.services.reports.webhooks import links, queue_deliveries
from jobyard.services.runs import NextAction
from jobyard.store import batches, reports, usage

REPORTING_STATES = frozenset({BatchState.REPORTING, BatchState.UPDATE_REPORTING})
_FINDING_COLUMNS = ("level", "code", "line", "column", "message")


@dataclass(frozen=True)
class ReportProgress:
    """How far a batch or campaign is reported: its state, the number of its last report, and the
    next step of the execution. `duration_s` is how long it took, after its first report only.
    """

    state: str
    last_report: int
    next: NextAction
    duration_s: float | None = None


def report(batch_id: str, context: ReportContext) -> ReportProgress:
    """Report a batch and end it, or write one slice of a large report.

    Call again while the batch is still reporting. A batch in another state is left as it is.
    """
    batch = _report(batch_id, context)
    duration_s = None
    if batch.started_at and batch.ended_at and batch.last_report == 1:
        duration_s = (batch.ended_at - batch.started_at).total_seconds()
    step: NextAction = "report" if batch.state in REPORTING_STATES else "end"
    return ReportProgress(batch.state, batch.last_report, step, duration_s)


def _report(batch_id: str, context: ReportContext) -> Batch:
    batch = batches.get(batch_id, context.now())
    if batch.state not in REPORTING_STATES:
        return batch
    seq = batch.last_report + 1
    written = reports.find(batch_id, seq)
    if written is None:
        slices = Slices(BatchJobs(batch), context)
        if slices.write_next():
            return batch
        written = _write(batch, seq, slices, context)
    if written is None:
        return _end(batch, _last_counts(batch), context, "no change since the last report")
    deliver(written, context)
    count_stored(batch, usage.of_origin(batch_id).bytes_stored, context.now())
    deliveries = _queue_webhooks(batch, written, context)
    counts = written.counts
    ended = _end(batch, counts, context, "", last_report=seq, reported_counts=counts)
    for each in deliveries:
        deliver(each, context)
    return ended


def _queue_webhooks(batch: Batch, written: Report, context: ReportContext) -> list[Report]:
    """Store the webhook deliveries about a batch that ends with this report."""
    path = f"batches/{batch.batch_id}"
    data = {
        "batch_id": batch.batch_id,
        "state": BATCH.transition(batch.state, _end_event(batch, written.counts)).after,
        "collection": batch.collection,
        "job_type": batch.job_type,
        "filename": batch.filename,
        "entries": batch.entries,
        "counts": {name: count for name, count in written.counts.items() if count},
        "report": written.seq,
        "links": links(path, context.settings),
    }
    return queue_deliveries(
        WebhookEvent.BATCH_ENDED,
        batch.batch_id,
        written.seq,
        written.created_at,
        data,
        batch.collection,
    )


def _last_counts(batch: Batch) -> dict[str, int]:
    return dict(reports.get(batch.batch_id, batch.last_report).counts)


def _end(batch: Batch, counts: Any, context: ReportContext, reason: str, **changes: Any) -> Batch:
    now = context.now()
    # Each version of a batch is reported once, so only a repeat of this call has the same cause.
    cause = Cause(str(CauseKey(action=Action.REPORT, subject=str(batch.version))), reason=reason)
    move = BATCH.move(batch.state, _end_event(batch, counts), now, cause)
    return batches.apply(batch, move, report_checked_at=now, ended_at=now, **changes)


def _end_event(batch: Batch, counts: Mapping[str, int]) -> str:
    if batch.is_cancelled:
        return "stop"
    if counts.get("failed") or counts.get("waiting") or batch.failure_message:
        # Waiting: a job was requeued while this report was written. The next report has its end.
        return "fail"
    if batch.entries and counts.get("deleted", 0) == batch.entries:
        return "clear"
    return "complete"


def _write(batch: Batch, seq: int, slices: Slices, context: ReportContext) -> Report | None:
    """Write the report's files and record. Returns None if it is an update without changes."""
    now = context.now()
    if not batch.entries:
        return _write_refused(batch, seq, context)
    update = batch.state is BatchState.UPDATE_REPORTING
    with Files(_prefix(batch, seq), context) as files:
        summary = write_all(BatchJobs(batch), slices, files, context)
        if update and not summary.changed:
            return None
        kind = ReportKind.UPDATE if update else ReportKind.FIRST
        content = ReportContent(
            batch=batch,
            kind=kind,
            seq=seq,
            at=now,
            instance=context.settings.instance,
            counts=summary.counts,
            groups=summary.groups(),
            jobs=summary.shown,
            more_jobs=(summary.changed if update else summary.failed) - len(summary.shown),
            findings=(),
            more_findings=0,
            link=_link(batch, context),
            cost=cost_of(batch.batch_id, batch.notify, context),
            stored=summary.stored,
            more_stored=summary.stored_count - len(summary.stored),
            report_address=_address(batch, seq, now, context),
        )
        files.json.end_array(counts=summary.counts, cost=cost_document(content.cost))
        keys = files.publish(mail_of(content))
    return _put_report(content, summary.changed, keys, context)


def _write_refused(batch: Batch, seq: int, context: ReportContext) -> Report:
    """Write the report of a batch whose manifest was refused: findings instead of jobs."""
    shown: list[str] = []
    with Files(_prefix(batch, seq), context) as files:
        files.all.writerow((*_FINDING_COLUMNS, "batch_id"))
        files.json.begin_array(batch.batch_id, "batch_id", "findings")
        for finding in findings_of(batch, context):
            cells = (safe_cell(str(finding[name] or "")) for name in _FINDING_COLUMNS)
            files.all.writerow((*cells, batch.batch_id))
            files.json.add(finding)
            if len(shown) < MAX_LISTED_JOBS:
                shown.append(finding_line(finding))
        content = ReportContent(
            batch=batch,
            kind=ReportKind.REFUSED,
            seq=seq,
            at=context.now(),
            instance=context.settings.instance,
            counts={},
            groups=(),
            jobs=(),
            more_jobs=0,
            findings=shown,
            more_findings=batch.findings - len(shown),
            link=_link(batch, context),
            cost=cost_of(batch.batch_id, batch.notify, context),
            report_address=_address(batch, seq, context.now(), context),
        )
        files.json.end_array(cost=cost_document(content.cost))
        keys = files.publish(mail_of(content))
    return _put_report(content, 0, keys, context)


def _put_report(
    content: ReportContent, changed: int, keys: dict[str, str], context: ReportContext
) -> Report:
    batch = content.batch
    unwanted = DeliveryState.FAILED if batch.undeliverable else DeliveryState.SUPPRESSED
    state = DeliveryState.QUEUED if batch.notify else unwanted
    return reports.put_new(
        Report(
            batch_id=batch.batch_id,
            seq=content.seq,
            kind=content.kind,
            created_at=content.at,
            to=batch.notify,
            subject=content.subject,
            outcome=content.outcome,
            counts=content.counts,
            changed_count=changed,
            files=keys,
            delivery=Delivery(state, content.at, undeliverable=batch.undeliverable),
        )
    )


def _prefix(batch: Batch, seq: int) -> str:
    return f"reports/{batch.batch_id}/{seq:04d}"


def _address(batch: Batch, seq: int, now: datetime, context: ReportContext) -> str:
    return report_address(batch.batch_id, seq, context.settings, now, context.signing_key)


def _link(batch: Batch, context: ReportContext) -> str:
    return f"{context.settings.url}/api/batches/{batch.batch_id}/reports"
