"""An execution did not reach its end: what it leaves is taken up at once, if that is due."""

import json
from typing import Any

from jobyard.services.recovery import recover_batch
from jobyard.services.schedules.clock import recover_schedule
from schedule.clients import LOGGER, STARTING, now


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Take up what the execution that `event` tells of was to do.

    An execution for a manifest that landed names none of them: its batch is the minute's to find.
    """
    detail = event["detail"]
    document = json.loads(detail.get("input") or "{}")
    batch_id, schedule_id = document.get("batch_id", ""), document.get("schedule_id", "")
    taken_up = 0
    if schedule_id:
        taken_up = recover_schedule(schedule_id, STARTING, now())
    elif batch_id:
        taken_up = recover_batch(batch_id, STARTING, now())
    LOGGER.info(
        "execution failed",
        execution=detail["executionArn"],
        status=detail["status"],
        batch_id=batch_id,
        schedule_id=schedule_id,
        taken_up=taken_up,
    )
    return {"taken_up": taken_up}
