"""Jobs, as lists and details show them: records laid over rows, or over occurrences."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from jobyard.domain.batches.batch import Batch
from jobyard.domain.batches.chunks import MAIN
from jobyard.domain.errors import InvalidTransition
from jobyard.domain.jobs.job import (
    FINISHED_STEPS,
    JOB,
    OPEN_JOB_STATES,
    JobAddress,
    JobRecord,
    JobState,
    new_job,
)
from jobyard.domain.jobs.job_type import JobType
from jobyard.domain.jobs.task import state_of_only_task
from jobyard.domain.schedules.occurrence import Occurrence
from jobyard.domain.schedules.schedule import Schedule
from jobyard.jobtypes import job_type_of
from jobyard.services.access import visible_batch, visible_job
from jobyard.services.batches import rows
from jobyard.services.batches.commands import is_open_to
from jobyard.services.batches.held import held_by
from jobyard.services.context import QueryContext
from jobyard.services.jobs.attempt import NO_FAILURES
from jobyard.services.schedules.access import (
    SCHEDULE_JOB_EVENTS,
    check_open_to_requeue,
    job_of_schedule,
)
from jobyard.store import checkpoints, chunks, jobs


@dataclass(frozen=True)
class JobView:
    """A job with its row. `why` and `until` say what it waits for, "" and None otherwise.

    A schedule's job has no row ({}) but an `occurrence`. `records` are processed, failed and total;
    None where the job counts none. For an open job they are read only for details, not for lists.
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


def job(job_id: str, context: QueryContext) -> JobView:
    """One job.

    Raises:
        NotFound, Gone: there is no such job, or the actor may not know of it.
        Forbidden: it is a schedule's job, and the actor may not see schedules.
    """
    lies_at = JobAddress.of(job_id)
    if lies_at and lies_at.is_of_schedule:
        return _job_of_schedule(lies_at, context)
    found, place = visible_job(job_id, context.actor, context.now)
    row = rows.row_of(context.s3, context.settings, found, place)
    return _job_view(found, place, row, jobs.get(place), context)


def _job_view(
    found: Batch, place: JobAddress, row: rows.Row, record: JobRecord | None, context: QueryContext
) -> JobView:
    if record is None:
        record = new_job(place, found.submitted_at)
        if found.is_cancelled:
            record = replace(record, state=JobState.CANCELLED)
    why, until = _why_job(found, record, context)
    actions = tuple(
        event
        for event in JOB.actions(record.state, context.actor.roles)
        if is_open_to(found, event)
    )
    view = _view_of(record, job_type_of(found.job_type), actions)
    return replace(view, row=row, why=why, until=until)


def _view_of(record: JobRecord, job_type: JobType[Any], actions: tuple[str, ...]) -> JobView:
    """The view of a record, without what its origin adds."""
    names = tuple(name for name, _ in job_type.steps)
    done = {step.name for step in record.steps if step.status in FINISHED_STEPS}
    current = next((name for name in names if name not in done), "")
    if not record.recoverable:
        actions = tuple(action for action in actions if action != "requeue")
    return JobView(
        job=record,
        row={},
        label=job_type.labels.get(record.state.value, record.state.value),
        task_state=state_of_only_task(record).value,
        step="" if record.state is JobState.SUCCEEDED else current,
        why="",
        until=None,
        actions=actions,
        all_steps=names,
        records=record.data.get("records"),
    )


def _job_of_schedule(place: JobAddress, context: QueryContext) -> JobView:
    schedule, occurrence, record = job_of_schedule(place, context.actor)
    record = record or new_job(place, occurrence.decided_at)
    actions = tuple(
        event
        for event in JOB.actions(record.state, context.actor.roles)
        if event in SCHEDULE_JOB_EVENTS and (event != "requeue" or _is_open_to_requeue(schedule))
    )
    view = _view_of(record, job_type_of(occurrence.job_type), actions)
    why, until = _why_job_of_schedule(view, job_type_of(occurrence.job_type))
    records = view.records
    if record.state in OPEN_JOB_STATES:
        checkpoint = checkpoints.get(place.job_id)
        records = checkpoint.counts if checkpoint.version else None
    return replace(view, occurrence=occurrence, why=why, until=until, records=records)


def _is_open_to_requeue(schedule: Schedule) -> bool:
    try:
        check_open_to_requeue(schedule)
    except InvalidTransition:
        return False
    return True


def _why_job_of_schedule(view: JobView, job_type: JobType[Any]) -> tuple[str, datetime | None]:
    record = view.job
    if record.state is JobState.SCHEDULED and record.next_at:
        return _why_again(record, job_type), record.next_at
    if record.state is JobState.SCHEDULED:
        return "waits for a worker", None
    if record.state is JobState.FAILED and view.actions:
        return f"waits for a person to {' or '.join(view.actions)} it", None
    return "", None


def _why_again(record: JobRecord, job_type: JobType[Any]) -> str:
    """Why a job is tried again."""
    last = record.attempts[-1] if record.attempts else None
    if last and last.code in NO_FAILURES:
        return last.message
    return f"retry {record.tries} of {job_type.retry.retries} after {record.failure_code}"


def _why_job(found: Batch, record: JobRecord, context: QueryContext) -> tuple[str, datetime | None]:
    state = record.state
    if state is JobState.HELD:
        last = record.history[-1]
        if last.is_machines:
            return held_by(found, context)
        return f"held by {last.actor}: {last.reason}", None
    if state is JobState.SCHEDULED and record.next_at:
        return _why_again(record, job_type_of(found.job_type)), record.next_at
    if state is JobState.SCHEDULED:
        before = record.place.chunk * found.chunk_size + record.place.position
        if record.history:
            return "waits for a worker", None
        return f"waits for a worker, behind up to {before} other jobs of its batch", None
    if state is JobState.FAILED:
        if not (is_open_to(found, "requeue") or is_open_to(found, "delete")):
            return "", None
        if not record.recoverable:
            return "the depositor has to submit it again", None
        return "waits for a person to requeue or delete it", None
    return "", None


@dataclass(frozen=True)
class JobList:
    """A page of jobs in manifest order, and the (chunk, position) where the next page begins; None
    at the end.
    """

    items: tuple[JobView, ...]
    after: tuple[int, int] | None


def list_jobs(
    batch_id: str, context: QueryContext, *, state: str, after: tuple[int, int], limit: int
) -> JobList:
    """A page of a batch's jobs. With a state, only chunks with jobs in that state are read. Without
    one, only the shown records and one more are read.
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
                    place = view.job.place
                    return JobList(tuple(shown), (place.chunk, place.position))
                shown.append(view)
    return JobList(tuple(shown), None)


def _chunks_with(found: Batch, wanted: JobState | None, first: int) -> Iterator[int]:
    """The chunks from `first` on that may hold a job in state `wanted` (None: any)."""
    if wanted is None:
        yield from range(first, found.chunks)
        return
    cancelled = found.is_cancelled
    rest_is = JobState.CANCELLED if cancelled else JobState.SCHEDULED
    records = chunks.of_batch(found.batch_id, first=first)
    record = next(records, None)
    for number in range(first, found.chunks):
        here = record if record and record.chunk == number else None
        if here:
            record = next(records, None)
        in_hand = here is not None and not here.passage(MAIN).passed
        unrecorded_here = found.size_of(number) - (here.recorded if here else 0)
        counted = here.count(wanted) if here else 0
        if counted or in_hand or (wanted is rest_is and unrecorded_here > 0):
            yield number
        elif here is None and record is None and wanted is not rest_is:
            return


def _of_chunk(
    found: Batch, number: int, first: int, last: int | None, context: QueryContext
) -> Iterator[JobView]:
    """The jobs of a chunk from position `first` up to and with `last`, or to its end."""
    chunk = rows.chunk_of(context.s3, context.settings, found, number)
    lines = rows.rows_of(context.s3, context.settings, found.batch_id, chunk)
    end = len(lines) if last is None else min(len(lines), last + 1)
    records = jobs.of_chunk(found.batch_id, number, first=first, last=last)
    record = next(records, None)
    for position in range(first, end):
        here = record if record and record.place.position == position else None
        if here:
            record = next(records, None)
        place = JobAddress(found.batch_id, number, position)
        yield _job_view(found, place, lines[position], here, context)
