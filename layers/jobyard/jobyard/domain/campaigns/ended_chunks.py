"""The first chunks of a campaign whose tasks have all ended, in one sum.

Settle reads only the chunks after them, so a campaign's last passes read no more than its first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from jobyard.domain.campaigns.abort import OutcomeCounts


@dataclass(frozen=True)
class EndedChunks:
    """The first `number` chunks: their tasks by state, and the outcomes since `counted_since`."""

    number: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    outcomes: OutcomeCounts = field(default_factory=OutcomeCounts)
    counted_since: datetime | None = None

    def outcomes_since(self, counted_since: datetime | None) -> OutcomeCounts:
        """The outcomes; none if they were counted since another time."""
        return self.outcomes if self.counted_since == counted_since else OutcomeCounts()

    def without(self, chunk: int) -> "EndedChunks":
        """The chunks if `chunk` is not one of them; else none, so that all are read again: one of
        its tasks has not ended any more.
        """
        return self if chunk >= self.number else EndedChunks()
