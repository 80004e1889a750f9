"""When a task is retried after a failed attempt. Source: decision C7 of campaigns."""

from datetime import datetime, timedelta

from jobyard.domain.campaigns.openings import Openings

DEFAULT_RETRY_S = 300  # source: Connectivity Suite, 10.2
MIN_RETRY_S, MAX_RETRY_S = 30, 86_400
OFFLINE_LIMIT = 12  # failures in a row because the device is offline, until waits grow
_LONGEST_WAIT = timedelta(hours=1)
_JITTER = 0.25  # of a wait that has grown: devices come back at different times


def next_attempt_at(
    ended_at: datetime,
    retry_s: int,
    offline: int,
    openings: Openings,
    needs: timedelta = timedelta(),
    *,
    jitter: float = 0.0,
) -> datetime:
    """When the retry of a task may start, after an attempt that ended at `ended_at`.

    `offline` is how often in a row its device was offline. From the twelfth time on the wait
    doubles, up to an hour, but it does not miss an opening, in which a task must start when
    `needs` is left. `jitter` is a random number from -1 to 1.
    """
    wait = timedelta(seconds=retry_s)
    earliest = ended_at + wait
    if offline < OFFLINE_LIMIT or wait >= _LONGEST_WAIT:
        return earliest
    doublings = min(offline - OFFLINE_LIMIT + 1, 16)
    longer: timedelta = min(wait * 2**doublings, _LONGEST_WAIT)
    at = max(ended_at + longer * (1 + _JITTER * jitter), earliest)
    following = openings.next_opening(ended_at)
    while following is not None and following.length < needs:
        following = openings.next_opening(following.start)
    if following is not None and (at >= following.end or at > following.end - needs):
        return max(earliest, following.start)
    return at
