"""Addresses, queries, forms and cookies, other ones in each turn, get a page with the security
headers that shows a depositor nothing of others."""

import base64
import gzip
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from jobyard.domain.batches.batch import BATCH
from jobyard.domain.edits.child import FailureType
from jobyard.domain.edits.edit_job import EDIT
from jobyard.domain.edits.fixup import FIXUP
from jobyard.domain.edits.review import REVIEW
from jobyard.domain.jobs.job import JOB
from jobyard.domain.schedules.schedule import SCHEDULE
from jobyard.services.context import Actor
from jobyard.services.queries import campaigns as campaign_queries
from tests.functions.api.api_client import Lambda
from tests.functions.api.campaign_records import a_campaign, put_tasks
from tests.functions.api.object_records import a_version
from tests.functions.api.schedule_records import a_schedule
from tests.functions.api.test_roles import prepared_batch
from tests.functions.web.browser import URL, Browser
from tests.functions.web.edit_records import CUSTODIANS, EditRecords, link_of
from tests.people import sub_of
from tests.tables import KeptRecords
from web.session_cookie import Session, session_cookie

_MARK = "<svg/onload=\"'>"  # never in a page as it is
_SUBMITTER = "somebody-of-others"  # in each record that a depositor may not see
_EVENTS = [
    *BATCH.people_events(),
    *JOB.people_events(),
    *SCHEDULE.people_events(),
    *campaign_queries.EVENTS,
    *EDIT.people_events(),
    *FIXUP.people_events(),
    *REVIEW.people_events(),
]
_PATHS = [
    *("/", "/activity", "/find", "/objects", "/sign-in", "/sign-in/return", "/signed-out"),
    *("/sign-out", "/static/{any}", "/static/{any}/app.css", "/batches", "/batches/new"),
    *("/batches/{batch}", "/batches/{batch}/jobs", "/batches/{batch}/findings"),
    *("/batches/{batch}/reports", "/batches/{batch}/reports/{any}/{any}", "/batches/{batch}/cost"),
    *("/batches/{batch}/reports/2/changes", "/batches/{batch}/reports/2/resend"),
    *("/batches/{batch}/history", "/batches/{batch}/operations", "/batches/{batch}/upload"),
    *("/batches/{batch}/operations/{any}", "/batches/{batch}/{event}", "/jobs/{job}"),
    "/batches/{batch}/operations/{any}/outcomes.csv",
    *("/jobs/{job}/{event}", "/manifests/check", "/holds", "/holds/{any}/lift", "/collections"),
    *("/collections/{any}", "/collections/maps/allow", "/collections/{any}/deny", "/calendars"),
    *("/calendars/{any}", "/calendars/{any}/delete", "/job-management", "/schedules/new"),
    *("/schedules/{schedule}", "/schedules/{schedule}/year", "/schedules/{schedule}/history"),
    *("/schedules/{schedule}/cost", "/schedules/{schedule}/edit", "/schedules/{schedule}/{event}"),
    *("/campaigns", "/campaigns/new", "/campaigns/targets", "/campaigns/targets/check"),
    *("/campaigns/{campaign}", "/campaigns/{campaign}/tasks", "/campaigns/{campaign}/cost"),
    *("/campaigns/{campaign}/reports", "/campaigns/{campaign}/reports/{any}/resend"),
    *("/campaigns/{campaign}/reports/{any}/{any}", "/campaigns/{campaign}/{event}"),
    *("/campaigns/{campaign}/change", "/campaigns/{campaign}/retry", "/jobs/{task}"),
    *("/jobs/{task}/{event}", "/jobs/{task}/log"),
    *("/webhooks", "/webhooks/ours", "/webhooks/ours/{any}", "/webhooks/{any}/disable"),
    *("/webhooks/ours/deliveries/{any}/redeliver", "/webhooks/{any}"),
    *("/system", "/system/dead-letters/{any}/redrive", "/system/dead-letters/{any}/discard"),
    *("/worklist", "/planner", "/planner/archive", "/edits/new", "/edits/{edit}", "/edits/{any}"),
    *("/edits/{edit}/{event}", "/edits/{edit}/upload", "/edits/{edit}/edit", "/edits/{edit}/log"),
    *("/edits/{child}", "/edits/{child}/{event}", "/edits/{child}/conflicts"),
    *("/edits/{edit}/changes", "/edits/{edit}/uploads", "/edits/{edit}/uploads/diff"),
    *("/edits/{edit}/cost", "/edits/{edit}/uploads/file", "/edits/{edit}/attachments/1/{any}"),
    *("/teams", "/teams/{any}", "/teams/{any}/delete", "/datasets/{any}/edit-types"),
    *("/datasets", "/datasets/new", "/datasets/check", "/datasets/{any}", "/datasets/{any}/edit"),
    *("/datasets/counties/edit", "/datasets/{any}/delete", "/datasets/counties/loads/{any}"),
    *("/datasets/counties/edit-types", "/attachments/{any}", "/attachments/{link}"),
    *("/lifecycles/{any}", "/objects/{object}", "/objects/{object}/download", "/{any}", "{any}"),
]
_PARAMETERS = [
    *("state", "code", "step", "name", "collection", "cursor", "from", "range", "year", "status"),
    *("team", "sort", "column", "job", "dataset", "list", "frame", "feature", "back", "key"),
    *("system", "q", "ark", "local", "version", "filename", "bytes", "size", "to", "error"),
]
_FIELDS = [
    *("reason", "key", "seen", "until", "kind", "name", "replace", "code", "job_id", "confirmed"),
    *("people", "groups", "title", "exclude", "include", "job_type", "every", "weekdays", "day"),
    *("at", "zone", "anchor", "end", "count", "gap", "repeated", "missed", "limit", "max_age_h"),
    *("overlap", "calendar", "parameters", "action", "collection", "file", "notify", "profile"),
    *("note", "filename", "targets", "targets_file", "expires_min", "from", "from_time", "to"),
    *("to_time", "window_from", "window_to", "needs", "per_minute", "factor", "at_once", "retry_s"),
    *("attempt_s", "percent", "at_least", "then", "notify_nobody", "replaces", "takes_min"),
    *("replace_overlapping", "offline", "before_to", "before_at_once", "parameter-version"),
    *("parameter-image", "parameter-sha256", "parameter-models"),
    *("dataset", "edit_type", "west", "south", "east", "north", "polygon", "features", "buffer"),
    *("planned_start", "planned_end", "priority", "quarantine", "look", "team", "assignee"),
    *("comment", "minutes", "deleting", "key_of_file", "digest", "attempt", "package_id"),
    *("choice-1", "older_than", "workers", "reviewers", "latest", "batch", "answer", "custodian"),
    *("url", "events", "collections", "overlap_hours"),
    *("email", "description", "custodian_0", "rules", "precision", "missing_is_null"),
]
_VALUES = st.one_of(
    st.sampled_from(
        [
            *("", "0", "1", "-1", "9" * 400, "\u0662", "NaN", "null", "[]", "{}", "yes", "save"),
            *("2026-12-01", "9999-12-31T23:59", "0001-01-01T00:00", "24:00", "failed", "once"),
            *("weekly", "sweep", "deposit", "maps", "everything", "collection", "UTC", "holidays"),
            *("counties", "borders", "box", "polygon", "features", "whole", "mine", "-122.5", "91"),
            *("0 0\n1 1\n1 0\n0 1", "-123,37,-121,38", "1e400", "decline", "uploads/../x"),
            *("a.csv", "a@example.org", "mon", "shift", "latest", "forbid", "5000:", "x" * 3000),
            *("\x00", "a\r\nb: c", "\u202e", "//evil.example", "javascript:alert(1)", "%0d%0a"),
            *(
                _MARK,
                "../..",
                "device-update",
                "id\ngw-1",
                "{{ 7 * 7 }}",
                "{0.__class__}",
                "${filename}",
                "\U0001f600",
            ),
        ]
    ),
    st.text(max_size=20),
)
_PAIRS = st.lists(st.tuples(st.sampled_from(_FIELDS), _VALUES), max_size=8)


@st.composite
def _addresses(draw: st.DrawFn, names: Mapping[str, str]) -> str:
    """A path as the gateway passes it on: decoded."""
    path = draw(st.sampled_from(_PATHS))
    while "{any}" in path:
        path = path.replace("{any}", draw(_VALUES), 1)
    for name, known in {**names, "event": draw(st.sampled_from(_EVENTS))}.items():
        given_ = draw(_VALUES) if draw(st.integers(0, 9)) == 0 else known
        path = path.replace(f"{{{name}}}", given_)
    return path


@st.composite
def _requests(draw: st.DrawFn, names: Mapping[str, str], csrf: str) -> dict[str, Any]:
    """An event of the gateway."""
    query = draw(st.lists(st.tuples(st.sampled_from(_PARAMETERS), _VALUES), max_size=4))
    fields = draw(_PAIRS)
    if draw(st.integers(0, 9)):
        fields.append(("csrf", csrf))
    body = draw(st.one_of(st.just(urlencode(fields).encode()), st.binary(max_size=40)))
    is_base64 = draw(st.booleans())
    headers = {
        "sec-fetch-site": draw(st.sampled_from(["same-origin"] * 9 + ["cross-site"])),
        "accept-encoding": draw(st.sampled_from(["", "gzip", "gzip;q=0", "*", ";;,q="])),
        "if-none-match": draw(st.sampled_from(["", "*", 'W/"x"', ",,"])),
    }
    if draw(st.integers(0, 3)) == 0:
        headers["x-poll"] = "1"
    method = draw(st.sampled_from(["GET", "GET", "POST", "POST", "POST", "HEAD", "PUT"]))
    raw = draw(st.sampled_from([urlencode(query), "%ff=%00&&=&%", "cursor=%E2%82"]))
    return {
        "version": "2.0",
        "rawPath": draw(_addresses(names)),
        "rawQueryString": raw,
        "cookies": [f"zone={quote(draw(_VALUES))}", draw(_VALUES)],
        "headers": headers,
        "requestContext": {"requestId": "r", "stage": "$default", "http": {"method": method}},
        "body": base64.b64encode(body).decode() if is_base64 else body.decode(errors="replace"),
        "isBase64Encoded": is_base64,
    }


@pytest.fixture
def names(browser: Browser, kept_records: KeptRecords) -> dict[str, str]:
    """The ids of things that somebody else made."""
    return kept_records.get("things of others", lambda: _things_of_others(browser))


def _things_of_others(browser: Browser) -> dict[str, str]:
    batch_id = prepared_batch("processing", submitter=_SUBMITTER)
    a_version("ark:/13030/closed", collection="closed")
    campaign = a_campaign(browser.function.SITE.settings, name=f"of {_SUBMITTER}")
    put_tasks(campaign, ["rescheduled"])
    site = browser.function.SITE
    made = EditRecords(site.settings, site.s3)
    edit = made.job("conflicted", "conflicted", problem=f"of {_SUBMITTER}")
    made.workspace("conflicted")
    child = made.child("conflicted", FailureType.CONFLICT, "downloaded")
    made.child_with("conflicted", findings=made.conflicts("conflicted"))
    made.job("blocked", "blocked", attachments=CUSTODIANS)
    return {
        "edit": edit.edit_id,
        "child": child.child_id,
        "link": link_of(browser, made.jobs["blocked"]).rpartition("/")[2],
        "batch": batch_id,
        "job": f"{batch_id}.0.0",
        "schedule": a_schedule(title=f"of {_SUBMITTER}").schedule_id,
        "campaign": campaign.campaign_id,
        "task": f"{campaign.campaign_id}.0.0",
        "object": "ark-13030-closed",
    }


@pytest.mark.parametrize("role", ["depositor", "operator", "planner", "admin", None])
def test_any_request_gets_a_page_with_the_security_headers(
    browser: Browser, names: Mapping[str, str], role: str | None, turn: int
) -> None:
    site = browser.function.SITE
    csrf = site.signer().signature(sub_of("me"), "form")
    actor = Actor(sub_of("me"), "me", frozenset({role or ""}))
    until = site.now().replace(year=site.now().year + 1)
    session = session_cookie(Session("s", actor, until), site.signer(), secure=True)
    signed_in = [f"{session.name}={session.value}"] if role else []

    @seed(turn)
    @settings(max_examples=50, database=None)
    @given(event=_requests(names, csrf))
    def ask(event: dict[str, Any]) -> None:
        sent = {**event, "cookies": [*signed_in, *event["cookies"]]}
        answer = browser.function.handler(sent, Lambda())
        _check(event, answer, sees_others=role in {"operator", "planner", "admin"})

    ask()


def _check(event: Mapping[str, Any], answer: Mapping[str, Any], *, sees_others: bool) -> None:
    status, headers = answer["statusCode"], answer["headers"]
    assert status < 500
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "script-src 'self';" in headers["Content-Security-Policy"]
    assert all(f"{name}{value}".isprintable() for name, value in headers.items())
    is_static = event["rawPath"].startswith("/static/")
    assert is_static or "public" not in headers["Cache-Control"]
    if location := headers.get("Location"):
        assert location.isascii()
        assert not location.startswith(("//", "/\\"))
        assert urlsplit(location).netloc in {
            *("", urlsplit(URL).netloc, "sign-in.example.org"),
            *("work.s3.amazonaws.com", "archive.s3.amazonaws.com", "intake.s3.amazonaws.com"),
        }
    body = answer.get("body") or ""
    if answer.get("isBase64Encoded"):
        raw = base64.b64decode(body)
        body = (gzip.decompress(raw) if headers.get("Content-Encoding") else raw).decode()
    assert _MARK not in body
    assert sees_others or _SUBMITTER not in body


def test_an_empty_path_is_no_page(browser: Browser) -> None:
    browser.sign_in("viewer")

    assert browser.get("").status == 404
