"""Logs the jobs that a worker finished and emits their metrics."""

from collections import Counter
from collections.abc import Iterable, Sequence

from aws_lambda_powertools import Logger

from jobyard.domain import metrics
from jobyard.domain.jobs.job import JobState
from jobyard.services.jobs.runner import AttemptOutcome
from jobyard.services.machines.inputs import ChunkInput, ExecutionInput
from telemetry import emit_metrics

LOGGER = Logger()


def log_finished(
    jobs: Iterable[AttemptOutcome], request: ExecutionInput | ChunkInput, **fields: object
) -> None:
    """Log the pass, each failed attempt and each unexpected error; emit the metrics of jobs."""
    all_jobs = list(jobs)
    origin_id = request.origin_id
    for job in all_jobs:
        if job.error:
            job_id = job.address.job_id
            LOGGER.error("step error", origin_id=origin_id, job_id=job_id, exc_info=job.error)
    ended = [job for job in all_jobs if job.state is not JobState.SCHEDULED]
    failed = [job for job in ended if job.state is JobState.FAILED]
    retried = [job for job in all_jobs if job.state is JobState.SCHEDULED]
    ids = {"origin_id": origin_id, "run": request.run.name, "pass": request.run.number}
    if isinstance(request, ExecutionInput) and request.address:
        ids["job_id"] = request.address.job_id
    LOGGER.info("pass ended", extra={"ended": len(ended), "failed": len(failed), **ids, **fields})
    for job in (*retried, *failed):
        message = "job failed" if job.state is JobState.FAILED else "attempt failed"
        ids = {"origin_id": origin_id, "job_id": job.address.job_id}
        LOGGER.warning(message, extra=ids | {"step": job.step, "failure_code": job.failure_code})
    _count_ended(ended)
    _count(metrics.JOBS_FAILED_TOTAL, len(failed))
    for metric, number in Counter(job.address.origin.failure_metric for job in failed).items():
        _count(metric, number)


def _count_ended(ended: Sequence[AttemptOutcome]) -> None:
    for job_type in {job.job_type for job in ended}:
        states = Counter(job.state for job in ended if job.job_type == job_type)
        _count(metrics.JOBS_SUCCEEDED, states[JobState.SUCCEEDED], job_type=job_type)
        _count(metrics.JOBS_FAILED, states[JobState.FAILED], job_type=job_type)
    failed = [job for job in ended if job.state is JobState.FAILED]
    for (job_type, code), number in Counter((j.job_type, j.failure_code) for j in failed).items():
        _count(metrics.JOBS_FAILED_BY_CODE, number, job_type=job_type, failure_code=code)


def _count(name: str, number: int, **dimensions: str) -> None:
    if name and number:
        emit_metrics({name: number}, **dimensions)
