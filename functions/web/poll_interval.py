"""How often a page polls for what has changed."""

from datetime import datetime, timedelta

_SHORTEST = timedelta(seconds=2)
_LONGEST = timedelta(seconds=30)
_SHARE = 10  # the interval is a tenth of the time since the last change


def poll_interval_s(last_change: datetime, now: datetime) -> int:
    """Seconds until the next poll: few while things change, then more."""
    since = max(now - last_change, timedelta())
    return int(min(max(since / _SHARE, _SHORTEST), _LONGEST).total_seconds())


LIST_POLL_S = 10  # for lists of which something may change at any time
