"""Writes a batch's report, mails it and ends the batch, as the machines' state Report."""

from dataclasses import replace
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from jobyard.domain import metrics
from jobyard.services.reports.report import next_step, report
from report.clients import LOGGER, METER, REPORT_CONTEXT
from telemetry import emit_metrics


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Report the batch that `event` names. Each call writes a slice of a large one's files."""
    with METER.invocation("report", int(context.memory_limit_in_mb)) as billed:
        billed.origin_id, billed.transitions = event["origin_id"], 3  # Report, Reported, Done
        batch = report(event["origin_id"], replace(REPORT_CONTEXT, used=lambda: METER.used(billed)))
        billed.transitions -= next_step(batch) == "report"
    LOGGER.info(
        "reported",
        origin_id=batch.batch_id,
        state=batch.state,
        report=batch.last_report,
        unbilled=billed.unwritten,
    )
    if batch.started_at and batch.ended_at and batch.last_report == 1:
        duration = batch.ended_at - batch.started_at
        emit_metrics({metrics.BATCH_DURATION_SECONDS: duration.total_seconds()})
    return event | {"next": next_step(batch)}
