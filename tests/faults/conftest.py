"""What the fault tests share: the stage, and what they tell at the end of a run."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.stories import STORIES
from tests.faults.story import Stage
from tests.walk.yard import Payloads, Yard

_TOLD = pytest.StashKey[list[str]]()


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say a line at the end of the run, whatever is captured."""
    return request.config.stash.setdefault(_TOLD, []).append


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Have what was told in one of several processes told by the first one."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["told"] = session.config.stash.get(_TOLD, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Hear what a process told that is done."""
    told = getattr(node, "workeroutput", {}).get("told", [])
    node.config.stash.setdefault(_TOLD, []).extend(told)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """The lines that were told."""
    for line in config.stash.get(_TOLD, []):
        terminalreporter.write_line(line)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the stories whose turn in their weather it is not, unless all is tried."""
    if config.getoption("--points") == "all":
        return
    turn = config.getoption("--turn")
    stories = [each for each in items if each.path.name == "test_stories_in_weather.py"]
    late = [each for each in stories if not _is_its_turn(each, turn)]
    if late:
        config.hook.pytest_deselected(items=late)
        items[:] = [each for each in items if each not in late]


def _is_its_turn(item: Any, turn: int) -> bool:
    told, weather = item.originalname, item.callspec.params["weather"]
    return bool(item.module.is_its_turn(told, weather, turn))


@pytest.fixture
def stage(yard: Yard, payloads: Payloads) -> Stage:
    """Where the story is told; nothing is left there of what others did."""
    stage = Stage(yard, payloads, STORIES)
    stage.clear()
    return stage
