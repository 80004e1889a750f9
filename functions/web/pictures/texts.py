"""Texts in pictures: counts by state, and long texts that are cut."""

from collections.abc import Iterable, Mapping

from jobyard.domain.jobs.job import PROGRESS_ORDER
from web.filters import words


def counts_text(counts: Iterable[tuple[str, int]]) -> str:
    """Counts by state: "84,213 succeeded, 12 failed"."""
    return ", ".join(f"{count:,} {words(state)}" for state, count in counts)


def in_progress_order(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """The counts of job states above zero, in `PROGRESS_ORDER`; others, such as the total, are
    left out.
    """
    return [(state.value, counts[state]) for state in PROGRESS_ORDER if counts.get(state, 0) > 0]


def cut(text: str, limit: int) -> str:
    """At most `limit` characters of a text, with an ellipsis where it was cut."""
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"
