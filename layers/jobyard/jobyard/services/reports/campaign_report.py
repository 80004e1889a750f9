"""Report a campaign: when it has ended, and when it is held because too many tasks failed.

The order is that of a batch's report: the report's record, the mail, the campaign. An existing
record is not written again, so that each end is reported once, even after a crash.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from jobyard.domain.batches.report import Delivery, DeliveryState, Report, ReportKind
from jobyard.domain.campaigns.advice import NEVER_REACHED
from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.campaigns.report_text import CampaignReport
from jobyard.domain.campaigns.targets import CampaignTarget
from jobyard.domain.errors import StaleState
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JobAddress, JobRecord, JobState
from jobyard.domain.jobs.task import TASK, state_of_only_task
from jobyard.domain.redaction import without_secrets
from jobyard.domain.webhooks import WebhookEvent
from jobyard.jobtypes import job_type_of
from jobyard.services.batches.rows import Row
from jobyard.services.campaigns.job_origin import untouched_task
from jobyard.services.reports.context import ReportContext
from jobyard.services.reports.cost import cost_document, cost_of
from jobyard.services.reports.files import Files
from jobyard.services.reports.mail import deliver
from jobyard.services.reports.report import ReportProgress
from jobyard.services.reports.slices import Slices, write_all
from jobyard.services.reports.webhooks import links, queue_deliveries
from jobyard.services.runs import NextAction
from jobyard.store import campaigns, reports

_TRIES = 5
_COLUMNS = (
    "job_id",
    "target",
    "address",
    "state",
    "label",
    "last_triggered",
    "step",
    "failure_code",
    "failure_message",
    "attempt_count",
    "result",
)


def report(campaign_id: str, context: ReportContext) -> ReportProgress:
    """Write and mail the report that a campaign needs, or write one slice of a large one.

    If it has not ended, it is settled next.
    """
    campaign = campaigns.get(campaign_id)
    if campaign.due_report is None:
        return _progress(campaign)
    seq = campaign.last_report + 1
    written = reports.find(campaign_id, seq)
    if written is None:
        slices = Slices(CampaignJobs(campaign), context)
        if slices.write_next():
            return _progress(campaign)
        written = _write(campaign, campaign.due_report, slices, context)
    deliver(written, context)
    deliveries = [] if campaign.is_open else _queue_webhooks(campaign, written, context)
    reported = _reported(campaign, seq)
    for each in deliveries:
        deliver(each, context)
    return _progress(reported)


def _queue_webhooks(campaign: Campaign, written: Report, context: ReportContext) -> list[Report]:
    """Store the webhook deliveries about a campaign that has ended."""
    data = {
        "campaign_id": campaign.campaign_id,
        "state": campaign.state.value,
        "name": campaign.name,
        "job_type": campaign.job_type,
        "counts": {name: count for name, count in written.counts.items() if count},
        "report": written.seq,
        "links": links(f"campaigns/{campaign.campaign_id}", context.settings),
    }
    return queue_deliveries(
        WebhookEvent.CAMPAIGN_ENDED,
        campaign.campaign_id,
        written.seq,
        written.created_at,
        data,
    )


def _progress(campaign: Campaign) -> ReportProgress:
    step: NextAction = "settle" if campaign.is_open else "end"
    if campaign.due_report is not None:
        step = "report"
    return ReportProgress(campaign.state, campaign.last_report, step)


def _reported(campaign: Campaign, seq: int) -> Campaign:
    """Note that a campaign's report number `seq` is written.

    Raises:
        StaleState: others changed the campaign at the same time, several times.
    """
    for _ in range(_TRIES):
        if campaign.last_report >= seq:
            return campaign
        after = replace(campaign, last_report=seq, due_report=None, version=campaign.version + 1)
        if not after.is_open:
            after = replace(after, check_at=None)
        try:
            return campaigns.write(campaign, after)
        except StaleState:
            campaign = campaigns.get(campaign.campaign_id)
    raise StaleState(f"campaign {campaign.campaign_id} changes too fast")


def _write(campaign: Campaign, kind: ReportKind, slices: Slices, context: ReportContext) -> Report:
    """Write the report's files and record."""
    campaign_id, now, url = campaign.campaign_id, context.now(), context.settings.url
    seq = campaign.last_report + 1
    with Files(f"reports/{campaign_id}/{seq:04d}", context) as files:
        summary = write_all(CampaignJobs(campaign), slices, files, context)
        content = CampaignReport(
            campaign=campaign,
            kind=kind,
            type_title=job_type_of(campaign.job_type).title,
            instance=context.settings.instance,
            counts=summary.counts,
            groups=summary.code_counts,
            tasks=summary.shown,
            more_tasks=summary.failed - len(summary.shown),
            never_reached=summary.unrecorded,
            page=f"{url}/campaigns/{campaign_id}",
            link=f"{url}/api/campaigns/{campaign_id}/reports",
            cost=cost_of(campaign_id, campaign.notify, context),
        )
        files.json.end_array(counts=summary.counts, cost=cost_document(content.cost))
        keys = files.publish(content.mail())
    unwanted = DeliveryState.FAILED if campaign.undeliverable else DeliveryState.SUPPRESSED
    state = DeliveryState.QUEUED if campaign.notify else unwanted
    return reports.put_new(
        Report(
            batch_id=campaign_id,
            seq=seq,
            kind=kind,
            created_at=now,
            to=campaign.notify,
            subject=content.subject,
            outcome=content.outcome,
            counts=content.counts,
            changed_count=0,
            files=keys,
            delivery=Delivery(state, now, undeliverable=campaign.undeliverable),
        )
    )


@dataclass(frozen=True)
class CampaignJobs:
    """The tasks of a campaign; see `ReportedJobs`."""

    campaign: Campaign

    names = ("campaign_id", "tasks")
    columns = _COLUMNS
    is_update = False

    @property
    def origin_id(self) -> str:
        return self.campaign.campaign_id

    @property
    def chunk_size(self) -> int:
        return self.campaign.chunk_size

    @property
    def chunk_count(self) -> int:
        return self.campaign.chunk_count

    @property
    def last_report(self) -> int:
        return self.campaign.last_report

    @property
    def began_at(self) -> datetime:
        campaign = self.campaign
        return max((each.at for each in campaign.history), default=campaign.created_at)

    def cells(self, row: Row, job: JobRecord) -> Sequence[str]:
        target = CampaignTarget.of_document(row)
        state = state_of_only_task(job)
        last = job.attempts[-1] if job.attempts else None
        triggered = job.at if job.state is JobState.RUNNING else last and last.started_at
        has_failed = job.state is JobState.FAILED
        return (
            job.address.job_id,
            target.target_id,
            without_secrets(target.address),
            state.value,
            TASK.state(state).labels["device"],
            triggered.isoformat() if triggered else "",
            last.step if last else "",
            job.failure_code if has_failed else "",
            job.failure_message if has_failed else "",
            str(job.attempt_count),
            json.dumps(job.result, sort_keys=True) if job.result else "",
        )

    def numbers(self, row: Row, job: JobRecord) -> Mapping[str, Any]:
        return {"attempt_count": job.attempt_count, "result": job.result}

    def unrecorded(self, address: JobAddress) -> JobRecord:
        return untouched_task(self.campaign, address)

    def title(self, row: Row) -> str:
        return CampaignTarget.of_document(row).target_id

    def group(self, job: JobRecord) -> str:
        is_unreached = not job.version and job.failure_code == Failure.EXPIRED
        return NEVER_REACHED if is_unreached else job.failure_code
