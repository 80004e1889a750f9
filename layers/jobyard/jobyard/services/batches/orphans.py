"""Giving up jobs of a batch that no worker runs, or none got through."""

from dataclasses import replace
from datetime import datetime

from jobyard.domain.batches.batch import Batch, BatchState
from jobyard.domain.batches.chunks import RunProgress
from jobyard.domain.cause_key import Interruption
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JOB, JobAddress, JobRecord, JobState
from jobyard.domain.lifecycle import Cause
from jobyard.services.jobs.attempt import orphaned
from jobyard.services.runs import ExecutionRun
from jobyard.store import batches, chunks, jobs


def give_up_job(address: JobAddress, run: ExecutionRun, at: datetime) -> bool:
    """Fail a job that its own execution could not end, if the run still owns it; whether it did."""
    job = jobs.find(address)
    if job is None or job.state is not JobState.RUNNING or not run.owns(job.cause):
        return False
    batch = batches.get(address.origin_id, at)
    failed = orphaned(job, at, run.cause(address, job.start_count, Interruption.ORPHANED))
    jobs.apply(job, failed, batch.state)
    return True


def give_up_chunk(batch: Batch, number: int, run: ExecutionRun, at: datetime) -> None:
    """End a chunk's pass for a run whose workers never get through it, and count its jobs.

    A job that was running when its worker vanished fails. A row without a record stays: in a
    batch that is being cancelled it counts as cancelled.
    """
    seen = chunks.get(batch.batch_id, number)  # read first, so that a late worker's counts are kept
    found = {job.address.position: job for job in jobs.of_chunk(batch.batch_id, number)}
    is_cancelling = batch.state is BatchState.CANCELLING
    given_up = (
        (
            job,
            _given_up(
                job,
                is_cancelling,
                at,
                run.cause(job.address, job.start_count, Interruption.ORPHANED),
            ),
        )
        for job in found.values()
        if run.owns(job.cause) or (is_cancelling and job.state is not JobState.RUNNING)
    )
    written = jobs.write_many([(job, after) for job, after in given_up if after is not None])
    for stored in written:
        if stored is not None:
            found[stored.address.position] = stored
    if any(stored is None for stored in written):
        found = {job.address.position: job for job in jobs.of_chunk(batch.batch_id, number)}
    record = seen.with_progress(run.name, RunProgress(run.number)).with_counts_of(found.values())
    chunks.put(replace(record, collection=batch.collection))


def _given_up(job: JobRecord, is_cancelling: bool, at: datetime, cause: str) -> JobRecord | None:
    """The job after it is given up; None when it waits for no worker."""
    if job.state is JobState.RUNNING:
        return orphaned(job, at, cause)
    is_waiting = job.state is JobState.SCHEDULED or (is_cancelling and job.state is JobState.HELD)
    if not is_waiting:
        return None
    if is_cancelling or not job.attempts:
        why = Failure.NO_WORKER.description
        return job.moved(JOB.move(job.state, "cancel", at, Cause(cause, reason=why)), next_at=None)
    return orphaned(job, at, cause, Failure.NO_WORKER)
