"""Recovery: start a new execution for orphaned work.

The tables say which work is unfinished, and `pending_work` which execution may be started for it.
`origins` says how each origin is recovered.

There are two kinds (decisions/0015). The scheduler tick checks a bounded number of batches each
minute, and needs no execution itself. The job type `reconcile` checks everything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobyard.domain.ids import origin_of
from jobyard.services.executions import Executions
from jobyard.services.origins import ORIGINS


@dataclass(frozen=True)
class RecoverySlice:
    """The result of a slice of a full recovery.

    `cursor` is where the next slice starts, empty at the end. `checked` counts batches, and
    schedules with active jobs; `recovered` counts started executions.
    """

    cursor: Mapping[str, Any]
    checked: int = 0
    recovered: int = 0


def recover_slice(
    cursor: Mapping[str, Any], executions: Executions, now: datetime
) -> RecoverySlice:
    """Recover a slice of everything that jobs come from, from `cursor` on; if empty, the first."""
    stages = {stage: origin for origin in ORIGINS.values() for stage in origin.recovery_stages}
    names = [*stages]
    stage = cursor.get("in", names[0])
    page = stages[stage].recover_page(stage, cursor.get("after", ""), executions, now)
    following = names[names.index(stage) + 1 :]
    if page.after:
        cursor = {"in": stage, "after": page.after}
    else:
        cursor = {"in": following[0]} if following else {}
    return RecoverySlice(cursor, page.checked, page.recovered)


def recover_origin(origin_id: str, executions: Executions, now: datetime) -> int:
    """Recover a batch or a schedule whose execution failed. Returns the number of started
    executions; 0 if `origin_id` is "".
    """
    if not origin_id:
        return 0
    return ORIGINS[origin_of(origin_id)].recover(origin_id, executions, now)
