"""Uploads: a manifest is checked in the page, submitted, and sent to S3."""

import base64
import gzip
import re
from typing import Any
from urllib.parse import quote

import boto3
import pytest

from jobyard.domain.quota import Quotas
from jobyard.store import batches, quotas
from tests.functions.api.api_client import Lambda
from tests.functions.web.browser import Browser, Page
from tests.people import sub_of
from tests.tables import REGION, ROOT
from web import manifest_check
from web.manifest_check import MAX_CHECKED_BYTES, check

_EXAMPLE = (ROOT / "examples" / "deposit" / "objects.checkm").read_bytes()
GOOD = _EXAMPLE.replace(b"{base_url}", b"https://files.example.org")
URLS = re.compile(rb"^(https?:[^ |]+)", re.MULTILINE)


def _checked(browser: Browser, content: bytes, filename: str = "may.checkm", **how: Any) -> Page:
    """The answer to what the page's script sends."""
    token = browser.get("/find").forms["/sign-out"]["csrf"]
    size = how.get("size", len(content))
    query = f"filename={quote(filename)}&bytes={len(content)}&size={size}"
    event = {
        "rawPath": "/manifests/check",
        "rawQueryString": query,
        "cookies": [f"{name}={value}" for name, value in browser.cookies.items()],
        "headers": {"sec-fetch-site": "same-origin", "x-csrf-token": how.get("token", token)},
        "requestContext": {"requestId": "r", "stage": "$default", "http": {"method": "POST"}},
        "body": base64.b64encode(how.get("body", gzip.compress(content))).decode(),
        "isBase64Encoded": True,
    }
    given = browser.function.handler(event, Lambda())
    body = given["body"]
    if given.get("isBase64Encoded"):
        body = gzip.decompress(base64.b64decode(body)).decode()
    return Page(given["statusCode"], given["headers"], body, ())


def test_a_good_manifest_is_said_to_be_good(browser: Browser) -> None:
    browser.sign_in("depositor")

    answer = _checked(browser, GOOD)

    assert answer.status == 200
    assert "No errors, no warnings" in answer.text
    assert 'data-errors="0"' in answer.html


def test_errors_are_at_line_and_column(browser: Browser) -> None:
    browser.sign_in("depositor")

    answer = _checked(browser, URLS.sub(b"not a url", GOOD, count=1))

    assert 'data-errors="1"' in answer.html
    assert "column 1" in answer.text


def test_a_manifest_of_many_millions_of_rows_is_cut_when_its_time_is_over() -> None:
    rows = gzip.compress(b"url,size\n" + b'"\n' * 500_000)
    asked = iter([False, True])

    checked = check(rows, "a.csv", is_cut=False, allowed_hosts=(), is_late=lambda: next(asked))

    assert (checked.checked, checked.is_whole) == (2 * 64 * 1024, False)


def test_of_a_cut_manifest_the_half_line_at_its_end_is_not_checked(browser: Browser) -> None:
    browser.sign_in("depositor")
    cut = GOOD.replace(b"#%eof\n", b"https://fi")

    answer = _checked(browser, cut, size=10**9)

    assert 'data-errors="0"' in answer.html
    assert "The rest is checked after you send it" in answer.text


@pytest.mark.parametrize(
    "body",
    [b"", b"not gzip", gzip.compress(GOOD)[:40], b"\x1f\x8b\x08\x00"],
    ids=["empty", "text", "cut", "header"],
)
def test_what_is_not_gzip_or_breaks_off_is_no_failure_of_ours(
    browser: Browser, body: bytes
) -> None:
    browser.sign_in("depositor")

    assert _checked(browser, GOOD, body=body).status in {200, 400}


def test_a_small_body_that_grows_large_is_read_up_to_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(manifest_check, "MAX_CHECKED_BYTES", 200_000)
    bomb = gzip.compress(GOOD.replace(b"#%eof\n", b"") + b"\n" * 50_000_000)

    checked = check(bomb, "may.checkm", is_cut=False, allowed_hosts=())

    assert checked.checked < 400_000 < MAX_CHECKED_BYTES
    assert not checked.is_whole


def test_a_check_needs_the_persons_token_and_the_right_to_submit(browser: Browser) -> None:
    browser.sign_in("depositor")
    assert _checked(browser, GOOD, token="forged").status == 403
    browser.sign_in("viewer")
    assert _checked(browser, GOOD).status == 403


def _submit(browser: Browser, **fields: str) -> Page:
    page = browser.get("/batches/new")
    given = {"collection": "maps", "file": "C:\\fakepath\\may.checkm"} | fields
    return browser.submit(page, "/batches/new", **given)


def test_a_submission_leads_to_the_form_that_sends_the_file_to_s3(browser: Browser) -> None:
    browser.sign_in("depositor")

    submitted = _submit(browser, note="of May")

    batch_id = submitted.location.split("/")[2]
    batch = batches.get(batch_id, browser.function.SITE.now())
    assert (batch.filename, batch.collection, batch.note) == ("may.checkm", "maps", "of May")
    sending = browser.get(submitted.location)
    (address,) = [each for each in sending.forms if each.startswith("https://intake")]
    fields = sending.forms[address]
    assert fields["key"] == batch.upload_key
    assert fields["success_action_redirect"].endswith(f"/batches/{batch_id}")
    policy = sending.headers["content-security-policy"]
    assert address.rstrip("/") in policy.partition("form-action")[2]


def test_a_submission_beyond_a_quota_says_which(browser: Browser) -> None:
    browser.sign_in("depositor")
    now, owner = browser.function.SITE.now(), sub_of("depositor")
    quotas.begin_day(owner, now)
    limits = Quotas(1_000, 10**12, 10_000, 1_000, 1_000)
    quotas.add_mails(owner, 10_000, limits, now)

    answer = _submit(browser)

    assert answer.status == 429
    assert "10,000 are used today of the 10,000" in answer.alert
    assert "used 10,000 of 10,000 mails" in answer.text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"file": ""}, "Choose a manifest"),
        ({"notify": "nobody"}, "nobody"),
        ({"profile": "no-such"}, "Choose a profile"),
        ({"collection": "no-such"}, "There is no collection"),
    ],
)
def test_a_submission_that_is_refused_says_why(
    browser: Browser, fields: dict[str, str], words: str
) -> None:
    browser.sign_in("depositor")

    answer = _submit(browser, **fields)

    assert answer.status in {404, 422}
    assert words in (answer.alert or answer.text)


def test_only_the_submitter_gets_the_form_and_only_until_the_manifest_arrives(
    browser: Browser,
) -> None:
    browser.sign_in("depositor")
    at = _submit(browser).location
    batch_id = at.split("/")[2]

    assert browser.sign_in("operator").get(at).status == 403
    assert browser.sign_in("depositor", name="other").get(at).status == 404
    browser.sign_in("depositor")
    assert browser.get(at).status == 200
    batch = batches.get(batch_id, browser.function.SITE.now())
    boto3.client("s3", region_name=REGION).put_object(
        Bucket="intake", Key=batch.upload_key, Body=GOOD
    )
    assert browser.get(f"/batches/{batch_id}").status == 200


def test_who_may_not_submit_gets_no_form(browser: Browser) -> None:
    browser.sign_in("viewer")

    assert browser.get("/batches/new").status == 403
    assert "/batches/new" not in browser.get("/batches").html
