"""Stores named calendars. A deleted calendar keeps its item, with its history."""

from typing import Any

from jobyard.domain.errors import StaleState
from jobyard.domain.schedules.calendar import CalendarChange, StoredCalendar, calendar_of
from jobyard.store.documents import from_ms, to_ms
from jobyard.store.tables import CalendarItem, is_version, save_if


def _item(stored: StoredCalendar) -> CalendarItem:
    changes = [
        [change.event, to_ms(change.at), change.actor, change.reason, change.cause, change.sub]
        for change in stored.changes
    ]
    body = {"calendar": stored.calendar.document(), "changes": changes}
    return CalendarItem(name=stored.calendar.name, version=stored.version, body=body)


def _stored(item: CalendarItem) -> StoredCalendar:
    body: dict[str, Any] = item.body
    changes = tuple(
        CalendarChange(event, from_ms(at), *rest) for event, at, *rest in body["changes"]
    )
    return StoredCalendar(calendar_of(body["calendar"]), int(item.version), changes)


def put(stored: StoredCalendar) -> None:
    """Store a calendar over the version before its own. A repeat succeeds.

    Raises:
        StaleState: the calendar changed since it was read.
    """
    name = stored.calendar.name
    is_saved = save_if(_item(stored), is_version(CalendarItem, stored.version - 1))
    if not is_saved and find_any(name) != stored:
        raise StaleState(f"calendar {name} has changed since it was read")


def find_any(name: str) -> StoredCalendar | None:
    """The calendar, even if it is deleted; None if there never was one."""
    try:
        return _stored(CalendarItem.get(name, consistent_read=True))
    except CalendarItem.DoesNotExist:
        return None


def find(name: str) -> StoredCalendar | None:
    """The calendar; None if there is none, or it is deleted."""
    found = find_any(name)
    return None if found is None or found.is_deleted else found


def list_all() -> list[StoredCalendar]:
    """All calendars that are not deleted, by name. It scans the table, which is small."""
    found = map(_stored, CalendarItem.scan(consistent_read=True))
    return sorted(
        (each for each in found if not each.is_deleted), key=lambda each: each.calendar.name
    )
