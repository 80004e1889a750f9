"""A local stack for a benchmark, with the noop job type, and functions that run batches on it."""

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.project import with_call_log, with_noop
from cli.local import clients, demo_collections, demo_users, deployment, emulator, mail
from cli.local.emulator import Emulator
from cli.local.stack import Stack
from jobyard.domain.ids import batch_id_of_object
from jobyard.domain.manifests.entry import Entry
from jobyard.domain.manifests.profiles import SINGLE_FILE_BATCH
from jobyard.domain.manifests.writer import manifest as written

COLLECTION = "bench"
POLL_S = 0.05  # between polls for the end; one takes about a millisecond of the emulator
TIMEOUT_S = 300.0


class BatchFailed(Exception):
    """A batch did not complete with one mail. The message has its state."""


@dataclass(frozen=True)
class LocalStack:
    """A running stack. `tables` has the table names by logical id. Jobs may fetch files from
    `files_port`."""

    emulator: Emulator
    stack: Stack
    tables: Mapping[str, str]
    files_port: int

    def client(self, service: str) -> Any:
        """A boto3 client of the emulator's root."""
        return clients.client(service, self.emulator.endpoint)


@contextmanager
def local_stack(
    *, iam: bool = False, call_log: Path | None = None, build: Path | None = None
) -> Iterator[LocalStack]:
    """Start an emulator on a free port, deploy the project with noop, and stop it at the end.

    Nothing is persisted. With `iam`, the roles of the template are enforced. The scheduler's
    functions log their calls to `call_log`. `build` is a folder with built layers.
    """
    home = Path(tempfile.mkdtemp(prefix="jobyard-bench-"))
    files_port = emulator.free_port()
    try:
        project = with_noop(home / "project")
        if call_log:
            with_call_log(project, "schedule", call_log)
        started = emulator.start(home, emulator.free_port(), iam=iam, persist=False)
        try:
            stack = deployment.deploy(
                started.endpoint,
                deployment.parameters(started, files_port),
                build=build or home / "build",
                root=project,
            )
            cognito = clients.client("cognito-idp", started.endpoint)
            demo_users.ensure(cognito, stack.user_pool)
            demo_collections.ensure(cognito, stack, [COLLECTION])
            resources = clients.client("cloudformation", started.endpoint).describe_stack_resources(
                StackName=stack.name
            )["StackResources"]
            tables = {
                row["LogicalResourceId"]: row["PhysicalResourceId"]
                for row in resources
                if row["ResourceType"] == "AWS::DynamoDB::Table"
            }
            yield LocalStack(started, stack, tables, files_port)
        finally:
            emulator.stop(home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def manifest(jobs: int) -> bytes:
    """A manifest of `jobs` single files, which noop does not fetch."""
    entries = (
        Entry(line, "file", f"https://files.example.org/bench/{line}.txt", f"{line}.txt")
        for line in range(1, jobs + 1)
    )
    return b"".join(written(entries, SINGLE_FILE_BATCH))


@dataclass(frozen=True)
class Sent:
    """An uploaded manifest. `at` and `uploaded_at` are time.time() before and after the upload."""

    batch_id: str
    at: float
    uploaded_at: float


def send(local: LocalStack, body: bytes, name: str, job_type: str = "noop") -> Sent:
    """Drop a manifest in the intake bucket."""
    s3, bucket, key = (
        local.client("s3"),
        local.stack.intake_bucket,
        f"manifests/{COLLECTION}/{name}",
    )
    at = time.time()
    answer = s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"job-type": job_type})
    return Sent(batch_id_of_object(bucket, key, answer["VersionId"]), at, time.time())


def reported_at(local: LocalStack, sent: Sent, jobs: int) -> float:
    """Wait until a batch has completed. Returns time.time() at that moment.

    Raises:
        BatchFailed: it did not complete, its counts are wrong, or its mails are not exactly one.
    """
    dynamodb, key = local.client("dynamodb"), {"batch_id": {"S": sent.batch_id}}
    state, deadline = "", time.time() + TIMEOUT_S
    while state not in {"completed", "failed"}:
        time.sleep(POLL_S)
        item = dynamodb.get_item(TableName=local.tables["BatchesTable"], Key=key).get("Item")
        state = item["state"]["S"] if item else ""
        if time.time() > deadline:
            raise BatchFailed(
                f"batch {sent.batch_id} is {state or 'not there'} after {TIMEOUT_S} s"
            )
    seen = time.time()
    mails = [each for each in mail.sent(local.emulator.endpoint) if sent.batch_id in each.subject]
    if state != "completed" or len(mails) != 1 or f"{jobs} completed" not in mails[0].text:
        raise BatchFailed(f"batch {sent.batch_id} is {state} and has {len(mails)} mails")
    return seen
