"""A schedule: when jobs of a type run, who owns it, and the state of its runs.

VoteCal calls a schedule with its latest run a job, and shows one of four labels for both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

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
    event_senders,
)
from jobyard.domain.schedules.recurrence import Recurrence

if TYPE_CHECKING:
    from jobyard.domain.schedules.occurrence import SkipReason

SCHEDULER_CAUSE = Cause("clock")  # of the changes that the scheduler makes
PROBLEMS_OF = timedelta(hours=24)  # runs that failed or were skipped, on lists and the home page
REMINDED_AFTER = timedelta(hours=24)  # after a mail about a failed job, while jobs fail
MAX_ACTIVE_RUNS = 20  # concurrent runs of one schedule, if they may overlap
_LAST_MS = 253_402_300_799_999  # the end of the year 9999, in milliseconds since 1970
MAX_HISTORY_BYTES = 4 * 1024  # of its history, which is written again with each run


class ScheduleState(StrEnum):
    """The state of a schedule; `SCHEDULE` describes each."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    ENDED = "ended"
    DELETED = "deleted"


_S = ScheduleState

_by = partial(event_senders, "schedule")

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
        Transition(_S.ACTIVE, "track", _S.ACTIVE, (MACHINE,)),
        Transition(_S.ACTIVE, "end", _S.ENDED, (MACHINE,)),
        Transition(_S.ACTIVE, "suspend", _S.SUSPENDED, _by("suspend")),
        Transition(_S.ACTIVE, "edit", _S.ACTIVE, _by("edit")),
        Transition(_S.ACTIVE, "run_now", _S.ACTIVE, _by("run_now")),
        Transition(_S.ACTIVE, "delete", _S.DELETED, _by("delete")),
        Transition(_S.SUSPENDED, "fire", _S.SUSPENDED, (MACHINE,)),
        Transition(_S.SUSPENDED, "track", _S.SUSPENDED, (MACHINE,)),
        Transition(_S.SUSPENDED, "end", _S.ENDED, (MACHINE,)),
        Transition(_S.SUSPENDED, "resume", _S.ACTIVE, _by("resume", machine=True)),
        Transition(_S.SUSPENDED, "edit", _S.SUSPENDED, _by("edit")),
        Transition(_S.SUSPENDED, "run_now", _S.SUSPENDED, _by("run_now")),
        Transition(_S.SUSPENDED, "delete", _S.DELETED, _by("delete")),
        Transition(_S.ENDED, "track", _S.ENDED, (MACHINE,)),
        Transition(_S.ENDED, "edit", _S.ACTIVE, _by("edit")),
        Transition(_S.ENDED, "run_now", _S.ENDED, _by("run_now")),
        Transition(_S.ENDED, "delete", _S.DELETED, _by("delete")),
    ),
)


class ScheduleLabel(StrEnum):
    """VoteCal's labels for a schedule with its latest run."""

    IDLE = "Idle"
    IN_PROGRESS = "In Progress"
    COMPLETED = "Completed"
    FAILED = "Failed"


class ScheduleFilter(StrEnum):
    """Which schedules a list shows: those with a label, those that wait, or with a problem."""

    IDLE = ScheduleLabel.IDLE.value
    IN_PROGRESS = ScheduleLabel.IN_PROGRESS.value
    COMPLETED = ScheduleLabel.COMPLETED.value
    FAILED = ScheduleLabel.FAILED.value
    WAITING = "waiting"  # with a next run and no active job
    PROBLEM = "problem"  # with a run that failed, or was skipped unwanted, in the last 24 hours


class OverlapPolicy(StrEnum):
    """What happens at a time of a schedule while an earlier run is active."""

    FORBID = "forbid"  # the time is skipped
    ALLOW = "allow"  # both run
    REPLACE = "replace"  # the earlier run is replaced
    QUEUE_ONE = "queue_one"  # one run waits; later times are skipped while it waits


class MissedPolicy(StrEnum):
    """Which missed times are caught up."""

    NONE = "none"
    LATEST = "latest"
    ALL = "all"


@dataclass(frozen=True)
class CatchUp:
    """Which missed `runs` are caught up: the newest `limit`, none older than `max_age_h` hours."""

    runs: MissedPolicy = MissedPolicy.LATEST
    limit: int = 10
    max_age_h: int = 24


@dataclass(frozen=True)
class Policy:
    """What a schedule does about missed times, overlapping runs and excluded times.

    `calendar` is a calendar's name, "" for none. The rule itself deals with clock changes.
    """

    catch_up: CatchUp = CatchUp()
    overlap: OverlapPolicy = OverlapPolicy.FORBID
    calendar: str = ""


@dataclass(frozen=True)
class ActiveJob:
    """An active run of a schedule. `run` names the run whose executions work on its job."""

    scheduled_for: datetime
    started_at: datetime
    run: str


@dataclass(frozen=True)
class LatestRun:
    """The result of the latest run: of those that have ended, the one that started last."""

    scheduled_for: datetime
    started_at: datetime
    state: JobState
    ended_at: datetime

    @property
    def label(self) -> ScheduleLabel:
        """VoteCal's label for it."""
        return ScheduleLabel(JOB.state(self.state).labels["schedule"])


@dataclass(frozen=True)
class LastSkip:
    """The last run that was skipped although nobody wanted that, and when that was decided."""

    scheduled_for: datetime
    reason: "SkipReason"
    decided_at: datetime


@dataclass(frozen=True)
class Schedule:
    """A schedule as it is stored. `version` counts its writes; times are aware UTC.

    `owner` is a name to show, `owner_sub` the id of that person: "" for schedules of the system,
    and in those from before ids were stored. `next_at` is the first time of the rule that is not
    decided yet, even if no job may run then. `decided_until` is the last decided time.
    `next_check_at` is when its active runs are checked. `resume_at` is when its suspension ends
    without a person. `queued_for` is the time of the queued run, whose occurrence has the verdict
    `wait`. Retention has archived the jobs before `retained_from`. `last_skip` is kept for the
    overview. `notify` are addresses that get a mail when a job fails; `failure_mailed_at` is when
    the last one was stored, None once a job has succeeded since. `report_count` numbers these mails
    and the webhook deliveries.
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
    last_skip: LastSkip | None = None
    notify: tuple[str, ...] = ()
    failure_mailed_at: datetime | None = None
    report_count: int = 0

    def is_failure_mail_due(self, now: datetime) -> bool:
        """Whether a job that fails is mailed: the first one after a success, and then one a day."""
        mailed_at = self.failure_mailed_at
        return bool(self.notify) and (mailed_at is None or now - mailed_at >= REMINDED_AFTER)

    @property
    def due_at(self) -> datetime | None:
        """When the scheduler has to read it again; None if it has no reason to."""
        if self.state in {ScheduleState.ENDED, ScheduleState.DELETED}:
            return self.next_check_at
        resume_at = self.resume_at if self.state is ScheduleState.SUSPENDED else None
        times = (self.next_at, self.next_check_at, resume_at)
        return min((each for each in times if each), default=None)

    @property
    def problem_at(self) -> datetime | None:
        """When its latest run failed, or a run was last skipped although nobody wanted that: the
        later of both; None if neither, or if it is deleted.
        """
        if self.state is ScheduleState.DELETED:
            return None
        has_failed = self.latest is not None and self.latest.state is JobState.FAILED
        failed_at = self.latest.ended_at if self.latest and has_failed else None
        skipped_at = self.last_skip.decided_at if self.last_skip else None
        return max((each for each in (failed_at, skipped_at) if each), default=None)

    def has_problem(self, now: datetime) -> bool:
        """Whether it had a problem in the last 24 hours."""
        return self.problem_at is not None and self.problem_at >= now - PROBLEMS_OF

    @property
    def label(self) -> ScheduleLabel:
        """VoteCal's label: In Progress while a job runs, else the latest result, else Idle."""
        if self.active:
            return ScheduleLabel.IN_PROGRESS
        if self.latest is None:
            return ScheduleLabel.IDLE
        return self.latest.label

    @property
    def suspension(self) -> HistoryEntry | None:
        """Its last suspension; None if the history has none."""
        return next((each for each in reversed(self.history) if each.event == "suspend"), None)

    @property
    def suspension_reason(self) -> str:
        """Who suspended it last and why, in words."""
        last = self.suspension
        return f"suspended by {last.actor}: {last.reason}" if last else "suspended"

    @property
    def revision(self) -> int:
        """Counts its creation and the edits by people, but no runs as `version` does."""
        edits = (each.counts or {each.event: 1} for each in self.history)
        return 1 + sum(each.get("edit", 0) for each in edits)

    def job_address(self, at: datetime) -> JobAddress:
        """The address of the job of the occurrence at `at`."""
        return job_address(self.schedule_id, at)

    def moved(self, move: Move, **changes: Any) -> "Schedule":
        """The schedule after a move, with `changes` to its other fields."""
        history = self.history
        if move.event not in {"fire", "track"}:  # the occurrences record those
            history = _compacted((*history, HistoryEntry.of(move)))
        after = replace(
            self,
            **changes,
            state=ScheduleState(move.after),
            version=self.version + 1,
            changed_at=move.at,
            history=history,
        )
        queue_check = move.at + timedelta(minutes=1) if after.queued_for else None
        return replace(after, next_check_at=next_check(after.active, move.at) or queue_check)

    def retaining_from(self, since: datetime) -> "Schedule":
        """A copy whose jobs before `since` are archived."""
        return replace(self, retained_from=since, version=self.version + 1)


def _compacted(history: tuple[HistoryEntry, ...]) -> tuple[HistoryEntry, ...]:
    """The history within its limit; the last suspension stays, since it is the waiting reason."""
    suspensions = [at for at, entry in enumerate(history) if entry.event == "suspend"]
    return compact_history(history, suspensions[-1:], MAX_HISTORY_BYTES)


def next_check(active: tuple[ActiveJob, ...], now: datetime) -> datetime | None:
    """When active runs are next checked: first after a minute, in the end every 15 minutes."""
    if not active:
        return None
    age = now - max(run.started_at for run in active)
    return now + min(max(age, timedelta(minutes=1)), timedelta(minutes=15))


def job_address(schedule_id: str, at: datetime) -> JobAddress:
    """The address of the job of the occurrence at `at`."""
    return JobAddress(schedule_id, 0, round(at.timestamp() * 1000))


def is_occurrence_address(address: JobAddress) -> bool:
    """Whether a schedule's job may have this address: chunk 0, and a time up to year 9999."""
    return not address.chunk and address.position <= _LAST_MS


def occurrence_time(address: JobAddress) -> datetime:
    """The time of the occurrence whose job has this address."""
    return datetime.fromtimestamp(address.position / 1000, UTC)
