"""Every page in a real browser: accessible, small, without errors, at every width and in both
schemes."""

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import pytest
from jinja2 import Template
from playwright.sync_api import FilePayload, Page, Response, expect

from jobyard.domain.access import ROLES
from jobyard.domain.activity import Act, Subject
from jobyard.domain.alarms import RUNBOOKS
from jobyard.domain.batches.operation import Filter, Operation
from jobyard.domain.batches.report import Delivery, DeliveryState
from jobyard.domain.datasets.export import ExportRequest
from jobyard.domain.edits.work import SentFile
from jobyard.domain.ids import export_id_of
from jobyard.domain.jobs.job import Attempt, JobState
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.datasets.export import export
from jobyard.store import activity, operations
from tests.browser.conftest import Open, violations
from tests.browser.site_server import Site
from tests.browser.tabs import MAX_BYTES
from tests.functions.api.api_client import NOW
from tests.functions.api.batch_records import HOUR_AGO, a_batch, a_job, a_report, put_findings
from tests.functions.api.campaign_records import a_campaign, put_tasks
from tests.functions.api.dead_letter_messages import mail_event, manifest_event, put_letter
from tests.functions.api.log_events import CHUNK_LOGS, REQUEST, put_log, worker_line
from tests.functions.api.object_records import a_version
from tests.functions.api.schedule_records import a_schedule
from tests.functions.web.alarms import put_alarm
from tests.functions.web.browser import Browser
from tests.functions.web.dataset_records import a_dataset_with_a_commit
from tests.functions.web.edit_records import DATASET, TEAM, link_of, store_edits
from tests.functions.web.test_webhooks import create as create_webhook
from tests.people import sub_of
from web import routes
from web.template_environment import TEMPLATES, environment

Look = tuple[Literal["light", "dark"], int]  # the scheme, and the width in pixels
LOOKS: list[Look] = [
    *(("light", 390), ("dark", 390), ("light", 1280), ("dark", 1280), ("light", 1920)),
    ("dark", 1920),
]
LAPTOP = 1280  # pixels; wider pages differ in space alone, which one person tries
PEOPLE = (*ROLES, "nobody")
# One of the homes is seen by some only; files are sent by forms that others are made like.
UNSEEN = {"home.html", "home_without_role.html", "targets_upload.html"}
# The addresses that answer with a file, or lead to one.
FILES = {
    "/batches/<batch_id>/jobs.csv",
    "/batches/<batch_id>/operations/<operation_id>/outcomes.csv",
    "/batches/<batch_id>/reports/<seq>",
    "/campaigns/<campaign_id>/reports/<seq>",
    "/campaigns/<campaign_id>/reports/<seq>/<name>",
    "/edits/<job_id>/attachments/<index>/file",
    "/edits/<job_id>/uploads/file",
    "/jobs/<job_id>/failed-records",
    "/objects/<object_id>/download",
}


def is_its_turn(_name: str, parameters: Mapping[str, str], turn: int) -> bool:
    """Whether a person looks in this turn. In 96 days each of them has had each look at each
    page."""
    return parameters["role"] == PEOPLE[turn % len(PEOPLE)]


def _pages_of(turn: int, addresses: Sequence[str]) -> Sequence[str]:
    """Every second page; in the next turn, the others."""
    week = turn // len(PEOPLE)
    return addresses[(turn + week + week // len(LOOKS)) % 2 :: 2]


@pytest.fixture
def templates(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the templates that pages were made of."""
    found: set[str] = set()
    made = environment()
    get_template = made.get_template

    def note(name: str, *how: Any) -> Template:
        found.add(name)
        return get_template(name, *how)

    monkeypatch.setattr(made, "get_template", note)
    return found


@pytest.fixture
def addresses(site: Site) -> list[str]:
    """The addresses of all pages, with something on them."""
    batch = a_batch("failed", entries=5, findings=2, last_report=1)
    put_findings(
        batch,
        [
            {"level": "error", "code": "NO_ROWS", "line": 3, "column": 2, "message": "no rows"},
            {"level": "warning", "code": "BYTE_ORDER_MARK", "message": "a mark"},
        ],
    )
    job = a_job(
        batch, 0, "failed", attempts=(Attempt(HOUR_AGO, NOW, request_id=REQUEST.format(1)),)
    )
    lines = [worker_line("step error", REQUEST.format(1), exception="a\nb" * 99)] * 3
    put_log(CHUNK_LOGS, HOUR_AGO, *lines)
    requeue = Operation(
        *(batch.batch_id, "r1", "requeue", Filter(JobState.FAILED), "operator", "it is back", NOW),
        matched=2,
        chunks=(0,),
    )
    operations.put_new(requeue, batch.state)
    several = Subject("job", batch.batch_id, title="may.csv", count=200)
    activity.put(Act(NOW, "operator", sub_of("operator"), "requeue", several, "it is back", "r1"))
    for seq, outcomes in ((1, "fffff"), (2, "sffff")):
        a_report(batch, seq, outcomes=outcomes)
    for seq in (3, 4):
        a_report(batch, seq, delivery=Delivery(DeliveryState.FAILED, HOUR_AGO, error="refused"))
    new = a_batch("pending", source=None, submitter_sub=sub_of("admin"))
    a_version("ark:/13030/m5a", batch_id=batch.batch_id)
    schedule = a_schedule()
    campaign = put_tasks(a_campaign(site.browser.function.SITE.settings), ["rescheduled", "failed"])
    of_campaign = f"/campaigns/{campaign.campaign_id}"
    put_system(site)
    create_webhook(site.browser)
    at, of_schedule = f"/batches/{batch.batch_id}", f"/schedules/{schedule.schedule_id}"
    return [
        "/",
        "/failures?code=PAYLOAD_NOT_FOUND",
        "/undelivered",
        "/activity",
        "/batches",
        "/batches/new",
        f"/batches/{new.batch_id}/upload",
        at,
        f"{at}/jobs?state=failed",
        f"{at}/findings",
        f"{at}/reports",
        f"{at}/reports/2/changes",
        f"{at}/cost",
        f"{at}/history",
        f"{at}/operations/r1",
        f"/jobs/{job.address.job_id}",
        f"/jobs/{job.address.job_id}/log",
        "/holds",
        "/collections",
        "/collections/maps",
        "/objects",
        "/objects/ark-13030-m5a",
        "/find?q=may",
        "/calendars",
        "/calendars/holidays",
        "/job-management",
        "/system",
        "/webhooks",
        "/webhooks/ours",
        "/campaigns",
        of_campaign,
        f"{of_campaign}/tasks?state=failed",
        f"/jobs/{campaign.campaign_id}.0.0",
        f"{of_campaign}/change",
        f"{of_campaign}/retry",
        f"{of_campaign}/cost",
        f"{of_campaign}/reports",
        "/campaigns/new",
        "/schedules/new",
        of_schedule,
        f"{of_schedule}/edit",
        f"{of_schedule}/history",
        f"{of_schedule}/year",
        f"{of_schedule}/cost",
        f"{of_schedule}/reports",
        *_dataset_pages(site),
        *_edit_pages(site),
        "/lifecycles/batch?state=failed",
        "/nothing-here",
        "/sign-in/return",
        "/signed-in",
        "/signed-out",
    ]


def _dataset_pages(site: Site) -> list[str]:
    """The addresses of the pages of datasets."""
    pages = site.browser.function.SITE
    a_dataset_with_a_commit("roads", pages)
    request = ExportRequest(export_id_of(b"roads"), "roads", 2)
    export(request.document(), DatasetContext(pages.settings, pages.s3, pages.now))
    return [
        "/datasets",
        "/datasets/roads",
        "/datasets/roads/revisions/2",
        "/datasets/roads/feature?id=a%2Fb",
        f"/datasets/roads/exports/{request.export_id}",
        "/datasets/new",
        "/datasets/new?key=datasets/x/y/roads.geojson",
        _load_of_rivers(site.browser),
    ]


def _load_of_rivers(browser: Browser) -> str:
    """The address of the load of a dataset, which has just begun."""
    pages = browser.function.SITE
    browser.sign_in("admin")
    sent = browser.submit(browser.get("/datasets/new"), "/datasets/new", file="rivers.geojson")
    form = next(fields for action, fields in sent.forms.items() if action.startswith("http"))
    pages.s3.put_object(Bucket=pages.settings.intake_bucket, Key=form["key"], Body=b"{}")
    second = browser.get(f"/datasets/new?key={quote(form['key'])}")
    return browser.submit(second, "/datasets").location


def _edit_pages(site: Site) -> list[str]:
    """The addresses of the pages of edit jobs."""
    pages = site.browser.function.SITE
    made = store_edits(pages.settings, pages.s3)
    late = made.late_upload("failed")
    sent = SentFile("edits/border.geojson", "p", "d" * 64, "changes", None, 5, 1, NOW)
    made.replaced("uploaded", sent=sent)
    jobs, children = made.jobs, made.children
    downloaded, archived = jobs["downloaded"].edit_id, jobs["archived"].edit_id
    return [
        f"/worklist?team={TEAM}&job={children['invalid'].child_id}",
        "/planner",
        "/edits/new?frame=-123,37,-121,38",
        f"/edits/{jobs['proposed'].edit_id}",
        f"/edits/{jobs['proposed'].edit_id}/edit",
        f"/edits/{jobs['blocked'].edit_id}",
        f"/edits/{jobs['blocked'].edit_id}/attachments/1",
        f"/edits/{downloaded}",
        f"/edits/{downloaded}/upload",
        f"/edits/{downloaded}/cost",
        f"/edits/{jobs['uploaded'].edit_id}/file",
        f"/edits/{jobs['failed'].edit_id}/uploads",
        late,
        f"/edits/{archived}/log",
        f"/edits/{children['invalid'].child_id}",
        f"/edits/{children['quarantined'].child_id}",
        f"/edits/{jobs['invalid'].edit_id}/changes",
        f"/edits/{children['conflicted'].child_id}/conflicts",
        "/teams",
        f"/teams/{TEAM}",
        f"/datasets/{DATASET}/edit-types",
        link_of(site.browser, made.jobs["blocked"]),
        "/attachments/x",
    ]


def put_system(site: Site) -> None:
    """Alarms of which one is active, two dead letters, and a mail that bounced."""
    settings, now = site.browser.function.SITE.settings, site.browser.function.SITE.now()
    for runbook in RUNBOOKS:
        for name in runbook.alarms:
            state = "ALARM" if name == "DeadLettersAlarm" else "OK"
            put_alarm(f"{settings.stack}-Monitoring-1ABC-{name}-2DEF", state)
    put_letter(settings, manifest_event(), ERROR_MESSAGE="the role may not start an execution")
    put_letter(settings, mail_event())
    lost = Delivery(DeliveryState.BOUNCED, now, error="no such mailbox")
    a_report(a_batch("failed", entries=1), subject="FAIL may.checkm", created_at=now, delivery=lost)


@pytest.mark.parametrize("role", PEOPLE)
def test_every_page_is_accessible_small_and_fits(
    open_page: Open,
    site: Site,
    role: str,
    addresses: list[str],
    templates: set[str],
    turn: int,
    everything: bool,
) -> None:
    looks = [LOOKS[turn // len(PEOPLE) % len(LOOKS)]]
    people = {role, "admin"}  # an admin, where the role may see nothing
    pages = _pages_of(turn, addresses)
    if everything:
        pages = addresses
        looks = LOOKS if role == "admin" else [each for each in LOOKS if each[1] <= LAPTOP]
        people = {role}
    page = open_page(role, "/", bypass_csp=True)
    refusals: set[int] = set()
    for address in pages:
        for each in sorted(people, key=lambda person: person != role):
            if site.status_for(each, address) in refusals:
                continue
            page.context.add_cookies(site.cookies(each))  # type: ignore[arg-type]
            status = _visit(page, site.url + address, refusals, looks)
            if status == HTTPStatus.OK:
                break
            refusals.add(status)
    if "admin" in people:
        page.context.add_cookies(site.cookies("admin"))  # type: ignore[arg-type]
        _send_forms(page, site.url, addresses, looks)
        for address in addresses:
            site.status_for("admin", address)
        assert templates >= {each.name for each in TEMPLATES.glob("*.html")} - UNSEEN
    paths = [address.partition("?")[0] for address in addresses]
    assert {each for each in _routes() if not _has_one(paths, each)} == FILES


def _routes() -> list[str]:
    """The patterns of the addresses of all pages."""
    sources = (Path(routes.__path__[0])).glob("*.py")
    return [
        each for path in sources for each in re.findall(r'@router.get\("(.+)"', path.read_text())
    ]


def _has_one(paths: Iterable[str], route: str) -> bool:
    """Whether one of the paths is of that route."""
    pattern = re.compile(re.sub("<[a-z_]+>", "[^/]+", route))
    return any(pattern.fullmatch(each) for each in paths)


def _visit(page: Page, address: str, refusals: set[int], looks: Sequence[Look]) -> int:
    """Open a page and check its looks, unless it is a refusal like one before. Its status."""
    sizes: list[int] = []

    def note(response: Response) -> None:
        sizes.append(int(response.headers.get("content-length", 0)))

    page.on("response", note)
    answer = page.goto(address)
    page.remove_listener("response", note)
    assert answer
    if answer.status not in refusals:
        assert sum(sizes) < MAX_BYTES, f"{address}: {sum(sizes)} bytes"
        _check(page, looks)
    return answer.status


def _send_forms(page: Page, url: str, addresses: Sequence[str], looks: Sequence[Look]) -> None:
    """Look at what answers forms: checks, a secret, outcomes, a preview, and the end of a
    session.
    """
    page.goto(f"{url}/batches/new")
    file: FilePayload = {"name": "may.csv", "mimeType": "text/csv", "buffer": b"url\nftp://a/b\n"}
    page.set_input_files("#file", file)
    expect(page.locator("#check .items")).to_be_visible()
    _check(page, looks)
    page.goto(f"{url}/datasets/new")
    file = {"name": "a.geojson", "mimeType": "application/json", "buffer": b'{"type": "Point"}'}
    page.set_input_files("#file", file)
    expect(page.locator("#check .items")).to_be_visible()
    _check(page, looks)
    page.goto(f"{url}/campaigns/new")
    page.get_by_label("One on each line").fill("id,address\ngw-1,gw 1\n")
    page.get_by_label("One on each line").blur()
    expect(page.locator("#check .items")).to_be_visible()
    _check(page, looks)
    page.goto(f"{url}/webhooks")
    page.get_by_label("Name", exact=True).fill("theirs")
    page.get_by_label("URL").fill("https://hooks.example.org/theirs")
    page.get_by_role("checkbox").first.check()
    page.get_by_label("Reason").fill("they asked")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="Secret of theirs")).to_be_visible()
    _check(page, looks)
    page.goto(f"{url}/planner?list=ended")
    page.get_by_label("Archive what was completed").fill("0")
    page.get_by_role("button", name="Archive them").click()
    expect(page.get_by_role("heading", name="archived", exact=False).first).to_be_visible()
    _check(page, looks)
    (jobs,) = (each for each in addresses if "/jobs?" in each)
    page.goto(url + jobs)
    page.get_by_label("Select 0", exact=True).check()
    page.get_by_role("button", name="Requeue…").click()
    expect(page.get_by_role("heading", name="Requeue 1 job?")).to_be_visible()
    _check(page, looks)
    page.get_by_label("Reason").fill("the disks are back")
    page.context.clear_cookies()
    page.get_by_role("button", name="Requeue 1 job").click()
    expect(page.get_by_role("heading", name="Your session has ended")).to_be_visible()
    _check(page, looks)


def _check(page: Page, looks: Sequence[Look]) -> None:
    """Assert that a page is accessible and fits, whatever the scheme and the width."""
    for scheme, width in looks:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        where = f"{page.url} {scheme} {width}"
        assert violations(page) == [], where
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{where}: {wide} pixels wide"
