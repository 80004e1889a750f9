"""Recovers the work of a failed execution at once, if recovery is due."""

import json
from typing import Any

from jobyard.services.recovery import recover_origin
from schedule.clients import EXECUTIONS, LOGGER, now


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Recover the batch or the schedule of the execution that `event` reports.

    An execution that an upload started names neither; the scheduler tick finds its batch.
    """
    detail = event["detail"]
    origin_id = json.loads(detail.get("input") or "{}").get("origin_id", "")
    recovered = recover_origin(origin_id, EXECUTIONS, now())
    LOGGER.info(
        "execution failed",
        execution=detail["executionArn"],
        status=detail["status"],
        origin_id=origin_id,
        recovered=recovered,
    )
    return {"recovered": recovered}
