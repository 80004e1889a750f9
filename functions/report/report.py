"""Writes the report of a batch or campaign, mails it and ends the batch, as the state Report."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from jobyard.domain import metrics
from jobyard.services.machines.inputs import ExecutionInput
from jobyard.services.machines.report import Reported, run_report
from report.clients import LOGGER, METER, REPORT_CONTEXT
from telemetry import emit_metrics


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Report what `event` names. Each call writes a slice of a large one's files."""
    request = ExecutionInput.of(event)
    reported = run_report(request, REPORT_CONTEXT, METER, int(context.memory_limit_in_mb))
    _log(reported)
    return reported.next_step.document()


def _log(reported: Reported) -> None:
    """Log the report; after a batch's first report, emit how long the batch took."""
    progress = reported.progress
    LOGGER.info(
        "reported",
        origin_id=reported.next_step.origin_id,
        state=progress.state,
        report=progress.last_report,
        metering_error=reported.metering_error,
    )
    if progress.duration_s is not None:
        emit_metrics({metrics.BATCH_DURATION_SECONDS: progress.duration_s})
