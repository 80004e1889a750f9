"""Settings from the environment, and the store bound to its tables.

No other module reads the environment.
"""

from collections.abc import Mapping
from typing import Any

import botocore
from botocore.config import Config

from jobyard.domain.quota import Quotas
from jobyard.services.settings import Settings
from jobyard.store import tables

# Retries and timeouts (in seconds) of all clients.
CLIENT_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 4}, connect_timeout=3, read_timeout=30
)
# mypy checks the parameters, and so do the clients of tests, so S3's need not.
S3_CLIENT_CONFIG = CLIENT_CONFIG.merge(Config(signature_version="s3v4", parameter_validation=False))

# Without it, botocore builds its user agent for each request: a sixth of the request's CPU time.
USER_AGENT = f"Jobyard Botocore/{botocore.__version__}"


def _comma_separated(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _id_and_name(text: str) -> tuple[str, str]:
    client, _, name = text.partition("=")
    return client, name


def wire(env: Mapping[str, str]) -> Settings:
    """Read `env`, bind the store's tables, return the settings.

    Raises:
        KeyError: a required variable is missing; the function must not start.
        ValueError: a table is missing, a source of payloads is one of the deployment's buckets, or
            a table that sweeps may change is one of its tables.
    """
    buckets = {env[f"JOBYARD_{noun}_BUCKET"] for noun in ("INTAKE", "WORK", "ARCHIVE")}
    s3_sources = _comma_separated(env["JOBYARD_S3_SOURCES"])
    for source in s3_sources:
        if source.split("/")[0] in buckets:
            raise ValueError(f"payloads may not come from our own bucket: {source}")
    names = dict(zip(tables.MODELS, env["JOBYARD_TABLES"].split(","), strict=True))
    sweep_tables = _comma_separated(env["JOBYARD_SWEEP_TABLES"])
    for table in sweep_tables:
        if table in names.values():
            raise ValueError(f"sweeps may not change our own table: {table}")
    limits = [int(each) for each in env["JOBYARD_LIMITS"].split(",")]
    max_workers, requests_per_host, open_batches, daily_gigabytes, daily_mails, *opens = limits
    machines = env["JOBYARD_MACHINES"]
    people, *machine_clients = _comma_separated(env["JOBYARD_CLIENTS"])
    user_pool, mfa = env["JOBYARD_USER_POOL"].split(",")
    tables.bind(names, region=env["AWS_REGION"])
    session().set_default_client_config(CLIENT_CONFIG.merge(Config(user_agent=USER_AGENT)))
    return Settings(
        intake_bucket=env["JOBYARD_INTAKE_BUCKET"],
        work_bucket=env["JOBYARD_WORK_BUCKET"],
        archive_bucket=env["JOBYARD_ARCHIVE_BUCKET"],
        batch_machine=machines.replace("*", "batch"),
        job_machine=machines.replace("*", "job"),
        edit_machine=machines.replace("*", "edit"),
        system_machine=machines.replace("*", "system"),
        chunk_size=int(env["JOBYARD_CHUNK_SIZE"]),
        max_concurrency=int(env["JOBYARD_MAX_CONCURRENCY"]),
        max_workers=max_workers,
        requests_per_host=requests_per_host,
        quotas=Quotas(open_batches, daily_gigabytes * 10**9, daily_mails, *opens),
        mail_from=env["JOBYARD_MAIL_FROM"],
        mail_to=env["JOBYARD_MAIL_TO"],
        mail_bcc=env["JOBYARD_MAIL_BCC"],
        mail_domains=_comma_separated(env["JOBYARD_MAIL_DOMAINS"].lower()),
        mail_configuration_set=env["JOBYARD_CONFIGURATION_SET"],
        report_link_days=int(env["JOBYARD_REPORT_LINK_DAYS"]),
        instance=env["JOBYARD_INSTANCE"],
        url=env["JOBYARD_STAGE_URL"].rstrip("/"),
        allowed_hosts=frozenset(_comma_separated(env["JOBYARD_ALLOWED_HOSTS"])),
        s3_sources=s3_sources,
        sweep_tables=sweep_tables,
        call_functions=_comma_separated(env["JOBYARD_CALL_FUNCTIONS"]),
        call_secrets=env["JOBYARD_CALL_SECRETS"],
        device_networks=_comma_separated(env["JOBYARD_DEVICE_NETWORKS"]),
        user_pool=user_pool,
        user_pool_client=people,
        machine_clients=dict(_id_and_name(each) for each in machine_clients),
        mfa_roles=frozenset({"admin"} if mfa == "admins" else ()),
        sign_in_url=env["JOBYARD_SIGN_IN_URL"].rstrip("/"),
        requests_table=names["requests"],
        dead_letters=env["JOBYARD_DEAD_LETTERS"],
    )


def session() -> Any:
    """The botocore session of the store's client; call `wire` first.

    Its clients share its credentials and its loaded service models. A boto3 session would load its
    own: 70 ms more at each cold start.
    """
    return tables.connection().session


def put_without_expect(s3: Any) -> Any:
    """Have the client `s3` send objects without "Expect: 100-continue". Returns the client.

    botocore sends this header with each PutObject and waits for a response first: one more round
    trip, which does not pay off for small objects. Parts of large objects keep the header.
    """
    s3.meta.events.register("request-created.s3.PutObject", _without_expect)
    return s3


def _without_expect(request: Any, **_: Any) -> None:
    del request.headers["Expect"]
