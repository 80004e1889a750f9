"""A server on loopback that answers with given bytes and records its requests."""

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from types import TracebackType


@dataclass(frozen=True)
class ReceivedRequest:
    """A request: method and target of its first line, and its fields with lower-case names."""

    method: str
    target: str
    fields: dict[str, str]


@dataclass(frozen=True)
class Raw:
    """An answer. With `stays`, the connection stays open afterwards; else it ends.

    `pieces` are sent one after the other, `pause_s` apart; they may be endless.
    """

    pieces: Callable[[], Iterator[bytes]]
    stays: bool = False
    pause_s: float = 0.0


def raw(*pieces: bytes, stays: bool = False, pause_s: float = 0.0) -> Raw:
    """An answer of these bytes."""
    return Raw(lambda: iter(pieces), stays, pause_s)


def endless(first: bytes, again: bytes, pause_s: float = 0.0) -> Raw:
    """Some bytes once, then others without end."""

    def pieces() -> Iterator[bytes]:
        yield first
        while True:
            yield again

    return Raw(pieces, pause_s=pause_s)


Answers = Raw | Callable[[ReceivedRequest], Raw]


@dataclass
class RawServer:
    """`answers` by "METHOD /target", or by "/target" for any method; others get no answer."""

    answers: dict[str, Answers] = field(default_factory=dict)
    received: list[ReceivedRequest] = field(default_factory=list)
    connections: int = 0

    def __enter__(self) -> "RawServer":
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._over = Event()
        self._lock = Lock()
        self._open: list[socket.socket] = []
        Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._listening.close()
        for each in self._open:
            each.close()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self._listening.getsockname()[1]}"

    def url(self, target: str) -> str:
        return f"http://{self.place}{target}"

    def requested(self, method: str = "GET") -> list[str]:
        return [each.target for each in self.received if each.method == method]

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(sock)
            Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            stream = sock.makefile("rb")
            while request := _request(stream.readline):
                with self._lock:
                    self.received.append(request)
                found = self.answers.get(f"{request.method} {request.target}")
                found = found or self.answers.get(request.target)
                if found is None:
                    break
                answer = found if isinstance(found, Raw) else found(request)
                for piece in answer.pieces():
                    if self._over.is_set():
                        return
                    sock.sendall(piece)
                    time.sleep(answer.pause_s)
                if not answer.stays:
                    break
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the client closed the connection
        finally:
            sock.close()


def _request(line: Callable[[], bytes]) -> ReceivedRequest | None:
    first = line().decode("latin-1").split(" ")
    if len(first) != 3:
        return None
    fields = {}
    while (each := line()) not in {b"\r\n", b""}:
        name, _, value = each.decode("latin-1").partition(":")
        fields[name.lower()] = value.strip()
    return ReceivedRequest(first[0], first[1], fields)
