"""Calls the submission's callback URL about a job that succeeded or failed."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from jobyard.domain.jobs.failures import RETRYABLE, Failure
from jobyard.domain.jobs.job_type import StepInput
from jobyard.domain.text import clean
from jobyard.jobtypes.deposit.refusal import Refused
from jobyard.jobtypes.http_client import FetchRefused
from jobyard.jobtypes.step_context import StorageContext

_ERROR = "callback"  # key in a job's data: why its callback failed, "" if it succeeded
_ERROR_BYTES = 200
_FAILURE_CALL_S = 20.0  # the time limit of the callback about a failed job


def is_wanted(step_input: StepInput) -> bool:
    """Whether the submission has a callback URL."""
    return bool(step_input.parameters.get("callback_url"))


def error_data(step_input: StepInput, message: str) -> dict[str, Any]:
    """The job's data about its callback: the error; "" if only an earlier call failed."""
    if message or step_input.data.get(_ERROR):
        return {_ERROR: clean(message, _ERROR_BYTES)}
    return {}


def post_success(step_input: StepInput, context: StorageContext) -> str:
    """Post that the job succeeded. Returns why the call failed, if a retry cannot help; else "".

    Raises:
        Refused: CALLBACK_FAILED, the server failed, is too slow or cannot be reached.
        FetchRefused: TIMEOUT, the worker's time is up.
    """
    fields = {
        "ark": step_input.data["ark"],
        "version": step_input.data["version"],
        "status": "succeeded",
    }
    try:
        status = _post(fields, step_input, context, step_input.job_id, context.remaining)
    except FetchRefused as refusal:
        if refusal.code is Failure.TIMEOUT:
            raise
        if refusal.code in RETRYABLE:
            message = f"the callback could not be delivered: {refusal.message}"
            raise Refused(Failure.CALLBACK_FAILED, message) from refusal
        return f"callback not sent: {refusal.message}"
    if status >= 500:
        message = f"the callback's server answered {status}"
        raise Refused(Failure.CALLBACK_FAILED, message)
    return _status_error(status)


def post_failure(
    step_input: StepInput, context: StorageContext, code: str, message: str, requeues: int
) -> Mapping[str, Any]:
    """Post once that the job failed. Returns the job's data about the call."""
    if not is_wanted(step_input) or code == Failure.CALLBACK_FAILED:  # the call itself failed
        return {}
    fields = {"status": "failed", "code": code, "message": message}
    started_at = context.now()

    def remaining() -> float:
        left = _FAILURE_CALL_S - (context.now() - started_at).total_seconds()
        return min(left, context.remaining())

    key = f"{step_input.job_id}.failed.{requeues}"
    try:
        status = _post(fields, step_input, context, key, remaining)
    except FetchRefused as refusal:
        return error_data(step_input, f"callback not sent: {refusal.message}")
    return error_data(step_input, _status_error(status))


def _status_error(status: int) -> str:
    return "" if 200 <= status < 300 else f"the callback was answered with {status}"


def _post(
    fields: Mapping[str, Any],
    step_input: StepInput,
    context: StorageContext,
    key: str,
    remaining: Callable[[], float],
) -> int:
    """Post `fields` with the ids of the batch and the job. Returns the status of the response."""
    body = {"batch_id": step_input.batch_id, "job_id": step_input.job_id, **fields}
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    url = step_input.parameters["callback_url"]
    content = json.dumps(body).encode()
    return context.http.send("POST", url, remaining, headers=headers, body=content).status
