"""The pages' function behind HTTP on localhost, and a sign-in page on 127.0.0.1: two sites."""

import base64
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.functions.api.api_client import Lambda
from tests.functions.web.browser import Browser
from tests.functions.web.user_pool import UserPool

AXE_PATH = "/axe.min.js"  # by an address, so that the browser compiles it once
_AXE = Path(__file__).parent / "axe" / "axe.min.js"


@dataclass
class Site:
    """A running server. `requests` are (method, path) of all requests except those for files,
    `most_in_flight` how many of a path were at most being answered at once.
    """

    url: str
    browser: Browser
    requests: list[tuple[str, str]] = field(default_factory=list)
    in_flight: Counter[str] = field(default_factory=Counter)
    most_in_flight: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)  # a function has one request

    def begin(self, path: str) -> None:
        """Count a request that has arrived."""
        self.in_flight[path] += 1
        self.most_in_flight[path] = max(self.most_in_flight[path], self.in_flight[path])

    def end(self, path: str) -> None:
        """Count a request that is answered."""
        self.in_flight[path] -= 1

    def status_for(self, role: str, address: str) -> int:
        """The status of a page for a person with this role, without the server."""
        with self.lock:
            return self.browser.sign_in(role).get(address).status

    def cookies(self, role: str) -> list[dict[str, Any]]:
        """The cookies of a person with this role, for a browser's context."""
        self.browser.sign_in(role)
        return [
            {"name": name, "value": value, "url": self.url}
            for name, value in self.browser.cookies.items()
        ]


@contextmanager
def serving(browser: Browser) -> Iterator[Site]:
    """The pages on localhost, over HTTP, so that cookies have no prefix."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == AXE_PATH:
                self._send_axe()
            else:
                self._respond()

        def do_POST(self) -> None:
            self._respond()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

        def _send_axe(self) -> None:
            raw = _AXE.read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "text/javascript")
            self.send_header("Content-Length", str(len(raw)))
            self.send_header("Cache-Control", "max-age=3600")
            self.end_headers()
            self.wfile.write(raw)

        def _respond(self) -> None:
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if not path.startswith("/static/"):
                site.requests.append((self.command, self.path))
            event = {
                "version": "2.0",
                "rawPath": unquote(path),
                "rawQueryString": query,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "requestContext": {
                    "requestId": f"request-{len(site.requests)}",
                    "stage": "$default",
                    "http": {"method": self.command, "path": unquote(path)},
                },
                "body": base64.b64encode(body).decode(),
                "isBase64Encoded": True,
            }
            site.begin(self.path)
            with site.lock:
                given = browser.function.handler(event, Lambda())
            site.end(self.path)
            sent = given.get("body") or ""
            raw = base64.b64decode(sent) if given.get("isBase64Encoded") else sent.encode()
            self.send_response(given["statusCode"])
            for name, value in given["headers"].items():
                self.send_header(name, value)
            for cookie in given.get("cookies", ()):
                self.send_header("Set-Cookie", cookie)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    url = f"http://localhost:{server.server_port}"
    site = Site(url, browser)
    before = browser.function.SITE
    settings = replace(before.settings, url=url)
    browser.function.SITE = replace(before, settings=settings)
    browser.secure = False
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        browser.function.SITE = before


@contextmanager
def sign_in_page(site: Site) -> Iterator[str]:
    """A sign-in page on another site, with one button, at which everyone is anna, an operator."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if parts.path == "/logout":
                self._redirect(query["logout_uri"])
            elif "confirmed" in query:
                back = f"{query['redirect_uri']}?code=good&state={query['state']}"
                self._redirect(back)
            else:
                fields = "".join(
                    f'<input type="hidden" name="{name}" value="{value}">'
                    for name, value in query.items()
                )
                page = f"<!doctype html><form>{fields}<button name=confirmed value=1>Sign in"
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            """Stay silent."""

        def _redirect(self, address: str) -> None:
            self.send_response(302)
            self.send_header("Location", address)
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    function = site.browser.function
    before = function.SITE
    settings = replace(before.settings, sign_in_url=url)
    pool = UserPool(site.browser)
    function.SITE = replace(before, settings=settings, cognito=pool, exchange_code=pool.exchange)
    try:
        yield url
    finally:
        server.shutdown()
        server.server_close()
        function.SITE = before
