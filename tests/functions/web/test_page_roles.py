"""Who may do what on the pages: what the tables of the API say, also with a forged form."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from jobyard.domain.access import ROLES, is_allowed
from jobyard.domain.batches.batch import BATCH
from jobyard.domain.edits.child import FailureType
from jobyard.domain.edits.edit_job import EDIT
from jobyard.domain.edits.fixup import FIXUP
from jobyard.domain.edits.review import REVIEW
from jobyard.domain.jobs.job import JOB
from jobyard.domain.schedules.schedule import SCHEDULE
from jobyard.services.queries import campaigns as campaign_queries
from jobyard.store import collections
from tests.functions.api.batch_records import a_batch, a_report_of
from tests.functions.api.campaign_records import a_campaign
from tests.functions.api.object_records import a_version
from tests.functions.api.schedule_records import a_schedule
from tests.functions.api.test_roles import ON_OTHERS_BATCHES, READERS, prepared_batch
from tests.functions.web.browser import Browser, Page
from tests.functions.web.edit_records import CUSTODIANS, EditRecords
from tests.open_collections import an_open_collection
from tests.people import sub_of
from tests.tables import KeptRecords, contents, put_back

_EVERYONE = {*ROLES, ""}


def _ask(browser: Browser, role: str, method: str, address: str, **fields: Any) -> Page:
    """The answer to a request of someone with a role; a form has their own token."""
    browser.sign_in(role, name=role or "none")
    if method == "GET":
        return browser.get(address)
    csrf = browser.function.SITE.signer().signature(sub_of(role or "none"), "form")
    return browser.post(address, {"csrf": csrf, **fields})


def _records() -> dict[str, Any]:
    """What is stored of things, without the secrets that the first request makes."""
    return {
        table: {key: item for key, item in items.items() if item}
        for table, items in contents().items()
        if table != "jobyard-requests"
    }


def _on_pages(path: str, body: Any) -> tuple[str, dict[str, str]]:
    """The address and the form of a request to the API."""
    given = {name: value for name, value in (body or {}).items() if name in {"event", "state"}}
    return path, given if body == {"preview": True} else {**given, "confirmed": "yes"}


@pytest.mark.parametrize(
    ("method", "path", "body", "state", "allowed", "otherwise"), ON_OTHERS_BATCHES
)
def test_a_role_may_do_with_others_batches_what_the_table_of_the_api_says(
    browser: Browser,
    method: str,
    path: str,
    body: Any,
    state: str,
    allowed: set[str],
    otherwise: int,
) -> None:
    address, confirmed = _on_pages(path, body)
    fields = {"reason": "because", **confirmed}
    target = address.format(batch=prepared_batch(state))
    prepared, before = contents(), _records()

    def status_for(role: str) -> int:
        return _ask(browser, role, method, target, **fields).status

    refused = {role: status_for(role) for role in _EVERYONE - allowed}
    unchanged = _records()
    taken = {}
    for role in allowed:
        put_back(prepared)
        taken[role] = status_for(role)

    assert refused == {role: otherwise if role in READERS else 404 for role in _EVERYONE - allowed}
    assert unchanged == before
    assert set(taken.values()) <= {200, 303}


_EVENTS = [
    *(f"/batches/{{batch}}/{event}" for event in (*BATCH.people_events(), "explode")),
    *(f"/jobs/{{batch}}.0.0/{event}" for event in (*JOB.people_events(), "explode")),
    *(f"/edits/{{edit}}/{event}" for event in (*EDIT.people_events(), "explode")),
    "/edits/{edit}/attachments",
    "/edits/{edit}/attachments/1/resend",
    "/edits/{edit}/attachments/1/decline",
    *(f"/edits/{{child}}/{event}" for event in (*FIXUP.people_events(), "conflicts")),
    *(f"/edits/{{review}}/{event}" for event in REVIEW.people_events()),
    "/edits/new",
    "/planner/archive",
    "/teams",
    "/teams/borders",
    "/teams/borders/delete",
    "/datasets/counties/edit-types",
    "/datasets/counties/edit",
    "/datasets/counties/delete",
    "/datasets",
    "/datasets/new",
    "/datasets/check",
    "/batches/{batch}/operations",
    "/batches/{batch}/reports/1/resend",
    *(f"/schedules/{{schedule}}/{event}" for event in SCHEDULE.people_events()),
    "/schedules/new",
    "/calendars",
    "/calendars/holidays",
    "/calendars/holidays/delete",
    "/collections/closed/allow",
    "/collections/closed/deny",
    "/campaigns/new",
    "/campaigns/targets",
    "/campaigns/targets/check",
    *(f"/campaigns/{{campaign}}/{event}" for event in (*campaign_queries.EVENTS, "explode")),
    "/campaigns/{campaign}/reports/1/resend",
    "/webhooks",
    "/webhooks/ours/disable",
    "/webhooks/ours/deliveries/msg_a_1/redeliver",
    *(f"/jobs/{{campaign}}.0.0/{event}" for event in ("cancel", "requeue")),
]


@pytest.fixture
def there(browser: Browser, kept_records: KeptRecords) -> Mapping[str, str]:
    """The ids of things that a person may not see."""
    return kept_records.get("what is not for all", lambda: _not_for_all(browser))


def _not_for_all(browser: Browser) -> dict[str, str]:
    collections.put(replace(an_open_collection("closed"), groups=frozenset({"students"})))
    return {
        "batch": prepared_batch("failed"),
        "schedule": a_schedule().schedule_id,
        "campaign": a_campaign(browser.function.SITE.settings).campaign_id,
        **_edits(browser),
    }


@pytest.mark.parametrize("role", ["", "depositor"])
@pytest.mark.parametrize("address", _EVENTS)
def test_what_a_person_may_not_see_answers_like_what_is_missing(
    browser: Browser, there: Mapping[str, str], role: str, address: str
) -> None:
    missing = {name: each[0] + "a" * 20 for name, each in there.items()}
    before = _records()

    answers = [
        _ask(browser, role, "POST", address.format(**each), reason="x", confirmed="yes")
        for each in (there, missing)
    ]

    assert _records() == before
    assert {each.status for each in answers} <= {403, 404}
    assert len({each.status for each in answers}) == 1
    shown = [
        _without(each.text, one.values())
        for each, one in zip(answers, (there, missing), strict=True)
    ]
    assert shown[0] == shown[1]


def _without(text: str, ids: Iterable[str]) -> str:
    for each in ids:
        text = text.replace(each, "")
    return text


def _edits(browser: Browser) -> dict[str, str]:
    """The ids of an edit job, of a fix-up and of a review."""
    site = browser.function.SITE
    made = EditRecords(site.settings, site.s3)
    made.job("conflicted", "conflicted", attachments=CUSTODIANS)
    made.job("quarantined", "quarantined")
    return {
        "edit": made.jobs["conflicted"].edit_id,
        "child": made.child("conflicted", FailureType.CONFLICT).child_id,
        "review": made.child("quarantined", FailureType.QUARANTINE_REVIEW).child_id,
    }


@pytest.mark.parametrize("role", ["viewer", "operator"])
@pytest.mark.parametrize("event", [*campaign_queries.EVENTS, "resend"])
def test_a_role_may_do_with_campaigns_what_the_table_says(
    browser: Browser, role: str, event: str
) -> None:
    settings = browser.function.SITE.settings
    campaign_id = a_campaign(settings, "failed" if event == "retry" else "running").campaign_id
    a_report_of(campaign_id)
    before = _records()

    name = "resend_report" if event == "resend" else event
    address = f"/campaigns/{campaign_id}/{'reports/1/resend' if event == 'resend' else event}"
    fields = {"to": "2027-01-31", "action": "save", "before_to": "2026-12-31"}
    answer = _ask(browser, role, "POST", address, reason="x", confirmed="yes", **fields)

    if is_allowed("campaign", name, {role}):
        assert answer.status in {303, 409, 422}  # what is not possible in its state is refused
    else:
        assert (answer.status, _records()) == (403, before)


@pytest.mark.parametrize("role", ["depositor", "operator"])
@pytest.mark.parametrize(
    ("address", "fields"),
    [
        ("/schedules/new", {"parameters": "{", "action": "save"}),
        ("/schedules/new", {"zone": "Mars", "action": "preview"}),
        ("/schedules/{schedule}/edit", {"zone": "Mars"}),
        ("/schedules/{schedule}/suspend", {"until": "x"}),
        ("/calendars", {"name": "UPPER"}),
        ("/calendars", {"name": "lower"}),
        ("/calendars/x", {"exclude": "x"}),
    ],
)
def test_without_the_admin_role_the_errors_of_a_schedule_are_not_shown_on_a_page(
    browser: Browser, role: str, address: str, fields: dict[str, str]
) -> None:
    target = address.format(schedule=a_schedule().schedule_id)

    assert _ask(browser, role, "POST", target, **fields).status == 403


@pytest.mark.parametrize("path", ["", "?version=1", "/download?version=1&name=a"])
def test_an_object_of_a_closed_collection_does_not_exist_for_depositors(
    browser: Browser, path: str
) -> None:
    collections.put(replace(an_open_collection("closed"), groups=frozenset({"students"})))
    a_version("ark:/13030/closed", collection="closed")

    answer = _ask(browser, "depositor", "GET", f"/objects/ark-13030-closed{path}")
    found = _ask(browser, "depositor", "GET", "/find?q=ark:/13030/closed")

    assert answer.status == 404
    assert "/objects/ark-13030-closed" not in found.html


def test_the_etag_of_a_page_is_of_no_use_to_another_person(browser: Browser) -> None:
    at = f"/batches/{a_batch('processing', entries=2).batch_id}"
    tag = _ask(browser, "operator", "GET", at).headers["etag"]
    browser.sign_in("viewer")

    assert browser.get(at, if_none_match=tag, x_poll="1").status == 200
    assert browser.get("/holds", if_none_match="*").status == 200


@pytest.mark.parametrize("address", ["/batches", "/collections", "/find?q=may"])
def test_a_depositor_finds_only_what_they_may_see(browser: Browser, address: str) -> None:
    collections.put(replace(an_open_collection("closed"), groups=frozenset({"students"})))
    batch_id = prepared_batch("processing")

    listed = _ask(browser, "depositor", "GET", address)

    assert listed.status == 200
    assert batch_id not in listed.html
    assert "closed" not in listed.text


def test_a_cursor_shows_another_person_no_more_than_they_may_see(browser: Browser) -> None:
    others = [a_batch("held", submitter_sub=sub_of("x")).batch_id for _ in range(51)]
    page = _ask(browser, "viewer", "GET", "/batches")
    following = page.html.partition('href="/batches?cursor=')[2].partition('"')[0]

    listed = _ask(browser, "depositor", "GET", f"/batches?cursor={following}")

    assert following
    assert listed.status == 200
    assert not any(each in listed.html for each in others)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_change_nothing(browser: Browser, method: str) -> None:
    at = f"/batches/{prepared_batch('processing')}"
    browser.sign_in("admin")
    before = _records()

    answers = [browser.send(method, each) for each in ("/", at, f"{at}/cancel", "/sign-out", "/x")]

    assert _records() == before
    assert {each.status for each in answers} <= {404, 405}


def test_a_head_request_gets_the_headers_of_the_page_only(browser: Browser) -> None:
    browser.sign_in("viewer")

    answer = browser.send("HEAD", "/holds")

    assert (answer.status, answer.html) == (200, "")
    assert answer.headers["etag"]


@pytest.mark.parametrize("address", ["/sign-out", "/batches/{batch}/cancel"])
def test_a_get_changes_nothing_even_with_a_valid_token(browser: Browser, address: str) -> None:
    browser.sign_in("admin")
    csrf = browser.get("/find").forms["/sign-out"]["csrf"]
    target = address.format(batch=prepared_batch("processing"))
    before = _records()

    answer = browser.get(f"{target}?csrf={csrf}&reason=x", sec_fetch_site="same-origin")

    assert answer.status in {404, 405}
    assert _records() == before
