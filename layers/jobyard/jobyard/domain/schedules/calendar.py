"""Calendars: dates on which no run may start, and windows outside of which none may."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cached_property
from typing import Any

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
    zone_called,
)
from jobyard.domain.text import NAME_BYTES, REASON_BYTES, clean_fields

MAX_EXCLUDED = 1000
MAX_WINDOWS = 100
MAX_TITLE_LETTERS = 200  # of a title
MAX_NAMED_WINDOWS = 3  # windows that a refusal names
MAX_CHANGES = 20
MAX_REASON_BYTES = 2000  # bytes of reasons in them, except the newest
_NAME = re.compile("[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_MIDNIGHT = time()
_DAY_S = 86_400
_FIELDS = ("name", "title", "exclude", "include")


@dataclass(frozen=True)
class Excluded:
    """Dates on which nothing starts, `first` and `last` among them."""

    first: date
    last: date

    def description(self) -> str:
        """The dates, for people."""
        first = format_day(self.first)
        return first if self.first == self.last else f"{first} to {format_day(self.last)}"

    def document(self) -> str | dict[str, str]:
        """A date, or the two of a range."""
        if self.first == self.last:
            return self.first.isoformat()
        return {"from": self.first.isoformat(), "to": self.last.isoformat()}


@dataclass(frozen=True)
class Window:
    """Times at which runs may start: from `since` on, and before `until`, on each of `weekdays`.

    Weekdays (Monday is 0) ascend and are one at least. An `until` that is not after `since` is the
    next day's; two midnights are the whole day.
    """

    weekdays: tuple[int, ...]
    start: time
    end: time

    def spans(self, weekday: int) -> Iterator["_Span"]:
        """The seconds of a weekday at which it is open."""
        since, until = _second(self.start), _second(self.end)
        past_midnight = since >= until
        if weekday in self.weekdays:
            yield since, _DAY_S if past_midnight else until
        if past_midnight and (weekday - 1) % 7 in self.weekdays:
            yield 0, until

    def description(self) -> str:
        """The window, for people."""
        days = "every day"
        if len(self.weekdays) < 7:
            days = f"on {enumerated([format_weekday(weekday) for weekday in self.weekdays])}"
        if self.start == self.end:
            return days
        until = "24:00" if self.end == _MIDNIGHT else format_time(self.end)
        return f"{days} from {format_time(self.start)} to {until}"

    def document(self) -> dict[str, Any]:
        """The window as JSON has it."""
        return {
            "weekdays": [WEEKDAYS[weekday] for weekday in self.weekdays],
            "from": format_time(self.start),
            "to": "24:00" if self.end == _MIDNIGHT else format_time(self.end),
        }


@dataclass(frozen=True)
class Calendar:
    """Says of an instant whether a run may start then. No windows: always but when excluded."""

    name: str
    title: str = ""
    exclude: tuple[Excluded, ...] = ()
    include: tuple[Window, ...] = ()

    def allows(self, instant: datetime, zone: str) -> bool:
        """Whether a run may start at `instant`, as clocks of `zone` show it."""
        wall = _wall(instant, zone)
        if _is_within(self._shut, wall.toordinal()):
            return False
        return not self.include or _is_within(self._open[wall.weekday()], _second(wall))

    def refusal(self, instant: datetime, zone: str) -> str:
        """Why no run may start at `instant`, as clocks of `zone` show it; "" if one may."""
        if self.allows(instant, zone):
            return ""
        wall = _wall(instant, zone)
        for excluded in self.exclude:
            if excluded.first <= wall.date() <= excluded.last:
                return f"calendar {self.name} excludes {excluded.description()}"
        some = [window.description() for window in self.include[:MAX_NAMED_WINDOWS]]
        more = len(self.include) - len(some)
        open_when = enumerated([*some, f"in {more} windows more"] if more else some)
        shown = f"{format_weekday(wall.weekday())} {format_time(wall.time())}"
        return f"calendar {self.name} lets jobs start only {open_when}, not on {shown}"

    @cached_property
    def _shut(self) -> "_Spans":
        """The excluded days, by their ordinals."""
        return _joined((each.first.toordinal(), each.last.toordinal() + 1) for each in self.exclude)

    @cached_property
    def _open(self) -> "list[_Spans]":
        """The seconds of each weekday at which a window is open."""
        return [_joined(s for each in self.include for s in each.spans(day)) for day in range(7)]

    def document(self) -> dict[str, Any]:
        """The calendar as JSON has it; `calendar_of` reads it back."""
        return {
            "name": self.name,
            "title": self.title,
            "exclude": [excluded.document() for excluded in self.exclude],
            "include": [window.document() for window in self.include],
        }


@dataclass(frozen=True)
class CalendarChange:
    """A change of a calendar: `put` or `delete`, by whom and why. `cause` names the request, `sub`
    is the person's id; "" of changes older than ids."""

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
    """A calendar as it is stored. `version` counts its writes, from 1. One that was deleted stays,
    for its `changes`: the newest `CHANGES_KEPT`, oldest first, one at least."""

    calendar: Calendar
    version: int
    changes: tuple[CalendarChange, ...]

    @property
    def is_deleted(self) -> bool:
        """Whether nothing may name it any more."""
        return self.changes[-1].event == "delete"

    def changed(self, calendar: Calendar, change: CalendarChange) -> "StoredCalendar":
        """It after a change."""
        changes = (*self.changes, change)[-MAX_CHANGES:]
        while (
            len(changes) > 1
            and sum(len(each.reason.encode()) for each in changes) > MAX_REASON_BYTES
        ):
            changes = changes[1:]
        return StoredCalendar(calendar, self.version + 1, changes)


_Span = tuple[int, int]  # the first, and the first after
_Spans = tuple[list[int], list[int]]  # all first ones and all ends of spans apart, ascending


def _joined(spans: Iterable[_Span]) -> _Spans:
    starts: list[int] = []
    ends: list[int] = []
    for start, end in sorted(spans):
        if ends and start <= ends[-1]:
            ends[-1] = max(ends[-1], end)
        else:
            starts.append(start)
            ends.append(end)
    return starts, ends


def _is_within(spans: _Spans, at: int) -> bool:
    starts, ends = spans
    place = bisect_right(starts, at)
    return place > 0 and at < ends[place - 1]


def _second(at: time | datetime) -> int:
    return (at.hour * 60 + at.minute) * 60 + at.second


def _wall(instant: datetime, zone: str) -> datetime:
    return instant.astimezone(zone_called(zone)).replace(tzinfo=None)


def calendar_of(document: object) -> Calendar:
    """The calendar that a JSON document spells.

    Raises:
        InvalidRule: it spells none; the field that is wrong, and what may stand there.
    """
    given = _fields("calendar", document, _FIELDS)
    name, title = given.get("name"), given.get("title", "")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidRule("name", f"up to 64 of a-z, 0-9 and dashes between them, not {name!r}")
    if not isinstance(title, str) or len(title) > MAX_TITLE_LETTERS:
        raise InvalidRule("title", f"text of up to {MAX_TITLE_LETTERS} letters")
    return Calendar(
        name,
        title,
        tuple(map(_excluded, _list("exclude", given.get("exclude", []), MAX_EXCLUDED))),
        tuple(map(_window, _list("include", given.get("include", []), MAX_WINDOWS))),
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


def _window(value: object) -> Window:
    given = _fields("include", value, ("weekdays", "from", "to"))
    weekdays = weekdays_of("include.weekdays", given.get("weekdays", list(WEEKDAYS)))
    if not weekdays:
        raise InvalidRule(
            "include.weekdays", f"a list of {', '.join(WEEKDAYS)}; left out, every day"
        )
    since = time_of("include.from", given.get("from", "00:00"))
    to = given.get("to", "24:00")
    until = _MIDNIGHT if to == "24:00" else time_of("include.to", to)
    if since == until != _MIDNIGHT:
        raise InvalidRule("include.to", "another time than from; leave both out for the whole day")
    return Window(weekdays, since, until)


def _fields(where: str, value: object, allowed: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidRule(where, f"a JSON object of {', '.join(allowed)}")
    for name in value:
        if name not in allowed:
            raise InvalidRule(str(name), f"no field of {where}; there are {', '.join(allowed)}")
    return {name: each for name, each in value.items() if each is not None}


def _list(where: str, value: object, most: int) -> list[Any]:
    if not isinstance(value, (list, tuple)) or len(value) > most:
        raise InvalidRule(where, f"a list of {most} at most")
    return list(value)
