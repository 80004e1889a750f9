"""Rules of recurrence: when a schedule's jobs are due, as instants in UTC.

Days and wall times are a zone's, hours are elapsed time. Any occurrence is reached by arithmetic:
what it costs does not grow with the distance from the anchor. Decided in domain.md 0.d.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from jobyard.domain.schedules.day_series import LAST_DAY, Days, DaySeries, Months, Weeks
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
    zone_called,
)

LAST = "last"  # the day of the month that each month has
EARLIEST = 1900  # year of an anchor
_TICK = timedelta(microseconds=1)
_DAYS_END = time(23, 59, 59)
_TIMES_END = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_BEFORE_ALL = datetime(EARLIEST - 1, 1, 1, tzinfo=UTC)


class Kind(StrEnum):
    """How a rule recurs."""

    ONCE = "once"
    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


class Gap(StrEnum):
    """What becomes of a wall time that does not exist, because clocks go forward past it."""

    SHIFT = "shift"  # due at the first instant after the gap
    SKIP = "skip"


class Repeated(StrEnum):
    """What becomes of a wall time that comes twice, because clocks go back behind it."""

    ONCE = "once"  # due the first time
    TWICE = "twice"


_UNITS = {Kind.HOURLY: "hour", Kind.DAILY: "day", Kind.WEEKLY: "week", Kind.MONTHLY: "month"}
_Offset = Callable[[datetime], timedelta]


@dataclass(frozen=True)
class Recurrence:
    """A rule, as `rules.recurrence_of` has checked it.

    `weekdays` (Monday is 0, ascending; empty: the anchor's) are of weekly rules only, `day` (1 to
    31 or "last"; None: the anchor's) of monthly ones. `end` is inclusive, a date or a wall time.
    `count` is how many wall times there are from the anchor on; those that a change of clocks or a
    calendar drops are counted.
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
        """The first occurrence after `instant`, which is aware, in UTC; None if there is none."""
        try:
            return self._hour_after(instant) if self._is_elapsed else self._day_after(instant)
        except OverflowError:  # it lies outside of the years 1 to 9999, in one zone or the other
            return self.next_after(_BEFORE_ALL) if instant < _BEFORE_ALL else None

    def first_from(self, instant: datetime) -> datetime | None:
        """The first occurrence at `instant` or after it; None if there is none."""
        return self.next_after(max(instant, _BEFORE_ALL) - _TICK)

    def from_(self, instant: datetime) -> Iterator[datetime]:
        """All occurrences from `instant` on, each later than the one before."""
        found = self.first_from(instant)
        while found is not None:
            yield found
            found = self.next_after(found)

    def note(self, instant: datetime) -> str:
        """What a change of clocks on its day means for the occurrence at `instant`; else ""."""
        change = change_around(instant, self._zone)
        return f"{change.description()}; {self._meaning(change, instant)}" if change else ""

    def description(self) -> str:
        """The rule in plain language."""
        return "".join((*self._rhythm(), *self._bounds(), *self._exceptions()))

    def document(self) -> dict[str, Any]:
        """The rule as JSON has it, defaults written out; `rules.recurrence_of` reads it back."""
        written: dict[str, Any] = {
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
            del written["every"]
        return {name: value for name, value in written.items() if value not in (None, [])}

    @property
    def is_over_before_it_begins(self) -> bool:
        """Whether it ends before its anchor: such a rule is refused."""
        return self._ended is not None and self._ended < self._anchored

    @cached_property
    def _zone(self) -> ZoneInfo:
        return zone_called(self.zone)

    @cached_property
    def _is_elapsed(self) -> bool:
        return self.kind is Kind.HOURLY

    @cached_property
    def _anchored(self) -> datetime:
        return datetime.combine(self.anchor, self.at)

    @cached_property
    def _ended(self) -> datetime | None:
        """The last wall time that `end` leaves."""
        if self.end is None or isinstance(self.end, datetime):
            return self.end
        return datetime.combine(self.end, _DAYS_END)

    # Hours: elapsed from the first instant that shows the anchor, or from behind its gap.

    @cached_property
    def _start(self) -> datetime:
        return first_instant(self._anchored, self._zone)

    @cached_property
    def _step(self) -> timedelta:
        return timedelta(hours=self.every)

    @cached_property
    def _hours(self) -> range:
        """The indices there are."""
        shown = self._start.astimezone(self._zone).replace(tzinfo=None)
        first = 1 if self.gap is Gap.SKIP and shown != self._anchored else 0
        last = last_instant(self._ended, self._zone) if self._ended else _TIMES_END
        stop = (min(last, self._times_end) - self._start) // self._step + 1
        return range(first, stop if self.count is None else min(stop, self.count))

    @cached_property
    def _times_end(self) -> datetime:
        """The last instant that has a year of four digits in UTC and in the zone."""
        try:
            return last_instant(_TIMES_END.replace(tzinfo=None), self._zone)
        except OverflowError:
            return _TIMES_END

    def _hour_after(self, instant: datetime) -> datetime | None:
        index = max(self._hours.start, (instant - self._start) // self._step + 1)
        return self._start + index * self._step if index < self._hours.stop else None

    # Days: each a wall time, that stands for one instant, for two, or for none.

    @cached_property
    def _course(self) -> DaySeries:
        if self.kind is Kind.WEEKLY:
            return Weeks(self.anchor, self.every, self.weekdays or (self.anchor.weekday(),))
        if self.kind is Kind.MONTHLY:
            wanted = 31 if self.day == LAST else self.day or self.anchor.day
            return Months(self.anchor, self.every, int(wanted))
        return Days(self.anchor.toordinal(), self.every)

    @cached_property
    def _stop(self) -> int:
        """The index behind the last wall time."""
        stops = [self._course.index(LAST_DAY + 1)]
        if self.kind is Kind.ONCE:
            stops.append(1)
        if self.count is not None:
            stops.append(self.count)
        if self._ended is not None:
            after = self._ended.toordinal() + (self.at <= self._ended.time())
            stops.append(self._course.index(after))
        return min(stops)

    @cached_property
    def _readings(self) -> tuple[time, time]:
        """The time of day as its first and as its second reading, as `_instants` wants them."""
        at = self.at.replace(tzinfo=UTC)
        return at, at.replace(fold=1)

    def _day_after(self, instant: datetime) -> datetime | None:
        local = instant.astimezone(self._zone)
        index = self._course.index(local.toordinal() + (local.time() >= self.at))
        if index and self.repeated is Repeated.TWICE:
            index -= 1  # its second time may be to come
        while index < self._stop:
            for found in self._instants(date.fromordinal(self._course.day(index))):
                if found > instant:
                    return found
            index += 1
        return None

    def _instants(self, day: date) -> tuple[datetime, ...]:
        """What the wall time of a day stands for, as `gap` and `repeated` have it.

        A zone's `utcoffset` looks at the fields of a wall time only. One that is dressed as UTC is
        the instant as soon as its offset is taken away: a third of what `astimezone` costs.
        """
        once, again = self._readings
        wall = datetime.combine(day, once)
        utcoffset: _Offset = self._zone.utcoffset  # type: ignore[assignment] # never None
        before, after = utcoffset(wall), utcoffset(datetime.combine(day, again))
        if before == after:
            return (wall - before,)
        if before > after:
            first, second = wall - before, wall - after
            return (first, second) if self.repeated is Repeated.TWICE else (first,)
        if self.gap is Gap.SKIP:
            return ()
        return (change_between(wall - after, wall - before, self._zone).at,)

    def _meaning(self, change: ClockChange, instant: datetime) -> str:
        if self._is_elapsed:
            return "hours are counted as they pass"
        at = format_time(self.at)
        local = instant.astimezone(self._zone)
        moved = change.is_forward and instant == change.at and local.time() != self.at
        if moved and self._falls_into(change):
            return f"{at} does not exist then, so it runs at {format_time(local.time())}"
        if not change.is_forward and change.after <= local.replace(tzinfo=None) < change.before:
            return f"{at} comes twice, and this is the {'second' if local.fold else 'first'} time"
        return f"{at} comes once, as on other days"

    def _falls_into(self, gap: ClockChange) -> bool:
        before = gap.before
        index = self._course.index(before.toordinal() + (self.at < before.time()))
        return (
            index < self._stop
            and datetime.combine(date.fromordinal(self._course.day(index)), self.at) < gap.after
        )

    def _rhythm(self) -> Iterator[str]:
        at, day = format_time(self.at), format_day(self.anchor)
        if self.kind is Kind.ONCE:
            yield f"Once on {day} at {at} ({self.zone})"
            return
        unit = _UNITS[self.kind]
        yield f"Every {unit}" if self.every == 1 else f"Every {self.every} {unit}s"
        if self._is_elapsed:
            yield f", from {day} at {at} ({self.zone})"
            return
        if self.kind is Kind.WEEKLY:
            ticked = self.weekdays or (self.anchor.weekday(),)
            yield f" on {enumerated([format_weekday(weekday) for weekday in ticked])}"
        elif self.kind is Kind.MONTHLY:
            yield f" on {_words_of_month_day(self.day or self.anchor.day)}"
        yield f" at {at} ({self.zone}), from {day}"

    def _bounds(self) -> Iterator[str]:
        if isinstance(self.end, datetime):
            yield f", until {format_day(self.end)} at {format_time(self.end.time())}"
        elif self.end is not None:
            yield f", until {format_day(self.end)}"
        if self.count is not None and self.kind is not Kind.ONCE:
            yield f", {self.count} time{'' if self.count == 1 else 's'}"

    def _exceptions(self) -> Iterator[str]:
        if self._is_elapsed:
            return
        if self.gap is Gap.SKIP:
            yield "; not at a time that clocks leave out"
        if self.repeated is Repeated.TWICE:
            yield "; both times when it comes twice"


def _words_of_month_day(day: int | str) -> str:
    if day == LAST:
        return "the last day"
    return f"day {day}{', or the last of a shorter month,' if int(day) > 28 else ''}"
