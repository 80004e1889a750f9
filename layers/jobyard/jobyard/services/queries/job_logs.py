"""The log lines of an attempt at a job, read from CloudWatch Logs when a person asks for them.

Each line of a worker has the request id of its invocation, and the id of the job that it is about
if it is about one. An invocation runs many jobs, so the lines about others are left out.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from jobyard.domain.compaction import json_bytes
from jobyard.domain.errors import NotFound
from jobyard.domain.jobs.job import Attempt, JobAddress, JobRecord
from jobyard.domain.redaction import text_without_secrets
from jobyard.domain.text import clean
from jobyard.services.access import authorize
from jobyard.services.context import QueryContext
from jobyard.services.executions import is_system_job
from jobyard.services.origins import job_origin
from jobyard.services.pending_work import WORKER_TIMEOUT
from jobyard.services.settings import Settings
from jobyard.store import jobs

MAX_LINES = 200  # of an attempt
MAX_LOG_BYTES = 64 * 1024  # of all lines of an attempt
_TEXT_BYTES = 8 * 1024  # of a text in a line, such as a traceback
_PAGES = 5  # of a log group: a page may be empty although another follows
_PAGE_LINES = 1000
# What every line has, or what is in other fields of a LogLine.
_HIDDEN = frozenset(
    {
        *("time", "timestamp", "level", "log_level", "message", "errorMessage", "type", "record"),
        *("exception", "stackTrace", "location", "service", "request_id", "requestId", "job_id"),
    }
)
_ARRIVAL = timedelta(minutes=5)  # of a line after it was written, at the latest
_NOT_FOUND = (
    "CloudWatch Logs has too many lines of that time to find them now; search there for the "
    "request id"
)
_NO_ACCESS = (
    "CloudWatch Logs refuses access: the role of this function needs logs:FilterLogEvents on the "
    "log groups of the workers"
)
# Why there are no lines, by the error code of CloudWatch Logs.
_REFUSALS = {
    "AccessDenied": _NO_ACCESS,
    "AccessDeniedException": _NO_ACCESS,
    "ResourceNotFoundException": "the log groups of the workers do not exist",
}


@dataclass(frozen=True)
class LogLine:
    """A line of a log. `level` is "" for a line of Lambda itself.

    `exception` is a traceback of several lines, "" for most lines. `fields` are JSON values.
    """

    at: datetime
    level: str
    message: str
    fields: Mapping[str, Any]
    exception: str = ""


@dataclass(frozen=True)
class AttemptLog:
    """The log of an attempt, oldest line first.

    There are more lines if `is_complete` is False. `missing` says why there is none; "" if there
    are lines.
    """

    job_id: str
    number: int
    attempt: Attempt
    lines: tuple[LogLine, ...] = ()
    is_complete: bool = True
    missing: str = ""


def attempt_log(job_id: str, number: int | None, logs: Any, context: QueryContext) -> AttemptLog:
    """The log of an attempt by its number; of the latest one if that is None. `logs` is a client.

    Raises:
        NotFound, Gone: there is no such job or attempt, or the actor may not see it.
        Forbidden: the actor may see the job, but not its log.
    """
    origin = job_origin(job_id, context.actor, context.now)
    return log_of(jobs.find(origin.address) or origin.unwritten_job, number, logs, context)


def log_of(job: JobRecord, number: int | None, logs: Any, context: QueryContext) -> AttemptLog:
    """The same for a job that was read already, and that the actor may see."""
    authorize(context.actor, job.address.kind, "view_log")
    found = _numbered(job, number)
    if not found.attempt.request_id:
        return replace(found, missing="the request id of its worker was not recorded")
    try:
        return _read(found, _groups(job.address, context.settings), logs, context)
    except logs.exceptions.ClientError as error:
        refusal = _REFUSALS.get(error.response["Error"]["Code"])
        if refusal is None:
            raise
        return replace(found, missing=refusal)


def _numbered(job: JobRecord, number: int | None) -> AttemptLog:
    """The attempt with a number, without its lines; the latest one if `number` is None."""
    job_id, numbered = job.address.job_id, job.numbered_attempts
    if not numbered:
        raise NotFound(f"job {job_id} has not been attempted")
    wanted = numbered[-1][0] if number is None else number
    attempt = dict(numbered).get(wanted)
    if attempt is None or attempt.count > 1:
        raise NotFound(f"job {job_id} has no record of attempt {wanted}")
    return AttemptLog(job_id, wanted, attempt)


def _groups(address: JobAddress, settings: Settings) -> Sequence[str]:
    """The log groups of the functions that may have run a job."""
    return (settings.system_logs,) if is_system_job(address) else settings.worker_logs


def _read(found: AttemptLog, groups: Sequence[str], logs: Any, context: QueryContext) -> AttemptLog:
    """The lines of an attempt, up to a number and a size."""
    attempt = found.attempt
    lines: list[LogLine] = []
    size, is_complete = 0, True
    for event in _events(groups, attempt, logs, context):
        if event is None:
            is_complete = False
            continue
        line = _line(event, found.job_id)
        if line is None:
            continue
        size += json_bytes([line.message, line.exception, dict(line.fields)])
        if len(lines) == MAX_LINES or size > MAX_LOG_BYTES:
            is_complete = False
            break
        lines.append(line)
    missing = ""
    if not lines:
        missing = _why_empty(attempt, context.now) if is_complete else _NOT_FOUND
    return replace(found, lines=tuple(lines), is_complete=is_complete, missing=missing)


def _why_empty(attempt: Attempt, now: datetime) -> str:
    if attempt.ended_at and now - attempt.ended_at > WORKER_TIMEOUT + _ARRIVAL:
        return "they have expired, after the days that the parameter LogRetentionDays says"
    return "a worker writes them when it ends, and they arrive within a minute"


def _events(
    groups: Sequence[str], attempt: Attempt, logs: Any, context: QueryContext
) -> Iterator[Mapping[str, Any] | None]:
    """The events with the request id of an attempt, from the log group that has any. None stands
    for those of further pages.

    A worker logs what became of its jobs when it ends, which may be long after the attempt.
    """
    end = min((attempt.ended_at or context.now) + WORKER_TIMEOUT, context.now)
    wanted = {
        "filterPattern": json.dumps(attempt.request_id),  # a quoted term
        "startTime": int(attempt.started_at.timestamp() * 1000),
        "endTime": int(end.timestamp() * 1000) + 1,
        "limit": _PAGE_LINES,
    }
    for group in groups:
        has_any, token = False, ""
        for _ in range(_PAGES):
            more = {"nextToken": token} if token else {}
            page = logs.filter_log_events(logGroupName=group, **wanted, **more)
            has_any = has_any or bool(page["events"])
            yield from page["events"]
            token = page.get("nextToken", "")
            if not token:
                break
        if token:
            yield None
        if has_any:
            return


def _line(event: Mapping[str, Any], job_id: str) -> LogLine | None:
    """An event as a line; None if it is about another job."""
    at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
    text = event["message"].rstrip()
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return LogLine(at, "", _shown(text), {})
    if found.get("job_id", job_id) != job_id:
        return None
    record = found.get("record")  # of a line of Lambda itself, whose type is its message
    fields = found | (record if isinstance(record, dict) else {})
    message = found.get("message") or found.get("errorMessage") or found.get("type") or ""
    return LogLine(
        at,
        _shown(str(found.get("level") or found.get("log_level") or "")),
        _shown(str(message)),
        {_shown(name): _shown(each) for name, each in fields.items() if name not in _HIDDEN},
        _shown(_exception(found)),
    )


def _exception(found: Mapping[str, Any]) -> str:
    """The traceback in a line; "" if it has none."""
    trace = found.get("exception") or found.get("stackTrace") or ""
    return "\n".join(map(str, trace)) if isinstance(trace, list) else str(trace)


def _shown(value: Any) -> Any:
    """A JSON value whose texts are safe to show: clean, without secrets, not too long."""
    if isinstance(value, str):
        text = text_without_secrets(value[:_TEXT_BYTES])
        return "\n".join(clean(line, _TEXT_BYTES) for line in text.splitlines())
    if isinstance(value, dict):
        return {_shown(name): _shown(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_shown(each) for each in value]
    return value
