"""How often a page polls for what has changed."""

from datetime import datetime, timedelta

_SHORTEST = timedelta(seconds=2)
_LONGEST = timedelta(seconds=30)
_SHARE = 10  # the interval is a tenth of the time since the last change


def poll_interval_s(last_change: datetime, now: datetime, until: datetime | None = None) -> int:
    """Seconds until the next poll: few while things change, then more. `until` is when something
    will change; None if that is not known.
    """
    interval = (now - last_change) / _SHARE
    if until is not None:
        interval = min(interval, until - now)
    return int(min(max(interval, _SHORTEST), _LONGEST).total_seconds())


LIST_POLL_S = 10  # for lists of which something may change at any time
PART_AGE = timedelta(seconds=30)  # of what the version of a page does not tell, such as deliveries
