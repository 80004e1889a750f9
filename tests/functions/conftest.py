"""The handlers that machines and rules call, in a deployment on the in-process emulator."""

import importlib
import json
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from cli.local import clients
from jobyard.store import tables
from tests.functions.invocations import BUCKETS

BROKEN = {"StartAt": "Broken", "States": {"Broken": {"Type": "Fail"}}}
# Those without a meter first: each import binds the store, and the last one's meter counts.
HANDLERS = (
    "schedule.scheduler_tick",
    "schedule.execution_failure",
    "ingest.open",
    "edit.prepare",
    "edit.check",
    "edit.commit",
    "edit.load",
    "execute.chunk",
    "execute.job",
    "system.job",
    "report.settle",
    "report.report",
    "report.outbox_tick",
    "report.delivery",
)
PACKAGES = {name.split(".")[0] for name in HANDLERS}


@pytest.fixture(scope="session")
def environment(store_endpoint: str) -> dict[str, str]:
    """The environment of the handlers. Every execution of the machines in it fails at once."""
    s3, ses = clients.client("s3", store_endpoint), clients.client("sesv2", store_endpoint)
    for bucket in BUCKETS:
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    ses.create_email_identity(EmailIdentity="fn@example.org")
    machines = clients.client("stepfunctions", store_endpoint)
    made = [
        machines.create_state_machine(
            name=f"fn-{name}", definition=json.dumps(BROKEN), roleArn="arn:aws:iam::0:role/fn"
        )["stateMachineArn"]
        for name in ("batch", "edit", "job", "system")
    ]
    return {
        "AWS_REGION": clients.REGION,
        "AWS_DEFAULT_REGION": clients.REGION,
        "AWS_ENDPOINT_URL": store_endpoint,
        "JOBYARD_INTAKE_BUCKET": BUCKETS[0],
        "JOBYARD_WORK_BUCKET": BUCKETS[1],
        "JOBYARD_ARCHIVE_BUCKET": BUCKETS[2],
        "JOBYARD_MACHINES": made[0].removesuffix("batch") + "*",
        "JOBYARD_CHUNK_SIZE": "100",
        "JOBYARD_MAX_CONCURRENCY": "4",
        "JOBYARD_LIMITS": "100,1000,1000,1000,10000,1000,1000",
        "JOBYARD_MAIL_FROM": "fn@example.org",
        "JOBYARD_MAIL_TO": "ops@example.org",
        "JOBYARD_MAIL_BCC": "",
        "JOBYARD_MAIL_DOMAINS": "example.org",
        "JOBYARD_REPORT_LINK_DAYS": "14",
        "JOBYARD_CONFIGURATION_SET": "fn",
        "JOBYARD_INSTANCE": "fn",
        "JOBYARD_DEAD_LETTERS": "https://sqs.us-east-1.amazonaws.com/0/letters",
        "JOBYARD_STAGE_URL": "http://fn.example.org/",
        "JOBYARD_ALLOWED_HOSTS": "",
        "JOBYARD_S3_SOURCES": "",
        "JOBYARD_SWEEP_TABLES": "",
        "JOBYARD_CALL_FUNCTIONS": "",
        "JOBYARD_CALL_SECRETS": "jobyard/calls/",
        "JOBYARD_DEVICE_NETWORKS": "",
        "JOBYARD_USER_POOL": "people,false",
        "JOBYARD_CLIENTS": "pages",
        "JOBYARD_SIGN_IN_URL": "https://sign-in.example.org",
        "POWERTOOLS_SERVICE_NAME": "jobyard",
        "JOBYARD_TABLES": ",".join(f"test-{noun}" for noun in tables.MODELS),
    }


@pytest.fixture(scope="module")
def functions(store_endpoint: str, environment: dict[str, str]) -> Iterator[dict[str, ModuleType]]:
    """The handlers' modules, imported again for each file of tests, as Lambda does at a start."""
    for name in [name for name in sys.modules if name.split(".")[0] in PACKAGES]:
        del sys.modules[name]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield {name: importlib.import_module(name) for name in HANDLERS}
    same = {noun: f"test-{noun}" for noun in tables.MODELS}
    tables.bind(same, region=clients.REGION, host=store_endpoint)
