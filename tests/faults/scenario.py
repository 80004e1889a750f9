"""Where a story is told, call by call, and how its functions are woken when calls go wrong."""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, Protocol

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.exceptions import PynamoDBException

from jobyard.domain.errors import StaleState
from jobyard.services.context import CommandContext
from jobyard.store import tables
from tests.call_interceptor import Call, Listener
from tests.faults.injection import Fault, FunctionDied, Injector, Point
from tests.harness import Harness, Payloads

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
# What becomes of a request when AWS fails it, and makes its sender repeat it.
FAILED = (FunctionDied, ClientError, BotoCoreError, PynamoDBException, StaleState)
_runs = count(1)


@dataclass(frozen=True)
class ScenarioResult:
    """What came of a telling, in names that are the same each time; and the calls it took.

    `histories` are the events of each job, and of the schedule if there is one; a telling in which
    work was done again has more.
    """

    end: Mapping[str, Any]
    histories: tuple[tuple[str, ...], ...]
    points: tuple[Point, ...]
    hit: tuple[Point, ...]


class Scenario(Protocol):
    """What is told: it begins with something there, then things happen, and it comes to an end."""

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Who hears every call beside the fate that strikes it, and first."""

    def begun(self) -> AbstractContextManager[Mapping[str, str]]:
        """What it is about is there; the names of this telling, and what they mean."""

    def happen(self) -> None:
        """Tell it, from the first call that may be struck to the last."""

    def end(self) -> Any:
        """What came of it, in JSON."""

    def histories(self) -> tuple[tuple[str, ...], ...]:
        """The events of each job, and of what else has a history of the machine's doing."""

    @staticmethod
    def expect(end: Mapping[str, Any]) -> None:
        """Assert what holds at the end of a run without faults."""


@dataclass
class ScenarioRunner:
    """Runs scenarios one after the other, each from noon on and with names of its own."""

    harness: Harness
    payloads: Payloads
    scenarios: Mapping[str, "Callable[[ScenarioRun], Scenario]"]
    event: dict[str, Any] = field(default_factory=dict)

    def run(
        self,
        plan: Mapping[Point, Fault] | None = None,
        invoke: Callable[..., Any] | None = None,
        wake: Callable[..., Any] | None = None,
        scenario: str = "mended",
    ) -> ScenarioResult:
        """Run a scenario with the faults of `plan`.

        `invoke` replaces how the machines invoke functions, `wake` how events, clock and requests
        do.
        """
        injector = Injector(plan or {}, send=self.send)
        scenario_run = ScenarioRun(self, injector, wake or injector.wake)
        self.harness.at = NOON
        self.harness.machines.invoke = invoke or injector.invoke
        return scenario_run.complete(self.scenarios[scenario](scenario_run))

    def send(self, call: Call) -> None:
        """Make a call that no listener sees."""
        clients = {"s3": self.harness.s3, "dynamodb": tables.client()}
        client = clients.get(call.service, self.harness.machines)
        asked = dict(call.parameters)
        body = asked.get("Body")
        if hasattr(body, "read"):
            asked["Body"] = body.read()
            body.seek(0)
        with self.harness.interceptor.muted():
            getattr(client, xform_name(call.operation))(**asked)

    def clear(self) -> None:
        """Empty the buckets for the next run."""
        s3 = self.harness.s3
        for bucket in ("archive", "work"):
            for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                gone = [
                    {"Key": each["Key"], "VersionId": each["VersionId"]}
                    for kind in ("Versions", "DeleteMarkers")
                    for each in page.get(kind, ())
                ]
                if gone:
                    s3.delete_objects(Bucket=bucket, Delete={"Objects": gone, "Quiet": True})

    def execute_again(self, injector: Injector) -> None:
        """Run a second execution for the current run's event."""
        invoke, self.harness.machines.invoke = self.harness.machines.invoke, _plainly
        again = injector.again
        try:
            self.harness.machines.run("batch", "the-second", self.event)
        finally:
            self.harness.machines.invoke, injector.again = invoke, again


def _plainly(_name: str, function: Callable[[Any], Any], handed: Any) -> Any:
    return function(handed)


@dataclass
class ScenarioRun:
    """One run of a scenario, and how its functions are invoked."""

    runner: ScenarioRunner
    injector: Injector
    wake: Callable[..., Any]
    name: str = field(default_factory=lambda: f"scenario-{next(_runs):05d}")
    asked: int = 0

    @property
    def harness(self) -> Harness:
        """The deployment it runs on."""
        return self.runner.harness

    def complete(self, scenario: Scenario) -> ScenarioResult:
        """Run the scenario and collect its result."""
        injector = self.injector
        with scenario.begun() as names:
            injector.names = dict(names)
            with self.harness.interceptor.listening(*scenario.listeners, injector):
                scenario.happen()
            end = json.loads(self._named(json.dumps(scenario.end())))
            result = ScenarioResult(
                end, scenario.histories(), tuple(injector.points), tuple(injector.hit)
            )
        if not result.hit:
            scenario.expect(end)
        self.runner.clear()
        return result

    def _named(self, text: str) -> str:
        for name, meaning in self.injector.names.items():
            text = text.replace(name, meaning)
        return text

    def persist(self, work: Callable[[], Any]) -> None:
        """Wake a function until it ends well: a client repeats its request, the clock comes again,
        an event is delivered again."""
        for _ in range(4):
            try:
                with self.injector.watching():
                    self.wake(work)
            except FAILED:
                continue
            return
        raise AssertionError("four tries were not enough")

    def run_all(self) -> None:
        """Run every execution that was started."""
        with self.injector.watching():
            self.harness.machines.run_all()

    def ask(self, ask: Callable[[CommandContext], Any], key: str = "") -> None:
        """A person asks, until it is answered; then the machines run."""
        self.asked += 1
        request = self.harness.context(key=key or f"request {self.asked} of a scenario")
        self.persist(lambda: ask(request))
        self.run_all()

    def wake_minute(self, minute: Callable[[], Any]) -> None:
        """The clock's function does its work; then the machines run."""
        self.persist(minute)
        self.run_all()
