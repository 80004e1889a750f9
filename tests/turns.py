"""Which tests run on which day: those with `@pytest.mark.turns(days)`.

Their cases are dealt out to so many days, one after the other, so that each runs once in that many
days. What chooses its part by `turn` itself must take `turn // days`, or it would only ever see
every so-manyth turn.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

MARK = "turns"


def of_other_days(items: Iterable[Any], turn: int) -> set[Any]:
    """The tests that do not run in this turn. `items` are all tests of each file, in order."""
    late, numbers = set(), Counter[tuple[Any, int]]()
    for item in items:
        for mark in item.iter_markers(MARK):
            (days,) = mark.args
            number = numbers[item.path, days]
            numbers[item.path, days] += 1
            if (number + turn) % days:
                late.add(item)
    return late
