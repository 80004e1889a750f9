"""Links to reports in mails, which work without signing in, for some days."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from jobyard.services.reports.links import report_address
from tests.functions.api.batch_records import a_batch, a_report
from tests.functions.web.browser import Browser


def address(browser: Browser, age: timedelta = timedelta()) -> str:
    """The path of a link that was mailed that long ago."""
    site = browser.function.SITE
    batch = a_batch("completed", entries=1, last_report=1)
    names = ("report.html", "jobs.csv", "failures.csv", "report.json", "mail.txt", "outcomes")
    a_report(batch, files={name: f"reports/{batch.batch_id}/0001/{name}" for name in names})
    sent = site.now() - age
    made = report_address(batch.batch_id, 1, site.settings, sent, site.cursor_key)
    return urlsplit(made).path


@pytest.mark.parametrize("name", ["report.html", "jobs.csv"])
def test_a_link_leads_to_the_file_without_signing_in(browser: Browser, name: str) -> None:
    path = address(browser)

    answer = browser.get(path if name == "report.html" else f"{path}/{name}")

    assert answer.status == 303
    assert urlsplit(answer.location).path.endswith(name)
    assert "X-Amz-Signature" in answer.location
    assert answer.headers["cache-control"] == "no-store"


def test_a_link_ends_after_its_days(browser: Browser) -> None:
    assert browser.get(address(browser, timedelta(days=13, hours=23))).status == 303
    ended = browser.get(address(browser, timedelta(days=14)))

    assert (ended.status, "sign in to see the report" in ended.text) == (410, True)


@pytest.mark.parametrize("change", ["x", "/outcomes", "/mail.txt", "/../../work/rows"])
def test_no_other_file_has_a_link(browser: Browser, change: str) -> None:
    assert browser.get(address(browser) + change).status == 404
