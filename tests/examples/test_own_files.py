"""docs/deposit-your-files.md, from a folder to arks: its commands for the manifest as they are
written, and what it says of the report and of a second submission.
"""

import csv
import io
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.local.emulator import ROOT
from cli.main import app
from jobyard.domain.objects import ObjectVersion
from jobyard.services.queries import reports as report_queries
from jobyard.store import objects, reports
from tests.harness import Harness

PAGE = (ROOT / "docs" / "deposit-your-files.md").read_text()
LETTERS = {"1843/may.txt": b"Dear Ada", "june.txt": b"Dear Charles"}


def make_manifest(harness: Harness) -> str:
    """The manifest that the page's commands make and check of the folder `letters`."""
    commands = re.findall(r"^    jobyard (manifest .*)$", PAGE, re.MULTILINE)
    for each in commands:
        words = shlex.split(each.replace("https://files.example.org", harness.payloads.url))
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
    assert len(commands) == 2
    return Path("letters.checkm").read_text()


def serve(harness: Harness, letters: dict[str, bytes]) -> None:
    for name, content in letters.items():
        path = Path("letters", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        harness.payloads.files[f"/{path}"] = content


def report_rows(harness: Harness, batch_id: str) -> list[dict[str, str]]:
    """The rows of the file jobs.csv of a batch's report."""
    report = reports.get(batch_id, 1)
    assert "jobs.csv" in report_queries.LINKED_FILES
    key = report.files["jobs.csv"]
    found = harness.s3.get_object(Bucket=harness.settings.work_bucket, Key=key)["Body"].read()
    return [*csv.DictReader(io.StringIO(found.decode()))]


def latest(row: dict[str, str]) -> ObjectVersion:
    found = objects.latest(row["ark"])
    assert found is not None
    return found


def test_the_page_leads_from_a_folder_to_arks_and_a_second_submission_to_new_versions(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    serve(harness, LETTERS)

    first = harness.drop(make_manifest(harness), name="letters.checkm")
    serve(harness, {"june.txt": b"Dear Charles, again"})
    second = harness.drop(make_manifest(harness), name="letters.checkm")

    rows = {row["local_id"]: row for row in report_rows(harness, first)}
    assert rows.keys() == LETTERS.keys()
    assert {row["version"] for row in rows.values()} == {"1"}
    assert all(row["ark"].startswith("ark:/99999/") for row in rows.values())
    again = {row["local_id"]: row for row in report_rows(harness, second)}
    assert {name: row["ark"] for name, row in again.items()} == {
        name: row["ark"] for name, row in rows.items()
    }
    # A changed file is a new version; one that is the same gets none.
    assert {name: latest(row).version for name, row in again.items()} == {
        "1843/may.txt": 1,
        "june.txt": 2,
    }
