"""The states that users know are all reached by real work; and cases that no simulation shows."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from jobyard.domain.jobs.job import JobAddress
from jobyard.domain.jobs.job_type import Continue
from jobyard.domain.jobs.task import TASK
from jobyard.services.campaigns import commands
from jobyard.services.queries import campaigns as campaign_queries
from jobyard.store import campaigns, jobs
from tests.call_interceptor import Call, Listener
from tests.harness import Harness
from tests.scenarios.campaign_tasks import TEN
from tests.scripted_devices import NAME, OFFLINE, Devices

NIGHT = {
    "kind": "scheduled",
    "zone": "UTC",
    "to": "2026-11-26",
    "window": {"from": "22:00", "to": "23:00"},
    "retry_s": 1_800,
}
JOB_STATES = {
    *("Scheduled", "Running", "Paused", "Succeeded", "Failed", "Partially Succeeded"),
    *("Cancelled Manually", "Replaced", "Unknown"),
}
TASK_STATES = {"Scheduled", "Running", "Rescheduled", "Succeeded", "Failed", "Cancelled"}


def start(stack: Harness, targets: str, **fields: Any) -> str:
    """Start a campaign on the devices in `targets`, a letter each. Returns its id."""
    document = {"job_type": NAME, "kind": "fire_and_forget", "targets": list(targets), **fields}
    return commands.start(document, stack.context()).campaign.campaign_id


class Seen:
    """The states of campaigns and tasks that anybody who looks has seen, in the words of users."""

    def __init__(self, stack: Harness) -> None:
        self.stack = stack
        self.jobs: set[str] = set()
        self.tasks: set[str] = set()

    def look(self) -> None:
        """Look at every campaign and at all of its tasks."""
        with self.stack.interceptor.muted():
            context = self.stack.query_context()
            page = campaign_queries.list_campaigns(context, after="", limit=50)
            self.jobs |= {each.label for each in page.items}
            for view in page.items:
                campaign_id = view.campaign.campaign_id
                found = campaign_queries.list_tasks(
                    campaign_id, context, state="", after=(0, 0), limit=50
                )
                self.tasks |= {TASK.state(each.state).labels["device"] for each in found.items}

    def look_whenever_an_execution_waits(self) -> None:
        """Look before the clock moves, and after each act."""

        def wait_until(until: datetime) -> None:
            self.look()
            self.stack.wait_until(until)

        self.stack.machines._wait_until = wait_until


def test_all_states_that_users_know_are_reached_by_real_work(
    stack: Harness, devices: Devices
) -> None:
    seen = Seen(stack)
    seen.look_whenever_an_execution_waits()
    devices.during = lambda _device, _step: seen.look()
    devices.always["B reach"] = OFFLINE

    start(stack, "AB", **NIGHT)  # scheduled, running, paused, partially succeeded
    stack.machines.run_all()
    start(stack, "A")  # succeeded
    stack.machines.run_all()
    seen.look()
    start(stack, "B")  # failed
    stack.machines.run_all()
    seen.look()
    cancelled = start(stack, "B", **{**NIGHT, "to": "2026-12-24"})
    commands.cancel(cancelled, stack.context())
    replaced = start(stack, "B", **{**NIGHT, "to": "2026-12-24"})
    silent = start(stack, "A", replaces=replaced)  # nobody runs it
    stack.machines._waiting.pop()
    stack.machines.run_all()
    seen.look()
    stack.advance(3_600)
    seen.look()

    assert (seen.jobs, seen.tasks) == ({*JOB_STATES, "Cancelling"}, TASK_STATES)
    assert campaigns.get(silent).is_open


class DiesAfterItsClaim(Listener):
    """The first worker dies when it has taken a claim, before its task has started."""

    is_dead = False

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        statements = call.parameters.get("Statements", ())
        is_claim = any("test-campaigns" in each["Statement"] for each in statements)
        if is_claim and not self.is_dead:
            self.is_dead = True
            raise ConnectionError


def test_case_11_never_more_devices_than_at_once_are_between_two_steps(
    stack: Harness, devices: Devices
) -> None:
    """system-upgrade-controller#77; the devices are in two chunks, and restart for a minute."""
    restarting: set[str] = set()
    most = 0

    def note(device: str, step: str) -> None:
        nonlocal most
        if step == "reach":
            restarting.add(device)
            most = max(most, len(restarting))
        elif step == "verify" and not devices.answers[f"{device} verify"]:
            restarting.discard(device)

    devices.during = note
    names = [f"device-{n}" for n in range(40)]
    for name in names:
        devices.answers[f"{name} verify"] = [Continue(60, "it restarts")]
    document = {"job_type": NAME, "kind": "fire_and_forget", "targets": names, "at_once": 2}
    campaign = commands.start({**document, "expires_s": 7_200}, stack.context()).campaign
    stack.machines.run_all()

    assert most == 2
    assert campaigns.get(campaign.campaign_id).state == "succeeded"


def test_case_16_the_task_of_a_worker_that_died_after_its_claim_starts_within_a_minute(
    stack: Harness, devices: Devices
) -> None:
    """mikrotik-manager#140"""
    listener = DiesAfterItsClaim()
    with stack.interceptor.listening(listener):
        campaign_id = start(stack, "A")
        stack.machines.run_all()

    assert listener.is_dead
    (attempt,) = devices.attempts("A")
    assert attempt <= TEN + timedelta(minutes=1)
    assert campaigns.get(campaign_id).state == "succeeded"


def test_case_22_a_reboot_in_the_middle_of_the_upload_continues_there(
    stack: Harness, devices: Devices
) -> None:
    """thingsboard#10191"""
    devices.answers["A upload"] = [Continue(5, "half of it"), OFFLINE]
    task = JobAddress(start(stack, "A"), 0, 0)
    stack.machines.run_all()

    called = [(step, (at - TEN) / timedelta(seconds=1)) for _, step, at in devices.calls]
    assert called == [
        ("reach", 0),
        ("upload", 0),
        ("upload", 5),
        ("upload", 305),
        ("apply", 305),
        ("verify", 305),
    ]
    ended = jobs.find(task)
    assert ended is not None
    assert (ended.state, ended.start_count) == ("succeeded", 2)


def test_case_23_after_an_outage_over_the_window_nothing_starts_before_the_next(
    stack: Harness, devices: Devices
) -> None:
    """awx#5014"""
    start(stack, "A", **{**NIGHT, "to": "2026-11-27"})
    stack.machines._wait_until = _end_execution
    with suppress(Outage):
        stack.machines.run_all()
    stack.machines._wait_until = stack.wait_until

    stack.at = TEN + timedelta(hours=13, minutes=5)  # 23:05, after the window
    stack.tick()
    stack.machines.run_all()

    assert devices.attempts("A") == [TEN + timedelta(hours=36)]


class Outage(Exception):
    """The stack is down: what waits is lost."""


def _end_execution(_until: datetime) -> None:
    raise Outage
