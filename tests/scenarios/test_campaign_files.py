"""Campaigns whose targets are in a file, in simulated time, through the machines."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from jobyard.domain.campaigns.campaign import Campaign, StopReason
from jobyard.domain.campaigns.targets import MAX_INLINE_TARGETS, CampaignTarget
from jobyard.domain.errors import BadRequest, InvalidCampaign, InvalidTransition
from jobyard.domain.jobs.job import JobAddress, JobState, new_job
from jobyard.services.batches import rows
from jobyard.services.campaigns import commands
from jobyard.services.campaigns.open import chunk_size_of, put_rows
from jobyard.services.campaigns.uploaded_targets import MAX_SHOWN, targets_upload
from jobyard.services.queries.campaigns import campaign as campaign_query
from jobyard.store import campaigns, jobs
from tests.call_interceptor import Call, Listener
from tests.harness import ADMIN, Actor, Harness
from tests.scenarios.campaign_tasks import TEN
from tests.scripted_devices import NAME, Devices, scripted_devices


def uploaded(stack: Harness, text: str, filename: str = "gateways.csv") -> str:
    """The key of a file that was uploaded."""
    key, _ = targets_upload(filename, stack.context())
    stack.s3.put_object(Bucket="intake", Key=key, Body=text.encode())
    return key


def request(key: str, **fields: Any) -> dict[str, Any]:
    return {"job_type": NAME, "kind": "fire_and_forget", "targets_file": key, **fields}


def start(stack: Harness, text: str, **fields: Any) -> Campaign:
    return commands.start(request(uploaded(stack, text), **fields), stack.context()).campaign


def problems(stack: Harness, key: str) -> list[str]:
    """What is wrong with the file of a campaign. No campaign is started."""
    with pytest.raises(InvalidCampaign) as refused:
        commands.start(request(key), stack.context())
    assert campaigns.newest(10).items == ()
    assert {each.where for each in refused.value.problems} == {"targets_file"}
    return [each.allowed for each in refused.value.problems]


def test_the_targets_of_a_file_are_written_by_the_machine(stack: Harness, devices: Devices) -> None:
    lines = "".join(f"device-{number},10.0.0.{number}\n" for number in range(60))

    campaign = start(stack, f"id,address\n{lines}device-3,10.0.0.3\n")

    assert (campaign.tasks, campaign.chunk_count) == (60, 0)
    stack.machines.run_all()
    ended = campaigns.get(campaign.campaign_id)
    assert (ended.state, ended.counts) == ("succeeded", {"succeeded": 60})
    assert (ended.tasks, ended.chunk_count) == (60, 3)
    assert [each.reason for each in ended.history if each.event == "open"] == ["60 tasks"]
    assert len({name for name, _, _ in devices.calls}) == 60


def test_a_preview_of_a_file_has_its_warnings_and_starts_nothing(stack: Harness) -> None:
    with scripted_devices():
        key = uploaded(stack, "id\na\nb\na\n")
        found = commands.preview(request(key), stack.context())

    assert found.campaign.tasks == 2
    (warning,) = found.warnings
    assert warning.startswith('targets_file: line 4, column 1: "a" is listed already')
    assert campaigns.newest(10).items == ()


def test_an_error_is_refused_with_line_and_column(stack: Harness, devices: Devices) -> None:
    (problem,) = problems(stack, uploaded(stack, "id,address\ngw-1,\ngw-2,no host\n"))

    assert problem.startswith("line 3, column 6: address")
    assert problem.endswith("(ADDRESS_BAD)")


def test_a_file_with_many_errors_is_read_only_so_far(stack: Harness, devices: Devices) -> None:
    found = problems(stack, uploaded(stack, "id\n" + "a b\n" * (MAX_SHOWN + 1)))

    assert len(found) == MAX_SHOWN + 1
    assert found[-1] == f"only the first {MAX_SHOWN} errors are listed"


def test_only_ones_own_uploads_are_read(stack: Harness, devices: Devices) -> None:
    key = uploaded(stack, "id\na\n")
    other = Actor("another-person", "admin", ADMIN.groups)

    with pytest.raises(InvalidCampaign, match="that you have uploaded"):
        commands.start(request(key), stack.context(other))
    assert problems(stack, key + "x") == [f"no file was uploaded to {key + 'x'!r}"]


def test_a_file_that_changes_after_the_start_changes_nothing(
    stack: Harness, devices: Devices
) -> None:
    key = uploaded(stack, "id\na\n")
    campaign = commands.start(request(key), stack.context()).campaign
    stack.s3.put_object(Bucket="intake", Key=key, Body=b"id\nb\nc\n")

    stack.machines.run_all()

    assert {name for name, _, _ in devices.calls} == {"a"}
    assert campaigns.get(campaign.campaign_id).state == "succeeded"


def test_a_file_that_was_removed_gives_the_campaign_up(stack: Harness, devices: Devices) -> None:
    campaign = start(stack, "id\na\n")
    assert campaign.targets_file
    stack.s3.delete_object(
        Bucket="intake", Key=campaign.file_key, VersionId=campaign.targets_file.version_id
    )

    stack.machines.run_all()

    ended = campaigns.get(campaign.campaign_id)
    assert (ended.state, ended.tasks) == ("failed", 0)
    assert "the file was removed before it was read" in ended.history[-1].reason


def test_a_key_of_another_file_starts_nothing(stack: Harness, devices: Devices) -> None:
    context = stack.context(key="weekly")
    started = commands.start(request(uploaded(stack, "id\na\n")), context).campaign

    with pytest.raises(BadRequest, match="a new campaign needs a new key"):
        commands.start(request(uploaded(stack, "id\na\n")), context)
    stack.machines.run_all()

    assert campaigns.get(started.campaign_id).state == "succeeded"


def test_a_campaign_that_is_cancelled_before_it_is_opened_runs_nothing(
    stack: Harness, devices: Devices
) -> None:
    campaign = start(stack, "id\na\n")
    commands.cancel(campaign.campaign_id, stack.context())

    stack.machines.run_all()

    assert campaigns.get(campaign.campaign_id).state == "cancelled"
    assert devices.calls == []


@pytest.mark.parametrize("ends", ["cancel", "removed"])
def test_a_campaign_that_ended_before_it_was_opened_is_not_retried(
    ends: str, stack: Harness, devices: Devices
) -> None:
    campaign = start(stack, "id\na\n")
    assert campaign.targets_file
    if ends == "cancel":
        commands.cancel(campaign.campaign_id, stack.context())
    else:
        stack.s3.delete_object(
            Bucket="intake", Key=campaign.file_key, VersionId=campaign.targets_file.version_id
        )
    stack.machines.run_all()

    view = campaign_query(campaign.campaign_id, stack.query_context())
    reasons = {each.event: each.reason for each in view.unavailable}
    assert reasons["retry"] == "it ended before its targets were read"
    with pytest.raises(InvalidTransition, match="ended before its targets were read"):
        commands.retry(campaign.campaign_id, {}, stack.context())


def test_more_tasks_than_a_request_may_have_are_retried(stack: Harness, devices: Devices) -> None:
    names = [f"gw-{number}" for number in range(MAX_INLINE_TARGETS + 5)]
    asked = {"job_type": NAME, "kind": "fire_and_forget", "targets": ["x"]}
    previewed = commands.preview(asked, stack.context()).campaign
    put_rows(previewed.campaign_id, map(CampaignTarget, names), stack.s3, stack.settings)
    size = chunk_size_of(len(names))
    first = replace(previewed, state=JobState.PARTIALLY_SUCCEEDED, tasks=len(names))
    first = replace(first, chunk_size=size, counts={"succeeded": 2}, stop_reason=StopReason.EXPIRE)
    campaigns.put_new(first)
    for chunk, position in ((0, 1), (2, 0)):
        record = new_job(JobAddress(first.campaign_id, chunk, position), TEN)
        jobs.item_of(replace(record, state=JobState.SUCCEEDED, version=1)).save()

    second = commands.retry(first.campaign_id, {}, stack.context()).campaign
    _, execution, document = stack.machines._waiting.popleft()
    stack.open({"execution": execution, "input": document})

    assert (second.tasks, second.chunk_count, second.retry_of) == (1_003, 0, first.campaign_id)
    opened = campaigns.get(second.campaign_id)
    assert (opened.tasks, opened.state) == (1_003, "scheduled")
    found = [
        row["id"]
        for chunk in rows.chunks_of(stack.s3, stack.settings, second.campaign_id, range(99))
        for row in rows.rows_of(stack.s3, stack.settings, second.campaign_id, chunk)
    ]
    assert found == [name for name in names if name not in {"gw-1", f"gw-{2 * size}"}]


@dataclass
class Unreadable(Listener):
    """Intake's files cannot be read until a time."""

    stack: Harness
    until: datetime
    tries: int = 0

    def before(self, call: Call) -> None:
        is_read = call.operation == "GetObject" and call.parameters["Bucket"] == "intake"
        if is_read and self.stack.at < self.until:
            self.tries += 1
            raise ConnectionError


@pytest.mark.parametrize(("outage", "state"), [(12, "succeeded"), (60, "failed")])
def test_a_file_that_cannot_be_read_is_read_again_until_the_campaign_expires(
    outage: int, state: str, stack: Harness, devices: Devices
) -> None:
    campaign = start(stack, "id\na\n")
    listener = Unreadable(stack, TEN + timedelta(minutes=outage))

    with stack.interceptor.listening(listener):
        stack.machines.run_all()

    ended = campaigns.get(campaign.campaign_id)
    assert ended.state == state
    assert ended.ended_at
    assert ended.ended_at - TEN <= timedelta(minutes=30)
    assert listener.tries


@dataclass
class DyingOpen(Listener):
    """A function dies before its n-th call to AWS, or after it; its retry does not."""

    at: int
    is_sent: bool
    calls: int = 0

    def before(self, call: Call) -> None:
        self.calls += 1
        self._die(is_sent=False)

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        self._die(is_sent=True)

    def _die(self, *, is_sent: bool) -> None:
        if (self.calls, self.is_sent) == (self.at, is_sent):
            self.at = 0
            raise ConnectionError


@pytest.mark.parametrize("is_sent", [False, True])
@pytest.mark.parametrize("at", range(1, 7))
def test_open_may_die_at_each_of_its_calls(
    at: int, is_sent: bool, stack: Harness, devices: Devices
) -> None:
    campaign = start(stack, "id\na\nb\n")

    with stack.interceptor.listening(DyingOpen(at, is_sent)):
        stack.machines.run_all()

    ended = campaigns.get(campaign.campaign_id)
    assert (ended.state, ended.counts) == ("succeeded", {"succeeded": 2})
    assert [each.event for each in ended.history].count("open") == 1
    assert sorted(name for name, step, _ in devices.calls if step == "apply") == ["a", "b"]
