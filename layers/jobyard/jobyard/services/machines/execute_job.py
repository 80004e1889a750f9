"""One job by itself, of whatever origin: run by its own execution."""

from collections.abc import Callable
from dataclasses import dataclass

from jobyard.domain.errors import NotFound
from jobyard.domain.ids import Origin
from jobyard.domain.jobs.job import JobAddress
from jobyard.services.batches import chunk_source
from jobyard.services.jobs.runner import FinishedJob, Worker, run_jobs
from jobyard.services.jobs.source import JobSource
from jobyard.services.runs import ExecutionInput, ExecutionRun, NextStep
from jobyard.services.schedules import occurrence_source

_SOURCES: dict[Origin, Callable[[JobAddress, ExecutionRun, Worker], JobSource]] = {
    Origin.BATCH: chunk_source.job_source,
    Origin.SCHEDULE: occurrence_source.job_source,
}


@dataclass(frozen=True)
class JobRun:
    """What came of running one job: what its execution does next, and the job if it ended."""

    next_step: NextStep
    finished: list[FinishedJob]


def run_job(request: ExecutionInput, worker: Worker) -> JobRun:
    """Run the job that a release, a requeue, a recovery or a schedule started an execution for."""
    address, run = request.address, request.run
    if address is None:
        raise ValueError(f"an execution of {request.origin_id} names no job")
    try:
        source = _SOURCES[address.origin](address, run, worker)
    except NotFound:
        return JobRun(NextStep(request.origin_id, "settle", run=run, address=address), [])
    finished = run_jobs(source, worker)
    return JobRun(source.next_step(), finished)
