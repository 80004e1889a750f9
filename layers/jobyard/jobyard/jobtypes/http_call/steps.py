"""The step of an HTTP call: one request with an idempotency key, then polls of its status URL.

Between two requests the job waits in its state machine, not in a worker.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from jobyard.domain import urls
from jobyard.domain.errors import InvalidParameters, JobyardError
from jobyard.domain.jobs.failures import RETRYABLE, Failure
from jobyard.domain.jobs.job_type import Continue, Fail, Snooze, StepInput, StepResult
from jobyard.domain.redaction import redacted
from jobyard.jobtypes import calls
from jobyard.jobtypes.http_call.plan import CallPlan
from jobyard.jobtypes.http_client import Answer, FetchRefused
from jobyard.jobtypes.step_context import CallContext

MAX_REDIRECTS = 5
_STATUS_URL = "_status_url"  # key in the job's data; it may be signed
_STATUS_URL_BYTES = 1000
_LONGEST_ASKED_S = 3600.0  # of a Retry-After, while a job waits for the end
_BUSY_S = 60.0  # to wait for a server that does not say how long
_UNANSWERED = frozenset(
    {Failure.PAYLOAD_UNREACHABLE, Failure.PAYLOAD_TIMEOUT, Failure.PAYLOAD_TRUNCATED}
)
_TRY_LATER = frozenset({425, 429})
# A server answers 409 while an earlier request with the same key is not done (draft-ietf-httpapi-
# idempotency-key-header, 2.6).
_RETRYABLE = frozenset({408, 409})


class _CallEnded(JobyardError):
    """The call has ended without success. `result` ends the step."""

    def __init__(self, result: Fail) -> None:
        super().__init__(result.message)
        self.result = result


class _HostBusy(Exception):
    """The host gets no request now, from any worker."""

    def __init__(self, refusal: FetchRefused, wait_s: float) -> None:
        super().__init__(refusal.message)
        self.result = Snooze(wait_s, refusal.message, Failure.CALL_BUSY)


def call(step_input: StepInput, context: CallContext) -> StepResult:
    """Make the call; if it has been made and accepted, poll its status URL."""
    try:
        plan = CallPlan.of(step_input.parameters)
        request = _Request.of(plan, step_input, context)
        status_url = step_input.data.get(_STATUS_URL)
        if status_url and step_input.data.get(calls.CALLED_AT):
            return _polled(request, status_url)
        return _called(request)
    except InvalidParameters as error:
        return Fail(Failure.BAD_PARAMETERS, str(error), requeueable=False)
    except (_CallEnded, _HostBusy) as ended:
        return ended.result


@dataclass(frozen=True)
class _Request:
    """A job's call. `credentials` are sent to `origins` only."""

    plan: CallPlan
    url: str
    step_input: StepInput
    context: CallContext
    credentials: Mapping[str, str]
    origins: frozenset[str]

    @classmethod
    def of(cls, plan: CallPlan, step_input: StepInput, context: CallContext) -> "_Request":
        url = plan.url or step_input.entry.get("url", "")
        if not url:
            raise InvalidParameters("url", "is missing, and the job's row has none")
        credentials: Mapping[str, str] = {}
        origins: frozenset[str] = frozenset()
        if plan.secret:
            credentials, origins = _credentials(plan.secret, context)
            if _origin(url) not in origins:
                reason = f"the secret {plan.secret} may not be sent to {_origin(url)}"
                raise _CallEnded(Fail(Failure.CALL_NOT_ALLOWED, reason))
        return cls(plan, url, step_input, context, credentials, origins)

    def send(self, method: str, url: str, body: bytes | None = None) -> Answer:
        """The answer, after redirects. After a 303 it is that of a GET.

        Raises:
            _CallEnded: there is no answer. _HostBusy: nothing was sent.
        """
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._send_once(method, url, body)
            if answer.status == 303 and answer.location:
                method, body = "GET", None
            elif not (answer.status in {307, 308} or (_moves(answer) and method == "GET")):
                return answer
            if not answer.location:
                return answer
            url = answer.location
        message = f"the URL redirects {method} more than {MAX_REDIRECTS} times"
        raise _CallEnded(Fail(Failure.TOO_MANY_REDIRECTS, message))

    def _send_once(self, method: str, url: str, body: bytes | None) -> Answer:
        try:
            return self.context.http.send(
                method,
                url,
                self.context.remaining,
                headers=self._headers(method, url, body),
                body=body,
                max_bytes=calls.MAX_ANSWER_BYTES,
            )
        except FetchRefused as refusal:
            if refusal.requested_wait_s is not None:
                raise _HostBusy(refusal, refusal.requested_wait_s) from refusal
            code = refusal.code
            if code in _UNANSWERED:
                code = Failure.CALL_UNANSWERED
            elif code is Failure.PAYLOAD_REFUSED:
                code = Failure.CALL_REFUSED
            raise _CallEnded(Fail(code, refusal.message, code in RETRYABLE)) from refusal

    def _headers(self, method: str, url: str, body: bytes | None) -> dict[str, str]:
        """The headers of a request. Only the server of the call gets those that the job names."""
        headers = {"Accept": "application/json"}
        if _origin(url) == _origin(self.url):
            headers |= self.plan.headers
        if method != "GET":
            headers["Idempotency-Key"] = calls.idempotency_key(self.step_input)
        if body is not None:
            headers["Content-Type"] = "application/json"
        if _origin(url) in self.origins:
            headers |= self.credentials
        return headers


def _called(request: _Request) -> StepResult:
    """Make the call."""
    plan, step_input = request.plan, request.step_input
    body = None
    if plan.method not in {"GET", "DELETE"}:
        body = json.dumps(calls.document_of(step_input)).encode()
    answer = request.send(plan.method, request.url, body)
    if 200 <= answer.status < 300:
        if url := _status_url(answer, request):
            now = request.context.now()
            data = {_STATUS_URL: url, calls.CALLED_AT: now.isoformat()}
            return Continue(_wait_s(request, answer), _waits_for(url), data)
        if answer.status == 202 and answer.retry_after is not None:
            return Snooze(answer.retry_after, _said(answer, request), Failure.CALL_BUSY)
        return calls.done_with(answer.body, status=answer.status)
    if answer.status in _TRY_LATER or (answer.status == 503 and answer.retry_after is not None):
        wait_s = _BUSY_S if answer.retry_after is None else answer.retry_after
        return Snooze(wait_s, _said(answer, request), Failure.CALL_BUSY)
    if answer.status >= 500 or answer.status in _RETRYABLE:
        return Fail(Failure.CALL_FAILED, _said(answer, request), True, answer.retry_after)
    data = calls.after_failure(step_input)
    return Fail(Failure.CALL_REFUSED, _said(answer, request), result=data)


def _status_url(answer: Answer, request: _Request) -> str:
    """The status URL, to poll until the work is done; "" if the answer says that it is.

    Raises:
        _CallEnded: it is too long to keep.
    """
    url = answer.location if answer.status == 202 else ""
    if not url and request.plan.status_field:
        found = _lookup(calls.parsed(answer.body), request.plan.status_field)
        url = _joined(request.url, found)
        if not url and answer.status == 202:
            reason = f"its answer has no URL in {request.plan.status_field}"
            raise _CallEnded(Fail(Failure.CALL_REFUSED, reason))
    if len(url.encode()) > _STATUS_URL_BYTES:
        reason = f"the status URL is longer than {_STATUS_URL_BYTES} bytes"
        raise _CallEnded(Fail(Failure.CALL_REFUSED, reason))
    return url


def _unanswered(
    result: Fail | Snooze, again: Mapping[str, Any], wait_s: float, *, is_last: bool
) -> StepResult:
    """What follows a poll without an answer: another, unless none can help, or it was the last."""
    if isinstance(result, Fail) and not result.retryable:
        return _with(result, again)
    if is_last:
        return Fail(Failure.TIMEOUT, result.message, result=again)
    seconds = result.seconds if isinstance(result, Snooze) else 0.0
    return Continue(max(wait_s, seconds), result.message)


def _polled(request: _Request, url: str) -> StepResult:
    """Poll the status URL. While the work is not done, or nothing answers, the job waits on."""
    plan, step_input = request.plan, request.step_input
    now = request.context.now()
    is_last = calls.has_waited(step_input, now, plan.wait_h)
    again = {
        _STATUS_URL: "",
        calls.CALLED_AT: "",
    }  # a requeue calls again, with the same key
    try:
        answer = request.send("GET", url)
    except (_CallEnded, _HostBusy) as ended:
        return _unanswered(ended.result, again, _wait_s(request), is_last=is_last)
    is_working = answer.status == 202
    if answer.status in {408, *_TRY_LATER} or answer.status >= 500:
        is_working = True
    elif not 200 <= answer.status < 300:
        return Fail(Failure.CALL_REFUSED, _said(answer, request), result=again)
    elif plan.state_field:
        state = _lookup(calls.parsed(answer.body), plan.state_field)
        if _text(state) in plan.failed:
            reason = f"{plan.state_field} is {_text(state)}{calls.quoted(answer.body)}"
            data = {_STATUS_URL: "", **calls.after_failure(step_input)}
            return Fail(Failure.CALL_FAILED, reason, result=data)
        is_working = is_working or _text(state) not in plan.done
    if not is_working:
        return calls.done_with(answer.body, status=answer.status, _status_url="")
    if is_last:
        reason = f"it was not done within {plan.wait_h:g} hours: {_said(answer, request)}"
        return Fail(Failure.TIMEOUT, reason, result=again)
    return Continue(_wait_s(request, answer), _waits_for(url))


def _wait_s(request: _Request, answer: Answer | None = None) -> float:
    """Seconds until the status is polled again: at least what the response says, up to an hour."""
    asked_s = min((answer and answer.retry_after) or 0.0, _LONGEST_ASKED_S)
    least_s = max(request.plan.poll_s, asked_s)
    now = request.context.now()
    return calls.next_poll_s(request.step_input, now, least_s, request.plan.wait_h)


def _with(failure: Fail, data: Mapping[str, Any]) -> Fail:
    return Fail(failure.code, failure.message, failure.retryable, result=data)


def _waits_for(url: str) -> str:
    return f"the call was accepted; {redacted(url, 200)} says when it is done"


def _moves(answer: Answer) -> bool:
    return answer.status in {301, 302} and bool(answer.location)


def _said(answer: Answer, request: _Request) -> str:
    where = _origin(request.url)
    return f"{where} answered {answer.status}{calls.quoted(answer.body)}"


def _lookup(value: Any, field: str) -> Any:
    """The value of a field, whose name may have dots; None if there is none."""
    for name in field.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _joined(url: str, found: Any) -> str:
    """The URL that an answer of `url` names; "" if it names none."""
    try:
        return urljoin(url, found) if isinstance(found, str) and found else ""
    except ValueError:
        return ""


def _text(value: Any) -> str:
    """A state as the parameters write it: true, 3 or DONE."""
    return value if isinstance(value, str) else json.dumps(value)


def _origin(url: str) -> str:
    """Scheme, host and port of a URL; "" if it is none."""
    try:
        found = urls.parse(url)
    except urls.BadUrl:
        return ""
    return f"{found.scheme}://{found.authority}"


def _credentials(name: str, context: CallContext) -> tuple[dict[str, str], frozenset[str]]:
    """The headers with the credentials in a secret, and the origins that may get them.

    Raises:
        _CallEnded: the secret cannot be used.
    """
    found = context.credentials(name)
    if found is None:
        raise _not_usable(f"there is no secret {name} that calls may use")
    listed = found.get("origins")
    listed = listed if isinstance(listed, list) else []
    origins = frozenset(_origin(each) for each in listed if isinstance(each, str)) - {""}
    if not origins:
        raise _not_usable(f"the secret {name} does not list the origins that may get it")
    match found:
        case {"token": str(token)} if token:
            headers = {"Authorization": f"Bearer {token}"}
        case {"username": str(username), "password": str(password)}:
            text = base64.b64encode(f"{username}:{password}".encode()).decode()
            headers = {"Authorization": f"Basic {text}"}
        case {"header": str(header), "value": str(value)} if header and value:
            headers = {header: value}
        case _:
            raise _not_usable(f"the secret {name} has no credentials")
    if not all(each.isascii() and each.isprintable() for each in (*headers, *headers.values())):
        raise _not_usable(f"the credentials in the secret {name} are not printable ASCII")
    return headers, origins


def _not_usable(reason: str) -> _CallEnded:
    return _CallEnded(Fail(Failure.CALL_NOT_ALLOWED, reason))
