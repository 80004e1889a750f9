"""Occurrences: the times of a schedule that came, and what became of each.

An occurrence is to a schedule what a row is to a manifest: it is there before the job's record is,
and says what the job is to do. One that no job was started for says why.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from jobyard.domain.jobs.checkpoint import Checkpoint
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JobAddress, JobRecord, JobState
from jobyard.domain.schedules.schedule import MAX_ACTIVE_RUNS, job_address
from jobyard.domain.text import MESSAGE_BYTES, NAME_BYTES, REASON_BYTES, clean_fields


class Trigger(StrEnum):
    """What made an occurrence."""

    SCHEDULE = "schedule"  # its time came
    CATCH_UP = "catch_up"  # its time was missed, and it runs late
    MANUAL = "manual"  # a person wanted it now


class Verdict(StrEnum):
    """What was decided about an occurrence."""

    RUN = "run"  # a job was started for it
    WAIT = "wait"  # a job starts when the run before it has ended
    SKIP = "skip"  # no job: its reason says why


class SkipReason(StrEnum):
    """Why there is no job: the closed list, each with a sentence."""

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
        """What it means, for people."""
        return _DESCRIPTIONS[self]

    @property
    def needs_attention(self) -> bool:
        """Whether nobody wanted it: a person may want to look at the schedule."""
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
    """How the job of an occurrence ended. The counts are of records; None where it counts none.

    `started_at` is its very first start and `resumed_at` the first since a person requeued it, the
    same if nobody did. `codes` are the failure codes of its attempts, in order, each once;
    `message` says why it failed, or who stopped it.
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
    def of(cls, job: JobRecord, counted: Checkpoint | None = None) -> "RunOutcome":
        """What came of a job that has ended; `counted` is how far one came that was stopped."""
        records = counted.counts if counted and counted.version else job.data.get("records", {})
        tried = [code for each in job.attempts for code in each.code_counts]
        codes = [code for code in tried if code in Failure.__members__]
        codes += [job.failure_code] if job.failure_code else []
        starts = [entry.at for entry in job.history if entry.after == JobState.RUNNING]
        requeued = [entry.at for entry in job.history if entry.event == "requeue"]
        since = [at for at in starts if not requeued or at >= requeued[-1]]
        return cls(
            job.state,
            min(starts, default=None),
            min(since, default=None),
            job.at,
            tuple(dict.fromkeys(codes)),
            job.failure_message or _why_stopped(job),
            records.get("processed"),
            records.get("failed"),
            records.get("total"),
        )


def _why_stopped(job: JobRecord) -> str:
    """Who stopped a job that was not to fail, and why; "" when nobody did."""
    if job.state not in {JobState.CANCELLED, JobState.REPLACED} or not job.history:
        return ""
    last = job.history[-1]
    return last.reason if last.by_machine else f"{job.state} by {last.actor}: {last.reason}"


@dataclass(frozen=True)
class Occurrence:
    """A time of a schedule that came. `at` is that time, or when a person asked for a run.

    `reason` is a `SkipReason` and `words` says more of it; of a manual one `actor` and `words` say
    who wanted it and why. `parameters` are the schedule's at the time, where there is a job to be
    told them. `outcome` comes with the end.
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
        """Where its job lies."""
        return job_address(self.schedule_id, self.scheduled_for)

    @property
    def duration(self) -> timedelta | None:
        """How long its job took in its last go; None when it has not ended, or never started."""
        began = self.outcome and self.outcome.resumed_at
        return self.outcome.ended_at - began if self.outcome and began else None

    def start_delay(self, began: datetime | None) -> timedelta | None:
        """How long after its time its job `began` to run; None when it has not."""
        return max(began - self.scheduled_for, timedelta()) if began else None

    def with_outcome(self, outcome: RunOutcome) -> "Occurrence":
        """It, once its job has ended."""
        return replace(self, version=self.version + 1, outcome=outcome)

    def started(self) -> "Occurrence":
        """It, once its waiting is over: there is a job."""
        return replace(self, version=self.version + 1, verdict=Verdict.RUN)

    def skipped(self, reason: SkipReason, words: str = "") -> "Occurrence":
        """It, once its waiting is over for nothing."""
        skipped = replace(self, version=self.version + 1, verdict=Verdict.SKIP, skip_reason=reason)
        return replace(skipped, reason=words or self.reason, parameters={})
