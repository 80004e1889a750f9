"""The job machine's first state: one job by itself, because a person released or requeued it, or
because the time of a schedule came."""

from typing import Any

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from execute.worker import METER, tell, worker
from jobyard.domain import metrics
from jobyard.domain.jobs.job import JobAddress
from jobyard.services.jobs.chunk_runner import run_job
from jobyard.services.runs import ExecutionRun
from jobyard.services.schedules.jobs import run_occurrence


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Run the job; the answer says whether to come again, and with what."""
    of_schedule = "schedule_id" in event
    origin_id = event["schedule_id" if of_schedule else "batch_id"]
    place = JobAddress(origin_id, event["chunk"], event["position"])
    run = ExecutionRun(event["run"], event["pass"])
    with METER.invocation("job", int(context.memory_limit_in_mb)) as billed:
        billed.origin_id, billed.transitions = place.origin_id, 2
        perform = run_occurrence if of_schedule else run_job
        following, ended = perform(place, run, worker(context))
        billed.transitions += following.next == "again"  # Wait
    tell(
        ended,
        **{"schedule_id" if of_schedule else "batch_id": origin_id},
        job_id=place.job_id,
        run=run.name,
        unbilled=billed.unwritten,
    )
    if of_schedule and any(job.state == "failed" for job in ended):
        emf = EphemeralMetrics(namespace=metrics.NAMESPACE)
        emf.add_metric(metrics.RUNS_FAILED_OR_MISSED, MetricUnit.Count, 1)
        emf.flush_metrics()
    document = following.document() | {"chunk": place.chunk, "position": place.position}
    return document | {"schedule_id": origin_id} if of_schedule else document
