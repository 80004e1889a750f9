"""What the job types `http` and `lambda` share: what a call says, and what a job keeps of it."""

import json
import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from jobyard.domain.compaction import json_bytes
from jobyard.domain.errors import InvalidParameters
from jobyard.domain.jobs.job_type import Done, StepInput
from jobyard.domain.json_objects import is_deeper
from jobyard.domain.text import clean, clean_values

MAX_ANSWER_BYTES = 64 * 1024  # that are read of an answer
KEPT_BYTES = 1024  # of an answer, as JSON, that a job keeps
MAX_WAIT_H = 48.0  # hours that a job may wait for the end of what it has called

# The keys of a call in its job's data; readers do not see them.
_NUMBER = "_call"  # which call it is; 1 if it is missing
CALLED_AT = "_called_at"  # when it was made, "" if it is to be made again

# The fields of a call's document, which the parameter `body` cannot have.
_FIELDS = frozenset(
    {"job_id", "batch_id", "collection", "row", "scheduled_for", "idempotency_key", "callback"}
)
_MAX_LEVELS = 32  # of lists and objects in an answer
_QUOTED = 200  # characters of an error that a message quotes
_LONGEST_WAIT_S = 900.0  # between two polls of a call
_WAIT_GROWTH = 0.1  # of the time waited so far; so a day takes some 220 waits


def idempotency_key(step_input: StepInput) -> str:
    """The key of a call, which is the same for each attempt at it.

    After a call that is known to have failed, a requeue makes another one, with another key.
    """
    number = step_input.data.get(_NUMBER, 1)
    return step_input.job_id if number == 1 else f"{step_input.job_id}.{number}"


def after_failure(step_input: StepInput) -> dict[str, Any]:
    """The job's data after a call that is known to have failed: the next one is another call."""
    return {_NUMBER: int(step_input.data.get(_NUMBER, 1)) + 1, CALLED_AT: ""}


def document_of(step_input: StepInput) -> dict[str, Any]:
    """What a call says: the job, its row or its scheduled time, and the parameter `body`."""
    body = step_input.parameters.get("body", {})
    if not step_input.batch_id:
        return {**body, "job_id": step_input.job_id, **step_input.entry}
    return {
        **body,
        "job_id": step_input.job_id,
        "batch_id": step_input.batch_id,
        "collection": step_input.collection,
        "row": dict(step_input.entry),
    }


def done_with(body: bytes, **data: Any) -> Done:
    """The step is done, and the job keeps the answer if it is small."""
    answer = parsed(body)
    if answer is None:
        answer = clean(body.decode(errors="replace"), KEPT_BYTES + 1)
    if answer == "":
        return Done(data)
    answer = clean_values(answer)
    if json_bytes(answer) > KEPT_BYTES:
        return Done(data, f"the answer is not kept: it has more than {KEPT_BYTES} bytes")
    return Done({**data, "answer": answer})


def parsed(body: bytes) -> Any:
    """The value in a body of JSON; None if it is not JSON, or cannot be kept: it is nested deeply,
    or has a NaN or an infinite number.
    """
    try:
        found = json.loads(body)
        if is_deeper(found, _MAX_LEVELS):
            return None
        json.dumps(found, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    return found


def quoted(body: bytes) -> str:
    """What an error says, to add to a sentence; "" if it is no JSON with a message.

    Source of the names: RFC 9457, Lambda, and what APIs use.
    """
    found = parsed(body)
    if isinstance(found, Mapping):
        for name in ("detail", "message", "errorMessage", "title", "error"):
            if isinstance(found.get(name), str) and found[name]:
                return f" ({found[name][:_QUOTED]})"
    return ""


def next_poll_s(step_input: StepInput, now: datetime, least_s: float, wait_h: float) -> float:
    """Seconds until a call is polled again: `least_s` or more, but not beyond the end of the wait.
    They grow with the time waited so far.

    Jobs that have waited about as long poll at the same instants, so one pass of their batch serves
    all of them.
    """
    waited_s = (now - _called_at(step_input, now)).total_seconds()
    wait_s = max(least_s, min(waited_s * _WAIT_GROWTH, _LONGEST_WAIT_S))
    grid_s = 2.0 ** math.floor(math.log2(wait_s))
    earliest_s = now.timestamp() + max(least_s, wait_s / 2)
    next_s = math.ceil(earliest_s / grid_s) * grid_s - now.timestamp()
    return min(next_s, max(wait_h * 3600 - waited_s, 1.0))


def has_waited(step_input: StepInput, now: datetime, wait_h: float) -> bool:
    """Whether a job has waited for the end of what it called for as long as it may."""
    return now >= _called_at(step_input, now) + timedelta(hours=wait_h)


def _called_at(step_input: StepInput, now: datetime) -> datetime:
    text = step_input.data.get(CALLED_AT)
    return datetime.fromisoformat(text) if text else now


def text_of(parameters: Mapping[str, Any], name: str, default: str = "", limit: int = 500) -> str:
    """A parameter that is a text.

    Raises:
        InvalidParameters: it is not, or it is too long.
    """
    value = parameters.get(name, default)
    if not isinstance(value, str) or len(value) > limit:
        raise InvalidParameters(name, f"must be a text of at most {limit} characters")
    return value


def number_of(
    parameters: Mapping[str, Any], name: str, default: float, least: float, most: float
) -> float:
    """A parameter that is a number, or the text of one.

    Raises:
        InvalidParameters: it is not, or it is out of range.
    """
    value = parameters.get(name, default)
    try:
        number = -1.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not least <= number <= most:
        raise InvalidParameters(name, f"must be a number from {least:g} to {most:g}")
    return number


def refuse_callback(parameters: Mapping[str, Any]) -> None:
    """Refuse the callback URL of a submission, which only deposits call.

    Raises:
        InvalidParameters: there is one.
    """
    if "callback_url" in parameters:
        raise InvalidParameters("callback_url", "is called for deposits only")


def check_body(parameters: Mapping[str, Any]) -> None:
    """Check the parameter `body`.

    Raises:
        InvalidParameters: it is not an object, or has a field that Jobyard sets.
    """
    body = parameters.get("body", {})
    if not isinstance(body, Mapping):
        raise InvalidParameters("body", "must be an object")
    if taken := _FIELDS & body.keys():
        raise InvalidParameters("body", f"may not have {min(taken)}: Jobyard sets that field")
