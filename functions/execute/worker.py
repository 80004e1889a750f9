"""What both handlers of this folder share: clients, the worker, its log lines and metrics."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from jobyard import cold_start
from jobyard.domain import metrics
from jobyard.domain.jobs.job import JobState
from jobyard.jobtypes.http_client import HttpClient
from jobyard.services.jobs.device_access import DeviceAccess
from jobyard.services.jobs.runner import CONCURRENT_JOBS, FinishedJob
from jobyard.services.jobs.worker import Worker
from jobyard.services.machines.inputs import ChunkInput, ExecutionInput
from jobyard.services.meter import Meter
from jobyard.wiring import CLIENT_CONFIG, S3_CLIENT_CONFIG, put_without_expect, session, wire
from telemetry import emit_metrics

if TYPE_CHECKING:
    from jobyard.services.jobs.device_access import SecretsClient
    from jobyard.services.maintenance import Maintenance

LOGGER = Logger()
SETTINGS = wire(os.environ)
S3 = put_without_expect(
    session().create_client(
        "s3", config=S3_CLIENT_CONFIG.merge(Config(max_pool_connections=2 * CONCURRENT_JOBS))
    )
)


def now() -> datetime:
    """The time, aware UTC."""
    return datetime.now(UTC)


METER = Meter([S3])
HTTP = HttpClient(SETTINGS.allowed_hosts, now=now)


@cache
def _maintenance() -> "Maintenance":
    """What system jobs need. It is created on first use, since few workers run such a job.

    AWS allows ten DescribeExecution calls a second, so the client slows down when throttled.
    """
    from jobyard.services.maintenance import Maintenance

    config = CLIENT_CONFIG.merge(Config(retries={"mode": "adaptive", "max_attempts": 10}))
    machines = session().create_client("stepfunctions", config=config)
    return Maintenance(SETTINGS, S3, machines, now)


@cache
def _device_access() -> DeviceAccess:
    """The access to devices. The client of secrets is created with the first one that is read."""
    devices = HttpClient(SETTINGS.allowed_hosts, now, networks=SETTINGS.device_networks)
    return DeviceAccess(devices, cache(_secrets), now)


def _secrets() -> "SecretsClient":
    client: SecretsClient = session().create_client("secretsmanager", config=CLIENT_CONFIG)
    return client


def worker(context: LambdaContext) -> Worker:
    """A worker that stops before this invocation times out. Its log lines have the request id."""
    LOGGER.append_keys(request_id=context.aws_request_id)

    def remaining() -> float:
        return context.get_remaining_time_in_millis() / 1000

    request_id = context.aws_request_id
    return Worker(SETTINGS, S3, HTTP, now, remaining, _maintenance, request_id, _device_access())


def log_finished(
    jobs: Iterable[FinishedJob], request: ExecutionInput | ChunkInput, **fields: object
) -> None:
    """Log the pass, each failed attempt and each unexpected error; emit the metrics of jobs."""
    all_jobs = list(jobs)
    origin_id = request.origin_id
    for job in all_jobs:
        if job.error:
            job_id = job.address.job_id
            LOGGER.error("step error", origin_id=origin_id, job_id=job_id, exc_info=job.error)
    ended = [job for job in all_jobs if job.state is not JobState.SCHEDULED]
    failed = [job for job in ended if job.state is JobState.FAILED]
    retried = [job for job in all_jobs if job.state is JobState.SCHEDULED]
    ids = {"origin_id": origin_id, "run": request.run.name, "pass": request.run.number}
    if isinstance(request, ExecutionInput) and request.address:
        ids["job_id"] = request.address.job_id
    LOGGER.info("pass ended", extra={"ended": len(ended), "failed": len(failed), **ids, **fields})
    for job in (*retried, *failed):
        message = "job failed" if job.state is JobState.FAILED else "attempt failed"
        ids = {"origin_id": origin_id, "job_id": job.address.job_id}
        LOGGER.warning(message, extra=ids | {"step": job.step, "failure_code": job.failure_code})
    _count_ended(ended)
    _count(metrics.JOBS_FAILED_TOTAL, len(failed))
    for metric, number in Counter(job.address.origin.failure_metric for job in failed).items():
        _count(metric, number)


def _count_ended(ended: Sequence[FinishedJob]) -> None:
    for job_type in {job.job_type for job in ended}:
        states = Counter(job.state for job in ended if job.job_type == job_type)
        _count(metrics.JOBS_SUCCEEDED, states[JobState.SUCCEEDED], job_type=job_type)
        _count(metrics.JOBS_FAILED, states[JobState.FAILED], job_type=job_type)
    failed = [job for job in ended if job.state is JobState.FAILED]
    for (job_type, code), number in Counter((j.job_type, j.failure_code) for j in failed).items():
        _count(metrics.JOBS_FAILED_BY_CODE, number, job_type=job_type, failure_code=code)


def _count(name: str, number: int, **dimensions: str) -> None:
    if name and number:
        emit_metrics({name: number}, **dimensions)


cold_start.end()
