"""The table of a sweep: read pages of due records from an index, and change each page at once.

An index may lag behind its table, so it only suggests records; the conditions of the writes decide.
The changes of a page and the checkpoint that counts them are one transaction, so the counts are
exact.
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from jobyard.domain.errors import JobyardError
from jobyard.domain.jobs.failures import Failure
from jobyard.jobtypes.sweep.plan import Attribute, Plan, attribute

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PAGE_SIZE = 99  # records; a transaction has up to 100 items, and one is the checkpoint
MAX_TRIES = 8
_CONDITION_FAILED = "ConditionalCheckFailed"
# The changed record would be too large, or not fit the keys of one of the table's indexes.
_NOT_WRITABLE = frozenset({"ValidationError", "ItemCollectionSizeLimitExceeded"})
_BUSY = frozenset(
    {
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
_BAD_PARAMETERS = frozenset({"ResourceNotFoundException", "ValidationException"})

Record = Mapping[str, Attribute]
Key = tuple[tuple[str, str], ...]  # the type and the value of each attribute of a table's key


class TableError(JobyardError):
    """The table cannot be swept. The step fails with the code and the message."""

    def __init__(self, code: Failure, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Page:
    """Records that the index suggests, by key, and where the next page starts; {} at the end."""

    records: Mapping[Key, Record]
    next: Mapping[str, Any]


@dataclass(frozen=True)
class WriteResult:
    """The result of a transaction. `overtaken`: another worker wrote the checkpoint first.

    Unless `done`, nothing was written. `changed` are the records that have changed since they were
    read, `not_writable` those that DynamoDB does not accept, with its messages. If both are empty,
    others wrote the same records at the same time, or there was no response.
    """

    done: bool = False
    overtaken: bool = False
    changed: tuple[Key, ...] = ()
    not_writable: Mapping[Key, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A plan's table. `latest` is the last due value; `pause` waits for some seconds."""

    client: "DynamoDBClient"
    plan: Plan
    latest: Attribute
    pause: Callable[[float], None] = time.sleep

    def page(self, cursor: Mapping[str, Any]) -> Page:
        """The page of due records from `cursor` on, in the index's order; {} is the start.

        Raises:
            TableError: the table or its index is not as the plan says, or does not answer.
        """
        plan = self.plan
        names = _Names()
        # Each name once: the key may have the other two.
        wanted = dict.fromkeys((*plan.key, plan.partition, plan.due))
        request: dict[str, Any] = {
            "TableName": plan.table,
            "IndexName": plan.index,
            "KeyConditionExpression": f"{names(plan.partition)} = :partition AND "
            f"{names(plan.due)} <= :latest",
            "ExpressionAttributeValues": {
                ":partition": attribute(plan.value),
                ":latest": self.latest,
            },
            "ProjectionExpression": ", ".join(map(names, wanted)),
            "ExpressionAttributeNames": names.all,
            "Limit": PAGE_SIZE,
            "ReturnConsumedCapacity": "TOTAL",
        }
        if cursor:
            request["ExclusiveStartKey"] = cursor
        response = self._with_retries(lambda: self.client.query(**request))
        next_ = response.get("LastEvaluatedKey", {})
        return Page({self._key_of(item): item for item in response["Items"]}, next_)

    def reread(self, keys: Iterable[Key]) -> dict[Key, Record]:
        """The current records of these keys. Deleted records are left out.

        Raises:
            TableError: the table does not answer.
        """
        plan = self.plan
        names = _Names()
        wanted = dict.fromkeys((*plan.key, plan.partition, plan.due, *plan.unless))
        pending: dict[str, Any] = {
            plan.table: {
                "Keys": [self._item_key(key) for key in keys],
                "ProjectionExpression": ", ".join(map(names, wanted)),
                "ExpressionAttributeNames": names.all,
                "ConsistentRead": True,
            }
        }
        found: dict[Key, Record] = {}
        for tries in range(1, MAX_TRIES + 1):
            read = partial(
                self.client.batch_get_item, RequestItems=pending, ReturnConsumedCapacity="TOTAL"
            )
            response = self._with_retries(read)
            for item in response["Responses"].get(plan.table, ()):
                found[self._key_of(item)] = item
            pending = response.get("UnprocessedKeys", {})
            if not pending:
                return found
            self.wait(tries)
        raise TableError(Failure.TABLE_BUSY, f"the table {plan.table} throttles reads")

    def write(self, records: Mapping[Key, Record], checkpoint: Mapping[str, Any]) -> WriteResult:
        """Change the records and write the checkpoint: all of them, or nothing if one has changed
        since it was read.

        Raises:
            TableError: the table is not as the plan says, or may not be changed.
        """
        items = [checkpoint, *(self._update(key, seen) for key, seen in records.items())]
        try:
            with self._translated_errors():
                self.client.transact_write_items(
                    TransactItems=items, ReturnConsumedCapacity="TOTAL"
                )
        except ClientError as error:
            if error.response["Error"]["Code"] != "TransactionCanceledException":
                raise
            reasons: Sequence[Any] = error.response.get("CancellationReasons", ())
            return _write_result(list(records), reasons)
        except _Unavailable:
            return WriteResult()  # perhaps written: then the next try is overtaken
        return WriteResult(done=True)

    def wait(self, tries: int) -> None:
        """Wait after `tries` failed tries: longer each time, with jitter."""
        self.pause(0.05 * 2.0**tries * random.uniform(0.5, 1.0))

    def _update(self, key: Key, seen: Record) -> Any:
        plan = self.plan
        names = _Names()
        values: dict[str, Any] = {":partition": attribute(plan.value), ":seen": seen[plan.due]}
        sets = []
        conditions = [f"{names(plan.partition)} = :partition", f"{names(plan.due)} = :seen"]
        for number, (name, value) in enumerate(plan.sets.items()):
            values[f":set{number}"] = attribute(value)
            sets.append(f"{names(name)} = :set{number}")
        for number, (name, value) in enumerate(plan.unless.items()):
            values[f":unless{number}"] = attribute(value)
            conditions.append(f"NOT {names(name)} = :unless{number}")
        parts = ["SET " + ", ".join(sets)] if sets else []
        if plan.removes:
            parts.append("REMOVE " + ", ".join(map(names, plan.removes)))
        return {
            "Update": {
                "TableName": plan.table,
                "Key": self._item_key(key),
                "UpdateExpression": " ".join(parts),
                "ConditionExpression": " AND ".join(conditions),
                "ExpressionAttributeNames": names.all,
                "ExpressionAttributeValues": values,
            }
        }

    def _key_of(self, item: Record) -> Key:
        try:
            return tuple(next(iter(item[name].items())) for name in self.plan.key)
        except KeyError as error:
            message = f"the key of {self.plan.table} is not {', '.join(self.plan.key)}"
            raise TableError(Failure.BAD_PARAMETERS, message) from error

    def _item_key(self, key: Key) -> dict[str, Any]:
        return {name: {kind: value} for name, (kind, value) in zip(self.plan.key, key, strict=True)}

    def _with_retries(self, read: Callable[[], Any]) -> Any:
        """The response of `read`, which is repeated while AWS is unavailable.

        Raises:
            TableError: AWS stayed unavailable, or an error that no retry can help.
        """
        for tries in range(1, MAX_TRIES + 1):
            try:
                with self._translated_errors():
                    return read()
            except _Unavailable:
                self.wait(tries)
        raise TableError(Failure.TABLE_BUSY, f"the table {self.plan.table} does not answer")

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Turn the client's errors into `TableError` and `_Unavailable`."""
        try:
            yield
        except BotoCoreError as error:
            raise _Unavailable from error
        except ClientError as error:
            code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
            if code in _BUSY:
                raise _Unavailable from error
            if code in _BAD_PARAMETERS:
                table, index = self.plan.table, self.plan.index
                message = f"{table}, index {index}: {message}"
                if code == "ResourceNotFoundException":  # its message names neither
                    message = f"there is no table {table} with an index {index}"
                raise TableError(Failure.BAD_PARAMETERS, message) from error
            if code == "AccessDeniedException":
                message = f"Jobyard has no right to sweep {self.plan.table}"
                raise TableError(Failure.TABLE_NOT_ALLOWED, message) from error
            raise


def key_text(key: Key) -> str:
    """A record's key as text, for messages."""
    return "/".join(value for _, value in key)


class _Unavailable(Exception):
    """The request was throttled, or had no response."""


class _Names(dict[str, str]):
    """Placeholders by attribute name: many names are reserved words of DynamoDB."""

    def __call__(self, name: str) -> str:
        return self.setdefault(name, f"#n{len(self)}")

    @property
    def all(self) -> dict[str, str]:
        """The names by their placeholders."""
        return {placeholder: name for name, placeholder in self.items()}


def _write_result(keys: Sequence[Key], reasons: Sequence[Mapping[str, Any]]) -> WriteResult:
    """The result of a cancelled transaction. `reasons` are the checkpoint's and each record's."""
    codes = [reason.get("Code", "") for reason in reasons]
    if codes and codes[0] == _CONDITION_FAILED:
        return WriteResult(overtaken=True)
    of_records = list(zip(keys, codes[1:], reasons[1:], strict=False))
    return WriteResult(
        changed=tuple(key for key, code, _ in of_records if code == _CONDITION_FAILED),
        not_writable={
            key: reason.get("Message") or code
            for key, code, reason in of_records
            if code in _NOT_WRITABLE
        },
    )
