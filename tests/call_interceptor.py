"""Intercepts the calls of our clients to AWS: listeners see each call, and may answer it."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from weakref import WeakSet

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

_CONTEXT_KEY = "jobyard.call"  # in the context that botocore passes to handlers


@dataclass(frozen=True)
class Answer:
    """An answer that does not come from AWS: an HTTP status and the parsed body."""

    status: int
    parsed: dict[str, Any]

    @property
    def status_code(self) -> int:
        """The status, by botocore's name."""
        return self.status

    @classmethod
    def success(cls, parsed: dict[str, Any]) -> "Answer":
        """The answer to a successful call."""
        metadata = {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0}
        return cls(200, {**parsed, "ResponseMetadata": metadata})

    @classmethod
    def error(cls, status: int, code: str, message: str = "", **more: Any) -> "Answer":
        """An error of AWS."""
        metadata = {"HTTPStatusCode": status, "HTTPHeaders": {}, "RetryAttempts": 0}
        parsed = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}
        return cls(status, parsed | more)


@dataclass
class Call:
    """One call. Listeners may change its parameters in `prepare`, and keep `notes` on it.

    `refused` are statements of a batch, by index, with an error code. They are not sent; their
    answers have the code.
    """

    service: str
    operation: str
    parameters: dict[str, Any]
    refused: dict[int, str] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    def withhold(self) -> None:
        """Remove the refused statements."""
        if self.refused:
            statements = enumerate(self.parameters["Statements"])
            self.parameters["Statements"] = [
                each for place, each in statements if place not in self.refused
            ]

    def answer(self) -> "Answer | None":
        """The answer to a batch whose statements are all refused."""
        nothing_left = self.refused and not self.parameters["Statements"]
        return Answer.success({"Responses": []}) if nothing_left else None

    def put_back(self, parsed: dict[str, Any]) -> None:
        """Insert the refusals among the answers."""
        if self.refused and "Responses" in parsed:
            for place in sorted(self.refused):
                error = {"Error": {"Code": self.refused[place], "Message": ""}}
                parsed["Responses"].insert(place, error)


class Listener:
    """Gets every call, except those that it makes itself while it handles one."""

    def prepare(self, call: Call) -> None:
        """Before the request is built; the parameters may be changed."""

    def before(self, call: Call) -> Answer | None:
        """Before the call is sent; an answer returned here replaces it."""
        return None

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        """After the answer; what was parsed may be changed."""

    def before_send(self, operation: str, parameters: Mapping[str, Any]) -> str | None:
        """Before each try of a call to DynamoDB. An error code returned here replaces the try; the
        client decides whether to try again."""
        return None


class CallInterceptor:
    """Passes the calls of the attached clients to its listeners, in their order."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.role = ""  # the role's logical id in template.yaml; "" may do everything
        self._silent = threading.local()
        self._attached: WeakSet[Any] = WeakSet()

    @contextmanager
    def listening(self, *listeners: Listener) -> Iterator[None]:
        """Add `listeners`, after those that are there, for the block."""
        self.listeners += listeners
        try:
            yield
        finally:
            self.listeners = [each for each in self.listeners if each not in listeners]

    @contextmanager
    def muted(self) -> Iterator[None]:
        """No listener gets what this thread calls in the block."""
        before = getattr(self._silent, "on", False)
        self._silent.on = True
        try:
            yield
        finally:
            self._silent.on = before

    def attach(self, client: Any) -> None:
        """Intercept the calls of a boto3 client; a second time changes nothing."""
        if client in self._attached:
            return
        self._attached.add(client)
        events = client.meta.events
        events.register_last("provide-client-params.*", self._prepare)
        events.register_first("before-call.*", self._before)
        events.register_first("after-call.*", self._after)
        events.register_first("before-send.dynamodb.*", self._before_send)

    def _prepare(
        self, params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any
    ) -> dict[str, Any] | None:
        if getattr(self._silent, "on", False):
            return None
        call = Call(model.service_model.service_name, model.name, dict(params))
        context[_CONTEXT_KEY] = call
        for listener in self.listeners:
            listener.prepare(call)
        call.withhold()
        return call.parameters

    def _before(self, context: dict[str, Any], **_: Any) -> tuple[Answer, dict[str, Any]] | None:
        call = context.get(_CONTEXT_KEY)
        answer = self._answer(call) if call else None
        return (answer, answer.parsed) if answer else None

    def _answer(self, call: Call) -> Answer | None:
        for listener in self.listeners:
            answer = listener.before(call)
            if answer:
                return answer
        return call.answer()

    def _before_send(self, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        listeners = [each for each in self.listeners if _sees_tries(each)]
        if not listeners or getattr(self._silent, "on", False):
            return None
        operation, parameters = event_name.rpartition(".")[2], json.loads(request.body)
        for listener in listeners:
            code = listener.before_send(operation, parameters)
            if code:
                body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}"})
                return AWSResponse(request.url, 400, {}, _Raw(body.encode()))
        return None

    def _after(
        self, http_response: Any, parsed: dict[str, Any], context: dict[str, Any], **_: Any
    ) -> None:
        call = context.get(_CONTEXT_KEY)
        if not call:
            return
        call.put_back(parsed)
        for listener in self.listeners:
            listener.after(call, http_response.status_code, parsed)

    @contextmanager
    def intercepted(
        self, service: str, operation: str, parameters: Mapping[str, Any]
    ) -> Iterator[None]:
        """A call to something that is not a boto3 client; the block is what AWS does.

        Raises:
            ClientError: a listener refused it.
        """
        if getattr(self._silent, "on", False):
            yield
            return
        call = Call(service, operation, dict(parameters))
        for listener in self.listeners:
            listener.prepare(call)
        answer = self._answer(call)
        if answer:
            raise ClientError(answer.parsed, operation)
        yield
        for listener in self.listeners:
            listener.after(call, 200, {})


def _sees_tries(listener: Listener) -> bool:
    """Whether it has a `before_send` of its own. Few do, and each body is parsed for them."""
    return type(listener).before_send is not Listener.before_send


class _Raw(BytesIO):
    """A body as botocore reads it."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()
