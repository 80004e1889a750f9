"""Wall clocks: zones, what instants a local time stands for, and the days on which clocks change.

A wall time is a datetime without a zone. Instants are aware, in UTC. Of a wall time that does not
exist or comes twice PEP 495 says how `fold` reads it; all here follows from that.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jobyard.domain.errors import InvalidRule

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKDAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTH_NAMES = (
    *("January", "February", "March", "April", "May", "June", "July", "August"),
    *("September", "October", "November", "December"),
)
_SECOND = timedelta(seconds=1)
_ZONES = "an IANA time zone like 'America/Los_Angeles' or 'UTC'"
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*")
_NO_ZONES = re.compile(r"(?:posix|right)/.*|localtime|posixrules|Factory")  # files beside the zones
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME = re.compile(r"\d{2}:\d{2}(?::\d{2})?")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?")
_Day = TypeVar("_Day", date, time, datetime)


@dataclass(frozen=True)
class ClockChange:
    """At `at` (UTC) the clocks of a zone go from `before` to `after`, both wall times."""

    at: datetime
    before: datetime
    after: datetime

    @property
    def is_forward(self) -> bool:
        """Whether wall times are left out; else some come twice."""
        return self.after > self.before

    def description(self) -> str:
        """The change in a sentence without its full stop."""
        way = "forward" if self.is_forward else "back"
        day, since = format_day(self.before), format_time(self.before.time())
        until = format_time(self.after.time())
        if self.before.date() != self.after.date():
            until = f"{until} on {format_day(self.after)}"
        return f"Clocks go {way} on {day} from {since} to {until}"


@lru_cache(maxsize=1024)
def zone_called(name: str) -> ZoneInfo:
    """The zone of an IANA name.

    Raises:
        InvalidRule: there is none.
    """
    if _ZONE.fullmatch(name) and not _NO_ZONES.fullmatch(name):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass  # not there, no zone file, or a folder of them
    raise InvalidRule("zone", f"{_ZONES}, not {name!r}")


def zone_name_of(where: str, value: object) -> str:
    """`value` if it names a zone.

    Raises:
        InvalidRule: it does not.
    """
    if not isinstance(value, str):
        raise InvalidRule(where, f"{_ZONES}, not {value!r}")
    zone_called(value)
    return value


def first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """When clocks of `zone` first show `wall`, or pass it where they never show it.

    Raises:
        OverflowError: that is before year 1 or after 9999.
    """
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return first if first <= second else change_between(second, first, zone).at


def last_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """When clocks of `zone` last show `wall`, or the second before they pass it unshown.

    Raises:
        OverflowError: that is before year 1 or after 9999.
    """
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return second if first <= second else change_between(second, first, zone).at - _SECOND


def change_between(low: datetime, high: datetime, zone: ZoneInfo) -> ClockChange:
    """The change of clocks after `low` and at `high` or before: there is exactly one."""
    offset = low.astimezone(zone).utcoffset()
    since, until = 0, (high - low) // _SECOND
    while until - since > 1:
        middle = (since + until) // 2
        if (low + middle * _SECOND).astimezone(zone).utcoffset() == offset:
            since = middle
        else:
            until = middle
    after = low + until * _SECOND
    return ClockChange(after, _wall(after - _SECOND, zone) + _SECOND, _wall(after, zone))


def change_around(instant: datetime, zone: ZoneInfo) -> ClockChange | None:
    """The change of clocks on the local day of `instant`, or because of which its time comes twice.

    None on ordinary days, and where the calendar ends.
    """
    local = instant.astimezone(zone).replace(microsecond=0)
    first, second = (local.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    if first != second:
        return change_between(first, second, zone)
    midnight = datetime.combine(local.date(), time())
    try:
        low = first_instant(midnight, zone) - _SECOND
        high = first_instant(midnight + timedelta(days=1), zone) - _SECOND
    except OverflowError:
        return None
    if low.astimezone(zone).utcoffset() == high.astimezone(zone).utcoffset():
        return None
    return change_between(low, high, zone)


def date_of(where: str, value: object) -> date:
    """The date that `value` spells as YYYY-MM-DD.

    Raises:
        InvalidRule: it spells none.
    """
    return _read(where, value, _DATE, date.fromisoformat, "a date like '2026-11-25'")


def time_of(where: str, value: object) -> time:
    """The time of day that `value` spells as HH:MM or HH:MM:SS.

    Raises:
        InvalidRule: it spells none.
    """
    return _read(where, value, _TIME, time.fromisoformat, "a time of day like '09:00'")


def weekdays_of(where: str, value: object) -> tuple[int, ...]:
    """The weekdays that a list names, ascending, each once; Monday is 0.

    Raises:
        InvalidRule: it names none, or is no list.
    """
    if not isinstance(value, (list, tuple)):
        raise InvalidRule(where, f"a list of {', '.join(WEEKDAYS)}")
    for each in value:
        if each not in WEEKDAYS:
            raise InvalidRule(where, f"a list of {', '.join(WEEKDAYS)}, not {str(each)[:40]!r}")
    return tuple(sorted({WEEKDAYS.index(each) for each in value}))


def wall_or_date_of(where: str, value: object) -> date:
    """The date that `value` spells, or the wall time: YYYY-MM-DDTHH:MM or with seconds.

    Raises:
        InvalidRule: it spells neither.
    """
    if isinstance(value, str) and "T" in value:
        allowed = "a date like '2026-11-25', or with a local time, '2026-11-25T09:00', no offset"
        return _read(where, value, _MOMENT, datetime.fromisoformat, allowed)
    return date_of(where, value)


def format_day(day: date) -> str:
    """25 November 2026."""
    return f"{day.day} {_MONTH_NAMES[day.month - 1]} {day.year}"


def format_time(at: time) -> str:
    """09:00, or 09:00:30 where there are seconds."""
    return at.isoformat(timespec="seconds" if at.second else "minutes")


def format_weekday(weekday: int) -> str:
    """Monday, of 0."""
    return _WEEKDAY_NAMES[weekday]


def enumerated(words: list[str]) -> str:
    """Monday, Tuesday and Friday."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def _read(
    where: str, value: object, form: re.Pattern[str], read: Callable[[str], _Day], allowed: str
) -> _Day:
    if isinstance(value, str) and form.fullmatch(value):
        try:
            return read(value)
        except ValueError:
            pass  # the 30th of February, or 25:00
    raise InvalidRule(where, f"{allowed}, not {value!r}")


def _wall(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)
