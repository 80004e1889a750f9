"""Taking up again what no execution works on.

The tables are the truth, not the executions. What they say is still to be done has an execution,
whose name follows from them; if that one ended without doing it, or was never started, the next of
its line is started, whose name follows too. So nothing is written down here: whoever looks twice
starts one execution, and a look that is cut off is simply repeated a minute later.

There are two depths (decisions/0015): the minute looks at so many batches and no more, as long as
its time lasts, for it must need no execution itself; the job type `reconcile` looks at everything.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, count, islice
from typing import Any

from jobyard.domain.batches.batch import Batch, BatchState
from jobyard.domain.batches.chunks import MAIN, ChunkRecord
from jobyard.domain.cause_key import Action, CauseKey
from jobyard.domain.errors import Gone, NotFound, StaleState
from jobyard.domain.ids import is_schedule_id
from jobyard.domain.jobs.job import JobAddress, JobRecord, JobState
from jobyard.domain.schedules.schedule import CLOCK, SCHEDULE, Schedule
from jobyard.services.batches.commands import COMMANDS
from jobyard.services.batches.settle import due_chunks, fresh_executions, open_jobs
from jobyard.services.executions import Executions, ExecutionStatus, batch_execution, job_execution
from jobyard.services.runs import ExecutionRun
from jobyard.store import batches, chunks, jobs, key_values, operations, schedules

BATCHES_CHECKED = 100  # batches a minute; AWS describes ten executions a second, and 250 at once
EXECUTIONS_STARTED = 25  # executions a minute
AT_A_TIME = 20  # batches or schedules, of a look at all there is
_SCHEDULES = "schedules"  # where such a look goes after the batches
CHUNKS_CHECKED = 20  # of one batch whose jobs are read in a look; the next looks read the others
_MINUTES_PLACE = "where the minute's look goes on"
FAILED_BATCHES_CHECKED = (
    20  # failed batches looked at, the newest: in most of them nothing is being repaired
)
_PATIENCE = timedelta(minutes=1)  # a request that has not told the machine by then is not going to
_LONGEST_WORK = timedelta(minutes=15)  # a worker has no more time than that
# How long after its end an execution is followed. One that failed by itself has nothing at work
# any more; one that was stopped may have workers that go on until their own time is over.
_AFTER = {
    "SUCCEEDED": _PATIENCE,
    "FAILED": timedelta(),
    "ABORTED": _LONGEST_WORK,
    "TIMED_OUT": _LONGEST_WORK,
}
_LONGEST = timedelta(hours=1)  # between executions that fail one after the other
_WATCHED = (
    BatchState.PENDING,
    BatchState.PROCESSING,
    BatchState.CANCELLING,
    BatchState.REPORTING,
    BatchState.UPDATE_REPORTING,
)


@dataclass(frozen=True)
class PendingWork:
    """Something an execution has to do: of which machine, told when, and who may be at it.

    `name` is of its line of executions and `begin` starts one: the `first`-th (0: the request's
    own), the next after that, and so on. `others` are names outside that line.
    """

    machine: str
    since: datetime
    first: int
    name: Callable[[int], str]
    begin: Callable[[int], None]
    others: tuple[str, ...] = ()


def reconcile(
    executions: Executions,
    now: datetime,
    most: int = EXECUTIONS_STARTED,
    remaining: Callable[[], float] = lambda: 1.0,
) -> int:
    """Have executions take up whatever none works on, until `remaining` seconds are over; how many
    were started, `most` at the most.

    The oldest batches come first. Where there are more than can be looked at in a minute, the next
    minute goes on after the last of them.
    """
    begun = 0
    from_the_first = _watched("")
    first = next(from_the_first, None)
    if first is None:
        return 0
    noted = came_to = key_values.get(_MINUTES_PLACE)
    turn = _turn(noted) if noted else chain([first], from_the_first)
    for number, suggested in enumerate(turn):
        if begun == most or number == BATCHES_CHECKED or (number and remaining() <= 0):
            break
        begun += recover_batch(suggested.batch_id, executions, now, most - begun)
        came_to = _place_of(suggested)
    else:
        came_to = ""
    if came_to != noted:
        key_values.put(_MINUTES_PLACE, came_to)
    return begun


@dataclass(frozen=True)
class RecoverySlice:
    """What a look at some of all there is came to, and where to go on; the end is an empty place.

    What is looked at are batches, and schedules with runs.
    """

    place: Mapping[str, Any]
    checked: int = 0
    recovered: int = 0


def recover_slice(place: Mapping[str, Any], executions: Executions, now: datetime) -> RecoverySlice:
    """Look at some more of everything, from `place` on; from the beginning if that is empty."""
    if place.get("in") == _SCHEDULES:
        return _look_at_schedules(place.get("after", ""), executions, now)
    states = [*_WATCHED, BatchState.FAILED]
    state = BatchState(place.get("in", states[0]))
    suggested = [*islice(batches.in_state(state, place.get("after", "")), AT_A_TIME)]
    if not suggested:
        following = [*states[states.index(state) + 1 :], _SCHEDULES]
        return RecoverySlice({"in": str(following[0])})
    found = [batch for batch in suggested if not batch.is_awaited]
    recovered = sum(recover_batch(batch.batch_id, executions, now) for batch in found)
    after = batches.place_of(suggested[-1])
    return RecoverySlice({"in": state.value, "after": after}, len(found), recovered)


def _look_at_schedules(after: str, executions: Executions, now: datetime) -> RecoverySlice:
    found = schedules.every(AT_A_TIME, after)
    if not found:
        return RecoverySlice({})
    going = [schedule for schedule in found if schedule.active]
    recovered = sum(_recover_jobs(schedule, executions, now) for schedule in going)
    after = found[-1].schedule_id
    return RecoverySlice({"in": _SCHEDULES, "after": after}, len(going), recovered)


def _turn(noted: str) -> Iterator[Batch]:
    """The batches to look at, each once, as the index knows them: from the place that was `noted`
    on, then those before it."""
    seen: set[str] = set()
    for suggested in chain(_watched(noted), _watched("")):
        if suggested.batch_id not in seen:
            seen.add(suggested.batch_id)
            yield suggested


def _watched(noted: str) -> Iterator[Batch]:
    """The open batches and the newest failed ones, state by state, from a place on."""
    states = [*_WATCHED, BatchState.FAILED]
    named, _, after = noted.partition(" ")
    for state in states[states.index(BatchState(named)) if named else 0 :]:
        place = after if state == named else ""
        if state is BatchState.FAILED:
            newest = batches.of_state(state.value, limit=FAILED_BATCHES_CHECKED).items
            yield from (each for each in reversed(newest) if batches.place_of(each) > place)
        else:
            yield from batches.in_state(state, place, uploaded=True)


def _place_of(batch: Batch) -> str:
    return f"{batch.state.value} {batches.place_of(batch)}"


def recover(errand: PendingWork, executions: Executions, now: datetime) -> bool:
    """Start the next of the errand's executions, unless one is at work or it is too early."""
    ended: list[ExecutionStatus] = []
    for name in errand.others:
        look = executions.look(errand.machine, name)
        if look and look.is_at_work:
            return False
        ended += [look] if look else []
    for number in count(errand.first):
        look = executions.look(errand.machine, errand.name(number))
        if look is None:
            break
        if look.is_at_work:
            return False
        ended.append(look)
    if now < _earliest(errand, ended, number):
        return False
    errand.begin(number)
    return True


def _earliest(errand: PendingWork, ended: list[ExecutionStatus], number: int) -> datetime:
    """When the `number`-th execution of an errand may be started, the others having `ended`."""
    last = max(ended, key=lambda look: look.ended_at, default=None)
    if last is None or last.ended_at < errand.since:
        return errand.since + _PATIENCE
    pause = min(_PATIENCE * 2 ** min(number - 2, 10), _LONGEST) if number > 1 else timedelta()
    return last.ended_at + max(pause, _AFTER[last.status])


def pending_work(batch: Batch, executions: Executions, now: datetime) -> Iterator[PendingWork]:
    """What is to be done for a batch by executions, each with its line of them."""
    since = batch.history[-1].at if batch.history else batch.submitted_at
    reading = batch.state is BatchState.PROCESSING and not batch.entries
    if batch.source is not None and (batch.state is BatchState.PENDING or reading):
        yield _of_batch(batch, "open", _workers(batch), since, executions)
        return
    if batch.state is BatchState.REPORTING:
        yield _of_batch(batch, "settle", _workers(batch), since, executions)
        return
    records = {record.chunk: record for record in chunks.of_batch(batch.batch_id)}
    left: list[JobRecord] = []
    for number in _some_left(records.values(), now):
        found = [*jobs.of_chunk(batch.batch_id, number)]
        records[number] = _recounted(batch, records[number], found, now)
        left += found
    running = [*operations.running(batch.batch_id)]
    for operation in running:
        run = operation.operation_id
        furthest = max((each.passage(run).passed for each in records.values()), default=0)
        yield _of_operation(batch, run, furthest, operation.asked_at, executions)
    owners = {MAIN, *(operation.operation_id for operation in running)}
    for job in left:  # those that requests for one job by itself have to bring to an end
        if _awaits_work(job) and _owner(job) not in owners:
            yield _of_job(job.place, _owner(job), job.at, executions)
    if batch.state is not BatchState.FAILED:
        due, furthest = due_chunks(batch, records, ExecutionRun(MAIN, 1), now)
        passes = batch.state is not BatchState.UPDATE_REPORTING and bool(due)
        if passes or not (running or open_jobs(batch, records.values())):
            yield _of_batch(batch, "settle", _workers(batch, furthest), since, executions)


def _workers(batch: Batch, furthest: int = 0) -> tuple[str, ...]:
    """The executions that may be at work on a batch as a whole, as its history names them."""
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
        if run.name != MAIN:
            names[batch_execution(batch.batch_id, "operation", run.name)] = None
            names[batch_execution(batch.batch_id, "settle", run.name, run.times)] = None
    return (*names, *fresh_executions(batch.batch_id, MAIN, furthest))


def _of_batch(
    batch: Batch, command: str, others: tuple[str, ...], since: datetime, executions: Executions
) -> PendingWork:
    return PendingWork(
        executions.settings.batch_machine,
        since,
        1,
        lambda number: batch_execution(batch.batch_id, command, MAIN, number),
        lambda number: executions.batch(batch.batch_id, command, MAIN, number),
        others,
    )


def _of_operation(
    batch: Batch, run: str, furthest: int, since: datetime, executions: Executions
) -> PendingWork:
    def command(number: int) -> str:
        return "settle" if number else "operation"

    return PendingWork(
        executions.settings.batch_machine,
        since,
        0,
        lambda number: batch_execution(batch.batch_id, command(number), run, number),
        lambda number: executions.batch(batch.batch_id, command(number), run, number),
        tuple(fresh_executions(batch.batch_id, run, furthest)),
    )


def recover_batch(
    batch_id: str, executions: Executions, now: datetime, most: int | None = None
) -> int:
    """Have executions take up what none works on of one batch; how many were started, `most` at the
    most."""
    try:
        batch = batches.get(batch_id, now)
    except (Gone, NotFound):
        return 0
    begun = 0
    for errand in pending_work(batch, executions, now):
        begun += recover(errand, executions, now)
        if begun == most:
            break
    return begun


def recover_origin(origin_id: str, executions: Executions, now: datetime) -> int:
    """Recover a batch or a schedule whose execution failed; how many executions were started."""
    if is_schedule_id(origin_id):
        return recover_schedule(origin_id, executions, now)
    return recover_batch(origin_id, executions, now) if origin_id else 0


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
    move = SCHEDULE.move(schedule.state, "note", now, CLOCK)
    with suppress(StaleState):  # whoever changed it has set it
        schedules.write(schedule, schedule.moved(move))
    return recovered


def _recover_jobs(schedule: Schedule, executions: Executions, now: datetime) -> int:
    return sum(
        recover_job(schedule.place(job.at), job.run, job.since, executions, now)
        for job in schedule.active
    )


def recover_job(
    place: JobAddress, run: str, since: datetime, executions: Executions, now: datetime
) -> bool:
    """Start an execution for a job of a schedule, which `run` was to bring to an end `since`, if
    none is at work on it; whether one was started."""
    return recover(_of_job(place, run, since, executions), executions, now)


def _of_job(place: JobAddress, run: str, since: datetime, executions: Executions) -> PendingWork:
    return PendingWork(
        executions.settings.job_machine,
        since,
        0,
        lambda number: job_execution(place, run, number),
        lambda number: executions.job(place, run, number),
    )


def _some_left(records: Iterable[ChunkRecord], now: datetime) -> list[int]:
    """The chunks to look into now: `LEFT_CHUNKS` of those that are left, others each minute."""
    numbers = [record.chunk for record in records if _is_left(record)]
    start = int(now.timestamp() // 60) * CHUNKS_CHECKED % max(len(numbers), 1)
    return [*numbers[start:], *numbers[:start]][:CHUNKS_CHECKED]


def _is_left(record: ChunkRecord) -> bool:
    """Whether a chunk shows jobs as open although the batch's own run is through with it."""
    passage = record.passage(MAIN)
    busy = record.count(JobState.SCHEDULED) or record.count(JobState.RUNNING)
    return bool(busy and passage.passed and passage.next_at is None)


def _recounted(
    batch: Batch, record: ChunkRecord, found: list[JobRecord], now: datetime
) -> ChunkRecord:
    """The chunk with the counts of its jobs `found`, read after it, and with another pass due if
    the batch's own run left a job behind; as it is when none were looked for.

    A worker that came late or was cut off may have counted otherwise.
    """
    if not found:
        return record
    behind = any(
        _awaits_work(job) and _owner(job) == MAIN and now - job.at >= _LONGEST_WORK for job in found
    )
    counted = replace(record.counting(found), collection=batch.collection)
    if counted.counts == record.counts and not behind:
        return record
    passage = replace(record.passage(MAIN), next_at=now if behind else None)
    runs = {**record.runs, MAIN: passage}
    try:
        return chunks.put(replace(counted, runs=runs))
    except StaleState:
        return record  # somebody counts just now


def _awaits_work(job: JobRecord) -> bool:
    return job.state in {JobState.SCHEDULED, JobState.RUNNING}


def _owner(job: JobRecord) -> str:
    """The name of the run that moved a job last."""
    return CauseKey.parse(job.cause).run
