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
from jobyard.services.edits import recovery as edits
from jobyard.services.executions import Executions
from jobyard.services.origins import ORIGINS

_EDITS = "edits"  # the list of what the edit machine works on


@dataclass(frozen=True)
class RecoverySlice:
    """The result of a slice of a full recovery.

    `cursor` is where the next slice starts, empty at the end. `checked` counts batches,
    schedules with active jobs, and edit jobs that wait for the machine; `recovered` counts started
    executions.
    """

    cursor: Mapping[str, Any]
    checked: int = 0
    recovered: int = 0


def recover_slice(
    cursor: Mapping[str, Any], executions: Executions, now: datetime
) -> RecoverySlice:
    """Recover a slice of all lists, from `cursor` on; from the beginning if it is empty."""
    origins = {name: origin for origin in ORIGINS.values() for name in origin.recovery_lists}
    names = [*origins, _EDITS]
    name, after = cursor.get("in", names[0]), cursor.get("after", "")
    if name == _EDITS:
        page = edits.recover_page(after, executions, now)
    else:
        page = origins[name].recover_page(name, after, executions, now)
    following = names[names.index(name) + 1 :]
    if page.after:
        cursor = {"in": name, "after": page.after}
    else:
        cursor = {"in": following[0]} if following else {}
    return RecoverySlice(cursor, page.checked, page.recovered)


def recover_origin(origin_id: str, executions: Executions, now: datetime) -> int:
    """Recover a batch, schedule or campaign whose execution failed. Returns the number of
    started executions; 0 if `origin_id` is "".
    """
    if not origin_id:
        return 0
    return ORIGINS[origin_of(origin_id)].recover(origin_id, executions, now)
