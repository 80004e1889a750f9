"""Telling the machines again what they may not have heard.

A request writes first and tells the machine then. If it died in between, the minute rule tells in
its stead, under the very name the request would have used: what was told already starts nothing.
"""

from datetime import datetime, timedelta

from jobyard.domain.batch import Batch, BatchState
from jobyard.domain.job import JobRecord, JobState
from jobyard.services.asking import COMMANDS
from jobyard.services.starting import Starting
from jobyard.store import batches, chunks, jobs, operations

_PATIENCE = timedelta(minutes=1)  # a request that is not done by then is not going to be
_WATCHED = (
    BatchState.PENDING,
    BatchState.PROCESSING,
    BatchState.CANCELLING,
    BatchState.UPDATE_REPORTING,
)


def retell(starting: Starting, now: datetime) -> int:
    """Tell again of every open batch's last event, operations and jobs; the answer is how often.

    A failed batch is looked at when it is to be reported again: before that nothing waits on it.
    """
    return sum(
        _retell(batch, starting, now)
        for state in _WATCHED
        for batch in batches.in_state(state)
        if batch.source is not None
    )


def _retell(batch: Batch, starting: Starting, now: datetime) -> int:
    told = 0
    last = batch.history[-1] if batch.history else None
    if last and last.event in COMMANDS and now - last.at >= _PATIENCE:
        starting.batch(batch.batch_id, COMMANDS[last.event], last.cause)
        told += 1
    for operation in operations.running(batch.batch_id):
        if now - operation.asked_at >= _PATIENCE:
            starting.batch(batch.batch_id, "operation", operation.operation_id)
            told += 1
    for record in chunks.of_batch(batch.batch_id) if batch.entries else ():
        if record.count(JobState.SCHEDULED):
            for job in jobs.of_chunk(batch.batch_id, record.chunk):
                if _was_asked_for(job, now):
                    starting.job(job.place, job.cause)
                    told += 1
    return told


def _was_asked_for(job: JobRecord, now: datetime) -> bool:
    """Whether a person's request of a while ago is the last thing that happened to a job."""
    asked = job.state is JobState.SCHEDULED and job.history[-1].event in {"release", "requeue"}
    of_operation = operations.find(job.place.batch_id, job.cause) if asked else None
    return asked and of_operation is None and now - job.at >= _PATIENCE
