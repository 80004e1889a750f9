"""Openings: when exactly a window is open, as instants, from rules about wall clocks.

A window is open at an instant if the clocks of its zone then show a time of it. So an hour that
clocks repeat may open twice, and a window that clocks skip does not open on that day.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

from jobyard.domain.schedules.calendar import DAY_S, Calendar, DaySpan, Window
from jobyard.domain.schedules.wall_clock import change_between, zone_named

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class Opening:
    """A time in which tasks may run, from `start` on and before `end`, in UTC."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """How long it is open."""
        return self.end - self.start


@dataclass(frozen=True)
class Openings:
    """All openings from `start` to `end`, aware instants in UTC.

    Without a window it is one opening. With one, it is open where the calendar allows it too.
    """

    start: datetime
    end: datetime
    zone: str = "UTC"
    window: Window | None = None
    calendar: Calendar | None = None

    @cached_property
    def all(self) -> tuple[Opening, ...]:
        """All of them, ascending. No two touch."""
        if self.end <= self.start:
            return ()
        if self.window is None:
            return (Opening(self.start, self.end),)
        found: list[list[datetime]] = []
        for start, end in self._spans():
            start, end = max(start, self.start), min(end, self.end)
            if start >= end:
                continue
            if found and found[-1][1] == start:
                found[-1][1] = end
            else:
                found.append([start, end])
        return tuple(Opening(start, end) for start, end in found)

    def opening_at(self, instant: datetime) -> Opening | None:
        """The opening at an instant; None if it is closed then."""
        index = bisect_right(self._starts, instant)
        if index and instant < self.all[index - 1].end:
            return self.all[index - 1]
        return None

    def next_opening(self, after: datetime) -> Opening | None:
        """The first opening that starts after an instant: during an opening, the following one."""
        index = bisect_right(self._starts, after)
        return self.all[index] if index < len(self.all) else None

    def openings(self, after: datetime, number: int) -> tuple[Opening, ...]:
        """The first `number` openings that end after an instant, the one at that instant first."""
        index = bisect_right(self._starts, after)
        if self.opening_at(after):
            index -= 1
        return self.all[index : index + number]

    @cached_property
    def _starts(self) -> list[datetime]:
        return [each.start for each in self.all]

    def _spans(self) -> Iterator[tuple[datetime, datetime]]:
        """When the window is open, ascending; spans may touch, and exceed the range."""
        for first, last, offset in self._clocks():
            shift = offset // _SECOND
            begin, end = (first - _EPOCH) // _SECOND, -((_EPOCH - last) // _SECOND)
            for day in range((begin + shift) // DAY_S, (end + shift - 1) // DAY_S + 1):
                for start_s, end_s in self._open_on(day + _EPOCH_DAY):
                    low = max(day * DAY_S + start_s - shift, begin)
                    high = min(day * DAY_S + end_s - shift, end)
                    if low < high:
                        yield _EPOCH + low * _SECOND, _EPOCH + high * _SECOND

    def _clocks(self) -> Iterator[tuple[datetime, datetime, timedelta]]:
        """Spans with the same difference to UTC. No zone has two changes within a day."""
        zone = zone_named(self.zone)
        since, at = self.start, self.start
        offset = _offset(at.astimezone(zone))
        while at < self.end:
            following = min(at + _DAY, self.end)
            after = _offset(following.astimezone(zone))
            if after != offset:
                change = change_between(at, following, zone).at
                yield since, change, offset
                since, offset = change, after
            at = following
        if since < self.end:
            yield since, self.end, offset

    def _open_on(self, day: int) -> Sequence[DaySpan]:
        """When the window is open on a date, in seconds of the day. `day` is its ordinal."""
        spans = self._window_spans[(day - 1) % 7]
        if self.calendar is None or not spans:
            return spans
        return _intersection(spans, self.calendar.spans_on(day))

    @cached_property
    def _window_spans(self) -> list[list[DaySpan]]:
        assert self.window is not None
        return [sorted(self.window.spans(weekday)) for weekday in range(7)]


def _offset(local: datetime) -> timedelta:
    return local.utcoffset() or timedelta()


def _intersection(left: Sequence[DaySpan], right: Sequence[DaySpan]) -> list[DaySpan]:
    return [(max(a, c), min(b, d)) for a, b in left for c, d in right if max(a, c) < min(b, d)]
