"""What both handlers of this folder are made of: clients, the worker and its one line of log."""

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from jobyard.domain import metrics
from jobyard.jobtypes.http_client import HttpClient
from jobyard.services.jobs.chunk_runner import OVERLAP, FinishedJob, Worker
from jobyard.services.meter import Meter
from jobyard.wiring import PATIENCE, S3_PATIENCE, put_without_asking, session, wire

if TYPE_CHECKING:
    from jobyard.services.maintenance import Maintenance

LOGGER = Logger()
SETTINGS = wire(os.environ)
S3 = put_without_asking(
    session().create_client(
        "s3", config=S3_PATIENCE.merge(Config(max_pool_connections=2 * OVERLAP))
    )
)
METER = Meter([S3])


def now() -> datetime:
    """The time, aware UTC."""
    return datetime.now(UTC)


FETCH = HttpClient(SETTINGS.allowed_hosts, now=now)


@cache
def _upkeep() -> "Maintenance":
    """What the system's jobs ask for. Most workers never run one, so it is made for the first.

    AWS tells of ten executions a second, so the client slows down when it is told to.
    """
    from jobyard.services.maintenance import Maintenance

    patience = PATIENCE.merge(Config(retries={"mode": "adaptive", "max_attempts": 10}))
    machines = session().create_client("stepfunctions", config=patience)
    return Maintenance(SETTINGS, S3, machines, now)


def worker(context: LambdaContext) -> Worker:
    """A worker that stops in time for the end of this invocation."""

    def remaining() -> float:
        return context.get_remaining_time_in_millis() / 1000

    return Worker(SETTINGS, S3, FETCH, now, remaining, _upkeep)


def tell(finished: Iterable[FinishedJob], **ids: object) -> None:
    """One line for the pass, one for each job that failed or met a surprise, and the counts as
    metrics."""
    met = list(finished)
    origin: dict[str, Any] = {name: ids[name] for name in ids.keys() & {"batch_id", "schedule_id"}}
    for job in met:
        if job.surprise:
            LOGGER.error(
                "a step raised what it did not foresee",
                job_id=job.job_id,
                exc_info=job.surprise,
                **origin,
            )
    ended = [job for job in met if job.state != "scheduled"]
    failed = [job for job in ended if job.state == "failed"]
    LOGGER.info("ran", extra={"ended": len(ended), "failed": len(failed), **ids})
    for job in failed:
        LOGGER.warning("job failed", job_id=job.job_id, failure_code=job.failure_code, **origin)
    _count(metrics.JOBS_FAILED_TOTAL, len(failed))
    for job_type in {job.job_type for job in ended}:
        of_type = [job for job in ended if job.job_type == job_type]
        of = {"job_type": job_type}
        _count(metrics.JOBS_SUCCEEDED, sum(job.state == "succeeded" for job in of_type), **of)
        _count(metrics.JOBS_FAILED, sum(job.state == "failed" for job in of_type), **of)
        for code in {job.failure_code for job in of_type if job.state == "failed"}:
            number = sum(job.failure_code == code for job in of_type)
            _count(metrics.JOBS_FAILED_BY_CODE, number, **of, failure_code=code)


def _count(name: str, number: int, **dimensions: str) -> None:
    if not number:
        return
    emf = EphemeralMetrics(namespace=metrics.NAMESPACE)
    for dimension, value in dimensions.items():
        emf.add_dimension(dimension, value)
    emf.add_metric(name, MetricUnit.Count, number)
    emf.flush_metrics()
