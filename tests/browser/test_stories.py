"""What people do with the pages, in a real browser, with a script and without."""

import json
import re
from pathlib import Path

import boto3
import pytest
from playwright.sync_api import Page, Route, expect

from jobyard.store import batches
from tests.browser.conftest import Open
from tests.browser.site_server import Site
from tests.functions.api.batch_records import a_batch, a_job
from tests.functions.api.schedule_records import sweep
from tests.tables import REGION, ROOT

EXAMPLE = (ROOT / "examples" / "deposit" / "objects.checkm").read_text()
GOOD = EXAMPLE.replace("{base_url}", "https://files.example.org")


def _receive(page: Page) -> None:
    """Answer uploads as S3 does: keep the object, then redirect."""

    def store(route: Route) -> None:
        body = (route.request.post_data_buffer or b"").decode(errors="replace")
        fields = dict(re.findall(r'name="([^"]+)"\r\n\r\n([^\r]*)\r\n', body))
        content = body.rpartition('name="file"')[2].partition("\r\n\r\n")[2]
        boto3.client("s3", region_name=REGION).put_object(
            Bucket="intake", Key=fields["key"], Body=content.encode()
        )
        route.fulfill(status=303, headers={"Location": fields["success_action_redirect"]})

    page.route(re.compile("https://intake"), store)


def test_a_depositor_corrects_a_manifest_and_sends_it(
    open_page: Open, site: Site, tmp_path: Path
) -> None:
    wrong, good = tmp_path / "wrong.checkm", tmp_path / "good.checkm"
    wrong.write_text(GOOD.replace("https://files", "ftp://files", 1))
    good.write_text(GOOD)
    page = open_page("depositor", "/batches/new")
    _receive(page)

    page.get_by_label("Drop a manifest here").set_input_files(wrong)
    expect(page.get_by_text("1 error: no objects would be created")).to_be_visible()
    expect(page.get_by_text("Line 6, column 1")).to_be_visible()
    page.get_by_label("Drop a manifest here").set_input_files(good)
    expect(page.get_by_text("No errors")).to_be_visible()
    page.get_by_role("button", name="Send the manifest").click()

    page.wait_for_url(re.compile(r"/batches/b[a-z0-9]{20}"))
    expect(page.get_by_role("heading", name="good.checkm")).to_be_visible()


def test_an_operator_sees_why_and_requeues_exactly_these(open_page: Open, site: Site) -> None:
    batch = a_batch("failed", entries=5)
    for number in (0, 1):
        a_job(batch, number, "failed")
    a_job(batch, 2, "failed", failure_code="TIMEOUT")
    page = open_page("operator", "/batches?state=failed")

    page.get_by_role("link", name="may.checkm").click()
    group = page.get_by_role("listitem").filter(has_text="PAYLOAD_NOT_FOUND")
    group.get_by_role("button", name="Requeue these").click()
    expect(page.get_by_role("heading", name="Requeue 2 jobs?")).to_be_visible()
    page.get_by_label("Reason").fill("the server is back")
    page.get_by_role("button", name="Requeue 2 jobs").click()

    page.wait_for_url(re.compile("/operations/"))
    expect(page.get_by_text("the server is back")).to_be_visible()


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


def test_every_time_names_its_zone(open_page: Open, site: Site) -> None:
    batch = a_batch("completed", entries=2)
    page = open_page("viewer", f"/batches/{batch.batch_id}", timezone_id="Asia/Tokyo")
    page.reload()  # the first answer came before the browser had said its zone

    expect(page.get_by_text("JST").first).to_be_visible()
    for each in page.locator("time:not([data-since])").all():
        assert "JST" in (each.text_content() or "")


def test_a_viewer_sees_why_they_cannot(open_page: Open, site: Site) -> None:
    batch = a_batch("processing", entries=2)
    page = open_page("viewer", f"/batches/{batch.batch_id}")

    page.get_by_role("button", name="Cancel").click(force=True)

    expect(page.get_by_text("only an operator or an admin may cancel a batch")).to_be_visible()


def test_the_keyboard_finds_and_goes(open_page: Open, site: Site) -> None:
    page = open_page("viewer", "/batches")

    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Find")).to_be_focused()
    page.keyboard.press("Escape")
    page.locator("body").click()
    page.keyboard.press("g")
    page.keyboard.press("h")

    expect(page).to_have_url(f"{site.url}/")


def test_an_administrator_schedules_over_a_clock_change_runs_and_suspends(
    open_page: Open, site: Site
) -> None:
    page = open_page("admin", "/job-management", timezone_id="Asia/Tokyo")
    page.get_by_role("link", name="New job").first.click()
    page.get_by_label("Title").fill("Nightly sweep")
    page.get_by_label("At", exact=True).fill("02:30")
    page.get_by_label("Time zone").fill("America/Los_Angeles")
    page.get_by_text("Start, end and clock changes").click()
    page.get_by_label("First day").fill("2027-03-12")
    page.get_by_label("Parameters").fill(json.dumps(sweep()))

    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("Sun 2027-03-14 03:00 PDT")).to_be_visible()
    expect(page.get_by_text("Clocks go forward").first).to_be_visible()
    page.get_by_role("button", name="Create").click()

    expect(page.get_by_role("heading", name="Job Details", exact=True)).to_be_visible()
    expect(page.get_by_text("2027-03-12 19:30:00 JST").first).to_be_visible()
    page.get_by_role("button", name="Suspend").click()
    suspension = page.get_by_role("dialog", name="Suspend")
    suspension.get_by_label("Reason").fill("the table moves")
    suspension.get_by_role("button", name="Suspend").click()
    expect(page.get_by_text("suspended by admin: the table moves").first).to_be_visible()
    page.get_by_role("button", name="Run now").click()
    run = page.get_by_role("dialog", name="Run now")
    run.get_by_label("Reason").fill("before it moves")
    run.get_by_role("button", name="Run now").click()
    expect(page.get_by_text("before it moves").first).to_be_visible()


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
