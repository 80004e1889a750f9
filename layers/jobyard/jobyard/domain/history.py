"""The history of a batch, job, schedule, campaign or edit job: its changes, oldest first."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from jobyard.domain.compaction import SIZE_LIMITS, add_counts, compact, json_bytes, summary_text
from jobyard.domain.lifecycle import MACHINE, Cause, Move
from jobyard.domain.text import NAME_BYTES, REASON_BYTES, clean_fields, truncate

SUMMARY_EVENT = "more"  # the event of the entry that replaces omitted ones


@dataclass(frozen=True)
class HistoryEntry:
    """One state change, or a note without one (before == after).

    `sub` is the person's id: "" for the machine, and in entries from before ids were stored.
    A long history replaces several entries by one with the event `SUMMARY_EVENT`: `counts` has
    their number by event; `before`, `after` and `at` come from the first and the last of them.
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
        """Whether the machine made the change. A person of the same name has an id."""
        return self.actor == MACHINE and not self.sub

    @classmethod
    def of(cls, move: Move) -> "HistoryEntry":
        """The entry of a move."""
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
    def note(cls, event: str, state: str, at: datetime, cause: Cause) -> "HistoryEntry":
        """The entry of an event that does not change the state."""
        return cls(event, state, state, at, cause.actor, cause.key, cause.reason, cause.sub)

    @classmethod
    def summary_of(cls, entries: "Sequence[HistoryEntry]") -> "HistoryEntry":
        """The one entry that replaces `entries`."""
        counts = add_counts((each.event, each.counts) for each in entries)
        return cls.summary(counts, entries[0].before, entries[-1].after, entries[-1].at)

    @classmethod
    def summary(
        cls, counts: Mapping[str, int], before: str, after: str, at: datetime
    ) -> "HistoryEntry":
        """The entry that replaces several moves. `counts` has their number by event."""
        reason = summary_text(counts, "move")
        return cls(SUMMARY_EVENT, before, after, at, MACHINE, "", reason, counts=counts)

    def truncated(self, limit: int) -> "HistoryEntry":
        """A copy with at most `limit` bytes of its reason."""
        return self if self.counts else replace(self, reason=truncate(self.reason, limit))


def compact_history(
    history: tuple[HistoryEntry, ...], pinned: Collection[int], max_bytes: int
) -> tuple[HistoryEntry, ...]:
    """A history of at most `max_bytes` if possible.

    It keeps its first and last entries and those at the indices `pinned`, and counts the others.
    """
    kept = history
    for limits in SIZE_LIMITS:
        kept = compact(history, HistoryEntry.summary_of, limits.last, pinned)
        kept = (*(each.truncated(limits.text_bytes) for each in kept[:-1]), *kept[-1:])
        if json_bytes([[*vars(each).values()] for each in kept]) <= max_bytes:
            break
    return kept
