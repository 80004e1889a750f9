"""Connections to checked peers: HTTP and HTTPS over one way of dialling, kept for the next request.

The name is resolved once, each address judged, and the very address judged is the one connected
to: a name that answers otherwise the next time (DNS rebinding) has nothing to gain. What the socket
says of its peer is judged again before a byte is sent.
"""

import http.client
import io
import socket
import ssl
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

import urllib3.connection
from urllib3.response import HTTPResponse

from jobyard.domain.failures import Failure
from jobyard.jobtypes.fetch.addresses import Target, may_connect
from jobyard.jobtypes.fetch.pace import Pace, PacedReader
from jobyard.jobtypes.fetch.refusal import FetchRefused

Resolve = Callable[..., list[tuple[Any, ...]]]  # socket.getaddrinfo, or what stands in for it

_ADDRESSES = 4  # of a host, tried one after the other
_BUFFER = 64 * 1024
_KEPT = 32  # idle connections of a worker
_FRESH = timedelta(seconds=20)  # servers and gateways drop idle connections without a word


class _Wire(io.BufferedReader):
    """What comes from the peer. `surplus` once closed: whether it had sent more than was read."""

    surplus = False

    def __init__(self, reader: PacedReader) -> None:
        super().__init__(reader, _BUFFER)
        self._reader = reader

    def close(self) -> None:
        if not self.closed:
            self._reader.dry = True
            self.surplus = bool(self.peek(1))
        super().close()


class _PacedResponse(http.client.HTTPResponse):
    """An answer whose every byte, the status line's included, is waited for under the pace."""

    def __init__(self, sock: socket.socket, pace: Pace, method: str | None) -> None:
        super().__init__(sock, method=method)
        self.fp.close()
        self.fp = self.wire = _Wire(PacedReader(sock, pace))


class _Dialled:
    """What both kinds of connection share: dialling a checked peer, reading under a pace."""

    target: Target
    resolve: Resolve
    pace: Pace
    sock: Any
    answer: _PacedResponse

    def _new_conn(self) -> socket.socket:
        sock = _dial(self.target, self.resolve, self.pace)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def response_class(self, sock: socket.socket, method: str | None = None) -> _PacedResponse:
        self.answer = _PacedResponse(sock, self.pace, method)
        return self.answer


class _Plain(_Dialled, urllib3.connection.HTTPConnection):  # type: ignore[misc]
    """Over TCP."""


class _Secure(_Dialled, urllib3.connection.HTTPSConnection):  # type: ignore[misc]
    """Over TLS; the certificate is checked against the URL's host, not the address."""


Connection = _Plain | _Secure


def connect(
    target: Target, resolve: Resolve, tls: Callable[[], ssl.SSLContext], pace: Pace
) -> Connection:
    """Open a connection to a checked peer.

    Raises:
        FetchRefused: ADDRESS_NOT_ALLOWED, PAYLOAD_UNREACHABLE, PAYLOAD_UNTRUSTED.
    """
    connection: Connection
    timeout_s = pace.connect_s()
    if target.scheme == "https":
        connection = _Secure(target.host, target.port, timeout=timeout_s, ssl_context=tls())
    else:
        connection = _Plain(target.host, target.port, timeout=timeout_s)
    connection.target, connection.resolve, connection.pace = target, resolve, pace
    try:
        connection.connect()
    except ssl.SSLCertVerificationError as error:
        connection.close()
        words = f"the certificate of {target.host} cannot be trusted: {error.verify_message}"
        raise FetchRefused(Failure.PAYLOAD_UNTRUSTED, words) from error
    except OSError as error:
        connection.close()
        raise _unreachable(target, error) from error
    return connection


def _dial(target: Target, resolve: Resolve, pace: Pace) -> socket.socket:
    try:
        found = resolve(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        words = f"the host {target.host} cannot be found"
        raise FetchRefused(Failure.PAYLOAD_UNREACHABLE, words) from error
    addresses = [info for info in found if may_connect(target, info[4][0])]
    if not addresses:
        raise _private(target)
    refused: OSError | None = None
    for family, kind, protocol, _, address in addresses[:_ADDRESSES]:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(pace.connect_s())
            sock.connect(address)
            if not may_connect(target, sock.getpeername()[0]):
                raise _private(target)
        except OSError as error:
            sock.close()
            refused = error
        except FetchRefused:
            sock.close()
            raise
        else:
            return sock
    raise _unreachable(target, refused) from refused


def ask(
    connection: Connection, method: str, pace: Pace, headers: dict[str, str], body: bytes | None
) -> HTTPResponse:
    """Send a request and read the answer's status and headers; the body is left to come."""
    connection.pace = pace
    connection.timeout = pace.connect_s()
    connection.request(
        method,
        connection.target.target,
        body,
        headers,
        preload_content=False,
        decode_content=False,
    )
    answer = connection.getresponse()
    pace.begin_body()
    return answer


class Idle:
    """Connections kept for the next request to the same place. For all threads."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = Lock()
        self._kept: deque[tuple[Connection, datetime]] = deque()

    def take(self, target: Target) -> Connection | None:
        """A connection to the target's place that is still open; None when there is none."""
        with self._lock:
            for kept in reversed(self._kept.copy()):
                connection, since = kept
                if _place(connection.target) != _place(target):
                    continue
                self._kept.remove(kept)
                if self._now() - since < _FRESH and connection.is_connected:
                    connection.target = target
                    return connection
                connection.close()
        return None

    def keep(self, connection: Connection) -> None:
        """Put a connection aside whose last answer was read to its end."""
        with self._lock:
            self._kept.append((connection, self._now()))
            surplus = [self._kept.popleft()[0] for _ in range(len(self._kept) - _KEPT)]
        for connection in surplus:
            connection.close()

    def close(self) -> None:
        """Close them all."""
        with self._lock:
            while self._kept:
                self._kept.pop()[0].close()


def _place(target: Target) -> tuple[str, str, int]:
    return (target.scheme, target.host, target.port)


def _private(target: Target) -> FetchRefused:
    words = f"{target.host} is not at a public address"
    return FetchRefused(Failure.ADDRESS_NOT_ALLOWED, words)


def _unreachable(target: Target, error: OSError | None) -> FetchRefused:
    words = f"{target.host}:{target.port} cannot be reached: {error}"
    return FetchRefused(Failure.PAYLOAD_UNREACHABLE, words)
