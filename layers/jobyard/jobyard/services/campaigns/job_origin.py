"""The origin of a task: its campaign, which events it takes, and why it waits."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from jobyard.domain.campaigns.campaign import Campaign, StopReason
from jobyard.domain.errors import InvalidTransition, NotFound
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JobAddress, JobRecord, JobState, new_job
from jobyard.domain.jobs.job_type import JobType
from jobyard.jobtypes import job_type_of
from jobyard.services.access import authorize
from jobyard.services.batches import rows
from jobyard.services.context import Actor, CommandContext, QueryContext
from jobyard.store import campaigns


def untouched_task(campaign: Campaign, address: JobAddress) -> JobRecord:
    """A task that has no record, as it is shown: its state follows from the campaign's."""
    task = new_job(address, campaign.created_at)
    if campaign.is_open or campaign.stop_reason is None:
        return task
    match campaign.stop_reason:
        case StopReason.EXPIRE:
            code, message = Failure.EXPIRED.value, "never reached: its campaign expired first"
            return replace(task, state=JobState.FAILED, failure_code=code, failure_message=message)
        case StopReason.REPLACE:
            return replace(task, state=JobState.REPLACED)
        case _:
            return replace(task, state=JobState.CANCELLED)


@dataclass(frozen=True)
class CampaignOrigin:
    """The campaign of the task at `address`; see `JobOrigin`."""

    campaign: Campaign
    address: JobAddress

    occurrence = None
    refusal_hint = "cancel or pause its campaign"
    resubmit_hint = "start a new campaign for its target"

    @property
    def job_type(self) -> JobType[Any]:
        return job_type_of(self.campaign.job_type)

    @property
    def unwritten_job(self) -> JobRecord:
        return untouched_task(self.campaign, self.address)

    @property
    def kept_until(self) -> datetime | None:
        """Campaigns are not archived yet."""
        return None

    def check_open(self, event: str) -> None:
        raise InvalidTransition(f"a task takes no {event}: {self.refusal_hint}")

    def write(self, before: JobRecord, after: JobRecord, _context: CommandContext) -> JobRecord:
        raise InvalidTransition(f"a task takes no event of a person: {self.refusal_hint}")

    def settle(self, context: CommandContext) -> None:
        """Its campaign settles itself."""

    def row(self, context: QueryContext) -> rows.Row:
        campaign_id = self.campaign.campaign_id
        (chunk,) = rows.chunks_of(context.s3, context.settings, campaign_id, [self.address.chunk])
        found = rows.rows_of(context.s3, context.settings, campaign_id, chunk)
        return found[self.address.position]

    def records(self, job: JobRecord) -> Mapping[str, int | None] | None:
        return None

    def why_held(self, job: JobRecord, context: QueryContext) -> tuple[str, datetime | None]:
        return self.campaign.rest_reason, self.campaign.rests_until

    def why_queued(self, job: JobRecord) -> str:
        return self.campaign.rest_reason or "waits for its turn in the campaign"


def campaign_origin(address: JobAddress, actor: Actor, now: datetime) -> CampaignOrigin:
    """The campaign of a task, if `actor` may see it.

    Raises:
        NotFound: there is no such task. Forbidden: the actor may not see it.
    """
    authorize(actor, "task", "view")
    campaign = campaigns.get(address.origin_id)
    is_known = address.chunk < campaign.chunk_count
    if not is_known or address.position >= campaign.task_count(address.chunk):
        raise NotFound(f"campaign {campaign.campaign_id} has no task {address.job_id}")
    return CampaignOrigin(campaign, address)
