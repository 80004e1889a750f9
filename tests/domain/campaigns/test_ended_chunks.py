"""The chunks that a decision about a campaign need not read again."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from jobyard.domain.batches.chunks import ChunkRecord
from jobyard.domain.campaigns.abort import OutcomeCounts
from jobyard.domain.campaigns.ended_chunks import EndedChunks
from jobyard.domain.campaigns.task_summary import TaskSummary, ended_chunks
from jobyard.domain.history import HistoryEntry
from tests.domain.campaigns.test_campaign import CREATED, campaign

SEVEN = replace(campaign(), tasks=7, chunk_size=3)  # chunks of 3, 3 and 1
REQUEST = HistoryEntry("cancel", "running", "running", CREATED, "Ada", "key")


def record(number: int, since: datetime | None = None, **counts: int) -> ChunkRecord:
    """The counts of a chunk whose ended tasks all count for the abort rule."""
    bad = counts.get("failed", 0)
    ended = counts.get("succeeded", 0) + bad
    summary = TaskSummary(outcomes=OutcomeCounts(ended, ended, bad), counted_since=since)
    return ChunkRecord("c1", number, counts=counts, summary=summary.document())


FIRST, SECOND, LAST = (
    record(0, succeeded=2, failed=1),
    record(1, succeeded=1, cancelled=1, replaced=1),
    record(2, succeeded=1),
)


@pytest.mark.parametrize(
    ("records", "number"),
    [
        ([], 0),
        ([FIRST], 1),
        ([FIRST, SECOND], 2),
        ([FIRST, SECOND, LAST], 3),
        ([FIRST, LAST], 1),  # they are counted in order
        ([record(0, succeeded=2)], 0),  # one has no record
        ([record(0, succeeded=2, running=1)], 0),
        ([record(0, failed=2, scheduled=1)], 0),
        ([replace(FIRST, cancels={0: REQUEST})], 0),
        ([replace(FIRST, replacements={0: "c2"})], 0),
    ],
)
def test_chunks_have_ended_up_to_the_first_with_an_open_task(
    records: Sequence[ChunkRecord], number: int
) -> None:
    ended = ended_chunks(SEVEN, {each.chunk: each for each in records})

    assert ended.number == number
    assert sum(ended.counts.values()) == sum(each.recorded for each in records[:number])


def test_ended_chunks_are_added_to_those_before() -> None:
    first = ended_chunks(SEVEN, {0: FIRST})
    then = ended_chunks(replace(SEVEN, ended_chunks=first), {1: SECOND, 2: LAST})

    assert then == ended_chunks(SEVEN, {0: FIRST, 1: SECOND, 2: LAST})
    assert then.counts == {"succeeded": 4, "failed": 1, "cancelled": 1, "replaced": 1}
    assert then.outcomes == OutcomeCounts(5, 5, 1)


def test_a_release_forgets_the_outcomes_of_ended_chunks_but_not_their_tasks() -> None:
    released = CREATED + timedelta(hours=1)
    before = ended_chunks(SEVEN, {0: FIRST})
    campaign = replace(SEVEN, ended_chunks=before, counted_since=released)
    after = ended_chunks(campaign, {1: SECOND, 2: record(2, released, failed=1)})

    assert (after.number, after.counts["succeeded"]) == (3, 3)
    assert after.outcomes == OutcomeCounts(1, 1, 1)


def test_a_task_that_is_tried_again_has_its_chunk_read_again() -> None:
    ended = ended_chunks(SEVEN, {0: FIRST, 1: SECOND})

    assert ended.without(2) == ended
    assert ended.without(1) == EndedChunks()
