"""What both handlers of this folder share: clients and the worker."""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache, partial
from secrets import token_urlsafe
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from jobyard import cold_start
from jobyard.jobtypes.http_client import HttpClient
from jobyard.jobtypes.lambda_call.plan import INVOCATION_S
from jobyard.services.jobs.callbacks import CallbackTokens
from jobyard.services.jobs.device_access import DeviceAccess
from jobyard.services.jobs.function_access import FunctionAccess
from jobyard.services.jobs.runner import CONCURRENT_JOBS
from jobyard.services.jobs.worker import Worker, no_maintenance
from jobyard.services.meter import Meter
from jobyard.wiring import CLIENT_CONFIG, S3_CLIENT_CONFIG, put_without_expect, session, wire

if TYPE_CHECKING:
    from jobyard.services.jobs.device_access import SecretsClient
    from jobyard.services.jobs.function_access import LambdaClient

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


# All invocations share them: to start threads takes an eighth of the CPU time of a chunk.
THREADS = ThreadPoolExecutor(CONCURRENT_JOBS)
METER = Meter([S3])
HTTP = HttpClient(SETTINGS.allowed_hosts, now=now)


@cache
def _device_access() -> DeviceAccess:
    """The access to devices. The client of secrets is created with the first one that is read."""
    devices = HttpClient(SETTINGS.allowed_hosts, now, networks=SETTINGS.device_networks)
    return DeviceAccess(devices, cache(_secrets), now)


def _lambda() -> "LambdaClient":
    """The client of Lambda. It waits as long as a function may run whose answer is waited for, and
    never retries: the function would run twice.
    """
    client: LambdaClient = session().create_client(
        "lambda",
        config=CLIENT_CONFIG.merge(
            Config(
                retries={"mode": "standard", "total_max_attempts": 1},
                read_timeout=INVOCATION_S,
                max_pool_connections=CONCURRENT_JOBS,
            )
        ),
    )
    return client


FUNCTIONS = FunctionAccess(SETTINGS.call_functions, cache(_lambda))
CALLBACKS = CallbackTokens(partial(token_urlsafe, 32))


def _secrets() -> "SecretsClient":
    client: SecretsClient = session().create_client("secretsmanager", config=CLIENT_CONFIG)
    return client


def worker(context: LambdaContext) -> Worker:
    """A worker that stops before this invocation times out. Its log lines have the request id."""
    LOGGER.append_keys(request_id=context.aws_request_id)

    def remaining() -> float:
        return context.get_remaining_time_in_millis() / 1000

    request_id = context.aws_request_id
    devices = _device_access()
    return Worker(
        SETTINGS,
        S3,
        HTTP,
        now,
        remaining,
        maintenance=no_maintenance,  # for system jobs only, whose function has it
        request_id=request_id,
        devices=devices,
        threads=THREADS,
        functions=FUNCTIONS,
        callbacks=CALLBACKS,
    )


cold_start.end()
