"""Opening URLs: redirects, answers and everything a server can do wrong, each with its refusal."""

import http.client
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from urllib.parse import urljoin

from urllib3.exceptions import HTTPError, ProtocolError
from urllib3.response import HTTPResponse

from jobyard.domain.failures import Failure
from jobyard.jobtypes.fetch.addresses import Target, refuse_runtime_api, target
from jobyard.jobtypes.fetch.connections import Connection, Idle, Resolve, ask, connect
from jobyard.jobtypes.fetch.pace import Pace, Patience
from jobyard.jobtypes.fetch.refusal import FetchRefused

REDIRECTS = 5  # followed for one URL
BLOCK = 1024 * 1024  # bytes of a body handed on at once, at most

_REDIRECTING = frozenset({301, 302, 303, 307, 308})
_HEADERS = {"User-Agent": "Jobyard", "Accept": "*/*", "Accept-Encoding": "identity"}
_CODES = {
    401: Failure.PAYLOAD_FORBIDDEN,
    403: Failure.PAYLOAD_FORBIDDEN,
    404: Failure.PAYLOAD_NOT_FOUND,
    408: Failure.PAYLOAD_TIMEOUT,
    410: Failure.PAYLOAD_NOT_FOUND,
    425: Failure.PAYLOAD_BUSY,
    429: Failure.PAYLOAD_BUSY,
}


@dataclass
class Answer:
    """An answer of status 200. `url` is where it came from in the end, redirects followed.

    `length` is how many bytes the server says the body has; None when it does not say. `framed` is
    True when the answer itself tells its end, by a length or in chunks: else nobody can tell a
    whole file from one cut short.
    """

    url: str
    length: int | None
    framed: bool
    _response: HTTPResponse = field(repr=False)
    _surplus: Callable[[], bool] = field(repr=False)
    _ended: bool = field(default=False, repr=False)

    def blocks(self) -> Iterator[bytes]:
        """The body in order, in blocks of at most `BLOCK` bytes, none empty.

        Raises:
            FetchRefused: PAYLOAD_TRUNCATED, PAYLOAD_TIMEOUT, TIMEOUT; PAYLOAD_REFUSED, there are
                more bytes than the server said.
        """
        while True:
            try:
                block = self._response.read(BLOCK, decode_content=False)
            except (HTTPError, ValueError) as error:  # a negative chunk size is a ValueError
                words = "the server hung up before the end of the file"
                raise FetchRefused(Failure.PAYLOAD_TRUNCATED, words) from error
            if not block:
                break
            yield block
        if self._surplus():
            words = f"the server sends more than the {self.length} bytes it declared"
            raise FetchRefused(Failure.PAYLOAD_REFUSED, words)
        self._ended = True


class Fetch:
    """The safe opener: one for a worker's life, shared by its threads.

    `allowed_hosts` are `host:port`s that may be private; `now` is aware UTC. `resolve` and `tls`
    are what stands in for the system's resolver and its trusted certificates.

    Raises:
        ValueError: an allowed host is malformed, or names the port of Lambda's Runtime API.
    """

    def __init__(
        self,
        allowed_hosts: frozenset[str],
        now: Callable[[], datetime],
        *,
        patience: Patience | None = None,
        resolve: Resolve = socket.getaddrinfo,
        tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        refuse_runtime_api(allowed_hosts)
        self._allowed_hosts = frozenset(map(str.lower, allowed_hosts))
        self._now = now
        self._patience = patience or Patience()
        self._resolve = resolve
        self._tls = cache(tls)  # reading the trusted certificates takes a while: once, if ever
        self._idle = Idle(now)

    def head(self, url: str, remaining: Callable[[], float]) -> int | None:
        """The bytes a HEAD request says the file has; None when it does not say.

        Raises:
            FetchRefused: see docs/deposit.md.
        """
        pace = Pace(self._patience, remaining)
        connection, response, _ = self._follow("HEAD", url, pace)
        try:
            length = _length(response)
        except FetchRefused:
            connection.close()
            raise
        self._put_away(connection, response)
        return length

    @contextmanager
    def get(self, url: str, remaining: Callable[[], float]) -> Iterator[Answer]:
        """Open a file; close or keep the connection afterwards, as far as the file was read.

        `remaining` is the seconds until the worker must stop.

        Raises:
            FetchRefused: see docs/deposit.md.
        """
        pace = Pace(self._patience, remaining)
        connection, response, place = self._follow("GET", url, pace)
        answer = None
        try:
            _refuse_encoded(response)
            length = _length(response)
            chunked = "chunked" in response.headers.get("transfer-encoding", "").lower()
            framed = length is not None or chunked
            wire = connection.answer.wire
            answer = Answer(place.text, length, framed, response, lambda: wire.surplus)
            yield answer
        finally:
            if answer and answer._ended:
                self._put_away(connection, response)
            else:
                connection.close()
                response.close()

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], remaining: Callable[[], float]
    ) -> int:
        """Post a body and return the status of the answer, whatever it is; no redirect is followed.

        Raises:
            FetchRefused: nothing could be posted, or no answer came.
        """
        pace = Pace(self._patience, remaining)
        place = target(url, self._allowed_hosts)
        with _telling(place):
            connection = connect(place, self._resolve, self._tls, pace)
            try:
                sent = {**_HEADERS, **headers, "Connection": "close"}
                response = ask(connection, "POST", pace, sent, body)
                response.close()
                return int(response.status)
            finally:
                connection.close()

    def close(self) -> None:
        """Close the connections that were kept."""
        self._idle.close()

    def _follow(self, method: str, url: str, pace: Pace) -> tuple[Connection, HTTPResponse, Target]:
        """Ask for the URL and where it redirects to, each judged anew, until status 200."""
        for _ in range(REDIRECTS + 1):
            place = target(url, self._allowed_hosts)
            with _telling(place):
                connection, response = self._ask(method, place, pace)
            if response.status == 200:
                return connection, response, place
            location = response.headers.get("location")
            refusal = self._refusal(response)
            response.close()
            connection.close()
            if response.status not in _REDIRECTING or not location:
                raise refusal
            try:
                url = urljoin(place.text, location)
            except ValueError as error:
                words = f"the server redirects to what is no URL: {location[:100]!r}"
                raise FetchRefused(Failure.PAYLOAD_REFUSED, words) from error
        words = f"the URL redirects more than {REDIRECTS} times"
        raise FetchRefused(Failure.TOO_MANY_REDIRECTS, words)

    def _ask(self, method: str, place: Target, pace: Pace) -> tuple[Connection, HTTPResponse]:
        kept = self._idle.take(place)
        if kept is not None:
            try:
                return kept, ask(kept, method, pace, _HEADERS, None)
            except (OSError, http.client.HTTPException, HTTPError):
                kept.close()  # it was closed on the other side meanwhile: once more, on a new one
            except FetchRefused:
                kept.close()
                raise
        connection = connect(place, self._resolve, self._tls, pace)
        try:
            return connection, ask(connection, method, pace, _HEADERS, None)
        except BaseException:
            connection.close()
            raise

    def _put_away(self, connection: Connection, response: HTTPResponse) -> None:
        closing = response.headers.get("connection", "").lower() == "close"
        response.close()
        if closing or connection.sock is None:
            connection.close()
        else:
            self._idle.keep(connection)

    def _refusal(self, response: HTTPResponse) -> FetchRefused:
        status = int(response.status)
        return FetchRefused(
            failure_of(status),
            f"the server answered {status} {response.reason or ''}".rstrip(),
            retry_after=_retry_after(response.headers.get("retry-after", ""), self._now()),
            status=status,
        )


def failure_of(status: int) -> Failure:
    """The failure that an answer of this status, which is not 200, means."""
    if 500 <= status <= 599:
        return Failure.PAYLOAD_SERVER_ERROR
    return _CODES.get(status, Failure.PAYLOAD_REFUSED)


@contextmanager
def _telling(place: Target) -> Iterator[None]:
    """Say in our words what the libraries say in theirs, up to the answer's headers."""
    try:
        yield
    except TimeoutError as error:
        words = f"{place.host} took no request in time"
        raise FetchRefused(Failure.PAYLOAD_TIMEOUT, words) from error
    except (ConnectionError, http.client.RemoteDisconnected, ProtocolError) as error:
        words = f"{place.host} hung up without an answer"
        raise FetchRefused(Failure.PAYLOAD_TRUNCATED, words) from error
    except OSError as error:
        words = f"the connection to {place.host} broke: {error}"
        raise FetchRefused(Failure.PAYLOAD_UNREACHABLE, words) from error
    except (http.client.HTTPException, HTTPError) as error:
        words = f"{place.host} answered with something that is not HTTP"
        raise FetchRefused(Failure.PAYLOAD_REFUSED, words) from error


def _length(response: HTTPResponse) -> int | None:
    """The declared length of the body.

    Raises:
        FetchRefused: PAYLOAD_REFUSED, it is not a number, or several different ones.
    """
    if "chunked" in response.headers.get("transfer-encoding", "").lower():
        return None
    said = set(re.split(r",\s*", response.headers.get("content-length", "")))
    if said == {""}:
        return None
    (text, *others) = said
    if others or not re.fullmatch(r"[0-9]{1,18}", text):
        words = "the server's Content-Length is not one number"
        raise FetchRefused(Failure.PAYLOAD_REFUSED, words)
    return int(text)


def _refuse_encoded(response: HTTPResponse) -> None:
    """A packed body is not the file whose digest the depositor knows; we asked for it as it is."""
    content = response.headers.get("content-encoding", "identity").strip().lower()
    transfer = response.headers.get("transfer-encoding", "chunked").strip().lower()
    if content not in {"", "identity"} or transfer not in {"", "identity", "chunked"}:
        packed = content if content not in {"", "identity"} else transfer
        words = f"the server sends the file packed ({packed}) though it was asked not to"
        raise FetchRefused(Failure.PAYLOAD_REFUSED, words)


def _retry_after(text: str, now: datetime) -> float | None:
    """Seconds of a Retry-After header, given as such or as a date (RFC 9110 10.2.3)."""
    text = text.strip()
    if text.isdecimal():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())
