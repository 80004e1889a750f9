"""Injects a fault into one call of a scenario, once."""

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from botocore.exceptions import ReadTimeoutError

from tests.call_interceptor import Answer, Call, Listener
from tests.machines import ExecutionAlreadyExists


class FunctionDied(Exception):
    """The function that made this call died."""


@dataclass(frozen=True)
class Point:
    """Identifies a call across runs: service, operation, target, number among equal calls."""

    service: str
    operation: str
    on: str
    number: int

    def __str__(self) -> str:
        return f"{self.service}.{self.operation} {self.on} #{self.number}"


@dataclass(frozen=True)
class Fault:
    """How a call fails: changes to its parameters, before it is sent, and after its answer.

    A caller does not notice an `unnoticed` fault, so no work is repeated after it.
    """

    name: str
    prepare: Callable[["Injector", Call], None] = lambda _injector, _call: None
    before: Callable[["Injector", Call], Answer | None] = lambda _injector, _call: None
    after: Callable[["Injector", Call, dict[str, Any]], None] = lambda _injector, _call, _parsed: (
        None
    )
    unnoticed: bool = False


@dataclass
class Injector(Listener):
    """Injects the faults of `plan`. A dead function makes no more calls.

    `send` makes a call that no listener sees. `names` has the names in this run, with the name that
    replaces each in a `Point`, so that points are equal across runs.
    """

    plan: Mapping[Point, Fault] = field(default_factory=dict)
    send: Callable[[Call], None] = lambda _call: None
    names: dict[str, str] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    injected: list[Point] = field(default_factory=list)
    dead: bool = False
    again: Callable[[], Any] = lambda: None  # repeats the present invocation
    is_invoked: bool = False  # else a state machine makes its calls by itself

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._watched = False
        self._ignored = threading.local()  # set in a thread whose calls are outside this run

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count the calls made inside, and inject into them."""
        before, self._watched = self._watched, True
        try:
            yield
        finally:
            self._watched = before

    @contextmanager
    def ignoring(self) -> Iterator[None]:
        """Neither count nor inject into what this thread calls inside."""
        self._ignored.now = True
        try:
            yield
        finally:
            self._ignored.now = False

    def _is_watching(self) -> bool:
        return self._watched and not getattr(self._ignored, "now", False)

    def invoke(
        self, _name: str, function: Callable[[dict[str, Any]], dict[str, Any]], event: Any
    ) -> dict[str, Any]:
        """Invoke a function, as Lambda does."""
        return self.trigger(lambda: function(event))  # type: ignore[no-any-return]

    def trigger(self, work: Callable[[], Any]) -> Any:
        """Do `work` as a function that lives until it ends or dies."""
        self.dead, self.again, self.is_invoked = False, work, True
        try:
            return work()
        finally:
            self.is_invoked = False

    def prepare(self, call: Call) -> None:
        if not self._is_watching():
            return
        self._die_if_dead()
        point = self._point(call)
        if point in self.plan:
            self.injected.append(point)
            call.notes["fault"] = self.plan[point]
            self.plan[point].prepare(self, call)

    def before(self, call: Call) -> Answer | None:
        if self._is_watching():
            self._die_if_dead()
        return call.notes["fault"].before(self, call) if "fault" in call.notes else None

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        if "fault" in call.notes:
            call.notes["fault"].after(self, call, parsed)

    def _die_if_dead(self) -> None:
        if self.dead:
            raise FunctionDied("the function is dead")

    def _point(self, call: Call) -> Point:
        on = _SHARD.sub("SHARD", _TIMESTAMP.sub("NOW", _target(call)))
        for name, meaning in self.names.items():
            on = on.replace(name, meaning)
        on = on[:80]
        with self._lock:
            kind = (call.service, call.operation, on)
            self._counts[kind] += 1
            point = Point(*kind, self._counts[kind])
            self.points.append(point)
        return point


_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
_SHARD = re.compile(r"shard \d+")  # follows from ids, which differ in each run


def _target(call: Call) -> str:
    """What a call is made on: a table, an object, an execution."""
    parameters = call.parameters
    match call.operation:
        case "BatchExecuteStatement":
            words = parameters["Statements"][0]["Statement"].split()
            return f"{words[0]} {words[1] if words[0] == 'UPDATE' else words[2]}"
        case "TransactWriteItems":
            return "+".join(next(iter(each.values()))["TableName"] for each in parameters[
                "TransactItems"
            ])  # fmt: skip
        case "BatchGetItem" | "BatchWriteItem":
            return "+".join(parameters["RequestItems"])
        case "SendEmail":
            return ""
    if "TableName" in parameters:
        return " ".join(
            filter(None, (parameters["TableName"], parameters.get("IndexName"), _key(parameters)))
        )
    if "Bucket" in parameters:
        return f"{parameters['Bucket']}/{parameters.get('Key', parameters.get('Prefix', ''))}"
    return str(parameters.get("name", ""))


def _key(parameters: dict[str, Any]) -> str:
    """The key of the one item an operation is on, if the parameters name it."""
    values = parameters.get("Key") or parameters.get("ExpressionAttributeValues") or {}
    return " ".join(str(next(iter(value.values()))) for value in values.values() if value)


# The faults

_THROTTLES = {
    "dynamodb": Answer.error(400, "ThrottlingException", "Rate of requests exceeds the limit"),
    "s3": Answer.error(503, "SlowDown", "Please reduce your request rate."),
    "sesv2": Answer.error(429, "TooManyRequestsException", "Maximum sending rate exceeded."),
    "stepfunctions": Answer.error(400, "ThrottlingException", "Rate exceeded"),
    "events": Answer.error(400, "ThrottlingException", "Rate exceeded"),
}
_FAILURES = {
    "dynamodb": Answer.error(500, "InternalServerError", "Internal server error"),
    "s3": Answer.error(500, "InternalError", "We encountered an internal error."),
    "sesv2": Answer.error(500, "InternalFailure", ""),
    "stepfunctions": Answer.error(500, "InternalFailure", ""),
    "events": Answer.error(500, "InternalFailure", ""),
}
_EXCEEDED = Answer.error(
    400, "ProvisionedThroughputExceededException", "The level of configured throughput is exceeded"
)


def _lose(_injector: Injector, call: Call, _parsed: dict[str, Any]) -> None:
    raise ReadTimeoutError(endpoint_url=f"https://{call.service}.example.org")


def _die(injector: Injector, call: Call, *_: Any) -> None:
    injector.dead = injector.is_invoked
    raise FunctionDied(f"{call.service}.{call.operation}")


def _twice(injector: Injector, _call: Call) -> None:
    with injector.ignoring():
        injector.again()


def _send_twice(injector: Injector, call: Call) -> None:
    if call.operation == "TransactWriteItems":
        call.parameters.setdefault("ClientRequestToken", str(uuid4()))
    injector.send(call)


def _started_already(_injector: Injector, call: Call) -> None:
    if call.operation == "StartExecution":
        raise ExecutionAlreadyExists(call.parameters["name"])  # it has also ended


def _refuse_first(code: str, *, applied: bool) -> Fault:
    """The first statement of a batch is answered with `code`, inside a 200."""

    def withhold(_injector: Injector, call: Call) -> None:
        call.refused[0] = code

    def rewrite(_injector: Injector, _call: Call, parsed: dict[str, Any]) -> None:
        parsed["Responses"][0] = {"Error": {"Code": code, "Message": ""}}

    if applied:
        return Fault(f"has a statement answered {code} and applied", after=rewrite, unnoticed=True)
    return Fault(
        f"has a statement answered {code} and not applied", prepare=withhold, unnoticed=True
    )


TWICE = Fault(
    "its function is invoked twice, and the other invocation ends right before it", prepare=_twice
)
_ANY_CALL = (
    Fault("fails before it is applied", before=lambda _injector, call: _FAILURES[call.service]),
    Fault("is applied and its answer lost", after=_lose),
    Fault("is throttled", before=lambda _injector, call: _THROTTLES[call.service]),
    Fault("is never made, because the function died", before=_die),
    Fault("is the last before the function dies", after=_die),
    TWICE,
)
RESENT = Fault(
    "is applied, its answer lost, and sent again by the client",
    prepare=_send_twice,
    before=_started_already,
    unnoticed=True,
)
# Operations that write, except SendEmail, whose client does not retry, and PutEvents, which sends
# its events at least once.
_WRITES = frozenset(
    {
        "BatchExecuteStatement",
        "BatchWriteItem",
        "CopyObject",
        "DeleteItem",
        "DeleteObject",
        "DeleteObjects",
        "PutItem",
        "PutObject",
        "StartExecution",
        "TransactWriteItems",
        "UpdateItem",
    }
)
_READ_PREFIXES = ("BatchGet", "Describe", "Get", "Head", "List", "Query", "Scan")
_TABLE_THROTTLED = Fault(
    "is refused by its table's throughput", before=lambda _injector, _call: _EXCEEDED
)
_STATEMENTS = (
    _refuse_first("ThrottlingError", applied=False),
    _refuse_first("InternalServerError", applied=False),
    _refuse_first("InternalServerError", applied=True),
)


def faults_of(point: Point) -> tuple[Fault, ...]:
    """The faults that AWS may show at a call."""
    faults = _ANY_CALL
    if point.operation in _WRITES:
        faults = (*faults, RESENT)
    else:
        assert point.operation.startswith((*_READ_PREFIXES, "SendEmail", "PutEvents")), point
    if point.service == "dynamodb":
        faults = (*faults, _TABLE_THROTTLED)
    if point.operation == "BatchExecuteStatement":
        faults = (*faults, *_STATEMENTS)
    return faults
