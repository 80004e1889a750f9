"""Campaigns on devices that do nothing, through the real services, with a clock that skips waits.

The machines run from their definitions in this process (tests/machines.py); tables and buckets are
those of an emulator process.
"""

import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.calls import items_of
from cli.local import clients, emulator
from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.campaigns.targets import CampaignTarget
from jobyard.domain.ids import Origin
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JobState, labels_for
from jobyard.domain.jobs.job_type import Done, Fail, JobType, StepInput, StepResult
from jobyard.jobtypes import TYPES
from jobyard.jobtypes.step_context import StepContext
from jobyard.services.campaigns import commands
from jobyard.services.campaigns.open import chunk_size_of, put_rows
from jobyard.services.meter import Meter
from jobyard.store import campaigns, tables
from tests.call_interceptor import CallInterceptor
from tests.harness import Clients, Harness, Payloads

JOB_TYPE = "idle-device"
START = datetime(2026, 11, 25, 10, tzinfo=UTC)
STEPS = ("reach", "compare", "upload", "apply", "verify")  # those of device-update
_BUCKETS = ("intake", "work", "archive")
_PREFIX = "bench-"  # of the tables
_READS = {"GetItem", "BatchGetItem", "Query", "Scan"}
_OFFLINE = Fail(Failure.DEVICE_OFFLINE, "no answer", retryable=True)


class WrongEnd(Exception):
    """A campaign did not succeed. The message has its counts."""


@dataclass
class Devices:
    """The devices: each is offline for its first `offline` attempts. `starts` are the times of all
    attempts.
    """

    offline: int = 0
    starts: list[datetime] = field(default_factory=list)

    @contextmanager
    def known(self) -> Iterator["Devices"]:
        """Their job type is there for the block."""
        types: dict[str, JobType[Any]] = TYPES  # type: ignore[assignment]
        types[JOB_TYPE] = self._job_type()
        try:
            yield self
        finally:
            del types[JOB_TYPE]

    def _job_type(self) -> JobType[Any]:

        def reach(step_input: StepInput, context: StepContext) -> StepResult:
            self.starts.append(context.now())
            return _OFFLINE if step_input.attempt <= self.offline else Done()

        def nothing(_step_input: StepInput, _context: StepContext) -> StepResult:
            return Done()

        return JobType(
            JOB_TYPE,
            "Idle device",
            steps=tuple((name, reach if name == "reach" else nothing) for name in STEPS),
            bound_steps=frozenset({"apply", "verify"}),
            context=StepContext,
            labels=labels_for("device"),
            origins=frozenset({Origin.CAMPAIGN}),
            check_parameters=lambda _: None,
        )


@contextmanager
def emulator_with_tables() -> Iterator[str]:
    """An emulator process with our tables and buckets. Yields its endpoint."""
    with tempfile.TemporaryDirectory(prefix="jobyard-bench-") as folder:
        home = Path(folder)
        started = emulator.start(home, emulator.free_port(), persist=False)
        try:
            _bind(started.endpoint)
            for model in tables.MODELS.values():
                model.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
            s3 = clients.client("s3", started.endpoint)
            for bucket in _BUCKETS:
                s3.create_bucket(Bucket=bucket)
            yield started.endpoint
        finally:
            emulator.stop(home)


def _bind(endpoint: str) -> None:
    os.environ |= {  # noqa: TID251  # PynamoDB looks for them itself
        "AWS_ACCESS_KEY_ID": clients.KEY,
        "AWS_SECRET_ACCESS_KEY": clients.KEY,
    }
    names = {noun: f"{_PREFIX}{noun}" for noun in tables.MODELS}
    tables.bind(names, region=clients.REGION, host=endpoint)


class Stack(Harness):
    """A deployment whose clock begins at `START` and skips all waits. Nothing else takes time, or
    with `is_timed` what it takes here.
    """

    def __init__(self, endpoint: str, *, is_timed: bool = False) -> None:
        _bind(endpoint)
        tables.client()
        s3, ses = clients.client("s3", endpoint), clients.client("sesv2", endpoint)
        meter = Meter([s3, ses])
        super().__init__(
            Clients(s3, ses, CallInterceptor(), meter, list), Payloads(url="http://127.0.0.1:1")
        )
        self.at = START
        self._began = time.monotonic() if is_timed else None

    def now(self) -> datetime:
        """What the clock shows."""
        took = time.monotonic() - self._began if self._began is not None else 0.0
        return self.at + timedelta(seconds=took)

    def wait_until(self, at: datetime) -> None:
        """Skip the time until `at`."""
        self.at += max(at - self.now(), timedelta())

    def store(self, count: int, key: str, **fields: Any) -> Campaign:
        """Store a campaign on `count` devices, whatever the limit of inline targets."""
        document = {"job_type": JOB_TYPE, "targets": [f"{key}-0"], **fields}
        context = self.context(key=key)
        previewed = commands.preview(document, context).campaign
        campaign = replace(previewed, tasks=count, chunk_size=chunk_size_of(count))
        targets = (CampaignTarget(f"{key}-{number}") for number in range(count))
        put_rows(campaign.campaign_id, targets, context.s3, context.settings)
        return campaigns.put_new(campaign)

    def run(self, campaign: Campaign) -> Campaign:
        """Run a campaign to its end.

        Raises:
            WrongEnd: not all tasks succeeded.
        """
        self.executions.start_batch(campaign.campaign_id, "settle", "main")
        self.machines.run_all()
        ended = campaigns.get(campaign.campaign_id)
        if ended.state is not JobState.SUCCEEDED or ended.counts != {"succeeded": ended.tasks}:
            raise WrongEnd(f"{ended.state}: {dict(ended.counts)} of {ended.tasks} tasks")
        return ended


@dataclass
class Calls:
    """What DynamoDB was asked: write units by table, calls, and the items that they returned."""

    written: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    items: int = 0


@contextmanager
def counted() -> Iterator[Calls]:
    """Count the calls of the block to DynamoDB, of all threads."""
    found, lock = Calls(), threading.Lock()
    events = tables.client().meta.events

    def count(parsed: dict[str, Any], model: Any, **_: Any) -> None:
        with lock:
            found.calls += 1
            found.items += items_of(parsed)
            if model.name in _READS:
                return
            reported = parsed.get("ConsumedCapacity", [])
            for each in reported if isinstance(reported, list) else [reported]:
                found.written[each["TableName"].removeprefix(_PREFIX)] += each["CapacityUnits"]

    events.register("after-call.dynamodb.*", count)
    try:
        yield found
    finally:
        events.unregister("after-call.dynamodb.*", count)
