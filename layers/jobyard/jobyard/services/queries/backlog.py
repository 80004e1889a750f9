"""The backlog of a deployment, for the scheduler tick's metrics."""

from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from jobyard.domain.batches.batch import OPEN_BATCH_STATES, BatchState
from jobyard.store import batches

MAX_COUNTED_BATCHES = 1000  # per state; more count as this many


@dataclass(frozen=True)
class Backlog:
    """How many batches are open, counted up to `MAX_COUNTED_BATCHES` per state.

    `oldest_s` is the age of the oldest in seconds, `queue_age_s` that of the oldest pending one.
    """

    open_batches: int
    oldest_s: float
    queue_age_s: float


def backlog(now: datetime) -> Backlog:
    """The backlog. The index returns the oldest batches of each state first."""
    found = [
        each
        for state in sorted(OPEN_BATCH_STATES)
        for each in islice(batches.in_state(BatchState(state), uploaded=True), MAX_COUNTED_BATCHES)
    ]
    ages = [(now - each.submitted_at).total_seconds() for each in found]
    waiting = [
        (now - each.submitted_at).total_seconds()
        for each in found
        if each.state is BatchState.PENDING
    ]
    return Backlog(len(found), max(ages, default=0.0), max(waiting, default=0.0))
