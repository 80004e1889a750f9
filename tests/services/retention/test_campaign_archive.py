"""A campaign that ended long ago is archived with its tasks, and then removed."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from jobyard.domain.archive import Inventory, Phase
from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.errors import Gone, InvalidCampaign
from jobyard.domain.jobs.job import JobAddress
from jobyard.domain.jobs.job_type import StepResult
from jobyard.services.campaigns import commands
from jobyard.services.queries.campaigns import campaign as shown_campaign
from jobyard.services.queries.campaigns import list_campaigns
from jobyard.services.queries.jobs import job
from jobyard.services.queries.reports import list_reports
from jobyard.store import campaigns, claims, jobs, tables
from tests.archived_fixtures import reset_retention
from tests.call_interceptor import Call, Listener
from tests.faults.injection import FunctionDied
from tests.harness import Harness
from tests.scenarios.campaign_tasks import TEN, start
from tests.scripted_devices import INCOMPATIBLE, Devices, scripted_devices
from tests.services.retention.test_archive import done, objects, records, retain, versions

pytestmark = pytest.mark.emulator
OLD = timedelta(days=91)


@pytest.fixture
def devices() -> Iterator[Devices]:
    with scripted_devices() as found:
        yield found


@pytest.fixture
def stack(harness: Harness) -> Harness:
    reset_retention(harness)
    harness.at = TEN
    return harness


def ended(stack: Harness, targets: str = "AB", **fields: Any) -> Campaign:
    """A campaign that has ended and whose report is delivered."""
    campaign = start(stack, targets, **fields)
    stack.machines.run_all()
    stack.deliver_mail_after_15_minutes(campaign.campaign_id)
    return campaigns.get(campaign.campaign_id)


def listed(stack: Harness, *, system: bool = False) -> list[str]:
    """The ids that the list of campaigns has."""
    page = list_campaigns(stack.query_context(), after="", limit=100, system=system)
    assert page.unknown == ()
    return [each.campaign.campaign_id for each in page.items]


def test_a_campaign_is_archived_whole_then_removed_and_its_claims_stay(
    stack: Harness, devices: Devices
) -> None:
    devices.always["B reach"] = INCOMPATIBLE
    campaign = ended(stack)
    campaign_id = campaign.campaign_id
    assert len([*records(stack, campaign_id)]) > 4
    claimed = claims.of_targets(["A", "B"])
    stack.at += OLD

    outcome = retain(stack)

    assert outcome == done(1)
    assert [*records(stack, campaign_id)] == []
    assert versions(stack, campaign_id) == []
    tombstone = campaigns.CAMPAIGN_TOMBSTONES.find(campaign_id)
    assert tombstone is not None
    assert tombstone.phase is Phase.REMOVED
    assert claims.of_targets(["A", "B"]) == claimed
    found = objects(stack, "archive", f"{tombstone.folder}/")
    lines = [
        json.loads(line)
        for name in ("jobs-00000.jsonl.gz", "campaign.jsonl.gz")
        for line in found[name].splitlines()
    ]
    kinds = [each["kind"] for each in lines]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "row": 2,
        "job": 2,
        "chunk": 1,
        "campaign": 1,
        "report": 1,
        "usage": 4,
    }
    (record,) = (each["campaign"] for each in lines if each["kind"] == "campaign")
    assert record["name"] == campaign.name
    assert record["rules"]["kind"] == "fire_and_forget"
    assert any(name.startswith("files/reports/0001/") for name in found)
    inventory = Inventory.of(found["manifest.json"])
    assert inventory.counts["row"] == 2
    assert inventory.summary["state"] == "partially_succeeded"


def test_an_archived_campaign_is_gone_with_a_message_and_in_no_list(
    stack: Harness, devices: Devices
) -> None:
    campaign_id = ended(stack).campaign_id
    stack.at += OLD
    retain(stack)

    query = stack.query_context()
    task = JobAddress(campaign_id, 0, 0).job_id
    for ask in (
        lambda: shown_campaign(campaign_id, query),
        lambda: job(task, query),
        lambda: list_reports(campaign_id, query).reports,
        lambda: commands.retry(campaign_id, {}, stack.context()),
    ):
        with pytest.raises(Gone, match=r"succeeded, 2 tasks, .* was archived on 2027-02-24"):
            ask()
    assert listed(stack) == []
    with pytest.raises(InvalidCampaign):
        start(stack, "A", replaces=campaign_id)


def test_a_target_of_an_archived_campaign_can_be_worked_on_again(
    stack: Harness, devices: Devices
) -> None:
    ended(stack, "A")
    stack.at += OLD
    retain(stack)

    again = ended(stack, "A")

    assert again.state == "succeeded"


def test_a_campaign_is_archived_exactly_ninety_days_after_its_end(
    stack: Harness, devices: Devices
) -> None:
    campaign = ended(stack)
    assert campaign.ended_at is not None
    stack.at = campaign.ended_at + timedelta(days=90, seconds=-1)
    assert retain(stack) == done(0)

    stack.at += timedelta(seconds=1)

    assert retain(stack) == done(1)
    assert campaigns.CAMPAIGN_TOMBSTONES.find(campaign.campaign_id) is not None


def test_a_campaign_that_is_open_is_kept_however_old(stack: Harness, devices: Devices) -> None:
    campaign = start(stack, "A", kind="scheduled", to="2027-11-01")
    stack.at += OLD

    assert retain(stack) == done(0)
    assert listed(stack) == [campaign.campaign_id]


def test_a_campaign_whose_report_is_not_delivered_is_kept(stack: Harness, devices: Devices) -> None:
    campaign = start(stack, "A")
    stack.machines.run_all()
    item = tables.ReportItem.get(campaign.campaign_id, 1)
    item.update([tables.ReportItem.body.set({**item.body, "delivery": _queued(item)})])
    stack.at += OLD

    assert retain(stack) == done(0)
    assert listed(stack) == [campaign.campaign_id]


def _queued(item: tables.ReportItem) -> list[Any]:
    return ["queued", *item.body["delivery"][1:]]


def test_campaigns_of_system_job_types_are_archived_too(stack: Harness, devices: Devices) -> None:
    campaign = ended(stack)
    item = tables.CampaignItem.get(campaign.campaign_id)
    body = {**item.body, "is_system": True}
    item.update(
        [tables.CampaignItem.body.set(body), tables.CampaignItem.list_partition.set("system")]
    )
    assert listed(stack, system=True) == [campaign.campaign_id]
    stack.at += OLD

    assert retain(stack) == done(1)
    assert listed(stack, system=True) == []


def test_a_campaign_with_missing_rows_is_left_unchanged_and_delays_no_other(
    stack: Harness, devices: Devices
) -> None:
    broken, healthy = ended(stack, "A"), ended(stack, "B")
    stack.s3.delete_object(Bucket="work", Key=f"work/{broken.campaign_id}/rows.jsonl")
    stack.at += OLD

    retain(stack)

    assert listed(stack) == [broken.campaign_id]
    assert jobs.find(JobAddress(broken.campaign_id, 0, 0)) is not None
    assert campaigns.CAMPAIGN_TOMBSTONES.find(healthy.campaign_id) is not None


def test_a_campaign_that_cannot_be_read_is_left_and_delays_no_other(
    stack: Harness, devices: Devices
) -> None:
    broken, healthy = ended(stack, "A"), ended(stack, "B")
    tables.CampaignItem.get(broken.campaign_id).update([tables.CampaignItem.state.set("nonsense")])
    stack.at += OLD

    assert retain(stack) == done(1)
    assert campaigns.CAMPAIGN_TOMBSTONES.find(healthy.campaign_id) is not None
    tables.CampaignItem.get(broken.campaign_id).delete()


def test_what_a_lost_retention_left_is_removed_by_the_next(
    stack: Harness, devices: Devices
) -> None:
    campaign = ended(stack)
    stack.at += OLD
    folder = "records/scripted-device/2026/11/left/v1"
    campaigns.CAMPAIGN_TOMBSTONES.start(campaign, stack.at, folder)
    assert listed(stack) == []

    assert retain(stack) == done(1)
    tombstone = campaigns.CAMPAIGN_TOMBSTONES.find(campaign.campaign_id)
    assert tombstone is not None
    assert (tombstone.phase, tombstone.folder) == (Phase.REMOVED, folder)


def test_the_tasks_of_many_chunks_are_archived_in_parts(
    stack: Harness, devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobyard.services.retention.chunked_archive.JOBS_PER_PART", 25)
    campaign = ended(stack, [f"device-{n}" for n in range(60)])  # type: ignore[arg-type]
    stack.at += OLD

    assert retain(stack) == done(1)
    tombstone = campaigns.CAMPAIGN_TOMBSTONES.find(campaign.campaign_id)
    assert tombstone is not None
    found = objects(stack, "archive", f"{tombstone.folder}/")
    assert len([name for name in found if name.startswith("jobs-")]) == 3
    assert [*records(stack, campaign.campaign_id)] == []


@dataclass
class DiesBeforeEachWrite(Listener):
    """The worker dies before each call that writes, the first time that it is made."""

    seen: set[str] = field(default_factory=set)

    def before(self, call: Call) -> None:
        names = ("Key", "Item", "TransactItems", "RequestItems", "Delete")
        text = f"{call.operation} {[call.parameters.get(name) for name in names]}"
        is_write = call.operation in {"PutItem", "TransactWriteItems", "BatchWriteItem"}
        is_write |= call.operation in {"PutObject", "DeleteObjects"}
        if is_write and text not in self.seen:
            self.seen.add(text)
            raise FunctionDied


def retain_dying(stack: Harness, job_id: str) -> tuple[StepResult | None, int]:
    """Run a retention whose worker dies before each write: its result, and how often it died."""
    dying = DiesBeforeEachWrite()
    with stack.interceptor.listening(dying):
        for _ in range(100):
            with suppress(FunctionDied):
                return retain(stack, job_id), len(dying.seen)
    return None, len(dying.seen)


def test_a_retention_that_dies_before_each_write_archives_a_campaign_once(
    stack: Harness, devices: Devices
) -> None:
    campaign = ended(stack)
    stack.at += OLD

    outcome, deaths = retain_dying(stack, "dying-retention.0.1")

    assert outcome == done(1)
    assert deaths > 10
    assert [*records(stack, campaign.campaign_id)] == []
    assert versions(stack, campaign.campaign_id) == []
    with pytest.raises(Gone):
        campaigns.get(campaign.campaign_id)
