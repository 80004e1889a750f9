"""Makes clients as strict as AWS where the emulator is lenient. Source: docs/aws.md.

`DynamoDBSemantics` and `S3Semantics` apply to every scenario; the others are fault profiles.
"""

import math
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from cli.local.emulator import ROOT
from cli.local.template_file import read_template
from jobyard.store import tables
from tests.call_interceptor import Answer, Call, CallInterceptor, Listener
from tests.infra.template_reader import written

Item = Mapping[str, Mapping[str, Any]]
Keys = Mapping[str, tuple[str, ...]]  # the names of a table's keys, by table

STATEMENTS = 25  # statements in a BatchExecuteStatement; this and the next from the API reference
CHARACTERS = 8192  # characters in a statement
PART_BYTES = 5 * 1024**2  # least size of a part but the last; source: S3 user guide, quotas
_GRAMMAR = set(
    [
        "AND",
        "BETWEEN",
        "DELETE",
        "EXISTS",
        "FROM",
        "IN",
        "INSERT",
        "INTO",
        "IS",
        "MISSING",
        "NOT",
        "NULL",
        "OR",
        "RETURNING",
        "SELECT",
        "SET",
        "UPDATE",
        "VALUE",
        "WHERE",
        "TRUE",
        "FALSE",
        "ALL",
        "NEW",
        "OLD",
        "MODIFIED",
        "REMOVE",
    ]
)
_TOKEN = re.compile(r"\"[^\"]*\"|'[^']*'|[A-Za-z_]\w*|\d+|\S")
_WRITES = frozenset(
    {"PutItem", "UpdateItem", "DeleteItem", "BatchExecuteStatement", "TransactWriteItems"}
)


def key_names() -> dict[str, tuple[str, ...]]:
    """The names of each table's keys, by table."""
    return {
        str(model.Meta.table_name): tuple(
            attribute.attr_name
            for attribute in model.get_attributes().values()
            if attribute.is_hash_key or attribute.is_range_key
        )
        for model in tables.MODELS.values()
    }


# Statements


def named(statement: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a PartiQL statement, by the attribute that each is assigned to, or else
    compared with."""
    tokens = _TOKEN.findall(statement["Statement"])
    parameters = iter(statement.get("Parameters", ()))
    found: dict[str, Any] = {}
    for name, sign, value in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if sign in {"=", ":"}:
            literal = {"S": value[1:-1]} if value[0] == "'" else {"N": value}
            found.setdefault(name.strip("\"'"), next(parameters) if value == "?" else literal)
    return found


def table_of(statement: Mapping[str, Any]) -> str:
    """The table of a PartiQL statement."""
    words = _TOKEN.findall(statement["Statement"])
    at = 1 if words[0].upper() == "UPDATE" else words.index("INTO" if "INTO" in words else "FROM")
    return str(words[at if words[0].upper() == "UPDATE" else at + 1]).strip('"')


def bare_reserved(statement: str) -> list[str]:
    """The reserved words that a statement uses as names without quotes."""
    bare = [token for token in _TOKEN.findall(statement) if token[0] not in "\"'"]
    return [token for token in bare if token.upper() in _reserved()]


@cache
def _reserved() -> set[str]:
    from moto.dynamodb.parsing.reserved_keywords import ReservedKeywords  # half a second

    return set(ReservedKeywords.get_reserved_keywords()) - _GRAMMAR


class DynamoDBSemantics(Listener):
    """Refuses batches of statements as DynamoDB does, and returns no items with refusals."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def prepare(self, call: Call) -> None:
        if call.operation == "BatchExecuteStatement":
            for place, each in enumerate(call.parameters["Statements"]):
                if bare_reserved(each["Statement"]):
                    call.refused[place] = "ValidationError"
            call.notes["illegal"] = self._why_illegal(call.parameters["Statements"])

    def before(self, call: Call) -> Answer | None:
        why = call.notes.get("illegal")
        return Answer.error(400, "ValidationException", why) if why else None

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        if call.operation == "BatchExecuteStatement":
            for response in parsed.get("Responses", ()):
                response.get("Error", {}).pop("Item", None)

    def _why_illegal(self, statements: list[dict[str, Any]]) -> str:
        if not 1 <= len(statements) <= STATEMENTS:
            return "Member must have length less than or equal to 25"
        if any(len(each["Statement"]) > CHARACTERS for each in statements):
            return "Member must have length less than or equal to 8192"
        reads = {each["Statement"].lstrip().upper().startswith("SELECT") for each in statements}
        if len(reads) > 1:
            return "Mixed read and write operations are not supported"
        keys = [self._key(each) for each in statements]
        if len(set(keys)) < len(keys):
            return "Provided list of item keys contains duplicates"
        return ""

    def _key(self, statement: Mapping[str, Any]) -> str:
        table, values = table_of(statement), named(statement)
        if table not in self._keys:  # the tables have other names since: moto's tests follow
            self._keys = {**self._keys, **key_names()}
        return repr((table, [values.get(name) for name in self._keys[table]]))


# S3


def listers() -> dict[str, set[str]]:
    """The buckets that each role may list, by logical ids, from template.yaml."""
    found: dict[str, set[str]] = {}
    for name, resource in read_template(ROOT)["Resources"].items():
        if resource["Type"] != "AWS::IAM::Role":
            continue
        for policy in resource["Properties"].get("Policies", ()):
            for statement in policy["PolicyDocument"]["Statement"]:
                actions, on = statement["Action"], statement["Resource"]
                if "s3:ListBucket" in ([actions] if isinstance(actions, str) else actions):
                    arns = on if isinstance(on, list) else [on]
                    buckets = {written(arn).removeprefix("${").split(".")[0] for arn in arns}
                    found.setdefault(name, set()).update(buckets)
    return found


class S3Semantics(Listener):
    """Answers 403 for missing objects to roles that may not list, and refuses what the emulator
    accepts."""

    def __init__(self, interceptor: CallInterceptor, raw: Any) -> None:
        self._interceptor, self._raw = interceptor, raw
        self._may_list = listers()
        self._parts: dict[tuple[str, int], int] = {}

    def prepare(self, call: Call) -> None:
        parameters = call.parameters
        if call.operation == "UploadPart":
            self._parts[parameters["UploadId"], parameters["PartNumber"]] = len(parameters["Body"])
        if call.operation == "UploadPartCopy":
            first, last = parameters["CopySourceRange"].removeprefix("bytes=").split("-")
            size = int(last) - int(first) + 1
            self._parts[parameters["UploadId"], parameters["PartNumber"]] = size

    def before(self, call: Call) -> Answer | None:
        parameters = call.parameters
        creates = call.operation in {"PutObject", "CopyObject", "CompleteMultipartUpload"}
        is_archived = creates and parameters["Bucket"] == "archive"
        if self._interceptor.role and is_archived and "IfNoneMatch" not in parameters:
            return Answer.error(403, "AccessDenied", "with an explicit deny in a bucket policy")
        if call.operation == "CopyObject" and parameters.get("IfNoneMatch") == "*":
            found = self._raw.list_objects_v2(Bucket=parameters["Bucket"], Prefix=parameters["Key"])
            if any(each["Key"] == parameters["Key"] for each in found.get("Contents", ())):
                return Answer.error(412, "PreconditionFailed", "If-None-Match")
        if call.operation == "CompleteMultipartUpload":
            parts = sorted(each["PartNumber"] for each in parameters["MultipartUpload"]["Parts"])
            sizes = [self._parts[parameters["UploadId"], number] for number in parts]
            if any(size < PART_BYTES for size in sizes[:-1]):
                return Answer.error(400, "EntityTooSmall", "Your proposed upload is too small")
        return None

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        if (
            status == 404
            and call.operation in {"HeadObject", "GetObject"}
            and self._interceptor.role
        ):
            bucket = f"{call.parameters['Bucket'].capitalize()}Bucket"
            if bucket not in self._may_list.get(self._interceptor.role, ()):
                code = "403" if call.operation == "HeadObject" else "AccessDenied"
                parsed["Error"] = {"Code": code, "Message": "Forbidden"}
                parsed["ResponseMetadata"]["HTTPStatusCode"] = 403


class Conflict(Listener):
    """The first completion of a new object's upload conflicts with another writer: 409."""

    def __init__(self) -> None:
        self.hits = 0

    def before(self, call: Call) -> Answer | None:
        is_it = call.operation == "CompleteMultipartUpload" and "IfNoneMatch" in call.parameters
        if is_it and not self.hits:
            self.hits += 1
            return Answer.error(409, "ConditionalRequestConflict", "Please try again")
        return None


# Fault profiles of DynamoDB


class Refusing(Listener):
    """Each `every`-th statement is answered with `code`, applied or not."""

    def __init__(self, code: str, *, applied: bool, every: int = 3) -> None:
        self._code, self._applied, self._every = code, applied, every
        self._lock = threading.Lock()
        self._number = 0
        self.hits = 0

    def prepare(self, call: Call) -> None:
        if call.operation != "BatchExecuteStatement":
            return
        with self._lock:
            for place in range(len(call.parameters["Statements"])):
                self._number += 1
                if self._number % self._every == 0:
                    self.hits += 1
                    call.notes.setdefault("places", []).append(place)
                    if not self._applied:
                        call.refused.setdefault(place, self._code)

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        if self._applied and "Responses" in parsed:
            for place in call.notes.get("places", ()):
                parsed["Responses"][place] = {"Error": {"Code": self._code, "Message": ""}}


class Throttling(Listener):
    """Throttles every third try of a single write or a transaction, and every twelfth of a read. A
    client that gives up after five tries can bear that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tries: Counter[bool] = Counter()
        self.hits = 0

    def before_send(self, operation: str, parameters: Mapping[str, Any]) -> str | None:
        if operation == "BatchExecuteStatement":
            return None
        writes = operation in _WRITES
        with self._lock:
            self._tries[writes] += 1
            if self._tries[writes] % (3 if writes else 12):
                return None
            self.hits += 1
        return "ThrottlingException"


class Conflicting(Listener):
    """Every second transaction is cancelled, as if another one wrote one of its items."""

    def __init__(self) -> None:
        self._number = 0
        self.hits = 0

    def before(self, call: Call) -> Answer | None:
        if call.operation != "TransactWriteItems":
            return None
        self._number += 1
        if self._number % 2:
            self.hits += 1
            others = [{"Code": "None"} for _ in call.parameters["TransactItems"][1:]]
            reasons = [{"Code": "TransactionConflict", "Message": ""}, *others]
            words = "Transaction cancelled, please refer cancellation reasons"
            return Answer.error(
                400, "TransactionCanceledException", words, CancellationReasons=reasons
            )
        return None


@dataclass
class Cancelling(Listener):
    """Each transaction is cancelled, with `code` as the reason of its first item."""

    code: str
    call_count: int = 0

    def before(self, call: Call) -> Answer | None:
        if call.operation != "TransactWriteItems":
            return None
        self.call_count += 1
        others = [{"Code": "None"} for _ in call.parameters["TransactItems"][1:]]
        reasons = [{"Code": self.code}, *others]
        return Answer.error(400, "TransactionCanceledException", CancellationReasons=reasons)


class Stale(Listener):
    """Reads that are not strongly consistent, and reads of an index, lack the last writes of the
    table. They have all writes once the clock has moved.

    They go to copies of the tables in `keys`; other tables must be read strongly.
    """

    def __init__(
        self, raw: Any, keys: Keys, lag: int = 3, now: Callable[[], Any] = lambda: None
    ) -> None:
        self._raw, self._keys, self._lag, self._now = raw, keys, lag, now
        self._read_at = now()
        self._lock = threading.Lock()
        self._behind: dict[str, deque[tuple[Item, Item | None]]] = {each: deque() for each in keys}
        self.hits = 0

    @contextmanager
    def copying(self) -> Iterator["Stale"]:
        """With copies of all tables, which are removed afterwards."""
        for table in self._keys:
            described = self._raw.describe_table(TableName=table)["Table"]
            indexes = [
                {part: index[part] for part in ("IndexName", "KeySchema", "Projection")}
                for index in described.get("GlobalSecondaryIndexes", ())
            ]
            self._raw.create_table(
                TableName=f"stale-{table}",
                KeySchema=described["KeySchema"],
                AttributeDefinitions=described["AttributeDefinitions"],
                BillingMode="PAY_PER_REQUEST",
                **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
            )
            for page in self._raw.get_paginator("scan").paginate(TableName=table):
                for item in page["Items"]:
                    self._raw.put_item(TableName=f"stale-{table}", Item=item)
        try:
            yield self
        finally:
            for table in self._keys:
                self._raw.delete_table(TableName=f"stale-{table}")

    def catch_up(self, lag: int = 0) -> None:
        """Time has passed: the copies lack only `lag` writes."""
        with self._lock:
            for table, behind in self._behind.items():
                while len(behind) > lag:
                    self._write(table, *behind.popleft())

    def prepare(self, call: Call) -> None:
        parameters = call.parameters
        if call.operation in {"Query", "GetItem", "Scan"} and not parameters.get("ConsistentRead"):
            self.hits += 1
            if self._now() != self._read_at:
                self._read_at = self._now()
                self.catch_up()
            assert parameters["TableName"] in self._keys, (
                f"a read of {parameters['TableName']} is not strong"
            )
            parameters["TableName"] = f"stale-{parameters['TableName']}"
        if call.operation == "BatchGetItem":
            assert all(each.get("ConsistentRead") for each in parameters["RequestItems"].values())

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        if call.operation in _WRITES and status < 300:
            for table, key in written_keys(call, parsed, self._keys):
                if table not in self._keys:
                    continue
                found = self._raw.get_item(TableName=table, Key=key, ConsistentRead=True)
                self._behind[table].append((key, found.get("Item")))
            self.catch_up(self._lag)

    def _write(self, table: str, key: Item, item: Item | None) -> None:
        if item:
            self._raw.put_item(TableName=f"stale-{table}", Item=item)
        else:
            self._raw.delete_item(TableName=f"stale-{table}", Key=key)


class Capacity(Listener):
    """A rate of write units a second for a table, and for each of its hash keys.

    Writes above it are throttled. `clock` gives seconds. Source of the rates: a new on-demand table
    and one partition, DynamoDB developer guide.
    """

    def __init__(
        self,
        keys: Keys,
        table: float = 4000.0,
        key: float = 1000.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys, self._table, self._key, self._clock = keys, table, key, clock
        self._lock = threading.Lock()
        self._left: dict[tuple[str, str], tuple[float, float]] = {}
        self.hits = 0
        self.units: Counter[str] = Counter()

    def prepare(self, call: Call) -> None:
        if call.operation == "BatchExecuteStatement":
            for place, each in enumerate(call.parameters["Statements"]):
                if not self._fits([(table_of(each), named(each), 1)]):
                    call.refused[place] = "ThrottlingError"

    def before_send(self, operation: str, parameters: Mapping[str, Any]) -> str | None:
        items: list[tuple[str, Item, int]] = []
        if operation in {"PutItem", "UpdateItem", "DeleteItem"}:
            items = [(parameters["TableName"], parameters.get("Item") or parameters["Key"], 1)]
        if operation == "TransactWriteItems":
            parts = [next(iter(each.values())) for each in parameters["TransactItems"]]
            items = [(part["TableName"], part.get("Item") or part["Key"], 2) for part in parts]
        if self._fits(items):
            return None
        return "ThrottlingException"

    def _fits(self, items: list[tuple[str, Item, int]]) -> bool:
        """Take the units of all items if there are enough; else take none. `items` have a number of
        writes each."""
        units: Counter[tuple[str, str]] = Counter()
        for table, item, times in items:
            needed = times * math.ceil(size_of(item) / 1024)
            units.update({(table, ""): needed, (table, str(item[self._keys[table][0]])): needed})
        with self._lock:
            now = self._clock()
            rates = {of: self._key if of[1] else self._table for of in units}
            left = {of: self._filled(of, rates[of], now) for of in units}
            # What needs more units than a second has is written on credit, if none are used.
            if any(left[of] < min(needed, rates[of]) for of, needed in units.items()):
                self.hits += 1
                return False
            self._left |= {of: (left[of] - needed, now) for of, needed in units.items()}
            self.units.update({of[0]: needed for of, needed in units.items() if not of[1]})
        return True

    def _filled(self, of: tuple[str, str], rate: float, now: float) -> float:
        left, at = self._left.get(of, (rate, now))
        return min(rate, left + (now - at) * rate)


class Sizes(Listener):
    """The largest item written to each table, in bytes."""

    def __init__(self) -> None:
        self.largest: Counter[str] = Counter()

    def prepare(self, call: Call) -> None:
        parameters = call.parameters
        items = [(table_of(each), named(each)) for each in parameters.get("Statements", ())]
        if call.operation == "PutItem":
            items = [(parameters["TableName"], parameters["Item"])]
        puts = [each["Put"] for each in parameters.get("TransactItems", ()) if "Put" in each]
        items += [(put["TableName"], put["Item"]) for put in puts]
        for table, item in items:
            self.largest[table] = max(self.largest[table], size_of(item))


def written_keys(call: Call, parsed: dict[str, Any], keys: Keys) -> list[tuple[str, Item]]:
    """The items that a call wrote, by table and key."""
    parameters = call.parameters
    found: list[tuple[str, Item]] = []
    if call.operation == "BatchExecuteStatement":
        answers = [each for n, each in enumerate(parsed["Responses"]) if n not in call.refused]
        for statement, answer in zip(parameters["Statements"], answers, strict=True):
            if "Error" not in answer:
                found.append((table_of(statement), named(statement)))
    elif call.operation == "TransactWriteItems":
        for each in parameters["TransactItems"]:
            kind, part = next(iter(each.items()))
            if kind != "ConditionCheck":
                found.append((part["TableName"], part.get("Item") or part["Key"]))
    else:
        found.append((parameters["TableName"], parameters.get("Item") or parameters["Key"]))
    return [(table, {name: item[name] for name in keys.get(table, ())}) for table, item in found]


def size_of(value: Any) -> int:
    """The bytes of an item by DynamoDB's rules: names and strings in UTF-8; a number takes a byte
    for two digits and one more; a list or map three bytes, and one for each element."""
    if isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in _SIZES:
        kind, inside = next(iter(value.items()))
        return _SIZES[kind](inside)
    return sum(len(name.encode()) + size_of(inside) for name, inside in value.items())


_SIZES: dict[str, Callable[[Any], int]] = {
    "S": lambda text: len(text.encode()),
    "N": lambda digits: len(digits.strip("-").replace(".", "")) // 2 + 2,
    "B": len,
    "BOOL": lambda _: 1,
    "NULL": lambda _: 1,
    "L": lambda inside: 3 + sum(1 + size_of(each) for each in inside),
    "M": lambda inside: 3 + sum(1 + len(k.encode()) + size_of(v) for k, v in inside.items()),
}
