"""Requests as the gateway sends them, answers as a caller reads them.

Every answer is checked against the OpenAPI document: a status that it does not name, or a body that
does not match, fails the test.
"""

import base64
import gzip
import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from api.application import whole_app
from api.openapi.spec import openapi_document
from jobyard.domain.machine_clients import is_machine_client_name
from tests.people import sub_of

NOW = datetime(2026, 11, 20, 10, 34, 56, tzinfo=UTC)
EVENTS = Path(__file__).with_name("events")
_requests = count(1)


@dataclass(frozen=True)
class Lambda:
    """The context of an invocation."""

    function_name: str = "api"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:api"
    aws_request_id: str = "52fdfc07-2182-454f-963f-5f0f9a621d72"

    def get_remaining_time_in_millis(self) -> int:
        return 29_000


@dataclass(frozen=True)
class Answer:
    """An answer; `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.text)

    @property
    def kind(self) -> str:
        """The kind of problem."""
        return str(self.json["type"]).rpartition("#")[2]


def event(
    method: str,
    path: str,
    *,
    role: str = "admin",
    name: str = "",
    sub: str = "",
    groups: str = "",
    body: Any = None,
    query: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A recorded event with another request. The person is named like the role, unless there is a
    `name`; the id follows from the name, unless there is a `sub`.

    `role` "" is a person without one, "nobody" a request without a token, "client:ROLE" the
    deployment's machine client with that role. A body that is text is sent as it is.
    """
    made: dict[str, Any] = deepcopy(_recorded("get" if method == "GET" else "put"))
    made["rawPath"] = made["requestContext"]["http"]["path"] = f"/api{path}"
    made["pathParameters"] = {"proxy": path[1:]}
    made["rawQueryString"] = urlencode(query or {})
    if query:
        made["queryStringParameters"] = {name: str(value) for name, value in query.items()}
    made["requestContext"]["http"]["method"] = method
    made["requestContext"]["requestId"] = f"request-{next(_requests)}"
    claims = made["requestContext"]["authorizer"]["jwt"]["claims"]
    claims["username"], claims["cognito:groups"] = name or role or "none", f"[{groups or role}]"
    claims["sub"] = sub or sub_of(claims["username"])
    if is_machine_client_name(role):
        scope = role.replace("client:", "jobyard/")
        claims |= {"sub": "nightly-id", "client_id": "nightly-id", "scope": scope}
        del claims["username"], claims["cognito:groups"]
    if role == "nobody":
        del made["requestContext"]["authorizer"], made["headers"]["authorization"]
    made.pop("body", None)
    if body is not None:
        made["body"] = body if isinstance(body, str) else json.dumps(body)
    made["headers"] |= headers or {}
    return made


@cache
def _recorded(name: str) -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return recorded


class Api:
    """The function at time `now`, which advances by a millisecond at each reading."""

    def __init__(self, handler: Callable[..., dict[str, Any]]) -> None:
        self._handler = handler
        self.now = NOW

    def tick(self) -> datetime:
        """The present time; each reading is later than the last."""
        self.now += timedelta(milliseconds=1)
        return self.now

    def send(self, sent: Mapping[str, Any]) -> Answer:
        """The answer to an event."""
        given = self._handler(sent, Lambda())
        headers = {name.lower(): value for name, value in given["headers"].items()}
        text = given["body"]
        if given["isBase64Encoded"]:
            text = gzip.decompress(base64.b64decode(text)).decode()
        answer = Answer(given["statusCode"], headers, text)
        _hold_against_the_document(sent, answer)
        return answer

    def request(self, method: str, path: str, **how: Any) -> Answer:
        """The answer to a request, as `event` makes it."""
        return self.send(event(method, path, **how))

    def get(self, path: str, **how: Any) -> Answer:
        """The answer to a GET."""
        return self.request("GET", path, **how)

    def post(self, path: str, body: Any, **how: Any) -> Answer:
        """The answer to a POST."""
        return self.request("POST", path, body=body, **how)


@cache
def described() -> dict[str, Any]:
    """The OpenAPI document."""
    return openapi_document(whole_app(), "/")


def templates_of(path: str) -> list[str]:
    """The path templates that `path` matches, the most specific first."""
    requested = path.split("/")
    matching = [
        template
        for template in described()["paths"]
        if len(parts := template.split("/")) == len(requested)
        and all(
            part.startswith("{") or part == given
            for part, given in zip(parts, requested, strict=True)
        )
    ]
    return sorted(matching, key=lambda template: template.count("{"))


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    """The operation of a request, None if there is none. `GET /campaigns/preview` asks for a
    campaign of that name: only `POST` has a path of its own."""
    paths = described()["paths"]
    operations = (paths[template].get(method.lower()) for template in templates_of(path))
    return next((found for found in operations if found), None)


def _hold_against_the_document(sent: Mapping[str, Any], answer: Answer) -> None:
    method, path = sent["requestContext"]["http"]["method"], sent["rawPath"]
    operation = operation_of(method, path)
    if operation is None and path.startswith("/api/docs/") and answer.status == 200:
        return  # a file of the documentation's page
    if operation is None:
        assert (answer.status, answer.kind) == (
            (405, "method-not-allowed") if templates_of(path) else (404, "not-found")
        )
        return
    responses = operation["responses"]
    assert str(answer.status) in responses, f"{operation['operationId']} names no {answer.status}"
    content = responses[str(answer.status)].get("content")
    if content is None:
        assert answer.text == ""
        return
    ((media_type, means),) = content.items()
    assert answer.headers["content-type"].partition(";")[0] == media_type
    if media_type.endswith("json"):
        schema = {**means["schema"], "components": described()["components"]}
        Draft202012Validator(schema).validate(answer.json)
    if media_type == "application/problem+json":
        assert answer.kind in responses[str(answer.status)]["description"]
