"""The home page: the rates, how long jobs wait, and what limits them."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from jobyard import jobtypes
from jobyard.domain.campaigns.leases import Lease
from jobyard.domain.hold import Hold
from jobyard.domain.ids import batch_id_of, schedule_id_of
from jobyard.domain.rates import JobTotals
from jobyard.jobtypes import DEVICE_UPDATE
from jobyard.services.rates import sample_rates
from jobyard.store import holds, leases, rates
from tests.functions.api.api_client import NOW
from tests.functions.api.batch_records import a_batch
from tests.functions.web.browser import Browser

MINUTE = timedelta(minutes=1)


def test_deployments_are_marked_in_the_picture_and_the_latest_three_named(browser: Browser) -> None:
    for number in range(5):
        sample_rates(3, NOW - (30 - number) * MINUTE, f"0.2.0+{number}")
    browser.sign_in("viewer")

    first, shared = browser.get("/"), browser.get("/")

    for page in (first, shared):  # the second is made of what the first has stored
        assert page.html.count('class="deploy"') == 4
        for number in (2, 3, 4):
            assert f'<span class="deployed"><span>0.2.0+{number} deployed ' in page.html
        assert page.html.count('<span class="deployed">') == 3
        assert page.html.count("0.2.0+1") == 1  # in the title of the picture only


@pytest.mark.parametrize("role", ["viewer", "depositor"])
def test_a_manifest_that_was_refused_in_the_last_day_needs_attention(
    browser: Browser, role: str
) -> None:
    refused = {"failure_message": "the manifest has 2 errors", "ended_at": NOW - MINUTE}
    a_batch("failed", **refused | {"ended_at": NOW - timedelta(days=2)})
    assert "Nothing is wrong" in browser.sign_in(role).get("/").text
    first = a_batch("failed", filename="june.csv", **refused)
    browser.function.SITE.now.__self__.now += timedelta(minutes=1)
    page = browser.get("/")
    assert "june.csv failed as a whole" in page.text
    assert f'"/batches/{first.batch_id}"' in page.html
    a_batch("failed", filename="july.csv", **refused)
    browser.function.SITE.now.__self__.now += timedelta(minutes=1)

    assert "2 batches failed as a whole" in browser.get("/").text


def test_it_says_how_long_jobs_waited_in_the_chosen_time(browser: Browser) -> None:
    browser.sign_in("viewer")
    assert "How long jobs waited" not in browser.get("/?range=24h").text
    for seconds in [*[2] * 10, *[300] * 8, 90_000, 90_000]:
        rates.add(0, JobTotals.of_starts([timedelta(seconds=seconds)]))
    sample_rates(1, NOW)

    page = browser.get("/")

    assert "half of them up to 2 s, " in page.text
    assert "95 % over 1 d" in page.text


def test_it_lists_the_limits_in_use_and_the_holds_in_force(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = replace(DEVICE_UPDATE, at_once=100)
    monkeypatch.setattr(jobtypes, "TYPES", {**jobtypes.TYPES, limited.name: limited})
    placed = NOW - MINUTE
    for number in range(7):
        at = placed + number * timedelta(seconds=1)
        holds.put(Hold(f"collection:maps{number}", "ada", "the store is full", at, NOW + MINUTE))
    holds.put(Hold("type:sweep", "bob", "over", placed, NOW - timedelta(seconds=1)))
    leases.put("device-update", {"c1": Lease(30, NOW + MINUTE), "c2": Lease(9, NOW - MINUTE)}, 0)
    browser.sign_in("viewer")

    page = browser.get("/")

    tasks = "Tasks of device-update 30 100 of"
    for text in ("Limits in use", "Jobs of batches", tasks, "ada", "2 more"):
        assert text in page.text, text
    assert "collection maps4" in page.text
    assert "collection maps5" not in page.text
    assert "bob" not in page.text


def test_a_depositor_sees_no_limits_of_others(browser: Browser) -> None:
    browser.sign_in("depositor")

    assert "Limits in use" not in browser.get("/").text


@pytest.mark.parametrize(
    ("path", "link"),
    [
        ("/batches", "/batches"),
        (f"/jobs/{batch_id_of(b'1')}.0.1", "/batches"),
        (f"/jobs/{schedule_id_of(b'1')}.20261122T120000Z", "/job-management"),
        (f"/schedules/{schedule_id_of(b'1')}/edit", "/job-management"),
        ("/calendars", "/job-management"),
        ("/", "/"),
        ("/activity", "/activity"),
    ],
)
def test_the_navigation_marks_the_part_to_which_a_page_belongs(
    browser: Browser, path: str, link: str
) -> None:
    browser.sign_in("admin")

    marked = re.findall(r'<a href="([^"?]+)" aria-current="page"', browser.get(path).html)

    assert {*marked} == {link}
