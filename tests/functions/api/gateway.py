"""The gateway: turns HTTP requests into events of an HTTP API for the function."""

import base64
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from tests.functions.api.api_client import Api, event

HOST = "https://jobyard.example.org"
Environ = Mapping[str, Any]
_TEXT = ("text/", "application/json", "application/javascript", "application/xml")


class Gateway:
    """A WSGI application in front of the function. A caller's token is the name of a role, which is
    the person's too, unless another name follows: "depositor stranger". `path` is the last one."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.path = ""

    def __call__(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        sent = event_of(environ)
        self.path = sent["rawPath"]
        answer = self._api.send(sent)
        status = HTTPStatus(answer.status)
        start(f"{status.value} {status.phrase}", list(answer.headers.items()))
        return [answer.text.encode()]


def event_of(environ: Environ) -> dict[str, Any]:
    """The event of a request, in payload format 2.0: the path decoded, header names in lower case,
    repeated parameters joined by commas, a binary body in base64."""
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    headers.pop("accept-encoding", None)  # so that the answer is not compressed
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    path = environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
    role, _, name = headers.pop("authorization").removeprefix("Bearer ").partition(" ")
    sent = event(environ["REQUEST_METHOD"], path.removeprefix("/api"), role=role, name=name)
    sent["headers"] |= headers
    sent["rawQueryString"] = environ["QUERY_STRING"]
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(environ["QUERY_STRING"], keep_blank_values=True):
        parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    if parameters:
        sent["queryStringParameters"] = parameters
    if body := environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)):
        _put_body(sent, body, headers.get("content-type", ""))
    return sent


def _put_body(sent: dict[str, Any], body: bytes, media_type: str) -> None:
    sent["headers"]["content-length"] = str(len(body))
    if media_type.startswith(_TEXT):
        sent["body"] = body.decode(errors="replace")
    else:
        sent["body"], sent["isBase64Encoded"] = base64.b64encode(body).decode(), True
