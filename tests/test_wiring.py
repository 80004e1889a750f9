"""The environment: a missing or forbidden value stops a function before it starts."""

from io import BytesIO
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from urllib3 import HTTPResponse

from jobyard.store import tables
from jobyard.wiring import USER_AGENT, put_without_expect, session, wire

ENVIRONMENT = {
    "AWS_REGION": "us-east-1",
    "JOBYARD_TABLES": ",".join(tables.MODELS),
    "JOBYARD_INTAKE_BUCKET": "intake",
    "JOBYARD_WORK_BUCKET": "work",
    "JOBYARD_ARCHIVE_BUCKET": "archive",
    "JOBYARD_MACHINES": "arn:aws:states:eu-west-1:123456789012:stateMachine:stack-*:live",
    "JOBYARD_CHUNK_SIZE": "100",
    "JOBYARD_MAX_CONCURRENCY": "40",
    "JOBYARD_LIMITS": "100,1000,1000,1000,10000,1000,1000",
    "JOBYARD_MAIL_FROM": "jobyard@example.org",
    "JOBYARD_MAIL_TO": "operators@example.org",
    "JOBYARD_MAIL_BCC": "",
    "JOBYARD_MAIL_DOMAINS": "Example.org,example.edu",
    "JOBYARD_REPORT_LINK_DAYS": "14",
    "JOBYARD_CONFIGURATION_SET": "set",
    "JOBYARD_INSTANCE": "",
    "JOBYARD_DEAD_LETTERS": "https://sqs.us-east-1.amazonaws.com/0/letters",
    "JOBYARD_STAGE_URL": "https://example.org/",
    "JOBYARD_ALLOWED_HOSTS": "127.0.0.1:4915, files.example.org:8080",
    "JOBYARD_S3_SOURCES": "theirs/outgoing",
    "JOBYARD_SWEEP_TABLES": "voters, of-others",
    "JOBYARD_CALL_FUNCTIONS": "arn:1, arn:2",
    "JOBYARD_CALL_SECRETS": "jobyard/calls/",
    "JOBYARD_DEVICE_NETWORKS": "10.1.0.0/16, fd00::/8",
    "JOBYARD_USER_POOL": "pool,admins",
    "JOBYARD_CLIENTS": "client,abc123=nightly",
    "JOBYARD_SIGN_IN_URL": "https://sign-in.example.org/",
}


@pytest.fixture(autouse=True)
def _unbound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the binding: other tests share the tables' models."""
    for model in tables.MODELS.values():
        for name in ("table_name", "region", "host"):
            monkeypatch.setattr(model.Meta, name, getattr(model.Meta, name, None), raising=False)
        monkeypatch.setattr(model, "_connection", model._connection)


def test_settings_are_read_and_lists_are_split() -> None:
    settings = wire(ENVIRONMENT)

    assert settings.allowed_hosts == {"127.0.0.1:4915", "files.example.org:8080"}
    assert settings.s3_sources == ("theirs/outgoing",)
    assert settings.mail_domains == ("example.org", "example.edu")
    assert settings.sweep_tables == ("voters", "of-others")
    assert settings.call_functions == ("arn:1", "arn:2")
    assert settings.batch_machine.endswith(":stateMachine:stack-batch:live")
    assert settings.stack == "stack"
    assert settings.url == "https://example.org"
    assert settings.machine_clients == {"abc123": "nightly"}
    assert (settings.user_pool, settings.mfa_roles) == ("pool", {"admin"})
    assert settings.sign_in_url == "https://sign-in.example.org"


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_a_missing_variable_stops_the_function(name: str) -> None:
    with pytest.raises(KeyError, match=name):
        wire({key: value for key, value in ENVIRONMENT.items() if key != name})


def test_a_function_does_not_start_without_all_of_its_tables() -> None:
    with pytest.raises(ValueError, match="shorter"):
        wire(ENVIRONMENT | {"JOBYARD_TABLES": ",".join([*tables.MODELS][1:])})


@pytest.mark.parametrize("source", ["intake", "work/staging", "archive/content"])
def test_our_own_buckets_are_no_source_of_payloads(source: str) -> None:
    with pytest.raises(ValueError, match="our own bucket"):
        wire(ENVIRONMENT | {"JOBYARD_S3_SOURCES": f"theirs/x,{source}"})


@pytest.mark.parametrize("noun", tables.MODELS)
def test_sweeps_may_not_change_our_own_tables(noun: str) -> None:
    with pytest.raises(ValueError, match="our own table"):
        wire(ENVIRONMENT | {"JOBYARD_SWEEP_TABLES": f"voters,{noun}"})


def test_clients_have_one_name_that_is_not_built_for_each_request() -> None:
    wire(ENVIRONMENT)

    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    made = session().create_client("s3", region_name="us-east-1", **keys)

    assert made.meta.config.user_agent == USER_AGENT


def test_only_a_part_waits_for_100_continue() -> None:
    wire(ENVIRONMENT)
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    s3 = put_without_expect(session().create_client("s3", region_name="us-east-1", **keys))
    sent: dict[str, bool] = {}

    def note(request: Any, event_name: str, **_: Any) -> AWSResponse:
        sent[event_name.rpartition(".")[2]] = "Expect" in request.headers
        return AWSResponse(request.url, 200, {}, HTTPResponse(BytesIO(), preload_content=False))

    s3.meta.events.register("before-send.s3", note)
    s3.put_object(Bucket="b", Key="k", Body=b"content")
    s3.upload_part(Bucket="b", Key="k", UploadId="u", PartNumber=1, Body=b"content")

    assert sent == {"PutObject": False, "UploadPart": True}
