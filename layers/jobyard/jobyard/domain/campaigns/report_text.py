"""The text of a campaign's report, in the words of the Jobs pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobyard.domain.batches.report import ReportKind
from jobyard.domain.batches.report_text import ReportedJob
from jobyard.domain.campaigns.advice import advice_for, group_description
from jobyard.domain.campaigns.campaign import Campaign, StopReason
from jobyard.domain.cost import Cost
from jobyard.domain.jobs.job import JOB, JobState
from jobyard.domain.mail_text import MailSection, MailText, short, time_text
from jobyard.domain.text import clean

_LABELS = {
    "succeeded": "Succeeded",
    "partially_succeeded": "Partially Succeeded",
    "failed": "Failed",
    "cancelled": "Cancelled",
    "replaced": "Cancelled",
    "waiting": "waiting",
}
_HEADLINES = {
    JobState.SUCCEEDED: "All Job Tasks succeeded.",
    JobState.PARTIALLY_SUCCEEDED: "The Job has ended, but not all Job Tasks succeeded.",
    JobState.FAILED: "The Job failed: no Job Task succeeded.",
    JobState.REPLACED: "Another Job has replaced this one.",
    JobState.CANCELLED: "The Job was cancelled.",
}


@dataclass(frozen=True)
class CampaignReport:
    """What a report says about a campaign.

    `counts` are its tasks by outcome, `groups` its failed tasks by reason, `tasks` the failed ones
    that are listed; `more_tasks` counts the others. `never_reached` tasks had no attempt. `page` is
    the address of its page, `link` that of its reports.
    """

    campaign: Campaign
    kind: ReportKind
    type_title: str
    instance: str
    counts: Mapping[str, int]
    groups: Mapping[str, int]
    tasks: Sequence[ReportedJob]
    more_tasks: int
    never_reached: int
    page: str
    link: str
    cost: Cost

    @property
    def outcome(self) -> str:
        """OK if it has succeeded, else FAIL."""
        return "OK" if self.campaign.state is JobState.SUCCEEDED else "FAIL"

    @property
    def subject(self) -> str:
        """The mail's subject. It always begins alike, for mail filters."""
        instance = f" [{self.instance}]" if self.instance else ""
        job = f"{short(self.campaign.name)} ({self.campaign.campaign_id})"
        return clean(f"Jobyard{instance}: {self.outcome} -- Job {self._label}: {job}")

    @property
    def _label(self) -> str:
        state = JobState.HELD if self.kind is ReportKind.HELD else self.campaign.state
        return JOB.state(state).labels["device"]

    def mail(self) -> MailText:
        """The mail."""
        groups = sorted(self.groups, key=lambda group: (-self.groups[group], group))
        rows = [
            (str(self.groups[group]), group, group_description(group), advice_for(group))
            for group in groups
        ]
        failures = MailSection(
            "Failures by code",
            [f"{count} x {code}: {words} {advice}" for count, code, words, advice in rows],
            ("Job Tasks", "Code", "What it means", "What to do"),
            rows,
        )
        tasks = MailSection(
            "Failed Job Tasks",
            [f"{short(each.name)}: {short(each.message)} [{each.job_id}]" for each in self.tasks],
            ("Job Task", "Message"),
            [(short(each.name), short(each.message)) for each in self.tasks],
            f"and {self.more_tasks} more; jobs.csv lists all" if self.more_tasks else "",
        )
        download = f"jobyard reports {self.campaign.campaign_id} --download ."
        return MailText(
            self.subject,
            self.outcome,
            self._headline,
            self._facts(),
            (failures, tasks),
            (("Job", self.page), ("Full report", download), ("API", self.link)),
        )

    @property
    def _headline(self) -> str:
        if self.kind is ReportKind.HELD:
            return "The Job is paused, because too many Job Tasks failed. Resume or cancel it."
        if self.kind is ReportKind.REFUSED:
            return "The Job failed: its targets cannot be used. No Job Task was created."
        if self.campaign.stop_reason is StopReason.ABORT:
            return "The Job was cancelled, because too many Job Tasks failed."
        return _HEADLINES.get(self.campaign.state, "The Job has not ended.")

    def _facts(self) -> list[tuple[str, str]]:
        """The lines of the head, as (name, value)."""
        campaign = self.campaign
        facts = [
            ("Job", campaign.name),
            ("Id", campaign.campaign_id),
            ("Type", self.type_title),
            ("State", self._state()),
            ("Schedule", campaign.rules.schedule.description()),
            ("Created", f"{time_text(campaign.created_at)} by {campaign.creator}"),
            ("Started", time_text(campaign.started_at)),
            ("Ended", time_text(campaign.ended_at)),
            ("Job Tasks", self._tasks()),
        ]
        if self.never_reached:
            name = "Not reached yet" if campaign.is_open else "Never reached"
            facts.append((name, f"{self.never_reached}, without an attempt"))
        if campaign.replaced_by:
            facts.append(("Replaced by", campaign.replaced_by))
        facts.append(("Cost", self.cost.description()))
        facts += [("No mail to", each.description) for each in campaign.undeliverable]
        # Cleaned, so that a name or a reason cannot add lines to the mail.
        return [(name, clean(value)) for name, value in facts]

    def _state(self) -> str:
        """The state, with who or what ended it and why."""
        entries = [each for each in self.campaign.history if each.reason]
        why = ""
        if self.kind is ReportKind.HELD:
            why = self.campaign.rest_reason
        elif self.kind is ReportKind.REFUSED:
            why = entries[-1].reason if entries else ""
        elif self.campaign.stop_reason in {StopReason.CANCEL, StopReason.REPLACE, StopReason.ABORT}:
            stops = [each for each in entries if each.after == JobState.STOPPING]
            why = f"by {stops[-1].actor}: {stops[-1].reason}" if stops else ""
        return f"{self._label}, {why}" if why else self._label

    def _tasks(self) -> str:
        campaign = self.campaign
        done = campaign.tasks - self.counts.get("waiting", 0)
        by_label: dict[str, int] = {}
        for outcome, number in self.counts.items():
            label = _LABELS.get(outcome, outcome)
            by_label[label] = by_label.get(label, 0) + number
        counts = ", ".join(f"{number} {label}" for label, number in by_label.items())
        return f"{done} of {campaign.tasks} done: {counts}"
