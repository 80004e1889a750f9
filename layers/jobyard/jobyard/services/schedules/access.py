"""Who may see schedules. Apart from the commands, so that queries import less."""

from jobyard.domain.errors import Gone, NotFound
from jobyard.domain.ids import is_schedule_id
from jobyard.domain.schedules.schedule import Schedule, ScheduleState
from jobyard.services.access import authorize
from jobyard.services.context import Actor
from jobyard.store import schedules


def schedule_or_tombstone(schedule_id: str, actor: Actor, event: str = "view") -> Schedule:
    """The schedule, also if it is deleted, for its history.

    Raises:
        Forbidden: `actor` may not send it `event`. NotFound: there is no such schedule.
    """
    authorize(actor, "schedule", event)
    if not is_schedule_id(schedule_id):
        raise NotFound(f"{schedule_id!r} is not a schedule id: s and 20 characters of a-z and 2-7")
    return schedules.get(schedule_id)


def active_schedule(schedule_id: str, actor: Actor, event: str = "view") -> Schedule:
    """The schedule.

    Raises:
        Forbidden: `actor` may not send it `event`. NotFound: there is no such schedule. Gone: it
            was deleted.
    """
    schedule = schedule_or_tombstone(schedule_id, actor, event)
    check_not_deleted(schedule)
    return schedule


def check_not_deleted(schedule: Schedule) -> None:
    """Check that a schedule is not deleted.

    Raises:
        Gone: it is.
    """
    if schedule.state is ScheduleState.DELETED:
        last = schedule.history[-1]  # no event follows a deletion
        deletion = f"by {last.actor} at {last.at:%Y-%m-%d %H:%M}Z: {last.reason}"
        raise Gone(f"schedule {schedule.schedule_id} was deleted {deletion}")
