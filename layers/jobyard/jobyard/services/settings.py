"""The deployment a service works in, as `wiring` reads it. There are no defaults."""

from dataclasses import dataclass
from datetime import timedelta

UPLOAD_TIME = timedelta(minutes=15)  # how long an upload may begin; then its batch is gone
MANIFEST_BYTES = 512 * 1024 * 1024  # the largest manifest taken: some five million lines
MANIFEST_LINES = 8_000_000  # and the most lines: each takes up to 40 bytes of a worker's memory
SAME_MANIFEST = timedelta(hours=24)  # how long an equal manifest is worth a warning (DEC 1-12)


@dataclass(frozen=True)
class Settings:
    """The names and numbers of a deployment.

    `chunk_size` is in jobs; `max_concurrency` in chunks. `instance` is named in mail subjects, ""
    in production. `allowed_hosts` are `host:port`s that payloads may come from although they are
    private; `s3_sources` are `bucket/prefix`es that payloads may come from. `sweep_tables` are the
    tables that sweeps may change.
    """

    intake_bucket: str
    work_bucket: str
    archive_bucket: str
    batch_machine: str
    job_machine: str
    chunk_size: int
    max_concurrency: int
    mail_from: str
    mail_to: str
    mail_bcc: str
    mail_configuration_set: str
    instance: str
    url: str
    allowed_hosts: frozenset[str]
    s3_sources: tuple[str, ...]
    sweep_tables: tuple[str, ...]
    user_pool: str
    requests_table: str
