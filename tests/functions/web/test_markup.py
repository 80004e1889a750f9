"""Texts of people, manifests and machines are text on every page, in every attribute."""

from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import quote

import pytest

from jobyard.domain.schedules.calendar import calendar_of
from jobyard.services import calendars
from jobyard.services.context import Actor, CommandContext
from jobyard.store import collections
from tests.functions.api.batch_records import a_batch, a_job, a_report, put_findings
from tests.functions.api.campaign_records import a_campaign, a_task
from tests.functions.api.object_records import a_version
from tests.functions.api.schedule_records import a_schedule
from tests.functions.web.browser import Browser
from tests.open_collections import an_open_collection
from tests.people import sub_of

_TEXT = "\"'><svg onload=x('a') href=javascript:x>{{ 7 * 7 }}"
_ADMIN = Actor(sub_of("admin"), "admin", frozenset({"admin"}))


class _Elements(HTMLParser):
    """Finds what a text could bring into a page: handlers, styles, foreign elements and links."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            link = (value or "").strip().lower() if name in {"href", "src", "action"} else "/"
            is_ours = link.startswith(("/", "#", "https://", "?")) or (tag, link) == ("form", "")
            if name.startswith("on") or name == "style" or not is_ours:
                self.bad.append(f"<{tag} {name}={value}>")


def _addresses(browser: Browser) -> list[str]:
    """The pages of things of which all texts are hostile."""
    site = browser.function.SITE
    batch = a_batch(
        "failed",
        entries=4,
        findings=1,
        last_report=2,
        filename=_TEXT,
        note=_TEXT,
        submitter=_TEXT,
        failure_message=_TEXT,
        parameters={"title": _TEXT},
    )
    put_findings(batch, [{"level": "error", "code": _TEXT, "line": 1, "message": _TEXT}])
    job = a_job(batch, 0, "failed", failure_message=_TEXT, data={_TEXT: _TEXT, "b": [_TEXT]})
    for seq in (1, 2):
        a_report(batch, seq, "ffff", subject=_TEXT)
    a_version("ark:/13030/closed", batch_id=batch.batch_id)
    schedule = a_schedule(title=_TEXT)
    collections.put(
        replace(an_open_collection("hostile"), groups=frozenset({_TEXT}), people={"x": _TEXT})
    )
    campaign = a_campaign(
        site.settings,
        request={"name": _TEXT, "targets": ["gw-1"], "parameters": {_TEXT: _TEXT}},
        creator=_TEXT,
        rest_reason=_TEXT,
        rests_until=site.now(),
    )
    a_task(campaign, 0, "failed", failure_message=_TEXT)
    of_campaign = f"/campaigns/{campaign.campaign_id}"
    admin = browser.sign_in("admin")
    guards = {"csrf": admin.get("/find").forms["/sign-out"]["csrf"], "reason": _TEXT}
    context = CommandContext(
        *(site.settings, site.s3, site.machines, site.now, _ADMIN, "key", _TEXT)
    )
    calendars.put(calendar_of({"name": "holidays", "title": _TEXT}), 0, context)
    admin.post("/holds", guards | {"kind": "collection", "name": "maps"})
    admin.post(f"/jobs/{job.address.job_id}/requeue", guards)
    admin.post(f"{of_campaign}/change", guards | {"action": "save", "to": "2027-02-28"})
    admin.post(f"/schedules/{schedule.schedule_id}/suspend", guards)
    operation = admin.post(f"/batches/{batch.batch_id}/operations", guards | {"confirmed": "1"})
    at, schedule_at = f"/batches/{batch.batch_id}", f"/schedules/{schedule.schedule_id}"
    parts = ("", "/jobs", "/findings", "/reports", "/reports/2/changes", "/cost", "/history")
    return [
        *(at + part for part in parts),
        f"{at}/jobs?state=failed",
        *([operation.location] if operation.location else []),
        f"/jobs/{job.address.job_id}",
        *(schedule_at + part for part in ("", "/edit", "/history", "/year", "/cost")),
        *("/", "/activity", "/batches", "/job-management", "/holds", "/calendars", "/system"),
        *("/campaigns", of_campaign, f"{of_campaign}/tasks", f"{of_campaign}/change"),
        *(f"{of_campaign}/retry", f"/jobs/{campaign.campaign_id}.0.0"),
        *("/calendars/holidays", "/collections", "/collections/hostile", "/find?q=svg"),
        "/objects/ark-13030-closed",
    ]


def _read(html: str) -> list[str]:
    elements = _Elements()
    elements.feed(html)
    return elements.bad


def test_stored_texts_are_text_on_every_page(browser: Browser) -> None:
    addresses = _addresses(browser)
    pages = {address: browser.get(address) for address in addresses}

    assert {each.status for each in pages.values()} == {200}
    assert {address: bad for address, each in pages.items() if (bad := _read(each.html))} == {}
    assert sum("&lt;svg onload" in each.html for each in pages.values()) > 15
    assert "{{ 7 * 7 }}" in pages["/holds"].html


def test_a_text_that_were_markup_would_be_found() -> None:
    assert _read(f'<a title="{_TEXT}">') == ["<svg onload=x('a')>", "<svg href=javascript:x>"]


@pytest.mark.parametrize(
    "address",
    [
        "/find?q={}",
        "/batches?state={}&collection={}&cursor=",
        "/lifecycles/{}",
        "/calendars/{}",
        "/job-management?status={}",
        "/nothing/{}",
        "/batches/new?collection={}",
        "/campaigns?state={}&cursor=",
        "/sign-in/return?error={}&error_description={}&state={}",
    ],
)
def test_texts_of_an_address_are_text_on_its_page(browser: Browser, address: str) -> None:
    browser.sign_in("admin")

    page = browser.get(address.replace("{}", quote(_TEXT)))
    typed = browser.post(
        "/holds",
        {"csrf": browser.get("/find").forms["/sign-out"]["csrf"], "kind": _TEXT, "reason": _TEXT},
    )
    browser.cookies.clear()
    ended = browser.post("/holds", {_TEXT: _TEXT, "reason": _TEXT})

    assert [_read(each.html) for each in (page, typed, ended)] == [[], [], []]
