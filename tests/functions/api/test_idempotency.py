"""A repeated request with an idempotency key: answered again, done once."""

from typing import Any

import boto3
import pytest

from tests.functions.api.api_client import Api
from tests.functions.api.batch_records import a_batch, a_job, executions
from tests.tables import NAMES

SUBMISSION = {"collection": "maps", "filename": "may.checkm"}
WHY = {"reason": "because"}
KEY = {"idempotency-key": "7c1d7a52-0c5a-4a6f-9a3c-3a1a2f6d7a11"}


def forget_answers() -> None:
    """Remove the answers stored for repeats, as if a function died before storing one."""
    dynamodb = boto3.client("dynamodb")
    for item in dynamodb.scan(TableName=NAMES["requests"])["Items"]:
        if item["id"]["S"].startswith("request#"):
            dynamodb.delete_item(TableName=NAMES["requests"], Key={"id": item["id"]})


def test_a_submission_sent_again_is_answered_as_before(api: Api) -> None:
    first = api.post("/batches", SUBMISSION, headers=KEY)
    again = api.post("/batches", dict(reversed(SUBMISSION.items())), headers=KEY)

    assert (again.status, again.json) == (first.status, first.json)
    assert again.headers["location"] == first.headers["location"]
    assert len(api.get("/batches").json["items"]) == 1


def test_without_a_key_every_submission_is_another(api: Api) -> None:
    first, again = (api.post("/batches", SUBMISSION).json for _ in range(2))

    assert first["batch_id"] != again["batch_id"]


def test_the_same_key_with_another_body_is_refused(api: Api) -> None:
    api.post("/batches", SUBMISSION, headers=KEY)

    answer = api.post("/batches", {**SUBMISSION, "filename": "june.checkm"}, headers=KEY)

    assert (answer.status, answer.kind) == (422, "idempotency-key-reused")
    assert len(api.get("/batches").json["items"]) == 1


def test_a_key_is_one_persons_on_one_route(api: Api) -> None:
    first = api.post("/batches", SUBMISSION, headers=KEY, role="operator")
    other = api.post("/batches", SUBMISSION, headers=KEY, role="admin")
    batches = [a_batch("processing", entries=1).batch_id for _ in range(2)]

    cancelled = [api.post(f"/batches/{b}/cancel", WHY, headers=KEY).status for b in batches]

    assert first.json["batch_id"] != other.json["batch_id"]
    assert cancelled == [202, 202]


@pytest.mark.parametrize(
    ("state", "path", "body"),
    [
        ("processing", "/batches/{batch}/cancel", WHY),
        ("held", "/batches/{batch}/release", WHY),
        ("failed", "/batches/{batch}/operations", WHY),
        ("failed", "/jobs/{batch}.0.0/requeue", WHY),
        ("processing", "/jobs/{batch}.0.1/hold", WHY),
    ],
)
@pytest.mark.parametrize("kept", [True, False])
def test_a_change_sent_again_is_made_once_even_if_its_answer_was_lost(
    api: Api, state: str, path: str, body: Any, kept: bool
) -> None:
    batch = a_batch(state, entries=2)
    a_job(batch, 0, "failed")
    filled = path.format(batch=batch.batch_id)

    first = api.post(filled, body, headers=KEY)
    if not kept:
        forget_answers()
    again = api.post(filled, body, headers=KEY)

    assert first.status in {200, 202}
    assert (again.status, again.json) == (first.status, first.json)
    history = api.get(f"/batches/{batch.batch_id}").json["history"]
    assert len([each for each in history if each["actor"] == "admin"]) <= 1
    for machine in ("batch", "job"):
        started = [each for each in executions(machine) if each.startswith(batch.batch_id)]
        assert len(started) <= 1


def test_a_repeated_submission_after_a_lost_answer_is_the_same_batch(api: Api) -> None:
    first = api.post("/batches", SUBMISSION, headers=KEY)
    forget_answers()
    again = api.post("/batches", SUBMISSION, headers=KEY)

    assert again.status == 201
    assert again.json["batch_id"] == first.json["batch_id"]
    assert again.json["upload"]["expires_at"] == first.json["upload"]["expires_at"]


def test_a_hold_is_lifted_once_however_often_that_is_sent(api: Api) -> None:
    api.request("PUT", "/holds/everything", body=WHY)

    answers = [api.request("DELETE", "/holds/everything", headers=KEY).status for _ in range(2)]

    assert answers == [200, 200]


def test_a_refusal_is_not_kept(api: Api) -> None:
    batch = a_batch("held")
    refused = api.post(f"/batches/{batch.batch_id}/release", WHY, headers=KEY, role="viewer")
    path = f"/batches/{batch.batch_id}/update_reporting"
    early = api.post(path, WHY, headers=KEY)

    assert (refused.status, early.status) == (403, 409)
    assert api.post(f"/batches/{batch.batch_id}/release", WHY, headers=KEY).status == 202


def test_a_repeat_gets_503_while_the_first_is_in_progress(api: Api) -> None:
    api.post("/batches", SUBMISSION, headers=KEY)
    dynamodb = boto3.client("dynamodb")
    for item in dynamodb.scan(TableName=NAMES["requests"])["Items"]:
        if item["id"]["S"].startswith("request#"):
            dynamodb.update_item(
                TableName=NAMES["requests"],
                Key={"id": item["id"]},
                UpdateExpression="SET #s = :s, in_progress_expiration = :e",
                ExpressionAttributeNames={"#s": "status"},
                ExpressionAttributeValues={
                    ":s": {"S": "INPROGRESS"},
                    ":e": {"N": str(4_000_000_000_000)},
                },
            )

    answer = api.post("/batches", SUBMISSION, headers=KEY)

    assert (answer.status, answer.kind) == (409, "request-in-progress")
    assert answer.headers["retry-after"] == "1"


def test_what_is_kept_has_an_end(api: Api) -> None:
    api.post("/batches", SUBMISSION, headers=KEY)

    items = boto3.client("dynamodb").scan(TableName=NAMES["requests"])["Items"]

    kept = [item for item in items if item["id"]["S"].startswith("request#")]
    assert len(kept) == 1
    assert "expires" in kept[0]


def test_a_stored_answer_that_has_expired_is_ignored(api: Api) -> None:
    """DynamoDB takes it away days later; until then it is read."""
    api.request("PUT", "/holds/everything", body=WHY, headers=KEY)
    dynamodb = boto3.client("dynamodb")
    for item in dynamodb.scan(TableName=NAMES["requests"])["Items"]:
        if item["id"]["S"].startswith("request#"):
            dynamodb.put_item(
                TableName=NAMES["requests"], Item={**item, "expires": {"N": "1700000000"}}
            )

    answer = api.request(
        "PUT", "/holds/everything", body={"reason": "another reason", "replace": True}, headers=KEY
    )

    assert (answer.status, answer.json["reason"]) == (200, "another reason")


@pytest.mark.parametrize("key", ["", "a" * 256, "a\x7f", "schlüssel"])
def test_a_key_that_is_none_is_refused(api: Api, key: str) -> None:
    answer = api.post("/batches", SUBMISSION, headers={"idempotency-key": key})

    assert answer.status == 422
    assert answer.json["errors"][0]["field"] == "header.Idempotency-Key"
