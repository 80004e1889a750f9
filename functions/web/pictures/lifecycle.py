"""The diagram of a lifecycle: a row for each state, and its events as rails to other states.

All rails to a state share one lane at the right and merge there. A label stands on the part of a
rail that is its event's alone, so that no line and no other label crosses it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from jobyard.domain.lifecycle import MACHINE, Lifecycle, State, StateType
from web.filters import words

_BOX = 164  # pixels: the width of a state
_SLOT = 21  # the height of a rail in its row
_GAP = 10  # between rows
_LANE = 10
_NARROW_LANE = 8  # if there are many
_MANY_LANES = 10
_LABEL_WIDTH = 128  # of the events of one rail, unless a single one is wider
_CURVE = 6
_LETTER, _BOLD_LETTER = 6.4, 7.2  # their average width, in pixels
_TYPES = {
    StateType.WAITING: "waits",
    StateType.TRANSIENT: "machine works",
    StateType.INTERACTION: "needs a person",
    StateType.TERMINAL: "ended",
}

_Events = tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class Rail:
    """The events that lead from one state to another. `events` are (name, whether a person may).

    `y` is where it leaves its row, `lane` the number of the lane it takes. Several rails may lead
    from one state to another, if their events are too many for one label. What comes `after_end`
    leaves an end, such as a retry.
    """

    before: str
    after: str
    events: _Events
    y: int
    lane: int
    after_end: bool

    @property
    def label(self) -> str:
        """The events in words."""
        return _label_of(self.events)

    @property
    def label_width(self) -> float:
        """About how wide the label is, in pixels."""
        return _width_of(self.events)


@dataclass(frozen=True)
class Row:
    """Where a state is: `top` and `height` of its box, and `entry`, where rails reach it."""

    top: int
    height: int
    entry: int


@dataclass(frozen=True)
class Layout:
    """A lifecycle in rows and lanes. Lanes begin at `lanes_left` and are `lane_width` apart."""

    rows: dict[str, Row]
    rails: tuple[Rail, ...]
    lanes_left: int
    lane_width: int
    width: int
    height: int


def lifecycle_diagram(lifecycle: Lifecycle, current: str = "") -> Markup:
    """The diagram of a lifecycle. The `current` state and its ways out are marked."""
    layout = layout_of(lifecycle)
    rails = sorted(layout.rails, key=lambda rail: rail.before == current)
    parts = [_rail(rail, layout, is_open=rail.before == current) for rail in rails]
    parts += [_label(rail, is_open=rail.before == current) for rail in rails]
    parts += [
        _box(state, layout.rows[state.name], lifecycle, is_current=state.name == current)
        for state in lifecycle.states
    ]
    return Markup(
        '<svg class="picture lifecycle" viewBox="0 0 {} {}" width="{}" role="img">'
        "<title>{}</title>{}</svg>"
    ).format(
        layout.width,
        layout.height,
        layout.width,
        _summary(lifecycle, current),
        Markup("").join(parts),
    )


def layout_of(lifecycle: Lifecycle) -> Layout:
    """Rows in the order of the table. In a row, rails to it come first, then its own."""
    events = _merged(lifecycle)
    rows: dict[str, Row] = {}
    starts: list[tuple[str, str, _Events, int]] = []
    top = 0
    for state in lifecycle.states:
        entries = 1 if any(after == state.name for _, after in events) else 0
        parts = [
            (after, part)
            for (before, after), each in events.items()
            if before == state.name
            for part in _labelled(each)
        ]
        height = max((entries + len(parts)) * _SLOT + 6, 44)
        rows[state.name] = Row(top, height, top + 14)
        for number, (after, part) in enumerate(parts, start=entries):
            starts.append((state.name, after, part, top + 18 + number * _SLOT))
        top += height + _GAP
    lanes = _lanes(rows, [(after, y) for _, after, _, y in starts])
    rails = tuple(
        Rail(before, after, part, y, lanes[after], lifecycle.is_final(before))
        for before, after, part, y in starts
    )
    left = _BOX + 17 + round(max(rail.label_width for rail in rails))
    number = max(lanes.values()) + 1
    lane_width = _NARROW_LANE if number > _MANY_LANES else _LANE
    return Layout(rows, rails, left, lane_width, left + number * lane_width + 4, top - _GAP + 2)


def _labelled(events: _Events) -> Iterator[_Events]:
    """Events in parts whose labels are short."""
    part: _Events = ()
    for each in events:
        if part and _width_of((*part, each)) > _LABEL_WIDTH:
            yield part
            part = ()
        part = (*part, each)
    yield part


def _label_of(events: _Events) -> str:
    return ", ".join(words(name) for name, _ in events)


def _width_of(events: _Events) -> float:
    """About how wide the events are in words, in pixels. Those of people are bold."""
    letters = (
        (_BOLD_LETTER if by_person else _LETTER) * len(words(name)) for name, by_person in events
    )
    return sum(letters) + 2 * _LETTER * (len(events) - 1)


def _merged(lifecycle: Lifecycle) -> dict[tuple[str, str], _Events]:
    """The events between two states, and whether a person may send them."""
    merged: dict[tuple[str, str], _Events] = {}
    for each in lifecycle.transitions:
        by_person = bool(set(each.senders) - {MACHINE})
        pair = each.before, each.after
        merged[pair] = (*merged.get(pair, ()), (each.event, by_person))
    return merged


def _lanes(rows: dict[str, Row], starts: Sequence[tuple[str, int]]) -> dict[str, int]:
    """The lane of the rails to each state: short ones first, and no two on one lane touch. `starts`
    are where they begin.
    """
    spans: dict[str, tuple[int, int]] = {}
    for after, row in rows.items():
        ends = [y for target, y in starts if target == after]
        if ends:
            spans[after] = min(*ends, row.entry), max(*ends, row.entry)
    taken: list[list[tuple[int, int]]] = []
    lanes: dict[str, int] = {}
    for after, (low, high) in sorted(spans.items(), key=lambda item: item[1][1] - item[1][0]):
        taken.append([])  # a lane that is free, after those in use
        number = next(
            number
            for number, others in enumerate(taken)
            if all(high < other_low or low > other_high for other_low, other_high in others)
        )
        taken[number].append((low, high))
        taken = [lane for lane in taken if lane]
        lanes[after] = number
    return lanes


def _rail(rail: Rail, layout: Layout, *, is_open: bool) -> Markup:
    """From the box to its lane, along the lane, and back to the box of the other state."""
    x = layout.lanes_left + rail.lane * layout.lane_width
    end = layout.rows[rail.after].entry
    turn = _CURVE if end > rail.y else -_CURVE
    path = (
        f"M{_BOX} {rail.y}H{x - _CURVE}q{_CURVE} 0 {_CURVE} {turn}"
        f"V{end - turn}q0 {turn} {-_CURVE} {turn}H{_BOX + 3}"
    )
    kind = "rail now" if is_open else "rail"
    kind += " after" if rail.after_end else ""
    return Markup(
        '<g><title>{}: {} → {}</title><path class="{}" d="{}"/>'
        '<path class="{} head" d="M{} {}l7-4v8z"/></g>'
    ).format(
        f"{rail.label} (after the end)" if rail.after_end else rail.label,
        *(words(rail.before), words(rail.after)),
        *(kind, path, kind, _BOX + 1, end),
    )


def _label(rail: Rail, *, is_open: bool) -> Markup:
    parts = [
        Markup('<tspan class="{}">{}</tspan>').format(
            "person" if by_person else "machine", words(name)
        )
        for name, by_person in rail.events
    ]
    return Markup('<text class="{}" x="{}" y="{}">{}</text>').format(
        "event now" if is_open else "event", _BOX + 9, rail.y - 4, Markup(", ").join(parts)
    )


def _box(state: State, row: Row, lifecycle: Lifecycle, *, is_current: bool) -> Markup:
    note = "begins here" if state.name == lifecycle.initial else _TYPES[state.type]
    if is_current:
        note = "now"
    return Markup(
        '<g><title>{}</title><rect class="box{}" x="1" y="{}" width="{}" height="{}" rx="6"/>'
        '<circle class="s-{}" cx="15" cy="{}" r="4.5"/>'
        '<text class="strong" x="26" y="{}">{}</text><text x="26" y="{}">{}</text></g>'
    ).format(
        state.description,
        " now" if is_current else "",
        *(row.top + 1, _BOX - 2, row.height),
        *(state.name, row.top + 16),
        *(row.top + 20, words(state.name).capitalize()),
        *(row.top + 36, note),
    )


def _summary(lifecycle: Lifecycle, current: str) -> str:
    """The lifecycle in words, one statement for each state."""
    parts = [f"Lifecycle of a {lifecycle.name}"]
    if current:
        parts.append(f"It is {words(current)} now")
    parts += _descriptions(lifecycle)
    return ". ".join(parts) + "."


def _descriptions(lifecycle: Lifecycle) -> Iterator[str]:
    for state in lifecycle.states:
        ways = [
            f"{words(each.event)} to {words(each.after)}"
            for each in lifecycle.transitions
            if each.before == state.name
        ]
        name = words(state.name).capitalize()
        if lifecycle.is_final(state.name):
            yield f"{name} is final" + (f"; after it, {', '.join(ways)}" if ways else "")
        else:
            yield f"{name}: {', '.join(ways)}"
