"""The plan of a campaign: what to do next, until when, and how many attempts may start.

It depends only on the campaign, the counts of its tasks, its openings, a hold and the time.
`services.campaigns.settle` makes a plan after each pass, the simulation after each change.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from jobyard.domain.campaigns.abort import AbortAction, OutcomeCounts
from jobyard.domain.campaigns.campaign import Campaign, StopReason
from jobyard.domain.campaigns.openings import Opening, Openings
from jobyard.domain.campaigns.rollout import SLICE, grant_of
from jobyard.domain.hold import Hold
from jobyard.domain.jobs.job import JOB, JobState

MAX_REST = timedelta(days=30)  # after that a campaign is planned again
_OPEN_AGAIN = timedelta(minutes=1)  # after an execution that could not open it
_OPEN_WITHIN = timedelta(days=1)  # of its creation, else it fails
_COUNTED_WITHIN = timedelta(seconds=5)  # workers see a stop within two, then save their counts
_S = JobState


@dataclass(frozen=True)
class TaskTotals:
    """How many tasks of a campaign are in each condition.

    `untouched` tasks have no record. `waiting` ones have a record and wait for their next attempt,
    the first of them until `next_at`. A task whose worker is lost is waiting, and due now. `bound`
    tasks are in steps that must end together: whatever the window says, they continue at
    `bound_at`. Other campaigns take over `replaced` ones; each is counted in its own condition too,
    until it has ended. `outcomes` count for the abort rule.
    """

    untouched: int = 0
    waiting: int = 0
    next_at: datetime | None = None
    running: int = 0
    bound: int = 0
    bound_at: datetime | None = None
    replaced: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    outcomes: OutcomeCounts = field(default_factory=OutcomeCounts)

    @property
    def active(self) -> int:
        """Tasks with an attempt that has begun and must end."""
        return self.running + self.bound

    def needs_pass(self, now: datetime) -> bool:
        """Whether a pass is needed although nothing may start: to end or continue some of them."""
        return bool(self.replaced) or is_due(self.bound_at, now)

    @property
    def has_ended(self) -> bool:
        """Whether each of them has ended."""
        return not (self.untouched or self.waiting or self.active)

    def has_due(self, now: datetime) -> bool:
        """Whether one of them is due, even if the window, a hold or the rate lets none start."""
        return bool(self.untouched or (self.next_at and self.next_at <= now))


class PlannedAction(StrEnum):
    """What a campaign does next."""

    EXECUTE = "execute"  # run a pass, with a grant, until a time
    REST = "rest"  # nothing until a time
    END = "end"  # it has ended


@dataclass(frozen=True)
class CampaignPlan:
    """What a campaign does next.

    `events` are the moves of the campaign that come first, in order, and lead to `state`. With
    `stop`, the move to `stopping` is for that reason. If `places_hold`, the campaign is to be put
    on hold first, for `reason`; that it is on hold already is no error.

    `until` is when to plan again at the latest, None if it has ended. Until then `grant` attempts
    may start; in a pass with a grant of 0, only attempts that have begun are continued, and tasks
    of a campaign that is stopping are ended. `reason` says why the grant is 0, "" if it is not. It
    is stored only while the campaign rests.
    """

    action: PlannedAction
    state: JobState
    until: datetime | None = None
    grant: int = 0
    reason: str = ""
    events: tuple[str, ...] = ()
    stop: StopReason | None = None
    places_hold: bool = False

    def after(self, *events: str, stop: StopReason | None = None) -> "CampaignPlan":
        """The plan with moves that come before its own."""
        return replace(self, events=(*events, *self.events), stop=stop or self.stop)


def plan(
    campaign: Campaign, totals: TaskTotals, openings: Openings, hold: Hold | None, now: datetime
) -> CampaignPlan:
    """What a campaign does next. `hold` is a hold in force that covers it; None if none does."""
    if not campaign.is_open:
        return CampaignPlan(PlannedAction.END, campaign.state)
    if campaign.state is _S.STOPPING:
        return _plan_stopping(campaign, totals, now)
    if totals.has_ended:
        return _plan_ended(campaign, totals)
    if now >= openings.end:
        return _plan_stop(campaign, totals, StopReason.EXPIRE, now)
    if not campaign.is_opened:
        return _plan_unopened(campaign, openings, now)
    if hold is not None:
        return _plan_held(campaign, totals, openings, hold, now)
    abort = campaign.rules.abort
    if abort is not None and abort.is_met(totals.outcomes):
        reason = abort.description(totals.outcomes)
        if abort.then is AbortAction.CANCEL:
            return replace(_plan_stop(campaign, totals, StopReason.ABORT, now), reason=reason)
        held = _plan_idle(campaign, totals, now, (openings.end,), reason)
        return replace(held, places_hold=True)
    opening = openings.opening_at(now)
    if opening is None:
        return _plan_closed(campaign, totals, openings, now)
    return _plan_open(campaign, totals, opening, now).after(*_EVENTS_TO_RUN[campaign.state])


def _plan_unopened(campaign: Campaign, openings: Openings, now: datetime) -> CampaignPlan:
    """The plan of a campaign that could not be opened: its next execution tries again."""
    if now >= campaign.created_at + _OPEN_WITHIN:
        reason = "it could not be opened for a day"
        return CampaignPlan(PlannedAction.END, _S.FAILED, reason=reason, events=("give_up",))
    until = min(now + _OPEN_AGAIN, openings.end)
    reason = "it is not opened yet: its targets are read again in a minute"
    return CampaignPlan(PlannedAction.REST, campaign.state, until, reason=reason)


_EVENTS_TO_RUN: dict[JobState, tuple[str, ...]] = {
    _S.SCHEDULED: ("start",),
    _S.HELD: ("release", "start"),
    _S.RUNNING: (),
    _S.PAUSED: ("resume",),
}


def _plan_open(
    campaign: Campaign, totals: TaskTotals, opening: Opening, now: datetime
) -> CampaignPlan:
    """The plan of a campaign whose window is open."""
    if totals.has_due(now) and opening.end - now >= campaign.rules.schedule.needs:
        grant = grant_of(campaign.rules.rollout, totals.succeeded)
        if campaign.rules.abort:
            grant = campaign.rules.abort.limited(grant, totals.outcomes)
        until = min(now + SLICE, opening.end)
        return CampaignPlan(PlannedAction.EXECUTE, _S.RUNNING, until, grant)
    if totals.needs_pass(now):
        return CampaignPlan(PlannedAction.EXECUTE, _S.RUNNING, min(now + SLICE, opening.end))
    if totals.has_due(now):
        reason = campaign.rules.schedule.too_late_text
        times = [opening.end, totals.bound_at]
    else:
        reason = "its tasks wait for a retry" if totals.waiting else "its last tasks run"
        times = [opening.end, totals.bound_at, totals.next_at]
    until = _earliest(times, totals, now)
    return CampaignPlan(PlannedAction.REST, _S.RUNNING, until, reason=reason)


def _plan_closed(
    campaign: Campaign, totals: TaskTotals, openings: Openings, now: datetime
) -> CampaignPlan:
    """The plan of a campaign whose window is closed."""
    following = openings.next_opening(now)
    if following is None:
        reason = "no further window opens before it expires"
        return _plan_idle(campaign, totals, now, (openings.end,), reason)
    return _plan_idle(campaign, totals, now, (following.start,), "its window is closed")


def _plan_held(
    campaign: Campaign, totals: TaskTotals, openings: Openings, hold: Hold, now: datetime
) -> CampaignPlan:
    """The plan of a campaign that is on hold."""
    times = (openings.end, hold.until)
    planned = _plan_idle(campaign, totals, now, times, hold.description())
    if campaign.state is _S.SCHEDULED:
        return replace(planned, state=_S.HELD, events=("hold",))
    if campaign.state is _S.HELD:
        return replace(planned, state=_S.HELD, events=())
    return planned


def _plan_idle(
    campaign: Campaign,
    totals: TaskTotals,
    now: datetime,
    times: Iterable[datetime | None],
    reason: str,
) -> CampaignPlan:
    """The plan of a campaign that starts nothing until one of `times`.

    It is running as long as one of its attempts is.
    """
    state, events = campaign.state, tuple[str, ...]()
    if state is _S.HELD:
        state, events = _S.SCHEDULED, ("release",)
    elif state is _S.RUNNING and not totals.active:
        state, events = _S.PAUSED, ("pause",)
    elif state is _S.PAUSED and totals.active:
        state, events = _S.RUNNING, ("resume",)
    if totals.needs_pass(now):
        return CampaignPlan(PlannedAction.EXECUTE, state, now + SLICE, 0, reason, events)
    until = _earliest([*times, totals.bound_at], totals, now)
    return CampaignPlan(PlannedAction.REST, state, until, 0, reason, events)


def _plan_stop(
    campaign: Campaign, totals: TaskTotals, reason: StopReason, now: datetime
) -> CampaignPlan:
    """The plan of a campaign that stops now."""
    stopping = replace(campaign, state=_S.STOPPING, stop_reason=reason)
    return _plan_stopping(stopping, totals, now).after("stop", stop=reason)


def _plan_stopping(campaign: Campaign, totals: TaskTotals, now: datetime) -> CampaignPlan:
    """The plan of a campaign that is stopping.

    Tasks without a record end with it, the others are ended one by one.
    """
    if totals.active or totals.waiting:
        reason = f"it is stopping: {campaign.stop_reason or StopReason.CANCEL}"
        return CampaignPlan(PlannedAction.EXECUTE, _S.STOPPING, now + SLICE, 0, reason)
    if now < (counted_by := _counted_by(campaign, now)):
        reason = "a worker may have started a task that is not counted yet"
        return CampaignPlan(PlannedAction.REST, _S.STOPPING, counted_by, reason=reason)
    if campaign.stop_reason is StopReason.EXPIRE:
        event = outcome_event(totals)
    elif campaign.stop_reason is StopReason.REPLACE:
        event = "replace"
    else:
        event = "cancel"
    state = JobState(JOB.transition(_S.STOPPING, event).after)
    return CampaignPlan(PlannedAction.END, state, events=(event,))


def _counted_by(campaign: Campaign, now: datetime) -> datetime:
    """When the counts have all tasks that had started before a person stopped the campaign."""
    stops = [
        entry.at
        for entry in campaign.history
        if entry.after == _S.STOPPING and not entry.by_machine
    ]
    was_in_pass = campaign.rests_until is None and campaign.started_at is not None
    return stops[0] + _COUNTED_WITHIN if stops and was_in_pass else now


def _plan_ended(campaign: Campaign, totals: TaskTotals) -> CampaignPlan:
    """The plan of a campaign whose tasks have all ended."""
    event = outcome_event(totals)
    events = [*(_EVENTS_TO_RUN[campaign.state] if campaign.state is not _S.PAUSED else ()), event]
    state = JobState(JOB.transition(_S.RUNNING, event).after)
    return CampaignPlan(PlannedAction.END, state, events=tuple(events))


def outcome_event(totals: TaskTotals) -> str:
    """The event that ends a campaign: whether all of its tasks succeeded, some, or none."""
    if not totals.succeeded:
        return "fail"
    others = totals.untouched + totals.waiting + totals.active + totals.failed + totals.cancelled
    return "succeed_partially" if others else "succeed"


def is_due(at: datetime | None, now: datetime) -> bool:
    """Whether a time has come; not if there is none."""
    return at is not None and at <= now


def _earliest(times: Iterable[datetime | None], totals: TaskTotals, now: datetime) -> datetime:
    """The first of some times: at most `MAX_REST` away, or a slice if attempts run."""
    longest = SLICE if totals.running else MAX_REST
    return min([now + longest, *(at for at in times if at is not None)])
