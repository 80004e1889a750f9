"""A server on loopback that serves files, and misbehaves as a test wants."""

import ssl
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType

Behaviour = Callable[[BaseHTTPRequestHandler], None]


class PayloadServer:
    """`files` are served by path; `behaviours` come first and write any bytes."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.files: dict[str, bytes] = {}
        self.behaviours: dict[str, Behaviour] = {}
        self.requests: list[tuple[str, str]] = []
        self.bodies: list[tuple[dict[str, str], bytes]] = []  # of POSTs, with lower-case headers
        self.connections = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.payloads = self
        if tls:
            listening = self._server.socket
            self._server.socket = tls.wrap_socket(
                listening, server_side=True, do_handshake_on_connect=False
            )
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def url(self, path: str) -> str:
        return f"http://{self.host}{path}"

    def serve(self, path: str, content: bytes) -> str:
        self.files[path] = content
        return self.url(path)

    def behave(self, path: str, behaviour: Behaviour) -> str:
        self.behaviours[path] = behaviour
        return self.url(path)

    def forget(self) -> None:
        self.files.clear()
        self.behaviours.clear()
        self.requests.clear()
        self.bodies.clear()
        self.connections = 0

    def requested(self, method: str) -> list[str]:
        return [path for each, path in self.requests if each == method]

    def __enter__(self) -> "PayloadServer":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    payloads: PayloadServer
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        self.server.payloads.connections += 1
        super().setup()

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, ssl.SSLError):
            self.close_connection = True  # the client closed the connection

    def answer(self) -> None:
        payloads = self.server.payloads
        payloads.requests.append((self.command, self.path))
        if self.path in payloads.behaviours:
            payloads.behaviours[self.path](self)
        elif self.path in payloads.files:
            responding(200, body=payloads.files[self.path])(self)
        else:
            responding(404)(self)

    do_GET = do_HEAD = answer

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.payloads.bodies.append((headers, self.rfile.read(length)))
        self.answer()

    def log_message(self, format: str, *args: object) -> None:
        pass


def responding(status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Behaviour:
    """An answer with that status."""

    def behave(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            request.send_header(name, value)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)

    return behave


def sending(raw: bytes) -> Behaviour:
    """Send exactly these bytes at once, then close the connection."""

    def behave(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(raw)
        request.close_connection = True

    return behave


def without_head(content: bytes, status: int = 405) -> Behaviour:
    """A file from a server that refuses HEAD or does not know it."""

    def behave(request: BaseHTTPRequestHandler) -> None:
        if request.command == "HEAD":
            responding(status)(request)
        else:
            responding(200, body=content)(request)

    return behave
