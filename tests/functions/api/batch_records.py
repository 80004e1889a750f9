"""Batches and jobs in any state, written as the machine and people would."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from itertools import count
from typing import Any

import boto3
from moto.stepfunctions.models import stepfunctions_backends

from jobyard.domain.batches.batch import BATCH, Batch, BatchState, ManifestSource
from jobyard.domain.batches.chunks import Chunk
from jobyard.domain.batches.report import Delivery, DeliveryState, Report, ReportKind
from jobyard.domain.history import HistoryEntry
from jobyard.domain.ids import batch_id_of
from jobyard.domain.jobs.job import (
    JOB,
    Attempt,
    JobAddress,
    JobRecord,
    StepRecord,
    StepStatus,
    new_job,
)
from jobyard.domain.lifecycle import Cause
from jobyard.domain.webhooks import webhook_id, webhook_seq
from jobyard.services.batches import rows
from jobyard.store import batches, jobs, reports
from tests.functions.api.api_client import NOW
from tests.people import sub_of
from tests.tables import ACCOUNT, REGION

HOUR_AGO = NOW - timedelta(hours=1)
_numbers = count(1)

# The events that bring a batch, a job, to each state.
_TO_BATCH = {
    "pending": (),
    "held": ("hold",),
    "processing": ("start",),
    "cancelling": ("start", "cancel"),
    "reporting": ("start", "report"),
    "completed": ("start", "report", "complete"),
    "failed": ("start", "report", "fail"),
    "cancelled": ("start", "cancel", "report", "stop"),
    "update_reporting": ("start", "report", "fail", "update_reporting"),
    "deleted": ("hold", "delete"),
}
_TO_JOB = {
    "scheduled": (),
    "held": ("hold",),
    "running": ("start",),
    "succeeded": ("start", "succeed"),
    "failed": ("start", "fail"),
    "cancelled": ("cancel",),
    "deleted": ("start", "fail", "delete"),
}


def a_batch(state: str = "processing", **changes: Any) -> Batch:
    """A batch in `state`, submitted an hour ago; with jobs if `entries` says so."""
    source = ManifestSource("intake", "manifests/maps/may.checkm", "v1", 12)
    batch = Batch(
        batch_id=batch_id_of(str(next(_numbers)).encode()),
        state=BatchState.PENDING,
        version=0,
        collection="maps",
        submitter="depositor",
        submitter_sub=sub_of("depositor"),
        job_type="deposit",
        filename="may.checkm",
        submitted_at=HOUR_AGO,
        source=source,
        chunk_size=2,
        notify=("depositor@example.org",),
    )
    for number, event in enumerate(_TO_BATCH[state]):
        cause = Cause(f"{batch.batch_id}-{number}", reason=f"to be {state}")
        move = BATCH.move(batch.state, event, HOUR_AGO, cause)
        history = (*batch.history, HistoryEntry.of(move))
        batch = replace(batch, state=BatchState(move.after), history=history)
    batch = batches.put_new(replace(batch, **changes))
    if batch.entries:
        put_lines(batch, [_line(number) for number in range(batch.entries)])
    return batch


def _line(number: int) -> bytes:
    url = f"https://files.example.org/{number}"
    row = {"line": number + 6, "kind": "file", "url": url, "name": str(number)}
    return json.dumps(row).encode() + b"\n"


@cache
def _s3() -> Any:
    return boto3.client("s3", region_name=REGION)


def put_lines(batch: Batch, lines: Sequence[bytes]) -> None:
    """Store these rows as the batch's, with their index."""
    chunks, start, size = [], 0, batch.chunk_size
    for number in range(batch.chunk_count):
        end = start + sum(map(len, lines[number * size : (number + 1) * size]))
        chunks.append(Chunk(number, start, end))
        start = end
    _s3().put_object(Bucket="work", Key=rows.rows_key(batch.batch_id), Body=b"".join(lines))
    index = b"".join(chunk.index_line() for chunk in chunks)
    _s3().put_object(Bucket="work", Key=rows.index_key(batch.batch_id), Body=index)


def put_findings(batch: Batch, findings: Sequence[dict[str, Any]]) -> None:
    """Store findings about the batch's manifest."""
    body = b"".join(json.dumps(each).encode() + b"\n" for each in findings)
    key = rows.findings_key(batch.batch_id)
    _s3().put_object(Bucket="work", Key=key, Body=body)


def put_intake(key: str, text: str) -> None:
    """Upload a file to the intake bucket."""
    _s3().put_object(Bucket="intake", Key=key, Body=text.encode())


def a_job(batch: Batch, number: int, state: str, **changes: Any) -> JobRecord:
    """Job `number` (from 0) of the batch in `state`, with `changes` by the last move."""
    address = JobAddress(batch.batch_id, number // batch.chunk_size, number % batch.chunk_size)
    before = record = new_job(address, HOUR_AGO)
    events = _TO_JOB[state]
    for event in events:
        cause = Cause(f"main.p1.c{address.chunk}.t{record.version}", reason="to be so")
        move = JOB.move(record.state, event, HOUR_AGO, cause)
        given = changes if event == events[-1] else {}
        record = record.moved(move, **(_recorded_with(event) | given))
    return jobs.apply(before, record, batch.state) if events else record


def _recorded_with(event: str) -> dict[str, Any]:
    """The fields that the machine records with an event."""
    if event == "fail":
        failure = ("PAYLOAD_NOT_FOUND", "404 from files.example.org")
        return {
            "failure_code": failure[0],
            "failure_message": failure[1],
            "attempts": (Attempt(HOUR_AGO, HOUR_AGO, "downloading", *failure),),
            "steps": (
                StepRecord("estimating", StepStatus.COMPLETED, HOUR_AGO, HOUR_AGO),
                StepRecord("provisioning", StepStatus.SKIPPED, HOUR_AGO, HOUR_AGO),
                StepRecord("downloading", StepStatus.FAILED, HOUR_AGO, HOUR_AGO),
            ),
        }
    return {"start_count": 1} if event == "start" else {}


def a_report(batch: Batch, seq: int = 1, outcomes: str = "", **changes: Any) -> Report:
    """A report about the batch, whose mail arrived. `outcomes` has a letter for each job."""
    key = f"reports/{batch.batch_id}/{seq}/outcomes"
    if outcomes:
        _s3().put_object(Bucket="work", Key=key, Body=outcomes.encode())
    report = Report(
        batch.batch_id,
        seq,
        ReportKind.FIRST if seq == 1 else ReportKind.UPDATE,
        HOUR_AGO,
        ("depositor@example.org",),
        "FAIL",
        "failed",
        {"failed": 1},
        0,
        {"outcomes": key} if outcomes else {},
        Delivery(DeliveryState.DELIVERED, HOUR_AGO, "m-1"),
    )
    return reports.put_new(replace(report, **changes))


def a_report_of(campaign_id: str, seq: int = 1, **changes: Any) -> Report:
    """A report about a campaign, whose mail arrived."""
    people = ("admin@example.org",)
    report = Report(
        *(campaign_id, seq, ReportKind.FIRST, HOUR_AGO, people, "FAIL", "failed"),
        counts={"failed": 1},
        changed_count=0,
        files={"jobs.csv": f"reports/{campaign_id}/{seq:04d}/jobs.csv"},
        delivery=Delivery(DeliveryState.DELIVERED, HOUR_AGO, "m-1"),
    )
    return reports.put_new(replace(report, **changes))


def a_delivery(origin_id: str, webhook: str) -> str:
    """A webhook delivery that has failed. Returns its id."""
    report = a_report_of(
        origin_id,
        webhook_seq(1, 0),
        kind=ReportKind.WEBHOOK,
        subject=f"batch.ended.v1 to {webhook}",
        files={},
        webhook=webhook,
        delivery=Delivery(DeliveryState.FAILED, HOUR_AGO, error="it answered 503", tries=10),
    )
    return webhook_id(report.batch_id, report.seq)


def executions(machine: str) -> list[str]:
    """The names of all executions of "batch" or "job" so far.

    This goes to moto directly: a call would answer with the latest hundred only.
    """
    machines = stepfunctions_backends[ACCOUNT][REGION].state_machines
    (found,) = [each for each in machines if each.name == machine]
    return [each.name for each in found.executions]
