"""Which days a rule names, by index: day 0 is the first. Plain arithmetic, no day is stepped over.

A day is its number as `date.toordinal` counts. Beyond the calendar's end a course names days after
`LAST_DAY`.
"""

from bisect import bisect_left
from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from typing import Protocol

LAST_DAY = date.max.toordinal()
_LAST_MONTH = 12 * 9999 + 11


class DaySeries(Protocol):
    """Days in order, each later than the one before."""

    def day(self, index: int) -> int:
        """The day at `index`, which is 0 or more."""
        ...

    def index(self, day: int) -> int:
        """The least index whose day is `day` or later."""
        ...


@dataclass(frozen=True)
class Days:
    """Every `every` days from `first` on."""

    first: int
    every: int

    def day(self, index: int) -> int:
        return self.first + index * self.every

    def index(self, day: int) -> int:
        return -((self.first - day) // self.every) if day > self.first else 0


class Weeks:
    """Every `every` weeks, counted from the Monday of the first day's week, on `weekdays`.

    Weekdays (Monday is 0) ascend and are one at least. Those before the first day are left out.
    """

    def __init__(self, first: date, every: int, weekdays: tuple[int, ...]) -> None:
        self._monday = first.toordinal() - first.weekday()
        self._length = 7 * every
        self._weekdays = weekdays
        self._left_out = bisect_left(weekdays, first.weekday())

    def day(self, index: int) -> int:
        rounds, place = divmod(index + self._left_out, len(self._weekdays))
        return self._monday + rounds * self._length + self._weekdays[place]

    def index(self, day: int) -> int:
        rounds, passed = divmod(day - self._monday, self._length)
        place = bisect_left(self._weekdays, passed)  # past the last: the first of the next round
        return max(0, rounds * len(self._weekdays) + place - self._left_out)


class Months:
    """Every `every` months on day `wanted`, in shorter months on their last.

    Where that lies before the first day in the first day's month, the next one is day 0.
    """

    def __init__(self, first: date, every: int, wanted: int) -> None:
        self._every = every
        self._wanted = wanted
        self._month = 12 * first.year + first.month - 1
        if self.day(0) < first.toordinal():
            self._month += every

    def day(self, index: int) -> int:
        month = self._month + index * self._every
        if month > _LAST_MONTH:
            return LAST_DAY + 1
        year, number = divmod(month, 12)
        last = monthrange(year, number + 1)[1]
        return date(year, number + 1, min(self._wanted, last)).toordinal()

    def index(self, day: int) -> int:
        if day > LAST_DAY:
            return max(0, (_LAST_MONTH - self._month) // self._every + 1)
        at = date.fromordinal(day)
        index = max(0, -((self._month - 12 * at.year - at.month + 1) // self._every))
        return index if self.day(index) >= day else index + 1
