"""Calendars: dates on which no run may start, and windows in which runs may start."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cached_property
from typing import Any

from jobyard.domain.compaction import KEPT_LAST
from jobyard.domain.errors import InvalidRule
from jobyard.domain.schedules.wall_clock import (
    WEEKDAYS,
    date_of,
    enumerated,
    format_day,
    format_time,
    format_weekday,
    time_of,
    weekdays_of,
    zone_named,
)
from jobyard.domain.text import NAME_BYTES, REASON_BYTES, clean_fields

MAX_EXCLUDED = 1000  # excluded dates and ranges of a calendar
MAX_WINDOWS = 100  # windows of a calendar
MAX_TITLE_LETTERS = 200  # characters of a title
MAX_NAMED_WINDOWS = 3  # windows that a refusal lists
MAX_REASON_BYTES = 2000  # of the reasons of its changes together, if there are several
_NAME = re.compile("[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_MIDNIGHT = time()
DAY_S = 86_400
DaySpan = tuple[int, int]  # start and end in seconds of a day, or of days; the end is exclusive
WHOLE_DAY: DaySpan = (0, DAY_S)
_FIELDS = ("name", "title", "exclude", "include")


@dataclass(frozen=True)
class Excluded:
    """A range of dates on which no run may start, `first` and `last` included."""

    first: date
    last: date

    def description(self) -> str:
        """The dates, for people."""
        first = format_day(self.first)
        return first if self.first == self.last else f"{first} to {format_day(self.last)}"

    def document(self) -> str | dict[str, str]:
        """The dates as JSON: one date, or the first and last of a range."""
        if self.first == self.last:
            return self.first.isoformat()
        return {"from": self.first.isoformat(), "to": self.last.isoformat()}


@dataclass(frozen=True)
class Window:
    """Times at which runs may start: from `start` on and before `end`, on each of `weekdays`.

    There is at least one weekday (Monday is 0), and they ascend. An `end` that is not after `start`
    is on the next day; if both are midnight, the window is the whole day.
    """

    weekdays: tuple[int, ...]
    start: time
    end: time

    def spans(self, weekday: int) -> Iterator[DaySpan]:
        """When it is open on a weekday, in seconds of the day."""
        start, end = _second(self.start), _second(self.end)
        past_midnight = start >= end
        if weekday in self.weekdays:
            yield start, DAY_S if past_midnight else end
        if past_midnight and (weekday - 1) % 7 in self.weekdays:
            yield 0, end

    def description(self) -> str:
        """The window, for people."""
        days = "every day"
        if len(self.weekdays) < 7:
            days = f"on {enumerated([format_weekday(weekday) for weekday in self.weekdays])}"
        if self.start == self.end:
            return days
        end = "24:00" if self.end == _MIDNIGHT else format_time(self.end)
        return f"{days} from {format_time(self.start)} to {end}"

    def document(self) -> dict[str, Any]:
        """The window as JSON."""
        return {
            "weekdays": [WEEKDAYS[weekday] for weekday in self.weekdays],
            "from": format_time(self.start),
            "to": "24:00" if self.end == _MIDNIGHT else format_time(self.end),
        }


@dataclass(frozen=True)
class Calendar:
    """When runs may start: within one of the windows `include`, if there are any, but never on the
    dates `exclude`."""

    name: str
    title: str = ""
    exclude: tuple[Excluded, ...] = ()
    include: tuple[Window, ...] = ()

    def allows(self, instant: datetime, zone: str) -> bool:
        """Whether a run may start at `instant`, by the local time in `zone`."""
        wall = _wall(instant, zone)
        if _contains(self._excluded_days, wall.toordinal()):
            return False
        return not self.include or _contains(self._open_seconds[wall.weekday()], _second(wall))

    def spans_on(self, day: int) -> Sequence[DaySpan]:
        """When runs may start on a date, in seconds of the day, ascending. `day` is its ordinal."""
        if _contains(self._excluded_days, day):
            return ()
        if not self.include:
            return (WHOLE_DAY,)
        return list(zip(*self._open_seconds[(day - 1) % 7], strict=True))

    def refusal(self, instant: datetime, zone: str) -> str:
        """Why no run may start at `instant`, by the local time in `zone`; "" if one may."""
        if self.allows(instant, zone):
            return ""
        wall = _wall(instant, zone)
        for excluded in self.exclude:
            if excluded.first <= wall.date() <= excluded.last:
                return f"calendar {self.name} excludes {excluded.description()}"
        listed = [window.description() for window in self.include[:MAX_NAMED_WINDOWS]]
        more = len(self.include) - len(listed)
        windows = enumerated([*listed, f"in {more} more windows"] if more else listed)
        at = f"{format_weekday(wall.weekday())} {format_time(wall.time())}"
        return f"calendar {self.name} allows runs only {windows}, not on {at}"

    @cached_property
    def _excluded_days(self) -> "_Spans":
        """The excluded dates, by their ordinals."""
        return _merged((each.first.toordinal(), each.last.toordinal() + 1) for each in self.exclude)

    @cached_property
    def _open_seconds(self) -> "list[_Spans]":
        """For each weekday, the seconds of the day at which a window is open."""
        return [
            _merged(span for each in self.include for span in each.spans(weekday))
            for weekday in range(7)
        ]

    def document(self) -> dict[str, Any]:
        """The calendar as JSON; `calendar_of` parses it."""
        return {
            "name": self.name,
            "title": self.title,
            "exclude": [excluded.document() for excluded in self.exclude],
            "include": [window.document() for window in self.include],
        }


@dataclass(frozen=True)
class CalendarChange:
    """A change of a calendar. `event` is `put` or `delete`, `cause` names the request.

    `sub` is the person's id, "" in changes from before ids were stored.
    """

    event: str
    at: datetime
    actor: str
    reason: str
    cause: str
    sub: str = ""

    def __post_init__(self) -> None:
        clean_fields(self, actor=NAME_BYTES, reason=REASON_BYTES)


@dataclass(frozen=True)
class StoredCalendar:
    """A calendar as it is stored. `version` counts its writes, from 1.

    `changes` are at least one and at most `KEPT_LAST`, oldest first. A deleted calendar remains,
    for its changes.
    """

    calendar: Calendar
    version: int
    changes: tuple[CalendarChange, ...]

    @property
    def is_deleted(self) -> bool:
        """Whether it was deleted, so that no schedule may use it."""
        return self.changes[-1].event == "delete"

    def changed(self, calendar: Calendar, change: CalendarChange) -> "StoredCalendar":
        """The stored calendar after `change`; `calendar` is its new content."""
        changes = (*self.changes, change)[-KEPT_LAST:]
        while (
            len(changes) > 1
            and sum(len(each.reason.encode()) for each in changes) > MAX_REASON_BYTES
        ):
            changes = changes[1:]
        return StoredCalendar(calendar, self.version + 1, changes)


_Spans = tuple[list[int], list[int]]  # the starts and the ends of disjoint spans, ascending


def _merged(spans: Iterable[DaySpan]) -> _Spans:
    starts: list[int] = []
    ends: list[int] = []
    for start, end in sorted(spans):
        if ends and start <= ends[-1]:
            ends[-1] = max(ends[-1], end)
        else:
            starts.append(start)
            ends.append(end)
    return starts, ends


def _contains(spans: _Spans, value: int) -> bool:
    starts, ends = spans
    index = bisect_right(starts, value)
    return index > 0 and value < ends[index - 1]


def _second(at: time | datetime) -> int:
    return (at.hour * 60 + at.minute) * 60 + at.second


def _wall(instant: datetime, zone: str) -> datetime:
    return instant.astimezone(zone_named(zone)).replace(tzinfo=None)


def calendar_of(document: object) -> Calendar:
    """Parse a calendar from a JSON document.

    Raises:
        InvalidRule: the document is not a valid calendar.
    """
    given = _fields("", document, _FIELDS)
    name, title = given.get("name"), given.get("title", "")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidRule("name", f"up to 64 of a-z, 0-9 and dashes between them, not {name!r}")
    if not isinstance(title, str) or len(title) > MAX_TITLE_LETTERS:
        raise InvalidRule("title", f"text of up to {MAX_TITLE_LETTERS} characters")
    return Calendar(
        name,
        title,
        tuple(map(_excluded, _list("exclude", given.get("exclude", []), MAX_EXCLUDED))),
        tuple(
            window_of("include", each)
            for each in _list("include", given.get("include", []), MAX_WINDOWS)
        ),
    )


def _excluded(value: object) -> Excluded:
    if isinstance(value, str):
        day = date_of("exclude", value)
        return Excluded(day, day)
    given = _fields("exclude", value, ("from", "to"))
    first, last = date_of("exclude.from", given.get("from")), date_of("exclude.to", given.get("to"))
    if last < first:
        raise InvalidRule("exclude.to", f"{first.isoformat()}, the first date, or later")
    return Excluded(first, last)


def window_of(where: str, value: object) -> Window:
    """Parse a window from a JSON document. `where` is the field that has it.

    Raises:
        InvalidRule: the document is not a valid window.
    """
    given = _fields(where, value, ("weekdays", "from", "to"))
    weekdays = weekdays_of(f"{where}.weekdays", given.get("weekdays", list(WEEKDAYS)))
    if not weekdays:
        raise InvalidRule(
            f"{where}.weekdays", f"a list of {', '.join(WEEKDAYS)}; every day if missing"
        )
    start = time_of(f"{where}.from", given.get("from", "00:00"))
    to = given.get("to", "24:00")
    end = _MIDNIGHT if to == "24:00" else time_of(f"{where}.to", to)
    if start == end != _MIDNIGHT:
        raise InvalidRule(f"{where}.to", "a time other than from; leave out both for the whole day")
    return Window(weekdays, start, end)


def _fields(where: str, value: object, allowed: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidRule(where or "calendar", f"a JSON object of {', '.join(allowed)}")
    for name in value:
        if name not in allowed:
            place = f"{where}.{name}" if where else str(name)
            raise InvalidRule(place, f"no such field; the fields are {', '.join(allowed)}")
    return {name: each for name, each in value.items() if each is not None}


def _list(where: str, value: object, limit: int) -> list[Any]:
    if not isinstance(value, (list, tuple)) or len(value) > limit:
        raise InvalidRule(where, f"a list of at most {limit}")
    return list(value)
