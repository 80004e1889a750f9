"""The year of a schedule: a calendar of its runs, what is skipped, and when clocks change."""

import calendar
from collections.abc import Mapping, Sequence
from datetime import date

from markupsafe import Markup

from jobyard.domain.schedules.year import YearDay

_CELL = 22  # pixels
_HEAD = 34
_LEGEND = Markup(
    '<p class="legend"><span class="s-accent">runs</span><span class="s-held">skipped</span>'
    '<span class="s-reporting">clocks change</span></p>'
)
_MONDAY_FIRST = calendar.Calendar(firstweekday=0)


def year(number: int, days: Mapping[date, YearDay], today: date | None = None) -> Markup:
    """A calendar with a picture for each month. Days without an entry are empty."""
    months = (_month(number, month, days, today) for month in range(1, 13))
    return Markup('<div class="year">{}</div>{}').format(Markup("").join(months), _LEGEND)


def _month(number: int, month: int, days: Mapping[date, YearDay], today: date | None) -> Markup:
    weeks = _MONDAY_FIRST.monthdatescalendar(number, month)
    cells = [
        _cell(at, days.get(at, YearDay()), (column, row), is_today=at == today)
        for row, week in enumerate(weeks)
        for column, at in enumerate(week)
        if at.month == month
    ]
    shown = {at: day for at, day in days.items() if (at.year, at.month) == (number, month)}
    heads = Markup("").join(
        Markup('<text x="{}" y="29">{}</text>').format(column * _CELL + _CELL // 2, letter)
        for column, letter in enumerate("MTWTFSS")
    )
    name = calendar.month_name[month]
    return Markup(
        '<svg class="picture month" viewBox="0 0 {} {}" role="img"><title>{}</title>'
        '<text class="strong name" x="4" y="12">{}</text>{}{}</svg>'
    ).format(
        7 * _CELL,
        _HEAD + 6 * _CELL,
        f"{name} {number}: {_month_text(shown)}",
        name,
        heads,
        Markup("").join(cells),
    )


def _cell(at: date, day: YearDay, place: tuple[int, int], *, is_today: bool) -> Markup:
    """A day. Only one that is unlike others has a title of its own."""
    x, y = place[0] * _CELL, _HEAD + place[1] * _CELL
    parts = []
    if kind := _class_of(day, is_today=is_today):
        parts.append(Markup('<rect class="day{}" x="{}" y="{}"/>').format(kind, x + 1, y + 1))
    if day.skipped:
        parts.append(Markup('<path class="skip-mark" d="M{} {}l12-12"/>').format(x + 5, y + 17))
    if day.note:
        parts.append(Markup('<path class="change" d="M{} {}h7l-7 7z"/>').format(x + 1, y + 1))
    style = Markup(' class="on-fill"') if day.runs else Markup()
    parts.append(
        Markup('<text{} x="{}" y="{}">{}</text>').format(style, x + _CELL // 2, y + 15, at.day)
    )
    cell = Markup("").join(parts)
    if _is_plain(day):
        return cell
    return Markup("<g><title>{}: {}</title>{}</g>").format(at.isoformat(), _day_text(day), cell)


def _class_of(day: YearDay, *, is_today: bool) -> str:
    kind = " s-accent" if day.runs else " s-held" if day.skipped else ""
    return f"{kind} today" if is_today else kind


def _is_plain(day: YearDay) -> bool:
    """Whether it has at most one run, and nothing else."""
    return day.runs <= 1 and not day.skipped and not day.note


def _day_text(day: YearDay) -> str:
    parts = []
    if day.runs:
        parts.append("1 run" if day.runs == 1 else f"{day.runs} runs")
    if day.skipped:
        parts.append(f"{day.skipped} skipped" + (f" ({day.reason})" if day.reason else ""))
    if day.note:
        parts.append(day.note)
    return ", ".join(parts)


def _month_text(days: Mapping[date, YearDay]) -> str:
    """The days of a month in words: those with one run, then the others."""
    single = [at.day for at, day in sorted(days.items()) if day.runs and _is_plain(day)]
    parts = [f"a run on {_ranges_text(single)}"] if single else []
    parts += [
        f"on {at.day} {_day_text(day)}" for at, day in sorted(days.items()) if not _is_plain(day)
    ]
    return "; ".join(parts) or "no runs"


def _ranges_text(numbers: Sequence[int]) -> str:
    """Ascending numbers with their runs shortened: "1 to 5, 8"."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][-1] == number - 1:
            ranges[-1][1:] = [number]
        else:
            ranges.append([number])
    return ", ".join(" to ".join(map(str, each)) for each in ranges)
