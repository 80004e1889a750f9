"""AWS on moto, without what moto works out again at each call."""

import copy
import json
import re
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import pytest
from botocore.awsrequest import AWSPreparedRequest
from moto import backend_index, mock_aws
from moto.core import responses
from moto.core.base_backend import BaseBackend
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.common_types import TYPE_RESPONSE
from moto.core.utils import method_names_from_class
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler

from tests.unsigned_calls import Found, unsigned_calls

USED = {"cloudwatch", "cognito-idp", "dynamodb", "logs", "s3", "sqs", "stepfunctions"}
ACCOUNT = "123456789012"
# Calls of DynamoDB whose results are JSON as moto has them.
_ABOUT_ITEMS = {
    *("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan"),
    *("BatchGetItem", "BatchWriteItem", "TransactGetItems", "TransactWriteItems"),
}
_DYNAMODB = re.compile(r"https://dynamodb\.([^.]+)\.amazonaws\.com/$")
_NEAR_LIMIT = 100_000  # bytes that were put into an item; DynamoDB takes 409,600, moto 405,000
_BINARY = re.compile(rb'"BS?": ')


@contextmanager
def moto_aws() -> Iterator[None]:
    """Calls of botocore go to moto for the block.

    A call's URL is tried with the patterns of two hundred services, then with all routes of the
    service that it finds. The services that are used here come first, and routes are made once.
    Calls about items go to moto's DynamoDB directly, whose tables are quick (`QUICK`).
    """
    patterns = sorted(backend_index.backend_url_patterns, key=lambda each: each[0] not in USED)
    routes = property(cache(BaseBackend.urls.fget))  # type: ignore[attr-defined]
    process = BotocoreStubber.process_request

    def answer(stubber: BotocoreStubber, request: AWSPreparedRequest) -> TYPE_RESPONSE | None:
        return about_items(request) or process(stubber, request)

    with (
        mock_aws(),
        unsigned_calls(_is_of_aws, _cached_endpoints()),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(backend_index, "backend_url_patterns", patterns)
        patch.setattr(BaseBackend, "urls", routes)
        patch.setattr(responses, "method_names_from_class", cache(method_names_from_class))
        patch.setattr(BotocoreStubber, "process_request", answer)
        for (owner, name), quick in QUICK.items():
            patch.setattr(owner, name, quick, raising=False)
        yield


def _is_of_aws(url: str) -> bool:
    return url.startswith("https://") and ".amazonaws.com" in url


def _cached_endpoints() -> Callable[..., Found]:
    """Finds an endpoint by botocore's rules, once for each client, operation and bucket."""
    known: WeakKeyDictionary[Any, dict[tuple[str, str], Found]] = WeakKeyDictionary()

    def endpoint_of(
        client: Any, model: Any, params: Mapping[str, Any], by_rules: Callable[[], Found]
    ) -> Found:
        of_client = known.setdefault(client, {})
        call = model.name, params.get("Bucket", "")
        if call not in of_client:
            of_client[call] = by_rules()
        url, headers, properties = of_client[call]
        return url, {**headers}, {**properties}

    return endpoint_of


def about_items(request: AWSPreparedRequest) -> TYPE_RESPONSE | None:
    """What moto's DynamoDB answers to a call about items; None for other calls.

    moto reads and writes JSON by the model of the service, which takes ten times as long as the
    call. What has binary attributes still goes that way.
    """
    found = _DYNAMODB.match(request.url)
    target = request.headers.get("X-Amz-Target", "")
    target = target.decode() if isinstance(target, bytes) else target
    operation = target.rpartition(".")[2]
    if not found or operation not in _ABOUT_ITEMS or _BINARY.search(request.body):
        return None
    items = _Items(found[1], target, request.body)
    _transaction.items = items.params.get("TransactItems", ())
    try:
        answer: TYPE_RESPONSE = items.call_action()
    finally:
        _transaction.items = ()
    return answer


class _Items(DynamoHandler):
    """A call about items whose parameters are read and whose result is written as JSON."""

    def __init__(self, region: str, target: str, body: bytes) -> None:
        super().__init__()
        self.params = json.loads(body)
        self.region, self.current_account = region, ACCOUNT
        self.headers = {"x-amz-target": target, "Content-Type": "application/x-amz-json-1.0"}
        self.querystring: dict[str, Any] = {}
        self.response_headers: dict[str, str] = {}

    def serialized(self, action_result: responses.ActionResult) -> TYPE_RESPONSE:
        if isinstance(action_result.result, Exception):
            return super().serialized(action_result)
        return 200, {}, json.dumps(action_result.result, default=_binary)

    @staticmethod
    def _enrich_response(headers: dict[str, str], body: Any) -> tuple[dict[str, str], Any]:
        return headers | {"x-amzn-requestid": "request"}, body


def _binary(value: bytes) -> str:
    return b64encode(value).decode()


# Tables. To query one, moto sorts all of its items, and compares them one by one in Python; before
# a transaction it copies all of them. So a call takes the longer the more items other tests left.

_transaction = threading.local()  # its `items` are those of the transaction that this thread runs
_PLAIN = frozenset({"S", "B", "BOOL"})  # types whose value is compared as it is
_cast_by_moto = DynamoType.cast_value.fget  # type: ignore[attr-defined]
_query_by_moto = Table.query


def _cast(value: DynamoType) -> Any:
    return value.value if value.type in _PLAIN else _cast_by_moto(value)


def _equals(value: DynamoType, other: DynamoType) -> bool:
    return value.type == other.type and _cast(value) == _cast(other)


def _differs(value: DynamoType, other: DynamoType) -> bool:
    return not _equals(value, other)


def _hash(value: DynamoType) -> int:
    return hash((value.type, _cast(value)))


def _query(
    table: Table, hash_key: DynamoType, *more: Any, index_name: str | None = None, **how: Any
) -> Any:
    """A query of a table reads the items with the key only, as if there were no others."""
    index_name = more[6] if len(more) > 6 else index_name
    if index_name:
        return _query_by_moto(table, hash_key, *more, **how)
    part = copy.copy(table)
    part.items = {key: table.items[key] for key in (hash_key,) if key in table.items}  # type: ignore[assignment]
    return _query_by_moto(part, hash_key, *more, **how)


def _all_items(table: Table) -> list[Item]:
    """All items in the order of their keys, which are compared as strings or numbers."""
    stored: Any = table.items.values()
    if not table.range_key_attr:
        return sorted(stored, key=lambda item: _cast(item.hash_key))
    found = [item for items in stored for item in items.values()]
    return sorted(found, key=lambda item: (_cast(item.hash_key), _cast(item.range_key)))


def _sorted_items(table: Table, hashes: Any, ranges: Any, items: list[Item]) -> list[Item]:
    attributes = table._generate_attr_to_sort_by(hashes, ranges)
    items.sort(key=lambda item: tuple(_cast(item.attrs[name]) for name in attributes))
    return items


def _copy_for_transaction(table: Table, memo: dict[int, Any]) -> Table:
    """A copy to go back to: of the items that the transaction may change, and of the rest what it
    is.
    """
    result = copy.copy(table)
    result.items = copy.copy(table.items)
    for each in _transaction.items:
        (change,) = each.values()
        if change["TableName"] != table.name:
            continue
        keys = change.get("Key") or change["Item"]
        hash_key = DynamoType(keys[table.hash_key_attr])
        if hash_key not in result.items:
            continue
        found = result.items[hash_key]
        if table.range_key_attr:
            range_key = DynamoType(keys[table.range_key_attr])
            changed = {range_key: copy.deepcopy(found[range_key])} if range_key in found else {}
            result.items[hash_key] = {**found, **changed}
        else:
            result.items[hash_key] = copy.deepcopy(found)
    return result


def _put_in_item(item: LimitedSizeDict, name: str, value: Any) -> None:
    """Put an attribute into an item. The size of the item is counted if it may be near the limit,
    not for each attribute.
    """
    size = value.size() if type(value) is DynamoType else len(str(value))
    item.__dict__["put"] = most = item.__dict__.get("put", 0) + len(name) + size
    if most > _NEAR_LIMIT:
        WHOLE[LimitedSizeDict, "__setitem__"](item, name, value)
    else:
        dict.__setitem__(item, name, value)


_INSERT = re.compile(r"""INSERT INTO "([^"]+)" VALUE \{([^}]*)\}""")
_execute_by_moto = DynamoDBBackend.batch_execute_statement


def _execute(backend: DynamoDBBackend, statements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The results of statements. moto cannot read an INSERT with parameters."""
    return [
        _insert(backend, *found.groups(), each["Parameters"])
        if (found := _INSERT.fullmatch(each["Statement"]))
        else _execute_by_moto(backend, [each])[0]
        for each in statements
    ]


def _insert(
    backend: DynamoDBBackend, table: str, fields: str, parameters: list[Any]
) -> dict[str, Any]:
    item = dict(zip(re.findall(r"'(\w+)':\?", fields), parameters, strict=True))
    names = backend.get_table(table).table_key_attrs
    if backend.get_item(table, {name: item[name] for name in names}):
        return {"Error": {"Code": "DuplicateItem", "Message": "it exists"}}
    backend.put_item(table, item)
    return {"TableName": table}


QUICK: dict[tuple[type, str], Any] = {
    (DynamoDBBackend, "batch_execute_statement"): _execute,
    (LimitedSizeDict, "__setitem__"): _put_in_item,
    (DynamoType, "cast_value"): property(_cast),
    (DynamoType, "__eq__"): _equals,
    (DynamoType, "__ne__"): _differs,
    (DynamoType, "__hash__"): _hash,
    (Table, "query"): _query,
    (Table, "all_items"): _all_items,
    (Table, "sorted_items"): _sorted_items,
    (Table, "__deepcopy__"): _copy_for_transaction,
}
# What they replace.
WHOLE: dict[tuple[type, str], Any] = {(owner, name): vars(owner).get(name) for owner, name in QUICK}
