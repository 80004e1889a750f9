"""Every path, module, option, parameter, metric and code that a page names exists."""

import importlib
import re
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from cli.local.emulator import ROOT
from cli.local.template_file import read_template
from cli.main import app
from jobyard.domain.jobs.job_type import JobType
from jobyard.jobtypes import step_context
from jobyard.jobtypes.step_context import StepContext

PAGES = [
    *sorted(set(ROOT.glob("*.md")) - {ROOT / "CHANGELOG.md"}),  # it names what is gone
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
# A page may name a path from the project's folder, or from one of these.
BASES = [ROOT, ROOT / "layers/jobyard/jobyard", ROOT / "layers/jobyard/jobyard/domain"]
FOLDERS = {path.name for base in BASES for path in base.iterdir() if path.is_dir()}
SUFFIXES = "py|md|yaml|json|toml|sh|csv|checkm|zip"
KEYS = ("manifests/", "content/", "objects/", "records/", "files/", "staging/")  # in buckets
# Names of AWS and of libraries that the pages mention.
FOREIGN = {
    "AlarmName",
    "BadRequestException",
    "BatchGetItem",
    "EmailConfiguration",
    "MessageRejected",
    "MpuObjectSize",
    "client_credentials",
    "enable_swagger",
    "list_append",
    "UpdateItem",
    "UsernameConfiguration",
}


def _id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


pages = pytest.mark.parametrize("page", PAGES, ids=_id)


@cache
def _names_of_the_code() -> set[str]:
    """All names in code, definitions and settings of the project."""
    folders = ("layers/jobyard", "functions", "cli", "infra", "tests", "benchmarks", "examples")
    found = [
        file
        for folder in folders
        for file in sorted((ROOT / folder).rglob("*"))
        if file.suffix in {".py", ".yaml", ".json"}
    ]
    found += [ROOT / "template.yaml", ROOT / "pyproject.toml", ROOT / "Makefile"]
    return {
        name for file in found for name in re.findall(r"[A-Za-z_][A-Za-z0-9_]*", file.read_text())
    }


def _code(page: Path) -> list[str]:
    """What stands between backticks in a line of a page."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return re.findall(r"`([^`\n]+)`", text)


@pages
def test_every_path_a_page_names_exists(page: Path) -> None:
    own = {page.parent.name} if page.parent != ROOT else set()  # a clone may have any name
    named = {
        each.split("::")[0]
        for each in _code(page)
        if re.fullmatch(rf"(?:[\w.-]+/)+(?:[\w.-]+\.(?:{SUFFIXES}))?(?:::\w+)?", each)
        and each.split("/")[0] in FOLDERS | own
        and not each.startswith(KEYS)
        and "line_count" not in each  # the reader of the guide writes it
    }

    there = [*BASES, page.parent]
    assert [name for name in named if not any((base / name).exists() for base in there)] == []


@pages
def test_every_module_a_page_runs_or_names_exists(page: Path) -> None:
    for name in set(re.findall(r"python -m ([a-z_.]+)", page.read_text())):
        if name.split(".")[0] in {"cli", "benchmarks", "infra"}:
            file = ROOT / name.replace(".", "/")
            assert file.with_suffix(".py").exists() or (file / "__main__.py").exists(), name
    for name in _code(page):
        if re.fullmatch(r"(jobyard|cli)(\.[a-z_]+)+", name):
            importlib.import_module(name)


@pages
def test_every_make_target_a_page_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:^ {4,}|`|^)make ([a-z-]+)", page.read_text(), re.MULTILINE)

    assert set(named) - targets - {"emulator"} == set()


@pages
def test_every_command_a_page_shows_has_its_options(page: Path) -> None:
    for line in _commands(page):
        command, rest = _resolve(line)
        known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
        options = {option for option in re.findall(r"(?<=\s)--[a-z][a-z-]*", rest)}

        assert options - known - {"--help"} == set(), line


def _commands(page: Path) -> Iterator[str]:
    """The commands of a page from `jobyard` on, each with its continued lines."""
    text = re.sub(r"\\\n\s*", " ", page.read_text())
    for line in re.findall(r"(?:^ {4,}|\$ |^|bin/|[|] )jobyard ([a-z][^\n]*)", text, re.MULTILINE):
        yield line.split(" #")[0]
    for each in _code(page):
        if each.startswith("jobyard "):
            yield each.removeprefix("jobyard ")


@cache
def _program() -> Any:
    return typer.main.get_command(app)


def _resolve(line: str) -> tuple[Any, str]:
    """The command that a line begins with, and what follows."""
    command = _program()
    words = line.split()
    while words and hasattr(command, "resolve_command"):
        context = command.context_class(command, resilient_parsing=True)
        _, inner, rest = command.resolve_command(context, words)
        if inner is None:
            break
        command, words = inner, rest
    return command, " " + " ".join(words)


@cache
def _names_of_the_templates() -> set[str]:
    """Parameters, resources and outputs of the templates."""
    found: set[str] = set()
    for file in ("template.yaml", "infra/monitoring.yaml"):
        template: dict[str, Any] = read_template(ROOT, file)
        for part in ("Parameters", "Resources", "Outputs"):
            found |= template.get(part, {}).keys()
    return found


@pages
def test_every_parameter_metric_and_class_a_page_names_exists(page: Path) -> None:
    """Each name in CamelCase: a parameter, resource or output of the templates, or a name of the
    code: a metric, a class, a state of a machine."""
    named = {
        found[1]
        for each in _code(page)
        if (found := re.fullmatch(r"([A-Z][a-z]+(?:[A-Z][a-z]*)+)(?:=\w+|\(.*\))?", each))
    }
    assert named - _names_of_the_templates() - FOREIGN - _names_of_the_code() == set()


@pages
def test_every_code_and_field_a_page_names_exists(page: Path) -> None:
    """Each name in UPPER_CASE or snake_case."""
    named = {
        found[1]
        for each in _code(page)
        if (found := re.fullmatch(r"([A-Za-z]+(?:_[A-Za-z0-9]+)+)(?:=.*|\(.*\))?", each))
        and not each.startswith("test_")  # an example of a name
    }

    assert named - FOREIGN - _names_of_the_code() == set()


@pages
def test_every_heading_a_page_links_to_exists(page: Path) -> None:
    for file, heading in re.findall(r"\]\(([^)#:\s]*)#([\w-]+)\)", page.read_text()):
        text = ((page.parent / file) if file else page).read_text()
        headings = {_anchor(each) for each in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
        assert heading in headings, f"{file}#{heading}"


def _anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w -]", "", heading.casefold()).replace(" ", "-")


def test_the_guide_lists_all_fields_of_a_job_type_and_all_contexts() -> None:
    text = (ROOT / "docs" / "job-types.md").read_text()
    classes = [each for each in vars(step_context).values() if isinstance(each, type)]
    contexts = [each.__name__ for each in classes if issubclass(each, StepContext)]
    fields_listed = "\n".join(re.findall(r"^\| (`.+?`) \|", text, re.MULTILINE))

    assert [each.name for each in fields(JobType) if f"`{each.name}`" not in fields_listed] == []
    assert [each for each in contexts if f"`{each}`" not in fields_listed] == []


def test_the_guide_lists_the_fields_of_each_context() -> None:
    text = (ROOT / "docs" / "job-types.md").read_text()
    common = {each.name for each in fields(StepContext)}
    heading = re.search(r"^\| class \|.*$", text, re.MULTILINE)
    assert heading
    assert {*re.findall(r"`(\w+)`", heading[0])} == common

    for each in StepContext.__subclasses__():
        row = re.search(rf"^\| `{each.__name__}` \|[^|]*\|([^|]*)\|$", text, re.MULTILINE)
        own = {each.name for each in fields(each)} - common
        assert row
        assert {*re.findall(r"`(\w+)`", row[1])} == own, each
