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
FUNCTIONS = (
    "OpenFunction",
    "ExecuteChunkFunction",
    "ExecuteJobFunction",
    "SettleFunction",
    "ReportFunction",
)


@pytest.fixture
def undisturbed(stage: Stage) -> dict[str, Any]:
    """How the story ends."""
    stage.tell()
    return dict(stage.tell().end)


@pytest.mark.parametrize("answer", [0, 1], ids=["first", "second"])
@pytest.mark.parametrize("name", [*FUNCTIONS, "every function"])
def test_a_function_invoked_twice_in_a_row_does_it_once_whichever_answer_counts(
    name: str, answer: int, stage: Stage, undisturbed: dict[str, Any]
) -> None:
    doubled: list[str] = []

    def twice(named: str, function: Function, handed: Handed) -> Handed:
        if name not in {named, "every function"}:
            return function(handed)
        doubled.append(named)
        return [function(handed), function(handed)][answer]

    end = stage.tell(invoke=twice).end

    assert differing(end, undisturbed) == []
    assert set(doubled) == ({*FUNCTIONS} if name == "every function" else {name})


def test_news_and_minute_rules_that_come_twice_change_nothing(
    stage: Stage, undisturbed: dict[str, Any]
) -> None:
    doubled = []

    def twice(work: Callable[[], Any]) -> Any:
        doubled.append(work)
        return [work(), work()][1]

    end = stage.tell(wake=twice).end

    assert differing(end, undisturbed) == []
    assert len(doubled) == 2 * 3 + 2  # two mails, twice news and a minute rule each, two requests


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
