"""The days of a rule by index, from 0, in constant time.

A day is a number, as `date.toordinal` counts. Beyond the last date that Python has, a series gives
days after `MAX_ORDINAL`.
"""

from bisect import bisect_left
from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from typing import Protocol

MAX_ORDINAL = date.max.toordinal()
_LAST_MONTH = 12 * 9999 + 11


class DaySeries(Protocol):
    """An ascending series of days."""

    def day(self, index: int) -> int:
        """The day at `index`, from 0."""
        ...

    def index(self, day: int) -> int:
        """The smallest index whose day is `day` or later."""
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

    There is at least one weekday (Monday is 0), and they ascend. In the first week, those before
    the first day are left out.
    """

    def __init__(self, first: date, every: int, weekdays: tuple[int, ...]) -> None:
        self._monday = first.toordinal() - first.weekday()
        self._period = 7 * every
        self._weekdays = weekdays
        self._left_out = bisect_left(weekdays, first.weekday())

    def day(self, index: int) -> int:
        periods, position = divmod(index + self._left_out, len(self._weekdays))
        return self._monday + periods * self._period + self._weekdays[position]

    def index(self, day: int) -> int:
        periods, offset = divmod(day - self._monday, self._period)
        position = bisect_left(self._weekdays, offset)  # after the last: first of the next period
        return max(0, periods * len(self._weekdays) + position - self._left_out)


class Months:
    """Every `every` months on a day of the month, in shorter months on the last day.

    If that is before the first day in the first month, the series starts in the next period.
    """

    def __init__(self, first: date, every: int, day_of_month: int) -> None:
        self._every = every
        self._day_of_month = day_of_month
        self._month = 12 * first.year + first.month - 1  # months since year 0
        if self.day(0) < first.toordinal():
            self._month += every

    def day(self, index: int) -> int:
        month = self._month + index * self._every
        if month > _LAST_MONTH:
            return MAX_ORDINAL + 1
        year, number = divmod(month, 12)
        last = monthrange(year, number + 1)[1]
        return date(year, number + 1, min(self._day_of_month, last)).toordinal()

    def index(self, day: int) -> int:
        if day > MAX_ORDINAL:
            return max(0, (_LAST_MONTH - self._month) // self._every + 1)
        at = date.fromordinal(day)
        index = max(0, -((self._month - 12 * at.year - at.month + 1) // self._every))
        return index if self.day(index) >= day else index + 1
