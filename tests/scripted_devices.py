"""A job type for campaigns whose steps do on each device what a test says."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jobyard.domain.ids import Origin
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import labels_for
from jobyard.domain.jobs.job_type import Done, Fail, JobType, StepInput, StepResult
from jobyard.jobtypes import TYPES
from jobyard.jobtypes.step_context import StepContext

NAME = "scripted-device"
OFFLINE = Fail(Failure.DEVICE_OFFLINE, "no answer", retryable=True)
BROKEN = Fail(Failure.DEVICE_ERROR, "an error", retryable=True)
INCOMPATIBLE = Fail(Failure.INCOMPATIBLE, "another model")


@dataclass
class Devices:
    """The answers of each device, by `device step`, one call after the other; then it is done.

    `calls` are the devices and steps that were called, with the time. `during` is called first.
    `context` is the last step's.
    """

    answers: dict[str, list[StepResult]] = field(default_factory=lambda: defaultdict(list))
    always: dict[str, StepResult] = field(default_factory=dict)
    calls: list[tuple[str, str, datetime]] = field(default_factory=list)
    during: Callable[[str, str], None] = lambda _device, _step: None
    context: StepContext | None = None

    def step(self, name: str, step_input: StepInput, context: StepContext) -> StepResult:
        """Do the next thing on a device."""
        device = step_input.entry["id"]
        self.calls.append((device, name, context.now()))
        self.context = context
        self.during(device, name)
        key = f"{device} {name}"
        if key in self.always:
            return self.always[key]
        return self.answers[key].pop(0) if self.answers[key] else Done()

    def attempts(self, device: str) -> list[datetime]:
        """When the attempts on a device began."""
        return [at for each, step, at in self.calls if (each, step) == (device, "reach")]


def _anything(_parameters: object) -> None:
    """No parameters are wrong."""


@contextmanager
def scripted_devices(at_once: int | None = None) -> Iterator[Devices]:
    """The job type is there for a while."""
    devices = Devices()
    types: dict[str, JobType[Any]] = TYPES  # type: ignore[assignment]

    def step(name: str) -> tuple[str, Callable[[StepInput, StepContext], StepResult]]:
        return name, lambda step_input, context: devices.step(name, step_input, context)

    types[NAME] = JobType(
        NAME,
        "Scripted device",
        steps=tuple(map(step, ("reach", "upload", "apply", "verify"))),
        bound_steps=frozenset({"apply", "verify"}),
        context=StepContext,
        at_once=at_once,
        labels=labels_for("device"),
        origins=frozenset({Origin.CAMPAIGN}),
        check_parameters=_anything,
    )
    try:
        yield devices
    finally:
        del types[NAME]
