"""Recovery: start a new execution for orphaned work.

The tables say which work is unfinished. Each piece of work has executions with deterministic
names: if execution n is not running, start n+1. So two recoveries at once start one execution, and
a recovery that is cut off can be repeated. `services.origins` says how each origin is recovered.

There are two kinds (decisions/0015). The scheduler tick checks a bounded number of batches each
minute, and needs no execution itself. The job type `reconcile` checks everything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from jobyard.domain.ids import origin_of
from jobyard.services.executions import Executions, ExecutionStatus
from jobyard.services.origins import ORIGINS
from jobyard.services.pending_work import WORKER_TIMEOUT, PendingWork

_START_TIMEOUT = timedelta(minutes=1)  # a request that has started no execution by then never will
# How long after the end of an execution the next one may start, by its status. The workers of a
# stopped execution may run until their time limit; those of a failed one have ended.
_PAUSE_AFTER = {
    "SUCCEEDED": _START_TIMEOUT,
    "FAILED": timedelta(),
    "ABORTED": WORKER_TIMEOUT,
    "TIMED_OUT": WORKER_TIMEOUT,
}
_MAX_PAUSE = timedelta(hours=1)  # between executions that fail one after the other


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


def recover(work: PendingWork, executions: Executions, now: datetime) -> bool:
    """Start the next execution for the work, unless one is running or it is too early. Returns
    whether one was started.
    """
    ended: list[ExecutionStatus] = []
    for name in work.other_names:
        status = executions.status(work.machine, name)
        if status and status.is_running:
            return False
        ended += [status] if status else []
    for number in count(work.first):
        status = executions.status(work.machine, work.name(number))
        if status is None:
            break
        if status.is_running:
            return False
        ended.append(status)
    if now < _earliest(work, ended, number):
        return False
    work.start(number)
    return True


def _earliest(work: PendingWork, ended: list[ExecutionStatus], number: int) -> datetime:
    """The earliest time for execution `number`, after those in `ended`."""
    last = max(ended, key=lambda status: status.ended_at, default=None)
    if last is None or last.ended_at < work.since:
        return work.since + _START_TIMEOUT
    pause = timedelta()
    if number > 1:
        # Twice as long for each execution after number 2. Its exponent is limited, as 2**1000
        # minutes is no timedelta.
        pause = min(_START_TIMEOUT * 2 ** min(number - 2, 10), _MAX_PAUSE)
    return last.ended_at + max(pause, _PAUSE_AFTER[last.status])


def recover_origin(origin_id: str, executions: Executions, now: datetime) -> int:
    """Recover a batch or a schedule whose execution failed. Returns the number of started
    executions; 0 if `origin_id` is "".
    """
    if not origin_id:
        return 0
    return ORIGINS[origin_of(origin_id)].recover(origin_id, executions, now)
