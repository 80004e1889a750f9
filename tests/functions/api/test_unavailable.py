"""AWS takes no more, or does not answer: a request is put off, and sent again ends the same."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from api.problems import is_transient
from jobyard.domain.batches.batch import Batch
from jobyard.store import tables as store
from tests.call_interceptor import Answer as Wired
from tests.call_interceptor import Call, CallInterceptor, Listener
from tests.functions.api.api_client import Answer, Api
from tests.functions.api.batch_records import a_batch, a_job, executions
from tests.tables import NAMES

WHY = {"reason": "because"}
Asked = tuple[str, str, Any]


def _submission() -> Asked:
    return "POST", "/batches", {"collection": "maps", "filename": "may.checkm"}


def _on_batch(state: str, event: str) -> Callable[[], Asked]:
    return lambda: ("POST", f"/batches/{_batch(state).batch_id}/{event}", WHY)


def _on_job(event: str) -> Callable[[], Asked]:
    return lambda: ("POST", f"/jobs/{_batch('failed').batch_id}.0.0/{event}", WHY)


def _batch(state: str) -> Batch:
    batch = a_batch(state, entries=2)
    if batch.state == "failed":
        a_job(batch, 0, "failed")
    return batch


def _hold() -> Asked:
    return "PUT", "/holds/everything", WHY


# What is asked, by its name; each is asked of something new.
REQUESTS: dict[str, Callable[[], Asked]] = {
    "submit": _submission,
    "retry": _on_batch("failed", "retries"),
    "cancel a batch": _on_batch("processing", "cancel"),
    "release a batch": _on_batch("held", "release"),
    "requeue a job": _on_job("requeue"),
    "delete a job": _on_job("delete"),
    "place a hold": _hold,
    "lift a hold": lambda: ("DELETE", "/holds/everything", None),
}


class Struck(Listener):
    """Counts the calls, and strikes the `number`-th (from 0), once."""

    def __init__(self, way: str, number: int) -> None:
        self.way, self.number, self.calls = way, number, 0
        self.struck: list[str] = []

    def prepare(self, call: Call) -> None:
        call.notes["struck"] = self.calls == self.number
        self.calls += 1
        if call.notes["struck"]:
            self.struck.append(f"{call.service}.{call.operation}")

    def before(self, call: Call) -> Wired | None:
        if not call.notes["struck"] or self.way == "answer lost":
            return None
        return Wired.error(400, self.way, "slow down")

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        if call.notes["struck"] and self.way == "answer lost":
            raise ReadTimeoutError(endpoint_url="https://aws")


@pytest.fixture
def wired(api: Api) -> Iterator[CallInterceptor]:
    """What listens to all clients of the function."""
    from api import handler

    interceptor = CallInterceptor()
    for late in (handler._DYNAMODB, handler._COGNITO, handler.CONTEXT.machines):
        interceptor.attach(late._client)
    interceptor.attach(store.client())
    yield interceptor
    interceptor.listeners = []


def let_its_time_pass() -> None:
    """The function that was at work on the request has no time left."""
    dynamodb = boto3.client("dynamodb")
    for item in dynamodb.scan(TableName=NAMES["requests"])["Items"]:
        if item.get("status", {}).get("S") == "INPROGRESS":
            past = {"in_progress_expiration": {"N": "1700000000000"}}
            dynamodb.put_item(TableName=NAMES["requests"], Item=item | past)


def told() -> set[str]:
    """The executions there are."""
    return {name for machine in ("batch", "job") for name in executions(machine)}


def _ask(api: Api, asked: Asked, key: str) -> Answer:
    method, path, body = asked
    return api.ask(method, path, body=body, headers={"idempotency-key": key})


def _told_by(api: Api, asked: Asked, key: str) -> tuple[Answer, int]:
    """The answer, and how many executions the request started."""
    before = told()
    answer = _ask(api, asked, key)
    return answer, len(told() - before)


def _as_it_stands(api: Api, asked: Asked, answer: Answer) -> tuple[Any, ...]:
    """What came of a request, without what differs from telling to telling."""
    path = asked[1] if asked[1] != "/batches" else f"/batches/{answer.json['batch_id']}"
    about = path if path.startswith("/holds") else path.rpartition("/")[0]
    about = path if about == "/batches" else about
    shown = api.get(about)
    lines = [(line["event"], line["actor"]) for line in shown.json.get("history", [])]
    return answer.status, shown.status, shown.json.get("state"), tuple(lines)


@pytest.mark.parametrize("way", ["ThrottlingException", "answer lost"])
@pytest.mark.parametrize("name", REQUESTS)
def test_whichever_call_fails_the_request_is_put_off_and_repeated_ends_the_same(
    api: Api, wired: CallInterceptor, name: str, way: str
) -> None:
    def prepared() -> Asked:
        if name == "lift a hold":
            api.ask("PUT", "/holds/everything", body=WHY)
        return REQUESTS[name]()

    asked = prepared()
    answer, started = _told_by(api, asked, f"{name} {way}")
    expected = _as_it_stands(api, asked, answer), started
    assert answer.status < 300

    for number in count():
        asked, key = prepared(), f"{name} {way} {number}"
        before = told()
        strike = Struck(way, number)
        with wired.listening(strike):
            put_off = _ask(api, asked, key)
        if not strike.struck:
            break
        let_its_time_pass()
        again = _ask(api, asked, key)

        assert (put_off.status, put_off.kind) == (503, "unavailable"), strike.struck
        assert put_off.headers["retry-after"] == "2"
        found = _as_it_stands(api, asked, again), len(told() - before)
        assert found == expected, strike.struck
    assert number > 2


def test_a_read_is_put_off_too(api: Api, wired: CallInterceptor) -> None:
    with wired.listening(Struck("ProvisionedThroughputExceededException", 0)):
        answer = api.get("/holds")

    assert (answer.status, answer.kind) == (503, "unavailable")
    assert api.get("/holds").status == 200


def test_a_permanent_refusal_by_aws_is_an_internal_error(api: Api, wired: CallInterceptor) -> None:
    with wired.listening(Struck("AccessDeniedException", 0)):
        answer = api.get("/holds")

    assert (answer.status, answer.kind) == (500, "internal-error")


@pytest.mark.parametrize(
    ("status", "code", "passing"),
    [
        (400, "TransactionConflictException", True),
        (400, "ExecutionLimitExceeded", True),
        (400, "RequestLimitExceeded", True),
        (503, "ServiceUnavailable", True),
        (500, "InternalServerError", True),
        (400, "ValidationException", False),
    ],
)
def test_temporary_errors_are_distinguished_from_permanent_ones(
    status: int, code: str, passing: bool
) -> None:
    error = ClientError(Wired.error(status, code).parsed, "PutItem")  # type: ignore[arg-type]

    assert is_transient(error) is passing
