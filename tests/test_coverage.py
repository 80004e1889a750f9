"""The report of the tests' coverage: what it counts, and that too little of it fails."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests import coverage


def _file(covered: int, missing: int) -> dict[str, Any]:
    branches = {"covered_branches": 0, "missing_branches": 0}
    return {"summary": {"covered_lines": covered, "missing_lines": missing, **branches}}


@pytest.mark.parametrize(("covered", "status"), [(95, 0), (94, 1)])
def test_a_folder_with_too_little_coverage_fails(covered: int, status: int, tmp_path: Path) -> None:
    report = tmp_path / "coverage.json"
    files = {
        "x/jobyard/domain/a.py": _file(100, 0),
        "x/jobyard/services/b.py": _file(covered - 50, 50 - (covered - 50)),
        "x/jobyard/services/c.py": _file(50, 0),
    }
    report.write_text(json.dumps({"files": files}))

    assert coverage.main(report) == status


def test_a_folder_without_files_is_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        coverage.percent("domain", {"x/jobyard/services/b.py": _file(1, 0)})
