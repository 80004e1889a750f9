"""Metrics as functions emit them: a line of output that CloudWatch reads."""

import json

import pytest

from jobyard.domain import metrics
from telemetry import emit_metrics


def test_metrics_with_the_same_dimensions_are_one_line_with_their_units(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "jobyard")

    emit_metrics({metrics.JOBS_FAILED: 2, metrics.QUEUE_AGE_SECONDS: 1.5}, job_type="deposit")

    (line,) = capsys.readouterr().out.splitlines()
    document = json.loads(line)
    (group,) = document["_aws"]["CloudWatchMetrics"]
    assert group["Namespace"] == metrics.NAMESPACE
    assert [sorted(each) for each in group["Dimensions"]] == [["job_type", "service"]]
    assert group["Metrics"] == [
        {"Name": metrics.JOBS_FAILED, "Unit": "Count"},
        {"Name": metrics.QUEUE_AGE_SECONDS, "Unit": "Seconds"},
    ]
    assert (document[metrics.JOBS_FAILED], document["job_type"]) == ([2.0], "deposit")
