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
from jobyard.services.access import authorize, visible_batch
from jobyard.services.batches.held import held_by, hold_on
from jobyard.services.context import Actor, QueryContext
from jobyard.store import batches, chunks
from jobyard.store.batches import BatchPage


@dataclass(frozen=True)
class BatchView:
    """A batch with its counts. `why` and `until` say what it waits for, "" and None otherwise.

    `failure_groups` are (code, description, count, how many of them cannot be requeued), the
    largest first; None where they were not counted. `actions` are the events that the actor may
    send.
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
        NotFound, Gone: there is no such batch, or the actor may not know of it.
    """
    found = visible_batch(batch_id, context.actor, context.now)
    records = list(chunks.of_batch(batch_id)) if found.entries else []
    return _counted_view(found, records, context)


def _counted_view(found: Batch, records: list[ChunkRecord], context: QueryContext) -> BatchView:
    failures = sum_counts(record.failures for record in records)
    final = sum_counts(record.not_retryable for record in records)
    view = _batch_view(found, counts_of(found, records), records, context)
    largest_first = sorted(failures.items(), key=lambda group: (-group[1], group[0]))
    groups = tuple(
        (code, Failure(code).description, number, final.get(code, 0))
        for code, number in largest_first
    )
    return replace(view, failure_groups=groups)


def _batch_view(
    found: Batch, counts: Mapping[str, int], records: list[ChunkRecord], context: QueryContext
) -> BatchView:
    """A batch with the given counts. Counts that are not from its chunks know no failures."""
    why, until = _why_batch(found, counts, records, context)
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
    """The events that the actor may send to a batch. Without jobs there is nothing to compare, so
    no update of its report.
    """
    actions = BATCH.actions(found.state, actor.roles)
    return actions if found.entries else tuple(a for a in actions if a != "update_reporting")


def counts_of(found: Batch, records: list[ChunkRecord]) -> dict[str, int]:
    """How many of a batch's jobs are in each state, for every state, and the total."""
    recorded = sum_counts(record.counts for record in records)
    rest = found.entries - sum(recorded.values())
    cancelled = found.is_cancelled
    unrecorded_are = JobState.CANCELLED if cancelled else JobState.SCHEDULED
    counts = {state.value: recorded.get(state.value, 0) for state in JobState}
    counts[unrecorded_are] += rest
    return counts | {"total": found.entries}


def _why_batch(
    found: Batch, counts: Mapping[str, int], records: list[ChunkRecord], context: QueryContext
) -> tuple[str, datetime | None]:
    state = found.state
    if state is BatchState.PENDING and found.source is None:
        return "waits for its manifest to arrive and be opened", found.upload_until
    if state is BatchState.PENDING:
        return "waits for the machine to open it", None
    if state is BatchState.HELD:
        return held_by(found, context)
    waiting = _open_words(counts)
    retries = [
        passage.next_at for record in records for passage in record.runs.values() if passage.next_at
    ]
    next_retry = min(retries, default=None)
    if state is BatchState.PROCESSING and not found.entries:
        return "its manifest is being read", None
    if state in _MAY_BE_HELD and counts["held"] and not _moves(counts):
        stop = hold_on(found, context)
        return (f"{waiting}; {stop.description()}", stop.until) if stop else (waiting, None)
    if state in {BatchState.PROCESSING, BatchState.CANCELLING, BatchState.UPDATE_REPORTING}:
        return waiting or "its last jobs are being counted", next_retry
    if state is BatchState.REPORTING:
        return "its report is being written", None
    return (_why_failed(found, counts, records) if state is BatchState.FAILED else ""), None


def _why_failed(found: Batch, counts: Mapping[str, int], records: list[ChunkRecord]) -> str:
    number = counts["failed"]
    failed = f"{number} failed job{'s' * (number != 1)}"
    final = sum(sum(record.not_retryable.values()) for record in records)
    if number and final == number:
        return f"{failed} for the depositor to submit again, or a person to delete"
    if number:
        return f"{failed} for a person to requeue or delete"
    if not found.entries:
        return ""
    waiting = _open_words(counts)
    return waiting or "repaired: no job of it is failed any more; update-reporting tells that"


_MAY_BE_HELD = frozenset({BatchState.PROCESSING, BatchState.UPDATE_REPORTING})


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


MAX_COUNTED_CHUNKS = 10_000  # chunks whose counts a page of batches reads; the next page goes on
MAX_SCANNED_BATCHES = 2_000  # batches a page looks at for those that a second filter lets through


@dataclass(frozen=True)
class BatchList:
    """A page of batches, newest first, and where the next page begins; None at the end."""

    items: tuple[BatchView, ...]
    after: Mapping[str, str] | None


def list_batches(
    context: QueryContext, *, state: str, collection: str, after: Mapping[str, str], limit: int
) -> BatchList:
    """A page of batches. One filter has an index; a second one is applied to what that returns, so
    such a page may read more than it shows.

    Raises:
        Forbidden: the actor may see no batch at all.
    """
    wanted = BATCH.state(state).name if state else ""
    actor = context.actor
    authorize(actor, "batch", "list")
    everybodys = is_allowed("batch", "view", actor.roles)
    if not everybodys:
        pages = _pages(batches.of_submitter, actor.sub, after.get("before", ""), limit)
    elif collection:
        pages = _pages(batches.of_collection, collection, after.get("before", ""), limit)
    elif wanted:
        pages = _pages(batches.of_state, wanted, after.get("before", ""), limit)
    else:
        return _by_month(context, after, limit)
    found: list[Batch] = []
    place, scanned = "", 0
    for page in pages:
        for each in page.items:
            # A batch older than ids lies under its submitter's name, which may look like an id.
            mine = everybodys or each.is_submitted_by(actor.sub)
            right = (
                mine
                and (not wanted or each.state == wanted)
                and (not collection or each.collection == collection)
            )
            if right and not each.has_expired(context.now):
                found.append(each)
        place = page.after
        scanned += len(page.items)
        if len(found) >= limit or scanned >= MAX_SCANNED_BATCHES:
            break
    views = _views(found[:limit], context)
    if len(found) > len(views):
        place = batches.page_key(views[-1].batch)
    return BatchList(views, {"before": place} if place else None)


def _pages(of: Callable[..., BatchPage], key: str, before: str, limit: int) -> Iterator[BatchPage]:
    while True:
        page = of(key, limit=limit, before=before)
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
    more = bool(first) and month >= first
    place = {"month": month, "before": before} if more else None
    views = _views(found, context)
    if len(found) > len(views):
        last = batches.page_key(views[-1].batch)
        place = {"month": last[:7], "before": last}
    return BatchList(views, place)


def _month_before(month: str) -> str:
    year, number = int(month[:4]), int(month[5:])
    return f"{year - 1}-12" if number == 1 else f"{year}-{number - 1:02d}"


def _views(found: list[Batch], context: QueryContext) -> tuple[BatchView, ...]:
    """The first of `found` as a list shows them: at least one, `MAX_COUNTED_CHUNKS` chunks in all.

    A batch in a terminal state has the counts of its last report. Others are counted, because a
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
