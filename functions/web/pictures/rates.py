"""Rates: jobs started, finished and failed per minute."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

_HEIGHT = 120  # pixels of the plot
_TOP = 14
_SERIES = (("succeeded", "finished"), ("running", "started"), ("failed", "failed"))


@dataclass(frozen=True)
class Rate:
    """Jobs of one interval: how many were started, finished and failed per minute. `deployed` is
    the build that was deployed in it, "" if none was.
    """

    at: datetime
    started: float
    finished: float
    failed: float
    deployed: str = ""


def rates(points: Sequence[Rate], local: Callable[[datetime], str]) -> Markup:
    """The rates over time, oldest first; empty for fewer than two. Deployments are marked."""
    if len(points) < 2:
        return Markup()
    most = _ceiling(max(max(each.started, each.finished, each.failed) for each in points))
    first, last = points[0].at, points[-1].at
    lines = [_series(points, name, state, most) for state, name in _SERIES]
    marks = [
        Markup('<path class="deploy" d="M{:.1f} 0v1000"/>').format(
            1000 * ((each.at - first) / (last - first))
        )
        for each in points
        if each.deployed
    ]
    deployed = [f"; {each.deployed} deployed {local(each.at)}" for each in points if each.deployed]
    middle = points[len(points) // 2].at
    latest = points[-1]
    return Markup(
        '<svg class="picture rates" height="{}" role="img"><title>{}</title>{}'
        '<svg y="{}" width="100%" height="{}" viewBox="0 0 1000 1000"'
        ' preserveAspectRatio="none">{}{}</svg>'
        '<text y="{}">{}</text><text class="wide" x="50%" y="{}" text-anchor="middle">{}</text>'
        '<text x="100%" y="{}" text-anchor="end">{}</text></svg>'
    ).format(
        _TOP + _HEIGHT + 20,
        f"Jobs per minute from {local(first)} to {local(last)}; at the end "
        + ", ".join(
            f"{round(getattr(latest, name), 1):g} {name}"
            for name in ("started", "finished", "failed")
        )
        + "".join(deployed),
        Markup("").join(_grid(most)),
        *(_TOP, _HEIGHT, Markup("").join(marks), Markup("").join(lines)),
        *(_TOP + _HEIGHT + 16, local(first)),
        *(_TOP + _HEIGHT + 16, local(middle)),
        *(_TOP + _HEIGHT + 16, local(last)),
    )


def _series(points: Sequence[Rate], name: str, state: str, most: float) -> Markup:
    path = _path([getattr(each, name) / most for each in points])
    line = Markup('<path class="line s-{}" d="{}"/>').format(state, path)
    if name != "finished":
        return line
    return Markup('<path class="area s-{}" d="{}V1000H0z"/>').format(state, path) + line


def _path(shares: Sequence[float]) -> str:
    step = 1000 / (len(shares) - 1)
    return "M" + "L".join(
        f"{number * step:.0f} {1000 - 1000 * share:.0f}" for number, share in enumerate(shares)
    )


def _grid(most: float) -> Iterable[Markup]:
    for part in (1, 0.5, 0):
        y = _TOP + _HEIGHT * (1 - part)
        yield Markup('<line class="rule" x2="100%" y1="{0:g}" y2="{0:g}"/>').format(y)
        if part:
            yield Markup('<text class="scale" y="{:g}">{:g}</text>').format(y + 4, most * part)


def _ceiling(value: float) -> float:
    """The next round number: 1, 2 or 5 with zeros; 2 at least."""
    size = 1.0
    while True:
        for step in (1, 2, 5):
            if value <= step * size and step * size >= 2:
                return step * size
        size *= 10
