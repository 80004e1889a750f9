"""Two people send requests at once: one stops before each of their calls in turn, and the other's
whole request is done then.

One request is done, the other refused because somebody was first; nothing happens twice.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import pytest

from jobyard.domain.batches.batch import BATCH
from jobyard.domain.batches.operation import Filter
from jobyard.domain.cause_key import MAIN_RUN
from jobyard.domain.errors import Gone, InvalidTransition, NotFound, StaleState
from jobyard.domain.history import HistoryEntry
from jobyard.domain.jobs.job import JOB, OPEN_JOB_STATES, JobAddress, JobRecord, JobState, new_job
from jobyard.domain.lifecycle import MACHINE, Cause, Lifecycle
from jobyard.services import holds as hold_commands
from jobyard.services.batches import operations as batch_operations
from jobyard.services.batches import submissions
from jobyard.services.batches.commands import send_batch_event
from jobyard.services.context import Actor, CommandContext
from jobyard.services.jobs.attempt import after_start
from jobyard.services.jobs.commands import send_job_event
from jobyard.services.queries.jobs import list_jobs
from jobyard.services.runs import ExecutionRun
from jobyard.store import holds, jobs, operations
from tests.call_interceptor import Answer, Call, Listener
from tests.harness import Harness, Payloads, single_files
from tests.people import sub_of

ONE = Actor(sub_of("one"), "one", frozenset({"admin", "operator"}))
OTHER = Actor(sub_of("other"), "other", frozenset({"admin", "operator"}))
REFUSED = (StaleState, InvalidTransition)
Command = Callable[[CommandContext], Any]
_numbers = iter(range(10**6))


@dataclass
class Meanwhile(Listener):
    """Does something right before the `at`-th call, once; counts the calls."""

    at: int
    do: Callable[[], None]
    calls: int = 0
    busy: bool = False

    def before(self, call: Call) -> Answer | None:
        if not self.busy:
            self.calls += 1
            if self.calls == self.at:
                self.busy = True
                self.do()
                self.busy = False
        return None


@dataclass
class TwoPeople:
    """Two people, and whose requests were done or refused."""

    harness: Harness
    done: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def send(self, command: Command, person: Actor) -> None:
        """Send a command once."""
        request = self.harness.context(person, key=f"{person.name} {next(_numbers)}")
        try:
            command(request)
        except REFUSED:
            self.refused.append(person.name)
        else:
            self.done.append(person.name)

    def at_once(self, command: Command, at: int, others: Command | None = None) -> bool:
        """The other person sends the same command, or `others`, right before the first one's
        `at`-th call. False if there was no such call."""
        meanwhile = Meanwhile(at, lambda: self.send(others or command, OTHER))
        with self.harness.interceptor.listening(meanwhile):
            self.send(command, ONE)
        return meanwhile.calls >= at


def events_of_people(lifecycle: Lifecycle) -> Iterator[tuple[str, str]]:
    """The state and the event of each transition that people may cause."""
    for transition in lifecycle.transitions:
        if set(transition.senders) - {MACHINE}:
            yield str(transition.before), transition.event


def is_its_turn(_name: str, parameters: Mapping[str, Any], turn: int) -> bool:
    """Of two different events in both orders, one order in each turn."""
    if "others" in parameters:
        return (parameters["event"] < parameters["others"]) == bool(turn % 2)
    return parameters.get("first") != ("batch", "job")[turn % 2]


# Jobs


def jobs_in(state: str, harness: Harness, payloads: Payloads, number: int) -> tuple[str, list[str]]:
    """A batch whose `number` jobs are all in `state`: its id and the jobs' ids."""
    names = [f"{n}.txt" for n in range(number)]
    manifest = single_files(payloads, {name: name.encode() for name in names})
    collection = f"jobs-{next(_numbers)}"
    event = harness.upload(manifest, name="may.checkm", collection=collection)
    if state == JobState.FAILED:
        payloads.status = {f"/{name}": 404 for name in names}
        harness.machines.run("batch", collection, event)
        payloads.status = {}
    else:
        harness.open({"input": event, "execution": collection})
    batch_id = harness.batch_id_of(event)
    job_ids = [f"{batch_id}.{n // 2}.{n % 2}" for n in range(number)]
    if state == JobState.HELD:
        for job_id in job_ids:
            send_job_event(job_id, "hold", harness.context())
    if state == JobState.RUNNING:
        for job_id in job_ids:
            address = JobAddress.parse(job_id)
            assert address
            job = new_job(address, harness.now())
            cause = ExecutionRun(MAIN_RUN, 1).cause(address, 1)
            jobs.write_many([(None, after_start(job, harness.now(), cause))])
    return batch_id, job_ids


def run_to_the_end(harness: Harness, batch_id: str) -> dict[str, Any]:
    """Run the machines, and the batch's own once more. Returns the result."""
    harness.machines.run_all()
    settling = {"origin_id": batch_id, "command": "settle", "run": "main", "pass": 1}
    harness.machines.run("batch", f"{batch_id}-anyway", settling)
    harness.machines.run_all()
    found: list[JobRecord] = [
        view.job
        for view in list_jobs(
            batch_id, harness.query_context(), state="", after=(0, 0), limit=90
        ).items
    ]
    view = harness.batch(batch_id)
    return {
        "state": view.batch.state.value,
        "counts": dict(view.counts),
        "moves": [(entry.event, entry.after) for entry in view.batch.history],
        "mails": len(harness.mails_of(batch_id)),
        "jobs": {
            (job.state.value, job.requeue_count, tuple(entry.event for entry in job.history))
            for job in found
        },
    }


@pytest.mark.turns(4)
@pytest.mark.parametrize(("state", "event"), list(events_of_people(JOB)))
def test_of_two_who_send_a_job_the_same_event_one_does_it(
    state: str, event: str, harness: Harness, payloads: Payloads
) -> None:
    batch_id, job_ids = jobs_in(state, harness, payloads, 12)
    undisturbed_id, theirs = jobs_in(state, harness, payloads, 12)

    tried = 0
    for at, job_id in enumerate(job_ids, start=1):
        two = TwoPeople(harness)
        was_reached = two.at_once(
            lambda request, job=job_id: send_job_event(job, event, request), at
        )  # type: ignore[misc]
        tried += was_reached
        assert len(two.done) == 1, (at, two)
        assert len(two.refused) == was_reached, (at, two)
    for job_id in theirs:
        send_job_event(job_id, event, harness.context())

    assert 5 <= tried < len(job_ids)
    assert run_to_the_end(harness, batch_id) == run_to_the_end(harness, undisturbed_id)


# Batches


def batch_in(state: str, harness: Harness, payloads: Payloads) -> str:
    """A batch of two jobs in `state`."""
    manifest = single_files(payloads, {"a.txt": b"a", "b.txt": b"b"})
    collection = f"batches-{next(_numbers)}"
    event = harness.upload(manifest, name="may.checkm", collection=collection)
    if state == "pending":  # announced, and not uploaded yet
        promise = submissions.Submission(collection, "may.checkm", "deposit", "", (), {}, "")
        batch, _ = submissions.submit(promise, harness.context())
        return batch.batch_id
    match state:
        case "held":
            hold = hold_commands.place_hold(f"collection:{collection}", None, harness.context())
            harness.machines.run("batch", collection, event)
            holds.delete(hold)
        case "processing":
            harness.open({"input": event, "execution": collection})
        case "failed":
            payloads.status = {"/b.txt": 404}
            harness.machines.run("batch", collection, event)
            payloads.status = {}
    batch_id = harness.batch_id_of(event)
    assert harness.batch(batch_id).batch.state == state
    return batch_id


@pytest.mark.turns(4)
@pytest.mark.parametrize(("state", "event"), list(events_of_people(BATCH)))
def test_of_two_who_send_a_batch_the_same_event_one_does_it(
    state: str, event: str, harness: Harness, payloads: Payloads
) -> None:
    alone = batch_in(state, harness, payloads)
    send_batch_event(alone, event, harness.context())
    baseline = run_to_the_end(harness, alone)

    at, was_reached = 0, True
    while was_reached:
        at += 1
        batch_id = batch_in(state, harness, payloads)
        two = TwoPeople(harness)
        was_reached = two.at_once(
            lambda request, batch=batch_id: send_batch_event(batch, event, request), at
        )  # type: ignore[misc]
        assert len(two.done) == 1, (at, two)
        assert len(two.refused) == was_reached, (at, two)
        assert run_to_the_end(harness, batch_id) == baseline, at

    assert at > 2


# Different events


def pairs_of(lifecycle: Lifecycle) -> Iterator[tuple[str, str, str]]:
    """Each state with two different events that people may send in it, in both orders."""
    for (state, one), (same, other) in permutations(events_of_people(lifecycle), 2):
        if state == same and one != other:
            yield state, one, other


def state_by_history(lifecycle: Lifecycle, history: Sequence[HistoryEntry]) -> str:
    """The state that a history leads to, if each of its entries was legal; notes
    change nothing."""
    state = str(lifecycle.initial)
    events = {transition.event for transition in lifecycle.transitions}
    for entry in history:
        if entry.event not in events:
            assert entry.after == state, history
            continue
        move = lifecycle.move(type(lifecycle.initial)(state), entry.event, entry.at, Cause(""))
        assert move.after == entry.after, history
        state = str(entry.after)
    return state


@pytest.mark.parametrize(("state", "event", "others"), list(pairs_of(JOB)))
def test_of_two_who_send_a_job_different_events_one_is_first(
    state: str, event: str, others: str, harness: Harness, payloads: Payloads
) -> None:
    _, job_ids = jobs_in(state, harness, payloads, 12)

    tried = 0
    for at, job_id in enumerate(job_ids, start=1):
        before = entries_of(job_id)
        two = TwoPeople(harness)
        tried += two.at_once(
            lambda request, job=job_id: send_job_event(job, event, request),  # type: ignore[misc]
            at,
            lambda request, job=job_id: send_job_event(job, others, request),  # type: ignore[misc]
        )
        job = jobs.find(JobAddress.parse(job_id))  # type: ignore[arg-type]
        assert job
        sent = {"one": event, "other": others}
        new_events = [entry.event for entry in job.history[before:]]
        assert sorted(new_events) == sorted(sent[who] for who in two.done), (at, two)
        assert state_by_history(JOB, job.history) == job.state

    assert 5 <= tried < len(job_ids)


def entries_of(job_id: str) -> int:
    """The number of entries in a job's history."""
    address = JobAddress.parse(job_id)
    assert address
    job = jobs.find(address)
    return len(job.history) if job else 0


@pytest.mark.parametrize(("state", "event", "others"), list(pairs_of(BATCH)))
def test_of_two_who_send_a_batch_different_events_one_is_first(
    state: str, event: str, others: str, harness: Harness, payloads: Payloads
) -> None:
    at, was_reached = 0, True
    while was_reached:
        at += 1
        batch_id = batch_in(state, harness, payloads)
        before = len(harness.batch(batch_id).batch.history)
        two = TwoPeople(harness)
        was_reached = two.at_once(
            lambda request, batch=batch_id: send_batch_event(batch, event, request),  # type: ignore[misc]
            at,
            lambda request, batch=batch_id: send_batch_event(batch, others, request),  # type: ignore[misc]
        )
        batch = harness.batch(batch_id).batch
        sent = {"one": event, "other": others}
        new_events = [entry.event for entry in batch.history[before:]]
        assert sorted(new_events) == sorted(sent[who] for who in two.done), (at, two)
        assert state_by_history(BATCH, batch.history) == batch.state
        assert len(two.done) == 1 or batch.state == "deleted"

    assert at > 2


@pytest.mark.turns(3)  # and of these, one order in each turn
@pytest.mark.parametrize("first", ["batch", "job"])
@pytest.mark.parametrize(
    ("state", "of_job", "of_batch"),
    [
        (JobState.SCHEDULED, "hold", "cancel"),
        (JobState.SCHEDULED, "force_fail", "cancel"),
        (JobState.HELD, "release", "cancel"),
        (JobState.HELD, "delete", "cancel"),
        (JobState.FAILED, "requeue", "delete"),
        (JobState.FAILED, "requeue", "update_reporting"),
        (JobState.FAILED, "delete", "update_reporting"),
    ],
)
def test_simultaneous_events_to_a_job_and_its_batch_lead_to_legal_states(
    first: str, state: str, of_job: str, of_batch: str, harness: Harness, payloads: Payloads
) -> None:
    at, was_reached = 0, True
    while was_reached:
        at += 1
        batch_id, (job_id,) = jobs_in(state, harness, payloads, 1)

        def ask_job(request: CommandContext, job_id: str = job_id) -> None:
            with_gone(lambda: send_job_event(job_id, of_job, request))

        def ask_batch(request: CommandContext, batch_id: str = batch_id) -> None:
            send_batch_event(batch_id, of_batch, request)

        two = TwoPeople(harness)
        presses = (ask_batch, ask_job) if first == "batch" else (ask_job, ask_batch)
        was_reached = two.at_once(presses[0], at, presses[1])
        harness.machines.run_all()
        harness.advance(61)
        harness.tick()
        harness.machines.run_all()

        batch = harness.batch(batch_id).batch
        job = jobs.find(JobAddress.parse(job_id))  # type: ignore[arg-type]
        assert two.done, (at, two)
        assert state_by_history(BATCH, batch.history) == batch.state
        if job is None:  # cancelled before anything happened to it
            assert batch.state == "cancelled", (at, two)
        else:
            assert state_by_history(JOB, job.history) == job.state
        if two.done == ["one"] and job and job.state == JobState.HELD:
            continue  # not cancelled: it waits
        assert job is None or job.state not in OPEN_JOB_STATES, (at, two)
        assert batch.state in {"completed", "failed", "cancelled", "deleted"}, (at, two)

    assert at > 2


def with_gone(command: Callable[[], Any]) -> None:
    """Treat a deleted batch as a refusal."""
    try:
        command()
    except Gone as gone:
        raise StaleState(str(gone)) from gone


# Many jobs, and holds


@pytest.mark.turns(4)
@pytest.mark.parametrize(
    ("state", "event"),
    [
        (JobState.FAILED, "requeue"),
        (JobState.HELD, "release"),
        (JobState.HELD, "cancel"),
        (JobState.SCHEDULED, "hold"),
    ],
)
def test_of_two_who_send_many_jobs_the_same_event_each_job_meets_it_once(
    state: JobState, event: str, harness: Harness, payloads: Payloads
) -> None:
    alone, _ = jobs_in(state, harness, payloads, 2)
    batch_operations.start_operation(alone, event, Filter(state), harness.context())
    baseline = run_to_the_end(harness, alone)

    at, was_reached = 0, True
    while was_reached:
        at += 1
        batch_id, _ = jobs_in(state, harness, payloads, 2)
        two = TwoPeople(harness)
        was_reached = two.at_once(
            lambda request, batch=batch_id: batch_operations.start_operation(
                batch, event, Filter(state), request
            ),  # type: ignore[misc]
            at,
        )
        assert sorted(two.done + two.refused) == (["one", "other"] if was_reached else ["one"])
        assert run_to_the_end(harness, batch_id) == baseline, at
        assert not operations.is_any_running(batch_id)

    assert at > 2


def test_of_two_who_place_a_hold_none_replaces_an_unseen_one(harness: Harness) -> None:
    """A hold that comes before the first person reads is seen and replaced."""
    faults = []
    was_reached, scope = True, "collection:wanted"
    while was_reached:
        two = TwoPeople(harness)
        was_reached = two.at_once(
            lambda request: hold_commands.place_hold(scope, None, request, replacing=True),
            at=len(faults) + 1,
        )
        found = holds.find(scope)
        assert found
        faults.append((two.done, two.refused, found.owner))
        holds.delete(found)

    assert faults == [
        (["other", "one"], [], "one"),
        (["other"], ["one"], "other"),
        (["other", "one"], [], "other"),  # before the first person's act is recorded
        (["one"], [], "one"),
    ]


def test_when_two_people_lift_a_hold_the_held_work_continues_once(
    harness: Harness, payloads: Payloads, turn: int
) -> None:
    at, was_reached = -(turn % 3), True
    while was_reached:
        at += 3
        manifest = single_files(payloads, {"a.txt": b"a", "b.txt": b"b"})
        collection = f"lifted-{next(_numbers)}"
        scope = f"collection:{collection}"
        hold_commands.place_hold(scope, None, harness.context())
        batch_id = harness.drop(manifest, collection=collection)
        two = TwoPeople(harness)

        def lift(request: CommandContext, scope: str = scope) -> None:
            try:
                hold_commands.lift_hold(scope, request)
            except NotFound as gone:
                raise StaleState(str(gone)) from gone

        was_reached = two.at_once(lift, at)
        harness.machines.run_all()
        view = harness.batch(batch_id)
        assert view.batch.state == "completed", (at, two)
        assert len(harness.mails_of(batch_id)) == 1
        assert [entry.event for entry in view.batch.history].count("release") == 1
        harness.advance(61)
        harness.tick()

    assert at > 5
