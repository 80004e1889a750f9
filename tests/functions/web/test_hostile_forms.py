"""Forms that no page of ours sends: too large, broken, with values that no field allows."""

import base64
from typing import Any

import pytest

from jobyard.store import batches
from tests.functions.api.api_client import Lambda
from tests.functions.api.batch_records import a_batch, a_job
from tests.functions.api.schedule_records import a_schedule
from tests.functions.web.browser import Browser, Page

# Deeper than Python's parser of JSON can go.
_DEEP = "[" * 100_000
# Fields of a new schedule that a page's parser of forms does not see: they are lists.
_NEW = {
    **{"action": "save", "title": "t", "job_type": "sweep", "kind": "daily", "gap": "shift"},
    **{"repeated": "once", "missed": "latest", "overlap": "forbid", "calendar": ""},
}


def _guards(browser: Browser) -> dict[str, str]:
    return {"csrf": browser.get("/find").forms["/sign-out"]["csrf"], "reason": "why"}


def _raw(browser: Browser, path: str, body: Any, *, is_base64: bool) -> int:
    """The status for a body that is sent as it is."""
    handle = browser.function.handler
    csrf = browser.get("/find").forms.get("/sign-out", {}).get("csrf", "")

    class Changed:
        @staticmethod
        def handler(event: dict[str, Any], context: Lambda) -> Any:
            return handle({**event, "body": body, "isBase64Encoded": is_base64}, context)

    sender = Browser(Changed, browser.cookies)
    headers = {"sec-fetch-site": "same-origin"} | ({"x-csrf-token": csrf} if csrf else {})
    return sender.send("POST", path, headers=headers).status


def _encoded(body: bytes) -> str:
    return base64.b64encode(body).decode()


@pytest.mark.parametrize("is_signed_in", [True, False])
@pytest.mark.parametrize(
    ("body", "is_base64", "expected"),
    [
        (_encoded(b"reason=" + b"x" * 600_000), True, 413),
        (_encoded(b"&".join([b"a"] * 5000)), True, 413),
        ("a", True, 400),
        ("\u00e9", True, 400),
        ("\ud800", False, 422),
        (_encoded(b"\xff\xfe\x00=%zz&%=&=&;"), True, 422),
        (None, False, 422),
    ],
    ids=["large", "fields", "base64", "not ascii", "surrogate", "bytes", "nothing"],
)
def test_a_body_that_is_no_form_of_ours_is_refused(
    browser: Browser, body: str, expected: int, *, is_base64: bool, is_signed_in: bool
) -> None:
    if is_signed_in:
        browser.sign_in("operator")
    elif expected == 422:
        expected = 401

    assert _raw(browser, "/holds", body, is_base64=is_base64) == expected


@pytest.mark.parametrize(("body", "is_base64"), [("a", True), ("hello!", False), (None, False)])
def test_a_manifest_to_check_that_is_not_gzip_is_refused(
    browser: Browser, body: str, *, is_base64: bool
) -> None:
    browser.sign_in("depositor")

    status = _raw(browser, "/manifests/check?filename=a.csv", body, is_base64=is_base64)

    assert status in {200, 400}


def test_no_field_of_a_long_selection_is_dropped(browser: Browser) -> None:
    batch = a_batch("failed", entries=2)
    a_job(batch, 0, "failed")
    browser.sign_in("operator")
    chosen = [f"{batch.batch_id}.0.{number}" for number in range(1000)]

    preview = browser.post(
        f"/batches/{batch.batch_id}/operations", _guards(browser) | {"job_id": chosen}
    )

    assert "Of the 1,000 selected jobs" in preview.text


@pytest.mark.parametrize("codes", [["NO_SUCH_CODE"], ["NO_SUCH_CODE", ""], ["TIMEOUT", "X"]])
def test_a_code_that_does_not_exist_never_means_all_jobs(
    browser: Browser, codes: list[str]
) -> None:
    batch = a_batch("failed", entries=2)
    a_job(batch, 0, "failed")
    browser.sign_in("operator")

    answer = browser.post(
        f"/batches/{batch.batch_id}/operations", _guards(browser) | {"code": codes}
    )

    assert answer.status == 422


def test_an_empty_code_next_to_another_is_ignored(browser: Browser) -> None:
    batch = a_batch("failed", entries=2)
    a_job(batch, 0, "failed")
    browser.sign_in("operator")

    answer = browser.post(
        f"/batches/{batch.batch_id}/operations", _guards(browser) | {"code": ["TIMEOUT", ""]}
    )

    assert "no failed jobs of this batch with TIMEOUT" in answer.text


def _deposit(browser: Browser, page: Page, file: str) -> str:
    return browser.submit(page, "/batches/new", collection="maps", file=file).location


def test_a_form_that_the_browser_kept_submits_another_manifest_too(browser: Browser) -> None:
    browser.sign_in("depositor")
    page = browser.get("/batches/new")

    first, twice, other = (_deposit(browser, page, name) for name in ("a.csv", "a.csv", "b.csv"))

    assert first == twice
    assert other != first
    batch_id = other.split("/")[2]
    assert batches.get(batch_id, browser.function.SITE.now()).filename == "b.csv"


@pytest.mark.parametrize("file", ["", "..", "a/..", "${filename}", "a${filename}.csv", "a\u202e"])
def test_a_file_name_that_is_none_is_refused(browser: Browser, file: str) -> None:
    browser.sign_in("depositor")

    answer = browser.submit(browser.get("/batches/new"), "/batches/new", file=file)

    assert answer.status == 422


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles"])
@pytest.mark.parametrize(
    "until",
    [
        "0001-01-01T00:00",
        "9999-12-31T23:59",
        "0001-01-01T00:00+23:59",
        "9999-12-31T23:59-23:59",
    ],
)
def test_a_time_at_the_end_of_all_times_is_refused_or_shown(
    browser: Browser, until: str, zone: str
) -> None:
    schedule = a_schedule()
    browser.sign_in("admin")
    browser.cookies["zone"] = zone
    fields = _guards(browser) | {"until": until, "kind": "collection", "name": "maps"}

    placed = browser.post("/holds", fields)
    suspended = browser.post(f"/schedules/{schedule.schedule_id}/suspend", fields)

    assert {placed.status, suspended.status} <= {303, 422}
    shown = [browser.get(each) for each in ("/holds", "/", f"/schedules/{schedule.schedule_id}")]
    assert {each.status for each in shown} == {200}


@pytest.mark.parametrize(
    "seen", ["9" * 5000, "-1", "\u00b2", "x"], ids=["long", "negative", "superscript", "letter"]
)
def test_a_version_that_is_none_is_no_mistake_of_ours(browser: Browser, seen: str) -> None:
    browser.sign_in("admin")
    fields = {"title": "t", "exclude": "", "include": "", "seen": seen}

    answer = browser.post("/calendars/holidays", _guards(browser) | fields)

    assert answer.status in {303, 409}


@pytest.mark.parametrize(
    "parameters",
    [_DEEP, '{"a": NaN}', '{"a": Infinity}', f'{{"a": {"9" * 5000}}}'],
    ids=["deep", "not a number", "infinite", "5,000 digits"],
)
def test_parameters_that_are_not_json_are_refused(browser: Browser, parameters: str) -> None:
    browser.sign_in("admin")
    page = browser.get("/schedules/new")

    answer = browser.post(
        "/schedules/new",
        page.forms["/schedules/new"] | _NEW | {"parameters": parameters, "reason": "why"},
    )

    assert answer.status == 422
    assert "are not JSON" in answer.alert


def test_a_reason_is_refused_rather_than_cut(browser: Browser) -> None:
    batch = a_batch("processing", entries=2)
    at = f"/batches/{batch.batch_id}"
    browser.sign_in("operator")
    page = browser.get(at)

    too_long = browser.submit(page, f"{at}/cancel", reason="\u00e9" * 251)
    shown = browser.submit(page, f"{at}/cancel", reason="  two\r\nlines\x00 ")

    assert (too_long.status, shown.status) == (422, 303)
    assert "may have up to 500 bytes" in too_long.alert
    moved = batches.get(batch.batch_id, browser.function.SITE.now())
    assert moved.history[-1].reason == "two lines\ufffd"


@pytest.mark.parametrize("event", ["allow", "deny"])
@pytest.mark.parametrize(
    "fields",
    [
        {"groups": "<b>"},
        {"groups": "x" * 129},
        {"people": "depositor " * 21},
        {"people": "x" * 129},
    ],
    ids=["markup", "long group", "many", "long name"],
)
def test_names_that_no_user_pool_has_get_no_right(
    browser: Browser, event: str, fields: dict[str, str]
) -> None:
    browser.sign_in("admin")

    answer = browser.post(f"/collections/maps/{event}", _guards(browser) | fields)

    assert answer.status == 422


def test_a_form_of_an_ended_session_is_sent_to_our_own_address_only(browser: Browser) -> None:
    handle = browser.function.handler

    class Changed:
        @staticmethod
        def handler(event: dict[str, Any], context: Lambda) -> Any:
            return handle({**event, "rawPath": "//evil.example/holds"}, context)

    answer = Browser(Changed).post("/holds", {"reason": "typed"})

    assert (answer.status, [*answer.forms]) == (401, ["/"])
