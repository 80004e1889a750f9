"""Reporting a batch: the files, the one mail, the end of the batch.

The report is written down before anything is sent, and only then does the batch move; a report
that is found written is not written again. So each real change is told once, whatever dies when.
"""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING, Any

from jobyard.domain import letters
from jobyard.domain.batch import BATCH, Batch, BatchState
from jobyard.domain.chunks import Chunk
from jobyard.domain.errors import StaleState
from jobyard.domain.failures import Failure
from jobyard.domain.job import JobRecord, JobState, Place, unrecorded
from jobyard.domain.letters import SHOWN, Told, ToldJob
from jobyard.domain.lifecycle import Cause
from jobyard.domain.report import (
    OUTCOME_LETTERS,
    OUTCOME_WORDS,
    Delivery,
    DeliveryState,
    FailureGroup,
    Report,
    ReportKind,
    safe_cell,
)
from jobyard.jobtypes import TYPES
from jobyard.services import rows
from jobyard.services.settings import Settings
from jobyard.store import batches, jobs, reports

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sesv2 import SESV2Client

UNKNOWN_FOR = timedelta(minutes=15)  # how long a hand-over without an answer is let be
MAIL_TRIES = 10
_IN_MEMORY = 4 * 1024 * 1024


@dataclass(frozen=True)
class Reporting:
    """What reporting needs: the deployment, S3, the mail service and the clock."""

    settings: Settings
    s3: "S3Client"
    mail: "SESV2Client"
    now: Callable[[], datetime]


def report(batch_id: str, reporting: Reporting) -> Batch:
    """Tell how a batch stands and end it. A batch that is not reporting is left as it is."""
    batch = batches.get(batch_id, reporting.now())
    if batch.state not in {BatchState.REPORTING, BatchState.UPDATE_REPORTING}:
        return batch
    seq = batch.last_report + 1
    written = next((each for each in reports.of_batch(batch_id) if each.seq == seq), None)
    if written is None:
        written = _write(batch, seq, reporting)
    if written is None:
        return _end(batch, _last_counts(batch), reporting, "no change since the last report")
    deliver(written, reporting)
    return _end(batch, written.counts, reporting, "", last_report=seq, reported=written.counts)


def _last_counts(batch: Batch) -> dict[str, int]:
    return dict(reports.get(batch.batch_id, batch.last_report).counts)


def _end(batch: Batch, counts: Any, reporting: Reporting, reason: str, **changes: Any) -> Batch:
    now = reporting.now()
    cancelled = any(entry.after == BatchState.CANCELLING for entry in batch.history)
    if cancelled:
        event = "stop"
    elif counts.get("failed") or batch.message:
        event = "fail"
    elif batch.entries and counts.get("deleted", 0) == batch.entries:
        event = "clear"
    else:
        event = "complete"
    # One report, one move: a repeat of this very call is the only other writer there can be.
    cause = Cause(f"report.{batch.version}", reason=reason)
    move = BATCH.move(batch.state, event, now, cause)
    return batches.apply(batch, move, checked_at=now, ended_at=now, **changes)


# Writing


def _write(batch: Batch, seq: int, reporting: Reporting) -> Report | None:
    """Write the report's files and record; None when an update finds that nothing changed."""
    now = reporting.now()
    if not batch.entries:
        return _write_refused(batch, seq, reporting)
    update = batch.state is BatchState.UPDATE_REPORTING
    with _Files() as files:
        summary = _summarise(batch, files, reporting, update=update)
        if update and not summary.changed:
            return None
        kind = ReportKind.UPDATE if update else ReportKind.FIRST
        told = Told(
            batch=batch,
            kind=kind,
            seq=seq,
            at=now,
            instance=reporting.settings.instance,
            counts=summary.counts,
            groups=summary.groups(),
            jobs=summary.shown,
            more_jobs=(summary.changed if update else summary.failed) - len(summary.shown),
            findings=(),
            more_findings=0,
            link=_link(batch, reporting),
        )
        files.json.write(b"\n],\n")
        files.json.write(f'"counts": {json.dumps(summary.counts)}'.encode() + b"}\n")
        keys = files.upload(_prefix(batch, seq), told, reporting)
    return _put(told, summary.changed, keys, reporting)


def _write_refused(batch: Batch, seq: int, reporting: Reporting) -> Report:
    findings = list(_findings(batch, reporting))
    shown = [_finding_line(finding) for finding in findings[:SHOWN]]
    told = Told(
        batch=batch,
        kind=ReportKind.REFUSED,
        seq=seq,
        at=reporting.now(),
        instance=reporting.settings.instance,
        counts={},
        groups=(),
        jobs=(),
        more_jobs=0,
        findings=shown,
        more_findings=len(findings) - len(shown),
        link=_link(batch, reporting),
    )
    with _Files() as files:
        files.json.write(f'"findings": {json.dumps(findings)}'.encode() + b"}\n")
        files.all.writerow(("level", "code", "line", "column", "message"))
        for finding in findings:
            files.all.writerow(
                safe_cell(str(finding[name]))
                for name in ("level", "code", "line", "column", "message")
            )
        keys = files.upload(_prefix(batch, seq), told, reporting)
    return _put(told, 0, keys, reporting)


def _put(told: Told, changed: int, keys: dict[str, str], reporting: Reporting) -> Report:
    batch = told.batch
    state = DeliveryState.QUEUED if batch.notify else DeliveryState.SUPPRESSED
    return reports.put_new(
        Report(
            batch_id=batch.batch_id,
            seq=told.seq,
            kind=told.kind,
            at=told.at,
            to=batch.notify,
            subject=told.subject,
            outcome=told.outcome,
            counts=told.counts,
            changed=changed,
            files=keys,
            delivery=Delivery(state, told.at),
        )
    )


def _prefix(batch: Batch, seq: int) -> str:
    return f"reports/{batch.batch_id}/{seq:04d}"


def _link(batch: Batch, reporting: Reporting) -> str:
    return f"{reporting.settings.url}/api/batches/{batch.batch_id}/reports"


def _findings(batch: Batch, reporting: Reporting) -> Iterator[dict[str, Any]]:
    if not batch.findings:
        return
    body = reporting.s3.get_object(
        Bucket=reporting.settings.work_bucket, Key=rows.findings_key(batch.batch_id)
    )["Body"]
    for line in body.iter_lines():
        yield json.loads(line)


def _finding_line(finding: dict[str, Any]) -> str:
    where = f"line {finding['line']}" if finding["line"] else "the manifest"
    if finding["column"]:
        where += f", column {finding['column']}"
    return f"{where}: {finding['level']}: {finding['message']} ({finding['code']})"


COLUMNS = (
    "job_id",
    "line",
    "name",
    "url",
    "state",
    "word",
    "step",
    "failure_code",
    "failure_message",
    "attempts",
    "requeues",
    "ended_at",
    "result",
)


@dataclass(frozen=True)
class _Encoded:
    """What a csv writer writes to, when the file takes bytes."""

    spool: IO[bytes]

    def write(self, text: str) -> int:
        return self.spool.write(text.encode())


class _Files:
    """The files of a report while they are written: CSV of all jobs and of failures, JSON."""

    def __init__(self) -> None:
        self._spools: dict[str, IO[bytes]] = {
            name: SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 closed in __exit__
            for name in ("jobs.csv", "failures.csv", "report.json", "outcomes")
        }
        self.all = csv.writer(_Encoded(self._spools["jobs.csv"]))
        self.failures = csv.writer(_Encoded(self._spools["failures.csv"]))
        self.json = self._spools["report.json"]
        self.outcomes = self._spools["outcomes"]
        self.json.write(b"{")

    def __enter__(self) -> "_Files":
        return self

    def __exit__(self, *_: object) -> None:
        for spool in self._spools.values():
            spool.close()

    def upload(self, prefix: str, told: Told, reporting: Reporting) -> dict[str, str]:
        """Put the files, the page and the mail's text where they stay; the keys by name."""
        bucket = reporting.settings.work_bucket
        keys: dict[str, str] = {}
        for name, spool in self._spools.items():
            spool.seek(0)
            keys[name] = f"{prefix}/{name}"
            reporting.s3.upload_fileobj(spool, bucket, keys[name])
        written = {"report.html": letters.page(told), "mail.txt": letters.text(told)}
        for name, words in written.items():
            keys[name] = f"{prefix}/{name}"
            reporting.s3.put_object(
                Bucket=bucket,
                Key=keys[name],
                Body=words.encode(),
                ContentType="text/html; charset=utf-8" if name.endswith("html") else "text/plain",
            )
        return keys


@dataclass
class _Summary:
    counts: dict[str, int]
    codes: dict[str, list[str]]
    code_counts: dict[str, int]
    shown: list[ToldJob]
    changed: int = 0
    failed: int = 0

    def groups(self) -> tuple[FailureGroup, ...]:
        """The failures by code, the largest group first."""
        ordered = sorted(self.code_counts, key=lambda code: (-self.code_counts[code], code))
        return tuple(
            FailureGroup(
                code, Failure(code).sentence, self.code_counts[code], tuple(self.codes[code])
            )
            for code in ordered
        )


def _summarise(batch: Batch, files: _Files, reporting: Reporting, *, update: bool) -> _Summary:
    """Go through all jobs once, in manifest order, writing files and counting."""
    summary = _Summary({}, {}, {}, [])
    told_before = _outcomes_told(batch, reporting) if update else iter(())
    files.all.writerow(COLUMNS)
    files.failures.writerow(COLUMNS)
    files.json.write(f'"batch_id": "{batch.batch_id}", "jobs": ['.encode())
    separator = b"\n"
    for row, job in _all_jobs(batch, reporting):
        letter = OUTCOME_LETTERS[job.state]
        files.outcomes.write(letter.encode())
        word = OUTCOME_WORDS[letter] if letter == "w" else job.state.value
        summary.counts[word] = summary.counts.get(word, 0) + 1
        cells = _cells(batch, row, job)
        files.all.writerow(safe_cell(cell) for cell in cells)
        files.json.write(separator + json.dumps(dict(zip(COLUMNS, cells, strict=True))).encode())
        separator = b",\n"
        if job.state is JobState.FAILED:
            files.failures.writerow(safe_cell(cell) for cell in cells)
            summary.failed += 1
            code = job.failure_code
            summary.code_counts[code] = summary.code_counts.get(code, 0) + 1
            summary.codes.setdefault(code, [])[3:] = []
            summary.codes[code].append(job.place.job_id)
        before = next(told_before, "") if update else ""
        is_news = before != letter if update else job.state is JobState.FAILED
        summary.changed += update and before != letter
        if is_news and len(summary.shown) < SHOWN:
            summary.shown.append(
                ToldJob(
                    job.place.job_id,
                    str(row.get("name", "")),
                    OUTCOME_WORDS[letter],
                    OUTCOME_WORDS.get(before, ""),
                    job.failure_message if job.state is JobState.FAILED else "",
                )
            )
    return summary


def _outcomes_told(batch: Batch, reporting: Reporting) -> Iterator[str]:
    key = reports.get(batch.batch_id, batch.last_report).files["outcomes"]
    body = reporting.s3.get_object(Bucket=reporting.settings.work_bucket, Key=key)["Body"]
    for block in body.iter_chunks():
        yield from block.decode()


def _all_jobs(batch: Batch, reporting: Reporting) -> Iterator[tuple[rows.Row, JobRecord]]:
    """Every job of the batch with its row, in manifest order. A cancelled batch's rows that never
    ran are cancelled."""
    cancelled = any(entry.after == BatchState.CANCELLING for entry in batch.history)
    settings = reporting.settings
    lines = reporting.s3.get_object(
        Bucket=settings.work_bucket, Key=rows.index_key(batch.batch_id)
    )["Body"]
    for line in lines.iter_lines():
        chunk = Chunk.of_line(line)
        recorded = {job.place.position: job for job in jobs.of_chunk(batch.batch_id, chunk.chunk)}
        for position, row in enumerate(rows.rows_of(reporting.s3, settings, batch.batch_id, chunk)):
            job = recorded.get(position)
            if job is None:
                job = unrecorded(Place(batch.batch_id, chunk.chunk, position), batch.submitted_at)
                job = replace(job, state=JobState.CANCELLED) if cancelled else job
            yield row, job


def _cells(batch: Batch, row: rows.Row, job: JobRecord) -> tuple[str, ...]:
    last = job.attempts[-1] if job.attempts else None
    ended = last.ended_at.isoformat() if last and last.ended_at else ""
    return (
        job.place.job_id,
        str(row.get("line", "")),
        str(row.get("name", "")),
        str(row.get("url", "")),
        job.state.value,
        word_of(batch, job.state),
        last.step if last else "",
        job.failure_code if job.state is JobState.FAILED else "",
        job.failure_message if job.state is JobState.FAILED else "",
        str(len(job.attempts)),
        str(job.requeues),
        ended,
        json.dumps(dict(job.data), sort_keys=True) if job.data else "",
    )


def word_of(batch: Batch, state: JobState) -> str:
    """The word the users of the batch's job type know a job state by."""
    return TYPES[batch.job_type].words.get(state.value, state.value)


# The mail


def deliver(report: Report, reporting: Reporting) -> Report:
    """Hand a report's mail to the mail service, if that has not been done.

    A hand-over whose answer was never written down is let be for a quarter of an hour and then
    repeated: the mail service has no way to ask it whether it took a message, so in that case, and
    only then, a mail may come twice.
    """
    now = reporting.now()
    delivery = report.delivery
    waiting = delivery.state is DeliveryState.QUEUED or (
        delivery.state is DeliveryState.SENDING and now - delivery.at >= UNKNOWN_FOR
    )
    if not waiting:
        return report
    handing = Delivery(DeliveryState.SENDING, now, tries=delivery.tries + 1)
    try:
        report = reports.put_delivery(report, handing)
    except StaleState:
        return reports.get(report.batch_id, report.seq)  # another worker has it in hand
    try:
        message_id = _send(report, reporting)
    except reporting.mail.exceptions.ClientError as refusal:
        state = DeliveryState.QUEUED if handing.tries < MAIL_TRIES else DeliveryState.FAILED
        return _note(report, replace(handing, state=state, error=str(refusal)), reporting)
    sent = replace(handing, state=DeliveryState.SENT, message_id=message_id)
    return _note(report, sent, reporting)


def _note(report: Report, delivery: Delivery, reporting: Reporting) -> Report:
    try:
        return reports.put_delivery(report, replace(delivery, at=reporting.now()))
    except StaleState:
        return reports.get(report.batch_id, report.seq)  # news from the mail service came first


def _send(report: Report, reporting: Reporting) -> str:
    settings = reporting.settings

    def words(name: str) -> str:
        answer = reporting.s3.get_object(Bucket=settings.work_bucket, Key=report.files[name])
        text: str = answer["Body"].read().decode()
        return text

    answer = reporting.mail.send_email(
        FromEmailAddress=settings.mail_from,
        Destination={
            "ToAddresses": list(report.to),
            "BccAddresses": [settings.mail_bcc] if settings.mail_bcc else [],
        },
        Content={
            "Simple": {
                "Subject": {"Data": report.subject, "Charset": "UTF-8"},
                "Body": {
                    "Text": {"Data": words("mail.txt"), "Charset": "UTF-8"},
                    "Html": {"Data": words("report.html"), "Charset": "UTF-8"},
                },
                # All mails of a batch in one thread.
                "Headers": [{"Name": "References", "Value": f"<{report.batch_id}@jobyard>"}],
            }
        },
        ConfigurationSetName=settings.mail_configuration_set,
        EmailTags=[
            {"Name": "batch_id", "Value": report.batch_id},
            {"Name": "seq", "Value": str(report.seq)},
        ],
    )
    return answer["MessageId"]


def deliver_waiting(reporting: Reporting) -> int:
    """Hand over what the outbox still holds; the answer is how many reports it holds after."""
    left = 0
    for seen in reports.undelivered():
        report_now = deliver(reports.get(seen.batch_id, seen.seq), reporting)
        left += report_now.delivery.state in {DeliveryState.QUEUED, DeliveryState.SENDING}
    return left


_NEWS = {
    "Delivery": DeliveryState.DELIVERED,
    "Bounce": DeliveryState.BOUNCED,
    "Complaint": DeliveryState.BOUNCED,
    "Reject": DeliveryState.FAILED,
    "Send": DeliveryState.SENT,
}


def note_delivery(batch_id: str, seq: int, news: str, message_id: str, at: datetime) -> Report:
    """Write down what the mail service tells of a report's mail; older news changes nothing.

    Raises:
        Unknown: there is no such report.
        StaleState: someone else wrote at the same time; the caller should come again.
    """
    written = reports.get(batch_id, seq)
    state = _NEWS.get(news)
    final = {DeliveryState.DELIVERED, DeliveryState.BOUNCED, DeliveryState.FAILED}
    if state is None or written.delivery.state in final or state is written.delivery.state:
        return written
    delivery = replace(written.delivery, state=state, message_id=message_id, at=at)
    return reports.put_delivery(written, delivery)
