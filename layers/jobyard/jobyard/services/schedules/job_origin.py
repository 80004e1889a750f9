"""The schedule as the origin of a job: what people can do to the job, and why it waits."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from jobyard.domain.errors import Gone, InvalidTransition, NotFound
from jobyard.domain.jobs.job import OPEN_JOB_STATES, JobAddress, JobRecord, JobState, new_job
from jobyard.domain.jobs.job_type import JobType
from jobyard.domain.schedules.occurrence import Occurrence, Verdict
from jobyard.domain.schedules.schedule import (
    MAX_ACTIVE_RUNS,
    SCHEDULE,
    ActiveJob,
    OverlapPolicy,
    Schedule,
    ScheduleState,
    is_occurrence_address,
    occurrence_time,
)
from jobyard.jobtypes import job_type_of
from jobyard.services.access import authorize
from jobyard.services.context import Actor, CommandContext, QueryContext
from jobyard.services.jobs.origin import why_retried
from jobyard.store import checkpoints, occurrences, schedules
from jobyard.store.schedules import ScheduleWrites


@dataclass(frozen=True)
class ScheduleOrigin:
    """The schedule and the occurrence that a job comes from; a `JobOrigin`."""

    schedule: Schedule
    occurrence: Occurrence

    refusal_hint = "suspend the schedule instead"
    resubmit_hint = ""

    @property
    def address(self) -> JobAddress:
        return self.occurrence.address

    @property
    def title(self) -> str:
        return self.schedule.title

    @property
    def job_type(self) -> JobType[Any]:
        return job_type_of(self.occurrence.job_type)

    @property
    def unwritten_job(self) -> JobRecord:
        return new_job(self.address, self.occurrence.decided_at)

    @property
    def kept_until(self) -> datetime | None:
        return self.occurrence.kept_until(timedelta(days=self.job_type.retention_days))

    def check_open(self, event: str) -> None:
        if event != "requeue":
            return
        schedule = self.schedule
        if schedule.state is ScheduleState.DELETED:
            raise InvalidTransition(
                f"schedule {schedule.schedule_id} was deleted: its jobs cannot be requeued"
            )
        overlap = schedule.policy.overlap
        may_overlap = overlap is OverlapPolicy.ALLOW and len(schedule.active) < MAX_ACTIVE_RUNS
        if schedule.active and not may_overlap:
            raise InvalidTransition(
                f"another job of schedule {schedule.schedule_id} is active, and its overlap policy "
                f"is {overlap}"
            )

    def write(self, before: JobRecord, after: JobRecord, context: CommandContext) -> JobRecord:
        if after.state is JobState.SCHEDULED:
            self._write_requeue(before, after, context)
        else:
            from jobyard.services.schedules.jobs import write_end

            write_end(self.schedule, self.occurrence, (before, after), context.cause, context.now())
        return after

    def _write_requeue(self, before: JobRecord, after: JobRecord, context: CommandContext) -> None:
        schedule, occurrence = self.schedule, self.occurrence
        move = SCHEDULE.move(schedule.state, "track", context.now(), context.cause)
        others = [
            active for active in schedule.active if active.scheduled_for != occurrence.scheduled_for
        ]
        active = (*others, ActiveJob(occurrence.scheduled_for, context.now(), context.run))
        reopened = replace(occurrence, version=occurrence.version + 1, outcome=None)
        writes = ScheduleWrites((), [(occurrence, reopened)], [(before, after)])
        schedules.write(schedule, schedule.moved(move, active=active), writes)

    def start(self, context: CommandContext) -> None:
        context.executions.start_job(self.address, context.run)

    def settle(self, context: CommandContext) -> None:
        from jobyard.services.schedules.jobs import settle_job

        settle_job(self.address, context.executions, context.now())

    def row(self, _context: QueryContext) -> dict[str, Any]:
        return {}

    def records(self, job: JobRecord) -> Mapping[str, int | None] | None:
        if job.state not in OPEN_JOB_STATES:
            return job.data.get("records")
        checkpoint = checkpoints.get(self.address.job_id)
        return checkpoint.counts if checkpoint.version else None

    def label(self, job: JobRecord) -> str:
        return self.job_type.label(job.state.value)

    def why_waiting(self, job: JobRecord, _context: QueryContext) -> tuple[str, datetime | None]:
        if job.state is not JobState.SCHEDULED:
            return "", None  # a hold stops the schedule before it has a job
        return why_retried(job, self.job_type) if job.next_at else ("waits for a worker", None)


def schedule_origin(address: JobAddress, actor: Actor, _now: datetime) -> ScheduleOrigin:
    """The schedule and the occurrence of a job.

    Raises:
        Forbidden: `actor` may not see jobs of schedules. NotFound: there is no such job. Gone: it
            was archived.
    """
    authorize(actor, "schedule job", "view")
    schedule = schedules.get(address.origin_id)
    if not is_occurrence_address(address):
        raise NotFound(f"schedule {schedule.schedule_id} has no job {address.job_id}")
    kept_from = schedule.retained_from
    if kept_from and occurrence_time(address) < kept_from:
        raise Gone(f"job {address.job_id} was archived; jobs are kept since {kept_from:%Y-%m-%d}")
    occurrence = occurrences.find(address)
    if occurrence is None:
        raise NotFound(f"schedule {schedule.schedule_id} has no job {address.job_id}")
    if occurrence.verdict is not Verdict.RUN:
        skip = occurrence.skip_reason
        reason = f"was skipped: {skip.description}" if skip else "waits for another to end"
        raise NotFound(f"job {address.job_id} has not started: it {reason}")
    return ScheduleOrigin(schedule, occurrence)
