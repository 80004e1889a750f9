"""The story of a batch: three jobs, one fails, is requeued, and the report is told anew."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.exceptions import PynamoDBException

from jobyard.domain.errors import StaleState
from jobyard.domain.ids import batch_id_of_object
from jobyard.jobtypes.deposit.identity import mint
from jobyard.jobtypes.deposit.keys import content_key
from jobyard.services import asking
from jobyard.services.views import list_jobs
from jobyard.store import reports
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


@dataclass(frozen=True)
class Told:
    """What came of a telling, in names that are the same each time; and the calls it took."""

    end: Mapping[str, Any]
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
    ) -> Told:
        """Tell the story, the calls of `plan` struck in its ways.

        `invoke` invokes the functions of the machines, `wake` those of news, clock and requests, if
        they are to be woken in another way than usual.
        """
        telling = _Telling(self, Fate(plan or {}))
        return telling.told(invoke or telling.fate.invoke, wake or telling.fate.wake)

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
        self.heard = 0
        self.batch_id = ""

    def told(self, invoke: Callable[..., Any], wake: Callable[..., Any]) -> Told:
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
        with yard.wire.heard_by(self.post, fate):
            self.payloads.status = {"/c.txt": 404}
            with fate.watching():
                yard.machines.run("batch", f"event-{self.name}", event)
                self._let_be_told()
            between = self._jobs()
            self.payloads.status = {}
            for job in between:
                if job["state"] == "failed":
                    self._ask(asking.ask_job, job["job_id"], "requeue")
            self._ask(asking.ask_batch, self.batch_id, "update_reporting")
            self._let_be_told()
        end = self._look(between)
        self.stage.clear()
        return Told(end, tuple(fate.points), tuple(fate.struck))

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

    def _ask(self, ask: Callable[..., Any], of: str, event: str) -> None:
        request = self.yard.asking(key=f"{event} in a story")
        self._persist(lambda: ask(of, event, request))
        with self.fate.watching():
            self.yard.machines.run_all()

    def _let_be_told(self) -> None:
        """The mail service tells of what it took, and a quarter of an hour later the minute rule
        goes through what is left."""
        self._hear()
        self.yard.later(901)
        self._persist(self.yard.minute)
        with self.fate.watching():
            self.yard.machines.run_all()
        self._hear()

    def _hear(self) -> None:
        for mail in self.post.mails[self.heard :]:
            for news in ("Send", "Delivery"):
                event = {"detail": {"mail": mail, "eventType": news}}
                self._persist(lambda event=event: self.yard.hear(event))  # type: ignore[misc]
        self.heard = len(self.post.mails)

    # What came of it

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
        """The objects of this telling, by key: the bytes, and how many times they were written."""
        found: dict[str, tuple[bytes, int]] = {}
        answer = self.yard.s3.list_object_versions(Bucket=bucket)
        assert not answer["IsTruncated"]
        for version in answer.get("Versions", ()):
            key = version["Key"]
            times = found[key][1] if key in found else 0
            body = found[key][0] if key in found else self._body(bucket, key)
            found[key] = (body, times + 1)
        return found

    def _body(self, bucket: str, key: str) -> bytes:
        if bucket == "work" and not key.endswith(("jobs.csv", "outcomes")):
            return b""
        body: bytes = self.yard.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body


def _stays(key: str) -> bool:
    """Whether a key of the work bucket is there however often something had to be tried again."""
    return "/passes/" not in key


def _lasting(key: str, body: bytes) -> Any:
    """Of a file in the work bucket, what does not tell of tries and times."""
    if not key.endswith("jobs.csv"):
        return body.decode()
    kept = ("job_id", "line", "name", "state", "word", "failure_code", "failure_message")
    return [
        {name: row[name] for name in kept} for row in csv.DictReader(io.StringIO(body.decode()))
    ]


def _timeless(text: str) -> str:
    """The words of a mail without when it was and what it cost."""
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?", "TIME", text)
    return re.sub(r"(?m)^Cost: .*$", "Cost: COST", text)
