"""The outbox tick: once a minute send waiting mails, and measure the backlog."""

from typing import Any

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from jobyard.domain import metrics
from jobyard.services.queries.backlog import backlog
from jobyard.services.reports.mail import deliver_waiting
from report.clients import LOGGER, REPORT_CONTEXT, now


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Send waiting mails; emit the backlog as metrics."""
    left = deliver_waiting(REPORT_CONTEXT, lambda: context.get_remaining_time_in_millis() / 1000)
    found = backlog(now())
    emf = EphemeralMetrics(namespace=metrics.NAMESPACE)
    emf.add_metric(metrics.UNDELIVERED_REPORTS, MetricUnit.Count, left)
    emf.add_metric(metrics.OPEN_BATCHES, MetricUnit.Count, found.open_batches)
    emf.add_metric(metrics.OLDEST_OPEN_BATCH_AGE_SECONDS, MetricUnit.Seconds, found.oldest_s)
    emf.add_metric(metrics.QUEUE_AGE_SECONDS, MetricUnit.Seconds, found.queue_age_s)
    emf.flush_metrics()
    LOGGER.info("outbox tick", undelivered=left, open_batches=found.open_batches)
    return {"undelivered": left, "open_batches": found.open_batches}
