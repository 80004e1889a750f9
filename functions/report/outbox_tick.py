"""The outbox tick: once a minute, send waiting mails and measure the backlog."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from jobyard.domain import metrics
from jobyard.services.queries.backlog import backlog
from jobyard.services.reports.mail import deliver_waiting
from report.clients import LOGGER, REPORT_CONTEXT, now
from telemetry import emit_metrics


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Send waiting mails; emit the backlog as metrics."""
    left = deliver_waiting(REPORT_CONTEXT, lambda: context.get_remaining_time_in_millis() / 1000)
    queue = backlog(now())
    emit_metrics(
        {
            metrics.UNDELIVERED_REPORTS: left,
            metrics.OPEN_BATCHES: queue.open_batches,
            metrics.OLDEST_OPEN_BATCH_AGE_SECONDS: queue.oldest_s,
            metrics.QUEUE_AGE_SECONDS: queue.queue_age_s,
        }
    )
    LOGGER.info("outbox tick", undelivered=left, open_batches=queue.open_batches)
    return {"undelivered": left, "open_batches": queue.open_batches}
