"""The history of a batch, a job or a schedule: one entry per change, oldest first."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from jobyard.domain.compaction import SIZE_LIMITS, add_counts, compact, json_bytes, summary_text
from jobyard.domain.lifecycle import MACHINE, Move
from jobyard.domain.text import NAME_BYTES, REASON_BYTES, clean_fields, truncate

SUMMARY_EVENT = "more"  # the event of what stands for entries that are left out


@dataclass(frozen=True)
class HistoryEntry:
    """One move that was made, or one thing that was noted without a move (before == after).

    `sub` is the person's id; "" when the machine did it, and of entries older than ids. A
    long history replaces several entries by one with the event `MORE_EVENTS`: `counts` has their
    number by event; `before`, `after` and `at` come from the first and the last of them.
    """

    event: str
    before: str
    after: str
    at: datetime
    actor: str
    cause: str
    reason: str = ""
    sub: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        clean_fields(self, actor=NAME_BYTES, reason=REASON_BYTES)

    @property
    def by_machine(self) -> bool:
        """Whether the machine did it, not somebody who is called so."""
        return self.actor == MACHINE and not self.sub

    @classmethod
    def of(cls, move: Move) -> "HistoryEntry":
        """The entry a move leaves."""
        cause = move.cause
        return cls(
            move.event,
            move.before,
            move.after,
            move.at,
            cause.actor,
            cause.key,
            cause.reason,
            cause.sub,
        )

    @classmethod
    def summary_of(cls, entries: "Sequence[HistoryEntry]") -> "HistoryEntry":
        """What stands for `entries`, which are not kept."""
        counts = add_counts((each.event, each.counts) for each in entries)
        return cls.summary(counts, entries[0].before, entries[-1].after, entries[-1].at)

    @classmethod
    def summary(
        cls, counts: Mapping[str, int], before: str, after: str, at: datetime
    ) -> "HistoryEntry":
        """What stands for so many moves of each event, from one state to another."""
        words = summary_text(counts, "move")
        return cls(SUMMARY_EVENT, before, after, at, MACHINE, "", words, counts=counts)

    def truncated(self, limit: int) -> "HistoryEntry":
        """It, with so many bytes of its reason."""
        return self if self.counts else replace(self, reason=truncate(self.reason, limit))


def compact_history(
    history: tuple[HistoryEntry, ...], marks: Collection[int], left: int
) -> tuple[HistoryEntry, ...]:
    """What of a history is kept, in `left` bytes if it can be: the first and last entries, those at
    `marks`, and what stands for the others."""
    kept = history
    for room in SIZE_LIMITS:
        kept = compact(history, HistoryEntry.summary_of, room.last, marks)
        kept = (*(each.truncated(room.text_bytes) for each in kept[:-1]), *kept[-1:])
        if json_bytes([[*vars(each).values()] for each in kept]) <= left:
            break
    return kept
