"""Fixtures of the fault tests, and the summary lines they print at the end of a run."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.all_scenarios import SCENARIOS
from tests.faults.scenario import ScenarioRunner
from tests.harness import Harness, Payloads

_SUMMARY = pytest.StashKey[list[str]]()


@pytest.fixture
def summary(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Prints a line at the end of the run, whatever is captured."""
    return request.config.stash.setdefault(_SUMMARY, []).append


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send a worker's lines to the controller."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["summary"] = session.config.stash.get(_SUMMARY, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Collect the lines of a worker that has finished."""
    lines = getattr(node, "workeroutput", {}).get("summary", [])
    node.config.stash.setdefault(_SUMMARY, []).extend(lines)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the lines."""
    for line in config.stash.get(_SUMMARY, []):
        terminalreporter.write_line(line)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what is for other turns, unless all is wanted."""
    if config.getoption("--points") == "all":
        return
    turn = config.getoption("--turn")
    late = [each for each in items if not _is_its_turn(each, turn)]
    if late:
        config.hook.pytest_deselected(items=late)
        items[:] = [each for each in items if each not in late]


def _is_its_turn(item: Any, turn: int) -> bool:
    """What the test's module says, if it has tests for some turns only."""
    decide = getattr(item.module, "is_its_turn", None)
    if decide is None or not hasattr(item, "callspec"):
        return True
    return bool(decide(item.originalname, item.callspec.params, turn))


@pytest.fixture
def runner(harness: Harness, payloads: Payloads) -> ScenarioRunner:
    """A runner whose buckets are empty."""
    runner = ScenarioRunner(harness, payloads, SCENARIOS)
    runner.clear()
    return runner
