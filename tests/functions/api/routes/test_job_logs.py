"""The log of an attempt: its own lines, within bounds, or why there are none."""

from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from jobyard.domain.jobs.job import Attempt, JobAddress
from jobyard.services.queries import job_logs
from jobyard.services.queries.job_logs import MAX_LINES, MAX_LOG_BYTES
from tests.functions.api.api_client import NOW, Api
from tests.functions.api.batch_records import HOUR_AGO, a_batch, a_job
from tests.functions.api.log_events import (
    CHUNK_LOGS,
    JOB_LOGS,
    REQUEST,
    create_log_groups,
    put_log,
    report_line,
    worker_line,
)
from tests.functions.api.schedule_records import a_schedule, work
from tests.people import sub_of

MINUTE = timedelta(minutes=1)
FAILURE = ("downloading", "PAYLOAD_BUSY", "503")
_requests = count(1)


def a_request() -> str:
    """A request id that no other test uses."""
    return REQUEST.format(next(_requests))


def attempted(*request_ids: str, state: str = "failed", **changes: Any) -> str:
    """The id of a job with an attempt a minute for each request id."""
    attempts = tuple(
        Attempt(
            HOUR_AGO + number * MINUTE,
            HOUR_AGO + (number + 0.5) * MINUTE,
            *FAILURE,
            request_id=request_id,
        )
        for number, request_id in enumerate(request_ids)
    )
    return a_job(a_batch(entries=2), 0, state, attempts=attempts, **changes).address.job_id


def messages(log: dict[str, Any]) -> list[str]:
    return [each["message"] for each in log["lines"]]


def test_an_attempt_has_its_own_lines_and_those_of_its_invocation_and_no_others(api: Api) -> None:
    request, other = a_request(), a_request()
    job_id = attempted(other, request)
    neighbour = job_id.replace(".0.0", ".0.1")
    put_log(CHUNK_LOGS, HOUR_AGO, worker_line("job failed", other, job_id))
    put_log(
        CHUNK_LOGS,
        HOUR_AGO + 10 * MINUTE,  # a worker logs at its end, long after this attempt
        f"{request} Task timed out after 900.00 seconds",
        worker_line("pass ended", request, failed=2),
        worker_line("job failed", request, job_id, level="WARNING", failure_code="PAYLOAD_BUSY"),
        worker_line("job failed", request, neighbour),
        report_line(request),
    )

    log = api.get(f"/jobs/{job_id}/log", query={"attempt": 2}).json

    assert messages(log) == [
        f"{request} Task timed out after 900.00 seconds",
        "pass ended",
        "job failed",
        "platform.report",
    ]
    assert log["lines"][2]["level"] == "WARNING"
    assert log["lines"][2]["fields"] == {"failure_code": "PAYLOAD_BUSY", "origin_id": "b1"}
    assert log["lines"][3]["fields"]["metrics"]["maxMemoryUsedMB"] == 140
    assert log["attempt"]["number"] == 2
    assert log["attempt"]["request_id"] == request
    assert (log["is_complete"], log["missing_reason"]) == (True, "")


def test_the_latest_attempt_is_shown_first_also_while_it_runs(api: Api) -> None:
    request = a_request()
    job = a_job(a_batch(entries=1), 0, "running", request_id=request)
    put_log(JOB_LOGS, HOUR_AGO + MINUTE, worker_line("hello", request, job.address.job_id))

    shown = api.get(f"/jobs/{job.address.job_id}").json["attempts"]
    log = api.get(f"/jobs/{job.address.job_id}/log").json

    assert messages(log) == ["hello"]
    assert shown == [log["attempt"]]
    assert (shown[0]["number"], shown[0]["ended_at"]) == (1, None)


def test_lines_outside_of_the_time_of_the_attempt_are_not_searched(api: Api) -> None:
    request = a_request()
    job_id = attempted(request)
    for at in (HOUR_AGO - MINUTE, HOUR_AGO + 17 * MINUTE):
        put_log(CHUNK_LOGS, at, worker_line("elsewhere", request, job_id))

    assert "they have expired" in api.get(f"/jobs/{job_id}/log").json["missing_reason"]


def test_lines_show_neither_secrets_nor_control_characters(api: Api) -> None:
    request = a_request()
    job_id = attempted(request)
    trace = "Traceback\n  File \x1b[2J\nValueError: https://me:secret@example.org/a?token=abc"
    line = worker_line("step error", request, job_id, exception=trace, more=["x\x00", {"a": 1}])
    put_log(CHUNK_LOGS, HOUR_AGO, line)

    (shown,) = api.get(f"/jobs/{job_id}/log").json["lines"]

    assert shown["exception"].split("\n") == [
        "Traceback",
        "  File \ufffd[2J",
        "ValueError: https://***@example.org/a?token=***",
    ]
    assert shown["fields"]["more"] == ["x\ufffd", {"a": 1}]


@pytest.mark.parametrize(
    ("number", "length"), [(MAX_LINES + 1, 10), (20, 8_000)], ids=["many", "long"]
)
def test_a_long_log_is_cut_and_says_so(api: Api, number: int, length: int) -> None:
    request = a_request()
    job_id = attempted(request)
    lines = [worker_line("x" * length, request, job_id) for _ in range(number)]
    put_log(CHUNK_LOGS, HOUR_AGO, *lines)

    answer = api.get(f"/jobs/{job_id}/log")

    assert 0 < len(answer.json["lines"]) < number
    assert not answer.json["is_complete"]
    assert len(answer.text) < 2 * MAX_LOG_BYTES


def test_pages_of_cloudwatch_are_read_up_to_a_bound(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_logs, "_PAGE_LINES", 2)
    request, longer = a_request(), a_request()
    short, long = attempted(request), attempted(longer)
    put_log(CHUNK_LOGS, HOUR_AGO, *(worker_line(f"{n}", request, short) for n in range(5)))
    put_log(CHUNK_LOGS, HOUR_AGO, *(worker_line(f"{n}", longer, long) for n in range(15)))

    complete = api.get(f"/jobs/{short}/log").json
    cut = api.get(f"/jobs/{long}/log").json

    assert (len(complete["lines"]), complete["is_complete"]) == (5, True)
    assert (len(cut["lines"]), cut["is_complete"]) == (10, False)


class _Endless:
    """A client of CloudWatch Logs whose pages are all empty, and followed by another."""

    def __init__(self) -> None:
        self.calls = 0
        self.exceptions = boto3.client("logs").exceptions

    def filter_log_events(self, **_: Any) -> Any:
        self.calls += 1
        return {"events": [], "nextToken": "more"}


def test_lines_that_are_not_found_soon_are_not_called_expired(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    from api import handler

    endless = _Endless()
    monkeypatch.setattr(handler, "CONTEXT", replace(handler.CONTEXT, logs=endless))

    log = api.get(f"/jobs/{attempted(a_request())}/log").json

    assert "too many lines of that time" in log["missing_reason"]
    assert not log["is_complete"]
    assert endless.calls == 10  # five of each log group


class _Refusing:
    """A client of CloudWatch Logs that refuses all calls with an error code."""

    def __init__(self, code: str) -> None:
        self._code = code
        self.exceptions = boto3.client("logs").exceptions

    def filter_log_events(self, **_: Any) -> Any:
        raise ClientError({"Error": {"Code": self._code, "Message": ""}}, "FilterLogEvents")


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("AccessDeniedException", 200, "needs logs:FilterLogEvents"),
        ("ResourceNotFoundException", 200, "log groups of the workers do not exist"),
        ("ThrottlingException", 503, ""),
    ],
)
def test_why_cloudwatch_gives_no_lines_is_said(
    api: Api, monkeypatch: pytest.MonkeyPatch, code: str, status: int, words: str
) -> None:
    from api import handler

    monkeypatch.setattr(handler, "CONTEXT", replace(handler.CONTEXT, logs=_Refusing(code)))

    answer = api.get(f"/jobs/{attempted(a_request())}/log")

    assert answer.status == status
    assert words in answer.json.get("missing_reason", "")


@pytest.mark.parametrize(
    ("age_min", "words"), [(1, "arrive within a minute"), (21, "have expired")]
)
def test_lines_are_awaited_for_as_long_as_they_may_be_late(
    api: Api, age_min: float, words: str
) -> None:
    create_log_groups()
    job_id = attempted(a_request())
    api.now = HOUR_AGO + (0.5 + age_min) * MINUTE

    reason = api.get(f"/jobs/{job_id}/log").json["missing_reason"]

    assert words in reason


def test_an_attempt_of_an_earlier_version_has_no_log(api: Api) -> None:
    reason = api.get(f"/jobs/{attempted('')}/log").json["missing_reason"]

    assert reason == "the request id of its worker was not recorded"


@pytest.mark.parametrize("number", [2, 3])
def test_an_attempt_that_is_not_recorded_does_not_exist(api: Api, number: int) -> None:
    answer = api.get(f"/jobs/{attempted(a_request())}/log", query={"attempt": number})

    assert (answer.status, answer.kind) == (404, "not-found")
    assert f"no record of attempt {number}" in answer.json["detail"]


def test_a_job_that_has_not_started_has_no_log(api: Api) -> None:
    answer = api.get(f"/jobs/{a_batch(entries=1).batch_id}.0.0/log")

    assert answer.status == 404
    assert "has not been attempted" in answer.json["detail"]


def test_an_attempt_keeps_its_number_when_others_are_left_out(api: Api) -> None:
    request = a_request()
    requests = [*(a_request() for _ in range(40)), request]
    job_id = attempted(*requests)
    put_log(CHUNK_LOGS, HOUR_AGO + 41 * MINUTE, worker_line("job failed", request, job_id))

    attempts = api.get(f"/jobs/{job_id}").json["attempts"]
    log = api.get(f"/jobs/{job_id}/log", query={"attempt": 41}).json

    assert [(each["number"], each["times"]) for each in attempts] == [
        *((1, 38), (39, 1), (40, 1), (41, 1))
    ]
    assert messages(log) == ["job failed"]
    assert api.get(f"/jobs/{job_id}/log", query={"attempt": 1}).status == 404


@pytest.mark.parametrize(
    ("role", "status"),
    [("operator", 200), ("admin", 200), ("viewer", 403), ("depositor", 403), ("", 404)],
)
def test_logs_are_for_operators_since_lines_quote_aws(api: Api, role: str, status: int) -> None:
    """Also the submitter sees the job, but not its log."""
    job_id = attempted(a_request())

    answer = api.get(f"/jobs/{job_id}/log", role=role, name="depositor", sub=sub_of("depositor"))

    assert answer.status == status


@pytest.mark.parametrize(("role", "status"), [("operator", 403), ("admin", 200)])
def test_logs_of_a_schedules_job_are_for_admins(api: Api, role: str, status: int) -> None:
    path = f"/schedules/{a_schedule().schedule_id}/run_now"
    job_id = api.post(path, {"reason": "to see it"}).json["job_id"]
    address = JobAddress.parse(job_id)
    assert address
    work(address, "failed", NOW, timedelta(seconds=1))

    assert api.get(f"/jobs/{job_id}/log", role=role).status == status
