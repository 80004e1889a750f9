"""Every answer has safe headers, a version, gzip if it is large, and a log line."""

import logging

import boto3
import pytest

from gateway.headers import accepts_gzip, matches_etag
from jobyard.services.batches import rows
from tests.functions.api.api_client import Api, event
from tests.functions.api.batch_records import a_batch


@pytest.mark.parametrize(
    ("path", "role"),
    [("/me", "admin"), ("/batches/b1", "admin"), ("/me", "nobody"), ("/docs", "nobody")],
)
def test_every_answer_has_safe_headers(api: Api, path: str, role: str) -> None:
    headers = api.get(path, role=role).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    assert "unsafe" not in headers["content-security-policy"]


def test_answers_are_not_cached_on_the_way(api: Api) -> None:
    for answer in (
        api.get("/me"),
        api.get("/batches"),
        api.get("/batches/b1"),
        api.post("/batches", {"collection": "maps", "filename": "a"}),
    ):
        assert answer.headers["cache-control"] == "no-store"


def test_an_answer_that_has_not_changed_is_not_sent_again(api: Api) -> None:
    batch = a_batch("processing", entries=1)
    path = f"/batches/{batch.batch_id}"
    tag = api.get(path).headers["etag"]

    same = api.get(path, headers={"if-none-match": tag})
    api.post(f"{path}/cancel", {"reason": "because"})
    other = api.get(path, headers={"if-none-match": tag})

    assert (same.status, same.text) == (304, "")
    assert same.headers["etag"] == tag
    assert "content-type" not in same.headers
    assert other.status == 200
    assert other.headers["etag"] != tag


def test_only_a_good_answer_to_a_get_has_a_version(api: Api) -> None:
    batch = a_batch("held")

    assert "etag" not in api.get("/batches/b1").headers
    assert "etag" not in api.post(f"/batches/{batch.batch_id}/release", {"reason": "x"}).headers


@pytest.mark.parametrize(
    ("header", "known"),
    [
        ('W/"a"', True),
        ('"a"', True),
        ('"b", W/"a"', True),
        ("*", True),
        ('"b"', False),
        ("", False),
    ],
)
def test_versions_are_compared_weakly(header: str, known: bool) -> None:
    assert matches_etag(header, 'W/"a"') is known


def test_a_large_answer_is_compressed_for_those_who_take_it(api: Api) -> None:
    batch = a_batch(entries=50, chunk_size=50)
    path = f"/batches/{batch.batch_id}/jobs"

    plain = api.get(path)
    packed = api.get(path, headers={"accept-encoding": "br, gzip"})

    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
    assert packed.headers["etag"] == plain.headers["etag"]
    assert packed.json == plain.json


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0", False),
        ("*;q=0, gzip", True),
        ("*, gzip;q=0", False),
        ("br", False),
        ("", False),
    ],
)
def test_gzip_is_sent_to_those_who_take_it(header: str, taken: bool) -> None:
    assert accepts_gzip(header) is taken


def test_an_internal_error_shows_its_request_id_and_nothing_else(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    batch = a_batch(entries=1)
    boto3.client("s3").delete_object(Bucket="work", Key=rows.rows_key(batch.batch_id))
    sent = event("GET", f"/jobs/{batch.batch_id}.0.0")

    answer = api.send(sent)

    assert (answer.status, answer.kind) == (500, "internal-error")
    assert answer.json["request_id"] == sent["requestContext"]["requestId"]
    assert "NoSuchKey" not in answer.text
    failed = [each for each in caplog.records if each.message == "internal error"]
    assert len(failed) == 1
    assert failed[0].exc_info


@pytest.mark.parametrize(
    ("path", "ids"),
    [
        ("/batches/{batch}", {"origin_id"}),
        ("/batches/{batch}/jobs", {"origin_id"}),
        ("/jobs/{batch}.0.0", {"origin_id", "job_id"}),
        ("/holds", set()),
    ],
)
def test_a_request_is_logged_in_one_line(
    api: Api, caplog: pytest.LogCaptureFixture, path: str, ids: set[str]
) -> None:
    batch = a_batch(entries=1)
    sent = event("GET", path.format(batch=batch.batch_id), role="viewer")

    with caplog.at_level(logging.INFO):
        api.send(sent)

    (line,) = [vars(each) for each in caplog.records if each.name == "jobyard"]
    assert line["message"] == "answered"
    assert line["request_id"] == sent["requestContext"]["requestId"]
    assert line["actor"] == "viewer"
    assert line["status"] == 200
    assert {name for name in line if name.endswith("_id")} == {"request_id", *ids}
    assert line.get("origin_id", batch.batch_id) == batch.batch_id


def test_a_submission_is_logged_with_the_batch_it_made(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        submitted = api.post("/batches", {"collection": "maps", "filename": "may.checkm"}).json

    assert vars(caplog.records[-1])["origin_id"] == submitted["batch_id"]
