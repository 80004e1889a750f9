"""How steps invoke Lambda functions: those that the deployment allows, and no others."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
)

from jobyard.domain.jobs.failures import Failure
from jobyard.jobtypes.calls import MAX_ANSWER_BYTES
from jobyard.jobtypes.functions import FunctionAnswer, FunctionRefused

# What AWS answers instead of an invocation. Source: Lambda's Invoke.
_CODES = {
    "TooManyRequestsException": Failure.CALL_BUSY,
    "EC2ThrottledException": Failure.CALL_BUSY,
    "SubnetIPAddressLimitReachedException": Failure.CALL_BUSY,
    "ResourceConflictException": Failure.CALL_BUSY,  # it is being updated
    "ResourceNotReadyException": Failure.CALL_BUSY,
    "ResourceNotFoundException": Failure.CALL_NOT_ALLOWED,
    "AccessDeniedException": Failure.CALL_NOT_ALLOWED,
    "RequestTooLargeException": Failure.CALL_REFUSED,
}


class LambdaClient(Protocol):
    """What is used of the client of Lambda. It never retries: a function would run twice."""

    def invoke(self, *, FunctionName: str, InvocationType: str, Payload: bytes) -> Any:
        """Invoke a function."""


@dataclass(frozen=True)
class FunctionAccess:
    """The functions in `allowed`, as ARNs. `client` returns the client of Lambda."""

    allowed: tuple[str, ...]
    client: Callable[[], LambdaClient]

    def invoke(self, name: str, payload: bytes, *, is_async: bool) -> FunctionAnswer:
        """Invoke a function, by its ARN or its name, and return its answer; an empty one if
        `is_async`.

        Raises:
            FunctionRefused: CALL_NOT_ALLOWED, CALL_BUSY; CALL_UNANSWERED, it may have run.
        """
        kind = "Event" if is_async else "RequestResponse"
        try:
            answer = self.client().invoke(
                FunctionName=self._arn_of(name), InvocationType=kind, Payload=payload
            )
            if is_async:
                return FunctionAnswer()
            return FunctionAnswer(
                answer["Payload"].read(MAX_ANSWER_BYTES), "FunctionError" in answer
            )
        except ClientError as error:
            code = _CODES.get(error.response["Error"]["Code"], Failure.CALL_UNANSWERED)
            reason = f"{name} was not invoked: {error.response['Error'].get('Message', '')}"
            raise FunctionRefused(code, reason) from error
        except (ConnectTimeoutError, EndpointConnectionError) as error:
            raise FunctionRefused(Failure.CALL_UNANSWERED, "Lambda cannot be reached") from error
        except BotoCoreError as error:
            reason = f"there was no answer of {name} in time"
            raise FunctionRefused(Failure.CALL_UNANSWERED, reason) from error

    def _arn_of(self, name: str) -> str:
        """The ARN of an allowed function, which ends in its name, or in its name and alias.

        Raises:
            FunctionRefused: CALL_NOT_ALLOWED, it is not one of them.
        """
        for arn in self.allowed:
            if name and name in {arn, arn.partition(":function:")[2]}:
                return arn
        reason = f"the deployment does not allow the function {name!r:.200}"
        raise FunctionRefused(Failure.CALL_NOT_ALLOWED, reason)


def _no_client() -> LambdaClient:
    raise NotImplementedError("this worker invokes no functions")


NO_FUNCTIONS = FunctionAccess((), _no_client)
