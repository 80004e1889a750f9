"""Recovery: start a new execution for orphaned work.

The tables are the truth, not the executions. Each unfinished piece of work has a line of executions
with deterministic names: if execution n is not running, start n+1. Nothing is written here, so two
recoveries at once start one execution, and one that is cut off is repeated a minute later.

Recovery has two depths (decisions/0015). The scheduler tick checks a bounded number of batches each
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
from jobyard.domain.jobs.job import JobAddress
from jobyard.domain.schedules.schedule import SCHEDULE, SCHEDULER_CAUSE, Schedule
from jobyard.services.executions import Executions, ExecutionStatus
from jobyard.services.origins import ORIGINS
from jobyard.services.pending_work import WORKER_TIMEOUT, PendingWork, work_of_batch, work_of_job
from jobyard.store import batches, key_values, schedules

BATCHES_CHECKED = 100  # a minute; AWS describes ten executions a second, and 250 at once
EXECUTIONS_STARTED = 25  # executions a minute
SLICE = 20  # batches or schedules that `recover_slice` checks at a time
_SCHEDULES = "schedules"  # the place after the last batch
_POSITION_KEY = "recovery position"
FAILED_BATCHES_CHECKED = 20  # the newest: most failed batches are not being repaired
_START_TIMEOUT = timedelta(minutes=1)  # a request that has started no execution by then never will
# How long after its end an execution gets a successor. A stopped execution may have workers that go
# on until their own time is over; a failed one has none.
_PAUSE_AFTER = {
    "SUCCEEDED": _START_TIMEOUT,
    "FAILED": timedelta(),
    "ABORTED": WORKER_TIMEOUT,
    "TIMED_OUT": WORKER_TIMEOUT,
}
_MAX_PAUSE = timedelta(hours=1)  # pause between executions that fail one after the other
_UNFINISHED = (
    BatchState.PENDING,
    BatchState.PROCESSING,
    BatchState.CANCELLING,
    BatchState.REPORTING,
    BatchState.UPDATE_REPORTING,
)


def reconcile(
    executions: Executions,
    now: datetime,
    limit: int = EXECUTIONS_STARTED,
    remaining: Callable[[], float] = lambda: 1.0,
) -> int:
    """Recover orphaned work of batches while `remaining()` is positive. Returns how many executions
    were started, at most `most`.

    The oldest batches come first. With more than `BATCHES_CHECKED`, the next minute goes on after
    the last one.
    """
    started = 0
    oldest_first = _unfinished("")
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
    """What a slice of a full recovery checked, and where to go on; at the end an empty place.

    `checked` counts batches, and schedules with active jobs; `recovered` counts started executions.
    """

    place: Mapping[str, Any]
    checked: int = 0
    recovered: int = 0


def recover_slice(place: Mapping[str, Any], executions: Executions, now: datetime) -> RecoverySlice:
    """Recover the next slice of all batches and schedules, from `place` on; empty: the first."""
    if place.get("in") == _SCHEDULES:
        return _recover_schedules(place.get("after", ""), executions, now)
    states = [*_UNFINISHED, BatchState.FAILED]
    state = BatchState(place.get("in", states[0]))
    page = [*islice(batches.in_state(state, place.get("after", "")), SLICE)]
    if not page:
        following = [*states[states.index(state) + 1 :], _SCHEDULES]
        return RecoverySlice({"in": str(following[0])})
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
    """The unfinished batches as the index has them, each once: from the saved position on, then
    from the beginning."""
    seen: set[str] = set()
    for batch in chain(_unfinished(saved), _unfinished("")):
        if batch.batch_id not in seen:
            seen.add(batch.batch_id)
            yield batch


def _unfinished(saved: str) -> Iterator[Batch]:
    """The unfinished batches and the newest failed ones, state by state, from a position on."""
    states = [*_UNFINISHED, BatchState.FAILED]
    named, _, after = saved.partition(" ")
    for state in states[states.index(BatchState(named)) if named else 0 :]:
        place = after if state == named else ""
        if state is BatchState.FAILED:
            newest = batches.of_state(state.value, limit=FAILED_BATCHES_CHECKED).items
            yield from (each for each in reversed(newest) if batches.page_key(each) > place)
        else:
            yield from batches.in_state(state, place, uploaded=True)


def _position_of(batch: Batch) -> str:
    return f"{batch.state.value} {batches.page_key(batch)}"


def recover(work: PendingWork, executions: Executions, now: datetime) -> bool:
    """Start the next execution for the work, unless one is running or it is too early."""
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
    """Recover the orphaned work of a batch. Returns how many executions started, `most` at most."""
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
    """Recover a batch or a schedule whose execution failed; how many executions were started."""
    recover_all = ORIGINS[origin_of(origin_id)].recover
    return recover_all(origin_id, executions, now) if origin_id else 0


def recover_schedule(schedule_id: str, executions: Executions, now: datetime) -> int:
    """Recover the active jobs of a schedule; how many executions were started.

    Raises:
        NotFound: there is no such schedule.
    """
    return recover_active_jobs(schedules.get(schedule_id), executions, now)


def recover_active_jobs(schedule: Schedule, executions: Executions, now: datetime) -> int:
    """Recover the active jobs of a schedule, and set when to check them again; how many executions
    were started."""
    recovered = _recover_jobs(schedule, executions, now)
    move = SCHEDULE.move(schedule.state, "note", now, SCHEDULER_CAUSE)
    with suppress(StaleState):  # whoever changed it has set it
        schedules.write(schedule, schedule.moved(move))
    return recovered


def _recover_jobs(schedule: Schedule, executions: Executions, now: datetime) -> int:
    return sum(
        recover_job(
            schedule.job_address(job.scheduled_for), job.run, job.started_at, executions, now
        )
        for job in schedule.active
    )


def recover_job(
    place: JobAddress, run: str, since: datetime, executions: Executions, now: datetime
) -> bool:
    """Start an execution for a job that `run` owns since `since`, if none is running. Returns
    whether one was started."""
    return recover(work_of_job(place, run, since, executions), executions, now)
