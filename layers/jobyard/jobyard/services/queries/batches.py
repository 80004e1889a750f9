"""Batches, as lists and details show them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from jobyard.domain.access import is_allowed
from jobyard.domain.batches.batch import BATCH, Batch, BatchState
from jobyard.domain.batches.progress import UNKNOWN_PROGRESS, BatchProgress, progress_of
from jobyard.domain.batches.tally import FailedJobs, StripSegment, Tally
from jobyard.domain.jobs.job import JobState
from jobyard.domain.lifecycle import StateType, UnavailableEvent
from jobyard.domain.plurals import plural
from jobyard.services.access import authorize, roles_on, visible_batch
from jobyard.services.batches.held import held_by, hold_on
from jobyard.services.context import Actor, QueryContext
from jobyard.services.queries.searched import Searched
from jobyard.services.queries.tallies import has_stored_tally, tally_of_batch, tally_readers
from jobyard.store import batches
from jobyard.store.batches import BatchPage
from jobyard.store.documents import month_before

MAX_COUNTED_CHUNKS = 10_000  # chunks whose counts a page of batches reads
MAX_SCANNED_BATCHES = 2_000  # batches a page reads for those that pass a second filter
_MAY_BE_HELD = frozenset({BatchState.PROCESSING, BatchState.UPDATE_REPORTING})


@dataclass(frozen=True)
class BatchView:
    """A batch with its counts of jobs by state. `why` and `until` say what it waits for, and until
    when; "" and None if it waits for nothing.

    `failure_groups` are the largest first; None if they were not counted. `actions` are the events
    that the actor may send. `counted_at` is when the jobs were counted; None if the counts are
    exact. `strip` shows all jobs in the order of the manifest, `unavailable` are the events that
    the actor cannot send; both are () in a list. `progress` is known while jobs run.
    """

    batch: Batch
    label: str
    counts: Mapping[str, int]
    failure_groups: tuple[FailedJobs, ...] | None
    why: str
    until: datetime | None
    actions: tuple[str, ...]
    counted_at: datetime | None = None
    strip: tuple[StripSegment, ...] = ()
    unavailable: tuple[UnavailableEvent, ...] = ()
    progress: BatchProgress = UNKNOWN_PROGRESS


def batch(batch_id: str, context: QueryContext) -> BatchView:
    """One batch.

    Raises:
        NotFound, Gone: there is no such batch, or the actor may not see it.
    """
    found = visible_batch(batch_id, context.actor, context.now)
    tally = tally_of_batch(found, context)
    unavailable = BATCH.unavailable(
        found.state, roles_on(found, context.actor), refused=_refused(found, tally.counts)
    )
    return replace(_tallied_view(found, tally, context), strip=tally.strip, unavailable=unavailable)


def _tallied_view(found: Batch, tally: Tally, context: QueryContext) -> BatchView:
    """A batch with its counts and failures."""
    why, until = _why(found, tally, context)
    view = _batch_view(found, tally.counts, context)
    may_change = has_stored_tally(found) and not tally.is_final
    counted_at = tally.counted_at if may_change else None
    return replace(
        view,
        failure_groups=tally.failure_groups,
        why=why,
        until=until,
        counted_at=counted_at,
        progress=_progress(found, tally),
    )


def _progress(found: Batch, tally: Tally) -> BatchProgress:
    """The progress of a batch by its last tallies; by the time since its start if there are none.

    While no job runs, it is unknown.
    """
    if found.state is not BatchState.PROCESSING or not tally.counts[JobState.RUNNING]:
        return UNKNOWN_PROGRESS
    samples = tally.samples
    if len(samples) == 1 and found.started_at:
        samples = ((found.started_at.timestamp(), 0), *samples)
    return progress_of(samples, tally.counts)


def _batch_view(found: Batch, counts: Mapping[str, int], context: QueryContext) -> BatchView:
    """A batch that waits for nothing. Its failures stay uncounted."""
    return BatchView(
        batch=found,
        label=BATCH.state(found.state).labels["deposit"],
        counts=counts,
        failure_groups=None if counts["failed"] else (),
        why="",
        until=None,
        actions=_actions(found, counts, context.actor),
    )


def _actions(found: Batch, counts: Mapping[str, int], actor: Actor) -> tuple[str, ...]:
    """The events that the actor may send to a batch."""
    refused = _refused(found, counts)
    actions = BATCH.actions(found.state, roles_on(found, actor))
    return tuple(each for each in actions if each not in refused)


def _refused(found: Batch, counts: Mapping[str, int]) -> dict[str, str]:
    """Why a batch refuses events that its state allows, by event."""
    refused = {}
    if not found.entries:
        refused["update_reporting"] = "it never had a job; there is nothing to report again"
    elif not found.last_report:
        refused["update_reporting"] = "it was never reported"
    if found.state is BatchState.FAILED and (
        counts[JobState.RUNNING] or counts[JobState.SCHEDULED]
    ):
        refused["delete"] = "jobs of it are running or scheduled: wait, or force-fail them"
    return refused


def _why(found: Batch, tally: Tally, context: QueryContext) -> tuple[str, datetime | None]:
    """What a batch waits for, and until when; "" and None if it waits for nothing."""
    state = found.state
    if state is BatchState.PENDING and found.source is None:
        return "waits for its manifest to arrive and be opened", found.upload_until
    if state is BatchState.PENDING:
        return "waits for the machine to open it", None
    if state is BatchState.HELD:
        return held_by(found, context)
    counts = tally.counts
    waiting = _open_jobs(counts)
    if state is BatchState.PROCESSING and not found.entries:
        return "its manifest is being read", None
    if state in _MAY_BE_HELD and counts["held"] and not _has_unheld_jobs(counts):
        hold = hold_on(found, context)
        return (f"{waiting}; {hold.description()}", hold.until) if hold else (waiting, None)
    if state in {BatchState.PROCESSING, BatchState.CANCELLING, BatchState.UPDATE_REPORTING}:
        return waiting or "its last jobs are being counted", tally.next_retry
    if state is BatchState.REPORTING:
        return "its report is being written", None
    return (_why_failed(found, tally) if state is BatchState.FAILED else ""), None


def _why_failed(found: Batch, tally: Tally) -> str:
    number = tally.counts["failed"]
    failed = plural(number, "failed job")
    if number and sum(tally.not_requeueable.values()) == number:
        return f"{failed} for the depositor to submit again, or a person to delete"
    if number:
        return f"{failed} for a person to requeue or delete"
    if not found.entries:
        return ""
    return (
        _open_jobs(tally.counts)
        or "repaired: no failed jobs are left; update-reporting reports this"
    )


def _has_unheld_jobs(counts: Mapping[str, int]) -> bool:
    """Whether any open job is not held."""
    return any(counts[state] for state in ("running", "scheduled", "paused", "stopping"))


def _open_jobs(counts: Mapping[str, int]) -> str:
    """The open jobs as text, by state; "" for none."""
    descriptions = (
        ("running", "running"),
        ("scheduled", "waiting for their turn or a retry"),
        ("held", "held"),
        ("paused", "paused"),
        ("stopping", "stopping"),
    )
    parts = [f"{counts[state]:,} {text}" for state, text in descriptions if counts[state]]
    return f"waits for its jobs: {', '.join(parts)}" if parts else ""


@dataclass(frozen=True)
class BatchList:
    """A page of batches, newest first, and where the next page begins; None after the last.
    `searched` is how far a page was searched that has fewer than it may; None if that is to the
    end, or if only the counts of more batches would be too much to read.
    """

    items: tuple[BatchView, ...]
    after: Mapping[str, str] | None
    searched: Searched | None = None


def list_batches(
    context: QueryContext,
    *,
    state: str,
    collection: str,
    after: Mapping[str, str],
    limit: int,
    since: datetime | None = None,
) -> BatchList:
    """A page of batches: all that the actor may see, by `state` and `collection`, "" for any; with
    `since`, those submitted since.

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
            and (since is None or each.submitted_at >= since)
            and not each.has_expired(context.now)
        )

    if not sees_all:
        pages = _pages(batches.of_submitter, actor.sub, after.get("before", ""), limit)
    elif collection:
        pages = _pages(batches.of_collection, collection, after.get("before", ""), limit)
    elif wanted:
        pages = _pages(batches.of_state, wanted, after.get("before", ""), limit)
    else:
        return _by_month(context, after, limit, since)
    found: list[Batch] = []
    before, scanned, last = "", 0, None
    for page in pages:
        found += filter(is_shown, page.items)
        before = "" if _reaches(page, since) else page.after
        scanned += len(page.items)
        last = page.items[-1].submitted_at if page.items else last
        if not before or len(found) >= limit or scanned >= MAX_SCANNED_BATCHES:
            break
    views = batch_views(found[:limit], context)
    if len(found) > len(views):
        before = batches.page_key(views[-1].batch)
    searched = Searched(scanned, last) if before and len(found) == len(views) < limit else None
    return BatchList(views, {"before": before} if before else None, searched)


def _pages(
    read: Callable[..., BatchPage], key: str, before: str, limit: int
) -> Iterator[BatchPage]:
    while True:
        page = read(key, limit=limit, before=before)
        yield page
        before = page.after
        if not before:
            return


def _reaches(page: BatchPage, since: datetime | None) -> bool:
    """Whether the batches after a page, which are older, were submitted before `since`."""
    return since is not None and bool(page.items) and page.items[-1].submitted_at < since


def _by_month(
    context: QueryContext, after: Mapping[str, str], limit: int, since: datetime | None
) -> BatchList:
    """All batches, newest first, month by month back to the first month with a batch."""
    month = after.get("month") or context.now.strftime("%Y-%m")
    before = after.get("before", "")
    first = batches.first_month()
    if first and since:
        first = max(first, since.strftime("%Y-%m"))
    found: list[Batch] = []
    scanned, read, last = 0, 0, None
    while first and month >= first and len(found) < limit and scanned < MAX_SCANNED_BATCHES:
        page = batches.of_month(month, limit=limit - len(found), before=before)
        scanned += len(page.items) + 1
        found += [
            each
            for each in page.items
            if not each.has_expired(context.now) and (since is None or each.submitted_at >= since)
        ]
        read += len(page.items)
        last = page.items[-1].submitted_at if page.items else last
        before = "" if _reaches(page, since) else page.after
        month = month if before else month_before(month)
    has_more = bool(first) and month >= first
    following = {"month": month, "before": before} if has_more else None
    views = batch_views(found, context)
    if len(found) > len(views):
        key = batches.page_key(views[-1].batch)
        following = {"month": key[:7], "before": key}
    is_short = following and len(found) == len(views) < limit
    return BatchList(views, following, Searched(read, last) if is_short else None)


def batch_views(found: list[Batch], context: QueryContext) -> tuple[BatchView, ...]:
    """The first of `found` as a list shows them: at least one, and up to `MAX_COUNTED_CHUNKS`
    chunks in all.

    A batch in a terminal state shows the counts of its last report. Others are counted, because a
    failed one may have been repaired since.
    """
    views: list[BatchView] = []
    counted = 0
    readers = iter(tally_readers([each for each in found if not _shows_report(each)], context))
    for each in found:
        if _shows_report(each):
            views.append(_batch_view(each, _reported_counts(each), context))
            continue
        reader = next(readers)
        tally = reader.current()
        if tally is None:
            counted += each.chunk_count
            if views and counted > MAX_COUNTED_CHUNKS:
                break
            tally = reader.count()
        views.append(_tallied_view(each, tally, context))
    return tuple(views)


def _shows_report(found: Batch) -> bool:
    """Whether a list shows the counts of the batch's last report."""
    is_terminal = BATCH.state(found.state).type is StateType.TERMINAL
    return is_terminal and bool(found.reported_counts)


def _reported_counts(found: Batch) -> dict[str, int]:
    reported = {
        **found.reported_counts,
        JobState.SCHEDULED: found.reported_counts.get("waiting", 0),
    }
    counts = {state.value: reported.get(state.value, 0) for state in JobState}
    return counts | {"total": found.entries}
