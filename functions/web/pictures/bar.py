"""The bar of counts: how much of a whole is in each state."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from markupsafe import Markup

from jobyard.domain.jobs.job import PROGRESS_ORDER
from jobyard.domain.jobs.task import TaskState
from web.filters import words

_ORDER = (*(each.value for each in PROGRESS_ORDER[:-1]), TaskState.RESCHEDULED, PROGRESS_ORDER[-1])
_MIN_WIDTH = 1.0  # percent: a state with few jobs is still seen


def bar(
    counts: Mapping[str, int],
    labels: Mapping[str, str] = MappingProxyType({}),
    *,
    height: int = 8,
    noun: str = "jobs",
) -> Markup:
    """A bar of jobs or tasks by state, as wide as its place; grey without any. `labels` are what
    users call the states of this job type; a state without one has its own name.
    """
    shown = _in_progress_order(counts)
    title = _counts_text(shown, labels) or f"no {noun}"
    parts, left = [], 0.0
    for (state, _), width in zip(shown, _widths([count for _, count in shown]), strict=True):
        parts.append(
            Markup('<rect class="s-{}" x="{:.2f}%" width="{:.2f}%" height="{}"/>').format(
                state, left, width, height
            )
        )
        left += width
    return Markup(
        '<svg class="picture counts-bar" height="{}" role="img"><title>{}</title>'
        '<rect class="empty-bar" width="100%" height="{}"/>{}</svg>'
    ).format(height, title, height, Markup("").join(parts))


def _counts_text(counts: Iterable[tuple[str, int]], names: Mapping[str, str]) -> str:
    """Counts by state: "84,213 completed, 12 failed"."""
    return ", ".join(
        f"{count:,} {words(names.get(state, state)).lower()}" for state, count in counts
    )


def _in_progress_order(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """The counts of states above zero, in order; others, such as the total, are left out."""
    return [(state, counts[state]) for state in _ORDER if counts.get(state, 0) > 0]


def _widths(counts: list[int]) -> list[float]:
    """Widths in percent, none under `_MIN_WIDTH`; together 100."""
    total = sum(counts)
    widths = [max(100 * count / total, _MIN_WIDTH) for count in counts]
    excess = sum(widths) - 100
    if widths:
        widths[widths.index(max(widths))] -= excess
    return widths
