"""The settings of a deployment, which `wiring` reads. They have no defaults."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from jobyard.domain.quota import Quotas

UPLOAD_TIME = timedelta(minutes=15)  # from the submission; an upload may begin until then
MANIFEST_BYTES = 512 * 1024 * 1024  # of the largest manifest: some five million lines
MANIFEST_LINES = 8_000_000  # of the longest manifest: each takes up to 40 bytes of memory
SAME_MANIFEST = timedelta(hours=24)  # how long the same content counts as a duplicate


def unqualified(machine: str) -> str:
    """The ARN of a machine without the alias at its end, if it has one."""
    return ":".join(machine.split(":")[:7])


@dataclass(frozen=True)
class Settings:
    """The settings of a deployment.

    Machines are ARNs of their aliases. Only recipients at `mail_domains`, or below one, may be
    named. Links to reports in mails work for `report_link_days`, 0 for no links. `chunk_size` is in
    jobs, `max_concurrency` in chunks of one batch, `max_workers` in chunks of all. Workers have up
    to `requests_per_host` requests to a host in progress. `quotas` are those of each person. Mail
    subjects have the name `instance`, "" in production. Payloads may come from private hosts only
    if they are in `allowed_hosts`, as `host:port`, and from S3 only if they are in `s3_sources`, as
    `bucket/prefix`. Sweeps may change `sweep_tables` only. Calls may use secrets whose names begin
    with `call_secrets`, and invoke `call_functions`, given as ARNs. Devices may have any address
    and port in `device_networks`, in CIDR notation. `requests_table` has the idempotency records of
    the API, the queue at the URL `dead_letters` the events that could not be delivered. `url` is
    the public URL of pages and API, `sign_in_url` that of the user pool's sign-in page.
    `machine_clients` are names by the id of the client that has tokens of its own. Nobody has a
    role in `mfa_roles` without a second factor.
    """

    intake_bucket: str
    work_bucket: str
    archive_bucket: str
    batch_machine: str
    job_machine: str
    edit_machine: str
    system_machine: str
    chunk_size: int
    max_concurrency: int
    max_workers: int
    requests_per_host: int
    quotas: Quotas
    mail_from: str
    mail_to: str
    mail_bcc: str
    mail_domains: tuple[str, ...]
    mail_configuration_set: str
    report_link_days: int
    instance: str
    url: str
    allowed_hosts: frozenset[str]
    s3_sources: tuple[str, ...]
    sweep_tables: tuple[str, ...]
    call_functions: tuple[str, ...]
    call_secrets: str
    device_networks: tuple[str, ...]
    user_pool: str
    user_pool_client: str
    machine_clients: Mapping[str, str]
    mfa_roles: frozenset[str]
    sign_in_url: str
    requests_table: str
    dead_letters: str

    @property
    def worker_limit(self) -> int:
        """How many chunks run at the same time, each with a request to a host at least."""
        return min(self.max_workers, self.requests_per_host)

    @property
    def stack(self) -> str:
        """The stack's name, with which the names of its machines and alarms begin."""
        return unqualified(self.batch_machine).rpartition(":")[2].removesuffix("-batch")

    @property
    def worker_logs(self) -> tuple[str, ...]:
        """The names of the log groups of workers, but for system jobs."""
        return (f"{self.stack}-execute-chunk", f"{self.stack}-execute-job")

    @property
    def system_logs(self) -> str:
        """The name of the log group of system jobs."""
        return f"{self.stack}-system-job"
