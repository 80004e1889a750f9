"""Parsing of responses from any server, in bounded and linear time."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.jobtypes.http_client.responses import (
    BLOCK,
    HEAD_BYTES,
    HEADER_LINE_BYTES,
    TRAILER_BYTES,
    ConnectionClosed,
    Head,
    NotHttp,
    chunked,
    read_head,
    sized,
    until_end,
)

OK = b"HTTP/1.1 200 OK\r\n"


def head(raw: bytes) -> Head:
    return read_head(io.BytesIO(raw))


# Heads


@pytest.mark.parametrize(
    "line",
    [
        b"Server Name: LIB-WEB-2",
        b"no colon at all",
        b": no name",
        b" begins with a blank",
        b"\tbegins with a tab: 1",
        b"Spaced Name : value",
        b"Caf\xe9: \xff\xfe",
        b"X-Nothing:",
        b"From someone@library Mon Jan 1",
        b"HTTP/1.1 200 OK",
        b"{'json': true}",
        b"\x0b",
        b"\r\r",
        b"=?utf-8?q?=00?=",
    ],
)
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_an_invalid_header_line_does_not_hide_others(line: bytes, end: bytes) -> None:
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: 21", line, b"Content-Encoding: gzip", b"", b""]

    found = head(end.join(lines))

    assert found.tokens("content-length") == ["21"]
    assert found.tokens("content-encoding") == ["gzip"]


NAMES = st.sampled_from(["Content-Length", "ETag", "X-A", "x-b", "Content-Encoding"])
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12)
NOT_FIELDS = st.binary(max_size=20).map(
    lambda raw: raw.translate(None, b"\0\r\n:").lstrip(b" \t") or b"?"
)


@given(st.lists(st.one_of(st.tuples(NAMES, VALUES), NOT_FIELDS), max_size=30))
def test_every_field_among_whatever_lines_is_read(lines: list[tuple[str, str] | bytes]) -> None:
    text = [line if isinstance(line, bytes) else f"{line[0]}: {line[1]}".encode() for line in lines]

    found = head(b"\r\n".join([b"HTTP/1.1 200 OK", *text, b"", b""]))

    assert list(found.fields) == [
        (line[0].lower(), line[1].encode()) for line in lines if not isinstance(line, bytes)
    ]


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=300).map(OK.__add__)))
def test_any_bytes_are_parsed_or_refused(raw: bytes) -> None:
    try:
        found = head(raw)
    except (NotHttp, ConnectionClosed):
        return
    assert 200 <= found.status <= 999


def test_a_field_continues_with_a_line_that_begins_with_a_blank() -> None:
    found = head(OK + b"X-Long: one\r\n two\r\n\tthree\r\nContent-Length: 3\r\n\r\n")

    assert found.text("x-long") == "one two three"
    assert found.text("content-length") == "3"


def test_a_thousand_fields_are_read() -> None:
    fields = b"".join(b"X-%d: y\r\n" % number for number in range(1_000))

    assert head(OK + fields + b"Content-Length: 3\r\n\r\n").text("content-length") == "3"


@pytest.mark.parametrize(
    "before",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n" * 30,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103\r\nContent-Length: 7\r\n\r\n",
    ],
)
def test_every_answer_of_1xx_is_passed_over(before: bytes) -> None:
    found = head(before + OK + b"Content-Length: 3\r\n\r\n")

    assert (found.status, found.text("content-length")) == (200, "3")


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [
        (b"HTTP/1.0 404 Not Found", 404, "Not Found"),
        (b"HTTP/1.1 200", 200, ""),
        (b"HTTP/1.1 200 ", 200, ""),
        (b"HTTP/1.1  200  OK", 200, "OK"),
        (b"HTTP/2 200", 200, ""),
        (b"http/1.1 200 OK", 200, "OK"),
        (b"HTTP/1.1 200 D\xe9j\xc3\xa0 vu", 200, "D\ufffdj\u00e0 vu"),
        (b"HTTP/1.1 999 Request denied", 999, "Request denied"),
    ],
)
def test_a_status_line_may_be_written_in_many_ways(line: bytes, status: int, reason: str) -> None:
    found = head(line + b"\r\n\r\n")

    assert (found.status, found.reason) == (status, reason)


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"<html>\n",
        b"\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 2\xb20 OK\r\n\r\n",
        b"HTTP/1.1200 OK\r\n\r\n",
        OK + b"X: a\0b\r\n\r\n",
        OK + b"X: " + b"y" * HEADER_LINE_BYTES + b"\r\n\r\n",
        OK + b"X: y\r\n" * (HEAD_BYTES // 6) + b"\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * (HEAD_BYTES // 20),
        b"x" * (HEADER_LINE_BYTES * 3),
        OK + b" folded\r\n" * (HEAD_BYTES // 8),
    ],
    ids=lambda raw: repr(raw[:30]),
)
def test_a_response_that_is_invalid_or_too_long_is_refused(raw: bytes) -> None:
    source = io.BytesIO(raw)

    with pytest.raises(NotHttp):
        read_head(source)

    assert source.tell() <= HEAD_BYTES + HEADER_LINE_BYTES


@pytest.mark.parametrize("cut", range(len(OK + b"X: y\r\n\r\n")))
def test_a_truncated_head_is_a_closed_connection(cut: int) -> None:
    with pytest.raises(ConnectionClosed):
        head((OK + b"X: y\r\n\r\n")[:cut])


@pytest.mark.parametrize(
    ("raw", "closes"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: Keep-Alive, Close\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", False),
    ],
)
def test_an_answer_says_whether_more_may_follow(raw: bytes, closes: bool) -> None:
    assert head(raw).closes is closes


# Bodies


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=20), st.integers(0, 3))
def test_chunks_of_any_size_arrive_in_order(parts: list[bytes], style: int) -> None:
    end = [b"\r\n", b"\n"][style % 2]
    more = [b"", b";name=value"][style // 2]
    raw = b"".join(b"%X%s%s%s%s" % (len(part), more, end, part, end) for part in parts)
    source = io.BytesIO(raw + b"0" + end + end + b"HTTP/1.1 200 next")

    assert b"".join(chunked(source)) == b"".join(parts)
    assert source.read() == b"HTTP/1.1 200 next"


@given(st.binary(max_size=200), st.none() | st.integers(0, 30))
def test_any_bytes_in_place_of_chunks_end(raw: bytes, upto: int | None) -> None:
    try:
        got = b"".join(chunked(io.BytesIO(raw), upto))
    except (NotHttp, ConnectionClosed):
        return
    assert upto is None or len(got) <= upto + 1


def test_chunks_are_returned_in_blocks() -> None:
    raw = b"".join(b"3E8\r\n" + b"x" * 1000 + b"\r\n" for _ in range(3_000)) + b"0\r\n\r\n"

    blocks = list(chunked(io.BytesIO(raw)))

    assert sum(map(len, blocks)) == 3_000_000
    assert max(map(len, blocks)) <= BLOCK
    assert len(blocks) <= 4


def test_one_byte_in_a_chunk_is_no_reason_to_refuse() -> None:
    raw = b"1;q=1\r\na\r\n" * 50_000 + b"0\r\n\r\n"

    assert b"".join(chunked(io.BytesIO(raw))) == b"a" * 50_000


@pytest.mark.parametrize(
    "raw",
    [
        b"1;" + b"x" * 20_000 + b"\r\na\r\n",
        (b"1;" + b"x" * 500 + b"\r\na\r\n") * 1_000,
        b"0\r\n" + b"X: y\r\n" * TRAILER_BYTES,
        b"0\r\nX: " + b"y" * TRAILER_BYTES * 2,
    ],
    ids=["one extension", "many extensions", "many trailers", "a long trailer"],
)
def test_chunk_extensions_and_trailers_are_bounded(raw: bytes) -> None:
    source = io.BytesIO(raw)

    with pytest.raises(NotHttp):
        list(chunked(source))

    assert source.tell() <= 200_000


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"3",
        b"3\r\nab",
        b"3\r\nabc",
        b"3\r\nabc\r\n",
        b"xyz\r\n",
        b"-3\r\nabc\r\n",
        b"0x3\r\nabc\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"1_0\r\nabc",
        b"\r\n\r\n",
    ],
)
def test_truncated_or_invalid_chunks_are_no_complete_file(raw: bytes) -> None:
    with pytest.raises(ConnectionClosed):
        list(chunked(io.BytesIO(raw)))


def test_a_body_that_is_too_long_is_noticed_at_once() -> None:
    raw = b"5\r\nabcde\r\n" * 1000

    assert b"".join(chunked(io.BytesIO(raw), 7)) == b"abcdeabc"
    assert b"".join(until_end(io.BytesIO(b"abcdefgh"), 3)) == b"abc"
    assert b"".join(until_end(io.BytesIO(b"abcdefgh"))) == b"abcdefgh"


def test_a_body_shorter_than_declared_is_a_closed_connection() -> None:
    with pytest.raises(ConnectionClosed):
        list(sized(io.BytesIO(b"abc"), 4))
