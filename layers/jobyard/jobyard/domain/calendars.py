"""Calendars: dates on which no run may start, and windows outside of which none may."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from jobyard.domain.errors import BadRule
from jobyard.domain.wallclock import (
    WEEKDAYS,
    date_of,
    enumerated,
    time_of,
    words_of_day,
    words_of_time,
    words_of_weekday,
    zone_called,
)

MOST_EXCLUDED = 1000
MOST_WINDOWS = 100
MOST_LETTERS = 200  # of a title
CHANGES_KEPT = 50
_NAME = re.compile("[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_MIDNIGHT = time()
_FIELDS = ("name", "title", "exclude", "include")


@dataclass(frozen=True)
class Excluded:
    """Dates on which nothing starts, `first` and `last` among them."""

    first: date
    last: date

    def words(self) -> str:
        """The dates, for people."""
        first = words_of_day(self.first)
        return first if self.first == self.last else f"{first} to {words_of_day(self.last)}"

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
    since: time
    until: time

    def holds(self, wall: datetime) -> bool:
        """Whether it is open at this wall time."""
        today = wall.weekday() in self.weekdays
        at = wall.time()
        if self.since < self.until:
            return today and self.since <= at < self.until
        yesterday = (wall.weekday() - 1) % 7 in self.weekdays
        return (today and at >= self.since) or (yesterday and at < self.until)

    def words(self) -> str:
        """The window, for people."""
        days = "every day"
        if len(self.weekdays) < 7:
            days = f"on {enumerated([words_of_weekday(weekday) for weekday in self.weekdays])}"
        if self.since == self.until:
            return days
        until = "24:00" if self.until == _MIDNIGHT else words_of_time(self.until)
        return f"{days} from {words_of_time(self.since)} to {until}"

    def document(self) -> dict[str, Any]:
        """The window as JSON has it."""
        return {
            "weekdays": [WEEKDAYS[weekday] for weekday in self.weekdays],
            "from": words_of_time(self.since),
            "to": "24:00" if self.until == _MIDNIGHT else words_of_time(self.until),
        }


@dataclass(frozen=True)
class Calendar:
    """Says of an instant whether a run may start then. No windows: always but when excluded."""

    name: str
    title: str = ""
    exclude: tuple[Excluded, ...] = ()
    include: tuple[Window, ...] = ()

    def refusal(self, instant: datetime, zone: str) -> str:
        """Why no run may start at `instant`, as clocks of `zone` show it; "" if one may."""
        wall = instant.astimezone(zone_called(zone)).replace(tzinfo=None)
        day = wall.date()
        for excluded in self.exclude:
            if excluded.first <= day <= excluded.last:
                return f"calendar {self.name} excludes {excluded.words()}"
        if not self.include or any(window.holds(wall) for window in self.include):
            return ""
        open_when = enumerated([window.words() for window in self.include])
        shown = f"{words_of_weekday(day.weekday())} {words_of_time(wall.time())}"
        return f"calendar {self.name} lets jobs start only {open_when}, not on {shown}"

    def document(self) -> dict[str, Any]:
        """The calendar as JSON has it; `calendar_of` reads it back."""
        return {
            "name": self.name,
            "title": self.title,
            "exclude": [excluded.document() for excluded in self.exclude],
            "include": [window.document() for window in self.include],
        }


@dataclass(frozen=True)
class Change:
    """A change of a calendar: `put` or `delete`, by whom and why. `cause` names the request."""

    event: str
    at: datetime
    actor: str
    reason: str
    cause: str


@dataclass(frozen=True)
class Kept:
    """A calendar as it is stored. `version` counts its writes, from 1. One that was deleted stays,
    for its `changes`: the newest `CHANGES_KEPT`, oldest first, one at least."""

    calendar: Calendar
    version: int
    changes: tuple[Change, ...]

    @property
    def is_deleted(self) -> bool:
        """Whether nothing may name it any more."""
        return self.changes[-1].event == "delete"

    def changed(self, calendar: Calendar, change: Change) -> "Kept":
        """It after a change."""
        return Kept(calendar, self.version + 1, (*self.changes, change)[-CHANGES_KEPT:])


def calendar_of(document: object) -> Calendar:
    """The calendar that a JSON document spells.

    Raises:
        BadRule: it spells none; the field that is wrong, and what may stand there.
    """
    given = _fields("calendar", document, _FIELDS)
    name, title = given.get("name"), given.get("title", "")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadRule("name", f"up to 64 of a-z, 0-9 and dashes between them, not {name!r}")
    if not isinstance(title, str) or len(title) > MOST_LETTERS:
        raise BadRule("title", f"text of up to {MOST_LETTERS} letters")
    return Calendar(
        name,
        title,
        tuple(map(_excluded, _list("exclude", given.get("exclude", []), MOST_EXCLUDED))),
        tuple(map(_window, _list("include", given.get("include", []), MOST_WINDOWS))),
    )


def _excluded(value: object) -> Excluded:
    if isinstance(value, str):
        day = date_of("exclude", value)
        return Excluded(day, day)
    given = _fields("exclude", value, ("from", "to"))
    first, last = date_of("exclude.from", given.get("from")), date_of("exclude.to", given.get("to"))
    if last < first:
        raise BadRule("exclude.to", f"{first.isoformat()}, the first date, or later")
    return Excluded(first, last)


def _window(value: object) -> Window:
    given = _fields("include", value, ("weekdays", "from", "to"))
    weekdays = _list("include.weekdays", given.get("weekdays", list(WEEKDAYS)), 7)
    if not weekdays or any(each not in WEEKDAYS for each in weekdays):
        raise BadRule("include.weekdays", f"a list of {', '.join(WEEKDAYS)}; left out, every day")
    since = time_of("include.from", given.get("from", "00:00"))
    to = given.get("to", "24:00")
    until = _MIDNIGHT if to == "24:00" else time_of("include.to", to)
    if since == until != _MIDNIGHT:
        raise BadRule("include.to", "another time than from; leave both out for the whole day")
    return Window(tuple(sorted({WEEKDAYS.index(each) for each in weekdays})), since, until)


def _fields(where: str, value: object, allowed: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadRule(where, f"a JSON object of {', '.join(allowed)}")
    for name in value:
        if name not in allowed:
            raise BadRule(str(name), f"no field of {where}; there are {', '.join(allowed)}")
    return {name: each for name, each in value.items() if each is not None}


def _list(where: str, value: object, most: int) -> list[Any]:
    if not isinstance(value, (list, tuple)) or len(value) > most:
        raise BadRule(where, f"a list of {most} at most")
    return list(value)
