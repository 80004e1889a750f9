"""Files come from servers that answer as many real ones do, byte for byte."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from jobyard.domain.jobs.failures import Failure
from jobyard.jobtypes.http_client import FetchRefused, HttpClient, Timeouts
from tests.jobtypes.conftest import PATIENT
from tests.jobtypes.raw_server import Raw, RawServer, ReceivedRequest, endless, raw

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
QUICK = Timeouts(connect_s=5.0, response_s=1.0, silence_s=1.0, window_s=1.0, min_bytes_per_s=1000)
SHELF = b"hello from the shelf\n"
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n" + SHELF


def plenty() -> float:
    return 600.0


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as server:
        yield server


@pytest.fixture
def other() -> Iterator[RawServer]:
    with RawServer() as server:
        yield server


@pytest.fixture
def fetch(server: RawServer, other: RawServer) -> Iterator[HttpClient]:
    fetch = HttpClient(frozenset({server.place, other.place}), lambda: NOON, timeouts=PATIENT)
    yield fetch
    fetch.close()


@pytest.fixture
def hasty(server: RawServer) -> Iterator[HttpClient]:
    """A client with short timeouts."""
    hasty = HttpClient(frozenset({server.place}), lambda: NOON, timeouts=QUICK)
    yield hasty
    hasty.close()


def read(fetch: HttpClient, url: str, upto: int | None = None, *, known: bool = False) -> bytes:
    with fetch.get(url, plenty) as answer:
        return b"".join(answer.blocks(upto, has_digest=known))


def refused(fetch: HttpClient, url: str, upto: int | None = None) -> FetchRefused:
    with pytest.raises(FetchRefused) as caught:
        read(fetch, url, upto)
    return caught.value


# Header lines


@pytest.mark.parametrize(
    "line",
    [b"Server Name: LIB-WEB-2", b"nothing", b" blank", b": x", b"\xff\xfe", b"X : y", b"<html>"],
)
def test_a_length_after_a_line_that_is_no_field_is_seen(
    fetch: HttpClient, server: RawServer, line: bytes
) -> None:
    answer = SIZED.replace(b"OK\r\n", b"OK\r\nX: y\r\n" + line + b"\r\n")
    server.answers["/a"] = raw(answer, stays=True)

    assert read(fetch, server.url("/a")) == SHELF
    assert read(fetch, server.url("/a")) == SHELF
    assert server.connections == 1


@pytest.mark.parametrize(
    "encoding",
    [
        b"Content-Encoding: gzip",
        b"CONTENT-ENCODING : gzip",
        b"Content-Encoding: identity\r\nContent-Encoding: br",
        b"Content-Encoding:\r\n gzip",
        b"Transfer-Encoding: gzip",
    ],
)
def test_a_compressed_body_is_refused_by_any_header(
    fetch: HttpClient, server: RawServer, encoding: bytes
) -> None:
    answer = SIZED.replace(b"\r\n\r\n", b"\r\nServer Name: LIB\r\n" + encoding + b"\r\n\r\n")
    server.answers["/a"] = raw(answer)

    refusal = refused(fetch, server.url("/a"))

    assert refusal.code is Failure.PAYLOAD_REFUSED
    assert "encoded" in refusal.message


@pytest.mark.parametrize("encoding", [b"x-gzip", b"aws-chunked", b"gzip, aws-chunked"])
def test_bytes_whose_digest_is_known_are_read_as_they_come(
    fetch: HttpClient, server: RawServer, encoding: bytes
) -> None:
    answer = SIZED.replace(b"OK\r\n", b"OK\r\nContent-Encoding: " + encoding + b"\r\n")
    server.answers["/a"] = raw(answer)

    with fetch.get(server.url("/a"), plenty) as found:
        body = b"".join(found.blocks(21, has_digest=True))

    assert (body, found.encoding) == (SHELF, encoding.decode())


@pytest.mark.parametrize("encoding", [b"identity", b"none", b"utf-8", b""])
def test_an_encoding_that_packs_nothing_is_none(
    fetch: HttpClient, server: RawServer, encoding: bytes
) -> None:
    answer = SIZED.replace(b"OK\r\n", b"OK\r\nContent-Encoding: " + encoding + b"\r\n")
    server.answers["/a"] = raw(answer)

    assert read(fetch, server.url("/a")) == SHELF


def test_answers_of_1xx_are_passed_over(fetch: HttpClient, server: RawServer) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x.css>; rel=preload\r\n\r\n"
    server.answers["/a"] = raw(hints, b"HTTP/1.1 102 Processing\r\n\r\n", hints, SIZED, stays=True)

    assert read(fetch, server.url("/a")) == SHELF
    assert fetch.head(server.url("/a"), plenty) == 21


@pytest.mark.parametrize(
    "answer",
    [
        endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000),
        endless(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 1000),
        endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000),
        endless(b"", b"x" * 1000),
        endless(b"HTTP/1.1 200 OK\r\nX: y\r\n", b" folded\r\n" * 1000),
        endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 1000),
        endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 1000),
        endless(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            (b"1;" + b"x" * 900 + b"\r\na\r\n") * 10,
        ),
    ],
    ids=["fields", "a field", "1xx", "no line", "folds", "trailers", "extension", "extensions"],
)
def test_what_has_no_end_is_refused_after_some_bytes(
    fetch: HttpClient, server: RawServer, answer: Raw
) -> None:
    server.answers["/a"] = answer

    assert refused(fetch, server.url("/a")).code is Failure.PAYLOAD_REFUSED


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    ],
    ids=["fields", "1xx", "trailers", "extension", "body"],
)
def test_a_response_that_is_too_slow_is_given_up(
    hasty: HttpClient, server: RawServer, first: bytes, again: bytes
) -> None:
    server.answers["/a"] = endless(first, again, pause_s=0.05)
    end = time.monotonic() + 600

    with (
        pytest.raises(FetchRefused) as caught,
        hasty.get(server.url("/a"), lambda: end - time.monotonic()) as answer,
    ):
        list(answer.blocks())

    assert caught.value.code is Failure.PAYLOAD_TIMEOUT


# Targets of redirects


@pytest.mark.parametrize(
    ("location", "requested"),
    [
        ("/Zürich plan.txt".encode(), "/Z%C3%BCrich%20plan.txt"),
        ("/Zürich".encode("latin-1"), "/Z%FCrich"),
        (b"/\xff\xfe", "/%FF%FE"),
        ("/日本?q=é#part".encode(), "/%E6%97%A5%E6%9C%AC?q=%C3%A9"),
        (b"/a%20b%c3%a9", "/a%20b%c3%a9"),
        (b"/100%", "/100%"),
        (b"x/../y.txt", "/y.txt"),
        (b"?q=1", "/a?q=1"),
        (b"  /blanks  ", "/blanks"),
        (b"/tab\there", "/tab%09here"),
        (b'/q"uote<s>', "/q%22uote%3Cs%3E"),
    ],
)
def test_a_location_is_requested_byte_for_byte(
    fetch: HttpClient, server: RawServer, location: bytes, requested: str
) -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"
    server.answers["/a"] = raw(moved)
    server.answers[requested] = raw(SIZED)

    assert read(fetch, server.url("/a")) == SHELF
    assert server.requested() == ["/a", requested]


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_every_redirect_that_says_where_to_is_followed(
    fetch: HttpClient, server: RawServer, status: int
) -> None:
    server.answers["/a"] = raw(b"HTTP/1.1 %d See\r\nLocation:\r\n /b\r\n\r\n" % status)
    server.answers["/b"] = raw(SIZED)

    assert read(fetch, server.url("/a")) == SHELF


@pytest.mark.parametrize("length", [b"21", b"+21", b"21, 21", b"21 bytes", b"21\r\n blank"])
def test_a_length_may_be_written_in_many_ways(
    fetch: HttpClient, server: RawServer, length: bytes
) -> None:
    server.answers["/a"] = raw(SIZED.replace(b": 21", b": " + length), stays=True)

    assert read(fetch, server.url("/a")) == SHELF


def test_the_first_of_two_locations_counts(fetch: HttpClient, server: RawServer) -> None:
    server.answers["/a"] = raw(b"HTTP/1.1 302 Found\r\nLocation: /b\r\nLocation: /c\r\n\r\n")
    server.answers["/b"] = raw(SIZED)

    assert read(fetch, server.url("/a")) == SHELF


@pytest.mark.parametrize(
    "location",
    [b"http://me:secret-word@files.example/", b"//me:secret-word@127.0.0.1/", b"http://[::1"],
)
def test_a_redirect_is_reported_without_its_password(
    fetch: HttpClient, server: RawServer, location: bytes
) -> None:
    server.answers["/a"] = raw(b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\n\r\n")

    refusal = refused(fetch, server.url("/a"))

    assert refusal.code in {Failure.ADDRESS_NOT_ALLOWED, Failure.PAYLOAD_REFUSED}
    assert "redirects to" in refusal.message
    assert "secret" not in str(refusal)


# Cookies


def _seen(request: ReceivedRequest) -> Raw:
    if "seen=1" in request.fields.get("cookie", ""):
        return raw(SIZED)
    return raw(
        b"HTTP/1.1 302 Found\r\nSet-Cookie: seen=1; Path=/\r\nSet-Cookie: b=2\r\n"
        b"Location: /a\r\nContent-Length: 0\r\n\r\n"
    )


def test_a_cookie_set_by_a_redirect_comes_back_with_the_next_request(
    fetch: HttpClient, server: RawServer
) -> None:
    server.answers["/a"] = _seen

    assert read(fetch, server.url("/a")) == SHELF
    assert server.received[-1].fields["cookie"] == "seen=1; b=2"
    assert fetch.head(server.url("/a"), plenty) == 21
    assert "cookie" not in server.received[2].fields


def test_a_cookie_is_not_sent_to_another_origin(
    fetch: HttpClient, server: RawServer, other: RawServer
) -> None:
    there = other.url("/b").encode()
    back = server.url("/c").encode()
    server.answers["/a"] = raw(
        b"HTTP/1.1 302 Found\r\nSet-Cookie: seen=1; Domain=127.0.0.1\r\nLocation: "
        + there
        + b"\r\n\r\n"
    )
    other.answers["/b"] = raw(b"HTTP/1.1 302 Found\r\nLocation: " + back + b"\r\n\r\n")
    server.answers["/c"] = raw(SIZED)

    assert read(fetch, server.url("/a")) == SHELF
    assert "cookie" not in other.received[0].fields
    assert server.received[-1].fields["cookie"] == "seen=1"


# Wait and retry


@pytest.mark.parametrize("status", [202, 429, 503])
@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        (b"5", 5.0),
        (b"0", 0.0),
        (format_datetime(datetime(2026, 11, 2, 12, 30, tzinfo=UTC), True).encode(), 1800.0),
        (b"Mon, 02 Nov 2026 12:30:00 GMT", 1800.0),
        (b"9" * 400, 315_360_000.0),
    ],
)
def test_a_server_may_give_a_retry_time(
    fetch: HttpClient, server: RawServer, status: int, retry_after: bytes, seconds: float
) -> None:
    server.answers["/a"] = raw(b"HTTP/1.1 %d \r\nRetry-After: %s\r\n\r\n" % (status, retry_after))

    assert refused(fetch, server.url("/a")).requested_wait_s == seconds


@pytest.mark.parametrize(
    "fields", [b"", b"Retry-After: soon\r\n", b"Retry-After: \xb2\r\n", b"Retry-After: -1\r\n"]
)
def test_without_a_retry_time_there_is_none(
    fetch: HttpClient, server: RawServer, fields: bytes
) -> None:
    server.answers["/a"] = raw(b"HTTP/1.1 202 Accepted\r\n" + fields + b"\r\n")

    refusal = refused(fetch, server.url("/a"))

    assert (refusal.code, refusal.requested_wait_s) == (Failure.PAYLOAD_BUSY, None)


# Bodies without a length


@pytest.mark.parametrize("known", [True, False])
def test_reading_stops_at_the_size_that_is_known(
    hasty: HttpClient, server: RawServer, known: bool
) -> None:
    """Without a digest it waits for more until the server has been silent for too long."""
    server.answers["/a"] = raw(b"HTTP/1.1 200 OK\r\n\r\n" + SHELF, stays=True)

    assert read(hasty, server.url("/a"), 21, known=known) == SHELF


@pytest.mark.parametrize("start", [b"\r\n", b"Transfer-Encoding: chunked\r\n\r\nffffff\r\n"])
@pytest.mark.parametrize("known", [True, False])
def test_what_is_longer_is_seen_at_once(
    fetch: HttpClient, server: RawServer, start: bytes, known: bool
) -> None:
    server.answers["/a"] = endless(b"HTTP/1.1 200 OK\r\n" + start, b"x" * 1000)

    with fetch.get(server.url("/a"), plenty) as answer:
        got = 0
        for block in answer.blocks(5_000, has_digest=known):
            got += len(block)
            if got > 5_000:
                break

    # A known digest decides, so nothing waits for more bytes.
    assert got == 5_001 or (known and start == b"\r\n" and got == 5_000)


# Connections kept open


def test_a_body_in_the_answer_to_head_does_not_corrupt_a_later_answer(
    fetch: HttpClient, server: RawServer
) -> None:
    server.answers["/a"] = raw(SIZED, stays=True)

    for _ in range(3):
        assert fetch.head(server.url("/a"), plenty) == 21
        assert read(fetch, server.url("/a")) == SHELF


def test_a_late_body_after_head_does_not_corrupt_a_later_answer(
    fetch: HttpClient, server: RawServer
) -> None:
    late = raw(SIZED[: -len(SHELF)], SHELF, stays=True, pause_s=0.05)
    server.answers["HEAD /a"] = late
    server.answers["GET /a"] = raw(SIZED, stays=True)

    for pause_s in (0.0, 0.2):
        assert fetch.head(server.url("/a"), plenty) == 21
        time.sleep(pause_s)
        assert read(fetch, server.url("/a")) == SHELF


# Messages


def test_texts_of_a_server_are_cleaned(fetch: HttpClient, server: RawServer) -> None:
    reason = b"\x1b[31mOK\x1b[0m \xe2\x80\xae" + b"x" * 5_000
    server.answers["/a"] = raw(b"HTTP/1.1 500 " + reason + b"\r\n\r\n")

    message = refused(fetch, server.url("/a")).message

    assert message.isprintable()
    assert len(message.encode()) <= 500


@pytest.mark.parametrize(
    "answer",
    [
        raw(b"HTTP/1.1 404 Not Found\r\n\r\n"),
        raw(b""),
        raw(b"SSH-2.0\r\n"),
    ],
)
def test_a_refusal_names_the_request(fetch: HttpClient, server: RawServer, answer: Raw) -> None:
    server.answers["/a"] = answer

    assert "GET" in refused(fetch, server.url("/a")).message
    with pytest.raises(FetchRefused, match="HEAD"):
        fetch.head(server.url("/a"), plenty)


def test_a_refusal_for_silence_names_the_request(hasty: HttpClient, server: RawServer) -> None:
    server.answers["/a"] = raw(b"", stays=True)

    assert "GET" in refused(hasty, server.url("/a")).message
    with pytest.raises(FetchRefused, match="HEAD"):
        hasty.head(server.url("/a"), plenty)
