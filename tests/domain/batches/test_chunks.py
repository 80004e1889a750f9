"""Chunks: lines of a fixed length, and counts that add up."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.batches.batch import Batch, BatchState
from jobyard.domain.batches.chunks import (
    INDEX_LINE_BYTES,
    Chunk,
    ChunkRecord,
    PassShare,
    RunProgress,
    count_jobs,
    sum_counts,
)
from jobyard.domain.ids import batch_id_of, batch_id_of_object, is_batch_id
from jobyard.domain.jobs.job import JobAddress, JobRecord, JobState, new_job

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
BIG = st.integers(min_value=0, max_value=10**12)


@given(number=st.integers(min_value=0, max_value=10**8), start=BIG, end=BIG)
def test_an_index_line_has_its_length_and_reads_back(number: int, start: int, end: int) -> None:
    chunk = Chunk(number, start, end)

    assert len(chunk.index_line()) == INDEX_LINE_BYTES
    assert Chunk.from_index_line(chunk.index_line()) == chunk
    limited = replace(chunk, share=PassShare(number % 1001, 25, NOON, NOON, is_spread=True))
    assert Chunk.from_index_line(limited.index_line()) == limited


def test_the_starts_of_a_share_are_spread_evenly() -> None:
    share = PassShare(30, 25, NOON, NOON + timedelta(seconds=60), is_spread=True)

    by_second = [share.starts_by(NOON + timedelta(seconds=second)) for second in range(-1, 61)]

    assert by_second[0] == 0
    assert by_second[-1] == 30
    steps = [after - before for before, after in pairwise(by_second)]
    assert max(steps) == 1
    assert replace(share, is_spread=False).starts_by(NOON) == 30


def job(state: JobState, code: str = "") -> JobRecord:
    return JobRecord(JobAddress("b", 0, 0), state, 1, "c", NOON, failure_code=code)


def test_failures_are_counted_by_code_only_while_they_stand() -> None:
    counts, failures = count_jobs(
        [
            job(JobState.FAILED, "TIMEOUT"),
            job(JobState.FAILED, "TIMEOUT"),
            job(JobState.SCHEDULED, "TIMEOUT"),
        ]
    )

    assert counts == {"failed": 2, "scheduled": 1}
    assert failures == {"TIMEOUT": 2}


def test_sums_leave_out_zeros() -> None:
    assert sum_counts([{"failed": 1, "held": 2}, {"failed": -1}]) == {"held": 2}


@given(entries=st.integers(1, 5000), size=st.integers(1, 500))
def test_the_chunks_of_a_batch_hold_all_its_jobs(entries: int, size: int) -> None:
    batch = Batch(
        "b",
        BatchState.PROCESSING,
        1,
        "c",
        "s",
        "deposit",
        "f",
        NOON,
        entries=entries,
        chunk_size=size,
    )

    sizes = [batch.job_count(number) for number in range(batch.chunk_count)]

    assert sum(sizes) == entries
    assert all(0 < each <= size for each in sizes)


@given(chunk=st.integers(0, 10**6), position=st.integers(0, 10**4))
def test_a_job_id_contains_the_address(chunk: int, position: int) -> None:
    address = JobAddress(batch_id_of(b"x"), chunk, position)

    assert JobAddress.parse(address.job_id) == address


def test_an_invalid_job_id_has_no_address() -> None:
    for text in ("", "b", "b.1", "b.1.2.3", "b.01.2", "b.-1.2", "b.1.x", "b.1.٣"):
        assert JobAddress.parse(text) is None


def test_the_same_object_is_always_the_same_batch() -> None:
    first = batch_id_of_object("bucket", "manifests/c/m.checkm", "v1")

    assert first == batch_id_of_object("bucket", "manifests/c/m.checkm", "v1")
    assert first != batch_id_of_object("bucket", "manifests/c/m.checkm", "v2")
    assert is_batch_id(first)
    assert not is_batch_id(first.upper())
    assert not is_batch_id("b123")


def test_a_row_without_a_record_is_a_scheduled_job() -> None:
    assert new_job(JobAddress("b", 0, 1), NOON).state is JobState.SCHEDULED


def test_the_newest_runs_the_batchs_own_and_those_in_progress_are_kept() -> None:
    record = (
        ChunkRecord("b1", 0)
        .with_progress("main", RunProgress(3))
        .with_progress("r-waits", RunProgress(1, NOON))
    )
    for number in range(500):
        record = record.with_progress(f"r{number}", RunProgress(1))

    kept = [*record.runs]
    assert kept[:2] == ["main", "r-waits"]
    assert kept[2:] == [f"r{number}" for number in range(400, 500)]
    assert record.with_progress("r450", RunProgress(2)).progress("r450").last_pass == 2
