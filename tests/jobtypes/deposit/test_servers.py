"""Deposits from real servers: wrong answers to HEAD, late files, compression, repeats."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import Continue, Fail, Snooze
from jobyard.jobtypes.http_client import HttpClient, Timeouts
from jobyard.jobtypes.step_context import StorageContext
from tests.jobtypes.conftest import PATIENT
from tests.jobtypes.deposit.deposits import checkm, content_key, drive, file_entry, held, step_input
from tests.jobtypes.raw_server import Answers, Raw, RawServer, ReceivedRequest, endless, raw

SHELF = b"hello from the shelf\n"
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n" + SHELF
MD5 = {"algorithm": "md5", "digest": hashlib.md5(SHELF).hexdigest(), "size": 21}
LATER = b"HTTP/1.1 202 Accepted\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as server:
        yield server


@contextmanager
def reaching(
    server: RawServer, context: StorageContext, timeouts: Timeouts
) -> Iterator[StorageContext]:
    """The context of a step that may fetch from the server."""
    client = HttpClient(frozenset({server.place}), lambda: datetime.now(UTC), timeouts=timeouts)
    with closing(client):
        yield replace(context, http=client)


@pytest.fixture
def here(context: StorageContext, server: RawServer) -> Iterator[StorageContext]:
    """The context of a step, the server's files included."""
    with reaching(server, context, PATIENT) as here:
        yield here


def listed(server: RawServer, *names: str) -> dict[str, Any]:
    """An object of these files."""
    text = checkm(*(f"{server.url(f'/{name}')} |  |  |  |  | {name}" for name in names))
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text)
    server.answers["/object.checkm"] = raw(head + text)
    return {"kind": "manifest", "url": server.url("/object.checkm"), "name": "object.checkm"}


# HEAD is an estimate


@pytest.mark.parametrize(
    "head",
    [
        raw(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        raw(b"HTTP/1.1 410 Gone\r\n\r\n"),
        raw(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n"),
        raw(b"HTTP/1.1 500 Internal Server Error\r\n\r\n"),
        raw(b"HTTP/1.1 503 Busy\r\nRetry-After: 100\r\n\r\n"),
        raw(b"HTTP/1.1 204 No Content\r\n\r\n"),
        raw(b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\n\r\n"),
        raw(b"HTTP/1.1 302 Found\r\nLocation: /a.txt\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: seven\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"),
        raw(b""),
        raw(b"SSH-2.0\r\n"),
        endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 100),
    ],
    ids=lambda answer: bytes(next(answer.pieces())[:60]).decode() or "closed",
)
@pytest.mark.parametrize("given", [MD5, {}], ids=["known", "unknown"])
def test_whatever_head_does_get_decides(
    here: StorageContext, server: RawServer, head: Raw, given: dict[str, Any]
) -> None:
    server.answers = {"HEAD /a.txt": head, "GET /a.txt": raw(SIZED)}

    done = drive(step_input(file_entry(server.url("/a.txt"), **given)), here)

    assert done.ended_well, done.last
    assert held(here, here.archive_bucket)[content_key(SHELF)] == SHELF


@pytest.mark.parametrize("given", [MD5, {}], ids=["known", "unknown"])
def test_get_decides_if_head_is_never_answered(
    context: StorageContext, server: RawServer, given: dict[str, Any]
) -> None:
    server.answers = {"HEAD /a.txt": raw(b"", stays=True), "GET /a.txt": raw(SIZED)}

    with reaching(server, context, replace(PATIENT, response_s=3.0, silence_s=3.0)) as here:
        done = drive(step_input(file_entry(server.url("/a.txt"), **given)), here)

    assert done.ended_well, done.last
    assert held(here, here.archive_bucket)[content_key(SHELF)] == SHELF


@pytest.mark.parametrize(
    ("head", "get", "code"),
    [
        (b"404 Not Found", b"404 Not Found", Failure.PAYLOAD_NOT_FOUND),
        (b"404 Not Found", b"500 Broken", Failure.PAYLOAD_SERVER_ERROR),
        (b"500 Broken", b"404 Not Found", Failure.PAYLOAD_NOT_FOUND),
        (b"200 OK", b"403 Forbidden", Failure.PAYLOAD_FORBIDDEN),
    ],
)
def test_the_answer_to_get_decides_the_failure(
    here: StorageContext, server: RawServer, head: bytes, get: bytes, code: Failure
) -> None:
    for method, status in (("HEAD", head), ("GET", get)):
        line = b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"
        server.answers[f"{method} /a.txt"] = raw(line)

    stop = drive(step_input(file_entry(server.url("/a.txt"), "a.txt")), here).last

    assert isinstance(stop, Fail)
    assert stop.code is code
    assert stop.message == f"a.txt: the server answered GET with {get.decode()}"


def test_head_is_sent_once_to_a_server_that_does_not_answer_it(
    here: StorageContext, server: RawServer
) -> None:
    names = [f"{number}.txt" for number in range(40)]
    for name in names:
        server.answers[f"HEAD /{name}"] = raw(b"")
        server.answers[f"GET /{name}"] = raw(SIZED)

    assert drive(step_input(listed(server, *names)), here).ended_well
    assert len(server.requested("HEAD")) < 20


# Wait and retry


def later_then(times: int, answer: Raw = raw(SIZED)) -> Answers:  # noqa: B008
    """A file that exists after so many requests."""
    left = [times]

    def answering(request: ReceivedRequest) -> Raw:
        if request.method == "GET":
            left[0] -= 1
        return raw(LATER) if left[0] >= 0 else answer

    return answering


def test_a_file_that_comes_later_is_waited_for(here: StorageContext, server: RawServer) -> None:
    server.answers["/a.txt"] = later_then(2)
    driven = drive(step_input(file_entry(server.url("/a.txt"), "a.txt", **MD5)), here)

    for _ in range(2):
        assert isinstance(driven.last, Snooze)
        assert (driven.last.seconds, driven.last.exhausted_code) == (5.0, Failure.PAYLOAD_BUSY)
        assert "a.txt: the server answered GET with 202 Accepted" in driven.last.message
        driven.run_remaining(here)

    assert driven.ended_well


@pytest.mark.parametrize("status", [b"429 Too Many Requests", b"503 Service Unavailable"])
def test_a_busy_server_is_tried_again_at_the_time_it_gives(
    here: StorageContext, server: RawServer, status: bytes
) -> None:
    server.answers["/a.txt"] = raw(b"HTTP/1.1 " + status + b"\r\nRetry-After: 120\r\n\r\n")

    wait = drive(step_input(file_entry(server.url("/a.txt"))), here).last

    assert isinstance(wait, Snooze)
    assert wait.seconds == 120.0


def test_a_nested_manifest_may_come_later_too(here: StorageContext, server: RawServer) -> None:
    entry = listed(server)
    server.answers["/object.checkm"] = raw(LATER)

    wait = drive(step_input(entry), here).last

    assert isinstance(wait, Snooze)
    assert wait.exhausted_code is Failure.PAYLOAD_BUSY


def test_files_that_come_later_are_all_asked_for_at_once(
    here: StorageContext, server: RawServer
) -> None:
    names = [f"{number}.txt" for number in range(20)]
    for name in names:
        body = name.encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        server.answers[f"/{name}"] = later_then(name < "2", raw(head + body))
    driven = drive(step_input(listed(server, *names)), here)

    assert isinstance(driven.last, Continue)
    assert driven.last.seconds == 5.0
    server.received.clear()
    assert driven.run_remaining(here).ended_well
    assert len(server.requested()) == sum(name < "2" for name in names)


def test_a_failure_takes_precedence_over_files_that_come_later(
    here: StorageContext, server: RawServer
) -> None:
    server.answers["/0.txt"] = raw(LATER)
    server.answers["HEAD /1.txt"] = raw(SIZED)
    server.answers["GET /1.txt"] = raw(b"HTTP/1.1 404 Not Found\r\n\r\n")

    stop = drive(step_input(listed(server, "0.txt", "1.txt")), here).last

    assert isinstance(stop, Fail)
    assert stop.code is Failure.PAYLOAD_NOT_FOUND


# Compressed bodies


@pytest.mark.parametrize("encoding", [b"x-gzip", b"gzip", b"aws-chunked"])
def test_bytes_that_have_the_manifests_digest_are_the_file(
    here: StorageContext, server: RawServer, encoding: bytes
) -> None:
    answer = SIZED.replace(b"OK\r\n", b"OK\r\nContent-Encoding: " + encoding + b"\r\n")
    server.answers["/a.txt"] = raw(answer)

    assert drive(step_input(file_entry(server.url("/a.txt"), **MD5)), here).ended_well


@pytest.mark.parametrize("given", [{}, {"size": 21}, MD5], ids=["nothing", "size", "digest"])
@pytest.mark.parametrize("framed", [True, False])
def test_a_compressed_body_that_is_not_the_file_is_refused_as_such(
    here: StorageContext, server: RawServer, given: dict[str, Any], framed: bool
) -> None:
    packed = gzip.compress(SHELF)
    length = b"Content-Length: %d\r\n" % len(packed) if framed else b""
    start = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n" + length + b"\r\n"
    server.answers["/a.txt"] = raw(start + packed)

    stop = drive(step_input(file_entry(server.url("/a.txt"), **given)), here).last

    assert isinstance(stop, Fail)
    assert (stop.code, stop.retryable) == (Failure.PAYLOAD_REFUSED, False)
    assert "encoded (gzip)" in stop.message or not (framed or given)
    assert held(here, here.archive_bucket) == {}


@pytest.mark.parametrize("given", [MD5, {}, {"size": 21}], ids=["digest", "nothing", "size"])
def test_a_line_end_after_a_file_with_a_known_digest_is_ignored(
    here: StorageContext, server: RawServer, given: dict[str, Any]
) -> None:
    server.answers["HEAD /a.txt"] = raw(b"HTTP/1.1 405 No\r\n\r\n")
    server.answers["GET /a.txt"] = raw(SIZED + b"\r\n", stays=True)

    driven = drive(step_input(file_entry(server.url("/a.txt"), **given)), here)

    assert driven.ended_well is ("digest" in given)
    assert driven.ended_well or "more than the 21 bytes" in getattr(driven.last, "message", "")


# Bodies without an end


@pytest.mark.parametrize("given", [MD5, {"size": 21}], ids=["digest", "size"])
def test_a_connection_left_open_without_a_length_ends_at_the_manifests_size(
    context: StorageContext, server: RawServer, given: dict[str, Any]
) -> None:
    server.answers["/a.txt"] = raw(b"HTTP/1.1 200 OK\r\n\r\n" + SHELF, stays=True)
    # Without a digest the client waits for more bytes until the server was silent for so long.
    with reaching(server, context, replace(PATIENT, silence_s=2.0)) as here:
        driven = drive(step_input(file_entry(server.url("/a.txt"), **given)), here)

    assert driven.ended_well


def test_a_file_without_end_is_refused_when_it_is_longer_than_the_manifest_says(
    here: StorageContext, server: RawServer
) -> None:
    server.answers["HEAD /a.txt"] = raw(b"HTTP/1.1 405 No\r\n\r\n")
    server.answers["GET /a.txt"] = endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 22)

    stop = drive(step_input(file_entry(server.url("/a.txt"), size=21)), here).last

    assert isinstance(stop, Fail)
    assert stop.code is Failure.SIZE_MISMATCH


# Repeated requests


@pytest.mark.parametrize(
    ("size", "calls"),
    [
        (64 * 1024, ["PutObject"]),
        (64 * 1024 + 1, ["HeadObject"]),
        (8 * 1024**2, ["HeadObject"]),
    ],
)
def test_a_file_that_is_in_the_archive_is_not_sent_again(
    here: StorageContext, server: RawServer, size: int, calls: list[str]
) -> None:
    body = b"x" * size
    start = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
    server.answers["HEAD /a"] = raw(start)
    server.answers["GET /a"] = raw(start + body)
    first = drive(step_input(file_entry(server.url("/a"), local=["m-1"])), here)
    made: list[str] = []

    def note(model: Any, **_: Any) -> None:
        made.append(model.name)

    here.s3.meta.events.register("before-call.s3", note)
    try:
        entry = file_entry(server.url("/a"), "other.txt", local=["m-1"])
        second = drive(step_input(entry, job=1), here)
    finally:
        here.s3.meta.events.unregister("before-call.s3", note)

    assert first.ended_well
    assert second.ended_well
    assert made[: len(calls)] == calls
    assert "PutObject" not in made[len(calls) : -1]


def test_a_version_holds_the_files_of_its_own_row_and_no_others(
    here: StorageContext, server: RawServer
) -> None:
    server.answers["/1"] = server.answers["/2"] = raw(SIZED)
    first = file_entry(server.url("/1"), "letter.txt", local=["l-1"], title="The letter")
    second = file_entry(server.url("/2"), "letter-translated.txt", local=["l-1"])

    drive(step_input(first), here)
    done = drive(step_input(second, job=1), here)

    ark = done.step_input.data["ark"].replace(":/", "-").replace("/", "-")
    version = json.loads(held(here, here.archive_bucket)[f"objects/{ark}/v2.json"])
    assert [each["name"] for each in version["files"]] == ["letter-translated.txt"]
    assert version["metadata"]["what"] == "(:unav)"
