"""Pages that update themselves keep what the reader is doing, and ask no more than they need."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.site_server import Site
from tests.functions.api.batch_records import a_batch, a_job


def _polls(site: Site, path: str) -> int:
    return site.requests.count(("GET", path))


def _await_polls(page: Page, site: Site, path: str, number: int) -> None:
    """Wait until the page has asked for itself so often."""
    while _polls(site, path) < number:
        page.wait_for_timeout(100)


def test_a_change_appears_and_the_readers_place_is_kept(open_page: Open, site: Site) -> None:
    batch = a_batch("processing", entries=5)
    at = f"/batches/{batch.batch_id}"
    page = open_page("operator", at)
    page.get_by_role("button", name="Cancel").click()
    reason = page.get_by_label("Reason")
    reason.fill("half a rea")

    a_job(batch, 0, "failed")

    expect(page.get_by_role("link", name="1 failed")).to_be_visible(timeout=60_000)
    expect(reason).to_have_value("half a rea")
    expect(reason).to_be_focused()


def test_a_page_that_cannot_change_any_more_asks_no_more(open_page: Open, site: Site) -> None:
    batch = a_batch("completed", entries=2)
    at = f"/batches/{batch.batch_id}"
    page = open_page("viewer", at)

    page.wait_for_timeout(5000)

    assert _polls(site, at) == 1


def test_a_paused_page_asks_no_more(open_page: Open, site: Site) -> None:
    batch = a_batch("processing", entries=2)
    at = f"/batches/{batch.batch_id}"
    page = open_page("viewer", at)
    _await_polls(page, site, at, 2)
    page.get_by_role("button", name="Pause updates").click()
    page.wait_for_timeout(500)  # what is under way ends
    before = _polls(site, at)

    page.wait_for_timeout(5000)

    assert _polls(site, at) == before


def test_a_page_without_news_is_not_sent_again(open_page: Open, site: Site) -> None:
    batch = a_batch("processing", entries=2)
    at = f"/batches/{batch.batch_id}"
    statuses: list[int] = []
    page = open_page("viewer", at)
    page.on(
        "response", lambda each: statuses.append(each.status) if each.url.endswith(at) else None
    )

    _await_polls(page, site, at, 4)
    page.wait_for_timeout(500)

    assert 304 in statuses
    assert set(statuses) <= {200, 304}
