"""Opens URLs: follows redirects, reads responses, and turns errors of servers into refusals."""

import re
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from urllib.parse import urljoin

from jobyard.domain.jobs.failures import Failure
from jobyard.domain.redaction import redacted
from jobyard.domain.urls import percent_encoded
from jobyard.jobtypes.http_client.addresses import (
    Target,
    networks_of,
    parse_target,
    refuse_runtime_api,
)
from jobyard.jobtypes.http_client.connections import Connection, ConnectionPool, Resolve, connect
from jobyard.jobtypes.http_client.cookies import Cookies, http_date
from jobyard.jobtypes.http_client.host_gate import HostGate
from jobyard.jobtypes.http_client.pace import Pace, Timeouts
from jobyard.jobtypes.http_client.refusal import FetchRefused
from jobyard.jobtypes.http_client.responses import (
    ConnectionClosed,
    Head,
    NotHttp,
    chunked,
    sized,
    until_end,
)

MAX_REDIRECTS = 5  # for one URL

_REDIRECTING = frozenset({300, 301, 302, 303, 307, 308})
_REQUEST_FIELDS = {"User-Agent": b"Jobyard", "Accept": b"*/*", "Accept-Encoding": b"identity"}
_UNENCODED = frozenset({"identity", "none", "binary", "7bit", "8bit", "utf-8", "chunked"})
_BUSY = frozenset({429, 503})  # with Retry-After, of a host and not of one file
_WITHOUT_BODY = frozenset({204, 304})
_MAX_RETRY_AFTER_S = 10 * 365 * 86_400.0  # a longer Retry-After cannot be meant
_FAILURES = {
    202: Failure.PAYLOAD_BUSY,
    401: Failure.PAYLOAD_FORBIDDEN,
    403: Failure.PAYLOAD_FORBIDDEN,
    404: Failure.PAYLOAD_NOT_FOUND,
    408: Failure.PAYLOAD_TIMEOUT,
    410: Failure.PAYLOAD_NOT_FOUND,
    425: Failure.PAYLOAD_BUSY,
    429: Failure.PAYLOAD_BUSY,
}


@dataclass
class Response:
    """A response of status 200 or 206. `url` is the final one, after redirects.

    `length` is the body's size in bytes as the server gives it, or None. The body begins with byte
    `offset` of the file; with 0 if the server sends all of it although a part was requested.
    `framed`: the response marks its own end, by a length or by chunks. Otherwise a complete file
    looks like a truncated one. `encoding` is the body's Content-Encoding or Transfer-Encoding; ""
    if it is not encoded.
    """

    url: str
    length: int | None
    framed: bool
    encoding: str
    offset: int
    _connection: Connection = field(repr=False)
    _ended: bool = field(default=False, repr=False)

    def blocks(
        self, expected_size: int | None = None, *, has_digest: bool = False
    ) -> Iterator[bytes]:
        """The body in order, in blocks of at most a megabyte, none empty.

        Of a body that is longer than `expected_size` bytes, one byte more is returned. A body that
        is not framed ends when the server sends nothing more, or at `expected_size` if the caller
        `has_digest`.

        Raises:
            FetchRefused: PAYLOAD_TRUNCATED, PAYLOAD_TIMEOUT, TIMEOUT; PAYLOAD_REFUSED, there
                are more bytes than declared, the framing is not valid HTTP, or the body is
                encoded and no digest can show that it is the file.
        """
        if self.encoding and not has_digest:
            raise FetchRefused(Failure.PAYLOAD_REFUSED, self.encoding_message)
        try:
            yield from self._blocks(expected_size, has_digest)
        except ConnectionClosed as error:
            message = f"the server {error}, before the end of the file"
            raise FetchRefused(Failure.PAYLOAD_TRUNCATED, message) from error
        except NotHttp as error:
            raise FetchRefused(Failure.PAYLOAD_REFUSED, f"the server {error}") from error
        except OSError as error:
            message = f"the connection broke before the end of the file: {error}"
            raise FetchRefused(Failure.PAYLOAD_TRUNCATED, message) from error

    @property
    def encoding_message(self) -> str:
        """The refusal of an encoded body."""
        return f"the server sent the file encoded ({self.encoding}) although it was asked not to"

    def _blocks(self, expected_size: int | None, has_digest: bool) -> Iterator[bytes]:
        source = self._connection.source
        if self.length is not None:
            yield from sized(source, self.length)
            if self._connection.peek_byte():
                if has_digest:  # the digest decides; the connection is not used again
                    return
                message = f"the server sends more than the {self.length} bytes it declared"
                raise FetchRefused(Failure.PAYLOAD_REFUSED, message)
        elif self.framed:
            yield from chunked(source, expected_size)
        else:
            yield from self._until_end(expected_size, has_digest)
        self._ended = True

    def _until_end(self, expected_size: int | None, has_digest: bool) -> Iterator[bytes]:
        source = self._connection.source
        received = 0
        for block in until_end(source, expected_size):
            received += len(block)
            yield block
        if expected_size is None or received < expected_size:
            return
        if has_digest:
            extra_byte = self._connection.poll_byte()
        else:
            try:
                extra_byte = source.read(1)
            except FetchRefused as refusal:
                if refusal.code is not Failure.PAYLOAD_TIMEOUT:
                    raise
                return
        if extra_byte:
            yield extra_byte


@dataclass(frozen=True)
class Answer:
    """The answer to a request. `body` is its start; `retry_after` the seconds that it asks to wait.
    `location` is the absolute URL in its Location; "" without one.

    A body in a transfer coding that is not `chunked` is returned as it was sent.
    """

    status: int
    body: bytes = b""
    retry_after: float | None = None
    location: str = ""


class HttpClient:
    """The client: one for the life of a worker, shared by its threads.

    `allowed_hosts` are `host:port`s that may be private; in `networks`, any address and port may be
    called. `now` is aware UTC. `resolve` and `tls` replace the system's resolver and trusted
    certificates.

    Raises:
        ValueError: an allowed host is malformed, or has the port of Lambda's Runtime API. A network
            is malformed, or has addresses of the worker itself.
    """

    def __init__(
        self,
        allowed_hosts: frozenset[str],
        now: Callable[[], datetime],
        *,
        networks: Iterable[str] = (),
        timeouts: Timeouts | None = None,
        resolve: Resolve = socket.getaddrinfo,
        tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        refuse_runtime_api(allowed_hosts)
        self._networks = networks_of(networks)
        self._allowed_hosts = frozenset(map(str.lower, allowed_hosts))
        self._now = now
        self._timeouts = timeouts or Timeouts()
        self._resolve = resolve
        self._tls = cache(lambda: _http_only(tls()))  # reading the certificates takes a while
        self._pool = ConnectionPool(now)
        self.hosts = HostGate(now)

    def head(self, url: str, remaining: Callable[[], float]) -> int | None:
        """The size in bytes by a HEAD request; None if the server gives none.

        It is an estimate, because many servers answer HEAD wrongly. Only the answer to GET counts.

        Raises:
            FetchRefused: see docs/deposit.md.
        """
        connection, head, target = self._follow("HEAD", url, remaining)
        try:
            return _length(head)
        finally:
            self._keep_or_close(connection, head)
            self.hosts.leave(_host_of(target))

    @contextmanager
    def get(
        self, url: str, remaining: Callable[[], float], *, offset: int = 0
    ) -> Iterator[Response]:
        """Open a file from byte `offset` on, if its server can send parts. Afterwards the
        connection goes back to the pool if the file was read to its end; otherwise it is closed.

        `remaining` returns the seconds until the worker must stop.

        Raises:
            FetchRefused: see docs/deposit.md.
        """
        connection, head, target = self._follow("GET", url, remaining, offset)
        response = None
        try:
            begins = _offset(head, offset) if head.status == 206 else 0
            length = _length(head)
            framed = length is not None or head.is_chunked
            response = Response(target.text, length, framed, _encoding(head), begins, connection)
            yield response
        finally:
            if response and response.framed and response._ended:
                self._keep_or_close(connection, head)
            else:
                connection.close()
            self.hosts.leave(_host_of(target))

    def send(
        self,
        method: str,
        url: str,
        remaining: Callable[[], float],
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        max_bytes: int = 0,
    ) -> Answer:
        """Send a request and return the answer, whatever its status. Redirects are not followed.

        At most `max_bytes` of its body are read.

        Raises:
            FetchRefused: the request could not be sent, or there was no valid answer.
        """
        pace = Pace(self._timeouts, remaining, method)
        target = parse_target(url, self._allowed_hosts, self._networks)
        turn = self.hosts.turn(_host_of(target), remaining)
        with turn, _errors_as_refusals(target, method):
            connection = connect(target, self._resolve, self._tls, pace)
            try:
                encoded = {name: value.encode() for name, value in (headers or {}).items()}
                fields = {**_REQUEST_FIELDS, **encoded, "Connection": b"close"}
                head = connection.request(method, pace, fields, body)
                retry_after = _retry_after(head.text("retry-after"), self._now())
                body_start = _start_of_body(connection, head, max_bytes)
                return Answer(head.status, body_start, retry_after, _location(head, target))
            finally:
                connection.close()

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()

    def _follow(
        self, method: str, url: str, remaining: Callable[[], float], offset: int = 0
    ) -> tuple[Connection, Head, Target]:
        """Request the URL, from byte `offset` on, and follow redirects until status 200, or 206 of
        a part. Each redirect is checked. The caller leaves the last target's host.
        """
        fields = {**_REQUEST_FIELDS, "Range": b"bytes=%d-" % offset} if offset else _REQUEST_FIELDS
        pace = Pace(self._timeouts, remaining, method)
        cookies = Cookies()
        target = parse_target(url, self._allowed_hosts, self._networks)
        for _ in range(MAX_REDIRECTS + 1):
            host = _host_of(target)
            self.hosts.enter(host, remaining)
            try:
                with _errors_as_refusals(target, method):
                    connection, head = self._request(method, target, pace, cookies, fields)
            except BaseException:
                self.hosts.leave(host)
                raise
            if head.status == 200 or (offset and head.status == 206):
                return connection, head, target
            connection.close()
            self.hosts.leave(host)
            cookies.take(target, head.values("set-cookie"), self._now())
            location = next(iter(head.values("location")), b"")
            if head.status not in _REDIRECTING or not location:
                raise self._refusal(head, method, host)
            target = self._next(target, location)
        message = f"the URL redirects {method} more than {MAX_REDIRECTS} times"
        raise FetchRefused(Failure.TOO_MANY_REDIRECTS, message)

    def _next(self, target: Target, location: bytes) -> Target:
        """The target of a redirect. Bytes that are not ASCII are percent-encoded."""
        location_text = percent_encoded(location)
        try:
            url = urljoin(target.text, location_text)
        except ValueError as error:
            message = f"{target.host} redirects to an invalid URL: {redacted(location_text)}"
            raise FetchRefused(Failure.PAYLOAD_REFUSED, message) from error
        try:
            return parse_target(url, self._allowed_hosts, self._networks)
        except FetchRefused as refusal:
            message = f"{target.host} redirects to {redacted(url)}: {refusal.message}"
            raise FetchRefused(refusal.code, message) from refusal

    def _request(
        self,
        method: str,
        target: Target,
        pace: Pace,
        cookies: Cookies,
        fields: Mapping[str, bytes],
    ) -> tuple[Connection, Head]:
        cookie = cookies.header(target)
        fields = {**fields, "Cookie": cookie} if cookie else fields
        idle = self._pool.take(target)
        if idle is not None:
            try:
                return idle, idle.request(method, pace, fields)
            except (OSError, NotHttp, ConnectionClosed):
                idle.close()  # the server closed it meanwhile: try again on a new connection
            except BaseException:
                idle.close()
                raise
        connection = connect(target, self._resolve, self._tls, pace)
        try:
            return connection, connection.request(method, pace, fields)
        except BaseException:
            connection.close()
            raise

    def _keep_or_close(self, connection: Connection, head: Head) -> None:
        if head.closes or connection.peek_byte():
            connection.close()
        else:
            self._pool.keep(connection)

    def _refusal(self, head: Head, method: str, host: str) -> FetchRefused:
        """The refusal of a response. We back off from a busy host for as long as it asks. An answer
        to HEAD decides nothing, because many servers answer it wrongly.
        """
        retry_after = _retry_after(head.text("retry-after"), self._now())
        if retry_after and head.status in _BUSY and method != "HEAD":
            self.hosts.back_off(host, retry_after)
        return FetchRefused(
            failure_of(head.status),
            f"the server answered {method} with {head.status} {head.reason}".rstrip(),
            retry_after=retry_after,
            status=head.status,
        )


def _host_of(target: Target) -> str:
    """The host with its port, as it is counted."""
    return f"{target.host}:{target.port}"


def _http_only(context: ssl.SSLContext) -> ssl.SSLContext:
    context.set_alpn_protocols(["http/1.1"])
    return context


def failure_of(status: int) -> Failure:
    """The failure code for a response with this status. The status is not 200."""
    if 500 <= status <= 599:
        return Failure.PAYLOAD_SERVER_ERROR
    return _FAILURES.get(status, Failure.PAYLOAD_REFUSED)


@contextmanager
def _errors_as_refusals(target: Target, method: str) -> Iterator[None]:
    """Raise errors until the response's header was read as refusals."""
    try:
        yield
    except TimeoutError as error:
        message = f"{target.host} did not accept a {method} request in time"
        raise FetchRefused(Failure.PAYLOAD_TIMEOUT, message) from error
    except (ConnectionError, ConnectionClosed) as error:
        message = (
            f"{target.host} closed the connection before its response to {method} was complete"
        )
        raise FetchRefused(Failure.PAYLOAD_TRUNCATED, message) from error
    except OSError as error:
        message = f"the connection to {target.host} broke: {error}"
        raise FetchRefused(Failure.PAYLOAD_UNREACHABLE, message) from error
    except NotHttp as error:
        message = f"{target.host} {error} (request: {method})"
        raise FetchRefused(Failure.PAYLOAD_REFUSED, message) from error


def _location(head: Head, target: Target) -> str:
    """The URL in the Location of an answer of `target`; "" if there is none, or no valid one."""
    location = next(iter(head.values("location")), b"")
    try:
        return urljoin(target.text, percent_encoded(location)) if location else ""
    except ValueError:
        return ""


def _start_of_body(connection: Connection, head: Head, max_bytes: int) -> bytes:
    """At most `max_bytes` of the body of an answer."""
    if not max_bytes or head.status in _WITHOUT_BODY:
        return b""
    length = _length(head)
    if length is not None:
        return b"".join(sized(connection.source, min(length, max_bytes)))
    if head.is_chunked:
        return b"".join(chunked(connection.source, max_bytes))[:max_bytes]
    return b"".join(until_end(connection.source, max_bytes))


def _length(head: Head) -> int | None:
    """The declared length of the body; None if the server declares none.

    Raises:
        FetchRefused: PAYLOAD_REFUSED, it is not a number, or there are different numbers.
    """
    if head.is_chunked:
        return None
    lengths = set(head.tokens("content-length"))
    if not lengths:
        return None
    (text, *others) = lengths
    if others or not re.fullmatch(r"\+?[0-9]{1,18}", text):
        message = "the server's Content-Length is not one number"
        raise FetchRefused(Failure.PAYLOAD_REFUSED, message)
    return int(text)


def _offset(head: Head, wanted: int) -> int:
    """The first byte of the part that the server sends, which is the one that is `wanted`.

    Raises:
        FetchRefused: PAYLOAD_REFUSED, it is another one.
    """
    if not re.fullmatch(rf"bytes {wanted}-[0-9]+/[0-9*]+", head.text("content-range")):
        message = f"the server sends another part than was requested, from byte {wanted:,} on"
        raise FetchRefused(Failure.PAYLOAD_REFUSED, message)
    return wanted


def _encoding(head: Head) -> str:
    """The encodings of the body, although none was requested; "" if it is not encoded."""
    encodings = [*head.tokens("content-encoding"), *head.tokens("transfer-encoding")]
    return ", ".join(each for each in encodings if each not in _UNENCODED)


def _retry_after(text: str, now: datetime) -> float | None:
    """The seconds in a Retry-After header, which has a number or a date (RFC 9110, 10.2.3)."""
    text = text.strip()
    if re.fullmatch("[0-9]+", text):
        return min(float(text[:20]), _MAX_RETRY_AFTER_S)
    date = http_date(text)
    if date is None:
        return None
    return min(max(0.0, (date - now).total_seconds()), _MAX_RETRY_AFTER_S)
