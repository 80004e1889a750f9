"""File names of a manifest: which line had a name first, in at most 40 bytes for each name."""

from array import array
from collections.abc import Callable, Sequence
from operator import lt
from typing import Any, NamedTuple

from jobyard.domain.manifests.findings import Check, quoted

_SLOTS = 1_024
_ORDERS: tuple[Callable[[Sequence[str]], Sequence[Any]], ...] = (
    lambda names: names,  # sorted as text
    lambda names: list(zip(map(len, names), names, strict=True)),  # numbered: file-9, file-10
)


class NameConflict(NamedTuple):
    """A conflict of a name with earlier ones. `offset` is its index in the names given."""

    offset: int
    check: Check
    message: str


def repeated(index: int, name: str, line: int) -> NameConflict:
    """The conflict of a `name` that is already on `line`."""
    message = f"fileName {quoted(name)} is already on line {line}: each name may be used once"
    return NameConflict(index, Check.NAME_REPEATED, message)


class FileNames:
    """The first line of each name. Names are stored as 64-bit hashes.

    Two names with the same hash would count as one: a chance of 3 in 100 million for a million
    names. A name takes 8 bytes for its hash, 4 for its line and 8 to 16 for its slot. While the
    names are sorted, none can repeat, so slots are created only when the order ends.
    """

    def __init__(self) -> None:
        self._hashes = array("q")
        self._lines = array("I")
        # Open addressing: a slot has an index of the two arrays plus 1; 0 is a free slot.
        self._slots = array("I")
        self._orders = _ORDERS  # in which the names so far are sorted; empty if in none
        self._last_key: Any = None

    def add(self, name: str, line: int) -> int:
        """Add `name` on `line`. Returns the line that had it first; 0 if none had."""
        repeated = self.add_all([name], line)
        return repeated[0][1] if repeated else 0

    def add_all(self, names: Sequence[str], first: int) -> list[tuple[int, int]]:
        """Add the names of the lines from `first` on, one for each line, none of them empty.

        Returns the index of each repeated name, with the line that had it first.
        """
        before = len(self._hashes)
        self._hashes.extend(map(hash, names))
        self._lines.extend(range(first, first + len(names)))
        if self._are_sorted(names):
            return []
        if len(self._slots) < 2 * len(self._hashes):
            self._make_slots(before)
        repeated = self._fill(before, self._hashes[before:])
        return [(index - before, self._lines[earlier]) for index, earlier in repeated]

    def add_and_check(self, names: Sequence[str], first: int) -> list[NameConflict]:
        """Add names as `add_all` does. Returns their conflicts with earlier names."""
        again = self.add_all(names, first)
        return [repeated(index, names[index], line) for index, line in again]

    def _are_sorted(self, names: Sequence[str]) -> bool:
        """Whether `names` continue an order in which all earlier names are sorted."""
        for order in self._orders:
            keys = order(names)
            follows = self._last_key is None or self._last_key < keys[0]
            if follows and all(map(lt, keys, keys[1:])):
                self._orders, self._last_key = (order,), keys[-1]
                return True
        self._orders = ()
        return False

    def _make_slots(self, filled: int) -> None:
        """Make at least twice as many slots as names, and fill in the first `filled` names."""
        size = _SLOTS
        while size < 2 * len(self._hashes):
            size *= 2
        self._slots = array("I")  # free the memory before allocating more
        self._slots = array("I", bytes(4)) * size
        for start in range(0, filled, _SLOTS):
            self._fill(start, self._hashes[start : min(start + _SLOTS, filled)])

    def _fill(self, start: int, hashes: "array[int]") -> list[tuple[int, int]]:
        """Give each name from index `start` on a slot.

        Returns the index of each name that has one already, with the index of its first occurrence.
        """
        known, slots = self._hashes, self._slots
        mask = len(slots) - 1
        repeated = []
        for position, value in enumerate(hashes, start=start + 1):
            slot = value & mask
            while (taken := slots[slot]) and known[taken - 1] != value:
                slot = (slot + 1) & mask
            if taken:
                repeated.append((position - 1, taken - 1))
            else:
                slots[slot] = position
        return repeated
