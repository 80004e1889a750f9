"""File names seen so far: which line had a name first, in at most 40 bytes a name."""

from array import array
from collections.abc import Callable, Sequence
from operator import lt
from typing import Any, NamedTuple

from jobyard.domain.manifests.findings import Check, shown

_SLOTS = 1_024
_ORDERS: tuple[Callable[[Sequence[str]], Sequence[Any]], ...] = (
    lambda names: names,  # sorted as text
    lambda names: list(zip(map(len, names), names, strict=True)),  # counted: file-9, file-10
)


class Clash(NamedTuple):
    """What is wrong with the name at `offset` in those given, beside the names before it."""

    offset: int
    check: Check
    message: str


def repeated(index: int, name: str, line: int) -> Clash:
    """The clash of a `name` that `line` had before."""
    message = f"fileName {shown(name)} is that of line {line} already: every name may stand once"
    return Clash(index, Check.NAME_REPEATED, message)


class Names:
    """The first line of every name added, kept as 64-bit hashes and never as text.

    Two names of one hash would be taken for one: a chance of 3 in 100 million for a million names.
    A name costs 8 bytes for its hash, 4 for its line and 8 to 16 for its slot. As long as every
    name comes after the one before, in the order that the first names have, none can repeat: slots
    are made when that ends.
    """

    def __init__(self) -> None:
        self._hashes = array("q")
        self._lines = array("I")
        # Open addressing: a slot holds a position in the two arrays, from 1; 0 is free.
        self._slots = array("I")
        self._orders = _ORDERS  # those that may be the names' own; none once they had none
        self._last: Any = None

    def add(self, name: str, line: int) -> int:
        """Remember `name` as of `line`; the line that had it first, 0 if none had."""
        repeated = self.add_all([name], line)
        return repeated[0][1] if repeated else 0

    def add_all(self, names: Sequence[str], first: int) -> list[tuple[int, int]]:
        """Remember the names of the lines from `first` on, one each, none of them empty.

        The answer has, for each name that was there before, its index and the line that had it.
        """
        before = len(self._hashes)
        self._hashes.extend(map(hash, names))
        self._lines.extend(range(first, first + len(names)))
        if self._rise(names):
            return []
        if len(self._slots) < 2 * len(self._hashes):
            self._make_slots(before)
        found = self._fill(before, self._hashes[before:])
        return [(position - before, self._lines[there]) for position, there in found]

    def clashes(self, names: Sequence[str], first: int) -> list[Clash]:
        """Remember names as `add_all` does; what clashes with the names before."""
        again = self.add_all(names, first)
        return [repeated(index, names[index], line) for index, line in again]

    def _rise(self, names: Sequence[str]) -> bool:
        """Whether `names` go on in the order that all before them had."""
        for order in self._orders:
            keys = order(names)
            goes_on = self._last is None or self._last < keys[0]
            if goes_on and all(map(lt, keys, keys[1:])):
                self._orders, self._last = (order,), keys[-1]
                return True
        self._orders = ()
        return False

    def _make_slots(self, filled: int) -> None:
        """Twice as many slots as names or more, taken by the first `filled` of them."""
        size = _SLOTS
        while size < 2 * len(self._hashes):
            size *= 2
        self._slots = array("I")  # the old ones go before the new ones come
        self._slots = array("I", bytes(4)) * size
        for start in range(0, filled, _SLOTS):
            self._fill(start, self._hashes[start : min(start + _SLOTS, filled)])

    def _fill(self, start: int, hashes: "array[int]") -> list[tuple[int, int]]:
        """Give the names from position `start` on a slot each; those that have one already are
        answered, each with the position that has it."""
        known, slots = self._hashes, self._slots
        mask = len(slots) - 1
        repeated = []
        for position, value in enumerate(hashes, start=start + 1):
            at = value & mask
            while (there := slots[at]) and known[there - 1] != value:
                at = (at + 1) & mask
            if there:
                repeated.append((position - 1, there - 1))
            else:
                slots[at] = position
        return repeated
