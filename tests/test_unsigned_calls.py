"""Calls about items: they are written, read and tried again as by botocore alone."""

import json
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.endpoint import convert_to_response_dict
from botocore.parsers import create_parser
from botocore.serialize import JSONSerializer, create_serializer
from botocore.session import get_session

from cli.local import clients
from tests import unsigned_calls
from tests.in_process_emulator import ENDPOINT, InProcessEmulator
from tests.unsigned_calls import ABOUT_ITEMS, read, written

BY_MODEL = JSONSerializer.serialize_to_request  # read before a test replaces it
TABLE = {"TableName": "letters"}
KEY = {"id": {"S": "a"}}
ITEM = {
    **KEY,
    "text": {"S": 'ä"\u2028'},
    "list": {"L": [{"NULL": True}, {"BOOL": False}, {"M": {"x": {"NS": ["1", "2.5"]}}}]},
}
BINARY = {**ITEM, "b": {"B": b"\x00\xff"}, "bs": {"BS": [b"\x01"]}}
IF_NEW = {
    "ConditionExpression": "attribute_not_exists(id)",
    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
}
STATEMENT = {"Statement": "SELECT * FROM letters WHERE id = ?", "Parameters": [{"S": "a"}]}
CALLS: dict[str, dict[str, Any]] = {
    "GetItem": {**TABLE, "Key": KEY, "ReturnConsumedCapacity": "TOTAL"},
    "PutItem": {**TABLE, "Item": ITEM, "ReturnValues": "ALL_OLD"},
    "UpdateItem": {
        **TABLE,
        "Key": KEY,
        "UpdateExpression": "SET #t = :t",
        "ExpressionAttributeNames": {"#t": "text"},
        "ExpressionAttributeValues": {":t": {"S": "new"}},
        "ReturnValues": "ALL_NEW",
    },
    "DeleteItem": {**TABLE, "Key": KEY, "ReturnValues": "ALL_OLD"},
    "Query": {
        **TABLE,
        "KeyConditionExpression": "id = :id",
        "ExpressionAttributeValues": {":id": {"S": "a"}},
        "Limit": 1,
    },
    "Scan": {**TABLE, "Select": "COUNT"},
    "BatchGetItem": {"RequestItems": {"letters": {"Keys": [KEY, {"id": {"S": "absent"}}]}}},
    "BatchWriteItem": {"RequestItems": {"letters": [{"DeleteRequest": {"Key": KEY}}]}},
    "TransactGetItems": {"TransactItems": [{"Get": {**TABLE, "Key": KEY}}]},
    "TransactWriteItems": {"TransactItems": [{"Delete": {**TABLE, "Key": KEY}}]},
    "ExecuteStatement": STATEMENT,
    "BatchExecuteStatement": {"Statements": [STATEMENT, {"Statement": "SELECT"}]},
    "ExecuteTransaction": {"TransactStatements": [STATEMENT]},
}
REFUSED: dict[str, dict[str, Any]] = {
    "GetItem": {"TableName": "nothing", "Key": KEY},
    "PutItem": {**TABLE, "Item": ITEM, **IF_NEW},
    "TransactWriteItems": {"TransactItems": [{"Put": {**TABLE, "Item": ITEM, **IF_NEW}}]},
}
MODEL = get_session().get_service_model("dynamodb")


@pytest.fixture
def dynamodb(in_process_emulator: InProcessEmulator) -> Any:
    """A client, and a table with an item that has bytes and one that has none."""
    client = clients.client("dynamodb", ENDPOINT)
    if TABLE["TableName"] not in client.list_tables()["TableNames"]:
        client.create_table(
            **TABLE,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
    client.put_item(**TABLE, Item=ITEM)
    client.put_item(**TABLE, Item={**BINARY, "id": {"S": "binary"}})
    return client


def test_every_call_about_items_is_compared() -> None:
    assert set(CALLS) == ABOUT_ITEMS


@pytest.mark.parametrize("operation", CALLS)
def test_a_call_is_written_as_by_the_model(operation: str) -> None:
    model = MODEL.operation_model(operation)
    serializer = create_serializer("json", include_validation=False)

    assert written(CALLS[operation], model) == BY_MODEL(serializer, CALLS[operation], model)


def test_a_call_with_bytes_is_written_by_the_model(dynamodb: Any) -> None:
    assert written({**TABLE, "Item": BINARY}, MODEL.operation_model("PutItem")) is None

    found = dynamodb.get_item(**TABLE, Key={"id": {"S": "binary"}})["Item"]

    assert found == {**BINARY, "id": {"S": "binary"}}


@pytest.mark.parametrize("operation", CALLS)
def test_a_result_is_read_as_by_the_model(
    dynamodb: Any, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = dynamodb._make_api_call(operation, CALLS[operation])
    dynamodb.put_item(**TABLE, Item=ITEM)
    monkeypatch.setattr(unsigned_calls, "_BY_MODEL", (b"",))  # which is in every body
    by_model = dynamodb._make_api_call(operation, CALLS[operation])

    assert _without_checksum(short) == _without_checksum(by_model)


def test_what_the_model_does_not_know_is_not_read() -> None:
    body = json.dumps({"Item": ITEM, "Unknown": 1}).encode()
    response = AWSResponse("", 200, {"X-Amzn-RequestId": "r"}, None)
    response._content = body
    model = MODEL.operation_model("GetItem")
    parser = create_parser("json")

    found = read(response, model)

    assert found == parser.parse(convert_to_response_dict(response, model), model.output_shape)
    assert found["Item"] == ITEM


@pytest.mark.parametrize("operation", REFUSED)
def test_a_refusal_is_the_error_of_the_model(dynamodb: Any, operation: str) -> None:
    with pytest.raises(dynamodb.exceptions.ClientError) as refused:
        dynamodb._make_api_call(operation, REFUSED[operation])

    assert type(refused.value) is dynamodb.exceptions.from_code(
        refused.value.response["Error"]["Code"]
    )


def test_what_is_throttled_is_tried_again(
    dynamodb: Any, in_process_emulator: InProcessEmulator
) -> None:
    tries: list[str] = []

    def throttle(request: Any, **_: Any) -> AWSResponse | None:
        tries.append(request.headers["X-Amz-Target"])
        if len(tries) > 1:
            return None
        response = AWSResponse(request.url, 400, {}, None)
        response._content = b'{"__type": "com.amazonaws#ThrottlingException"}'
        return response

    client = boto3.client(
        "dynamodb",
        endpoint_url=ENDPOINT,
        region_name=clients.REGION,
        aws_access_key_id=clients.KEY,
        aws_secret_access_key=clients.KEY,
    )
    client.meta.events.register("before-send.dynamodb.GetItem", throttle)

    found = client.get_item(**TABLE, Key=KEY)

    assert found["Item"] == ITEM
    assert found["ResponseMetadata"]["RetryAttempts"] == 1
    assert tries == ["DynamoDB_20120810.GetItem"] * 2


def _without_checksum(result: dict[str, Any]) -> dict[str, Any]:
    """The result; JSON of the same content may have its members in another order."""
    result["ResponseMetadata"]["HTTPHeaders"].pop("x-amz-crc32", None)
    return result
