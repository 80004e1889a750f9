"""What people do with the pages, in a real browser, with a script and without.

Whole stories, from signing in to the end, are in tests/live/test_stories.py.
"""

import re

import pytest
from playwright.sync_api import expect

from jobyard.store import batches
from tests.browser.conftest import Open
from tests.browser.site_server import Site
from tests.functions.api.batch_records import a_batch, a_job, a_report
from tests.functions.api.schedule_records import DAILY, a_schedule
from web.filters import iso


@pytest.mark.parametrize("has_script", [True, False])
def test_an_event_is_sent_with_a_reason_with_a_script_and_without(
    open_page: Open, site: Site, has_script: bool
) -> None:
    batch = a_batch("processing", entries=2)
    page = open_page("operator", f"/batches/{batch.batch_id}", java_script_enabled=has_script)

    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_label("Reason").fill("wrong collection")
    page.get_by_role("dialog", name="Cancel").get_by_role("button", name="Cancel").click()

    expect(page.get_by_text("Cancelling").first).to_be_visible()
    moved = batches.get(batch.batch_id, site.browser.function.SITE.now())
    assert moved.history[-1].reason == "wrong collection"


def test_a_filter_is_in_the_address_and_back_leads_to_it(open_page: Open, site: Site) -> None:
    a_batch("failed", filename="failed.checkm")
    a_batch("completed", filename="completed.checkm")
    page = open_page("viewer", "/batches", java_script_enabled=False)

    page.get_by_label("State").select_option("failed")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("link", name="failed.checkm")).to_be_visible()
    assert "state=failed" in page.url
    page.get_by_role("link", name="failed.checkm").click()
    page.go_back()

    expect(page.get_by_role("link", name="failed.checkm")).to_be_visible()
    expect(page.get_by_role("link", name="completed.checkm")).to_have_count(0)


def test_every_time_is_in_the_readers_zone_and_names_it(open_page: Open, site: Site) -> None:
    batch = a_batch("completed", entries=2)
    job = a_job(batch, 0, "succeeded")
    a_report(batch)
    schedule = a_schedule({**DAILY, "zone": "America/Los_Angeles"})
    assert schedule.next_at
    next_run = f"time[datetime='{iso(schedule.next_at)}']"
    of_batch, of_job = f"/batches/{batch.batch_id}", f"/jobs/{job.address.job_id}"
    of_schedule = f"/schedules/{schedule.schedule_id}"
    page = open_page("admin", "/", timezone_id="Asia/Tokyo")

    # The answer before came when the browser had not said its zone yet.
    for address in (of_batch, f"{of_batch}/reports", of_job, of_schedule):
        page.goto(site.url + address)
        times = page.locator("time:not([data-since])").all_text_contents()
        assert times, address
        assert [each for each in times if "JST" not in each] == [], address
    nine_in_los_angeles = re.compile("02:00.* JST")
    expect(page.locator(next_run).first).to_have_text(nine_in_los_angeles)


def test_a_viewer_sees_why_they_cannot(open_page: Open, site: Site) -> None:
    batch = a_batch("processing", entries=2)
    page = open_page("viewer", f"/batches/{batch.batch_id}")

    page.get_by_role("button", name="Cancel").click(force=True)

    expect(page.get_by_text("only its submitter, an operator or an admin may")).to_be_visible()


def test_the_keyboard_finds_and_goes(open_page: Open, site: Site) -> None:
    page = open_page("viewer", "/batches")

    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Find")).to_be_focused()
    page.keyboard.press("Escape")
    page.locator("body").click()
    page.keyboard.press("g")
    page.keyboard.press("h")

    expect(page).to_have_url(f"{site.url}/")


def test_a_session_that_ends_in_the_middle_of_a_form_loses_nothing(
    open_page: Open, site: Site
) -> None:
    batch = a_batch("processing", entries=2)
    page = open_page("operator", f"/batches/{batch.batch_id}")
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_label("Reason").fill("typed before it ended")
    page.context.clear_cookies()

    page.get_by_role("dialog", name="Cancel").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="Your session has ended")).to_be_visible()
    page.context.add_cookies(site.cookies("operator"))  # type: ignore[arg-type]
    page.get_by_role("button", name="Send again").click()

    expect(page.get_by_text("Cancelling").first).to_be_visible()
    moved = batches.get(batch.batch_id, site.browser.function.SITE.now())
    assert moved.history[-1].reason == "typed before it ended"
