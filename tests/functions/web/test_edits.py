"""The pages of edit jobs: what they show, and what their forms do."""

import pytest

from tests.functions.web.browser import Browser
from tests.functions.web.edit_records import EditRecords, store_edits


@pytest.fixture
def records(browser: Browser) -> EditRecords:
    site = browser.function.SITE
    return store_edits(site.settings, site.s3)


def test_every_state_has_a_page_that_says_what_happens_next(
    browser: Browser, records: EditRecords
) -> None:
    browser.sign_in("admin")

    for job in records.jobs.values():
        page = browser.get(f"/edits/{job.edit_id}")
        assert page.status == 200
        assert "Next:" in page.text or "What happens next:" in page.text
        assert 'class="picture map"' in page.html
        for part in ("changes", "uploads", "log"):
            assert browser.get(f"/edits/{job.edit_id}/{part}").status == 200
    for child in records.children.values():
        for part in ("", "/changes", "/uploads"):
            page = browser.get(f"/edits/{child.child_id}{part}")
            assert page.status == 200
