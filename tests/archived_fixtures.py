"""Batches and schedules that ended long ago, as the tables and the work bucket have them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from jobyard.domain.batches.batch import Batch, BatchState, ManifestSource
from jobyard.domain.batches.chunks import Chunk, ChunkRecord, RunProgress
from jobyard.domain.batches.operation import Filter, JobOutcome, Operation, OperationState
from jobyard.domain.batches.report import Delivery, DeliveryState, Report, ReportKind
from jobyard.domain.cost import Usage
from jobyard.domain.history import HistoryEntry
from jobyard.domain.ids import batch_id_of, schedule_id_of
from jobyard.domain.jobs.job import Attempt, JobAddress, JobRecord, JobState
from jobyard.domain.schedules.occurrence import Occurrence, RunOutcome, SkipReason, Trigger, Verdict
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import Policy, Schedule, ScheduleState, job_address
from jobyard.services.batches import rows
from jobyard.store import batches, chunks, jobs, operations, reports, schedules, tables, usage
from jobyard.store.schedules import ScheduleWrites
from tests.harness import Harness

MAY = datetime(2026, 5, 4, 12, tzinfo=UTC)
DAILY = {"kind": "daily", "at": "09:00", "anchor": "2026-01-01", "zone": "UTC"}


def reset_retention(harness: Harness) -> None:
    """Remove the notes of retention and the date of the first batch."""
    for item in [*tables.KeyValueItem.scan()]:
        if item.id.startswith("note#") or item.id == "first month":
            item.delete()


def batch_of(
    name: str,
    state: BatchState = BatchState.COMPLETED,
    at: datetime = MAY,
    *,
    entries: int = 3,
    chunk_size: int = 2,
) -> Batch:
    """A batch that was submitted and ended at `at`, with an id that follows from its name."""
    batch_id = batch_id_of(name.encode())
    entry = HistoryEntry("complete", "reporting", state, at, "machine", "report.5")
    return Batch(
        batch_id=batch_id,
        state=state,
        version=0,
        collection="maps",
        submitter="depositor",
        job_type="deposit",
        filename=f"{name}.checkm",
        submitted_at=at,
        source=ManifestSource("intake", f"manifests/maps/{name}.checkm", "v1", 100),
        notify=("depositor@example.org",),
        started_at=at,
        ended_at=at,
        entries=entries,
        files_count=entries,
        chunk_size=chunk_size if entries else 0,
        last_report=1,
        reported_counts={"succeeded": entries},
        history=(entry,),
    )


def put_batch(harness: Harness, batch: Batch, recorded: int = 3) -> Batch:
    """Write a batch with all its records; its first `recorded` jobs have one."""
    batch_id = batch.batch_id
    found = [*_jobs(batch, recorded)]
    written_chunks = [*_rows(harness, batch)]
    _put(
        harness, rows.index_key(batch_id), b"".join(chunk.index_line() for chunk in written_chunks)
    )
    jobs.write_many([(None, job) for job in found])
    for number in sorted({job.address.chunk for job in found}):
        own_jobs = [job for job in found if job.address.chunk == number]
        counts = {"succeeded": len(own_jobs)}
        chunks.put(ChunkRecord(batch_id, number, 0, counts, {}, {"main": RunProgress(1)}))
    written = batches.put_new(batch)
    _put_reports(harness, batch)
    return written


def _rows(harness: Harness, batch: Batch) -> Iterator[Chunk]:
    text, start = [], 0
    for number in range(batch.chunk_count):
        some = [
            json.dumps({"url": f"https://example.org/{number}/{position}"}).encode() + b"\n"
            for position in range(batch.job_count(number))
        ]
        length = sum(map(len, some))
        yield Chunk(number, start, start + length)
        start += length
        text += some
    _put(harness, rows.rows_key(batch.batch_id), b"".join(text))


def _jobs(batch: Batch, recorded: int) -> Iterator[JobRecord]:
    at = batch.submitted_at
    for number in range(recorded):
        address = JobAddress(batch.batch_id, number // batch.chunk_size, number % batch.chunk_size)
        attempts = (Attempt(at, at),)
        moves = (HistoryEntry("succeed", "running", "succeeded", at, "machine", "main.p1.c0.t1"),)
        yield JobRecord(
            address, JobState.SUCCEEDED, 2, "main.p1.c0.t1", at, 1, attempts=attempts, history=moves
        )


def _put_reports(harness: Harness, batch: Batch) -> None:
    """A report with its files, an operation with its outcomes, usage, and pass indexes."""
    batch_id, at = batch.batch_id, batch.submitted_at
    files = {name: f"reports/{batch_id}/0001/{name}" for name in ("jobs.csv", "mail.txt")}
    for name, key in files.items():
        _put(harness, key, f"{name} of {batch_id}".encode())
    _put(harness, rows.findings_key(batch_id), b'{"level": "remark"}\n')
    _put(harness, rows.pass_key(batch_id, "main", 2), b"an index\n")
    reports.put_new(
        Report(
            batch_id,
            1,
            ReportKind.FIRST,
            at,
            batch.notify,
            "Jobyard: OK",
            "OK",
            {"succeeded": batch.entries},
            0,
            files,
            Delivery(DeliveryState.DELIVERED, at, "m-1"),
        )
    )
    operation = Operation(
        batch_id,
        "r0123456789ab",
        "requeue",
        Filter(JobState.FAILED),
        "operator",
        "because",
        at,
        1,
        (0,) if batch.entries else (),
        OperationState.DONE,
        at,
    )
    operations.put_new(operation, batch.state)
    outcome = [JobOutcome(f"{batch_id}.0.0", "accepted")]
    rows.put_outcomes(harness.s3, harness.settings, operation, 0, outcome)
    usage.add(batch_id, "open", Usage(write_units=3, invocations=1))
    usage.add(batch_id, "chunk-0", Usage(write_units=6, invocations=2))


def _put(harness: Harness, key: str, body: bytes) -> None:
    harness.s3.put_object(Bucket="work", Key=key, Body=body)


def schedule_of(name: str, created_at: datetime = MAY, **more: Any) -> Schedule:
    """A schedule of a sweep every morning that was created long ago."""
    return Schedule(
        schedule_id=schedule_id_of(name.encode()),
        state=ScheduleState.ACTIVE,
        version=1,
        title=name,
        job_type="sweep",
        rule=recurrence_of(DAILY),
        policy=Policy(),
        owner="admin",
        created_at=created_at,
        next_at=created_at,
        **more,
    )


def put_occurrences(schedule: Schedule, days: Mapping[int, Verdict]) -> list[Occurrence]:
    """Write occurrences, by days after the schedule's creation; those that ran have jobs."""
    made, ran = [], []
    for day, verdict in days.items():
        at = schedule.created_at + timedelta(days=day)
        address = job_address(schedule.schedule_id, at)
        outcome = RunOutcome(JobState.SUCCEEDED, at, at, at, processed=5, failed=0, total=5)
        is_run = verdict is Verdict.RUN
        made.append(
            Occurrence(
                schedule.schedule_id,
                at,
                1,
                Trigger.SCHEDULE,
                verdict,
                at,
                skip_reason=SkipReason.CALENDAR if verdict is Verdict.SKIP else None,
                job_type=schedule.job_type,
                outcome=outcome if is_run else None,
            )
        )
        if is_run:
            ran.append(JobRecord(address, JobState.SUCCEEDED, 2, "main.p1.c0.t1", at, 1))
    stored = schedules.get(schedule.schedule_id)
    for first in range(0, len(made), 90):
        after = replace(stored, version=stored.version + 1)
        stored = schedules.write(stored, after, ScheduleWrites(made[first : first + 90]))
    jobs.write_many([(None, job) for job in ran])
    return made
