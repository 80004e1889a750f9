"""Reports of campaigns: one mail about each end, in the words of the Jobs pages, whatever fails."""

import csv
import io
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from cli.local.mail import Mail
from jobyard.domain.batches.report import DeliveryState, ReportKind
from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.errors import Forbidden, InvalidCampaign
from jobyard.domain.webhooks import WebhookEvent
from jobyard.services import webhooks
from jobyard.services.campaigns import commands
from jobyard.services.campaigns.recovery import recover_campaign
from jobyard.services.queries.campaigns import list_tasks
from jobyard.services.reports.commands import resend
from jobyard.services.webhooks import WebhookSettings
from jobyard.store import campaigns, reports
from tests.call_interceptor import Call, Listener
from tests.faults.injection import FunctionDied
from tests.harness import DEPOSITOR, Harness, Payloads
from tests.machines import ExecutionFailed
from tests.scenarios.campaign_tasks import TEN, start
from tests.scenarios.test_campaigns import run_until
from tests.scripted_devices import INCOMPATIBLE, NAME, OFFLINE, Devices

ABORT = {"percent": 50, "at_least": 10}


def mails_of(stack: Harness, campaign: Campaign) -> list[Mail]:
    """The mails about a campaign."""
    return stack.mails_of(campaign.campaign_id)


def files_of(stack: Harness, campaign: Campaign, seq: int = 1) -> Mapping[str, str]:
    """The files of a report."""
    return {
        name: stack.s3.get_object(Bucket="work", Key=key)["Body"].read().decode()
        for name, key in reports.get(campaign.campaign_id, seq).files.items()
    }


def test_the_end_of_a_campaign_is_mailed_once_with_what_to_do(
    stack: Harness, devices: Devices
) -> None:
    devices.always["B reach"] = INCOMPATIBLE
    devices.always["C reach"] = OFFLINE
    campaign = start(stack, "ABC", name="Gateways to 4.2")
    stack.machines.run_all()
    stack.tick()
    stack.machines.run_all()

    (mail,) = mails_of(stack, campaign)
    assert mail.to == ("admin@example.org",)
    subject = "Jobyard [scenario]: FAIL -- Job Partially Succeeded: Gateways to 4.2"
    assert mail.subject == f"{subject} ({campaign.campaign_id})"
    lines = mail.text.splitlines()
    assert lines[0] == "The Job has ended, but not all Job Tasks succeeded."
    assert "Job Tasks:   3 of 3 done: 1 Succeeded, 2 Failed" in lines
    assert "  1 x INCOMPATIBLE: The update is not for this device. Start a Job with an image" in (
        mail.text
    )
    assert "  1 x EXPIRED: The Job expired before the Job Task succeeded. See the Job Task" in (
        mail.text
    )
    assert f"Job: http://jobyard.example.org/campaigns/{campaign.campaign_id}" in lines
    ended = campaigns.get(campaign.campaign_id)
    assert (ended.last_report, ended.due_report, ended.check_at) == (1, None, None)


def test_webhooks_are_called_about_the_end_of_a_campaign_and_no_hold(
    stack: Harness, devices: Devices, payloads: Payloads
) -> None:
    events = (WebhookEvent.CAMPAIGN_ENDED, WebhookEvent.BATCH_ENDED)
    webhooks.create("ours", WebhookSettings(f"{payloads.url}/hook", events), stack.context())
    devices.always["B reach"] = INCOMPATIBLE
    campaign = start(stack, "ABC", name="Gateways to 4.2")
    names = [f"device-{n}" for n in range(20)]
    for name in names:
        devices.always[f"{name} reach"] = INCOMPATIBLE
    held = start(stack, names, abort=ABORT, expires_s=7_200)
    run_until(stack, TEN + timedelta(minutes=20))

    assert campaigns.get(held.campaign_id).last_report == 1
    (body,) = payloads.posted
    assert body["type"] == "campaign.ended.v1"
    assert body["data"] == {
        "campaign_id": campaign.campaign_id,
        "state": "partially_succeeded",
        "name": "Gateways to 4.2",
        "job_type": NAME,
        "counts": {"succeeded": 2, "failed": 1},
        "report": 1,
        "links": {
            "self": f"http://jobyard.example.org/api/campaigns/{campaign.campaign_id}",
            "page": f"http://jobyard.example.org/campaigns/{campaign.campaign_id}",
        },
    }
    (call,) = [each for each in reports.of_batch(campaign.campaign_id) if each.webhook]
    assert call.delivery.state == "delivered"


def test_a_report_lists_each_task_in_the_order_of_its_targets(
    stack: Harness, devices: Devices
) -> None:
    devices.always["B reach"] = INCOMPATIBLE
    campaign = start(stack, "ABC")
    stack.machines.run_all()

    found = files_of(stack, campaign)

    rows = [*csv.DictReader(io.StringIO(found["jobs.csv"]))]
    assert [(each["target"], each["label"]) for each in rows] == [
        ("A", "Succeeded"),
        ("B", "Failed"),
        ("C", "Succeeded"),
    ]
    assert rows[1]["failure_code"] == "INCOMPATIBLE"
    assert rows[1]["step"] == "reach"
    assert rows[0]["last_triggered"] == "2026-11-25T10:00:00+00:00"
    (failure,) = csv.DictReader(io.StringIO(found["failures.csv"]))
    assert failure["target"] == "B"
    document = json.loads(found["report.json"])
    assert document["campaign_id"] == campaign.campaign_id
    assert [each["attempt_count"] for each in document["tasks"]] == [1, 1, 1]
    assert document["counts"] == {"succeeded": 2, "failed": 1}
    assert document["cost"]["dollars"] > 0
    assert "<h2>Failed Job Tasks</h2>" in found["report.html"]


def test_tasks_that_were_never_reached_are_counted_apart(stack: Harness, devices: Devices) -> None:
    devices.always["A reach"] = OFFLINE
    campaign = start(stack, "ABC", rollout={"per_minute": 1}, at_once=1, expires_s=300)
    commands.pause(campaign.campaign_id, None, stack.context())
    stack.machines.run_all()

    (mail,) = mails_of(stack, campaign)
    assert "Never reached: 3, without an attempt" in mail.text
    assert "3 x NEVER_REACHED: The Job expired before the first attempt" in mail.text
    assert "longer or more windows" in mail.text


def test_a_hold_by_the_abort_rule_is_mailed_and_so_is_the_end(
    stack: Harness, devices: Devices
) -> None:
    names = [f"device-{n}" for n in range(20)]
    for name in names:
        devices.always[f"{name} reach"] = INCOMPATIBLE
    campaign = start(stack, names, abort=ABORT, expires_s=7_200)
    run_until(stack, TEN + timedelta(minutes=20))

    (mail,) = mails_of(stack, campaign)
    assert mail.subject.startswith(f"Jobyard [scenario]: FAIL -- Job Paused: {NAME} (c")
    assert "State:       Paused, 10 of 10 tasks failed; the limit is 50 %" in mail.text
    assert "Not reached yet: 10, without an attempt" in mail.text
    held = campaigns.get(campaign.campaign_id)
    assert (held.state, held.last_report) == ("paused", 1)
    assert held.rests_until is not None

    devices.always.clear()
    commands.resume(campaign.campaign_id, stack.context())
    stack.machines.run_all()
    kinds = [each.kind for each in reports.of_batch(campaign.campaign_id)]
    assert kinds == [ReportKind.HELD, ReportKind.FIRST]
    assert len(mails_of(stack, campaign)) == 2


def test_who_cancelled_and_why_is_in_the_mail(stack: Harness, devices: Devices) -> None:
    campaign = start(stack, "AB", notify=["team@example.org"])
    commands.cancel(campaign.campaign_id, stack.context(reason="the wrong image"))
    stack.machines.run_all()

    (mail,) = mails_of(stack, campaign)
    assert mail.to == ("team@example.org",)
    assert mail.text.startswith("The Job was cancelled.")
    assert "by admin: the wrong image" in mail.text
    assert "Never reached: 2, without an attempt" in mail.text


def test_nobody_is_mailed_if_the_list_of_recipients_is_empty(
    stack: Harness, devices: Devices
) -> None:
    campaign = start(stack, "A", notify=[])
    stack.machines.run_all()

    assert mails_of(stack, campaign) == []
    assert reports.get(campaign.campaign_id, 1).delivery.state is DeliveryState.SUPPRESSED


@pytest.mark.parametrize(
    "notify",
    ["admin@example.org", ["nobody"], [1], ["a@example.org"] * 21, ["president@example.com"]],
)
def test_other_recipients_are_refused(stack: Harness, devices: Devices, notify: Any) -> None:
    with pytest.raises(InvalidCampaign) as refused:
        start(stack, "A", notify=notify)

    assert [each.where for each in refused.value.problems] == ["notify"]


@dataclass
class DiesAtCall(Listener):
    """The state Report or Settle dies once: before its call number `number`, or after it."""

    stack: Harness
    number: int
    is_after: bool
    calls: int = 0

    def before(self, call: Call) -> None:
        self.calls += self.stack.interceptor.role == "ReportRole"
        if self.calls == self.number and not self.is_after:
            self.die()

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        # The outbox sends a mail again whose sender died: only the mail service knows that it came.
        if self.calls == self.number and self.is_after and call.operation != "SendEmail":
            self.die()

    def die(self) -> None:
        """Die, once."""
        self.number = 0
        raise FunctionDied


@pytest.mark.turns(2)
@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_a_campaign_is_mailed_once_whatever_call_its_report_dies_at(
    stack: Harness, devices: Devices, is_after: bool, everything: bool, turn: int
) -> None:
    """Every third call, other ones in each turn."""
    step = 1 if everything else 3
    number, calls = 1 + (turn // 2 + is_after) % step - step, 1
    while number + step <= calls or number < 1:
        number += step
        stack.at = TEN
        campaign = start(stack, f"{number}", name=f"{is_after} {number}")
        dying = DiesAtCall(stack, number, is_after)
        with stack.interceptor.listening(dying):
            stack.machines.run_all()
        calls = max(calls, dying.calls)
        stack.deliver_mail_after_15_minutes(campaign.campaign_id)
        stack.advance(1_000)
        stack.tick()
        stack.machines.run_all()

        ended = campaigns.get(campaign.campaign_id)
        assert (ended.state, ended.last_report, ended.due_report) == ("succeeded", 1, None)
        assert len(mails_of(stack, campaign)) == 1, number
    assert calls > 20


def test_the_clock_has_a_campaign_reported_whose_execution_was_lost(
    stack: Harness, devices: Devices
) -> None:
    campaign = start(stack, "A")
    report = stack.machines._functions["ReportFunction"]
    stack.machines._functions = {**stack.machines._functions, "ReportFunction": _die}
    with suppress(ExecutionFailed):
        stack.machines.run_all()
    assert campaigns.get(campaign.campaign_id).due_report is ReportKind.FIRST
    assert mails_of(stack, campaign) == []

    stack.machines._functions = {**stack.machines._functions, "ReportFunction": report}
    stack.advance(1_801)
    stack.tick()
    stack.machines.run_all()

    assert len(mails_of(stack, campaign)) == 1
    assert campaigns.get(campaign.campaign_id).check_at is None


def _die(_event: dict[str, Any]) -> dict[str, Any]:
    raise FunctionDied


def test_a_failed_report_is_tried_again_after_a_minute(stack: Harness, devices: Devices) -> None:
    campaign = start(stack, "A")
    report = stack.machines._functions["ReportFunction"]
    stack.machines._functions = {**stack.machines._functions, "ReportFunction": _die}
    with suppress(ExecutionFailed):
        stack.machines.run_all()

    recover_campaign(campaign.campaign_id, stack.executions, stack.at)  # at its event
    stack.machines._functions = {**stack.machines._functions, "ReportFunction": report}
    stack.advance(60)
    stack.tick()
    stack.machines.run_all()

    assert len(mails_of(stack, campaign)) == 1


def test_a_report_is_sent_again_on_request(stack: Harness, devices: Devices) -> None:
    campaign = start(stack, "A")
    stack.machines.run_all()
    request = stack.context(key="again")

    for _ in range(2):
        resend(campaign.campaign_id, 1, request)
        stack.advance(60)
        stack.tick()

    assert len(mails_of(stack, campaign)) == 2
    with pytest.raises(Forbidden):
        resend(campaign.campaign_id, 1, stack.context(DEPOSITOR))


def test_an_event_of_the_mail_service_is_recorded(stack: Harness, devices: Devices) -> None:
    campaign = start(stack, "A")
    stack.machines.run_all()
    tags = {"batch_id": [campaign.campaign_id], "seq": ["1"]}

    stack.receive_mail_event(
        {"detail": {"eventType": "Bounce", "mail": {"messageId": "m", "tags": tags}}}
    )

    assert reports.get(campaign.campaign_id, 1).delivery.state is DeliveryState.BOUNCED


def test_a_token_in_an_address_is_not_shown(stack: Harness, devices: Devices) -> None:
    document = {"job_type": NAME, "kind": "fire_and_forget"}
    target = {"id": "A", "address": "https://gw-1.example.org/api?token=geheim&site=4"}
    campaign = commands.start({**document, "targets": [target]}, stack.context()).campaign
    stack.machines.run_all()

    context = stack.query_context()
    (task,) = list_tasks(campaign.campaign_id, context, state="", after=(0, 0), limit=1).items

    assert task.target.address == "https://gw-1.example.org/api?token=***&site=4"
    assert [name for name, text in files_of(stack, campaign).items() if "geheim" in text] == []
