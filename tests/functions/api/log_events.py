"""Log lines in CloudWatch, as workers and Lambda write them."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import boto3
from moto.logs.models import logs_backends

from tests import tables

CHUNK_LOGS, JOB_LOGS = "batch-execute-chunk", "batch-execute-job"  # of the tests' deployment
REQUEST = "8f5a6a2e-0000-4000-8000-{:012d}"


def create_log_groups() -> None:
    """Create the log groups of the workers, if they do not exist."""
    logs = boto3.client("logs")
    found = {each["logGroupName"] for each in logs.describe_log_groups()["logGroups"]}
    for group in (CHUNK_LOGS, JOB_LOGS):
        if group not in found:
            logs.create_log_group(logGroupName=group)
            logs.create_log_stream(logGroupName=group, logStreamName="one")


def put_log(group: str, at: datetime, *lines: str | Mapping[str, Any]) -> None:
    """Write lines at a time of the tests' clock. PutLogEvents refuses what is weeks old, so moto
    gets them directly.
    """
    create_log_groups()
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    events = [{"timestamp": int(at.timestamp() * 1000), "message": text} for text in texts]
    found = logs_backends[tables.ACCOUNT][tables.REGION].groups[group]
    found.put_log_events("one", events)


def worker_line(message: str, request_id: str, job_id: str = "", **fields: Any) -> dict[str, Any]:
    """A line of a worker, about a job or about its whole pass."""
    about = {"job_id": job_id} if job_id else {}
    line = {
        "level": "INFO",
        "location": "log_finished:83",
        "message": message,
        "timestamp": "2026-11-20 10:00:00,000+0000",
        "service": "jobyard",
        "request_id": request_id,
        "origin_id": "b1",
    }
    return line | about | fields


def report_line(request_id: str) -> dict[str, Any]:
    """What Lambda writes at the end of an invocation."""
    metrics = {"durationMs": 812.3, "maxMemoryUsedMB": 140}
    record = {"requestId": request_id, "metrics": metrics, "status": "success"}
    return {"time": "2026-11-20T10:00:00.000Z", "type": "platform.report", "record": record}
