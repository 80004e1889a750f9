"""A graph of rates has a point for each step, whatever samples there are."""

from datetime import UTC, datetime, timedelta

import pytest

from jobyard.domain.rates import (
    RATE_STEPS,
    JobTotals,
    RateRange,
    Sample,
    WaitLimit,
    first_step,
    points_of,
    step_start,
    wait_of,
)

NOON = datetime(2026, 11, 30, 12, 0, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def sample(minutes_ago: int, before: int, totals: int, open_batches: int = 1) -> Sample:
    at = step_start(NOON, MINUTE) - minutes_ago * MINUTE
    return Sample(at, JobTotals(before, before), JobTotals(totals, totals), open_batches)


@pytest.mark.parametrize("rate_range", RateRange)
def test_a_graph_has_a_point_for_each_step_up_to_now(rate_range: RateRange) -> None:
    step, number = RATE_STEPS[rate_range]

    points = points_of(rate_range, [], NOON)

    assert len(points) == number <= 120
    assert points[0].at == first_step(rate_range, NOON)
    assert points[-1].at <= NOON < points[-1].at + step
    assert {(each.jobs, each.open_batches) for each in points} == {(JobTotals(), 0)}


def test_a_step_counts_what_was_added_in_it() -> None:
    points = points_of(RateRange.HOUR, [sample(2, 0, 5), sample(0, 5, 12)], NOON)

    assert [each.jobs.ended for each in points[-4:]] == [0, 5, 0, 7]


def test_a_step_without_a_sample_keeps_the_number_of_open_batches() -> None:
    samples = [sample(70, 0, 5, open_batches=3), sample(1, 5, 6, open_batches=0)]

    points = points_of(RateRange.HOUR, samples, NOON)

    assert [each.open_batches for each in points[-3:]] == [3, 0, 0]
    assert points[0].jobs.ended == 0
    assert points[-2].jobs.ended == 1


def test_the_first_sample_after_a_pause_counts_only_its_own_step() -> None:
    points = points_of(RateRange.HOUR, [sample(0, 1000, 1004)], NOON)

    assert points[-1].jobs.ended == 4


def test_what_two_samples_overlap_in_is_counted_once() -> None:
    """The first one was stored, but the writer died before it noted that."""
    points = points_of(RateRange.HOUR, [sample(1, 0, 10), sample(0, 0, 15)], NOON)

    assert [each.jobs.ended for each in points[-2:]] == [10, 5]


def test_totals_that_were_restored_from_a_backup_show_no_negative_rate() -> None:
    points = points_of(RateRange.HOUR, [sample(1, 0, 10), sample(0, 10, 3)], NOON)

    assert points[-1].jobs == JobTotals()


def test_waits_are_counted_up_to_bounds_and_a_share_of_them_is_within_one() -> None:
    waited = [timedelta(seconds=each) for each in (0.5, 1, 1.5, 40, 90_000)]
    jobs = JobTotals.of_starts([*waited, None])
    points = points_of(
        RateRange.HOUR, [Sample(step_start(NOON, MINUTE), JobTotals(), jobs, 1)], NOON
    )

    assert jobs.started == 6
    assert JobTotals.of_line(jobs.line) == jobs
    assert wait_of(points, 0.4) == WaitLimit(timedelta(seconds=1))
    assert wait_of(points, 0.5) == WaitLimit(timedelta(seconds=2))
    assert wait_of(points, 0.8) == WaitLimit(timedelta(minutes=1))
    assert wait_of(points, 0.95) == WaitLimit(timedelta(days=1), is_longer=True)
    assert wait_of([], 0.5) is None


def test_a_sample_from_before_waits_were_counted_has_none() -> None:
    assert JobTotals.of_line([7, 5, 2]) == JobTotals(7, 5, 2)
