"""Calendars, as lists and details show them."""

from jobyard.domain.errors import NotFound
from jobyard.domain.schedules.calendar import StoredCalendar
from jobyard.services.access import authorize
from jobyard.services.context import QueryContext
from jobyard.store import calendars


def list_calendars(context: QueryContext) -> list[StoredCalendar]:
    """All calendars, by name.

    Raises:
        Forbidden: the actor may not see calendars.
    """
    authorize(context.actor, "calendar", "view")
    return calendars.list_all()


def calendar(name: str, context: QueryContext) -> StoredCalendar:
    """One calendar.

    Raises:
        Forbidden: the actor may not see calendars. NotFound: there is no such calendar.
    """
    authorize(context.actor, "calendar", "view")
    found = calendars.find(name)
    if found is None:
        raise NotFound(f"there is no calendar {name!r}")
    return found
