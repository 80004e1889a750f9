"""The statements of a BatchExecuteStatement: their errors, and how a call is repeated."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from jobyard.store import transactions
from jobyard.store.tables import client

_Pending = TypeVar("_Pending")
_TRIES = 8

BATCH_LIMIT = 25  # statements that a call takes; source: DynamoDB API reference
RETRYABLE_ERRORS = frozenset(
    {
        "ThrottlingError",
        "ProvisionedThroughputExceeded",
        "InternalServerError",
        "TransactionConflict",
        "RequestLimitExceeded",
    }
)
CONFLICT_ERRORS = frozenset({transactions.CONDITION_FAILED, "DuplicateItem"})


def repeat(
    pending: Sequence[_Pending],
    call: Callable[[Sequence[_Pending]], Sequence[_Pending]],
    pause: Callable[[float], None],
) -> None:
    """Repeat `call`, which returns what has to be tried again, until nothing is left.

    Raises:
        RuntimeError: something was left `_TRIES` times.
    """
    tries = 0
    while pending:
        pending = call(pending)
        if pending:
            tries += 1
            if tries == _TRIES:
                raise RuntimeError(f"DynamoDB throttled or failed statements {_TRIES} times")
            pause(transactions.backoff_s(tries))


def execute(statements: Sequence[Any], pause: Callable[[float], None]) -> list[bool]:
    """Execute statements, up to `BATCH_LIMIT`. Returns for each, in order, whether it was executed:
    it was not if its condition failed, or if the item of an INSERT exists.

    Raises:
        RuntimeError: DynamoDB refused a statement because of a bug, or failed it too often.
        ClientError: the call failed.
    """
    executed = [False] * len(statements)

    def call(pending: Sequence[int]) -> list[int]:
        responses = client().batch_execute_statement(
            Statements=[statements[index] for index in pending], ReturnConsumedCapacity="TOTAL"
        )["Responses"]
        again: list[int] = []
        for index, response in zip(pending, responses, strict=True):
            code = response.get("Error", {}).get("Code", "")
            if code in RETRYABLE_ERRORS:
                again.append(index)
            elif code and code not in CONFLICT_ERRORS:
                raise RuntimeError(f"{code}: {response['Error'].get('Message', '')}")
            else:
                executed[index] = not code
        return again

    repeat(range(len(statements)), call, pause)
    return executed
