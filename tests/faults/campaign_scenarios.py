"""The scenarios of campaigns.

In the first, one of three devices is offline at first and waits for its retry. Meanwhile a person
pauses the campaign and resumes it; then the device is tried again, and the campaign succeeds. The
executions that slept through both wake up and decide nothing.

In the second a campaign starts at a rate that grows, until it puts itself on hold because of a
device of another model. A person releases it, its window closes, and another campaign replaces it,
which a person cancels in the end.
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
from tests.scripted_devices import INCOMPATIBLE, NAME, OFFLINE, scripted_devices

STEPS = ("reach", "upload", "apply", "verify")
PAUSED, RESUMED = NOON + timedelta(minutes=2), NOON + timedelta(minutes=8)
CLOSES = NOON + timedelta(hours=2)
PER_MINUTE = 2
WORKER_LIVES = timedelta(minutes=15)  # at most
NOTICES = timedelta(seconds=10)  # how late a worker may notice a hold
_Act = Callable[[], object]
# A campaign with a lost worker is not paused: an attempt may still run.
_RESTS = frozenset({"pause", "resume"})


def minutes(number: float) -> datetime:
    """So many minutes after noon."""
    return NOON + timedelta(minutes=number)


@dataclass
class CampaignStory:
    """What the scenarios of campaigns share: devices, which check who works on them, and acts.

    `workers` are the last that did a step on each device, its task, and when it began; `errors` are
    what may never happen.
    """

    scenario_run: ScenarioRun
    listeners: tuple[Listener, ...] = ()
    acts: deque[tuple[datetime, _Act]] = field(default_factory=deque)
    workers: dict[str, tuple[StepContext, JobAddress, datetime]] = field(default_factory=dict)
    done: Counter[tuple[str, str]] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)

    def key(self, number: int) -> str:
        """The key of the request that starts the campaign number `number`."""
        return f"{self.scenario_run.name} starts campaign {number}"

    def campaign_id(self, number: int) -> str:
        """The id of that campaign."""
        return campaign_id_of(f"{ADMIN.sub}\n{self.key(number)}".encode())

    def targets(self, devices: str) -> list[str]:
        """The targets that are these devices, a letter each."""
        return [f"{device}-{self.scenario_run.name}" for device in devices]

    def start(self, number: int, devices: str, **fields: Any) -> None:
        """Start a campaign on devices."""
        document = {"job_type": NAME, "targets": self.targets(devices), **fields}
        self.scenario_run.send_request(
            lambda request: commands.start(document, request), self.key(number)
        )

    @contextmanager
    def prepared(self) -> Iterator[Mapping[str, str]]:
        """Register the job type; no campaign is due."""
        for item in tables.CampaignItem.scan():
            item.delete()
        machines = self.scenario_run.harness.machines
        with scripted_devices() as devices:
            devices.step = self._step  # type: ignore[method-assign]
            wait_until, machines._wait_until = machines._wait_until, self._wait_until
            try:
                yield {
                    self.campaign_id(1): "CAMPAIGN",
                    self.campaign_id(2): "SECOND",
                    self.scenario_run.name: "RUN",
                }
            finally:
                machines._wait_until = wait_until

    # Devices

    def _step(self, name: str, step_input: StepInput, context: StepContext) -> StepResult:
        """Do a step on a device, and check that it may be done now."""
        device = step_input.entry["id"].partition("-")[0]
        address = JobAddress.parse(step_input.job_id)
        assert address
        self._check_alone(device, address, context)
        with self.scenario_run.harness.interceptor.muted():
            result = self._result(device, name, address, context.now())
        if isinstance(result, Done):
            self.done[device, name] += 1
        return result

    def _result(self, device: str, step: str, address: JobAddress, at: datetime) -> StepResult:
        raise NotImplementedError

    def _check_alone(self, device: str, address: JobAddress, context: StepContext) -> None:
        """The last worker of a device must have ended its attempt, or have had time to die."""
        last, worked_on, began = self.workers.get(device, (context, address, NOON))
        if last is not context:
            with self.scenario_run.harness.interceptor.muted():
                task = jobs.find(worked_on)
            assert task
            has_ended = any(each.ended_at and each.ended_at >= began for each in task.attempts)
            if not has_ended and context.now() < began + WORKER_LIVES:
                self.errors.append(f"{device}: two attempts at the same time")
        if last is not context or device not in self.workers:
            self.workers[device] = (context, address, context.now())

    # Events

    def _wait_until(self, until: datetime) -> None:
        """An execution waits; people act meanwhile."""
        harness = self.scenario_run.harness
        while self.acts and self.acts[0][0] <= until:
            at, act = self.acts.popleft()
            harness.wait_until(at)
            act()
        harness.wait_until(until)

    def send(self, command: Callable[[CommandContext], object]) -> _Act:
        """An act: a person sends that."""
        return lambda: self.scenario_run.send_request(command)

    def run_ticks(self, seconds: float, number: int) -> None:
        """Run a tick after so many seconds, twice or until all has been done and ended."""
        harness = self.scenario_run.harness
        for count in range(number):
            if count >= 2 and not self.acts and not self._open_campaigns():
                break
            harness.advance(seconds)
            self.scenario_run.run_tick(lambda: restart_overdue(harness.executions, harness.now()))

    def _open_campaigns(self) -> list[str]:
        with self.scenario_run.harness.interceptor.muted():
            return [each.campaign_id for each in campaigns.newest(10).items if each.is_open]

    # The result

    def _tasks(self, number: int) -> list[JobRecord]:
        campaign = campaigns.get(self.campaign_id(number))
        places = range(campaign.tasks)
        found = [jobs.find(JobAddress(campaign.campaign_id, 0, place)) for place in places]
        return [each for each in found if each]

    def _end_of(self, number: int, devices: str) -> dict[str, Any]:
        """How a campaign has ended, without times and lost workers."""
        campaign = campaigns.get(self.campaign_id(number))
        hold = holds.find(f"campaign:{campaign.campaign_id}")
        tasks = dict(zip(devices, self._tasks(number), strict=True))
        repeated = [
            f"{device}: {step} was done {count} times"
            for (device, step), count in self.done.items()
            if device in tasks and count > 1 + tasks[device].orphan_count
        ]
        return {
            "state": campaign.state,
            "moves": [each.event for each in campaign.history if each.event not in _RESTS],
            "counts": {name: number for name, number in campaign.counts.items() if number},
            "reports": (campaign.last_report, campaign.due_report),
            "is_lifted": hold is None or hold.lift is not None,
            "acts_left": len(self.acts),
            "errors": [*self.errors, *repeated],
            "tasks": {
                device: {
                    "state": task.state,
                    "code": task.failure_code,
                    "data": dict(task.data),
                    "steps": [(step.name, step.status) for step in task.steps],
                    "failures": sorted(
                        {
                            each.failure_code
                            for each in task.attempts
                            if each.failure_code and each.failure_code not in NO_FAILURES
                        }
                    ),
                }
                for device, task in tasks.items()
            },
        }


class CampaignScenario(CampaignStory):
    """A scenario of a campaign whose second device fails once."""

    def _result(self, device: str, step: str, address: JobAddress, at: datetime) -> StepResult:
        """The second device is offline until that has been recorded."""
        if PAUSED < at < RESUMED:
            self.errors.append(f"{device}: {step} while it is paused")
        task = jobs.find(address)
        assert task
        failures = {each.failure_code for each in task.attempts}
        if device == "B" and Failure.DEVICE_OFFLINE.value not in failures:
            return OFFLINE
        return Done({step: f"of {device}"})

    def play(self) -> None:
        """From the start to the end, and what the clock finds to do later."""
        campaign_id = self.campaign_id(1)
        self.acts.append(
            (PAUSED, self.send(lambda request: commands.pause(campaign_id, None, request)))
        )
        self.acts.append(
            (RESUMED, self.send(lambda request: commands.resume(campaign_id, request)))
        )
        self.start(1, "ABC", kind="fire_and_forget", expires_s=7_200)
        self.run_ticks(31 * 60, 2)

    def end(self) -> dict[str, Any]:
        """What the tables contain in the end."""
        return self._end_of(1, "ABC")

    def histories(self) -> tuple[tuple[str, ...], ...]:
        """The events of each task."""
        return tuple(tuple(entry.event for entry in task.history) for task in self._tasks(1))

    @staticmethod
    def expect(end: Mapping[str, Any]) -> None:
        """All devices are done, one of them at its second attempt."""
        assert (end["state"], end["counts"]) == ("succeeded", {"succeeded": 3})
        assert end["moves"] == ["start", "succeed"]
        assert tuple(end["reports"]) == (1, None)
        assert (end["is_lifted"], end["acts_left"], end["errors"]) == (True, 0, [])
        for device, task in end["tasks"].items():
            assert (task["state"], task["code"]) == ("succeeded", "")
            assert task["steps"] == [[step, "completed"] for step in STEPS]
            assert task["data"] == {step: f"of {device}" for step in STEPS}
        failures = [task["failures"] for task in end["tasks"].values()]
        assert failures == [[], [Failure.DEVICE_OFFLINE.value], []]


@dataclass
class ReplacedCampaignScenario(CampaignStory):
    """A scenario of a campaign at a growing rate, which stops by itself, waits for its next window,
    and is replaced by a campaign that is cancelled."""

    starts: list[datetime] = field(default_factory=list)

    def _result(self, device: str, step: str, address: JobAddress, at: datetime) -> StepResult:
        """B is of another model, and G is offline."""
        if step == "reach" and address.origin_id == self.campaign_id(1):
            self._check_start(device, at)
        if device == "B":
            return INCOMPATIBLE
        return OFFLINE if device == "G" else Done({step: f"of {device}"})

    def _check_start(self, device: str, at: datetime) -> None:
        """No start under a hold, when the window is closed, or above the grant."""
        hold = holds.find(f"campaign:{self.campaign_id(1)}")
        if hold is not None and hold.lift is None and hold.at + NOTICES < at:
            self.errors.append(f"{device}: starts under a hold")
        if not NOON <= at < CLOSES:
            self.errors.append(f"{device}: starts while the window is closed")
        self.starts.append(at)
        succeeded = sum(step == "verify" for _, step in self.done)
        in_a_minute = [each for each in self.starts if each > at - timedelta(seconds=59)]
        if len(in_a_minute) > PER_MINUTE * 2**succeeded + 1:
            self.errors.append(f"{device}: {len(in_a_minute)} starts in a minute")

    def play(self) -> None:
        """From the start of the first campaign to the end of the second."""
        first, second = self.campaign_id(1), self.campaign_id(2)
        later = {"expires_s": 7_200, "retry_s": 3_600, "replaces": first}
        self.acts += [
            (minutes(40), self.send(lambda request: commands.resume(first, request))),
            (minutes(130), lambda: self.start(2, "GI", kind="fire_and_forget", **later)),
            (minutes(180), self.send(lambda request: commands.cancel(second, request))),
        ]
        self.start(
            1,
            "ABCDEFGH",
            kind="scheduled",
            zone="UTC",
            to="2026-11-24",
            window={"from": "12:00", "to": "14:00"},
            retry_s=3_600,
            rollout={"per_minute": PER_MINUTE, "factor": 2.0, "every": 1},
            abort={"percent": 10, "at_least": 2},
        )
        self.run_ticks(6 * 60, 60)

    def end(self) -> dict[str, Any]:
        """What the tables contain in the end."""
        return {"first": self._end_of(1, "ABCDEFGH"), "second": self._end_of(2, "GI")}

    def histories(self) -> tuple[tuple[str, ...], ...]:
        """The events of each task."""
        tasks = [*self._tasks(1), *self._tasks(2)]
        return tuple(tuple(entry.event for entry in task.history) for task in tasks)

    @staticmethod
    def expect(end: Mapping[str, Any]) -> None:
        """G is not done, nor is B; the others are, each once."""
        first, second = end["first"], end["second"]
        assert (first["state"], second["state"]) == ("replaced", "cancelled")
        assert first["counts"] == {"succeeded": 6, "failed": 1, "replaced": 1}
        assert second["counts"] == {"succeeded": 1, "cancelled": 1}
        assert (first["moves"], second["moves"]) == (
            ["start", "stop", "replace"],
            ["start", "stop", "cancel"],
        )
        for each in (first, second):
            assert (each["is_lifted"], each["acts_left"], each["errors"]) == (True, 0, [])
            assert each["tasks"]["G"]["failures"] == [Failure.DEVICE_OFFLINE.value]
        assert first["tasks"]["B"]["code"] == Failure.INCOMPATIBLE.value
