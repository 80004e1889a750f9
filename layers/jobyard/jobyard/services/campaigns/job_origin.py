"""The origin of a task: its campaign, which events it takes, and why it waits."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from jobyard.domain.batches.chunks import ChunkRecord
from jobyard.domain.campaigns import task_wait
from jobyard.domain.campaigns.campaign import Campaign, StopReason
from jobyard.domain.campaigns.rollout import grant_of
from jobyard.domain.campaigns.task_wait import FOR_ITS_TURN, NO_WAIT, Wait, rest_of, wait_of
from jobyard.domain.errors import InvalidTransition, NotFound
from jobyard.domain.history import HistoryEntry
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import OPEN_JOB_STATES, JobAddress, JobRecord, JobState, new_job
from jobyard.domain.jobs.job_type import JobType
from jobyard.domain.jobs.task import TASK, state_of_only_task
from jobyard.jobtypes import job_type_of
from jobyard.services.access import authorize
from jobyard.services.batches import rows
from jobyard.services.campaigns.held import hold_on
from jobyard.services.context import Actor, CommandContext, QueryContext
from jobyard.services.jobs.runner import CONCURRENT_JOBS
from jobyard.store import campaigns, chunks, claims, jobs


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


def takes_events(campaign: Campaign) -> bool:
    """Whether people may send events to tasks of a campaign."""
    return campaign.is_open and campaign.state is not JobState.STOPPING


def check_open(campaign: Campaign, event: str) -> None:
    """Check that a task of a campaign may be sent `event`.

    Raises:
        InvalidTransition: the campaign has ended, or is ending.
    """
    campaign_id = campaign.campaign_id
    if campaign.state is JobState.STOPPING:
        reason = f"campaign {campaign_id} is ending: it ends its tasks by itself"
        raise InvalidTransition(f"{reason}; then retry it as a new campaign")
    if not campaign.is_open:
        raise InvalidTransition(
            f"campaign {campaign_id} has ended ({campaign.state}): cannot {event} a task of it; "
            f"retry it as a new campaign, with `jobyard campaign retry {campaign_id}`"
        )


def stopping_text(request: HistoryEntry) -> str:
    """What becomes of a task that a person cancelled while it ran."""
    return f"{request.actor} cancelled it: it ends after its step or part"


def ending_text(record: ChunkRecord, position: int) -> str:
    """Why a task that has not ended will end soon; "" if it will not. `record` is its chunk's."""
    if request := record.cancels.get(position):
        return stopping_text(request)
    campaign_id = record.replacements.get(position)
    return replacement_text(campaign_id) if campaign_id else ""


def replacement_text(campaign_id: str) -> str:
    """Why a task ends whose target is in a newer campaign."""
    return f"campaign {campaign_id} replaces it"


def why_task_waits(
    task: JobRecord, record: ChunkRecord, rest: Wait, job_type: JobType[Any], now: datetime
) -> Wait:
    """What a task of an open campaign waits for, or why it ends soon. `record` is its chunk's, and
    `rest` what its campaign rests for.
    """
    if task.state not in OPEN_JOB_STATES:
        return NO_WAIT
    if reason := ending_text(record, task.address.position):
        return reason, None
    if task.state is not JobState.SCHEDULED:
        return NO_WAIT
    found = wait_of(task, rest, job_type.bound_steps, now)
    return FOR_ITS_TURN if found == NO_WAIT else found


def waits_for_turn(
    campaign: Campaign, tasks: Mapping[str, JobRecord], now: datetime
) -> Mapping[str, Wait]:
    """Until when tasks that wait for their turn do so, by target as `tasks` are: by the forecast,
    or at most if a task of another campaign works on the target.
    """
    if not tasks:
        return {}
    grant = grant_of(campaign.rules.rollout, campaign.counts.get(JobState.SUCCEEDED, 0))
    workers = max(-(-min(campaign.rules.at_once, grant) // CONCURRENT_JOBS), 1)
    found = task_wait.waits_for_turn(campaign, tasks, workers, now)
    for target_id, claim in claims.of_targets(tasks).items():
        task, holder_id = tasks[target_id].address, claim.task.origin_id
        if holder_id == task.origin_id:
            continue
        until = claim.held_until(jobs.find(claim.task))
        if until is not None and now < until:
            found[target_id] = f"campaign {holder_id} works on its target", until
    return found


@dataclass(frozen=True)
class CampaignOrigin:
    """The campaign of the task at `address`; see `JobOrigin`."""

    campaign: Campaign
    address: JobAddress

    occurrence = None
    refusal_hint = "pause its campaign, or cancel the task"
    resubmit_hint = "start a new campaign for its target"

    @property
    def title(self) -> str:
        return self.campaign.name

    @property
    def job_type(self) -> JobType[Any]:
        return job_type_of(self.campaign.job_type)

    @property
    def unwritten_job(self) -> JobRecord:
        return untouched_task(self.campaign, self.address)

    @property
    def kept_until(self) -> datetime | None:
        """When its campaign is archived; None while that is open."""
        return self.campaign.kept_until(timedelta(days=self.job_type.retention_days))

    def check_open(self, event: str) -> None:
        check_open(self.campaign, event)

    def write(self, before: JobRecord, after: JobRecord, context: CommandContext) -> JobRecord:
        from jobyard.services.campaigns import task_events

        event = after.history[-1].event
        return task_events.send(self.address, event, context.cause, context.executions, context.now)

    def start(self, context: CommandContext) -> None:
        """Its campaign starts it."""

    def settle(self, context: CommandContext) -> None:
        """Its campaign settles itself."""

    def row(self, context: QueryContext) -> rows.Row:
        campaign_id = self.campaign.campaign_id
        (chunk,) = rows.chunks_of(context.s3, context.settings, campaign_id, [self.address.chunk])
        found = rows.rows_of(context.s3, context.settings, campaign_id, chunk)
        return found[self.address.position]

    def records(self, job: JobRecord) -> Mapping[str, int | None] | None:
        return None

    def label(self, job: JobRecord) -> str:
        return TASK.state(state_of_only_task(job)).labels["device"]

    def why_waiting(self, job: JobRecord, context: QueryContext) -> Wait:
        if job.state not in OPEN_JOB_STATES or not self.campaign.is_open:
            return NO_WAIT
        record = chunks.get(self.address.origin_id, self.address.chunk)
        rest = rest_of(self.campaign, hold_on(self.campaign, context.now), context.now)
        found = why_task_waits(job, record, rest, self.job_type, context.now)
        if found != FOR_ITS_TURN:
            return found
        target_id = self.row(context)["id"]
        return waits_for_turn(self.campaign, {target_id: job}, context.now)[target_id]


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
