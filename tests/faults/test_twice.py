"""Every event that may come twice comes twice: the same end, the same objects, the same mails.

That a function is invoked twice at once, the other running whole before each of its calls, is one
of the ways of test_every_call.py. Here whole executions and answers are doubled.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.story import Stage
from tests.faults.striking import Fate, Point, Way
from tests.faults.test_every_call import differing

Handed = dict[str, Any]
Function = Callable[[Handed], Handed]
FUNCTIONS = {
    "mended": (
        "OpenFunction",
        "ExecuteChunkFunction",
        "ExecuteJobFunction",
        "SettleFunction",
        "ReportFunction",
    ),
    "recurring": ("ExecuteJobFunction", "SettleFunction"),
}


@pytest.fixture
def undisturbed(stage: Stage, story: str) -> dict[str, Any]:
    """How the story ends."""
    stage.tell(story=story)
    return dict(stage.tell(story=story).end)


@pytest.mark.parametrize("answer", [0, 1], ids=["first", "second"])
@pytest.mark.parametrize(
    ("story", "name"),
    [(story, name) for story, names in FUNCTIONS.items() for name in (*names, "every function")],
)
def test_a_function_invoked_twice_in_a_row_does_it_once_whichever_answer_counts(
    name: str, answer: int, story: str, stage: Stage, undisturbed: dict[str, Any]
) -> None:
    doubled: list[str] = []

    def twice(named: str, function: Function, handed: Handed) -> Handed:
        if name not in {named, "every function"}:
            return function(handed)
        doubled.append(named)
        return [function(handed), function(handed)][answer]

    end = stage.tell(invoke=twice, story=story).end

    assert differing(end, undisturbed) == []
    assert set(doubled) == ({*FUNCTIONS[story]} if name == "every function" else {name})


@pytest.mark.parametrize(
    ("story", "woken"),
    [
        ("mended", 2 * 3 + 2),  # two mails, twice news and a minute rule each, two requests
        ("recurring", 9 * 2 + 8),  # the clock at nine times, twice each, eight requests
    ],
)
def test_what_wakes_a_function_and_comes_twice_changes_nothing(
    story: str, woken: int, stage: Stage, undisturbed: dict[str, Any]
) -> None:
    doubled = []

    def twice(work: Callable[[], Any]) -> Any:
        doubled.append(work)
        return [work(), work()][1]

    end = stage.tell(wake=twice, story=story).end

    assert differing(end, undisturbed) == []
    assert len(doubled) == woken


@pytest.mark.parametrize("story", ["mended"])
def test_an_event_of_s3_that_starts_two_executions_makes_one_batch_wherever_they_meet(
    stage: Stage,
    undisturbed: dict[str, Any],
    everything: bool,
    turn: int,
    tell: Callable[[str], None],
) -> None:
    """The second execution begins right before a call of the first, and runs to its end."""
    calls = first_execution(stage)
    step = 1 if everything else 8
    wrong, tried = {}, 0

    def meet(fate: Fate, _call: Any) -> None:
        with fate.looking_away():
            stage.execute_again(fate)

    for call in calls[turn % step :: step]:
        told = stage.tell({call: Way("meets another execution", asked=meet)})
        tried += len(told.struck)
        if lines := differing(told.end, undisturbed):
            wrong[str(call)] = lines
    tell(f"faults: a second execution met the first at {tried} of its {len(calls)} calls")

    assert tried
    assert not wrong, wrong


def first_execution(stage: Stage) -> list[Point]:
    """The calls of the story up to the first mail, and what notes it."""
    points = [*stage.tell().points]
    sent = next(n for n, point in enumerate(points) if point.operation == "SendEmail")
    return points[: sent + 4]
