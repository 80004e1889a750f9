"""What the handlers of this folder share: clients, settings, the clock, the log."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from jobyard import cold_start
from jobyard.jobtypes.http_client import HttpClient
from jobyard.services.edits.context import EditContext
from jobyard.services.executions import Executions
from jobyard.services.machines.edit import EditStep
from jobyard.services.machines.edit_meter import run_metered
from jobyard.services.meter import Meter
from jobyard.wiring import CLIENT_CONFIG, S3_CLIENT_CONFIG, session, wire

LOGGER = Logger()
SETTINGS = wire(os.environ)
S3 = session().create_client("s3", config=S3_CLIENT_CONFIG)


def now() -> datetime:
    """The time, aware UTC."""
    return datetime.now(UTC)


class _Functions:
    """Lambda. Its client is created with the first call, since few workers make one.

    It waits as long as a function may run, and never retries: the function would run twice.
    """

    def invoke(self, **parameters: Any) -> Any:
        """Call a function, and wait for its answer."""
        return _functions().invoke(**parameters)


@cache
def _functions() -> Any:
    return session().create_client(
        "lambda",
        config=CLIENT_CONFIG.merge(
            Config(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=890)
        ),
    )


class _Events:
    """EventBridge. Its client is created with the first call."""

    def put_events(self, **parameters: Any) -> Any:
        """Send events."""
        return _events().put_events(**parameters)


@cache
def _events() -> Any:
    return session().create_client("events", config=CLIENT_CONFIG)


_EXECUTIONS = Executions(SETTINGS, session().create_client("stepfunctions", config=CLIENT_CONFIG))
_HTTP = HttpClient(SETTINGS.allowed_hosts, now=now)


def edit_context(step: EditStep) -> EditContext:
    """The context of a task."""
    return EditContext(
        SETTINGS, S3, _Events(), _Functions(), _HTTP, _EXECUTIONS, now, step.cause_key
    )


def remaining_in(context: LambdaContext) -> Callable[[], float]:
    """The seconds until this invocation times out."""
    return lambda: context.get_remaining_time_in_millis() / 1000


METER = Meter([S3])


def run_step(
    part: str, step: EditStep, run: Callable[[EditContext], EditStep], context: LambdaContext
) -> dict[str, Any]:
    """Run a task, and log it with what follows. Returns the document of that."""
    edit = edit_context(step)
    memory_mb = int(context.memory_limit_in_mb)
    done = run_metered(part, step, lambda: run(edit), METER, memory_mb)
    following = done.step
    LOGGER.info(
        "edit task",
        task=step.task,
        job_id=step.job_id,
        number=step.number,
        next=following.task,
        losses=following.losses,
        metering_error=done.metering_error,
    )
    return following.document()


cold_start.end()
