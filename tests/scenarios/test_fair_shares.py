"""Batches share the workers: in simulated time, with the real Open, Settle and job source.

A simulated worker runs 25 jobs at a time, as the runner does. Each takes `JOB_S` seconds.
"""

import heapq
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from jobyard.domain.jobs.job_type import Done
from jobyard.jobtypes import job_type_of
from jobyard.services.batches.chunk_source import ChunkSource
from jobyard.services.jobs.attempt import AttemptResult, after_attempt, after_start
from jobyard.services.jobs.runner import CONCURRENT_JOBS
from jobyard.services.jobs.source import DueJob
from jobyard.services.machines.inputs import ChunkInput
from jobyard.store import batches, worker_leases
from tests.harness import Harness, Payloads, single_files

JOB_S = 20.0  # of each job, but for those of a batch with `quick` in its name
_REFRESH_S = 2.0


@dataclass
class Pass:
    """A pass of an execution: its state, the chunks to run, how many run."""

    state: dict[str, Any]
    lines: deque[dict[str, Any]]
    running: int = 0


@dataclass
class Simulation:
    """A deployment whose executions run at the same time."""

    harness: Harness
    began: datetime = field(init=False)
    started: dict[str, float] = field(default_factory=dict)  # the first job, by execution
    ended: dict[str, float] = field(default_factory=dict)
    workers: int = 0
    most_workers: int = 0
    passes: int = 0
    _events: list[tuple[datetime, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: Any = field(default_factory=count)

    def __post_init__(self) -> None:
        self.began = self.harness.now()

    @property
    def seconds(self) -> float:
        """The simulated time since the beginning."""
        return (self.harness.now() - self.began).total_seconds()

    def at(self, moment: datetime, act: Callable[[], None]) -> None:
        """Do something at a time, or now if that is over."""
        heapq.heappush(self._events, (max(moment, self.harness.now()), next(self._numbers), act))

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something after a while."""
        self.at(self.harness.now() + timedelta(seconds=seconds), act)

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Let time pass until nothing happens any more, or something is true."""
        while self._events and not until():
            moment, _, act = heapq.heappop(self._events)
            self.harness.wait_until(moment)
            act()

    def submit(self, name: str, jobs: int, collection: str, payloads: Payloads) -> None:
        """Upload a manifest, whose execution is called `name`."""
        files = {f"{number}.txt": b"x" for number in range(jobs)}
        manifest = single_files(payloads, files)
        event = self.harness.upload(manifest, name=f"{name}.checkm", collection=collection)
        state = self.harness.open({"input": event, "execution": name})
        self._continue(name, state)

    def _continue(self, name: str, state: dict[str, Any]) -> None:
        until = datetime.strptime(state["until"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        match state["next"]:
            case "execute" | "next_pass":
                self.at(until, lambda: self._pass(name, state))
            case "settle" | "settle_later":
                self.at(until, lambda: self._settle(name, state))
            case _:
                self.ended[name] = self.seconds

    def _settle(self, name: str, state: dict[str, Any]) -> None:
        self._continue(name, self.harness.settle(state))

    def _pass(self, name: str, state: dict[str, Any]) -> None:
        self.passes += 1
        body = self.harness.s3.get_object(Bucket=state["index_bucket"], Key=state["index_key"])
        lines = deque(json.loads(line) for line in body["Body"].read().splitlines())
        self._start_children(name, Pass(state, lines))

    def _start_children(self, name: str, current: Pass) -> None:
        while current.lines and current.running < current.state["max_concurrency"]:
            current.running += 1
            self.workers += 1
            self.most_workers = max(self.most_workers, self.workers)
            self._start_worker(name, current, current.lines.popleft())

    def _start_worker(self, name: str, current: Pass, line: dict[str, Any]) -> None:
        request = ChunkInput.of({**current.state, "line": line})
        batch = batches.get(request.origin_id, self.harness.now())
        worker = self.harness.worker()
        source = ChunkSource.read(batch, request.chunk, request.run, worker)
        self._wave(name, current, source, deque(source.due()))

    def _wave(self, name: str, current: Pass, source: ChunkSource, todo: deque[DueJob]) -> None:
        """Start jobs and end them; then the next ones, unless the worker has to stop."""
        now = self.harness.now()
        taken = [todo.popleft() for _ in range(min(CONCURRENT_JOBS, len(todo)))]
        if source.is_stopped or not taken:
            source.finish([*taken, *todo])
            self.workers -= 1
            current.running -= 1
            if current.lines:
                self._start_children(name, current)
            elif not current.running:
                self._settle(name, current.state)
            return
        self.started.setdefault(name, self.seconds)
        cause = source.run.cause
        running = source.write(
            [
                (due.job.stored, after_start(due.job, now, cause(due.job.address, 1)))
                for due in taken
            ]
        )

        def end() -> None:
            deposit = job_type_of("deposit")
            ends = [
                (
                    job,
                    after_attempt(
                        AttemptResult(job, Done()), deposit, self.harness.now(), job.cause
                    ),
                )
                for job in running
                if job
            ]
            source.write(ends)
            source.refresh()
            self._wave(name, current, source, todo)

        job_s = 1.0 if "quick" in name else JOB_S
        for refreshed in range(1, int(job_s / _REFRESH_S)):
            if refreshed % 5 == 0:
                self.after(refreshed * _REFRESH_S, source.refresh)
        self.after(job_s, end)


@pytest.fixture
def stack(harness: Harness) -> Harness:
    harness.settings = replace(harness.settings, chunk_size=100, max_concurrency=4, max_workers=8)
    return harness


@pytest.mark.parametrize("collection", ["books", "maps"])
def test_a_batch_of_one_job_starts_within_seconds_behind_sixteen_large_ones(
    stack: Harness, payloads: Payloads, collection: str
) -> None:
    simulation = Simulation(stack)
    for number in range(16):
        simulation.submit(f"large-{number}", 400, "maps", payloads)
    simulation.run(until=lambda: simulation.seconds >= 10)
    submitted_at = simulation.seconds

    simulation.submit("small", 1, collection, payloads)
    simulation.run(until=lambda: "small" in simulation.ended)

    waited = simulation.started["small"] - submitted_at
    assert waited <= 5
    assert simulation.most_workers <= 8


def test_every_batch_ends_however_few_workers_there_are(stack: Harness, payloads: Payloads) -> None:
    stack.settings = replace(stack.settings, chunk_size=2, max_workers=2)
    simulation = Simulation(stack)
    for collection in ("maps", "books", "ch"):
        for number in range(2):
            simulation.submit(f"{collection}-{number}", 5, collection, payloads)

    simulation.run()

    assert len(simulation.ended) == 6
    assert simulation.most_workers <= 2
    assert worker_leases.get().leases == {}
