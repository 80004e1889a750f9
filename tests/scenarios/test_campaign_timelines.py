"""The services do what a simulation says: the same timeline, through the machines and the store.

Each case is played twice, by the simulation and by the services in simulated time. The worked
examples and the numbered cases are those of `tests/domain/campaigns/test_simulation.py`, which
says what comes out; here both must agree.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import sleep
from typing import Any

import pytest

from jobyard.domain.campaigns.simulation import CampaignTimeline, simulate
from jobyard.domain.campaigns.simulation_input import (
    ActEvent,
    SimulatedAct,
    SimulatedOutcome,
    SimulationInput,
    simulation_input_of,
)
from jobyard.domain.jobs.failures import RETRYABLE, Failure
from jobyard.domain.jobs.job import JobAddress
from jobyard.domain.jobs.job_type import Continue, Done, Fail, Snooze, StepInput, StepResult
from jobyard.domain.jobs.task import state_of_only_task
from jobyard.jobtypes.step_context import StepContext
from jobyard.services.campaigns import commands
from jobyard.services.campaigns.job_origin import untouched_task
from jobyard.store import campaigns, jobs
from tests.domain.campaigns.simulations import (
    ALL_DAY,
    AT_ONCE,
    FRIDAYS,
    act,
    bad,
    document,
    many,
    ok,
)
from tests.harness import Harness
from tests.scripted_devices import NAME, scripted_devices

LATE = timedelta(minutes=3)  # C7: a retry is never early, and up to so much late
HALF: dict[str, Any] = {"percent": 50, "at_least": 10}
TWO_HOURS = AT_ONCE | {"expires_s": 7_200}
HOURLY = FRIDAYS | {"retry_s": 3_600}

TIMELINES: dict[str, dict[str, Any]] = {
    # The worked examples.
    "always offline": document(AT_ONCE, {"A": [bad("DEVICE_OFFLINE")]}),
    "one at its third attempt": document(AT_ONCE, {"A": [ok()], "B": [bad(), bad(), ok()]}),
    "one of two never": document(AT_ONCE, {"A": [ok()], "B": [bad()]}),
    "seven minutes": document(AT_ONCE, {"A": [bad(takes_s=420)]}),
    "succeeds in the grace": document(AT_ONCE, {"A": [bad(), ok(1700)]}),
    "no further window": document(HOURLY, {"A": [bad()] * 3 + [bad(takes_s=420)]}),
    "replaced": document(AT_ONCE, {"A": [ok()], "B": [bad()]}, act("10:07", "replace")),
    # The cases.
    "1 Friday night": document(HOURLY, {"A": [bad(takes_s=840)]}),
    "6 three unreached": document(
        AT_ONCE, {"A": [ok()], "B": [ok()]} | many(3, bad("DEVICE_OFFLINE"))
    ),
    "7 two of three bad": document(AT_ONCE | {"abort": HALF}, {"A": [ok()]} | many(2, bad())),
    "7 five of ten bad": document(
        AT_ONCE | {"abort": HALF}, many(5, bad()) | {f"u{i}": [ok()] for i in range(9)}
    ),
    "7 and its release": document(
        AT_ONCE | {"abort": HALF},
        many(5, bad(), ok()) | {f"u{i}": [ok()] for i in range(9)},
        act("10:10", "resume"),
    ),
    "9 all that run are counted": document(
        AT_ONCE | {"abort": HALF | {"then": "cancel"}},
        {f"x{i}": [bad("INCOMPATIBLE", 90)] for i in range(10)}
        | {f"y{i}": [ok(600)] for i in range(3)},
    ),
    "10 offline takes no slot": document(
        AT_ONCE | {"at_once": 2},
        {"A": [bad("DEVICE_OFFLINE")], "B": [bad("DEVICE_OFFLINE")], "C": [ok()]},
    ),
    "11 never three": document(AT_ONCE | {"at_once": 2}, many(8, ok(30))),
    "12 paused at 50 of 100": document(
        ALL_DAY | {"rollout": {"per_minute": 10}},
        many(100, ok()),
        act("10:05", "pause"),
        act("11:00", "resume"),
    ),
    "13 never answers": document(TWO_HOURS, {"A": [{"takes_s": None}, ok()]}),
    "15 three times busy": document(
        AT_ONCE, {"A": [bad("DEVICE_BUSY", retry_after_s=20)] * 3 + [ok()]}
    ),
    "a busy device uses no grant": document(
        AT_ONCE | {"rollout": {"per_minute": 1}},
        {"A": [bad("DEVICE_BUSY", retry_after_s=20), ok()], "B": [ok()], "C": [ok()]},
    ),
    "17 one hangs": document(TWO_HOURS, {"hangs": [{"takes_s": None}, ok()]} | many(9, ok())),
    "18 the third window": document(
        HOURLY | {"window": {"from": "22:00", "to": "02:00"}}, {"A": [bad()] * 10 + [ok()]}
    ),
    "19 the old version": document(AT_ONCE, {"A": [bad("VERIFY_FAILED"), ok()]}),
    "21 one incompatible": document(AT_ONCE, {"A": [bad("INCOMPATIBLE")], "B": [ok()]}),
    "24 ten a minute": document(AT_ONCE | {"rollout": {"per_minute": 10}}, many(30, ok())),
    # What people do.
    "cancelled": document(
        AT_ONCE, {"A": [ok()], "B": [bad()], "C": [ok()]}, act("10:07", "cancel")
    ),
    "paused before its window": document(
        FRIDAYS,
        {"A": [ok()]},
        act("2026-11-27T20:00:00Z", "pause"),
        act("2026-11-27T22:00:00Z", "resume"),
    ),
    "paused until it expires": document(AT_ONCE, {"A": [bad()]}, act("10:03", "pause")),
    "a later end": document(
        HOURLY,
        {"A": [bad()] * 4 + [ok()]},
        act("2026-11-29T12:00:00Z", "change", to="2026-12-05"),
    ),
    "paused during an upload": document(
        AT_ONCE,
        {"A": [ok(300) | {"part_s": 60}]},
        act("2026-11-25T10:02:10Z", "pause"),
        act("10:10", "resume"),
    ),
    "cancelled during an upload": document(
        AT_ONCE, {"A": [ok(300) | {"part_s": 60}]}, act("2026-11-25T10:02:10Z", "cancel")
    ),
    "an upload over two nights": document(
        HOURLY | {"window": {"from": "22:00", "to": "02:00"}, "attempt_s": 86_400},
        {"A": [ok(6 * 3_600) | {"part_s": 600}]},
    ),
    "a rollout that grows": document(
        AT_ONCE | {"rollout": {"per_minute": 10, "factor": 2.0, "every": 10}}, many(60, ok())
    ),
}


@pytest.mark.turns(3)
@pytest.mark.parametrize("name", TIMELINES)
def test_the_services_do_what_the_simulation_says(name: str, harness: Harness) -> None:
    simulated = simulation_input_of(TIMELINES[name])
    expected = simulate(simulated)

    with scripted_devices() as devices:
        played = Played(harness, simulated)
        devices.step = played.step  # type: ignore[method-assign]
        played.play()

    assert played.states() == states_of(expected)
    assert played.ends() == {
        each.target_id: (each.state.value, each.code) for each in expected.tasks
    }
    times = [*zip(played.times(), times_of(expected), strict=True)]
    if simulated.rules.rollout:  # which target starts first within a minute is open
        times = [*zip(*(sorted(each) for each in zip(*times, strict=True)), strict=True)]
        times = [tuple(at.replace(second=0) for at in pair) for pair in times]
    assert [pair for pair in times if not timedelta() <= pair[0] - pair[1] <= LATE] == []


def states_of(timeline: CampaignTimeline) -> list[str]:
    """The states of a simulated campaign, in order: those that lasted."""
    return lasting([(at, state.value) for at, state in timeline.history])


def lasting(moves: list[tuple[datetime, str]]) -> list[str]:
    """The states that lasted for some time, and the last one; each once in a row. For how long it
    is stopping depends on the steps that run: the services look between them.
    """
    found: list[str] = []
    for (at, state), following in zip(moves, [*moves[1:], None], strict=True):
        lasts = following is None or at < following[0]
        if lasts and state != "stopping" and found[-1:] != [state]:
            found.append(state)
    return found


def times_of(timeline: CampaignTimeline) -> list[datetime]:
    """When each attempt of each task started, and when the campaign ended."""
    starts = [each.started_at for task in timeline.tasks for each in task.attempts]
    return [*starts, timeline.ended_at]


@dataclass
class Played:
    """A campaign as the services run it, on devices that do what a simulation's targets do.

    `starts` are the times at which the attempts `begun` began, `left` the seconds that those take
    which have not done their last step. `busy` is how often each target was busy.
    """

    harness: Harness
    simulated: SimulationInput
    starts: dict[str, list[datetime]] = field(default_factory=dict)
    busy: Counter[str] = field(default_factory=Counter)
    begun: set[tuple[str, int]] = field(default_factory=set)
    left: dict[str, int] = field(default_factory=dict)
    campaign_id: str = ""

    def __post_init__(self) -> None:
        self.outcomes = {each.target_id: each.outcomes for each in self.simulated.targets}
        self.acts = deque(self.simulated.acts)

    def play(self) -> None:
        """Start the campaign, let people act, and run the machines to the end."""
        self.harness.at = self.simulated.created_at
        fields = self.simulated.rules.document()
        request = {"job_type": NAME, **fields, "targets": [*self.outcomes]}
        self.campaign_id = commands.start(request, self.harness.context()).campaign.campaign_id
        machines = self.harness.machines
        machines._wait_until = self._wait_until
        machines.run_all()
        while self.acts:
            self._act(self.acts.popleft())
            machines.run_all()

    def _wait_until(self, until: datetime) -> None:
        while self.acts and self.acts[0].at <= until:
            self._act(self.acts.popleft())
            self.harness.machines.run_all()
        self.harness.wait_until(until)

    def _act(self, person_act: SimulatedAct) -> None:
        self.harness.wait_until(person_act.at)
        request, campaign_id = self.harness.context(), self.campaign_id
        match person_act.event:
            case ActEvent.PAUSE:
                commands.pause(campaign_id, None, request)
            case ActEvent.RESUME:
                commands.resume(campaign_id, request)
            case ActEvent.CANCEL:
                commands.cancel(campaign_id, request)
            case ActEvent.CHANGE:
                commands.change(campaign_id, person_act.changes, request)
            case ActEvent.REPLACE:
                other = {"job_type": NAME, "kind": "fire_and_forget", "targets": ["other"]}
                commands.start({**other, "replaces": campaign_id}, request)

    def step(self, name: str, step_input: StepInput, context: StepContext) -> StepResult:
        """Do a step. The last one takes the time of the attempt, and has its outcome."""
        target = step_input.entry["id"]
        if target not in self.outcomes:
            return Done()
        outcomes, attempt = self.outcomes[target], step_input.attempt
        outcome = outcomes[min(attempt - 1 + self.busy[target], len(outcomes) - 1)]
        if outcome.retry_after_s is not None:
            self.busy[target] += 1
            return Snooze(outcome.retry_after_s, "busy", exhausted_code=Failure.DEVICE_BUSY)
        if (target, attempt) not in self.begun:
            self.begun.add((target, attempt))
            self.starts.setdefault(target, []).append(context.now())
            self.left[target] = outcome.takes_s or 0
        if outcome.takes_s is None:
            return Continue(600, "no answer yet")
        if name == "upload" and outcome.part_s:
            return self._upload(target, outcome.part_s, context)
        if name != "verify":
            return Done()
        if left := self.left.pop(target, 0):
            if len(self.outcomes) > 1:
                return Continue(left, "it works")
            self.harness.advance(left)
        return _result(outcome)

    def _upload(self, target: str, part_s: int, context: StepContext) -> StepResult:
        """Work in parts, while people act, until it is done or must stop."""
        while left := self.left[target]:
            part = min(part_s, left)
            self.left[target] -= part
            self.harness.advance(part)
            while self.acts and self.acts[0].at <= self.harness.at:
                self._act(self.acts.popleft())
                while not context.must_stop():  # the worker looks every two seconds
                    self.harness.advance(1)
                    sleep(0.01)
            if context.must_stop():
                return Continue(0, "a part is done")
        return Done()

    # What came of it

    def states(self) -> list[str]:
        """The states of the campaign, in order: those that lasted."""
        campaign = campaigns.get(self.campaign_id)
        moves = [(campaign.created_at, "scheduled")]
        moves += [(each.at, each.after) for each in campaign.history if each.before != each.after]
        return lasting(moves)

    def ends(self) -> dict[str, tuple[str, str]]:
        """The state and the failure code of each task, by target."""
        campaign = campaigns.get(self.campaign_id)
        found = {}
        for number, target in enumerate(self.outcomes):
            place = divmod(number, campaign.chunk_size)
            address = JobAddress(self.campaign_id, *place)
            task = jobs.find(address) or untouched_task(campaign, address)
            state = state_of_only_task(task)
            code = task.failure_code if state == "failed" else ""
            found[target] = (state.value, code)
        return found

    def times(self) -> list[datetime]:
        """When each attempt of each task started, and when the campaign ended."""
        ended_at = campaigns.get(self.campaign_id).ended_at
        assert ended_at
        return [*(at for each in self.outcomes for at in self.starts.get(each, ())), ended_at]


def _result(outcome: SimulatedOutcome) -> StepResult:
    """What a step returns at the end of an attempt."""
    if not outcome.code:
        return Done()
    code = Failure(outcome.code)
    return Fail(code, "as the case says", retryable=code in RETRYABLE)
