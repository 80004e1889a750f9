"""Recovers the work of a failed execution at once, if recovery is due."""

from typing import Any

from jobyard.services.machines.inputs import FailedExecution
from jobyard.services.recovery import recover_origin
from schedule.clients import EXECUTIONS, LOGGER, now


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Recover the batch, schedule or campaign of the execution that `event` reports.

    An execution that an upload started names none; the scheduler tick finds its batch.
    """
    failed = FailedExecution.of(event["detail"])
    recovered = recover_origin(failed.origin_id, EXECUTIONS, now())
    LOGGER.info(
        "execution failed",
        execution=failed.arn,
        status=failed.status,
        origin_id=failed.origin_id,
        recovered=recovered,
    )
    return {"recovered": recovered}
