"""The claim on a target: in every order of writes and crashes, at most one task is at work."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from jobyard.domain.campaigns.claim import CLAIM_FOR, Claim, claimed, may_keep, without_claim
from jobyard.domain.history import HistoryEntry
from jobyard.domain.jobs.job import (
    JOB,
    OPEN_JOB_STATES,
    PART,
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
EARLIER = NOW - timedelta(minutes=5)
TASKS = tuple(JobAddress(f"c{letter * 20}", 0, 0) for letter in "abc")
CODES = {"f": "DEVICE_OFFLINE", "p": PART, "s": ""}
Rule = Callable[[Claim, JobRecord | None, JobAddress], bool]
# The state of a record, its version, how many attempts and parts have ended, if it keeps the claim.
Stored = tuple[JobState, int, int, bool]
UNTOUCHED: Stored = (JobState.SCHEDULED, 0, 0, False)


def by_attempt(claim: Claim, holder: JobRecord | None, task: JobAddress) -> bool:
    return claim.is_free(holder, task, NOW)


def unless_running(claim: Claim, holder: JobRecord | None, task: JobAddress) -> bool:
    return claim.task == task or holder is None or holder.state is not JobState.RUNNING


@dataclass(frozen=True)
class Protocol:
    """When a task may take a claim, and whether who takes it revokes it first. At most so many
    workers crash, and people end so many tasks. `outcomes` are those of the attempts of each task:
    f for failed, p for a part, s for succeeded.
    """

    rule: Rule = by_attempt
    max_crashes: int = 0
    max_ends: int = 0
    outcomes: tuple[str, str, str] = ("s", "s", "s")
    revokes: bool = True


@dataclass(frozen=True)
class Worker:
    """The worker of a task: the step it does next, and what it has read."""

    step: str = "read record"
    record: Stored = UNTOUCHED
    claim: Claim | None = None
    holder: tuple[int, Stored] | None = None  # that may keep the claim


@dataclass(frozen=True)
class World:
    """The stored claim, and the record and the worker of each task."""

    claim: Claim | None
    records: tuple[Stored, ...]
    workers: tuple[Worker | None, ...]
    crashes: int = 0
    ends: int = 0

    def at_work(self, outcomes: tuple[str, ...]) -> int:
        """How many attempts have begun: a worker runs them, or their devices restart."""
        waiting = (
            state is JobState.SCHEDULED and ended and outcomes[task][ended - 1] == "p"
            for task, (state, _, ended, _) in enumerate(self.records)
        )
        running = (worker.step == "end" for worker in self.workers if worker)
        return sum(running) + sum(map(bool, waiting))

    def with_worker(self, task: int, worker: Worker | None, **changes: object) -> "World":
        workers = (*self.workers[:task], worker, *self.workers[task + 1 :])
        return replace(self, workers=workers, **changes)  # type: ignore[arg-type]

    def with_record(self, task: int, record: Stored) -> tuple[Stored, ...]:
        return (*self.records[:task], record, *self.records[task + 1 :])


# How a person ends a task that waits, and one that runs, whose worker may live.
ENDS = {JobState.SCHEDULED: JobState.CANCELLED, JobState.RUNNING: JobState.REPLACED}


def record_of(task: int, stored: Stored, outcomes: str) -> JobRecord:
    state, version, ended, keeps_claim = stored
    before = {after: before for before, after in ENDS.items()}.get(state, JobState.RUNNING)
    entry = HistoryEntry("end", before, state, NOW, "Ada", "x")
    # The attempt of a task that a person ended has no end.
    at = EARLIER if state in ENDS.values() else NOW
    attempts = tuple(Attempt(EARLIER, at, "", CODES[each]) for each in outcomes[:ended])
    return replace(
        new_job(TASKS[task], NOW),
        state=state,
        version=version,
        attempts=attempts,
        keeps_claim=keeps_claim,
        history=(entry,) if version else (),
    )


def following(world: World, protocol: Protocol) -> Iterator[World]:
    """Each world that one step of a worker, one crash or one act of a person makes of this one."""
    for task, (state, version, *rest) in enumerate(world.records):
        if state in ENDS and world.ends < protocol.max_ends:
            ended: Stored = (ENDS[state], version + 1, *rest)  # type: ignore[assignment]
            yield replace(world, records=world.with_record(task, ended), ends=world.ends + 1)
    for task, worker in enumerate(world.workers):
        if worker is None:
            continue
        yield stepped(world, task, worker, protocol)
        if world.crashes < protocol.max_crashes:  # and the task is recovered
            yield world.with_worker(task, Worker(), crashes=world.crashes + 1)


def stepped(world: World, task: int, worker: Worker, protocol: Protocol) -> World:
    """A worker of a task that has ended, or that loses a race, does nothing more."""
    claim = worker.claim
    record = record_of(task, worker.record, protocol.outcomes[task])
    match worker.step:
        case "read record":
            has_ended = world.records[task][0] not in OPEN_JOB_STATES
            read = replace(worker, step="read claim", record=world.records[task])
            return world.with_worker(task, None if has_ended else read)
        case "read claim" if world.claim and world.claim.is_kept_by(record):
            return world.with_worker(task, replace(worker, step="start", claim=world.claim))
        case "read claim":
            step = "read holder" if world.claim else "claim"
            return world.with_worker(task, replace(worker, step=step, claim=world.claim))
        case "read holder" | "revoke":
            return past_the_holder(world, task, worker, protocol)
        case "claim":
            if world.claim != claim:
                return world.with_worker(task, None)
            new = claimed(claim, "target", record, NOW)
            starting = replace(worker, step="start", claim=new)
            return world.with_worker(task, starting, claim=new)
        case _:
            return recorded(world, task, worker, protocol.outcomes[task])


def past_the_holder(world: World, task: int, worker: Worker, protocol: Protocol) -> World:
    """A worker reads the record of the task that has the claim. If that may keep it, it revokes it:
    a conditional write.
    """
    if worker.holder:
        number, stored = worker.holder
        if world.records[number] != stored:
            return world.with_worker(task, None)
        after = without_claim(record_of(number, stored, protocol.outcomes[number]))
        records = world.with_record(number, (after.state, after.version, stored[2], False))
        return world.with_worker(task, replace(worker, step="claim", holder=None), records=records)
    assert worker.claim
    number = TASKS.index(worker.claim.task)
    stored = world.records[number]
    holder = record_of(number, stored, protocol.outcomes[number])
    if not protocol.rule(worker.claim, holder.stored, TASKS[task]):
        return world.with_worker(task, None)
    if number != task and may_keep(holder) and protocol.revokes:
        return world.with_worker(task, replace(worker, step="revoke", holder=(number, stored)))
    return world.with_worker(task, replace(worker, step="claim"))


def recorded(world: World, task: int, worker: Worker, outcomes: str) -> World:
    """The start or the end of an attempt: a conditional write. A task that has not succeeded is
    tried again by another worker.
    """
    own = worker.record
    if world.records[task] != own:
        return world.with_worker(task, None)
    state, version, ended, _ = own
    if worker.step == "start":
        event = "restart" if state is JobState.RUNNING else "start"
        after = JobState(JOB.move(state, event, NOW, Cause("x")).after)
        stored = (after, version + 1, ended, False)
        running = replace(worker, step="end", record=stored)
        return world.with_worker(task, running, records=world.with_record(task, stored))
    outcome = outcomes[ended]
    event = "succeed" if outcome == "s" else "reschedule"
    after = JobState(JOB.move(state, event, NOW, Cause("x")).after)
    records = world.with_record(task, (after, version + 1, ended + 1, outcome == "f"))
    return world.with_worker(task, None if outcome == "s" else Worker(), records=records)


def most_at_work(protocol: Protocol) -> tuple[int, int]:
    """The most attempts at work at the same time in any order; and how many worlds there are."""
    first = World(None, (UNTOUCHED,) * 3, (Worker(),) * 3)
    seen, todo, most = {first}, [first], 0
    while todo:
        world = todo.pop()
        most = max(most, world.at_work(protocol.outcomes))
        new = set(following(world, protocol)) - seen
        seen |= new
        todo += new
    return most, len(seen)


def test_of_three_tasks_with_two_crashes_never_two_are_at_work() -> None:
    most, worlds = most_at_work(Protocol(max_crashes=2))

    assert most == 1
    assert worlds > 1_000


def test_of_tasks_that_people_end_never_two_are_at_work() -> None:
    most, worlds = most_at_work(Protocol(max_crashes=1, max_ends=1))

    assert most == 1
    assert worlds > 1_000


def unless_open(claim: Claim, holder: JobRecord | None, task: JobAddress) -> bool:
    has_ended = holder is not None and holder.state not in OPEN_JOB_STATES
    return by_attempt(claim, holder, task) or has_ended


def test_a_claim_that_is_free_when_its_holder_was_ended_by_force_would_let_two_work() -> None:
    most, _ = most_at_work(Protocol(unless_open, max_ends=1))

    assert most > 1


def test_a_claim_is_free_when_its_holder_ended_while_it_waited() -> None:
    record = task_record(0, 2)
    claim = claimed(None, "router", record, NOW)
    ended = record.moved(JOB.move(record.state, "cancel", NOW, Cause("x")))

    assert claim.is_free(ended, TASKS[1], NOW)


def test_a_claim_that_is_free_unless_its_holder_runs_would_let_two_work() -> None:
    most, _ = most_at_work(Protocol(unless_running))

    assert most > 1


def test_a_retry_on_the_claim_that_its_task_kept_is_never_one_of_two_at_work() -> None:
    most, worlds = most_at_work(Protocol(max_crashes=1, outcomes=("fs", "s", "s")))

    assert most == 1
    assert worlds > 1_000


@pytest.mark.turns(6)
@pytest.mark.parametrize(
    ("outcomes", "crashes", "ends"),
    [
        (("ffs", "s", "s"), 1, 0),
        (("fs", "fs", "s"), 1, 0),
        (("fps", "fs", "s"), 0, 0),
        (("fs", "s", "s"), 2, 0),
        (("fs", "s", "s"), 0, 2),
        (("fps", "s", "s"), 1, 1),
    ],
)
def test_of_tasks_that_are_tried_again_never_two_are_at_work(
    outcomes: tuple[str, str, str], crashes: int, ends: int
) -> None:
    most, worlds = most_at_work(Protocol(max_crashes=crashes, max_ends=ends, outcomes=outcomes))

    assert most == 1
    assert worlds > 1_000


def test_a_claim_that_is_taken_before_it_is_revoked_would_let_two_work() -> None:
    most, _ = most_at_work(Protocol(outcomes=("fs", "s", "s"), revokes=False))

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


def test_a_claim_that_a_retry_kept_is_free_16_minutes_after_the_retry_began() -> None:
    claim = claimed(None, "router", task_record(0, 0), NOW)
    later = NOW + timedelta(hours=3)
    waiting = replace(task_record(0, 1), keeps_claim=True)
    running = waiting.moved(JOB.move(waiting.state, "start", later, Cause("x")))
    forced = running.moved(
        JOB.move(running.state, "cancel", later + timedelta(minutes=1), Cause("y"))
    )

    assert claim.held_until(waiting) is None
    assert claim.held_until(running) == claim.held_until(forced) == later + CLAIM_FOR


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
