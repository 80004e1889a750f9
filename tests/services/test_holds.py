"""Lifting a hold: whatever the state of a batch, all that no other hold covers is released, in
bounded slices that continue where the last one stopped."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from jobyard.domain.batches.batch import BATCH, Batch, BatchState
from jobyard.domain.batches.operation import Filter
from jobyard.domain.errors import AlreadyHeld, BadRequest, StaleState
from jobyard.domain.hold import EVERYTHING, Hold
from jobyard.domain.ids import batch_id_of
from jobyard.domain.jobs.job import JobState
from jobyard.domain.lifecycle import Cause
from jobyard.services import holds as hold_commands
from jobyard.services.batches import operations
from jobyard.services.batches.commands import send_batch_event
from jobyard.services.context import Actor
from jobyard.services.jobs.commands import send_job_event
from jobyard.services.queries import holds as hold_queries
from jobyard.services.queries import jobs as job_queries
from jobyard.services.queries.holds import HeldWork
from jobyard.store import activity, batches, chunks, holds
from tests.call_interceptor import Answer, Call, CallInterceptor, Listener
from tests.harness import Harness, Payloads, single_files, source_of
from tests.killed_executions import Death, Killed

_numbers = count(1)
ANN = Actor("ann", "ann", frozenset({"operator"}))
BEN = Actor("ben", "ben", frozenset({"operator"}))
Bring = Callable[[Harness, Payloads, str], str]


# A batch in each state, with a job (0.0) that a person holds where a job can be held, and others
# that the machine holds.


def manifest(payloads: Payloads, collection: str, *, there: bool = True) -> str:
    names = [f"{collection}-{each}.txt" for each in "abc"]
    for name in names:
        payloads.status[f"/{name}"] = 200 if there else 404
    return single_files(payloads, {name: name.encode() for name in names})


def place(harness: Harness, collection: str, until: timedelta | None) -> None:
    ends = until and harness.now() + until
    hold_commands.place_hold(
        f"collection:{collection}", ends, harness.context(reason="the shelf moves")
    )


@contextmanager
def without_hold(collection: str) -> Iterator[None]:
    """Remove the hold of a collection for the block."""
    hold = holds.find(f"collection:{collection}")
    assert hold is not None
    holds.delete(hold)
    yield
    holds.put(hold)


def uploaded(harness: Harness, payloads: Payloads, collection: str) -> str:
    """Its manifest is uploaded, and no execution was started."""
    source = source_of(
        harness.upload(manifest(payloads, collection), name="m.checkm", collection=collection)
    )
    batch = Batch(
        batch_id_of(collection.encode()),
        BatchState.PENDING,
        0,
        collection,
        "depositor",
        "deposit",
        "m.checkm",
        harness.now(),
        source=source,
        notify=("d@example.org",),
    )
    return batches.put_new(batch).batch_id


def held(harness: Harness, payloads: Payloads, collection: str) -> str:
    return harness.drop(manifest(payloads, collection), collection=collection)


def processing(harness: Harness, payloads: Payloads, collection: str) -> str:
    """Opened; a person holds one job, the machine the two others."""
    event = harness.upload(manifest(payloads, collection), name="m.checkm", collection=collection)
    with without_hold(collection):
        opened = harness.open({"input": event, "execution": collection})
        send_job_event(f"{opened['origin_id']}.0.0", "hold", harness.context(reason="look first"))
    state = opened
    for line in harness.s3.get_object(Bucket="work", Key=f"work/{opened['origin_id']}/index.jsonl")[
        "Body"
    ].iter_lines():
        harness.execute_chunk(opened | json.loads(line))
    assert harness.settle(state)["next"] == "end"
    return str(opened["origin_id"])


def cancelled_just_now(harness: Harness, payloads: Payloads, collection: str) -> str:
    batch_id = processing(harness, payloads, collection)
    send_batch_event(batch_id, "cancel", harness.context())
    return batch_id


def cancelled(harness: Harness, payloads: Payloads, collection: str) -> str:
    batch_id = cancelled_just_now(harness, payloads, collection)
    harness.machines.run_all()
    return batch_id


def reporting(harness: Harness, payloads: Payloads, collection: str) -> str:
    """Its reports are to be written, but jobs are held: a retry came just before it was settled."""
    batch_id = processing(harness, payloads, collection)
    batch = batches.get(batch_id, harness.now())
    batches.apply(
        batch, BATCH.move(batch.state, "report", harness.now(), Cause("settle.main.p1.c0.t0"))
    )
    return batch_id


def failed(harness: Harness, payloads: Payloads, collection: str) -> str:
    """All jobs failed; one is requeued and held by a person, the others were held by the hold."""
    with without_hold(collection):
        batch_id = harness.drop(manifest(payloads, collection, there=False), collection=collection)
        manifest(payloads, collection)
        send_job_event(f"{batch_id}.0.0", "requeue", harness.context())
        send_job_event(f"{batch_id}.0.0", "hold", harness.context(reason="look first"))
    operations.change_jobs(batch_id, "requeue", Filter(JobState.FAILED), harness.context())
    harness.machines.run_all()
    return batch_id


def updating(harness: Harness, payloads: Payloads, collection: str) -> str:
    batch_id = failed(harness, payloads, collection)
    harness.send_batch_event(batch_id, "update_reporting")
    return batch_id


def deleted(harness: Harness, payloads: Payloads, collection: str) -> str:
    batch_id = failed(harness, payloads, collection)
    harness.send_batch_event(batch_id, "delete")
    return batch_id


def completed(harness: Harness, payloads: Payloads, collection: str) -> str:
    with without_hold(collection):
        batch_id = harness.drop(manifest(payloads, collection), collection=collection)
    return batch_id


# state: how to get there, and the result after the lift: the batch's state,
# and how many of its jobs succeeded and are held.
TABLE: dict[BatchState, tuple[Bring, str, int, int]] = {
    BatchState.PENDING: (uploaded, "completed", 3, 0),
    BatchState.HELD: (held, "completed", 3, 0),
    BatchState.PROCESSING: (processing, "processing", 2, 1),
    BatchState.CANCELLING: (cancelled_just_now, "cancelled", 0, 0),
    BatchState.REPORTING: (reporting, "failed", 2, 1),
    BatchState.UPDATE_REPORTING: (updating, "update_reporting", 2, 1),
    BatchState.COMPLETED: (completed, "completed", 3, 0),
    BatchState.FAILED: (failed, "failed", 2, 1),
    BatchState.CANCELLED: (cancelled, "cancelled", 0, 0),
    BatchState.DELETED: (deleted, "deleted", 0, 3),
}


def let_minutes_pass(harness: Harness, minutes: int = 4) -> None:
    for _ in range(minutes):
        harness.advance(61)
        harness.tick()
        harness.machines.run_all()


def test_the_table_has_every_state() -> None:
    assert {*TABLE} == {*BatchState}


@pytest.mark.parametrize("state", TABLE, ids=str)
def test_what_a_hold_held_is_released_whatever_the_state_of_its_batch(
    state: BatchState, harness: Harness, payloads: Payloads, everything: bool, turn: int
) -> None:
    """By a person or by time: half of the states each, the other way at the next turn."""
    for by_time in (False, True) if everything else ((turn + [*TABLE].index(state)) % 2 == 1,):
        hold_and_release(state, harness, payloads, by_time=by_time)


def hold_and_release(
    state: BatchState, harness: Harness, payloads: Payloads, *, by_time: bool
) -> None:
    bring, end_state, succeeded, still_held = TABLE[state]
    collection = f"table-{next(_numbers)}"
    scope = f"collection:{collection}"
    place(harness, collection, timedelta(hours=1) if by_time else None)
    batch_id = bring(harness, payloads, collection)
    assert batches.get(batch_id, harness.now()).state is state

    if by_time:
        harness.advance(3600)
        harness.tick()
    else:
        hold_commands.lift_hold(scope, harness.context(reason="moved"))
    harness.machines.run_all()
    if state is BatchState.REPORTING:
        harness.machines.run("batch", f"{batch_id}-reports", reports_of(batch_id))
    let_minutes_pass(harness)

    view = harness.batch(batch_id)
    assert view.batch.state == end_state
    assert (view.counts["succeeded"], view.counts["held"]) == (succeeded, still_held)
    assert holds.find(scope) is None
    if still_held and state is not BatchState.DELETED:
        job = job_queries.job(f"{batch_id}.0.0", harness.query_context())
        assert job.why == "held by admin: look first"


def reports_of(batch_id: str) -> dict[str, Any]:
    return {"origin_id": batch_id, "command": "settle", "run": "main", "pass": 1_000_001}


@pytest.mark.parametrize("state", [BatchState.PROCESSING, BatchState.UPDATE_REPORTING], ids=str)
def test_what_a_person_holds_is_released_by_a_person_and_ends_its_batch(
    state: BatchState, harness: Harness, payloads: Payloads
) -> None:
    collection = f"table-{next(_numbers)}"
    place(harness, collection, None)
    batch_id = TABLE[state][0](harness, payloads, collection)
    hold_commands.lift_hold(f"collection:{collection}", harness.context())
    harness.machines.run_all()
    let_minutes_pass(harness)

    harness.send_job_event(f"{batch_id}.0.0", "release")

    assert harness.batch(batch_id).batch.state == "completed"


# Slices


class Calls(Listener):
    """Counts the calls to AWS."""

    def __init__(self) -> None:
        self.calls = 0

    def before(self, call: Call) -> Answer | None:
        self.calls += 1
        return None


def put_batches(harness: Harness, state: BatchState, collection: str, number: int) -> list[str]:
    """So many batches in a state, without content."""
    made = []
    for _ in range(number):
        batch = Batch(
            batch_id_of(f"stored {next(_numbers)}".encode()),
            state,
            0,
            collection,
            "depositor",
            "deposit",
            "m.checkm",
            harness.now(),
            source=source_of(
                {
                    "detail": {
                        "bucket": {"name": "intake"},
                        "object": {
                            "key": f"manifests/{collection}/m.checkm",
                            "version-id": "v",
                            "size": 3,
                        },
                    }
                }
            ),
        )
        made.append(batches.put_new(batch).batch_id)
    return made


def calls_of(harness: Harness, act: Callable[[], Any]) -> int:
    calls = Calls()
    with harness.interceptor.listening(calls):
        act()
    return calls.calls


def test_the_cost_of_a_lift_does_not_depend_on_failed_batches(harness: Harness) -> None:
    def lift() -> None:
        hold_commands.lift_hold("collection:bounded", harness.context())

    place(harness, "bounded", None)
    few = calls_of(harness, lift)
    put_batches(harness, BatchState.FAILED, "bounded", 120)
    place(harness, "bounded", None)

    assert calls_of(harness, lift) == few


def test_many_batches_are_released_in_slices_of_bounded_work(harness: Harness) -> None:
    place(harness, "many", None)
    number = 3 * hold_commands.RELEASED_AT_ONCE + 1
    made = put_batches(harness, BatchState.HELD, "many", number)
    other = put_batches(harness, BatchState.HELD, "other", 3)

    first_slice = hold_commands.lift_hold("collection:many", harness.context(ANN))
    assert (first_slice.released_count, first_slice.is_round_start) == (
        hold_commands.RELEASED_AT_ONCE,
        False,
    )
    assert hold_queries.list_holds(harness.query_context()) == []
    waiting = [each for each in made if harness.batch(each).batch.state == "held"]
    assert len(waiting) == number - hold_commands.RELEASED_AT_ONCE
    assert harness.batch(waiting[0]).why == (
        "the hold on collection:many was lifted by ann; it is released within minutes"
    )

    harness.advance(61)

    def one_slice():
        return hold_commands.lift_expired(lambda _: harness.context(), harness.now(), lambda: 0.0)

    one_slice()
    kept = holds.find("collection:many")
    assert kept is not None
    assert kept.lift is not None
    assert kept.lift.released_count == 2 * hold_commands.RELEASED_AT_ONCE

    hold_commands.lift_expired(lambda _: harness.context(), harness.now())
    assert {harness.batch(each).batch.state for each in made} == {"pending"}
    assert {harness.batch(each).batch.state for each in other} == {"held"}
    last = harness.batch(made[-1]).batch.history[-1]
    assert (last.event, last.actor) == ("release", "ann")
    let = [entry.event for each in made for entry in harness.batch(each).batch.history]
    assert let.count("release") == number
    harness.advance(61)
    hold_commands.lift_expired(lambda _: harness.context(), harness.now())
    assert holds.find("collection:many") is None


def test_lifts_run_one_after_another(harness: Harness) -> None:
    """A large one does not keep a small one from its end."""
    place(harness, "large", timedelta(minutes=1))
    place(harness, "small", timedelta(minutes=1))
    put_batches(harness, BatchState.HELD, "large", 2 * hold_commands.RELEASED_AT_ONCE + 1)
    (small,) = put_batches(harness, BatchState.HELD, "small", 1)
    harness.advance(60)

    turns = iter([1.0, 0.0])
    hold_commands.lift_expired(lambda _: harness.context(), harness.now(), lambda: next(turns))

    assert harness.batch(small).batch.state == "pending"


def test_what_the_machine_holds_is_in_the_index_and_only_that(
    harness: Harness, payloads: Payloads
) -> None:
    collection = f"index-{next(_numbers)}"

    def indexed() -> set[str]:
        shards = range(chunks.HELD_SHARDS)
        return {
            each.batch_id for shard in shards for each in chunks.held_batches(shard, collection)
        }

    place(harness, collection, None)
    batch_id = processing(harness, payloads, collection)
    assert indexed() == {batch_id}
    record = chunks.get(batch_id, 0)
    assert (record.count("held"), record.machine_held) == (2, 1)

    hold_commands.lift_hold(f"collection:{collection}", harness.context())
    harness.machines.run_all()

    assert indexed() == set()
    assert chunks.get(batch_id, 0).count("held") == 1


def test_a_page_of_the_index_is_read_of_a_batch_however_many_chunks_it_has(
    harness: Harness,
) -> None:
    from jobyard.domain.batches.chunks import ChunkRecord

    mark = f"wide-{next(_numbers)}"
    ids = sorted(batch_id_of(f"{mark} {n}".encode()) for n in range(3))
    for batch_id in ids:
        for number in range(150):
            chunks.put(ChunkRecord(batch_id, number, machine_held=1, collection=mark))

    found = [
        each for shard in range(chunks.HELD_SHARDS) for each in chunks.held_batches(shard, mark)
    ]

    assert sorted(each.batch_id for each in found) == ids
    assert all(len(each.chunks) <= 100 for each in found)
    for batch_id in ids:
        chunks.remove([ChunkRecord(batch_id, number) for number in range(150)])


# Crashes


@pytest.mark.turns(2)
@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
def test_a_lift_that_dies_anywhere_is_continued_by_the_next_tick(
    applied: bool, harness: Harness, payloads: Payloads, everything: bool, turn: int
) -> None:
    """It holds a whole batch and jobs of another one; each is released once."""
    step = 1 if everything else 16
    # A call that one turn dies before, it dies after eight turns later.
    at, was_reached = 1 + (turn // 2 + step // 2 * applied) % step - step, True
    while was_reached:
        at += step
        collection = f"dying-{next(_numbers)}"
        scope = f"collection:{collection}"
        place(harness, collection, None)
        working = failed(harness, payloads, collection)
        waiting = held(harness, payloads, collection)
        death = Death(at, applied=applied)
        with suppress(Killed), harness.interceptor.listening(death):
            hold_commands.lift_hold(scope, harness.context())
        was_reached = death.calls >= at

        let_minutes_pass(harness, 3)

        found = holds.find(scope)
        if found is not None and found.lift is None:
            continue  # it died before it was written down
        assert found is None, at
        assert harness.batch(waiting).batch.state == "completed", at
        assert (
            harness.batch(working).counts["succeeded"],
            harness.batch(working).counts["held"],
        ) == (
            2,
            1,
        )
        events = [entry.event for entry in harness.batch(waiting).batch.history]
        assert events.count("release") == 1
        for job_id in (f"{working}.0.1", f"{working}.1.0"):
            job = job_queries.job(job_id, harness.query_context()).job
            assert [entry.event for entry in job.history].count("release") == 1
    assert at > 15


def test_a_hold_that_is_placed_again_while_it_is_lifted_holds_what_is_left(
    harness: Harness,
) -> None:
    place(harness, "again", None)
    made = put_batches(harness, BatchState.HELD, "again", hold_commands.RELEASED_AT_ONCE + 5)
    assert not hold_commands.lift_hold("collection:again", harness.context()).is_round_start

    hold_commands.place_hold("collection:again", None, harness.context(BEN, reason="not yet"))
    for _ in range(3):
        harness.advance(61)
        hold_commands.lift_expired(lambda _: harness.context(), harness.now())

    states = [harness.batch(each).batch.state for each in made]
    assert states.count(BatchState.HELD) == 5
    assert [hold.owner for hold in hold_queries.list_holds(harness.query_context())] == ["ben"]
    hold_commands.lift_hold("collection:again", harness.context())
    assert {harness.batch(each).batch.state for each in made} == {"pending"}


def test_a_hold_placed_during_a_slice_stays(harness: Harness) -> None:
    """Whatever call of the slice it comes before."""
    at, was_reached = 0, True
    while was_reached:
        at += 1
        collection = f"midst-{next(_numbers)}"
        scope = f"collection:{collection}"
        place(harness, collection, None)
        (batch_id,) = put_batches(harness, BatchState.HELD, collection, 1)
        meanwhile = Meanwhile(
            at,
            lambda scope=scope: hold_commands.place_hold(
                scope, None, harness.context(BEN), replacing=True
            ),
        )
        with suppress(StaleState), harness.interceptor.listening(meanwhile):
            hold_commands.lift_hold(scope, harness.context(ANN))
        was_reached = meanwhile.calls >= at
        if not was_reached:
            break
        found = holds.find(scope)
        if found is None or found.lift is not None:  # placed before it was lifted
            assert harness.batch(batch_id).batch.state == "pending"
            continue
        assert found.owner == "ben"
        let_minutes_pass(harness, 2)
        assert holds.find(scope) == found
    assert at > 5


class Meanwhile(Listener):
    """Does something right before the `at`-th call, once."""

    def __init__(self, at: int, do: Callable[[], Any]) -> None:
        self.at, self.do, self.calls, self.busy = at, do, 0, False

    def before(self, call: Call) -> Answer | None:
        if not self.busy:
            self.calls += 1
            if self.calls == self.at:
                self.busy = True
                self.do()
                self.busy = False
        return None


@dataclass
class HoldIsGone(Listener):
    """Removes a hold right before the first worker writes that it holds jobs."""

    scope: str
    interceptor: CallInterceptor
    done: bool = False

    def before(self, call: Call) -> Answer | None:
        if call.operation == "BatchExecuteStatement" and not self.done:
            self.done = True
            with self.interceptor.muted():
                hold = holds.find(self.scope)
                assert hold is not None
                holds.delete(hold)
        return None


def test_what_a_worker_held_long_after_its_hold_was_lifted_is_released(
    harness: Harness, payloads: Payloads
) -> None:
    collection = f"late-{next(_numbers)}"
    scope = f"collection:{collection}"
    event = harness.upload(manifest(payloads, collection), name="m.checkm", collection=collection)
    opened = harness.open({"input": event, "execution": collection})
    place(harness, collection, None)
    index = harness.s3.get_object(Bucket="work", Key=f"work/{opened['origin_id']}/index.jsonl")
    with harness.interceptor.listening(HoldIsGone(scope, harness.interceptor)):
        for line in index["Body"].iter_lines():
            harness.execute_chunk(opened | json.loads(line))
    harness.settle(opened)
    assert harness.batch(opened["origin_id"]).counts["held"] > 0

    let_minutes_pass(harness)

    assert harness.batch(opened["origin_id"]).counts["succeeded"] > 0
    assert harness.batch(opened["origin_id"]).counts["held"] == 0
    assert holds.find(scope) is None


# Two holds


def test_the_batches_and_jobs_that_a_hold_stops_are_counted(
    harness: Harness, payloads: Payloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(harness, "counted", None)
    for bring in (held, held, processing, cancelled):
        bring(harness, payloads, "counted")
    everything = Hold(EVERYTHING, "ann", "", harness.now())
    shown = [*hold_queries.list_holds(harness.query_context(ANN)), everything]

    exact = hold_queries.held_work(shown, harness.query_context(ANN))
    monkeypatch.setattr(hold_queries, "COUNTED", 1)
    bounded = hold_queries.held_work(shown, harness.query_context(ANN))

    assert exact["collection:counted"] == HeldWork(2, 2, is_exact=True)
    assert exact[EVERYTHING].jobs >= 2
    assert not bounded[EVERYTHING].is_exact
    assert bounded[EVERYTHING].batches == 1
    assert hold_queries.held_work([], harness.query_context(ANN)) == {}
    hold_commands.lift_hold("collection:counted", harness.context())


def test_a_hold_names_a_job_type_that_there_is(harness: Harness) -> None:
    with pytest.raises(BadRequest, match="there is no job type 'deposits'; there are deposit, "):
        hold_commands.place_hold("type:deposits", None, harness.context())

    assert holds.find("type:deposits") is None


def test_a_second_hold_does_not_silently_replace_the_first(harness: Harness) -> None:
    scope = "collection:wanted-twice"
    first = hold_commands.place_hold(scope, None, harness.context(ANN, reason="the shelf moves"))

    with pytest.raises(AlreadyHeld, match="held by ann: the shelf moves"):
        hold_commands.place_hold(scope, None, harness.context(BEN, reason="a quick look"))
    assert holds.find(scope) is not None
    assert [hold.owner for hold in hold_queries.list_holds(harness.query_context())] == ["ann"]
    assert holds.find(scope) == first
    assert (
        hold_commands.place_hold(scope, None, harness.context(ANN, reason="the shelf moves"))
        == first
    )
    with pytest.raises(AlreadyHeld, match="unless you replace it"):
        hold_commands.place_hold(scope, None, harness.context(ANN, reason="the shelves move"))

    hold_commands.place_hold(
        scope, None, harness.context(BEN, reason="a quick look"), replacing=True
    )
    stored = holds.find(scope)
    assert stored is not None
    assert stored.replaced == f"{scope} is held by ann: the shelf moves"
    again = harness.context(BEN, reason="a quick look")
    assert hold_commands.place_hold(scope, None, again, replacing=True).owner == "ben"
    acts = [each.act for each in activity.newest_first(harness.now(), None, 50)]
    (replaced,) = [
        each for each in acts if (each.subject.subject_id, each.event) == (scope, "replace")
    ]
    assert (replaced.actor, replaced.changes) == ("ben", f"in place of: {stored.replaced}")
    assert [hold.reason for hold in hold_queries.list_holds(harness.query_context())] == [
        "a quick look"
    ]


def test_what_another_hold_covers_stays_held_until_that_is_lifted(
    harness: Harness, payloads: Payloads
) -> None:
    collection = f"both-{next(_numbers)}"
    place(harness, collection, None)
    batch_id = processing(harness, payloads, collection)
    hold_commands.place_hold("type:deposit", None, harness.context())

    hold_commands.lift_hold(f"collection:{collection}", harness.context())
    let_minutes_pass(harness)
    assert holds.find(f"collection:{collection}") is None
    assert harness.batch(batch_id).counts["held"] == 3

    hold_commands.lift_hold("type:deposit", harness.context())
    let_minutes_pass(harness)
    assert harness.batch(batch_id).counts["succeeded"] == 2
