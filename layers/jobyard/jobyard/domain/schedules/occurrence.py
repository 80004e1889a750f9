"""Occurrences: the past times of a schedule, each with its verdict and outcome.

An occurrence is to a schedule what a row is to a manifest: it exists before the job's record and
has the job's parameters.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from jobyard.domain.jobs.checkpoint import Checkpoint
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JobAddress, JobRecord, JobState
from jobyard.domain.schedules.schedule import MAX_ACTIVE_RUNS, job_address
from jobyard.domain.text import MESSAGE_BYTES, NAME_BYTES, REASON_BYTES, clean_fields


def first_of_month(at: datetime) -> datetime:
    """The beginning of the month of `at`, in UTC."""
    return at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month_after(at: datetime) -> datetime:
    """The end of the month of `at`, in UTC."""
    first = first_of_month(at)
    december = first.month == 12
    return first.replace(year=first.year + december, month=1 if december else first.month + 1)


class Trigger(StrEnum):
    """What made an occurrence."""

    SCHEDULE = "schedule"  # its time came
    CATCH_UP = "catch_up"  # its time was missed; it runs late
    MANUAL = "manual"  # a person requested it


class Verdict(StrEnum):
    """What was decided about an occurrence."""

    RUN = "run"  # a job was started for it
    WAIT = "wait"  # a job starts when the run before it has ended
    SKIP = "skip"  # no job; see its skip reason


class SkipReason(StrEnum):
    """Why an occurrence was skipped: the closed list, with descriptions."""

    PREVIOUS_ACTIVE = "PREVIOUS_ACTIVE"
    ONE_WAITS = "ONE_WAITS"
    TOO_MANY_ACTIVE = "TOO_MANY_ACTIVE"
    MISSED = "MISSED"
    TOO_OLD = "TOO_OLD"
    SUSPENDED = "SUSPENDED"
    CALENDAR = "CALENDAR"
    CLOCKS = "CLOCKS"
    EDITED = "EDITED"
    DELETED = "DELETED"

    @property
    def description(self) -> str:
        """The reason for people, as a schedule's runs show it."""
        return _DESCRIPTIONS[self]

    @property
    def needs_attention(self) -> bool:
        """Whether nobody caused it on purpose, so that a person should check the schedule."""
        return self not in {
            SkipReason.SUSPENDED,
            SkipReason.CALENDAR,
            SkipReason.CLOCKS,
            SkipReason.EDITED,
            SkipReason.DELETED,
        }


_DESCRIPTIONS = {
    SkipReason.PREVIOUS_ACTIVE: "Skipped (previous run active)",
    SkipReason.ONE_WAITS: "Skipped (previous run active, another run already waiting)",
    SkipReason.TOO_MANY_ACTIVE: f"Skipped ({MAX_ACTIVE_RUNS} runs active)",
    SkipReason.MISSED: "Skipped (missed: the scheduler was late, and the policy does not catch up)",
    SkipReason.TOO_OLD: "Skipped (missed too long ago to catch up)",
    SkipReason.SUSPENDED: "Skipped (schedule suspended)",
    SkipReason.CALENDAR: "Skipped (calendar)",
    SkipReason.CLOCKS: "Skipped (time does not exist: clocks go forward)",
    SkipReason.EDITED: "Skipped (rule changed while it waited)",
    SkipReason.DELETED: "Skipped (schedule deleted while it waited)",
}


@dataclass(frozen=True)
class RunOutcome:
    """How the job of an occurrence ended.

    `started_at` is its first start, `resumed_at` its first start since the last requeue, the same
    if there was none. `failure_codes` are those of its attempts, in order, each once.
    `failure_message` says why it failed, or who stopped it. `processed`, `failed` and `total` count
    records, None for a job type that does not count.
    """

    state: JobState
    started_at: datetime | None
    resumed_at: datetime | None
    ended_at: datetime
    failure_codes: tuple[str, ...] = ()
    failure_message: str = ""
    processed: int | None = None
    failed: int | None = None
    total: int | None = None

    def __post_init__(self) -> None:
        clean_fields(self, failure_message=MESSAGE_BYTES)

    @classmethod
    def of(cls, job: JobRecord, checkpoint: Checkpoint | None = None) -> "RunOutcome":
        """The outcome of an ended job. `checkpoint` is its own, needed if it was stopped."""
        counts = (
            checkpoint.counts if checkpoint and checkpoint.version else job.data.get("records", {})
        )
        attempted = [code for each in job.attempts for code in each.code_counts]
        codes = [code for code in attempted if code in Failure.__members__]
        codes += [job.failure_code] if job.failure_code else []
        starts = [entry.at for entry in job.history if entry.after == JobState.RUNNING]
        requeues = [entry.at for entry in job.history if entry.event == "requeue"]
        restarts = [at for at in starts if not requeues or at >= requeues[-1]]
        return cls(
            job.state,
            min(starts, default=None),
            min(restarts, default=None),
            job.at,
            tuple(dict.fromkeys(codes)),
            job.failure_message or _why_stopped(job),
            counts.get("processed"),
            counts.get("failed"),
            counts.get("total"),
        )


def _why_stopped(job: JobRecord) -> str:
    """Who cancelled or replaced the job, and why; "" if nobody did."""
    if job.state not in {JobState.CANCELLED, JobState.REPLACED} or not job.history:
        return ""
    last = job.history[-1]
    return last.reason if last.by_machine else f"{job.state} by {last.actor}: {last.reason}"


@dataclass(frozen=True)
class Occurrence:
    """A past time of a schedule. `scheduled_for` is that time, or when a person requested a run.

    `reason` adds details to `skip_reason`; for a manual run it is why `actor` requested it.
    `parameters` are the schedule's at that time, empty without a job. `outcome` is set at the end.
    """

    schedule_id: str
    scheduled_for: datetime
    version: int
    trigger: Trigger
    verdict: Verdict
    decided_at: datetime
    skip_reason: SkipReason | None = None
    reason: str = ""
    actor: str = ""
    job_type: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    outcome: RunOutcome | None = None

    def __post_init__(self) -> None:
        clean_fields(self, reason=REASON_BYTES, actor=NAME_BYTES)

    @property
    def address(self) -> JobAddress:
        """The address of its job."""
        return job_address(self.schedule_id, self.scheduled_for)

    @property
    def duration(self) -> timedelta | None:
        """How long its job ran since its last requeue; None unless it has started and ended."""
        started_at = self.outcome and self.outcome.resumed_at
        return self.outcome.ended_at - started_at if self.outcome and started_at else None

    def start_delay(self, started_at: datetime | None) -> timedelta | None:
        """How late its job started, at `started_at`; None if it has not started."""
        return max(started_at - self.scheduled_for, timedelta()) if started_at else None

    def kept_until(self, retention: timedelta) -> datetime | None:
        """When it is archived, with its month; None while its job is open."""
        return month_after(self.scheduled_for) + retention if self.outcome else None

    def with_outcome(self, outcome: RunOutcome) -> "Occurrence":
        """A copy with the outcome of its job."""
        return replace(self, version=self.version + 1, outcome=outcome)

    def started(self) -> "Occurrence":
        """A copy that has stopped waiting: its job starts."""
        return replace(self, version=self.version + 1, verdict=Verdict.RUN)

    def skipped(self, skip_reason: SkipReason, reason: str = "") -> "Occurrence":
        """A copy that has stopped waiting without a job."""
        skipped = replace(
            self, version=self.version + 1, verdict=Verdict.SKIP, skip_reason=skip_reason
        )
        return replace(skipped, reason=reason or self.reason, parameters={})
