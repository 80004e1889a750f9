"""Refusals as HTTP problems (RFC 9457): one table says which status each has."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponse
from botocore import exceptions as aws
from pydantic import BaseModel, Field

from jobyard.domain.errors import (
    AlreadyHeld,
    BadRequest,
    Forbidden,
    Gone,
    InvalidParameters,
    InvalidRule,
    InvalidTransition,
    JobyardError,
    NotFound,
    OperationInProgress,
    StaleState,
)
from jobyard.domain.text import clean

CONTENT_TYPE = "application/problem+json"
_WHERE_BYTES = 200  # of the name of a field that is wrong, which may be any
_DETAIL_BYTES = 8_000  # of what a refusal says, which may quote what was sent


class Unauthenticated(JobyardError):
    """There is no access token of somebody known here."""


class PayloadTooLarge(JobyardError):
    """The body is larger than a request may be."""


class UnsupportedMediaType(JobyardError):
    """The body is of another media type than JSON."""


class ValidationFailed(JobyardError):
    """The request can be read, but a field of it is not as the description says.

    `errors` are (where, what is allowed).
    """

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{where}: {allowed}" for where, allowed in errors))
        self.errors = errors


class MethodNotAllowed(JobyardError):
    """The path is known, but not with this method.

    `allowed` are the methods it is known with, sorted.
    """

    def __init__(self, message: str, allowed: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.allowed = allowed


class IdempotencyKeyReused(JobyardError):
    """The idempotency key was sent before, with another body."""


class RequestInProgress(JobyardError):
    """A request with this idempotency key is being carried out; ask again in a moment."""


class Unavailable(JobyardError):
    """AWS takes no more just now, or did not answer; send it again in a moment."""


class InternalError(JobyardError):
    """Something failed here that should not have."""


STATUS: Mapping[type[JobyardError], HTTPStatus] = {
    BadRequest: HTTPStatus.BAD_REQUEST,
    InvalidRule: HTTPStatus.BAD_REQUEST,
    InvalidParameters: HTTPStatus.BAD_REQUEST,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    InvalidTransition: HTTPStatus.CONFLICT,
    OperationInProgress: HTTPStatus.CONFLICT,
    AlreadyHeld: HTTPStatus.CONFLICT,
    StaleState: HTTPStatus.CONFLICT,
    RequestInProgress: HTTPStatus.CONFLICT,
    Gone: HTTPStatus.GONE,
    PayloadTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    ValidationFailed: HTTPStatus.UNPROCESSABLE_ENTITY,
    IdempotencyKeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    InternalError: HTTPStatus.INTERNAL_SERVER_ERROR,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
_HEADERS: Mapping[type[JobyardError], Mapping[str, str]] = {
    Unauthenticated: {"WWW-Authenticate": "Bearer"},
    RequestInProgress: {"Retry-After": "1"},
    Unavailable: {"Retry-After": "2"},
}
# What AWS answers when the same may be answered otherwise in a moment: botocore tries it again, but
# not for long. Sources: botocore's retries, the API references of DynamoDB and Step Functions.
_PASSING = frozenset(
    {
        "ExecutionLimitExceeded",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)


class FieldError(BaseModel):
    """One field that is wrong."""

    field: str = Field(description="The field: `body.notify[0]`, `query.limit`.")
    message: str = Field(description="What may stand there.")


class Problem(BaseModel):
    """Why a request was refused (RFC 9457)."""

    type: str = Field(description="A URL that tells kinds of problems apart and explains them.")
    title: str = Field(description="The kind of problem, in a sentence that is always the same.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What was wrong this time, and what is allowed.")
    instance: str = Field(description="The path that was asked.")
    request_id: str = Field(description="The name under which this request is logged.")
    errors: list[FieldError] | None = Field(
        default=None,
        description="Each invalid field. With status 422, and with `invalid-rule` and "
        "`invalid-parameters`.",
    )


def is_transient(error: BaseException | None) -> bool:
    """Whether what failed is AWS, in a way that passes: throttled, out of order, or not heard of.

    Who wrapped the error names it as its cause, PynamoDB in a field of its own.
    """
    while error is not None:
        if isinstance(error, aws.ClientError):
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return error.response["Error"]["Code"] in _PASSING or status >= 500
        if isinstance(error, (aws.HTTPClientError, aws.ConnectionError)):
            return True
        error = getattr(error, "cause", None) or error.__cause__
    return False


def slug_of(kind: type[JobyardError]) -> str:
    """The last part of a problem's type: `stale-state`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()


def title_of(kind: type[JobyardError]) -> str:
    """What a kind of problem is called: the first line of its docstring."""
    return (kind.__doc__ or kind.__name__).partition("\n")[0].rstrip(".")


def problem_response(error: JobyardError, event: Mapping[str, Any], url: str) -> Response[str]:
    """The answer that tells of `error`; `url` is where the API lies."""
    kind = next(kind for kind in (*type(error).__mro__, InternalError) if kind in STATUS)
    wrong = [
        FieldError(field=clean(where, _WHERE_BYTES), message=clean(words, _DETAIL_BYTES))
        for where, words in _errors_of(error)
    ]
    problem = Problem(
        type=f"{url}/api/docs#{slug_of(kind)}",
        title=title_of(kind),
        status=STATUS[kind],
        detail=clean(str(error), _DETAIL_BYTES),
        instance=quote(event["rawPath"], safe="/:%"),
        request_id=event["requestContext"]["requestId"],
        errors=wrong or None,
    )
    return Response(
        status_code=STATUS[kind],
        content_type=CONTENT_TYPE,
        body=json.dumps(problem.model_dump(exclude_none=True), separators=(",", ":")),
        headers=_headers_of(error, kind),
    )


def _headers_of(error: JobyardError, kind: type[JobyardError]) -> Mapping[str, str]:
    if isinstance(error, MethodNotAllowed):
        return {"Allow": ", ".join(error.allowed)}
    return _HEADERS.get(kind, {})


def _errors_of(error: JobyardError) -> Sequence[tuple[str, str]]:
    if isinstance(error, InvalidRule):
        return [(error.where, error.allowed)]
    if isinstance(error, InvalidParameters):
        place = f"body.parameters.{error.field}" if error.field else "body.parameters"
        return [(place, error.words)]
    return error.errors if isinstance(error, ValidationFailed) else ()


@contextmanager
def field_path(place: str) -> Iterator[None]:
    """Have what is refused in the block named by where it stands: `body.rule.every`.

    Raises:
        InvalidRule: as it was raised inside, but for the name of the field.
    """
    try:
        yield
    except InvalidRule as error:
        raise InvalidRule(f"{place}.{error.where}", error.allowed) from error


def validation_failed(found: Sequence[Mapping[str, Any]]) -> ValidationFailed:
    """What the validation found, in words."""
    return ValidationFailed([(_where(each["loc"]), _allowed(each)) for each in found])


def _where(place: Sequence[str | int]) -> str:
    """`body.notify[0]` for ("body", "notify", 0)."""
    first, *rest = place
    return str(first) + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in rest)


_WORDS = {
    "missing": "this field is needed",
    "extra_forbidden": "there is no such field",
}


def _allowed(error: Mapping[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return _WORDS.get(error["type"], message)


def problem_responses(*kinds: type[JobyardError]) -> dict[int, OpenAPIResponse]:
    """The problems a route may answer with, as its OpenAPI responses."""
    grouped: dict[int, list[str]] = {}
    for kind in kinds:
        grouped.setdefault(STATUS[kind].value, []).append(f"`{slug_of(kind)}`: {title_of(kind)}.")
    return {
        status: {
            "description": " ".join(words),
            "content": {CONTENT_TYPE: {"model": Problem}},
        }
        for status, words in grouped.items()
    }
