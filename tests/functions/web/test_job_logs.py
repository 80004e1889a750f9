"""The log of an attempt on the pages: linked from the attempt, for those who may see it."""

from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from jobyard.domain.jobs.job import Attempt
from tests.functions.api.batch_records import HOUR_AGO, a_batch, a_job
from tests.functions.api.log_events import CHUNK_LOGS, REQUEST, put_log, worker_line
from tests.functions.web.browser import Browser

_requests = count(1_000_000)


def attempted(number: int = 1) -> tuple[str, str]:
    """The id of a job with so many attempts, and the request id of the last one."""
    requests = [REQUEST.format(next(_requests)) for _ in range(number)]
    attempts = tuple(
        Attempt(HOUR_AGO, HOUR_AGO, "downloading", "PAYLOAD_BUSY", "503", request_id=each)
        for each in requests
    )
    job = a_job(a_batch("failed", entries=1), 0, "failed", attempts=attempts)
    return job.address.job_id, requests[-1]


def test_each_attempt_has_its_request_id_and_a_link_to_its_log(browser: Browser) -> None:
    job_id, request = attempted(2)
    put_log(CHUNK_LOGS, HOUR_AGO, worker_line("step error", request, job_id, exception="a\nb"))
    browser.sign_in("operator")

    page = browser.get(f"/jobs/{job_id}")
    log = browser.get(f"/jobs/{job_id}/log?attempt=2")

    assert f"AWS request {request}" in page.text
    for number in (1, 2):
        assert f'href="/jobs/{job_id}/log?attempt={number}"' in page.html
    assert "step error" in log.text
    assert "<pre>a\nb</pre>" in log.html
    assert ", attempt 2</h1>" in log.html
    assert f'rel="prev" href="/jobs/{job_id}/log?attempt=1"' in log.html
    assert 'rel="next"' not in log.html
    assert '<div id="part">' in log.html  # which the page of the job shows in place


def test_attempts_that_are_alike_are_one_line_without_a_log(browser: Browser) -> None:
    alike = Attempt(HOUR_AGO, HOUR_AGO, "downloading", "PAYLOAD_BUSY", "503", times=12)
    last = Attempt(HOUR_AGO, HOUR_AGO, request_id=REQUEST.format(next(_requests)))
    job = a_job(a_batch("failed", entries=1), 0, "failed", attempts=(alike, last))
    browser.sign_in("operator")

    page = browser.get(f"/jobs/{job.address.job_id}")

    assert "1 to 12" in page.text
    assert "12 times PAYLOAD_BUSY 503" in page.text
    assert '/log?attempt=1"' not in page.html
    assert "Log of attempt 13" in page.text


def test_a_viewer_sees_the_request_id_but_not_the_log(browser: Browser) -> None:
    job_id, request = attempted()
    browser.sign_in("viewer")

    page = browser.get(f"/jobs/{job_id}")

    assert request in page.text
    assert "/log?" not in page.html
    assert browser.get(f"/jobs/{job_id}/log?attempt=1").status == 403


def test_a_running_attempt_is_shown_and_its_log_updates_itself(browser: Browser) -> None:
    job = a_job(a_batch(entries=1), 0, "running", request_id=REQUEST.format(next(_requests)))
    browser.sign_in("operator")

    page = browser.get(f"/jobs/{job.address.job_id}")
    log = browser.get(f"/jobs/{job.address.job_id}/log?attempt=1")

    assert "Log of attempt 1" in page.text
    assert log.headers["x-next-poll"] == "15"


@pytest.mark.parametrize("attempt", ["", "x", "-1", "9" * 30, "²"])
def test_the_latest_attempt_is_shown_for_a_number_that_no_attempt_has(
    browser: Browser, attempt: str
) -> None:
    job_id, request = attempted(2)
    browser.sign_in("operator")

    assert request in browser.get(f"/jobs/{job_id}/log?attempt={attempt}").text


def test_an_attempt_that_is_not_recorded_is_no_page(browser: Browser) -> None:
    job_id, _ = attempted()
    browser.sign_in("operator")

    assert browser.get(f"/jobs/{job_id}/log?attempt=7").status == 404


class _Silent:
    """A client of CloudWatch Logs that does not answer."""

    class exceptions:
        class ClientError(Exception):
            """What it never raises."""

    def filter_log_events(self, **_: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="https://logs.example.org")


def test_the_page_says_so_when_cloudwatch_does_not_answer(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id, _ = attempted()
    site = browser.function.SITE
    monkeypatch.setattr(browser.function, "SITE", replace(site, logs=_Silent()))
    browser.sign_in("operator")

    page = browser.get(f"/jobs/{job_id}/log?attempt=1")

    assert page.status == 200
    assert "CloudWatch Logs does not answer now" in page.text
