"""How a job's record is stored."""

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
    """The record's document.

    Raises:
        TypeError, ValueError: something in it is no JSON, or no UTF-8.
    """
    document = without_blanks(
        {
            "c": record.cause,
            "t": to_ms(record.at),
            "n": record.start_count,
            "l": record.orphan_count,
            "r": record.requeue_count,
            "w": record.snooze_count,
            "x": record.next_at and to_ms(record.next_at),
            "f": record.failure_code,
            "m": record.failure_message,
            "u": not record.recoverable,
            "s": [_step_document(step) for step in record.steps],
            "a": [_attempt_document(attempt) for attempt in record.attempts],
            "d": dict(record.data),
            "h": history_document(record.history),
        }
    )
    text = _JSON.encode(document)
    text.encode()
    return text


def _step_document(step: StepRecord) -> list[Any]:
    started = to_ms(step.started_at)
    took = None if step.ended_at is None else to_ms(step.ended_at) - started
    line: list[Any] = [step.name, step.status[0], started, took]
    return [*line, step.message] if step.message else line


def _attempt_document(attempt: Attempt) -> list[Any]:
    started = to_ms(attempt.started_at)
    took = None if attempt.ended_at is None else to_ms(attempt.ended_at) - started
    line: list[Any] = [started, took]
    if attempt.counts:
        return [*line, dict(attempt.counts)]
    return (
        [*line, attempt.step, attempt.failure_code, attempt.failure_message]
        if attempt.failure_code
        else line
    )


_STATUS = {status[0]: status for status in StepStatus}


def decode(address: JobAddress, state: str, version: int, body: str) -> JobRecord:
    document = json.loads(body)
    steps = tuple(
        StepRecord(
            name,
            _STATUS[status],
            from_ms(started),
            None if took is None else from_ms(started + took),
            *message,
        )
        for name, status, started, took, *message in document.get("s", ())
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
        next_at=from_ms_or_none(document.get("x")),
        failure_code=document.get("f", ""),
        failure_message=document.get("m", ""),
        recoverable=not document.get("u", False),
        steps=steps,
        attempts=attempts,
        data=document.get("d", {}),
        history=parse_history(document.get("h", [])),
    )


def _attempt(started: int, took: int | None, *failure: Any) -> Attempt:
    began, ended = from_ms(started), None if took is None else from_ms(started + took)
    if failure and isinstance(failure[0], dict):
        return Attempt.summary(failure[0], began, ended)
    return Attempt(began, ended, *failure)
