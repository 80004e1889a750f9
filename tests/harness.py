"""A whole Jobyard in one process: real services and store, the emulator's tables and buckets, a
web server for payloads, and a clock that only tests and Wait states move."""

import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from cli.local.mail import Mail
from jobyard.domain.batches.batch import ManifestSource
from jobyard.domain.batches.mail_event import MailEvent
from jobyard.domain.errors import NotFound
from jobyard.domain.quota import Quotas
from jobyard.jobtypes.http_client import HttpClient
from jobyard.services.batches.commands import send_batch_event
from jobyard.services.batches.intake import find_batch
from jobyard.services.batches.open_context import OpenContext
from jobyard.services.batches.settle import SettleContext
from jobyard.services.context import Account, Actor, CommandContext, QueryContext
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.datasets.export import export
from jobyard.services.datasets.load import load
from jobyard.services.edits.context import EditContext
from jobyard.services.executions import Executions
from jobyard.services.jobs.callbacks import CallbackTokens
from jobyard.services.jobs.commands import send_job_event
from jobyard.services.jobs.device_access import DeviceAccess
from jobyard.services.jobs.function_access import FunctionAccess
from jobyard.services.jobs.runner import CONCURRENT_JOBS
from jobyard.services.jobs.worker import Worker, no_maintenance
from jobyard.services.machines.edit import (
    EditStep,
    run_check,
    run_commit,
    run_give_up,
    run_prepare,
)
from jobyard.services.machines.edit_meter import run_metered, run_metered_load
from jobyard.services.machines.execute_chunk import run_execute_chunk
from jobyard.services.machines.execute_job import run_execute_job
from jobyard.services.machines.inputs import ChunkInput, ExecutionInput
from jobyard.services.machines.open import run_open
from jobyard.services.machines.report import run_report
from jobyard.services.machines.settle import run_settle
from jobyard.services.maintenance import Maintenance
from jobyard.services.meter import Meter
from jobyard.services.queries.batches import BatchView, batch
from jobyard.services.reports.context import SLICE_JOBS, ReportContext
from jobyard.services.reports.mail import deliver_waiting
from jobyard.services.reports.mail_events import record_mail_event
from jobyard.services.reports.outbox_tick import run_outbox_tick
from jobyard.services.scheduler_tick import TickContext, run_scheduler_tick
from jobyard.services.schedules.clock import ClockResult
from jobyard.services.settings import Settings
from jobyard.store import reports
from tests.call_interceptor import CallInterceptor
from tests.machines import Function, Machines
from tests.open_collections import make_collections
from tests.people import sub_of

ADMIN = Actor(sub_of("admin"), "admin", frozenset({"admin", "operator"}))
DEPOSITOR = Actor(sub_of("depositor"), "depositor", frozenset({"depositor"}))
_EMAILS = {each.name: f"{each.name}@example.org" for each in (ADMIN, DEPOSITOR)}
# The role of each function, by its logical id in template.yaml.
ROLES = {
    "OpenFunction": "IngestRole",
    "ExecuteChunkFunction": "ExecuteRole",
    "ExecuteJobFunction": "ExecuteRole",
    "SystemJobFunction": "SystemRole",
    "SettleFunction": "ReportRole",
    "ReportFunction": "ReportRole",
    "PrepareFunction": "EditRole",
    "CheckFunction": "EditRole",
    "CommitFunction": "EditRole",
    "LoadFunction": "EditRole",
}
FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:recognise"  # one that jobs may invoke
MEMORY_MB = 512  # of each function, for the bill; template.yaml has its own numbers
POLL_S = 0.01  # of the web server, between checks whether it is shut down
_requests = count(1)  # for all harnesses, so that no two requests share a key


def account_of(name: str) -> Account:
    """The account of that name; only two people have an e-mail address."""
    return Account(sub_of(name), name, _EMAILS.get(name, ""))


@dataclass
class Payloads:
    """A depositor's web server: files by path. A path may have a `status`, and a `retry_after` in
    seconds. Answers for a path in `held` wait for its event."""

    files: dict[str, bytes] = field(default_factory=dict)
    status: dict[str, int] = field(default_factory=dict)
    retry_after: dict[str, int] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    posted: list[Any] = field(default_factory=list)  # bodies of POST requests
    posted_raw: list[tuple[dict[str, str], bytes]] = field(default_factory=list)  # with headers
    held: dict[str, threading.Event] = field(default_factory=dict)
    url: str = ""


@contextmanager
def serving(port: int = 0) -> Iterator[Payloads]:
    """A web server on the loopback address; on a free port unless one is given."""
    payloads = Payloads()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            payloads.posted.append(json.loads(body))
            headers = {name.lower(): value for name, value in self.headers.items()}
            payloads.posted_raw.append((headers, body))
            payloads.files.setdefault(self.path, b"")
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            payloads.requests.append((self.command, self.path))
            if self.path in payloads.held:
                payloads.held[self.path].wait()
            body = payloads.files.get(self.path, b"")
            known = 200 if self.path in payloads.files else 404
            self.send_response(payloads.status.get(self.path, known))
            self.send_header("Content-Length", str(len(body)))
            if self.path in payloads.retry_after:
                self.send_header("Retry-After", str(payloads.retry_after[self.path]))
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    payloads.url = f"http://127.0.0.1:{server.server_address[1]}"
    # Every test shuts one down, and waits up to one poll interval for it.
    thread = threading.Thread(target=server.serve_forever, args=(POLL_S,), daemon=True)
    thread.start()
    try:
        yield payloads
    finally:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True)
class Clients:
    """The clients of a deployment, the interceptor of their calls, and their meter."""

    s3: Any
    ses: Any
    interceptor: CallInterceptor
    meter: Meter
    mails: Callable[[], list[Mail]]  # every mail sent, oldest first


class SecretsOfTest:
    """The secrets that a test has given the harness, as JSON by name."""

    def __init__(self, secrets: Mapping[str, Any]) -> None:
        self._secrets = secrets

    def get_secret_value(self, *, SecretId: str) -> Mapping[str, Any]:
        """The secret with that name."""
        if SecretId in self._secrets:
            return {"SecretString": json.dumps(self._secrets[SecretId])}
        error = {"Error": {"Code": "ResourceNotFoundException", "Message": SecretId}}
        raise ClientError(error, "GetSecretValue")  # type: ignore[arg-type]


class EventsOfTest:
    """EventBridge, which keeps the details of events in the harness."""

    def __init__(self, harness: "Harness") -> None:
        self._harness = harness

    def put_events(self, *, Entries: list[dict[str, str]]) -> dict[str, Any]:
        """Publish events."""
        with self._harness.interceptor.intercepted("events", "PutEvents", {"Entries": Entries}):
            if self._harness.refuses_events:
                refused = {"ErrorCode": "ThrottlingException", "ErrorMessage": "too many"}
                return {"FailedEntryCount": len(Entries), "Entries": [refused for _ in Entries]}
            self._harness.published += [json.loads(each["Detail"]) for each in Entries]
        return {"FailedEntryCount": 0, "Entries": [{} for _ in Entries]}


class FunctionsOfTest:
    """Lambda, with the functions that a test has given the harness."""

    def __init__(self, harness: "Harness") -> None:
        self._harness = harness

    def invoke(
        self, *, FunctionName: str, Payload: bytes, InvocationType: str = "RequestResponse"
    ) -> dict[str, Any]:
        """Invoke a function. One that raises an exception fails, as on Lambda."""
        request = {"FunctionName": FunctionName}
        with self._harness.interceptor.intercepted("lambda", "Invoke", request):
            try:
                answer = self._harness.batch_functions[FunctionName](json.loads(Payload))
            except ValueError as error:
                body = json.dumps({"errorMessage": str(error)}).encode()
                return {"FunctionError": "Unhandled", "Payload": io.BytesIO(body)}
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}


class Harness:
    """One deployment on the emulator. The names of its machines begin with `machines`."""

    def __init__(
        self,
        clients: Clients,
        payloads: Payloads,
        chunk_size: int = 2,
        machines: str = "",
    ) -> None:
        self.payloads = payloads
        self.mails = clients.mails
        self.s3, self.ses = clients.s3, clients.ses
        self.interceptor, self.meter = clients.interceptor, clients.meter
        self.at = datetime(2026, 11, 22, 12, tzinfo=UTC)
        self.settings = Settings(
            intake_bucket="intake",
            work_bucket="work",
            archive_bucket="archive",
            batch_machine=f"{machines}batch",
            job_machine=f"{machines}job",
            edit_machine=f"{machines}edit",
            system_machine=f"{machines}system",
            chunk_size=chunk_size,
            max_concurrency=4,
            max_workers=100,
            requests_per_host=2500,
            quotas=Quotas(1000, 10**12, 10_000, 1000, 1000),
            mail_from="jobyard@example.org",
            mail_to="operators@example.org",
            mail_bcc="",
            mail_domains=("example.org",),
            report_link_days=14,
            mail_configuration_set="jobyard",
            instance="scenario",
            url="http://jobyard.example.org",
            allowed_hosts=frozenset({payloads.url.removeprefix("http://")}),
            s3_sources=(),
            sweep_tables=(),
            call_functions=(FUNCTION,),
            call_secrets="jobyard/calls/",
            device_networks=(),
            user_pool="people",
            user_pool_client="pages",
            machine_clients={},
            mfa_roles=frozenset(),
            sign_in_url="https://sign-in.example.org",
            requests_table="test-requests",
            dead_letters="",
        )
        self.allow_hosts()
        functions = {
            "OpenFunction": self.open,
            "ExecuteChunkFunction": self.execute_chunk,
            "ExecuteJobFunction": self.execute_job,
            "SystemJobFunction": self.execute_system_job,
            "SettleFunction": self.settle,
            "ReportFunction": self.report,
            "PrepareFunction": self.prepare_edit,
            "CheckFunction": self.check_edit,
            "CommitFunction": self.commit_edit,
            "LoadFunction": self.load_dataset,
        }
        self.published: list[dict[str, Any]] = []  # the details of published events
        self.refuses_events = False
        self.secrets: dict[str, Any] = {}  # by name
        self.batch_functions: dict[str, Callable[[dict[str, Any]], Any]] = {}  # by name
        with_roles = {name: self._with_role(name, each) for name, each in functions.items()}
        self.machines = Machines(with_roles, self.s3, self.wait_until, self.now, self.interceptor)
        self.slice_jobs = SLICE_JOBS
        self._uploads = 0
        with self.interceptor.muted():
            make_collections()

    def allow_hosts(self) -> None:
        """Allow the private hosts that the settings list."""
        self.http = HttpClient(self.settings.allowed_hosts, now=self.now)

    def _with_role(self, name: str, function: Function) -> Function:
        def with_role(event: dict[str, Any]) -> dict[str, Any]:
            before, self.interceptor.role = self.interceptor.role, ROLES[name]
            try:
                return function(event)
            finally:
                self.interceptor.role = before

        return with_role

    # Time

    def now(self) -> datetime:
        """What the harness's clock shows."""
        return self.at

    def wait_until(self, at: datetime) -> None:
        """Move the clock to `at`, unless it is later already."""
        self.at = max(self.at, at)

    # Functions, as the handlers in functions/ call the services

    def open(self, event: dict[str, Any]) -> dict[str, Any]:
        """The Open state's function."""
        context = OpenContext(self.settings, self.s3, self.now, event["execution"])
        request = ExecutionInput.of(event["input"])
        return run_open(request, context, self.meter, MEMORY_MB).next_step.document()

    def worker(self) -> Worker:
        """A worker with ten minutes left."""
        return Worker(
            self.settings,
            self.s3,
            self.http,
            self.now,
            lambda: 600.0,
            no_maintenance,
            f"request-{next(_requests)}",
            DeviceAccess(self.http, lambda: SecretsOfTest(self.secrets), self.now),
            threads=ThreadPoolExecutor(CONCURRENT_JOBS),
            functions=FunctionAccess(self.settings.call_functions, lambda: FunctionsOfTest(self)),
            callbacks=CallbackTokens(lambda: f"secret-{next(_requests)}"),
            pause=self.advance,
        )

    def system_worker(self) -> Worker:
        """A worker of the system's own jobs."""
        return replace(self.worker(), maintenance=self.maintenance)

    def maintenance(self) -> Maintenance:
        """The context of the system's own jobs."""
        return Maintenance(self.settings, self.s3, self.machines, self.now)  # type: ignore[arg-type]

    def execute_chunk(self, event: dict[str, Any]) -> dict[str, Any]:
        """The Map child's function."""
        run_execute_chunk(ChunkInput.of(event), self.worker(), self.meter, MEMORY_MB)
        return {}

    def execute_job(self, event: dict[str, Any]) -> dict[str, Any]:
        """The job machine's function."""
        request = ExecutionInput.of(event)
        done = run_execute_job(request, self.worker(), self.meter, MEMORY_MB)
        return done.next_step.document()

    def execute_system_job(self, event: dict[str, Any]) -> dict[str, Any]:
        """The system machine's function."""
        request = ExecutionInput.of(event)
        done = run_execute_job(request, self.system_worker(), self.meter, MEMORY_MB)
        return done.next_step.document()

    def settle(self, event: dict[str, Any]) -> dict[str, Any]:
        """The Settle state's function."""
        context = SettleContext(self.settings, self.s3, self.now, self.executions)
        request = ExecutionInput.of(event)
        done = run_settle(request, "request-1", context, self.meter, MEMORY_MB)
        return done.next_step.document()

    def report_context(self) -> ReportContext:
        """The context of the Report state and of the outbox."""
        return ReportContext(
            self.settings,
            self.s3,
            self.ses,
            BotoCoreError,
            self.now,
            slice_jobs=self.slice_jobs,
            http=lambda: self.http,
        )

    def report(self, event: dict[str, Any]) -> dict[str, Any]:
        """The Report state's function."""
        request = ExecutionInput.of(event)
        done = run_report(request, self.report_context(), self.meter, MEMORY_MB)
        return done.next_step.document()

    def edit_context(self, step: EditStep) -> EditContext:
        """The context of a task of the edit machine."""
        return EditContext(
            self.settings,
            self.s3,
            EventsOfTest(self),
            FunctionsOfTest(self),
            self.http,
            self.executions,
            self.now,
            step.cause_key,
        )

    def prepare_edit(self, event: dict[str, Any]) -> dict[str, Any]:
        """The Prepare state's function."""
        step = EditStep.of(event)
        context = self.edit_context(step)
        return self._metered("prepare", step, lambda: run_prepare(step, context, lambda: 600.0))

    def check_edit(self, event: dict[str, Any]) -> dict[str, Any]:
        """The Check state's function."""
        step = EditStep.of(event)
        context = self.edit_context(step)
        return self._metered("check", step, lambda: run_check(step, context))

    def commit_edit(self, event: dict[str, Any]) -> dict[str, Any]:
        """The function of the Commit and GiveUp states."""
        step = EditStep.of(event.get("input", event))
        context = self.edit_context(step)
        if "execution" in event:
            execution = event["execution"]
            return self._metered("commit", step, lambda: run_give_up(step, execution, context))
        return self._metered("commit", step, lambda: run_commit(step, context))

    def _metered(self, part: str, step: EditStep, run: Callable[[], EditStep]) -> dict[str, Any]:
        return run_metered(part, step, run, self.meter, MEMORY_MB).step.document()

    def load_dataset(self, event: dict[str, Any]) -> dict[str, Any]:
        """The Load state's function."""
        task = {"load": load, "export": export}[event["task"]]
        context = DatasetContext(self.settings, self.s3, self.now)
        done, _ = run_metered_load(
            event["name"], lambda: task(event, context), self.meter, MEMORY_MB
        )
        return done

    def tick(self) -> ClockResult:
        """Run the functions of each minute: the outbox tick, then the scheduler tick.

        Returns what the scheduler tick did about schedules.
        """
        run_outbox_tick(self.report_context())
        machines: Any = self.machines
        context = TickContext(self.settings, self.s3, machines, self.now, lambda: 60.0)
        return run_scheduler_tick(context).schedules

    @property
    def executions(self) -> Executions:
        """How executions are started."""
        return Executions(self.settings, self.machines)  # type: ignore[arg-type]

    def receive_mail_event(self, event: dict[str, Any]) -> None:
        """The function that receives events of the mail service."""
        mail_event = MailEvent.of(event["detail"])
        assert mail_event
        record_mail_event(mail_event, self.now())

    # What a test does

    def drop(
        self,
        text: str,
        *,
        name: str = "may.checkm",
        collection: str = "maps",
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Drop a manifest into the intake bucket and run the machines. Returns the batch id."""
        event = self.upload(text, name=name, collection=collection, metadata=metadata)
        self._uploads += 1
        self.machines.run("batch", f"event-{self._uploads}", event)
        self.machines.run_all()
        return self.batch_id_of(event)

    def upload(
        self, text: str, *, name: str, collection: str, metadata: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Create the collection and upload a manifest. Returns the event that S3 would send."""
        with self.interceptor.muted():
            make_collections(collection)
        key = f"manifests/{collection}/{name}"
        answer = self.s3.put_object(
            Bucket="intake", Key=key, Body=text.encode(), Metadata=dict(metadata or {})
        )
        version = answer["VersionId"]
        found = {"key": key, "size": len(text.encode()), "version-id": version}
        return {"detail": {"bucket": {"name": "intake"}, "object": found}}

    def batch_id_of(self, event: dict[str, Any]) -> str:
        """The id of the batch that an event of S3 created.

        Raises:
            NotFound: there is no such batch yet.
        """
        source = source_of(event)
        found = find_batch(source, self.s3, self.now())
        if found is None:
            raise NotFound(f"no batch of {source.key}")
        return found.batch_id

    def context(
        self, person: Actor = ADMIN, key: str = "", reason: str = "because"
    ) -> CommandContext:
        """A request by `person`, with a new key unless one is given."""
        return CommandContext(
            self.settings,
            self.s3,
            self.machines,  # type: ignore[arg-type]
            self.now,
            person,
            key or f"request-{next(_requests)}",
            reason,
            account_of=account_of,
            signing_key=lambda: b"the key of cursors and links",
        )

    def send_batch_event(self, batch_id: str, event: str, **how: Any) -> None:
        """Send a batch an event and let the machines run."""
        send_batch_event(batch_id, event, self.context(**how))
        self.machines.run_all()

    def send_job_event(self, job_id: str, event: str, **how: Any) -> None:
        """Send a job an event and let the machines run."""
        send_job_event(job_id, event, self.context(**how))
        self.machines.run_all()

    def query_context(self, person: Actor = ADMIN) -> QueryContext:
        """A query by `person` at the present time."""
        return QueryContext(self.settings, self.s3, person, self.now())

    def batch(self, batch_id: str) -> BatchView:
        """The batch as an administrator sees it."""
        return batch(batch_id, self.query_context())

    def mails_of(self, batch_id: str) -> list[Mail]:
        """The mails that were sent about a batch, first to last."""
        return [each for each in self.mails() if batch_id in each.subject]

    def deliver_mail_after_15_minutes(self, batch_id: str) -> None:
        """Note accepted mails as sent, move the clock by 15 minutes, and send waiting mails."""
        accepted = [each.subject for each in self.mails_of(batch_id)]
        for written in reports.of_batch(batch_id):
            if written.delivery.state == "sending" and written.subject in accepted:
                sent = MailEvent(batch_id, written.seq, "Send", "from the event")
                record_mail_event(sent, self.now())
        self.advance(901)
        deliver_waiting(self.report_context())

    def advance(self, seconds: float) -> None:
        """Move the clock."""
        self.at += timedelta(seconds=seconds)


def source_of(event: dict[str, Any]) -> ManifestSource:
    """The object of an event of S3."""
    found = event["detail"]["object"]
    return ManifestSource(
        event["detail"]["bucket"]["name"], found["key"], found["version-id"], found["size"]
    )


def single_files(payloads: Payloads, files: Mapping[str, bytes]) -> str:
    """A single-file batch manifest of `files`, which are put on the web server."""
    lines = [
        "#%checkm_0.7",
        "#%profile | http://uc3.cdlib.org/registry/ingest/manifest/mrt-single-file-batch-manifest",
        "#%prefix | mrt: | http://merritt.cdlib.org/terms#",
        "#%prefix | nfo: | http://www.semanticdesktop.org/ontologies/2007/03/22/nfo#",
        "#%fields | nfo:fileUrl | nfo:hashAlgorithm | nfo:hashValue | nfo:fileSize"
        " | nfo:fileLastModified | nfo:fileName | mrt:primaryIdentifier | mrt:localIdentifier"
        " | mrt:creator | mrt:title | mrt:date",
    ]
    for name, content in files.items():
        payloads.files[f"/{name}"] = content
        digest = hashlib.sha256(content).hexdigest()
        lines.append(
            f"{payloads.url}/{name} | sha-256 | {digest} | {len(content)} | | {name}"
            f" | | | someone | {name} | 2026"
        )
    return "\n".join([*lines, "#%eof", ""])
