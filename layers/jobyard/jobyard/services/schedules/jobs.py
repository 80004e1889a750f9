"""The jobs of schedules: settling them, giving them up, and people's events.

The runner runs them like any other (`occurrence_source`). Occurrence and schedule do for them what
chunk and batch do elsewhere.
"""

from dataclasses import replace
from datetime import datetime

from jobyard.domain.cause_key import Action, CauseKey, Interruption
from jobyard.domain.errors import InvalidTransition, StaleState
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import (
    JOB,
    OPEN_JOB_STATES,
    JobAddress,
    JobRecord,
    JobState,
    apply_event,
    new_job,
)
from jobyard.domain.lifecycle import Cause
from jobyard.domain.schedules.occurrence import Occurrence, Verdict
from jobyard.domain.schedules.planning import after_end
from jobyard.domain.schedules.schedule import MAIN, SCHEDULE, ActiveJob, Schedule
from jobyard.jobtypes import job_type_of
from jobyard.services.context import CommandContext, require_reason
from jobyard.services.executions import Executions
from jobyard.services.jobs.attempt import orphaned
from jobyard.services.runs import ExecutionRun
from jobyard.services.schedules.access import (
    SCHEDULE_JOB_EVENTS,
    check_open_to_requeue,
    job_of_schedule,
)
from jobyard.services.schedules.clock import ScheduleCache, ScheduleTick, start_waiting
from jobyard.store import checkpoints, jobs, occurrences, schedules
from jobyard.store.schedules import ScheduleWrites

_TRIES = 8  # at a schedule that others change at the same time


def owned_job(
    address: JobAddress, run: ExecutionRun, at: datetime
) -> tuple[Occurrence, JobRecord] | None:
    """The occurrence at an address and its job, if `run` owns the job; None if it does not."""
    occurrence = occurrences.get(address)
    if occurrence is None or occurrence.verdict is not Verdict.RUN:
        return None
    job = jobs.get(address)
    if job is None:
        return (occurrence, new_job(address, at)) if run.name == MAIN else None
    is_waiting = job.state in {JobState.SCHEDULED, JobState.RUNNING}
    return (occurrence, job) if is_waiting and run.owns(job.cause) else None


def orphan_failure(job: JobRecord, job_type: str, at: datetime) -> Failure:
    """Why an orphaned job fails: its time limit, if its last worker had that long."""
    if job.state is not JobState.RUNNING:
        return Failure.NO_WORKER
    is_over = (at - job.at).total_seconds() >= job_type_of(job_type).time_limit
    return Failure.TIMEOUT if is_over else Failure.WORKER_LOST


def give_up_job(address: JobAddress, run: ExecutionRun, at: datetime) -> bool:
    """Fail a job that its own execution could not end, if the run still owns it; whether it did."""
    owned = owned_job(address, run, at)
    if owned is None:
        return False
    occurrence, job = owned
    failure = orphan_failure(job, occurrence.job_type, at)
    failed = orphaned(job, at, run.cause(0, job.tries, Interruption.LOST), failure)
    (stored,) = jobs.write_many([(job if job.version else None, failed)])
    return stored is not None


def settle_job(place: JobAddress, executions: Executions, now: datetime) -> None:
    """Close the occurrence of a job that has ended, and start the queued job of its schedule.

    Raises:
        StaleState: others changed the schedule at each of the tries; call again.
    """
    for _ in range(_TRIES):
        schedule = schedules.get(place.origin_id)
        occurrence = occurrences.get(place)
        job = jobs.get(place)
        if occurrence is None or job is None or job.state in OPEN_JOB_STATES:
            return
        try:
            if any(run.at == occurrence.at for run in schedule.active):  # else it is closed already
                cause = Cause(str(replace(CauseKey.parse(job.cause), action=Action.SETTLE)))
                schedule = _write_end(schedule, occurrence, (job, job), cause, now)
            start_waiting(schedule, ScheduleTick(ScheduleCache(), executions, now))
        except StaleState:
            continue
        return
    raise StaleState(f"schedule {place.origin_id} changes too fast")


def _write_end(
    schedule: Schedule,
    occurrence: Occurrence,
    change: tuple[JobRecord, JobRecord],
    cause: Cause,
    now: datetime,
) -> Schedule:
    """Close a job's occurrence, in one write with the `change` to the job. Returns the schedule."""
    before, after = change
    move = SCHEDULE.move(schedule.state, "note", now, cause)
    counted = checkpoints.get(after.place.job_id)
    after_schedule, closed = after_end(schedule, occurrence, after, counted, move)
    moved = [] if before is after else [change]
    return schedules.write(
        schedule, after_schedule, ScheduleWrites((), [(occurrence, closed)], moved)
    )


def send_occurrence_event(place: JobAddress, event: str, context: CommandContext) -> JobRecord:
    """Apply a person's event to the job of an occurrence. If it ends the job, it closes the
    occurrence in the same write.

    Raises:
        Forbidden: the actor may not. NotFound, Gone: there is no such job, or it was archived.
        InvalidTransition: the event is not valid in its state, or its schedule's. BadRequest:
            no reason
            is given. StaleState: someone else moved it.
    """
    schedule, occurrence, stored = job_of_schedule(place, context.actor)
    if stored and any(e.cause == context.run and e.event == event for e in stored.history):
        job = stored
    else:
        before = stored or new_job(place, context.now())
        JOB.asked(before.state, event, context.now(), context.cause, context.actor.roles)
        if event not in SCHEDULE_JOB_EVENTS:
            raise InvalidTransition(
                f"a job of a schedule cannot {event}; suspend the schedule instead"
            )
        require_reason(context, event)
        job = apply_event(before, event, context.now(), context.cause)
        _write_asked(schedule, occurrence, (before, job), context)
    if job.state is JobState.SCHEDULED:
        context.executions.start_job(place, context.run)
    else:
        settle_job(place, context.executions, context.now())
    return job


def _write_asked(
    schedule: Schedule,
    occurrence: Occurrence,
    change: tuple[JobRecord, JobRecord],
    context: CommandContext,
) -> None:
    if change[1].state is not JobState.SCHEDULED:
        _write_end(schedule, occurrence, change, context.cause, context.now())
        return
    check_open_to_requeue(schedule)
    move = SCHEDULE.move(schedule.state, "note", context.now(), context.cause)
    others = [run for run in schedule.active if run.at != occurrence.at]
    active = (*others, ActiveJob(occurrence.at, context.now(), context.run))
    reopened = replace(occurrence, version=occurrence.version + 1, outcome=None)
    beside = ScheduleWrites((), [(occurrence, reopened)], [change])
    schedules.write(schedule, schedule.moved(move, active=active), beside)
