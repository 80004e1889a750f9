"""Lists by state read few counts of chunks, and miss no job."""

from dataclasses import replace
from random import Random

import pytest

from jobyard.domain.batches.batch import Batch
from jobyard.domain.batches.chunks import ChunkRecord, RunProgress
from jobyard.domain.batches.operation import Filter
from jobyard.domain.cause_key import MAIN_RUN
from jobyard.domain.jobs.job import JobState
from jobyard.services.batches import operations
from jobyard.services.context import Actor, CommandContext, QueryContext
from jobyard.services.queries.chunk_search import COUNTS_PER_READ, search_chunks
from jobyard.services.queries.jobs import JobMatch, list_jobs, neighbours
from jobyard.store import chunks
from jobyard.store.tables import ChunkItem
from tests.functions.api.api_client import Api
from tests.functions.api.batch_records import a_batch, a_job
from tests.functions.api.schedule_records import items_read
from tests.people import sub_of

CHUNKS, CHUNK_SIZE = 60, 10  # more chunks than are counted at each reading
ADMIN = Actor(sub_of("admin"), "admin", frozenset({"admin"}))
ENDED = {MAIN_RUN: RunProgress(1)}


def query_context(api: Api) -> QueryContext:
    from api.handler import CONTEXT

    return QueryContext(CONTEXT.settings, CONTEXT.s3, ADMIN, api.tick())


def command_context(api: Api) -> CommandContext:
    from api.handler import CONTEXT

    return CommandContext(
        CONTEXT.settings, CONTEXT.s3, CONTEXT.machines, api.tick, ADMIN, "key", "again"
    )


def counted(batch: Batch, number: int, **counts: int) -> ChunkRecord:
    """A chunk whose pass has ended, with these counts."""
    record = ChunkRecord(batch.batch_id, number, version=1, counts=counts, runs=ENDED)
    failures = {"TIMEOUT": counts["failed"]} if "failed" in counts else {}
    return replace(record, failures=failures)


def store(records: list[ChunkRecord]) -> None:
    """Store these counts over those there are."""
    with ChunkItem.batch_write() as writing:
        for record in records:
            writing.save(chunks.item_of(record))


def a_large_batch(state: str = "failed", **counts: int) -> Batch:
    """A batch of many chunks, each with these counts."""
    batch = a_batch(state, entries=CHUNKS * CHUNK_SIZE, chunk_size=CHUNK_SIZE)
    store([counted(batch, number, **counts) for number in range(CHUNKS)])
    return batch


def listed(batch: Batch, state: str, api: Api, limit: int = 100) -> list[str]:
    found = list_jobs(
        batch.batch_id, query_context(api), state=state, after=(0, 0), limit=limit
    ).items
    return [view.job.address.job_id for view in found]


def test_a_few_failed_jobs_among_many_chunks_take_a_few_reads(api: Api) -> None:
    batch = a_large_batch(succeeded=CHUNK_SIZE)
    for number in (7, 8):
        a_job(batch, 50 * CHUNK_SIZE + number, "failed")
    store([counted(batch, 50, succeeded=8, failed=2)])
    expected = [f"{batch.batch_id}.50.{number}" for number in (7, 8)]
    listed(batch, "failed", api)

    with items_read() as found:
        shown = listed(batch, "failed", api)
    with items_read() as around:
        next_one = neighbours(expected[0], query_context(api), JobMatch(state="failed")).after

    assert shown == expected
    assert next_one == expected[1]
    assert found.total() <= len(shown) + 6
    assert around.total() <= 14


def test_a_full_page_of_failed_jobs_reads_few_others(api: Api) -> None:
    batch = a_large_batch(failed=CHUNK_SIZE)
    for number in range(2 * CHUNK_SIZE + 1):
        a_job(batch, number, "failed")
    store([counted(batch, number, failed=CHUNK_SIZE) for number in range(3)])
    listed(batch, "failed", api)

    with items_read() as found:
        shown = listed(batch, "failed", api, limit=2 * CHUNK_SIZE)

    assert len(shown) == 20
    assert found.total() <= 20 + COUNTS_PER_READ + 5


def test_a_job_that_fails_after_the_strip_was_counted_is_found(api: Api) -> None:
    batch = a_large_batch("processing", succeeded=CHUNK_SIZE)
    store([counted(batch, 59, running=CHUNK_SIZE)])
    assert listed(batch, "failed", api) == []

    failed = a_job(batch, 59 * CHUNK_SIZE, "failed")
    store([counted(batch, 59, running=CHUNK_SIZE - 1, failed=1)])

    assert listed(batch, "failed", api) == [failed.address.job_id]


def test_a_job_that_an_operation_requeues_is_found_in_its_new_state(api: Api) -> None:
    batch = a_large_batch(succeeded=CHUNK_SIZE)
    a_job(batch, 590, "failed")
    store([counted(batch, 59, succeeded=9, failed=1)])
    operations.change_jobs(batch.batch_id, "requeue", Filter(JobState.FAILED), command_context(api))
    assert len(listed(batch, "failed", api)) == 1

    running = a_job(batch, 591, "running")
    store([counted(batch, 59, succeeded=9, running=1)])

    assert listed(batch, "running", api) == [running.address.job_id]


@pytest.mark.parametrize("state", ["processing", "cancelled"])
def test_no_chunk_with_a_job_in_the_state_is_left_out(state: str, api: Api) -> None:
    random = Random(7)
    batch = a_batch(state, entries=CHUNKS * 7 - 3, chunk_size=7)
    records = []
    for number in range(0, CHUNKS, 2):
        left = batch.job_count(number)
        counts: dict[str, int] = {}
        for each in random.sample([*JobState], random.randint(1, 6)):
            counts[each.value] = random.randint(0, left)
            left -= counts[each.value]
        records.append(counted(batch, number, **{name: n for name, n in counts.items() if n}))
    store(records)

    for wanted in JobState:
        search = search_chunks(batch, wanted, "", query_context(api))
        found = [*search.forwards(0)]
        assert {each.chunk for each in records if each.count(wanted)} <= {*found}
        assert [*search.backwards(CHUNKS // 2)] == [n for n in found[::-1] if n <= CHUNKS // 2]
        assert [*search.forwards(CHUNKS - 9)] == [n for n in found if n >= CHUNKS - 9]
