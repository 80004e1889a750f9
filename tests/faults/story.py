"""Stories of a batch of three jobs, of which one fails at first; the report is told anew.

In the one that is `mended` the failed job is requeued by itself. The one that is `steered` is held
while it runs and let go; all its failed jobs are retried, which the machine is not told of until
the minute rule finds it.
"""

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.exceptions import PynamoDBException

from jobyard.domain.errors import StaleState
from jobyard.domain.ids import batch_id_of_object
from jobyard.domain.job import JobState
from jobyard.domain.operation import Filter
from jobyard.jobtypes.deposit.identity import mint
from jobyard.jobtypes.deposit.keys import content_key
from jobyard.services import asking, holding
from jobyard.services.asking import Asking
from jobyard.services.views import list_jobs
from jobyard.store import reports, tables
from tests.faults.striking import Died, Fate, Point, Way
from tests.walk.yard import Payloads, Yard, single_files
from tests.wire import Call, Listener

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
FILES = ("a.txt", "b.txt", "c.txt")
# What becomes of a request when AWS fails it, and makes its sender repeat it.
FAILED = (Died, ClientError, BotoCoreError, PynamoDBException, StaleState)
_tellings = count(1)


@dataclass
class Post(Listener):
    """Every mail the mail service took, whatever it answered."""

    mails: list[dict[str, Any]] = field(default_factory=list)

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        if call.operation == "SendEmail" and status < 300:
            tags = {tag["Name"]: [tag["Value"]] for tag in call.parameters["EmailTags"]}
            words = call.parameters["Content"]["Simple"]
            text = words["Body"]["Text"]["Data"]
            told = {"subject": words["Subject"]["Data"], "text": text, "tags": tags}
            self.mails.append({**told, "messageId": f"m-{len(self.mails)}"})


class Unsaid(Exception):
    """The state machines were not told, and whoever was to tell them does not try again."""


@dataclass
class Silence(Listener):
    """While it is `on`, no execution can be started."""

    on: bool = False

    def asked(self, call: Call) -> None:
        if self.on and call.operation == "StartExecution":
            raise Unsaid(call.parameters["name"])


@dataclass(frozen=True)
class Told:
    """What came of a telling, in names that are the same each time; and the calls it took.

    `histories` are the events of each job; a telling in which work was done again has more.
    """

    end: Mapping[str, Any]
    histories: tuple[tuple[str, ...], ...]
    points: tuple[Point, ...]
    struck: tuple[Point, ...]


@dataclass
class Stage:
    """Where stories are told, one after the other, each from noon on and in its own collection."""

    yard: Yard
    payloads: Payloads
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
        telling = _Telling(self, Fate(plan or {}, send=self.send))
        fate = telling.fate
        return telling.told(STORIES[story], invoke or fate.invoke, wake or fate.wake)

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


class _Telling:
    def __init__(self, stage: Stage, fate: Fate) -> None:
        self.stage, self.yard, self.payloads = stage, stage.yard, stage.payloads
        self.fate = fate
        self.wake: Callable[..., Any] = fate.wake
        self.name = f"telling-{next(_tellings):05d}"
        self.post = Post()
        self.silence = Silence()
        self.heard = 0
        self.asked = 0
        self.batch_id = ""

    def told(
        self,
        story: "Callable[[_Telling], list[dict[str, Any]]]",
        invoke: Callable[..., Any],
        wake: Callable[..., Any],
    ) -> Told:
        """Tell it from the manifest to the last mail."""
        yard, fate = self.yard, self.fate
        yard.at = NOON
        yard.machines.invoke, self.wake = invoke, wake
        contents = {name: f"{name} of {self.name}".encode() for name in FILES}
        manifest = single_files(self.payloads, contents)
        event = yard.put(manifest, name="may.checkm", collection=self.name)
        self.stage.event = event
        source = event["detail"]["object"]
        self.batch_id = batch_id_of_object("intake", source["key"], source["version-id"])
        fate.names = self._names(contents, manifest)
        with yard.wire.heard_by(self.post, self.silence, fate):
            self.payloads.status = {"/c.txt": 404}
            between = story(self)
            self._ask(lambda asked: asking.ask_batch(self.batch_id, "update_reporting", asked))
            self._let_be_told()
        told = Told(self._look(between), self._histories(), tuple(fate.points), tuple(fate.struck))
        self.stage.clear()
        return told

    def mended(self) -> list[dict[str, Any]]:
        """A job fails and is requeued; the jobs as they were when the batch had failed."""
        with self.fate.watching():
            self.yard.machines.run("batch", f"event-{self.name}", self.stage.event)
            self._let_be_told()
        between = self._jobs()
        self.payloads.status = {}
        for job in between:
            if job["state"] == "failed":
                self._ask(lambda asked, of=job["job_id"]: asking.ask_job(of, "requeue", asked))
        return between

    def steered(self) -> list[dict[str, Any]]:
        """The second chunk is held and let go, and fails; its retry is begun by the minute rule."""
        self._hold_before_the_second_chunk()
        with self.fate.watching():
            self.yard.machines.run("batch", f"event-{self.name}", self.stage.event)
        self._ask(lambda asked: holding.lift(f"collection:{self.name}", asked))
        self._let_be_told()
        between = self._jobs()
        self.payloads.status = {}
        self.silence.on = True
        self._ask(self._retry_and_be_gone)
        self.silence.on = False
        self.yard.later(61)
        self._wake_minute()
        return between

    def _hold_before_the_second_chunk(self) -> None:
        machines = self.yard.machines
        plainly = machines.invoke
        request = self.yard.asking(key="hold in a story")

        def invoke(name: str, function: Callable[..., Any], handed: Any) -> Any:
            if name == "ExecuteChunkFunction" and handed["chunk"] == 1:
                machines.invoke = plainly
                self._persist(lambda: holding.place(f"collection:{self.name}", None, request))
            return plainly(name, function, handed)

        machines.invoke = invoke

    def _retry_and_be_gone(self, asked: Asking) -> None:
        with suppress(Unsaid):
            asking.retry(self.batch_id, Filter(JobState.FAILED), asked)

    def _names(self, contents: Mapping[str, bytes], manifest: str) -> dict[str, str]:
        names = {self.batch_id: "BATCH", self.name: "TELLING"}
        for number, (name, content) in enumerate(contents.items()):
            ark = mint(f"{self.batch_id}.{number // 2}.{number % 2}")
            names[ark.rpartition("/")[2]] = f"ARK-OF-{name}"
            digest = hashlib.sha256(content).hexdigest()
            names[content_key(digest)] = f"CONTENT-OF-{name}"
            names[digest] = f"DIGEST-OF-{name}"
        of_manifest = f"{self.name}#{hashlib.sha256(manifest.encode()).hexdigest()}"
        names = {of_manifest: "MANIFEST", **names}
        return names

    def _named(self, text: str) -> str:
        for name, meaning in self.fate.names.items():
            text = text.replace(name, meaning)
        return text

    # What happens

    def _persist(self, work: Callable[[], Any]) -> None:
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

    def _ask(self, ask: Callable[[Asking], Any]) -> None:
        self.asked += 1
        request = self.yard.asking(key=f"request {self.asked} of a story")
        self._persist(lambda: ask(request))
        with self.fate.watching():
            self.yard.machines.run_all()

    def _wake_minute(self) -> None:
        self._persist(self.yard.minute)
        with self.fate.watching():
            self.yard.machines.run_all()

    def _let_be_told(self) -> None:
        """The mail service tells of what it took, and a quarter of an hour later the minute rule
        goes through what is left."""
        self._hear()
        self.yard.later(901)
        self._wake_minute()
        self._hear()

    def _hear(self) -> None:
        for mail in self.post.mails[self.heard :]:
            for news in ("Send", "Delivery"):
                event = {"detail": {"mail": mail, "eventType": news}}
                self._persist(lambda event=event: self.yard.hear(event))  # type: ignore[misc]
        self.heard = len(self.post.mails)

    # What came of it

    def _histories(self) -> tuple[tuple[str, ...], ...]:
        page = list_jobs(self.batch_id, self.yard.looking(), state="", after=(0, 0), limit=50)
        return tuple(tuple(each.event for each in view.job.history) for view in page.items)

    def _jobs(self) -> list[dict[str, Any]]:
        page = list_jobs(self.batch_id, self.yard.looking(), state="", after=(0, 0), limit=50)
        return [
            {
                "job_id": view.job.place.job_id,
                "state": view.job.state.value,
                "code": view.job.failure_code,
                "requeues": view.job.requeues,
                "data": {k: v for k, v in view.job.data.items() if k != "manifest"},
                "manifest": view.job.data.get("manifest"),
            }
            for view in page.items
        ]

    def _look(self, between: list[dict[str, Any]]) -> dict[str, Any]:
        view = self.yard.batch(self.batch_id)
        jobs = self._jobs()
        archive = self._objects("archive")
        work = self._objects("work")
        manifests = {hashlib.sha256(each[0]).hexdigest() for each in archive.values()}
        end = {
            "batch": view.batch.state.value,
            "message": view.batch.message,
            "counts": {name: number for name, number in view.counts.items() if number},
            "between": [{**job, "manifest": job["manifest"] is not None} for job in between],
            "jobs": [{**job, "manifest": job["manifest"] in manifests} for job in jobs],
            "mails": [(mail["subject"], _timeless(mail["text"])) for mail in self.post.mails],
            "reports": [
                (each.seq, each.kind.value, each.delivery.state.value, dict(each.counts))
                for each in reports.of_batch(self.batch_id)
            ],
            "archive": {key: (body.decode(), times) for key, (body, times) in archive.items()},
            "work": {key: _lasting(key, body) for key, (body, _) in work.items() if _stays(key)},
        }
        return json.loads(self._named(json.dumps(end)))  # type: ignore[no-any-return]

    def _objects(self, bucket: str) -> dict[str, tuple[bytes, int]]:
        """The objects of this telling, by key: the bytes, and how many times they were written.

        Of those that were cleared away since there are no bytes.
        """
        s3 = self.yard.s3
        there = {each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", ())}
        answer = s3.list_object_versions(Bucket=bucket)
        assert not answer["IsTruncated"]
        times = Counter(version["Key"] for version in answer.get("Versions", ()))
        return {
            key: (
                s3.get_object(Bucket=bucket, Key=key)["Body"].read() if key in there else b"",
                number,
            )
            for key, number in times.items()
        }


STORIES: Mapping[str, Callable[[_Telling], list[dict[str, Any]]]] = {
    "mended": _Telling.mended,
    "steered": _Telling.steered,
}
# What a report says of tries, times and prices; a result is compared as its job's data.
_PASSING = frozenset({"attempts", "ended_at", "result", "cost"})


def _stays(key: str) -> bool:
    """Whether a key of the work bucket is there however often something had to be tried again.

    A job of the first chunk that has to be meets the hold, and so the operation that lets it go.
    """
    of_first_chunk = key.startswith("operations/") and key.endswith("/00000000.jsonl")
    return "/passes/" not in key and not of_first_chunk


def _lasting(key: str, body: bytes) -> Any:
    """Of a file in the work bucket, what does not tell of tries and times."""
    text = body.decode()
    if key.endswith(".csv"):
        return [_untried(row) for row in csv.DictReader(io.StringIO(text))]
    if key.endswith("report.json"):
        told = json.loads(text)
        return _untried(told) | {"jobs": [_untried(job) for job in told["jobs"]]}
    return _timeless(text)


def _untried(document: Mapping[str, Any]) -> dict[str, Any]:
    """What was told of a job or a batch, without how often it was tried, when, at what price."""
    return {name: value for name, value in document.items() if name not in _PASSING}


def _timeless(text: str) -> str:
    """The words of a mail or a page without when it was and what it cost."""
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?", "TIME", text)
    text = re.sub(r"(?m)^Cost: .*$", "Cost: COST", text)
    return re.sub(r"<td>Cost</td><td>.*?</td>", "<td>Cost</td><td>COST</td>", text)
