"""Schedules and their occurrences, as lists and details show them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from jobyard.domain.errors import BadRequest
from jobyard.domain.hold import Hold, active_hold, scopes_of
from jobyard.domain.jobs.job import JOB, JobState
from jobyard.domain.lifecycle import UnavailableEvent
from jobyard.domain.schedules.calendar import Calendar
from jobyard.domain.schedules.next_runs import MAX_REFUSED_IN_A_ROW, UpcomingRun, preview
from jobyard.domain.schedules.occurrence import Occurrence, Trigger, Verdict
from jobyard.domain.schedules.planning import next_run, run_now_refusal
from jobyard.domain.schedules.recurrence import Recurrence
from jobyard.domain.schedules.schedule import (
    SCHEDULE,
    Schedule,
    ScheduleFilter,
    ScheduleLabel,
    ScheduleState,
)
from jobyard.domain.schedules.wall_clock import zone_named
from jobyard.domain.schedules.year import (
    FIRST_YEAR,
    LAST_YEAR,
    Lateness,
    RuleDifference,
    YearDay,
    days_of_year,
    lateness_of,
    rule_difference,
)
from jobyard.services.access import authorize
from jobyard.services.context import QueryContext
from jobyard.services.queries.searched import Searched
from jobyard.services.schedules.access import active_schedule, schedule_or_tombstone
from jobyard.store import calendars, checkpoints, holds, jobs, occurrences, schedules

MAX_NEXT_RUNS = 20  # in the details of a schedule
COMPARED_RUNS = 100  # of an edit, before and after
_LATENESS_OF = 50  # occurrences, the newest
_MAX_READ = 500  # schedules that one page of a filtered list reads


@dataclass(frozen=True)
class ScheduleView:
    """A schedule as a list shows it. `next_run` is None if it will run no more jobs.

    `why` says what keeps it from running, and `until` for how long; "" and None if nothing does.
    `actions` are the events that the actor may send, `unavailable` the others, with the reason.
    """

    schedule: Schedule
    next_run: datetime | None
    why: str
    until: datetime | None
    actions: tuple[str, ...]
    unavailable: tuple[UnavailableEvent, ...]


@dataclass(frozen=True)
class OccurrenceView:
    """An occurrence and its job. `local` is its time in the schedule's zone.

    `state` is the job's; None without a job. `label` is the job's label, or Skipped or Waiting;
    `why` then says why there is no job. `records` are the numbers `processed`, `failed` and
    `total`; `total` is None until the end, `records` None if the job does not count records.
    """

    occurrence: Occurrence
    local: datetime
    state: JobState | None
    label: str
    why: str
    started_at: datetime | None
    records: Mapping[str, int | None] | None


@dataclass(frozen=True)
class ScheduleDetails:
    """A schedule with its next runs and its latest ended run; None if it has none, or it is
    archived.
    """

    view: ScheduleView
    next_runs: tuple[UpcomingRun, ...]
    completed: OccurrenceView | None


def schedule(schedule_id: str, context: QueryContext) -> ScheduleDetails:
    """One schedule.

    Raises:
        Forbidden: the actor may not see schedules. NotFound: there is no such schedule. Gone: it
            was deleted.
    """
    return details(active_schedule(schedule_id, context.actor), context)


def details(found: Schedule, context: QueryContext) -> ScheduleDetails:
    """The details of a schedule that the caller has read or written."""
    view = schedule_view(found, context)
    runs: list[UpcomingRun] = []
    if view.next_run:
        runs = preview(found.rule, view.next_run, MAX_NEXT_RUNS, _calendar(found, context))
    return ScheduleDetails(view, tuple(runs), _completed(found, context))


def _completed(found: Schedule, context: QueryContext) -> OccurrenceView | None:
    latest = found.latest
    if latest is None or _is_archived(found, latest.scheduled_for):
        return None
    ended = occurrences.find(found.job_address(latest.scheduled_for))
    return occurrence(found, ended, context) if ended else None


def _is_archived(found: Schedule, at: datetime) -> bool:
    """Whether an occurrence at `at` is archived, though it may still be in the table."""
    return found.retained_from is not None and at < found.retained_from


def schedule_view(found: Schedule, context: QueryContext) -> ScheduleView:
    """A schedule as a list shows it."""
    calendar = _calendar(found, context)
    next_at = next_run(found, calendar, context.now)
    why, until = _why(found, calendar, next_at, context)
    roles, refused = context.actor.roles, _refused(found)
    actions = (each for each in SCHEDULE.actions(found.state, roles) if each not in refused)
    unavailable = SCHEDULE.unavailable(found.state, roles, refused=refused)
    return ScheduleView(found, next_at, why, until, tuple(actions), unavailable)


def _calendar(found: Schedule, context: QueryContext) -> Calendar | None:
    name = found.policy.calendar
    if name and name not in context.calendars:
        stored = calendars.find(name)
        context.calendars[name] = stored.calendar if stored else None
    return context.calendars.get(name)


def _refused(found: Schedule) -> dict[str, str]:
    """Why a schedule refuses events that its state allows, by event."""
    refused = {}
    if refusal := run_now_refusal(found):
        refused["run_now"] = refusal
    if found.is_system:
        refused["delete"] = "it is a system schedule; suspend it instead"
    elif found.active:
        refused["delete"] = "a job of it is running; cancel it, or wait for its end"
    return refused


def _why(
    found: Schedule, calendar: Calendar | None, next_at: datetime | None, context: QueryContext
) -> tuple[str, datetime | None]:
    """What keeps a schedule from running, and until when; "" and None if nothing does."""
    if found.state is ScheduleState.DELETED:
        return "", None
    if found.state is ScheduleState.ENDED:
        return "it has no more times", None
    if found.state is ScheduleState.SUSPENDED:
        return found.suspension_reason, found.resume_at
    hold = _hold_on(found.job_type, context)
    if hold:
        return hold.description(), hold.until
    if found.queued_for:
        queued = f"the run of {found.queued_for:%Y-%m-%d %H:%M}Z"
        return f"{queued} waits for the previous one to end", None
    if found.next_at and found.next_at <= context.now:
        if found.active:
            return "it is due, and waits for the previous run to end", None
        return "it is due; a job starts within a minute", None
    if found.policy.calendar and calendar is None:
        return (
            f"calendar {found.policy.calendar} does not exist any more; it runs without one",
            None,
        )
    if next_at is None and found.next_at:
        return _why_never(found), None
    return "", None


def _why_never(found: Schedule) -> str:
    """Why a schedule with times left will not run at any of them."""
    if found.policy.calendar:
        excluded = f"all of its next {MAX_REFUSED_IN_A_ROW:,} times"
        return f"calendar {found.policy.calendar} excludes {excluded}"
    return "all its remaining times are skipped by clock changes"


def _hold_on(job_type: str, context: QueryContext) -> Hold | None:
    key = f"type:{job_type}"
    if key not in context.holds:
        found = holds.of_scopes(scopes_of("", job_type))
        context.holds[key] = active_hold(found, context.now)
    return context.holds[key]


@dataclass(frozen=True)
class ScheduleList:
    """A page of schedules by title, and where the next page begins; None after the last. `searched`
    is how far a page that is not full was searched; None if that is to the end.
    """

    items: tuple[ScheduleView, ...]
    after: str | None
    searched: Searched | None = None


def list_schedules(
    context: QueryContext, *, system: bool, label: str, after: str, limit: int
) -> ScheduleList:
    """A page of schedules: the system's, or the others.

    `label` is a `ScheduleFilter`, "" for any. A page with a label reads up to `_MAX_READ`
    schedules, and may show only a few.

    Raises:
        Forbidden: the actor may not see schedules.
    """
    authorize(context.actor, "schedule", "view")
    found: list[ScheduleView] = []
    checked = 0
    while True:
        page = schedules.by_title(system=system, limit=limit - len(found), after=after)
        checked += len(page.items)
        read = (each for each in page.items if _may_have(each, label, context.now))
        views = (schedule_view(each, context) for each in read)
        found += [view for view in views if label != ScheduleFilter.WAITING or view.next_run]
        after = page.after
        if not after or len(found) >= limit:
            return ScheduleList(tuple(found), after or None)
        if checked >= _MAX_READ:
            return ScheduleList(tuple(found), after, Searched(checked, page.items[-1].title))


def _may_have(found: Schedule, label: str, now: datetime) -> bool:
    """Whether the schedule has the label; for `WAITING`, whether it may, without its next run."""
    if label == ScheduleFilter.PROBLEM:
        return found.has_problem(now)
    return not found.active if label == ScheduleFilter.WAITING else label in {"", found.label}


def occurrence(found: Schedule, each: Occurrence, context: QueryContext) -> OccurrenceView:
    """An occurrence of the schedule, with its job."""
    local = each.scheduled_for.astimezone(zone_named(found.rule.zone))
    if each.verdict is not Verdict.RUN:
        label = "Skipped" if each.verdict is Verdict.SKIP else "Waiting"
        return OccurrenceView(
            each, local, None, label, _why_no_job(found, each, context), None, None
        )
    if each.outcome is None:
        return _active_job(each, local)
    outcome = each.outcome
    records = None
    if outcome.processed is not None:
        counts = (outcome.processed, outcome.failed or 0, outcome.total)
        records = dict(zip(("processed", "failed", "total"), counts, strict=True))
    label = JOB.state(outcome.state).labels["schedule"]
    return OccurrenceView(each, local, outcome.state, label, "", outcome.started_at, records)


def _why_no_job(found: Schedule, each: Occurrence, context: QueryContext) -> str:
    if each.skip_reason:
        return each.skip_reason.description
    if found.active:
        return f"Waiting (run of {found.active[-1].scheduled_for:%Y-%m-%d %H:%M}Z active)"
    hold = _hold_on(found.job_type, context)
    return f"Waiting ({hold.description()})" if hold else "Waiting (it starts within a minute)"


def occurrence_of(each: Occurrence, context: QueryContext) -> OccurrenceView:
    """An occurrence, with its job; its schedule is read."""
    return occurrence(schedules.get(each.schedule_id), each, context)


def _active_job(each: Occurrence, local: datetime) -> OccurrenceView:
    """An occurrence whose job is active. The counts are from the job's checkpoint."""
    job = jobs.find(each.address)
    checkpoint = checkpoints.get(each.address.job_id)
    starts = [entry.at for entry in job.history if entry.after == JobState.RUNNING] if job else []
    return OccurrenceView(
        occurrence=each,
        local=local,
        state=job.state if job else JobState.SCHEDULED,
        label=ScheduleLabel.IN_PROGRESS.value,
        why="",
        started_at=min(starts, default=None),
        records=checkpoint.counts if checkpoint.version else None,
    )


@dataclass(frozen=True)
class OccurrenceList:
    """A page of occurrences, newest first, and where the next page begins: before a time, in ISO
    8601; None after the last.
    """

    items: tuple[OccurrenceView, ...]
    after: str | None


def list_occurrences(
    schedule_id: str, context: QueryContext, *, after: str, limit: int
) -> OccurrenceList:
    """A page of a schedule's occurrences, also of a deleted schedule. It begins `after` a page; ""
    is the first.

    Raises:
        Forbidden: the actor may not see schedules. NotFound: there is no such schedule.
    """
    found = schedule_or_tombstone(schedule_id, context.actor)
    before = datetime.fromisoformat(after) if after else None
    newest = occurrences.newest(schedule_id, limit=limit + 1, before=before)
    retained = [each for each in newest if not _is_archived(found, each.scheduled_for)]
    shown = tuple(occurrence(found, each, context) for each in retained[:limit])
    has_more = len(retained) > limit
    return OccurrenceList(
        shown, retained[limit - 1].scheduled_for.isoformat() if has_more else None
    )


def list_times(
    rule: Recurrence, start: datetime, count: int, calendar: str, context: QueryContext
) -> list[UpcomingRun]:
    """The first `count` runs of an unsaved rule from `start` on; `calendar` is its name, or "".

    Raises:
        Forbidden: the actor may not see schedules. BadRequest: there is no such calendar.
    """
    authorize(context.actor, "schedule", "preview")
    stored = calendars.find(calendar) if calendar else None
    if calendar and stored is None:
        raise BadRequest(f"there is no calendar {calendar!r}")
    return preview(rule, start, count, stored.calendar if stored else None)


@dataclass(frozen=True)
class ScheduleYear:
    """The days of a year on which a schedule is due, in its zone. If not `is_complete`, only the
    first `MAX_YEAR_TIMES` times of the year are counted.
    """

    schedule: Schedule
    year: int
    days: Mapping[date, YearDay]
    is_complete: bool


def schedule_year(schedule_id: str, year: int, context: QueryContext) -> ScheduleYear:
    """A year of a schedule's rule and calendar, day by day.

    Raises:
        Forbidden: the actor may not see schedules. NotFound: there is no such schedule. Gone: it
            was deleted. BadRequest: the year is too early or too late.
    """
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise BadRequest(f"year is from {FIRST_YEAR} to {LAST_YEAR}")
    found = active_schedule(schedule_id, context.actor)
    days, is_complete = days_of_year(found.rule, _calendar(found, context), year)
    return ScheduleYear(found, year, days, is_complete)


def edit_difference(
    schedule_id: str,
    rule: Recurrence | None,
    calendar: str | None,
    context: QueryContext,
    *,
    count: int = COMPARED_RUNS,
) -> RuleDifference:
    """What an edit of a schedule's rule or calendar would do to its next `count` runs; None leaves
    it as it is. Nothing is changed.

    Raises:
        Forbidden, NotFound, Gone: as for `schedule`. BadRequest: there is no such calendar.
    """
    found = active_schedule(schedule_id, context.actor, "preview")
    old_calendar = _calendar(found, context)
    new_calendar = old_calendar
    if calendar is not None:
        stored = calendars.find(calendar) if calendar else None
        if calendar and stored is None:
            raise BadRequest(f"there is no calendar {calendar!r}")
        new_calendar = stored.calendar if stored else None
    return rule_difference(
        (found.rule, old_calendar), (rule or found.rule, new_calendar), context.now, count
    )


def lateness(schedule_id: str, context: QueryContext) -> Lateness:
    """How late the jobs of a schedule's newest runs started.

    Raises:
        Forbidden: the actor may not see schedules. NotFound: there is no such schedule.
    """
    found = schedule_or_tombstone(schedule_id, context.actor)
    newest = occurrences.newest(found.schedule_id, limit=_LATENESS_OF)
    delays = [
        delay.total_seconds()
        for each in newest
        if each.trigger is not Trigger.MANUAL
        and each.outcome
        and (delay := each.start_delay(each.outcome.started_at)) is not None
    ]
    return lateness_of(delays)
