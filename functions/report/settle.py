"""Settles a batch after a pass, or a single job, and decides the machine's next step."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from jobyard.domain import metrics
from jobyard.domain.ids import Origin
from jobyard.services.machines.settle import Settled, settle_execution
from report.clients import LOGGER, METER, SETTLE_CONTEXT
from telemetry import emit_metrics


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Settle what `event` names. A batch that could not be opened fails, and is reported."""
    with METER.invocation("settle", int(context.memory_limit_in_mb)) as billed:
        billed.origin_id = event.get("origin_id", "")
        settled = settle_execution(event, SETTLE_CONTEXT, context.aws_request_id)
        step = settled.next_step
        billed.origin_id, billed.transitions = step.origin_id, step.transitions
    _log_failure(settled, event, context.aws_request_id)
    LOGGER.info(
        "settled",
        origin_id=step.origin_id,
        next=step.next,
        run=step.run.name,
        pass_=step.run.number,
        unbilled=billed.unwritten,
    )
    return step.document()


def _log_failure(settled: Settled, event: dict[str, Any], request_id: str) -> None:
    """Log the error of a failed state. It may name parts of the deployment, so depositors see the
    request id only."""
    error, origin_id = event.get("error"), settled.next_step.origin_id
    if settled.is_unopened and error is not None:
        LOGGER.error("not opened", origin_id=origin_id, request_id=request_id, error=error)
    if settled.given_up is None:
        return
    job_id = settled.given_up.job_id
    LOGGER.warning("job failed", origin_id=origin_id, job_id=job_id, error=error)
    if settled.given_up.origin is Origin.SCHEDULE:
        emit_metrics({metrics.RUNS_FAILED_OR_MISSED: 1})
