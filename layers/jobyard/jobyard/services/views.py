"""Reads: batches, jobs, operations and reports as those who look at them want them.

`views` lays the records over the rows: a row without a record is a job that is scheduled.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jobyard.domain.batch import BATCH, OPEN_STATES, Batch, BatchState, HistoryEntry
from jobyard.domain.chunks import ChunkRecord, summed
from jobyard.domain.errors import Forbidden, Unknown
from jobyard.domain.failures import Failure
from jobyard.domain.hold import Hold, checked_scope, in_force, scopes_of
from jobyard.domain.job import JOB, JobRecord, JobState, Place, StepStatus, unrecorded
from jobyard.domain.lifecycle import MACHINE
from jobyard.domain.operation import ACCEPTED, JobOutcome, Operation, tally
from jobyard.domain.report import Report
from jobyard.domain.task import state_of_only_task
from jobyard.jobtypes import TYPES
from jobyard.services import rows
from jobyard.services.asking import READERS, Person, batch_and_place, visible
from jobyard.services.running import outcomes_key
from jobyard.services.settings import Settings
from jobyard.services.steering import MAIN
from jobyard.store import batches, chunks, holds, jobs, operations, reports
from jobyard.store.batches import Page
from jobyard.store.tables import BatchItem

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Looking:
    """Who looks, at what time, and what at. `holds` are those on batches looked at before."""

    settings: Settings
    s3: "S3Client"
    person: Person
    now: datetime
    holds: dict[str, Hold | None] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class BatchView:
    """A batch with its counts. `why` and `until` say what it waits for, "" and None otherwise.

    `failure_groups` are (code, sentence, count), the largest first; `actions` are the events this
    person may send.
    """

    batch: Batch
    word: str
    counts: Mapping[str, int]
    failure_groups: tuple[tuple[str, str, int], ...]
    why: str
    until: datetime | None
    actions: tuple[str, ...]


@dataclass(frozen=True)
class JobView:
    """A job with its row. `why` and `until` say what it waits for, "" and None otherwise."""

    job: JobRecord
    row: rows.Row
    word: str
    task_state: str
    step: str
    why: str
    until: datetime | None
    actions: tuple[str, ...]
    all_steps: tuple[str, ...]


# Batches


def batch(batch_id: str, looking: Looking) -> BatchView:
    """One batch.

    Raises:
        Unknown, Gone: there is no such batch, or none this person may know of.
    """
    found = visible(batch_id, looking.person, looking.now)
    records = list(chunks.of_batch(batch_id)) if found.entries else []
    return _batch_view(found, counts_of(found, records), records, looking)


def _batch_view(
    found: Batch, counts: Mapping[str, int], records: list[ChunkRecord], looking: Looking
) -> BatchView:
    failures = summed(record.failures for record in records)
    groups = sorted(failures.items(), key=lambda group: (-group[1], group[0]))
    why, until = _why_batch(found, counts, records, looking)
    return BatchView(
        batch=found,
        word=BATCH.state(found.state).words["deposit"],
        counts=counts,
        failure_groups=tuple((code, Failure(code).sentence, number) for code, number in groups),
        why=why,
        until=until,
        actions=_actions(found, looking.person),
    )


def _actions(found: Batch, person: Person) -> tuple[str, ...]:
    """What this person may ask of a batch; there is nothing to compare where no job ever was."""
    actions = BATCH.actions(found.state, person.roles)
    return actions if found.entries else tuple(a for a in actions if a != "update_reporting")


def counts_of(found: Batch, records: list[ChunkRecord]) -> dict[str, int]:
    """How many of a batch's jobs are in each state; every state is named, and the total."""
    recorded = summed(record.counts for record in records)
    rest = found.entries - sum(recorded.values())
    cancelled = any(entry.after == BatchState.CANCELLING for entry in found.history)
    unrecorded_are = JobState.CANCELLED if cancelled else JobState.SCHEDULED
    counts = {state.value: recorded.get(state.value, 0) for state in JobState}
    counts[unrecorded_are] += rest
    return counts | {"total": found.entries}


def _why_batch(
    found: Batch, counts: Mapping[str, int], records: list[ChunkRecord], looking: Looking
) -> tuple[str, datetime | None]:
    state = found.state
    if state is BatchState.PENDING and found.source is None:
        return "waits for its manifest to be uploaded", found.upload_until
    if state is BatchState.PENDING:
        return "waits for the machine to open it", None
    if state is BatchState.HELD:
        return _held_by(found, looking)
    waiting = _open_words(counts)
    retries = [
        passage.next_at for record in records for passage in record.runs.values() if passage.next_at
    ]
    next_retry = min(retries, default=None)
    if state is BatchState.PROCESSING and not found.entries:
        return "its manifest is being read", None
    if state is BatchState.PROCESSING and counts["held"] and not _moves(counts):
        stop = _hold_on(found, looking)
        return (f"{waiting}; {stop.words()}", stop.until) if stop else (waiting, None)
    if state in {BatchState.PROCESSING, BatchState.CANCELLING, BatchState.UPDATE_REPORTING}:
        return waiting or "its last jobs are being counted", next_retry
    if state is BatchState.REPORTING:
        return "its report is being written", None
    if state is BatchState.FAILED and counts["failed"]:
        number = counts["failed"]
        return f"{number} failed job{'s' * (number != 1)} for a person to requeue or delete", None
    return (waiting if state is BatchState.FAILED else ""), None


def _held_by(found: Batch, looking: Looking) -> tuple[str, datetime | None]:
    """Why a batch, or a job of it that the machine held, is held, and until when."""
    stop = _hold_on(found, looking)
    if stop:
        return stop.words(), stop.until
    return "held, though nothing holds it any more; release it", None


def _hold_on(found: Batch, looking: Looking) -> Hold | None:
    if found.batch_id not in looking.holds:
        on_it = holds.of_scopes(scopes_of(found.collection, found.job_type))
        looking.holds[found.batch_id] = in_force(on_it, looking.now)
    return looking.holds[found.batch_id]


def _moves(counts: Mapping[str, int]) -> bool:
    return any(counts[state] for state in ("running", "scheduled", "paused"))


def _open_words(counts: Mapping[str, int]) -> str:
    named = (
        ("running", "running"),
        ("scheduled", "waiting for their turn or a retry"),
        ("held", "held"),
        ("paused", "paused"),
    )
    parts = [f"{counts[state]} {words}" for state, words in named if counts[state]]
    return f"waits for its jobs: {', '.join(parts)}" if parts else ""


@dataclass(frozen=True)
class Listed:
    """Some batches, newest first, and where the next page begins, None when there is none."""

    items: tuple[BatchView, ...]
    after: Mapping[str, str] | None


def list_batches(
    looking: Looking, *, state: str, collection: str, after: Mapping[str, str], limit: int
) -> Listed:
    """A page of batches. One filter is answered by its index; a second one is applied to what the
    index gives, so such a page may cost more reads than it shows.

    Raises:
        Forbidden: the person may see no batch at all.
    """
    wanted = BATCH.state(state).name if state else ""
    person = looking.person
    if not person.roles & READERS:
        if "depositor" not in person.roles:
            raise Forbidden(f"batches are for depositor, {', '.join(sorted(READERS))}")
        pages = _pages(BatchItem.by_submitter, person.name, after.get("before", ""), limit)
    elif collection:
        pages = _pages(BatchItem.by_collection, collection, after.get("before", ""), limit)
    elif wanted:
        pages = _pages(BatchItem.by_state, wanted, after.get("before", ""), limit)
    else:
        return _by_month(looking, after, limit)
    found: list[Batch] = []
    place = ""
    for page in pages:
        for each in page.items:
            right = (not wanted or each.state == wanted) and (
                not collection or each.collection == collection
            )
            if right and not _is_over(each, looking.now):
                found.append(each)
        place = page.after
        if len(found) >= limit:
            break
    shown = found[:limit]
    if len(found) > limit:
        place = batches.place_of(shown[-1])
    return Listed(_views(shown, looking), {"before": place} if place else None)


def _pages(index: Any, key: str, before: str, limit: int) -> Iterator[Page]:
    while True:
        page = batches.listed(index, key, limit=limit, before=before)
        yield page
        before = page.after
        if not before:
            return


def _by_month(looking: Looking, after: Mapping[str, str], limit: int) -> Listed:
    """All batches, newest first: month by month back to the first month there is one in."""
    month = after.get("month") or looking.now.strftime("%Y-%m")
    before = after.get("before", "")
    first = batches.first_month()
    found: list[Batch] = []
    while first and month >= first and len(found) < limit:
        page = batches.listed(BatchItem.by_month, month, limit=limit - len(found), before=before)
        found += [each for each in page.items if not _is_over(each, looking.now)]
        before = page.after
        month = month if before else _month_before(month)
    more = bool(first) and month >= first
    place = {"month": month, "before": before} if more else None
    return Listed(_views(found, looking), place)


def _month_before(month: str) -> str:
    year, number = int(month[:4]), int(month[5:])
    return f"{year - 1}-12" if number == 1 else f"{year}-{number - 1:02d}"


def _is_over(found: Batch, now: datetime) -> bool:
    never_came = found.state is BatchState.PENDING and found.source is None
    return never_came and found.upload_until is not None and found.upload_until <= now


def _views(found: list[Batch], looking: Looking) -> tuple[BatchView, ...]:
    """Batches as a list shows them: with the counts their last report told, if there was one.

    So a list reads no more than it shows; only a batch that is open for the first time is counted.
    """
    views = []
    for each in found:
        if each.reported:
            told = {**each.reported, JobState.SCHEDULED: each.reported.get("waiting", 0)}
            counts = {state.value: told.get(state.value, 0) for state in JobState}
            views.append(_batch_view(each, counts | {"total": each.entries}, [], looking))
        else:
            records = list(chunks.of_batch(each.batch_id)) if each.entries else []
            views.append(_batch_view(each, counts_of(each, records), records, looking))
    return tuple(views)


# Jobs


def job(job_id: str, looking: Looking) -> JobView:
    """One job.

    Raises:
        Unknown, Gone: there is no such job, or none this person may know of.
    """
    found, place = batch_and_place(job_id, looking.person, looking.now)
    row = rows.row_of(looking.s3, looking.settings, found, place)
    return _job_view(found, place, row, jobs.get(place), looking)


def _job_view(
    found: Batch, place: Place, row: rows.Row, record: JobRecord | None, looking: Looking
) -> JobView:
    if record is None:
        record = unrecorded(place, found.submitted_at)
        if any(entry.after == BatchState.CANCELLING for entry in found.history):
            record = replace(record, state=JobState.CANCELLED)
    job_type = TYPES[found.job_type]
    names = tuple(name for name, _ in job_type.steps)
    why, until = _why_job(found, record, looking)
    done = {step.name for step in record.steps if step.status in _PASSED}
    current = next((name for name in names if name not in done), "")
    actions = JOB.actions(record.state, looking.person.roles)
    if not record.recoverable:
        actions = tuple(action for action in actions if action != "requeue")
    return JobView(
        job=record,
        row=row,
        word=job_type.words.get(record.state.value, record.state.value),
        task_state=state_of_only_task(record).value,
        step="" if record.state is JobState.SUCCEEDED else current,
        why=why,
        until=until,
        actions=actions,
        all_steps=names,
    )


_PASSED = frozenset({StepStatus.COMPLETED, StepStatus.SKIPPED})


def _why_job(found: Batch, record: JobRecord, looking: Looking) -> tuple[str, datetime | None]:
    state = record.state
    if state is JobState.HELD:
        last = record.history[-1]
        if last.actor == MACHINE:
            return _held_by(found, looking)
        return f"held by {last.actor}: {last.reason}", None
    if state is JobState.SCHEDULED and record.next_at:
        failed = record.attempts[-1] if record.attempts else None
        if failed and failed.code == "WAIT":
            return failed.message, record.next_at
        retries = TYPES[found.job_type].retry.retries
        return f"retry {record.tries} of {retries} after {record.failure_code}", record.next_at
    if state is JobState.SCHEDULED:
        before = record.place.chunk * found.chunk_size + record.place.position
        if record.history:
            return "waits for a worker", None
        return f"waits for a worker, behind up to {before} other jobs of its batch", None
    if state is JobState.FAILED:
        if not record.recoverable:
            return "the depositor has to submit it again", None
        return "waits for a person to requeue or delete it", None
    return "", None


@dataclass(frozen=True)
class ListedJobs:
    """Some jobs in manifest order, and the (chunk, position) the next page begins at, or None."""

    items: tuple[JobView, ...]
    after: tuple[int, int] | None


def list_jobs(
    batch_id: str, looking: Looking, *, state: str, after: tuple[int, int], limit: int
) -> ListedJobs:
    """A page of a batch's jobs. With a state, only chunks whose counts know of it are read."""
    found = visible(batch_id, looking.person, looking.now)
    wanted = JobState(JOB.state(state).name) if state else None
    shown: list[JobView] = []
    chunk, position = after
    for number in _chunks_with(found, wanted, chunk):
        first = position if number == chunk else 0
        for view in _of_chunk(found, number, first, looking):
            if wanted is None or view.job.state is wanted:
                if len(shown) == limit:
                    place = view.job.place
                    return ListedJobs(tuple(shown), (place.chunk, place.position))
                shown.append(view)
    return ListedJobs(tuple(shown), None)


def _chunks_with(found: Batch, wanted: JobState | None, first: int) -> Iterator[int]:
    """The chunks from `first` on that may hold a job in state `wanted` (None: any)."""
    if wanted is None:
        yield from range(first, found.chunks)
        return
    cancelled = any(entry.after == BatchState.CANCELLING for entry in found.history)
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


def _of_chunk(found: Batch, number: int, first: int, looking: Looking) -> Iterator[JobView]:
    chunk = rows.chunk_of(looking.s3, looking.settings, found, number)
    lines = rows.rows_of(looking.s3, looking.settings, found.batch_id, chunk)
    records = jobs.of_chunk(found.batch_id, number, first=first)
    record = next(records, None)
    for position in range(first, len(lines)):
        here = record if record and record.place.position == position else None
        if here:
            record = next(records, None)
        place = Place(found.batch_id, number, position)
        yield _job_view(found, place, lines[position], here, looking)


# Operations, reports, findings


@dataclass(frozen=True)
class OperationView:
    """An operation with what came of each job, chunk by chunk; `after` is the next chunk's place
    in the operation's list, None when all are shown."""

    operation: Operation
    counts: Mapping[str, int]
    outcomes: tuple[JobOutcome, ...]
    after: int | None


def operation(
    batch_id: str, operation_id: str, looking: Looking, *, after: int = 0, limit: int = 10
) -> OperationView:
    """An operation and the outcomes in up to `limit` of its chunks.

    Raises:
        Unknown, Gone: there is no such batch or operation, or none this person may know of.
    """
    visible(batch_id, looking.person, looking.now)
    found = operations.get(batch_id, operation_id)
    outcomes: list[JobOutcome] = []
    for number in found.chunks[after : after + limit]:
        outcomes += _outcomes(found, number, looking)
    following = after + limit
    return OperationView(
        found,
        tally(outcomes),
        tuple(outcomes),
        following if following < len(found.chunks) else None,
    )


def _outcomes(found: Operation, number: int, looking: Looking) -> list[JobOutcome]:
    key = outcomes_key(found.batch_id, found.operation_id, number)
    try:
        body = looking.s3.get_object(Bucket=looking.settings.work_bucket, Key=key)["Body"]
    except looking.s3.exceptions.NoSuchKey:
        return []
    stands = {job.place.job_id: job.state.value for job in jobs.of_chunk(found.batch_id, number)}
    outcomes = [JobOutcome(*json.loads(line)) for line in body.read().splitlines()]
    return [
        replace(each, outcome=stands[each.job_id]) if each.outcome == ACCEPTED else each
        for each in outcomes
    ]


def list_reports(batch_id: str, looking: Looking) -> list[Report]:
    """A batch's reports, first to last.

    Raises:
        Unknown, Gone: there is no such batch, or none this person may know of.
    """
    visible(batch_id, looking.person, looking.now)
    return list(reports.of_batch(batch_id))


_CONTENT_TYPES = {"csv": "text/csv", "json": "application/json", "html": "text/html"}


def link_to(report: Report, name: str, looking: Looking) -> str:
    """A link to a file of a report, good for a quarter of an hour; never shown inline but our own
    page, whose every word is escaped."""
    suffix = name.rsplit(".", 1)[-1]
    shown = "inline" if suffix == "html" else "attachment"
    return looking.s3.generate_presigned_url(
        "get_object",
        Params={
            "Bucket": looking.settings.work_bucket,
            "Key": report.files[name],
            "ResponseContentType": f"{_CONTENT_TYPES[suffix]}; charset=utf-8",
            "ResponseContentDisposition": f'{shown}; filename="{report.batch_id}-{name}"',
        },
        ExpiresIn=900,
    )


LINKED = ("jobs.csv", "failures.csv", "report.json", "report.html")


def list_findings(
    batch_id: str, looking: Looking, *, after: int, limit: int
) -> tuple[list[dict[str, Any]], int | None]:
    """Up to `limit` findings of a batch's manifest, and where the next ones begin, None at the end.

    `after` is such a place: a byte of the file they lie in, so that no page reads those before it.
    """
    found = visible(batch_id, looking.person, looking.now)
    if not found.findings:
        return [], None
    answer = looking.s3.get_object(
        Bucket=looking.settings.work_bucket,
        Key=rows.findings_key(batch_id),
        Range=f"bytes={after}-",
    )
    shown: list[dict[str, Any]] = []
    for line in answer["Body"].iter_lines(keepends=True):
        if len(shown) == limit:
            return shown, after
        shown.append(json.loads(line))
        after += len(line)
    return shown, None


# Holds


def list_holds(looking: Looking) -> list[Hold]:
    """All holds by scope, those that have run out and were not lifted among them.

    Raises:
        Forbidden: the person may see no batch, so none of what stops them.
    """
    if not looking.person.roles & {*READERS, "depositor"}:
        raise Forbidden(f"holds are shown to depositor, {', '.join(sorted(READERS))}")
    return sorted(holds.every(), key=lambda hold: hold.scope)


def hold(scope: str, looking: Looking) -> Hold:
    """The hold on a scope.

    Raises:
        Forbidden: as for `list_holds`. BadRequest: no such scope. Unknown: nothing holds it.
    """
    if not looking.person.roles & {*READERS, "depositor"}:
        raise Forbidden(f"holds are shown to depositor, {', '.join(sorted(READERS))}")
    found = holds.get(checked_scope(scope))
    if found is None:
        raise Unknown(f"there is no hold on {scope}")
    return found


# The backlog


@dataclass(frozen=True)
class Backlog:
    """How many batches are open; how old the oldest and the oldest unopened are, in seconds."""

    open_batches: int
    oldest_s: float
    queue_age_s: float


def backlog(now: datetime) -> Backlog:
    """What is open, as the index knows it."""
    found = [
        each
        for state in sorted(OPEN_STATES)
        for each in batches.in_state(BatchState(state))
        if each.source is not None
    ]
    ages = [(now - each.submitted_at).total_seconds() for each in found]
    waiting = [
        (now - each.submitted_at).total_seconds()
        for each in found
        if each.state is BatchState.PENDING
    ]
    return Backlog(len(found), max(ages, default=0.0), max(waiting, default=0.0))


def history(entries: tuple[HistoryEntry, ...]) -> list[dict[str, Any]]:
    """History as documents, oldest first."""
    return [
        {
            "event": entry.event,
            "from": entry.before,
            "to": entry.after,
            "at": entry.at.isoformat(),
            "actor": entry.actor,
            "reason": entry.reason,
            "cause": entry.cause,
        }
        for entry in entries
    ]
