"""The jobs of schedules: settle ended jobs and fail orphaned ones.

Workers run them like any other job, see `occurrence_source`.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from jobyard.domain.batches.report import Report
from jobyard.domain.cause_key import MAIN_RUN, Action, CauseKey, Interruption
from jobyard.domain.errors import StaleState
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import (
    OPEN_JOB_STATES,
    JobAddress,
    JobRecord,
    JobState,
    new_job,
)
from jobyard.domain.lifecycle import Cause
from jobyard.domain.schedules.occurrence import Occurrence, Verdict
from jobyard.domain.schedules.planning import after_end
from jobyard.domain.schedules.schedule import SCHEDULE, Schedule
from jobyard.jobtypes import job_type_of
from jobyard.services.batches.settle import SettleContext
from jobyard.services.executions import Executions
from jobyard.services.jobs.attempt import failed_as_orphaned
from jobyard.services.runs import ExecutionRun, NextStep
from jobyard.services.schedules.clock import ScheduleCache, ScheduleTick, start_queued
from jobyard.services.schedules.failure_reports import failure_reports
from jobyard.store import checkpoints, jobs, occurrences, schedules
from jobyard.store.schedules import ScheduleWrites

_TRIES = 8  # to write a schedule that others change at the same time; then the execution retries


def owned_job(
    address: JobAddress, run: ExecutionRun, at: datetime
) -> tuple[Occurrence, JobRecord] | None:
    """The occurrence at an address and its job; None if `run` does not own an open job there."""
    occurrence = occurrences.find(address)
    if occurrence is None or occurrence.verdict is not Verdict.RUN:
        return None
    job = jobs.find(address)
    if job is None:
        return (occurrence, new_job(address, at)) if run.name == MAIN_RUN else None
    is_open = job.state in {JobState.SCHEDULED, JobState.RUNNING}
    return (occurrence, job) if is_open and run.owns(job.cause) else None


def orphan_failure(job: JobRecord, job_type: str, at: datetime) -> Failure:
    """Why an orphaned job fails. TIMEOUT if its last worker started a time limit ago."""
    if job.state is not JobState.RUNNING:
        return Failure.NO_WORKER
    has_timed_out = (at - job.at).total_seconds() >= job_type_of(job_type).time_limit
    return Failure.TIMEOUT if has_timed_out else Failure.WORKER_LOST


def give_up_job(address: JobAddress, run: ExecutionRun, at: datetime) -> bool:
    """Fail a job whose execution failed, if `run` still owns it. Returns whether it was failed."""
    owned = owned_job(address, run, at)
    if owned is None:
        return False
    occurrence, job = owned
    failure = orphan_failure(job, occurrence.job_type, at)
    failed = failed_as_orphaned(
        job, at, run.cause(address, job.start_count, Interruption.ORPHANED), failure
    )
    (stored,) = jobs.write_many([(job.stored, failed)])
    return stored is not None


def settle_job(address: JobAddress, executions: Executions, now: datetime) -> None:
    """Close the occurrence of a job that has ended, and start the queued job of its schedule.

    Raises:
        StaleState: others changed the schedule at the same time, several times; call again.
    """
    for _ in range(_TRIES):
        schedule = schedules.get(address.origin_id)
        occurrence = occurrences.find(address)
        job = jobs.find(address)
        if occurrence is None or job is None or job.state in OPEN_JOB_STATES:
            return
        try:
            # Occurrences that are no longer active are closed already.
            if occurrence.scheduled_for in {each.scheduled_for for each in schedule.active}:
                cause = Cause(str(replace(CauseKey.parse(job.cause), action=Action.SETTLE)))
                found = failure_reports(schedule, occurrence, job, now, executions.settings)
                schedule = write_end(schedule, occurrence, (job, job), cause, now, found)
            start_queued(schedule, ScheduleTick(ScheduleCache(), executions, now))
        except StaleState:
            continue
        return
    raise StaleState(f"schedule {address.origin_id} changes too fast")


def settle_execution(address: JobAddress, run: ExecutionRun, context: SettleContext) -> NextStep:
    """Settle a job whose execution ends here."""
    settle_job(address, context.executions, context.now())
    return NextStep(address.origin_id, "end", run=run)


def write_end(
    schedule: Schedule,
    occurrence: Occurrence,
    change: tuple[JobRecord, JobRecord],
    cause: Cause,
    now: datetime,
    found_reports: Sequence[Report] = (),
) -> Schedule:
    """Close a job's occurrence, in one write with `change`, the job before and after, and the
    reports about it. Returns the stored schedule.
    """
    before, after = change
    move = SCHEDULE.move(schedule.state, "track", now, cause)
    checkpoint = checkpoints.get(after.address.job_id)
    after_schedule, closed = after_end(schedule, occurrence, after, checkpoint, move)
    if found_reports:
        is_mailed = any(not each.webhook for each in found_reports)
        mailed_at = now if is_mailed else after_schedule.failure_mailed_at
        count = schedule.report_count + 1
        after_schedule = replace(after_schedule, report_count=count, failure_mailed_at=mailed_at)
    moved = [] if before is after else [change]
    return schedules.write(
        schedule, after_schedule, ScheduleWrites((), [(occurrence, closed)], moved, found_reports)
    )
