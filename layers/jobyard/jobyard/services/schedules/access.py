"""Who may see schedules and their jobs. It imports no more than a query needs."""

from jobyard.domain.errors import Gone, InvalidTransition, NotFound
from jobyard.domain.ids import is_schedule_id
from jobyard.domain.jobs.job import JobAddress, JobRecord
from jobyard.domain.schedules.occurrence import Occurrence, Verdict
from jobyard.domain.schedules.schedule import (
    MAX_ACTIVE_RUNS,
    OverlapPolicy,
    Schedule,
    ScheduleState,
    occurrence_time,
)
from jobyard.services.access import authorize
from jobyard.services.context import Actor
from jobyard.store import jobs, occurrences, schedules

# What may be asked of a schedule's job. It is not held: its schedule is suspended instead.
SCHEDULE_JOB_EVENTS = ("cancel", "force_fail", "requeue", "delete")
_LAST_MS = 253_402_300_799_999  # the end of the year 9999


def schedule_or_tombstone(schedule_id: str, actor: Actor, event: str = "view") -> Schedule:
    """The schedule, if `actor` may send it `event`; a deleted one too, for its history.

    Raises:
        Forbidden: they may not. NotFound: there is none.
    """
    authorize(actor, "schedule", event)
    if not is_schedule_id(schedule_id):
        raise NotFound(f"{schedule_id!r} is no schedule id; one is s and 20 of a to z, 2 to 7")
    return schedules.get(schedule_id)


def active_schedule(schedule_id: str, actor: Actor, event: str = "view") -> Schedule:
    """The schedule, if `actor` may send it `event`.

    Raises:
        Forbidden: they may not. NotFound, Gone: there is none, or it was deleted.
    """
    schedule = schedule_or_tombstone(schedule_id, actor, event)
    check_not_deleted(schedule)
    return schedule


def check_not_deleted(schedule: Schedule) -> None:
    """Raises:
    Gone: it is deleted.
    """
    if schedule.state is ScheduleState.DELETED:
        last = schedule.history[-1]  # nothing happens to it after that
        reason = f"by {last.actor} at {last.at:%Y-%m-%d %H:%M}Z: {last.reason}"
        raise Gone(f"schedule {schedule.schedule_id} was deleted {reason}")


def job_of_schedule(
    place: JobAddress, actor: Actor, event: str = "view"
) -> tuple[Schedule, Occurrence, JobRecord | None]:
    """The schedule, the occurrence and, once it has started, the record of a job.

    Raises:
        Forbidden: `actor` may not send `event` to a job of a schedule.
        NotFound, Gone: there is no such job, or it was archived.
    """
    authorize(actor, "schedule job", event)
    schedule = schedules.get(place.origin_id)
    if place.chunk or place.position > _LAST_MS:
        raise NotFound(f"schedule {schedule.schedule_id} has no job {place.job_id}")
    kept_from = schedule.kept_from
    if kept_from and occurrence_time(place) < kept_from:
        raise Gone(f"job {place.job_id} was archived; jobs are kept since {kept_from:%Y-%m-%d}")
    occurrence = occurrences.get(place)
    if occurrence is None:
        raise NotFound(f"schedule {schedule.schedule_id} has no job {place.job_id}")
    if occurrence.verdict is not Verdict.RUN:
        reason = (
            occurrence.reason.description if occurrence.reason else "it waits for another to end"
        )
        raise NotFound(f"there is no job {place.job_id} yet, or never will be: {reason}")
    return schedule, occurrence, jobs.get(place)


def check_open_to_requeue(schedule: Schedule) -> None:
    """Raises:
    InvalidTransition: the schedule is deleted, or another of its jobs is active and its
        overlap
        policy forbids a second one.
    """
    if schedule.state is ScheduleState.DELETED:
        raise InvalidTransition(
            f"schedule {schedule.schedule_id} was deleted: cannot requeue its jobs"
        )
    may_meet = (
        schedule.policy.overlap is OverlapPolicy.ALLOW and len(schedule.active) < MAX_ACTIVE_RUNS
    )
    if schedule.active and not may_meet:
        raise InvalidTransition(
            f"another job of schedule {schedule.schedule_id} is running, and its overlap is "
            f"{schedule.policy.overlap}"
        )
