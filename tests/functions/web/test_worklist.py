"""The worklist: columns, tiles, the panel with the metadata, filters and what is empty."""

import pytest

from tests.functions.web.browser import Browser
from tests.functions.web.edit_records import TEAM, EditRecords, kept_edits
from tests.tables import KeptRecords


@pytest.fixture
def records(browser: Browser, kept_records: KeptRecords) -> EditRecords:
    return kept_edits(browser, kept_records)


def test_a_worker_sees_what_they_have_and_what_their_team_may_take(
    browser: Browser, records: EditRecords
) -> None:
    browser.sign_in("worker")

    page = browser.get("/worklist")

    assert page.status == 200
    for name in ("allocated", "personal", "prepared", "downloaded", "invalid", "conflicted"):
        assert records.jobs[name].edit_id in page.html
    assert records.jobs["proposed"].edit_id not in page.html
    assert records.jobs["abandoned"].edit_id not in page.html
    assert "Failure Type VALIDATION" in page.text
    assert "Overdue" in page.text
    assert "High" in page.text


def test_the_panel_has_the_metadata_and_the_buttons_of_the_state(
    browser: Browser, records: EditRecords
) -> None:
    browser.sign_in("worker")
    child = records.children["invalid"].child_id
    allocated = records.jobs["allocated"].edit_id

    of_child = browser.get(f"/worklist?job={child}")
    of_job = browser.get(f"/worklist?job={allocated}")
    taken = browser.submit(
        of_job, f"/edits/{allocated}/activate?back=%2Fworklist%3Fjob%3D{allocated}"
    )

    assert "Failure Type VALIDATION" in of_child.text
    assert f"Parent ID {records.jobs['invalid'].edit_id}" in of_child.text
    assert f"/edits/{child}/upload" in of_child.html
    assert (taken.status, taken.location) == (303, f"/worklist?job={allocated}")


def test_a_reviewer_sees_reviews_and_not_the_work_of_others(
    browser: Browser, records: EditRecords
) -> None:
    browser.sign_in("reviewer")

    page = browser.get("/worklist")

    assert "Reviews" in page.text
    assert records.children["quarantined"].child_id in page.html
    assert records.children["embargoed"].child_id in page.html
    assert records.jobs["downloaded"].edit_id not in page.html


def test_a_worklist_is_filtered_by_team_and_text_and_sorted(
    browser: Browser, records: EditRecords
) -> None:
    browser.sign_in("planner")

    of_team = browser.get(f"/worklist?team={TEAM}")
    found = browser.get(f"/worklist?team={TEAM}&q=VALIDATION+border&sort=newest")
    one = browser.get(f"/worklist?team={TEAM}&column=downloaded")

    assert records.jobs["downloaded"].edit_id in of_team.html
    assert records.children["invalid"].child_id in found.html
    assert records.jobs["downloaded"].edit_id not in found.html
    assert "All columns" in one.text


@pytest.mark.parametrize(
    ("role", "words"), [("admin", "You are in no team"), ("viewer", ""), ("depositor", "")]
)
def test_who_has_no_worklist_sees_why(
    browser: Browser, records: EditRecords, role: str, words: str
) -> None:
    browser.sign_in(role)

    page = browser.get("/worklist")
    other = browser.get("/worklist?job=e" + "a" * 20)

    assert page.status == (200 if role == "admin" else 403)
    assert words in page.text
    assert role != "admin" or "Not there any more" in other.text


def test_home_shows_what_waits_for_me_what_i_have_and_what_is_overdue(
    browser: Browser, records: EditRecords
) -> None:
    browser.sign_in("worker")

    worker = browser.get("/").text
    browser.sign_in("depositor")
    depositor = browser.get("/").text

    assert "My worklist" in worker
    assert "1 Overdue" in worker
    assert "Downloaded: border of Alameda" in worker
    assert "My worklist" not in depositor


def test_search_finds_edit_jobs_by_id_and_name_for_who_may_see_them(
    browser: Browser, records: EditRecords
) -> None:
    job, child = records.jobs["downloaded"], records.children["conflicted"]

    by_id = browser.sign_in("worker").get(f"/find?q={child.child_id}")
    by_name = browser.sign_in("planner").get("/find?q=downloaded: border")
    foreign = browser.sign_in("depositor").get(f"/find?q={job.edit_id}")

    assert (by_id.status, by_id.location) == (303, f"/edits/{child.child_id}")
    assert f"/edits/{job.edit_id}" in by_name.html
    assert f"/edits/{job.edit_id}" not in foreign.html
