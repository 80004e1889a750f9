"""The timeline of a simulated campaign, drawn as text: windows, attempts and pauses.

The time in which a window is closed is drawn short, so that the windows have room.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.campaigns.forecast import forecast_of
from jobyard.domain.campaigns.simulation import CampaignTimeline, SimulatedAttempt, SimulatedTask
from jobyard.domain.jobs.job import JOB, JobState
from jobyard.domain.jobs.task import TaskState
from jobyard.domain.lifecycle import StateType
from jobyard.domain.plurals import plural
from jobyard.domain.schedules.wall_clock import WEEKDAYS, zone_named

LEGEND = "# window open  = attempt  + succeeded  x failed  . waits  - closed or on hold  ! ended"
MAX_DRAWN_TASKS = 50
_MAX_DRAWN_OPENINGS = 7
_AXIS_COLUMNS = 72
_GAP_COLUMNS = 4  # of a time in which the window is closed
_MAX_LABEL_LETTERS = 20
_STATE_MARKS = {
    JobState.SCHEDULED: "s",
    JobState.HELD: "h",
    JobState.RUNNING: "R",
    JobState.PAUSED: "p",
    JobState.STOPPING: "c",
}


def timeline_text(timeline: CampaignTimeline) -> str:
    """The drawing, with a line for each of the first `MAX_DRAWN_TASKS` tasks."""
    axis = _Axis.of(timeline)
    drawn = timeline.tasks[:MAX_DRAWN_TASKS]
    width = min(max([len("window"), *(len(each.target_id) for each in drawn)]), _MAX_LABEL_LETTERS)
    lines = [
        *_head(timeline),
        "",
        f"{'':{width}}  {axis.labels()}".rstrip(),
        f"{'window':{width}}  {axis.windows()}".rstrip(),
        f"{'state':{width}}  {_states(timeline, axis)}".rstrip(),
    ]
    for task in drawn:
        drawing = _attempts(task, timeline, axis)
        label = f"{task.target_id[:width]:{width}}"
        lines.append(f"{label}  {drawing:{axis.columns}}  {task_description(task)}")
    rest = Counter(each.state.value for each in timeline.tasks[MAX_DRAWN_TASKS:])
    if rest:
        counts = ", ".join(f"{number:,} {state}" for state, number in sorted(rest.items()))
        lines.append(f"… and {plural(sum(rest.values()), 'more task')}: {counts}")
    if axis.is_cut:
        lines.append(f"Only the first {_MAX_DRAWN_OPENINGS} windows are drawn.")
    lines += [f"Refused at {_shown(each.at, axis)}: {each.event}: {each.reason}"
              for each in timeline.refused]  # fmt: skip
    marks = "  ".join(f"{mark} {state}" for state, mark in _STATE_MARKS.items())
    return "\n".join((*lines, "", LEGEND, f"state: {marks}", ""))


def _head(timeline: CampaignTimeline) -> Iterator[str]:
    schedule = timeline.campaign.rules.schedule
    yield schedule.description()
    succeeded = sum(each.state is TaskState.SUCCEEDED for each in timeline.tasks)
    label = JOB.state(timeline.state).labels["device"]
    zone = zone_named(schedule.zone)
    ended = timeline.ended_at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
    yield (
        f"{label} at {ended} {schedule.zone}: "
        f"{succeeded:,} of {plural(len(timeline.tasks), 'task')} succeeded"
    )
    campaign = timeline.campaign
    forecast = forecast_of(
        campaign.rules, campaign.openings, len(timeline.tasks), campaign.created_at
    )
    yield f"Forecast: {forecast.description()}"
    yield from (f"Forecast: {each}" for each in forecast.warnings)


def task_description(task: SimulatedTask) -> str:
    """How a task ended."""
    tries = plural(len(task.attempts), "attempt")
    if task.state is TaskState.FAILED and not task.attempts:
        return f"{task.state}: {task.code}, never reached"
    if task.code:
        return f"{task.state}: {task.code} after {tries}"
    return f"{task.state} after {tries}"


@dataclass(frozen=True)
class _AxisPart:
    """A part of the axis: a time in which the window is open, or one in which it is closed."""

    start: datetime
    end: datetime
    is_open: bool
    column: int  # the first one
    columns: int

    def column_of(self, instant: datetime) -> int:
        """The column of an instant of this part."""
        elapsed = (
            (instant - self.start)
            * self.columns
            // max(self.end - self.start, timedelta(seconds=1))
        )
        return self.column + min(max(elapsed, 0), self.columns - 1)


@dataclass(frozen=True)
class _Axis:
    """The columns of a drawing. `is_cut`: later windows are not drawn."""

    parts: tuple[_AxisPart, ...]
    zone: str
    is_cut: bool

    @classmethod
    def of(cls, timeline: CampaignTimeline) -> "_Axis":
        campaign = timeline.campaign
        end = max(timeline.ended_at, campaign.created_at + timedelta(seconds=1))
        spans = list(_spans(campaign, end))
        openings = [each for each in spans if each[2]]
        is_cut = len(openings) > _MAX_DRAWN_OPENINGS
        if is_cut:
            last = spans.index(openings[_MAX_DRAWN_OPENINGS - 1])
            spans, openings = spans[: last + 1], openings[:_MAX_DRAWN_OPENINGS]
        gaps = len(spans) - len(openings)
        room = _AXIS_COLUMNS - gaps * _GAP_COLUMNS
        total = sum((end - start for start, end, _ in openings), timedelta())
        parts: list[_AxisPart] = []
        column = 0
        for start, until, is_open in spans:
            columns = max(int(room * ((until - start) / total)), 6) if is_open else _GAP_COLUMNS
            parts.append(_AxisPart(start, until, is_open, column, columns))
            column += columns
        return cls(tuple(parts), campaign.rules.schedule.zone, is_cut)

    @property
    def columns(self) -> int:
        last = self.parts[-1]
        return last.column + last.columns

    def column_of(self, instant: datetime) -> int:
        """The column of an instant; the last one for all that are later."""
        index = bisect_right([each.start for each in self.parts], instant) - 1
        return self.parts[max(index, 0)].column_of(instant)

    def shows(self, instant: datetime) -> bool:
        """Whether an instant is drawn."""
        return not self.is_cut or instant < self.parts[-1].end

    def windows(self) -> str:
        """The line of the windows."""
        return "".join(("#" if each.is_open else " ") * each.columns for each in self.parts)

    def labels(self) -> str:
        """When each part begins, as far as there is room."""
        text = ""
        for part in self.parts:
            label = _shown(part.start, self)
            if part.is_open and len(text) < part.column + (part.column == 0):
                text = f"{text:{part.column}}{label} "
        return text


def _shown(instant: datetime, axis: _Axis) -> str:
    local = instant.astimezone(zone_named(axis.zone))
    return f"{WEEKDAYS[local.weekday()].title()} {local:%d %H:%M}"


def _spans(campaign: Campaign, end: datetime) -> Iterator[tuple[datetime, datetime, bool]]:
    """Spans in which the window is closed or open, from the creation to `end`, in turn."""
    at = campaign.created_at
    for opening in campaign.openings.all:
        if opening.start >= end:
            break
        if at < opening.start:
            yield at, opening.start, False
        at = min(opening.end, end)
        yield opening.start, at, True
    if at < end:
        yield at, end, False


def _states(timeline: CampaignTimeline, axis: _Axis) -> str:
    """The line of the campaign's states."""
    marks = [" "] * axis.columns
    for at, state in timeline.history:
        if not axis.shows(at):
            break
        mark = _STATE_MARKS.get(state)
        column = axis.column_of(at)
        if mark:
            marks[column:] = mark * (axis.columns - column)
        elif JOB.state(state).type is not StateType.TRANSIENT:
            marks[column + 1 :] = " " * (axis.columns - column - 1)
    return "".join(marks)


def _attempts(task: SimulatedTask, timeline: CampaignTimeline, axis: _Axis) -> str:
    """The line of a task: how it waits, and its attempts."""
    marks = [mark.replace("#", ".").replace(" ", "-") for mark in axis.windows()]
    for column, state in enumerate(_states(timeline, axis)):
        if state in {_STATE_MARKS[JobState.HELD], _STATE_MARKS[JobState.PAUSED]}:
            marks[column] = "-"
    ended_at = timeline.ended_at
    if task.attempts and (task.state is TaskState.SUCCEEDED or _is_last(task)):
        ended_at = task.attempts[-1].ended_at
    if axis.shows(ended_at):
        column = axis.column_of(ended_at)
        marks[column:] = ["!", *" " * (axis.columns - column - 1)]
    for attempt in task.attempts:
        if axis.shows(attempt.started_at):
            start = axis.column_of(attempt.started_at)
            end = axis.column_of(attempt.ended_at)
            for column in range(start, end):
                marks[column] = "x" if marks[column] == "x" else "="
            marks[end] = _mark_of(attempt)
    return "".join(marks)


def _is_last(task: SimulatedTask) -> bool:
    """Whether a task ended with its last attempt."""
    return task.code == task.attempts[-1].code and task.state is TaskState.FAILED


def _mark_of(attempt: SimulatedAttempt) -> str:
    return {"succeeded": "+", "failed": "x"}.get(attempt.result, "!")
