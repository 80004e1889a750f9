"""In which order xdist's workers take the tests, and what one of them takes as a whole.

A file stays with one worker, which sets up what its tests share once. What takes longest begins
first, so that no worker is left alone with it at the end.
"""

from collections.abc import Iterable
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

TESTS = Path(__file__).parent
# Live tests mostly wait, so others run meanwhile: there are more workers than cores.
FIRST = (
    "live",
    "faults/test_load.py",
    "faults",
    "benchmarks",
    "services",
    "scenarios",
    "cli/local",
)
LAST = ("domain",)  # many short files, which even out what is left
# Files of long tests that share nothing.
SPLIT = ("faults/test_every_call.py", "domain/manifests/test_bounded_work.py")


def in_order(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """The tests, longest folders first; those of a folder in the order they had."""
    return sorted(items, key=lambda item: _rank(item.path.relative_to(TESTS).as_posix()))


def _rank(path: str) -> int:
    for number, prefix in enumerate(FIRST):
        if path.startswith(prefix):
            return number
    return len(FIRST) + any(path.startswith(prefix) for prefix in LAST)


class ByFile(LoadScopeScheduling):
    """A file is one worker's; so are the live tests, but for those with stacks of their own."""

    def _split_scope(self, nodeid: str) -> str:
        path, _, _ = nodeid.partition("::")
        if path.startswith("tests/live/") and path != "tests/live/test_commands.py":
            return "tests/live"
        return nodeid if path.removeprefix("tests/") in SPLIT else path
