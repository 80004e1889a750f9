"""Every event that may come twice comes twice: the same end, the same objects, the same mails.

test_every_call.py covers a function that is invoked twice at once, the other running to its end
before one of its calls. Here whole executions and answers are doubled.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.fault_plans import differing
from tests.faults.injection import Fault, Injector, Point
from tests.faults.scenario import ScenarioRunner

Event = dict[str, Any]
Function = Callable[[Event], Event]
FUNCTIONS = {
    "requeued": (
        "OpenFunction",
        "ExecuteChunkFunction",
        "ExecuteJobFunction",
        "SettleFunction",
        "ReportFunction",
    ),
    "recurring": ("ExecuteJobFunction", "SettleFunction"),
    "campaign": ("OpenFunction", "ExecuteChunkFunction", "SettleFunction", "ReportFunction"),
}


@pytest.fixture
def baseline(runner: ScenarioRunner, scenario: str) -> dict[str, Any]:
    """How the scenario ends."""
    return dict(runner.baseline(scenario))


@pytest.mark.turns(4)
@pytest.mark.parametrize("answer", [0, 1], ids=["first", "second"])
@pytest.mark.parametrize(
    ("scenario", "name"),
    [
        (scenario, name)
        for scenario, names in FUNCTIONS.items()
        for name in (*names, "every function")
    ],
)
def test_a_function_invoked_twice_in_a_row_does_it_once_whichever_answer_counts(
    name: str, answer: int, scenario: str, runner: ScenarioRunner, baseline: dict[str, Any]
) -> None:
    doubled: list[str] = []

    def twice(named: str, function: Function, event: Event) -> Event:
        if name not in {named, "every function"}:
            return function(event)
        doubled.append(named)
        return [function(event), function(event)][answer]

    end = runner.run(invoke=twice, scenario=scenario).end

    assert differing(end, baseline) == []
    assert set(doubled) == ({*FUNCTIONS[scenario]} if name == "every function" else {name})


@pytest.mark.turns(2)
@pytest.mark.parametrize(
    ("scenario", "invocations"),
    [
        ("requeued", 2 * 3 + 2),  # two mails, for each two events and a tick, two requests
        ("recurring", 9 * 2 + 8),  # ticks at nine times, twice each, eight requests
        ("campaign", 3 + 2),  # three requests, two ticks
        ("replaced_campaign", 4 + 2),  # four requests, two ticks
    ],
)
def test_a_repeated_event_to_a_function_changes_nothing(
    scenario: str, invocations: int, runner: ScenarioRunner, baseline: dict[str, Any]
) -> None:
    doubled = []

    def twice(work: Callable[[], Any]) -> Any:
        doubled.append(work)
        return [work(), work()][1]

    end = runner.run(trigger=twice, scenario=scenario).end

    assert differing(end, baseline) == []
    assert len(doubled) == invocations


@pytest.mark.parametrize("scenario", ["requeued"])
def test_an_event_of_s3_that_starts_two_executions_makes_one_batch_wherever_they_meet(
    runner: ScenarioRunner,
    baseline: dict[str, Any],
    everything: bool,
    turn: int,
    summary: Callable[[str], None],
) -> None:
    """The second execution begins right before a call of the first, and runs to its end."""
    calls = first_execution(runner)
    step = 1 if everything else 8
    wrong, tried = {}, 0

    def run_second_execution(injector: Injector, _call: Any) -> None:
        with injector.ignoring():
            runner.execute_again(injector)

    for call in calls[turn % step :: step]:
        result = runner.run({call: Fault("meets another execution", prepare=run_second_execution)})
        tried += len(result.injected)
        if lines := differing(result.end, baseline):
            wrong[str(call)] = lines
    summary(f"faults: a second execution met the first at {tried} of its {len(calls)} calls")

    assert tried
    assert not wrong, wrong


def first_execution(runner: ScenarioRunner) -> list[Point]:
    """The calls of the scenario up to the first mail and its note."""
    points = [*runner.run().points]
    sent = next(n for n, point in enumerate(points) if point.operation == "SendEmail")
    return points[: sent + 4]
