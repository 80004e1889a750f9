import re
from pathlib import Path

import pytest

from cli.local.emulator import ROOT
from jobyard.domain.access import ACCESS, OWNER, RELATIONS, ROLES
from tests.cli.fake_api import Run

PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "examples").rglob("README.md")),
]
# `jobyard requeue` in a code block, at a prompt or between backticks.
COMMAND = re.compile(r"(?:^ {4,}|[`(]|\$ )jobyard ([a-z][a-z-]+)(?: ([a-z]+))?", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_names_exists(page: Path, run: Run) -> None:
    named = {found.groups() for found in COMMAND.finditer(page.read_text())}
    for command, following in named:
        words = (
            (command, following) if command in {"local", "manifest"} and following else (command,)
        )
        assert run(*words, "--help").exit_code == 0, f"jobyard {' '.join(words)}"


def test_every_alarm_is_in_the_runbook() -> None:
    template = (ROOT / "infra" / "monitoring.yaml").read_text()
    alarms = re.findall(r"^  (\w+Alarm):$", template, re.MULTILINE)
    runbook = (ROOT / "docs" / "operating.md").read_text()

    assert alarms
    assert [alarm for alarm in alarms if alarm not in runbook] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_page_that_a_page_links_to_exists(page: Path) -> None:
    linked = re.findall(r"\]\(([^)#:]+)\)", page.read_text())

    assert [link for link in linked if not (page.parent / link).exists()] == []


def test_readme_names_all_roles() -> None:
    *others, last = (f"`{role}`" for role in ROLES)

    assert f"{', '.join(others)} and {last}" in " ".join((ROOT / "README.md").read_text().split())


@pytest.mark.parametrize(
    ("row", "entries"),
    [
        ("create", ["create"]),
        ("change, allow, deny", ["edit", "allow", "deny", "add_naan"]),
        ("see", ["view"]),
    ],
)
def test_the_page_of_collections_names_the_roles_of_the_access_table(
    row: str, entries: list[str]
) -> None:
    text = (ROOT / "docs" / "collections.md").read_text()
    (cell,) = re.findall(rf"^\| {row} \| (.*) \|$", text, re.MULTILINE)

    for event in entries:
        roles = ACCESS["collection", event]
        assert set(re.findall("`([a-z]+)`", cell)) == set(roles) - RELATIONS
    assert ("owner" in cell.partition(".")[0]) is (OWNER in ACCESS["collection", entries[0]])
