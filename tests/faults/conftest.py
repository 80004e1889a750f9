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


@pytest.fixture
def runner(harness: Harness, payloads: Payloads) -> ScenarioRunner:
    """A runner whose buckets are empty."""
    runner = ScenarioRunner(harness, payloads, SCENARIOS)
    runner.clear()
    return runner
