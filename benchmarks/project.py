"""Copies of the project for benchmarks: with the job types of benchmarks/noop, which are added as
docs/job-types.md describes, and with functions that log their calls."""

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def with_noop(target: Path) -> Path:
    """Copy what is deployed to `target`, and add the job types `noop` and `second`."""
    for name in ("functions", "infra", "layers"):
        shutil.copytree(
            ROOT / name,
            target / name,
            ignore=shutil.ignore_patterns("__pycache__"),
            dirs_exist_ok=True,
        )
    shutil.copy(ROOT / "template.yaml", target)
    types = target / "layers" / "jobyard" / "jobyard" / "jobtypes"
    shutil.copytree(ROOT / "benchmarks" / "noop", types / "noop", dirs_exist_ok=True)
    registry = types / "__init__.py"
    lines = registry.read_text().replace(
        "    DEPOSIT.name: DEPOSIT,\n",
        "    DEPOSIT.name: DEPOSIT,\n    NOOP.name: NOOP,\n    SECOND.name: SECOND,\n",
    )
    imported = "from jobyard.jobtypes.deposit import DEPOSIT\n"
    registry.write_text(
        lines.replace(imported, f"{imported}from jobyard.jobtypes.noop import NOOP, SECOND\n")
    )
    return target


def with_call_log(project: Path, folder: str, call_log: Path) -> Path:
    """Have the functions in a `folder` of the copy log their calls to the file `call_log`."""
    functions = project / "functions"
    shutil.copy(ROOT / "benchmarks" / "calls.py", functions)
    package = functions / folder / "__init__.py"
    package.write_text(f"{package.read_text()}import calls\n\ncalls.record({str(call_log)!r})\n")
    return project
