"""The text of a batch's report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobyard.domain.batches.batch import Batch
from jobyard.domain.batches.report import OUTCOME_WORDS, FailureGroup, ReportKind
from jobyard.domain.cost import Cost
from jobyard.domain.mail_text import MailSection, MailText, short, time_text
from jobyard.domain.text import clean


@dataclass(frozen=True)
class ReportedJob:
    """A job in a report. `previous_outcome` is that of the last report, "" if it has none."""

    job_id: str
    name: str
    outcome: str
    previous_outcome: str = ""
    message: str = ""


@dataclass(frozen=True)
class StoredObject:
    """An object that a job stored, or added a version to. `local_ids` are the depositor's names for
    it, separated by "; ".
    """

    name: str
    ark: str
    version: str
    local_ids: str = ""


@dataclass(frozen=True)
class ReportContent:
    """The content of a report.

    `stored` are the first objects that were stored, `more_stored` counts the others. `jobs` are the
    failed jobs, in an update the changed ones; `more_jobs` counts those that are not listed.
    `findings` and `more_findings` are the same for the manifest's findings. `report_address` is
    that of the report's page, which needs no command; "" if there is none.
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
    stored: Sequence[StoredObject] = ()
    more_stored: int = 0
    report_address: str = ""

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


def _facts(content: ReportContent) -> list[tuple[str, str]]:
    """The lines of the report's head, as (name, value)."""
    batch, counts = content.batch, content.counts
    order = ("succeeded", "partially_succeeded", "failed", "cancelled", "deleted", "waiting")
    jobs = ", ".join(
        f"{counts.get(state, 0)} {OUTCOME_WORDS[state]}"
        for state in order
        if counts.get(state) or state in {"succeeded", "failed"}
    )
    facts = [
        ("Submission", batch.batch_id),
        ("Manifest", batch.filename),
        ("Collection", batch.collection),
        ("Submitted", f"{time_text(batch.submitted_at)} by {batch.submitter}"),
        ("Reported", time_text(content.at)),
        ("Jobs", jobs),
        ("Cost", content.cost.description()),
    ]
    for entry in batch.history:
        if entry.event == "cancel":
            reason = f": {entry.reason}" if entry.reason else ""
            facts.append(("Cancelled", f"{time_text(entry.at)} by {entry.actor}{reason}"))
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
    message = f" ({short(job.message)})" if job.message else ""
    return f"{short(job.name) or job.job_id}: {_change(job, '->')}{message} [{job.job_id}]"


def _addresses(content: ReportContent) -> list[tuple[str, str]]:
    if not content.report_address:
        return []
    address = content.report_address
    return [("This report", address), ("All jobs as CSV", f"{address}/jobs.csv")]


def _stored_line(stored: StoredObject) -> str:
    local = f" ({short(stored.local_ids)})" if stored.local_ids else ""
    return f"{short(stored.name)}: {stored.ark} version {stored.version}{local}"


def mail_of(content: ReportContent) -> MailText:
    """The mail about a batch."""
    groups = MailSection(
        "Failures by code",
        [f"{each.count} x {each.code}: {each.description}" for each in content.groups],
        ("Jobs", "Code", "What it means"),
        [(str(group.count), group.code, group.description) for group in content.groups],
    )
    listed = MailSection(
        _jobs_title(content),
        [_job_line(job) for job in content.jobs],
        ("File", "Outcome", "Message"),
        [(short(job.name), _change(job, "→"), short(job.message)) for job in content.jobs],
        f"and {content.more_jobs} more; jobs.csv lists all jobs" if content.more_jobs else "",
    )
    stored = MailSection(
        "Stored",
        [_stored_line(each) for each in content.stored],
        ("File or object", "Ark", "Version", "Local identifier"),
        [
            (short(each.name), each.ark, each.version, short(each.local_ids))
            for each in content.stored
        ],
        f"and {content.more_stored} more; jobs.csv lists all" if content.more_stored else "",
    )
    more = content.more_findings
    findings = MailSection(
        "Findings in the manifest",
        [short(line) for line in content.findings],
        (),
        [(short(line),) for line in content.findings],
        f"and {more} more; jobs.csv lists all findings" if more else "",
    )
    download = f"jobyard reports {content.batch.batch_id} --download ."
    return MailText(
        content.subject,
        content.outcome,
        _headline(content),
        _facts(content),
        (groups, listed, stored, findings),
        (*_addresses(content), ("Full report", download), ("API", content.link)),
    )
