"""Batches, as lists and details show them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from jobyard.domain.access import is_allowed
from jobyard.domain.batches.batch import BATCH, Batch, BatchState
from jobyard.domain.batches.chunks import ChunkRecord, sum_counts
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JobState
from jobyard.domain.lifecycle import StateType
from jobyard.domain.plurals import plural
from jobyard.services.access import authorize, visible_batch
from jobyard.services.batches.held import held_by, hold_on
from jobyard.services.context import Actor, QueryContext
from jobyard.store import batches, chunks
from jobyard.store.batches import BatchPage

MAX_COUNTED_CHUNKS = 10_000  # chunks whose counts a page of batches reads
MAX_SCANNED_BATCHES = 2_000  # batches a page reads for those that pass a second filter
_MAY_BE_HELD = frozenset({BatchState.PROCESSING, BatchState.UPDATE_REPORTING})


@dataclass(frozen=True)
class BatchView:
    """A batch with its counts of jobs by state. `why` and `until` say what it waits for, and until
    when; "" and None if it waits for nothing.

    `failure_groups` are (code, description, count, how many of them cannot be requeued), largest
    first; None if they were not counted. `actions` are the events that the actor may send.
    """

    batch: Batch
    label: str
    counts: Mapping[str, int]
    failure_groups: tuple[tuple[str, str, int, int], ...] | None
    why: str
    until: datetime | None
    actions: tuple[str, ...]


def batch(batch_id: str, context: QueryContext) -> BatchView:
    """One batch.

    Raises:
        NotFound, Gone: there is no such batch, or the actor may not see it.
    """
    found = visible_batch(batch_id, context.actor, context.now)
    records = list(chunks.of_batch(batch_id)) if found.entries else []
    return _counted_view(found, records, context)


def _counted_view(found: Batch, records: list[ChunkRecord], context: QueryContext) -> BatchView:
    """A batch with the counts and failures of its chunks."""
    failures = sum_counts(record.failures for record in records)
    not_retryable = sum_counts(record.not_retryable for record in records)
    view = _batch_view(found, counts_of(found, records), records, context)
    largest_first = sorted(failures.items(), key=lambda group: (-group[1], group[0]))
    groups = tuple(
        (code, Failure(code).description, number, not_retryable.get(code, 0))
        for code, number in largest_first
    )
    return replace(view, failure_groups=groups)


def _batch_view(
    found: Batch, counts: Mapping[str, int], records: list[ChunkRecord], context: QueryContext
) -> BatchView:
    """A batch with the given counts. Its failures stay uncounted."""
    why, until = _why(found, counts, records, context)
    return BatchView(
        batch=found,
        label=BATCH.state(found.state).labels["deposit"],
        counts=counts,
        failure_groups=None if counts["failed"] else (),
        why=why,
        until=until,
        actions=_actions(found, context.actor),
    )


def _actions(found: Batch, actor: Actor) -> tuple[str, ...]:
    """The events that the actor may send to a batch. A report without jobs cannot be updated."""
    actions = BATCH.actions(found.state, actor.roles)
    return actions if found.entries else tuple(a for a in actions if a != "update_reporting")


def counts_of(found: Batch, records: list[ChunkRecord]) -> dict[str, int]:
    """How many of a batch's jobs are in each state, for every state, and the total."""
    recorded = sum_counts(record.counts for record in records)
    counts = {state.value: recorded.get(state.value, 0) for state in JobState}
    counts[unrecorded_state(found)] += found.entries - sum(recorded.values())
    return counts | {"total": found.entries}


def unrecorded_state(found: Batch) -> JobState:
    """The state of a batch's jobs that have no record."""
    return JobState.CANCELLED if found.is_cancelled else JobState.SCHEDULED


def _why(
    found: Batch, counts: Mapping[str, int], records: list[ChunkRecord], context: QueryContext
) -> tuple[str, datetime | None]:
    """What a batch waits for, and until when; "" and None if it waits for nothing."""
    state = found.state
    if state is BatchState.PENDING and found.source is None:
        return "waits for its manifest to arrive and be opened", found.upload_until
    if state is BatchState.PENDING:
        return "waits for the machine to open it", None
    if state is BatchState.HELD:
        return held_by(found, context)
    waiting = _open_jobs(counts)
    retries = [run.next_at for record in records for run in record.runs.values() if run.next_at]
    next_retry = min(retries, default=None)
    if state is BatchState.PROCESSING and not found.entries:
        return "its manifest is being read", None
    if state in _MAY_BE_HELD and counts["held"] and not _has_unheld_jobs(counts):
        hold = hold_on(found, context)
        return (f"{waiting}; {hold.description()}", hold.until) if hold else (waiting, None)
    if state in {BatchState.PROCESSING, BatchState.CANCELLING, BatchState.UPDATE_REPORTING}:
        return waiting or "its last jobs are being counted", next_retry
    if state is BatchState.REPORTING:
        return "its report is being written", None
    return (_why_failed(found, counts, records) if state is BatchState.FAILED else ""), None


def _why_failed(found: Batch, counts: Mapping[str, int], records: list[ChunkRecord]) -> str:
    number = counts["failed"]
    failed = plural(number, "failed job")
    not_retryable = sum(sum(record.not_retryable.values()) for record in records)
    if number and not_retryable == number:
        return f"{failed} for the depositor to submit again, or a person to delete"
    if number:
        return f"{failed} for a person to requeue or delete"
    if not found.entries:
        return ""
    return _open_jobs(counts) or "repaired: no failed jobs are left; update-reporting reports this"


def _has_unheld_jobs(counts: Mapping[str, int]) -> bool:
    """Whether any open job is not held."""
    return any(counts[state] for state in ("running", "scheduled", "paused"))


def _open_jobs(counts: Mapping[str, int]) -> str:
    """The open jobs as text, by state; "" for none."""
    descriptions = (
        ("running", "running"),
        ("scheduled", "waiting for their turn or a retry"),
        ("held", "held"),
        ("paused", "paused"),
    )
    parts = [f"{counts[state]} {text}" for state, text in descriptions if counts[state]]
    return f"waits for its jobs: {', '.join(parts)}" if parts else ""


@dataclass(frozen=True)
class BatchList:
    """A page of batches, newest first, and where the next page begins; None after the last."""

    items: tuple[BatchView, ...]
    after: Mapping[str, str] | None


def list_batches(
    context: QueryContext, *, state: str, collection: str, after: Mapping[str, str], limit: int
) -> BatchList:
    """A page of batches: all that the actor may see, by `state` and `collection`, "" for any.

    One filter has an index, and a second one is applied to its results. So such a page may read
    more batches than it shows, up to `MAX_SCANNED_BATCHES`.

    Raises:
        Forbidden: the actor may see no batch at all.
    """
    wanted = BATCH.state(state).name if state else ""
    actor = context.actor
    authorize(actor, "batch", "list")
    sees_all = is_allowed("batch", "view", actor.roles)

    def is_shown(each: Batch) -> bool:
        # Batches from before there were ids are indexed by name, and a name may look like an id.
        return (
            (sees_all or each.is_submitted_by(actor.sub))
            and (not wanted or each.state == wanted)
            and (not collection or each.collection == collection)
            and not each.has_expired(context.now)
        )

    if not sees_all:
        pages = _pages(batches.of_submitter, actor.sub, after.get("before", ""), limit)
    elif collection:
        pages = _pages(batches.of_collection, collection, after.get("before", ""), limit)
    elif wanted:
        pages = _pages(batches.of_state, wanted, after.get("before", ""), limit)
    else:
        return _by_month(context, after, limit)
    found: list[Batch] = []
    before, scanned = "", 0
    for page in pages:
        found += filter(is_shown, page.items)
        before = page.after
        scanned += len(page.items)
        if len(found) >= limit or scanned >= MAX_SCANNED_BATCHES:
            break
    views = _views(found[:limit], context)
    if len(found) > len(views):
        before = batches.page_key(views[-1].batch)
    return BatchList(views, {"before": before} if before else None)


def _pages(
    read: Callable[..., BatchPage], key: str, before: str, limit: int
) -> Iterator[BatchPage]:
    while True:
        page = read(key, limit=limit, before=before)
        yield page
        before = page.after
        if not before:
            return


def _by_month(context: QueryContext, after: Mapping[str, str], limit: int) -> BatchList:
    """All batches, newest first, month by month back to the first month with a batch."""
    month = after.get("month") or context.now.strftime("%Y-%m")
    before = after.get("before", "")
    first = batches.first_month()
    found: list[Batch] = []
    scanned = 0
    while first and month >= first and len(found) < limit and scanned < MAX_SCANNED_BATCHES:
        page = batches.of_month(month, limit=limit - len(found), before=before)
        scanned += len(page.items) + 1
        found += [each for each in page.items if not each.has_expired(context.now)]
        before = page.after
        month = month if before else _month_before(month)
    has_more = bool(first) and month >= first
    following = {"month": month, "before": before} if has_more else None
    views = _views(found, context)
    if len(found) > len(views):
        last = batches.page_key(views[-1].batch)
        following = {"month": last[:7], "before": last}
    return BatchList(views, following)


def _month_before(month: str) -> str:
    year, number = int(month[:4]), int(month[5:])
    return f"{year - 1}-12" if number == 1 else f"{year}-{number - 1:02d}"


def _views(found: list[Batch], context: QueryContext) -> tuple[BatchView, ...]:
    """The first of `found` as a list shows them: at least one, and up to `MAX_COUNTED_CHUNKS`
    chunks in all.

    A batch in a terminal state shows the counts of its last report. Others are counted, because a
    failed one may have been repaired since.
    """
    views: list[BatchView] = []
    counted = 0
    for each in found:
        if each.reported_counts and BATCH.state(each.state).type is StateType.TERMINAL:
            reported = {
                **each.reported_counts,
                JobState.SCHEDULED: each.reported_counts.get("waiting", 0),
            }
            counts = {state.value: reported.get(state.value, 0) for state in JobState}
            views.append(_batch_view(each, counts | {"total": each.entries}, [], context))
            continue
        counted += each.chunk_count
        if views and counted > MAX_COUNTED_CHUNKS:
            break
        records = list(chunks.of_batch(each.batch_id)) if each.entries else []
        views.append(_counted_view(each, records, context))
    return tuple(views)
