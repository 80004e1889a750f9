"""A fault at any call to AWS: the same end, the same objects, the same mails."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from tests.faults.all_scenarios import SCENARIOS
from tests.faults.fault_plans import FaultPlan, FaultPlans, described, differing, how_many
from tests.faults.scenario import ScenarioResult, ScenarioRunner

LONGEST = 6  # turns between two of the scenario with the most calls
TURNS_APART = {scenario: 3 for scenario in SCENARIOS} | {"replaced_campaign": LONGEST}


def part_of(scenario: str, turn: int) -> int | None:
    """Which part of a scenario's faults is tried in this turn; None in the turns of others."""
    part, wait = divmod(turn + [*SCENARIOS].index(scenario), TURNS_APART[scenario])
    return None if wait else part


def is_its_turn(_name: str, parameters: Mapping[str, str], turn: int) -> bool:
    """Whether a scenario runs in this turn."""
    return part_of(parameters["scenario"], turn) is not None


def test_each_scenario_runs_within_six_turns_and_tries_one_part_after_the_other() -> None:
    for scenario in SCENARIOS:
        parts = [part_of(scenario, turn) for turn in range(334, 334 + 10 * LONGEST)]
        tried = [part for part in parts if part is not None]
        assert tried == [*range(tried[0], tried[0] + len(tried))]
        assert all(
            any(part is not None for part in parts[n : n + LONGEST])
            for n in range(len(parts) - LONGEST)
        )


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
    plans = FaultPlans.of(calls, part_of(scenario, turn) or 0, everything=everything)
    wrong: dict[str, list[Any]] = {}

    for plan in plans:
        result = runner.run(plan, scenario=scenario)
        plans.note(plan, result.injected)
        if found := differences(plan, result, baseline):
            wrong[described(plan)] = found

    summary(
        f"faults, {scenario}: {len(calls)} calls, {len(plans.injected)} points tried in "
        f"{plans.run_count} runs ({how_many(turn, everything=everything)}), "
        f"{time.monotonic() - began:.0f} s"
    )
    assert not wrong, "\n".join(f"{plan}\n    {ends}" for plan, ends in wrong.items())
    plans.expect_all()


def differences(plan: FaultPlan, result: ScenarioResult, baseline: ScenarioResult) -> list[Any]:
    """How the end and the histories differ from those of a run without faults.

    A fault that nobody notices must not change a history. Others may repeat work.
    """
    found: list[Any] = differing(result.end, baseline.end)
    if all(plan[point].unnoticed for point in result.injected):
        alike = result.histories == baseline.histories
    else:
        alike = without_repeats(result.histories) == without_repeats(baseline.histories)
    return found if alike else [*found, result.histories]


def without_repeats(histories: Sequence[Sequence[str]]) -> list[list[str]]:
    """The events of each job without those of repeated work, which may also be held."""
    again = {"start", "restart", "reschedule", "hold", "release"}
    return [[event for event in events if event not in again] for events in histories]
