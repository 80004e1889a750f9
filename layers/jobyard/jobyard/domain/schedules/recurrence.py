"""Recurrence rules: when a schedule's jobs are due, as instants in UTC.

Days and wall times are those of a time zone; hourly rules count elapsed time. Occurrences are
computed by arithmetic, so the cost does not grow with the distance from the anchor.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from jobyard.domain.schedules.day_series import MAX_ORDINAL, Days, DaySeries, Months, Weeks
from jobyard.domain.schedules.wall_clock import (
    WEEKDAYS,
    ClockChange,
    change_around,
    change_between,
    enumerated,
    first_instant,
    format_day,
    format_time,
    format_weekday,
    last_instant,
    zone_named,
)

LAST_DAY_OF_MONTH = "last"  # the last day of each month
EARLIEST_YEAR = 1900  # the first year that an anchor may have
_MICROSECOND = timedelta(microseconds=1)
_END_OF_DAY = time(23, 59, 59)
_LATEST_UTC = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_EARLIEST_UTC = datetime(EARLIEST_YEAR - 1, 1, 1, tzinfo=UTC)


class Kind(StrEnum):
    """How a rule recurs."""

    ONCE = "once"
    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


class Gap(StrEnum):
    """What a rule does at a wall time that does not exist, because clocks go forward past it."""

    SHIFT = "shift"  # due at the first instant after the gap
    SKIP = "skip"  # not due


class Repeated(StrEnum):
    """What a rule does at a wall time that occurs twice, because clocks go back."""

    ONCE = "once"  # due the first time
    TWICE = "twice"  # due both times


_UNITS = {Kind.HOURLY: "hour", Kind.DAILY: "day", Kind.WEEKLY: "week", Kind.MONTHLY: "month"}
_Offset = Callable[[datetime], timedelta]


@dataclass(frozen=True)
class Recurrence:
    """A rule that `rule_parsing.recurrence_of` has checked.

    Only weekly rules have `weekdays` (Monday is 0, ascending; empty: the anchor's). Only monthly
    rules have a `day` (1 to 31 or "last"; None: the anchor's). `end` is inclusive, a date or a wall
    time. `count` is the number of wall times from the anchor on, including those that a clock
    change or a calendar skips.
    """

    kind: Kind
    at: time
    zone: str
    anchor: date
    every: int = 1
    weekdays: tuple[int, ...] = ()
    day: int | str | None = None
    end: date | None = None
    count: int | None = None
    gap: Gap = Gap.SHIFT
    repeated: Repeated = Repeated.ONCE

    def next_after(self, instant: datetime) -> datetime | None:
        """The first occurrence after `instant` (aware UTC); None if there is none."""
        try:
            return self._next_hourly(instant) if self._is_hourly else self._next_on_days(instant)
        except OverflowError:  # outside of the years 1 to 9999, in UTC or in the rule's zone
            return self.next_after(_EARLIEST_UTC) if instant < _EARLIEST_UTC else None

    def first_from(self, instant: datetime) -> datetime | None:
        """The first occurrence at or after `instant`; None if there is none."""
        return self.next_after(max(instant, _EARLIEST_UTC) - _MICROSECOND)

    def occurrences_from(self, instant: datetime) -> Iterator[datetime]:
        """All occurrences at or after `instant`, ascending."""
        occurrence = self.first_from(instant)
        while occurrence is not None:
            yield occurrence
            occurrence = self.next_after(occurrence)

    def note(self, instant: datetime) -> str:
        """What a clock change on the same day means for the occurrence at `instant`.

        "" if clocks do not change on that day.
        """
        change = change_around(instant, self._zone)
        return f"{change.description()}; {self._effect(change, instant)}" if change else ""

    def description(self) -> str:
        """The rule in plain language."""
        return "".join((*self._frequency(), *self._bounds(), *self._clock_change_clauses()))

    def document(self) -> dict[str, Any]:
        """The rule as JSON, with all defaults; `rule_parsing.recurrence_of` parses it."""
        document: dict[str, Any] = {
            "kind": self.kind.value,
            "every": self.every,
            "weekdays": [WEEKDAYS[weekday] for weekday in self.weekdays],
            "day": self.day,
            "at": format_time(self.at),
            "zone": self.zone,
            "anchor": self.anchor.isoformat(),
            "end": self.end and self.end.isoformat(),
            "count": self.count,
            "dst": [self.gap.value, self.repeated.value],
        }
        if self.kind is Kind.ONCE:
            del document["every"]
        return {name: value for name, value in document.items() if value not in (None, [])}

    @property
    def ends_before_anchor(self) -> bool:
        """Whether it ends before its anchor. Such a rule is refused."""
        return self._last_wall is not None and self._last_wall < self._first_wall

    @cached_property
    def _zone(self) -> ZoneInfo:
        return zone_named(self.zone)

    @cached_property
    def _is_hourly(self) -> bool:
        return self.kind is Kind.HOURLY

    @cached_property
    def _first_wall(self) -> datetime:
        return datetime.combine(self.anchor, self.at)

    @cached_property
    def _last_wall(self) -> datetime | None:
        """The last wall time that `end` allows."""
        if self.end is None or isinstance(self.end, datetime):
            return self.end
        return datetime.combine(self.end, _END_OF_DAY)

    # Hourly rules count elapsed time from the first instant at or after the anchor's wall time.

    @cached_property
    def _start(self) -> datetime:
        return first_instant(self._first_wall, self._zone)

    @cached_property
    def _step(self) -> timedelta:
        return timedelta(hours=self.every)

    @cached_property
    def _indices(self) -> range:
        """The indices of the occurrences, counted in steps from `_start`."""
        local_start = self._start.astimezone(self._zone).replace(tzinfo=None)
        first = 1 if self.gap is Gap.SKIP and local_start != self._first_wall else 0
        last = last_instant(self._last_wall, self._zone) if self._last_wall else _LATEST_UTC
        stop = (min(last, self._max_instant) - self._start) // self._step + 1
        return range(first, stop if self.count is None else min(stop, self.count))

    @cached_property
    def _max_instant(self) -> datetime:
        """The last instant whose year has four digits both in UTC and in the zone."""
        try:
            return last_instant(_LATEST_UTC.replace(tzinfo=None), self._zone)
        except OverflowError:
            return _LATEST_UTC

    def _next_hourly(self, instant: datetime) -> datetime | None:
        index = max(self._indices.start, (instant - self._start) // self._step + 1)
        return self._start + index * self._step if index < self._indices.stop else None

    # All other rules have one wall time on each of their days. It is one instant; a clock change
    # can make it two, or none.

    @cached_property
    def _days(self) -> DaySeries:
        if self.kind is Kind.WEEKLY:
            return Weeks(self.anchor, self.every, self.weekdays or (self.anchor.weekday(),))
        if self.kind is Kind.MONTHLY:
            day_of_month = 31 if self.day == LAST_DAY_OF_MONTH else self.day or self.anchor.day
            return Months(self.anchor, self.every, int(day_of_month))
        return Days(self.anchor.toordinal(), self.every)

    @cached_property
    def _stop(self) -> int:
        """The index after the last wall time."""
        stops = [self._days.index(MAX_ORDINAL + 1)]
        if self.kind is Kind.ONCE:
            stops.append(1)
        if self.count is not None:
            stops.append(self.count)
        if self._last_wall is not None:
            after = self._last_wall.toordinal() + (self.at <= self._last_wall.time())
            stops.append(self._days.index(after))
        return min(stops)

    @cached_property
    def _folds(self) -> tuple[time, time]:
        """The time of day with fold 0 and with fold 1, marked as UTC for `_instants`."""
        at = self.at.replace(tzinfo=UTC)
        return at, at.replace(fold=1)

    def _next_on_days(self, instant: datetime) -> datetime | None:
        local = instant.astimezone(self._zone)
        index = self._days.index(local.toordinal() + (local.time() >= self.at))
        if index and self.repeated is Repeated.TWICE:
            index -= 1  # the second time on the day before may be later than `instant`
        while index < self._stop:
            for occurrence in self._instants(date.fromordinal(self._days.day(index))):
                if occurrence > instant:
                    return occurrence
            index += 1
        return None

    def _instants(self, day: date) -> tuple[datetime, ...]:
        """The instants of the wall time on `day`, by `gap` and `repeated`.

        A zone's `utcoffset` reads only the fields of a wall time. So subtracting the offset from a
        wall time that is marked as UTC gives the instant, in a third of the time of `astimezone`.
        """
        first_fold, second_fold = self._folds
        wall = datetime.combine(day, first_fold)
        utcoffset: _Offset = self._zone.utcoffset  # type: ignore[assignment] # never None
        before, after = utcoffset(wall), utcoffset(datetime.combine(day, second_fold))
        if before == after:
            return (wall - before,)
        if before > after:
            first, second = wall - before, wall - after
            return (first, second) if self.repeated is Repeated.TWICE else (first,)
        if self.gap is Gap.SKIP:
            return ()
        return (change_between(wall - after, wall - before, self._zone).at,)

    def _effect(self, change: ClockChange, instant: datetime) -> str:
        """What the clock change on its day means for the occurrence at `instant`."""
        if self._is_hourly:
            return "hourly rules count elapsed time"
        at = format_time(self.at)
        local = instant.astimezone(self._zone)
        moved = change.is_forward and instant == change.at and local.time() != self.at
        if moved and self._is_in_gap(change):
            return f"{at} does not exist then, so it runs at {format_time(local.time())}"
        if not change.is_forward and change.after <= local.replace(tzinfo=None) < change.before:
            return f"{at} occurs twice, and this is the {'second' if local.fold else 'first'} time"
        return f"{at} occurs once, as on other days"

    def _is_in_gap(self, change: ClockChange) -> bool:
        """Whether a wall time of the rule is one that the clock change skips."""
        before = change.before
        index = self._days.index(before.toordinal() + (self.at < before.time()))
        return (
            index < self._stop
            and datetime.combine(date.fromordinal(self._days.day(index)), self.at) < change.after
        )

    def _frequency(self) -> Iterator[str]:
        at, day = format_time(self.at), format_day(self.anchor)
        if self.kind is Kind.ONCE:
            yield f"Once on {day} at {at} ({self.zone})"
            return
        unit = _UNITS[self.kind]
        yield f"Every {unit}" if self.every == 1 else f"Every {self.every} {unit}s"
        if self._is_hourly:
            yield f", from {day} at {at} ({self.zone})"
            return
        if self.kind is Kind.WEEKLY:
            weekdays = self.weekdays or (self.anchor.weekday(),)
            yield f" on {enumerated([format_weekday(weekday) for weekday in weekdays])}"
        elif self.kind is Kind.MONTHLY:
            yield f" on {_format_day_of_month(self.day or self.anchor.day)}"
        yield f" at {at} ({self.zone}), from {day}"

    def _bounds(self) -> Iterator[str]:
        if isinstance(self.end, datetime):
            yield f", until {format_day(self.end)} at {format_time(self.end.time())}"
        elif self.end is not None:
            yield f", until {format_day(self.end)}"
        if self.count is not None and self.kind is not Kind.ONCE:
            yield f", {self.count} time{'' if self.count == 1 else 's'}"

    def _clock_change_clauses(self) -> Iterator[str]:
        if self._is_hourly:
            return
        if self.gap is Gap.SKIP:
            yield "; not if a clock change skips the time"
        if self.repeated is Repeated.TWICE:
            yield "; twice if a clock change repeats it"


def _format_day_of_month(day: int | str) -> str:
    if day == LAST_DAY_OF_MONTH:
        return "the last day"
    return f"day {day}{', or the last of a shorter month,' if int(day) > 28 else ''}"
