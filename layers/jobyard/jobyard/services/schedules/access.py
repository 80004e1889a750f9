"""Who may see schedules. It imports no more than a query needs."""

from jobyard.domain.errors import Gone, NotFound
from jobyard.domain.ids import is_schedule_id
from jobyard.domain.schedules.schedule import Schedule, ScheduleState
from jobyard.services.access import authorize
from jobyard.services.context import Actor
from jobyard.store import schedules


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
