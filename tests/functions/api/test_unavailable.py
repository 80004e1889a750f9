"""AWS throttles or does not answer: a request gets 503, and its repeat succeeds."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from gateway.errors import is_transient
from jobyard.domain.batches.batch import Batch
from jobyard.store import tables as store
from tests.call_interceptor import Answer as Wired
from tests.call_interceptor import Call, CallInterceptor, Listener
from tests.functions.api.api_client import Answer, Api
from tests.functions.api.batch_records import a_batch, a_job, executions
from tests.tables import NAMES

WHY = {"reason": "because"}
Request = tuple[str, str, Any]


def _submission() -> Request:
    return "POST", "/batches", {"collection": "maps", "filename": "may.checkm"}


def _on_batch(state: str, event: str) -> Callable[[], Request]:
    return lambda: ("POST", f"/batches/{_batch(state).batch_id}/{event}", WHY)


def _on_job(event: str) -> Callable[[], Request]:
    return lambda: ("POST", f"/jobs/{_batch('failed').batch_id}.0.0/{event}", WHY)


def _batch(state: str) -> Batch:
    batch = a_batch(state, entries=2)
    if batch.state == "failed":
        a_job(batch, 0, "failed")
    return batch


def _hold() -> Request:
    return "PUT", "/holds/everything", WHY


# Requests by name, each about a new batch, job or hold.
REQUESTS: dict[str, Callable[[], Request]] = {
    "submit": _submission,
    "requeue many": _on_batch("failed", "operations"),
    "cancel a batch": _on_batch("processing", "cancel"),
    "release a batch": _on_batch("held", "release"),
    "requeue a job": _on_job("requeue"),
    "delete a job": _on_job("delete"),
    "place a hold": _hold,
    "lift a hold": lambda: ("DELETE", "/holds/everything", None),
}


class FaultAt(Listener):
    """Counts the calls and injects a fault into the `number`-th (from 0), once."""

    def __init__(self, way: str, number: int) -> None:
        self.way, self.number, self.calls = way, number, 0
        self.hit: list[str] = []

    def prepare(self, call: Call) -> None:
        call.notes["hit"] = self.calls == self.number
        self.calls += 1
        if call.notes["hit"]:
            self.hit.append(f"{call.service}.{call.operation}")

    def before(self, call: Call) -> Wired | None:
        if not call.notes["hit"] or self.way == "answer lost":
            return None
        return Wired.error(400, self.way, "slow down")

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        if call.notes["hit"] and self.way == "answer lost":
            raise ReadTimeoutError(endpoint_url="https://aws")


@pytest.fixture(scope="session")
def api_interceptor() -> CallInterceptor:
    """One for all tests: what is attached to a client stays, and slows down each later call."""
    return CallInterceptor()


@pytest.fixture
def wired(api: Api, api_interceptor: CallInterceptor) -> CallInterceptor:
    """The interceptor of all clients of the function."""
    from api import handler

    for lazy in (handler._DYNAMODB, handler._COGNITO, handler.CONTEXT.machines):
        api_interceptor.attach(lazy._client)
    api_interceptor.attach(store.client())
    return api_interceptor


def expire_idempotency_locks() -> None:
    """Let the locks of unfinished requests expire, as when their functions timed out."""
    dynamodb = store.client()
    for item in dynamodb.scan(TableName=NAMES["requests"])["Items"]:
        if item.get("status", {}).get("S") == "INPROGRESS":
            past = {"in_progress_expiration": {"N": "1700000000000"}}
            dynamodb.put_item(TableName=NAMES["requests"], Item=item | past)


def _executions() -> set[str]:
    """The names of all executions."""
    return {name for machine in ("batch", "job") for name in executions(machine)}


def _send(api: Api, request: Request, key: str) -> Answer:
    method, path, body = request
    return api.request(method, path, body=body, headers={"idempotency-key": key})


def _started_by(api: Api, request: Request, key: str) -> tuple[Answer, int]:
    """The answer, and how many executions the request started."""
    before = _executions()
    answer = _send(api, request, key)
    return answer, len(_executions() - before)


def _state_after(api: Api, request: Request, answer: Answer) -> tuple[Any, ...]:
    """The result of a request, without what differs between runs."""
    path = request[1] if request[1] != "/batches" else f"/batches/{answer.json['batch_id']}"
    about = path if path.startswith("/holds") else path.rpartition("/")[0]
    about = path if about == "/batches" else about
    shown = api.get(about)
    lines = [(line["event"], line["actor"]) for line in shown.json.get("history", [])]
    return answer.status, shown.status, shown.json.get("state"), tuple(lines)


@pytest.mark.turns(4)
@pytest.mark.parametrize("way", ["ThrottlingException", "answer lost"])
@pytest.mark.parametrize("name", REQUESTS)
def test_whichever_call_fails_the_request_gets_503_and_its_repeat_ends_the_same(
    api: Api, wired: CallInterceptor, name: str, way: str
) -> None:
    def prepared() -> Request:
        if name == "lift a hold":
            api.request("PUT", "/holds/everything", body=WHY)
        return REQUESTS[name]()

    request = prepared()
    answer, started = _started_by(api, request, f"{name} {way}")
    expected = _state_after(api, request, answer), started
    assert answer.status < 300

    for number in count():
        request, key = prepared(), f"{name} {way} {number}"
        before = _executions()
        fault = FaultAt(way, number)
        with wired.listening(fault):
            unavailable = _send(api, request, key)
        if not fault.hit:
            break
        expire_idempotency_locks()
        again = _send(api, request, key)

        assert (unavailable.status, unavailable.kind) == (503, "unavailable"), fault.hit
        assert unavailable.headers["retry-after"] == "2"
        found = _state_after(api, request, again), len(_executions() - before)
        assert found == expected, fault.hit
    assert number > 2


def test_a_read_gets_503_too(api: Api, wired: CallInterceptor) -> None:
    with wired.listening(FaultAt("ProvisionedThroughputExceededException", 0)):
        answer = api.get("/holds")

    assert (answer.status, answer.kind) == (503, "unavailable")
    assert api.get("/holds").status == 200


def test_a_permanent_refusal_by_aws_is_an_internal_error(api: Api, wired: CallInterceptor) -> None:
    with wired.listening(FaultAt("AccessDeniedException", 0)):
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
