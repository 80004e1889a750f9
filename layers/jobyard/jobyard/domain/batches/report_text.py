"""The text of a report: its mail as plain text and as HTML, which is also its page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any

from jobyard.domain.batches.batch import Batch
from jobyard.domain.batches.report import FailureGroup, ReportKind
from jobyard.domain.cost import Cost
from jobyard.domain.text import clean

MAX_LISTED_JOBS = 50  # jobs that a mail lists; jobs.csv lists all
_MAX_TEXT_BYTES = 400  # of a name or message in a mail


@dataclass(frozen=True)
class ReportedJob:
    """A job in a report. `previous_outcome` is that of the last report, "" if it has none."""

    job_id: str
    name: str
    outcome: str
    previous_outcome: str = ""
    message: str = ""


@dataclass(frozen=True)
class ReportContent:
    """The content of a report.

    `jobs` are the failed jobs, in an update the changed ones; `more_jobs` counts those that are not
    listed. `findings` and `more_findings` are the same for the manifest's findings.
    """

    batch: Batch
    kind: ReportKind
    seq: int
    at: datetime
    instance: str
    counts: Mapping[str, int]
    groups: Sequence[FailureGroup]
    jobs: Sequence[ReportedJob]
    more_jobs: int
    findings: Sequence[str]
    more_findings: int
    link: str
    cost: Cost

    @property
    def outcome(self) -> str:
        """OK or FAIL.

        OK: the batch was neither refused nor cancelled, a job succeeded, and none failed or is
        open. Jobs that a person cancelled or deleted do not count.
        """
        counts = self.counts
        has_failed = self.batch.is_cancelled or self.batch.failure_message
        incomplete = counts.get("failed") or counts.get("waiting") or not counts.get("succeeded")
        return "FAIL" if has_failed or incomplete else "OK"

    @property
    def cancelled_or_deleted(self) -> int:
        """How many jobs a person cancelled or deleted."""
        return self.counts.get("cancelled", 0) + self.counts.get("deleted", 0)

    @property
    def subject(self) -> str:
        """The mail's subject, with the outcome. It always begins alike, for mail filters.

        Depositors have always read "submission" in these mails; elsewhere it is a batch.
        """
        instance = f" [{self.instance}]" if self.instance else ""
        update = " (update)" if self.kind is ReportKind.UPDATE else ""
        processed = f"Submission processed: {self.batch.batch_id}"
        return clean(f"Jobyard{instance}: {self.outcome} -- {processed}{update}")


def finding_line(finding: Mapping[str, Any]) -> str:
    """A finding as one line of a mail."""
    where = f"line {finding['line']}" if finding["line"] else "the manifest"
    if finding["column"]:
        where += f", column {finding['column']}"
    return f"{where}: {finding['level']}: {finding['message']} ({finding['code']})"


def _short(text: str) -> str:
    return clean(text, _MAX_TEXT_BYTES)


def _time(at: datetime | None) -> str:
    return "-" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _facts(content: ReportContent) -> list[tuple[str, str]]:
    """The lines of the report's head, as (name, value)."""
    batch, counts = content.batch, content.counts
    order = ("succeeded", "partially_succeeded", "failed", "cancelled", "deleted", "waiting")
    jobs = ", ".join(
        f"{counts.get(state, 0)} {state.replace('_', ' ')}"
        for state in order
        if counts.get(state) or state in {"succeeded", "failed"}
    )
    facts = [
        ("Submission", batch.batch_id),
        ("Manifest", batch.filename),
        ("Collection", batch.collection),
        ("Submitted", f"{_time(batch.submitted_at)} by {batch.submitter}"),
        ("Reported", _time(content.at)),
        ("Jobs", jobs),
        ("Cost", content.cost.description()),
    ]
    for entry in batch.history:
        if entry.event == "cancel":
            reason = f": {entry.reason}" if entry.reason else ""
            facts.append(("Cancelled", f"{_time(entry.at)} by {entry.actor}{reason}"))
    if batch.failure_message:
        facts.append(("Reason", batch.failure_message))
    if batch.duplicate_of:
        facts.append(("Note", f"looks like batch {batch.duplicate_of}: the same manifest"))
    facts += [("No mail to", each.description) for each in batch.undeliverable]
    # Cleaned, so that a file name or a reason cannot add lines to the mail.
    return [(name, clean(value)) for name, value in facts]


def _headline(content: ReportContent) -> str:
    if content.kind is ReportKind.UPDATE:
        return "The outcome of some jobs has changed since the last report."
    if content.batch.is_cancelled:
        return "Your submission was cancelled."
    if content.batch.failure_message and not content.batch.entries:
        return "The manifest was refused; no jobs were created."
    not_done = content.cancelled_or_deleted
    if not_done and not_done == sum(content.counts.values()):
        return "All jobs of your submission were cancelled or deleted."
    if content.outcome == "OK":
        were = f"{not_done} {'were' if not_done > 1 else 'was'} cancelled or deleted"
        other = "All other jobs of your submission are done"
        return f"{other}; {were}." if not_done else "All jobs of your submission are done."
    return "Your submission was processed, but not all jobs succeeded."


def _jobs_title(content: ReportContent) -> str:
    return "Changed since the last report" if content.kind is ReportKind.UPDATE else "Failed jobs"


def _change(job: ReportedJob, arrow: str) -> str:
    if not job.previous_outcome:
        return job.outcome
    return f"{job.previous_outcome} {arrow} {job.outcome}"


def _job_line(job: ReportedJob) -> str:
    message = f" ({_short(job.message)})" if job.message else ""
    return f"{_short(job.name) or job.job_id}: {_change(job, '->')}{message} [{job.job_id}]"


def render_text(content: ReportContent) -> str:
    """The mail as plain text."""
    lines = [_headline(content), ""]
    lines += [f"{name + ':':<12} {value}" for name, value in _facts(content)]
    if content.groups:
        lines += ["", "Failures by code:"]
        lines += [f"  {each.count} x {each.code}: {each.description}" for each in content.groups]
    if content.jobs:
        lines += ["", f"{_jobs_title(content)}:"]
        lines += [f"  {_job_line(job)}" for job in content.jobs]
    if content.more_jobs:
        lines.append(f"  and {content.more_jobs} more; jobs.csv lists all jobs")
    if content.findings:
        lines += ["", "Findings in the manifest:"]
        lines += [f"  {_short(line)}" for line in content.findings]
    if content.more_findings:
        lines.append(f"  and {content.more_findings} more; jobs.csv lists all findings")
    lines += ["", f"Full report: {_download_command(content)}", f"API: {content.link}", ""]
    return "\n".join(lines)


def _download_command(content: ReportContent) -> str:
    return f"jobyard reports {content.batch.batch_id} --download ."


_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;color:#1b1b1b;background:#fff;margin:2rem auto;"
    "max-width:60rem;padding:0 1rem}h1{font-size:1.3rem}h2{font-size:1.05rem;margin-top:1.6rem}"
    "table{border-collapse:collapse}td,th{text-align:left;padding:.25rem .9rem .25rem 0;"
    "vertical-align:top;border-bottom:1px solid #ddd}th{font-weight:600}"
    ".ok{color:#0b6b2e}.fail{color:#a4161a}"
)


def render_html(content: ReportContent) -> str:
    """The mail as HTML, which is also the report's page. All text from outside is escaped."""
    css_class = "ok" if content.outcome == "OK" else "fail"
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f"<title>{escape(content.subject)}</title><style>{_STYLE}</style></head><body>",
        f'<h1><span class="{css_class}">{content.outcome}</span>: ',
        f"{escape(_headline(content))}</h1>",
        _table((), _facts(content)),
    ]
    if content.groups:
        rows = [(str(group.count), group.code, group.description) for group in content.groups]
        parts += ["<h2>Failures by code</h2>", _table(("Jobs", "Code", "What it means"), rows)]
    if content.jobs:
        rows = [(_short(job.name), _change(job, "→"), _short(job.message)) for job in content.jobs]
        parts.append(f"<h2>{_jobs_title(content)}</h2>")
        parts.append(_table(("File", "Outcome", "Message"), rows))
    if content.more_jobs:
        parts.append(f"<p>and {content.more_jobs} more; jobs.csv lists all jobs</p>")
    if content.findings:
        lines = [(_short(line),) for line in content.findings]
        parts += ["<h2>Findings in the manifest</h2>", _table((), lines)]
    if content.more_findings:
        parts.append(f"<p>and {content.more_findings} more; jobs.csv lists all findings</p>")
    parts.append(f"<p>Full report: <code>{escape(_download_command(content))}</code><br>")
    parts.append(f"API: <code>{escape(content.link)}</code></p>")
    parts.append("</body></html>\n")
    return "".join(parts)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>" for cells in rows
    )
    return f"<table>{f'<tr>{top}</tr>' if top else ''}{body}</table>"
