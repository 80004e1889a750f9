"""Jobs, as lists and details show them.

A batch's job is a row of the manifest with its record; without a record it is scheduled. A
schedule's job is an occurrence with its record.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from jobyard.domain.batches.batch import Batch
from jobyard.domain.batches.chunks import unrecorded_state
from jobyard.domain.cause_key import MAIN_RUN
from jobyard.domain.jobs.job import (
    FINISHED_STEPS,
    JOB,
    JobAddress,
    JobRecord,
    JobState,
)
from jobyard.domain.jobs.job_type import JobType
from jobyard.domain.jobs.task import state_of_only_task
from jobyard.domain.lifecycle import UnavailableEvent
from jobyard.domain.schedules.occurrence import Occurrence
from jobyard.services.access import visible_batch
from jobyard.services.batches import rows
from jobyard.services.batches.job_origin import BatchOrigin
from jobyard.services.context import QueryContext
from jobyard.services.jobs.attempt import NO_FAILURES
from jobyard.services.jobs.origin import JobOrigin, is_open, why_closed
from jobyard.services.origins import job_origin
from jobyard.store import chunks, jobs


@dataclass(frozen=True)
class JobView:
    """A job. `why` and `until` say what it waits for, and until when; "" and None if for nothing.

    `actions` are the events that the actor may send; `unavailable` are the other events of people,
    () in a list.
    `row` is its row in the manifest, {} for a schedule's job, which has an `occurrence` instead.
    `records` are the numbers `processed`, `failed` and `total`; None if the job does not count
    records. A list does not read them for open jobs. `step` is the first unfinished step.
    """

    job: JobRecord
    row: rows.Row
    label: str
    task_state: str
    step: str
    why: str
    until: datetime | None
    actions: tuple[str, ...]
    all_steps: tuple[str, ...]
    occurrence: Occurrence | None = None
    records: Mapping[str, int | None] | None = None
    unavailable: tuple[UnavailableEvent, ...] = ()


def job(job_id: str, context: QueryContext) -> JobView:
    """One job.

    Raises:
        NotFound, Gone: there is no such job, or the actor may not see it.
        Forbidden: it is a schedule's job, and the actor may not see schedules.
    """
    origin = job_origin(job_id, context.actor, context.now)
    view = _job_view(origin, origin.row(context), jobs.find(origin.address), context)
    refused = {
        event: reason for event in JOB.people_events() if (reason := why_closed(origin, event))
    }
    return replace(
        view,
        records=origin.records(view.job),
        unavailable=view.job.unavailable(context.actor.roles, refused),
    )


def _job_view(
    origin: JobOrigin, row: rows.Row, record: JobRecord | None, context: QueryContext
) -> JobView:
    job = record or origin.unwritten_job
    job_type = origin.job_type
    names = tuple(name for name, _ in job_type.steps)
    done = {step.name for step in job.steps if step.status in FINISHED_STEPS}
    current = next((name for name in names if name not in done), "")
    why, until = _why(origin, job, context)
    return JobView(
        job=job,
        row=row,
        label=job_type.label(job.state.value),
        task_state=state_of_only_task(job).value,
        step="" if job.state is JobState.SUCCEEDED else current,
        why=why,
        until=until,
        actions=tuple(e for e in job.actions(context.actor.roles) if is_open(origin, e)),
        all_steps=names,
        occurrence=origin.occurrence,
        records=job.data.get("records"),
    )


def _why(origin: JobOrigin, job: JobRecord, context: QueryContext) -> tuple[str, datetime | None]:
    """What a job waits for, and until when; "" and None if it waits for nothing."""
    if job.state is JobState.HELD:
        return origin.why_held(job, context)
    if job.state is JobState.SCHEDULED and job.next_at:
        return _why_retried(job, origin.job_type), job.next_at
    if job.state is JobState.SCHEDULED:
        return origin.why_queued(job), None
    if job.state is not JobState.FAILED:
        return "", None
    open_events = [event for event in ("requeue", "delete") if is_open(origin, event)]
    if open_events and not job.recoverable and origin.resubmission:
        return origin.resubmission, None
    open_events = [event for event in open_events if event != "requeue" or job.recoverable]
    return (f"waits for a person to {' or '.join(open_events)} it" if open_events else ""), None


def _why_retried(record: JobRecord, job_type: JobType[Any]) -> str:
    """Why a job runs again: the retry, or the message of an attempt that did not fail."""
    last = record.attempts[-1] if record.attempts else None
    if last and last.failure_code in NO_FAILURES:
        return last.failure_message
    return f"retry {record.start_count} of {job_type.retry.max_retries} after {record.failure_code}"


@dataclass(frozen=True)
class JobList:
    """A page of jobs in manifest order, and the (chunk, position) where the next page begins; None
    after the last.
    """

    items: tuple[JobView, ...]
    after: tuple[int, int] | None


def list_jobs(
    batch_id: str, context: QueryContext, *, state: str, after: tuple[int, int], limit: int
) -> JobList:
    """A page of a batch's jobs. With a `state`, only chunks with jobs in that state are read;
    without one, only the shown records and one more.

    Raises:
        NotFound, Gone: there is no such batch, or the actor may not see it.
    """
    found = visible_batch(batch_id, context.actor, context.now)
    wanted = JobState(JOB.state(state).name) if state else None
    shown: list[JobView] = []
    chunk, position = after
    for number in _chunks_with(found, wanted, chunk):
        first = position if number == chunk else 0
        last = None
        if wanted is None:
            if len(shown) == limit:
                return JobList(tuple(shown), (number, first))
            last = first + limit - len(shown)
        for view in _of_chunk(found, number, first, last, context):
            if wanted is None or view.job.state is wanted:
                if len(shown) == limit:
                    return JobList(tuple(shown), position_in_batch(view.job))
                shown.append(view)
    return JobList(tuple(shown), None)


def position_in_batch(job: JobRecord) -> tuple[int, int]:
    """Where a page of its batch's jobs begins with this job: its chunk, and its position there."""
    return job.address.chunk, job.address.position


def _chunks_with(found: Batch, wanted: JobState | None, first: int) -> Iterator[int]:
    """The chunks from `first` on that may hold a job in state `wanted` (None: any)."""
    if wanted is None:
        yield from range(first, found.chunk_count)
        return
    wants_unrecorded = wanted is unrecorded_state(found)
    records = chunks.of_batch(found.batch_id, first=first)
    record = next(records, None)
    for number in range(first, found.chunk_count):
        current = record if record and record.chunk == number else None
        if current:
            record = next(records, None)
        is_unfinished = current is not None and not current.progress(MAIN_RUN).last_pass
        unrecorded = found.job_count(number) - (current.recorded if current else 0)
        counted = current.count(wanted) if current else 0
        if counted or is_unfinished or (wants_unrecorded and unrecorded > 0):
            yield number
        elif current is None and record is None and not wants_unrecorded:
            return


def _of_chunk(
    found: Batch, number: int, first: int, last: int | None, context: QueryContext
) -> Iterator[JobView]:
    """The jobs of a chunk from position `first` to `last` inclusive, or to its end."""
    chunk = rows.chunk_of(context.s3, context.settings, found, number)
    lines = rows.rows_of(context.s3, context.settings, found.batch_id, chunk)
    end = len(lines) if last is None else min(len(lines), last + 1)
    records = jobs.of_chunk(found.batch_id, number, first=first, last=last)
    record = next(records, None)
    for position in range(first, end):
        current = record if record and record.address.position == position else None
        if current:
            record = next(records, None)
        address = JobAddress(found.batch_id, number, position)
        yield _job_view(BatchOrigin(found, address), lines[position], current, context)
