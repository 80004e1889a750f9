"""The step of an invocation, with functions and callbacks in memory."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from jobyard.domain.errors import InvalidParameters
from jobyard.domain.jobs.callback import Callback, CallbackAnswer, CallbackStatus
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import Continue, Done, Fail, Snooze, StepInput, StepResult
from jobyard.jobtypes.lambda_call import LAMBDA
from jobyard.jobtypes.lambda_call.plan import INVOCATION_S
from jobyard.jobtypes.step_context import FunctionContext
from jobyard.services.jobs.function_access import FunctionAccess

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:recognise:live"
JOB = "baaaaaaaaaaaaaaaaaaaa.0.0"
ROW = {"url": "https://files.example.org/1.tif", "title": "One"}
DONE = CallbackAnswer(CallbackStatus.SUCCEEDED, {"words": 4})


class Callbacks:
    """Callbacks that are kept in memory."""

    def __init__(self) -> None:
        self.found: dict[str, Callback] = {}

    def issue(self, key: str, until: datetime) -> str:
        seen = self.found.get(key, Callback(key))
        secret = f"secret-{seen.version}"
        self.found[key] = seen.issued(secret, until)
        return secret

    def find(self, key: str) -> CallbackAnswer | None:
        return self.found.get(key, Callback(key)).answer

    def answer(self, key: str, secret: str, answer: CallbackAnswer, now: datetime) -> None:
        self.found[key] = self.found[key].answered(secret, answer, now)


@dataclass
class Bench:
    """Runs the step as attempts do. The function does what `does` says."""

    at: datetime = datetime(2026, 11, 30, 12, tzinfo=UTC)
    does: Callable[[dict[str, Any]], Any] = lambda event: {}
    events: list[dict[str, Any]] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    remaining_s: float = 800.0

    def __post_init__(self) -> None:
        self.callbacks = Callbacks()
        self.context = FunctionContext(
            lambda: self.at,
            lambda: self.remaining_s,
            functions=FunctionAccess((ARN,), lambda: self),
            callbacks=self.callbacks,
            callback_url="https://jobyard.example.org/api/callbacks",
        )

    def invoke(self, *, FunctionName: str, InvocationType: str, Payload: bytes) -> Any:
        """Lambda."""
        assert FunctionName == ARN
        self.events.append(json.loads(Payload))
        self.kinds.append(InvocationType)
        try:
            answer = self.does(self.events[-1])
        except ValueError as error:
            body = json.dumps({"errorType": "ValueError", "errorMessage": str(error)})
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(body.encode())}
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}

    def run(self, **more: Any) -> StepResult:
        """One attempt at the step."""
        parameters = {"function": "recognise:live", **more}
        step_input = StepInput("b", JOB, "maps", ROW, parameters, dict(self.data), attempt=1)
        ((_, step),) = LAMBDA.steps
        result = step(step_input, self.context)
        if not isinstance(result, Snooze):
            self.data |= getattr(result, "result", {})
        return result


@pytest.fixture
def bench() -> Bench:
    return Bench()


def raising(error: Exception) -> Callable[[dict[str, Any]], Any]:
    """A function, or a Lambda, that raises."""

    def does(_event: dict[str, Any]) -> Any:
        raise error

    return does


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "…"}}, "Invoke")


def test_a_function_gets_the_row_and_the_key_and_the_job_keeps_what_it_returns(
    bench: Bench,
) -> None:
    bench.does = lambda event: {"title": event["row"]["title"]}

    assert bench.run(body={"language": "de"}) == Done({"answer": {"title": "One"}})
    assert bench.events == [
        {
            "job_id": JOB,
            "batch_id": "b",
            "collection": "maps",
            "row": ROW,
            "language": "de",
            "idempotency_key": JOB,
        }
    ]
    assert bench.kinds == ["RequestResponse"]


@pytest.mark.parametrize(
    ("does", "expected"),
    [
        (lambda _: {"status": "failed", "message": "no text"}, Fail(Failure.CALL_FAILED, "")),
        (lambda _: {"status": "try_later", "retry_after": 9}, Snooze(9.0, "", Failure.CALL_BUSY)),
        (lambda _: {"status": "try_later"}, Snooze(30.0, "", Failure.CALL_BUSY)),
        (raising(ValueError("no")), Fail(Failure.CALL_FAILED, "", True)),
        (raising(refused("TooManyRequestsException")), Snooze(30.0, "", Failure.CALL_BUSY)),
        (raising(refused("ResourceNotFoundException")), Fail(Failure.CALL_NOT_ALLOWED, "")),
        (raising(refused("AccessDeniedException")), Fail(Failure.CALL_NOT_ALLOWED, "")),
        (raising(refused("RequestTooLargeException")), Fail(Failure.CALL_REFUSED, "")),
        (raising(refused("ServiceException")), Fail(Failure.CALL_UNANSWERED, "", True)),
        (
            raising(ReadTimeoutError(endpoint_url="lambda")),
            Fail(Failure.CALL_UNANSWERED, "", True),
        ),
        (
            raising(EndpointConnectionError(endpoint_url="lambda")),
            Fail(Failure.CALL_UNANSWERED, "", True),
        ),
    ],
)
@pytest.mark.parametrize("mode", ["wait", "callback"])
def test_each_end_of_an_invocation_has_its_result(
    bench: Bench, does: Callable[[dict[str, Any]], Any], expected: Fail | Snooze, mode: str
) -> None:
    bench.does = does

    result = bench.run(mode=mode)

    is_of_lambda = "raising" in does.__qualname__ and not isinstance(result, Continue)
    if mode == "callback" and not is_of_lambda:
        assert isinstance(result, Continue)  # nobody waits for what the function returns
        return
    assert type(result) is type(expected)
    if isinstance(result, Fail) and isinstance(expected, Fail):
        assert (result.code, result.retryable) == (expected.code, expected.retryable)
    if isinstance(result, Snooze) and isinstance(expected, Snooze):
        assert (result.seconds, result.exhausted_code) == (expected.seconds, Failure.CALL_BUSY)


def test_only_a_function_that_the_deployment_lists_is_invoked(bench: Bench) -> None:
    results = [bench.run(function=name) for name in ("recognise", "other", ARN + "x", "live")]

    assert {each.code for each in results if isinstance(each, Fail)} == {Failure.CALL_NOT_ALLOWED}
    assert bench.events == []
    assert isinstance(bench.run(function=ARN), Done)


def test_a_worker_without_time_for_the_function_leaves_it_to_the_next(bench: Bench) -> None:
    bench.remaining_s = INVOCATION_S - 1

    assert (type(bench.run()), bench.events) == (Continue, [])
    assert isinstance(bench.run(mode="callback"), Continue)
    assert len(bench.events) == 1  # to start it takes no time


def test_a_function_answers_later_by_its_token(bench: Bench) -> None:
    first, second = bench.run(mode="callback"), bench.run(mode="callback")
    bench.callbacks.answer(JOB, bench.events[0]["callback"]["token"], DONE, bench.at)

    assert (type(first), type(second)) == (Continue, Continue)
    assert bench.run(mode="callback") == Done({"answer": {"words": 4}})
    assert bench.kinds == ["Event"]
    assert bench.events[0]["callback"]["expires_at"] == "2026-11-30T13:00:00+00:00"


def test_a_function_that_says_that_it_failed_is_called_with_another_key_by_a_requeue(
    bench: Bench,
) -> None:
    bench.run(mode="callback")
    failed = CallbackAnswer(CallbackStatus.FAILED, {}, "no text")
    bench.callbacks.answer(JOB, "secret-0", failed, bench.at)

    result = bench.run(mode="callback")
    bench.run(mode="callback")

    assert isinstance(result, Fail)
    assert (result.message, result.retryable) == ("the function failed (no text)", False)
    assert [each["idempotency_key"] for each in bench.events] == [JOB, f"{JOB}.2"]


def test_a_lost_callback_times_out_and_a_late_answer_to_an_earlier_try_counts(
    bench: Bench,
) -> None:
    result = bench.run(mode="callback", wait_hours=2)
    while isinstance(result, Continue):
        bench.at += timedelta(seconds=result.seconds)
        result = bench.run(mode="callback", wait_hours=2)

    assert isinstance(result, Fail)
    assert (result.code, result.retryable) == (Failure.CALLBACK_LOST, True)
    assert bench.at == datetime(2026, 11, 30, 14, tzinfo=UTC)

    bench.run(mode="callback", wait_hours=2)
    assert [each["idempotency_key"] for each in bench.events] == [JOB, JOB]
    bench.callbacks.answer(JOB, bench.events[1]["callback"]["token"], DONE, bench.at)
    assert isinstance(bench.run(mode="callback"), Done)


@pytest.mark.parametrize(
    "wrong", [{}, {"function": "f", "mode": "later"}, {"function": "f", "x": 1}]
)
def test_wrong_parameters_are_refused_at_once(wrong: dict[str, Any]) -> None:
    for check in (LAMBDA.check_parameters, LAMBDA.check_submission):
        with pytest.raises(InvalidParameters):
            check(wrong)
