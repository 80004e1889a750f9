"""Recovery of the active jobs of schedules: of one schedule, or a page of all."""

from contextlib import suppress
from datetime import datetime

from jobyard.domain.errors import StaleState
from jobyard.domain.schedules.schedule import SCHEDULE, SCHEDULER_CAUSE, Schedule
from jobyard.services.executions import Executions
from jobyard.services.pending_work import RecoveredPage, recover, work_of_job
from jobyard.store import schedules

_PAGE = 20  # schedules that `recover_page` checks at a time
# The lists that a full recovery checks; a cursor that is stored with a checkpoint names one.
SCHEDULE_LISTS = ("schedules",)


def recover_schedule(schedule_id: str, executions: Executions, now: datetime) -> int:
    """Recover the active jobs of a schedule. Returns the number of started executions.

    Raises:
        NotFound: there is no such schedule.
    """
    return recover_active_jobs(schedules.get(schedule_id), executions, now)


def recover_active_jobs(schedule: Schedule, executions: Executions, now: datetime) -> int:
    """Recover the active jobs of a schedule, and set when to check them again. Returns the number
    of started executions.
    """
    recovered = _recover_jobs(schedule, executions, now)
    move = SCHEDULE.move(schedule.state, "track", now, SCHEDULER_CAUSE)
    with suppress(StaleState):  # another write has set the time
        schedules.write(schedule, schedule.moved(move))
    return recovered


def recover_page(
    _list_name: str, after: str, executions: Executions, now: datetime
) -> RecoveredPage:
    """Recover the active jobs of the next schedules."""
    page = schedules.list_all(_PAGE, after)
    active = [schedule for schedule in page if schedule.active]
    recovered = sum(_recover_jobs(schedule, executions, now) for schedule in active)
    return RecoveredPage(page[-1].schedule_id if page else "", len(active), recovered)


def _recover_jobs(schedule: Schedule, executions: Executions, now: datetime) -> int:
    started = 0
    for job in schedule.active:
        address = schedule.job_address(job.scheduled_for)
        work = work_of_job(address, job.run, job.started_at, executions)
        started += recover(work, executions, now)
    return started
