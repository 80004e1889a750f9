"""How long what was computed for readers is shown, before one of them computes it again.

Times come from the clocks of several functions. So a time in the future counts as if it were not
there, unless it is within what clocks may differ by.

Source of the ages: the design of the pages, "Counting is the bottleneck".
"""

from datetime import datetime, timedelta

MIN_AGE = timedelta(seconds=2)  # nothing is computed again before
AGE_PER_DURATION = 10  # nor before this many times as long as computing it took
CLAIM_TIME = timedelta(seconds=30)  # longer than a request of the API or a page may take
MAX_CLOCK_SKEW = timedelta(seconds=5)  # between the clocks of two functions


def max_age(duration: timedelta) -> timedelta:
    """How long something is shown that took `duration` to compute."""
    return max(MIN_AGE, AGE_PER_DURATION * duration)


def is_younger(at: datetime, age: timedelta, now: datetime) -> bool:
    """Whether what was computed `at` is younger than `age`."""
    return -MAX_CLOCK_SKEW <= now - at < age


def is_claimed(until: datetime | None, now: datetime) -> bool:
    """Whether a claim that ends at `until` is in force. None is no claim."""
    return until is not None and now < until <= now + CLAIM_TIME + MAX_CLOCK_SKEW
