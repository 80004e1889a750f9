"""Claims and checks a manifest, or continues an existing batch: the batch machine's first state."""

import os
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from jobyard import cold_start
from jobyard.domain import metrics
from jobyard.services.batches.open import OpenContext, is_astray, source_of
from jobyard.services.batches.resume import open_execution
from jobyard.services.meter import Meter
from jobyard.wiring import S3_CLIENT_CONFIG, session, wire
from telemetry import emit_metrics

LOGGER = Logger()
SETTINGS = wire(os.environ)
S3 = session().create_client("s3", config=S3_CLIENT_CONFIG)
METER = Meter([S3])

cold_start.end()


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Open the batch of `event["input"]`, in the execution named `event["execution"]`."""
    open_context = OpenContext(
        SETTINGS,
        S3,
        lambda: datetime.now(UTC),
        event["execution"],
        remaining=lambda: context.get_remaining_time_in_millis() / 1000,
    )
    document = event["input"]
    with METER.invocation("open", int(context.memory_limit_in_mb)) as billed:
        billed.origin_id = document.get("origin_id", "")
        step = open_execution(document, open_context)
        billed.origin_id, billed.transitions = step.origin_id, step.transitions
        billed.events = int("detail" in document)
    _report_astray(document)
    LOGGER.info(
        "opened",
        origin_id=step.origin_id,
        next=step.next,
        run=step.run.name,
        execution=event["execution"],
        unbilled=billed.unwritten,
    )
    return step.document()


def _report_astray(document: dict[str, Any]) -> None:
    """Log and count a manifest that was dropped outside of every collection's folder."""
    source = source_of(document["detail"]) if "detail" in document else None
    if source is None or not is_astray(source):
        return
    LOGGER.warning("misplaced manifest", bucket=source.bucket, key=source.key)
    emit_metrics({metrics.MISPLACED_MANIFESTS: 1})
