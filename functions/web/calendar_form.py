"""The form of a calendar: dates and windows as lines of text."""

import re
from typing import Any

from jobyard.domain.errors import InvalidRule
from jobyard.domain.schedules.calendar import Calendar, Excluded, Window, calendar_of
from jobyard.domain.schedules.wall_clock import WEEKDAYS

_RANGE = re.compile(r"(\S+)(?:\s+to\s+(\S+))?")
_WINDOW = re.compile(r"((?:[A-Za-z]{3}[\s,]+)*)(?:(\d\d:\d\d)\s*(?:to|-)\s*(\d\d:\d\d))?")


def fields_of(calendar: Calendar) -> dict[str, str]:
    """The fields of a stored calendar."""
    return {
        "title": calendar.title,
        "exclude": "\n".join(_excluded_line(each) for each in calendar.exclude),
        "include": "\n".join(_window_line(each) for each in calendar.include),
    }


def _excluded_line(each: Excluded) -> str:
    first, last = each.first.isoformat(), each.last.isoformat()
    return first if first == last else f"{first} to {last}"


def _window_line(window: Window) -> str:
    document = window.document()
    return f"{' '.join(document['weekdays'])} {document['from']} to {document['to']}"


def calendar_from(name: str, fields: dict[str, str]) -> Calendar:
    """The calendar that the fields describe.

    Raises:
        InvalidRule: they do not describe one.
    """
    return calendar_of(
        {
            "name": name,
            "title": fields["title"],
            "exclude": [_excluded(line) for line in _lines(fields["exclude"])],
            "include": [_window(line) for line in _lines(fields["include"])],
        }
    )


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _excluded(line: str) -> str | dict[str, str]:
    found = _RANGE.fullmatch(line)
    if found is None:
        raise InvalidRule("exclude", f"lines like 2026-12-25 or 2026-12-24 to 2027-01-01: {line}")
    first, last = found.groups()
    return {"from": first, "to": last} if last else first


def _window(line: str) -> dict[str, Any]:
    # The pattern wants a separator after each weekday, the last one too.
    found = _WINDOW.fullmatch(f"{line} " if line[-1:].isalpha() else line)
    days = found.group(1).lower().replace(",", " ").split() if found else []
    if found is None or not set(days) <= set(WEEKDAYS):
        raise InvalidRule("include", f"lines like mon tue fri 22:00 to 02:00: {line}")
    window: dict[str, Any] = {"weekdays": days} if days else {}
    if found.group(2):
        window |= {"from": found.group(2), "to": found.group(3)}
    return window
