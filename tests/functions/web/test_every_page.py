"""Every page answers every role, with what it may see."""

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus

import pytest

from cli.local.emulator import ROOT
from jobyard.domain.access import ROLES
from jobyard.domain.cost import Usage
from jobyard.store import usage
from tests.functions.api.batch_records import a_batch, a_job, a_report_of, put_findings
from tests.functions.api.campaign_records import a_campaign, a_task
from tests.functions.api.schedule_records import a_schedule
from tests.functions.web.browser import Browser, Page
from tests.functions.web.dataset_records import a_dataset_with_a_commit
from tests.functions.web.edit_records import DATASET, TEAM, store_edits
from tests.tables import KeptRecords

Addresses = Callable[[], list[str]]
DATASETS = [
    "/datasets",
    "/datasets/roads",
    "/datasets/roads/revisions/2",
    "/datasets/roads/feature?id=a%2Fb",
    "/datasets/roads/feature?id=deleted",
]


@pytest.fixture
def addresses(browser: Browser, kept_records: KeptRecords) -> list[str]:
    """The addresses of all pages."""
    return kept_records.get("every page", lambda: _stored_pages(browser))


def _stored_pages(browser: Browser) -> list[str]:
    """The addresses of all pages, of a batch with jobs, failures and findings."""
    batch = a_batch("failed", entries=5, findings=2, last_report=1)
    put_findings(
        batch,
        [
            {"level": "error", "code": "NO_ROWS", "line": 3, "column": 2, "message": "no <rows>"},
            {"level": "warning", "code": "BYTE_ORDER_MARK", "message": "a mark"},
        ],
    )
    jobs = [a_job(batch, number, "failed") for number in (0, 1)]
    schedule = a_schedule()
    campaign = a_campaign(browser.function.SITE.settings)
    a_task(campaign, 0, "failed")
    a_report_of(campaign.campaign_id)
    a_dataset_with_a_commit("roads", browser.function.SITE)
    of_campaign = f"/campaigns/{campaign.campaign_id}"
    at = f"/batches/{batch.batch_id}"
    return [
        "/",
        "/batches",
        "/batches?state=failed",
        "/batches?state=failed&collection=maps",
        at,
        f"{at}/jobs",
        f"{at}/jobs?state=failed",
        f"{at}/findings",
        f"{at}/reports",
        f"{at}/cost",
        f"{at}/history",
        *(f"/jobs/{job.address.job_id}" for job in jobs),
        f"/jobs/{jobs[0].address.job_id}/log",
        "/holds",
        "/?range=7d",
        "/activity",
        "/failures",
        "/failures?code=PAYLOAD_NOT_FOUND",
        "/undelivered",
        "/objects",
        "/find?q=may",
        "/collections",
        "/collections/maps",
        "/calendars",
        "/calendars/holidays",
        "/job-management",
        "/job-management?system=yes&status=Idle",
        "/schedules/new",
        f"/schedules/{schedule.schedule_id}",
        f"/schedules/{schedule.schedule_id}/edit",
        f"/schedules/{schedule.schedule_id}/history",
        f"/schedules/{schedule.schedule_id}/year",
        f"/schedules/{schedule.schedule_id}/year?year=2027",
        f"/schedules/{schedule.schedule_id}/cost",
        f"/schedules/{schedule.schedule_id}/reports",
        "/campaigns",
        of_campaign,
        f"{of_campaign}/tasks",
        f"{of_campaign}/change",
        f"{of_campaign}/cost",
        f"{of_campaign}/reports",
        f"{of_campaign}/retry",
        "/campaigns/new",
        f"/jobs/{campaign.campaign_id}.0.0",
        *edit_pages(browser),
        *DATASETS,
        "/system",
        "/webhooks",
        "/lifecycles/batch",
        "/lifecycles/job?state=failed",
    ]


def edit_pages(browser: Browser) -> list[str]:
    """The addresses of the pages of edit jobs, with jobs in every state."""
    site = browser.function.SITE
    made = store_edits(site.settings, site.s3)
    jobs, children = made.jobs, made.children
    downloaded, conflicted = jobs["downloaded"].edit_id, children["conflicted"].child_id
    return [
        "/worklist",
        f"/worklist?team={TEAM}&job={downloaded}",
        "/planner",
        "/planner?list=ended",
        "/planner?list=mine",
        "/planner?list=stuck",
        f"/planner?dataset={DATASET}&frame=-123,37,-121,38",
        *(f"/edits/{each.edit_id}" for each in jobs.values()),
        *(f"/edits/{each.child_id}" for each in children.values()),
        f"/edits/{jobs['invalid'].edit_id}/changes",
        f"/edits/{jobs['completed'].edit_id}/changes",
        f"/edits/{conflicted}/conflicts",
        f"/edits/{downloaded}/upload",
        f"/edits/{downloaded}/uploads",
        f"/edits/{downloaded}/log",
        f"/edits/{downloaded}/cost",
        f"/edits/{downloaded}/edit",
        "/edits/new",
        "/planner?dataset=*&state=downloaded&team=none",
        "/datasets/new",
        "/datasets/new?key=datasets/x/y/roads.geojson",
        "/teams",
        f"/teams/{TEAM}",
        f"/datasets/{DATASET}/edit-types",
    ]


@pytest.mark.turns(2)
@pytest.mark.parametrize("role", ROLES)
def test_every_page_answers_every_role(browser: Browser, addresses: list[str], role: str) -> None:
    browser.sign_in(role)

    answers = {address: browser.get(address) for address in addresses}

    assert {answer.status for answer in answers.values()} <= {200, 403, 404}
    named = {at: names for at, each in answers.items() if (names := _class_names_in(each.html))}
    assert named == {}
    statuses = {address: answer.status for address, answer in answers.items()}
    assert _refused_links(answers) == {}
    prefixes = ("/schedules", "/job-management", "/calendars")
    of_schedules = [each for each in addresses if each.startswith(prefixes)]
    assert {statuses[each] for each in of_schedules} == {200 if role == "admin" else 403}
    of_edits = [each for each in addresses if each.startswith(EDIT_PREFIXES)]
    _check_edits(role, {each: statuses[each] for each in of_edits})
    (log,) = (each for each in addresses if each.endswith("/log") and each not in of_edits)
    is_operator = role in {"operator", "admin"}
    assert statuses["/system"] == (200 if is_operator else 403)
    assert (statuses[log] == 200) == is_operator
    assert statuses["/webhooks"] == (200 if role == "admin" else 403)
    forms = {each for each in addresses if each.endswith(("/change", "/retry"))}
    assert {statuses[each] for each in forms} == {200 if is_operator else 403}
    assert statuses["/campaigns/new"] == (200 if role == "admin" else 403)
    is_reader = role in {"viewer", "planner", "worker", "reviewer", "admin"}
    assert {statuses[each] for each in DATASETS} == {200 if is_reader else 403}
    if role in {"viewer", "operator", "admin"}:
        hidden = {"/system", "/webhooks", "/campaigns/new", log}
        others = {*addresses} - {*hidden, *of_schedules, *forms, *of_edits}
        assert {each: statuses[each] for each in others} == dict.fromkeys(others, 200)


def _refused_links(answers: Mapping[str, Page]) -> dict[str, set[str]]:
    """The links of shown pages that lead to what the person may not see, or to nothing; those to
    other pages than these are not followed.
    """
    refused = {at.partition("?")[0] for at, each in answers.items() if each.status != 200}
    found = {}
    for address, answer in answers.items():
        paths = {re.split("[?#]", each)[0] for each in re.findall('href="(/[^"]*)', answer.html)}
        if answer.status == HTTPStatus.OK and (wrong := paths & refused):
            found[address] = wrong
    return found


CLASSES = {
    name
    for folder in ("functions", "layers/jobyard")
    for path in (ROOT / folder).rglob("*.py")
    for name in re.findall(r"^class ([A-Z][a-z]+[A-Z]\w+)", path.read_text(), re.MULTILINE)
}


def _class_names_in(html: str) -> set[str]:
    """The names of our classes in a page for people, where a renaming may have put one."""
    return CLASSES & set(re.findall(r"[A-Z]\w+", html))


EDIT_PREFIXES = ("/worklist", "/planner", "/edits", "/teams", "/datasets")


def _check_edits(role: str, statuses: Mapping[str, int]) -> None:
    """Who sees which pages of edit jobs: planners all but the log, workers those of their team."""
    hidden = {each for each, status in statuses.items() if status != HTTPStatus.OK}
    logs = {each for each in statuses if each.endswith("/log")}
    plans = {each for each in statuses if each.endswith("/edit") or each == "/edits/new"}
    plans |= {each for each in statuses if each.startswith("/datasets/new")}
    if role == "admin":
        assert hidden == set()
    elif role == "planner":
        assert hidden == logs
    elif role == "viewer":
        assert hidden == logs | plans | {each for each in statuses if each.startswith("/worklist")}
    elif role in {"worker", "reviewer"}:
        assert {each for each in statuses if each.startswith("/planner")} <= hidden
        assert not {each for each in statuses if each.startswith("/worklist")} & hidden
        assert logs | plans <= hidden
        assert not {each for each in statuses if each.endswith(("/upload", "/conflicts"))} & hidden
    else:
        assert hidden == set(statuses)


def test_a_cost_lists_only_what_was_used(browser: Browser) -> None:
    batch = a_batch("failed", entries=1)
    usage.add(batch.batch_id, "execute", Usage(invocations=5))
    browser.sign_in("viewer")

    page = browser.get(f"/batches/{batch.batch_id}/cost")

    assert "Lambda invocations" in page.text
    assert "S3 GET" not in page.text
    assert "list prices in us-east-1 of 2026-10-04" in page.text


def test_a_cost_of_nothing_says_so(browser: Browser) -> None:
    batch = a_batch("pending", entries=1)
    browser.sign_in("viewer")

    assert "Nothing so far." in browser.get(f"/batches/{batch.batch_id}/cost").text
