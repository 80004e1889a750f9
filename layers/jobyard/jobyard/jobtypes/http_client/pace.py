"""Limits how long we wait for a server: for its response, for the next byte, and in total.

A socket's own timeout restarts with every byte, so a server that rarely sends one could block a
worker for ever. Here each wait is limited, and so is their sum.
"""

import io
import socket
from collections.abc import Callable
from dataclasses import dataclass

from jobyard.domain.jobs.failures import Failure
from jobyard.jobtypes.http_client.refusal import FetchRefused

RESERVE_S = 12.0  # transfers stop this long before a worker's time is up: it saves its state then


@dataclass(frozen=True)
class Timeouts:
    """Seconds to wait for a server, and the slowest transfer that is accepted.

    `response_s` is for status and header together, `silence_s` for the next byte of the body. In
    each `window_s` of waiting, `min_bytes_per_s` must arrive on average. The time that we need to
    hash and store does not count.
    """

    connect_s: float = 10.0
    response_s: float = 30.0
    silence_s: float = 30.0
    window_s: float = 30.0
    min_bytes_per_s: int = 16 * 1024


class Pace:
    """The timer of one request, including its redirects.

    `remaining` returns the seconds until the worker must stop. Messages name the `method`.
    """

    def __init__(
        self, timeouts: Timeouts, remaining: Callable[[], float], method: str = "GET"
    ) -> None:
        self._method = method
        self._timeouts = timeouts
        self._remaining = remaining
        self._response_left_s = timeouts.response_s
        self._in_body = False
        self._waited_s = 0.0
        self._bytes = 0

    def connect_s(self) -> float:
        """The seconds left to connect."""
        return min(self._timeouts.connect_s, self._left_s())

    def begin_response(self) -> None:
        """Start to wait for the status and the header of a response."""
        self._in_body = False
        self._response_left_s = self._timeouts.response_s

    def begin_body(self) -> None:
        """Start to wait for the body."""
        self._in_body = True

    def wait(self, sock: socket.socket, read: Callable[[], int | None]) -> int:
        """Call `read` once on `sock` and return the number of bytes that arrived.

        Raises:
            FetchRefused: PAYLOAD_TIMEOUT, the server is too slow; TIMEOUT, the worker's time is up.
        """
        before_s = self._remaining()
        left_s = self._left_s()
        timeout_s = self._timeouts.silence_s if self._in_body else self._response_left_s
        sock.settimeout(max(min(timeout_s, left_s), 0.001))
        try:
            count = read() or 0
        except TimeoutError as error:
            if left_s <= timeout_s:
                raise _out_of_time() from error
            raise self._silent() from error
        self._note(before_s - self._remaining(), count)
        return count

    def _note(self, waited_s: float, count: int) -> None:
        if not self._in_body:
            self._response_left_s -= waited_s
            if self._response_left_s <= 0:
                raise self._silent()
            return
        self._waited_s += waited_s
        self._bytes += count
        if self._waited_s >= self._timeouts.window_s:
            if self._bytes < self._waited_s * self._timeouts.min_bytes_per_s:
                raise _too_slow(
                    f"fewer than {self._timeouts.min_bytes_per_s} bytes a second arrived"
                )
            self._waited_s, self._bytes = 0.0, 0

    def _silent(self) -> FetchRefused:
        if self._in_body:
            return _too_slow(f"nothing arrived for {self._timeouts.silence_s:g} seconds")
        message = (
            f"no complete answer to {self._method} within {self._timeouts.response_s:g} seconds"
        )
        return _too_slow(message)

    def _left_s(self) -> float:
        left_s = self._remaining() - RESERVE_S
        if left_s <= 0:
            raise _out_of_time()
        return left_s


class PacedReader(io.RawIOBase):
    """The bytes of a socket, timed by a pace. While `is_paused`, the socket is not read."""

    is_paused = False

    def __init__(self, sock: socket.socket, pace: Pace) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self.pace = pace

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        if self.is_paused:
            return 0
        return self.pace.wait(self._sock, lambda: self._raw.readinto(buffer))

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


def _too_slow(message: str) -> FetchRefused:
    return FetchRefused(Failure.PAYLOAD_TIMEOUT, message)


def _out_of_time() -> FetchRefused:
    return FetchRefused(Failure.TIMEOUT, "the worker ran out of time in the middle of a file")
