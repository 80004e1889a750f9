"""Starting what is due: the clock's part of a schedule.

What becomes of a schedule's times is decided by the domain and written in one transaction; then the
executions are started, whose names follow from the occurrences. Whoever decides the same at the
same time loses the write, and starts nothing. Whoever dies between write and start is made up for:
a schedule with runs is due again, and the runs no execution works on are taken up.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain

from jobyard.domain.calendars import Calendar
from jobyard.domain.errors import StaleState
from jobyard.domain.hold import Hold, in_force, scopes_of
from jobyard.domain.job import JOB, OPEN_STATES, JobRecord, unrecorded
from jobyard.domain.lifecycle import Cause
from jobyard.domain.occurrence import Decision, Occurrence, Outcome, Skip, Verdict, decide
from jobyard.domain.schedule import MAIN, SCHEDULE, Schedule, ScheduleState
from jobyard.services.reconciling import take_up_runs
from jobyard.services.starting import Starting
from jobyard.store import calendars, holds, jobs, occurrences, schedules
from jobyard.store.schedules import Beside

OVERLAP = 24  # schedules looked at at once
_TRIES = 5  # looks at a schedule that others change at the same time
_CLOCK = Cause("clock")
_MOMENT = timedelta(milliseconds=1)
_RESUME = Cause("clock", reason="the time set for it came")


@dataclass(frozen=True)
class Fired:
    """What a look at schedules came to: the occurrences decided, and how many runs were taken up
    again. `surprises` are the schedules, by id, that something nobody foresaw happened with."""

    occurrences: tuple[Occurrence, ...] = ()
    taken_up: int = 0
    looked_at: int = 0
    surprises: tuple[tuple[str, BaseException], ...] = ()

    @property
    def started(self) -> int:
        """How many jobs were started."""
        return sum(each.verdict is Verdict.RUN for each in self.occurrences)

    def and_also(self, other: "Fired") -> "Fired":
        """Both together."""
        return Fired(
            (*self.occurrences, *other.occurrences),
            self.taken_up + other.taken_up,
            self.looked_at + other.looked_at,
            (*self.surprises, *other.surprises),
        )


@dataclass
class Almanac:
    """What all schedules are looked at with: calendars and holds, read once, when first needed."""

    calendars: Mapping[str, Calendar] = field(default_factory=calendars.every)
    holds: tuple[Hold, ...] = field(default_factory=lambda: tuple(holds.every()))

    def calendar(self, schedule: Schedule) -> Calendar | None:
        """The schedule's calendar, if it has one."""
        return self.calendars.get(schedule.policy.calendar)

    def hold(self, schedule: Schedule, now: datetime) -> Hold | None:
        """The hold that stops what the schedule would start."""
        scopes = scopes_of("", schedule.job_type)
        return in_force((hold for hold in self.holds if hold.scope in scopes), now)


def fire_due(
    starting: Starting, now: Callable[[], datetime], remaining: Callable[[], float]
) -> Fired:
    """Look at every schedule that is due, until `remaining` seconds are over: what is left then is
    due in the next minute, which begins with another shard.

    What goes wrong with one schedule is told in the answer and keeps no other from its turn.
    """
    at = now()
    first = int(at.timestamp() // 60)
    shards = [(first + number) % schedules.SHARDS for number in range(schedules.SHARDS)]
    due = chain.from_iterable(schedules.due(shard, at) for shard in shards)
    found = next(due, None)
    if found is None:
        return Fired()
    almanac = Almanac()
    total = Fired()
    going: dict[Future[Fired], Schedule] = {}
    with ThreadPoolExecutor(OVERLAP) as pool:
        for schedule in chain([found], due):
            if remaining() <= 0:
                break
            going[pool.submit(look_after, schedule, almanac, starting, now())] = schedule
            if len(going) >= 2 * OVERLAP:
                total = _gathered(total, going, FIRST_COMPLETED)
        return _gathered(total, going, ALL_COMPLETED)


def _gathered(total: Fired, going: dict[Future[Fired], Schedule], when: str) -> Fired:
    done, _ = wait(going, return_when=when)
    for future in done:
        schedule = going.pop(future)
        error = future.exception()
        met = Fired(surprises=((schedule.schedule_id, error),)) if error else future.result()
        total = total.and_also(replace(met, looked_at=1))
    return total


def look_after(schedule: Schedule, almanac: Almanac, starting: Starting, now: datetime) -> Fired:
    """Do what is due of a schedule; nothing when someone else does it."""
    for _ in range(_TRIES):
        try:
            return _looked_after(schedule, almanac, starting, now)
        except StaleState:
            schedule = schedules.get(schedule.schedule_id)
    return Fired()


def _looked_after(schedule: Schedule, almanac: Almanac, starting: Starting, now: datetime) -> Fired:
    over = schedule.resume_at
    if schedule.state is ScheduleState.SUSPENDED and over and over <= now:
        schedule, suspended = caught_up(schedule, almanac, starting, over - _MOMENT)
        if schedule.state is ScheduleState.SUSPENDED:
            move = SCHEDULE.move(schedule.state, "resume", now, _RESUME)
            schedule = schedules.write(schedule, schedule.moved(move, resume_at=None))
    else:
        suspended = Fired()
    schedule, fired = caught_up(schedule, almanac, starting, now)
    taken_up = 0
    if schedule.look_at and schedule.look_at <= now:
        taken_up = look_after_runs(schedule.schedule_id, starting, now)
        noted = SCHEDULE.move(schedule.state, "note", now, _CLOCK)
        schedules.write(schedule, schedule.moved(noted))
    return suspended.and_also(fired).and_also(Fired(taken_up=taken_up))


def look_after_runs(schedule_id: str, starting: Starting, now: datetime) -> int:
    """Take up the runs of a schedule that no execution works on; how many were.

    Raises:
        Unknown: there is no such schedule.
    """
    return take_up_runs(schedules.get(schedule_id), starting, now)


def caught_up(
    schedule: Schedule,
    almanac: Almanac,
    starting: Starting,
    now: datetime,
    aside: Skip | None = None,
) -> tuple[Schedule, Fired]:
    """The schedule once all of its times up to `now` are decided, and what was; with `aside` none
    of them runs, for that reason. Under a hold nothing is decided: its times are missed, unless it
    is suspended as well.

    Raises:
        StaleState: someone else changed the schedule meanwhile.
    """
    total = Fired()
    is_active = schedule.state is ScheduleState.ACTIVE
    if aside is None and is_active and almanac.hold(schedule, now):
        return schedule, total
    while schedule.next_at and schedule.next_at <= now:
        decision = decide(schedule, almanac.calendar(schedule), now, _CLOCK, aside)
        if decision.is_empty:
            break
        schedule = carry_out(schedule, decision, starting)
        total = total.and_also(Fired(decision.occurrences))
    return schedule, total


def carry_out(schedule: Schedule, decision: Decision, starting: Starting) -> Schedule:
    """Write what was decided about a schedule, and start what is to be started.

    Raises:
        StaleState: someone else changed the schedule meanwhile; nothing is written or started.
    """
    changed: list[tuple[Occurrence, Occurrence]] = []
    moved: list[tuple[JobRecord, JobRecord]] = []
    for run in decision.replaced:
        place = schedule.place(run.at)
        job = jobs.get(place) or unrecorded(place, run.since)
        if job.state in OPEN_STATES:
            following = decision.occurrences[-1].place.job_id
            cause = Cause(f"{MAIN}.replaced", reason=f"replaced by {following}")
            move = JOB.move(job.state, "replace", decision.occurrences[-1].decided_at, cause)
            moved.append((job, job.moved(move, next_at=None)))
            job = moved[-1][1]
        occurrence = occurrences.get(place)
        if occurrence is not None:
            ended = replace(occurrence, version=occurrence.version + 1, outcome=Outcome.of(job))
            changed.append((occurrence, ended))
    beside = Beside(decision.occurrences, changed, moved)
    after = schedules.write(schedule, decision.schedule, beside)
    for occurrence in decision.started:
        starting.job(occurrence.place, MAIN)
    return after
