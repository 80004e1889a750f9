"""The step of an HTTP call, against a server whose answers a test chooses."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobyard.domain.errors import InvalidParameters
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import Continue, Done, Fail, Snooze, StepInput, StepResult
from jobyard.jobtypes.calls import KEPT_BYTES
from jobyard.jobtypes.http_call import HTTP
from jobyard.jobtypes.http_client import HttpClient
from jobyard.jobtypes.step_context import CallContext
from tests.jobtypes.conftest import PATIENT
from tests.jobtypes.payload_server import PayloadServer, responding

ROW = {"line": 2, "kind": "file", "url": "https://files.example.org/1.tif", "title": "One"}
JOB = "baaaaaaaaaaaaaaaaaaaa.0.0"


@dataclass
class Bench:
    """Runs the step as attempts do: the data of its results is kept."""

    server: PayloadServer
    at: datetime = datetime(2026, 11, 30, 12, tzinfo=UTC)
    secrets: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        hosts = {self.server.host, self.elsewhere.removeprefix("http://")}
        self.http = HttpClient(frozenset(hosts), lambda: self.at, timeouts=PATIENT)
        self.context = CallContext(
            lambda: self.at, lambda: 600.0, http=self.http, credentials=self.secrets.get
        )

    @property
    def elsewhere(self) -> str:
        """The same server, by another name: another origin."""
        return f"http://localhost:{self.server.host.rpartition(':')[2]}"

    def run(self, path: str = "/call", entry: dict[str, Any] = ROW, **more: Any) -> StepResult:
        """One attempt at the step."""
        parameters = {"url": self.server.url(path), **more}
        batch = "" if "scheduled_for" in entry else JOB.partition(".")[0]
        step_input = StepInput(batch, JOB, "maps", entry, parameters, dict(self.data), attempt=1)
        ((_, step),) = HTTP.steps
        result = step(step_input, self.context)
        if not isinstance(result, Snooze):
            self.data |= getattr(result, "result", {})
        return result

    def answers(self, path: str, status: int, body: object = "", **headers: str) -> None:
        """Choose the answer to requests for a path."""
        text = body if isinstance(body, str) else json.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.server.behaviours[path] = responding(status, named, text.encode())


@pytest.fixture
def bench(payloads: PayloadServer) -> Iterator[Bench]:
    bench = Bench(payloads)
    yield bench
    bench.http.close()


def test_a_call_says_which_job_and_row_it_is_for_and_keeps_the_answer(bench: Bench) -> None:
    bench.answers("/call", 200, {"pages": 3})

    result = bench.run(body={"language": "de"}, headers={"X-Team": "maps"})

    assert result == Done({"status": 200, "answer": {"pages": 3}})
    ((headers, body),) = bench.server.bodies
    assert json.loads(body) == {
        "job_id": JOB,
        "batch_id": JOB.partition(".")[0],
        "collection": "maps",
        "row": ROW,
        "language": "de",
    }
    assert (headers["idempotency-key"], headers["x-team"]) == (JOB, "maps")
    assert headers["content-type"] == "application/json"


def test_a_row_is_called_itself_if_no_url_is_given(bench: Bench) -> None:
    bench.answers("/row", 204)

    assert bench.run(entry={**ROW, "url": bench.server.url("/row")}, url="") == Done(
        {"status": 204}
    )


def test_a_schedules_call_says_for_when_it_is(bench: Bench) -> None:
    bench.answers("/call", 200)

    bench.run(entry={"scheduled_for": "2026-11-30T12:00:00Z"})

    ((_, body),) = bench.server.bodies
    assert json.loads(body) == {"job_id": JOB, "scheduled_for": "2026-11-30T12:00:00Z"}


def test_an_accepted_call_is_made_once_and_its_end_is_asked_for(bench: Bench) -> None:
    bench.answers("/call", 202, Location="/work/7", Retry_After="30")
    bench.answers("/work/7", 202)

    first = bench.run()
    waits = [bench.run() for _ in range(3)]
    bench.answers("/work/7", 200, {"done": True})
    last = bench.run()

    assert isinstance(first, Continue)
    assert 30 <= first.seconds < 30 + 16
    assert all(isinstance(each, Continue) for each in waits)
    assert last == Done({"status": 200, "answer": {"done": True}, "_status_url": ""})
    assert bench.server.requests == [("POST", "/call"), *[("GET", "/work/7")] * 4]


def test_the_waits_grow_and_end_in_a_timeout(bench: Bench) -> None:
    bench.answers("/call", 202, Location="/work")
    bench.answers("/work", 202)
    result, count = bench.run(wait_hours=24), 0
    while isinstance(result, Continue):
        bench.at += timedelta(seconds=result.seconds)
        result, count = bench.run(wait_hours=24), count + 1

    assert isinstance(result, Fail)
    assert (result.code, result.retryable) == (Failure.TIMEOUT, False)
    assert bench.at == datetime(2026, 12, 1, 12, tzinfo=UTC)
    assert 150 < count < 250  # starts of a worker, and passes of a batch
    again = bench.run(wait_hours=24)  # a requeue makes the call again
    assert isinstance(again, Continue)
    assert again.seconds >= 10
    assert {headers["idempotency-key"] for headers, _ in bench.server.bodies} == {JOB}


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (202, {"Retry_After": "7"}, Snooze(7.0, "…", Failure.CALL_BUSY)),
        (425, {}, Snooze(60.0, "…", Failure.CALL_BUSY)),
        (429, {"Retry_After": "9"}, Snooze(9.0, "…", Failure.CALL_BUSY)),
        (503, {"Retry_After": "9"}, Snooze(9.0, "…", Failure.CALL_BUSY)),
        (503, {}, Fail(Failure.CALL_FAILED, "…", True)),
        (500, {}, Fail(Failure.CALL_FAILED, "…", True)),
        (408, {}, Fail(Failure.CALL_FAILED, "…", True)),
        (409, {}, Fail(Failure.CALL_FAILED, "…", True)),
        (400, {}, Fail(Failure.CALL_REFUSED, "…")),
        (404, {}, Fail(Failure.CALL_REFUSED, "…")),
        (302, {"Location": "/other"}, Fail(Failure.CALL_REFUSED, "…")),
        (307, {"Location": "/call"}, Fail(Failure.TOO_MANY_REDIRECTS, "…")),
        (307, {"Location": "http://10.0.0.1/"}, Fail(Failure.ADDRESS_NOT_ALLOWED, "…")),
    ],
)
def test_each_answer_to_a_call_has_its_result(
    bench: Bench, status: int, headers: dict[str, str], expected: Fail | Snooze
) -> None:
    bench.answers("/call", status, {"detail": "because"}, **headers)

    result = bench.run()

    assert type(result) is type(expected)
    if isinstance(result, Fail) and isinstance(expected, Fail):
        assert (result.code, result.retryable) == (expected.code, expected.retryable)
    elif isinstance(result, Snooze) and isinstance(expected, Snooze):
        assert (result.seconds, result.exhausted_code) == (expected.seconds, Failure.CALL_BUSY)
    if status < 300 or status >= 400:
        assert "(because)" in result.message  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("method", "status", "then"),
    [("POST", 303, "GET"), ("POST", 307, "POST"), ("POST", 308, "POST"), ("GET", 302, "GET")],
)
def test_a_redirect_keeps_the_method_or_leads_to_a_get(
    bench: Bench, method: str, status: int, then: str
) -> None:
    bench.answers("/call", status, Location="/moved")
    bench.answers("/moved", 200, {"pages": 3})

    assert bench.run(method=method) == Done({"status": 200, "answer": {"pages": 3}})
    assert bench.server.requests == [(method, "/call"), (then, "/moved")]
    assert len({body for _, body in bench.server.bodies}) == (method == "POST")
    assert len(bench.server.bodies) == [method, then].count("POST")


def test_an_unanswered_call_is_made_again_with_the_same_key_and_a_refused_one_with_another(
    bench: Bench,
) -> None:
    def dies(request: Any) -> None:
        request.close_connection = True

    bench.server.behaviours["/call"] = dies
    lost = bench.run()
    bench.answers("/call", 500)
    bench.run()
    bench.answers("/call", 400)
    bench.run()
    bench.answers("/call", 200)
    bench.run()

    assert isinstance(lost, Fail)
    assert (lost.code, lost.retryable) == (Failure.CALL_UNANSWERED, True)
    keys = [headers["idempotency-key"] for headers, _ in bench.server.bodies]
    assert keys == [JOB, JOB, JOB, f"{JOB}.2"]


@pytest.mark.parametrize(
    ("status", "is_waiting"),
    [(202, True), (429, True), (500, True), (503, True), (404, False), (410, False), (401, False)],
)
def test_while_the_end_cannot_be_asked_for_the_job_waits(
    bench: Bench, status: int, is_waiting: bool
) -> None:
    bench.answers("/call", 202, Location="/work")
    bench.answers("/work", status)
    bench.run()

    result = bench.run()

    assert isinstance(result, Continue if is_waiting else Fail)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"run": {"state": "DONE"}}, Done),
        ({"run": {"state": "BROKEN"}, "message": "no disk"}, Fail),
        ({"run": {"state": "QUEUED"}}, Continue),
        ("not JSON", Continue),
    ],
)
def test_the_parameters_say_where_the_answers_have_url_and_state(
    bench: Bench, answer: object, expected: type[StepResult]
) -> None:
    fields = {"status_field": "links.self", "state_field": "run.state"}
    values = {"done": ["DONE", "FINISHED"], "failed": "BROKEN, LOST"}
    bench.answers("/call", 201, {"links": {"self": "/runs/7"}})
    bench.answers("/runs/7", 200, answer)
    bench.run(**fields, **values)

    result = bench.run(**fields, **values)

    assert type(result) is expected
    if isinstance(result, Fail):
        assert result.message == "run.state is BROKEN (no disk)"
        bench.run(**fields, **values)
        assert bench.server.bodies[-1][0]["idempotency-key"] == f"{JOB}.2"


def test_credentials_are_sent_to_the_origins_in_the_secret_only(bench: Bench) -> None:
    origin = bench.server.url("")
    bench.secrets["key"] = {"token": "t0k3n", "origins": [origin]}
    seen: list[tuple[str, str | None, str | None]] = []

    def look(request: Any) -> None:
        found = (request.headers.get("Authorization"), request.headers.get("X-Team"))
        seen.append((request.path, *found))
        location = {"Location": f"{bench.elsewhere}/work"} if request.path == "/call" else {}
        responding(202 if location else 200, location)(request)

    bench.server.behaviours |= {"/call": look, "/work": look}
    more: dict[str, Any] = {"secret": "key", "headers": {"X-Team": "maps"}}
    bench.run(**more)
    bench.run(**more)
    refused = bench.run(**more, url=f"{bench.elsewhere}/call")

    assert seen == [("/call", "Bearer t0k3n", "maps"), ("/work", None, None)]
    assert isinstance(refused, Fail)
    assert refused.code is Failure.CALL_NOT_ALLOWED


@pytest.mark.parametrize(
    ("secret", "header"),
    [
        ({"username": "u", "password": "p"}, ("authorization", "Basic dTpw")),
        ({"header": "X-Api-Key", "value": "k"}, ("x-api-key", "k")),
        ({"header": "X-Api-Key", "value": "k\r\nHost: x"}, None),
        ({"token": ""}, None),
        (None, None),
    ],
)
def test_a_secret_has_a_token_a_password_or_a_header(
    bench: Bench, secret: dict[str, Any] | None, header: tuple[str, str] | None
) -> None:
    bench.answers("/call", 200)
    if secret is not None:
        bench.secrets["key"] = {**secret, "origins": [bench.server.url("")]}

    result = bench.run(secret="key")

    if header is None:
        assert isinstance(result, Fail)
        assert (result.code, bench.server.requests) == (Failure.CALL_NOT_ALLOWED, [])
    else:
        assert bench.server.bodies[0][0][header[0]] == header[1]


@pytest.mark.parametrize("answer", ["[" * 480 + "]" * 480, "[" * 900, '{"a": NaN}', "1e999"])
def test_an_answer_that_cannot_be_kept_as_json_is_kept_as_a_text(bench: Bench, answer: str) -> None:
    bench.answers("/call", 200, answer)

    assert bench.run() == Done({"status": 200, "answer": answer})


def test_a_large_answer_is_not_kept(bench: Bench) -> None:
    bench.answers("/call", 200, "x" * (KEPT_BYTES + 1))

    result = bench.run()

    assert isinstance(result, Done)
    assert (result.result, "not kept" in result.message) == ({"status": 200}, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("url", "ftp://example.org/"),
        ("method", "TRACE"),
        ("headers", {"Authorization": "Bearer t"}),
        ("headers", {"X-Api-Key": "k"}),
        ("headers", {"Host": "example.org"}),
        ("headers", {"X": "a\r\nb"}),
        ("headers", []),
        ("body", {"row": 1}),
        ("body", []),
        ("poll_seconds", 1),
        ("wait_hours", 49),
        ("status_field", "a..b"),
        ("done", ["x"]),
        ("secret", 7),
    ],
)
def test_wrong_parameters_are_refused_at_once_and_fail_a_job_that_has_them(
    bench: Bench, name: str, value: object
) -> None:
    with pytest.raises(InvalidParameters):
        HTTP.check_submission({name: value})

    result = bench.run(**{name: value})

    assert isinstance(result, Fail)
    assert (result.code, bench.server.requests) == (Failure.BAD_PARAMETERS, [])


def test_a_schedule_names_its_url() -> None:
    HTTP.check_parameters({"url": "https://example.org/nightly"})
    for wrong in ({}, {"url": "https://example.org", "callback_url": "https://example.org"}):
        with pytest.raises(InvalidParameters):
            HTTP.check_parameters(wrong)
