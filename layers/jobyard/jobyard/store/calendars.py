"""Named calendars as they are stored."""

from pynamodb.exceptions import DeleteError, PutError

from jobyard.domain.calendars import Calendar, calendar_of
from jobyard.domain.errors import StaleState, Unknown
from jobyard.store.tables import CalendarItem, is_refused


def put(calendar: Calendar, seen: int) -> int:
    """Write a calendar over the version `seen` (0: over nothing); the answer is its version.

    Raises:
        StaleState: somebody else wrote it since.
    """
    as_read = CalendarItem.version == seen if seen else CalendarItem.name.does_not_exist()
    item = CalendarItem(name=calendar.name, version=seen + 1, body=calendar.document())
    try:
        item.save(condition=as_read)
    except PutError as error:
        if not is_refused(error):
            raise
        stored = find(calendar.name)
        if stored == (calendar, seen + 1):
            return seen + 1
        raise StaleState(f"calendar {calendar.name} has changed since it was read") from error
    return seen + 1


def find(name: str) -> tuple[Calendar, int] | None:
    """The calendar and its version, strongly read; None when there is none."""
    try:
        item = CalendarItem.get(name, consistent_read=True)
    except CalendarItem.DoesNotExist:
        return None
    return calendar_of(item.body), int(item.version)


def get(name: str) -> Calendar:
    """The calendar of that name.

    Raises:
        Unknown: there is none.
    """
    found = find(name)
    if found is None:
        raise Unknown(f"there is no calendar {name!r}")
    return found[0]


def remove(name: str, seen: int) -> None:
    """Delete a calendar of the version `seen`.

    Raises:
        StaleState: somebody else wrote it since.
    """
    try:
        CalendarItem(name).delete(condition=CalendarItem.version == seen)
    except DeleteError as error:
        if not is_refused(error):
            raise
        if find(name) is None:
            return
        raise StaleState(f"calendar {name} has changed since it was read") from error


def every() -> dict[str, Calendar]:
    """All calendars, by name. There are a handful."""
    return {item.name: calendar_of(item.body) for item in CalendarItem.scan(consistent_read=True)}
