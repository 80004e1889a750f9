"""The stored form of a job's record: a JSON document with short keys, because size is cost.

| key | is |
|---|---|
| `c` | the cause of the last change |
| `t` | when that was |
| `n` | how often the job was started |
| `l` | how often its worker was lost |
| `r` | how often it was requeued |
| `w` | how often it was snoozed |
| `k` | how long its attempt has taken so far |
| `x` | when it is due next |
| `f`, `m` | the failure code and message |
| `u` | that it cannot be requeued |
| `g` | that it keeps the claim on its target |
| `s` | steps: `[name, first letter of the status, start, duration, message?, percent?]` |
| `i` | the request id of the invocation that runs it |
| `a` | attempts: `[start, duration, request id]`, |
|     | a failed one: `[start, duration, step, code, message, request id]` |
|     | several that are alike: `[start, duration, step, code, message, how many]` |
|     | a summary of attempts: `[start, duration, {failure code: count}]` |
| `d` | the data that its steps returned |
| `h` | the history, see `documents.history_document` |

Times and durations are in milliseconds. A key is missing if its value is empty.
"""

import json
from typing import Any

from jobyard.domain.jobs.job import (
    Attempt,
    JobAddress,
    JobRecord,
    JobState,
    StepRecord,
    StepStatus,
)
from jobyard.store.documents import (
    from_ms,
    from_ms_or_none,
    history_document,
    parse_history,
    to_ms,
    without_blanks,
)

_JSON = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def encode(record: JobRecord) -> str:
    """The record's document, as text.

    Raises:
        TypeError, ValueError: a value is not JSON, or not UTF-8.
    """
    document = without_blanks(
        {
            "c": record.cause,
            "t": to_ms(record.at),
            "n": record.start_count,
            "l": record.orphan_count,
            "r": record.requeue_count,
            "w": record.snooze_count,
            "k": record.earlier_parts_ms,
            "x": record.next_at and to_ms(record.next_at),
            "f": record.failure_code,
            "m": record.failure_message,
            "u": not record.requeueable,
            "g": record.keeps_claim,
            "i": record.request_id,
            "s": [_step_document(step) for step in record.steps],
            "a": [_attempt_document(attempt) for attempt in record.attempts],
            "d": dict(record.data),
            "h": history_document(record.history),
        }
    )
    text = _JSON.encode(document)
    text.encode()  # raises for a lone surrogate
    return text


def _step_document(step: StepRecord) -> list[Any]:
    started = to_ms(step.started_at)
    took = None if step.ended_at is None else to_ms(step.ended_at) - started
    line: list[Any] = [step.name, step.status[0], started, took]
    if step.percent is not None:
        return [*line, step.message, step.percent]
    return [*line, step.message] if step.message else line


def _attempt_document(attempt: Attempt) -> list[Any]:
    started = to_ms(attempt.started_at)
    took = None if attempt.ended_at is None else to_ms(attempt.ended_at) - started
    line: list[Any] = [started, took]
    if attempt.counts:
        return [*line, dict(attempt.counts)]
    if attempt.failure_code or attempt.times > 1:
        line += [attempt.step, attempt.failure_code, attempt.failure_message]
    if attempt.times > 1:
        return [*line, attempt.times]
    return [*line, attempt.request_id] if attempt.request_id else line


_STATUS = {status[0]: status for status in StepStatus}


def decode(address: JobAddress, state: str, version: int, body: str) -> JobRecord:
    """The record of a job whose item has these attributes."""
    document = json.loads(body)
    steps = tuple(
        StepRecord(
            name,
            _STATUS[status],
            from_ms(started),
            None if took is None else from_ms(started + took),
            *more,
        )
        for name, status, started, took, *more in document.get("s", ())
    )
    attempts = tuple(_attempt(*line) for line in document.get("a", ()))
    return JobRecord(
        address=address,
        state=JobState(state),
        version=version,
        cause=document.get("c", ""),
        at=from_ms(document["t"]),
        start_count=document.get("n", 0),
        orphan_count=document.get("l", 0),
        requeue_count=document.get("r", 0),
        snooze_count=document.get("w", 0),
        earlier_parts_ms=document.get("k", 0),
        next_at=from_ms_or_none(document.get("x")),
        request_id=document.get("i", ""),
        failure_code=document.get("f", ""),
        failure_message=document.get("m", ""),
        requeueable=not document.get("u", False),
        keeps_claim=document.get("g", False),
        steps=steps,
        attempts=attempts,
        data=document.get("d", {}),
        history=parse_history(document.get("h", [])),
    )


def _attempt(started: int, took: int | None, *rest: Any) -> Attempt:
    start, end = from_ms(started), None if took is None else from_ms(started + took)
    match rest:
        case (dict() as counts,):
            return Attempt.summary(counts, start, end)
        case () | (_,):
            return Attempt(start, end, request_id=rest[0] if rest else "")
    step, code, message, *more = rest
    match more:
        case [int() as times]:
            return Attempt(start, end, step, code, message, times=times)
        case _:
            return Attempt(start, end, step, code, message, request_id="".join(more))
