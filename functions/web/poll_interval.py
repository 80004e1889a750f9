"""When a page asks again for what has changed."""

from datetime import datetime, timedelta

_SHORTEST = timedelta(seconds=2)
_LONGEST = timedelta(seconds=30)
_SHARE = 10  # the pause is a tenth of the time since the last change


def pause_s(last_change: datetime, now: datetime) -> int:
    """The pause before the next request, in seconds: short while things change, then longer."""
    since = max(now - last_change, timedelta())
    return int(min(max(since / _SHARE, _SHORTEST), _LONGEST).total_seconds())


LIST_PAUSE_S = 10  # for lists of which something may change at any time
