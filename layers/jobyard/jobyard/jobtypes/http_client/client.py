"""Opens URLs: follows redirects, reads responses, and refuses each error a server can make."""

import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from urllib.parse import urljoin

from jobyard.domain.jobs.failures import Failure
from jobyard.domain.urls import quoted_bytes, shown
from jobyard.jobtypes.http_client.addresses import Target, refuse_runtime_api, target
from jobyard.jobtypes.http_client.connections import Connection, Idle, Resolve, connect
from jobyard.jobtypes.http_client.cookies import Cookies, http_date
from jobyard.jobtypes.http_client.pace import Pace, Timeouts
from jobyard.jobtypes.http_client.refusal import FetchRefused
from jobyard.jobtypes.http_client.responses import Head, HungUp, NotHttp, chunked, sized, until_end

REDIRECTS = 5  # followed for one URL

_REDIRECTING = frozenset({300, 301, 302, 303, 307, 308})
_FIELDS = {"User-Agent": b"Jobyard", "Accept": b"*/*", "Accept-Encoding": b"identity"}
_UNPACKED = frozenset({"identity", "none", "binary", "7bit", "8bit", "utf-8", "chunked"})
_LONGEST_S = 10 * 365 * 86_400.0  # the longest Retry-After accepted: more cannot be meant
_CODES = {
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
    """A response of status 200. `url` is the final one, after redirects.

    `length` is the body's size in bytes by the server; None if it gives none. `framed`: the
    response itself marks its end, by a length or by chunks; otherwise nobody can tell a complete
    file from a truncated one. `packed` is the encoding of the body by the server, "" if it is as
    requested.
    """

    url: str
    length: int | None
    framed: bool
    packed: str
    _connection: Connection = field(repr=False)
    _ended: bool = field(default=False, repr=False)

    def blocks(self, upto: int | None = None, *, known: bool = False) -> Iterator[bytes]:
        """The body in order, in blocks of at most a megabyte, none empty.

        `upto` is the expected size of the file. A longer body yields one byte more. If nothing
        marks the end, the body ends when the server falls silent, or at once if the digest is
        `known`.

        Raises:
            FetchRefused: PAYLOAD_TRUNCATED, PAYLOAD_TIMEOUT, TIMEOUT; PAYLOAD_REFUSED, there
                are more bytes than the server said, the framing is not valid HTTP, or the body
                is packed and nothing tells whether it is the file all the same.
        """
        if self.packed and not known:
            raise FetchRefused(Failure.PAYLOAD_REFUSED, self.packed_words)
        try:
            yield from self._blocks(upto, known)
        except HungUp as error:
            words = f"the server {error}, before the end of the file"
            raise FetchRefused(Failure.PAYLOAD_TRUNCATED, words) from error
        except NotHttp as error:
            raise FetchRefused(Failure.PAYLOAD_REFUSED, f"the server {error}") from error
        except OSError as error:
            words = f"the connection broke before the end of the file: {error}"
            raise FetchRefused(Failure.PAYLOAD_TRUNCATED, words) from error

    @property
    def packed_words(self) -> str:
        """That the body is packed, as text for a refusal."""
        return f"the server sends the file packed ({self.packed}) though it was asked not to"

    def _blocks(self, upto: int | None, known: bool) -> Iterator[bytes]:
        source = self._connection.source
        if self.length is not None:
            yield from sized(source, self.length)
            if self._connection.surplus():
                if known:  # it is the digest that counts, and this connection is of no more use
                    return
                words = f"the server sends more than the {self.length} bytes it declared"
                raise FetchRefused(Failure.PAYLOAD_REFUSED, words)
        elif self.framed:
            yield from chunked(source, upto)
        else:
            yield from self._until_end(upto, known)
        self._ended = True

    def _until_end(self, upto: int | None, known: bool) -> Iterator[bytes]:
        source = self._connection.source
        got = 0
        for block in until_end(source, upto):
            got += len(block)
            yield block
        if upto is None or got < upto:
            return
        if known:
            more = self._connection.at_hand()
        else:
            try:
                more = source.read(1)
            except FetchRefused as refusal:
                if refusal.code is not Failure.PAYLOAD_TIMEOUT:
                    raise
                return
        if more:
            yield more


class HttpClient:
    """The client: one for the life of a worker, shared by its threads.

    `allowed_hosts` are `host:port`s that may be private. `now` is aware UTC. `resolve` and `tls`
    replace the system's resolver and its trusted certificates.

    Raises:
        ValueError: an allowed host is malformed, or has the port of Lambda's Runtime API.
    """

    def __init__(
        self,
        allowed_hosts: frozenset[str],
        now: Callable[[], datetime],
        *,
        timeouts: Timeouts | None = None,
        resolve: Resolve = socket.getaddrinfo,
        tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        refuse_runtime_api(allowed_hosts)
        self._allowed_hosts = frozenset(map(str.lower, allowed_hosts))
        self._now = now
        self._timeouts = timeouts or Timeouts()
        self._resolve = resolve
        self._tls = cache(lambda: _http_only(tls()))  # reading the certificates takes a while
        self._idle = Idle(now)

    def head(self, url: str, remaining: Callable[[], float]) -> int | None:
        """The size in bytes by a HEAD request; None if the server gives none.

        It is an estimate: servers make every kind of mistake with HEAD. Only the answer to GET
        counts.

        Raises:
            FetchRefused: see docs/deposit.md.
        """
        connection, head, _ = self._follow("HEAD", url, remaining)
        try:
            return _length(head)
        finally:
            self._put_away(connection, head)

    @contextmanager
    def get(self, url: str, remaining: Callable[[], float]) -> Iterator[Response]:
        """Open a file. Afterwards the connection is kept if the file was read to its end, else
        closed.

        `remaining` returns the seconds until the worker must stop.

        Raises:
            FetchRefused: see docs/deposit.md.
        """
        connection, head, place = self._follow("GET", url, remaining)
        answer = None
        try:
            length = _length(head)
            framed = length is not None or head.is_chunked
            answer = Response(place.text, length, framed, _packed(head), connection)
            yield answer
        finally:
            if answer and answer.framed and answer._ended:
                self._put_away(connection, head)
            else:
                connection.close()

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], remaining: Callable[[], float]
    ) -> int:
        """Post a body and return the status of the response, whatever it is. Redirects are not
        followed.

        Raises:
            FetchRefused: nothing could be posted, or there was no response.
        """
        pace = Pace(self._timeouts, remaining, "POST")
        place = target(url, self._allowed_hosts)
        with _telling(place, "POST"):
            connection = connect(place, self._resolve, self._tls, pace)
            try:
                given = {name: value.encode() for name, value in headers.items()}
                fields = {**_FIELDS, **given, "Connection": b"close"}
                return connection.ask("POST", pace, fields, body).status
            finally:
                connection.close()

    def close(self) -> None:
        """Close the idle connections."""
        self._idle.close()

    def _follow(
        self, method: str, url: str, remaining: Callable[[], float]
    ) -> tuple[Connection, Head, Target]:
        """Request the URL and follow redirects, each checked again, until status 200."""
        pace = Pace(self._timeouts, remaining, method)
        cookies = Cookies()
        place = target(url, self._allowed_hosts)
        for _ in range(REDIRECTS + 1):
            with _telling(place, method):
                connection, head = self._ask(method, place, pace, cookies)
            if head.status == 200:
                return connection, head, place
            connection.close()
            cookies.take(place, head.values("set-cookie"), self._now())
            location = next(iter(head.values("location")), b"")
            if head.status not in _REDIRECTING or not location:
                raise self._refusal(head, method)
            place = self._next(place, location)
        words = f"the URL redirects more than {REDIRECTS} times when asked with {method}"
        raise FetchRefused(Failure.TOO_MANY_REDIRECTS, words)

    def _next(self, place: Target, location: bytes) -> Target:
        """The target of a redirect; raw bytes in it are percent-encoded as they are."""
        said = quoted_bytes(location)
        try:
            url = urljoin(place.text, said)
        except ValueError as error:
            words = f"{place.host} redirects to what is no URL: {shown(said)}"
            raise FetchRefused(Failure.PAYLOAD_REFUSED, words) from error
        try:
            return target(url, self._allowed_hosts)
        except FetchRefused as refusal:
            words = f"{place.host} redirects to {shown(url)}: {refusal.message}"
            raise FetchRefused(refusal.code, words) from refusal

    def _ask(
        self, method: str, place: Target, pace: Pace, cookies: Cookies
    ) -> tuple[Connection, Head]:
        cookie = cookies.header(place)
        fields = {**_FIELDS, "Cookie": cookie} if cookie else _FIELDS
        kept = self._idle.take(place)
        if kept is not None:
            try:
                return kept, kept.ask(method, pace, fields)
            except (OSError, NotHttp, HungUp):
                kept.close()  # it was closed on the other side meanwhile: once more, on a new one
            except BaseException:
                kept.close()
                raise
        connection = connect(place, self._resolve, self._tls, pace)
        try:
            return connection, connection.ask(method, pace, fields)
        except BaseException:
            connection.close()
            raise

    def _put_away(self, connection: Connection, head: Head) -> None:
        if head.closes or connection.surplus():
            connection.close()
        else:
            self._idle.keep(connection)

    def _refusal(self, head: Head, method: str) -> FetchRefused:
        return FetchRefused(
            failure_of(head.status),
            f"the server answered {method} with {head.status} {head.reason}".rstrip(),
            retry_after=_retry_after(head.text("retry-after"), self._now()),
            status=head.status,
        )


def _http_only(context: ssl.SSLContext) -> ssl.SSLContext:
    context.set_alpn_protocols(["http/1.1"])
    return context


def failure_of(status: int) -> Failure:
    """The failure code for a response with this status, which is not 200."""
    if 500 <= status <= 599:
        return Failure.PAYLOAD_SERVER_ERROR
    return _CODES.get(status, Failure.PAYLOAD_REFUSED)


@contextmanager
def _telling(place: Target, method: str) -> Iterator[None]:
    """Turn errors before the end of the response's header into refusals with our own messages."""
    try:
        yield
    except TimeoutError as error:
        words = f"{place.host} took no {method} request in time"
        raise FetchRefused(Failure.PAYLOAD_TIMEOUT, words) from error
    except (ConnectionError, HungUp) as error:
        words = f"{place.host} hung up without a whole answer to {method}"
        raise FetchRefused(Failure.PAYLOAD_TRUNCATED, words) from error
    except OSError as error:
        words = f"the connection to {place.host} broke: {error}"
        raise FetchRefused(Failure.PAYLOAD_UNREACHABLE, words) from error
    except NotHttp as error:
        words = f"{place.host} {error}, asked with {method}"
        raise FetchRefused(Failure.PAYLOAD_REFUSED, words) from error


def _length(head: Head) -> int | None:
    """The declared length of the body.

    Raises:
        FetchRefused: PAYLOAD_REFUSED, it is not a number, or there are several different ones.
    """
    if head.is_chunked:
        return None
    said = set(head.words("content-length"))
    if not said:
        return None
    (text, *others) = said
    if others or not re.fullmatch(r"\+?[0-9]{1,18}", text):
        words = "the server's Content-Length is not one number"
        raise FetchRefused(Failure.PAYLOAD_REFUSED, words)
    return int(text)


def _packed(head: Head) -> str:
    """The encoding of the body by the server, although none was requested."""
    said = [*head.words("content-encoding"), *head.words("transfer-encoding")]
    return ", ".join(word for word in said if word not in _UNPACKED)


def _retry_after(text: str, now: datetime) -> float | None:
    """The seconds of a Retry-After header, given as a number or as a date (RFC 9110 10.2.3)."""
    text = text.strip()
    if re.fullmatch("[0-9]+", text):
        return min(float(text[:20]), _LONGEST_S)
    date = http_date(text)
    if date is None:
        return None
    return min(max(0.0, (date - now).total_seconds()), _LONGEST_S)
