"""Unreadable bodies, and paths that do not exist."""

import base64
import json

import pytest

from tests.functions.api.api_client import Api, event
from tests.functions.api.batch_records import a_batch

SUBMISSION = {"collection": "maps", "filename": "may.checkm"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{", "line 1, column 2"),
        ('{"collection": "maps",\n}', "line 2, column 1"),
        ("reason=because", "not valid JSON"),
        ("[]", "not a JSON object"),
        (json.dumps([SUBMISSION]), "not a JSON object"),
        ('"text"', "not a JSON object"),
        ("null", "not a JSON object"),
        ('{"parameters": {"a": NaN}}', "NaN"),
        ('{"parameters": {"a": 1e999}}', "too large"),
        ('{"parameters": {"a": ' + "1" * 5000 + "}}", "too large"),
        ('{"note": "\\ud800"}', "not Unicode"),
        ('{"note": "a", "note": "b"}', "the key 'note' twice"),
        ('{"parameters": {"a": 1, "b": 2, "b": 2}}', "the key 'b' twice"),
        ("[" * 100_000, "too deeply"),
        *(('{"a":' + "[" * depth + "]" * depth + "}", "too deeply") for depth in (50, 900, 980)),
        ('{"a":' * 40_000, "too deeply"),
    ],
)
def test_a_body_that_is_not_a_json_object_is_refused(api: Api, body: str, words: str) -> None:
    answer = api.post("/batches", body)

    assert (answer.status, answer.kind) == (400, "bad-request")
    assert words in answer.json["detail"]


def test_a_body_may_come_encoded(api: Api) -> None:
    sent = event("POST", "/batches")
    sent["body"] = base64.b64encode(json.dumps(SUBMISSION).encode()).decode()
    sent["isBase64Encoded"] = True

    assert api.send(sent).status == 201


@pytest.mark.parametrize("encoded", ["%%%", base64.b64encode(b'{"note": "\xff"}').decode()])
def test_an_encoded_body_that_is_not_text_is_refused(api: Api, encoded: str) -> None:
    sent = event("POST", "/batches")
    sent["body"], sent["isBase64Encoded"] = encoded, True

    assert (answer := api.send(sent)).status == 400
    assert answer.kind == "bad-request"


@pytest.mark.parametrize("size", [256 * 1024 + 1, 5_000_000])
def test_a_body_that_is_too_large_is_refused_unread(api: Api, size: int) -> None:
    answer = api.post("/batches", "x" * size)

    assert (answer.status, answer.kind) == (413, "payload-too-large")
    assert "262144" in answer.json["detail"]


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; b=x", "JSON"],
)
def test_a_body_of_another_media_type_is_refused(api: Api, media_type: str) -> None:
    answer = api.post("/batches", SUBMISSION, headers={"content-type": media_type})

    assert (answer.status, answer.kind) == (415, "unsupported-media-type")


def test_json_may_name_its_encoding(api: Api) -> None:
    media_type = "application/json; charset=utf-8"

    answer = api.post("/batches", SUBMISSION, headers={"content-type": media_type})

    assert answer.status == 201


def test_a_change_without_a_body_says_what_is_needed(api: Api) -> None:
    batch = a_batch()

    answer = api.request("POST", f"/batches/{batch.batch_id}/cancel")

    assert (answer.status, answer.kind) == (422, "validation-failed")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nothing"),
        ("GET", "/"),
        ("GET", "/batches/b1/jobs/x/y"),
        ("DELETE", "/batches/b1/jobs/x/y"),
    ],
)
def test_an_unknown_path_points_to_the_documentation(api: Api, method: str, path: str) -> None:
    answer = api.request(method, path)

    assert (answer.status, answer.kind) == (404, "not-found")
    assert "/api/docs" in answer.json["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/batches", "GET, POST"),
        ("DELETE", "/batches/b1", "GET"),
        ("POST", "/lifecycles/batch", "GET"),
        ("GET", "/batches/b1/cancel", "POST"),
        ("PUT", "/batches/b1/operations", "POST"),
    ],
)
def test_a_method_that_a_path_does_not_allow_is_refused_with_the_allowed(
    api: Api, method: str, path: str, allowed: str
) -> None:
    answer = api.request(method, path)

    assert (answer.status, answer.kind) == (405, "method-not-allowed")
    assert answer.headers["allow"] == allowed
    assert "/api/docs" in answer.json["detail"]


def test_a_problem_has_all_that_a_support_request_needs(api: Api) -> None:
    sent = event("GET", "/lifecycles/no such")

    answer = api.send(sent)

    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json == {
        "type": "https://jobyard.example.org/api/docs#not-found",
        "title": "It does not exist, or you may not see it",
        "status": 404,
        "detail": "no lifecycle is called 'no such'; there are batch, job, task, schedule, edit, "
        "fixup, review",
        "instance": "/api/lifecycles/no%20such",
        "request_id": sent["requestContext"]["requestId"],
    }
