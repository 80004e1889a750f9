"""Emits metrics in CloudWatch's embedded metric format, for the functions of every folder."""

from collections.abc import Mapping

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from jobyard.domain.metrics import NAMESPACE


def emit_metrics(values: Mapping[str, float], **dimensions: str) -> None:
    """Emit metrics of `jobyard.domain.metrics`, by name, as one line of output.

    Metrics whose name ends in Seconds are in seconds; all others are counts.
    """
    line = EphemeralMetrics(namespace=NAMESPACE)
    for dimension, value in dimensions.items():
        line.add_dimension(dimension, value)
    for name, number in values.items():
        unit = MetricUnit.Seconds if name.endswith("Seconds") else MetricUnit.Count
        line.add_metric(name, unit, number)
    line.flush_metrics()
