"""HTTP problems (RFC 9457): one table from refusals to responses."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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
_FIELD_BYTES = 200  # of the name of an invalid field, which comes from the caller
_DETAIL_BYTES = 8_000  # of a refusal's text, which may quote the request


class Unauthenticated(JobyardError):
    """The access token is missing or not valid."""


class PayloadTooLarge(JobyardError):
    """The body is larger than a request may be."""


class UnsupportedMediaType(JobyardError):
    """The body is not JSON."""


class ValidationFailed(JobyardError):
    """Fields or parameters are not valid. `errors` are (field, what is allowed)."""

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{where}: {allowed}" for where, allowed in errors))
        self.errors = errors


class MethodNotAllowed(JobyardError):
    """The path exists, but not with this method. `allowed` are its methods, sorted."""

    def __init__(self, message: str, allowed: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.allowed = allowed


class IdempotencyKeyReused(JobyardError):
    """The idempotency key was used with another body."""


class RequestInProgress(JobyardError):
    """A request with this idempotency key is still in progress."""


class Unavailable(JobyardError):
    """AWS throttles or does not answer."""


class InternalError(JobyardError):
    """The server failed unexpectedly."""


@dataclass(frozen=True)
class ProblemType:
    """The response to a refusal: HTTP status, name in the problem's `type`, title and headers."""

    status: int
    name: str
    title: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def description(self) -> str:
        """Name and title in Markdown."""
        return f"`{self.name}`: {self.title}."


# The one table of errors. The handler, the OpenAPI document and docs/api.md use it.
PROBLEMS: Mapping[type[JobyardError], ProblemType] = {
    BadRequest: ProblemType(400, "bad-request", "The request cannot be carried out as it stands"),
    InvalidRule: ProblemType(400, "invalid-rule", "The recurrence rule or calendar is not valid"),
    InvalidParameters: ProblemType(
        400, "invalid-parameters", "The job type does not accept these parameters"
    ),
    Unauthenticated: ProblemType(
        401,
        "unauthenticated",
        "The access token is missing or not valid",
        {"WWW-Authenticate": "Bearer"},
    ),
    Forbidden: ProblemType(403, "forbidden", "Your roles do not allow this"),
    NotFound: ProblemType(404, "not-found", "It does not exist, or you may not see it"),
    MethodNotAllowed: ProblemType(
        405, "method-not-allowed", "The path exists, but not with this method"
    ),
    InvalidTransition: ProblemType(
        409, "invalid-transition", "The event is not possible in the current state"
    ),
    OperationInProgress: ProblemType(
        409, "operation-in-progress", "Another operation on the same jobs is in progress"
    ),
    AlreadyHeld: ProblemType(409, "already-held", "A hold is already in force on this scope"),
    StaleState: ProblemType(409, "stale-state", "Someone else changed it first; read it again"),
    RequestInProgress: ProblemType(
        409,
        "request-in-progress",
        "A request with this idempotency key is still in progress",
        {"Retry-After": "1"},
    ),
    Gone: ProblemType(410, "gone", "It was deleted and cannot be restored"),
    PayloadTooLarge: ProblemType(
        413, "payload-too-large", "The body is larger than a request may be"
    ),
    UnsupportedMediaType: ProblemType(415, "unsupported-media-type", "The body is not JSON"),
    ValidationFailed: ProblemType(422, "validation-failed", "A field or parameter is not valid"),
    IdempotencyKeyReused: ProblemType(
        422, "idempotency-key-reused", "This idempotency key was used with another body"
    ),
    InternalError: ProblemType(
        500, "internal-error", "The server failed; its log has the request id"
    ),
    Unavailable: ProblemType(
        503,
        "unavailable",
        "AWS throttles or does not answer; send the request again",
        {"Retry-After": "2"},
    ),
}
# Error codes of AWS after which a repeat may succeed. botocore repeats them too, but not for long.
# Sources: botocore's retries, the API references of DynamoDB and Step Functions.
_TRANSIENT = frozenset(
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
    """An invalid field."""

    field: str = Field(description="The field: `body.notify[0]`, `query.limit`.")
    message: str = Field(description="What is allowed.")


class Problem(BaseModel):
    """Why a request was refused (RFC 9457)."""

    type: str = Field(
        description="The kind of problem, as a URL. Its fragment is in the table of errors."
    )
    title: str = Field(description="The kind of problem, as a sentence.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong with this request, and what is allowed.")
    instance: str = Field(description="The path of the request.")
    request_id: str = Field(description="The id of the request in the logs.")
    errors: list[FieldError] | None = Field(
        default=None,
        description="Each invalid field. With status 422, and with `invalid-rule` and "
        "`invalid-parameters`.",
    )


def is_transient(error: BaseException | None) -> bool:
    """Whether AWS throttled, failed or did not answer, so that a repeat may succeed.

    A wrapped error is found as the cause; PynamoDB has a field `cause` for it.
    """
    while error is not None:
        if isinstance(error, aws.ClientError):
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return error.response["Error"]["Code"] in _TRANSIENT or status >= 500
        if isinstance(error, (aws.HTTPClientError, aws.ConnectionError)):
            return True
        error = getattr(error, "cause", None) or error.__cause__
    return False


def problem_type(kind: type[JobyardError]) -> ProblemType:
    """The entry of a refusal's class, or of the nearest base class that has one."""
    known = next((each for each in kind.__mro__ if each in PROBLEMS), InternalError)
    return PROBLEMS[known]


def problem_response(error: JobyardError, event: Mapping[str, Any], url: str) -> Response[str]:
    """The response to a refused request. `url` is the deployment's."""
    kind = problem_type(type(error))
    errors = [
        FieldError(field=clean(where, _FIELD_BYTES), message=clean(message, _DETAIL_BYTES))
        for where, message in _errors_of(error)
    ]
    problem = Problem(
        type=f"{url}/api/docs#{kind.name}",
        title=kind.title,
        status=kind.status,
        detail=clean(str(error), _DETAIL_BYTES),
        instance=quote(event["rawPath"], safe="/:%"),
        request_id=event["requestContext"]["requestId"],
        errors=errors or None,
    )
    allow = {"Allow": ", ".join(error.allowed)} if isinstance(error, MethodNotAllowed) else {}
    return Response(
        status_code=kind.status,
        content_type=CONTENT_TYPE,
        body=json.dumps(problem.model_dump(exclude_none=True), separators=(",", ":")),
        headers={**kind.headers, **allow},
    )


def _errors_of(error: JobyardError) -> Sequence[tuple[str, str]]:
    if isinstance(error, InvalidRule):
        return [(error.where, error.allowed)]
    if isinstance(error, InvalidParameters):
        place = f"body.parameters.{error.field}" if error.field else "body.parameters"
        return [(place, error.problem)]
    return error.errors if isinstance(error, ValidationFailed) else ()


@contextmanager
def field_path(place: str) -> Iterator[None]:
    """Prefix the field of an InvalidRule with `place`, its path in the request: `body.rule.every`.

    Raises:
        InvalidRule: the block raised it; the field has the prefix.
    """
    try:
        yield
    except InvalidRule as error:
        raise InvalidRule(f"{place}.{error.where}", error.allowed) from error


def validation_failed(errors: Sequence[Mapping[str, Any]]) -> ValidationFailed:
    """The refusal for the errors that pydantic found."""
    return ValidationFailed([(_where(each["loc"]), _allowed(each)) for each in errors])


def _where(place: Sequence[str | int]) -> str:
    """`body.notify[0]` for ("body", "notify", 0)."""
    first, *rest = place
    return str(first) + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in rest)


_MESSAGES = {
    "missing": "this field is required",
    "extra_forbidden": "there is no such field",
}


def _allowed(error: Mapping[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return _MESSAGES.get(error["type"], message)


def problem_responses(*kinds: type[JobyardError]) -> dict[int, OpenAPIResponse]:
    """The OpenAPI responses for the refusals of a route, by status."""
    grouped: dict[int, list[str]] = {}
    for kind in map(problem_type, kinds):
        grouped.setdefault(kind.status, []).append(kind.description())
    return {
        status: {
            "description": " ".join(lines),
            "content": {CONTENT_TYPE: {"model": Problem}},
        }
        for status, lines in grouped.items()
    }


def problem_table() -> str:
    """The table of errors in Markdown: type, status and title of each."""
    rows = [f"| `{each.name}` | {each.status} | {each.title}. |" for each in PROBLEMS.values()]
    return "\n".join(["| type | status | title |", "|---|---|---|", *rows])
