"""Opens the batch of a manifest, or continues an existing one: the batch machine's first state."""

import os
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from jobyard import cold_start
from jobyard.domain import metrics
from jobyard.services.batches.open_context import OpenContext
from jobyard.services.machines.inputs import ExecutionInput
from jobyard.services.machines.open import Opened, run_open
from jobyard.services.meter import Meter
from jobyard.wiring import S3_CLIENT_CONFIG, session, wire
from telemetry import emit_metrics

LOGGER = Logger()
SETTINGS = wire(os.environ)
S3 = session().create_client("s3", config=S3_CLIENT_CONFIG)


def _now() -> datetime:
    """The time, aware UTC."""
    return datetime.now(UTC)


METER = Meter([S3])

cold_start.end()


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Open the batch of `event["input"]`, in the execution named `event["execution"]`."""
    request, execution = ExecutionInput.of(event["input"]), event["execution"]
    memory_mb = int(context.memory_limit_in_mb)
    opened = run_open(request, _open_context(execution, context), METER, memory_mb)
    _log(opened, execution)
    return opened.next_step.document()


def _open_context(execution: str, context: LambdaContext) -> OpenContext:
    def remaining() -> float:
        return context.get_remaining_time_in_millis() / 1000

    return OpenContext(SETTINGS, S3, _now, execution, remaining)


def _log(opened: Opened, execution: str) -> None:
    """Log the step; log and count a manifest that was dropped outside every collection's
    folder.
    """
    step = opened.next_step
    LOGGER.info(
        "opened",
        origin_id=step.origin_id,
        next=step.next,
        run=step.run.name,
        execution=execution,
        metering_error=opened.metering_error,
    )
    source = opened.misplaced
    if source is None:
        return
    LOGGER.warning("misplaced manifest", bucket=source.bucket, key=source.key)
    emit_metrics({metrics.MISPLACED_MANIFESTS: 1})
