"""Recovery: start a new execution for orphaned work.

The tables are the truth, not the executions. Each unfinished piece of work has a line of executions
with deterministic names: if execution n is not running, start n+1. Nothing is written here, so two
recoveries at once start one execution, and one that is cut off is repeated a minute later.

Recovery has two depths (decisions/0015). The scheduler tick checks a bounded number of batches each
minute, and needs no execution itself. The job type `reconcile` checks everything.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, count, islice
from typing import Any

from jobyard.domain.batches.batch import Batch, BatchState
from jobyard.domain.batches.chunks import ChunkRecord
from jobyard.domain.cause_key import MAIN_RUN, Action, CauseKey
from jobyard.domain.errors import Gone, NotFound, StaleState
from jobyard.domain.ids import origin_of
from jobyard.domain.jobs.job import JobAddress, JobRecord, JobState
from jobyard.domain.schedules.schedule import SCHEDULE, SCHEDULER_CAUSE, Schedule
from jobyard.services.batches.commands import COMMANDS
from jobyard.services.batches.settle import due_chunks, fresh_executions, open_jobs
from jobyard.services.executions import Executions, ExecutionStatus, batch_execution, job_execution
from jobyard.services.origins import ORIGINS
from jobyard.services.runs import ExecutionRun
from jobyard.store import batches, chunks, jobs, key_values, operations, schedules

BATCHES_CHECKED = 100  # a minute; AWS describes ten executions a second, and 250 at once
EXECUTIONS_STARTED = 25  # executions a minute
SLICE = 20  # batches or schedules that `recover_slice` checks at a time
_SCHEDULES = "schedules"  # the place after the last batch
CHUNKS_CHECKED = 20  # of one batch in a minute; the next minutes check the others
_POSITION_KEY = "recovery position"
FAILED_BATCHES_CHECKED = 20  # the newest: most failed batches are not being repaired
_START_TIMEOUT = timedelta(minutes=1)  # a request that has started no execution by then never will
WORKER_TIMEOUT = timedelta(minutes=15)  # Lambda's time limit for a worker
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


@dataclass(frozen=True)
class PendingWork:
    """A piece of work that an execution of `machine` has to do since `since`.

    `name` gives the name of execution n, and `start` starts it, for n from `first` on; 0 is the
    execution that the request itself starts. `other_names` are executions that may do the work too.
    """

    machine: str
    since: datetime
    first: int
    name: Callable[[int], str]
    start: Callable[[int], None]
    other_names: tuple[str, ...] = ()


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


def work_of_batch(batch: Batch, executions: Executions, now: datetime) -> Iterator[PendingWork]:
    """The work that executions have to do for a batch."""
    since = batch.history[-1].at if batch.history else batch.submitted_at
    is_reading = batch.state is BatchState.PROCESSING and not batch.entries
    if batch.source is not None and (batch.state is BatchState.PENDING or is_reading):
        yield _batch_work(batch, "open", _possible_executions(batch), since, executions)
        return
    if batch.state is BatchState.REPORTING:
        yield _batch_work(batch, "settle", _possible_executions(batch), since, executions)
        return
    records = {record.chunk: record for record in chunks.of_batch(batch.batch_id)}
    incomplete: list[JobRecord] = []
    for number in _chunks_to_check(records.values(), now):
        found = [*jobs.of_chunk(batch.batch_id, number)]
        records[number] = _recount(batch, records[number], found, now)
        incomplete += found
    running = [*operations.running(batch.batch_id)]
    for operation in running:
        run = operation.operation_id
        last_pass = max((each.progress(run).last_pass for each in records.values()), default=0)
        yield _operation_work(batch, run, last_pass, operation.requested_at, executions)
    owners = {MAIN_RUN, *(operation.operation_id for operation in running)}
    for job in incomplete:  # jobs that a request for a single job owns
        if _awaits_work(job) and _owner(job) not in owners:
            yield work_of_job(job.address, _owner(job), job.at, executions)
    if batch.state is not BatchState.FAILED:
        due, last_pass = due_chunks(batch, records, ExecutionRun(MAIN_RUN, 1), now)
        passes = batch.state is not BatchState.UPDATE_REPORTING and bool(due)
        if passes or not (running or open_jobs(batch, records.values())):
            yield _batch_work(
                batch, "settle", _possible_executions(batch, last_pass), since, executions
            )


def _possible_executions(batch: Batch, last_pass: int = 0) -> tuple[str, ...]:
    """The names of executions that may be running for a whole batch, from its history."""
    names: dict[str, None] = {}
    for entry in reversed(batch.history):
        opened = CauseKey.parse(entry.cause)
        if opened.action is Action.OPEN:
            names[opened.subject] = None
            break
    for entry in reversed(batch.history):
        if entry.event in COMMANDS:
            names[batch_execution(batch.batch_id, COMMANDS[entry.event], entry.cause)] = None
            break
    settled = CauseKey.parse(batch.history[-1].cause) if batch.history else CauseKey()
    if settled.action is Action.SETTLE:
        run = ExecutionRun(settled.run, settled.pass_number)
        names |= dict.fromkeys(fresh_executions(batch.batch_id, run.name, run.number))
        if run.name != MAIN_RUN:
            names[batch_execution(batch.batch_id, "operation", run.name)] = None
            names[batch_execution(batch.batch_id, "settle", run.name, run.recoveries)] = None
    return (*names, *fresh_executions(batch.batch_id, MAIN_RUN, last_pass))


def _batch_work(
    batch: Batch,
    command: str,
    other_names: tuple[str, ...],
    since: datetime,
    executions: Executions,
) -> PendingWork:
    return PendingWork(
        executions.settings.batch_machine,
        since,
        1,
        lambda number: batch_execution(batch.batch_id, command, MAIN_RUN, number),
        lambda number: executions.start_batch(batch.batch_id, command, MAIN_RUN, number),
        other_names,
    )


def _operation_work(
    batch: Batch, run: str, last_pass: int, since: datetime, executions: Executions
) -> PendingWork:
    def command(number: int) -> str:
        return "settle" if number else "operation"

    return PendingWork(
        executions.settings.batch_machine,
        since,
        0,
        lambda number: batch_execution(batch.batch_id, command(number), run, number),
        lambda number: executions.start_batch(batch.batch_id, command(number), run, number),
        tuple(fresh_executions(batch.batch_id, run, last_pass)),
    )


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


def work_of_job(
    place: JobAddress, run: str, since: datetime, executions: Executions
) -> PendingWork:
    return PendingWork(
        executions.settings.job_machine,
        since,
        0,
        lambda number: job_execution(place, run, number),
        lambda number: executions.start_job(place, run, number),
    )


def _chunks_to_check(records: Iterable[ChunkRecord], now: datetime) -> list[int]:
    """The chunks to check now: `CHUNKS_CHECKED` of the incomplete ones, others each minute."""
    numbers = [record.chunk for record in records if _is_incomplete(record)]
    start = int(now.timestamp() // 60) * CHUNKS_CHECKED % max(len(numbers), 1)
    return [*numbers[start:], *numbers[:start]][:CHUNKS_CHECKED]


def _is_incomplete(record: ChunkRecord) -> bool:
    """Whether a chunk counts open jobs although the batch's own run has passed it."""
    progress = record.progress(MAIN_RUN)
    is_busy = record.count(JobState.SCHEDULED) or record.count(JobState.RUNNING)
    return bool(is_busy and progress.last_pass and progress.next_at is None)


def _recount(
    batch: Batch, record: ChunkRecord, found: list[JobRecord], now: datetime
) -> ChunkRecord:
    """The chunk with the counts of its jobs `found`, which were read after it.

    A late worker, or one that was cut off, may have counted wrongly. If the batch's own run left a
    job behind, another pass is due.
    """
    if not found:
        return record
    is_behind = any(
        _awaits_work(job) and _owner(job) == MAIN_RUN and now - job.at >= WORKER_TIMEOUT
        for job in found
    )
    counted = replace(record.with_counts_of(found), collection=batch.collection)
    if counted.counts == record.counts and not is_behind:
        return record
    progress = replace(record.progress(MAIN_RUN), next_at=now if is_behind else None)
    runs = {**record.runs, MAIN_RUN: progress}
    try:
        return chunks.put(replace(counted, runs=runs))
    except StaleState:
        return record  # a worker counts just now


def _awaits_work(job: JobRecord) -> bool:
    return job.state in {JobState.SCHEDULED, JobState.RUNNING}


def _owner(job: JobRecord) -> str:
    """The name of the run that moved a job last."""
    return CauseKey.parse(job.cause).run
