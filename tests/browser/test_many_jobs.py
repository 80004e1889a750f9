"""An event for many jobs, in a real browser: choose, preview, confirm."""

import pytest
from playwright.sync_api import expect

from jobyard.store import operations
from tests.browser.conftest import Open
from tests.functions.api.batch_records import a_batch, a_job


@pytest.mark.parametrize("has_script", [True, False])
def test_all_of_ten_thousand_are_chosen_previewed_and_cancelled(
    open_page: Open, has_script: bool
) -> None:
    batch = a_batch("processing", entries=10_000, chunk_size=500)
    a_job(batch, 7, "succeeded")
    at = f"/batches/{batch.batch_id}"
    page = open_page("operator", f"{at}/jobs?state=scheduled", java_script_enabled=has_script)

    page.get_by_label("Select 3", exact=True).check()
    page.get_by_label("All 9,999 matching").check()
    page.get_by_role("button", name="Cancel…").click()
    expect(page.get_by_role("heading", name="Cancel 9,999 jobs?")).to_be_visible()
    page.get_by_label("Reason").fill("the wrong files")
    page.get_by_role("button", name="Cancel 9,999 jobs").click()

    expect(page.get_by_role("heading", name="Cancel: 9,999 jobs")).to_be_visible()
    (operation,) = operations.of_batch(batch.batch_id)
    assert (operation.event, operation.matched, operation.filter.job_ids) == (
        "cancel",
        9_999,
        set(),
    )
    assert operation.chunks == tuple(range(20))


def test_all_that_match_are_chosen_on_a_page_that_found_none_yet(open_page: Open) -> None:
    batch = a_batch("processing", entries=3_500, chunk_size=100)
    page = open_page("operator", f"/batches/{batch.batch_id}/jobs?state=scheduled&name=3456")

    expect(page.get_by_text("No match in jobs 1 to 3,000")).to_be_visible()
    page.get_by_label("All that match, on all pages").check()
    page.get_by_role("button", name="Cancel…").click()
    expect(page.get_by_role("heading", name="Cancel")).to_be_visible()
    page.go_back()
    page.get_by_role("link", name="Search on").first.click()

    expect(page.get_by_label("Select 3456", exact=True)).to_be_visible()


def test_only_the_selected_jobs_are_released(open_page: Open) -> None:
    batch = a_batch("processing", entries=4)
    held = [a_job(batch, number, "held").address.job_id for number in range(3)]
    page = open_page("operator", f"/batches/{batch.batch_id}/jobs?state=held")

    page.get_by_label("Select all rows").check()
    page.get_by_label("Select 1", exact=True).uncheck()
    expect(page.locator("[data-selected]")).to_have_text("2")
    page.get_by_role("button", name="Release…").click()
    page.get_by_label("Reason").fill("the disks are back")
    page.get_by_role("button", name="Release 2 jobs").click()

    expect(page.get_by_role("heading", name="Release: 2 jobs")).to_be_visible()
    (operation,) = operations.of_batch(batch.batch_id)
    assert operation.filter.job_ids == {held[0], held[2]}


def test_a_closed_event_is_an_icon_on_a_phone_and_says_why(open_page: Open) -> None:
    batch = a_batch("processing", entries=1)
    page = open_page("viewer", f"/batches/{batch.batch_id}", width=390)

    button = page.get_by_role("button", name="Cancel", exact=True)
    box = button.bounding_box()
    button.click(force=True)  # it is shown as disabled, and opens the reason

    assert box is not None
    assert 24 <= box["width"] <= 48
    expect(page.get_by_role("heading", name="Cancel")).to_be_visible()
    expect(page.locator("#event-cancel-why")).to_be_visible()
