"""The page of a data custodian: no sign-in, one attachment, and nothing else of the edit job."""

from dataclasses import replace
from datetime import timedelta

import pytest

from jobyard.domain.edits.edit_job import EditState
from jobyard.store import edits
from tests.functions.web.browser import URL, Browser
from tests.functions.web.edit_records import EditRecords, kept_edits, link_of
from tests.tables import KeptRecords


@pytest.fixture
def records(browser: Browser, kept_records: KeptRecords) -> EditRecords:
    return kept_edits(browser, kept_records)


def test_a_custodian_sends_a_file_and_submits_it_without_signing_in(
    browser: Browser, records: EditRecords
) -> None:
    address = link_of(browser, records.jobs["blocked"])
    site, job = browser.function.SITE, records.jobs["blocked"]

    page = browser.get(address)
    form = next(fields for action, fields in page.forms.items() if "intake" in action)
    key = form["key"].replace("${filename}", "plan.pdf")
    site.s3.put_object(Bucket=site.settings.intake_bucket, Key=key, Body=b"the plan")
    back = browser.get(f"{address}?bucket=intake&key={key}&etag=x")
    done = browser.submit(back, address, answer="submit", key_of_file=key)
    again = browser.get(address)

    assert page.status == 200
    assert form["success_action_redirect"] == URL + address
    assert job.name in page.text
    assert "The plan of the new border" in page.text
    assert "Photos of the stones" not in page.text
    assert job.edit_id not in page.text
    assert "received" in done.text
    stored = edits.get(job.edit_id)
    assert (stored.attachments[0].filename, stored.attachments[0].size) == ("plan.pdf", 8)
    assert (again.status, "once" in again.text) == (409, True)


def test_a_custodian_declines_with_a_reason(browser: Browser, records: EditRecords) -> None:
    address = link_of(browser, records.jobs["blocked"])

    declined = browser.post(address, {"key": "k", "answer": "decline", "reason": "there is none"})

    stored = edits.get(records.jobs["blocked"].edit_id)
    assert "You declined" in declined.text
    assert stored.attachments[0].reason == "there is none"
    assert stored.history[-1].actor == "Rosa Vale"


def test_what_is_missing_is_said_on_the_page(browser: Browser, records: EditRecords) -> None:
    address = link_of(browser, records.jobs["blocked"])

    nothing = browser.post(address, {"answer": "submit"})
    stolen = browser.post(address, {"answer": "submit", "key_of_file": "manifests/maps/may.csv"})

    assert (nothing.status, "send a file first" in nothing.alert.lower()) == (422, True)
    assert stolen.status == 422
    assert edits.get(records.jobs["blocked"].edit_id).attachments[0].is_open


def test_links_that_cannot_be_used_say_what_to_do_and_nothing_else(
    browser: Browser, records: EditRecords
) -> None:
    job = records.jobs["blocked"]
    address = link_of(browser, job)
    newer = replace(job.attachments[0], sends=2)
    cut = browser.get(address[:-3])
    foreign = browser.post(address, {"answer": "decline"}, sec_fetch_site="cross-site")
    records.replaced("blocked", attachments=(newer, job.attachments[1]))
    replaced = browser.get(address)
    expired = replace(job.attachments[0], expires_at=job.created_at + timedelta(hours=1))
    records.replaced("blocked", attachments=(expired, job.attachments[1]))
    late = browser.get(address)
    records.replaced("blocked", attachments=job.attachments, state=EditState.ABANDONED)
    over = browser.get(address)
    records.replaced("blocked", state=EditState.DELETED, history=job.history)
    gone = browser.get(address)

    assert (cut.status, "as it is" in cut.text) == (404, True)
    assert foreign.status == 403
    assert (replaced.status, "newer mail" in replaced.text) == (409, True)
    assert (late.status, "has expired" in late.text) == (409, True)
    assert (over.status, "You need not do anything" in over.text) == (409, True)
    assert gone.status == 404
    for page in (cut, foreign, replaced, late, over, gone):
        assert job.edit_id not in page.html
        assert job.name not in page.html
        assert "Rosa" not in page.html


def test_the_log_does_not_have_the_token(
    browser: Browser, records: EditRecords, caplog: pytest.LogCaptureFixture
) -> None:
    address = link_of(browser, records.jobs["blocked"])

    with caplog.at_level("INFO"):
        browser.get(address)

    assert [vars(each)["path"] for each in caplog.records] == ["/attachments/…"]
