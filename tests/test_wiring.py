"""The environment: what is missing or forbidden stops a function before it starts."""

import pytest

from jobyard.store import tables
from jobyard.wiring import wire

ENVIRONMENT = {
    "AWS_REGION": "us-east-1",
    **{f"JOBYARD_{noun.upper()}_TABLE": noun for noun in tables.MODELS},
    "JOBYARD_INTAKE_BUCKET": "intake",
    "JOBYARD_WORK_BUCKET": "work",
    "JOBYARD_ARCHIVE_BUCKET": "archive",
    "JOBYARD_BATCH_MACHINE": "batch",
    "JOBYARD_JOB_MACHINE": "job",
    "JOBYARD_CHUNK_SIZE": "100",
    "JOBYARD_MAX_CONCURRENCY": "40",
    "JOBYARD_MAIL_FROM": "jobyard@example.org",
    "JOBYARD_MAIL_TO": "operators@example.org",
    "JOBYARD_MAIL_BCC": "",
    "JOBYARD_MAIL_CONFIGURATION_SET": "set",
    "JOBYARD_INSTANCE": "",
    "JOBYARD_STAGE_URL": "https://example.org/",
    "JOBYARD_ALLOWED_HOSTS": "127.0.0.1:4915, files.example.org:8080",
    "JOBYARD_S3_SOURCES": "theirs/outgoing",
    "JOBYARD_SWEEP_TABLES": "voters, of-others",
    "JOBYARD_USER_POOL": "pool",
}


@pytest.fixture(autouse=True)
def _unbound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is bound for real: other tests share the tables' models."""
    for model in tables.MODELS.values():
        for name in ("table_name", "region", "host"):
            monkeypatch.setattr(model.Meta, name, getattr(model.Meta, name, None), raising=False)
        monkeypatch.setattr(model, "_connection", model._connection)


def test_lists_are_split_and_the_url_has_no_end_slash() -> None:
    settings = wire(ENVIRONMENT)

    assert settings.allowed_hosts == {"127.0.0.1:4915", "files.example.org:8080"}
    assert settings.s3_sources == ("theirs/outgoing",)
    assert settings.sweep_tables == ("voters", "of-others")
    assert settings.url == "https://example.org"


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_a_missing_variable_stops_the_function(name: str) -> None:
    with pytest.raises(KeyError, match=name):
        wire({key: value for key, value in ENVIRONMENT.items() if key != name})


@pytest.mark.parametrize("source", ["intake", "work/staging", "archive/content"])
def test_our_own_buckets_are_no_source_of_payloads(source: str) -> None:
    with pytest.raises(ValueError, match="our own bucket"):
        wire(ENVIRONMENT | {"JOBYARD_S3_SOURCES": f"theirs/x,{source}"})


@pytest.mark.parametrize("noun", tables.MODELS)
def test_sweeps_may_not_change_our_own_tables(noun: str) -> None:
    with pytest.raises(ValueError, match="our own table"):
        wire(ENVIRONMENT | {"JOBYARD_SWEEP_TABLES": f"voters,{noun}"})
