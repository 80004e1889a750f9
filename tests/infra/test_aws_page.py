"""docs/aws.md is true: its tests and files exist, its costs follow from the templates."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import takewhile
from typing import Any, NamedTuple

import pytest

from cli.local.emulator import ROOT
from jobyard.domain import metrics
from jobyard.domain.cost import PRICES
from jobyard.domain.jobs.job_type import JobType
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.jobtypes import TYPES
from tests.infra.template_reader import (
    IDLE_READ_UNITS,
    OWN_JOB_WRITE_UNITS,
    Resources,
    called_by,
    of_type,
    written,
)

PAGE = ROOT / "docs" / "aws.md"
POINTS = 78
VERDICTS = ("tested by `", "designed around in `", "open: ")
MINUTES = 60 * 24 * 30  # of a month of 30 days
GB = 1024**3
OWN_JOB_TRANSITIONS = 5  # ExecuteJob, Executed, Settle, Settled, Done
UNIT = {price.kind: price.dollars / price.per for price in PRICES}


class Line(NamedTuple):
    """A line of the idle month: a number, the full price, and the price beyond the free tier, in
    dollars."""

    what: str
    number: int
    full: float
    rest: float


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text()


@pytest.fixture(scope="module")
def points(page: str) -> dict[int, str]:
    """The verdict on each point, by number."""
    rows = [row for row in _rows(page, "## The points") if row[0].isdigit()]
    assert len({row[0] for row in rows}) == len(rows)
    return {int(row[0]): row[2] for row in rows}


def test_every_point_has_a_verdict(points: dict[int, str]) -> None:
    assert sorted(points) == list(range(1, POINTS + 1))
    assert [number for number, words in points.items() if not words.startswith(VERDICTS)] == []


def test_the_page_counts_its_verdicts_right(page: str, points: dict[int, str]) -> None:
    found = Counter(words.split()[0].rstrip(":") for words in points.values())
    sums = re.search(
        r"Of the (\d+) points (\d+) are tested, (\d+) are designed around, (\d+) are open", page
    )

    assert sums is not None
    assert [int(number) for number in sums.groups()] == [
        len(points),
        *(found[kind] for kind in ("tested", "designed", "open")),
    ]


def test_a_tested_point_names_a_test(points: dict[int, str]) -> None:
    for number, words in points.items():
        if words.startswith("tested"):
            assert "::" in words, number


def test_every_test_on_the_page_exists(page: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)

    assert [f"{file}::{name}" for file, name in named if name not in _functions(file)] == []
    assert len(named) > POINTS


def test_every_file_on_the_page_exists(page: str) -> None:
    named = re.findall(r"`((?:[\w.-]+/)*[\w.-]+\.(?:py|md|json|yaml))(?:::\w+)?`", page)

    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_every_check_the_page_names_exists(page: str) -> None:
    named = {
        name
        for row in _rows(page, "## What the emulator hides")
        for name in re.findall(r"`([A-Z]\w+)`", row[2])
    }
    source = ast.parse((ROOT / "tests/faults/aws_semantics.py").read_text())

    assert named - {each.name for each in source.body if isinstance(each, ast.ClassDef)} == set()


def test_the_idle_month_is_calculated_from_the_template(page: str, resources: Resources) -> None:
    documented = {row[0].split(",")[0]: row[1:] for row in _rows(page, "## An idle month")}
    lines = _idle_month(resources)

    for line in lines:
        assert documented[line.what] == [
            f"{line.number:,}",
            f"${line.full:.2f}",
            f"${line.rest:.2f}",
        ]
    total = [f"**${sum(getattr(line, name) for line in lines):.2f}**" for name in ("full", "rest")]
    assert documented["**total**"] == ["", *total]
    assert len(documented) == len(lines) + 1


def test_the_readme_has_the_same_sums(resources: Resources) -> None:
    words = (ROOT / "README.md").read_text()
    lines = _idle_month(resources)

    for name in ("full", "rest"):
        assert f"${sum(getattr(line, name) for line in lines):.2f}" in words


def _idle_month(resources: Resources) -> list[Line]:
    """The lines of the idle month, rounded to cents."""
    return [
        line._replace(full=round(line.full, 2), rest=round(line.rest, 2))
        for line in _exactly(resources)
    ]


def _exactly(resources: Resources) -> Iterator[Line]:
    """The cost of a stack that runs nothing. Source of prices and free tier: AWS's price pages."""
    alarms = len(of_type(resources, "AWS::CloudWatch::Alarm"))
    yield Line("alarms", alarms, 0.10 * alarms, 0.10 * max(alarms - 10, 0))
    emitted = len(_metrics_of_the_minute())
    yield Line("metrics the two ticks write", emitted, 0.30 * emitted, 0.30 * max(emitted - 10, 0))
    boards = len(of_type(resources, "AWS::CloudWatch::Dashboard"))
    yield Line("dashboards", boards, 3.00 * boards, 3.00 * max(boards - 3, 0))
    assert resources["MinuteRule"]["Properties"]["ScheduleExpression"] == "rate(1 minute)"
    ticks = [called_by(written(target["Arn"])) for target in _targets(resources)]
    invoked = MINUTES * len(ticks)
    memory_mb = sum(resources[name]["Properties"]["MemorySize"] for name in ticks)
    computed = MINUTES * 200 * memory_mb * UNIT["mb_ms"]
    yield Line("the two ticks' invocations", invoked, invoked * UNIT["invocations"] + computed, 0.0)
    units = MINUTES * IDLE_READ_UNITS
    reads = units * UNIT["read_units"]
    yield Line("the two ticks' reads", round(units), reads, reads)
    yield Line("the two ticks' lines of log", invoked, invoked * 1.8 * 1024 / GB * 0.50, 0.0)
    yield Line("the two ticks' traces", invoked, invoked * 5 / 1e6, 0.0)
    runs = sum(_runs_a_month(job_type) for job_type in TYPES.values() if job_type.rule)
    writes = runs * OWN_JOB_WRITE_UNITS * UNIT["write_units"]
    steps = runs * OWN_JOB_TRANSITIONS * UNIT["transitions"]
    yield Line("the system's own jobs", runs, steps + writes, writes)


def _runs_a_month(job_type: JobType) -> int:
    """The number of system jobs in thirty days."""
    assert job_type.rule is not None
    start = datetime(2026, 11, 1, tzinfo=UTC)
    times = recurrence_of(job_type.rule).occurrences_from(start)
    return sum(1 for _ in takewhile(lambda at: at < start + timedelta(days=30), times))


def _targets(resources: Resources) -> list[dict[str, Any]]:
    """The targets of the minute rule."""
    targets: list[dict[str, Any]] = resources["MinuteRule"]["Properties"]["Targets"]
    return targets


def _metrics_of_the_minute() -> set[str]:
    """The metrics that the minute rule's functions always emit. Each costs once, because its only
    dimension is the service."""
    source = ast.parse((ROOT / "functions" / "report" / "outbox_tick.py").read_text())
    named = {
        getattr(metrics, node.attr)
        for node in ast.walk(source)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "metrics"
    } - {metrics.NAMESPACE}
    assert {metrics.DIMENSIONS[name] for name in named} == {("service",)}
    return named


def _rows(page: str, heading: str) -> Iterator[list[str]]:
    """The rows of the first table below a heading, without the header."""
    table = re.findall(r"^\|.*\|$", page.split(heading)[1].split("\n## ")[0], re.MULTILINE)
    for row in table[2:]:
        yield [cell.strip() for cell in row[1:-1].split("|")]


@cache
def _functions(file: str) -> set[str]:
    """The names of the functions in a test file."""
    source = ast.parse((ROOT / file).read_text())
    return {each.name for each in source.body if isinstance(each, ast.FunctionDef)}
