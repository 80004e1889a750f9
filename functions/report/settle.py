"""Settles a batch after a pass, or a single job, and decides the machine's next step."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from jobyard.services.machines.inputs import ExecutionInput
from jobyard.services.machines.settle import Settled, run_settle
from report.clients import LOGGER, METER, SETTLE_CONTEXT
from telemetry import emit_metrics


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Settle what `event` names. A batch that could not be opened fails, and is reported."""
    request, request_id = ExecutionInput.of(event), context.aws_request_id
    memory_mb = int(context.memory_limit_in_mb)
    settled = run_settle(request, request_id, SETTLE_CONTEXT, METER, memory_mb)
    _log(settled, request.error, request_id)
    return settled.next_step.document()


def _log(settled: Settled, error: Any, request_id: str) -> None:
    """Log the step, and the error of a failed state. It may name parts of the deployment, so
    depositors see the request id only."""
    step = settled.next_step
    LOGGER.info(
        "settled",
        origin_id=step.origin_id,
        next=step.next,
        run=step.run.name,
        metering_error=settled.metering_error,
        extra={"pass": step.run.number},
    )
    if settled.has_open_failed and error is not None:
        LOGGER.error("not opened", origin_id=step.origin_id, request_id=request_id, error=error)
    if settled.given_up is None:
        return
    job_id = settled.given_up.job_id
    LOGGER.warning("job failed", origin_id=step.origin_id, job_id=job_id, error=error)
    if metric := settled.given_up.origin.failure_metric:
        emit_metrics({metric: 1})
