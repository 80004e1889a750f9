"""Runs a single job of a batch or a schedule, as the job machine's first state."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from execute.worker import METER, worker
from jobyard.services.machines.execute_job import run_execute_job
from jobyard.services.machines.inputs import ExecutionInput
from telemetry.finished_jobs import log_finished


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Run the job. The result says whether to run it again, and when."""
    request = ExecutionInput.of(event)
    done = run_execute_job(request, worker(context), METER, int(context.memory_limit_in_mb))
    log_finished(done.finished, request, metering_error=done.metering_error)
    return done.next_step.document()
