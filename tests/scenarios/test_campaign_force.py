"""Campaigns that a person ends by force, while a worker hangs on a device."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from jobyard.domain.errors import BadRequest, InvalidTransition
from jobyard.services.campaigns import commands
from jobyard.store import activity, campaigns
from tests.call_interceptor import Call, Listener
from tests.harness import Harness
from tests.scenarios.campaign_tasks import TEN, start, states, task_list
from tests.scripted_devices import Devices


def hanging_at(step: str, devices: Devices, act: Callable[[], None]) -> None:
    """Device A hangs at a step, while people act. It stops to hang when the step ends."""
    acts = [act]

    def during(device: str, name: str) -> None:
        if (device, name) == ("A", step) and acts:
            acts.pop()()

    devices.during = during


def run_others(stack: Harness) -> None:
    """Run what a worker that hangs does not hold up, for ten seconds."""
    end = stack.at + timedelta(seconds=10)
    waiting = stack.machines._wait_until

    def wait(at: datetime) -> None:
        if at > end:
            raise _Later
        waiting(at)

    stack.machines._wait_until = wait
    try:
        stack.machines.run_all()
    except _Later:
        pass
    finally:
        stack.machines._wait_until = waiting


class _Later(Exception):
    """An execution waits."""


@dataclass
class Saved(Listener):
    """A worker has saved its counts."""

    is_done: threading.Event = field(default_factory=threading.Event)

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        if call.operation == "PutItem" and call.parameters["TableName"] == "test-chunks":
            self.is_done.set()


def while_counted(stack: Harness) -> None:
    """Wait for the worker that hangs to save its counts, as it does every two seconds."""
    saved = Saved()
    with stack.interceptor.listening(saved):
        stack.advance(3)
        assert saved.is_done.wait(10)


@pytest.mark.parametrize("step", ["upload", "apply"])
@pytest.mark.parametrize("event", ["", "cancel"])
def test_force_ends_what_runs_and_waits_for_no_worker(
    step: str, event: str, stack: Harness, devices: Devices
) -> None:
    ended: list[tuple[str, str]] = []

    def act() -> None:
        while_counted(stack)
        if event:
            commands.cancel(campaign.campaign_id, stack.context())
            run_others(stack)
            assert campaigns.get(campaign.campaign_id).state == "stopping"
        commands.force(campaign.campaign_id, stack.context())
        run_others(stack)
        ended.append((campaigns.get(campaign.campaign_id).state, task_list(campaign)[0].state))

    hanging_at(step, devices, act)
    campaign = start(stack, "A", expires_s=7_200)
    stack.machines.run_all()

    assert ended == [("cancelled", "cancelled")]
    assert states(campaign) == "c"  # what the worker wrote afterwards did not count
    assert [name for _, name, _ in devices.calls][-1] == step
    last = task_list(campaign)[0].history[-1]
    assert (last.event, last.before, last.reason) == ("cancel", "running", "its campaign: cancel")


def test_a_forced_target_stays_claimed_for_16_minutes(stack: Harness, devices: Devices) -> None:
    def act() -> None:
        while_counted(stack)
        commands.force(campaign.campaign_id, stack.context())
        run_others(stack)

    hanging_at("upload", devices, act)
    campaign = start(stack, "A", expires_s=7_200)
    stack.machines.run_all()
    forced_at = stack.at

    later = start(stack, "A", expires_s=7_200)
    stack.machines.run_all()

    assert states(later) == "s"
    waited = devices.attempts("A")[1] - TEN
    assert timedelta(minutes=16) <= waited <= timedelta(minutes=18)
    assert forced_at < TEN + timedelta(minutes=2)


def test_a_target_is_free_at_once_when_its_task_ended_while_it_waited(
    stack: Harness, devices: Devices
) -> None:
    """An attempt that was cut between two steps has not ended; its task has."""

    def act() -> None:
        commands.cancel(campaign.campaign_id, stack.context())
        while_counted(stack)

    hanging_at("reach", devices, act)
    campaign = start(stack, "AB", expires_s=7_200)
    stack.machines.run_all()
    cancelled_at = stack.at

    later = start(stack, "A", expires_s=7_200)
    stack.machines.run_all()

    assert (states(campaign)[0], states(later)) == ("c", "s")
    assert devices.attempts("A")[1] - cancelled_at < timedelta(minutes=2)


def test_forcing_twice_is_one_act_and_is_refused_after_the_end(
    stack: Harness, devices: Devices
) -> None:
    campaign_id = start(stack, "A", expires_s=7_200).campaign_id
    with pytest.raises(BadRequest):
        commands.force(campaign_id, stack.context(reason=""))
    once = stack.context(key="once")

    commands.force(campaign_id, once)
    commands.force(campaign_id, once)
    commands.force(campaign_id, stack.context())
    stack.machines.run_all()

    ended = campaigns.get(campaign_id)
    assert (ended.state, [each.event for each in ended.history]) == (
        "cancelled",
        ["stop", "cancel"],
    )
    acts = [each.act.event for each in activity.newest_first(stack.now(), None, 10)]
    assert acts.count("force") == 1
    other = start(stack, "B", expires_s=7_200)
    stack.machines.run_all()
    with pytest.raises(InvalidTransition, match="cannot force it"):
        commands.force(other.campaign_id, stack.context())
