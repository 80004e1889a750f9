"""The report of the tests' coverage: what it counts, and that too little of it fails."""

from pathlib import Path
from typing import Any

import pytest

from tests import coverage

HERE = "x/jobyard"


def _file(lines: int, branches: int = 0) -> dict[str, Any]:
    return {
        "missing_lines": [*range(lines)],
        "missing_branches": [(each, each + 1) for each in range(branches)],
    }


@pytest.mark.parametrize(("reached", "status"), [(45, 0), (44, 1)])
def test_a_folder_with_too_little_coverage_fails(reached: int, status: int) -> None:
    files = {
        f"{HERE}/domain/a.py": _file(100),
        f"{HERE}/services/b.py": _file(50),
        f"{HERE}/services/c.py": _file(25, branches=25),
    }
    noted = {
        f"{HERE}/domain/a.py": ([*range(100)], [*range(100)], []),
        f"{HERE}/services/b.py": ([*range(50)], [*range(reached)], []),
        f"{HERE}/services/c.py": ([*range(25)], [*range(25)], [[n, n + 1] for n in range(25)]),
    }

    assert coverage.report(files, noted) == status


def test_a_file_that_no_test_imports_counts_as_a_whole() -> None:
    files = {f"{HERE}/domain/a.py": _file(30), f"{HERE}/domain/b.py": _file(7, branches=3)}
    noted = {f"{HERE}/domain/a.py": ([*range(30)], [*range(30)], [])}

    assert coverage.percent("domain", files, noted) == 75


def test_neither_excluded_lines_nor_those_with_annotations_only_count() -> None:
    files = {f"{HERE}/domain/a.py": _file(10)}
    noted = {f"{HERE}/domain/a.py": ([0, 1, 2, 3, 99], [0, 1, 2, 99], [])}

    assert coverage.percent("domain", files, noted) == 75


def test_a_folder_without_files_is_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        coverage.percent("domain", {f"{HERE}/services/b.py": _file(1)}, {})


def test_each_room_is_a_folder_whose_files_are_listed() -> None:
    root = Path(__file__).parents[1]

    assert [(root / source).is_dir() for source in coverage.SOURCES] == [True, True]
