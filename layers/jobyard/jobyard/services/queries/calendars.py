"""Named calendars as those who look at them want them."""

from jobyard.domain.errors import NotFound
from jobyard.domain.schedules.calendar import StoredCalendar
from jobyard.services.queries.context import QueryContext
from jobyard.services.schedules.access import check_admin
from jobyard.store import calendars


def list_calendars(looking: QueryContext) -> list[StoredCalendar]:
    """All calendars, by name.

    Raises:
        Forbidden: the person is no admin.
    """
    check_admin(looking.person.roles)
    return calendars.kept()


def calendar(name: str, looking: QueryContext) -> StoredCalendar:
    """One calendar.

    Raises:
        Forbidden: the person is no admin. NotFound: there is none.
    """
    check_admin(looking.person.roles)
    found = calendars.find(name)
    if found is None:
        raise NotFound(f"there is no calendar {name!r}")
    return found
