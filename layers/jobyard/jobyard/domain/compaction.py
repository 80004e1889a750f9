"""Compaction of growing lists: a record keeps the first and last entries and counts the others.

A job may be requeued for years. Each move writes its whole record, so the size has a limit. Entries
in the middle that a rule still reads are pinned.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

KEPT_FIRST = 3  # entries of a long list
KEPT_LAST = 20  # entries of a long list; also the changes of a calendar or collection
MAX_RECORD_BYTES = 16 * 1024  # of a stored item, as DynamoDB measures it
# Of a job, whose results may have `FREE_RESULT_BYTES`; larger ones add to it.
MAX_JOB_BYTES = 4 * 1024
FREE_RESULT_BYTES = 1024
_Entry = TypeVar("_Entry")


@dataclass(frozen=True)
class SizeLimits:
    """What is kept of a list: the `last` entries, `text_bytes` of each older text, and of the last
    entry's `last_text_bytes`, by default all.
    """

    last: int
    text_bytes: int
    last_text_bytes: int | None = None


# Tried in order until a record fits.
SIZE_LIMITS = (
    SizeLimits(KEPT_LAST, 500),
    SizeLimits(KEPT_LAST, 160),
    SizeLimits(KEPT_LAST, 40),
    SizeLimits(KEPT_LAST // 2, 40),
    SizeLimits(5, 20),
)
JOB_SIZE_LIMITS = (*SIZE_LIMITS, SizeLimits(5, 20, 160), SizeLimits(3, 8, 40))


def compact(
    entries: Sequence[_Entry],
    summarize: Callable[[Sequence[_Entry]], _Entry],
    last: int = KEPT_LAST,
    pinned: Collection[int] = (),
) -> tuple[_Entry, ...]:
    """The first `KEPT_FIRST` and `last` entries, and those at the indices `pinned`.

    `summarize` turns each sequence of omitted entries into one.
    """
    if len(entries) <= KEPT_FIRST + last:
        return tuple(entries)
    kept: list[_Entry] = []
    omitted: list[_Entry] = []
    for index, entry in enumerate(entries):
        if index < KEPT_FIRST or index >= len(entries) - last or index in pinned:
            kept += [summarize(omitted)] if omitted else []
            kept.append(entry)
            omitted = []
        else:
            omitted.append(entry)
    return tuple(kept)


def add_counts(names: Iterable[tuple[str, Mapping[str, int]]]) -> dict[str, int]:
    """How often each name occurs; a name with counts of its own is replaced by these."""
    total: dict[str, int] = {}
    for name, counts in names:
        for each, number in (counts or {name: 1}).items():
            total[each] = total.get(each, 0) + number
    return total


def summary_text(counts: Mapping[str, int], noun: str) -> str:
    """What is omitted: `72 more moves: fail 36, requeue 36`."""
    total = sum(counts.values())
    each = ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))
    return f"{total} more {noun}{'s' * (total != 1)}: {each}"


def json_bytes(value: Any) -> int:
    """The size of a value as JSON in bytes, never too low."""
    return len(json.dumps(value, ensure_ascii=False, default=str).encode(errors="replace"))
