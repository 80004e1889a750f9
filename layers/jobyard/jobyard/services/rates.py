"""Samples the totals of jobs once a minute. Only the outbox tick calls it: it has just counted the
open batches.
"""

from datetime import datetime

from jobyard.store import rates


def sample_rates(open_batches: int, now: datetime, build: str = "") -> bool:
    """Store a sample if the totals or the open batches have changed since the last one, or another
    build was deployed. Returns whether it did.
    """
    found = rates.totals()
    is_same = (found.now, open_batches) == (found.seen, found.seen_open_batches)
    if is_same and not found.is_deployed(build):
        return False
    rates.put_sample(found, open_batches, now, build)
    return True
