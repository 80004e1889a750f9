"""Calendars: what was written reads back; only the version that was read is replaced; a deleted one
does not exist."""

from datetime import UTC, datetime

import pytest

from jobyard.domain.errors import StaleState
from jobyard.domain.schedules.calendar import CalendarChange, StoredCalendar, calendar_of
from jobyard.store import calendars

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)

pytestmark = [pytest.mark.emulator, pytest.mark.usefixtures("store_endpoint")]


@pytest.fixture
def first(request: pytest.FixtureRequest) -> StoredCalendar:
    """A new calendar."""
    name = str(request.node.name)[:60].replace("_", "-")
    window = {"weekdays": ["mon"], "from": "09:00", "to": "17:00"}
    read = calendar_of({"name": name, "exclude": ["2026-11-26"], "include": [window]})
    return StoredCalendar(
        read, 1, (CalendarChange("put", NOON, "admin", "the office is shut", "c1"),)
    )


def changed(
    kept: StoredCalendar, event: str = "put", reason: str = "another day"
) -> StoredCalendar:
    return kept.changed(kept.calendar, CalendarChange(event, NOON, "admin", reason, "c2"))


def test_what_is_written_is_read(first: StoredCalendar) -> None:
    calendars.put(first)

    assert calendars.find(first.calendar.name) == first
    assert first in calendars.list_all()


def test_a_calendar_is_written_over_the_one_that_was_seen_and_no_other(
    first: StoredCalendar,
) -> None:
    calendars.put(first)
    second = changed(first)
    calendars.put(second)

    for late in (changed(first, reason="of somebody else"), first, changed(changed(second))):
        with pytest.raises(StaleState, match=first.calendar.name):
            calendars.put(late)
    assert calendars.find_any(first.calendar.name) == second


def test_what_is_written_twice_is_written_once(first: StoredCalendar) -> None:
    calendars.put(first)
    calendars.put(first)
    calendars.put(changed(first))
    calendars.put(changed(first))

    assert calendars.find_any(first.calendar.name) == changed(first)


def test_a_deleted_calendar_is_gone_and_its_history_stays(first: StoredCalendar) -> None:
    deleted = changed(first, "delete", "nobody wants it")
    calendars.put(first)
    calendars.put(deleted)

    assert calendars.find(first.calendar.name) is None
    assert deleted not in calendars.list_all()
    assert calendars.find_any(first.calendar.name) == deleted


def test_there_is_no_checkpoint_before_the_first_write() -> None:
    assert calendars.find_any("never-written") is None
    assert calendars.find("never-written") is None
