"""The timeline of a simulated campaign, drawn as text: windows, attempts and pauses.

The time in which a window is closed is drawn short, so that the windows have room.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from jobyard.domain.campaigns.forecast import forecast_of
from jobyard.domain.campaigns.simulation import CampaignTimeline, SimulatedAttempt, SimulatedTask
from jobyard.domain.campaigns.time_axis import MAX_DRAWN_OPENINGS, TimeAxis
from jobyard.domain.jobs.job import JOB, JobState
from jobyard.domain.jobs.task import TaskState
from jobyard.domain.lifecycle import StateType
from jobyard.domain.plurals import plural
from jobyard.domain.schedules.wall_clock import WEEKDAYS, zone_named

LEGEND = "# window open  = attempt  + succeeded  x failed  . waits  - closed or on hold  ! ended"
MAX_DRAWN_TASKS = 50
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
    axis = TimeAxis.of(timeline.campaign, timeline.ended_at)
    drawn = timeline.tasks[:MAX_DRAWN_TASKS]
    width = min(max([len("window"), *(len(each.target_id) for each in drawn)]), _MAX_LABEL_LETTERS)
    lines = [
        *_head(timeline),
        "",
        f"{'':{width}}  {_labels(axis)}".rstrip(),
        f"{'window':{width}}  {_windows(axis)}".rstrip(),
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
        lines.append(f"Only the first {MAX_DRAWN_OPENINGS} windows are drawn.")
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


def _windows(axis: TimeAxis) -> str:
    """The line of the windows."""
    return "".join(("#" if each.is_open else " ") * each.columns for each in axis.parts)


def _labels(axis: TimeAxis) -> str:
    """When each part begins, as far as there is room."""
    text = ""
    for part in axis.parts:
        label = _shown(part.start, axis)
        if part.is_open and len(text) < part.column + (part.column == 0):
            text = f"{text:{part.column}}{label} "
    return text


def _shown(instant: datetime, axis: TimeAxis) -> str:
    local = instant.astimezone(zone_named(axis.zone))
    return f"{WEEKDAYS[local.weekday()].title()} {local:%d %H:%M}"


def _states(timeline: CampaignTimeline, axis: TimeAxis) -> str:
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


def _attempts(task: SimulatedTask, timeline: CampaignTimeline, axis: TimeAxis) -> str:
    """The line of a task: how it waits, and its attempts."""
    marks = [mark.replace("#", ".").replace(" ", "-") for mark in _windows(axis)]
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
            paused = {
                column
                for since, until in attempt.pauses
                for column in range(axis.column_of(since) + 1, axis.column_of(until))
            }
            for column in {*range(start, end)} - paused:
                marks[column] = "x" if marks[column] == "x" else "="
            marks[end] = _mark_of(attempt)
    return "".join(marks)


def _is_last(task: SimulatedTask) -> bool:
    """Whether a task ended with its last attempt."""
    return task.code == task.attempts[-1].code and task.state is TaskState.FAILED


def _mark_of(attempt: SimulatedAttempt) -> str:
    return {"succeeded": "+", "failed": "x"}.get(attempt.result, "!")
