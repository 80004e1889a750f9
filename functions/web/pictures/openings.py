"""The range of a campaign as a line: when its window is open, and where in it one is now."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from markupsafe import Markup

from jobyard.domain.campaigns.openings import Opening, Openings
from jobyard.domain.plurals import plural
from jobyard.domain.schedules.wall_clock import zone_named

_HEIGHT = 14  # pixels of the line
_LEAST = 0.25  # percent: openings that are nearer to each other are drawn as one
_STEPS = 200  # the mark of the present moves in so many steps


def openings_line(openings: Openings, zone: str, now: datetime | None) -> Markup:
    """The line of all openings, by the clocks of `zone`. `now` is marked; None marks nothing."""
    start, length = openings.start, max(openings.end - openings.start, timedelta(seconds=1))

    def percent(at: datetime) -> float:
        return min(max(100 * ((at - start) / length), 0.0), 100.0)

    spans = _joined([(percent(each.start), percent(each.end)) for each in openings.all])
    blocks = Markup("").join(
        Markup('<rect class="s-accent" x="{:.2f}%" width="{:.2f}%" height="{}" rx="2"/>').format(
            left, right - left, _HEIGHT
        )
        for left, right in spans
    )
    local = zone_named(zone)
    return Markup(
        '<svg class="picture timeline" height="{}" role="img"><title>{}</title>'
        '<rect class="waits" y="{}" width="100%" height="2"/>{}{}'
        '<text y="{}">{}</text><text x="100%" y="{}" text-anchor="end">{}</text></svg>'
    ).format(
        _HEIGHT + 24,
        _title(openings, local, now),
        _HEIGHT // 2 - 1,
        blocks,
        _mark(percent(now)) if now and start <= now < openings.end else "",
        *(_HEIGHT + 18, _shown(start, local), _HEIGHT + 18, _shown(openings.end, local)),
    )


def _joined(spans: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Ascending spans, none narrower than `_LEAST`, and none nearer to the one before."""
    left = right = -1.0
    for first, last in spans:
        if left >= 0 and first - right < _LEAST:
            right = max(right, last)
            continue
        if left >= 0:
            yield left, right
        left, right = min(first, 100 - _LEAST), max(last, first + _LEAST)
    if left >= 0:
        yield left, min(right, 100.0)


def _mark(percent: float) -> Markup:
    at = round(percent * _STEPS / 100) * 100 / _STEPS
    return Markup('<line class="deploy" x1="{0:.1f}%" x2="{0:.1f}%" y1="-3" y2="{1}"/>').format(
        at, _HEIGHT + 4
    )


def _title(openings: Openings, zone: ZoneInfo, now: datetime | None) -> str:
    times = plural(len(openings.all), "opening")
    words = f"{times} from {_shown(openings.start, zone)} to {_shown(openings.end, zone)}"
    if now is None or not openings.start <= now < openings.end:
        return words
    current, following = openings.opening_at(now), openings.next_opening(now)
    if current:
        return f"{words}; open now, until {_shown(current.end, zone)}"
    return f"{words}; closed now, {_next(following, zone)}"


def _next(opening: Opening | None, zone: ZoneInfo) -> str:
    return f"until {_shown(opening.start, zone)}" if opening else "and it does not open again"


def _shown(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%a %Y-%m-%d %H:%M %Z}"
