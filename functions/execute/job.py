"""Runs a single job of a batch or a schedule, as the job machine's first state."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from execute.worker import METER, report_finished, worker
from jobyard.services.machines.execute_job import run_job
from jobyard.services.runs import ExecutionInput


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Run the job. The result says whether to run it again, and when."""
    request = ExecutionInput.of(event)
    with METER.invocation("job", int(context.memory_limit_in_mb)) as billed:
        billed.origin_id, billed.transitions = request.origin_id, 2
        job_run = run_job(request, worker(context))
        billed.transitions += job_run.next_step.next == "again"  # Wait
    report_finished(job_run.finished, request, unbilled=billed.unwritten)
    return job_run.next_step.document()
