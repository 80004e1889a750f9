"""The parameters of an HTTP call."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobyard.domain import urls
from jobyard.domain.errors import InvalidParameters
from jobyard.jobtypes.calls import MAX_WAIT_H, check_body, number_of, text_of

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
MAX_SENT_HEADERS = 20
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")  # RFC 9110, 5.6.2
_VALUE = re.compile(r"[ -~]{1,500}")
# Jobyard or its client sets them, they change how a request is read, or they are credentials.
_RESERVED = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "idempotency-key",
        "keep-alive",
        "range",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_CREDENTIALS = re.compile(r".*(auth|authorization|cookie|credential|key|password|secret|token)s?")
_FIELD = re.compile(r"[^.\x00-\x1f]{1,64}(\.[^.\x00-\x1f]{1,64}){0,7}")
_MAX_VALUES = 20  # of `done` and `failed`


@dataclass(frozen=True)
class CallPlan:
    """The checked parameters of a call, which docs/calls.md describes.

    `url` is "" if the row has it. `status_field` and `state_field` are names of fields, with a dot
    between those of nested objects.
    """

    url: str
    method: str
    headers: Mapping[str, str]
    secret: str
    status_field: str
    state_field: str
    done: frozenset[str]
    failed: frozenset[str]
    poll_s: float
    wait_h: float

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> "CallPlan":
        """The plan of a job's parameters.

        Raises:
            InvalidParameters: a parameter is not valid.
        """
        url = text_of(parameters, "url", limit=2000)
        if problem := urls.error_in(url) if url else "":
            raise InvalidParameters("url", problem)
        method = text_of(parameters, "method", "POST").upper()
        if method not in METHODS:
            raise InvalidParameters("method", f"must be one of {', '.join(METHODS)}")
        check_body(parameters)
        if method in {"GET", "DELETE"} and parameters.get("body"):
            raise InvalidParameters("body", f"cannot be sent with {method}")
        plan = cls(
            url=url,
            method=method,
            headers=_headers(parameters.get("headers", {})),
            secret=text_of(parameters, "secret"),
            status_field=_field(parameters, "status_field"),
            state_field=_field(parameters, "state_field"),
            done=_values(parameters, "done"),
            failed=_values(parameters, "failed"),
            poll_s=number_of(parameters, "poll_seconds", 10.0, 5.0, 3600.0),
            wait_h=number_of(parameters, "wait_hours", 1.0, 0.01, MAX_WAIT_H),
        )
        if plan.state_field and not plan.done:
            raise InvalidParameters("done", "must list the values of state_field that mean success")
        if (plan.done or plan.failed) and not plan.state_field:
            raise InvalidParameters("state_field", "must name the field that has these values")
        return plan


def _headers(found: Any) -> Mapping[str, str]:
    if not isinstance(found, Mapping) or len(found) > MAX_SENT_HEADERS:
        raise InvalidParameters("headers", f"must be an object of up to {MAX_SENT_HEADERS} headers")
    for name, value in found.items():
        if not isinstance(value, str) or not (_TOKEN.fullmatch(name) and _VALUE.fullmatch(value)):
            raise InvalidParameters("headers", f"{name!r:.80} is not a header of printable ASCII")
        if _CREDENTIALS.fullmatch(name.lower()) and name.lower() not in _RESERVED:
            raise InvalidParameters("headers", f"{name} has credentials: put them into a secret")
        if name.lower() in _RESERVED:
            raise InvalidParameters("headers", f"{name} cannot be set")
    return dict(found)


def _field(parameters: Mapping[str, Any], name: str) -> str:
    value = text_of(parameters, name)
    if value and not _FIELD.fullmatch(value):
        raise InvalidParameters(name, "must be the name of a field, such as links.status")
    return value


def _values(parameters: Mapping[str, Any], name: str) -> frozenset[str]:
    """Texts: a list, or one text with commas between them."""
    found = parameters.get(name, [])
    values = [each.strip() for each in found.split(",")] if isinstance(found, str) else found
    if not isinstance(values, list) or len(values) > _MAX_VALUES:
        raise InvalidParameters(name, f"must be a list of up to {_MAX_VALUES} values")
    if not all(isinstance(each, str) and each for each in values):
        raise InvalidParameters(name, "must be a list of texts")
    return frozenset(values)
