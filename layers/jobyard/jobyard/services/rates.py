"""Samples the totals of jobs once a minute. Only the outbox tick calls it: it has just counted the
open batches.
"""

from datetime import datetime

from jobyard.store import rates


def sample_rates(open_batches: int, now: datetime) -> bool:
    """Store a sample if the totals or the open batches have changed since the last one. Returns
    whether it did.
    """
    found = rates.totals()
    if (found.now, open_batches) == (found.seen, found.seen_open_batches):
        return False
    rates.put_sample(found, open_batches, now)
    return True
