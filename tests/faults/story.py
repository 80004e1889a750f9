"""Where a story is told, call by call, and how its functions are woken when calls go wrong."""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, Protocol

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.exceptions import PynamoDBException

from jobyard.domain.errors import StaleState
from jobyard.services.commands import CommandContext
from jobyard.store import tables
from tests.faults.striking import Died, Fate, Point, Way
from tests.walk.yard import Payloads, Yard
from tests.wire import Call, Listener

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
# What becomes of a request when AWS fails it, and makes its sender repeat it.
FAILED = (Died, ClientError, BotoCoreError, PynamoDBException, StaleState)
_tellings = count(1)


@dataclass(frozen=True)
class Told:
    """What came of a telling, in names that are the same each time; and the calls it took.

    `histories` are the events of each job, and of the schedule if there is one; a telling in which
    work was done again has more.
    """

    end: Mapping[str, Any]
    histories: tuple[tuple[str, ...], ...]
    points: tuple[Point, ...]
    struck: tuple[Point, ...]


class Story(Protocol):
    """What is told: it begins with something there, then things happen, and it comes to an end."""

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Who hears every call beside the fate that strikes it, and first."""

    def begun(self) -> AbstractContextManager[Mapping[str, str]]:
        """What it is about is there; the names of this telling, and what they mean."""

    def happen(self) -> None:
        """Tell it, from the first call that may be struck to the last."""

    def end(self) -> Any:
        """What came of it, in JSON."""

    def histories(self) -> tuple[tuple[str, ...], ...]:
        """The events of each job, and of what else has a history of the machine's doing."""

    @staticmethod
    def expect(end: Mapping[str, Any]) -> None:
        """Assert what has to be true of the end of a telling in which no call was struck."""


@dataclass
class Stage:
    """Where stories are told, one after the other, each from noon on and about something new."""

    yard: Yard
    payloads: Payloads
    stories: Mapping[str, "Callable[[Telling], Story]"]
    event: dict[str, Any] = field(default_factory=dict)

    def tell(
        self,
        plan: Mapping[Point, Way] | None = None,
        invoke: Callable[..., Any] | None = None,
        wake: Callable[..., Any] | None = None,
        story: str = "mended",
    ) -> Told:
        """Tell a story, the calls of `plan` struck in its ways.

        `invoke` invokes the functions of the machines, `wake` those of news, clock and requests, if
        they are to be woken in another way than usual.
        """
        fate = Fate(plan or {}, send=self.send)
        telling = Telling(self, fate, wake or fate.wake)
        self.yard.at = NOON
        self.yard.machines.invoke = invoke or fate.invoke
        return telling.told(self.stories[story](telling))

    def send(self, call: Call) -> None:
        """Make a call that nobody hears of."""
        clients = {"s3": self.yard.s3, "dynamodb": tables.client()}
        client = clients.get(call.service, self.yard.machines)
        asked = dict(call.parameters)
        body = asked.get("Body")
        if hasattr(body, "read"):
            asked["Body"] = body.read()
            body.seek(0)
        with self.yard.wire.silence():
            getattr(client, xform_name(call.operation))(**asked)

    def clear(self) -> None:
        """Leave the buckets empty for the next telling."""
        s3 = self.yard.s3
        for bucket in ("archive", "work"):
            for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                gone = [
                    {"Key": each["Key"], "VersionId": each["VersionId"]}
                    for kind in ("Versions", "DeleteMarkers")
                    for each in page.get(kind, ())
                ]
                if gone:
                    s3.delete_objects(Bucket=bucket, Delete={"Objects": gone, "Quiet": True})

    def execute_again(self, fate: Fate) -> None:
        """Run a second execution for the event of the telling at work."""
        invoke, self.yard.machines.invoke = self.yard.machines.invoke, _plainly
        again = fate.again
        try:
            self.yard.machines.run("batch", "the-second", self.event)
        finally:
            self.yard.machines.invoke, fate.again = invoke, again


def _plainly(_name: str, function: Callable[[Any], Any], handed: Any) -> Any:
    return function(handed)


@dataclass
class Telling:
    """One telling of a story, and how its functions are woken."""

    stage: Stage
    fate: Fate
    wake: Callable[..., Any]
    name: str = field(default_factory=lambda: f"telling-{next(_tellings):05d}")
    asked: int = 0

    @property
    def yard(self) -> Yard:
        """Where it is told."""
        return self.stage.yard

    def told(self, story: Story) -> Told:
        """Tell the story, and look what came of it."""
        fate = self.fate
        with story.begun() as names:
            fate.names = dict(names)
            with self.yard.wire.heard_by(*story.listeners, fate):
                story.happen()
            end = json.loads(self._named(json.dumps(story.end())))
            told = Told(end, story.histories(), tuple(fate.points), tuple(fate.struck))
        if not told.struck:
            story.expect(end)
        self.stage.clear()
        return told

    def _named(self, text: str) -> str:
        for name, meaning in self.fate.names.items():
            text = text.replace(name, meaning)
        return text

    def persist(self, work: Callable[[], Any]) -> None:
        """Wake a function until it ends well: a client repeats its request, the clock comes again,
        an event is delivered again."""
        for _ in range(4):
            try:
                with self.fate.watching():
                    self.wake(work)
            except FAILED:
                continue
            return
        raise AssertionError("four tries were not enough")

    def run_all(self) -> None:
        """Run every execution that was started."""
        with self.fate.watching():
            self.yard.machines.run_all()

    def ask(self, ask: Callable[[CommandContext], Any], key: str = "") -> None:
        """A person asks, until it is answered; then the machines run."""
        self.asked += 1
        request = self.yard.asking(key=key or f"request {self.asked} of a story")
        self.persist(lambda: ask(request))
        self.run_all()

    def wake_minute(self, minute: Callable[[], Any]) -> None:
        """The clock's function does its work; then the machines run."""
        self.persist(minute)
        self.run_all()
