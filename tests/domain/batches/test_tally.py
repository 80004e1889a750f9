"""The tally of a batch: its counts, its strip, and how long it may be shown."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.batches.batch import BATCH, Batch, BatchState
from jobyard.domain.batches.chunks import ChunkRecord, RunProgress
from jobyard.domain.batches.tally import (
    COLUMN_SHARES,
    COLUMN_STATES,
    STRIP_COLUMNS,
    FailedJobs,
    StripSegment,
    Tally,
    has_ended,
    tally_of,
)
from jobyard.domain.freshness import MAX_CLOCK_SKEW, MIN_AGE
from jobyard.domain.jobs.job import PROGRESS_ORDER, JobState
from jobyard.domain.lifecycle import Cause

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
S, F, R, W = JobState.SUCCEEDED, JobState.FAILED, JobState.RUNNING, JobState.SCHEDULED
PURE = COLUMN_SHARES


def batch(entries: int, chunk_size: int = 100, state: BatchState = BatchState.PROCESSING) -> Batch:
    return Batch(
        "b", state, 7, "maps", "me", "deposit", "m.csv", NOON, entries=entries,
        chunk_size=chunk_size,
    )  # fmt: skip


def tally(found: Batch, counts: Mapping[int, Mapping[str, int]]) -> Tally:
    records = [ChunkRecord("b", number, counts=each) for number, each in counts.items()]
    return tally_of(found, records, NOON)


def test_every_state_is_counted_and_what_has_no_record_is_scheduled() -> None:
    found = tally(batch(250), {0: {"succeeded": 90, "failed": 10}, 2: {"running": 5}})

    assert {name: number for name, number in found.counts.items() if number} == {
        "succeeded": 90, "failed": 10, "running": 5, "scheduled": 145, "total": 250,
    }  # fmt: skip
    assert found.counts.keys() == {*JobState, "total"}
    assert (found.counted_at, found.batch_version) == (NOON, 7)


def test_in_a_cancelled_batch_what_has_no_record_is_cancelled() -> None:
    move = BATCH.move("processing", "cancel", NOON, Cause("x"))
    cancelled = batch(200).moved(move)

    found = tally(cancelled, {0: {"succeeded": 100}})

    assert found.counts["cancelled"] == 100
    assert found.strip[-1].shares == ((JobState.CANCELLED, PURE),)


def test_failures_and_the_next_retry_are_of_all_chunks() -> None:
    records = [
        ChunkRecord(
            "b",
            number,
            failures={"TIMEOUT": 2},
            not_requeueable={"TIMEOUT": number},
            runs={
                "main": RunProgress(1, NOON + timedelta(minutes=5 - number)),
                "r1": RunProgress(1),
            },
        )
        for number in range(2)
    ]

    found = tally_of(batch(200), records, NOON)

    assert (found.failures, found.not_requeueable) == ({"TIMEOUT": 4}, {"TIMEOUT": 1})
    assert found.next_retry == NOON + timedelta(minutes=4)


def test_a_group_was_seen_from_the_first_to_the_last_failure_of_all_chunks() -> None:
    """Counts from before this was recorded say nothing of it."""
    minute = timedelta(minutes=1)
    records = [
        ChunkRecord("b", 0, failures={"TIMEOUT": 2}, failed_at={"TIMEOUT": (NOON, NOON + minute)}),
        ChunkRecord("b", 1, failures={"TIMEOUT": 5, "FORCED": 1}),
        ChunkRecord("b", 2, failures={"TIMEOUT": 1}, failed_at={"TIMEOUT": (NOON - minute, NOON)}),
    ]

    assert tally_of(batch(300), records, NOON).failure_groups == (
        FailedJobs("TIMEOUT", 8, 0, NOON - minute, NOON + minute),
        FailedJobs("FORCED", 1),
    )


# The strip


def test_a_small_batch_has_a_column_for_each_job() -> None:
    found = tally(batch(7, chunk_size=5), {0: {"succeeded": 3, "failed": 1}, 1: {"running": 1}})

    assert found.strip == (
        StripSegment(3, ((S, PURE),)),
        StripSegment(1, ((F, PURE),)),
        StripSegment(1, ((W, PURE),)),
        StripSegment(1, ((R, PURE),)),
        StripSegment(1, ((W, PURE),)),
    )


def test_a_batch_without_jobs_has_no_strip() -> None:
    assert tally(batch(0), {}).strip == ()


def test_a_chunk_spans_several_columns() -> None:
    """Ten chunks of a hundred jobs: 50 columns each, of two jobs."""
    found = tally(batch(1000), {0: {"succeeded": 80, "failed": 20}, 1: {"succeeded": 100}})

    assert found.strip == (
        StripSegment(40, ((S, PURE),)),
        StripSegment(10, ((F, PURE),)),
        StripSegment(50, ((S, PURE),)),
        StripSegment(400, ((W, PURE),)),
    )


def test_one_failed_job_of_a_million_is_visible() -> None:
    counts = {number: {"succeeded": 1000} for number in range(1000)}
    counts[500] = {"succeeded": 999, "failed": 1}

    found = tally(batch(1_000_000, chunk_size=1000), counts)

    assert found.strip == (
        StripSegment(250, ((S, PURE),)),
        StripSegment(1, ((S, PURE - 1), (F, 1))),
        StripSegment(249, ((S, PURE),)),
    )


def test_a_column_of_many_states_shows_failed_and_the_largest() -> None:
    counts = {state.value: 100 * (1 + number) for number, state in enumerate(PROGRESS_ORDER)}
    counts["failed"] = 1

    (segment,) = tally(batch(sum(counts.values()), chunk_size=10_000), {0: counts}).strip[:1]
    wide = tally(batch(5_000_000, chunk_size=10_000), {0: counts | {"deleted": 5000}}).strip[0]

    assert segment.shares == ((S, PURE),)
    assert len(wide.shares) == COLUMN_STATES
    assert F in dict(wide.shares)


@given(
    entries=st.integers(min_value=1, max_value=30_000),
    chunk_size=st.integers(min_value=1, max_value=1000),
    data=st.data(),
)
def test_a_strip_has_all_columns_and_every_column_all_shares(
    entries: int, chunk_size: int, data: st.DataObject
) -> None:
    found = batch(entries, chunk_size)
    some = data.draw(st.sets(st.integers(0, found.chunk_count - 1), max_size=20))
    counts = {}
    for number in sorted(some):
        failed = data.draw(st.integers(0, found.job_count(number)))
        running = data.draw(st.integers(0, found.job_count(number) - failed))
        counts[number] = {"failed": failed, "running": running}

    strip = tally(found, counts).strip

    assert sum(segment.columns for segment in strip) == min(entries, STRIP_COLUMNS)
    for segment in strip:
        assert sum(share for _, share in segment.shares) == COLUMN_SHARES
        assert all(share > 0 for _, share in segment.shares)
    assert all(one.shares != other.shares for one, other in pairwise(strip))
    shown = {state for segment in strip for state, _ in segment.shares}
    assert (F in shown) == any(each["failed"] for each in counts.values())


# How long it is shown


@pytest.mark.parametrize(
    ("duration", "max_age"), [(0.0, MIN_AGE), (0.1, MIN_AGE), (3.0, timedelta(seconds=30))]
)
def test_what_took_long_to_count_is_shown_longer(duration: float, max_age: timedelta) -> None:
    found = replace(tally(batch(10), {}), duration=timedelta(seconds=duration))
    moment = timedelta(microseconds=1)

    assert found.max_age == max_age
    assert found.is_fresh(NOON + max_age - moment)
    assert not found.is_fresh(NOON + max_age)
    assert found.is_usable(NOON + 2 * max_age - moment)
    assert not found.is_usable(NOON + 2 * max_age)


def test_a_tally_of_a_clock_that_is_ahead_is_not_shown() -> None:
    found = tally(batch(10), {})
    ahead = NOON - MAX_CLOCK_SKEW - timedelta(microseconds=1)

    assert found.is_fresh(NOON - MAX_CLOCK_SKEW)
    assert not found.is_fresh(ahead)
    assert not found.is_usable(ahead)


def test_a_final_tally_stays_as_long_as_there_are_no_changes() -> None:
    found = replace(tally(batch(10), {}), operations_version=3, is_final=True)

    assert found.is_fresh(NOON + timedelta(days=365))
    assert found.has_changes(7, 3)
    assert not found.has_changes(8, 3)
    assert not found.has_changes(7, 4)


@pytest.mark.parametrize(
    ("state", "counts", "ended"),
    [
        ("processing", {"succeeded": 1}, False),
        ("reporting", {"succeeded": 1}, False),
        ("update_reporting", {"succeeded": 1}, False),
        ("completed", {"succeeded": 1}, True),
        ("cancelled", {"cancelled": 1}, True),
        ("deleted", {"failed": 1}, True),
        ("failed", {"failed": 1}, True),
        ("failed", {"running": 1}, False),
        ("failed", {"held": 1}, False),
        ("failed", {}, False),
    ],
)
def test_a_batch_with_open_jobs_has_not_ended(
    state: str, counts: Mapping[str, int], ended: bool
) -> None:
    found = batch(1, state=BatchState(state))

    assert has_ended(found, tally(found, {0: counts}).counts) is ended
