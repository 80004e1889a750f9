"""A service that pretends to recognise the text of pages: it accepts a call, and is done later.

python examples/calls/service.py --port 4915

POST /pages         202, and Location: /pages/ID. The same Idempotency-Key gets the same ID
GET /pages/ID       202 until the work is done, then 200 and {"words": …}
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LOOKS = 2  # how often one asks before the work is done


class Service(ThreadingHTTPServer):
    """The service, at 127.0.0.1. `accepted` are the calls by their keys, each with its document."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.accepted: dict[str, dict[str, Any]] = {}
        self.received: list[str] = []  # the key of each call, with repeats
        self.looks: Counter[str] = Counter()
        self.on_call: Callable[[str], object] = lambda key: None

    @property
    def url(self) -> str:
        """Where to send calls."""
        return f"http://127.0.0.1:{self.server_address[1]}/pages"

    def look(self, key: str) -> tuple[int, dict[str, object]]:
        """How far the work is: the status and the JSON of an answer."""
        if key not in self.accepted:
            return 404, {"detail": "there is no such work"}
        self.looks[key] += 1
        if self.looks[key] < LOOKS:
            return 202, {}
        title = self.accepted[key].get("row", {}).get("title", "")
        return 200, {"words": len(title.split())}


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        key = self.headers["Idempotency-Key"]
        self.server.received.append(key)
        self.server.on_call(key)
        self.server.accepted.setdefault(key, json.loads(body))
        self._answer(202, {}, f"/pages/{key}")

    def do_GET(self) -> None:
        self._answer(*self.server.look(self.path.removeprefix("/pages/")))

    def _answer(self, status: int, document: dict[str, object], location: str = "") -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=4915)
    with Service(parser.parse_args().port) as service:
        print(service.url, flush=True)
        service.serve_forever()
