"""Maps errors to HTTP problems: one table for the API and the pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from botocore import exceptions as aws

from jobyard.domain.errors import (
    AlreadyHeld,
    BadRequest,
    Forbidden,
    Gone,
    InvalidCampaign,
    InvalidParameters,
    InvalidRule,
    InvalidTransition,
    JobyardError,
    NotFound,
    OperationInProgress,
    QuotaExceeded,
    StaleState,
)


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
    """The HTTP response for an error class: status, name in its `type`, title and headers."""

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
    InvalidCampaign: ProblemType(400, "invalid-campaign", "The campaign is not valid"),
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
    QuotaExceeded: ProblemType(429, "quota-exceeded", "A limit for each person is reached"),
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
    """The problem type of an error class, or of the nearest base class that has one."""
    known = next((each for each in kind.__mro__ if each in PROBLEMS), InternalError)
    return PROBLEMS[known]
