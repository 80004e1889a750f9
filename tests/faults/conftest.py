"""What the fault tests share: the stage, and what they tell at the end of a run."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.faults.story import Stage
from tests.walk.yard import Payloads, Yard

_TOLD = pytest.StashKey[list[str]]()


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say a line at the end of the run, whatever is captured."""
    return request.config.stash.setdefault(_TOLD, []).append


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """The lines that were told."""
    for line in config.stash.get(_TOLD, []):
        terminalreporter.write_line(line)


@pytest.fixture
def everything(request: pytest.FixtureRequest) -> bool:
    """Whether all is to be tried, not a part by turns."""
    return bool(request.config.getoption("--points") == "all")


@pytest.fixture
def turn(request: pytest.FixtureRequest) -> int:
    """Whose turn it is among what is not all tried at once: the day of the year, or --turn."""
    chosen = request.config.getoption("--turn")
    return datetime.now(UTC).timetuple().tm_yday if chosen is None else int(chosen)


@pytest.fixture
def stage(yard: Yard, payloads: Payloads) -> Stage:
    """Where the story is told."""
    return Stage(yard, payloads)
