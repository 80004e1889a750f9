"""Alarms of CloudWatch in a state of the test's choice."""

import boto3

from jobyard.domain.alarms import runbook_of


def put_alarm(name: str, state: str) -> None:
    """Put an alarm, whose description is that of the alarm of ours that it is named after."""
    own = name.split("-")[-2]
    runbook = runbook_of(own)
    assert runbook is not None
    cloudwatch = boto3.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        AlarmDescription=runbook.description(own),
        MetricName="JobsFailedTotal",
        Namespace="Jobyard",
        Period=300,
        EvaluationPeriods=1,
        Threshold=1,
        Statistic="Sum",
        ComparisonOperator="GreaterThanOrEqualToThreshold",
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="because")


def delete_alarms() -> None:
    """Delete all alarms."""
    cloudwatch = boto3.client("cloudwatch")
    found = cloudwatch.describe_alarms()["MetricAlarms"]
    cloudwatch.delete_alarms(AlarmNames=[each["AlarmName"] for each in found])
