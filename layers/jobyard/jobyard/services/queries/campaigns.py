"""What is shown of campaigns and their tasks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from jobyard.domain.access import is_allowed
from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.campaigns.forecast import CampaignForecast, forecast_of
from jobyard.domain.campaigns.targets import CampaignTarget
from jobyard.domain.jobs.job import JOB, JobAddress, JobRecord, JobState
from jobyard.domain.jobs.task import TaskState, state_of_only_task
from jobyard.jobtypes import job_type_of
from jobyard.services.access import authorize
from jobyard.services.batches import rows
from jobyard.services.campaigns.access import visible_campaign
from jobyard.services.campaigns.job_origin import untouched_task
from jobyard.services.context import QueryContext
from jobyard.store import campaigns, jobs

UNKNOWN_LABEL = "Unknown"  # no state, but what is shown if none is known
EVENTS = ("pause", "resume", "change", "cancel", "retry")
_CHUNKS_READ = 20  # for one page of tasks in a state


@dataclass(frozen=True)
class CampaignView:
    """A campaign as it is shown. `counts` has its tasks by their state, `done` those that ended.
    `is_silent`: nothing has decided about it for long, so that its state is Unknown.

    It waits for `waiting_reason` until `waiting_until`; "" and None if it does not wait.
    """

    campaign: Campaign
    counts: Mapping[str, int]
    done: int
    actions: tuple[str, ...]
    is_silent: bool = False

    @property
    def label(self) -> str:
        """Its state, as the Jobs pages call it."""
        return UNKNOWN_LABEL if self.is_silent else JOB.state(self.campaign.state).labels["device"]

    @property
    def waiting_reason(self) -> str:
        """Why nothing starts; "" if something may."""
        if self.is_silent:
            return f"nothing has decided about it since {self.campaign.check_at:%Y-%m-%d %H:%MZ}"
        return self.campaign.rest_reason if self.campaign.is_open else ""

    @property
    def waiting_until(self) -> datetime | None:
        """When it decides again; None if it does not wait."""
        if self.is_silent:
            return None
        return self.campaign.rests_until if self.campaign.is_open else None

    def forecast(self, now: datetime) -> CampaignForecast:
        """What its next openings hold of the tasks that have not ended."""
        left = self.campaign.tasks - self.done
        return forecast_of(self.campaign.rules, self.campaign.openings, left, now)


_TASK_STATES = {
    JobState.SUCCEEDED: TaskState.SUCCEEDED,
    JobState.FAILED: TaskState.FAILED,
    JobState.RUNNING: TaskState.RUNNING,
    JobState.SCHEDULED: TaskState.RESCHEDULED,  # it has a record, so an attempt has begun
    JobState.CANCELLED: TaskState.CANCELLED,
    JobState.REPLACED: TaskState.CANCELLED,
}
_ENDED = frozenset({TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED})


def view_of(campaign: Campaign, context: QueryContext) -> CampaignView:
    """A campaign as the actor sees it."""
    counts: dict[str, int] = {}
    for state, number in campaign.counts.items():
        name = _TASK_STATES[JobState(state)]
        counts[name] = counts.get(name, 0) + number
    untouched = campaign.tasks - sum(counts.values())
    if untouched:
        task = untouched_task(campaign, JobAddress(campaign.campaign_id, 0, 0))
        state = state_of_only_task(task)
        counts[state] = counts.get(state, 0) + untouched
    done = sum(number for state, number in counts.items() if state in _ENDED)
    actions = _actions(campaign, context)
    return CampaignView(campaign, counts, done, actions, campaign.is_silent(context.now))


def _actions(campaign: Campaign, context: QueryContext) -> tuple[str, ...]:
    if campaign.state in {JobState.STOPPING, JobState.SUCCEEDED}:
        return ()
    events = EVENTS[:-1] if campaign.is_open else EVENTS[-1:]
    roles = context.actor.roles
    return tuple(event for event in events if is_allowed("campaign", event, roles))


def campaign(campaign_id: str, context: QueryContext) -> CampaignView:
    """The campaign.

    Raises:
        Forbidden: the actor may not see campaigns. NotFound: there is none.
    """
    return view_of(visible_campaign(campaign_id, context.actor), context)


@dataclass(frozen=True)
class CampaignViewPage:
    """A page of campaigns, newest first, and the cursor of the next one; "" after the last.
    `unknown` are those on the page that cannot be read.
    """

    items: tuple[CampaignView, ...]
    after: str
    unknown: tuple[campaigns.UnknownCampaign, ...] = ()


def list_campaigns(
    context: QueryContext, *, after: str, limit: int, system: bool = False
) -> CampaignViewPage:
    """A page of campaigns, newest first: those of system job types, or the others.

    Raises:
        Forbidden: the actor may not see campaigns.
    """
    authorize(context.actor, "campaign", "view")
    page = campaigns.newest(limit, after, system=system)
    items = tuple(view_of(each, context) for each in page.items)
    return CampaignViewPage(items, page.after, page.unknown)


@dataclass(frozen=True)
class TaskView:
    """A task as it is shown. `last_triggered` is when its last attempt began, None before the
    first. `step` is the current or next step, `steps_done` how many of `step_count` are done.
    """

    task: JobRecord
    target: CampaignTarget
    state: TaskState
    step: str
    steps_done: int
    step_count: int
    last_triggered: datetime | None
    waiting_reason: str
    waiting_until: datetime | None


@dataclass(frozen=True)
class TaskPage:
    """A page of tasks in the order of the targets, and the (chunk, position) where the next page
    begins; None after the last.
    """

    items: tuple[TaskView, ...]
    after: tuple[int, int] | None


def list_tasks(
    campaign_id: str, context: QueryContext, *, state: str, after: tuple[int, int], limit: int
) -> TaskPage:
    """A page of the tasks of a campaign, of those in `state`, "" for all. A page of a state may be
    short although another one follows.

    Raises:
        Forbidden: the actor may not see campaigns. NotFound: there is none.
    """
    found = visible_campaign(campaign_id, context.actor)
    items: list[TaskView] = []
    chunk, position = after
    last = min(chunk + _CHUNKS_READ, found.chunk_count)
    for number in range(chunk, last):
        for view in _tasks_of(found, number, context):
            if number == chunk and view.task.address.position < position:
                continue
            if len(items) == limit:
                return TaskPage(tuple(items), (number, view.task.address.position))
            if not state or view.state == state:
                items.append(view)
    return TaskPage(tuple(items), (last, 0) if last < found.chunk_count else None)


def _tasks_of(found: Campaign, number: int, context: QueryContext) -> Iterator[TaskView]:
    """The tasks of a chunk, in order."""
    (chunk,) = rows.chunks_of(context.s3, context.settings, found.campaign_id, [number])
    targets = rows.rows_of(context.s3, context.settings, found.campaign_id, chunk)
    records = {job.address.position: job for job in jobs.of_chunk(found.campaign_id, number)}
    for position, target in enumerate(targets):
        address = JobAddress(found.campaign_id, number, position)
        task = records.get(position) or untouched_task(found, address)
        yield _task_view(task, CampaignTarget.of_document(target), found)


def _task_view(task: JobRecord, target: CampaignTarget, found: Campaign) -> TaskView:
    names = [name for name, _ in job_type_of(found.job_type).steps]
    done = {step.name for step in task.steps if step.status in {"completed", "skipped"}}
    state = state_of_only_task(task)
    reason, until = "", None
    if state in {TaskState.SCHEDULED, TaskState.RESCHEDULED} and found.is_open:
        reason, until = _why(task, found)
    return TaskView(
        task,
        target,
        state,
        step=next((name for name in names if name not in done), ""),
        steps_done=len(done),
        step_count=len(names),
        last_triggered=_last_triggered(task),
        waiting_reason=reason,
        waiting_until=until,
    )


def _last_triggered(task: JobRecord) -> datetime | None:
    if task.state is JobState.RUNNING:
        return task.at
    return task.attempts[-1].started_at if task.attempts else None


def _why(task: JobRecord, found: Campaign) -> tuple[str, datetime | None]:
    """What a waiting task waits for, and until when at the earliest."""
    if found.rest_reason and (found.rests_until or found.expires_at) > (task.next_at or task.at):
        return found.rest_reason, found.rests_until
    if task.next_at is None:
        return "waits for its turn", None
    code = task.failure_code
    return f"retry after {code}" if code else "continues its attempt", task.next_at
