import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.jobs.failures import RETRYABLE, Failure
from jobyard.domain.urls import is_public
from jobyard.jobtypes.http_client import FetchRefused, HttpClient, Timeouts
from jobyard.jobtypes.http_client.addresses import may_connect, networks_of, parse_target
from jobyard.jobtypes.http_client.pace import Pace
from tests.jobtypes.conftest import PATIENT
from tests.jobtypes.payload_server import PayloadServer, responding, sending

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
QUICK = Timeouts(connect_s=2.0, response_s=0.3, silence_s=0.3, window_s=0.3, min_bytes_per_s=1000)


def plenty() -> float:
    return 600.0


@pytest.fixture
def fetch(payloads: PayloadServer) -> Iterator[HttpClient]:
    fetch = HttpClient(frozenset({payloads.host}), lambda: NOON, timeouts=PATIENT)
    yield fetch
    fetch.close()


@pytest.fixture
def hasty(payloads: PayloadServer) -> Iterator[HttpClient]:
    """A client with short timeouts."""
    hasty = HttpClient(frozenset({payloads.host}), lambda: NOON, timeouts=QUICK)
    yield hasty
    hasty.close()


def clock(seconds: float) -> Callable[[], float]:
    """A worker's remaining time that really passes."""
    end = time.monotonic() + seconds
    return lambda: end - time.monotonic()


def read(fetch: HttpClient, url: str, remaining: Callable[[], float] = plenty) -> bytes:
    with fetch.get(url, remaining) as answer:
        return b"".join(answer.blocks())


def refused(fetch: HttpClient, url: str, remaining: Callable[[], float] = plenty) -> FetchRefused:
    with pytest.raises(FetchRefused) as caught:
        read(fetch, url, remaining)
    return caught.value


# Success


def test_a_file_arrives_whole_and_in_order(fetch: HttpClient, payloads: PayloadServer) -> None:
    content = bytes(range(256)) * 20_000
    url = payloads.serve("/big", content)

    with fetch.get(url, plenty) as answer:
        blocks = list(answer.blocks())

    assert b"".join(blocks) == content
    assert (answer.length, answer.framed, answer.url) == (len(content), True, url)
    assert max(map(len, blocks)) <= 1024 * 1024


def test_an_empty_file_is_a_file(fetch: HttpClient, payloads: PayloadServer) -> None:
    assert read(fetch, payloads.serve("/empty", b"")) == b""


@pytest.mark.parametrize(
    ("status", "content_range", "expected"),
    [(206, "bytes 4-9/10", (4, b"456789")), (200, "", (0, b"456789"))],
)
def test_a_file_is_read_from_a_byte_on_if_its_server_can_send_parts(
    fetch: HttpClient,
    payloads: PayloadServer,
    status: int,
    content_range: str,
    expected: tuple[int, bytes],
) -> None:
    requested: list[str | None] = []

    def behave(request: BaseHTTPRequestHandler) -> None:
        requested.append(request.headers["Range"])
        responding(status, {"Content-Range": content_range}, b"456789")(request)

    url = payloads.behave("/part", behave)

    with fetch.get(url, plenty, offset=4) as answer:
        assert (answer.offset, b"".join(answer.blocks())) == expected
    assert requested == ["bytes=4-"]


@pytest.mark.parametrize("content_range", ["", "bytes 0-9/10", "bytes 4-9", "items 4-9/10"])
def test_another_part_than_was_requested_is_refused(
    fetch: HttpClient, payloads: PayloadServer, content_range: str
) -> None:
    url = payloads.behave("/part", responding(206, {"Content-Range": content_range}, b"456789"))

    with pytest.raises(FetchRefused) as caught, fetch.get(url, plenty, offset=4):
        pass
    assert caught.value.code is Failure.PAYLOAD_REFUSED
    assert refused(fetch, url).status == 206  # nobody asked for a part


def test_a_body_in_chunks_arrives_whole(fetch: HttpClient, payloads: PayloadServer) -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    url = payloads.behave("/chunks", sending(raw))

    with fetch.get(url, plenty) as answer:
        body = b"".join(answer.blocks())

    assert (body, answer.length, answer.framed) == (b"abcde", None, True)


def test_a_body_that_only_the_end_of_the_connection_ends_is_marked(
    fetch: HttpClient, payloads: PayloadServer
) -> None:
    url = payloads.behave("/old", sending(b"HTTP/1.0 200 OK\r\n\r\nabc"))

    with fetch.get(url, plenty) as answer:
        body = b"".join(answer.blocks())

    assert (body, answer.length, answer.framed) == (b"abc", None, False)


def test_head_returns_the_length(fetch: HttpClient, payloads: PayloadServer) -> None:
    assert fetch.head(payloads.serve("/file", b"12345"), plenty) == 5
    assert payloads.requested("GET") == []


def test_connections_are_kept_and_used_again(fetch: HttpClient, payloads: PayloadServer) -> None:
    url = payloads.serve("/file", b"12345")

    for _ in range(5):
        fetch.head(url, plenty)
        read(fetch, url)

    assert payloads.connections == 1


def test_a_kept_connection_closed_by_the_server_is_replaced(
    fetch: HttpClient, payloads: PayloadServer
) -> None:
    def once_then_hang_up(request: BaseHTTPRequestHandler) -> None:
        responding(200, body=b"abc")(request)
        request.close_connection = True

    url = payloads.behave("/file", once_then_hang_up)

    assert [read(fetch, url) for _ in range(3)] == [b"abc"] * 3


def test_a_path_with_spaces_and_letters_beyond_ascii_is_quoted(
    fetch: HttpClient, payloads: PayloadServer
) -> None:
    payloads.serve("/a%20%C3%A9.txt?x=1", b"abc")

    assert read(fetch, payloads.url("/a é.txt?x=1#part")) == b"abc"


def test_a_post_returns_the_answer_and_follows_no_redirect(
    fetch: HttpClient, payloads: PayloadServer
) -> None:
    url = payloads.behave("/hook", responding(307, {"Location": "/elsewhere"}))

    answer = fetch.send("POST", url, plenty, headers={"Idempotency-Key": "k"}, body=b"{}")

    assert answer.status == 307
    (headers, body), paths = payloads.bodies[0], payloads.requested("POST")
    assert (headers["idempotency-key"], body, paths) == ("k", b"{}", ["/hook"])


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef", b"abcd"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n0\r\n\r\n", b"abcd"),
        (b"HTTP/1.0 200 OK\r\n\r\nabcdef", b"abcd"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", b"ab"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
def test_the_start_of_an_answer_is_read(
    raw: bytes, body: bytes, fetch: HttpClient, payloads: PayloadServer
) -> None:
    url = payloads.behave("/device", sending(raw))

    assert fetch.send("GET", url, plenty, max_bytes=4).body == body
    assert fetch.send("GET", url, plenty).body == b""


def test_an_answer_says_how_long_to_wait(fetch: HttpClient, payloads: PayloadServer) -> None:
    url = payloads.behave("/device", responding(503, {"Retry-After": "7"}, b"later"))

    answer = fetch.send("GET", url, plenty, max_bytes=100)

    assert (answer.status, answer.body, answer.retry_after) == (503, b"later", 7.0)


def test_an_answer_that_ends_too_early_is_refused(
    fetch: HttpClient, payloads: PayloadServer
) -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc"
    url = payloads.behave("/device", sending(raw))

    with pytest.raises(FetchRefused) as caught:
        fetch.send("GET", url, plenty, max_bytes=100)

    assert caught.value.code is Failure.PAYLOAD_TRUNCATED


# Errors of servers


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, Failure.PAYLOAD_FORBIDDEN),
        (403, Failure.PAYLOAD_FORBIDDEN),
        (404, Failure.PAYLOAD_NOT_FOUND),
        (410, Failure.PAYLOAD_NOT_FOUND),
        (408, Failure.PAYLOAD_TIMEOUT),
        (425, Failure.PAYLOAD_BUSY),
        (429, Failure.PAYLOAD_BUSY),
        (500, Failure.PAYLOAD_SERVER_ERROR),
        (502, Failure.PAYLOAD_SERVER_ERROR),
        (503, Failure.PAYLOAD_SERVER_ERROR),
        (201, Failure.PAYLOAD_REFUSED),
        (204, Failure.PAYLOAD_REFUSED),
        (206, Failure.PAYLOAD_REFUSED),
        (300, Failure.PAYLOAD_REFUSED),
        (304, Failure.PAYLOAD_REFUSED),
        (302, Failure.PAYLOAD_REFUSED),
        (400, Failure.PAYLOAD_REFUSED),
        (416, Failure.PAYLOAD_REFUSED),
    ],
)
def test_every_status_but_200_has_its_code(
    fetch: HttpClient, payloads: PayloadServer, status: int, code: Failure
) -> None:
    url = payloads.behave("/file", responding(status))

    refusal = refused(fetch, url)

    assert (refusal.code, refusal.status) == (code, status)
    assert refusal.retryable is (code in RETRYABLE)
    with pytest.raises(FetchRefused, match=str(status)):
        fetch.head(url, plenty)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        ((NOON + timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT"), 90.0),
        ((NOON - timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT"), 0.0),
        ("soon", None),
        ("-5", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_kept_in_seconds(
    fetch: HttpClient, payloads: PayloadServer, status: int, header: str, seconds: float | None
) -> None:
    url = payloads.behave("/file", responding(status, {"Retry-After": header}))

    assert refused(fetch, url).retry_after == seconds


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", Failure.PAYLOAD_TRUNCATED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", Failure.PAYLOAD_TRUNCATED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", Failure.PAYLOAD_TRUNCATED),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
            Failure.PAYLOAD_TRUNCATED,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            Failure.PAYLOAD_TRUNCATED,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n",
            Failure.PAYLOAD_TRUNCATED,
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcde", Failure.PAYLOAD_REFUSED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc", Failure.PAYLOAD_REFUSED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: three\r\n\r\nabc", Failure.PAYLOAD_REFUSED),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
            Failure.PAYLOAD_REFUSED,
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Encoding: gzip\r\n\r\nabc",
            Failure.PAYLOAD_REFUSED,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            Failure.PAYLOAD_REFUSED,
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Failure.PAYLOAD_REFUSED),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000 + b"\r\n", Failure.PAYLOAD_REFUSED),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", Failure.PAYLOAD_REFUSED),
    ],
    ids=lambda value: value if isinstance(value, str) else value[:70].decode(),
)
def test_every_broken_answer_has_its_code(
    fetch: HttpClient, payloads: PayloadServer, raw: bytes, code: Failure
) -> None:
    url = payloads.behave("/file", sending(raw))

    assert refused(fetch, url).code is code


def test_a_server_that_never_answers_is_given_up(
    hasty: HttpClient, payloads: PayloadServer
) -> None:
    url = payloads.behave("/file", lambda request: time.sleep(5.0))

    assert refused(hasty, url).code is Failure.PAYLOAD_TIMEOUT


def test_a_server_that_falls_silent_is_given_up(hasty: HttpClient, payloads: PayloadServer) -> None:
    def fall_silent(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        time.sleep(5.0)

    url = payloads.behave("/file", fall_silent)

    assert refused(hasty, url).code is Failure.PAYLOAD_TIMEOUT


def _sending_slowly(raw: bytes, piece: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    def behave(request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True
        request.wfile.write(raw)
        for _ in range(200):
            request.wfile.write(piece)
            time.sleep(0.01)

    return behave


def test_a_server_that_sends_its_headers_too_slowly_is_given_up(
    hasty: HttpClient, payloads: PayloadServer
) -> None:
    url = payloads.behave("/file", _sending_slowly(b"HTTP/1.1 200 OK\r\nX: ", b"y"))

    refusal = refused(hasty, url, clock(600))

    assert refusal.code is Failure.PAYLOAD_TIMEOUT
    assert "answer" in refusal.message


def test_a_server_that_sends_its_body_too_slowly_is_given_up(
    hasty: HttpClient, payloads: PayloadServer
) -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    url = payloads.behave("/file", _sending_slowly(raw, b"y"))

    refusal = refused(hasty, url, clock(600))

    assert refusal.code is Failure.PAYLOAD_TIMEOUT
    assert "bytes a second" in refusal.message


@pytest.mark.parametrize(("waited_s", "ours_s", "slow"), [(0.5, 0.0, True), (0.001, 60.0, False)])
def test_the_time_we_take_ourselves_is_not_held_against_the_server(
    waited_s: float, ours_s: float, slow: bool
) -> None:
    time_left = [900_000.0]

    def read_ten_bytes() -> int:
        time_left[0] -= waited_s
        return 10

    pace = Pace(Timeouts(window_s=1.0, min_bytes_per_s=1000), lambda: time_left[0])
    pace.begin_body()

    with socket.socket() as sock, nullcontext() if not slow else pytest.raises(FetchRefused):
        for _ in range(500):
            pace.wait(sock, read_ten_bytes)
            time_left[0] -= ours_s


def test_a_worker_whose_time_is_up_stops_in_the_middle(
    fetch: HttpClient, payloads: PayloadServer
) -> None:
    left = iter([600.0] * 9 + [11.0] * 100)
    url = payloads.serve("/file", b"x" * 50_000_000)

    refusal = refused(fetch, url, lambda: next(left))

    assert (refusal.code, refusal.retryable) == (Failure.TIMEOUT, True)


def test_waiting_ends_with_the_workers_time(fetch: HttpClient, payloads: PayloadServer) -> None:
    url = payloads.behave("/file", lambda request: time.sleep(1.0))

    assert refused(fetch, url, clock(12.1)).code is Failure.TIMEOUT


def test_nothing_is_requested_when_the_workers_time_is_up(
    fetch: HttpClient, payloads: PayloadServer
) -> None:
    url = payloads.serve("/file", b"abc")

    assert refused(fetch, url, lambda: 5.0).code is Failure.TIMEOUT
    assert payloads.requests == []


def test_a_port_where_nobody_listens_is_unreachable() -> None:
    fetch = HttpClient(frozenset({"127.0.0.1:1"}), lambda: NOON)

    assert refused(fetch, "http://127.0.0.1:1/x").code is Failure.PAYLOAD_UNREACHABLE


def test_a_host_that_does_not_exist_is_unreachable() -> None:
    def resolve(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        raise OSError("no such name")

    fetch = HttpClient(frozenset(), lambda: NOON, resolve=resolve)

    assert refused(fetch, "http://nowhere.example/x").code is Failure.PAYLOAD_UNREACHABLE


def test_a_head_with_a_length_that_is_no_number_is_refused(
    fetch: HttpClient, payloads: PayloadServer
) -> None:
    url = payloads.behave("/file", responding(200, {"Content-Length": "many"}))

    with pytest.raises(FetchRefused) as caught:
        fetch.head(url, plenty)

    assert caught.value.code is Failure.PAYLOAD_REFUSED


# Redirects


def test_redirects_are_followed_to_the_file(fetch: HttpClient, payloads: PayloadServer) -> None:
    payloads.serve("/there/file", b"abc")
    payloads.behave("/b", responding(308, {"Location": "there/file"}))
    url = payloads.behave("/a", responding(302, {"Location": payloads.url("/b#x")}))

    with fetch.get(url, plenty) as answer:
        assert b"".join(answer.blocks()) == b"abc"
    assert answer.url == payloads.url("/there/file")


def test_five_redirects_are_followed_and_six_are_not(
    fetch: HttpClient, payloads: PayloadServer
) -> None:
    payloads.serve("/0", b"abc")
    for n in range(1, 7):
        payloads.behave(f"/{n}", responding(301, {"Location": f"/{n - 1}"}))

    assert read(fetch, payloads.url("/5")) == b"abc"
    assert refused(fetch, payloads.url("/6")).code is Failure.TOO_MANY_REDIRECTS


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/latest",
        "http://169.254.169.254/latest/meta-data/",
        "http://169.254.79.129:2000/",
        "http://127.0.0.1:9001/2018-06-01/runtime/invocation/next",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://0.0.0.0/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://localhost/",
        "file:///etc/passwd",
        "s3://bucket/key",
        "ftp://ftp.example/x",
        "http://user:word@files.example/",
    ],
)
def test_a_redirect_to_an_internal_address_is_refused(
    fetch: HttpClient, payloads: PayloadServer, location: str
) -> None:
    url = payloads.behave("/file", responding(302, {"Location": location}))

    assert refused(fetch, url).code is Failure.ADDRESS_NOT_ALLOWED
    assert payloads.requested("GET") == ["/file"]


# Addresses


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "169.254.79.129",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::a00:1",
        "2001::7f00:1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_an_address_that_is_not_public_is_recognized(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "2606:4700::1111", "2a00::1"])
def test_a_public_address_is_recognized(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_no_address_in_disguise_is_public(inner: Any) -> None:
    number = int(inner)
    disguises = [
        f"::ffff:{inner}",
        f"64:ff9b::{inner}",
        f"::{inner}",
        f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1",
        f"2001::{number >> 16:x}:{number & 0xFFFF:x}",
    ]

    assert not any(is_public(disguise) for disguise in disguises)


@pytest.mark.parametrize(
    "url",
    [
        "files.example/x",
        "//files.example/x",
        "ftp://files.example/x",
        "file:///etc/passwd",
        "gopher://files.example/",
        "http:///x",
        "http://",
        "http://user@files.example/x",
        "http://user:word@files.example/x",
        "http://files.example:22/x",
        "http://files.example:9001/x",
        "http://files.example:99999/x",
        "http://files.example/\r\nX: y",
        "http://files.example/\x00",
        "http://ﬁles.example/x",
        "http://[::1/x",
    ],
)
def test_a_forbidden_url_is_refused_by_its_text(url: str) -> None:
    with pytest.raises(FetchRefused) as caught:
        parse_target(url, frozenset())

    assert caught.value.code is Failure.ADDRESS_NOT_ALLOWED


@pytest.mark.parametrize("entry", ["127.0.0.1:9001", "[::1]:9001", "files.example", "x:y", ":80"])
def test_an_invalid_list_of_allowed_hosts_stops_the_worker(entry: str) -> None:
    with pytest.raises(ValueError, match="allowed host"):
        HttpClient(frozenset({entry}), lambda: NOON)


def _resolving(*addresses: str) -> Callable[..., list[tuple[Any, ...]]]:
    """A resolver that returns these addresses for every name, and the server's port for any."""

    def resolve(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        return [(2, 1, 6, "", (address, port)) for address in addresses]

    return resolve


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254"])
def test_a_public_name_at_a_private_address_is_refused(address: str) -> None:
    fetch = HttpClient(frozenset(), lambda: NOON, resolve=_resolving(address))

    assert refused(fetch, "http://files.example/x").code is Failure.ADDRESS_NOT_ALLOWED


def test_a_listed_host_may_be_private_on_its_own_port_only(payloads: PayloadServer) -> None:
    name, _, port = payloads.host.partition(":")
    fetch = HttpClient(
        frozenset({f"files.example:{port}"}), lambda: NOON, resolve=_resolving("127.0.0.1")
    )
    payloads.serve("/x", b"abc")

    assert read(fetch, f"http://files.example:{port}/x") == b"abc"
    assert refused(fetch, "http://files.example/x").code is Failure.ADDRESS_NOT_ALLOWED
    assert refused(fetch, f"http://{name}:{port}/x").code is Failure.ADDRESS_NOT_ALLOWED
    fetch.close()


@pytest.mark.parametrize(
    ("address", "networks", "is_called"),
    [
        ("127.0.0.2", [], False),
        ("10.1.2.3", ["10.1.0.0/16"], True),
        ("10.2.2.3", ["10.1.0.0/16"], False),
        ("93.184.216.34", ["10.1.0.0/16"], False),  # public, but the port is not a web server's
        ("fd00::7", ["10.1.0.0/16", "fd00::/8"], True),
        ("::ffff:10.1.2.3", ["10.1.0.0/16"], False),
    ],
)
def test_any_port_may_be_called_in_the_networks(
    address: str, networks: list[str], is_called: bool
) -> None:
    target = parse_target(
        "http://device.example:8021/x", frozenset(), networks_of(networks or ["10.0.0.0/31"])
    )

    assert may_connect(target, address) is is_called


def test_no_network_opens_the_runtime_api(payloads: PayloadServer) -> None:
    with pytest.raises(FetchRefused):
        parse_target("http://10.1.2.3:9001/", frozenset(), networks_of(["10.0.0.0/8"]))


@pytest.mark.parametrize(
    "network",
    [
        "0.0.0.0/0",
        "127.0.0.0/8",
        "169.254.170.2/32",
        "169.0.0.0/8",
        "::/0",
        "fe80::/64",
        "10.1.2.3/8",
        "x",
    ],
)
def test_a_network_with_the_workers_own_addresses_stops_the_worker(network: str) -> None:
    with pytest.raises(ValueError, match=r"network|host bits"):
        HttpClient(frozenset(), lambda: NOON, networks=[network])


# TLS


def test_a_certificate_is_checked_against_the_store_and_the_host(
    tls_server: PayloadServer, trusting: Callable[[], ssl.SSLContext]
) -> None:
    port = tls_server.host.partition(":")[2]
    hosts = frozenset({f"files.example:{port}", f"other.example:{port}"})
    resolve = _resolving("127.0.0.1")
    tls_server.serve("/x", b"abc")
    trusted = HttpClient(hosts, lambda: NOON, resolve=resolve, tls=trusting)
    untrusted = HttpClient(hosts, lambda: NOON, resolve=resolve)

    assert read(trusted, f"https://files.example:{port}/x") == b"abc"
    wrong_name = refused(trusted, f"https://other.example:{port}/x")
    unknown = refused(untrusted, f"https://files.example:{port}/x")
    trusted.close()

    assert (wrong_name.code, unknown.code) == (Failure.PAYLOAD_UNTRUSTED,) * 2


def test_a_server_that_does_not_speak_tls_is_unreachable_by_https(
    fetch: HttpClient, payloads: PayloadServer
) -> None:
    refusal = refused(fetch, f"https://{payloads.host}/file")

    assert refusal.code is Failure.PAYLOAD_UNREACHABLE
