"""The outbox tick: once a minute, send waiting mails and measure the backlog."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from jobyard.domain import metrics
from jobyard.services.reports.outbox_tick import OutboxTick, run_outbox_tick
from report.clients import LOGGER, REPORT_CONTEXT
from telemetry import emit_metrics


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Send waiting mails; emit the backlog as metrics."""
    tick = run_outbox_tick(REPORT_CONTEXT, lambda: context.get_remaining_time_in_millis() / 1000)
    _log(tick)
    return {"undelivered": tick.undelivered, "open_batches": tick.backlog.open_batches}


def _log(tick: OutboxTick) -> None:
    """Log the tick, and emit its metrics."""
    queue = tick.backlog
    emit_metrics(
        {
            metrics.UNDELIVERED_REPORTS: tick.undelivered,
            metrics.OPEN_BATCHES: queue.open_batches,
            metrics.OLDEST_OPEN_BATCH_AGE_SECONDS: queue.oldest_s,
            metrics.QUEUE_AGE_SECONDS: queue.queue_age_s,
        }
    )
    LOGGER.info("outbox tick", undelivered=tick.undelivered, open_batches=queue.open_batches)
