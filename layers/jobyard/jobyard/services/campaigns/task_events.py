"""What people do to one task of a campaign: cancel or requeue it.

A task that waits changes at once. One that runs belongs to its worker: the request to cancel it is
stored with the counts of its chunk, and the worker ends it after its step, or after its bound
steps. Both are written together with the campaign, so that the next settlement counts them.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from jobyard.domain.batches.chunks import ChunkRecord
from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.campaigns.task_summary import is_bound, summary_of
from jobyard.domain.errors import InvalidTransition, StaleState
from jobyard.domain.history import HistoryEntry
from jobyard.domain.jobs.job import (
    JOB,
    JobAddress,
    JobRecord,
    JobState,
    apply_event,
    new_job,
)
from jobyard.domain.lifecycle import Cause
from jobyard.jobtypes import job_type_of
from jobyard.services.campaigns.job_origin import check_open
from jobyard.services.campaigns.settle import restarted, start_execution
from jobyard.services.executions import Executions
from jobyard.services.jobs.chunk_jobs import open_cancels
from jobyard.store import campaigns, chunks, jobs, tasks, transactions

MAX_CANCELS = 100  # requests that a chunk keeps at the same time, each up to a kilobyte
_TRIES = 8


def send(
    address: JobAddress,
    event: str,
    cause: Cause,
    executions: Executions,
    now: Callable[[], datetime],
    pause: Callable[[float], None] = time.sleep,
) -> JobRecord:
    """Send a person's event to a task. Returns the task; one that runs has the request in its
    history. A repeat changes nothing; neither does a second request to cancel the task.

    Raises:
        InvalidTransition: the state of the task or of its campaign does not allow the event.
        StaleState: others changed them at the same time, several times.
    """
    for tries in range(_TRIES):
        if tries:
            pause(transactions.backoff_s(tries))
        campaign = campaigns.get(address.origin_id)
        seen = chunks.get(address.origin_id, address.chunk)
        stored = jobs.find(address)
        history = stored.history if stored else ()
        if stored and (cause.key, event) in {(each.cause, each.event) for each in history}:
            return stored
        check_open(campaign, event)
        if stored and event == "cancel" and address.position in seen.cancels:
            return _noted(stored, seen.cancels[address.position])
        task = stored or new_job(address, now())
        after = apply_event(task, event, now(), cause)
        if _belongs_to_worker(task, campaign):
            entry = replace(after.history[-1], before=task.state, after=task.state)
            chunk, change, after = _with_cancel(seen, entry, address), None, _noted(task, entry)
        else:
            chunk, change = _with_counts(seen, after, campaign), (stored, after)
        # A campaign that rests is settled now; one in a pass is settled at its end.
        rests = campaign.rests_until is not None
        known = replace(campaign, ended_chunks=campaign.ended_chunks.without(address.chunk))
        next_version = replace(known, version=campaign.version + 1)
        written = restarted(known, now()) if rests else next_version
        try:
            tasks.write(campaign, written, chunk, change)
        except StaleState:
            continue
        if rests:
            start_execution(written, executions)
        return after
    raise StaleState(f"task {address.job_id} changes too fast; try again")


def _belongs_to_worker(task: JobRecord, campaign: Campaign) -> bool:
    """Whether a worker runs the task, or its bound steps have to end first."""
    bound_steps = job_type_of(campaign.job_type).bound_steps
    is_waiting = task.state is JobState.SCHEDULED
    return task.state is JobState.RUNNING or (is_waiting and is_bound(task, bound_steps))


def _with_cancel(seen: ChunkRecord, request: HistoryEntry, address: JobAddress) -> ChunkRecord:
    """The counts of a chunk with a request to cancel a task."""
    if len(seen.cancels) >= MAX_CANCELS:
        raise InvalidTransition(
            f"{MAX_CANCELS} tasks next to {address.job_id} are being cancelled already; try again "
            "later, or cancel the campaign"
        )
    return replace(seen, cancels={**seen.cancels, address.position: request})


def _with_counts(seen: ChunkRecord, after: JobRecord, campaign: Campaign) -> ChunkRecord:
    """The counts of a chunk with a task as it is afterwards. All tasks are counted again."""
    known = {each.address.position: each for each in jobs.of_chunk(seen.batch_id, seen.chunk)}
    known[after.address.position] = after
    bound_steps = job_type_of(campaign.job_type).bound_steps
    summary = summary_of(known.values(), bound_steps, campaign.counted_since)
    return replace(
        seen.with_counts_of(known.values()),
        summary=summary.document(),
        cancels=open_cancels(seen.cancels, known),
    )


def _noted(task: JobRecord, entry: HistoryEntry) -> JobRecord:
    """The task with a request in its history that has no effect yet."""
    return replace(task, history=(*task.history, entry))


def cancelled(task: JobRecord, request: HistoryEntry, now: datetime) -> JobRecord:
    """The task after a person's request to cancel it has taken effect."""
    cause = Cause(request.cause, request.actor, request.reason, request.sub)
    return task.moved(JOB.move(task.state, "cancel", now, cause), next_at=None)
