"""Every page in a real browser: accessible, small, without errors, at every width and in both
schemes."""

import pytest
from playwright.sync_api import Page

from jobyard.domain.activity import Act, Subject
from jobyard.domain.alarms import RUNBOOKS
from jobyard.domain.batches.operation import Filter, Operation
from jobyard.domain.batches.report import Delivery, DeliveryState
from jobyard.domain.jobs.job import Attempt, JobState
from jobyard.store import activity, operations
from tests.browser.conftest import Open, violations
from tests.browser.site_server import Site
from tests.browser.tabs import MAX_BYTES
from tests.functions.api.api_client import NOW
from tests.functions.api.batch_records import HOUR_AGO, a_batch, a_job, a_report, put_findings
from tests.functions.api.dead_letter_messages import mail_event, manifest_event, put_letter
from tests.functions.api.log_events import CHUNK_LOGS, REQUEST, put_log, worker_line
from tests.functions.api.schedule_records import a_schedule
from tests.functions.web.alarms import put_alarm
from tests.people import sub_of

LOOKS = [(scheme, width) for scheme in ("light", "dark") for width in (390, 1280, 1920)]


@pytest.fixture
def addresses(site: Site) -> list[str]:
    """The addresses of pages with something on them."""
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
    schedule = a_schedule()
    put_system(site)
    at, of_schedule = f"/batches/{batch.batch_id}", f"/schedules/{schedule.schedule_id}"
    return [
        "/",
        "/batches",
        "/batches/new",
        at,
        f"{at}/jobs?state=failed",
        f"{at}/findings",
        f"{at}/cost",
        f"{at}/history",
        f"{at}/operations/r1",
        f"/jobs/{job.address.job_id}",
        f"/jobs/{job.address.job_id}/log",
        "/holds",
        "/collections/maps",
        "/objects",
        "/find?q=may",
        "/calendars/holidays",
        "/job-management",
        "/system",
        of_schedule,
        f"{of_schedule}/edit",
        f"{of_schedule}/year",
        "/lifecycles/batch?state=failed",
        "/nothing-here",
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


def test_every_page_is_accessible_small_and_fits(
    open_page: Open, site: Site, addresses: list[str], turn: int, everything: bool
) -> None:
    looks = LOOKS if everything else [LOOKS[turn % len(LOOKS)]]
    for scheme, width in looks:
        page = open_page("admin", "/", width=width, color_scheme=scheme, bypass_csp=True)
        sizes: list[int] = []
        page.on("response", lambda each, sizes=sizes: sizes.append(_sent(each)))
        for address in addresses:
            sizes.clear()
            page.goto(site.url + address)
            _check(page, address, scheme, width)
            assert sum(sizes) < MAX_BYTES, f"{address}: {sum(sizes)} bytes"


def _check(page: Page, address: str, scheme: str, width: int) -> None:
    where = f"{address} {scheme} {width}"
    assert violations(page) == [], where
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width, f"{where}: {wide} pixels wide"


def _sent(response: object) -> int:
    """The bytes of a response, as they were sent."""
    headers = response.headers  # type: ignore[attr-defined]
    return int(headers.get("content-length", 0))
