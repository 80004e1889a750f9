"""The size of a campaign's record, and what its indexes copy of it."""

from datetime import UTC, date, datetime, timedelta

import pytest

from jobyard.domain.campaigns.campaign import Campaign, request_of
from jobyard.domain.jobs.job import JOB, JobState
from jobyard.domain.lifecycle import Cause
from jobyard.domain.schedules.calendar import MAX_EXCLUDED, MAX_WINDOWS, calendar_of
from jobyard.store import campaigns, tables
from tests.store.sizes import item_bytes

pytestmark = [pytest.mark.emulator, pytest.mark.usefixtures("store_endpoint")]
TEN = datetime(2026, 11, 25, 10, tzinfo=UTC)
WEEK = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
MAX_CAMPAIGN_BYTES = 96 * 1024  # DynamoDB allows 400 KiB; a decision writes the record once


def with_the_largest_calendar() -> Campaign:
    """A campaign whose calendar, given in the request, has everything as often as it may."""
    first = date(2027, 1, 1)
    excluded = [
        {"from": str(first + n * timedelta(days=3)), "to": str(first + timedelta(days=3 * n + 1))}
        for n in range(MAX_EXCLUDED)
    ]
    windows = [{"weekdays": WEEK, "from": "00:00", "to": "23:59"}] * MAX_WINDOWS
    calendar = {"name": "c" * 64, "title": "ü" * 200, "exclude": excluded, "include": windows}
    document = {
        "job_type": "device-info",
        "kind": "scheduled",
        "to": "2026-12-31",
        "targets": ["a"],
        "calendar": calendar,
    }
    request = request_of(document, TEN, calendar_of)
    return Campaign(
        campaign_id="c" + "l" * 20,
        state=JobState.SCHEDULED,
        version=1,
        name="largest",
        job_type=request.job_type,
        creator="admin",
        created_at=TEN,
        rules=request.rules,
        tasks=1,
        chunk_size=25,
        check_at=TEN,
    )


def test_the_largest_calendar_is_stored_once_and_no_index_copies_it() -> None:
    stored = campaigns.put_new(with_the_largest_calendar())

    assert item_bytes("campaigns", {"campaign_id": {"S": stored.campaign_id}}) < MAX_CAMPAIGN_BYTES
    assert campaigns.get(stored.campaign_id) == stored
    for index, name, value in (("due", "due_shard", "open"), ("listed", "shelf", "campaigns")):
        (copied,) = tables.client().query(
            TableName=tables.CampaignItem.Meta.table_name,
            IndexName=index,
            KeyConditionExpression="#name = :value",
            ExpressionAttributeNames={"#name": name},
            ExpressionAttributeValues={":value": {"S": value}},
        )["Items"]
        assert {*copied} <= {"campaign_id", "due_shard", "due_at", "shelf", "created"}


def test_its_history_adds_a_bounded_number_of_bytes() -> None:
    before = with_the_largest_calendar()
    after = before
    for number in range(300):
        event = ("start", "pause", "resume")[number and 2 - number % 2]
        cause = Cause(f"main/{number}", reason="ü" * 500)
        after = after.moved(JOB.move(after.state, event, TEN, cause))
    stored = [campaigns.item_of(each).body for each in (before, after)]
    added = len(str(stored[1])) - len(str(stored[0]))

    assert added < 16 * 1024
