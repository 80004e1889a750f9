"""What a page reads, however large the batch is."""

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobyard.domain.batches.operation import (
    ACCEPTED,
    REFUSED,
    Filter,
    JobOutcome,
    Operation,
    OperationState,
)
from jobyard.domain.batches.report import ReportKind
from jobyard.domain.edits.work import SentFile
from jobyard.domain.hold import Hold
from jobyard.domain.ids import batch_id_of
from jobyard.domain.jobs.job import Attempt, JobState
from jobyard.services.batches import rows
from jobyard.services.queries import datasets as dataset_queries
from jobyard.store import batches, edits, holds, operations
from tests.functions.api.api_client import NOW
from tests.functions.api.batch_records import (
    HOUR_AGO,
    a_batch,
    a_job,
    a_report,
    a_report_of,
    put_findings,
)
from tests.functions.api.campaign_records import a_campaign, put_tasks
from tests.functions.api.log_events import REQUEST
from tests.functions.api.schedule_records import DAILY, a_schedule, items_read, minute, work
from tests.functions.web.browser import Browser
from tests.functions.web.edit_records import DATASET, TEAM, store_edits
from web import responses, routes

_MONITORING = ("cloudwatch", "sqs")
ENTRIES, CHUNK_SIZE = 3_000, 100  # more chunks than are counted at each reading
POLL_READS = 3  # of a poll that finds nothing new
MANY = 12  # reports of a batch and of a campaign, operations on its jobs, runs of a schedule


@pytest.mark.parametrize("entries", [ENTRIES, 1_000_000])
def test_a_poll_that_finds_nothing_new_reads_three_items(browser: Browser, entries: int) -> None:
    browser.sign_in("viewer")
    small = a_batch("processing", chunk_size=CHUNK_SIZE, findings=1)
    made = replace(small, batch_id=batch_id_of(b"large"), version=0, entries=entries)
    batch = batches.put_new(made)  # without its rows, which the page does not show
    for number in range(0, entries, entries // 20):
        a_job(batch, number, "failed")
    put_findings(batch, [{"level": "warning", "code": "BYTE_ORDER_MARK", "message": "a mark"}])
    address = f"/batches/{batch.batch_id}"
    page = browser.get(address)

    with items_read() as found:
        again = browser.get(address, if_none_match=page.headers["etag"], x_poll="1")

    assert f"{entries - 20:,}" in page.text
    assert again.status == 304
    assert found.total() <= 3


@contextmanager
def _monitoring_calls(browser: Browser) -> Iterator[list[str]]:
    """The calls of CloudWatch and SQS in the block."""
    found: list[str] = []

    def note(model: Any, **_: Any) -> None:
        found.append(model.name)

    events = [getattr(browser.function.SITE, name).meta.events for name in _MONITORING]
    for each in events:
        each.register("after-call", note)
    try:
        yield found
    finally:
        for each in events:
            each.unregister("after-call", note)


@pytest.mark.parametrize("role", ["admin", "viewer", "depositor"])
def test_a_poll_of_home_reads_three_items_and_calls_neither_cloudwatch_nor_sqs(
    browser: Browser, role: str
) -> None:
    browser.sign_in(role)
    for state in ("pending", "held", "processing", "failed"):
        for _ in range(3):
            a_batch(state, entries=5)
    for _ in range(7):
        a_schedule()
    etag = browser.get("/").headers["etag"]
    browser.get("/", if_none_match=etag, x_poll="1")

    with items_read() as found, _monitoring_calls(browser) as calls:
        again = browser.get("/", if_none_match=etag, x_poll="1")

    assert again.status == 304
    assert found.total() <= POLL_READS
    assert calls == []


def test_a_poll_of_the_worklist_reads_three_items_and_finds_each_change(browser: Browser) -> None:
    site = browser.function.SITE
    job = store_edits(site.settings, site.s3).jobs["allocated"]
    browser.sign_in("worker")

    def polled(address: str, etag: str) -> tuple[int, float]:
        with items_read() as found:
            answer = browser.get(address, if_none_match=etag, x_poll="1")
        return answer.status, found.total()

    clock: Any = site.now.__self__
    for address in ("/worklist", f"/worklist?team={TEAM}", f"/worklist?job={job.edit_id}"):
        etag = browser.get(address).headers["etag"]
        status, reads = polled(address, etag)
        assert (status, reads <= POLL_READS) == (304, True)
        job = edits.get(job.edit_id)
        edits.write(job, replace(job, version=job.version + 1, since=clock.tick()))
        assert polled(address, etag)[0] == 200
        etag = browser.get(address).headers["etag"]
        assert polled(address, etag)[0] == 200  # an index may not have the change yet
        clock.now += timedelta(minutes=1)
        assert polled(address, etag)[0] == 200  # a clock may have turned red


@pytest.fixture
def addresses(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The addresses of all pages that poll, by a name, in a deployment with some of everything."""
    batch = a_batch("processing", entries=600, chunk_size=20, findings=1, last_report=1)
    put_findings(batch, [{"level": "warning", "code": "BYTE_ORDER_MARK", "message": "a mark"}])
    reported = a_batch("failed", entries=600, chunk_size=20, last_report=MANY)
    for number in range(MANY):
        a_report(reported, number + 1)
        change = Operation(
            *(batch.batch_id, f"r{number:012d}", "requeue", Filter(JobState.FAILED)),
            *("operator", "it is back", HOUR_AGO, 1, (number,), OperationState.DONE, NOW),
        )
        operations.put_new(change, batch.state)
    nine = NOW.replace(hour=9, minute=0, second=20)
    rule = DAILY | {"anchor": "2026-11-01"}
    schedule = a_schedule(rule, since=nine - timedelta(days=MANY, hours=1))
    for number in range(MANY, 0, -1):
        at = nine - timedelta(days=number)
        (active,) = minute(schedule, at).active
        work(schedule.job_address(active.scheduled_for), "succeeded", at, timedelta(minutes=1))
    jobs = [a_job(batch, number, "failed") for number in range(12)]
    for state in ("pending", "held", "failed", "completed"):
        for _ in range(3):
            a_batch(state, entries=5)
    for _ in range(30):
        a_schedule()
    for scope in ("collection:maps", "type:edit"):
        holds.put(Hold(scope, "operator", "the table moves", HOUR_AGO))
    campaign = put_tasks(
        a_campaign(
            browser.function.SITE.settings,
            request={"targets": [f"gw-{number}" for number in range(120)]},
        ),
        ["succeeded", "running", "rescheduled", "failed"] * 25,
    )
    for number in range(MANY):
        a_report_of(campaign.campaign_id, number + 1)
    started = Operation(
        *(batch.batch_id, f"r{MANY:012d}", "requeue", Filter(JobState.FAILED)),
        *("operator", "it is back", HOUR_AGO, 12, (0,)),
    )
    operations.put_new(started, batch.state)
    outcomes = [JobOutcome(each.address.job_id, ACCEPTED) for each in jobs]
    site = browser.function.SITE
    rows.put_outcomes(site.s3, site.settings, started, 0, outcomes)
    monkeypatch.setattr(dataset_queries, "_runs", lambda *_: True)
    attempt = Attempt(HOUR_AGO, None, request_id=REQUEST.format(7))
    running = a_job(batch, 20, "running", attempts=(attempt,))
    for number in range(MANY):
        a_report_of(schedule.schedule_id, number + 1, kind=ReportKind.FAILED_RUN)
    stored = store_edits(site.settings, site.s3)
    edit = stored.jobs["quarantined"]
    reading = stored.job(
        "reading",
        "downloaded",
        sent=SentFile("uploads/k", "p", "0" * 64, "changes", None, 5, 1, NOW),
    )
    campaigns = f"/campaigns/{campaign.campaign_id}"
    of_schedule, at = f"/schedules/{schedule.schedule_id}", f"/batches/{batch.batch_id}"
    return {
        **{name: f"/{name}" for name in ("", "?range=7d", "batches", "system", "holds")},
        "batches?state=failed": "/batches?state=failed",
        "job-management": "/job-management",
        "schedule": of_schedule,
        "schedule history": f"{of_schedule}/history",
        "batch": at,
        **{name: f"{at}/{name}" for name in ("jobs", "jobs?state=failed", "history")},
        "cost": f"{at}/cost",
        "reports": f"/batches/{reported.batch_id}/reports",
        "campaigns": "/campaigns",
        "campaign": campaigns,
        "tasks": f"{campaigns}/tasks",
        "campaign cost": f"{campaigns}/cost",
        "campaign reports": f"{campaigns}/reports",
        "tasks?state=failed": f"{campaigns}/tasks?state=failed",
        "task": f"/jobs/{campaign.campaign_id}.0.2",
        "job": f"/jobs/{jobs[0].address.job_id}",
        "job of a filter": f"/jobs/{jobs[5].address.job_id}?state=failed",
        "running job": f"/jobs/{running.address.job_id}?name=2",
        "log": f"/jobs/{running.address.job_id}/log",
        "operation": f"{at}/operations/{started.operation_id}",
        "schedule reports": f"{of_schedule}/reports",
        "planner": "/planner?dataset=*",
        "planner of a dataset": f"/planner?dataset={DATASET}",
        "edit job": f"/edits/{edit.edit_id}",
        "review": f"/edits/{stored.children['quarantined'].child_id}",
        "file of a worker": f"/edits/{reading.edit_id}/file",
        "load": f"/datasets/{DATASET}/loads/l{'1' * 20}",
        "export": f"/datasets/{DATASET}/exports/o{'1' * 20}",
        "worklist of a worker": "/worklist",
        "failures": "/failures?code=PAYLOAD_NOT_FOUND",
        "undelivered reports": "/undelivered",
        "home of a worker": "/",
        "home of an admin in a team": "/",
    }


def _polling_templates() -> set[str]:
    """The templates of the pages that poll: those that a route names with `poll_s`, itself or
    through a function of its module.
    """
    found = set()
    for path in Path(routes.__path__[0]).glob("*.py"):
        tree = ast.parse(path.read_text())
        calls = [each for each in ast.walk(tree) if isinstance(each, ast.Call) and each.args]
        polling = [each for each in calls if any(given.arg == "poll_s" for given in each.keywords)]
        names = {each.args[0].id for each in polling if isinstance(each.args[0], ast.Name)}
        through = {
            each.name
            for each in ast.walk(tree)
            if isinstance(each, ast.FunctionDef) and {given.arg for given in each.args.args} & names
        }
        named = [each for each in calls if getattr(each.func, "id", "") in through]
        for each in (*polling, *named):
            if isinstance(each.args[0], ast.Constant):
                found.add(each.args[0].value)
    return found


def test_a_poll_of_every_page_is_bounded(
    browser: Browser, addresses: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new page that polls needs a row in `addresses`."""
    shown: set[str] = set()
    render = responses.render

    def note(template: str, *given: Any) -> str:
        shown.add(template)
        return render(template, *given)

    monkeypatch.setattr(responses, "render", note)
    reads = {}

    for name, address in addresses.items():
        role = "worker" if name.endswith("of a worker") else "admin"
        browser.sign_in(role, name="worker" if name.endswith("in a team") else role)
        etag = browser.get(address).headers["etag"]
        first = browser.get(address, if_none_match=etag, x_poll="1")
        with items_read() as found, _monitoring_calls(browser) as calls:
            second = browser.get(address, if_none_match=etag, x_poll="1")
        assert (first.status, second.status, calls) == (304, 304, []), name
        assert second.headers["x-next-poll"] != "0", name
        reads[name] = found.total()

    assert _polling_templates() <= shown
    assert {name: number for name, number in reads.items() if number > POLL_READS} == {}


def test_a_poll_finds_outcomes_and_the_end_of_an_operation_at_once(
    browser: Browser, addresses: dict[str, str]
) -> None:
    browser.sign_in("operator")
    address = addresses["operation"]
    batch_id, operation_id = address.split("/")[2::2]
    operation, site = operations.get(batch_id, operation_id), browser.function.SITE
    etag = browser.get(address).headers["etag"]
    before = browser.get(address, if_none_match=etag, x_poll="1")

    refused = [JobOutcome(f"{batch_id}.0.15", REFUSED, "it has started")]
    rows.put_outcomes(site.s3, site.settings, operation, 0, refused)
    other = browser.get(address, if_none_match=etag, x_poll="1")
    operations.end(operation, NOW)
    found = browser.get(address, if_none_match=other.headers["etag"], x_poll="1")

    assert before.status == 304
    assert "it has started" in other.text
    assert (found.status, found.headers["x-next-poll"]) == (200, "0")
    assert "Done" in found.text
