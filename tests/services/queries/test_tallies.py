"""Readers of a large batch share its tally: one at a time counts, and no change is missed."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest

from jobyard.domain.batches.batch import BATCH, Batch, BatchState
from jobyard.domain.batches.chunks import ChunkRecord
from jobyard.domain.batches.operation import Filter
from jobyard.domain.freshness import CLAIM_TIME, MIN_AGE
from jobyard.domain.ids import batch_id_of
from jobyard.domain.jobs.job import JobState
from jobyard.domain.lifecycle import Cause
from jobyard.services.batches import operations as batch_operations
from jobyard.services.jobs.commands import send_job_event
from jobyard.services.queries import batches as batch_queries
from jobyard.services.queries import tallies as tally_queries
from jobyard.services.queries.batches import BatchView
from jobyard.services.queries.tallies import MAX_UNSTORED_CHUNKS
from jobyard.store import batches, chunks, tables, tallies
from tests.call_interceptor import Answer, Call, Listener
from tests.harness import Harness, Payloads, single_files

MILLION = 1_000_000
COUNTING_S = 0.5  # how long counting seems to take
MAX_AGE = timedelta(seconds=10 * COUNTING_S)
_numbers = count(1)


@dataclass
class Reads(Listener):
    """Counts calls of DynamoDB by operation, and the items that they read."""

    calls: Counter[str] = field(default_factory=Counter)
    items: int = 0

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        self.calls[call.operation] += 1
        if call.operation == "GetItem":
            self.items += 1
        elif call.operation == "BatchGetItem":
            keys = call.parameters["RequestItems"].values()
            self.items += sum(len(each["Keys"]) for each in keys)
        elif call.operation == "Query":
            self.items += parsed["ScannedCount"]


@dataclass
class AtCounting(Listener):
    """Does something right before the first read of the chunks' counts, or right after it."""

    do: Callable[[], None]
    is_after: bool = False
    is_done: bool = False

    def _run(self, call: Call) -> None:
        is_counting = call.operation == "Query" and "chunks" in call.parameters["TableName"]
        if is_counting and not self.is_done:
            self.is_done = True
            self.do()

    def before(self, call: Call) -> Answer | None:
        if not self.is_after:
            self._run(call)
        return None

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        if self.is_after:
            self._run(call)


@dataclass
class BeforeCall(Listener):
    """Does something right before the `at`-th call; counts the calls of others."""

    at: int
    do: Callable[[], None]
    calls: int = 0
    is_busy: bool = False

    def before(self, call: Call) -> Answer | None:
        if not self.is_busy:
            self.calls += 1
            if self.calls == self.at:
                self.is_busy = True
                self.do()
                self.is_busy = False
        return None


class Died(Exception):
    """The reader's process is gone."""


def die() -> None:
    raise Died


@dataclass
class Large:
    """A large batch, and a reader of it."""

    harness: Harness
    batch: Batch

    def look(self) -> BatchView:
        """The batch as a reader sees it who takes half a second to count it."""
        seconds = count(0)
        context = replace(self.harness.query_context(), clock=lambda: next(seconds) * COUNTING_S)
        return batch_queries.batch(self.batch.batch_id, context)

    def move(self, event: str) -> None:
        """Let the machine move the batch."""
        move = BATCH.move(self.batch.state, event, self.harness.now(), Cause(f"x{next(_numbers)}"))
        self.batch = batches.apply(self.batch, move)

    def write(self, chunk: int, **counts: int) -> None:
        """Let a worker save the counts of a chunk."""
        record = chunks.get(self.batch.batch_id, chunk)
        chunks.put(replace(record, counts=counts))

    @contextmanager
    def reads(self) -> Iterator[Reads]:
        """What is read in the block."""
        found = Reads()
        with self.harness.interceptor.listening(found):
            yield found

    @property
    def item(self) -> tables.BatchItem:
        """The item of the tally."""
        return tables.BatchItem.get(f"{self.batch.batch_id}#tally")


def large(
    harness: Harness,
    number: int = MAX_UNSTORED_CHUNKS + 1,
    *,
    entries: int = 0,
    collection: str = "maps",
) -> Large:
    """A batch of that many chunks, all of whose jobs have succeeded; it is still processing."""
    entries = entries or 10 * number
    batch = batches.put_new(
        Batch(
            batch_id=batch_id_of(f"large-{next(_numbers)}".encode()),
            state=BatchState.PROCESSING,
            version=0,
            collection=collection,
            submitter="admin",
            job_type="deposit",
            filename="m.csv",
            submitted_at=harness.now(),
            entries=entries,
            chunk_size=entries // number,
        )
    )
    with tables.ChunkItem.batch_write() as writing:
        for each in range(number):
            counts = {"succeeded": batch.job_count(each)}
            record = ChunkRecord(batch.batch_id, each, 1, counts=counts)
            writing.save(chunks.item_of(record))
    return Large(harness, batch)


# What a poll costs


def test_a_poll_of_a_million_jobs_reads_three_items(harness: Harness) -> None:
    found = large(harness, 1000, entries=MILLION)
    found.look()

    with found.reads() as reads:
        view = found.look()

    assert view.counts["succeeded"] == view.counts["total"] == MILLION
    assert reads.items <= 3
    assert reads.calls == {"GetItem": 1, "BatchGetItem": 2}


def test_counting_writes_the_tally_twice_and_reads_every_chunk_once(harness: Harness) -> None:
    found = large(harness, 50)

    with found.reads() as reads:
        found.look()

    assert reads.items == 3 + 50
    assert reads.calls == {"GetItem": 1, "BatchGetItem": 2, "PutItem": 2, "Query": 1}


def test_a_list_reads_two_items_more_for_each_large_open_batch(harness: Harness) -> None:
    collection = f"listed-{next(_numbers)}"
    found = [large(harness, collection=collection) for _ in range(5)]

    def read_list() -> list[BatchView]:
        page = batch_queries.list_batches(
            harness.query_context(), state="", collection=collection, after={}, limit=10
        )
        return [*page.items]

    read_list()
    with found[0].reads() as reads:
        views = read_list()

    assert [view.counts["succeeded"] for view in views] == [found[0].batch.entries] * 5
    assert {view.counted_at for view in views} == {harness.now()}
    assert reads.calls == {"Query": 1, "BatchGetItem": 2}
    assert reads.items == 3 * 5


def test_a_small_batch_is_counted_exactly_and_has_no_tally(harness: Harness) -> None:
    found = large(harness, MAX_UNSTORED_CHUNKS)
    found.look()
    found.write(0, failed=10)

    with found.reads() as reads:
        view = found.look()

    assert (view.counts["failed"], view.counted_at) == (10, None)
    assert reads.calls == {"GetItem": 1, "Query": 1}


# How old it may be


def test_an_open_batch_is_counted_again_after_ten_times_as_long_as_counting_takes(
    harness: Harness,
) -> None:
    found = large(harness)
    first = found.look()
    began = harness.now()
    found.write(0, failed=10)

    harness.wait_until(began + MAX_AGE - timedelta(seconds=1))
    assert found.look() == first
    assert first.counted_at == began
    harness.wait_until(began + MAX_AGE)

    assert found.look().counts["failed"] == 10
    assert found.look().counted_at == began + MAX_AGE


def test_what_is_counted_fast_is_two_seconds_old_at_most(harness: Harness) -> None:
    found = large(harness)
    batch_id = found.batch.batch_id
    harness.batch(batch_id)
    assert timedelta(seconds=2) == MIN_AGE
    context = replace(harness.query_context(), clock=lambda: 0.0)
    harness.advance(60)
    batch_queries.batch(batch_id, replace(context, now=harness.now()))
    found.write(0, failed=10)

    harness.advance(1.9)
    assert harness.batch(batch_id).counts["failed"] == 0
    harness.advance(0.1)
    assert harness.batch(batch_id).counts["failed"] == 10


def test_a_batch_that_moved_is_counted_at_once_and_its_end_stays(harness: Harness) -> None:
    found = large(harness)
    found.look()
    found.write(0, failed=10)
    found.move("report")

    assert found.look().counts["failed"] == 10

    found.move("fail")
    ended = found.look()
    harness.advance(7 * 86400)
    with found.reads() as reads:
        assert found.look() == ended
    assert ended.counted_at is None
    assert reads.items == 3


# Several readers


def test_while_one_counts_the_others_see_the_tally_before(harness: Harness) -> None:
    found = large(harness)
    first = found.look()
    found.write(0, failed=10)
    harness.advance(MAX_AGE.total_seconds())
    others: list[BatchView] = []
    listener = AtCounting(lambda: others.append(found.look()))

    with found.reads() as reads, harness.interceptor.listening(listener):
        mine = found.look()

    assert others == [first]
    assert mine.counts["failed"] == 10
    assert reads.calls["Query"] == 1
    assert found.look() == mine


def test_the_first_readers_of_a_batch_count_for_themselves_and_one_stores(
    harness: Harness,
) -> None:
    found = large(harness)
    others: list[BatchView] = []
    listener = AtCounting(lambda: others.append(found.look()))

    with found.reads() as reads, harness.interceptor.listening(listener):
        mine = found.look()

    assert others == [mine]
    assert reads.calls["Query"] == 2
    assert reads.calls["PutItem"] == 2


def test_a_reader_who_dies_keeps_nobody_from_right_counts(harness: Harness) -> None:
    found = large(harness)
    first = found.look()
    harness.advance(MAX_AGE.total_seconds())
    died_at = harness.now()
    with harness.interceptor.listening(AtCounting(die)), suppress(Died):
        found.look()
    found.write(0, failed=10)

    assert found.look() == first  # it may still be shown
    harness.wait_until(died_at + MAX_AGE)
    with found.reads() as reads:
        assert found.look().counts["failed"] == 10
    assert reads.calls["PutItem"] == 0  # the dead reader's claim holds
    harness.wait_until(died_at + CLAIM_TIME)
    with found.reads() as reads:
        assert found.look().counts["failed"] == 10
    assert reads.calls["PutItem"] == 2


def test_wherever_a_reader_dies_the_tally_is_stored_again_after_its_claim(
    harness: Harness,
) -> None:
    found = large(harness)
    for changed in count(1):
        harness.advance(MAX_AGE.total_seconds())
        listener = BeforeCall(changed, die)
        with harness.interceptor.listening(listener), suppress(Died):
            found.look()
        if listener.calls < changed:
            break
        found.write(changed, failed=10)
        harness.advance((MAX_AGE + CLAIM_TIME).total_seconds())
        assert found.look().counts["failed"] == 10 * changed
        with found.reads() as reads:
            assert found.look().counts["failed"] == 10 * changed
        assert reads.calls["Query"] == 0
    assert changed == 7


def test_who_counts_longer_than_a_claim_stores_nothing_over_a_later_tally(
    harness: Harness,
) -> None:
    found = large(harness)

    def overtake() -> None:
        harness.advance(CLAIM_TIME.total_seconds())
        found.write(0, failed=10)
        found.look()

    with harness.interceptor.listening(AtCounting(overtake, is_after=True)):
        late = found.look()

    assert late.counts["failed"] == 0
    assert found.look().counts["failed"] == 10


# Changes that are never missed


def failed(harness: Harness, payloads: Payloads, number: int = 4) -> Large:
    """A batch whose jobs all failed; their files exist by now."""
    collection = f"tally-{next(_numbers)}"
    names = {f"{collection}-{each}.txt": f"{each}".encode() for each in range(number)}
    text = single_files(payloads, names)
    payloads.status |= {f"/{name}": 404 for name in names}
    batch_id = harness.drop(text, collection=collection)
    payloads.status.clear()
    return Large(harness, batches.get(batch_id, harness.now()))


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every batch has a stored tally."""
    monkeypatch.setattr(tally_queries, "MAX_UNSTORED_CHUNKS", 0)


@pytest.mark.usefixtures("stored")
def test_a_change_of_one_job_is_seen_at_once(harness: Harness, payloads: Payloads) -> None:
    found = failed(harness, payloads)
    assert (found.look().counts["failed"], found.look().counted_at) == (4, None)

    send_job_event(f"{found.batch.batch_id}.1.0", "requeue", harness.context())
    assert (found.look().counts["scheduled"], found.look().counts["failed"]) == (1, 3)
    assert found.look().counted_at == harness.now()
    send_job_event(f"{found.batch.batch_id}.0.0", "delete", harness.context())
    assert (found.look().counts["deleted"], found.look().counts["failed"]) == (1, 2)

    harness.machines.run_all()
    harness.advance(MAX_AGE.total_seconds())
    assert (found.look().counts["succeeded"], found.look().counted_at) == (1, None)


@pytest.mark.usefixtures("stored")
def test_a_change_right_before_any_call_of_a_reader_is_seen_by_the_next(
    harness: Harness, payloads: Payloads
) -> None:
    found = failed(harness, payloads, 8)

    def requeue(number: int) -> None:
        job_id = f"{found.batch.batch_id}.{number // 2}.{number % 2}"
        send_job_event(job_id, "requeue", harness.context())

    for changed in count(1):
        harness.advance(MAX_AGE.total_seconds())
        listener = BeforeCall(changed, partial(requeue, changed))
        with harness.interceptor.listening(listener):
            found.look()
        if listener.calls < changed:
            break
        assert found.look().counts["scheduled"] == changed
    assert changed == 7  # the batch, the operations, the tally, the claim, the chunks, the result


@pytest.mark.usefixtures("stored")
def test_an_operation_is_seen_when_it_starts_and_when_it_ends(
    harness: Harness, payloads: Payloads
) -> None:
    found = failed(harness, payloads)
    found.look()

    batch_operations.change_jobs(
        found.batch.batch_id, "requeue", Filter(JobState.FAILED), harness.context()
    )
    started = found.look()
    assert (started.counts["failed"], started.counted_at) == (4, harness.now())
    harness.machines.run_all()

    ended = found.look()
    assert (ended.counts["failed"], ended.counts["succeeded"]) == (0, 4)
    assert ended.counted_at is None
    assert ended.why == "repaired: no failed jobs are left; update-reporting reports this"


@pytest.mark.usefixtures("stored")
def test_an_update_of_the_report_is_seen_at_once(harness: Harness, payloads: Payloads) -> None:
    found = failed(harness, payloads)
    found.look()
    batch_operations.change_jobs(
        found.batch.batch_id, "requeue", Filter(JobState.FAILED), harness.context()
    )
    harness.machines.run_all()

    harness.send_batch_event(found.batch.batch_id, "update_reporting")

    view = found.look()
    assert (view.batch.state, view.counts["succeeded"]) == ("completed", 4)
    assert view.counted_at is None
    assert [segment.columns for segment in view.strip] == [4]


def test_a_tally_that_cannot_be_stored_is_shown_to_its_reader(harness: Harness) -> None:
    found = large(harness)

    class Unwritable(Listener):
        def before(self, call: Call) -> Answer | None:
            if call.operation == "PutItem":
                return Answer.error(400, "ProvisionedThroughputExceededException")
            return None

    with harness.interceptor.listening(Unwritable()):
        view = found.look()

    assert view.counts["succeeded"] == found.batch.entries
    assert tallies.of_batches([found.batch.batch_id]) == {}
