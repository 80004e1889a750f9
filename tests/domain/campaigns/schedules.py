"""Schedules of campaigns from JSON, for tests."""

from datetime import UTC, datetime
from typing import Any

from jobyard.domain.campaigns.fields import FieldReader
from jobyard.domain.campaigns.schedule import SCHEDULE_FIELDS, CampaignSchedule, schedule_of
from jobyard.domain.errors import InvalidRule
from jobyard.domain.schedules.calendar import Calendar, calendar_of

CALENDARS = {
    "nights": calendar_of(
        {
            "name": "nights",
            "exclude": ["2026-11-28"],
            "include": [{"from": "23:00", "to": "01:00"}, {"from": "03:00", "to": "04:00"}],
        }
    )
}


def instant(text: str) -> datetime:
    """`2026-11-25T10:00` in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def calendar_for(value: object) -> Calendar:
    """One of `CALENDARS`."""
    if value not in CALENDARS:
        raise InvalidRule("calendar", f"one of {', '.join(CALENDARS)}")
    return CALENDARS[str(value)]


def schedule(created_at: datetime, **fields: Any) -> CampaignSchedule:
    """The schedule with `fields`; `first` and `last` are its range."""
    given = {"kind": "scheduled", **fields}
    for name, field in (("first", "from"), ("last", "to")):
        if name in given:
            given[field] = given.pop(name)
    reader = FieldReader(given, SCHEDULE_FIELDS)
    found = schedule_of(reader, created_at, calendar_for)
    reader.check()
    return found
