"""Runs a scenario with injected faults, and repeats its functions where AWS would."""

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
from tests.faults.fault_plans import AT_ONCE
from tests.faults.injection import Fault, FunctionDied, Injector, Point
from tests.harness import Harness, Payloads

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
# Errors after which a client, the clock or an event source tries again.
RETRIED_ERRORS = (FunctionDied, ClientError, BotoCoreError, PynamoDBException, StaleState)
_runs = count(1)
_baselines: dict[str, Mapping[str, Any]] = {}  # by scenario


@dataclass(frozen=True)
class ScenarioResult:
    """The result of a run, with names that are the same in each run, and the calls it made.

    `histories` are the events of each job, and of the schedule if there is one. A run that repeated
    work has more of them.
    """

    end: Mapping[str, Any]
    histories: tuple[tuple[str, ...], ...]
    points: tuple[Point, ...]
    injected: tuple[Point, ...]


class Scenario(Protocol):
    """A scenario of one batch or schedule: set-up, events, and an end to compare."""

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Listeners that get every call before the injector."""

    def prepared(self) -> AbstractContextManager[Mapping[str, str]]:
        """Set it up. Yields the names of this run and what they stand for."""

    def play(self) -> None:
        """Make all the calls into which faults may be injected."""

    def end(self) -> Any:
        """The result, in JSON."""

    def histories(self) -> tuple[tuple[str, ...], ...]:
        """The events of each job, and of the schedule if there is one."""

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
        trigger: Callable[..., Any] | None = None,
        scenario: str = "requeued",
    ) -> ScenarioResult:
        """Run a scenario with the faults of `plan`.

        `invoke` replaces how the machines invoke functions, `trigger` how events, ticks and
        requests do.
        """
        injector = Injector(plan or {}, send=self.send)
        scenario_run = ScenarioRun(self, injector, trigger or injector.trigger)
        self.harness.at = NOON
        self.harness.machines.invoke = invoke or injector.invoke
        return scenario_run.complete(self.scenarios[scenario](scenario_run))

    def baseline(self, scenario: str) -> Mapping[str, Any]:
        """How a scenario ends without faults; it runs once for all tests of this process."""
        if scenario not in _baselines:
            _baselines[scenario] = self.run(scenario=scenario).end
        return _baselines[scenario]

    def send(self, call: Call) -> None:
        """Make a call that no listener sees."""
        clients = {"s3": self.harness.s3, "dynamodb": tables.client()}
        client = clients.get(call.service, self.harness.machines)
        parameters = dict(call.parameters)
        body = parameters.get("Body")
        if hasattr(body, "read"):
            parameters["Body"] = body.read()
            body.seek(0)
        with self.harness.interceptor.muted():
            getattr(client, xform_name(call.operation))(**parameters)

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
        invoke, self.harness.machines.invoke = self.harness.machines.invoke, _invoke_once
        again = injector.again
        try:
            self.harness.machines.run("batch", "the-second", self.event)
        finally:
            self.harness.machines.invoke, injector.again = invoke, again


def _invoke_once(_name: str, function: Callable[[Any], Any], event: Any) -> Any:
    return function(event)


@dataclass
class ScenarioRun:
    """One run of a scenario, and how its functions are invoked."""

    runner: ScenarioRunner
    injector: Injector
    trigger: Callable[..., Any]
    name: str = field(default_factory=lambda: f"scenario-{next(_runs):05d}")
    request_count: int = 0

    @property
    def harness(self) -> Harness:
        """The deployment it runs on."""
        return self.runner.harness

    def complete(self, scenario: Scenario) -> ScenarioResult:
        """Run the scenario and collect its result."""
        injector = self.injector
        with scenario.prepared() as names:
            injector.names = dict(names)
            with self.harness.interceptor.listening(*scenario.listeners, injector):
                scenario.play()
            end = json.loads(self._named(json.dumps(scenario.end())))
            result = ScenarioResult(
                end, scenario.histories(), tuple(injector.points), tuple(injector.injected)
            )
        if not result.injected:
            scenario.expect(end)
        self.runner.clear()
        return result

    def _named(self, text: str) -> str:
        for name, meaning in self.injector.names.items():
            text = text.replace(name, meaning)
        return text

    def until_it_succeeds(self, work: Callable[[], Any]) -> None:
        """Call a function until it succeeds, as clients, the clock and event sources do."""
        for _ in range(AT_ONCE + 1):
            try:
                with self.injector.watching():
                    self.trigger(work)
            except RETRIED_ERRORS:
                continue
            return
        raise AssertionError(f"{AT_ONCE + 1} tries were not enough")

    def run_all(self) -> None:
        """Run every execution that was started."""
        with self.injector.watching():
            self.harness.machines.run_all()

    def send_request(self, command: Callable[[CommandContext], Any], key: str = "") -> None:
        """Send a person's request until it succeeds, then run the machines."""
        self.request_count += 1
        request = self.harness.context(key=key or f"request {self.request_count} of a scenario")
        self.until_it_succeeds(lambda: command(request))
        self.run_all()

    def run_tick(self, tick: Callable[[], Any]) -> None:
        """Run the tick until it succeeds, then the machines."""
        self.until_it_succeeds(tick)
        self.run_all()
