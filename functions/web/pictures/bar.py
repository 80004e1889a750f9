"""The bar of counts: how much of a whole is in each state."""

from collections.abc import Mapping

from markupsafe import Markup

from web.pictures.texts import counts_text, in_progress_order

_LEAST = 1.0  # percent: a state with few jobs is still seen


def bar(counts: Mapping[str, int], *, height: int = 8) -> Markup:
    """A bar of jobs by state, as wide as its place; grey without any jobs."""
    shown = in_progress_order(counts)
    title = counts_text(shown) or "no jobs"
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


def _widths(counts: list[int]) -> list[float]:
    """Widths in percent, none under `_LEAST`; together 100."""
    total = sum(counts)
    widths = [max(100 * count / total, _LEAST) for count in counts]
    excess = sum(widths) - 100
    if widths:
        widths[widths.index(max(widths))] -= excess
    return widths
