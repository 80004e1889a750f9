"""Campaigns of a job type with a limit, settled one after the other in simulated time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.cause_key import MAIN_RUN
from jobyard.domain.jobs.job_type import Continue
from jobyard.services.batches import rows
from jobyard.services.batches.settle import SettleContext
from jobyard.services.campaigns import commands
from jobyard.services.campaigns.settle import settle
from jobyard.services.runs import ExecutionRun, NextStep
from jobyard.store import campaigns, leases, tables
from tests.call_interceptor import Call, Listener
from tests.harness import Harness
from tests.scenarios.test_campaign_overlaps import run_until, start
from tests.scripted_devices import NAME, scripted_devices

TEN = datetime(2026, 11, 25, 10, tzinfo=UTC)
LIMIT = 6


@pytest.fixture
def stack(harness: Harness) -> Iterator[Harness]:
    harness.at = TEN
    for item in tables.CampaignItem.scan():
        item.delete()
    with scripted_devices(at_once=LIMIT):
        yield harness


class Passes:
    """A campaign of twenty tasks, and its passes, which do nothing here."""

    def __init__(self, stack: Harness, name: str) -> None:
        self.stack, self.number = stack, 0
        targets = [f"{name}-{number}" for number in range(20)]
        rules = {"at_once": 10, "expires_s": 7_200}
        document = {"job_type": NAME, "kind": "fire_and_forget", "targets": targets, **rules}
        self.campaign: Campaign = commands.start(document, stack.context()).campaign

    def settle(self) -> int:
        """The number of slots that the next pass has."""
        self.number += 1
        stack, campaign = self.stack, campaigns.get(self.campaign.campaign_id)
        context = SettleContext(stack.settings, stack.s3, stack.now, stack.executions)
        run = ExecutionRun(MAIN_RUN, campaign.generation * 1_000_000 + self.number)
        step = settle(campaign.campaign_id, run, context)
        return self._slots(step)

    def _slots(self, step: NextStep) -> int:
        if step.next != "next_pass":
            return 0
        found = self.stack.s3.get_object(Bucket=step.index_bucket, Key=step.index_key)
        lines = found["Body"].read().splitlines()
        shares = [rows.Chunk.from_index_line(line).share for line in lines]
        return sum(share.slots for share in shares if share)


def test_three_campaigns_share_the_limit_and_a_lost_pass_is_free_after_20_minutes(
    stack: Harness,
) -> None:
    first, second, third = (Passes(stack, name) for name in "abc")

    assert [first.settle(), second.settle()] == [6, 0]  # all slots are leased
    resting = campaigns.get(second.campaign.campaign_id)
    assert resting.rest_reason == f"all {LIMIT} slots of {NAME} are taken by 1 other campaign"
    assert [first.settle(), second.settle(), third.settle()] == [3, 3, 0]
    assert [first.settle(), second.settle(), third.settle()] == [2, 2, 2]

    stack.advance(19 * 60)  # the pass of the third is lost
    assert [first.settle(), second.settle()] == [2, 2]
    stack.advance(61)
    assert [first.settle(), second.settle()] == [3, 3]


def test_an_ended_campaign_gives_its_slots_back(stack: Harness) -> None:
    first, second = Passes(stack, "a"), Passes(stack, "b")
    first.settle()
    second.settle()

    commands.cancel(first.campaign.campaign_id, stack.context())
    stack.advance(60)  # until its workers have counted what they started
    first.settle()

    assert campaigns.get(first.campaign.campaign_id).state == "cancelled"
    assert second.settle() == LIMIT
    assert [*leases.get(NAME)[0]] == [second.campaign.campaign_id]


class LeaseWrites(Listener):
    """Counts the writes of leases."""

    number = 0

    def before(self, call: Call) -> None:
        key = call.parameters.get("Item", {}).get("campaign_id", {}).get("S", "")
        self.number += call.operation == "PutItem" and key.startswith("leases#")


def test_a_pass_writes_its_lease_once(stack: Harness) -> None:
    campaign, writes = Passes(stack, "a"), LeaseWrites()
    with stack.interceptor.listening(writes):
        for _ in range(3):
            campaign.settle()
            stack.advance(60)

    assert writes.number == 3


def test_a_job_type_without_a_limit_has_no_leases(harness: Harness) -> None:
    harness.at, writes = TEN, LeaseWrites()
    with scripted_devices(), harness.interceptor.listening(writes):
        assert Passes(harness, "a").settle() == 10

    assert writes.number == 0


def test_two_that_settle_at_the_same_time_never_exceed_the_limit(
    stack: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Passes(stack, "a"), Passes(stack, "b")
    put, between = leases.put, [second]

    def put_after_the_other(*arguments: object) -> None:
        if between:
            assert between.pop().settle() == LIMIT
        put(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(leases, "put", put_after_the_other)

    assert first.settle() == 0
    stack.advance(int(timedelta(minutes=1).total_seconds()))
    assert [second.settle(), first.settle()] == [3, 3]


def test_a_device_between_bound_steps_keeps_its_slot(harness: Harness) -> None:
    harness.at = TEN
    with scripted_devices(at_once=1) as devices:
        devices.answers["A verify"].append(Continue(300, "it restarts"))
        first = start(harness, "A", expires_s=7_200)
        run_until(harness, TEN + timedelta(minutes=1))
        start(harness, "B", expires_s=7_200)
        for minute in range(2, 25):
            run_until(harness, TEN + timedelta(minutes=minute))
            harness.tick()

    calls = [(device, step) for device, step, _ in devices.calls if step in {"reach", "verify"}]
    assert calls[:4] == [("A", "reach"), ("A", "verify"), ("A", "verify"), ("B", "reach")]
    assert campaigns.get(first.campaign_id).state == "succeeded"
