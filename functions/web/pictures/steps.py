"""The steps of a job in order, how each ended, and where a requeue starts."""

from collections.abc import Sequence

from markupsafe import Markup

from jobyard.domain.jobs.job import StepRecord, StepStatus
from web.filters import cut, duration

# Pixels.
_ROW_HEIGHT = 38
_NOTE_HEIGHT = 18  # more, for a row with a note
_RADIUS = 8
_CENTRE = 10
# Characters.
_MAX_NAME = 28
_MAX_NOTE = 60
# Signs in the circles, so that a status is not known by its colour alone.
_SIGNS = {
    StepStatus.COMPLETED: "M-3.5 .3l2.4 2.4 4.6-4.9",
    StepStatus.FAILED: "M-3-3l6 6m0-6l-6 6",
    StepStatus.SKIPPED: "M-3.5 0h7",
    StepStatus.RUNNING: "M-2.5-3.5l5.5 3.5-5.5 3.5z",
    StepStatus.PENDING: "",
}
_CLASSES = {StepStatus.SKIPPED: "s-cancelled"}


def step_diagram(names: Sequence[str], steps: Sequence[StepRecord], resume: str = "") -> Markup:
    """The steps of a job type by `names`, with the records of those that began.

    `resume` is the step that a requeue starts with, "" if there is none.
    """
    records = {step.name: step for step in steps}
    rows, y = [], _ROW_HEIGHT // 2
    title = []
    for number, name in enumerate(names):
        record = records.get(name)
        status = record.status if record else StepStatus.PENDING
        is_resumed = name == resume
        notes = ("A requeue starts here." if is_resumed else "", record.message if record else "")
        note = " ".join(filter(None, notes))
        below = _ROW_HEIGHT + (_NOTE_HEIGHT if note else 0)
        if number < len(names) - 1:
            rows.append(_line(status, y, below))
        rows.append(_step(name, status, _status_text(record), note, y))
        ending = ", a requeue starts here" if is_resumed else ""
        title.append(f"{name} {_status_text(record)}{ending}")
        y += below
    return Markup(
        '<svg class="picture steps" height="{}" role="img"><title>Steps: {}</title>{}</svg>'
    ).format(y - _ROW_HEIGHT // 2, "; ".join(title), Markup("").join(rows))


def _line(status: StepStatus, y: int, length: int) -> Markup:
    """The line from a step to the next one."""
    done = status in (StepStatus.COMPLETED, StepStatus.SKIPPED)
    return Markup('<path class="rail{}" d="M{} {}v{}"/>').format(
        "" if done else " open", _CENTRE, y + _RADIUS + 3, length - 2 * _RADIUS - 6
    )


def _step(name: str, status: StepStatus, words: str, note: str, y: int) -> Markup:
    step = Markup(
        '<circle class="{}" cx="{}" cy="{}" r="{}"/>'
        '<path class="sign" transform="translate({} {})" d="{}"/>'
        '<text class="strong" x="30" y="{}">{}</text>'
        '<text x="100%" y="{}" text-anchor="end">{}</text>'
    ).format(
        _CLASSES.get(status, f"s-{status.value}"),
        *(_CENTRE, y, _RADIUS),
        *(_CENTRE, y, _SIGNS[status]),
        *(y + 4, cut(name, _MAX_NAME)),
        *(y + 4, words),
    )
    if note:
        step += Markup('<text x="30" y="{}">{}</text>').format(
            y + 4 + _NOTE_HEIGHT, cut(note, _MAX_NOTE)
        )
    return step


def _status_text(record: StepRecord | None) -> str:
    if record is None:
        return "pending"
    if record.percent is not None:
        return f"{record.status.value} · {record.percent} %"
    if record.ended_at is None or record.status is StepStatus.SKIPPED:
        return record.status.value
    return f"{record.status.value} · {duration(record.ended_at - record.started_at)}"
