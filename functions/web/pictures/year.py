"""The year of a schedule: a calendar of its runs, what is skipped, and when clocks change."""

import calendar
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from markupsafe import Markup

_CELL = 22  # pixels
_HEAD = 34
_MONDAY_FIRST = calendar.Calendar(firstweekday=0)


@dataclass(frozen=True)
class Day:
    """What happens on a day: how many runs, how many skipped, and why; "" for no reason.

    `clock_change` says how the clocks change, "" if they do not.
    """

    runs: int = 0
    skipped: int = 0
    reason: str = ""
    clock_change: str = ""


def year(number: int, days: Mapping[date, Day], today: date | None = None) -> Markup:
    """A calendar with a picture for each month. Days without an entry are empty."""
    months = (_month(number, month, days, today) for month in range(1, 13))
    return Markup('<div class="year">{}</div>').format(Markup("").join(months))


def _month(number: int, month: int, days: Mapping[date, Day], today: date | None) -> Markup:
    weeks = _MONDAY_FIRST.monthdatescalendar(number, month)
    cells = [
        _cell(at, days.get(at, Day()), (column, row), is_today=at == today)
        for row, week in enumerate(weeks)
        for column, at in enumerate(week)
        if at.month == month
    ]
    shown = {at: day for at, day in days.items() if (at.year, at.month) == (number, month)}
    heads = Markup("").join(
        Markup('<text x="{}" y="29" text-anchor="middle">{}</text>').format(
            column * _CELL + _CELL // 2, letter
        )
        for column, letter in enumerate("MTWTFSS")
    )
    name = f"{calendar.month_name[month]} {number}"
    return Markup(
        '<svg class="picture month" viewBox="0 0 {} {}" role="img"><title>{}</title>'
        '<text class="strong" x="4" y="12">{}</text>{}{}</svg>'
    ).format(
        7 * _CELL,
        _HEAD + 6 * _CELL,
        _month_text(name, shown),
        calendar.month_name[month],
        heads,
        Markup("").join(cells),
    )


def _cell(at: date, day: Day, place: tuple[int, int], *, is_today: bool) -> Markup:
    x, y = place[0] * _CELL, _HEAD + place[1] * _CELL
    inner = Markup('<rect class="{}" x="{}" y="{}" width="20" height="20" rx="4"/>').format(
        _class_of(day, is_today=is_today), x + 1, y + 1
    )
    if day.skipped:
        inner += Markup('<path class="skip-mark" d="M{} {}l12-12"/>').format(x + 5, y + 17)
    if day.clock_change:
        inner += Markup('<path class="change" d="M{} {}h7l-7 7z"/>').format(x + 1, y + 1)
    inner += Markup('<text class="{}" x="{}" y="{}" text-anchor="middle">{}</text>').format(
        "on-fill" if day.runs else "", x + _CELL // 2, y + 15, at.day
    )
    words = _day_text(day)
    title = Markup("<title>{}: {}</title>").format(at.isoformat(), words) if words else Markup()
    return Markup("<g>{}{}</g>").format(title, inner)


def _class_of(day: Day, *, is_today: bool) -> str:
    kind = "day s-accent" if day.runs else "day skipped" if day.skipped else "day"
    return f"{kind} today" if is_today else kind


def _day_text(day: Day) -> str:
    parts = []
    if day.runs:
        parts.append("1 run" if day.runs == 1 else f"{day.runs} runs")
    if day.skipped:
        parts.append(f"{day.skipped} skipped" + (f" ({day.reason})" if day.reason else ""))
    if day.clock_change:
        parts.append(day.clock_change)
    return ", ".join(parts)


def _month_text(name: str, days: Mapping[date, Day]) -> str:
    """A month in words: runs by day, and what else happens."""
    parts = [f"{at.day}: {_day_text(day)}" for at, day in sorted(days.items()) if _day_text(day)]
    return f"{name}: {'; '.join(parts) or 'no runs'}"
