"""Lists that read only so much for one page: an empty page says how far, and searches on."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from jobyard.domain.activity import Act, Subject
from jobyard.services.queries import activity as activity_queries
from jobyard.services.queries import batches as batch_queries
from jobyard.services.queries import campaigns as campaign_queries
from jobyard.services.queries import collections as collection_queries
from jobyard.services.queries import edits as edit_queries
from jobyard.services.queries import jobs as job_queries
from jobyard.services.queries import reports as report_queries
from jobyard.services.queries import schedules as schedule_queries
from jobyard.services.queries import search
from jobyard.store import activity, collections
from tests.functions.api.batch_records import HOUR_AGO, a_batch, a_report
from tests.functions.api.campaign_records import a_campaign, put_tasks
from tests.functions.api.schedule_records import a_schedule
from tests.functions.web.browser import Browser
from tests.functions.web.edit_records import TEAM, store_edits
from tests.open_collections import an_open_collection
from tests.people import sub_of
from web.routes import worklist
from web.template_environment import TEMPLATES

Patch = pytest.MonkeyPatch


def _jobs(browser: Browser, patch: Patch) -> str:
    patch.setattr(job_queries, "MAX_CHUNKS_SEARCHED", 2)
    batch = a_batch("processing", entries=6, chunk_size=2)
    return f"/batches/{batch.batch_id}/jobs?state=scheduled&name=5"


def _batches(browser: Browser, patch: Patch) -> str:
    patch.setattr(batch_queries, "MAX_SCANNED_BATCHES", 2)
    patch.setattr("web.routes.batches._PAGE_SIZE", 2)
    a_batch("held", submitted_at=HOUR_AGO - timedelta(hours=1))
    for _ in range(2):
        a_batch("failed")
    return "/batches?state=held&collection=maps"


def _schedules(browser: Browser, patch: Patch) -> str:
    patch.setattr(schedule_queries, "_MAX_READ", 2)
    patch.setattr("web.routes.schedules._PAGE_SIZE", 2)
    for title in ("Archive", "Backup", "Count"):
        a_schedule(title=title)
    return "/job-management?status=Failed"


def _campaigns(browser: Browser, patch: Patch) -> str:
    patch.setattr(campaign_queries, "_MAX_READ", 2)
    for _ in range(3):
        a_campaign(browser.function.SITE.settings)
    return "/campaigns?state=failed"


def _tasks(browser: Browser, patch: Patch) -> str:
    patch.setattr(campaign_queries, "_CHUNKS_READ", 2)
    targets = [f"gw-{number}" for number in range(120)]
    made = a_campaign(browser.function.SITE.settings, request={"targets": targets})
    campaign = put_tasks(made, ["succeeded"] * 119 + ["failed"])
    return f"/campaigns/{campaign.campaign_id}/tasks?state=failed"


def _edits(browser: Browser, patch: Patch) -> str:
    patch.setattr(edit_queries, "_MAX_READ", 1)
    patch.setattr(edit_queries, "_READ_TOGETHER", 1)
    site = browser.function.SITE
    store_edits(site.settings, site.s3)
    return "/planner?dataset=*&team=nobody"


def _acts(browser: Browser, patch: Patch) -> str:
    patch.setattr(activity_queries, "_MAX_READ", 2)
    for number in range(3):
        subject = Subject("schedule", "s" + "1" * 20, "Sweep")
        at = HOUR_AGO + timedelta(minutes=number)
        activity.put(Act(at, "admin", sub_of("admin"), "run_now", subject, "", f"c{number}"))
    browser.sign_in("operator")
    return "/activity"


def _collections(browser: Browser, patch: Patch) -> str:
    patch.setattr(collection_queries, "_MAX_READ", 2)
    patch.setattr(collection_queries, "_READ_AT_ONCE", 2)
    for name in ("atlases", "bindings", "charts"):
        collections.put(replace(an_open_collection(name), groups=frozenset({"students"})))
    browser.sign_in("depositor", name="nobody")
    return "/collections"


def _changes(browser: Browser, patch: Patch) -> str:
    patch.setattr(report_queries, "_LETTERS_READ", 4)
    batch = a_batch("failed", entries=6, last_report=2)
    a_report(batch, 1, outcomes="ssssss")
    a_report(batch, 2, outcomes="sssssf")
    return f"/batches/{batch.batch_id}/reports/2/changes"


def _column(browser: Browser, patch: Patch) -> str:
    patch.setattr(worklist, "_SEARCHED", 1)
    site = browser.function.SITE
    store_edits(site.settings, site.s3)
    return f"/worklist?team={TEAM}&q=no+such+name"


_LISTS: dict[Callable[[Browser, Patch], str], str] = {
    _jobs: "No match in jobs 1 to 4",
    _batches: "No match in 2 batches, back to 2026-11-20",
    _schedules: "No match in 2 jobs, up to Backup",
    _campaigns: "No match in 2 jobs, back to 2026-11-20",
    _tasks: "No match in tasks 1 to ",
    _edits: "No match in 1 edit job, back to 2026-11-",
    _acts: "No match in 2 changes, back to 2026-11-20",
    _collections: "No match in 2 collections, up to bindings",
    _changes: "No match in jobs 1 to 4",
    _column: "No match in 1 job of this column",
}


@pytest.mark.parametrize("made", _LISTS, ids=lambda each: each.__name__.strip("_"))
def test_a_page_without_a_match_says_how_far_it_searched_and_searches_on(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, made: Callable[[Browser, Patch], str]
) -> None:
    browser.sign_in("admin")
    address = made(browser, monkeypatch)

    page = browser.get(address)
    ways_on = re.findall(r'href="([^"]+)"[^>]*>Search on', page.html)

    assert _LISTS[made] in page.text
    assert ways_on
    assert browser.get(ways_on[0].replace("&amp;", "&")).status == 200


def test_the_last_page_of_a_search_does_not_say_that_nothing_matches(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_queries, "MAX_CHUNKS_SEARCHED", 2)
    batch = a_batch("processing", entries=6, chunk_size=2)
    browser.sign_in("viewer")

    first = browser.get(f"/batches/{batch.batch_id}/jobs?name=1")
    (way_on,) = re.findall(r'href="([^"]+)" rel="next">Search on', first.html)
    last = browser.get(way_on.replace("&amp;", "&"))
    later = browser.get(f"/batches/{batch.batch_id}/jobs?name=1&from=5")

    assert "1 shown, of jobs 1 to 4" in first.text
    for each in (last, later):
        assert "No more matches" in each.text
        assert f'href="/batches/{batch.batch_id}/jobs?name=1" rel="first"' in each.html


def test_all_that_match_can_be_changed_from_a_page_without_a_match(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.sign_in("operator")
    address = _jobs(browser, monkeypatch)
    operations = f"{address.partition('/jobs')[0]}/operations"

    page = browser.get(address)
    form = page.forms[operations] | {"event": "cancel", "all_matching": "1"}
    preview = browser.post(operations, form)

    assert "All that match, on all pages" in page.text
    assert "Cancel 1 job?" in preview.text


def test_a_job_says_how_far_the_ones_before_and_after_were_searched(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_queries, "MAX_CHUNKS_SEARCHED", 2)
    batch = a_batch("processing", entries=12, chunk_size=2)
    at = f"/batches/{batch.batch_id}/jobs"
    browser.sign_in("viewer")

    middle = browser.get(f"/jobs/{batch.batch_id}.3.0?name=none")
    ends = [browser.get(f"/jobs/{batch.batch_id}.{each}.0?name=none") for each in (0, 5)]

    assert "Previous: search before 5" in middle.text
    assert "Next: search after 10" in middle.text
    assert f'href="{at}?name=none&amp;from=11"' in middle.html
    assert ["Previous: search" in each.text for each in ends] == [False, True]
    assert ["Next: search" in each.text for each in ends] == [True, False]


def test_find_leads_on_from_the_newest_batches_of_a_collection(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "FILE_BATCHES", 1)
    collections.put(an_open_collection("charts"))
    for _ in range(2):
        a_batch("completed", collection="charts")
    browser.sign_in("viewer")

    found = browser.get("/find?q=charts+harbour.tif&kind=object")

    assert "Nothing was found in what was searched" in found.text
    assert 'href="/batches?collection=charts">Search on in the jobs of another' in found.html


# Their pages are never empty if another one follows.
_UNBOUNDED = {
    *("batch_findings.html", "batch_history.html", "datasets.html", "edit_changes.html"),
    *("schedule_history.html", "teams.html", "webhook.html"),
}


def test_every_list_in_pages_that_may_be_empty_says_how_far_it_searched() -> None:
    def text_of(path: Path) -> str:
        return path.read_text()

    lists = {each.name for each in TEMPLATES.glob("*.html") if "{{ pager(" in text_of(each)}
    may_be_empty = {name for name in lists if "empty(" in text_of(TEMPLATES / name)}
    searched = {name for name in lists if "no_rows(searched" in text_of(TEMPLATES / name)}

    assert may_be_empty - searched == _UNBOUNDED
    for name in searched:
        assert "how_far(searched" in text_of(TEMPLATES / name)
