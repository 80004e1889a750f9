"""An edit job of FEATURES areas, which somebody else changed meanwhile; and a small one.

The dataset has FEATURES squares in a grid, with rules: valid geometry, no overlap. A worker takes
all of them. Then somebody commits another value of `x` of each, and the worker uploads another
`name` of each: the job merges the two, validates the result and commits it. Machines and services
are the real ones, on an emulator; each job runs in a process of its own.

- Seconds are of CPU of that process, without the emulator's, and of the clock.
- `writes_per_change` are the write units of the task that commits, with the job's own record.
- `small_commit_units` are the write units to the dataset's tables for CHANGED features of LARGE. If
  CHANGED features of SMALL need another number (`small_commit_units_of_small`), it fails.
- `growth_mb` and `package_reads` compare the memory and the reads of S3 for these two packages.
- The peer is geodiff's rebase of the same two edits in SQLite. `merge_ratio` is its CPU to ours,
  more is better; ours reads from S3 what was committed since the package was made.
"""

import json
import multiprocessing
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any
from unittest import mock

from benchmarks.datasets import reads_of
from benchmarks.devices import Stack, counted, emulator_with_tables
from benchmarks.output import Figures, main, say
from benchmarks.processes import peak_mb
from cli.local.emulator import ROOT
from jobyard.domain.datasets.changes import changes_between
from jobyard.domain.datasets.feature import Feature
from jobyard.services.context import Actor, CommandContext
from jobyard.services.datasets import readers
from jobyard.services.datasets.commit import commit
from jobyard.services.edits import check
from tests.edit_stories import ANNA, EditStory, square
from tests.harness import ADMIN
from tests.services.datasets.datasets import context_of, origin, point

FEATURES = 10_000
SMALL = 10_000
LARGE = 1_000_000
CHANGED = 10
RULES = ({"rule": "geometry"}, {"rule": "no_overlap"})
_COLUMNS = 100  # of the grid of squares
_DATASET_TABLES = ("datasets", "commits", "versions")
_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
_DRIVER = ROOT / "benchmarks" / "geodiff" / "drive.py"
_STAGES = ("package", "read", "merge", "validate", "commit")


class WrongEdit(Exception):
    """An edit job ended with something else than it should."""


class EditIn(EditStory):
    """What people do in a dataset that is there already."""

    def __init__(self, stack: Stack, dataset: str) -> None:
        self.harness = stack
        self.dataset = dataset
        self.context = context_of(stack)


@dataclass
class MeasuredEdit:
    """An edit job that ran in a process of its own: seconds of CPU and of the clock of each stage,
    write units of its commit by table, reads of S3 for its package, the process's peak memory.
    """

    cpu_s: dict[str, float] = field(default_factory=dict)
    clock_s: dict[str, float] = field(default_factory=dict)
    units: dict[str, float] = field(default_factory=dict)
    reads: int = 0
    peak_mb: float = 0.0

    @property
    def dataset_units(self) -> float:
        """Write units for the dataset."""
        return sum(self.units.get(table, 0.0) for table in _DATASET_TABLES)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Time the block; only the first block of a stage counts."""
        began, cpu = time.perf_counter(), time.process_time()
        yield
        self.cpu_s.setdefault(stage, time.process_time() - cpu)
        self.clock_s.setdefault(stage, time.perf_counter() - began)


def measure() -> Figures:
    """Seconds, write units and memory of edit jobs, and their merge compared with geodiff's."""
    with emulator_with_tables() as endpoint:
        _in_new_process(_make, endpoint, "areas", FEATURES)
        _in_new_process(_make, endpoint, "small", SMALL)
        _in_new_process(_make, endpoint, "large", LARGE)
        ran: MeasuredEdit = _in_new_process(_edit_all, endpoint)
        small: MeasuredEdit = _in_new_process(_edit_few, endpoint, "small")
        large: MeasuredEdit = _in_new_process(_edit_few, endpoint, "large")
    for stage in _STAGES:
        say(f"{stage:>9}: {ran.cpu_s[stage]:.2f} s of CPU, {ran.clock_s[stage]:.1f} s")
    if small.dataset_units != large.dataset_units:
        raise WrongEdit(f"{small.units} units in a small dataset, {large.units} in a large one")
    theirs_s = peer(*map(_rows, _versions()))
    say(f"geodiff: {theirs_s:.3f} s of CPU")
    return {
        "features": FEATURES,
        "writes_per_change": round(sum(ran.units.values()) / FEATURES, 4),
        "small_commit_units": large.dataset_units,
        "small_commit_units_of_small": small.dataset_units,
        "small_job_units": sum(large.units.values()),
        "package_reads": large.reads,
        "package_reads_of_small": small.reads,
        "growth_mb": round(large.peak_mb - small.peak_mb, 1),
        "peak_mb": round(ran.peak_mb, 1),
        "merge_ratio": round(theirs_s / ran.cpu_s["merge"], 3),
        "geodiff_cpu_s": round(theirs_s, 3),
        **{f"{stage}_cpu_s": round(ran.cpu_s[stage], 3) for stage in _STAGES},
        **{f"{stage}_s": round(ran.clock_s[stage], 2) for stage in _STAGES},
    }


def _in_new_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def _make(endpoint: str, name: str, size: int) -> None:
    """Make a dataset: squares with rules, or points without."""
    features, rules = (_squares(), RULES) if name == "areas" else (map(_point, range(size)), ())
    EditStory(Stack(endpoint), features, rules, name)


def _squares(name: str = "old", x: int = 0) -> Iterator[Feature]:
    for number in range(FEATURES):
        row, column = divmod(number, _COLUMNS)
        west, south = column / 10, row / 10
        yield square(str(number), west, south, 0.09, name=f"{name} {number}", x=x)


def _point(number: int) -> Feature:
    row, column = divmod(number, 1000)
    return point(str(number), column * 0.3 - 150, row * 0.1 - 50, name=f"point {number}")


def _versions() -> tuple[list[Feature], list[Feature], list[Feature]]:
    """The base, mine and theirs."""
    return [*_squares()], [*_squares(name="new")], [*_squares(x=1)]


def _rows(features: Sequence[Feature]) -> list[list[Any]]:
    return [
        [int(each.feature_id), *each.properties.values(), json.dumps(each.geometry)]
        for each in features
    ]


def _edit_all(endpoint: str) -> MeasuredEdit:
    """The worker changes all squares, which somebody else changed since."""
    stack = TimedStack(endpoint, "areas")
    story = EditIn(stack, "areas")
    edit_id = _taken(story, {"box": [-180, -90, 180, 90]})
    base, mine, theirs = ({each.feature_id: each for each in some} for some in _versions())
    commit("areas", 1, changes_between(base, theirs), origin(9), story.context)
    story.upload(edit_id, *mine.values())
    stack.ran.peak_mb = peak_mb()
    _expect(story, edit_id, 3)
    live = readers.features_at(readers.head("areas"), 3, [str(FEATURES - 1)], story.context)
    ((_, feature),) = live.items()
    if dict(feature.properties) != {"name": f"new {FEATURES - 1}", "x": 1}:
        raise WrongEdit(f"merged to {feature.properties}")
    return stack.ran


def _edit_few(endpoint: str, name: str) -> MeasuredEdit:
    """The worker changes some points of a dataset."""
    stack = TimedStack(endpoint, name)
    story = EditIn(stack, name)
    after = [replace(_point(number), properties={"name": "new"}) for number in range(CHANGED)]
    edit_id = _taken(story, {"box": [-150, -50, -150 + 0.3 * (CHANGED - 0.5), -49.95]})
    story.upload(edit_id, *after)
    stack.ran.peak_mb = peak_mb()
    _expect(story, edit_id, 2)
    return stack.ran


def _taken(story: EditIn, extent: dict[str, Any]) -> str:
    edit_id = story.propose(extent)
    story.allocate(edit_id)
    story.take(edit_id, ANNA)
    return edit_id


def _expect(story: EditIn, edit_id: str, revision: int) -> None:
    job = story.edit(edit_id)
    if (job.state, job.revision) != ("completed", revision):
        raise WrongEdit(f"{job.state}, revision {job.revision}: {job.problem}")


class TimedStack(Stack):
    """A stack that measures the tasks of one edit job."""

    def __init__(self, endpoint: str, dataset: str) -> None:
        super().__init__(endpoint)
        self.ran = MeasuredEdit()
        self._keys = (f"{dataset}-{number}" for number in count())

    def context(
        self, person: Actor = ADMIN, key: str = "", reason: str = "because"
    ) -> CommandContext:
        """A request, whose key repeats none of another process."""
        return super().context(person, key or next(self._keys), reason)

    def prepare_edit(self, event: dict[str, Any]) -> dict[str, Any]:
        """The Prepare state's function."""
        stage = "read" if event["task"] == "read" else "package"
        with reads_of(self) as reads, self.ran.timed(stage):
            done = super().prepare_edit(event)
        self.ran.reads = self.ran.reads or reads[0]
        return done

    def check_edit(self, event: dict[str, Any]) -> dict[str, Any]:
        """The Check state's function."""
        with self._part("merge", "reconcile"), self._part("validate", "validate_changes"):
            return super().check_edit(event)

    def commit_edit(self, event: dict[str, Any]) -> dict[str, Any]:
        """The function of the Commit state, and of those after it."""
        with counted() as calls, self.ran.timed("commit"):
            done = super().commit_edit(event)
        self.ran.units = self.ran.units or dict(calls.written)
        return done

    def _part(self, stage: str, name: str) -> AbstractContextManager[Any]:
        """Measure a function of the check."""
        function = getattr(check, name)

        def run(*arguments: Any) -> Any:
            with self.ran.timed(stage):
                return function(*arguments)

        return mock.patch.object(check, name, run)


def peer(base: list[list[Any]], mine: list[list[Any]], theirs: list[list[Any]]) -> float:
    """Seconds of CPU of geodiff's merge of the same two edits.

    Raises:
        WrongEdit: it merged them to something else than we do.
    """
    subprocess.run([str(ROOT / "requirements" / "install"), "bench"], check=True)
    with tempfile.TemporaryDirectory(prefix="jobyard-bench-") as folder:
        request = {"folder": folder, "base": base, "mine": mine, "theirs": theirs}
        done = subprocess.run(
            [str(_PYTHON), str(_DRIVER)],
            input=json.dumps(request),
            capture_output=True,
            check=True,
            text=True,
        )
    answer = json.loads(done.stdout.splitlines()[-1])
    expected = [[*my[:2], their[2], my[3]] for my, their in zip(mine, theirs, strict=True)]
    if answer["conflicts"] or answer["merged"] != expected:
        raise WrongEdit(f"geodiff has {answer['conflicts']} conflicts, or other values")
    return float(answer["seconds"])


if __name__ == "__main__":
    main("edit", measure)
