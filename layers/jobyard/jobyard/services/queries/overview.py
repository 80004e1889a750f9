"""The overview of a deployment, as the first page shows it: what is open, what fails, what is next.

Every part has a bound, so that a poll reads as much on a busy day as on any other.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice

from jobyard.domain.access import is_allowed
from jobyard.domain.activity import Act
from jobyard.domain.batches.batch import OPEN_BATCH_STATES, Batch, BatchState
from jobyard.domain.batches.report import Report
from jobyard.domain.cost import Cost
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.schedules.schedule import Schedule
from jobyard.services.access import authorize
from jobyard.services.context import QueryContext
from jobyard.services.queries.activity import recent_activity
from jobyard.services.queries.batches import BatchView, batch_views
from jobyard.services.queries.costs import month_cost
from jobyard.services.queries.schedules import (
    OccurrenceView,
    ScheduleView,
    occurrence,
    schedule_view,
)
from jobyard.store import batches, occurrences, reports, schedules

OPEN_SHOWN = 20  # open batches, and batches of each state that are read for them
FAILED_READ = 10  # failed batches, the newest
BATCHES_OF_A_GROUP = 5  # batches that a failure group names
FAILURES_OF = timedelta(hours=24)
_RUNS_SHOWN = 5
_SCHEDULES_READ = 20  # by title, whose last runs are looked for
_REPORTS_SHOWN = 10
_ACTS_SHOWN = 10
_LOST_SINCE = timedelta(days=7)  # reports whose mail was refused or bounced
_OWN_READ = 50  # batches of a depositor, the newest
_COUNTED = (*sorted(OPEN_BATCH_STATES), BatchState.FAILED.value)


@dataclass(frozen=True)
class StateCount:
    """The number of batches in a state. If it is not exact, there are more."""

    number: int
    is_exact: bool


@dataclass(frozen=True)
class RecentFailures:
    """Jobs that failed with the same code in the last 24 hours, and the batches with most of them.

    `batch_count` is the number of all batches with this code among those that were read.
    """

    code: str
    description: str
    count: int
    batch_count: int
    batches: tuple[tuple[Batch, int], ...]  # with the number of such jobs, most first


@dataclass(frozen=True)
class ScheduleOverview:
    """The next runs of all schedules, soonest first, and their last occurrences, newest first, the
    skipped ones too.
    """

    next_runs: tuple[ScheduleView, ...]
    last_runs: tuple[tuple[Schedule, OccurrenceView], ...]


@dataclass(frozen=True)
class Overview:
    """What is open, what fails and what is next.

    `open_batches` are the newest; `counts` has each open state and `failed`; `failing` are open or
    failed batches with failed jobs, newest first; `oldest_waiting` has been pending or held
    longest. A depositor sees their own batches only, and None where other people's deeds, mails
    and costs are concerned. `schedules` is None for those who may not see any.
    """

    open_batches: tuple[BatchView, ...]
    counts: Mapping[str, StateCount]
    failing: tuple[BatchView, ...]
    oldest_waiting: Batch | None
    failures: tuple[RecentFailures, ...]
    schedules: ScheduleOverview | None
    undelivered: tuple[Report, ...] | None
    cost: Cost | None
    activity: tuple[Act, ...] | None


def overview(context: QueryContext) -> Overview:
    """The overview of what the actor may see.

    Raises:
        Forbidden: they may see no batch at all.
    """
    authorize(context.actor, "batch", "list")
    roles = context.actor.roles
    sees_all = is_allowed("batch", "view", roles)
    found, counts = _all_batches(context) if sees_all else _own_batches(context)
    newest_first = sorted(found, key=lambda each: each.submitted_at, reverse=True)
    open_ones = [each for each in newest_first if each.state in OPEN_BATCH_STATES][:OPEN_SHOWN]
    failed = [each for each in newest_first if each.state is BatchState.FAILED][:FAILED_READ]
    views = batch_views([*open_ones, *failed], context)
    failing = [each for each in views if each.counts["failed"]]
    failing.sort(key=lambda each: each.batch.submitted_at, reverse=True)
    return Overview(
        open_batches=tuple(each for each in views if each.batch.state in OPEN_BATCH_STATES),
        counts=counts,
        failing=tuple(failing),
        oldest_waiting=_oldest_waiting(found, sees_all=sees_all),
        failures=_failures(failing, context.now),
        schedules=_schedules(context) if is_allowed("schedule", "view", roles) else None,
        undelivered=_undelivered(context.now) if sees_all else None,
        cost=month_cost(context) if sees_all else None,
        activity=_activity(context) if is_allowed("activity", "view", roles) else None,
    )


def _all_batches(context: QueryContext) -> tuple[list[Batch], dict[str, StateCount]]:
    """The newest batches of each open state and the newest failed ones, with their numbers."""
    found: list[Batch] = []
    counts = {}
    for state in _COUNTED:
        limit = FAILED_READ if state == BatchState.FAILED else OPEN_SHOWN
        page = batches.of_state(state, limit=limit)
        present = [each for each in page.items if not each.has_expired(context.now)]
        found += present
        counts[state] = StateCount(len(present), not page.after)
    return found, counts


def _own_batches(context: QueryContext) -> tuple[list[Batch], dict[str, StateCount]]:
    """The newest batches of a depositor that are open or failed, with their numbers."""
    page = batches.of_submitter(context.actor.sub, limit=_OWN_READ)
    # Batches from before there were ids are indexed by name, and a name may look like an id.
    found = [
        each
        for each in page.items
        if each.is_submitted_by(context.actor.sub)
        and each.state in _COUNTED
        and not each.has_expired(context.now)
    ]
    numbers = {state: sum(each.state == state for each in found) for state in _COUNTED}
    return found, {state: StateCount(n, not page.after) for state, n in numbers.items()}


def _oldest_waiting(found: Iterable[Batch], *, sees_all: bool) -> Batch | None:
    """The batch that has been pending or held longest; the index has the oldest first."""
    waiting = (BatchState.PENDING, BatchState.HELD)
    if sees_all:
        oldest = (next(batches.in_state(state, uploaded=True), None) for state in waiting)
        found = [each for each in oldest if each]
    candidates = (each for each in found if each.state in waiting and not each.awaits_upload)
    return min(candidates, key=lambda each: each.submitted_at, default=None)


def _failures(failing: Sequence[BatchView], now: datetime) -> tuple[RecentFailures, ...]:
    """The failed jobs of batches that are open or ended in the last 24 hours, by code."""
    by_code: dict[str, list[tuple[Batch, int]]] = {}
    for view in failing:
        if (view.batch.ended_at or now) >= now - FAILURES_OF:
            for code, _, number, _ in view.failure_groups or ():
                by_code.setdefault(code, []).append((view.batch, number))
    groups = [
        RecentFailures(
            code,
            Failure(code).description,
            sum(number for _, number in found),
            len(found),
            tuple(sorted(found, key=lambda each: -each[1])[:BATCHES_OF_A_GROUP]),
        )
        for code, found in by_code.items()
    ]
    return tuple(sorted(groups, key=lambda group: (-group.count, group.code)))


def _schedules(context: QueryContext) -> ScheduleOverview:
    """The next runs, by the index of due times; the last ones of the schedules that ran last."""
    due = schedules.next_due(_RUNS_SHOWN)
    by_title = schedules.by_title(system=False, limit=_SCHEDULES_READ).items
    known = {each.schedule_id: each for each in chain(due, by_title)}
    next_runs = [view for each in due if (view := schedule_view(each, context)).next_run]
    next_runs.sort(key=lambda view: view.next_run or context.now)
    decided = [each for each in known.values() if each.decided_until]
    decided.sort(key=lambda each: each.decided_until or context.now, reverse=True)
    last_runs = [
        (schedule, occurrence(schedule, each, context))
        for schedule in decided[:_RUNS_SHOWN]
        for each in occurrences.newest(schedule.schedule_id, limit=_RUNS_SHOWN)
    ]
    last_runs.sort(key=lambda run: run[1].occurrence.scheduled_for, reverse=True)
    return ScheduleOverview(tuple(next_runs[:_RUNS_SHOWN]), tuple(last_runs[:_RUNS_SHOWN]))


def _undelivered(now: datetime) -> tuple[Report, ...]:
    """Reports that wait for the mail service, and those whose mail was lost in the last week."""
    waiting = islice(reports.undelivered(), _REPORTS_SHOWN)
    lost = islice(reports.failed_since(now - _LOST_SINCE), _REPORTS_SHOWN)
    return (*waiting, *lost)


def _activity(context: QueryContext) -> tuple[Act, ...]:
    return recent_activity(context, limit=_ACTS_SHOWN).items
