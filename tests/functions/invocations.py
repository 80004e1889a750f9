"""How Lambda calls a handler, and a handler's effects: metrics in its output, executions."""

import json
import time
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

from cli.local import clients

BUCKETS = ("fn-intake", "fn-work", "fn-archive")


@dataclass
class Context:
    """The context that Lambda passes to a handler with the event."""

    function_name: str = "f"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:f"
    aws_request_id: str = "8f5a6a2e-0000-4000-8000-000000000000"
    remaining_ms: int = 300_000

    def get_remaining_time_in_millis(self) -> int:
        """What is left of the invocation's time."""
        return self.remaining_ms


def event_of(key: str, body: bytes) -> dict[str, Any]:
    """The event of an object that was just put into the intake bucket."""
    return {"detail": {"bucket": {"name": BUCKETS[0]}, "object": {"key": key, "size": len(body)}}}


def emitted(output: str) -> dict[str, Any]:
    """The metrics in what a handler printed, by name, with their dimensions."""
    found: dict[str, Any] = {}
    for line in output.splitlines():
        document = json.loads(line)
        for group in document.get("_aws", {}).get("CloudWatchMetrics", ()):
            for metric in group["Metrics"]:
                found[metric["Name"]] = tuple(group["Dimensions"][0])
    return found


def metrics_of(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The metrics that were emitted since the last call, with or without logs between them."""
    out = capsys.readouterr().out
    return emitted("\n".join(line for line in out.splitlines() if "_aws" in line))


def execution(store_endpoint: str, functions: dict[str, ModuleType], name: str) -> dict[str, Any]:
    """An execution of the job machine after it failed, as all of them do here."""
    machines = clients.client("stepfunctions", store_endpoint)
    arn = functions["schedule.scheduler_tick"].SETTINGS.job_machine.replace(
        ":stateMachine:", ":execution:"
    )
    while (found := machines.describe_execution(executionArn=f"{arn}:{name}"))[
        "status"
    ] == "RUNNING":
        time.sleep(0.02)
    return dict(found)
