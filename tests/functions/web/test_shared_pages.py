"""Polls of a page that many look at share what they find, and never miss what a person did."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from jobyard.domain.batches.batch import BATCH, Batch
from jobyard.domain.batches.operation import Filter, Operation
from jobyard.domain.batches.report import Delivery, DeliveryState
from jobyard.domain.jobs.job import JobState
from jobyard.domain.lifecycle import Cause
from jobyard.services import snapshots
from jobyard.store import batches, operations, reports
from tests.functions.api.api_client import NOW
from tests.functions.api.batch_records import a_batch, a_report
from tests.functions.api.schedule_records import (
    DAILY,
    a_schedule,
    items_read,
    minute,
    put_progress,
    work,
)
from tests.functions.web.browser import Browser, Page

SHARED = ["/job-management", "/system", "/batches", "/holds"]


class Reader:
    """A person who has opened a page, and polls it."""

    def __init__(self, browser: Browser, role: str, name: str = "") -> None:
        self._browser = Browser(browser.function).sign_in(role, name=name)
        self._etag = ""

    def open(self, address: str) -> "Reader":
        self._address = address
        self._keep(self._browser.get(address))
        return self

    def poll(self) -> int:
        """The status of a poll. A reader keeps the page that they get."""
        found = self._browser.get(self._address, if_none_match=self._etag, x_poll="1")
        self._keep(found)
        return found.status

    def poll_reads(self) -> int:
        """How many items a poll that finds nothing new reads."""
        with items_read() as found:
            assert self.poll() == 304
        return found.total()

    def submit(self, action: str, **fields: str) -> Page:
        """The response to a form of the page that the reader opened."""
        page = self._browser.get(self._address)
        return self._browser.submit(page, action, **fields)

    def _keep(self, page: Page) -> None:
        self._etag = page.headers["etag"]


@pytest.fixture(autouse=True)
def _records(browser: Browser) -> None:
    a_batch("processing", entries=5)
    for _ in range(7):
        a_schedule()


@pytest.mark.parametrize("address", SHARED)
def test_a_poll_reads_one_item_if_another_persons_was_just_now(
    browser: Browser, address: str
) -> None:
    first, second = (Reader(browser, "admin", name).open(address) for name in ("ada", "bo"))

    assert first.poll() == 304

    assert second.poll_reads() == 1
    assert second.poll_reads() == 1


@pytest.mark.parametrize("address", ["/job-management", "/system", "/batches"])
def test_after_some_seconds_a_poll_reads_the_page_again(
    browser: Browser, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(browser, "admin").open(address)
    reader.poll()
    a_batch("held", entries=5)
    a_schedule(title="another sweep")
    before = reader.poll()

    _wait(browser, snapshots.OLDEST_SHOWN, monkeypatch)

    assert before == 304
    assert reader.poll() == 200
    assert reader.poll_reads() == 1


def _wait(browser: Browser, time: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    site = browser.function.SITE
    later: Any = lambda: site.now() + time  # noqa: E731
    monkeypatch.setattr(browser.function, "SITE", replace(site, now=later))


def test_who_has_an_older_page_gets_it_as_it_is_now(browser: Browser) -> None:
    late = Reader(browser, "admin").open("/job-management")
    a_schedule(title="another sweep")
    Reader(browser, "admin", "ada").open("/job-management").poll()

    assert late.poll() == 200
    assert late.poll() == 304


def test_what_a_person_did_is_found_by_the_next_poll(browser: Browser) -> None:
    schedule = a_schedule(title="a sweep to suspend")
    reader = Reader(browser, "admin", "ada").open("/job-management")
    reader.poll()
    action = f"/schedules/{schedule.schedule_id}"
    other = Reader(browser, "admin").open(action)

    assert other.submit(f"{action}/suspend", reason="the table moves").status == 303

    assert reader.poll() == 200


def test_roles_that_see_different_things_share_nothing(browser: Browser) -> None:
    Reader(browser, "admin").open("/system").poll()
    operator = Reader(browser, "operator").open("/system")  # without the system's schedules

    assert operator.poll() == 304
    assert operator.poll_reads() == 1


def test_depositors_share_nothing_with_each_other(browser: Browser) -> None:
    Reader(browser, "depositor", "ada").open("/batches").poll()
    a_batch("held", entries=2, submitter="bo")
    other = Reader(browser, "depositor", "bo").open("/batches")

    assert other.poll() == 304
    assert other.poll_reads() == 1


@pytest.mark.parametrize("role", ["viewer", "operator", "depositor"])
def test_a_poll_shows_nothing_to_who_may_not_see_the_page(browser: Browser, role: str) -> None:
    Reader(browser, "admin").open("/job-management").poll()
    other = Browser(browser.function).sign_in(role)

    assert other.get("/job-management", if_none_match="*", x_poll="1").status == 403


# Pages of one thing, whose polls do not read all that they show


def test_the_history_of_a_batch_shows_an_operation_that_starts_or_ends(browser: Browser) -> None:
    batch = a_batch("processing", entries=5)
    reader = Reader(browser, "viewer").open(f"/batches/{batch.batch_id}/history")
    assert [reader.poll(), reader.poll_reads()] == [304, 2]

    requeue = operations.put_new(_requeue(batch), batch.state)
    assert [reader.poll(), reader.poll()] == [200, 304]

    operations.end(requeue, NOW)
    assert [reader.poll(), reader.poll_reads()] == [200, 3]


def _requeue(batch: Batch) -> Operation:
    wanted = Filter(JobState.FAILED)
    return Operation(
        batch.batch_id, "r1", "requeue", wanted, "operator", "it is back", NOW, 1, (0,)
    )


def test_the_history_of_a_schedule_shows_a_run_and_its_progress(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = DAILY | {"anchor": "2026-11-01", "at": "10:34"}
    schedule = a_schedule(rule, since=NOW - timedelta(hours=1))
    reader = Reader(browser, "admin").open(f"/schedules/{schedule.schedule_id}/history")
    assert reader.poll() == 304

    (active,) = minute(schedule, NOW).active
    address = schedule.job_address(active.scheduled_for)
    assert [reader.poll(), reader.poll()] == [200, 304]

    put_progress(address, 7)
    _wait(browser, timedelta(seconds=3), monkeypatch)
    assert [reader.poll(), reader.poll()] == [200, 304]

    work(address, "succeeded", NOW, timedelta(minutes=1))
    assert [reader.poll(), reader.poll()] == [200, 304]


def test_the_reports_of_a_batch_show_a_new_one_at_once_and_a_delivery_later(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = a_batch("failed", entries=1, last_report=1)
    report = a_report(batch, 1)
    reader = Reader(browser, "viewer").open(f"/batches/{batch.batch_id}/reports")
    assert [reader.poll(), reader.poll_reads()] == [304, 2]

    a_report(batch, 2)
    again = BATCH.move(batch.state, "update_reporting", NOW, Cause("again"))
    batches.apply(batch, again, last_report=2)
    assert [reader.poll(), reader.poll()] == [200, 304]

    reports.put_delivery(report, Delivery(DeliveryState.BOUNCED, NOW, error="no such mailbox"))
    _wait(browser, timedelta(seconds=31), monkeypatch)
    assert [reader.poll(), reader.poll()] == [200, 304]
