"""The statements of a BatchExecuteStatement: their errors, and how a call is repeated."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from jobyard.store import transactions

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
