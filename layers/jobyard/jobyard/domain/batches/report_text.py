"""What a report says: the mail in text and HTML, and the page. Words only; sending is elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from jobyard.domain.batches.batch import Batch
from jobyard.domain.batches.report import FailureGroup, ReportKind
from jobyard.domain.cost import Cost
from jobyard.domain.text import clean

MAX_LISTED_JOBS = 50  # jobs a mail names; the files name all
_LONGEST = 400  # bytes of a name or message a mail shows


@dataclass(frozen=True)
class ReportedJob:
    """A job as a report tells of it. `before` is what the last report told, "" when it is new."""

    job_id: str
    name: str
    outcome: str
    previous_outcome: str = ""
    message: str = ""


@dataclass(frozen=True)
class ReportContent:
    """What a report has to say. `jobs` are the failed ones, or those that changed."""

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
        """OK when something succeeded, nothing was refused or cancelled as a whole, and no job
        failed or is open; else FAIL. What a person gave up of it does not count."""
        counts = self.counts
        bad = self.batch.is_cancelled or self.batch.failure_message
        short = counts.get("failed") or counts.get("waiting") or not counts.get("succeeded")
        return "FAIL" if bad or short else "OK"

    @property
    def given_up(self) -> int:
        """How many jobs a person cancelled or deleted."""
        return self.counts.get("cancelled", 0) + self.counts.get("deleted", 0)

    @property
    def subject(self) -> str:
        """The mail's subject; it tells the outcome, and says the same first words each time."""
        where = f" [{self.instance}]" if self.instance else ""
        again = " (update)" if self.kind is ReportKind.UPDATE else ""
        told = f"Submission processed: {self.batch.batch_id}"
        return clean(f"Jobyard{where}: {self.outcome} -- {told}{again}")


def _short(words: str) -> str:
    return clean(words, _LONGEST)


def _time(at: datetime | None) -> str:
    return "-" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _facts(told: ReportContent) -> list[tuple[str, str]]:
    batch, counts = told.batch, told.counts
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
        ("Reported", _time(told.at)),
        ("Jobs", jobs),
    ]
    facts.append(("Cost", told.cost.description()))
    for entry in batch.history:
        if entry.event == "cancel":
            why = f": {entry.reason}" if entry.reason else ""
            facts.append(("Cancelled", f"{_time(entry.at)} by {entry.actor}{why}"))
    if batch.failure_message:
        facts.append(("Reason", batch.failure_message))
    if batch.duplicate_of:
        facts.append(("Note", f"looks like batch {batch.duplicate_of}: the same manifest"))
    facts += [("Not told", each.description) for each in batch.undeliverable]
    # Whoever named a file or gave a reason does not write a line of this mail by it.
    return [(name, clean(value)) for name, value in facts]


def _headline(told: ReportContent) -> str:
    if told.kind is ReportKind.UPDATE:
        return "Since the last report the outcome of some jobs has changed."
    if told.batch.is_cancelled:
        return "Your submission was cancelled."
    if told.batch.failure_message and not told.batch.entries:
        return "The manifest was refused; no job was made of it."
    if told.given_up and told.given_up == sum(told.counts.values()):
        return "No job of your submission was done: all were cancelled or deleted."
    if told.outcome == "OK":
        number = told.given_up
        were = f"{number} job{'s were' if number > 1 else ' was'} cancelled or deleted"
        done = "All jobs of your submission are done"
        return f"{done}, but {were}." if number else f"{done}."
    return "Your submission was processed, and not all of it went well."


def _job_line(job: ReportedJob) -> str:
    change = f"{job.previous_outcome} -> {job.outcome}" if job.previous_outcome else job.outcome
    said = f" ({_short(job.message)})" if job.message else ""
    return f"{_short(job.name) or job.job_id}: {change}{said} [{job.job_id}]"


def render_text(told: ReportContent) -> str:
    """The mail as plain text."""
    lines = [_headline(told), ""]
    lines += [f"{name + ':':<12} {value}" for name, value in _facts(told)]
    if told.groups:
        lines += ["", "Failures by cause:"]
        lines += [f"  {group.count} x {group.code}: {group.description}" for group in told.groups]
    if told.jobs:
        title = "Changed since the last report" if told.kind is ReportKind.UPDATE else "Failed jobs"
        lines += ["", f"{title}:", *(f"  {_job_line(job)}" for job in told.jobs)]
    if told.more_jobs:
        lines.append(f"  and {told.more_jobs} more; the files have them all")
    if told.findings:
        lines += ["", "Findings in the manifest:"]
        lines += [f"  {_short(line)}" for line in told.findings]
    if told.more_findings:
        lines.append(f"  and {told.more_findings} more; see the report")
    files = f"jobyard reports {told.batch.batch_id} --download ."
    lines += ["", f"All of it, as files: {files}", f"For programs: {told.link}", ""]
    return "\n".join(lines)


_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;color:#1b1b1b;background:#fff;margin:2rem auto;"
    "max-width:60rem;padding:0 1rem}h1{font-size:1.3rem}h2{font-size:1.05rem;margin-top:1.6rem}"
    "table{border-collapse:collapse}td,th{text-align:left;padding:.25rem .9rem .25rem 0;"
    "vertical-align:top;border-bottom:1px solid #ddd}th{font-weight:600}"
    ".ok{color:#0b6b2e}.fail{color:#a4161a}"
)


def render_html(told: ReportContent) -> str:
    """The mail as HTML, which is also the report's page. Every word from outside is escaped."""
    mark = "ok" if told.outcome == "OK" else "fail"
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f"<title>{escape(told.subject)}</title><style>{_STYLE}</style></head><body>",
        f'<h1><span class="{mark}">{told.outcome}</span>: {escape(_headline(told))}</h1>',
        _table((), _facts(told)),
    ]
    if told.groups:
        rows = [(str(group.count), group.code, group.description) for group in told.groups]
        parts += ["<h2>Failures by cause</h2>", _table(("Jobs", "Code", "What it means"), rows)]
    if told.jobs:
        title = "Changed since the last report" if told.kind is ReportKind.UPDATE else "Failed jobs"
        rows = [
            (
                _short(job.name),
                f"{job.previous_outcome} → {job.outcome}" if job.previous_outcome else job.outcome,
                _short(job.message),
            )
            for job in told.jobs
        ]
        parts += [f"<h2>{title}</h2>", _table(("File", "Outcome", "Message"), rows)]
    if told.more_jobs:
        parts.append(f"<p>and {told.more_jobs} more; the files have them all</p>")
    if told.findings:
        lines = [(_short(line),) for line in told.findings]
        parts += ["<h2>Findings in the manifest</h2>", _table((), lines)]
    if told.more_findings:
        parts.append(f"<p>and {told.more_findings} more; see the report</p>")
    files = f"jobyard reports {told.batch.batch_id} --download ."
    parts.append(f"<p>All of it, as files: <code>{escape(files)}</code><br>")
    parts.append(f"For programs: <code>{escape(told.link)}</code></p>")
    parts.append("</body></html>\n")
    return "".join(parts)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>" for cells in rows
    )
    return f"<table>{f'<tr>{top}</tr>' if top else ''}{body}</table>"
