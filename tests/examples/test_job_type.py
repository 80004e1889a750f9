"""The job type in examples/job_type: its steps, a whole batch, and the way to add it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from cli.local.emulator import ROOT
from examples.job_type.line_count import LINE_COUNT, check_limit
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import Done, Fail, JobType, StepInput
from jobyard.domain.manifests.reader import ManifestReader
from jobyard.jobtypes import TYPES
from jobyard.jobtypes.step_context import HttpContext
from jobyard.services.queries.jobs import list_jobs
from tests.harness import Harness, single_files

EXAMPLE = ROOT / "examples" / "job_type"
PAGE = ROOT / "docs" / "job-types.md"
UNUSED = cast(HttpContext, None)  # the step does not read it


@pytest.fixture
def registered() -> Iterator[None]:
    """Register the job type for the block."""
    types = cast(dict[str, JobType[Any]], TYPES)
    types[LINE_COUNT.name] = LINE_COUNT
    yield
    del types[LINE_COUNT.name]


def counted(lines: int, **parameters: Any) -> StepInput:
    """The input of the second step."""
    return StepInput("b", "b.0.0", "demo", {}, parameters, {"lines": lines}, attempt=1)


def test_a_file_with_too_many_lines_fails_with_a_message() -> None:
    outcome = check_limit(counted(11, max_lines="10"), UNUSED)

    assert outcome == Fail(Failure.TOO_LARGE, "11 lines, but max_lines is 10")


@pytest.mark.parametrize("parameters", [{}, {"max_lines": 11}])
def test_a_file_within_the_limit_is_done(parameters: dict[str, Any]) -> None:
    assert check_limit(counted(11, **parameters), UNUSED) == Done()


@pytest.mark.usefixtures("registered")
def test_a_batch_counts_the_lines_of_each_file_and_reports_what_it_cannot_fetch(
    harness: Harness,
) -> None:
    files = {"short.txt": b"one\n", "long.txt": b"one\ntwo\n", "gone.txt": b""}
    manifest = single_files(harness.payloads, files)
    harness.payloads.status["/gone.txt"] = 404

    batch_id = harness.drop(manifest, metadata={"job-type": "line-count"})

    found = list_jobs(batch_id, harness.query_context(), state="", after=(0, 0), limit=9).items
    assert [each.job.state.value for each in found] == ["succeeded", "succeeded", "failed"]
    assert [each.job.data.get("lines") for each in found] == [1, 2, None]
    assert [each.label for each in found] == ["Counted", "Counted", "failed"]


def test_the_page_about_job_types_has_the_same_code() -> None:
    page = PAGE.read_text()

    assert f"```python\n{(EXAMPLE / 'line_count' / '__init__.py').read_text()}```" in page


@pytest.mark.parametrize("page", [EXAMPLE / "README.md", PAGE], ids=["the README", "the page"])
def test_the_folder_and_two_lines_are_all_it_takes(page: Path, tmp_path: Path) -> None:
    """As each of them says, in a copy of the package: no other job type is lost."""
    package = tmp_path / "jobyard"
    source = ROOT / "layers" / "jobyard" / "jobyard"
    shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(EXAMPLE / "line_count", package / "jobtypes" / "line_count")
    registry = package / "jobtypes" / "__init__.py"
    import_line, entry = (each for each in blocks(page, "python") if "LINE_COUNT" in each[:99])
    anchor = entry.splitlines()[0]
    text = registry.read_text()
    assert text.count(anchor) == 1
    text = text.replace(anchor, entry.rstrip())
    registry.write_text(text.replace("\nTYPES", f"{import_line}\nTYPES", 1))
    tests = [each for each in blocks(page, "python") if "def test_" in each]
    for number, each in enumerate(tests):
        (tmp_path / f"test_{number}.py").write_text(each)

    printed = run(["-c", "from jobyard.jobtypes import TYPES; print(*TYPES)"], tmp_path)
    assert set(printed.split()) == {*TYPES, "line-count"}
    if tests:
        assert "1 passed" in run(["-m", "pytest", "-q", "-p", "no:cacheprovider", "."], tmp_path)


def test_the_manifest_on_the_page_has_two_jobs() -> None:
    (manifest,) = blocks(PAGE, "csv")

    reader = ManifestReader([manifest.encode()], filename="lines.csv")
    entries = [entry for found, _ in reader for entry in found]

    assert (len(entries), reader.worst_level) == (2, "warning")  # of the private address


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of code on a page, in order."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.S)


def run(arguments: list[str], folder: Path) -> str:
    """What Python prints, with the copied package."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env={"PYTHONPATH": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
