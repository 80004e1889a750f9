"""Scenarios of a batch of three jobs, of which one fails at first; the report is told anew.

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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from jobyard.domain.batches.operation import Filter
from jobyard.domain.ids import batch_id_of_object
from jobyard.domain.jobs.job import JobState
from jobyard.jobtypes.deposit.identity import mint
from jobyard.jobtypes.deposit.keys import content_key
from jobyard.services import holds as hold_commands
from jobyard.services.batches import operations as batch_operations
from jobyard.services.batches.commands import send_batch_event
from jobyard.services.context import CommandContext
from jobyard.services.jobs.commands import send_job_event
from jobyard.services.queries.jobs import list_jobs
from jobyard.store import operations, reports
from tests.call_interceptor import Call, Listener
from tests.faults.scenario import ScenarioRun
from tests.harness import Harness, single_files

FILES = ("a.txt", "b.txt", "c.txt")


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


@dataclass
class BatchScenario:
    """A story of a batch: what `happens` until its report is asked for anew, and that."""

    scenario_run: ScenarioRun
    happens: "Callable[[BatchScenario], None]"
    post: Post = field(default_factory=Post)
    muted: Silence = field(default_factory=Silence)
    event: dict[str, Any] = field(default_factory=dict)
    between: list[dict[str, Any]] = field(default_factory=list)  # the jobs when it had failed
    heard: int = 0
    batch_id: str = ""

    @property
    def harness(self) -> Harness:
        """The deployment it runs on."""
        return self.scenario_run.harness

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Who hears every call."""
        return self.post, self.muted

    @contextmanager
    def begun(self) -> Iterator[Mapping[str, str]]:
        """The manifest is in its bucket."""
        contents = {name: f"{name} of {self.scenario_run.name}".encode() for name in FILES}
        manifest = single_files(self.scenario_run.runner.payloads, contents)
        self.event = self.harness.put(
            manifest, name="may.checkm", collection=self.scenario_run.name
        )
        self.scenario_run.runner.event = self.event
        source = self.event["detail"]["object"]
        self.batch_id = batch_id_of_object("intake", source["key"], source["version-id"])
        yield self._names(contents, manifest)

    def _names(self, contents: Mapping[str, bytes], manifest: str) -> dict[str, str]:
        names = {self.batch_id: "BATCH", self.scenario_run.name: "TELLING"}
        for number, (name, content) in enumerate(contents.items()):
            ark = mint(f"{self.batch_id}.{number // 2}.{number % 2}")
            names[ark.rpartition("/")[2]] = f"ARK-OF-{name}"
            digest = hashlib.sha256(content).hexdigest()
            names[content_key(digest)] = f"CONTENT-OF-{name}"
            names[digest] = f"DIGEST-OF-{name}"
        of_manifest = f"{self.scenario_run.name}#{hashlib.sha256(manifest.encode()).hexdigest()}"
        names = {of_manifest: "MANIFEST", **names}
        return names

    def happen(self) -> None:
        """Tell it from the manifest to the last mail."""
        self.scenario_run.runner.payloads.status = {"/c.txt": 404}
        self.happens(self)
        self.scenario_run.ask(
            lambda asked: send_batch_event(self.batch_id, "update_reporting", asked)
        )
        self._let_be_told()

    def _let_be_told(self) -> None:
        """The mail service tells of what it took, and a quarter of an hour later the minute rule
        goes through what is left."""
        self._hear()
        self.harness.later(901)
        self.scenario_run.wake_minute(self.harness.minute)
        self._hear()

    def _hear(self) -> None:
        for mail in self.post.mails[self.heard :]:
            for news in ("Send", "Delivery"):
                event = {"detail": {"mail": mail, "eventType": news}}
                self.scenario_run.persist(lambda event=event: self.harness.hear(event))  # type: ignore[misc]
        self.heard = len(self.post.mails)

    # What happens

    def mended(self) -> None:
        """A job fails and is requeued."""
        with self.scenario_run.injector.watching():
            self.harness.machines.run("batch", f"event-{self.scenario_run.name}", self.event)
            self._let_be_told()
        self.between = self._jobs()
        self.scenario_run.runner.payloads.status = {}
        for job in self.between:
            if job["state"] == "failed":
                self.scenario_run.ask(
                    lambda asked, of=job["job_id"]: send_job_event(of, "requeue", asked)
                )

    def steered(self) -> None:
        """The second chunk is held and let go, and fails; its retry is begun by the minute rule."""
        self._hold_before_the_second_chunk()
        with self.scenario_run.injector.watching():
            self.harness.machines.run("batch", f"event-{self.scenario_run.name}", self.event)
        self.scenario_run.ask(
            lambda asked: hold_commands.lift_hold(f"collection:{self.scenario_run.name}", asked)
        )
        self._let_be_told()
        self.between = self._jobs()
        self.scenario_run.runner.payloads.status = {}
        self.muted.on = True
        self.scenario_run.ask(self._retry_and_be_gone)
        self.muted.on = False
        self.harness.later(61)
        self.scenario_run.wake_minute(self.harness.minute)

    def _hold_before_the_second_chunk(self) -> None:
        machines = self.harness.machines
        plainly = machines.invoke
        request = self.harness.context(key="hold in a story")

        def invoke(name: str, function: Callable[..., Any], handed: Any) -> Any:
            if name == "ExecuteChunkFunction" and handed["chunk"] == 1:
                machines.invoke = plainly
                self.scenario_run.persist(
                    lambda: hold_commands.place_hold(
                        f"collection:{self.scenario_run.name}", None, request
                    )
                )
            return plainly(name, function, handed)

        machines.invoke = invoke

    def _retry_and_be_gone(self, asked: CommandContext) -> None:
        with suppress(Unsaid):
            batch_operations.retry(self.batch_id, Filter(JobState.FAILED), asked)

    # What came of it

    def histories(self) -> tuple[tuple[str, ...], ...]:
        page = list_jobs(
            self.batch_id, self.harness.query_context(), state="", after=(0, 0), limit=50
        )
        return tuple(tuple(each.event for each in view.job.history) for view in page.items)

    def _jobs(self) -> list[dict[str, Any]]:
        page = list_jobs(
            self.batch_id, self.harness.query_context(), state="", after=(0, 0), limit=50
        )
        return [
            {
                "job_id": view.job.address.job_id,
                "state": view.job.state.value,
                "code": view.job.failure_code,
                "requeues": view.job.requeue_count,
                "data": {k: v for k, v in view.job.data.items() if k != "manifest"},
                "manifest": view.job.data.get("manifest"),
            }
            for view in page.items
        ]

    def end(self) -> dict[str, Any]:
        """What is there when all is told."""
        view = self.harness.batch(self.batch_id)
        jobs = self._jobs()
        archive = self._objects("archive")
        work = self._objects("work")
        manifests = {hashlib.sha256(each[0]).hexdigest() for each in archive.values()}
        return {
            "batch": view.batch.state.value,
            "message": view.batch.failure_message,
            "counts": {name: number for name, number in view.counts.items() if number},
            "between": [{**job, "manifest": job["manifest"] is not None} for job in self.between],
            "jobs": [{**job, "manifest": job["manifest"] in manifests} for job in jobs],
            "mails": [(mail["subject"], _timeless(mail["text"])) for mail in self.post.mails],
            "reports": [
                (each.seq, each.kind.value, each.delivery.state.value, dict(each.counts))
                for each in reports.of_batch(self.batch_id)
            ],
            "archive": {key: (body.decode(), times) for key, (body, times) in archive.items()},
            "work": {
                self._plain(key): _lasting(key, body)
                for key, (body, _) in work.items()
                if _stays(key)
            },
        }

    def _plain(self, key: str) -> str:
        """A key of the work bucket; a lift's operation is named by its hold, which is another in
        each telling."""
        for operation in operations.of_batch(self.batch_id):
            if operation.event == "release":
                key = key.replace(operation.operation_id, "LIFT")
        return key

    def _objects(self, bucket: str) -> dict[str, tuple[bytes, int]]:
        """The objects of this telling, by key: the bytes, and how many times they were written.

        Of those that were cleared away since there are no bytes.
        """
        s3 = self.harness.s3
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

    @staticmethod
    def expect(end: Mapping[str, Any]) -> None:
        """It failed, was mended, and was told of twice."""
        assert end["batch"] == "completed"
        assert [subject for subject, _ in end["mails"]] == [
            "Jobyard [scenario]: FAIL -- Submission processed: BATCH",
            "Jobyard [scenario]: OK -- Submission processed: BATCH (update)",
        ]
        assert {times for _, times in end["archive"].values()} == {1}


# What a report says of tries, times and prices; a result is compared as its job's data.
_PASSING = frozenset({"attempt_count", "ended_at", "result", "cost"})


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
