"""The timeline of a job: when it waited and when a worker ran it, attempt by attempt."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from markupsafe import Markup

from jobyard.domain.jobs.job import SUMMARY_CODE, Attempt
from jobyard.domain.plurals import plural
from web.filters import cut, duration

MAX_ROWS = 12  # the first and the last of more attempts
_ROW = 34  # pixels
_TEXT = 13
_BAR = 8
_MIN_WIDTH = 0.6  # percent, of a bar


def timeline(
    numbered: Sequence[tuple[int, Attempt]],
    since: datetime,
    until: datetime,
    local: Callable[[datetime], str],
) -> Markup:
    """The attempts of a job, with their numbers, between two times; `local` shows a time in the
    reader's zone.

    An attempt that has not ended lasts until `until`.
    """
    length = max(until - since, timedelta(milliseconds=1))
    ends = [since, *(attempt.ended_at for _, attempt in numbered)]
    rows = [(*each, before) for each, before in zip(numbered, ends, strict=False)]
    if len(rows) > MAX_ROWS:
        rows = [*rows[:1], *rows[1 - MAX_ROWS :]]
    parts = [
        _row(number, attempt, before or since, (since, length, until), index * _ROW)
        for index, (number, attempt, before) in enumerate(rows)
    ]
    number = sum(each.count for _, each in numbered)
    y = len(rows) * _ROW
    return Markup(
        '<svg class="picture timeline" height="{}" role="img"><title>{}</title>{}'
        '<line class="rule" x2="100%" y1="{}" y2="{}"/><text y="{}">{}</text>'
        '<text x="100%" y="{}" text-anchor="end">{}</text></svg>'
    ).format(
        y + 22,
        f"{plural(number, 'attempt')}: {_times(numbered, length, until)}",
        Markup("").join(parts),
        *(y + 2, y + 2, y + 18, local(since), y + 18, local(until)),
    )


def _times(numbered: Sequence[tuple[int, Attempt]], length: timedelta, until: datetime) -> str:
    """How long a job was worked on; how long it all took if some attempts are not known apart."""
    if any(each.count > 1 for _, each in numbered):
        return f"over {duration(length)}"
    times = (((each.ended_at or until) - each.started_at) for _, each in numbered)
    worked = sum(times, start=timedelta())
    return f"worked {duration(worked)}{_waited(', waited {}', length - worked)}"


def _waited(words: str, length: timedelta) -> str:
    """The words with a time of waiting; "" for less than a second."""
    return words.format(duration(length)) if length >= timedelta(seconds=1) else ""


def _row(
    number: int,
    attempt: Attempt,
    before: datetime,
    frame: tuple[datetime, timedelta, datetime],
    y: int,
) -> Markup:
    """An attempt that waited since `before`. `frame` is the picture's start, length and end."""
    since, length, until = frame
    end = attempt.ended_at or until

    def percent(at: datetime) -> float:
        return min(max(100 * ((at - since) / length), 0), 100)

    left = min(percent(attempt.started_at), 100 - _MIN_WIDTH)
    width = max(percent(end) - left, _MIN_WIDTH)
    name = f"Attempt {number}"
    if attempt.count > 1:
        name = f"{attempt.count} attempts"
    outcome = attempt.failure_code if attempt.failure_code != SUMMARY_CODE else "several"
    outcome = outcome or ("succeeded" if attempt.ended_at else "running")
    return Markup(
        '<text class="strong" y="{}">{}<tspan class="plain" dx="6">{}</tspan></text>'
        '<text x="100%" y="{}" text-anchor="end"><tspan class="wide">{}</tspan>'
        "{} {}</text>"
        '<rect class="waits" x="{:.2f}%" y="{}" width="{:.2f}%" height="2"/>'
        '<rect class="s-{}" x="{:.2f}%" y="{}" width="{:.2f}%" height="{}" rx="2"/>'
    ).format(
        *(y + _TEXT, name, cut(outcome, 26)),
        *(y + _TEXT, _waited("waited {}, ", attempt.started_at - before)),
        *("worked" if attempt.count == 1 else "over", duration(end - attempt.started_at)),
        *(percent(before), y + _TEXT + 9, max(left - percent(before), 0)),
        _state_of(attempt),
        *(left, y + _TEXT + 6, width, _BAR),
    )


def _state_of(attempt: Attempt) -> str:
    if attempt.ended_at is None:
        return "running"
    return "failed" if attempt.failure_code else "succeeded"
