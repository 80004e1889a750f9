"""What of a growing list a record keeps: the first, the last, and of those between how many.

A job may be requeued for years and a batch reported anew as often; their records are written whole
with every move, so they have a size that nothing may pass. A record's oldest entries say how it
came to be and its newest how it stands. Of the others some are kept because something asks for
them (`marks`); the rest are counted.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

FIRST, LAST = 3, 20
MAX_RECORD_BYTES = 16 * 1024  # of an item in a table, by DynamoDB's rules
_Entry = TypeVar("_Entry")


@dataclass(frozen=True)
class SizeLimits:
    """How much of a list is kept: the `last` entries, and `words` bytes of what older ones say."""

    last: int
    text_bytes: int


# Tried one after the other, until a record fits.
SIZE_LIMITS = (
    SizeLimits(LAST, 500),
    SizeLimits(LAST, 160),
    SizeLimits(LAST, 40),
    SizeLimits(LAST // 2, 40),
    SizeLimits(5, 20),
)


def compact(
    entries: Sequence[_Entry],
    merged: Callable[[Sequence[_Entry]], _Entry],
    last: int = LAST,
    marks: Collection[int] = (),
) -> tuple[_Entry, ...]:
    """`entries` without those between the first and the last, but for the indices in `marks`;
    where some are left out, in a row, stands what `merged` makes of them."""
    if len(entries) <= FIRST + last:
        return tuple(entries)
    kept: list[_Entry] = []
    left_out: list[_Entry] = []
    for index, entry in enumerate(entries):
        if index < FIRST or index >= len(entries) - last or index in marks:
            kept += [merged(left_out)] if left_out else []
            kept.append(entry)
            left_out = []
        else:
            left_out.append(entry)
    return tuple(kept)


def add_counts(names: Iterable[tuple[str, Mapping[str, int]]]) -> dict[str, int]:
    """How often each name is there, where some stand for the counts that come with them."""
    total: dict[str, int] = {}
    for name, counts in names:
        for each, number in (counts or {name: 1}).items():
            total[each] = total.get(each, 0) + number
    return total


def summary_text(counts: Mapping[str, int], noun: str) -> str:
    """What stands for what is left out, in words: `72 more moves: fail 36, requeue 36`."""
    total = sum(counts.values())
    each = ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))
    return f"{total} more {noun}{'s' * (total != 1)}: {each}"


def json_bytes(value: Any) -> int:
    """The bytes a value takes in a document, or a few more."""
    return len(json.dumps(value, ensure_ascii=False, default=str).encode(errors="replace"))
