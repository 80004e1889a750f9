import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import Done, Fail, Skipped, Snooze
from jobyard.jobtypes.deposit import DEPOSIT
from jobyard.jobtypes.step_context import StorageContext
from tests.jobtypes.deposit.deposits import (
    checkm,
    content_key,
    drive,
    file_entry,
    held,
    sha256,
    step_input,
)
from tests.jobtypes.payload_server import PayloadServer, responding, sending, without_head

SMALL = b"a small map"
LARGE = bytes(range(256)) * 40_000  # ten megabytes: more than one part


def stopped(driven: Any) -> Fail:
    assert isinstance(driven.last, Fail), driven.outcomes
    return driven.last


# Success


def test_a_small_file_becomes_an_object_of_one_version(
    context: StorageContext, payloads: PayloadServer
) -> None:
    url = payloads.serve("/map.tif", SMALL)
    entry = file_entry(url, creator="The survey", title="A map", local=["m-1"])

    done = drive(step_input(entry), context)

    assert done.ended_well
    ark = done.step_input.data["ark"]
    version = context.objects.latest(ark)
    assert version
    assert (version.version, version.files, version.bytes) == (1, 1, len(SMALL))
    archive = held(context, context.archive_bucket)
    key = f"objects/{ark.replace(':/', '-').replace('/', '-')}/v1.json"
    assert archive.keys() == {content_key(SMALL), key}
    assert archive[content_key(SMALL)] == SMALL
    assert sha256(archive[key]) == version.manifest_digest
    manifest = json.loads(archive[key])
    assert manifest["metadata"] == {
        "who": "The survey",
        "what": "A map",
        "when": "(:unav)",
        "where": ark,
    }
    assert manifest["files"] == [
        {
            "name": "map.tif",
            "size": len(SMALL),
            "digests": {"sha-256": sha256(SMALL)},
            "key": content_key(SMALL),
        }
    ]
    assert held(context, context.work_bucket) == {}


def test_a_small_file_costs_few_requests_to_s3(
    context: StorageContext, payloads: PayloadServer
) -> None:
    calls: list[str] = []
    entry = file_entry(payloads.serve("/map.tif", SMALL))

    def note(model: Any, **_: Any) -> None:
        calls.append(model.name)

    context.s3.meta.events.register("before-call.s3", note)
    try:
        drive(step_input(entry), context)
    finally:
        context.s3.meta.events.unregister("before-call.s3", note)

    assert calls == ["PutObject", "PutObject"]


@pytest.mark.parametrize("given", [{}, {"algorithm": "sha-256", "digest": sha256(LARGE)}])
def test_a_large_file_is_stored_completely_and_staging_is_empty(
    context: StorageContext, payloads: PayloadServer, given: dict[str, str]
) -> None:
    entry = file_entry(payloads.serve("/map.tif", LARGE), **given)

    done = drive(step_input(entry), context)

    assert done.ended_well
    assert held(context, context.archive_bucket)[content_key(LARGE)] == LARGE
    assert held(context, context.work_bucket) == {}


@pytest.mark.parametrize(("algorithm", "letters"), [("md5", 32), ("sha-512", 128)])
def test_the_digest_that_was_asked_for_is_checked_and_kept(
    context: StorageContext, payloads: PayloadServer, algorithm: str, letters: int
) -> None:
    digest = hashlib.new(algorithm.replace("-", ""), SMALL).hexdigest()
    url = payloads.serve("/map.tif", SMALL)

    good = drive(step_input(file_entry(url, algorithm=algorithm, digest=digest.upper())), context)
    bad = drive(
        step_input(file_entry(url, algorithm=algorithm, digest="0" * letters), job=1), context
    )

    assert good.step_input.data["digests"] == {"sha-256": sha256(SMALL), algorithm: digest}
    assert stopped(bad).code is Failure.DIGEST_MISMATCH
    assert not stopped(bad).retryable


def test_an_object_of_a_nested_manifest_has_all_its_files(
    context: StorageContext, payloads: PayloadServer
) -> None:
    contents = {f"folder/{n:03d}.txt": f"text {n}".encode() for n in range(70)} | {"big": LARGE}
    rows = [
        f"{payloads.serve('/' + name, content)} | sha-256 | {sha256(content)} |  |  | {name}"
        for name, content in contents.items()
    ]
    url = payloads.serve("/object.checkm", checkm(*rows))

    done = drive(step_input({"kind": "manifest", "url": url, "name": "object.checkm"}), context)

    assert done.ended_well
    assert (done.step_input.data["files"], done.step_input.data["bytes"]) == (
        71,
        sum(map(len, contents.values())),
    )
    archive = held(context, context.archive_bucket)
    assert all(archive[content_key(content)] == content for content in contents.values())
    assert held(context, context.work_bucket) == {}


def test_a_manifest_that_was_uploaded_itself_is_one_object(
    context: StorageContext, payloads: PayloadServer
) -> None:
    rows = [
        {"line": n, "kind": "file", "url": payloads.serve(f"/{n}", b"x" * n), "name": f"{n}.txt"}
        for n in range(1, 4)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    context.s3.put_object(Bucket=context.work_bucket, Key="work/b/files.jsonl", Body=text.encode())
    entry = {"kind": "files", "files_key": "work/b/files.jsonl", "count": 3, "name": "map.checkm"}

    done = drive(step_input(entry, parameters={"title": "A map", "local": "m-1; m-2"}), context)

    assert done.ended_well
    version = context.objects.latest(done.step_input.data["ark"])
    assert version
    assert (version.files, version.local_ids) == (3, ("m-1", "m-2"))
    assert held(context, context.work_bucket).keys() == {"work/b/files.jsonl"}


def test_a_file_may_come_from_a_listed_place_in_s3(context: StorageContext) -> None:
    context.s3.put_object(Bucket="depositors-bucket", Key="open/map.tif", Body=SMALL)

    done = drive(step_input(file_entry("s3://depositors-bucket/open/map.tif")), context)

    assert done.ended_well
    assert held(context, context.archive_bucket)[content_key(SMALL)] == SMALL


@pytest.mark.parametrize(
    "place",
    [
        "depositors-bucket/closed/map.tif",
        "depositors-bucket/open-not/map.tif",
        "depositors-bucket/open",
        "jobyard-archive/content/sha256/ab/cd/abcd",
        "jobyard-work/staging/x",
        "somebody-elses/open/map.tif",
        "depositors-bucket",
    ],
)
def test_a_file_may_not_come_from_anywhere_else_in_s3(context: StorageContext, place: str) -> None:
    context = replace(context, s3_sources=(*context.s3_sources, "jobyard-archive", "jobyard-work/"))

    stop = stopped(drive(step_input(file_entry(f"s3://{place}")), context))

    assert (stop.code, stop.retryable) == (Failure.ADDRESS_NOT_ALLOWED, False)


def test_a_file_that_s3_does_not_have_is_not_found(context: StorageContext) -> None:
    stop = stopped(drive(step_input(file_entry("s3://depositors-bucket/open/none")), context))

    assert stop.code is Failure.PAYLOAD_NOT_FOUND


class _UnreliableS3:
    """An S3 that returns a third of a file, or nothing at all."""

    def __init__(self, status: int = 200) -> None:
        self._status = status

    def head_object(self, **_: object) -> dict[str, int]:
        if self._status != 200:
            answer = {"HTTPStatusCode": self._status}
            raise ClientError(
                {"Error": {"Code": "Other"}, "ResponseMetadata": answer},
                "HeadObject",
            )
        return {"ContentLength": 9}

    def get_object(self, **_: object) -> dict[str, Any]:
        return {"ContentLength": 9, "Body": StreamingBody(io.BytesIO(b"abc"), 9)}


@pytest.mark.parametrize(
    ("s3", "code"),
    [
        (_UnreliableS3(), Failure.PAYLOAD_TRUNCATED),
        (_UnreliableS3(503), Failure.PAYLOAD_SERVER_ERROR),
        (_UnreliableS3(429), Failure.PAYLOAD_BUSY),
    ],
)
def test_what_goes_wrong_in_s3_has_the_same_codes(
    context: StorageContext, s3: Any, code: Failure
) -> None:
    entry = file_entry("s3://depositors-bucket/open/map.tif", size=9)

    stop = stopped(drive(step_input(entry), replace(context, s3=s3)))

    assert (stop.code, stop.retryable) == (code, True)


# Estimating and provisioning


def test_a_missing_file_fails_before_anything_is_fetched(
    context: StorageContext, payloads: PayloadServer
) -> None:
    driven = drive(step_input(file_entry(payloads.url("/none"))), context)

    assert list(driven.outcomes) == ["estimating"]
    assert (stopped(driven).code, stopped(driven).retryable) == (Failure.PAYLOAD_NOT_FOUND, False)
    assert "map.tif" in stopped(driven).message


def test_all_missing_files_of_an_object_are_counted(
    context: StorageContext, payloads: PayloadServer
) -> None:
    rows = [f"{payloads.url(f'/{n}')} |  |  |  |  | {n}.txt" for n in range(5)]
    rows.append(f"{payloads.serve('/there', SMALL)} |  |  |  |  | there.txt")
    url = payloads.serve("/object.checkm", checkm(*rows))

    driven = drive(step_input({"kind": "manifest", "url": url, "name": "object.checkm"}), context)

    assert stopped(driven).code is Failure.PAYLOAD_NOT_FOUND
    assert "0.txt" in stopped(driven).message
    assert "and 2 more" in stopped(driven).message


@pytest.mark.parametrize("status", [400, 401, 403, 405, 501])
def test_a_server_without_head_gets_a_get(
    context: StorageContext, payloads: PayloadServer, status: int
) -> None:
    url = payloads.behave("/map.tif", without_head(SMALL, status))

    done = drive(step_input(file_entry(url)), context)

    assert done.ended_well
    assert isinstance(done.outcomes["provisioning"], Skipped)


def test_what_is_too_large_fails_before_it_is_fetched(
    context: StorageContext, payloads: PayloadServer
) -> None:
    url = payloads.behave("/map.tif", responding(200, {"Content-Length": str(9 * 1024**3)}))

    driven = drive(step_input(file_entry(url)), context)

    assert list(driven.outcomes) == ["estimating", "provisioning"]
    assert stopped(driven).code is Failure.TOO_LARGE
    assert payloads.requested("GET") == [
        "/map.tif"
    ]  # whose answer has the length too; its body is not read


def test_what_turns_out_too_large_is_not_read(
    context: StorageContext, payloads: PayloadServer
) -> None:
    def lie(request: BaseHTTPRequestHandler) -> None:
        length = "10" if request.command == "HEAD" else str(9 * 1024**3)
        responding(200, {"Content-Length": length})(request)

    driven = drive(step_input(file_entry(payloads.behave("/map.tif", lie))), context)

    assert list(driven.outcomes)[-1] == "downloading"
    assert stopped(driven).code is Failure.TOO_LARGE


def test_a_listing_of_too_many_files_is_not_even_read(context: StorageContext) -> None:
    entry = {"kind": "files", "files_key": "nowhere", "count": 10_001, "name": "map.checkm"}

    assert stopped(drive(step_input(entry), context)).code is Failure.TOO_LARGE


def test_of_very_many_files_only_the_first_thousand_are_asked_for(
    context: StorageContext, payloads: PayloadServer
) -> None:
    url = payloads.serve("/x", b"12345")
    row = {"kind": "file", "url": url, "name": "x", "size": 5}
    text = b"".join(json.dumps(row).encode() + b"\n" for _ in range(1_005))
    context.s3.put_object(Bucket=context.work_bucket, Key="work/b/files.jsonl", Body=text)
    entry = {"kind": "files", "files_key": "work/b/files.jsonl", "name": "map.checkm"}

    outcome = DEPOSIT.steps[0][1](step_input(entry), context)

    assert outcome == Done({"files": 1_005, "largest": 5, "bytes": 5_025})
    assert len(payloads.requested("HEAD")) == 1_000
    assert payloads.connections <= 9


def test_errors_of_a_nested_manifest_have_line_and_column(
    context: StorageContext, payloads: PayloadServer
) -> None:
    rows = [
        f"{payloads.url('/a')} | sha-256 | {'0' * 64} | ten |  | a.txt",
        f"{payloads.url('/b')} | crc32 | 00 | 10 |  | b.txt",
    ]
    url = payloads.serve("/object.checkm", checkm(*rows))

    driven = drive(step_input({"kind": "manifest", "url": url, "name": "object.checkm"}), context)

    assert stopped(driven).code is Failure.BAD_MANIFEST
    assert "line 6, column" in stopped(driven).message
    assert "line 7, column" in stopped(driven).message
    assert "has 2 errors, the first: line 6" in stopped(driven).message
    assert not stopped(driven).retryable


def test_a_nested_manifest_with_warnings_is_accepted_and_they_are_shown(
    context: StorageContext, payloads: PayloadServer
) -> None:
    names = ("A.txt", "a.txt", "CON", "b.", "c:d")
    rows = [f"{payloads.serve(f'/{n}', b'x')} |  |  |  |  | {name}" for n, name in enumerate(names)]
    url = payloads.serve("/object.checkm", checkm(*rows))

    outcome = DEPOSIT.steps[0][1](
        step_input({"kind": "manifest", "url": url, "name": "object.checkm"}), context
    )

    assert isinstance(outcome, Done)
    assert outcome.message.startswith("object.checkm has 4 warnings, the first: line 7, column")
    assert "line 8" in outcome.message
    assert "line 9" in outcome.message
    assert "line 10" not in outcome.message


def test_a_manifest_of_manifests_is_no_object(
    context: StorageContext, payloads: PayloadServer
) -> None:
    row = f"{payloads.url('/a.checkm')} |  |  |  |  | a.checkm"
    text = checkm(row).replace(b"mrt-ingest-manifest", b"mrt-batch-manifest")
    text = text.replace(b" | mrt:mimeType", b"")  # a column that the other profile does not have
    url = payloads.serve("/object.checkm", text)

    driven = drive(step_input({"kind": "manifest", "url": url, "name": "object.checkm"}), context)

    assert stopped(driven).code is Failure.BAD_MANIFEST
    assert "object.checkm has 1 error: line 2, column" in stopped(driven).message


def test_a_nested_manifest_over_five_megabytes_is_too_large(
    context: StorageContext, payloads: PayloadServer
) -> None:
    url = payloads.serve("/object.checkm", checkm() + b"# " + b"x" * 5_000_000)

    driven = drive(step_input({"kind": "manifest", "url": url, "name": "object.checkm"}), context)

    assert stopped(driven).code is Failure.TOO_LARGE


# Downloading


@pytest.mark.parametrize(
    ("raw", "fields", "code", "retryable"),
    [
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
            {},
            Failure.PAYLOAD_TRUNCATED,
            True,
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
            {"size": 4},
            Failure.SIZE_MISMATCH,
            False,
        ),
        (b"HTTP/1.0 200 OK\r\n\r\nabc", {"size": 4}, Failure.SIZE_MISMATCH, False),
        (b"HTTP/1.0 200 OK\r\n\r\nabcde", {"size": 4}, Failure.SIZE_MISMATCH, False),
        (b"HTTP/1.0 200 OK\r\n\r\nabc", {}, Failure.PAYLOAD_REFUSED, False),
        (
            b"HTTP/1.1 502 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
            {},
            Failure.PAYLOAD_SERVER_ERROR,
            True,
        ),
        (b"HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n", {}, Failure.PAYLOAD_BUSY, True),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", {}, Failure.PAYLOAD_NOT_FOUND, False),
    ],
)
def test_what_goes_wrong_in_the_download_has_its_code(
    context: StorageContext,
    payloads: PayloadServer,
    raw: bytes,
    fields: dict[str, Any],
    code: Failure,
    retryable: bool,
) -> None:
    def behave(request: BaseHTTPRequestHandler) -> None:
        (responding(405) if request.command == "HEAD" else sending(raw))(request)

    driven = drive(step_input(file_entry(payloads.behave("/map.tif", behave), **fields)), context)

    stop = stopped(driven)
    assert (list(driven.outcomes)[-1], stop.code, stop.retryable) == (
        "downloading",
        code,
        retryable,
    )
    assert stop.retry_after == (7.0 if code is Failure.PAYLOAD_SERVER_ERROR else None)
    assert "map.tif" in stop.message
    assert held(context, context.archive_bucket) == {}


def test_a_body_without_an_end_is_accepted_when_the_manifest_has_its_size(
    context: StorageContext, payloads: PayloadServer
) -> None:
    def behave(request: BaseHTTPRequestHandler) -> None:
        raw = b"HTTP/1.0 200 OK\r\n\r\nabc"
        (responding(405) if request.command == "HEAD" else sending(raw))(request)

    url = payloads.behave("/map.tif", behave)

    assert drive(step_input(file_entry(url, size=3)), context).ended_well


@pytest.mark.parametrize("digest", ["", "0" * 64])
def test_a_large_file_that_is_wrong_leaves_nothing_in_the_archive(
    context: StorageContext, payloads: PayloadServer, digest: str
) -> None:
    wrong = {"algorithm": "sha-256", "digest": digest} if digest else {"size": len(LARGE) + 1}
    url = payloads.behave("/map.tif", without_head(LARGE))

    stop = stopped(drive(step_input(file_entry(url, **wrong)), context))

    assert stop.code is (Failure.DIGEST_MISMATCH if digest else Failure.SIZE_MISMATCH)
    for bucket in (context.archive_bucket, context.work_bucket):
        assert held(context, bucket) == {}
        assert "Uploads" not in context.s3.list_multipart_uploads(Bucket=bucket)


def test_a_worker_whose_time_is_up_stops_cleanly_in_a_file(
    context: StorageContext, payloads: PayloadServer
) -> None:
    def left() -> Iterator[float]:
        yield from [600.0] * 13
        while True:
            yield 11.0

    times = left()
    entry = file_entry(payloads.behave("/map.tif", without_head(LARGE)))

    stop = stopped(drive(step_input(entry), replace(context, remaining=lambda: next(times))))

    assert (stop.code, stop.retryable) == (Failure.TIMEOUT, True)
    assert "Uploads" not in context.s3.list_multipart_uploads(Bucket=context.work_bucket)


def _object_of(count: int, payloads: PayloadServer) -> dict[str, Any]:
    rows = [f"{payloads.serve(f'/{n}', b'%d' % n)} |  |  |  |  | {n:03d}.txt" for n in range(count)]
    url = payloads.serve("/object.checkm", checkm(*rows))
    return {"kind": "manifest", "url": url, "name": "object.checkm"}


def test_an_attempt_with_progress_continues_instead_of_failing(
    context: StorageContext, payloads: PayloadServer
) -> None:
    entry = _object_of(40, payloads)
    time_left = [12.5]

    def serve_once(request: BaseHTTPRequestHandler) -> None:
        responding(200, body=b"late")(request)
        if request.command == "GET":
            time_left[0] = 11.9

    payloads.behave("/20", serve_once)
    driven = drive(step_input(entry), replace(context, remaining=lambda: time_left[0]))
    fetched_before = len(payloads.requested("GET"))

    assert isinstance(driven.last, Snooze)
    assert "next attempt continues" in driven.last.message
    assert driven.run_remaining(context).ended_well
    again = payloads.requested("GET")[fetched_before:]
    assert len(again) < 25
    assert held(context, context.work_bucket) == {}


def test_a_requeue_fetches_only_what_is_missing(
    context: StorageContext, payloads: PayloadServer
) -> None:
    entry = _object_of(10, payloads)
    payloads.behave("/9", without_head(b"", 405))
    payloads.behave("/9", lambda request: _head_only(request))
    driven = drive(step_input(entry), context)
    assert stopped(driven).code is Failure.PAYLOAD_NOT_FOUND
    payloads.behaviours.clear()
    payloads.requests.clear()

    driven.run_remaining(context)

    assert driven.ended_well
    assert payloads.requested("GET") == ["/9"]


def _head_only(request: BaseHTTPRequestHandler) -> None:
    responding(200 if request.command == "HEAD" else 404)(request)


def test_a_permanent_failure_takes_precedence_over_a_temporary_one(
    context: StorageContext, payloads: PayloadServer
) -> None:
    entry = _object_of(4, payloads)

    def busy(request: BaseHTTPRequestHandler) -> None:
        responding(200 if request.command == "HEAD" else 503)(request)

    for n in range(3):
        payloads.behave(f"/{n}", busy)
    payloads.behave("/3", _head_only)

    stop = stopped(drive(step_input(entry), context))

    assert stop.code in {Failure.PAYLOAD_NOT_FOUND, Failure.PAYLOAD_SERVER_ERROR}
    assert stop.retryable is (stop.code is Failure.PAYLOAD_SERVER_ERROR)


# Versions and identifiers


def test_the_same_local_id_again_is_a_new_version_of_the_same_object(
    context: StorageContext, payloads: PayloadServer
) -> None:
    url = payloads.serve("/map.tif", SMALL)
    first = drive(step_input(file_entry(url, local=["m-1"])), context)
    payloads.serve("/map.tif", SMALL + b", corrected")

    second = drive(step_input(file_entry(url, local=["m-1", "m-2"]), job=1), context)
    by_ark = drive(
        step_input(file_entry(url, primary=first.step_input.data["ark"], title="T"), job=2), context
    )

    assert (
        second.step_input.data["ark"]
        == first.step_input.data["ark"]
        == by_ark.step_input.data["ark"]
    )
    versions = [each.step_input.data["version"] for each in (first, second, by_ark)]
    assert versions == [1, 2, 3]


def test_another_spelling_of_an_ark_is_the_same_object(
    context: StorageContext, payloads: PayloadServer
) -> None:
    url = payloads.serve("/map.tif", SMALL)
    first = drive(step_input(file_entry(url, primary="ark:99999/m3-a1", local=["m-1"])), context)
    payloads.serve("/map.tif", SMALL + b", corrected")
    second = drive(
        step_input(file_entry(url, primary="ark:/99999/m3a1", local=["m-1"]), job=1), context
    )

    assert [each.step_input.data["ark"] for each in (first, second)] == ["ark:/99999/m3a1"] * 2
    assert [each.step_input.data["version"] for each in (first, second)] == [1, 2]


def test_identical_content_makes_no_new_version(
    context: StorageContext, payloads: PayloadServer
) -> None:
    entry = file_entry(payloads.serve("/map.tif", SMALL), local=["m-1"])
    first = drive(step_input(entry), context)

    again = drive(step_input(entry, job=1), context)

    assert again.ended_well
    assert again.step_input.data["version"] == 1
    assert isinstance(again.outcomes["recording"], Skipped)
    storing = again.outcomes["storing"]
    assert isinstance(storing, Done)
    assert "identical to version 1" in storing.message
    latest = context.objects.latest(first.step_input.data["ark"])
    assert latest
    assert latest.job_id == first.step_input.job_id


def test_identifiers_of_different_objects_are_refused_for_good(
    context: StorageContext, payloads: PayloadServer
) -> None:
    url = payloads.serve("/map.tif", SMALL)
    first = drive(step_input(file_entry(url, local=["m-1"])), context)
    drive(step_input(file_entry(url, local=["m-2"]), job=1), context)

    both = drive(step_input(file_entry(url, local=["m-1", "m-2"]), job=2), context)
    other = file_entry(url, local=["m-2"], primary=first.step_input.data["ark"])
    wrong = drive(step_input(other, job=3), context)
    elsewhere = replace(step_input(file_entry(url, primary=first.step_input.data["ark"]), job=4))
    foreign = drive(replace(elsewhere, collection="books"), context)

    for driven in (both, wrong, foreign):
        stop = stopped(driven)
        assert (stop.code, stop.requeueable) == (Failure.IDENTIFIER_CONFLICT, False)


def test_a_primary_identifier_that_is_no_ark_is_refused(
    context: StorageContext, payloads: PayloadServer
) -> None:
    url = payloads.serve("/map.tif", SMALL)

    stop = stopped(drive(step_input(file_entry(url, primary="../../x")), context))

    assert stop.code is Failure.BAD_MANIFEST


# Notify


def test_the_callback_is_called_once_with_the_jobs_end(
    context: StorageContext, payloads: PayloadServer
) -> None:
    entry = file_entry(payloads.serve("/map.tif", SMALL))
    callback = payloads.behave("/hook", responding(204))

    done = drive(step_input(entry, parameters={"callback_url": callback}), context)

    assert done.ended_well
    ((headers, body),) = payloads.bodies
    assert headers["idempotency-key"] == done.step_input.job_id
    assert json.loads(body) == {
        "batch_id": done.step_input.batch_id,
        "job_id": done.step_input.job_id,
        "ark": done.step_input.data["ark"],
        "version": 1,
        "status": "succeeded",
    }


@pytest.mark.parametrize("status", [500, 503])
def test_a_callback_server_that_fails_is_called_again(
    context: StorageContext, payloads: PayloadServer, status: int
) -> None:
    entry = file_entry(payloads.serve("/map.tif", SMALL))
    callback = payloads.behave("/hook", responding(status))

    stop = stopped(drive(step_input(entry, parameters={"callback_url": callback}), context))

    assert (stop.code, stop.retryable) == (Failure.CALLBACK_FAILED, True)


@pytest.mark.parametrize(
    ("callback", "words"),
    [
        ("/gone", "404"),
        ("/moved", "302"),
        ("http://169.254.169.254/", "public"),
        ("s3://b/k", "http"),
    ],
)
def test_any_other_answer_of_a_callback_is_only_noted(
    context: StorageContext, payloads: PayloadServer, callback: str, words: str
) -> None:
    entry = file_entry(payloads.serve("/map.tif", SMALL))
    payloads.behave("/moved", responding(302, {"Location": "/hook"}))
    url = payloads.url(callback) if callback.startswith("/") else callback

    done = drive(step_input(entry, parameters={"callback_url": url}), context)

    assert done.ended_well
    assert isinstance(done.last, Done)
    assert words in done.last.message


def test_a_callback_without_an_answer_is_tried_again(
    context: StorageContext, payloads: PayloadServer
) -> None:
    entry = file_entry(payloads.serve("/map.tif", SMALL))
    callback = payloads.behave("/hook", sending(b""))

    stop = stopped(drive(step_input(entry, parameters={"callback_url": callback}), context))

    assert (stop.code, stop.retryable) == (Failure.CALLBACK_FAILED, True)
