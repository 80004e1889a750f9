"""A schedule: when a job of a type should run, who said so, and how its runs stand.

VoteCal calls a schedule with its latest run a job, and shows one of four words for the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

from jobyard.domain.history import HistoryEntry, compact_history
from jobyard.domain.jobs.job import JOB, JobAddress, JobState
from jobyard.domain.lifecycle import (
    MACHINE,
    Cause,
    Lifecycle,
    Move,
    State,
    StateType,
    Transition,
    senders,
)
from jobyard.domain.schedules.recurrence import Recurrence

MAIN = "main"  # the run of executions that the clock, or a person's run now, began
SCHEDULER_CAUSE = Cause("clock")  # of what the scheduler does by itself
MAX_ACTIVE_RUNS = 20  # runs of one schedule at once, where they may overlap
MAX_HISTORY_BYTES = 4 * 1024  # of the history kept with the schedule; each run writes it again


class ScheduleState(StrEnum):
    """Where a schedule stands; `SCHEDULE` has each state's meaning."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    ENDED = "ended"
    DELETED = "deleted"


_S = ScheduleState

_by = partial(senders, "schedule")

SCHEDULE = Lifecycle(
    name="schedule",
    initial=_S.ACTIVE,
    states=(
        State(
            _S.ACTIVE,
            StateType.WAITING,
            "Created or resumed by a person. The scheduler starts a job at each of its times, and "
            "ends it after the last.",
            {"schedule": "Active"},
        ),
        State(
            _S.SUSPENDED,
            StateType.WAITING,
            "Suspended by a person. Its runs are skipped until a person resumes it, or until the "
            "time set for that.",
            {"schedule": "Suspended"},
        ),
        State(
            _S.ENDED,
            StateType.INTERACTION,
            "No run is left. A person changes its rule or deletes it.",
            {"schedule": "Ended"},
        ),
        State(
            _S.DELETED,
            StateType.TERMINAL,
            "A person deleted it. A tombstone and the history of its jobs remain.",
            {"schedule": "Deleted"},
        ),
    ),
    transitions=(
        Transition(_S.ACTIVE, "fire", _S.ACTIVE, (MACHINE,)),
        Transition(_S.ACTIVE, "note", _S.ACTIVE, (MACHINE,)),
        Transition(_S.ACTIVE, "end", _S.ENDED, (MACHINE,)),
        Transition(_S.ACTIVE, "suspend", _S.SUSPENDED, _by("suspend")),
        Transition(_S.ACTIVE, "edit", _S.ACTIVE, _by("edit")),
        Transition(_S.ACTIVE, "run_now", _S.ACTIVE, _by("run_now")),
        Transition(_S.ACTIVE, "delete", _S.DELETED, _by("delete")),
        Transition(_S.SUSPENDED, "fire", _S.SUSPENDED, (MACHINE,)),
        Transition(_S.SUSPENDED, "note", _S.SUSPENDED, (MACHINE,)),
        Transition(_S.SUSPENDED, "end", _S.ENDED, (MACHINE,)),
        Transition(_S.SUSPENDED, "resume", _S.ACTIVE, _by("resume", machine=True)),
        Transition(_S.SUSPENDED, "edit", _S.SUSPENDED, _by("edit")),
        Transition(_S.SUSPENDED, "run_now", _S.SUSPENDED, _by("run_now")),
        Transition(_S.SUSPENDED, "delete", _S.DELETED, _by("delete")),
        Transition(_S.ENDED, "note", _S.ENDED, (MACHINE,)),
        Transition(_S.ENDED, "edit", _S.ACTIVE, _by("edit")),
        Transition(_S.ENDED, "run_now", _S.ENDED, _by("run_now")),
        Transition(_S.ENDED, "delete", _S.DELETED, _by("delete")),
    ),
)


class ScheduleLabel(StrEnum):
    """VoteCal's words for a schedule with its latest run."""

    IDLE = "Idle"
    IN_PROGRESS = "In Progress"
    COMPLETED = "Completed"
    FAILED = "Failed"


class OverlapPolicy(StrEnum):
    """What happens at a time of a schedule whose run before is still going."""

    FORBID = "forbid"  # it is skipped
    ALLOW = "allow"  # both run
    REPLACE = "replace"  # the older run is stopped for it
    QUEUE_ONE = "queue_one"  # one waits for the end; what comes while it waits is skipped


class MissedPolicy(StrEnum):
    """Which of the times nobody could start a job at are made up for."""

    NONE = "none"
    LATEST = "latest"
    ALL = "all"


@dataclass(frozen=True)
class CatchUp:
    """What is made up for: `which`; of all, the newest `most`; none older than `oldest_h` hours."""

    runs: MissedPolicy = MissedPolicy.LATEST
    limit: int = 10
    max_age_h: int = 24


@dataclass(frozen=True)
class Policy:
    """What a schedule does when a time was missed, runs meet, or a calendar says no.

    `calendar` is a calendar's name, "" for none. What the clocks' changes do is in the rule.
    """

    catch_up: CatchUp = CatchUp()
    overlap: OverlapPolicy = OverlapPolicy.FORBID
    calendar: str = ""


@dataclass(frozen=True)
class ActiveJob:
    """A run of a schedule that has not ended: the moment it is for, and since when, under which
    name of a run of executions, it goes."""

    scheduled_for: datetime
    started_at: datetime
    run: str


@dataclass(frozen=True)
class LatestRun:
    """How the latest of the runs that ended came out, the one that was begun last; and which moment
    it was for."""

    scheduled_for: datetime
    started_at: datetime
    state: JobState
    ended_at: datetime

    @property
    def label(self) -> ScheduleLabel:
        """VoteCal's word for it."""
        return ScheduleLabel(JOB.state(self.state).labels["schedule"])


@dataclass(frozen=True)
class Schedule:
    """A schedule as it is stored. `version` counts its writes; times are aware UTC. `owner` is a
    name to show, `owner_sub` the id of that person; "" of the system's and of those older than ids.

    `next_at` is the rule's next time that nothing was decided about, whether or not a job may run
    then; `decided_until` the last that something was; `look_at` when its runs are looked after;
    `resume_at` when its suspension ends by itself; `queued` the moment of the occurrence that waits
    for a run to end. `kept_from` is since when its jobs are kept, retention having archived those
    before.
    """

    schedule_id: str
    state: ScheduleState
    version: int
    title: str
    job_type: str
    rule: Recurrence
    policy: Policy
    owner: str
    created_at: datetime
    changed_at: datetime | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    is_system: bool = False
    next_at: datetime | None = None
    decided_until: datetime | None = None
    next_check_at: datetime | None = None
    resume_at: datetime | None = None
    queued_for: datetime | None = None
    active: tuple[ActiveJob, ...] = ()
    latest: LatestRun | None = None
    retained_from: datetime | None = None
    history: tuple[HistoryEntry, ...] = ()
    owner_sub: str = ""

    @property
    def due_at(self) -> datetime | None:
        """When the clock has to look at it again; None when it never has to."""
        if self.state in {ScheduleState.ENDED, ScheduleState.DELETED}:
            return self.next_check_at
        over = self.resume_at if self.state is ScheduleState.SUSPENDED else None
        moments = (self.next_at, self.next_check_at, over)
        return min((each for each in moments if each), default=None)

    @property
    def label(self) -> ScheduleLabel:
        """VoteCal's word: In Progress while a job runs, else how the latest ended, else Idle."""
        if self.active:
            return ScheduleLabel.IN_PROGRESS
        if self.latest is None:
            return ScheduleLabel.IDLE
        return self.latest.label

    @property
    def suspension(self) -> HistoryEntry | None:
        """When, by whom and why it was suspended last, None when the history does not go so far."""
        return next((each for each in reversed(self.history) if each.event == "suspend"), None)

    @property
    def suspension_reason(self) -> str:
        """The same in words."""
        last = self.suspension
        return f"suspended by {last.actor}: {last.reason}" if last else "suspended"

    def job_address(self, at: datetime) -> JobAddress:
        """Where the job of the occurrence at `at` lies."""
        return job_address(self.schedule_id, at)

    def moved(self, move: Move, **changes: Any) -> "Schedule":
        """The schedule after a move, with `changes` to its other fields."""
        silent = move.event in {"fire", "note"}  # the occurrences tell of these
        entries = self.history if silent else _kept((*self.history, HistoryEntry.of(move)))
        after = replace(
            self,
            **changes,
            state=ScheduleState(move.after),
            version=self.version + 1,
            changed_at=move.at,
            history=entries,
        )
        waits = move.at + timedelta(minutes=1) if after.queued_for else None
        return replace(after, next_check_at=look_at(after.active, move.at) or waits)

    def retaining_from(self, since: datetime) -> "Schedule":
        """The schedule once its jobs are kept since then only."""
        return replace(self, retained_from=since, version=self.version + 1)


def _kept(history: tuple[HistoryEntry, ...]) -> tuple[HistoryEntry, ...]:
    """What of its history a schedule keeps; its last suspension always, which says why it waits."""
    suspended = [at for at, entry in enumerate(history) if entry.event == "suspend"]
    return compact_history(history, suspended[-1:], MAX_HISTORY_BYTES)


def look_at(active: tuple[ActiveJob, ...], now: datetime) -> datetime | None:
    """When running jobs are next checked: after a minute, then less often, every 15 minutes."""
    if not active:
        return None
    age = now - max(run.started_at for run in active)
    return now + min(max(age, timedelta(minutes=1)), timedelta(minutes=15))


def job_address(schedule_id: str, at: datetime) -> JobAddress:
    """Where the job of the occurrence at `at` lies."""
    return JobAddress(schedule_id, 0, round(at.timestamp() * 1000))


def occurrence_time(place: JobAddress) -> datetime:
    """The moment of the occurrence whose job lies at `place`."""
    return datetime.fromtimestamp(place.position / 1000, UTC)
