"""Words in pictures: states, lengths of time, lists, and long texts that are cut."""

from collections.abc import Iterable, Mapping
from datetime import timedelta

from jobyard.domain.jobs.job import PROGRESS_ORDER

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def state_text(state: str) -> str:
    """A state in words: `partially_succeeded` is "partially succeeded"."""
    return str(state).replace("_", " ")


def length_text(length: timedelta) -> str:
    """A length of time in at most two units: "250 ms", "3 s", "2 h 5 min"."""
    seconds = length.total_seconds()
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    left = int(seconds)
    for (size, unit), below in zip(_UNITS, (*_UNITS[1:], None), strict=True):
        if left < size:
            continue
        rest = left % size // below[0] if below else 0
        return f"{left // size} {unit}" + (f" {rest} {below[1]}" if below and rest else "")
    return ""


def counts_text(counts: Iterable[tuple[str, int]]) -> str:
    """Counts by state: "84,213 succeeded, 12 failed"."""
    return ", ".join(f"{count:,} {state_text(state)}" for state, count in counts)


def in_progress_order(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """The counts of job states above zero, in `PROGRESS_ORDER`; others, such as the total, are
    left out.
    """
    return [(state.value, counts[state]) for state in PROGRESS_ORDER if counts.get(state, 0) > 0]


def cut(text: str, limit: int) -> str:
    """At most `limit` characters of a text, with an ellipsis where it was cut."""
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"
