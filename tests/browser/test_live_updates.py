"""Pages that update themselves keep what the reader is doing, and ask no more than they need."""

import re
from dataclasses import replace

from playwright.sync_api import Page, expect

from jobyard.domain.jobs.job import Attempt
from jobyard.store import jobs
from tests.browser.conftest import Open
from tests.browser.site_server import Site
from tests.functions.api.api_client import NOW
from tests.functions.api.batch_records import HOUR_AGO, a_batch, a_job
from tests.functions.api.log_events import CHUNK_LOGS, REQUEST, put_log, worker_line


def _polls(site: Site, path: str) -> int:
    return site.requests.count(("GET", path))


COUNTED = """window.asked = 0;
const ask = window.fetch;
window.fetch = (...how) => { window.asked += 1; return ask(...how); };"""
HIDE = """hidden => {
  Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
  document.dispatchEvent(new Event('visibilitychange'));
}"""


def _start_again(page: Page) -> None:
    """Show the page again with a clock that the test moves, and count what its scripts ask for."""
    page.clock.install()
    page.add_init_script(COUNTED)
    page.reload()


def _asked(page: Page) -> int:
    """How often the page's scripts have asked for something."""
    return int(page.evaluate("asked"))


def _await_polls(page: Page, site: Site, path: str, number: int) -> None:
    """Wait until the page has asked for itself so often from now on. Its pauses are short."""
    before = _polls(site, path)
    while _polls(site, path) < before + number:
        page.clock.fast_forward("00:30")
        page.wait_for_timeout(50)


def test_a_change_appears_and_the_readers_place_is_kept(open_page: Open, site: Site) -> None:
    batch = a_batch("processing", entries=5)
    at = f"/batches/{batch.batch_id}"
    page = open_page("operator", at)
    page.get_by_role("button", name="Cancel").click()
    reason = page.get_by_label("Reason")
    reason.fill("half a rea")

    a_job(batch, 0, "failed")

    expect(page.get_by_role("link", name="1 failed")).to_be_visible()
    expect(reason).to_have_value("half a rea")
    expect(reason).to_be_focused()


def test_an_update_keeps_selection_open_parts_scroll_and_filter(
    open_page: Open, site: Site
) -> None:
    batch = a_batch("processing", entries=31, chunk_size=10)
    late, *others = range(31)
    for number in others:
        a_job(batch, number, "failed")
    at = f"/batches/{batch.batch_id}/jobs?state=failed"
    page = open_page("operator", at)
    _start_again(page)
    page.get_by_text("Columns", exact=True).click()
    selected = page.get_by_label("Select 15", exact=True)
    selected.check()
    name = page.get_by_label("File, object or identifier")
    name.fill("half a na")
    selected.evaluate("row => row.scrollIntoView({block: 'center'})")
    place = selected.bounding_box()

    a_job(batch, late, "failed")  # above all that are shown
    _await_polls(page, site, at, 2)

    expect(page.get_by_label(f"Select {late}", exact=True)).to_be_attached()
    expect(selected).to_be_checked()
    expect(page.locator("input[name=job_id]:checked")).to_have_count(1)
    expect(page.locator("[data-selected]")).to_have_text("1")
    expect(page.locator("#columns")).to_have_attribute("open", "")
    expect(name).to_have_value("half a na")
    expect(page.get_by_role("combobox", name="State")).to_have_value("failed")
    assert page.url.endswith(at)
    assert place == selected.bounding_box()


def test_a_log_is_shown_in_place_and_stays_when_the_page_updates(
    open_page: Open, site: Site
) -> None:
    request = REQUEST.format(3_000_000)
    job = a_job(a_batch("processing", entries=2), 0, "running", request_id=request)
    at = f"/jobs/{job.address.job_id}"
    put_log(CHUNK_LOGS, HOUR_AGO, worker_line("hello <b>you</b>", request, job.address.job_id))
    page = open_page("operator", at)
    _start_again(page)

    page.get_by_text("Log of attempt 1").click()
    line = page.get_by_text("hello <b>you</b>")
    expect(line).to_be_visible()
    _await_polls(page, site, at, 2)
    jobs.item_of(replace(job, version=9, orphan_count=1)).save()
    _await_polls(page, site, at, 2)

    expect(line).to_be_visible()
    assert page.get_by_role("link", name="Show the log on a page of its own").is_visible()


def test_a_page_that_cannot_change_any_more_asks_no_more(open_page: Open, site: Site) -> None:
    final, moving = a_batch("deleted", entries=2), a_batch("processing", entries=2)
    has_asked = []

    for batch in (final, moving):
        page = open_page("viewer", f"/batches/{batch.batch_id}")
        _start_again(page)
        page.clock.run_for("10:00")
        has_asked.append(_asked(page) > 0)

    assert has_asked == [False, True]


def test_a_paused_page_asks_no_more_until_it_continues(open_page: Open, site: Site) -> None:
    batch = a_batch("processing", entries=2)
    at = f"/batches/{batch.batch_id}"
    page = open_page("viewer", at)
    _start_again(page)
    page.get_by_role("button", name="Pause updates").click()
    before = _asked(page)

    page.clock.run_for("10:00")
    while_paused = _asked(page) - before
    page.set_viewport_size({"width": 390, "height": 800})
    words = page.evaluate("getComputedStyle(document.getElementById('live'), '::after').content")
    page.get_by_role("button", name="Continue updates").click()
    _await_polls(page, site, at, 2)

    assert while_paused == 0
    assert words == '"Paused"'  # a phone has no room for the time


def test_a_printed_page_has_its_content_without_controls(open_page: Open) -> None:
    batch = a_batch("failed", entries=3, last_report=1)
    a_job(batch, 0, "failed")
    page = open_page("operator", f"/batches/{batch.batch_id}")

    page.emulate_media(media="print")

    controls = page.locator("header.bar, #menu, .foot, button, .button, .tabs")
    assert not any(each.is_visible() for each in controls.all())
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("#main")).to_contain_text("PAYLOAD_NOT_FOUND")


def test_a_printed_time_has_its_tooltip_and_no_empty_brackets(open_page: Open) -> None:
    batch = a_batch("failed", entries=1)
    job = a_job(batch, 0, "failed", attempts=(Attempt(HOUR_AGO, NOW),))
    page = open_page("operator", f"/jobs/{job.address.job_id}")

    page.emulate_media(media="print")
    printed = page.locator("time").evaluate_all(
        "all => all.map(each => [each.title, getComputedStyle(each, '::after').content])"
    )

    assert {bool(title) for title, _ in printed} == {True, False}
    assert all(f"{title})" in content if title else content == "none" for title, content in printed)


def test_a_page_without_news_is_not_sent_again(open_page: Open, site: Site) -> None:
    batch = a_batch("processing", entries=2)
    at = f"/batches/{batch.batch_id}"
    statuses: list[int] = []
    page = open_page("viewer", at)
    _start_again(page)
    page.on(
        "response", lambda each: statuses.append(each.status) if each.url.endswith(at) else None
    )

    while len(statuses) < 3:
        _await_polls(page, site, at, 1)

    assert set(statuses) <= {200, 304}
    assert 304 in statuses


def test_a_hidden_tab_asks_nothing_until_it_is_shown(open_page: Open, site: Site) -> None:
    batch = a_batch("processing", entries=2)
    at = f"/batches/{batch.batch_id}"
    page = open_page("viewer", at)
    _start_again(page)
    page.evaluate(HIDE, True)
    before = _asked(page)

    page.clock.run_for("10:00")
    while_hidden = _asked(page) - before
    page.evaluate(HIDE, False)
    _await_polls(page, site, at, 2)

    assert while_hidden == 0


def test_at_most_one_request_is_in_flight(open_page: Open, site: Site) -> None:
    batch = a_batch("processing", entries=2)
    at = f"/batches/{batch.batch_id}"
    page = open_page("viewer", at)
    _start_again(page)
    for _ in range(5):  # as a person does who goes to and fro between tabs
        page.evaluate(HIDE, True)
        page.evaluate(HIDE, False)
    _await_polls(page, site, at, 4)

    assert site.most_in_flight[at] == 1


def test_pages_of_a_list_neither_repeat_nor_skip_while_more_arrive(
    open_page: Open, site: Site
) -> None:
    for number in range(60):
        a_batch("completed", filename=f"old-{number:03}.checkm")
    page = open_page("viewer", "/batches")
    _start_again(page)  # else it may show the new ones before the click
    first = page.get_by_role("link", name="old-").all_text_contents()
    for number in range(500):
        a_batch("completed", filename=f"new-{number:03}.checkm", submitted_at=NOW)

    page.get_by_role("link", name="Next page").click()
    expect(page.get_by_role("link", name="First page")).to_be_visible()
    others = page.get_by_role("link", name="old-")
    expect(others).to_have_count(10)

    assert len({*first, *others.all_text_contents()}) == len(first) + 10 == 60


SLOW = {"offline": False, "latency": 300, "downloadThroughput": 50_000, "uploadThroughput": 20_000}


def test_back_leads_to_the_same_list_on_a_slow_network(open_page: Open, site: Site) -> None:
    """Also if a poll is in flight when the reader leaves: its answer is for another list."""
    batch = a_batch("processing", entries=70, chunk_size=10)
    for number in range(60):
        a_job(batch, number, "failed" if number % 2 else "succeeded")
    page = open_page("viewer", f"/batches/{batch.batch_id}/jobs")
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", SLOW)
    page.evaluate(f"({HIDE})(true)")
    page.evaluate(f"({HIDE})(false)")

    page.get_by_role("combobox", name="State").select_option("failed")
    page.get_by_role("button", name="Filter").click()
    expect(page).to_have_url(re.compile("state=failed"))
    expect(page.get_by_role("row")).to_have_count(31)  # the heading, and 30 jobs
    shown, address = page.get_by_role("row").all_text_contents(), page.url
    page.locator("tbody a").nth(25).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("51")
    page.go_back()

    expect(page).to_have_url(address)
    expect(page.get_by_role("row")).to_have_text(shown)
    expect(page.get_by_role("combobox", name="State")).to_have_value("failed")
    assert len(shown) == 31
