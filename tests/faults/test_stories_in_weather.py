"""The stories of tests/walk, told again in each weather; by turns unless all is to be tried."""

from collections.abc import Iterator
from typing import Any

import pytest

from cli.local import clients
from tests.faults.weather import WEATHERS
from tests.walk import test_schedules, test_stories
from tests.walk.test_schedules import script
from tests.walk.test_stories import poison
from tests.walk.yard import Yard

# Its point is what an index shows right after a write, and that may be what was before.
NOT_IN = {
    ("test_a_list_shows_the_counts_that_were_reported", "stale"),
    # A thousand times that are decided in one minute are more than this partition takes in it.
    ("test_a_year_of_hours_that_nobody_came_is_noted_hour_by_hour", "capacity"),
}
STORIES = {
    name: told
    for module in (test_stories, test_schedules)
    for name, told in vars(module).items()
    if name.startswith("test_")
}
globals().update(STORIES)  # so that each keeps the fixtures it asks for
__all__ = ["poison", "script", "weather"]


@pytest.fixture(autouse=True)
def weather(request: pytest.FixtureRequest, yard: Yard, bound: str) -> Iterator[Any]:
    """The weather of this telling."""
    with WEATHERS[request.param](yard, clients.client("dynamodb", bound)) as found:
        yield found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tell each story in every weather that lets it be told."""
    told = metafunc.function.__name__
    names = [name for name in WEATHERS if (told, name) not in NOT_IN]
    metafunc.parametrize("weather", names, indirect=True)


def is_its_turn(told: str, weather: str, turn: int) -> bool:
    """Whether a story is told in a weather when not all is: a third of them, each in one."""
    number = [*STORIES].index(told)
    return (number + turn) % 3 == 0 and (number // 3 + turn) % len(WEATHERS) == [*WEATHERS].index(
        weather
    )
