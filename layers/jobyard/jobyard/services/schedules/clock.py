"""The clock: start the jobs of due schedules, in each scheduler tick.

The domain decides on the due times, one transaction writes the decisions, and then executions
start; their names derive from the occurrences. If two ticks decide the same, one loses the write
and starts nothing. After a crash between write and start, a later tick checks the schedule's active
jobs again and starts the missing executions.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain
from threading import Lock
from typing import TypeVar

from jobyard.domain.cause_key import MAIN_RUN, CauseKey, Interruption
from jobyard.domain.errors import StaleState
from jobyard.domain.hold import Hold, active_hold, scopes_of
from jobyard.domain.jobs.job import JOB, OPEN_JOB_STATES, JobRecord, new_job
from jobyard.domain.lifecycle import Cause
from jobyard.domain.schedules.calendar import Calendar
from jobyard.domain.schedules.occurrence import Occurrence, RunOutcome, SkipReason, Verdict
from jobyard.domain.schedules.planning import Decision, after_wait, plan
from jobyard.domain.schedules.schedule import (
    SCHEDULE,
    SCHEDULER_CAUSE,
    Schedule,
    ScheduleState,
)
from jobyard.services.executions import Executions
from jobyard.services.schedules.recovery import recover_active_jobs
from jobyard.store import calendars, checkpoints, holds, jobs, occurrences, schedules
from jobyard.store.schedules import DueSchedule, ScheduleWrites

PARALLEL_SCHEDULES = 24
RECOVERED_SCHEDULES = 100  # checked per tick; AWS describes ten executions a second
_TRIES = 5  # to write a schedule that others change at the same time; the next tick tries again
_MAX_WRITES = 20  # per schedule and tick; later times stay due
_Each = TypeVar("_Each", DueSchedule, Schedule)
_MILLISECOND = timedelta(milliseconds=1)
_RESUME = replace(SCHEDULER_CAUSE, reason="at its resume time")


@dataclass(frozen=True)
class ClockResult:
    """The result of starting the due jobs of one or more schedules.

    `occurrences` are those that were written, after the write. `recovered` counts executions
    started for orphaned jobs, `checked` counts due schedules. `errors` are unexpected errors, each
    with its schedule's id.
    """

    occurrences: tuple[Occurrence, ...] = ()
    recovered: int = 0
    checked: int = 0
    errors: tuple[tuple[str, BaseException], ...] = ()

    @property
    def started(self) -> int:
        """How many jobs were started."""
        return sum(each.verdict is Verdict.RUN for each in self.occurrences)

    @property
    def skipped(self) -> tuple[Occurrence, ...]:
        """The skipped occurrences."""
        return _skipped(self.occurrences)

    @classmethod
    def total(cls, results: Sequence["ClockResult"], checked: int) -> "ClockResult":
        """The sum of the results, with `checked` due schedules."""
        return cls(
            tuple(chain.from_iterable(each.occurrences for each in results)),
            sum(each.recovered for each in results),
            checked,
            tuple(chain.from_iterable(each.errors for each in results)),
        )


def _skipped(occurrences: Iterable[Occurrence]) -> tuple[Occurrence, ...]:
    return tuple(each for each in occurrences if each.verdict is Verdict.SKIP)


@dataclass
class ScheduleCache:
    """The calendars and holds of a tick, each read once, when first needed. Safe for threads."""

    _calendars: dict[str, Calendar | None] = field(default_factory=dict)
    _holds: tuple[Hold, ...] | None = None
    _reading: Lock = field(default_factory=Lock)  # functools.cache may compute a value twice

    def calendar(self, schedule: Schedule) -> Calendar | None:
        """The schedule's calendar, if it has one."""
        name = schedule.policy.calendar
        with self._reading:
            if name and name not in self._calendars:
                found = calendars.find(name)
                self._calendars[name] = found.calendar if found else None
            return self._calendars.get(name)

    def hold(self, schedule: Schedule, now: datetime) -> Hold | None:
        """The hold in force that stops the schedule's jobs; None without one."""
        with self._reading:
            if self._holds is None:
                self._holds = tuple(holds.list_all())
            found = self._holds
        scopes = scopes_of("", schedule.job_type)
        return active_hold((hold for hold in found if hold.scope in scopes), now)


@dataclass(frozen=True)
class ScheduleTick:
    """The tick of one schedule at the time `now`.

    `decided` collects the occurrences written so far, each after its write: new ones, and queued
    ones that have started or were skipped. A later write that is refused leaves them.
    """

    cache: ScheduleCache
    executions: Executions
    now: datetime
    decided: list[Occurrence] = field(default_factory=list)

    @property
    def skipped(self) -> tuple[Occurrence, ...]:
        """The skipped ones of `decided`."""
        return _skipped(self.decided)


def start_due_schedules(
    executions: Executions, now: Callable[[], datetime], remaining: Callable[[], float]
) -> ClockResult:
    """Start the due jobs of all schedules, then recover orphaned ones, while `remaining()` is
    positive. The rest stays due for the next tick, which begins with another shard.

    An error with one schedule is part of the result and does not stop the others.
    """
    at = now()
    first = int(at.timestamp() // 60)
    shards = [(first + number) % schedules.DUE_SHARDS for number in range(schedules.DUE_SHARDS)]
    due = chain.from_iterable(schedules.due(shard, at) for shard in shards)
    cache = ScheduleCache()
    to_check: list[Schedule] = []

    def start(each: DueSchedule) -> ClockResult:
        found = each.schedule()
        schedule, result = start_due(found, cache, executions, now())
        # `start_due` may have postponed the check; it was due all the same.
        if found.next_check_at and found.next_check_at <= at:
            to_check.append(schedule)
        return result

    def recover(each: Schedule) -> ClockResult:
        return ClockResult(recovered=recover_active_jobs(each, executions, now()))

    started = _in_parallel(start, due, remaining)
    oldest = sorted(to_check, key=lambda each: each.next_check_at or at)[:RECOVERED_SCHEDULES]
    recovered = _in_parallel(recover, oldest, remaining)
    return ClockResult.total([*started, *recovered], checked=len(started))


def _in_parallel(
    work: Callable[[_Each], ClockResult], items: Iterable[_Each], remaining: Callable[[], float]
) -> list[ClockResult]:
    """Call `work` for each of `items`, `PARALLEL_SCHEDULES` in parallel, while time remains.
    Returns a result for each call, in no particular order.
    """
    results: list[ClockResult] = []
    active: dict[Future[ClockResult], str] = {}

    def gather(when: str) -> None:
        for future in wait(active, return_when=when).done:
            schedule_id = active.pop(future)
            error = future.exception()
            failed = ClockResult(errors=((schedule_id, error),)) if error else None
            results.append(failed or future.result())

    with ThreadPoolExecutor(PARALLEL_SCHEDULES) as pool:
        for each in items:
            if remaining() <= 0:
                break
            active[pool.submit(work, each)] = each.schedule_id
            if len(active) >= 2 * PARALLEL_SCHEDULES:
                gather(FIRST_COMPLETED)
        gather(ALL_COMPLETED)
    return results


def start_due(
    schedule: Schedule, cache: ScheduleCache, executions: Executions, now: datetime
) -> tuple[Schedule, ClockResult]:
    """Start the due jobs of a schedule. Returns the stored schedule and the result.

    Raises:
        StaleState: others changed the schedule at the same time, several times.
    """
    tick = ScheduleTick(cache, executions, now)
    for tries in range(_TRIES):
        found = schedules.get(schedule.schedule_id) if tries else schedule
        with suppress(StaleState):
            found = catch_up(start_queued(found, tick), tick, max_writes=_MAX_WRITES)
            return start_queued(found, tick), ClockResult(tuple(tick.decided))
    raise StaleState(f"schedule {schedule.schedule_id} changes too fast")


def start_queued(schedule: Schedule, tick: ScheduleTick) -> Schedule:
    """Start the queued job of a schedule, if no other is active and no hold stops it.

    Raises:
        StaleState: someone else changed the schedule meanwhile.
    """
    if schedule.queued_for is None or schedule.active or tick.cache.hold(schedule, tick.now):
        return schedule
    queued = occurrences.find(schedule.job_address(schedule.queued_for))
    if queued is None:
        raise StaleState(f"schedule {schedule.schedule_id} has changed since it was read")
    move = SCHEDULE.move(schedule.state, "track", tick.now, SCHEDULER_CAUSE)
    after, occurrence = after_wait(schedule, queued, move)
    schedules.write(schedule, after, ScheduleWrites(changed_occurrences=[(queued, occurrence)]))
    tick.decided.append(occurrence)
    if occurrence.verdict is Verdict.RUN:
        tick.executions.start_job(occurrence.address, MAIN_RUN)
    return after


def catch_up(
    schedule: Schedule,
    tick: ScheduleTick,
    *,
    skip_reason: SkipReason | None = None,
    max_writes: int | None = None,
) -> Schedule:
    """Decide on the schedule's times up to now, in at most `max_writes`. Returns the stored
    schedule.

    With a `skip_reason` all of them are skipped. A suspended schedule resumes at its resume time.
    Under a hold nothing is decided, so due times count as missed later; but times during a
    suspension are skipped.

    Raises:
        StaleState: someone else changed the schedule meanwhile.
    """
    resume_at, now = schedule.resume_at, tick.now
    if schedule.state is ScheduleState.SUSPENDED and resume_at and resume_at <= now:
        suspended_until = resume_at - _MILLISECOND  # a run due at the resume time itself starts
        schedule = _decide(schedule, tick, suspended_until, skip_reason, max_writes)
        if schedule.state is ScheduleState.ENDED or _is_due(schedule, suspended_until):
            return schedule
        move = SCHEDULE.move(schedule.state, "resume", now, _RESUME)
        schedule = schedules.write(schedule, schedule.moved(move, resume_at=None))
    may_start = skip_reason is None and schedule.state is ScheduleState.ACTIVE
    if may_start and _is_due(schedule, now) and tick.cache.hold(schedule, now):
        return schedule
    return _decide(schedule, tick, now, skip_reason, max_writes)


def _is_due(schedule: Schedule, at: datetime) -> bool:
    return schedule.next_at is not None and schedule.next_at <= at


def _decide(
    schedule: Schedule,
    tick: ScheduleTick,
    until: datetime,
    skip_reason: SkipReason | None,
    max_writes: int | None,
) -> Schedule:
    """Decide on the schedule's times up to `until`. Returns the stored schedule."""
    writes = 0
    while _is_due(schedule, until) and (max_writes is None or writes < max_writes):
        decision = plan(
            schedule, tick.cache.calendar(schedule), until, SCHEDULER_CAUSE, skip_reason
        )
        if decision is None:
            break
        schedule = apply_decision(schedule, decision, tick.executions)
        tick.decided.extend(decision.occurrences)
        writes += 1
    return schedule


def apply_decision(schedule: Schedule, decision: Decision, executions: Executions) -> Schedule:
    """Write a decision about a schedule, then start its jobs.

    Raises:
        StaleState: someone else changed the schedule meanwhile; nothing is written or started.
    """
    changed: list[tuple[Occurrence, Occurrence]] = []
    moved: list[tuple[JobRecord, JobRecord]] = []
    for run in decision.replaced:
        address = schedule.job_address(run.scheduled_for)
        job = jobs.find(address) or new_job(address, run.started_at)
        if job.state in OPEN_JOB_STATES:
            replacement = decision.started[-1].address.job_id
            cause = Cause(
                str(CauseKey(MAIN_RUN, interruption=Interruption.REPLACED)),
                reason=f"replaced by {replacement}",
            )
            move = JOB.move(job.state, "replace", decision.occurrences[-1].decided_at, cause)
            moved.append((job, job.moved(move, next_at=None)))
            job = moved[-1][1]
        occurrence = occurrences.find(address)
        if occurrence is not None:
            outcome = RunOutcome.of(job, checkpoints.get(address.job_id))
            changed.append((occurrence, occurrence.with_outcome(outcome)))
    writes = ScheduleWrites(decision.occurrences, changed, moved)
    after = schedules.write(schedule, decision.schedule, writes)
    for occurrence in decision.started:
        executions.start_job(occurrence.address, MAIN_RUN)
    return after
