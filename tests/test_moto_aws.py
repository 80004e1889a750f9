"""AWS on moto: its shortcuts give what botocore and moto would."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from tests import moto_aws
from tests.moto_aws import moto_aws as started

BY_RULES = BaseClient._resolve_endpoint_ruleset  # read before a test replaces it
TABLE = {"TableName": "things"}
KEY = {"id": {"S": "a"}, "n": {"N": "1"}}
ITEM = {
    **KEY,
    "text": {"S": 'ä"\u2028'},
    "list": {"L": [{"NULL": True}, {"BOOL": False}, {"M": {"x": {"NS": ["1", "2.5"]}}}]},
    "names": {"SS": ["x"]},
}
BINARY = {"b": {"B": b"\x00\xff"}, "bs": {"BS": [b"\x01"]}}
STORED = [
    ITEM,
    {**ITEM, "n": {"N": "2"}},
    {"id": {"S": "c"}, "n": {"N": "1"}, **BINARY},
]
ABSENT = {"id": {"S": "absent"}, "n": {"N": "1"}}
IF_NEW = {
    "ConditionExpression": "attribute_not_exists(id)",
    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
}
UPDATE = {
    "UpdateExpression": "SET #t = :t",
    "ExpressionAttributeNames": {"#t": "text"},
    "ExpressionAttributeValues": {":t": {"S": "new"}},
}
OF_A = {
    "KeyConditionExpression": "id = :id",
    "ExpressionAttributeValues": {":id": {"S": "a"}},
}

OF_INDEX = {
    "IndexName": "by_n",
    "KeyConditionExpression": "n = :n",
    "ExpressionAttributeValues": {":n": {"N": "1.0"}},
}

CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "an item": ("get_item", {**TABLE, "Key": KEY, "ConsistentRead": True}),
    "no item": ("get_item", {**TABLE, "Key": ABSENT}),
    "a put": ("put_item", {**TABLE, "Item": {**ITEM, **ABSENT}}),
    "a put over an item": ("put_item", {**TABLE, "Item": ITEM, "ReturnValues": "ALL_OLD"}),
    "a put of binary": ("put_item", {**TABLE, "Item": {**ABSENT, **BINARY}}),
    "a refused put": ("put_item", {**TABLE, "Item": ITEM, **IF_NEW}),
    "an update": ("update_item", {**TABLE, "Key": KEY, **UPDATE, "ReturnValues": "ALL_NEW"}),
    "an update of a key": (
        "update_item",
        {**TABLE, "Key": KEY, **UPDATE, "ExpressionAttributeNames": {"#t": "id"}},
    ),
    "a delete": ("delete_item", {**TABLE, "Key": KEY, "ReturnValues": "ALL_OLD"}),
    "a page": ("query", {**TABLE, **OF_A, "Limit": 1}),
    "a later page": ("query", {**TABLE, **OF_A, "ExclusiveStartKey": KEY}),
    "a count": ("query", {**TABLE, **OF_A, "Select": "COUNT"}),
    "a scan": ("scan", {**TABLE, "ReturnConsumedCapacity": "TOTAL"}),
    "a projection": ("scan", {**TABLE, "ProjectionExpression": "n"}),
    "many items": ("batch_get_item", {"RequestItems": {"things": {"Keys": [KEY, ABSENT]}}}),
    "many writes": (
        "batch_write_item",
        {
            "RequestItems": {
                "things": [{"DeleteRequest": {"Key": KEY}}, {"PutRequest": {"Item": ABSENT}}]
            }
        },
    ),
    "items at once": ("transact_get_items", {"TransactItems": [{"Get": {**TABLE, "Key": KEY}}]}),
    "writes at once": (
        "transact_write_items",
        {"TransactItems": [{"Update": {**TABLE, "Key": KEY, **UPDATE}}]},
    ),
    "refused writes": (
        "transact_write_items",
        {
            "TransactItems": [
                {"Delete": {**TABLE, "Key": ABSENT}},
                {"Put": {**TABLE, "Item": ITEM, **IF_NEW}},
            ]
        },
    ),
    "an update that is taken back": (
        "transact_write_items",
        {
            "TransactItems": [
                {"Update": {**TABLE, "Key": KEY, **UPDATE}},
                {"Put": {**TABLE, "Item": {**ITEM, **ABSENT}}},
                {"Put": {**TABLE, "Item": STORED[1], **IF_NEW}},
            ]
        },
    ),
    "an index": ("query", {**TABLE, **OF_INDEX}),
    "an index backwards": (
        "query",
        {**TABLE, **OF_INDEX, "ScanIndexForward": False, "Limit": 1},
    ),
    "no such table": ("get_item", {"TableName": "nothing", "Key": KEY}),
    "a wrong key": ("get_item", {**TABLE, "Key": {"id": {"S": "a"}}}),
    "a wrong expression": ("query", {**TABLE, "KeyConditionExpression": "id ="}),
}


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[Any]:
    """A client, and an empty table."""
    with started():
        client = boto3.client("dynamodb", region_name="us-east-1")
        client.create_table(
            TableName="things",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": "id", "AttributeType": "S"},
                {"AttributeName": "n", "AttributeType": "N"},
            ],
            KeySchema=[
                {"AttributeName": "id", "KeyType": "HASH"},
                {"AttributeName": "n", "KeyType": "RANGE"},
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by_n",
                    "KeySchema": [
                        {"AttributeName": "n", "KeyType": "HASH"},
                        {"AttributeName": "id", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        yield client


@pytest.mark.parametrize("call", CALLS)
def test_a_call_about_items_is_answered_and_done_as_by_moto_alone(
    dynamodb: Any, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation, params = CALLS[call]

    store(dynamodb)
    short = outcome(getattr(dynamodb, operation), params), stored(dynamodb)
    monkeypatch.setattr(moto_aws, "about_items", lambda _: None)
    for (owner, name), whole in moto_aws.WHOLE.items():
        if whole is None:
            monkeypatch.delattr(owner, name)
        else:
            monkeypatch.setattr(owner, name, whole)
    after_short = stored(dynamodb)
    store(dynamodb)
    by_moto = outcome(getattr(dynamodb, operation), params), stored(dynamodb)

    assert short == by_moto
    assert after_short == stored(dynamodb)


def test_an_insert_with_parameters_stores_an_item_once(dynamodb: Any) -> None:
    statement = """INSERT INTO "things" VALUE {'n':?,'id':?}"""
    key = {"id": {"S": "it's"}, "n": {"N": "7"}}
    sent = {"Statements": [{"Statement": statement, "Parameters": [key["n"], key["id"]]}]}

    first, second = (dynamodb.batch_execute_statement(**sent)["Responses"] for _ in range(2))

    assert "Error" not in first[0]
    assert second[0]["Error"]["Code"] == "DuplicateItem"
    assert key in stored(dynamodb)


def outcome(function: Callable[..., Any], params: dict[str, Any]) -> Any:
    """What a call returned, or its error, without what HTTP adds."""
    try:
        answer = function(**params)
    except ClientError as error:
        answer = {"is": type(error).__name__, **error.response}
    metadata = answer.pop("ResponseMetadata")
    return metadata["HTTPStatusCode"], answer


def stored(dynamodb: Any) -> Any:
    """All items, by key."""
    items = dynamodb.scan(TableName="things")["Items"]
    return sorted(items, key=lambda item: (item["id"]["S"], item["n"]["N"]))


def store(dynamodb: Any) -> None:
    """Let the table have `STORED` and nothing else."""
    for item in stored(dynamodb):
        dynamodb.delete_item(TableName="things", Key={"id": item["id"], "n": item["n"]})
    for item in STORED:
        dynamodb.put_item(TableName="things", Item=item)


@pytest.mark.parametrize(
    ("service", "operation", "params"),
    [
        ("dynamodb", "GetItem", {"TableName": "things"}),
        ("s3", "GetObject", {"Bucket": "work", "Key": "a/b c"}),
        ("s3", "GetObject", {"Bucket": "archive", "Key": "a"}),
        ("s3", "ListBuckets", {}),
        ("stepfunctions", "StartExecution", {}),
    ],
)
def test_a_call_has_the_endpoint_that_botocore_finds(
    service: str, operation: str, params: dict[str, Any]
) -> None:
    client = boto3.client(service, region_name="us-east-1")
    model = client.meta.service_model.operation_model(operation)

    context = {"client_config": client.meta.config}
    with started():
        client._resolve_endpoint_ruleset(model, {**params, "Bucket": "another"}, context)
        first = client._resolve_endpoint_ruleset(model, params, context)
        second = client._resolve_endpoint_ruleset(model, params, context)

    assert first == second == BY_RULES(client, model, params, context)
