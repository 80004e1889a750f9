"""Wall clocks: time zones, the instants of a wall time, and clock changes.

A wall time is a datetime without a zone; an instant is an aware datetime in UTC. A wall time that
does not exist or occurs twice is read by its `fold`, as PEP 495 defines.
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
# Other files in the directory of time zones.
_NO_ZONES = re.compile(r"(?:posix|right)/.*|localtime|posixrules|Factory")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME = re.compile(r"\d{2}:\d{2}(?::\d{2})?")
_WALL_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?")
_Parsed = TypeVar("_Parsed", date, time, datetime)


@dataclass(frozen=True)
class ClockChange:
    """A change of a zone's clocks at the instant `at`, from one wall time to another."""

    at: datetime
    before: datetime
    after: datetime

    @property
    def is_forward(self) -> bool:
        """Whether the change skips wall times; otherwise it repeats some."""
        return self.after > self.before

    def description(self) -> str:
        """The change as a sentence without its full stop."""
        direction = "forward" if self.is_forward else "back"
        day, before = format_day(self.before), format_time(self.before.time())
        after = format_time(self.after.time())
        if self.before.date() != self.after.date():
            after = f"{after} on {format_day(self.after)}"
        return f"Clocks go {direction} on {day} from {before} to {after}"


@lru_cache(maxsize=1024)
def zone_named(name: str) -> ZoneInfo:
    """The time zone with an IANA name.

    Raises:
        InvalidRule: there is no such zone.
    """
    if _ZONE.fullmatch(name) and not _NO_ZONES.fullmatch(name):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass  # no file, a file of another format, or a directory
    raise InvalidRule("zone", f"{_ZONES}, not {name!r}")


def zone_name_of(where: str, value: object) -> str:
    """`value`, if it is the name of a time zone.

    Raises:
        InvalidRule: it is not.
    """
    if not isinstance(value, str):
        raise InvalidRule(where, f"{_ZONES}, not {value!r}")
    try:
        zone_named(value)
    except InvalidRule as error:
        raise InvalidRule(where, error.allowed) from None
    return value


def first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first instant at which clocks of `zone` show `wall`, or skip it.

    Raises:
        OverflowError: it is before year 1 or after year 9999.
    """
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return first if first <= second else change_between(second, first, zone).at


def last_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The last instant at which clocks of `zone` show `wall`, or the second before they skip it.

    Raises:
        OverflowError: it is before year 1 or after year 9999.
    """
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return second if first <= second else change_between(second, first, zone).at - _SECOND


def change_between(low: datetime, high: datetime, zone: ZoneInfo) -> ClockChange:
    """The clock change after `low` and not after `high`. There must be exactly one."""
    offset = low.astimezone(zone).utcoffset()
    before, after = 0, (high - low) // _SECOND  # seconds after `low`
    while after - before > 1:
        middle = (before + after) // 2
        if (low + middle * _SECOND).astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    at = low + after * _SECOND
    return ClockChange(at, _wall(at - _SECOND, zone) + _SECOND, _wall(at, zone))


def change_around(instant: datetime, zone: ZoneInfo) -> ClockChange | None:
    """The clock change on the local day of `instant`, or that repeats its wall time.

    None if there is none, and on the first and last day that Python has.
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
    """Parse a date, YYYY-MM-DD.

    Raises:
        InvalidRule: `value` is not a date.
    """
    return _parse(where, value, _DATE, date.fromisoformat, "a date like '2026-11-25'")


def time_of(where: str, value: object) -> time:
    """Parse a time of day, HH:MM or HH:MM:SS.

    Raises:
        InvalidRule: `value` is not a time of day.
    """
    return _parse(where, value, _TIME, time.fromisoformat, "a time of day like '09:00'")


def weekdays_of(where: str, value: object) -> tuple[int, ...]:
    """Parse a list of weekdays into numbers, ascending, each once; Monday is 0.

    Raises:
        InvalidRule: `value` is not a list, or one of its values is not a weekday.
    """
    if not isinstance(value, (list, tuple)):
        raise InvalidRule(where, f"a list of {', '.join(WEEKDAYS)}")
    for each in value:
        if each not in WEEKDAYS:
            raise InvalidRule(where, f"a list of {', '.join(WEEKDAYS)}, not {str(each)[:40]!r}")
    return tuple(sorted({WEEKDAYS.index(each) for each in value}))


def wall_or_date_of(where: str, value: object) -> date:
    """Parse a date, or a wall time (a `datetime`): YYYY-MM-DDTHH:MM or YYYY-MM-DDTHH:MM:SS.

    Raises:
        InvalidRule: `value` is neither.
    """
    if isinstance(value, str) and "T" in value:
        allowed = "a date like '2026-11-25', or with a local time, '2026-11-25T09:00', no offset"
        return _parse(where, value, _WALL_TIME, datetime.fromisoformat, allowed)
    return date_of(where, value)


def format_day(day: date) -> str:
    """A date as "25 November 2026"."""
    return f"{day.day} {_MONTH_NAMES[day.month - 1]} {day.year}"


def format_time(at: time) -> str:
    """A time of day as "09:00", or "09:00:30" if it has seconds."""
    return at.isoformat(timespec="seconds" if at.second else "minutes")


def format_weekday(weekday: int) -> str:
    """The English name of a weekday; Monday is 0."""
    return _WEEKDAY_NAMES[weekday]


def enumerated(words: list[str]) -> str:
    """Words as "Monday, Tuesday and Friday"; at least one."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def _parse(
    where: str,
    value: object,
    pattern: re.Pattern[str],
    convert: Callable[[str], _Parsed],
    allowed: str,
) -> _Parsed:
    if isinstance(value, str) and pattern.fullmatch(value):
        try:
            return convert(value)
        except ValueError:
            pass  # such as 30 February, or 25:00
    raise InvalidRule(where, f"{allowed}, not {value!r}")


def _wall(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)
