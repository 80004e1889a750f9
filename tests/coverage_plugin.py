"""Notes which lines and branches of the rooms the tests reach: `pytest -p tests.coverage_plugin`.

Each of xdist's workers notes them with slipcover, and the controller writes all of them to
`.coverage.json`; `tests/coverage.py` reports them. slipcover's own command would prepare the tests
themselves too, and read all sources once more in each worker.

pytest imports plugins before anything else, so that no module of the rooms is imported unnoticed.
"""

import json
import os
from collections import defaultdict
from typing import Any

import pytest
from slipcover import FileMatcher, ImportManager, Slipcover

from tests.coverage import FILE, SOURCES

# Of each file: its lines, the reached ones, the reached branches.
_files: dict[str, list[set[Any]]] = defaultdict(lambda: [set(), set(), set()])
_slipcover = Slipcover(immediate=True, branch=True, exclude_lines=[])
if _is_worker := bool(os.getenv("PYTEST_XDIST_WORKER")):
    ImportManager(_slipcover, FileMatcher(sources=SOURCES)).__enter__()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Collect what a worker has noted."""
    for path, noted in getattr(node, "workeroutput", {}).get("coverage", {}).items():
        for all_of_it, by_worker in zip(_files[path], noted, strict=True):
            all_of_it.update(by_worker)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send what this worker has noted."""
    if _is_worker:
        session.config.workeroutput["coverage"] = {  # type: ignore[attr-defined]
            path: (
                each["executed_lines"] + each["missing_lines"],
                each["executed_lines"],
                each["executed_branches"],
            )
            for path, each in _slipcover.get_coverage()["files"].items()
        }


def pytest_unconfigure(config: pytest.Config) -> None:
    """Write what all workers have noted."""
    if not _is_worker:
        found = {path: [sorted(each) for each in noted] for path, noted in _files.items()}
        (config.rootpath / FILE).write_text(json.dumps(found))
