"""The table a sweep goes through: pages of what is due, read by an index and changed as one.

An index may be a moment behind its table, so it only suggests; the conditions of the changes decide
in the table itself. A page's changes and the checkpoint that counts them are one transaction: what
is changed is counted, and nothing else is.
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from jobyard.domain.errors import JobyardError
from jobyard.domain.jobs.failures import Failure
from jobyard.jobtypes.sweep.plan import Attribute, Plan, attribute

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PAGE = 99  # records a transaction changes: it takes 100 items, and one is the checkpoint
TRIES = 8
_REFUSED = "ConditionalCheckFailed"
# A record that AWS will not write so: too large then, or no key of one of the table's indexes.
_UNFIT = frozenset({"ValidationError", "ItemCollectionSizeLimitExceeded"})
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
_MISFITS = frozenset({"ResourceNotFoundException", "ValidationException"})

Record = Mapping[str, Attribute]
Key = tuple[tuple[str, str], ...]  # the type and the value of each attribute of a table's key


class TableRefused(JobyardError):
    """The table cannot be gone through; a value of the sweep's answer follows from it."""

    def __init__(self, code: Failure, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


@dataclass(frozen=True)
class Page:
    """Records that the index suggests, none twice, and where the next page begins; {}: nowhere."""

    records: Mapping[Key, Record]
    next: Mapping[str, Any]


@dataclass(frozen=True)
class Written:
    """What became of a transaction. `overtaken`: the checkpoint is another one by now.

    Unless it is `done`, nothing was written: `refused` are records whose condition did not hold,
    `unfit` those that cannot be written, each with AWS's words. Without any, others were at work on
    the same records, or no answer came.
    """

    done: bool = False
    overtaken: bool = False
    refused: tuple[Key, ...] = ()
    unfit: Mapping[Key, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A plan's table. `latest` is the last value that is due; `pause` waits seconds."""

    client: "DynamoDBClient"
    plan: Plan
    latest: Attribute
    pause: Callable[[float], None] = time.sleep

    def page(self, place: Mapping[str, Any]) -> Page:
        """The next of what the index says is due, in its order.

        Raises:
            TableRefused: the table or its index is not as the plan says, or answers nothing.
        """
        plan = self.plan
        names = _Names()
        wanted = dict.fromkeys((*plan.key, plan.partition, plan.due))  # the two may be in the key
        asked: dict[str, Any] = {
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
            "Limit": PAGE,
            "ReturnConsumedCapacity": "TOTAL",
        }
        if place:
            asked["ExclusiveStartKey"] = place
        answer = self._patiently(lambda: self.client.query(**asked))
        next_ = answer.get("LastEvaluatedKey", {})
        return Page({self._key_of(item): item for item in answer["Items"]}, next_)

    def reread(self, keys: Iterable[Key]) -> dict[Key, Record]:
        """Records as the table has them now, those that are still there.

        Raises:
            TableRefused: it answers nothing.
        """
        plan = self.plan
        names = _Names()
        wanted = dict.fromkeys((*plan.key, plan.partition, plan.due, *plan.unless))
        asked: dict[str, Any] = {
            plan.table: {
                "Keys": [self._item_key(key) for key in keys],
                "ProjectionExpression": ", ".join(map(names, wanted)),
                "ExpressionAttributeNames": names.all,
                "ConsistentRead": True,
            }
        }
        found: dict[Key, Record] = {}
        for tries in range(1, TRIES + 1):
            asking = asked

            def read(asking: Any = asking) -> Any:
                return self.client.batch_get_item(
                    RequestItems=asking, ReturnConsumedCapacity="TOTAL"
                )

            answer = self._patiently(read)
            for item in answer["Responses"].get(plan.table, ()):
                found[self._key_of(item)] = item
            asked = answer.get("UnprocessedKeys", {})
            if not asked:
                return found
            self.wait(tries)
        raise TableRefused(Failure.TABLE_BUSY, f"the table {plan.table} throttles reads")

    def write(self, records: Mapping[Key, Record], checkpoint: Mapping[str, Any]) -> Written:
        """Change records that are as they were seen, and write the checkpoint, or neither.

        Raises:
            TableRefused: the table is not as the plan says, or we have no right to change it.
        """
        items = [checkpoint, *(self._update(key, seen) for key, seen in records.items())]
        try:
            with self._understood():
                self.client.transact_write_items(
                    TransactItems=items, ReturnConsumedCapacity="TOTAL"
                )
        except ClientError as error:
            if error.response["Error"]["Code"] != "TransactionCanceledException":
                raise
            reasons: Sequence[Any] = error.response.get("CancellationReasons", ())
            return _judged(list(records), reasons)
        except _NoAnswerError:
            return Written()  # done or not: the checkpoint's condition tells at the next try
        return Written(done=True)

    def wait(self, tries: int) -> None:
        """Wait after `tries` that came to nothing: longer each time, and never all alike."""
        self.pause(0.05 * 2.0**tries * random.uniform(0.5, 1.0))

    def _update(self, key: Key, seen: Record) -> Any:
        plan = self.plan
        names = _Names()
        values: dict[str, Any] = {":partition": attribute(plan.value), ":seen": seen[plan.due]}
        sets, holds = [], [f"{names(plan.partition)} = :partition", f"{names(plan.due)} = :seen"]
        for number, (name, value) in enumerate(plan.sets.items()):
            values[f":set{number}"] = attribute(value)
            sets.append(f"{names(name)} = :set{number}")
        for number, (name, value) in enumerate(plan.unless.items()):
            values[f":unless{number}"] = attribute(value)
            holds.append(f"NOT {names(name)} = :unless{number}")
        parts = ["SET " + ", ".join(sets)] if sets else []
        if plan.removes:
            parts.append("REMOVE " + ", ".join(map(names, plan.removes)))
        return {
            "Update": {
                "TableName": plan.table,
                "Key": self._item_key(key),
                "UpdateExpression": " ".join(parts),
                "ConditionExpression": " AND ".join(holds),
                "ExpressionAttributeNames": names.all,
                "ExpressionAttributeValues": values,
            }
        }

    def _key_of(self, item: Record) -> Key:
        try:
            return tuple(next(iter(item[name].items())) for name in self.plan.key)
        except KeyError as error:
            words = f"the key of {self.plan.table} is not {', '.join(self.plan.key)}"
            raise TableRefused(Failure.BAD_PARAMETERS, words) from error

    def _item_key(self, key: Key) -> dict[str, Any]:
        return {name: {kind: value} for name, (kind, value) in zip(self.plan.key, key, strict=True)}

    def _patiently(self, read: Callable[[], Any]) -> Any:
        """A read's answer, asked for again while there is none."""
        for tries in range(1, TRIES + 1):
            try:
                with self._understood():
                    return read()
            except _NoAnswerError:
                self.wait(tries)
        raise TableRefused(Failure.TABLE_BUSY, f"the table {self.plan.table} gives no answer")

    @contextmanager
    def _understood(self) -> Iterator[None]:
        try:
            yield
        except BotoCoreError as error:
            raise _NoAnswerError from error
        except ClientError as error:
            code, words = error.response["Error"]["Code"], error.response["Error"]["Message"]
            if code in _BUSY:
                raise _NoAnswerError from error
            if code in _MISFITS:
                table, index = self.plan.table, self.plan.index
                told = f"{table}, index {index}: {words}"
                if code == "ResourceNotFoundException":  # its words name neither
                    told = f"there is no table {table} with an index {index}"
                raise TableRefused(Failure.BAD_PARAMETERS, told) from error
            if code == "AccessDeniedException":
                told = f"Jobyard has no right to go through {self.plan.table}"
                raise TableRefused(Failure.TABLE_NOT_ALLOWED, told) from error
            raise


def name_of(key: Key) -> str:
    """A record's key as people read it."""
    return "/".join(value for _, value in key)


class _NoAnswerError(Exception):
    """The client gave up: throttled, or no answer came."""


class _Names(dict[str, str]):
    """Stand-ins for names of attributes, many of which are words of DynamoDB's own."""

    def __call__(self, name: str) -> str:
        return self.setdefault(name, f"#n{len(self)}")

    @property
    def all(self) -> dict[str, str]:
        """The names by their stand-ins."""
        return {stand_in: name for name, stand_in in self.items()}


def _judged(keys: Sequence[Key], reasons: Sequence[Mapping[str, Any]]) -> Written:
    """What a cancelled transaction's reasons mean: the first is the checkpoint's, then a record's
    each."""
    codes = [reason.get("Code", "") for reason in reasons]
    if codes and codes[0] == _REFUSED:
        return Written(overtaken=True)
    of_records = list(zip(keys, codes[1:], reasons[1:], strict=False))
    return Written(
        refused=tuple(key for key, code, _ in of_records if code == _REFUSED),
        unfit={
            key: reason.get("Message") or code for key, code, reason in of_records if code in _UNFIT
        },
    )
