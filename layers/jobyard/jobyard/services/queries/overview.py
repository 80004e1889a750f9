"""The overview of a deployment, as the first page shows it: what is open, what fails, what is next.

All who may see all batches share one, and each depositor has their own. Every part has a bound, so
that computing it reads as much on a busy day as on any other. Readers then read one item.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any

from jobyard.domain.access import is_allowed, roles_for
from jobyard.domain.activity import Act
from jobyard.domain.batches.batch import OPEN_BATCH_STATES, Batch, BatchState
from jobyard.domain.batches.chunks import TimeSpan, spans
from jobyard.domain.hold import active_hold
from jobyard.domain.ids import Origin
from jobyard.domain.jobs.job import JobState
from jobyard.domain.jobs.job_type import JobType
from jobyard.domain.overview import (
    REASON_BYTES_SHOWN,
    FailuresByCode,
    HoldInForce,
    LastRun,
    LimitsInUse,
    NamedBatch,
    NextRun,
    OpenBatch,
    OpenCampaign,
    Overview,
    ProblemRun,
    RefusedBatches,
    RunningJobs,
    ScheduleOverview,
    StateCount,
    SystemHealth,
    UndeliveredReport,
    UndeliveredReports,
    WaitingBatch,
)
from jobyard.domain.schedules.schedule import MAX_ACTIVE_RUNS, PROBLEMS_OF, Schedule
from jobyard.domain.text import clean
from jobyard.jobtypes import types_of
from jobyard.services.access import authorize
from jobyard.services.context import QueryContext
from jobyard.services.dead_letters import dead_letter_count
from jobyard.services.jobs.runner import CONCURRENT_JOBS
from jobyard.services.queries.batches import BatchView, batch_views
from jobyard.services.queries.campaigns import CampaignView, view_of
from jobyard.services.queries.schedules import occurrence, schedule_view
from jobyard.services.queries.system import alarms_of
from jobyard.services.snapshots import misses_act, shared_snapshot
from jobyard.services.system_clients import SystemClients
from jobyard.store import (
    activity,
    batches,
    campaigns,
    holds,
    leases,
    occurrences,
    overviews,
    rates,
    reports,
    schedules,
)

OPEN_SHOWN = 20  # open batches, and batches of each state that are read for them
FAILED_READ = 10  # failed batches, the newest
BATCHES_COUNTED = 500  # batches of each state
ENDED_OF = timedelta(hours=24)  # batches that are counted after they have ended
_REFUSED_OF = timedelta(hours=24)
_RECENT = timedelta(hours=24)  # failures that come before all others
_CAMPAIGNS_READ, _CAMPAIGNS_SHOWN = 20, 5
_NEXT_RUNS_SHOWN = 10
_LAST_RUNS_SHOWN = 5
_PROBLEM_RUNS_SHOWN = 8
_PROBLEMS_COUNTED = 100  # schedules
SCHEDULES_READ = 100  # by title, whose last runs are looked for
_REPORTS_COUNTED = 20
_HOLDS_READ, _HOLDS_SHOWN = 100, 5
_ALARMS_SHOWN = 16
_ACTS_SHOWN = 10
_ACTS_READ = 100  # for those that everybody may see
_WAITING_READ = 10  # at a time, for one whose manifest has arrived
_LOST_SINCE = timedelta(days=7)  # reports whose mail was refused or bounced
OWN_READ = 50  # batches of a depositor, the newest
_READ_STATES = (*sorted(OPEN_BATCH_STATES), BatchState.FAILED.value)
_ENDED_STATES = (BatchState.COMPLETED.value, BatchState.CANCELLED.value)


def overview(context: QueryContext, clients: SystemClients) -> Overview:
    """The overview of what the actor may see. What a person changed is always in it.

    Raises:
        Forbidden: they may see no batch at all.
    """
    authorize(context.actor, "batch", "list")
    roles = context.actor.roles
    sees_all = is_allowed("batch", "view", roles)
    owner = "" if sees_all else f"#{context.actor.sub}"
    found = shared_snapshot(
        f"overview.{overviews.OVERVIEW_FORMAT}{owner}",
        context,
        lambda: overviews.document_of(_all(context, clients) if sees_all else _own(context)),
        is_outdated=lambda at: misses_act(at, context.now),
    )
    stored = replace(overviews.parse_overview(found.document), taken_at=found.started_at)
    return stored.visible_to(roles, acts=_ACTS_SHOWN) if sees_all else stored


def _all(context: QueryContext, clients: SystemClients) -> Overview:
    """The overview of everything, for all readers."""
    of_batches = _of_batches(_all_batches(context), context)
    of_schedules, running_schedules = _schedules(context)
    running = (
        _running_of_batches(of_batches, context),
        running_schedules,
        *filter(None, (_running_tasks(each, context.now) for each in types_of(Origin.CAMPAIGN))),
    )
    return replace(
        of_batches,
        oldest_waiting=_oldest(filter(None, map(_first_uploaded, _WAITING))),
        schedules=of_schedules,
        limits=_limits(running, context.now),
        undelivered=_undelivered(context.now),
        usage=rates.usage_of_month(context.now),
        activity=_activity(context.now),
        system=_system(context, clients),
        campaigns=_campaigns(context),
    )


def _campaigns(context: QueryContext) -> tuple[OpenCampaign, ...]:
    """The open campaigns among the newest."""
    found = campaigns.newest(_CAMPAIGNS_READ).items
    views = [view_of(each, context) for each in found if each.is_open]
    return tuple(_open_campaign(each, context.now) for each in views[:_CAMPAIGNS_SHOWN])


def _open_campaign(view: CampaignView, now: datetime) -> OpenCampaign:
    found = view.campaign
    opening = found.openings.opening_at(now)
    following = found.openings.next_opening(now)
    return OpenCampaign(
        found.campaign_id,
        found.name,
        "unknown" if view.is_silent else found.state.value,
        view.label,
        {str(state): number for state, number in view.counts.items()},
        found.tasks,
        view.done,
        at_once=found.rules.at_once,
        is_window_open=opening is not None,
        window_at=opening.end if opening else following.start if following else None,
    )


def _running_of_batches(found: Overview, context: QueryContext) -> RunningJobs:
    """The jobs that run of the open batches that were read."""
    workers = context.settings.max_concurrency
    return RunningJobs(
        "Jobs of batches",
        sum(each.counts["running"] for each in found.open_batches),
        None,
        f"up to {workers * CONCURRENT_JOBS:,} in each batch: {workers} workers with "
        f"{CONCURRENT_JOBS} each",
        is_exact=found.has_all_open,
    )


def _running_tasks(job_type: JobType[Any], now: datetime) -> RunningJobs | None:
    """The slots of a job type that campaigns have leased; None if it has no limit."""
    if job_type.at_once is None:
        return None
    found, _ = leases.get(job_type.name)
    leased = sum(each.slots for each in found.values() if now < each.until)
    return RunningJobs(
        f"Tasks of {job_type.name}", leased, job_type.at_once, "of all jobs on devices"
    )


def _limits(running: tuple[RunningJobs, ...], now: datetime) -> LimitsInUse:
    """The limits, with the holds in force: those of campaigns last, the oldest first."""
    placed = [each for each in islice(holds.list_all(), _HOLDS_READ) if active_hold([each], now)]
    placed.sort(key=lambda each: (each.scope.startswith("campaign:"), each.placed_at))
    listed = [HoldInForce(each.scope, each.owner, each.reason, each.until) for each in placed]
    return LimitsInUse(running, tuple(listed[:_HOLDS_SHOWN]), len(listed[_HOLDS_SHOWN:]))


def _own(context: QueryContext) -> Overview:
    """The overview of a depositor's own batches."""
    found = _own_batches(context)
    return replace(_of_batches(found, context), oldest_waiting=_oldest(found.batches))


@dataclass(frozen=True)
class _ReadBatches:
    """Open and failed batches, and the number of batches in each state. They are the newest, unless
    it `has_all_open` and `has_all_failed`.
    """

    batches: Sequence[Batch]
    counts: Mapping[str, StateCount]
    has_all_open: bool
    has_all_failed: bool


def _of_batches(found: _ReadBatches, context: QueryContext) -> Overview:
    newest_first = sorted(found.batches, key=lambda each: each.submitted_at, reverse=True)
    open_ones = [each for each in newest_first if each.state in OPEN_BATCH_STATES]
    failed_ones = [each for each in newest_first if each.state is BatchState.FAILED]
    failed = failed_ones[:FAILED_READ]
    views = batch_views([*open_ones[:OPEN_SHOWN], *failed], context)
    of_open = [each for each in views if each.batch.state in OPEN_BATCH_STATES]
    failing = [each for each in views if each.counts["failed"]]
    failing.sort(key=lambda each: each.batch.submitted_at, reverse=True)
    return Overview(
        open_batches=tuple(map(_open_batch, of_open)),
        counts=found.counts,
        failing=tuple(
            NamedBatch(each.batch.batch_id, each.batch.filename, each.counts["failed"])
            for each in failing
        ),
        oldest_waiting=None,
        failures=_failures(failing, context.now),
        has_all_open=found.has_all_open and len(of_open) == len(open_ones),
        has_all_failed=found.has_all_failed and len(views) - len(of_open) == len(failed_ones),
        refused=_refused(failed, context.now),
    )


def _refused(failed: Sequence[Batch], now: datetime) -> RefusedBatches | None:
    """Those of the newest failed batches, newest first, that failed as a whole in the last 24
    hours; None if there are none.
    """
    found = [
        each
        for each in failed
        if each.failure_message and each.ended_at and each.ended_at >= now - _REFUSED_OF
    ]
    if not found:
        return None
    is_exact = len(found) < FAILED_READ
    return RefusedBatches(len(found), is_exact, found[0].batch_id, found[0].filename)


def _open_batch(view: BatchView) -> OpenBatch:
    found = view.batch
    return OpenBatch(
        found.batch_id,
        found.filename,
        found.collection,
        found.submitter,
        found.state,
        found.submitted_at,
        view.why,
        view.counts,
        view.progress,
        found.job_type,
    )


def _all_batches(context: QueryContext) -> _ReadBatches:
    """The newest batches of each open state and the newest failed ones."""
    found: list[Batch] = []
    counts, cut = {}, set()
    for state in _READ_STATES:
        limit = FAILED_READ if state == BatchState.FAILED else OPEN_SHOWN
        page = batches.of_state(state, limit=limit)
        present = [each for each in page.items if not each.has_expired(context.now)]
        found += present
        counts[state] = StateCount(len(present), is_exact=True)
        if page.after:
            cut.add(state)
            counts[state] = _count(state, context)
    since = context.now - ENDED_OF
    counts |= {state: _count(state, context, since) for state in _ENDED_STATES}
    has_all_failed = BatchState.FAILED not in cut
    return _ReadBatches(found, counts, not cut - {BatchState.FAILED}, has_all_failed)


def _count(state: str, context: QueryContext, since: datetime | None = None) -> StateCount:
    limit = BATCHES_COUNTED
    return StateCount(*batches.count_of_state(state, context.now, limit=limit, since=since))


def _own_batches(context: QueryContext) -> _ReadBatches:
    """The newest batches of a depositor."""
    page = batches.of_submitter(context.actor.sub, limit=OWN_READ)
    # Batches from before there were ids are indexed by name, and a name may look like an id.
    found = [
        each
        for each in page.items
        if each.is_submitted_by(context.actor.sub) and not each.has_expired(context.now)
    ]
    since, is_all = context.now - ENDED_OF, not page.after
    has_all_ended = is_all or page.items[-1].submitted_at < since
    numbers = Counter(each.state.value for each in found)
    recent = Counter(each.state.value for each in found if each.submitted_at >= since)
    counts = {state: StateCount(numbers[state], is_all) for state in _READ_STATES}
    counts |= {state: StateCount(recent[state], has_all_ended) for state in _ENDED_STATES}
    return _ReadBatches(found, counts, has_all_open=is_all, has_all_failed=is_all)


_WAITING = (BatchState.PENDING, BatchState.HELD)


def _first_uploaded(state: BatchState) -> Batch | None:
    """The oldest batch in a state whose manifest has arrived; the index has the oldest first."""
    return next(batches.in_state(state, uploaded=True, page=_WAITING_READ), None)


def _oldest(found: Iterable[Batch]) -> WaitingBatch | None:
    """The batch that has been pending or held longest."""
    waiting = (each for each in found if each.state in _WAITING and not each.awaits_upload)
    oldest = min(waiting, key=lambda each: each.submitted_at, default=None)
    if oldest is None:
        return None
    return WaitingBatch(oldest.batch_id, oldest.filename, oldest.submitted_at)


def _failures(failing: Sequence[BatchView], now: datetime) -> tuple[FailuresByCode, ...]:
    """The failed jobs by code: first the codes with which jobs failed in the last 24 hours, then
    those of most jobs.
    """
    by_code: dict[str, list[NamedBatch]] = {}
    seen: list[dict[str, TimeSpan]] = []
    for view in failing:
        batch = view.batch
        for group in view.failure_groups or ():
            named = NamedBatch(batch.batch_id, batch.filename, group.count)
            by_code.setdefault(group.code, []).append(named)
            if group.first_seen_at and group.last_seen_at:
                seen.append({group.code: (group.first_seen_at, group.last_seen_at)})
    seen_at = spans(seen)
    groups = [
        FailuresByCode(
            code,
            tuple(sorted(found, key=lambda each: -each.jobs)),
            *seen_at.get(code, (None, None)),
        )
        for code, found in by_code.items()
    ]

    def is_old(group: FailuresByCode) -> bool:
        return group.last_seen_at is None or group.last_seen_at < now - _RECENT

    return tuple(sorted(groups, key=lambda group: (is_old(group), -group.count, group.code)))


def _schedules(context: QueryContext) -> tuple[ScheduleOverview, RunningJobs]:
    """The next runs and the problems, from their indexes; the last runs of the schedules that ran
    last, of those that are read; and how many jobs of these run.
    """
    due = schedules.next_due(_NEXT_RUNS_SHOWN)
    by_title = schedules.by_title(system=False, limit=SCHEDULES_READ)
    known = {each.schedule_id: each for each in chain(due, by_title.items)}
    next_runs = [
        NextRun(each.schedule_id, each.title, at)
        for each in due
        if (at := schedule_view(each, context).next_run)
    ]
    next_runs.sort(key=lambda run: run.at)
    decided = [each for each in known.values() if each.decided_until]
    decided.sort(key=lambda each: each.decided_until or context.now, reverse=True)
    last_runs = [
        run
        for each in decided[:_LAST_RUNS_SHOWN]
        for run in _last_runs(each, _LAST_RUNS_SHOWN, context)
    ]
    last_runs.sort(key=lambda run: run.scheduled_for, reverse=True)
    found = _with_problems(
        ScheduleOverview(
            tuple(next_runs),
            tuple(last_runs[:_LAST_RUNS_SHOWN]),
            has_all_schedules=not by_title.after,
        ),
        context.now,
    )
    running = RunningJobs(
        "Jobs of schedules",
        sum(len(each.active) for each in known.values()),
        None,
        f"one of each schedule, or up to {MAX_ACTIVE_RUNS} if its runs may overlap",
        is_exact=found.has_all_schedules,
    )
    return found, running


def _with_problems(found: ScheduleOverview, now: datetime) -> ScheduleOverview:
    """The overview with the newest problems of schedules, and how many schedules have others."""
    read = schedules.with_problem(
        now - PROBLEMS_OF, limit=_PROBLEM_RUNS_SHOWN, counted=_PROBLEMS_COUNTED
    )
    runs = _problem_runs(read.items, now)
    unnamed = {each.schedule_id for each in read.items} - {each.schedule_id for each in runs}
    more = read.more + len(unnamed)
    return replace(found, problem_runs=runs, more_problems=more, is_exact=read.is_exact)


def _problem_runs(known: Iterable[Schedule], now: datetime) -> tuple[ProblemRun, ...]:
    """The runs of the last 24 hours that failed and are the latest, or that were skipped although
    nobody wanted that; the newest first.
    """
    found = []
    for each in known:
        latest, skip = each.latest, each.last_skip
        if latest and latest.state is JobState.FAILED:
            found.append(ProblemRun(each.schedule_id, each.title, latest.ended_at))
        if skip:
            found.append(ProblemRun(each.schedule_id, each.title, skip.decided_at, skip.reason))
    recent = [each for each in found if each.at >= now - PROBLEMS_OF]
    recent.sort(key=lambda run: run.at, reverse=True)
    return tuple(recent[:_PROBLEM_RUNS_SHOWN])


def _last_runs(schedule: Schedule, number: int, context: QueryContext) -> list[LastRun]:
    found = []
    for each in occurrences.newest(schedule.schedule_id, limit=number):
        view = occurrence(schedule, each, context)
        found.append(
            LastRun(
                schedule.schedule_id,
                schedule.title,
                each.scheduled_for,
                view.label,
                view.why,
            )
        )
    return found


def _undelivered(now: datetime) -> UndeliveredReports:
    """Reports that should have been sent, and those that were lost in the last week."""
    waiting = (each for each in reports.undelivered(_REPORTS_COUNTED + 1) if each.is_late(now))
    lost = reports.failed_since(now - _LOST_SINCE, _REPORTS_COUNTED + 1)
    found = [*islice(chain(waiting, lost), _REPORTS_COUNTED + 1)]
    return UndeliveredReports(
        tuple(
            UndeliveredReport(
                each.batch_id, each.subject, each.delivery.state.value, each.delivery.at
            )
            for each in found[:_REPORTS_COUNTED]
        ),
        is_exact=len(found) <= _REPORTS_COUNTED,
    )


def _activity(now: datetime) -> tuple[Act, ...]:
    """The newest acts: as many as are shown, for each role that sees some of them."""
    found: list[Act] = []
    numbers = dict.fromkeys(roles_for("activity", "view"), 0)
    for stored in islice(activity.newest_first(now, None, 2 * _ACTS_SHOWN), _ACTS_READ):
        lacking = [role for role, number in numbers.items() if number < _ACTS_SHOWN]
        seen_by = [role for role in lacking if stored.act.is_visible_to((role,))]
        if not lacking:
            break
        if seen_by:
            found.append(stored.act)
        for role in seen_by:
            numbers[role] += 1
    return tuple(found)


def _system(context: QueryContext, clients: SystemClients) -> SystemHealth:
    """The active alarms and the dead letters, as far as AWS answers."""
    settings, answer = context.settings, clients.result_or_none
    alarms = answer(lambda: alarms_of(clients.cloudwatch, settings))
    letters = answer(lambda: dead_letter_count(clients.sqs, settings))
    active = [each.description for each in alarms or () if each.is_active]
    texts = tuple(clean(each, REASON_BYTES_SHOWN) for each in active[:_ALARMS_SHOWN])
    more_alarms = len(active[_ALARMS_SHOWN:])
    return SystemHealth(None if alarms is None else texts, letters, more_alarms)
