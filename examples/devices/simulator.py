"""Simulates devices with the API that docs/devices.md describes. Needs Python only.

    python examples/devices/simulator.py --port 8021

A device is at http://127.0.0.1:8021/ID. The word before the first "-" of its id says what it does:

    ok            is updated
    current       has the new version already
    offline       closes every connection without an answer
    flaky         closes every third connection without an answer
    slow          takes a second for every request
    reboots       restarts once in the middle of an upload, and keeps what it has received
    forgets       the same, and loses what it has received
    garbles       changes a byte of the first whole image that it receives
    old           shows the old version after the update
    busy          answers the first three requests with 429
    incompatible  is of another model
    locked        refuses the credentials
"""

import argparse
import hashlib
import json
import socket
import time
from base64 import b64decode
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

OLD, NEW = "4.1.0", "4.2.0"
MODEL, OTHER_MODEL = "GW-100", "GW-900"


class NoAnswer(Exception):
    """The device closes the connection without an answer."""


@dataclass
class SimulatedDevice:
    """A device: its id, what it does, its version, and the image that it receives."""

    device_id: str
    kind: str
    version: str = OLD
    sha256: str = ""
    size: int = 0
    content: bytearray = field(default_factory=bytearray)
    state: str = "receiving"
    requests: Counter[str] = field(default_factory=Counter)
    applied: list[str] = field(default_factory=list)  # the digests of the applied images
    has_rebooted: bool = False
    slow_s: float = 1.0  # that a slow one takes for every request
    lock: Lock = field(default_factory=Lock)

    def answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, object]]:
        """The status and the JSON of an answer."""
        if self.kind == "slow":
            time.sleep(self.slow_s)
        with self.lock:
            number = self.requests.total()
            self.requests[f"{method} {path}"] += 1
            if self.kind == "offline" or (self.kind == "flaky" and number % 3 == 0):
                raise NoAnswer
            if self.kind == "busy" and number < 3:
                return 429, {"message": "try again later"}
            if self.kind == "locked":
                return 401, {"message": "wrong credentials"}
            return self._answer(method, path, headers, body)

    def _answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, object]]:
        match method, path:
            case "GET", "/device":
                return 200, self._info()
            case "GET", "/update":
                return (200, self._update()) if self.sha256 else (404, {"message": "no update"})
            case "PUT", "/update":
                return self._receive(headers, body)
            case "POST", "/update/apply":
                return self._apply(json.loads(body)["sha256"])
        return 404, {"message": "no such path"}

    def _info(self) -> dict[str, object]:
        model = OTHER_MODEL if self.kind == "incompatible" else MODEL
        version = NEW if self.kind == "current" else self.version
        return {"model": model, "version": version, "serial": self.device_id}

    def _update(self) -> dict[str, object]:
        return {"sha256": self.sha256, "received": len(self.content), "state": self.state}

    def _receive(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, object]]:
        span, _, size = headers["content-range"].removeprefix("bytes ").partition("/")
        start = int(span.partition("-")[0])
        sha256 = b64decode(headers["repr-digest"].split(":")[1]).hex()
        if sha256 != self.sha256:
            self.sha256, self.size, self.state = sha256, int(size), "receiving"
            self.content.clear()
        if self.kind in {"reboots", "forgets"} and not self.has_rebooted and start:
            self.has_rebooted = True
            if self.kind == "forgets":
                self.content.clear()
            raise NoAnswer
        if start > len(self.content):
            return 409, self._update()
        self.content[start:] = body
        if len(self.content) == self.size:
            if self.kind == "garbles" and not self.has_rebooted:
                self.has_rebooted, self.content[0] = True, self.content[0] ^ 1
            if hashlib.sha256(self.content).hexdigest() != self.sha256:
                self.content.clear()
                return 422, {"message": "the image has another digest"}
            self.state = "received"
        return 200, self._update()

    def _apply(self, sha256: str) -> tuple[int, dict[str, object]]:
        if sha256 != self.sha256 or self.state == "receiving":
            return 409, {"message": "the image is not complete"}
        self.state = "applied"
        self.applied.append(sha256)
        if self.kind != "old":
            self.version = NEW
        return 202, self._update()


class Simulator(ThreadingHTTPServer):
    """The server of all devices. A device exists from the first request to it on."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.devices: dict[str, SimulatedDevice] = {}
        self.lock = Lock()
        self.images: dict[str, bytes] = {}  # images by path, which it serves too
        self.image_bytes = 0  # that were requested
        self.connections: set[socket.socket] = set()

    @property
    def host(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.server_address[1]}"

    def device(self, device_id: str) -> SimulatedDevice:
        """The device with that id."""
        kind = device_id.partition("-")[0]
        with self.lock:
            return self.devices.setdefault(device_id, SimulatedDevice(device_id, kind))

    def server_close(self) -> None:
        """Stop, and close the connections that clients have kept."""
        super().server_close()
        with self.lock:
            kept = [*self.connections]
        for each in kept:
            with suppress(OSError):  # it is closed
                each.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Simulator

    def handle(self) -> None:
        with self.server.lock:
            self.server.connections.add(self.connection)
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True  # the client has gone
        finally:
            with self.server.lock:
                self.server.connections.discard(self.connection)

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        image = self.server.images.get(self.path)
        if image is not None:
            self._respond_with_part(image)
            return
        _, device_id, *rest = self.path.split("/")
        headers = {name.lower(): value for name, value in self.headers.items()}
        path = "/" + "/".join(rest)
        try:
            status, answer = self.server.device(device_id).answer(self.command, path, headers, body)
        except NoAnswer:
            self.close_connection = True
            return
        self._respond(status, json.dumps(answer).encode())

    do_GET = do_PUT = do_POST = _serve

    def _respond_with_part(self, image: bytes) -> None:
        """Send an image, from the byte on that the Range names."""
        first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.server.image_bytes += len(image) - first
        span = f"bytes {first}-{len(image) - 1}/{len(image)}"
        self._respond(206 if first else 200, image[first:], {"Content-Range": span})

    def _respond(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8021)
    simulator = Simulator(parser.parse_args().port)
    print(f"devices at http://{simulator.host}/ID")
    simulator.serve_forever()


if __name__ == "__main__":
    main()
