"""The job of an occurrence: run by a worker, and its end told to the schedule.

It is a job like any other, run by the same steps and states, but alone in its chunk and without
counts: its occurrence and its schedule take what a batch's chunk and batch do elsewhere.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime

from jobyard.domain.cause_key import Action, CauseKey, Turn
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
from jobyard.domain.jobs.job_type import JobType, StepInput
from jobyard.domain.lifecycle import Cause
from jobyard.domain.schedules.occurrence import Occurrence, Verdict
from jobyard.domain.schedules.planning import ended
from jobyard.domain.schedules.schedule import MAIN, SCHEDULE, Schedule
from jobyard.domain.schedules.schedule import ActiveJob as Going
from jobyard.jobtypes import job_type_of
from jobyard.services.context import CommandContext, require_reason
from jobyard.services.executions import Executions
from jobyard.services.jobs import attempt
from jobyard.services.jobs.attempt import (
    ORPHAN_LIMIT,
    Progress,
    orphaned,
    run_steps,
    show_running,
    started,
    unexpected_failure,
)
from jobyard.services.jobs.chunk_runner import FinishedJob, Worker
from jobyard.services.runs import ExecutionRun, NextStep
from jobyard.services.schedules.access import (
    SCHEDULE_JOB_EVENTS,
    check_open_to_requeue,
    job_of_schedule,
)
from jobyard.services.schedules.clock import ScheduleCache, ScheduleTick, start_waiting
from jobyard.store import checkpoints, jobs, occurrences, schedules
from jobyard.store.schedules import ScheduleWrites

_TRIES = 8  # at a schedule that others change at the same time
_LOOK_S = 2.0  # how often a running job is looked for a cancel
_SHOW_S = 0.2  # how often it is looked whether its step takes long


def run_occurrence(
    place: JobAddress, run: ExecutionRun, worker: Worker
) -> tuple[NextStep, list[FinishedJob]]:
    """Run the job of an occurrence, if `run` owns it; say whether to come again."""
    occurrence = occurrences.get(place)
    job = jobs.get(place) or new_job(place, worker.now())
    settle = NextStep("", "settle", run=run)
    if occurrence is None or occurrence.verdict is not Verdict.RUN or not _is_ours(job, run):
        return settle, []
    if job.next_at and job.next_at > worker.now():
        return NextStep("", "again", run=run, until=job.next_at), []
    job_type = job_type_of(occurrence.job_type)
    after = _begun(job, run, occurrence, worker.now())
    if after is None or after.state is not JobState.RUNNING:
        return settle, _told([after], occurrence)
    ended_as, surprise = _performed(after, job_type, occurrence, worker)
    finished = _told([ended_as], occurrence, surprise)
    if ended_as and ended_as.state is JobState.SCHEDULED and ended_as.next_at:
        following = ExecutionRun(run.name, run.number + 1)
        return NextStep("", "again", run=following, until=ended_as.next_at), finished
    return settle, finished


def _is_ours(job: JobRecord, run: ExecutionRun) -> bool:
    if not job.version:
        return run.name == MAIN
    return job.state in {JobState.SCHEDULED, JobState.RUNNING} and run.owns(job.cause)


def _begun(
    job: JobRecord, run: ExecutionRun, occurrence: Occurrence, at: datetime
) -> JobRecord | None:
    """The job once it is written that it runs, or that too many workers were lost with it; None
    when someone else was first."""
    cause = run.cause(0, job.tries + 1)
    gone = job.state is JobState.RUNNING and job.lost >= ORPHAN_LIMIT
    after = _given_up(job, occurrence, at, cause) if gone else started(job, at, cause)
    (stored,) = jobs.write_many([(job if job.version else None, after)])
    return stored


def _given_up(job: JobRecord, occurrence: Occurrence, at: datetime, cause: str) -> JobRecord:
    """The job, failed: by its time limit if its last worker had that long, else by its workers."""
    if job.state is not JobState.RUNNING:
        return orphaned(job, at, cause, Failure.NO_WORKER)
    over = (at - job.at).total_seconds() >= job_type_of(occurrence.job_type).time_limit
    return orphaned(job, at, cause, Failure.TIMEOUT if over else Failure.WORKER_LOST)


def _performed(
    job: JobRecord, job_type: JobType, occurrence: Occurrence, worker: Worker
) -> tuple[JobRecord | None, BaseException | None]:
    """The job after an attempt, and what a step raised that no step should raise; no job when
    someone else took it away meanwhile."""
    work = StepInput(
        batch_id="",
        job_id=job.place.job_id,
        collection="",
        entry={"scheduled_for": occurrence.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")},
        parameters=occurrence.parameters,
        data=job.data,
        attempt=job.tries,
    )
    touch = worker.touch(job_type.time_limit)
    touch = replace(touch, remaining=_while_ours(job, touch.remaining, worker.now))
    progress = Progress(job)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run_steps, job_type, progress, work, touch, worker.now)
        while not wait([future], timeout=_SHOW_S).done:
            show_running([progress], worker.now())
        surprise = future.exception()
    attempted = unexpected_failure(progress, worker.now()) if surprise else future.result()
    if attempted is None:
        return None, None
    after = attempt.ended(attempted, job_type, worker.now(), job.cause)
    (stored,) = jobs.write_many([(attempted.record, after)])
    return stored, surprise


def _while_ours(
    job: JobRecord, remaining: Callable[[], float], now: Callable[[], datetime]
) -> Callable[[], float]:
    """The seconds a step has left: none once the job is cancelled, replaced or run by another."""
    looked_at, is_ours = now(), True

    def left() -> float:
        nonlocal looked_at, is_ours
        if is_ours and (now() - looked_at).total_seconds() >= _LOOK_S:
            stored = jobs.get(job.place)
            is_ours = stored is not None and stored.cause == job.cause
            looked_at = now()
        return remaining() if is_ours else 0.0

    return left


def _told(
    met: Sequence[JobRecord | None], occurrence: Occurrence, surprise: BaseException | None = None
) -> list[FinishedJob]:
    return [
        FinishedJob(
            job.place.job_id,
            occurrence.job_type,
            job.state.value,
            job.failure_code,
            surprise,
        )
        for job in met
        if job and (job.state is not JobState.SCHEDULED or surprise)
    ]


def give_up_occurrence(place: JobAddress, run: ExecutionRun, at: datetime) -> bool:
    """Fail a job whose own execution could not get through it, if it still holds it; whether it
    did."""
    occurrence = occurrences.get(place)
    job = jobs.get(place) or new_job(place, at)
    if occurrence is None or occurrence.verdict is not Verdict.RUN or not _is_ours(job, run):
        return False
    after = _given_up(job, occurrence, at, run.cause(0, job.tries, Turn.LOST))
    (stored,) = jobs.write_many([(job if job.version else None, after)])
    return stored is not None


def settle_occurrence(place: JobAddress, starting: Executions, now: datetime) -> None:
    """Tell the schedule if the job of an occurrence has ended, and start what waited for that.

    Raises:
        StaleState: the schedule changes all the time; to be called again.
    """
    for _ in range(_TRIES):
        schedule = schedules.get(place.origin_id)
        occurrence = occurrences.get(place)
        job = jobs.get(place)
        if occurrence is None or job is None or job.state in OPEN_JOB_STATES:
            return
        try:
            if any(run.at == occurrence.at for run in schedule.active):  # else it was told before
                cause = Cause(str(replace(CauseKey.parse(job.cause), action=Action.SETTLE)))
                schedule = _write_end(schedule, occurrence, (job, job), cause, now)
            start_waiting(schedule, ScheduleTick(ScheduleCache(), starting, now))
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
    """Write the end of a job, which may come with its `change`; the schedule as it is then."""
    before, after = change
    move = SCHEDULE.move(schedule.state, "note", now, cause)
    counted = checkpoints.get(after.place.job_id)
    following, closed = ended(schedule, occurrence, after, counted, move)
    moved = [] if before is after else [change]
    return schedules.write(schedule, following, ScheduleWrites((), [(occurrence, closed)], moved))


def send_occurrence_event(place: JobAddress, event: str, asking: CommandContext) -> JobRecord:
    """Send the job of an occurrence a person's event. What ends it is told to its schedule with it.

    Raises:
        Forbidden: the person is no admin. NotFound, Gone: there is no such job, or not any more.
        InvalidTransition: its state, or its schedule's, does not know the event. BadRequest: no
        reason
            is given. StaleState: someone else moved it.
    """
    schedule, occurrence, stored = job_of_schedule(place, asking.person)
    if stored and any(e.cause == asking.run and e.event == event for e in stored.history):
        job = stored
    else:
        before = stored or new_job(place, asking.now())
        JOB.asked(before.state, event, asking.now(), asking.cause, asking.person.roles)
        if event not in SCHEDULE_JOB_EVENTS:
            raise InvalidTransition(
                f"a job of a schedule cannot {event}; suspend the schedule instead"
            )
        require_reason(asking, event)
        job = apply_event(before, event, asking.now(), asking.cause)
        _write_asked(schedule, occurrence, (before, job), asking)
    if job.state is JobState.SCHEDULED:
        asking.starting.job(place, asking.run)
    else:
        settle_occurrence(place, asking.starting, asking.now())
    return job


def _write_asked(
    schedule: Schedule,
    occurrence: Occurrence,
    change: tuple[JobRecord, JobRecord],
    asking: CommandContext,
) -> None:
    if change[1].state is not JobState.SCHEDULED:
        _write_end(schedule, occurrence, change, asking.cause, asking.now())
        return
    check_open_to_requeue(schedule)
    move = SCHEDULE.move(schedule.state, "note", asking.now(), asking.cause)
    others = [run for run in schedule.active if run.at != occurrence.at]
    active = (*others, Going(occurrence.at, asking.now(), asking.run))
    reopened = replace(occurrence, version=occurrence.version + 1, outcome=None)
    beside = ScheduleWrites((), [(occurrence, reopened)], [change])
    schedules.write(schedule, schedule.moved(move, active=active), beside)
