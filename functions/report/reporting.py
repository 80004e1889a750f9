"""The last state: the report's files, its one mail, the batch's end."""

from typing import Any

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from jobyard.domain import metrics
from jobyard.services.reporting import report
from report.desk import LOGGER, REPORTING


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Report the batch `event` names."""
    batch = report(event["batch_id"], REPORTING)
    LOGGER.info("reported", batch_id=batch.batch_id, state=batch.state, report=batch.last_report)
    if batch.started_at and batch.ended_at and batch.last_report == 1:
        emf = EphemeralMetrics(namespace=metrics.NAMESPACE)
        seconds = (batch.ended_at - batch.started_at).total_seconds()
        emf.add_metric(metrics.BATCH_SECONDS, MetricUnit.Seconds, seconds)
        emf.flush_metrics()
    return event | {"next": "end"}
