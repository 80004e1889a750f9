"""The diagram of a lifecycle: every state and event, the current state, and readable labels."""

import re
import xml.etree.ElementTree as ElementTree
from itertools import combinations

import pytest

from jobyard.domain.jobs.job import JOB
from jobyard.domain.lifecycles import LIFECYCLES
from web.pictures.lifecycle import Layout, layout_of, lifecycle_diagram


def labels(layout: Layout) -> list[tuple[float, float, float, float]]:
    """The boxes of the labels: left, top, right, bottom."""
    left = 173  # letters of events that people may send are bold: wider
    diagram = [
        (
            left,
            rail.y - 15,
            left + sum(len(name) * (7.2 if is_bold else 6.4) for name, is_bold in rail.events),
            rail.y - 2,
        )
        for rail in layout.rails
    ]
    return [(float(a), float(b), float(c), float(d)) for a, b, c, d in diagram]


@pytest.mark.parametrize("name", LIFECYCLES)
def test_every_event_is_in_the_diagram_with_both_states(name: str) -> None:
    lifecycle = LIFECYCLES[name]

    picture = lifecycle_diagram(lifecycle)

    ElementTree.fromstring(picture)
    shown = {
        (event, rail.before, rail.after)
        for rail in layout_of(lifecycle).rails
        for event, _ in rail.events
    }
    assert shown == {(each.event, each.before, each.after) for each in lifecycle.transitions}
    assert all(state.name.replace("_", " ").capitalize() in picture for state in lifecycle.states)
    assert 'now"' not in picture


@pytest.mark.parametrize("name", LIFECYCLES)
def test_no_label_meets_another_label_or_a_line(name: str) -> None:
    layout = layout_of(LIFECYCLES[name])
    boxes = labels(layout)
    lines = [rail.y for rail in layout.rails]
    lines += [layout.rows[rail.after].entry for rail in layout.rails]

    for (_, top, _, bottom), (_, other_top, _, other_bottom) in combinations(boxes, 2):
        assert bottom <= other_top or other_bottom <= top
    for _, top, right, bottom in boxes:
        assert not any(top <= y <= bottom for y in lines)
        assert right <= layout.lanes_left


@pytest.mark.parametrize("name", LIFECYCLES)
def test_no_two_lanes_to_different_states_overlap(name: str) -> None:
    layout = layout_of(LIFECYCLES[name])
    spans: dict[str, list[int]] = {}
    lanes = {rail.after: rail.lane for rail in layout.rails}
    for rail in layout.rails:
        spans.setdefault(rail.after, [layout.rows[rail.after].entry]).append(rail.y)

    for one, other in combinations(spans, 2):
        apart = max(spans[one]) < min(spans[other]) or max(spans[other]) < min(spans[one])
        assert apart or lanes[one] != lanes[other]


def test_the_current_state_and_its_ways_out_are_marked() -> None:
    picture = lifecycle_diagram(JOB, "failed")

    assert picture.count("box now") == 1
    assert picture.count('class="rail now"') == 2  # requeue and delete
    assert "It is failed now." in picture


def test_events_of_people_differ_from_those_of_the_machine() -> None:
    picture = lifecycle_diagram(JOB)

    assert '<tspan class="person">force fail</tspan>' in picture
    assert '<tspan class="machine">give up</tspan>' in picture


def test_it_fits_a_phone_at_four_fifths_of_its_size() -> None:
    widths = [
        int(re.findall(r'width="(\d+)"', lifecycle_diagram(each))[0])
        for each in LIFECYCLES.values()
    ]

    assert max(widths) <= 330 / 0.8


def test_what_comes_after_the_end_is_dashed_and_says_so() -> None:
    picture = lifecycle_diagram(LIFECYCLES["edit"])

    assert "retry (after the end): abandoned" in picture
    assert picture.count('class="rail after"') == 5
    assert "Abandoned is final; after it, retry to allocated" in picture
    assert " after" not in re.sub("after[ _]the|after it", "", lifecycle_diagram(JOB))
