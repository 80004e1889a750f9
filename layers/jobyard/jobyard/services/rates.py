"""Samples the totals of jobs once a minute. Only the outbox tick calls it: it has just counted the
open batches.
"""

from datetime import datetime

from jobyard.store import rates


def sample_rates(open_batches: int, now: datetime, build: str = "") -> bool:
    """Store a sample if the totals, the open batches or the build that runs have changed since the
    last one. Returns whether it did.
    """
    found = rates.totals()
    before = (found.seen, found.seen_open_batches, found.seen_build)
    if (found.now, open_batches, build) == before:
        return False
    rates.put_sample(found, open_batches, now, build)
    return True
