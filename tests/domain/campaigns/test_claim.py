"""The claim on a target: in every order of writes and crashes, at most one task is at work."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from jobyard.domain.campaigns.claim import CLAIM_FOR, Claim, claimed, released
from jobyard.domain.history import HistoryEntry
from jobyard.domain.jobs.job import (
    JOB,
    OPEN_JOB_STATES,
    WAITED,
    Attempt,
    JobAddress,
    JobRecord,
    JobState,
    new_job,
)
from jobyard.domain.lifecycle import Cause
from tests.domain.campaigns.schedules import instant

NOW = instant("2026-11-25T10:00")
TASKS = tuple(JobAddress(f"c{letter * 20}", 0, 0) for letter in "abc")
Rule = Callable[[Claim, JobRecord | None, JobAddress], bool]


def by_attempt(claim: Claim, holder: JobRecord | None, task: JobAddress) -> bool:
    return claim.is_free(holder, task, NOW)


def unless_running(claim: Claim, holder: JobRecord | None, task: JobAddress) -> bool:
    return claim.task == task or holder is None or holder.state is not JobState.RUNNING


@dataclass(frozen=True)
class Worker:
    """A worker of a task: the step it does next, and what it has read."""

    task: int
    step: str = "read claim"
    claim: Claim | None = None
    record: tuple[JobState, int, int] = (JobState.SCHEDULED, 0, 0)  # as `World.records`


@dataclass(frozen=True)
class World:
    """The stored claim and records, as (state, version, attempts), and the workers."""

    claim: Claim | None
    records: tuple[tuple[JobState, int, int], ...]
    workers: tuple[Worker, ...]
    crashes: int = 0
    ends: int = 0

    def at_work(self) -> int:
        return sum(worker.step == "end" for worker in self.workers)

    def with_worker(self, index: int, worker: Worker | None, **changes: object) -> "World":
        others = (*self.workers[:index], *self.workers[index + 1 :])
        workers = (*others, *([worker] if worker else []))
        ordered = tuple(sorted(workers, key=repr))
        return replace(self, workers=ordered, **changes)  # type: ignore[arg-type]


# How a person ends a task that waits, and one that runs, whose worker may live.
ENDS = {JobState.SCHEDULED: JobState.CANCELLED, JobState.RUNNING: JobState.REPLACED}


def record_of(world: World, task: int) -> JobRecord:
    state, version, attempts = world.records[task]
    record = new_job(TASKS[task], NOW)
    for before, after in ENDS.items():
        if state is after:
            entry = HistoryEntry("end", before, after, NOW, "Ada", "x")
            record = replace(record, history=(entry,))
    return replace(record, state=state, version=version, attempts=(Attempt(NOW, NOW),) * attempts)


def following(world: World, rule: Rule, max_crashes: int, max_ends: int) -> Iterator[World]:
    """Each world that one step of a worker, one crash or one act of a person makes of this one."""
    for task, (state, version, attempts) in enumerate(world.records):
        if state in ENDS and world.ends < max_ends:
            ended = (ENDS[state], version + 1, attempts)
            records = (*world.records[:task], ended, *world.records[task + 1 :])
            yield replace(world, records=records, ends=world.ends + 1)
    for index, worker in enumerate(world.workers):
        yield stepped(world, index, worker, rule)
        if world.crashes < max_crashes:
            crashed = world.with_worker(index, None, crashes=world.crashes + 1)
            another = (*crashed.workers, Worker(worker.task))  # the task is recovered
            yield replace(crashed, workers=tuple(sorted(another, key=repr)))


def stepped(world: World, index: int, worker: Worker, rule: Rule) -> World:
    task, own = worker.task, world.records[worker.task]
    if worker.step == "read claim":
        if own[0] in {JobState.SUCCEEDED, *ENDS.values()}:
            return world.with_worker(index, None)
        read = replace(worker, step="read holder", claim=world.claim, record=own)
        return world.with_worker(index, read)
    if worker.step == "read holder":
        claim = worker.claim
        if claim:
            holder = next(record_of(world, each) for each in range(3) if TASKS[each] == claim.task)
            if not rule(claim, holder.stored, TASKS[task]):
                return world.with_worker(index, None)  # another pass tries again
        return world.with_worker(index, replace(worker, step="claim"))
    if worker.step == "claim":
        if world.claim != worker.claim:
            return world.with_worker(index, None)
        state, version, attempts = worker.record
        record = replace(
            record_of(world, task), state=state, attempts=(Attempt(NOW, NOW),) * attempts
        )
        new = claimed(worker.claim, "target", replace(record, version=version), NOW)
        return world.with_worker(index, replace(worker, step="start", claim=new), claim=new)
    if own != worker.record:
        return world.with_worker(index, None)  # a conditional write that fails
    state, version, attempts = own
    event = "succeed" if worker.step == "end" else "start"
    if state is JobState.RUNNING and worker.step == "start":
        event = "restart"
    after = JobState(JOB.move(state, event, NOW, Cause("x")).after)
    stored = (after, version + 1, attempts + (worker.step == "end"))
    records = (*world.records[:task], stored, *world.records[task + 1 :])
    at_work = replace(worker, step="end", record=stored) if worker.step == "start" else None
    return world.with_worker(index, at_work, records=records)


def most_at_work(rule: Rule, max_crashes: int, max_ends: int = 0) -> tuple[int, int]:
    """The most workers that are at work at the same time in any order; and how many worlds."""
    workers = tuple(sorted((Worker(task) for task in range(3)), key=repr))
    first = World(None, ((JobState.SCHEDULED, 0, 0),) * 3, workers)
    seen, todo, most = {first}, [first], 0
    while todo:
        world = todo.pop()
        most = max(most, world.at_work())
        new = set(following(world, rule, max_crashes, max_ends)) - seen
        seen |= new
        todo += new
    return most, len(seen)


def test_of_three_tasks_with_two_crashes_never_two_are_at_work() -> None:
    most, worlds = most_at_work(by_attempt, max_crashes=2)

    assert most == 1
    assert worlds > 1_000


def test_of_tasks_that_people_end_never_two_are_at_work() -> None:
    most, worlds = most_at_work(by_attempt, max_crashes=1, max_ends=1)

    assert most == 1
    assert worlds > 1_000


def unless_open(claim: Claim, holder: JobRecord | None, task: JobAddress) -> bool:
    has_ended = holder is not None and holder.state not in OPEN_JOB_STATES
    return by_attempt(claim, holder, task) or has_ended


def test_a_claim_that_is_free_when_its_holder_was_ended_by_force_would_let_two_work() -> None:
    most, _ = most_at_work(unless_open, max_crashes=0, max_ends=1)

    assert most > 1


def test_a_claim_is_free_when_its_holder_ended_while_it_waited() -> None:
    record = task_record(0, 2)
    claim = claimed(None, "router", record, NOW)
    ended = record.moved(JOB.move(record.state, "cancel", NOW, Cause("x")))

    assert claim.is_free(ended, TASKS[1], NOW)


def test_a_claim_that_is_free_unless_its_holder_runs_would_let_two_work() -> None:
    most, _ = most_at_work(unless_running, max_crashes=0)

    assert most > 1


def task_record(task: int, attempts: int, state: JobState = JobState.SCHEDULED) -> JobRecord:
    record = new_job(TASKS[task], NOW)
    return replace(record, state=state, version=1, attempts=(Attempt(NOW, NOW),) * attempts)


@pytest.mark.parametrize(
    ("holder", "minutes", "is_free"),
    [
        (None, 0, False),  # it has the claim and has not started
        (task_record(0, 2), 0, False),
        (task_record(0, 2, JobState.RUNNING), 15.9, False),
        (task_record(0, 2, JobState.RUNNING), 16, True),
        (task_record(0, 2, JobState.CANCELLED), 0, False),  # by force: its worker may be at work
        (task_record(0, 2, JobState.CANCELLED), 16, True),
        (task_record(0, 3), 0, True),
        (task_record(0, 3, JobState.SUCCEEDED), 0, True),
    ],
)
def test_a_claim_is_free_once_its_attempt_has_ended_or_after_16_minutes(
    holder: JobRecord | None, minutes: float, is_free: bool
) -> None:
    claim = claimed(None, "router", task_record(0, 2), NOW)

    assert claim == Claim("router", TASKS[0], 3, 1, NOW + CLAIM_FOR)
    assert claim.is_free(holder, TASKS[1], NOW + timedelta(minutes=minutes)) is is_free


def test_a_target_stays_claimed_while_its_device_reboots() -> None:
    record = task_record(0, 2)
    claim = claimed(None, "router", record, NOW)
    waits = Attempt(NOW, NOW, "verify", WAITED, "the device reboots")
    holder = replace(record, attempts=(*record.attempts, waits))

    assert not claim.is_free(holder, TASKS[1], NOW)


def test_a_task_takes_its_own_claim_again_at_once() -> None:
    """The worker died after its claim: the next one of the task continues."""
    record = task_record(0, 0)
    claim = claimed(None, "router", record, NOW)

    assert claim.is_free(record, record.address, NOW)
    assert claimed(claim, "router", record, NOW).version == 2


def test_a_claim_is_free_when_its_task_gives_it_back() -> None:
    claim = released(claimed(None, "router", task_record(0, 0), NOW), NOW)

    assert claim.is_free(None, TASKS[1], NOW)
    assert claim.version == 2
