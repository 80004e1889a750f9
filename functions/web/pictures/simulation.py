"""The progress of a simulated campaign: how many of its tasks have ended, over the openings."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import accumulate

from markupsafe import Markup

from jobyard.domain.campaigns.simulation import CampaignTimeline, SimulatedTask
from jobyard.domain.campaigns.time_axis import TimeAxis
from jobyard.domain.jobs.task import TaskState
from jobyard.domain.schedules.wall_clock import zone_named

_HEIGHT = 110  # pixels of the plot
_TOP = 6
_SCALE = 6  # columns for each of a text
_LABEL = 20  # percent: the room of a label; a narrow screen has the first and the last one


def progress_drawing(timeline: CampaignTimeline) -> Markup:
    """The tasks that succeeded and failed, summed up over the time. Openings are shaded, and the
    time between them is drawn short.
    """
    axis = TimeAxis.of(timeline.campaign, timeline.ended_at, _SCALE)
    openings = Markup("").join(
        Markup('<rect class="area s-accent" x="{}" width="{}" height="1000"/>').format(
            part.column, part.columns
        )
        for part in axis.parts
        if part.is_open
    )
    series = Markup("").join(
        _series(state, _ends(timeline, state), axis, len(timeline.tasks))
        for state in (TaskState.SUCCEEDED, TaskState.FAILED)
    )
    return Markup(
        '<svg class="picture" height="{}" role="img"><title>{}</title>'
        '<svg y="{}" width="100%" height="{}" viewBox="0 0 {} 1000" preserveAspectRatio="none">'
        '{}{}</svg><line class="rule" x2="100%" y1="{}" y2="{}"/>{}</svg>'
    ).format(
        _TOP + _HEIGHT + 20,
        _title(timeline),
        *(_TOP, _HEIGHT, axis.columns, openings, series),
        *(_TOP + _HEIGHT, _TOP + _HEIGHT),
        Markup("").join(_labels(timeline, axis)),
    )


def _ends(timeline: CampaignTimeline, state: TaskState) -> Iterator[datetime]:
    """When each task that ended in `state` did so."""
    for task in timeline.tasks:
        if task.state is state:
            yield _end_of(task) or timeline.ended_at


def _end_of(task: SimulatedTask) -> datetime | None:
    """When a task ended with its last attempt; None if its campaign ended it."""
    if not task.attempts or task.code != task.attempts[-1].code:
        return None
    return task.attempts[-1].ended_at


def _series(state: TaskState, ends: Iterable[datetime], axis: TimeAxis, tasks: int) -> Markup:
    """The area of the tasks that ended in `state`; empty without any."""
    at = Counter(axis.column_of(each) for each in ends)
    if not at:
        return Markup()
    path = ["M0 1000"]
    moved = 0
    for column, number in zip(sorted(at), accumulate(at[each] for each in sorted(at)), strict=True):
        path.append(f"h{column - moved}V{1000 - 1000 * number // tasks}")
        moved = column
    path.append(f"h{axis.columns - moved}")
    line = "".join(path)
    return Markup(
        '<path class="area s-{0}" d="{1}V1000z"/><path class="line s-{0}" d="{1}"/>'
    ).format(state.value, line)


def _labels(timeline: CampaignTimeline, axis: TimeAxis) -> Iterator[Markup]:
    """When openings begin, as far as there is room, and when it ends."""
    y, free = _TOP + _HEIGHT + 16, 0.0
    for part in axis.parts:
        percent = 100 * part.column / axis.columns
        if part.is_open and free <= percent <= 100 - 2 * _LABEL:
            kind = Markup(' class="wide"') if free or percent > _LABEL else Markup()
            yield Markup('<text{} x="{:.1f}%" y="{}">{}</text>').format(
                kind, percent, y, _shown(part.start, axis)
            )
            free = percent + _LABEL
    end = min(timeline.ended_at, axis.parts[-1].end)
    yield Markup('<text x="100%" y="{}" text-anchor="end">{}</text>').format(y, _shown(end, axis))


def _title(timeline: CampaignTimeline) -> str:
    counts = Counter(task.state.value for task in timeline.tasks)
    return "Tasks that end over time: " + ", ".join(
        f"{number:,} {state}" for state, number in counts.items()
    )


def _shown(at: datetime, axis: TimeAxis) -> str:
    return f"{at.astimezone(zone_named(axis.zone)):%a %d %b %H:%M}"
