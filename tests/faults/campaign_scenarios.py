"""The scenario of a campaign on three devices.

One device is offline at first and waits for its retry. Meanwhile a person pauses the campaign and
resumes it; then the device is tried again, and the campaign succeeds. The executions that slept
through both wake up and decide nothing.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from jobyard.domain.ids import campaign_id_of
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import NO_FAILURES, JobAddress, JobRecord
from jobyard.domain.jobs.job_type import Done, StepInput, StepResult
from jobyard.jobtypes.step_context import StepContext
from jobyard.services.campaigns import commands
from jobyard.services.campaigns.recovery import restart_overdue
from jobyard.services.context import CommandContext
from jobyard.store import campaigns, holds, jobs, tables
from tests.call_interceptor import Listener
from tests.faults.scenario import NOON, ScenarioRun
from tests.harness import ADMIN
from tests.scripted_devices import NAME, OFFLINE, scripted_devices

STEPS = ("reach", "upload", "apply", "verify")
PAUSED, RESUMED = NOON + timedelta(minutes=2), NOON + timedelta(minutes=8)
WORKER_LIVES = timedelta(minutes=15)  # at most
_Act = Callable[[CommandContext], object]


@dataclass
class CampaignScenario:
    """A scenario of a campaign whose second device fails once.

    `workers` are the last that did a step on each device, and when it began; `errors` are what may
    never happen.
    """

    scenario_run: ScenarioRun
    listeners: tuple[Listener, ...] = ()
    campaign_id: str = field(init=False)
    acts: deque[tuple[datetime, _Act]] = field(default_factory=deque)
    workers: dict[str, tuple[StepContext, datetime]] = field(default_factory=dict)
    done: Counter[tuple[str, str]] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.key = f"{self.scenario_run.name} starts a campaign"
        self.campaign_id = campaign_id_of(f"{ADMIN.sub}\n{self.key}".encode())
        self.targets = [f"{name}-{self.scenario_run.name}" for name in "ABC"]

    @contextmanager
    def prepared(self) -> Iterator[Mapping[str, str]]:
        """Register its job type; no campaign is due."""
        for item in tables.CampaignItem.scan():
            item.delete()
        machines = self.scenario_run.harness.machines
        with scripted_devices() as devices:
            devices.step = self._step  # type: ignore[method-assign]
            wait_until, machines._wait_until = machines._wait_until, self._wait_until
            try:
                yield {self.campaign_id: "CAMPAIGN", self.scenario_run.name: "RUN"}
            finally:
                machines._wait_until = wait_until

    # Devices

    def _step(self, name: str, step_input: StepInput, context: StepContext) -> StepResult:
        """Do a step on a device: the second device is offline until that has been recorded."""
        device = step_input.entry["id"].partition("-")[0]
        address = JobAddress.parse(step_input.job_id)
        assert address
        with self.scenario_run.harness.interceptor.muted():
            task = jobs.find(address)
        assert task
        self._check_alone(device, task, context)
        if PAUSED < context.now() < RESUMED:
            self.errors.append(f"{device}: {name} while it is paused")
        failures = {each.failure_code for each in task.attempts}
        if device == "B" and Failure.DEVICE_OFFLINE.value not in failures:
            return OFFLINE
        self.done[device, name] += 1
        return Done({name: f"of {device}"})

    def _check_alone(self, device: str, task: JobRecord, context: StepContext) -> None:
        """The last worker of a device must have ended its attempt, or have had time to die."""
        last, began = self.workers.get(device, (context, NOON))
        if last is not context:
            has_ended = any(each.ended_at and each.ended_at >= began for each in task.attempts)
            if not has_ended and context.now() < began + WORKER_LIVES:
                self.errors.append(f"{device}: two attempts at the same time")
        if last is not context or device not in self.workers:
            self.workers[device] = (context, context.now())

    # Events

    def play(self) -> None:
        """From the start to the end, and what the clock finds to do later."""
        scenario_run, campaign_id = self.scenario_run, self.campaign_id
        self.acts.append((PAUSED, lambda request: commands.pause(campaign_id, None, request)))
        self.acts.append((RESUMED, lambda request: commands.resume(campaign_id, request)))
        document = {
            "job_type": NAME,
            "kind": "fire_and_forget",
            "targets": self.targets,
            "expires_s": 7_200,
        }
        scenario_run.send_request(lambda request: commands.start(document, request), self.key)
        for _ in range(2):
            scenario_run.harness.advance(31 * 60)
            scenario_run.run_tick(self._tick)

    def _wait_until(self, until: datetime) -> None:
        """An execution waits; people act meanwhile."""
        harness = self.scenario_run.harness
        while self.acts and self.acts[0][0] <= until:
            at, act = self.acts.popleft()
            harness.wait_until(at)
            self.scenario_run.send_request(act)
        harness.wait_until(until)

    def _tick(self) -> object:
        harness = self.scenario_run.harness
        return restart_overdue(harness.executions, harness.now())

    # The result

    def _tasks(self) -> list[JobRecord]:
        places = range(len(self.targets))
        found = [jobs.find(JobAddress(self.campaign_id, 0, place)) for place in places]
        return [each for each in found if each]

    def end(self) -> dict[str, Any]:
        """What the tables contain in the end, without times and lost workers."""
        campaign = campaigns.get(self.campaign_id)
        hold = holds.find(f"campaign:{self.campaign_id}")
        tasks = dict(zip("ABC", self._tasks(), strict=True))
        repeated = [
            f"{device}: {step} was done {number} times"
            for (device, step), number in self.done.items()
            if number > 1 + tasks[device].orphan_count
        ]
        return {
            "state": campaign.state,
            "moves": [each.event for each in campaign.history if each.event not in _RESTS],
            "counts": {name: number for name, number in campaign.counts.items() if number},
            "is_lifted": hold is None or hold.lift is not None,
            "acts_left": len(self.acts),
            "errors": [*self.errors, *repeated],
            "tasks": {
                device: {
                    "state": task.state,
                    "code": task.failure_code,
                    "data": dict(task.data),
                    "steps": [(step.name, step.status) for step in task.steps],
                    "failures": [
                        each.failure_code
                        for each in task.attempts
                        if each.failure_code and each.failure_code not in NO_FAILURES
                    ],
                }
                for device, task in tasks.items()
            },
        }

    def histories(self) -> tuple[tuple[str, ...], ...]:
        """The events of each task."""
        return tuple(tuple(entry.event for entry in task.history) for task in self._tasks())

    @staticmethod
    def expect(end: Mapping[str, Any]) -> None:
        """All devices are done, one of them at its second attempt."""
        assert (end["state"], end["counts"]) == ("succeeded", {"succeeded": 3})
        assert end["moves"] == ["start", "succeed"]
        assert (end["is_lifted"], end["acts_left"], end["errors"]) == (True, 0, [])
        for device, task in end["tasks"].items():
            assert (task["state"], task["code"]) == ("succeeded", "")
            assert task["steps"] == [[step, "completed"] for step in STEPS]
            assert task["data"] == {step: f"of {device}" for step in STEPS}
        failures = [task["failures"] for task in end["tasks"].values()]
        assert failures == [[], [Failure.DEVICE_OFFLINE.value], []]


# A campaign with a lost worker is not paused: an attempt may still run.
_RESTS = frozenset({"pause", "resume"})
