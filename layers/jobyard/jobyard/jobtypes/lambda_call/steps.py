"""The step of an invocation: invoke the function, and take its answer now or wait for a callback.

While it waits for a callback, the job waits in its state machine, not in a worker.
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from jobyard.domain.errors import InvalidParameters
from jobyard.domain.jobs.callback import CallbackAnswer, CallbackStatus
from jobyard.domain.jobs.failures import RETRYABLE, Failure
from jobyard.domain.jobs.job_type import Continue, Done, Fail, Snooze, StepInput, StepResult
from jobyard.domain.text import clean
from jobyard.jobtypes import calls
from jobyard.jobtypes.functions import FunctionRefused
from jobyard.jobtypes.lambda_call.plan import INVOCATION_S, InvocationMode, InvocationPlan
from jobyard.jobtypes.step_context import FunctionContext

_LEAST_WAIT_S = 5.0  # between two polls for a callback
_BUSY_S = 30.0  # to wait after a throttle, or for a function that does not say how long
_WAITS = "the function was invoked, and calls back when it is done"


def invoke(step_input: StepInput, context: FunctionContext) -> StepResult:
    """Invoke the function; if it has been invoked and is to call back, poll for its callback."""
    try:
        plan = InvocationPlan.of(step_input.parameters)
    except InvalidParameters as error:
        return Fail(Failure.BAD_PARAMETERS, str(error), requeueable=False)
    if plan.mode is InvocationMode.CALLBACK:
        if step_input.data.get(calls.CALLED_AT):
            return _awaited(plan, step_input, context)
        return _started(plan, step_input, context)
    if context.remaining() < INVOCATION_S:
        return Continue(0, "the worker has too little time left for the function")
    return _answered(plan, step_input, context)


def _document(step_input: StepInput) -> dict[str, Any]:
    key = calls.idempotency_key(step_input)
    return {**calls.document_of(step_input), "idempotency_key": key}


def _answered(plan: InvocationPlan, step_input: StepInput, context: FunctionContext) -> StepResult:
    """Invoke the function and wait for its answer."""
    payload = json.dumps(_document(step_input)).encode()
    try:
        answer = context.functions.invoke(plan.function, payload, is_async=False)
    except FunctionRefused as refused:
        return _refused(refused)
    if answer.is_error:
        reason = f"the function raised an error{calls.quoted(answer.body)}"
        return Fail(Failure.CALL_FAILED, reason, retryable=True)
    found = calls.parsed(answer.body)
    status = found.get("status") if isinstance(found, Mapping) else None
    if status == "failed":
        return _failed(step_input, _message(found))
    if status == "try_later":
        reason = f"the function asks for a later call{_message(found)}"
        return Snooze(_wait_of(found.get("retry_after")), reason, Failure.CALL_BUSY)
    return calls.done_with(answer.body)


def _started(plan: InvocationPlan, step_input: StepInput, context: FunctionContext) -> StepResult:
    """Invoke the function with a token for its callback.

    A worker that dies after this invokes it again, with the same key and another token. Both tokens
    are valid, and the first answer counts. So does the answer to an earlier attempt.
    """
    if found := context.callbacks.find(calls.idempotency_key(step_input)):
        return _outcome(found, step_input)
    now = context.now()
    until = now + timedelta(hours=plan.wait_h)
    document = _document(step_input)
    document["callback"] = {
        "url": context.callback_url,
        "token": context.callbacks.issue(document["idempotency_key"], until),
        "expires_at": until.isoformat(timespec="seconds"),
    }
    try:
        context.functions.invoke(plan.function, json.dumps(document).encode(), is_async=True)
    except FunctionRefused as refused:
        return _refused(refused)
    wait_s = calls.next_poll_s(step_input, now, _LEAST_WAIT_S, plan.wait_h)
    return Continue(wait_s, _WAITS, {calls.CALLED_AT: now.isoformat()})


def _awaited(plan: InvocationPlan, step_input: StepInput, context: FunctionContext) -> StepResult:
    """Poll for the callback."""
    found = context.callbacks.find(calls.idempotency_key(step_input))
    if found is not None:
        return _outcome(found, step_input)
    now = context.now()
    if calls.has_waited(step_input, now, plan.wait_h):
        reason = f"the function did not call back within {plan.wait_h:g} hours"
        return Fail(Failure.CALLBACK_LOST, reason, True, result={calls.CALLED_AT: ""})
    return Continue(calls.next_poll_s(step_input, now, _LEAST_WAIT_S, plan.wait_h), _WAITS)


def _outcome(found: CallbackAnswer, step_input: StepInput) -> StepResult:
    if found.status is CallbackStatus.FAILED:
        return _failed(step_input, f" ({found.message})" if found.message else "")
    return Done({"answer": found.result} if found.result else {})


def _failed(step_input: StepInput, message: str) -> Fail:
    """The function says that the work failed: no retry, and a requeue is another call."""
    data = calls.after_failure(step_input)
    return Fail(Failure.CALL_FAILED, f"the function failed{message}", result=data)


def _wait_of(found: Any) -> float:
    """The seconds that a function asks to wait; a default unless they are up to a day."""
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    return float(found) if is_number and 0 <= found <= 86_400 else _BUSY_S


def _message(document: Mapping[str, Any]) -> str:
    message = document.get("message")
    return f" ({clean(message)})" if isinstance(message, str) and message else ""


def _refused(refused: FunctionRefused) -> Fail | Snooze:
    if refused.code is Failure.CALL_BUSY:
        return Snooze(_BUSY_S, refused.message, Failure.CALL_BUSY)
    return Fail(refused.code, refused.message, refused.code in RETRYABLE)
