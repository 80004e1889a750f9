"""Runs a job of the system, as the system machine's first state.

It has a role of its own: workers that read what strangers send may not delete records.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from jobyard import cold_start
from jobyard.jobtypes.http_client import HttpClient
from jobyard.services.executions import is_system_job
from jobyard.services.jobs.device_access import DeviceAccess
from jobyard.services.jobs.worker import Worker
from jobyard.services.machines.execute_job import run_execute_job
from jobyard.services.machines.inputs import ExecutionInput
from jobyard.services.maintenance import Maintenance
from jobyard.services.meter import Meter
from jobyard.wiring import CLIENT_CONFIG, S3_CLIENT_CONFIG, put_without_expect, session, wire
from telemetry.finished_jobs import log_finished

LOGGER = Logger()
SETTINGS = wire(os.environ)
S3 = put_without_expect(session().create_client("s3", config=S3_CLIENT_CONFIG))


def now() -> datetime:
    """The time, aware UTC."""
    return datetime.now(UTC)


THREAD = ThreadPoolExecutor(1)  # an invocation runs one job
METER = Meter([S3])
HTTP = HttpClient(frozenset(), now=now)  # system jobs send no requests


@cache
def _maintenance() -> Maintenance:
    """What system jobs need.

    AWS allows ten DescribeExecution calls a second, so the client slows down when throttled.
    """
    config = CLIENT_CONFIG.merge(Config(retries={"mode": "adaptive", "max_attempts": 10}))
    machines = session().create_client("stepfunctions", config=config)
    return Maintenance(SETTINGS, S3, machines, now)


def _no_secrets() -> Any:
    raise NotImplementedError("system jobs need no secrets of devices")


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Run the job. The result says whether to run it again, and when.

    Raises:
        ValueError: the job is not one of the system.
    """
    LOGGER.append_keys(request_id=context.aws_request_id)

    def remaining() -> float:
        return context.get_remaining_time_in_millis() / 1000

    request_id = context.aws_request_id
    request = ExecutionInput.of(event)
    if request.address is None or not is_system_job(request.address):
        raise ValueError(f"{request.origin_id} has no system jobs")
    devices = DeviceAccess(HTTP, _no_secrets, now)
    worker = Worker(
        SETTINGS, S3, HTTP, now, remaining, _maintenance, request_id, devices, threads=THREAD
    )
    done = run_execute_job(request, worker, METER, int(context.memory_limit_in_mb))
    log_finished(done.finished, request, metering_error=done.metering_error)
    return done.next_step.document()


cold_start.end()
