"""What is true of every benchmark, whatever it measures; no times are checked."""

import importlib
import json
import re
from pathlib import Path

import pytest

from benchmarks import output
from benchmarks.bounds import BOUNDS, NAMES, Bound, compare
from benchmarks.manifest import COLUMNS, LOOPS, write_manifest
from cli.local.emulator import ROOT

PERFORMANCE = (ROOT / "docs" / "performance.md").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_measures_what_it_names(name: str) -> None:
    module = importlib.import_module(f"benchmarks.{name}")

    assert callable(module.measure)
    assert (module.measure.__doc__ or "").strip()


def test_figures_are_the_last_line_as_one_object(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["throughput", "--json"])

    def measure() -> output.Figures:
        """Jobs a second."""
        output.say("a line on the way")
        return {"ratio": 2.0}

    output.main("throughput", measure)

    *lines, last = capsys.readouterr().out.splitlines()
    assert lines == ["a line on the way"]
    assert json.loads(last) == {"ratio": 2.0}


def test_every_benchmark_has_a_bound_and_every_bound_a_benchmark() -> None:
    assert {bound.benchmark for bound in BOUNDS} == set(NAMES)


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: f"{bound.benchmark}.{bound.figure}")
def test_the_page_has_every_bound_as_it_is(bound: Bound) -> None:
    rows = [line for line in PERFORMANCE.splitlines() if f"`{bound.figure}`" in line]

    assert any(bound.text() in row and f"`{bound.benchmark}`" in row for row in rows), (
        f"docs/performance.md has no row of {bound.benchmark}.{bound.figure} {bound.text()}"
    )


def test_the_page_has_a_chapter_and_a_command_for_each_benchmark_and_no_other() -> None:
    commands = re.findall(r"python -m benchmarks\.(\w+)", PERFORMANCE)

    assert set(commands) == set(NAMES)


@pytest.mark.parametrize(
    ("bound", "found", "words"),
    [
        (Bound("cost", "x", 2.0), 1.0, "met by 50%"),
        (Bound("cost", "x", 2.0), 3.0, "MISSED by 50%"),
        (Bound("cost", "x", 2.0, is_minimum=True), 3.0, "met by 50%"),
        (Bound("cost", "x", 2.0, is_minimum=True), 1.0, "MISSED by 50%"),
        (Bound("cost", "x", 0), 0.0, "met"),
        (Bound("cost", "x", 0), 0.5, "MISSED by 0.5"),
    ],
)
def test_a_missed_bound_is_reported_prominently(bound: Bound, found: float, words: str) -> None:
    assert bound.distance(found) == words


def test_a_figure_that_was_not_measured_is_missed_at_once() -> None:
    with pytest.raises(KeyError):
        compare("deposit", {"peak_mb": 1.0})


@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("name", ["ours", "checking", "only checks"])
def test_both_readers_find_every_row_of_the_manifest(name: str, odd: bool, tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "manifest.checkm", 300, odd=odd)

    assert LOOPS[name](path, tmp_path / "out") == 300


def test_an_odd_row_is_no_copy_of_an_exact_one(tmp_path: Path) -> None:
    exact = write_manifest(tmp_path / "exact.checkm", 300, odd=False).read_text().splitlines()
    odd = write_manifest(tmp_path / "odd.checkm", 300, odd=True).read_text().splitlines()

    differing = [now for before, now in zip(exact, odd, strict=True) if before != now]
    assert len(differing) == 3
    assert any(line.count("|") < COLUMNS - 1 for line in differing)


def test_the_peer_is_pinned_where_it_is_installed_from() -> None:
    pinned = (ROOT / "requirements" / "bench.txt").read_text()

    assert {"celery", "cronsim", "pygeodiff", "redis", "py-spy"} <= set(
        re.findall(r"^([a-z-]+)==", pinned, re.MULTILINE)
    )
