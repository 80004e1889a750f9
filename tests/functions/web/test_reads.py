"""What a page reads, however large the batch is."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from jobyard.domain.batches.operation import Filter, Operation, OperationState
from jobyard.domain.hold import Hold
from jobyard.domain.jobs.job import JobState
from jobyard.store import edits, holds, operations
from tests.functions.api.api_client import NOW
from tests.functions.api.batch_records import (
    HOUR_AGO,
    a_batch,
    a_job,
    a_report,
    a_report_of,
    put_findings,
)
from tests.functions.api.campaign_records import a_campaign, put_tasks
from tests.functions.api.schedule_records import DAILY, a_schedule, items_read, minute, work
from tests.functions.web.browser import Browser
from tests.functions.web.edit_records import TEAM, store_edits

_MONITORING = ("cloudwatch", "sqs")
ENTRIES, CHUNK_SIZE = 3_000, 100  # more chunks than are counted at each reading
POLL_READS = 3  # of a poll that finds nothing new
MANY = 12  # reports of a batch and of a campaign, operations on its jobs, runs of a schedule


def test_a_poll_that_finds_nothing_new_reads_three_items(browser: Browser) -> None:
    browser.sign_in("viewer")
    batch = a_batch("processing", entries=ENTRIES, chunk_size=CHUNK_SIZE, findings=1)
    put_findings(batch, [{"level": "warning", "code": "BYTE_ORDER_MARK", "message": "a mark"}])
    address = f"/batches/{batch.batch_id}"
    etag = browser.get(address).headers["etag"]

    with items_read() as found:
        again = browser.get(address, if_none_match=etag, x_poll="1")

    assert again.status == 304
    assert found.total() <= 3


@contextmanager
def _monitoring_calls(browser: Browser) -> Iterator[list[str]]:
    """The calls of CloudWatch and SQS in the block."""
    found: list[str] = []

    def note(model: Any, **_: Any) -> None:
        found.append(model.name)

    events = [getattr(browser.function.SITE, name).meta.events for name in _MONITORING]
    for each in events:
        each.register("after-call", note)
    try:
        yield found
    finally:
        for each in events:
            each.unregister("after-call", note)


@pytest.mark.parametrize("role", ["admin", "viewer", "depositor"])
def test_a_poll_of_home_reads_two_items_and_calls_neither_cloudwatch_nor_sqs(
    browser: Browser, role: str
) -> None:
    browser.sign_in(role)
    for state in ("pending", "held", "processing", "failed"):
        for _ in range(3):
            a_batch(state, entries=5)
    for _ in range(7):
        a_schedule()
    etag = browser.get("/").headers["etag"]

    with items_read() as found, _monitoring_calls(browser) as calls:
        again = browser.get("/", if_none_match=etag, x_poll="1")

    assert again.status == 304
    assert found.total() <= 2
    assert calls == []


def test_a_poll_of_the_worklist_reads_three_items_and_finds_each_change(browser: Browser) -> None:
    site = browser.function.SITE
    job = store_edits(site.settings, site.s3).jobs["allocated"]
    browser.sign_in("worker")

    def polled(address: str, etag: str) -> tuple[int, float]:
        with items_read() as found:
            answer = browser.get(address, if_none_match=etag, x_poll="1")
        return answer.status, found.total()

    clock: Any = site.now.__self__
    for address in ("/worklist", f"/worklist?team={TEAM}", f"/worklist?job={job.edit_id}"):
        etag = browser.get(address).headers["etag"]
        status, reads = polled(address, etag)
        assert (status, reads <= POLL_READS) == (304, True)
        job = edits.get(job.edit_id)
        edits.write(job, replace(job, version=job.version + 1, since=clock.tick()))
        assert polled(address, etag)[0] == 200
        etag = browser.get(address).headers["etag"]
        assert polled(address, etag)[0] == 200  # an index may not have the change yet
        clock.now += timedelta(minutes=1)
        assert polled(address, etag)[0] == 200  # a clock may have turned red


@pytest.fixture
def addresses(browser: Browser) -> dict[str, str]:
    """The addresses of all pages that poll, by a name, in a deployment with some of everything."""
    batch = a_batch("processing", entries=600, chunk_size=20, findings=1, last_report=1)
    put_findings(batch, [{"level": "warning", "code": "BYTE_ORDER_MARK", "message": "a mark"}])
    reported = a_batch("failed", entries=600, chunk_size=20, last_report=MANY)
    for number in range(MANY):
        a_report(reported, number + 1)
        change = Operation(
            *(batch.batch_id, f"r{number:012d}", "requeue", Filter(JobState.FAILED)),
            *("operator", "it is back", HOUR_AGO, 1, (number,), OperationState.DONE, NOW),
        )
        operations.put_new(change, batch.state)
    nine = NOW.replace(hour=9, minute=0, second=20)
    rule = DAILY | {"anchor": "2026-11-01"}
    schedule = a_schedule(rule, since=nine - timedelta(days=MANY, hours=1))
    for number in range(MANY, 0, -1):
        at = nine - timedelta(days=number)
        (active,) = minute(schedule, at).active
        work(schedule.job_address(active.scheduled_for), "succeeded", at, timedelta(minutes=1))
    jobs = [a_job(batch, number, "failed") for number in range(12)]
    for state in ("pending", "held", "failed", "completed"):
        for _ in range(3):
            a_batch(state, entries=5)
    for _ in range(30):
        a_schedule()
    for scope in ("collection:maps", "type:edit"):
        holds.put(Hold(scope, "operator", "the table moves", HOUR_AGO))
    campaign = put_tasks(
        a_campaign(
            browser.function.SITE.settings,
            request={"targets": [f"gw-{number}" for number in range(120)]},
        ),
        ["succeeded", "running", "rescheduled", "failed"] * 25,
    )
    for number in range(MANY):
        a_report_of(campaign.campaign_id, number + 1)
    campaigns = f"/campaigns/{campaign.campaign_id}"
    of_schedule, at = f"/schedules/{schedule.schedule_id}", f"/batches/{batch.batch_id}"
    return {
        **{name: f"/{name}" for name in ("", "?range=7d", "batches", "system", "holds")},
        "batches?state=failed": "/batches?state=failed",
        "job-management": "/job-management",
        "schedule": of_schedule,
        "schedule history": f"{of_schedule}/history",
        "batch": at,
        **{name: f"{at}/{name}" for name in ("jobs", "jobs?state=failed", "history")},
        "cost": f"{at}/cost",
        "reports": f"/batches/{reported.batch_id}/reports",
        "campaigns": "/campaigns",
        "campaign": campaigns,
        "tasks": f"{campaigns}/tasks",
        "campaign cost": f"{campaigns}/cost",
        "campaign reports": f"{campaigns}/reports",
        "tasks?state=failed": f"{campaigns}/tasks?state=failed",
        "task": f"/jobs/{campaign.campaign_id}.0.2",
        "job": f"/jobs/{jobs[0].address.job_id}",
    }


def test_a_poll_of_every_page_is_bounded(browser: Browser, addresses: dict[str, str]) -> None:
    browser.sign_in("admin")
    reads = {}

    for name, address in addresses.items():
        etag = browser.get(address).headers["etag"]
        first = browser.get(address, if_none_match=etag, x_poll="1")
        with items_read() as found, _monitoring_calls(browser) as calls:
            second = browser.get(address, if_none_match=etag, x_poll="1")
        assert (first.status, second.status, calls) == (304, 304, [])
        assert second.headers["x-next-poll"] != "0"
        reads[name] = found.total()

    assert {name: number for name, number in reads.items() if number > POLL_READS} == {}
