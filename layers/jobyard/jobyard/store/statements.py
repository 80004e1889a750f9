"""The errors of a statement in a BatchExecuteStatement, by what follows from them."""

from jobyard.store import transactions

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
