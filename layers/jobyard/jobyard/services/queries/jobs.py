"""Jobs, as lists and details show them.

A batch's job is a row of the manifest with its record, a campaign's task a target with its record.
Without a record they are scheduled, or have ended as their batch or campaign has. A schedule's job
is an occurrence with its record.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from jobyard.domain.access import roles_for
from jobyard.domain.batches.batch import Batch
from jobyard.domain.batches.chunks import Chunk
from jobyard.domain.errors import NotFound
from jobyard.domain.ids import Origin
from jobyard.domain.jobs.job import (
    JOB,
    NO_FAILURES,
    JobAddress,
    JobRecord,
    JobState,
)
from jobyard.domain.jobs.task import state_of_only_task
from jobyard.domain.lifecycle import UnavailableEvent
from jobyard.domain.schedules.occurrence import Occurrence
from jobyard.services.access import visible_batch
from jobyard.services.batches import rows
from jobyard.services.batches.job_origin import BatchOrigin
from jobyard.services.context import QueryContext
from jobyard.services.jobs.origin import JobOrigin, is_open, why_closed
from jobyard.services.origins import job_origin
from jobyard.services.queries.chunk_search import ChunkSearch, search_chunks
from jobyard.services.queries.searched import Searched
from jobyard.store import jobs

MAX_CHUNKS_SEARCHED = 30  # that a page reads for a step, a name, or a job before or after another
_INDEX_LINES = 50  # lines of the chunks' index that are read at once


@dataclass(frozen=True)
class JobView:
    """A job. `why` and `until` say what it waits for, and until when; "" and None if for nothing.

    `actions` are the events that the actor may send; `unavailable` are the other events of people,
    () in a list.
    `row` is its row in the manifest or its target; {} for a schedule's job, which has an
    `occurrence` instead.
    `origin_title` is what people call its batch, schedule or campaign, `job_type` names its type.
    `records` are the numbers `processed`, `failed` and `total`; None if the job does not count
    records. A list does not read them for open jobs. `step` is the first unfinished step.
    `advice` says what a person can do at the device that is stuck in the step; "" if none is.
    `kept_until` is when it is archived at the earliest; None while that is open.
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
    origin_title: str
    job_type: str
    occurrence: Occurrence | None = None
    records: Mapping[str, int | None] | None = None
    unavailable: tuple[UnavailableEvent, ...] = ()
    kept_until: datetime | None = None
    advice: str = ""


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
    current = job_type.current_step(job)
    why, until = _why(origin, job, context)
    return JobView(
        job=job,
        row=row,
        label=origin.label(job),
        task_state=state_of_only_task(job).value,
        step=current,
        why=why,
        until=until,
        actions=tuple(e for e in job.actions(context.actor.roles) if is_open(origin, e)),
        all_steps=tuple(name for name, _ in job_type.steps),
        origin_title=origin.title,
        job_type=job_type.name,
        occurrence=origin.occurrence,
        records=job.data.get("records"),
        kept_until=origin.kept_until,
        advice=job_type.advice.get(current, "") if _is_stuck(job) else "",
    )


def _is_stuck(job: JobRecord) -> bool:
    """Whether the last attempt of a job failed, and it has not succeeded since."""
    has_failed = bool(job.attempts) and job.attempts[-1].failure_code not in NO_FAILURES
    return has_failed and job.state in {JobState.SCHEDULED, JobState.FAILED, JobState.RUNNING}


def _why(origin: JobOrigin, job: JobRecord, context: QueryContext) -> tuple[str, datetime | None]:
    """What a job waits for, and until when; "" and None if it waits for nothing."""
    if job.state is not JobState.FAILED:
        return origin.why_waiting(job, context)
    kind = job.address.kind
    possible = [event for event in ("requeue", "delete") if roles_for(kind, event)]
    open_events = [event for event in possible if is_open(origin, event)]
    if open_events and not job.requeueable and origin.resubmit_hint:
        return origin.resubmit_hint, None
    open_events = [event for event in open_events if event != "requeue" or job.requeueable]
    return (f"waits for a person to {' or '.join(open_events)} it" if open_events else ""), None


@dataclass(frozen=True)
class JobList:
    """A page of jobs in manifest order, and the (chunk, position) where the next page begins; None
    after the last. `searched` is how far a page that is not full was searched; None if that is to
    the end.
    """

    items: tuple[JobView, ...]
    after: tuple[int, int] | None
    searched: Searched | None = None


@dataclass(frozen=True)
class JobMatch:
    """Which jobs of a batch a list shows: those that have all that is given; "" is anything.

    `code` is the failure code of a failed job, `step` the first unfinished step, and `name` a part
    of the name of the file or object in the row, in any case.
    """

    state: str = ""
    code: str = ""
    step: str = ""
    name: str = ""

    @property
    def is_any(self) -> bool:
        """Whether all jobs match."""
        return self == _ANY_JOB

    @property
    def needs_rows(self) -> bool:
        """Whether the counts of a chunk do not tell if a job in it may match."""
        return bool(self.step or self.name)

    def matches(self, view: JobView) -> bool:
        """Whether a job matches."""
        job = view.job
        if self.state and job.state != self.state:
            return False
        if self.code and (job.state is not JobState.FAILED or job.failure_code != self.code):
            return False
        if self.step and view.step != self.step:
            return False
        return not self.name or self.name.casefold() in rows.names_in(view.row).casefold()


_ANY_JOB = JobMatch()


def list_jobs(
    batch_id: str,
    context: QueryContext,
    *,
    state: str,
    after: tuple[int, int],
    limit: int,
    matching: JobMatch = _ANY_JOB,
) -> JobList:
    """A page of a batch's jobs: those in `state` ("" for any) that are `matching`.

    Without a filter, only the shown records and one more are read. With a state or a code, only
    chunks with such jobs are, and some counts. With a step or a name, up to `MAX_CHUNKS_SEARCHED`
    chunks are, so a page may be short, or empty, although another follows.

    Raises:
        NotFound, Gone: there is no such batch, or the actor may not see it.
    """
    found = visible_batch(batch_id, context.actor, context.now)
    wanted = replace(matching, state=JOB.state(state).name if state else "")
    search = search_chunks(found, wanted.state, wanted.code, context)
    reader = JobReader(search, context)
    shown: list[JobView] = []
    chunk, position = after
    for read, number in enumerate(search.forwards(chunk)):
        first = position if number == chunk else 0
        last = None
        if wanted.is_any:
            if len(shown) == limit:
                return JobList(tuple(shown), (number, first))
            last = first + limit - len(shown)
        elif wanted.needs_rows and read == MAX_CHUNKS_SEARCHED:
            last_read = number * found.chunk_size
            count = last_read - chunk * found.chunk_size - position
            return JobList(tuple(shown), (number, first), Searched(count, last_read))
        for view in reader.of_chunk(number, first, last):
            if wanted.matches(view):
                if len(shown) == limit:
                    return JobList(tuple(shown), position_in_batch(view.job))
                shown.append(view)
    return JobList(tuple(shown), None)


@dataclass(frozen=True)
class Neighbours:
    """The ids of the jobs before and after a job among those that match; "" for none.

    Only some chunks are searched. Jobs up to number `unsearched_to` of the manifest were not, nor
    those from number `unsearched_from` on; 0 if a job was found there, or there is none.
    """

    before: str
    after: str
    unsearched_to: int = 0
    unsearched_from: int = 0


def neighbours(job_id: str, context: QueryContext, matching: JobMatch = _ANY_JOB) -> Neighbours:
    """The jobs of the same batch before and after a job, among those that match. If all do, no job
    is read.

    Raises:
        NotFound, Gone: there is no such job of a batch, or the actor may not see it.
    """
    address = JobAddress.parse(job_id)
    if address is None or address.origin is not Origin.BATCH:
        raise NotFound(f"{job_id!r} is not a job of a batch")
    found = visible_batch(address.origin_id, context.actor, context.now)
    if matching.is_any:
        return _adjacent(found, address)
    here = (address.chunk, address.position)
    search = search_chunks(found, matching.state, matching.code, context)
    reader = JobReader(search, context)
    later, after = reader.first_match(
        search.forwards(address.chunk),
        lambda view: matching.matches(view) and position_in_batch(view.job) > here,
    )
    earlier, before = reader.first_match(
        search.backwards(address.chunk),
        lambda view: matching.matches(view) and position_in_batch(view.job) < here,
        is_backwards=True,
    )
    return Neighbours(
        earlier,
        later,
        0 if before is None else (before + 1) * found.chunk_size,
        0 if after is None else after * found.chunk_size + 1,
    )


def _adjacent(batch: Batch, address: JobAddress) -> Neighbours:
    """The jobs right before and after one in the manifest."""
    number = address.chunk * batch.chunk_size + address.position
    before, after = (
        JobAddress(batch.batch_id, *divmod(each, batch.chunk_size)).job_id
        if 0 <= each < batch.entries
        else ""
        for each in (number - 1, number + 1)
    )
    return Neighbours(before, after)


def position_in_batch(job: JobRecord) -> tuple[int, int]:
    """Where a page of its batch's jobs begins with this job: its chunk, and its position there."""
    return job.address.chunk, job.address.position


@dataclass(frozen=True)
class JobReader:
    """Reads the jobs of chunks that a search finds. `index` has chunks read so far, by number."""

    search: ChunkSearch
    context: QueryContext
    index: dict[int, Chunk] = field(default_factory=dict)

    def of_chunk(self, number: int, first: int = 0, last: int | None = None) -> Iterator[JobView]:
        """The jobs of a chunk from position `first` to `last` inclusive, or to its end: those in
        the state that is searched for, if they have a record.
        """
        batch, state = self.search.batch, self.search.state
        is_sparse = not self.search.includes_unrecorded
        lines = self._rows(number)
        end = len(lines) if last is None else min(len(lines), last + 1)
        records = jobs.of_chunk(
            batch.batch_id, number, first=first, last=last, state=state if is_sparse else ""
        )
        record = next(records, None)
        for position in range(first, end):
            current = record if record and record.address.position == position else None
            if current:
                record = next(records, None)
            if current or not is_sparse:
                address = JobAddress(batch.batch_id, number, position)
                yield _job_view(BatchOrigin(batch, address), lines[position], current, self.context)

    def _rows(self, number: int) -> list[rows.Row]:
        batch, s3, settings = self.search.batch, self.context.s3, self.context.settings
        if number not in self.index:
            first = number // _INDEX_LINES * _INDEX_LINES
            last = min(first + _INDEX_LINES, batch.chunk_count) - 1
            found = rows.chunks_between(s3, settings, batch.batch_id, first, last)
            self.index.update((each.number, each) for each in found)
        return rows.rows_of(s3, settings, batch.batch_id, self.index[number])

    def first_match(
        self,
        numbers: Iterable[int],
        matches: Callable[[JobView], bool],
        *,
        is_backwards: bool = False,
    ) -> tuple[str, int | None]:
        """The id of the first job that matches in the chunks `numbers`, "" if none does; and the
        first chunk that was not read, if the search stopped after `MAX_CHUNKS_SEARCHED`, else None.

        If it `is_backwards`, the jobs of each chunk are checked from the last to the first.
        """
        for read, number in enumerate(numbers):
            if read == MAX_CHUNKS_SEARCHED:
                return "", number
            views = self.of_chunk(number)
            for view in reversed([*views]) if is_backwards else views:
                if matches(view):
                    return view.job.address.job_id, None
        return "", None
