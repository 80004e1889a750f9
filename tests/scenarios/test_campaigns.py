"""Campaigns in simulated time, through the machines and the real services."""

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from jobyard.domain.batches.chunks import PassShare
from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.errors import BadRequest, InvalidCampaign, InvalidTransition
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import NO_FAILURES, JobAddress
from jobyard.domain.jobs.job_type import Continue, Snooze
from jobyard.services.campaigns import commands, task_events
from jobyard.services.campaigns.recovery import recover_campaign, restart_overdue
from jobyard.services.holds import lift_hold, place_hold
from jobyard.services.jobs.commands import send_job_event
from jobyard.services.machines.inputs import ChunkInput
from jobyard.services.queries import jobs as jobs_queries
from jobyard.services.queries.campaigns import list_tasks
from jobyard.services.rates import sample_rates
from jobyard.store import activity, campaigns, chunks, claims, holds, jobs, rates, tables, usage
from tests.call_interceptor import Answer, Call, Listener
from tests.harness import Harness
from tests.scenarios.campaign_tasks import TEN, start, states, task_list
from tests.scripted_devices import INCOMPATIBLE, NAME, OFFLINE, Devices


def minutes(times: list[datetime]) -> list[float]:
    """The minutes after ten."""
    return [round((at - TEN) / timedelta(minutes=1), 1) for at in times]


def test_a_device_that_always_fails_is_tried_six_times(stack: Harness, devices: Devices) -> None:
    devices.always["A reach"] = OFFLINE

    campaign = start(stack, "A")
    stack.machines.run_all()

    assert minutes(devices.attempts("A")) == [0, 5, 10, 15, 20, 25]
    ended = campaigns.get(campaign.campaign_id)
    assert (ended.state, ended.ended_at) == ("failed", TEN + timedelta(minutes=30))
    (task,) = task_list(campaign)
    assert (task.state, task.failure_code) == ("failed", "EXPIRED")


def test_one_device_succeeds_at_once_and_one_later(stack: Harness, devices: Devices) -> None:
    devices.answers["B reach"] = [OFFLINE, OFFLINE]

    campaign = start(stack, "AB")
    stack.machines.run_all()

    assert minutes(devices.attempts("B")) == [0, 5, 10]
    assert campaigns.get(campaign.campaign_id).state == "succeeded"
    assert states(campaign) == "ss"


def test_one_of_two_devices_never_succeeds(stack: Harness, devices: Devices) -> None:
    devices.always["B reach"] = OFFLINE

    campaign = start(stack, "AB")
    stack.machines.run_all()

    assert campaigns.get(campaign.campaign_id).state == "partially_succeeded"
    assert states(campaign) == "sf"


def test_an_attempt_of_seven_minutes_is_tried_three_times(stack: Harness, devices: Devices) -> None:
    devices.always["A reach"] = OFFLINE
    devices.during = lambda _device, _step: stack.advance(7 * 60)

    campaign = start(stack, "A")
    stack.machines.run_all()

    assert minutes(devices.attempts("A")) == [0, 12, 24]
    assert campaigns.get(campaign.campaign_id).state == "failed"
    assert stack.at == TEN + timedelta(minutes=31)


FRIDAYS = {
    "kind": "scheduled",
    "zone": "Europe/Zurich",
    "to": "2026-11-30",
    "window": {"from": "22:00", "to": "02:00", "weekdays": ["fri"]},
}


def test_a_campaign_waits_for_its_window_and_ends_after_its_last(
    stack: Harness, devices: Devices
) -> None:
    devices.answers["A reach"] = [OFFLINE] * 48

    campaign = start(stack, "AB", **FRIDAYS)
    stack.machines.run_all()

    opens = datetime(2026, 11, 27, 21, tzinfo=UTC)  # 22:00 in Zurich
    assert devices.attempts("B") == [opens]
    last = devices.attempts("A")[-1]
    assert last < opens + timedelta(hours=4)
    ended = campaigns.get(campaign.campaign_id)
    assert (ended.state, ended.ended_at) == (
        "partially_succeeded",
        datetime(2026, 11, 30, 23, tzinfo=UTC),
    )
    moves = [(each.event, each.after) for each in ended.history]
    assert moves == [
        ("start", "running"),
        ("pause", "paused"),
        ("stop", "stopping"),
        ("succeed_partially", "partially_succeeded"),
    ]


def test_no_step_starts_after_the_window_has_closed(stack: Harness, devices: Devices) -> None:
    closes = datetime(2026, 11, 28, 1, tzinfo=UTC)

    def upload_to_the_end(_device: str, step: str) -> None:
        if step == "upload" and stack.at < closes:
            stack.at = closes

    devices.during = upload_to_the_end
    campaign = start(stack, "A", **{**FRIDAYS, "to": "2026-12-05"})
    stack.machines.run_all()

    called = [(step, at) for _, step, at in devices.calls]
    opens = datetime(2026, 11, 27, 21, tzinfo=UTC)
    again = opens + timedelta(days=7)
    assert called == [("reach", opens), ("upload", opens), ("apply", again), ("verify", again)]
    assert campaigns.get(campaign.campaign_id).state == "succeeded"


def test_each_step_has_two_minutes(stack: Harness, devices: Devices) -> None:
    left: list[float] = []

    def look(_device: str, _step: str) -> None:
        assert devices.context
        left.append(devices.context.remaining())
        stack.advance(100)
        left.append(devices.context.remaining())

    devices.during = look
    start(stack, "A")
    stack.machines.run_all()

    assert left == [120, 20] * 4


def test_bound_steps_end_together_although_the_window_closes(
    stack: Harness, devices: Devices
) -> None:
    closes = datetime(2026, 11, 28, 1, tzinfo=UTC)

    def apply_over_the_end(_device: str, step: str) -> None:
        if step == "apply":
            stack.at = closes + timedelta(minutes=1)

    devices.during = apply_over_the_end
    campaign = start(stack, "A", **FRIDAYS)
    stack.machines.run_all()

    assert [step for _, step, _ in devices.calls] == ["reach", "upload", "apply", "verify"]
    assert campaigns.get(campaign.campaign_id).state == "succeeded"


def test_a_device_is_offline_for_two_windows_and_succeeds_in_the_third(
    stack: Harness, devices: Devices
) -> None:
    opens = datetime(2026, 11, 27, 21, tzinfo=UTC)

    def come_back(_device: str, step: str) -> None:
        if stack.at >= opens + timedelta(days=14):
            devices.always.pop("A reach", None)

    devices.always["A reach"] = OFFLINE
    devices.during = come_back
    campaign = start(stack, "A", **{**FRIDAYS, "to": "2026-12-20"})
    stack.machines.run_all()

    assert campaigns.get(campaign.campaign_id).state == "succeeded"
    days = {(at - opens).days for at in devices.attempts("A")}
    assert days == {0, 7, 14}


def _most_at_once(devices: Devices) -> int:
    """How many devices had a place at the same time: from the first call to the last `verify`,
    those that restart meanwhile included."""
    ends = {device: number for number, (device, step, _) in enumerate(devices.calls)}
    with_place: set[str] = set()
    most = 0
    for number, (device, _, _) in enumerate(devices.calls):
        with_place.add(device)
        most = max(most, len(with_place))
        if ends[device] == number:
            with_place.remove(device)
    return most


def test_never_more_than_at_once_run(stack: Harness, devices: Devices) -> None:
    for device in "ABCD":  # each restarts, and keeps its place
        devices.answers[f"{device} verify"] = [Continue(90, "the device reboots")]
    campaign = start(stack, "ABCDEFGH", at_once=2)
    stack.machines.run_all()

    assert campaigns.get(campaign.campaign_id).state == "succeeded"
    assert states(campaign) == "s" * 8
    assert _most_at_once(devices) == 2


def test_a_task_whose_device_was_busy_waits_for_a_place(stack: Harness, devices: Devices) -> None:
    """It had none. Another one keeps its place while its device restarts."""
    busy = Snooze(60, "busy", exhausted_code=Failure.DEVICE_BUSY)
    for name in "AB":
        devices.answers[f"{name} reach"] = [busy]
    devices.answers["A verify"] = [Continue(200, "the device restarts")]
    start(stack, "AB", at_once=1, rollout={"per_minute": 2}, expires_s=7_200)
    stack.machines.run_all()

    done = [(device, step) for device, step, _ in devices.calls]
    assert done[:2] == [("A", "reach"), ("B", "reach")]
    assert done[-4:] == [("B", step) for step in ("reach", "upload", "apply", "verify")]
    assert done.count(("A", "verify")) == 2


def test_workers_share_the_slots_that_are_free(stack: Harness, devices: Devices) -> None:
    """Devices of the first two chunks restart and keep all places but one; two workers start what
    is left.
    """
    stack.settings = replace(stack.settings, max_concurrency=10)
    names = [f"device-{n}" for n in range(150)]
    for name in names[:29]:
        devices.answers[f"{name} verify"] = [Continue(300, "the device reboots")]
    campaign = start(stack, names, at_once=30)
    shares: dict[datetime, list[int]] = defaultdict(list)
    execute = stack.machines._functions["ExecuteChunkFunction"]

    def note(event: dict[str, Any]) -> dict[str, Any]:
        share = ChunkInput.of(event).chunk.share
        assert share is not None
        shares[share.since].append(share.slots)
        return execute(event)

    stack.machines._functions = {**stack.machines._functions, "ExecuteChunkFunction": note}
    stack.machines.run_all()

    assert campaigns.get(campaign.campaign_id).state == "succeeded"
    assert len(devices.calls) == 4 * 150 + 29
    assert all(sum(sorted(slots)[-2:]) <= 30 for slots in shares.values())  # of two workers


def test_a_rollout_starts_its_grant_in_each_minute_evenly(stack: Harness, devices: Devices) -> None:
    campaign = start(stack, [f"device-{n}" for n in range(25)], rollout={"per_minute": 10})
    stack.machines.run_all()

    times = sorted(at for _, step, at in devices.calls if step == "reach")
    per_minute = [sum(int((at - TEN).total_seconds() // 60) == n for at in times) for n in range(3)]
    assert per_minute == [10, 10, 5]
    gaps = [(after - before).total_seconds() for before, after in pairwise(times)]
    assert max(gaps[:9]) <= 7
    assert campaigns.get(campaign.campaign_id).state == "succeeded"


def test_a_retry_within_the_minute_waits_for_the_next_grant(
    stack: Harness, devices: Devices
) -> None:
    devices.always["A reach"] = OFFLINE
    start(stack, "A", rollout={"per_minute": 1}, retry_s=31, expires_s=300)
    stack.machines.run_all()

    assert minutes(devices.attempts("A")) == [0, 1, 2, 3, 4]


def test_each_task_starts_when_its_wait_says(stack: Harness, devices: Devices) -> None:
    campaign = start(stack, [f"device-{n}" for n in range(70)], rollout={"per_minute": 30})
    page = list_tasks(
        campaign.campaign_id, stack.query_context(), state="", after=(0, 0), limit=100
    )
    stack.machines.run_all()

    late = []
    for each in page.items:
        (at,) = devices.attempts(each.target.target_id)
        assert each.waiting_until
        late.append((at - each.waiting_until) / timedelta(minutes=1))
    assert -1 <= min(late) <= max(late) <= 0


def test_few_tasks_start_at_the_pace_of_the_grant(stack: Harness, devices: Devices) -> None:
    start(stack, "ABC", rollout={"per_minute": 20})
    stack.machines.run_all()

    assert [(at - TEN).total_seconds() for device in "ABC" for at in devices.attempts(device)] == [
        0,
        3,
        6,
    ]


@dataclass
class CountedSaves(Listener):
    """Counts how often the counts of chunks are written."""

    number: int = 0

    def before(self, call: Call) -> Answer | None:
        is_chunk = call.parameters.get("TableName") == tables.ChunkItem.Meta.table_name
        self.number += is_chunk and call.operation == "PutItem"
        return None


def test_a_worker_saves_its_counts_three_times_a_minute_if_no_more_tasks_run(
    stack: Harness, devices: Devices
) -> None:
    """Each of these tasks starts and ends alone."""
    names = [f"device-{n}" for n in range(40)]
    saves = CountedSaves()
    with stack.interceptor.listening(saves):
        campaign = start(stack, names, rollout={"per_minute": 10}, expires_s=7_200)
        stack.machines.run_all()

    assert campaigns.get(campaign.campaign_id).counts == {"succeeded": 40}
    assert saves.number <= 4 * 4  # in four minutes, with the end of each pass


def test_two_campaigns_at_ten_a_minute_start_twenty(stack: Harness, devices: Devices) -> None:
    """Case 24, listmonk#2921: the machines run one after the other, from the same time on."""
    for name in "ab":
        stack.at = TEN
        start(stack, [f"{name}-{n}" for n in range(25)], rollout={"per_minute": 10})
        stack.machines.run_all()

    times = [at for _, step, at in devices.calls if step == "reach"]
    assert Counter(int((at - TEN).total_seconds() // 60) for at in times) == {0: 20, 1: 20, 2: 10}


def test_cancelling_ends_what_waits_and_keeps_what_is_done(
    stack: Harness, devices: Devices
) -> None:
    devices.always["B reach"] = OFFLINE
    campaign = start(stack, "ABC", at_once=1)

    def cancel(device: str, step: str) -> None:
        if (device, step) == ("B", "reach"):
            commands.cancel(campaign.campaign_id, stack.context())
            stack.advance(3)  # until the worker looks

    devices.during = cancel
    stack.machines.run_all()

    ended = campaigns.get(campaign.campaign_id)
    assert (ended.state, states(campaign)) == ("cancelled", "scc")
    again = commands.cancel(campaign.campaign_id, stack.context())
    assert again.state == "cancelled"


class Reached(Exception):
    """The time to which a test runs has come."""


def run_until(stack: Harness, at: datetime) -> None:
    """Run the machines up to a time. The execution that waits then is abandoned, as by an act."""

    def wait_until(until: datetime) -> None:
        if until > at:
            stack.at = at
            raise Reached
        stack.wait_until(until)

    stack.machines._wait_until = wait_until
    with suppress(Reached):
        stack.machines.run_all()
    stack.machines._wait_until = stack.wait_until


def test_pausing_stops_and_resuming_goes_on(stack: Harness, devices: Devices) -> None:
    devices.always["A reach"] = OFFLINE
    campaign = start(stack, "A", expires_s=7_200)
    run_until(stack, TEN + timedelta(minutes=12))

    commands.pause(campaign.campaign_id, None, stack.context())
    run_until(stack, TEN + timedelta(minutes=60))
    paused = campaigns.get(campaign.campaign_id)
    assert paused.rest_reason.endswith("because")
    assert minutes(devices.attempts("A")) == [0, 5, 10]

    devices.always.clear()
    commands.resume(campaign.campaign_id, stack.context())
    stack.machines.run_all()

    assert minutes(devices.attempts("A")) == [0, 5, 10, 60]
    assert campaigns.get(campaign.campaign_id).state == "succeeded"


@pytest.mark.parametrize("scope", ["everything", f"type:{NAME}"])
def test_a_wider_hold_stops_a_campaign_and_its_end_is_seen(
    scope: str, stack: Harness, devices: Devices
) -> None:
    place_hold(scope, None, stack.context())
    campaign = start(stack, "A", expires_s=7_200)
    seen: list[str] = []

    def wait_until(until: datetime) -> None:
        if until > TEN + timedelta(minutes=15) and not seen:
            tasks = list_tasks(
                campaign.campaign_id, stack.query_context(), state="", after=(0, 0), limit=1
            )
            seen.extend(each.waiting_reason for each in tasks.items)
            lift_hold(scope, stack.context())
        stack.wait_until(until)

    stack.machines._wait_until = wait_until
    stack.machines.run_all()
    stack.machines._wait_until = stack.wait_until

    assert campaigns.get(campaign.campaign_id).state == "succeeded"
    assert seen == [f"{scope} is held by admin: because, until a person releases it"]
    assert minutes(devices.attempts("A")) == [20]  # it looks at the hold each ten minutes


def test_resuming_goes_on_after_its_first_try_died(stack: Harness, devices: Devices) -> None:
    devices.always["A reach"] = OFFLINE
    campaign = start(stack, "A")
    with pytest.raises(InvalidTransition, match="nobody has paused it"):
        commands.resume(campaign.campaign_id, stack.context())
    commands.pause(campaign.campaign_id, None, stack.context())
    run_until(stack, TEN + timedelta(minutes=3))
    lift_hold(f"campaign:{campaign.campaign_id}", stack.context())  # as far as it came

    resumed = commands.resume(campaign.campaign_id, stack.context())

    assert resumed.counted_since == stack.at
    run_until(stack, TEN + timedelta(minutes=4))
    assert minutes(devices.attempts("A")) == [3]


def test_a_cancel_of_a_paused_campaign_removes_its_hold(stack: Harness, devices: Devices) -> None:
    campaign = start(stack, "AB")
    commands.pause(campaign.campaign_id, None, stack.context())
    run_until(stack, TEN + timedelta(minutes=1))

    commands.cancel(campaign.campaign_id, stack.context())
    stack.machines.run_all()

    assert (campaigns.get(campaign.campaign_id).state, devices.calls) == ("cancelled", [])
    assert [*holds.list_all()] == []


def test_a_campaign_on_hold_expires(stack: Harness, devices: Devices) -> None:
    campaign = start(stack, "AB")
    commands.pause(campaign.campaign_id, None, stack.context())
    stack.machines.run_all()

    assert devices.calls == []
    ended = campaigns.get(campaign.campaign_id)
    assert (ended.state, states(campaign)) == ("failed", "ff")
    assert task_list(campaign)[0].failure_message.startswith("never reached")
    assert holds.find(f"campaign:{campaign.campaign_id}") is None


def test_too_many_failures_put_a_campaign_on_hold_once(stack: Harness, devices: Devices) -> None:
    names = [f"device-{n}" for n in range(40)]
    for name in names[:20]:
        devices.always[f"{name} reach"] = INCOMPATIBLE

    campaign = start(stack, names, abort={"percent": 50, "at_least": 10}, expires_s=7_200)
    run_until(stack, TEN + timedelta(minutes=20))

    assert len(devices.calls) == 10  # a small first slice
    hold = holds.find(f"campaign:{campaign.campaign_id}")
    assert hold is not None
    assert hold.reason == "10 of 10 tasks failed; the limit is 50 %"
    for name in names[:20]:
        del devices.always[f"{name} reach"]
    commands.resume(campaign.campaign_id, stack.context())
    stack.machines.run_all()
    ended = campaigns.get(campaign.campaign_id)
    assert (ended.state, states(campaign)) == ("partially_succeeded", "f" * 10 + "s" * 30)


def test_too_many_failures_cancel_a_campaign(stack: Harness, devices: Devices) -> None:
    names = [f"device-{n}" for n in range(30)]
    for name in names:
        devices.always[f"{name} reach"] = INCOMPATIBLE

    abort = {"percent": 50, "at_least": 10, "then": "cancel"}
    campaign = start(stack, names, abort=abort)
    stack.machines.run_all()

    ended = campaigns.get(campaign.campaign_id)
    assert states(campaign) == "f" * 10 + "c" * 20
    assert ended.stop_reason == "abort"


def test_one_target_is_never_worked_on_by_two_campaigns(stack: Harness, devices: Devices) -> None:
    """The second campaign finds the target claimed, and waits for the end of the attempt."""
    second: list[Campaign] = []

    def overlap(device: str, step: str) -> None:
        if step == "upload" and not second:
            second.append(start(stack, "A", expires_s=7_200))
            run_until(stack, stack.at + timedelta(minutes=1))
            assert [name for _, name, _ in devices.calls] == ["reach", "upload"]

    devices.during = overlap
    first = start(stack, "A")
    stack.machines.run_all()
    stack.advance(1801)
    stack.tick()
    stack.machines.run_all()

    for campaign in (first, *second):
        assert campaigns.get(campaign.campaign_id).state == "succeeded"
    assert [name for _, name, _ in devices.calls] == [
        *("reach", "upload", "apply", "verify"),
        *("reach", "upload", "apply", "verify"),
    ]


def test_a_retry_starts_on_the_claim_that_its_task_has(stack: Harness, devices: Devices) -> None:
    devices.answers["A reach"] = [OFFLINE] * 3
    start(stack, "A")
    stack.machines.run_all()

    assert minutes(devices.attempts("A")) == [0, 5, 10, 15]
    assert claims.of_targets(["A"])["A"].version == 1


@dataclass
class BeforeRetry(Listener):
    """Something happens once, when a worker has read the claim of a retry, and before it starts."""

    act: Callable[[], object]
    has_acted: bool = False

    def before(self, call: Call) -> None:
        is_retry = call.operation == "BatchExecuteStatement" and any(
            each["Statement"].startswith("""UPDATE "test-jobs" SET "s"='running'""")
            for each in call.parameters["Statements"]
        )
        if is_retry and not self.has_acted:
            self.has_acted = True
            self.act()


def test_a_retry_does_not_start_if_another_campaign_takes_its_claim_meanwhile(
    stack: Harness, devices: Devices
) -> None:
    second: list[Campaign] = []

    def overtake() -> None:
        second.append(start(stack, "A", expires_s=7_200))
        run_until(stack, stack.at + timedelta(seconds=30))

    devices.answers["A reach"] = [OFFLINE]
    first = start(stack, "A", expires_s=7_200)
    with stack.interceptor.listening(BeforeRetry(overtake)):
        stack.machines.run_all()

    assert minutes(devices.attempts("A")) == [0, 5, 6]  # that of the second is at five
    for campaign in (first, *second):
        assert campaigns.get(campaign.campaign_id).state == "succeeded"
    assert claims.of_targets(["A"])["A"].version == 3


@dataclass
class RunsTwice(Listener):
    """Another invocation of the same worker writes the start of a retry first."""

    has_started: bool = False

    def before(self, call: Call) -> None:
        statements = call.parameters.get("Statements", [])
        first = next(iter(statements), {"Statement": ""})
        is_retry = first["Statement"].startswith("""UPDATE "test-jobs" SET "s"='running'""")
        if is_retry and not self.has_started:
            self.has_started = True
            body, key = first["Parameters"]
            other = {"S": json.dumps(json.loads(body["S"]) | {"i": "another invocation"})}
            tables.client().batch_execute_statement(
                Statements=[{**first, "Parameters": [other, key]}]  # type: ignore[typeddict-item]
            )


def test_a_retry_that_another_invocation_of_its_worker_started_is_not_run_twice(
    stack: Harness, devices: Devices
) -> None:
    devices.answers["A reach"] = [OFFLINE]
    campaign = start(stack, "A", expires_s=7_200)
    with stack.interceptor.listening(RunsTwice()):
        stack.machines.run_all()

    # That one is lost, so it is tried again when it cannot live any more.
    assert minutes(devices.attempts("A")) == [0, 21]
    assert campaigns.get(campaign.campaign_id).state == "succeeded"


@dataclass
class DiesRevoking(Listener):
    """A worker dies when it revokes the claim of another task, before or after that is written."""

    is_sent: bool
    is_dead: bool = False

    def before(self, call: Call) -> None:
        if not self.is_sent:
            self._die(call)

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        self._die(call)

    def _die(self, call: Call) -> None:
        is_revocation = call.operation == "BatchExecuteStatement" and any(
            each["Statement"].startswith("""UPDATE "test-jobs" SET "s"='scheduled'""")
            for each in call.parameters["Statements"]
        )
        if is_revocation and not self.is_dead:
            self.is_dead = True
            raise ConnectionError


@pytest.mark.parametrize("is_sent", [False, True])
def test_both_tasks_succeed_after_a_worker_died_when_it_took_the_claim_of_the_other(
    is_sent: bool, stack: Harness, devices: Devices
) -> None:
    devices.answers["A reach"] = [OFFLINE]
    first = start(stack, "A", expires_s=7_200)
    run_until(stack, TEN + timedelta(minutes=2))  # what rests is lost
    dies = DiesRevoking(is_sent)
    second = start(stack, "A", expires_s=7_200)
    with stack.interceptor.listening(dies):
        stack.machines.run_all()
    stack.advance(1801)
    stack.tick()
    stack.machines.run_all()

    assert dies.is_dead
    for campaign in (first, second):
        assert campaigns.get(campaign.campaign_id).state == "succeeded"
    assert [name for _, name, _ in devices.calls] == [
        "reach",
        *("reach", "upload", "apply", "verify"),
        *("reach", "upload", "apply", "verify"),
    ]


def test_a_campaign_whose_execution_was_lost_goes_on(stack: Harness, devices: Devices) -> None:
    devices.answers["A reach"] = [OFFLINE]
    campaign = start(stack, "A")
    run_until(stack, TEN + timedelta(minutes=1))  # what rests is lost

    stack.at = TEN + timedelta(minutes=11)
    stack.tick()
    stack.machines.run_all()

    assert minutes(devices.attempts("A")) == [0, 11]
    assert campaigns.get(campaign.campaign_id).state == "succeeded"


@pytest.mark.parametrize("event", ["cancel", "pause", "expire"])
def test_bound_steps_end_together_whatever_happens(
    stack: Harness, devices: Devices, event: str
) -> None:
    devices.answers["A verify"] = [Snooze(120, "the device reboots")]

    def apply_until_it_expires(_device: str, step: str) -> None:
        if event == "expire" and step == "apply":
            stack.wait_until(TEN + timedelta(minutes=29.5))

    devices.during = apply_until_it_expires
    campaign = start(stack, "AB", at_once=1)
    if event != "expire":
        run_until(stack, TEN + timedelta(minutes=1))
    if event == "cancel":
        commands.cancel(campaign.campaign_id, stack.context())
    elif event == "pause":
        commands.pause(campaign.campaign_id, None, stack.context())
    run_until(stack, TEN + timedelta(minutes=40))

    steps = [step for device, step, _ in devices.calls if device == "A"]
    assert steps == ["reach", "upload", "apply", "verify", "verify"]
    assert states(campaign)[0] == "s"
    assert not campaigns.get(campaign.campaign_id).is_open


@pytest.mark.parametrize("event", ["cancel", "pause", "cancel the task", "close"])
def test_an_upload_ends_after_its_part_while_it_is_stopped(
    stack: Harness, devices: Devices, event: str
) -> None:
    devices.answers["A upload"] = [Continue(0, "50 % of the image is uploaded")]

    def act(_device: str, step: str) -> None:
        if step != "upload" or devices.context is None:
            return
        devices.during = Devices().during
        assert not devices.context.must_stop()
        if event == "cancel":
            commands.cancel(campaign.campaign_id, stack.context())
        elif event == "pause":
            commands.pause(campaign.campaign_id, None, stack.context())
        elif event == "cancel the task":
            address = JobAddress(campaign.campaign_id, 0, 0)
            send_job_event(address.job_id, "cancel", stack.context())
        else:
            stack.wait_until(TEN + timedelta(minutes=15))
        while not devices.context.must_stop():  # the worker looks every two seconds
            stack.advance(1)
            time.sleep(0.01)

    devices.during = act
    window = {"window": {"from": "10:00", "to": "10:15"}, "zone": "UTC"}
    dates = {"from": "2026-11-25", "to": "2026-11-26"}
    fields = {"kind": "scheduled", **window, **dates} if event == "close" else {}
    campaign = start(stack, "A", **fields)
    stack.machines.run_all() if event == "close" else run_until(stack, TEN + timedelta(minutes=3))
    if event == "pause":
        commands.resume(campaign.campaign_id, stack.context())
        stack.machines.run_all()

    steps = ["reach", "upload"]
    if event in {"pause", "close"}:
        steps += ["upload", "apply", "verify"]
    assert [step for _, step, _ in devices.calls] == steps
    assert states(campaign) == ("s" if len(steps) > 2 else "c")


def test_bound_steps_that_never_end_are_given_up_after_the_grace(
    stack: Harness, devices: Devices
) -> None:
    devices.always["A verify"] = Continue(60, "the device reboots")
    campaign = start(stack, "A")
    run_until(stack, TEN + timedelta(minutes=45))

    (task,) = task_list(campaign)
    assert (task.state, task.failure_code) == ("failed", "EXPIRED")
    ended_at = campaigns.get(campaign.campaign_id).ended_at
    assert ended_at is not None
    assert timedelta(minutes=35) <= ended_at - TEN <= timedelta(minutes=37)


def test_a_cancel_does_not_wait_for_a_device_that_stays_busy(
    stack: Harness, devices: Devices
) -> None:
    devices.always["A verify"] = Snooze(60, "busy", exhausted_code=Failure.DEVICE_BUSY)
    campaign = start(stack, "A", expires_s=86_400)
    run_until(stack, TEN + timedelta(minutes=3))
    commands.cancel(campaign.campaign_id, stack.context())
    stack.machines.run_all()

    ended = campaigns.get(campaign.campaign_id)
    assert (ended.state, ended.counts) == ("cancelled", {"cancelled": 1})
    assert ended.ended_at is not None
    assert timedelta(minutes=8) <= ended.ended_at - TEN <= timedelta(minutes=10)


def test_a_device_may_ask_to_wait_for_longer_than_a_day(stack: Harness, devices: Devices) -> None:
    devices.always["A reach"] = Snooze(3_600, "429", exhausted_code=Failure.DEVICE_BUSY)
    campaign = start(stack, "A", expires_s=30 * 3_600)

    def answer_at_last(_device: str, _step: str) -> None:
        if stack.at >= TEN + timedelta(hours=28):
            devices.always.clear()

    devices.during = answer_at_last
    stack.machines.run_all()

    (task,) = task_list(campaign)
    assert (task.state, task.start_count) == ("succeeded", 1)


BROKEN_RECORDS = {
    "no JSON": ("body", "{"),
    "no rules": ("body", '{"name":"x"}'),
    "no state": ("state", "nonsense"),
}


@pytest.mark.parametrize(("name", "value"), BROKEN_RECORDS.values(), ids=BROKEN_RECORDS)
def test_a_campaign_that_cannot_be_read_stops_no_other(
    stack: Harness, devices: Devices, name: str, value: str
) -> None:
    devices.answers["B reach"] = [OFFLINE]
    broken, healthy = start(stack, "A"), start(stack, "B")
    run_until(stack, TEN + timedelta(minutes=1))  # what rests is lost
    tables.client().update_item(
        TableName=tables.CampaignItem.Meta.table_name,
        Key={"campaign_id": {"S": broken.campaign_id}},
        UpdateExpression="SET #name = :value, due_shard = :open, due_at = :zero",
        ExpressionAttributeNames={"#name": name},
        ExpressionAttributeValues={
            ":value": {"S": value},
            ":open": {"S": "open"},
            ":zero": {"N": "0"},
        },
    )

    stack.at = TEN + timedelta(minutes=11)
    overdue = restart_overdue(stack.executions, stack.at)
    stack.machines.run_all()

    assert (overdue.restarted, [*overdue.errors]) == (1, [broken.campaign_id])
    assert campaigns.get(healthy.campaign_id).state == "succeeded"
    assert recover_campaign(broken.campaign_id, stack.executions, stack.at) == 0
    page = campaigns.newest(10)
    assert [each.campaign_id for each in page.items] == [healthy.campaign_id]
    assert [each.campaign_id for each in page.unknown] == [broken.campaign_id]


def test_an_execution_that_cannot_be_started_stops_no_other_campaign(
    stack: Harness, devices: Devices
) -> None:
    refused, healthy = start(stack, "A"), start(stack, "B")
    stack.machines._waiting.clear()  # their executions are lost

    stack.at = TEN + timedelta(minutes=11)
    with stack.interceptor.listening(RefusedStart(refused.campaign_id)):
        overdue = restart_overdue(stack.executions, stack.at)
    stack.machines.run_all()

    assert (overdue.restarted, [*overdue.errors]) == (1, [refused.campaign_id])
    assert campaigns.get(healthy.campaign_id).state == "succeeded"
    stack.advance(301)  # the next time that the clock looks at the other
    stack.tick()
    stack.machines.run_all()
    assert campaigns.get(refused.campaign_id).state == "succeeded"


@dataclass
class RefusedStart(Listener):
    """Step Functions starts no execution of a campaign."""

    campaign_id: str

    def before(self, call: Call) -> Answer | None:
        if call.operation == "StartExecution" and self.campaign_id in call.parameters["name"]:
            return Answer.error(400, "ExecutionLimitExceeded")
        return None


def test_two_settles_at_once_place_one_hold(stack: Harness, devices: Devices) -> None:
    """The second runs as a whole before each write of the first."""
    names = [f"device-{n}" for n in range(20)]
    for name in names:
        devices.always[f"{name} reach"] = INCOMPATIBLE
    settle = stack.machines._functions["SettleFunction"]

    def twice(event: dict[str, Any]) -> dict[str, Any]:
        with stack.interceptor.listening(Before({"PutItem"}, lambda: settle(event))):
            return settle(event)

    stack.machines._functions = {**stack.machines._functions, "SettleFunction": twice}
    campaign = start(stack, names, abort={"percent": 50, "at_least": 10}, expires_s=7_200)
    run_until(stack, TEN + timedelta(minutes=20))

    assert len(devices.calls) == 10
    hold = holds.find(f"campaign:{campaign.campaign_id}")
    assert hold is not None
    assert hold.placed_at < TEN + timedelta(minutes=2)
    paused = campaigns.get(campaign.campaign_id)
    assert [each.event for each in paused.history] == ["start", "pause"]


@dataclass
class Before(Listener):
    """Something happens once, before the first call of some operations."""

    operations: set[str]
    act: Callable[[], object]
    has_acted: bool = False

    def before(self, call: Call) -> None:
        if call.operation in self.operations and not self.has_acted:
            self.has_acted = True
            self.act()


def test_six_workers_share_the_slots_of_a_large_campaign(stack: Harness, devices: Devices) -> None:
    stack.settings = replace(stack.settings, max_concurrency=10)
    names = [f"device-{n}" for n in range(400)]
    shares: list[PassShare] = []
    execute = stack.machines._functions["ExecuteChunkFunction"]

    def note(event: dict[str, Any]) -> dict[str, Any]:
        if (share := ChunkInput.of(event).chunk.share) is not None:
            shares.append(share)
        return execute(event)

    stack.machines._functions = {**stack.machines._functions, "ExecuteChunkFunction": note}
    campaign = start(stack, names, at_once=130, rollout={"per_minute": 1000})
    stack.machines.run_all()

    at_once = [share for share in shares if share.since == TEN]
    assert len(at_once) == 6
    assert sum(share.slots for share in at_once) <= 130
    assert campaigns.get(campaign.campaign_id).state == "succeeded"
    assert len(devices.calls) == 4 * 400


def test_a_campaign_and_its_month_cost_what_its_functions_used(
    stack: Harness, devices: Devices
) -> None:
    campaign = start(stack, "AB")
    stack.machines.run_all()
    sample_rates(0, stack.at)

    used = usage.of_origin(campaign.campaign_id)
    parts = {part for part, _ in usage.parts_of(campaign.campaign_id)}
    assert parts == {"chunk-0", "open", "report", "settle"}
    assert used.invocations >= 4
    assert used.write_units >= 3 * 2
    assert rates.usage_of_month(stack.at) == used


def test_a_worker_whose_grant_is_used_ends_at_once(stack: Harness, devices: Devices) -> None:
    names = [f"device-{n}" for n in range(20)]
    ended: list[float] = []
    execute = stack.machines._functions["ExecuteChunkFunction"]

    def note(event: dict[str, Any]) -> dict[str, Any]:
        began = stack.at
        answer = execute(event)
        ended.append((stack.at - began).total_seconds())
        return answer

    stack.machines._functions = {**stack.machines._functions, "ExecuteChunkFunction": note}
    start(stack, names, abort={"percent": 50, "at_least": 5})
    stack.machines.run_all()

    assert len(ended) == 2  # five tasks, then the others
    assert max(ended) < 5


def test_a_worker_of_before_an_act_starts_no_task_after_it(
    stack: Harness, devices: Devices
) -> None:
    """The act comes between two starts, and no time passes: the worker does not look meanwhile."""

    def pause(device: str, step: str) -> None:
        if (device, step) == ("A", "verify"):
            commands.pause(campaign.campaign_id, None, stack.context())

    devices.during = pause
    campaign = start(stack, "AB", at_once=1)
    run_until(stack, TEN + timedelta(minutes=5))

    assert {device for device, _, _ in devices.calls} == {"A"}
    assert states(campaign) == "ss"


def test_a_key_of_another_campaign_does_not_change_its_targets(
    stack: Harness, devices: Devices
) -> None:
    request = stack.context(key="weekly")
    document = {"job_type": NAME, "kind": "fire_and_forget", "targets": ["A"]}
    campaign = commands.start(document, request).campaign

    with pytest.raises(BadRequest, match="a new campaign needs a new key"):
        commands.start({**document, "targets": ["B", "C"]}, request)
    stack.machines.run_all()

    assert [*devices.attempts("A"), *devices.attempts("B")] == [TEN]
    assert states(campaign) == "s"


@dataclass
class LostWorker(Listener):
    """The first worker is lost before it writes the ends of its tasks."""

    is_lost: bool = False

    def before(self, call: Call) -> None:
        is_end = call.operation == "BatchExecuteStatement" and any(
            each["Statement"].startswith('UPDATE "test-jobs"')
            for each in call.parameters["Statements"]
        )
        if is_end and not self.is_lost:
            self.is_lost = True
            raise ConnectionError


def test_tasks_of_a_lost_worker_start_again_when_their_claims_have_run_out(
    stack: Harness, devices: Devices
) -> None:
    campaign = start(stack, "AB")
    with stack.interceptor.listening(LostWorker()):
        stack.machines.run_all()

    for device in "AB":
        assert minutes(devices.attempts(device)) == [0, 16]
    assert campaigns.get(campaign.campaign_id).state == "succeeded"


def test_retries_leave_the_grant_to_targets_without_an_attempt(
    stack: Harness, devices: Devices
) -> None:
    names = [f"device-{n}" for n in range(40)]
    for name in names[:30]:
        devices.always[f"{name} reach"] = OFFLINE
    rules = {"rollout": {"per_minute": 10}, "retry_s": 60, "at_once": 25, "expires_s": 7_200}
    start(stack, names, **rules)
    run_until(stack, TEN + timedelta(minutes=7))

    reached = [(device, at) for device, step, at in devices.calls if step == "reach"]
    assert {device for device, _ in reached[:40]} == {*names}
    per_minute = [
        sum(int((at - TEN).total_seconds() // 60) == n for _, at in reached) for n in range(7)
    ]
    assert per_minute == [10] * 7


def test_an_act_lets_no_more_than_at_once_run(stack: Harness, devices: Devices) -> None:
    """A worker of the execution before the act still runs a task of another chunk."""
    names = [f"device-{n}" for n in range(26)]
    for name in names[:25]:
        devices.answers[f"{name} reach"] = [OFFLINE]
    calls: list[int] = []

    def act(device: str, step: str) -> None:
        if (device, step) == (names[25], "upload") and not calls:
            stack.advance(301)  # the others may be tried again
            for _ in range(500):  # until the worker has saved its counts
                if chunks.get(campaign.campaign_id, 1).counts.get("running"):
                    break
                time.sleep(0.01)
            before = len(devices.calls)
            commands.pause(campaign.campaign_id, None, stack.context())
            commands.resume(campaign.campaign_id, stack.context())
            run_until(stack, stack.at + timedelta(seconds=50))
            calls.append(len(devices.calls) - before)

    devices.during = act
    campaign = start(stack, names, at_once=1, expires_s=7_200)
    stack.machines.run_all()

    assert calls == [0]


def test_the_same_request_starts_one_campaign(stack: Harness, devices: Devices) -> None:
    request = stack.context(key="once")
    document = {"job_type": NAME, "kind": "fire_and_forget", "targets": ["A"]}

    one, two = (commands.start(document, request).campaign for _ in range(2))
    stack.machines.run_all()

    assert one.campaign_id == two.campaign_id
    assert len(devices.attempts("A")) == 1


def test_a_key_starts_no_campaign_with_other_rules(stack: Harness, devices: Devices) -> None:
    older, request = start(stack, "A").campaign_id, stack.context(key="once")
    document = {"job_type": NAME, "kind": "fire_and_forget", "targets": ["A"]}
    commands.start(document, request)

    for change in ({"at_once": 3}, {"retry_s": 60}, {"replaces": older}):
        with pytest.raises(BadRequest, match="with another body"):
            commands.start(document | change, request)
    assert campaigns.get(older).is_open


def test_a_longer_range_gives_a_campaign_another_window(stack: Harness, devices: Devices) -> None:
    devices.always["A reach"] = OFFLINE
    campaign = start(stack, "A", **FRIDAYS)
    run_until(stack, datetime(2026, 11, 28, 12, tzinfo=UTC))

    commands.change(campaign.campaign_id, {"to": "2026-12-05"}, stack.context())
    devices.always.clear()
    stack.machines.run_all()

    ended = campaigns.get(campaign.campaign_id)
    assert ended.state == "succeeded"
    assert ended.ended_at == datetime(2026, 12, 4, 21, tzinfo=UTC)
    assert [each.reason for each in ended.history if each.event == "change"] == ["because"]


def test_a_retry_is_a_new_campaign_for_what_has_not_succeeded(
    stack: Harness, devices: Devices
) -> None:
    devices.always["B reach"] = INCOMPATIBLE
    devices.always["C reach"] = OFFLINE
    first = start(stack, "ABC")
    stack.machines.run_all()
    assert states(first) == "sff"

    devices.always.clear()
    second = commands.retry(first.campaign_id, {}, stack.context()).campaign
    stack.machines.run_all()

    assert second.retry_of == first.campaign_id
    assert states(second) == "ss"
    with pytest.raises(InvalidTransition, match="all tasks"):
        commands.retry(second.campaign_id, {}, stack.context())


def test_a_campaign_is_replaced_as_a_whole(stack: Harness, devices: Devices) -> None:
    devices.always["B reach"] = OFFLINE
    first = start(stack, "AB", expires_s=7_200)
    run_until(stack, TEN + timedelta(minutes=7))

    devices.always.clear()
    second = start(stack, "AB", replaces=first.campaign_id)
    stack.machines.run_all()

    replaced = campaigns.get(first.campaign_id)
    assert (replaced.state, replaced.replaced_by) == ("replaced", second.campaign_id)
    assert states(first) == "sr"
    assert campaigns.get(second.campaign_id).state == "succeeded"


def test_a_start_that_is_repeated_after_it_replaced_a_campaign_is_not_refused(
    stack: Harness, devices: Devices
) -> None:
    older = start(stack, "A").campaign_id
    request = {"job_type": NAME, "kind": "fire_and_forget", "targets": ["A"], "replaces": older}

    first = commands.start(request, stack.context(key="once")).campaign
    stack.machines.run_all()
    again = commands.start(request, stack.context(key="once")).campaign

    assert again.campaign_id == first.campaign_id
    assert campaigns.get(older).replaced_by == first.campaign_id
    with pytest.raises(InvalidCampaign, match="is replaced"):
        commands.start(request, stack.context(key="another"))


def test_only_a_campaign_of_the_same_job_type_is_replaced(stack: Harness, devices: Devices) -> None:
    with pytest.raises(InvalidCampaign) as refused:
        start(stack, "A", replaces="c" + "a" * 20)

    assert [each.where for each in refused.value.problems] == ["replaces"]


@pytest.mark.parametrize("event", ["cancel", "change"])
def test_an_act_that_was_not_recorded_is_recorded_by_its_repeat(
    event: str, stack: Harness, devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign_id = start(stack, "A").campaign_id
    stack.advance(1)
    request = stack.context(key=f"{event} once")

    def send() -> None:
        if event == "cancel":
            commands.cancel(campaign_id, request)
        else:
            commands.change(campaign_id, {"at_once": 7}, request)

    with monkeypatch.context() as dying:
        dying.setattr(commands.activity, "record", _die)
        with pytest.raises(Died):
            send()
    send()
    send()

    acts = [each.act for each in activity.newest_first(stack.now(), None, 10)]
    assert [each.event for each in acts if each.subject.subject_id == campaign_id] == [
        event,
        "start",
    ]


class Died(Exception):
    """The function died."""


def _die(*_: object) -> None:
    raise Died


def address_of(campaign: Campaign, position: int) -> JobAddress:
    """The address of a task of the first chunk."""
    return JobAddress(campaign.campaign_id, 0, position)


def counts_of(campaign: Campaign) -> Mapping[str, int]:
    """The counts of the first chunk, which must be those of its records."""
    stored = chunks.get(campaign.campaign_id, 0)
    recorded = stored.with_counts_of(jobs.of_chunk(campaign.campaign_id, 0))
    assert stored.counts == recorded.counts
    return stored.counts


def test_one_waiting_task_is_cancelled_at_once_and_the_others_continue(
    stack: Harness, devices: Devices
) -> None:
    devices.always["A reach"] = OFFLINE
    devices.answers["B reach"] = [OFFLINE, OFFLINE]
    campaign = start(stack, "AB")
    run_until(stack, TEN + timedelta(minutes=2))

    send_job_event(address_of(campaign, 0).job_id, "cancel", stack.context())
    assert counts_of(campaign) == {"cancelled": 1, "scheduled": 1}
    stack.machines.run_all()

    assert minutes(devices.attempts("A")) == [0]
    assert minutes(devices.attempts("B")) == [0, 5, 10]
    ended = campaigns.get(campaign.campaign_id)
    assert (ended.state, states(campaign)) == ("partially_succeeded", "cs")
    assert ended.ended_at == TEN + timedelta(minutes=10)


def test_a_campaign_whose_last_task_is_cancelled_ends_now(stack: Harness, devices: Devices) -> None:
    devices.always["B reach"] = OFFLINE
    campaign = start(stack, "AB")
    run_until(stack, TEN + timedelta(minutes=2))

    send_job_event(address_of(campaign, 1).job_id, "cancel", stack.context())
    stack.machines.run_all()

    ended = campaigns.get(campaign.campaign_id)
    assert (ended.state, ended.ended_at) == ("partially_succeeded", TEN + timedelta(minutes=2))


def test_a_task_without_an_attempt_is_cancelled(stack: Harness, devices: Devices) -> None:
    campaign = start(stack, "AB", **FRIDAYS)
    run_until(stack, TEN + timedelta(minutes=2))

    send_job_event(address_of(campaign, 0).job_id, "cancel", stack.context())
    assert counts_of(campaign) == {"cancelled": 1}
    stack.machines.run_all()

    assert devices.attempts("A") == []
    assert states(campaign) == "cs"


@dataclass
class WorkerLooks(Listener):
    """A worker reads its tasks again, after it has seen that its campaign has changed."""

    has_read: threading.Event = field(default_factory=threading.Event)

    def before(self, call: Call) -> None:
        if call.operation == "Query" and call.parameters["TableName"] == "test-jobs":
            self.has_read.set()


def cancel_during(
    stack: Harness, devices: Devices, campaigns_started: list[Campaign], step: str
) -> None:
    """A person cancels the task of device A while it does `step`."""

    def cancel(device: str, name: str) -> None:
        if (device, name) == ("A", step):
            (campaign,) = campaigns_started
            send_job_event(address_of(campaign, 0).job_id, "cancel", stack.context(key="once"))
            send_job_event(address_of(campaign, 0).job_id, "cancel", stack.context(key="twice"))
            view = jobs_queries.job(address_of(campaign, 0).job_id, stack.query_context())
            assert view.why == "admin cancelled it: it ends after its step or part"
            looks = WorkerLooks()
            with stack.interceptor.listening(looks):
                stack.advance(3)
                assert looks.has_read.wait(60)

    devices.during = cancel


@pytest.mark.parametrize(
    ("step", "steps", "end"),
    [
        ("reach", ["reach"], "cancelled"),
        ("apply", ["reach", "upload", "apply", "verify"], "succeeded"),  # bound steps end together
        ("verify", ["reach", "upload", "apply", "verify"], "succeeded"),  # done wins
    ],
)
def test_a_running_task_is_cancelled_after_its_step(
    step: str, steps: list[str], end: str, stack: Harness, devices: Devices
) -> None:
    found: list[Campaign] = []
    cancel_during(stack, devices, found, step)
    found.append(start(stack, "AB"))
    stack.machines.run_all()

    (campaign,) = found
    assert [name for device, name, _ in devices.calls if device == "A"] == steps
    task = task_list(campaign)[0]
    assert (task.state, states(campaign)[1]) == (end, "s")
    assert counts_of(campaign).get("scheduled", 0) == 0
    assert chunks.get(campaign.campaign_id, 0).cancels == {}
    if end == "cancelled":
        assert (task.history[-1].actor, task.history[-1].reason) == ("admin", "because")
    acts = [each.act for each in activity.newest_first(stack.now(), None, 10)]
    assert [each.event for each in acts if each.subject.kind == "task"] == ["cancel"]


def test_a_cancelled_task_whose_bound_step_waits_ends_when_its_attempt_fails(
    stack: Harness, devices: Devices
) -> None:
    devices.answers["A verify"] = [Snooze(120, "the device reboots"), OFFLINE]
    campaign = start(stack, "A")
    run_until(stack, TEN + timedelta(minutes=1))

    send_job_event(address_of(campaign, 0).job_id, "cancel", stack.context())
    stack.machines.run_all()

    steps = [step for _, step, _ in devices.calls]
    assert steps == ["reach", "upload", "apply", "verify", "verify"]
    assert states(campaign) == "c"


def test_the_task_of_a_lost_worker_is_cancelled_when_its_claim_has_run_out(
    stack: Harness, devices: Devices
) -> None:
    campaign = start(stack, "AB")
    with stack.interceptor.listening(LostWorker()):
        run_until(stack, TEN + timedelta(minutes=2))
        send_job_event(address_of(campaign, 0).job_id, "cancel", stack.context())
        assert counts_of(campaign) == {"running": 2}
        stack.machines.run_all()

    assert len(devices.attempts("A")) == 1
    assert len(devices.attempts("B")) == 2
    assert states(campaign) == "cs"


def test_a_failed_task_is_requeued_in_a_campaign_that_runs(
    stack: Harness, devices: Devices
) -> None:
    devices.answers["A upload"] = [INCOMPATIBLE]
    devices.always["B reach"] = OFFLINE
    campaign = start(stack, "AB")
    run_until(stack, TEN + timedelta(minutes=2))
    assert states(campaign) == "fs"

    send_job_event(address_of(campaign, 0).job_id, "requeue", stack.context())
    assert counts_of(campaign) == {"scheduled": 2}
    run_until(stack, TEN + timedelta(minutes=4))

    steps = [(step, at) for device, step, at in devices.calls if device == "A"]
    assert [step for step, _ in steps] == ["reach", "upload", "upload", "apply", "verify"]
    assert steps[-1][1] == TEN + timedelta(minutes=2)
    assert states(campaign) == "ss"


def test_a_task_of_a_chunk_that_has_ended_is_requeued(stack: Harness, devices: Devices) -> None:
    names = [f"device-{n}" for n in range(26)]  # two chunks
    devices.answers[f"{names[3]} upload"] = [INCOMPATIBLE]
    devices.always[f"{names[25]} reach"] = OFFLINE
    campaign = start(stack, names, expires_s=7_200)
    run_until(stack, TEN + timedelta(minutes=6))
    assert campaigns.get(campaign.campaign_id).ended_chunks.number == 1

    send_job_event(address_of(campaign, 3).job_id, "requeue", stack.context())
    assert campaigns.get(campaign.campaign_id).ended_chunks.number == 0
    del devices.always[f"{names[25]} reach"]
    stack.machines.run_all()

    ended = campaigns.get(campaign.campaign_id)
    assert (ended.state, ended.counts) == ("succeeded", {"succeeded": 26})


def test_a_task_of_an_ended_campaign_takes_no_event(stack: Harness, devices: Devices) -> None:
    devices.answers["A reach"] = [INCOMPATIBLE]
    campaign = start(stack, "A")
    stack.machines.run_all()

    with pytest.raises(InvalidTransition, match="jobyard campaign retry"):
        send_job_event(address_of(campaign, 0).job_id, "requeue", stack.context())


def test_events_of_tasks_raise_no_rate(stack: Harness, devices: Devices) -> None:
    """A campaign in a pass is not restarted: its grant is used once."""
    names = [f"device-{n}" for n in range(40)]
    campaigns_started: list[Campaign] = []
    left = [30, 31, 32]

    def cancel(device: str, step: str) -> None:
        if step == "reach" and left:
            address = address_of(campaigns_started[0], left.pop())
            if address.position >= campaigns_started[0].chunk_size:
                address = JobAddress(address.origin_id, *divmod(address.position, 25))
            send_job_event(address.job_id, "cancel", stack.context())

    devices.during = cancel
    campaigns_started.append(start(stack, names, rollout={"per_minute": 10}))
    stack.machines.run_all()

    (campaign,) = campaigns_started
    times = [at for _, step, at in devices.calls if step == "reach"]
    per_minute = [sum(int((at - TEN).total_seconds() // 60) == n for at in times) for n in range(4)]
    assert per_minute == [10, 10, 10, 7]
    assert campaigns.get(campaign.campaign_id).counts == {"succeeded": 37, "cancelled": 3}


@pytest.mark.parametrize("dies", ["before", "after"])
def test_an_event_of_a_task_is_repeated_after_a_crash(
    dies: str, stack: Harness, devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices.always["A reach"] = OFFLINE
    campaign = start(stack, "A")
    run_until(stack, TEN + timedelta(minutes=2))
    request = stack.context(key="once")
    name = "write" if dies == "before" else "start_execution"
    place = task_events.tasks if dies == "before" else task_events

    with monkeypatch.context() as dying:
        dying.setattr(place, name, _die)
        with pytest.raises(Died):
            send_job_event(address_of(campaign, 0).job_id, "cancel", request)
    for _ in range(2):
        send_job_event(address_of(campaign, 0).job_id, "cancel", request)
    stack.advance(360)
    stack.tick()
    stack.machines.run_all()

    assert campaigns.get(campaign.campaign_id).state == "failed"
    (task,) = task_list(campaign)
    assert [each.event for each in task.history].count("cancel") == 1
    acts = [each.act for each in activity.newest_first(stack.now(), None, 10)]
    assert [each.event for each in acts if each.subject.kind == "task"] == ["cancel"]


def test_an_attempt_that_never_ends_is_timed_out_and_tried_again(
    stack: Harness, devices: Devices
) -> None:
    """Over all of its parts and passes, and the waits that its step asks for."""
    devices.always["A upload"] = Continue(45, "a part is uploaded")
    campaign = start(stack, "A", expires_s=3 * 3_600, attempt_s=900)
    run_until(stack, TEN + timedelta(minutes=25))

    (task,) = task_list(campaign)
    failed = [each for each in task.attempts if each.failure_code not in NO_FAILURES]
    assert [each.failure_code for each in failed] == ["TIMEOUT"]
    ended_at = failed[0].ended_at
    assert ended_at is not None
    assert timedelta(minutes=15) <= ended_at - TEN <= timedelta(minutes=17)
    tried_again = [at for _, step, at in devices.calls if step == "upload" and at > ended_at]
    assert timedelta(minutes=5) <= tried_again[0] - ended_at <= timedelta(minutes=8)


def test_a_closed_window_does_not_time_an_attempt_out(stack: Harness, devices: Devices) -> None:
    def close(_device: str, step: str) -> None:
        if step == "upload":
            stack.advance(31)

    devices.during = close
    stack.at = datetime(2026, 11, 28, 1, tzinfo=UTC) - timedelta(seconds=30)
    campaign = start(stack, "A", **{**FRIDAYS, "to": "2026-12-05"}, attempt_s=60)
    stack.machines.run_all()

    assert [step for _, step, _ in devices.calls] == ["reach", "upload", "apply", "verify"]
    (task,) = task_list(campaign)
    assert (task.state, [each.failure_code for each in task.attempts]) == (
        "succeeded",
        ["PART", ""],
    )


@dataclass
class FailingCall(Listener):
    """One call of a request fails: it is not sent, or its answer is lost."""

    number: int
    is_sent: bool
    count: int = 0

    def before(self, call: Call) -> None:
        self.count += 1
        if self.count == self.number and not self.is_sent:
            raise ConnectionError

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        if self.count == self.number and self.is_sent:
            raise ConnectionError


@pytest.mark.parametrize(
    ("event", "is_sent"), [("cancel", False), ("cancel", True), ("requeue", True)]
)
def test_an_event_of_a_task_is_made_once_whichever_call_of_its_request_fails(
    event: str, is_sent: bool, stack: Harness, devices: Devices
) -> None:
    failing = FailingCall(0, is_sent)
    while failing.count >= failing.number:
        number = failing.number + 1
        name = f"{event}-{number}"
        devices.always[f"{name} reach"] = OFFLINE if event == "cancel" else INCOMPATIBLE
        devices.always["other reach"] = OFFLINE
        campaign = start(stack, [name, "other"])
        for _ in range(2):  # the execution of the campaign before is abandoned
            run_until(stack, stack.at + timedelta(seconds=30))
        request = stack.context(key=f"{name} {is_sent}")
        task_id = address_of(campaign, 0).job_id

        failing = FailingCall(number, is_sent)
        with stack.interceptor.listening(failing), suppress(ConnectionError):
            send_job_event(task_id, event, request)
        send_job_event(task_id, event, request)

        task = task_list(campaign)[0]
        assert [each.event for each in task.history].count(event) == 1
        after = "cancelled" if event == "cancel" else "scheduled"
        assert sorted(counts_of(campaign)) == sorted({after, "scheduled"})
        acts = [each.act for each in activity.newest_first(stack.now(), None, 50)]
        assert [each.event for each in acts if each.subject.subject_id == task_id] == [event]
        stored = campaigns.get(campaign.campaign_id)
        assert (stored.generation, stored.check_at is not None) == (1, True)
    assert failing.number > 6
