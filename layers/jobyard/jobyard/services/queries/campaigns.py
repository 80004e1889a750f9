"""What is shown of campaigns and their tasks."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from jobyard.domain.access import is_allowed, refusal, roles_for
from jobyard.domain.campaigns.campaign import Campaign, StopReason
from jobyard.domain.campaigns.forecast import CampaignForecast, forecast_of
from jobyard.domain.campaigns.rules import changed_rules
from jobyard.domain.campaigns.targets import CampaignTarget
from jobyard.domain.campaigns.task_wait import (
    FOR_ITS_TURN,
    NO_WAIT,
    Wait,
    held_scope,
    rest_of,
    silence_of,
    wait_for_hold,
    without_ended_hold,
)
from jobyard.domain.hold import Hold, active_hold, scopes_of_campaign
from jobyard.domain.jobs.job import JOB, JobAddress, JobRecord, JobState
from jobyard.domain.jobs.task import TaskState, state_of_only_task
from jobyard.domain.lifecycle import UnavailableEvent
from jobyard.domain.redaction import without_secrets
from jobyard.jobtypes import job_type_of
from jobyard.services.access import authorize
from jobyard.services.batches import rows
from jobyard.services.campaigns.access import visible_campaign
from jobyard.services.campaigns.held import hold_on
from jobyard.services.campaigns.job_origin import (
    takes_events,
    untouched_task,
    waits_for_turn,
    why_task_waits,
)
from jobyard.services.context import QueryContext
from jobyard.services.queries.searched import Searched
from jobyard.store import campaigns, chunks, holds, jobs

UNKNOWN_LABEL = "Unknown"  # no state, but what is shown if none is known
EVENTS = ("pause", "resume", "change", "cancel", "force", "retry")
UNKNOWN_STATE = "unknown"  # the state of a campaign that cannot be read; it is never stored
# The states that a campaign may have, for users.
CAMPAIGN_STATES = (
    JobState.SCHEDULED,
    JobState.RUNNING,
    JobState.PAUSED,
    JobState.HELD,
    JobState.STOPPING,
    JobState.SUCCEEDED,
    JobState.PARTIALLY_SUCCEEDED,
    JobState.FAILED,
    JobState.CANCELLED,
    JobState.REPLACED,
    UNKNOWN_STATE,
)
_NOT_PAUSED = "nobody has paused it"
_CHUNKS_READ = 20  # for one page of tasks in a state
_MAX_READ = 500  # campaigns, for one page of those in a state


@dataclass(frozen=True)
class CampaignView:
    """A campaign as it is shown. `counts` has its tasks by their state, `done` those that ended.
    `silence`: that no execution has settled it for long, so that its state is Unknown; else "".

    `actions` are the events that the actor may send, `unavailable` the others, each with the
    reason. `hold` is the hold in force that covers it. In a list it is the one for which it rests.
    It waits for `waiting_reason` until `waiting_until`; "" and None if it does not wait.
    """

    campaign: Campaign
    counts: Mapping[str, int]
    done: int
    actions: tuple[str, ...]
    unavailable: tuple[UnavailableEvent, ...] = ()
    hold: Hold | None = None
    silence: str = ""

    @property
    def is_silent(self) -> bool:
        """Whether its state is Unknown."""
        return bool(self.silence)

    @property
    def label(self) -> str:
        """Its state, as the Jobs pages call it."""
        return UNKNOWN_LABEL if self.is_silent else label_of(self.campaign.state)

    @property
    def waiting_reason(self) -> str:
        """Why it rests, is on hold, or is Unknown; "" if it is none of these."""
        if self.silence or not self.campaign.is_open:
            return self.silence
        return wait_for_hold(self.hold)[0] if self.hold else self.campaign.rest_reason

    @property
    def waiting_until(self) -> datetime | None:
        """Until when it rests or is on hold; None if it does not, or until a person acts."""
        if self.silence or not self.campaign.is_open:
            return None
        return self.hold.until if self.hold else self.campaign.rests_until

    @property
    def why(self) -> str:
        """Why it is in its state, in words; "" if there is nothing to say."""
        reason = self.campaign.stop_reason
        return self.waiting_reason or (_STOPPED[reason] if reason else "")

    def forecast(self, now: datetime) -> CampaignForecast:
        """How many of the tasks that have not ended start in its next openings."""
        campaign, left = self.campaign, self.campaign.tasks - self.done
        succeeded = campaign.counts.get(JobState.SUCCEEDED, 0)
        return forecast_of(campaign.rules, campaign.openings, left, now, succeeded=succeeded)


_STOPPED = {
    StopReason.CANCEL: "a person cancelled it",
    StopReason.REPLACE: "another one has its targets",
    StopReason.EXPIRE: "its time was over",
    StopReason.ABORT: "too many of its tasks failed",
}
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
    """A campaign as the actor sees it. Its state says whether it is on hold: no hold is read."""
    closed = _closed_events(campaign)
    if campaign.state is not JobState.HELD:
        closed.setdefault("resume", _NOT_PAUSED)
    return _view(campaign, closed, context)


def _view(campaign: Campaign, closed: Mapping[str, str], context: QueryContext) -> CampaignView:
    """A campaign that does not take the events `closed`, for the reasons that they have."""
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
    roles = context.actor.roles
    allowed = [event for event in EVENTS if is_allowed("campaign", event, roles)]
    refused = {
        event: refusal("campaign", event, roles_for("campaign", event))
        for event in EVENTS
        if event not in allowed
    }
    reasons = {**closed, **refused}
    return CampaignView(
        campaign,
        counts,
        done,
        actions=tuple(event for event in EVENTS if event not in reasons),
        unavailable=tuple(UnavailableEvent(e, reasons[e]) for e in EVENTS if e in reasons),
        silence=silence_of(campaign, context.now),
    )


def _closed_events(campaign: Campaign) -> dict[str, str]:
    """The events that the campaign does not take in its state, each with the reason."""
    *of_open, retry = EVENTS
    if campaign.state is JobState.STOPPING:
        others = EVENTS if campaign.is_forced else [each for each in EVENTS if each != "force"]
        return dict.fromkeys(others, "it is ending already")
    if campaign.is_open:
        return {retry: "it has not ended; a task is retried by itself until then"}
    closed = dict.fromkeys(of_open, "it has ended")
    if campaign.state is JobState.SUCCEEDED:
        closed[retry] = "all of its tasks have succeeded"
    elif not campaign.is_opened:
        closed[retry] = "it ended before its targets were read"
    return closed


def campaign(campaign_id: str, context: QueryContext) -> CampaignView:
    """The campaign.

    Raises:
        Forbidden: the actor may not see campaigns. NotFound: there is none.
    """
    found = visible_campaign(campaign_id, context.actor)
    if not found.is_open:
        return view_of(found, context)
    scopes = scopes_of_campaign(campaign_id, found.job_type)
    placed = [each for each in holds.of_scopes(scopes) if active_hold([each], context.now)]
    closed = _closed_events(found)
    if any(each.scope == scopes[-1] for each in placed):
        closed.setdefault("pause", "it is paused already")
    else:
        closed.setdefault("resume", _NOT_PAUSED)
    hold = active_hold(placed, context.now)
    return replace(_view(without_ended_hold(found, hold), closed, context), hold=hold)


def with_changes(
    view: CampaignView, changes: Mapping[str, Any], context: QueryContext
) -> CampaignView:
    """A campaign as it would be after a person's changes. Nothing is stored.

    Raises:
        InvalidCampaign: a field is wrong, or nothing changes.
    """
    found = view.campaign
    return view_of(
        replace(found, rules=changed_rules(found.rules, changes, found.created_at)), context
    )


@dataclass(frozen=True)
class CampaignViewPage:
    """A page of campaigns, newest first, and the cursor of the next one; None after the last.
    `unknown` are those on the page that cannot be read. `searched` is how far a page that is not
    full was searched; None if that is to the end.
    """

    items: tuple[CampaignView, ...]
    after: str | None
    unknown: tuple[campaigns.UnknownCampaign, ...] = ()
    searched: Searched | None = None


def list_campaigns(
    context: QueryContext, *, after: str, limit: int, system: bool = False, state: str = ""
) -> CampaignViewPage:
    """A page of campaigns, newest first: those of system job types, or the others. With `state`
    those that have the same label as one in that state. Such a page may be short although another
    one follows.

    Raises:
        Forbidden: the actor may not see campaigns.
    """
    authorize(context.actor, "campaign", "view")
    items: list[CampaignView] = []
    unknown: list[campaigns.UnknownCampaign] = []
    label = label_of(state) if state else ""
    left = most = _MAX_READ if state else limit
    last: datetime | None = None
    while True:
        size = min(limit - len(items) - len(unknown), left)
        page = campaigns.newest(size, after, system=system)
        views = [view_of(each, context) for each in page.items]
        items += _with_holds([each for each in views if label in {"", each.label}], context)
        unknown += page.unknown if label in {"", UNKNOWN_LABEL} else ()
        after, left = page.after, left - size
        last = page.items[-1].created_at if page.items else last
        is_full = len(items) + len(unknown) == limit
        if not after or not left or is_full:
            searched = Searched(most, last) if after and not is_full else None
            return CampaignViewPage(tuple(items), after or None, tuple(unknown), searched)


def _with_holds(views: Iterable[CampaignView], context: QueryContext) -> Iterator[CampaignView]:
    """Campaigns of a list, each with the hold for which it rests, if that is still in force."""
    scopes = [(each, held_scope(each.campaign)) for each in views]
    wanted = {scope for _, scope in scopes if scope}
    found = {each.scope: each for each in holds.of_scopes(wanted)} if wanted else {}
    for view, scope in scopes:
        hold = active_hold([found[scope]], context.now) if scope in found else None
        yield replace(view, campaign=without_ended_hold(view.campaign, hold), hold=hold)


def label_of(state: str) -> str:
    """What the Jobs pages call a state, one of `CAMPAIGN_STATES`."""
    return UNKNOWN_LABEL if state == UNKNOWN_STATE else JOB.state(state).labels["device"]


@dataclass(frozen=True)
class TaskView:
    """A task as it is shown. `last_triggered` is when its last attempt began, None before the
    first. `step` is the current or next step, of which `step_percent` is done, None if it does not
    say; `steps_done` of `step_count` are done.
    `actions` are the events that the actor may send it.
    """

    task: JobRecord
    target: CampaignTarget
    state: TaskState
    step: str
    step_percent: int | None
    steps_done: int
    step_count: int
    last_triggered: datetime | None
    waiting_reason: str
    waiting_until: datetime | None
    actions: tuple[str, ...]


@dataclass(frozen=True)
class TaskPage:
    """A page of tasks in the order of the targets, and the (chunk, position) where the next page
    begins; None after the last. `searched` is how far a page that is not full was searched; None if
    that is to the end.
    """

    items: tuple[TaskView, ...]
    after: tuple[int, int] | None
    searched: Searched | None = None


def list_tasks(
    campaign_id: str, context: QueryContext, *, state: str, after: tuple[int, int], limit: int
) -> TaskPage:
    """A page of the tasks of a campaign, of those in `state`, "" for all. A page of a state may be
    short although another one follows.

    Raises:
        Forbidden: the actor may not see campaigns. NotFound: there is none.
    """
    found = visible_campaign(campaign_id, context.actor)
    now = context.now
    rest = rest_of(found, hold_on(found, now), now) if found.is_open else NO_WAIT
    items: list[TaskView] = []
    chunk, position = after
    last = min(chunk + _CHUNKS_READ, found.chunk_count)
    for number in range(chunk, last):
        first = position if number == chunk else 0
        end = None if state else first + limit - len(items)
        for view in _tasks_of(found, rest, number, context, first, end):
            if len(items) == limit:
                after = number, view.task.address.position
                return TaskPage(_with_turns(found, items, now), after)
            if not state or view.state == state:
                items.append(view)
    if last == found.chunk_count:
        return TaskPage(_with_turns(found, items, now), None)
    last_read = last * found.chunk_size
    count = last_read - after[0] * found.chunk_size - after[1]
    return TaskPage(_with_turns(found, items, now), (last, 0), Searched(count, last_read))


def _with_turns(
    campaign: Campaign, items: Sequence[TaskView], now: datetime
) -> tuple[TaskView, ...]:
    """The tasks of a page; those that wait for their turn say until when."""
    for_turn = {
        each.target.target_id: each.task
        for each in items
        if (each.waiting_reason, each.waiting_until) == FOR_ITS_TURN
    }
    waits = waits_for_turn(campaign, for_turn, now)
    shown = []
    for each in items:
        reason, until = waits.get(each.target.target_id, (each.waiting_reason, each.waiting_until))
        shown.append(replace(each, waiting_reason=reason, waiting_until=until))
    return tuple(shown)


def _tasks_of(
    found: Campaign, rest: Wait, number: int, context: QueryContext, first: int, last: int | None
) -> Iterator[TaskView]:
    """The tasks of a chunk from position `first` to `last`, both included, in order, of a campaign
    that rests for `rest`.
    """
    (chunk,) = rows.chunks_of(context.s3, context.settings, found.campaign_id, [number])
    targets = rows.rows_of(context.s3, context.settings, found.campaign_id, chunk)
    known = jobs.of_chunk(found.campaign_id, number, first=first, last=last)
    records = {job.address.position: job for job in known}
    record = chunks.get(found.campaign_id, number) if found.is_open else None
    job_type = job_type_of(found.job_type)
    shown = targets[first : None if last is None else last + 1]
    for position, target in enumerate(shown, first):
        address = JobAddress(found.campaign_id, number, position)
        task = records.get(position) or untouched_task(found, address)
        wait = why_task_waits(task, record, rest, job_type, context.now) if record else NO_WAIT
        yield _task_view(task, CampaignTarget.of_document(target), found, wait, context)


def _task_view(
    task: JobRecord, target: CampaignTarget, found: Campaign, wait: Wait, context: QueryContext
) -> TaskView:
    names = [name for name, _ in job_type_of(found.job_type).steps]
    done = {step.name for step in task.steps if step.status in {"completed", "skipped"}}
    current = next((name for name in names if name not in done), "")
    percents = {step.name: step.percent for step in task.steps}
    return TaskView(
        task,
        replace(target, address=without_secrets(target.address)),
        state_of_only_task(task),
        step=current,
        step_percent=percents.get(current),
        steps_done=len(done),
        step_count=len(names),
        last_triggered=_last_triggered(task),
        waiting_reason=wait[0],
        waiting_until=wait[1],
        actions=task.actions(context.actor.roles) if takes_events(found) else (),
    )


def _last_triggered(task: JobRecord) -> datetime | None:
    if task.state is JobState.RUNNING:
        return task.at
    return task.attempts[-1].started_at if task.attempts else None
