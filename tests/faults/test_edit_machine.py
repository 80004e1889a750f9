"""A fault at any call of the machine of edit jobs: the same end, and readers see the same."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from tests.call_interceptor import Call
from tests.faults.fault_plans import AT_ONCE
from tests.faults.injection import Injector, Point, faults_of
from tests.faults.scenario import ScenarioRunner
from tests.harness import Harness
from tests.scenarios.test_edit_crashes import MainStory

pytestmark = pytest.mark.emulator
QUARTERS = 4  # of the faults, one of them each turn
PART = 48  # of a quarter of the faults, one part each of its turns


def is_its_turn(_name: str, parameters: Mapping[str, Any], turn: int) -> bool:
    """Whether a quarter of the faults has its turn."""
    return bool(parameters["quarter"] == turn % QUARTERS)


class FaultyCalls(Injector):
    """Injects faults into some of the calls, by their numbers: of those that such a call may have,
    the one with the number in `chosen`, counted around.
    """

    def __init__(self, chosen: Mapping[int, int], send: Callable[[Call], None]) -> None:
        super().__init__({}, send)
        self.chosen = chosen
        self.tried: list[str] = []

    def _point(self, call: Call) -> Point:
        number = len(self.points)
        point = Point(call.service, call.operation, "", number)
        self.points.append(point)
        if number in self.chosen:
            faults = faults_of(point)
            fault = faults[self.chosen[number] % len(faults)]
            self.plan = {point: fault}
            self.tried.append(f"{point} {fault.name}")
        return point


@contextmanager
def injecting(harness: Harness, injector: Injector) -> Iterator[None]:
    """Inject into the calls of the machine."""
    invoke = harness.machines.invoke

    def injected(*of: Any) -> dict[str, Any]:
        with harness.interceptor.listening(injector), injector.watching():
            return injector.invoke(*of)

    harness.machines.invoke = injected
    try:
        yield
    finally:
        harness.machines.invoke = invoke


@pytest.mark.parametrize("quarter", range(QUARTERS))
def test_an_edit_job_ends_the_same_whichever_call_fails_in_whichever_way(
    quarter: int,
    runner: ScenarioRunner,
    harness: Harness,
    turn: int,
    everything: bool,
    summary: Callable[[str], None],
) -> None:
    counter = FaultyCalls({}, runner.send)
    with injecting(harness, counter):
        baseline = MainStory(harness, "baseline").run()
    calls = len(counter.points)
    longest = max(len(faults_of(each)) for each in counter.points)
    apart = -(-calls // AT_ONCE)
    tried: list[str] = []
    wrong: dict[str, Any] = {}

    for number in range(quarter, apart, QUARTERS):
        for way in range(longest):
            if not everything and (number // QUARTERS + apart * way + turn // QUARTERS) % PART:
                continue
            chosen = {place: way for place in range(number, calls, apart)}
            injector = FaultyCalls(chosen, runner.send)
            with injecting(harness, injector):
                result = MainStory(harness, f"n{number}-{way}").run()
            tried += injector.tried
            if result != baseline:
                wrong["; ".join(injector.tried)] = {
                    key: value for key, value in result.items() if value != baseline[key]
                }

    summary(f"faults, edit machine: {calls} calls, {len(tried)} faults tried")
    assert wrong == {}
