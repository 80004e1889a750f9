"""Environment in, settings out, store bound. The only place that knows a variable's name."""

from collections.abc import Mapping
from typing import Any

import botocore
from botocore.config import Config

from jobyard.services.settings import Settings
from jobyard.store import tables

# How often a client asks AWS, and how long it waits for an answer, in seconds.
CLIENT_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 4}, connect_timeout=3, read_timeout=30
)
# Parameters are checked by their types and, in tests, by clients that validate them.
S3_CLIENT_CONFIG = CLIENT_CONFIG.merge(Config(signature_version="s3v4", parameter_validation=False))

# botocore builds its own name anew for each request, a sixth of the request's CPU time.
USER_AGENT = f"Jobyard Botocore/{botocore.__version__}"


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _foreign(sources: tuple[str, ...], own: set[str]) -> tuple[str, ...]:
    for source in sources:
        if source.split("/")[0] in own:
            raise ValueError(f"payloads may not come from our own bucket: {source}")
    return sources


def _not_ours(listed: tuple[str, ...], own: set[str]) -> tuple[str, ...]:
    for table in listed:
        if table in own:
            raise ValueError(f"sweeps may not change our own table: {table}")
    return listed


def wire(env: Mapping[str, str]) -> Settings:
    """Read `env`, bind the store's tables, return the settings.

    Raises:
        KeyError: a required variable is missing; the function must not start.
        ValueError: a bucket of our own is listed as a source of payloads, or a table of our own
            as one that sweeps may change.
    """
    buckets = {env[f"JOBYARD_{noun}_BUCKET"] for noun in ("INTAKE", "WORK", "ARCHIVE")}
    names = {noun: env[f"JOBYARD_{noun.upper()}_TABLE"] for noun in tables.MODELS}
    tables.bind(names, region=env["AWS_REGION"])
    session().set_default_client_config(CLIENT_CONFIG.merge(Config(user_agent=USER_AGENT)))
    return Settings(
        intake_bucket=env["JOBYARD_INTAKE_BUCKET"],
        work_bucket=env["JOBYARD_WORK_BUCKET"],
        archive_bucket=env["JOBYARD_ARCHIVE_BUCKET"],
        batch_machine=env["JOBYARD_BATCH_MACHINE"],
        job_machine=env["JOBYARD_JOB_MACHINE"],
        chunk_size=int(env["JOBYARD_CHUNK_SIZE"]),
        max_concurrency=int(env["JOBYARD_MAX_CONCURRENCY"]),
        mail_from=env["JOBYARD_MAIL_FROM"],
        mail_to=env["JOBYARD_MAIL_TO"],
        mail_bcc=env["JOBYARD_MAIL_BCC"],
        mail_configuration_set=env["JOBYARD_MAIL_CONFIGURATION_SET"],
        instance=env["JOBYARD_INSTANCE"],
        url=env["JOBYARD_STAGE_URL"].rstrip("/"),
        allowed_hosts=frozenset(_listed(env["JOBYARD_ALLOWED_HOSTS"])),
        s3_sources=_foreign(_listed(env["JOBYARD_S3_SOURCES"]), buckets),
        sweep_tables=_not_ours(_listed(env["JOBYARD_SWEEP_TABLES"]), {*names.values()}),
        user_pool=env["JOBYARD_USER_POOL"],
        requests_table=env["JOBYARD_REQUESTS_TABLE"],
    )


def session() -> Any:
    """The botocore session that the store's client came from; `wire` comes first.

    Clients made of it share its credentials and what it has read of AWS. A session of boto3's
    brings its own, and 70 ms more to every cold start.
    """
    return tables.connection().session


def put_without_expect(s3: Any) -> Any:
    """Have the S3 client `s3` send objects at once, and return it.

    botocore sends "Expect: 100-continue" with each PutObject and waits for the answer: a round trip
    more, which a small object is not worth. Parts of large objects are sent as before.
    """
    s3.meta.events.register("request-created.s3.PutObject", _without_expect)
    return s3


def _without_expect(request: Any, **_: Any) -> None:
    del request.headers["Expect"]
