"""Benchmarks run with little input and return their bounded figures. No times are checked.

The quick ones run each time, the others by turns; with `--points all` all run.
"""

import importlib
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tests.tables
from benchmarks import edit, recurrence, throughput
from benchmarks.bounds import NAMES, compare
from benchmarks.recurrence import START
from benchmarks.stacks import LocalStack, local_stack
from cli.local.emulator import ROOT
from tests.built_layers import with_layers

pytestmark = pytest.mark.emulator

# Small values for the constants of each benchmark's module.
SMALL: dict[str, dict[str, Any]] = {
    "cost": {"JOBS": 20, "PLAIN_ITEMS": 2},
    "throughput": {"JOBS": 20, "WORKERS": 1, "RUNS": 1, "MILLION": 30, "SIZES": (20, 30)},
    "manifest": {"LINES": 300, "FEW": 100, "MANY": 2_000, "RUNS": 1},
    "coldstart": {"RUNS": 1, "HANDLERS": ("report.report", "api.handler", "web.handler")},
    "deposit": {"FILE_MB": 1, "RUNS": 1},
    "small_deposits": {"DEPOSITS": 30, "FILES": 5, "RUNS": 1},
    "recurrence": {"TIMES": 50, "ROUNDS": 1, "YEARS": 1, "ZONES": ("Europe/Dublin",)},
    "due": {"SCHEDULES": 3, "COST_SCHEDULES": 2},
    "report": {"SIZES": (250,), "SLICE_JOBS": 100},
    "pages": {"ENTRIES": 3_000, "SCHEDULES": 5, "RUNS": 1},
    "first_paint": {"JOBS": 2, "RUNS": 1},
    "campaign": {"TASKS": 30, "FEW": 3, "REST_TASKS": 2, "TICK": timedelta(days=3)},
    "rollout": {"TARGETS": 60, "PER_MINUTE": 25},
    "datasets": {"POINTS": 400, "FEW": 20},
    "edit": {"FEATURES": 120, "SMALL": 30, "LARGE": 1_200},
}
# Which benchmarks run on which day: those that share a local stack, or some without one.
BY_TURNS = (
    ("cost", "throughput", "due"),
    ("coldstart",),
    ("deposit", "pages"),
    ("campaign",),
    ("small_deposits", "first_paint"),
    ("rollout", "datasets"),
    ("edit",),
)
_HAS_PEERS = (ROOT / ".venv-bench").exists()


@dataclass(frozen=True)
class Nobody:
    """Stands in for a peer that is not installed."""

    redis: int = 1

    def run(self, tasks: int) -> float:
        """As if a chord had taken a second."""
        return 1.0

    def pool_cpu_s(self) -> float:
        """As if its processes had done something since."""
        return float(next(_ticks))

    parent_cpu_s = pool_cpu_s


_ticks = iter(range(10**6))


@contextmanager
def nobody(_workers: int) -> Iterator[Nobody]:
    yield Nobody()


@contextmanager
def no_cronsim() -> Iterator[None]:
    yield None


def as_we_say(_driver: None) -> tuple[float, Any]:
    """The last occurrence, as cronsim would compute it."""
    rule = recurrence.recurrence_of(recurrence.RULES["daily"])
    return 1.0, recurrence._walk(rule, START)[1]


@dataclass(frozen=True)
class Shared:
    """One local stack for all benchmarks, because starting it takes as long as the rest.

    `call_log` is the file in which its scheduler tick logs its calls.
    """

    local: LocalStack
    call_log: Path

    @contextmanager
    def with_a_quick_clock(self, *, call_log: Path) -> Iterator[LocalStack]:
        """The stack, with minutes of a second."""
        call_log.symlink_to(self.call_log)
        functions = self.local.client("lambda")
        listed = functions.list_functions()["Functions"]
        (clock,) = [
            each["FunctionName"] for each in listed if "SchedulerTick" in each["FunctionName"]
        ]
        over = threading.Event()

        def tick() -> None:
            while not over.wait(1.0):
                functions.invoke(FunctionName=clock, Payload=b"{}")

        ticking = threading.Thread(target=tick)
        ticking.start()
        try:
            yield self.local
        finally:
            over.set()
            ticking.join()

    @contextmanager
    def as_it_is(self, **_: Any) -> Iterator[LocalStack]:
        """The stack, whatever the benchmark wants."""
        yield self.local


@pytest.fixture(scope="module", autouse=True)
def _store_given_back() -> Iterator[None]:
    """Restore the store's binding: some benchmarks bind it to their own stack."""
    theirs = tests.tables.binding()
    yield
    tests.tables.rebind(theirs)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, layers: Path) -> Iterator[Shared]:
    call_log = tmp_path_factory.mktemp("notes") / "calls.jsonl"
    build = with_layers(tmp_path_factory.mktemp("build"), layers)
    with local_stack(call_log=call_log, build=build) as local:
        yield Shared(local, call_log)


@pytest.fixture
def small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark of that name with little input, without peers that are not installed."""
    name = request.param
    module = importlib.import_module(f"benchmarks.{name}")
    for constant, value in SMALL[name].items():
        assert hasattr(module, constant)
        monkeypatch.setattr(module, constant, value)
    if name in {"cost", "throughput", "first_paint", "small_deposits"}:
        monkeypatch.setattr(module, "local_stack", request.getfixturevalue("shared").as_it_is)
    if name == "due":
        stack = request.getfixturevalue("shared")
        monkeypatch.setattr(module, "local_stack", stack.with_a_quick_clock)
    if name == "first_paint":  # Playwright starts once in a process
        one_chromium = request.getfixturevalue("chromium")
        monkeypatch.setattr(module, "running_chromium", lambda: nullcontext(one_chromium))
    if name == "edit":  # a process of its own takes seconds to start
        monkeypatch.setattr(
            module, "_in_new_process", lambda function, *arguments: function(*arguments)
        )
    if name == "pages":  # a second deployment on moto in one process would end the first
        one = request.getfixturevalue("deployment")
        monkeypatch.setattr(module, "deployed", lambda: nullcontext(one))
    if not (_HAS_PEERS and shutil.which("redis-server")):
        monkeypatch.setattr(throughput, "peer", nobody)
    if not _HAS_PEERS:
        monkeypatch.setattr(recurrence, "cronsim", no_cronsim)
        monkeypatch.setattr(recurrence, "_cron", as_we_say)
        monkeypatch.setattr(edit, "peer", lambda *_: 1.0)
    return module


def names_of(turn: int) -> list[str]:
    """The benchmarks that run at a turn."""
    waiting = {name for group in BY_TURNS for name in group} - {*BY_TURNS[turn % len(BY_TURNS)]}
    return [name for name in NAMES if name not in waiting]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the benchmarks to run."""
    if "small" in metafunc.fixturenames:
        option = metafunc.config.option
        names = NAMES if option.points == "all" else names_of(option.turn)
        metafunc.parametrize("small", names, indirect=True)


def test_each_benchmark_runs_every_week() -> None:
    assert {name for turn in range(7) for name in names_of(turn)} == {*NAMES}


def test_a_benchmark_runs_and_gives_its_figures(small: ModuleType) -> None:
    figures = small.measure()

    assert compare(small.__name__.rpartition(".")[2], json.loads(json.dumps(figures)))


def test_every_module_that_measures_is_a_benchmark_that_is_run() -> None:
    found = {
        path.stem
        for path in Path(ROOT, "benchmarks").glob("*.py")
        if "def measure(" in path.read_text()
    }

    assert found == set(NAMES) == SMALL.keys()
