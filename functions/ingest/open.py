"""The batch machine's first state: claim the manifest and check it, or take up what was asked."""

import os
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from jobyard.domain import metrics
from jobyard.domain.errors import StaleState
from jobyard.services.batches.open import OpenContext, is_astray, open_object, source_of
from jobyard.services.batches.resume import resume
from jobyard.services.meter import Meter
from jobyard.services.runs import ExecutionRun, NextStep
from jobyard.wiring import S3_PATIENCE, session, wire

LOGGER = Logger()
SETTINGS = wire(os.environ)
S3 = session().create_client("s3", config=S3_PATIENCE)
METER = Meter([S3])


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Open what `event["input"]` names, for the execution `event["execution"]`."""
    opening = OpenContext(
        SETTINGS,
        S3,
        lambda: datetime.now(UTC),
        event["execution"],
        remaining=lambda: context.get_remaining_time_in_millis() / 1000,
    )
    with METER.invocation("open", int(context.memory_limit_in_mb)) as billed:
        billed.origin_id = event["input"].get("batch_id", "")
        try:
            following = _follow(event["input"], opening)
        except StaleState:
            # Another execution was first: see how it is.
            following = _follow(event["input"], opening)
        billed.origin_id = following.batch_id
        billed.transitions = following.transitions
        billed.events = int("detail" in event["input"])
    LOGGER.info(
        "opened",
        batch_id=following.batch_id,
        next=following.next,
        run=following.run.name,
        execution=event["execution"],
        unbilled=billed.unwritten,
    )
    return following.document()


def _follow(asked: dict[str, Any], opening: OpenContext) -> NextStep:
    if "detail" in asked:
        source = source_of(asked["detail"])
        if is_astray(source):
            LOGGER.warning(
                "a manifest beside every collection", bucket=source.bucket, key=source.key
            )
            emf = EphemeralMetrics(namespace=metrics.NAMESPACE)
            emf.add_metric(metrics.MISPLACED_MANIFESTS, MetricUnit.Count, 1)
            emf.flush_metrics()
        return open_object(source, opening)
    return resume(
        asked["batch_id"], asked["command"], ExecutionRun(asked["run"], asked["pass"]), opening
    )
