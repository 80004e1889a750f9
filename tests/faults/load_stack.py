"""The load test's own stack: its workers are killed, and so is the emulator, once."""

import os
import random
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.project import with_noop
from cli.local import clients, demo_collections, demo_users, deployment, emulator
from cli.local.emulator import Emulator
from cli.local.stack import Stack
from jobyard.store import tables
from tests.built_layers import with_layers


def with_counting(target: Path) -> Path:
    """Copy the files of a deployment to `target`, with the job type of tests/faults/counting."""
    root = with_noop(target)
    types = root / "layers" / "jobyard" / "jobyard" / "jobtypes"
    counting = Path(__file__).with_name("counting")
    shutil.copytree(counting, types / "counting", ignore=shutil.ignore_patterns("__pycache__"))
    registry = types / "__init__.py"
    imported = "from jobyard.jobtypes.deposit import DEPOSIT\n"
    listed = "    DEPOSIT.name: DEPOSIT,\n"
    registry.write_text(
        registry.read_text()
        .replace(imported, f"from jobyard.jobtypes.counting import COUNTING\n{imported}")
        .replace(listed, f"    COUNTING.name: COUNTING,\n{listed}")
    )
    return root


@dataclass
class LoadStack:
    """The running emulator, and the stack on it; `names` are physical names by logical id."""

    emulator: Emulator
    stack: Stack
    names: Mapping[str, str]
    ending: tuple[datetime, datetime] | None = None  # when it was stopped, and had ended

    def client(self, service: str) -> Any:
        """A client of the emulator's root."""
        return clients.client(service, self.emulator.endpoint)

    def kill_and_start(self) -> None:
        """End the emulator at any moment, and start it with the same state.

        By SIGTERM, not SIGKILL: the emulator keeps its data in memory, and saves all of it after it
        has stopped listening. Killed outright it would lose writes that it had acknowledged, which
        AWS never does. For Jobyard it is as hard: executions, workers and events die wherever they
        are.
        """
        home, ports = self.emulator.home, (self.emulator.port, self.emulator.web_port)
        stopped = datetime.now(UTC)
        emulator.stop(home, save_s=600)
        self.ending = stopped, datetime.now(UTC)
        self.emulator = emulator.start(home, *ports, persist=True)


@contextmanager
def load_stack(home: Path, layers: Path, *, chunk_size: int) -> Iterator[LoadStack]:
    """Deploy the project with the counting job type to an emulator that keeps its state.

    `layers` are the built ones.
    """
    started = emulator.start(home, emulator.free_port(), persist=True)
    try:
        values = deployment.parameters(started, emulator.free_port())
        stack = deployment.deploy(
            started.endpoint,
            values | {"ChunkSize": str(chunk_size), "MaxConcurrency": "2"},
            build=with_layers(home / "build", layers),
            root=with_counting(home / "project"),
        )
        cognito = clients.client("cognito-idp", started.endpoint)
        demo_users.ensure(cognito, stack.user_pool)
        demo_collections.ensure(cognito, stack, ["load"])
        yield LoadStack(started, stack, names_of(started, stack))
    finally:
        emulator.stop(home)


def names_of(running: Emulator, stack: Stack) -> dict[str, str]:
    """The physical names of a stack's resources by logical id."""
    resources = clients.client("cloudformation", running.endpoint).describe_stack_resources(
        StackName=stack.name
    )["StackResources"]
    return {row["LogicalResourceId"]: row["PhysicalResourceId"] for row in resources}


@contextmanager
def store_of(load: LoadStack) -> Iterator[None]:
    """Bind the store to this stack's tables for the block."""
    before = {noun: model.Meta.table_name for noun, model in tables.MODELS.items()}
    host = getattr(tables.JobItem.Meta, "host", None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", clients.KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", clients.KEY)
        names = {noun: load.names[f"{noun.capitalize()}Table"] for noun in tables.MODELS}
        tables.bind(names, region=clients.REGION, host=load.emulator.endpoint)
        yield
        if host is not None:
            tables.bind(before, region=clients.REGION, host=host)


class Reaper:
    """Kills a Lambda worker of the emulator now and then, but none before the last one was
    replaced: otherwise a busy machine would only restart workers.

    `pause` is the shortest and the longest time between two, in seconds; `seed` decides each pause
    and which workers die.
    """

    def __init__(self, load: LoadStack, pause: tuple[float, float], seed: int) -> None:
        self.killed = 0
        self._pause = pause
        self._load = load
        self._random = random.Random(seed)
        self._pausing = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._reap, name="reaper", daemon=True)

    def __enter__(self) -> "Reaper":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Kill no worker in the block."""
        with self._pausing:
            yield

    def _reap(self) -> None:
        while not self._over.wait(self._random.uniform(*self._pause)):
            with self._pausing:
                found = workers_of(self._load.emulator.pid)
                if found and all(has_begun(pid) for pid in found):
                    try:
                        os.kill(self._random.choice(found), signal.SIGKILL)
                    except ProcessLookupError:
                        continue  # it has ended by itself
                    self.killed += 1


def workers_of(pid: int) -> list[int]:
    """The Lambda workers among the children of the emulator's process, in order."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=", "-o", "ppid=", "-o", "args="],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = (line.split(None, 2) for line in listed.splitlines())
    return sorted(
        int(row[0])
        for row in rows
        if len(row) == 3 and int(row[1]) == pid and "ministack-lambda" in row[2]
    )


def has_begun(pid: int) -> bool:
    """Whether a worker has talked to the emulator, which a starting one has not. True where the
    system does not show it.

    If a starting worker ends, the emulator ends all others of its function too, and so on. AWS does
    not.
    """
    try:
        links = [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return not Path("/proc/self/fd").exists()
    return any(link.startswith("socket:") for link in links)
