"""Scenarios of a batch of three jobs, one of which fails at first; the batch is reported twice.

In `requeued` a person requeues the failed job. In `held_and_retried` the batch is held while it
runs, and released; all failed jobs are retried, and a scheduler tick has to start their execution.
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
class MailRecorder(Listener):
    """Every mail that the mail service accepted, whatever it answered."""

    mails: list[dict[str, Any]] = field(default_factory=list)

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        if call.operation == "SendEmail" and status < 300:
            tags = {tag["Name"]: [tag["Value"]] for tag in call.parameters["EmailTags"]}
            content = call.parameters["Content"]["Simple"]
            text = content["Body"]["Text"]["Data"]
            mail = {"subject": content["Subject"]["Data"], "text": text, "tags": tags}
            self.mails.append({**mail, "messageId": f"m-{len(self.mails)}"})


class StartRefused(Exception):
    """No execution was started, and the client does not try again."""


@dataclass
class StartRefusal(Listener):
    """While it is `on`, no execution can be started."""

    on: bool = False

    def prepare(self, call: Call) -> None:
        if self.on and call.operation == "StartExecution":
            raise StartRefused(call.parameters["name"])


@dataclass
class BatchScenario:
    """A scenario of a batch: `events` until its report is updated."""

    scenario_run: ScenarioRun
    events: "Callable[[BatchScenario], None]"
    mail_recorder: MailRecorder = field(default_factory=MailRecorder)
    start_refusal: StartRefusal = field(default_factory=StartRefusal)
    event: dict[str, Any] = field(default_factory=dict)
    jobs_at_failure: list[dict[str, Any]] = field(default_factory=list)
    delivered_count: int = 0
    batch_id: str = ""

    @property
    def harness(self) -> Harness:
        """The deployment it runs on."""
        return self.scenario_run.harness

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """The recorder of mails and the refusal of starts."""
        return self.mail_recorder, self.start_refusal

    @contextmanager
    def prepared(self) -> Iterator[Mapping[str, str]]:
        """The manifest is in its bucket."""
        contents = {name: f"{name} of {self.scenario_run.name}".encode() for name in FILES}
        manifest = single_files(self.scenario_run.runner.payloads, contents)
        self.event = self.harness.upload(
            manifest, name="may.checkm", collection=self.scenario_run.name
        )
        self.scenario_run.runner.event = self.event
        source = self.event["detail"]["object"]
        self.batch_id = batch_id_of_object("intake", source["key"], source["version-id"])
        yield self._names(contents, manifest)

    def _names(self, contents: Mapping[str, bytes], manifest: str) -> dict[str, str]:
        names = {self.batch_id: "BATCH", self.scenario_run.name: "RUN"}
        names[self.scenario_run.runner.payloads.url] = "http://PAYLOADS"
        for number, (name, content) in enumerate(contents.items()):
            ark = mint(f"{self.batch_id}.{number // 2}.{number % 2}")
            names[ark.rpartition("/")[2]] = f"ARK-OF-{name}"
            digest = hashlib.sha256(content).hexdigest()
            names[content_key(digest)] = f"CONTENT-OF-{name}"
            names[digest] = f"DIGEST-OF-{name}"
        of_manifest = f"{self.scenario_run.name}#{hashlib.sha256(manifest.encode()).hexdigest()}"
        names = {of_manifest: "MANIFEST", **names}
        return names

    def play(self) -> None:
        """From the manifest to the last mail."""
        self.scenario_run.runner.payloads.status = {"/c.txt": 404}
        self.events(self)
        self.scenario_run.send_request(
            lambda request: send_batch_event(self.batch_id, "update_reporting", request)
        )
        self._deliver_reports()

    def _deliver_reports(self) -> None:
        """Deliver the mail service's events, and run a tick 15 minutes later for what is left."""
        self._deliver()
        self.harness.advance(901)
        self.scenario_run.run_tick(self.harness.tick)
        self._deliver()

    def _deliver(self) -> None:
        for mail in self.mail_recorder.mails[self.delivered_count :]:
            for event_type in ("Send", "Delivery"):
                event = {"detail": {"mail": mail, "eventType": event_type}}
                self.scenario_run.until_it_succeeds(
                    lambda event=event: self.harness.receive_mail_event(event)
                )  # type: ignore[misc]
        self.delivered_count = len(self.mail_recorder.mails)

    # Events

    def requeued(self) -> None:
        """A job fails and is requeued."""
        with self.scenario_run.injector.watching():
            self.harness.machines.run("batch", f"event-{self.scenario_run.name}", self.event)
            self._deliver_reports()
        self.jobs_at_failure = self._jobs()
        self.scenario_run.runner.payloads.status = {}
        for job in self.jobs_at_failure:
            if job["state"] == "failed":
                self.scenario_run.send_request(
                    lambda request, job_id=job["job_id"]: send_job_event(job_id, "requeue", request)
                )

    def held_and_retried(self) -> None:
        """The second chunk is held, released, and fails; a scheduler tick starts its retry."""
        self._hold_before_the_second_chunk()
        with self.scenario_run.injector.watching():
            self.harness.machines.run("batch", f"event-{self.scenario_run.name}", self.event)
        self.scenario_run.send_request(
            lambda request: hold_commands.lift_hold(f"collection:{self.scenario_run.name}", request)
        )
        self._deliver_reports()
        self.jobs_at_failure = self._jobs()
        self.scenario_run.runner.payloads.status = {}
        self.start_refusal.on = True
        self.scenario_run.send_request(self._retry_without_start)
        self.start_refusal.on = False
        self.harness.advance(61)
        self.scenario_run.run_tick(self.harness.tick)

    def _hold_before_the_second_chunk(self) -> None:
        machines = self.harness.machines
        invoke_once = machines.invoke
        request = self.harness.context(key="hold in a scenario")

        def invoke(name: str, function: Callable[..., Any], event: Any) -> Any:
            if name == "ExecuteChunkFunction" and event["line"]["chunk"] == 1:
                machines.invoke = invoke_once
                self.scenario_run.until_it_succeeds(
                    lambda: hold_commands.place_hold(
                        f"collection:{self.scenario_run.name}", None, request
                    )
                )
            return invoke_once(name, function, event)

        machines.invoke = invoke

    def _retry_without_start(self, request: CommandContext) -> None:
        with suppress(StartRefused):
            batch_operations.change_jobs(self.batch_id, "requeue", Filter(JobState.FAILED), request)

    # The result

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
        """What the tables, buckets and mails contain in the end."""
        view = self.harness.batch(self.batch_id)
        jobs = self._jobs()
        archive = self._objects("archive")
        work = self._objects("work")
        manifests = {hashlib.sha256(each[0]).hexdigest() for each in archive.values()}
        return {
            "batch": view.batch.state.value,
            "message": view.batch.failure_message,
            "counts": {name: number for name, number in view.counts.items() if number},
            "jobs_at_failure": [
                {**job, "manifest": job["manifest"] is not None} for job in self.jobs_at_failure
            ],
            "jobs": [{**job, "manifest": job["manifest"] in manifests} for job in jobs],
            "mails": [
                (mail["subject"], _without_times(mail["text"])) for mail in self.mail_recorder.mails
            ],
            "reports": [
                (each.seq, each.kind.value, each.delivery.state.value, dict(each.counts))
                for each in reports.of_batch(self.batch_id)
            ],
            "archive": {key: (body.decode(), times) for key, (body, times) in archive.items()},
            "work": {
                self._plain(key): _comparable(key, body)
                for key, (body, _) in work.items()
                if _is_stable(key)
            },
        }

    def _plain(self, key: str) -> str:
        """A key of the work bucket; a lift's operation is named by its hold, which differs
        in each run."""
        for operation in operations.of_batch(self.batch_id):
            if operation.event == "release":
                key = key.replace(operation.operation_id, "LIFT")
        return key

    def _objects(self, bucket: str) -> dict[str, tuple[bytes, int]]:
        """The objects of this run, by key: the bytes, and how many times they were written.

        Removed objects have no bytes.
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
        """It failed, was repaired, and was reported twice."""
        assert end["batch"] == "completed"
        assert [subject for subject, _ in end["mails"]] == [
            "Jobyard [scenario]: FAIL -- Submission processed: BATCH",
            "Jobyard [scenario]: OK -- Submission processed: BATCH (update)",
        ]
        assert {times for _, times in end["archive"].values()} == {1}


# Fields of a report that may differ; a result is compared as its job's data.
_VARIABLE_FIELDS = frozenset({"attempt_count", "ended_at", "result", "cost"})


def _is_stable(key: str) -> bool:
    """Whether a key of the work bucket exists however often something was tried again.

    A repeated job of the first chunk is held, and so part of the operation that releases it.
    """
    of_first_chunk = key.startswith("operations/") and key.endswith("/00000000.jsonl")
    return "/passes/" not in key and not of_first_chunk


def _comparable(key: str, body: bytes) -> Any:
    """A file of the work bucket without tries and times."""
    text = body.decode()
    if key.endswith(".csv"):
        return [_without_tries(row) for row in csv.DictReader(io.StringIO(text))]
    if key.endswith("report.json"):
        report = json.loads(text)
        return _without_tries(report) | {"jobs": [_without_tries(job) for job in report["jobs"]]}
    return _without_times(text)


def _without_tries(document: Mapping[str, Any]) -> dict[str, Any]:
    """A report's entry about a job or a batch without tries, times and cost."""
    return {name: value for name, value in document.items() if name not in _VARIABLE_FIELDS}


def _without_times(text: str) -> str:
    """The text of a mail or a page without times and cost; links end at a time too."""
    text = re.sub(r"/report-files/[\w-]+", "/report-files/LINK", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?", "TIME", text)
    text = re.sub(r"(?m)^Cost: .*$", "Cost: COST", text)
    return re.sub(r"<td>Cost</td><td>.*?</td>", "<td>Cost</td><td>COST</td>", text)
