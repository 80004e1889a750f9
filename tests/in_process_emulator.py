"""The emulator inside the test process: the same MiniStack, without HTTP.

Every botocore call to its address becomes a call of its ASGI application, or of its DynamoDB
directly. Nothing is signed, and the address needs no rules, as nobody checks either. That makes a
call three times as fast as over HTTP. Store and live tests use an emulator process over HTTP.
"""

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HeadersDict
from botocore.httpsession import URLLib3Session
from urllib3._collections import HTTPHeaderDict

from cli.local import emulator, mail
from tests.unsigned_calls import Found, unsigned_calls

HOST = "127.0.0.1:1"  # nobody can listen there, so other requests are refused at once
ENDPOINT = f"http://{HOST}"
_ENVIRONMENT = {
    "AUTH": "false",
    "GATEWAY_PORT": "1",
    "IOT_MTLS_ENABLED": "0",
    "LOG_LEVEL": "WARNING",
    "MINISTACK_HOST": "127.0.0.1",
    "SFTP_ENABLED": "0",
}

# Status, headers and body.
Answered = tuple[int, Mapping[str, str] | list[tuple[str, str]], bytes]


@dataclass
class InProcessEmulator:
    """MiniStack's modules, one request at a time."""

    ministack: Any

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._dynamodb = self.ministack._get_module("dynamodb")
        _remember_expressions(self._dynamodb)

    def request(self, method: str, url: str, headers: Mapping[str, Any], body: bytes) -> Answered:
        """Status, headers and body of the answer."""
        parts = urlsplit(url)
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(parts.path),
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "headers": [
                (name.lower().encode(), value if isinstance(value, bytes) else str(value).encode())
                for name, value in headers.items()
            ]
            + [(b"host", parts.netloc.encode())],
            "server": ("127.0.0.1", 1),
            "client": ("127.0.0.1", 1),
        }
        status, answered, chunks = 0, [], []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], message["headers"]
            else:
                chunks.append(message.get("body", b""))

        with self._lock:
            _complete(self.ministack.app(scope, receive, send))
        return status, [(_text(name), _text(value)) for name, value in answered], b"".join(chunks)

    def answer(self, request: AWSPreparedRequest) -> AWSResponse:
        """The answer to a request of botocore."""
        body = request.body or b""
        if hasattr(body, "read"):
            body = body.read()
        elif isinstance(body, str):
            body = body.encode()
        target = _text(request.headers.get("X-Amz-Target", ""))
        if target.startswith("DynamoDB_"):
            answered = self._dynamodb_request(target, bytes(body))
        else:
            answered = self.request(request.method, request.url, request.headers, bytes(body))
        status, headers, content = answered
        raw = _Body(b"" if request.method == "HEAD" else content)
        response = AWSResponse(request.url, status, {}, raw)
        response.headers = _Headers(HTTPHeaderDict(headers))
        if not request.stream_output:
            _ = response.content  # read at once, as botocore's own session does
        return response

    def _dynamodb_request(self, target: str, body: bytes) -> Answered:
        """Call MiniStack's DynamoDB, without the router that finds it among a hundred services."""
        with self._lock:
            answered: Answered = _complete(
                self._dynamodb.handle_request("POST", "/", {"x-amz-target": target}, body, {})
            )
        return answered

    def clear(self) -> None:
        """Empty the tables and buckets; forget the mails."""
        dynamodb, s3, ses = (self.ministack._get_module(name) for name in ("dynamodb", "s3", "ses"))
        with self._lock:
            for table in dynamodb._tables._data.values():
                table["items"].clear()
                dynamodb._items_replaced(table)
            for bucket in s3._buckets._data.values():
                bucket["objects"].clear()
            for kept in (s3._object_versions, s3._multipart_uploads, ses._sent_emails):
                kept.clear()

    def mails(self) -> list[mail.Mail]:
        """Every mail sent since the last `clear`, oldest first."""
        _, _, body = self.request("GET", f"{ENDPOINT}{mail.PATH}", {}, b"")
        return mail.parse(json.loads(body))


def _remember_expressions(dynamodb: Any) -> None:
    """The parts of an expression and its grammar depend on its text alone, and few texts are used;
    MiniStack looks at them again for each item of a query.
    """
    dynamodb._condition_syntax_error = lru_cache(1024)(dynamodb._condition_syntax_error)
    tokenize = dynamodb._tokenize
    tokens_of = lru_cache(1024)(lambda expression: tuple(tokenize(expression)))
    dynamodb._tokenize = lambda expression: [*tokens_of(expression)]
    for name in ("_check_redundant_parens", "_check_reserved_keyword_usage"):
        check = lru_cache(1024)(getattr(dynamodb, name))
        setattr(dynamodb, name, _on_tuple(check))
    dynamodb._parse_partiql = _remembering_the_last(dynamodb._parse_partiql)


def _remembering_the_last(parse: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """MiniStack parses each statement of a batch to see what it is, and again to execute it."""
    last: tuple[Any, Any, Any] = ("", None, None)

    def parse_once(statement: str, parameters: Any) -> Any:
        nonlocal last
        if statement is not last[0] or parameters is not last[1]:
            last = statement, parameters, parse(statement, parameters)
        return last[2]

    return parse_once


def _on_tuple(check: Callable[..., Any]) -> Callable[..., Any]:
    return lambda tokens, *more: check(tuple(tokens), *more)


def _complete(coroutine: Any) -> Any:
    """The result of a coroutine that never waits for anything."""
    try:
        coroutine.send(None)
    except StopIteration as stopped:
        return stopped.value
    coroutine.close()
    raise RuntimeError("the emulator wants to wait, which it cannot in this process")


def _text(value: bytes | str) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


class _Headers(HeadersDict):
    """Headers of a response. botocore looks for forty of them in each, most of them in vain."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._names = frozenset(name.lower() for name in headers)
        super().__init__(headers)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._names


class _Body(BytesIO):
    """A body as botocore reads it."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()

    def read(self, size: int | None = None, **_: Any) -> bytes:
        return super().read(-1 if size is None else size)


@contextmanager
def running() -> Iterator[InProcessEmulator]:
    """An emulator that answers botocore at `ENDPOINT` for as long as the block lasts."""
    send = URLLib3Session.send
    with pytest.MonkeyPatch.context() as patch, unsigned_calls(_is_here, _endpoint):
        started = InProcessEmulator(_ministack(patch))

        def send_here(session: URLLib3Session, request: Any) -> AWSResponse:
            return started.answer(request) if _is_here(request.url) else send(session, request)

        patch.setattr(URLLib3Session, "send", send_here)
        yield started


def _is_here(url: str) -> bool:
    return url.startswith(f"{ENDPOINT}/") or url == ENDPOINT


def _endpoint(_client: Any, _model: Any, params: Mapping[str, Any], _by_rules: Any) -> Found:
    return endpoint_of(params)


def endpoint_of(params: Mapping[str, Any]) -> Found:
    """The URL, headers and properties of a call, without botocore's rules."""
    return (f"{ENDPOINT}/{params['Bucket']}" if "Bucket" in params else ENDPOINT), {}, {}


def _ministack(patch: pytest.MonkeyPatch) -> Any:
    """MiniStack's application, from the emulator's own environment.

    It reads environment variables when it is imported, and gives the root logger a handler.
    """
    (packages,) = emulator.PYTHON.parents[1].glob("lib/python*/site-packages")
    patch.setattr(sys, "path", [*sys.path, str(packages)])
    root = logging.getLogger()
    handlers, level = [*root.handlers], root.level
    with pytest.MonkeyPatch.context() as reading:
        for name, value in _ENVIRONMENT.items():
            reading.setenv(name, value)
        import ministack.app  # type: ignore[import-not-found]
    root.handlers[:] = handlers
    root.setLevel(level)
    return ministack.app
