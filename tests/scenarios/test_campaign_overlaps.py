"""Campaigns on the same targets: the newer one replaces the tasks of the older one."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from jobyard.domain.campaigns.campaign import Campaign
from jobyard.services.campaigns import commands
from jobyard.services.campaigns.overlaps import MAX_COMPARED
from jobyard.services.campaigns.uploaded_targets import targets_upload
from jobyard.store import campaigns, chunks, jobs
from tests.call_interceptor import Call, CallInterceptor, Listener
from tests.harness import Harness
from tests.scenarios.campaign_tasks import TEN, states, task_list
from tests.scripted_devices import NAME, OFFLINE, Devices

NIGHT: dict[str, Any] = {
    "kind": "scheduled",
    "zone": "UTC",
    "to": "2026-11-26",
    "window": {"from": "22:00", "to": "23:00"},
}
AT_ONCE: dict[str, Any] = {"kind": "fire_and_forget", "expires_s": 7_200}


def document(targets: str, **fields: Any) -> dict[str, Any]:
    return {"job_type": NAME, "targets": list(targets), **AT_ONCE, **fields}


def start(stack: Harness, targets: str, **fields: Any) -> Campaign:
    """Start a campaign a second after the last one; each letter is a target."""
    stack.advance(1)
    return commands.start(document(targets, **fields), stack.context()).campaign


def night(stack: Harness, targets: str) -> Campaign:
    """A campaign that waits for its window."""
    stack.advance(1)
    fields = {"job_type": NAME, "targets": list(targets), **NIGHT}
    campaign = commands.start(fields, stack.context()).campaign
    run_until(stack, stack.at + timedelta(seconds=1))
    return campaign


def run_until(stack: Harness, end: datetime) -> None:
    """Run the machines up to a time; what waits longer is lost, and the clock restarts it."""
    waiting = stack.machines._wait_until

    def wait(at: datetime) -> None:
        if at > end:
            raise _Later
        waiting(at)

    stack.machines._wait_until = wait
    try:
        while True:
            try:
                stack.machines.run_all()
                break
            except _Later:
                continue
    finally:
        stack.machines._wait_until = waiting
    stack.wait_until(end)


class _Later(Exception):
    """An execution waits for longer."""


def run(stack: Harness, minutes: int = 5) -> None:
    """Run the machines to the end, with the clock: each minute at first, and at night."""
    for _ in range(minutes):
        run_until(stack, stack.at + timedelta(minutes=1))
        stack.tick()
    stack.machines.run_all()
    stack.wait_until(TEN + timedelta(hours=12, minutes=6))
    stack.tick()
    stack.machines.run_all()


def test_a_preview_shows_which_campaigns_have_the_same_targets(
    stack: Harness, devices: Devices
) -> None:
    first, second = night(stack, "ABC"), night(stack, "CD")
    night(stack, "E")
    stack.advance(1)

    found = commands.preview(document("ACX"), stack.context())

    shown = [(each.campaign.campaign_id, each.targets) for each in found.overlaps]
    assert shown == [(first.campaign_id, 2), (second.campaign_id, 1)]
    assert campaigns.get(first.campaign_id).is_open


def test_a_preview_does_not_compare_more_tasks_than_it_can(
    stack: Harness, devices: Devices
) -> None:
    before = campaigns.get(night(stack, "AB").campaign_id)
    large = replace(before, tasks=MAX_COMPARED + 1, version=before.version + 1)
    campaigns.write(before, large)
    stack.advance(1)

    (overlap,) = commands.preview(document("A"), stack.context()).overlaps

    assert (overlap.campaign.campaign_id, overlap.targets) == (before.campaign_id, None)


def test_without_consent_nothing_is_replaced(stack: Harness, devices: Devices) -> None:
    older = night(stack, "AB")

    start(stack, "AB")
    run(stack)

    assert campaigns.get(older.campaign_id).state == "succeeded"


def test_an_older_campaign_goes_on_with_what_is_left(stack: Harness, devices: Devices) -> None:
    older = night(stack, "AB")

    newer = start(stack, "A", replace_overlapping=True)
    run(stack)

    ended = campaigns.get(older.campaign_id)
    assert states(older) == "rs"
    assert (ended.state, ended.replaced_by) == ("partially_succeeded", "")
    notes = [each.reason for each in ended.history if each.event == "replace_tasks"]
    assert notes == [f"campaign {newer.campaign_id} replaces 1 task"]
    (replaced, _) = task_list(older)
    assert replaced.history[-1].reason == f"campaign {newer.campaign_id} replaces it"
    assert replaced.at < TEN + timedelta(minutes=5)
    assert devices.attempts("A") < devices.attempts("B")
    opened = [e.reason for e in campaigns.get(newer.campaign_id).history if e.event == "open"]
    assert opened == [f"1 task; replaces 1 task of {older.campaign_id}"]


def test_an_older_campaign_is_replaced_if_nothing_is_left(stack: Harness, devices: Devices) -> None:
    older = night(stack, "AB")

    newer = start(stack, "ABC", replace_overlapping=True)
    run(stack)

    ended = campaigns.get(older.campaign_id)
    assert (ended.state, ended.replaced_by) == ("replaced", newer.campaign_id)
    assert states(older) == "rr"
    assert states(newer) == "sss"
    assert not any(jobs.of_chunk(older.campaign_id, 0))


def test_what_has_succeeded_stays_and_what_is_left_is_replaced(
    stack: Harness, devices: Devices
) -> None:
    devices.always["B reach"] = OFFLINE
    older = start(stack, "AB")
    run_until(stack, TEN + timedelta(minutes=2))
    assert states(older) == "ss"  # the second one is scheduled again
    devices.always.clear()

    newer = start(stack, "B", replace_overlapping=True)
    run(stack)

    assert campaigns.get(older.campaign_id).state == "replaced"
    assert states(older) == "sr"
    assert states(newer) == "s"


def test_a_target_of_two_older_campaigns_is_replaced_in_both(
    stack: Harness, devices: Devices
) -> None:
    one, two = night(stack, "AB"), night(stack, "AC")

    start(stack, "A", replace_overlapping=True)
    run(stack)

    assert (states(one), states(two)) == ("rs", "rs")
    assert len(devices.attempts("A")) == 1


def test_two_who_replace_at_once_do_not_replace_each_other(
    stack: Harness, devices: Devices
) -> None:
    older = night(stack, "AB")
    stack.advance(1)
    fields = document("AB", replace_overlapping=True)
    started = [commands.start(fields, stack.context()).campaign for _ in range(2)]
    one, two = sorted(started, key=lambda each: each.campaign_id)
    assert one.created_at == two.created_at

    run(stack, minutes=20)

    assert campaigns.get(older.campaign_id).state == "replaced"
    ends = [campaigns.get(each.campaign_id).state for each in (one, two)]
    assert ends[1] == "succeeded"
    assert ends[0] in {"succeeded", "replaced"}


def test_a_campaign_that_is_not_opened_is_waited_for(stack: Harness, devices: Devices) -> None:
    key, _ = targets_upload("gateways.csv", stack.context())
    stack.s3.put_object(Bucket="intake", Key=key, Body=b"id\nA\nB\n")
    fields = {"job_type": NAME, "targets_file": key, **NIGHT}
    older = commands.start(fields, stack.context()).campaign
    stack.machines._waiting.clear()  # its execution is late
    newer = start(stack, "A", replace_overlapping=True)
    run_until(stack, stack.at + timedelta(minutes=1))
    assert campaigns.get(newer.campaign_id).rest_reason.startswith("it is not opened yet")

    stack.advance(300)
    stack.tick()
    run(stack)
    stack.advance(300)
    run(stack)

    assert states(older) == "rs"
    assert states(newer) == "s"


@dataclass
class Reread(Listener):
    """A worker reads its tasks again, because its campaign has changed."""

    is_done: threading.Event = field(default_factory=threading.Event)

    def before(self, call: Call) -> None:
        if call.operation == "Query" and call.parameters["TableName"] == "test-jobs":
            self.is_done.set()


@pytest.mark.turns(3)
@pytest.mark.parametrize(
    ("step", "steps", "end"),
    [
        ("reach", ["reach"], "r"),
        ("apply", ["reach", "upload", "apply", "verify"], "s"),  # bound steps end together
        ("verify", ["reach", "upload", "apply", "verify"], "s"),  # done wins
    ],
)
def test_a_step_that_runs_is_not_cut(
    step: str, steps: list[str], end: str, stack: Harness, devices: Devices
) -> None:
    started: list[Campaign] = []

    def during(device: str, name: str) -> None:
        if (device, name) == ("A", step) and not started:
            started.append(start(stack, "A", replace_overlapping=True))
            run_until(stack, stack.at + timedelta(seconds=1))
            reread = Reread()
            with stack.interceptor.listening(reread):
                stack.advance(3)
                assert reread.is_done.wait(10)

    devices.during = during
    older = start(stack, "AB")
    run(stack, minutes=50)

    assert states(older) == f"{end}s"
    calls = [name for device, name, _ in devices.calls if device == "A"]
    assert calls == [*steps, "reach", "upload", "apply", "verify"]
    (newer,) = started
    assert campaigns.get(newer.campaign_id).state == "succeeded"


@dataclass
class Dying(Listener):
    """A function of a role dies before its n-th call to AWS, or after it; its retry does not."""

    interceptor: CallInterceptor
    role: str
    at: int
    is_sent: bool
    calls: int = 0

    def before(self, call: Call) -> None:
        self.calls += self.interceptor.role == self.role
        self._die(is_sent=False)

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        self._die(is_sent=True)

    def _die(self, *, is_sent: bool) -> None:
        if self.interceptor.role == self.role and (self.calls, self.is_sent) == (self.at, is_sent):
            self.at = 0
            raise ConnectionError


# The calls of Open, and of the worker that ends the tasks of the older campaign.
OPEN = [("IngestRole", at) for at in range(1, 15)]
WORKER = [("ExecuteRole", at) for at in range(14, 21)]


def is_its_turn(_name: str, parameters: Mapping[str, Any], turn: int) -> bool:
    """A crash at every third call, at other ones each day."""
    return "at" not in parameters or bool(parameters["at"] % 3 == turn % 3)


@pytest.mark.parametrize(
    ("targets", "expected", "role", "at"),
    [*(("A", "rs", *each) for each in (*OPEN, *WORKER)), *(("AB", "rr", *each) for each in OPEN)],
)
def test_a_replacement_survives_a_crash_at_each_call(
    targets: str, expected: str, role: str, at: int, stack: Harness, devices: Devices
) -> None:
    is_sent = bool(at % 2) is (expected == "rs")  # after every other call, before the others
    older = night(stack, "AB")
    newer = start(stack, targets, replace_overlapping=True)

    with stack.interceptor.listening(Dying(stack.interceptor, role, at, is_sent)):
        run(stack)

    assert (states(older), states(newer)) == (expected, "s" * len(targets))
    whole = expected == "rr"
    assert campaigns.get(older.campaign_id).state == (
        "replaced" if whole else "partially_succeeded"
    )
    noted = [f"it replaces campaign {older.campaign_id} as a whole"] if whole else []
    assert whole_replaced(newer) == noted
    assert len(devices.attempts("A")) == 1
    assert not any(each.replacements for each in chunks.of_batch(older.campaign_id))


def whole_replaced(newer: Campaign) -> list[str]:
    """What its history says that it replaced as a whole."""
    history = campaigns.get(newer.campaign_id).history
    return [each.reason for each in history if each.event == "replace_campaign"]


def test_a_task_that_has_ended_is_not_replaced(stack: Harness, devices: Devices) -> None:
    devices.always["B reach"] = OFFLINE
    older = start(stack, "AB")
    run_until(stack, TEN + timedelta(minutes=2))
    devices.always.clear()

    newer = start(stack, "A", replace_overlapping=True)
    run(stack, minutes=15)

    ended = campaigns.get(older.campaign_id)
    assert (ended.state, states(older), states(newer)) == ("succeeded", "ss", "s")
    assert [each.event for each in ended.history if each.event == "replace_tasks"] == []
    opened = [e.reason for e in campaigns.get(newer.campaign_id).history if e.event == "open"]
    assert opened == ["1 task"]


def test_nothing_is_replaced_before_all_older_campaigns_are_opened(
    stack: Harness, devices: Devices
) -> None:
    first = night(stack, "AB")
    key, _ = targets_upload("gateways.csv", stack.context())
    stack.s3.put_object(Bucket="intake", Key=key, Body=b"id\nA\n")
    stack.advance(1)
    fields = {"job_type": NAME, "targets_file": key, **NIGHT}
    second = commands.start(fields, stack.context()).campaign
    stack.machines._waiting.clear()  # its execution is late
    newer = start(stack, "A", replace_overlapping=True)
    run_until(stack, stack.at + timedelta(minutes=1))

    assert not any(each.replacements for each in chunks.of_batch(first.campaign_id))
    stack.advance(300)
    stack.tick()
    run(stack)
    stack.advance(300)
    run(stack)

    assert (states(first), campaigns.get(second.campaign_id).state) == ("rs", "replaced")
    opened = [e.reason for e in campaigns.get(newer.campaign_id).history if e.event == "open"]
    assert opened == [f"1 task; replaces 1 task of {first.campaign_id}"]
    assert whole_replaced(newer) == [f"it replaces campaign {second.campaign_id} as a whole"]


@dataclass
class DyingStart(Listener):
    """A request dies before it stops the campaign that it replaces."""

    campaign_id: str
    has_died: bool = False

    def before(self, call: Call) -> None:
        is_put = call.operation == "PutItem" and call.parameters["TableName"] == "test-campaigns"
        if not self.has_died and is_put and self.campaign_id in str(call.parameters["Item"]):
            self.has_died = call.parameters["Item"]["campaign_id"]["S"] == self.campaign_id
            if self.has_died:
                raise ConnectionError


def test_a_campaign_is_replaced_even_if_the_request_died_before_that(
    stack: Harness, devices: Devices
) -> None:
    older = night(stack, "AB")

    with stack.interceptor.listening(DyingStart(older.campaign_id)), pytest.raises(ConnectionError):
        start(stack, "A", replaces=older.campaign_id)
    assert campaigns.get(older.campaign_id).state == "scheduled"
    run(stack, minutes=10)

    (newer,) = [each for each in campaigns.newest(10).items if each.replaces]
    ended = campaigns.get(older.campaign_id)
    assert (ended.state, ended.replaced_by) == ("replaced", newer.campaign_id)
    assert (states(older), states(newer)) == ("rr", "s")
