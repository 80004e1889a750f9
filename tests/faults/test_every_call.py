"""A fault at any call to AWS: the same end, the same objects, the same mails."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from tests.faults.all_scenarios import SCENARIOS
from tests.faults.injection import Fault, Point, faults_of
from tests.faults.scenario import ScenarioRunner

MAX_MISSES = 4  # runs in which a call may not be made
AT_ONCE = 4  # faults in one run, a quarter of the scenario apart, unless all are tried


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_ends_the_same_whichever_call_fails_in_whichever_way(
    scenario: str,
    runner: ScenarioRunner,
    everything: bool,
    turn: int,
    summary: Callable[[str], None],
) -> None:
    began = time.monotonic()
    runner.run(scenario=scenario)  # writes what only the first run of a deployment writes
    baseline = runner.run(scenario=scenario)
    # Two jobs that end far apart are written by two calls: take the calls that are always made.
    always = {*runner.run(scenario=scenario).points}
    calls = [point for point in baseline.points if point in always]
    plans = one_fault_each(calls) if everything else by_turns(calls, turn)
    wrong: dict[str, Any] = {}
    points: set[tuple[Point, str]] = set()
    misses: Counter[Point] = Counter()
    runs = 0
    while plans:
        plan = plans.pop()
        result = runner.run(plan, scenario=scenario)
        runs += 1
        points |= {(point, plan[point].name) for point in result.injected}
        if result.end != baseline.end:
            wrong[described(plan)] = differing(result.end, baseline.end)
        if all(plan[point].unnoticed for point in result.injected):
            alike = result.histories == baseline.histories
        else:
            alike = without_repeats(result.histories) == without_repeats(baseline.histories)
        if not alike:
            wrong.setdefault(described(plan), []).append(result.histories)
        missed = {point: fault for point, fault in plan.items() if point not in result.injected}
        misses.update([*missed])
        plans += [{point: fault} for point, fault in missed.items() if misses[point] < MAX_MISSES]
    seconds = time.monotonic() - began
    how = "every call in every way" if everything else f"every call once, ways by --turn {turn}"
    summary(
        f"faults, {scenario}: {len(calls)} calls, {len(points)} points tried in {runs} runs "
        f"({how}), {seconds:.0f} s"
    )

    assert not wrong, "\n".join(f"{plan}\n    {ends}" for plan, ends in wrong.items())
    assert {call for call, _ in points} == set(calls)
    assert len(points) == sum(len(faults_of(call)) if everything else 1 for call in calls)


def one_fault_each(calls: Sequence[Point]) -> list[Mapping[Point, Fault]]:
    """Each call in each way, one in a run."""
    return [{call: fault} for call in calls for fault in faults_of(call)]


def by_turns(calls: Sequence[Point], turn: int) -> list[Mapping[Point, Fault]]:
    """Each call in one way, another one each turn."""
    apart = -(-len(calls) // AT_ONCE)
    chosen = [
        (call, faults_of(call)[(number + turn) % len(faults_of(call))])
        for number, call in enumerate(calls)
    ]
    return [dict(chosen[first::apart]) for first in range(apart)]


def without_repeats(histories: Sequence[Sequence[str]]) -> list[list[str]]:
    """The events of each job without those of repeated work, which may also be held."""
    again = {"start", "restart", "reschedule", "hold", "release"}
    return [[event for event in events if event not in again] for events in histories]


def described(plan: Mapping[Point, Fault]) -> str:
    """Which calls went wrong, and how."""
    return "; ".join(f"{point} {fault.name}" for point, fault in plan.items())


def differing(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two ends differ, and how."""
    if isinstance(one, dict) and isinstance(other, dict):
        places = [(name, one.get(name), other.get(name)) for name in one | other]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        places = [(str(n), *pair) for n, pair in enumerate(zip(one, other, strict=True))]
    else:
        return [] if one == other else [f"{where}: {str(one)[:200]}, not {str(other)[:200]}"]
    return [line for name, *pair in places for line in differing(*pair, f"{where}/{name}")]
