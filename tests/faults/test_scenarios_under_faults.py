"""Runs tests/scenarios again under each fault profile; a part by turns, or all."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from cli.local import clients
from tests.faults.fault_profiles import FAULT_PROFILES
from tests.harness import Harness
from tests.scenarios import test_batches, test_datasets, test_edits, test_schedules
from tests.scenarios.test_batches import poison
from tests.scenarios.test_schedules import script

NOT_IN = {
    # They expect an index to show a write at once.
    ("test_a_list_shows_the_counts_that_were_reported", "stale"),
    ("test_nothing_follows_an_upload_until_its_file_was_read", "stale"),
    ("test_the_machine_s_moves_are_mailed_to_those_who_act_next", "stale"),
    # It decides a thousand times in a minute, more than this partition takes.
    ("test_a_year_without_ticks_is_noted_hour_by_hour", "capacity"),
}
SCENARIOS = {
    name: test
    for module in (test_batches, test_schedules, test_datasets, test_edits)
    for name, test in vars(module).items()
    if name.startswith("test_")
}
globals().update(SCENARIOS)  # so that each keeps its fixtures
__all__ = ["poison", "profile", "script"]


@pytest.fixture(autouse=True)
def profile(request: pytest.FixtureRequest, harness: Harness, store_endpoint: str) -> Iterator[Any]:
    """The fault profile of this run."""
    with FAULT_PROFILES[request.param](
        harness, clients.client("dynamodb", store_endpoint)
    ) as found:
        yield found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each scenario under every profile it supports."""
    name = metafunc.function.__name__
    profiles = [each for each in FAULT_PROFILES if (name, each) not in NOT_IN]
    metafunc.parametrize("profile", profiles, indirect=True)


def is_its_turn(name: str, parameters: Mapping[str, Any], turn: int) -> bool:
    """Whether it runs in this turn: a quarter of the scenarios, each under one profile."""
    number = [*SCENARIOS].index(name)
    return (number + turn) % 4 == 0 and (number // 4 + turn) % len(FAULT_PROFILES) == [
        *FAULT_PROFILES
    ].index(parameters["profile"])
