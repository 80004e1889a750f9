"""Connections to servers with allowed addresses, HTTP and HTTPS, and the pool of idle ones.

A name is resolved once, each address is checked, and we connect to exactly the address that was
checked. So DNS rebinding (a name that resolves differently the next time) does not work. The
address of the connected server is checked again before a byte is sent.
"""

import io
import selectors
import socket
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from jobyard.domain.jobs.failures import Failure
from jobyard.jobtypes.http_client.addresses import Target, may_connect, server_of
from jobyard.jobtypes.http_client.pace import Pace, PacedReader
from jobyard.jobtypes.http_client.refusal import FetchRefused
from jobyard.jobtypes.http_client.responses import Head, read_head

Resolve = Callable[..., list[tuple[Any, ...]]]  # socket.getaddrinfo, or a replacement of it

_MAX_ADDRESSES = 4  # of a host that are tried, one after the other
_BUFFER_BYTES = 64 * 1024
_MAX_IDLE = 32  # connections in a worker's pool
_MAX_IDLE_AGE = timedelta(seconds=20)  # servers and gateways drop idle connections silently


class Connection:
    """A connection to a server with an allowed address. A pace limits the time of every read."""

    def __init__(self, target: Target, sock: socket.socket, pace: Pace) -> None:
        self.target = target
        self._sock = sock
        self._reader = PacedReader(sock, pace)
        self.source = io.BufferedReader(self._reader, _BUFFER_BYTES)

    def request(
        self, method: str, pace: Pace, fields: Mapping[str, bytes], body: bytes | None = None
    ) -> Head:
        """Send a request and read the status and header of the response, not its body.

        Raises:
            FetchRefused: PAYLOAD_TIMEOUT, TIMEOUT.
            NotHttp, ConnectionClosed, OSError: there was no response.
        """
        self._reader.pace = pace
        lines = [f"{method} {self.target.target} HTTP/1.1".encode()]
        lines.append(f"Host: {self.target.authority}".encode())
        lines += [name.encode() + b": " + value for name, value in fields.items()]
        if body is not None:
            lines.append(b"Content-Length: %d" % len(body))
        self._sock.settimeout(pace.connect_s())
        self._sock.sendall(b"\r\n".join((*lines, b"", body or b"")))
        pace.begin_response()
        head = read_head(self.source)
        pace.begin_body()
        return head

    def peek_byte(self) -> bytes:
        """The next byte, if it is buffered; b"" otherwise. It is not consumed."""
        self._reader.is_paused = True
        byte = self.source.peek(1)[:1]
        self._reader.is_paused = False
        return byte

    def poll_byte(self) -> bytes:
        """The next byte if it has arrived, without waiting; b"" otherwise. The connection cannot be
        used afterwards."""
        if byte := self.peek_byte():
            return byte
        self._sock.settimeout(0)
        try:
            return self._sock.recv(1)
        except OSError:  # nothing has arrived, or the connection is closed
            return b""

    def is_reusable(self) -> bool:
        """Whether the connection is open, and no unexpected bytes have arrived."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._sock, selectors.EVENT_READ)
            return not selector.select(0)

    def close(self) -> None:
        self.source.close()
        self._sock.close()


def connect(
    target: Target, resolve: Resolve, tls: Callable[[], ssl.SSLContext], pace: Pace
) -> Connection:
    """Open a connection to the target, if its address is allowed.

    Raises:
        FetchRefused: ADDRESS_NOT_ALLOWED, PAYLOAD_UNREACHABLE, PAYLOAD_UNTRUSTED.
    """
    sock = _open_socket(target, resolve, pace)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if target.scheme == "https":
            # The certificate is checked against the URL's host, not the address.
            sock.settimeout(pace.connect_s())
            sock = tls().wrap_socket(sock, server_hostname=target.host.rstrip("."))
    except ssl.SSLCertVerificationError as error:
        sock.close()
        message = f"the certificate of {target.host} cannot be trusted: {error.verify_message}"
        raise FetchRefused(Failure.PAYLOAD_UNTRUSTED, message) from error
    except OSError as error:
        sock.close()
        raise _unreachable(target, error) from error
    except BaseException:
        sock.close()
        raise
    return Connection(target, sock, pace)


def _open_socket(target: Target, resolve: Resolve, pace: Pace) -> socket.socket:
    try:
        found = resolve(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        message = f"the host {target.host} cannot be found"
        raise FetchRefused(Failure.PAYLOAD_UNREACHABLE, message) from error
    addresses = [info for info in found if may_connect(target, info[4][0])]
    if not addresses:
        raise _not_public(target)
    last_error: OSError | None = None
    for family, kind, protocol, _, address in addresses[:_MAX_ADDRESSES]:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(pace.connect_s())
            sock.connect(address)
            if not may_connect(target, sock.getpeername()[0]):
                raise _not_public(target)
        except OSError as error:
            sock.close()
            last_error = error
        except FetchRefused:
            sock.close()
            raise
        else:
            return sock
    raise _unreachable(target, last_error) from last_error


class ConnectionPool:
    """Idle connections for the next request to the same server. Thread-safe."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = Lock()
        self._idle: deque[tuple[Connection, datetime]] = deque()

    def take(self, target: Target) -> Connection | None:
        """Take an open connection to the target's server; None if there is none."""
        with self._lock:
            for entry in reversed(self._idle.copy()):
                connection, idle_since = entry
                if server_of(connection.target) != server_of(target):
                    continue
                self._idle.remove(entry)
                if self._now() - idle_since < _MAX_IDLE_AGE and connection.is_reusable():
                    connection.target = target
                    return connection
                connection.close()
        return None

    def keep(self, connection: Connection) -> None:
        """Add a connection whose last response was read to its end."""
        with self._lock:
            self._idle.append((connection, self._now()))
            surplus = [self._idle.popleft()[0] for _ in range(len(self._idle) - _MAX_IDLE)]
        for connection in surplus:
            connection.close()

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            while self._idle:
                self._idle.pop()[0].close()


def _not_public(target: Target) -> FetchRefused:
    message = f"{target.host} is not at a public address"
    return FetchRefused(Failure.ADDRESS_NOT_ALLOWED, message)


def _unreachable(target: Target, error: OSError | None) -> FetchRefused:
    message = f"{target.host}:{target.port} cannot be reached: {error}"
    return FetchRefused(Failure.PAYLOAD_UNREACHABLE, message)
