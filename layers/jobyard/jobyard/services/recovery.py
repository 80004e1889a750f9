"""Recovery: start a new execution for orphaned work.

The tables say which work is unfinished (`pending_work`). Each piece of work has executions with
deterministic names: if execution n is not running, start n+1. So two recoveries at once start one
execution, and a recovery that is cut off can be repeated.

There are two kinds (decisions/0015). The scheduler tick checks a bounded number of batches each
minute, and needs no execution itself. The job type `reconcile` checks everything.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, count, islice
from typing import Any

from jobyard.domain.batches.batch import Batch, BatchState
from jobyard.domain.errors import Gone, NotFound, StaleState
from jobyard.domain.ids import origin_of
from jobyard.domain.schedules.schedule import SCHEDULE, SCHEDULER_CAUSE, Schedule
from jobyard.services.executions import Executions, ExecutionStatus
from jobyard.services.origins import ORIGINS
from jobyard.services.pending_work import (
    WORKER_TIMEOUT,
    PendingWork,
    work_of_batch,
    work_of_job,
)
from jobyard.store import batches, key_values, schedules

BATCHES_CHECKED = 100  # a minute; DescribeExecution allows ten calls a second, and a burst of 250
EXECUTIONS_STARTED = 25  # a minute
FAILED_BATCHES_CHECKED = 20  # the newest a minute: most failed batches are not being repaired
SLICE = 20  # batches or schedules that `recover_slice` checks at a time
_SCHEDULES = "schedules"  # in a cursor: the stage after the batches
_POSITION_KEY = "recovery position"
_START_TIMEOUT = timedelta(minutes=1)  # a request that has started no execution by then never will
# How long after the end of an execution the next one may start, by its status. The workers of a
# stopped execution may run until their time limit; a failed one has none.
_PAUSE_AFTER = {
    "SUCCEEDED": _START_TIMEOUT,
    "FAILED": timedelta(),
    "ABORTED": WORKER_TIMEOUT,
    "TIMED_OUT": WORKER_TIMEOUT,
}
_MAX_PAUSE = timedelta(hours=1)  # between executions that fail one after the other
# In this order. Jobs of a failed batch may be repaired.
_STATES_CHECKED = (
    BatchState.PENDING,
    BatchState.PROCESSING,
    BatchState.CANCELLING,
    BatchState.REPORTING,
    BatchState.UPDATE_REPORTING,
    BatchState.FAILED,
)


def reconcile(
    executions: Executions,
    now: datetime,
    limit: int = EXECUTIONS_STARTED,
    remaining: Callable[[], float] = lambda: 1.0,
) -> int:
    """Recover orphaned work of batches while `remaining()` is positive. Returns the number of
    started executions, at most `limit`.

    The oldest batches come first. If there are more than `BATCHES_CHECKED`, the next call continues
    after the last one.
    """
    started = 0
    oldest_first = _batches_to_check("")
    oldest = next(oldest_first, None)
    if oldest is None:
        return 0
    saved = position = key_values.get(_POSITION_KEY)
    to_check = _batches_from(saved) if saved else chain([oldest], oldest_first)
    for number, batch in enumerate(to_check):
        if started == limit or number == BATCHES_CHECKED or (number and remaining() <= 0):
            break
        started += recover_batch(batch.batch_id, executions, now, limit - started)
        position = _position_of(batch)
    else:
        position = ""
    if position != saved:
        key_values.put(_POSITION_KEY, position)
    return started


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
    """Recover a slice of all batches and schedules, from `cursor` on; if empty, the first."""
    if cursor.get("in") == _SCHEDULES:
        return _recover_schedules(cursor.get("after", ""), executions, now)
    state = BatchState(cursor.get("in", _STATES_CHECKED[0]))
    page = [*islice(batches.in_state(state, cursor.get("after", "")), SLICE)]
    if not page:
        stages = [*_STATES_CHECKED, _SCHEDULES]
        return RecoverySlice({"in": str(stages[stages.index(state) + 1])})
    found = [batch for batch in page if not batch.awaits_upload]
    recovered = sum(recover_batch(batch.batch_id, executions, now) for batch in found)
    after = batches.page_key(page[-1])
    return RecoverySlice({"in": state.value, "after": after}, len(found), recovered)


def _recover_schedules(after: str, executions: Executions, now: datetime) -> RecoverySlice:
    found = schedules.list_all(SLICE, after)
    if not found:
        return RecoverySlice({})
    active = [schedule for schedule in found if schedule.active]
    recovered = sum(_recover_jobs(schedule, executions, now) for schedule in active)
    after = found[-1].schedule_id
    return RecoverySlice({"in": _SCHEDULES, "after": after}, len(active), recovered)


def _batches_from(saved: str) -> Iterator[Batch]:
    """The batches to check, each once: from the saved position on, then from the beginning."""
    seen: set[str] = set()
    for batch in chain(_batches_to_check(saved), _batches_to_check("")):
        if batch.batch_id not in seen:
            seen.add(batch.batch_id)
            yield batch


def _batches_to_check(saved: str) -> Iterator[Batch]:
    """The unfinished batches and the newest failed ones, by state and age, from a position on.

    Read from an index, so they may have changed since.
    """
    first, _, after = saved.partition(" ")
    for state in _STATES_CHECKED[_STATES_CHECKED.index(BatchState(first)) if first else 0 :]:
        position = after if state == first else ""
        if state is BatchState.FAILED:
            newest = batches.of_state(state.value, limit=FAILED_BATCHES_CHECKED).items
            yield from (each for each in reversed(newest) if batches.page_key(each) > position)
        else:
            yield from batches.in_state(state, position, uploaded=True)


def _position_of(batch: Batch) -> str:
    """The position after a batch, as `_batches_to_check` takes it."""
    return f"{batch.state.value} {batches.page_key(batch)}"


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
    pause = (
        min(_START_TIMEOUT * 2 ** min(number - 2, 10), _MAX_PAUSE) if number > 1 else timedelta()
    )
    return last.ended_at + max(pause, _PAUSE_AFTER[last.status])


def recover_batch(
    batch_id: str, executions: Executions, now: datetime, limit: int | None = None
) -> int:
    """Recover the orphaned work of a batch. Returns the number of started executions, at most
    `limit`; 0 if the batch does not exist any more.
    """
    try:
        batch = batches.get(batch_id, now)
    except (Gone, NotFound):
        return 0
    started = 0
    for work in work_of_batch(batch, executions, now):
        started += recover(work, executions, now)
        if started == limit:
            break
    return started


def recover_origin(origin_id: str, executions: Executions, now: datetime) -> int:
    """Recover a batch or a schedule whose execution failed. Returns the number of started
    executions; 0 if `origin_id` is "".
    """
    if not origin_id:
        return 0
    return ORIGINS[origin_of(origin_id)].recover(origin_id, executions, now)


def recover_schedule(schedule_id: str, executions: Executions, now: datetime) -> int:
    """Recover the active jobs of a schedule. Returns the number of started executions.

    Raises:
        NotFound: there is no such schedule.
    """
    return recover_active_jobs(schedules.get(schedule_id), executions, now)


def recover_active_jobs(schedule: Schedule, executions: Executions, now: datetime) -> int:
    """Recover the active jobs of a schedule, and set when to check them again. Returns the number
    of started executions.
    """
    recovered = _recover_jobs(schedule, executions, now)
    move = SCHEDULE.move(schedule.state, "note", now, SCHEDULER_CAUSE)
    with suppress(StaleState):  # another write has set the time
        schedules.write(schedule, schedule.moved(move))
    return recovered


def _recover_jobs(schedule: Schedule, executions: Executions, now: datetime) -> int:
    started = 0
    for job in schedule.active:
        address = schedule.job_address(job.scheduled_for)
        work = work_of_job(address, job.run, job.started_at, executions)
        started += recover(work, executions, now)
    return started
