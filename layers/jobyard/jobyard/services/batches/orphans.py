"""Give up jobs of a batch that no worker finishes: fail or cancel them."""

from dataclasses import replace
from datetime import datetime

from jobyard.domain.batches.batch import Batch, BatchState
from jobyard.domain.batches.chunks import RunProgress
from jobyard.domain.cause_key import Interruption
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JOB, JobAddress, JobRecord, JobState
from jobyard.domain.lifecycle import Cause
from jobyard.services.jobs.attempt import failed_as_orphaned
from jobyard.services.runs import ExecutionRun
from jobyard.store import batches, chunks, jobs


def give_up_job(address: JobAddress, run: ExecutionRun, at: datetime) -> bool:
    """Fail a job that its own execution could not end. Returns whether it did: `run` may not own
    the job any more."""
    job = jobs.find(address)
    if job is None or job.state is not JobState.RUNNING or not run.owns(job.cause):
        return False
    batch = batches.get(address.origin_id, at)
    failed = failed_as_orphaned(job, at, run.cause(address, job.start_count, Interruption.ORPHANED))
    jobs.apply(job, failed, batch.state)
    return True


def give_up_chunk(batch: Batch, number: int, run: ExecutionRun, at: datetime) -> None:
    """End a run's pass over a chunk that its workers never finish, and count the jobs.

    A job whose worker vanished fails. A row without a record stays without one: in a batch that is
    being cancelled it counts as cancelled.

    Raises:
        StaleState: a late worker saved its counts at the same time.
    """
    before = chunks.get(batch.batch_id, number)  # read before the jobs, to notice a late worker
    found = {job.address.position: job for job in jobs.of_chunk(batch.batch_id, number)}
    is_cancelling = batch.state is BatchState.CANCELLING
    changes: list[tuple[JobRecord, JobRecord]] = []
    for job in found.values():
        if run.owns(job.cause) or (is_cancelling and job.state is not JobState.RUNNING):
            cause_key = run.cause(job.address, job.start_count, Interruption.ORPHANED)
            after = _given_up(job, is_cancelling, at, cause_key)
            changes += [(job, after)] if after else []
    written = jobs.write_many(changes)
    for stored in written:
        if stored is not None:
            found[stored.address.position] = stored
    if any(stored is None for stored in written):
        found = {job.address.position: job for job in jobs.of_chunk(batch.batch_id, number)}
    record = before.with_progress(run.name, RunProgress(run.number))
    chunks.put(replace(record.with_counts_of(found.values()), collection=batch.collection))


def _given_up(
    job: JobRecord, is_cancelling: bool, at: datetime, cause_key: str
) -> JobRecord | None:
    """The job after it is given up; None if it neither runs nor waits for a worker."""
    if job.state is JobState.RUNNING:
        return failed_as_orphaned(job, at, cause_key)
    is_waiting = job.state is JobState.SCHEDULED or (is_cancelling and job.state is JobState.HELD)
    if not is_waiting:
        return None
    if is_cancelling or not job.attempts:
        reason = Failure.NO_WORKER.description
        move = JOB.move(job.state, "cancel", at, Cause(cause_key, reason=reason))
        return job.moved(move, next_at=None)
    return failed_as_orphaned(job, at, cause_key, Failure.NO_WORKER)
