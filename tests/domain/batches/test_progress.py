"""The rate of a batch follows from samples of its ended jobs."""

import pytest

from jobyard.domain.batches.progress import (
    MAX_SAMPLES,
    UNKNOWN_PROGRESS,
    BatchProgress,
    ended_jobs,
    progress_of,
    with_sample,
)

COUNTS = {"succeeded": 30, "failed": 10, "running": 5, "scheduled": 55, "total": 100}


def test_the_time_left_follows_from_the_jobs_left_and_the_rate() -> None:
    assert ended_jobs(COUNTS) == 40
    assert progress_of([(0.0, 0), (10.0, 20), (20.0, 40)], COUNTS) == BatchProgress(2.0, 30.0)


def test_the_progress_has_two_digits_and_is_the_same_a_moment_later() -> None:
    first = progress_of([(0.0, 0), (2161.5, 100)], COUNTS)

    assert first == BatchProgress(0.046, 1300.0)
    assert progress_of([(0.0, 0), (2161.6, 100)], COUNTS) == first


@pytest.mark.parametrize(
    "samples", [[], [(1.0, 5)], [(1.0, 5), (1.0, 9)], [(1.0, 5), (9.0, 5)], [(1.0, 5), (9.0, 2)]]
)
def test_without_two_samples_that_differ_the_rate_is_unknown(
    samples: list[tuple[float, int]],
) -> None:
    assert progress_of(samples, COUNTS) == UNKNOWN_PROGRESS


def test_a_batch_without_open_jobs_has_no_time_left() -> None:
    assert progress_of([(0.0, 0), (5.0, 9)], {"succeeded": 9, "total": 9}) == UNKNOWN_PROGRESS


def test_samples_are_few_and_recent_and_at_least_two() -> None:
    samples: tuple[tuple[float, int], ...] = ()
    for number in range(20):
        samples = with_sample(samples, (number * 10.0, number))
    assert len(samples) == MAX_SAMPLES
    assert samples[-1] == (190.0, 19)

    assert with_sample(samples, (10_000.0, 25)) == ((190.0, 19), (10_000.0, 25))


def test_samples_from_before_jobs_ran_again_are_dropped() -> None:
    assert with_sample(((0.0, 5), (10.0, 9)), (20.0, 3)) == ((20.0, 3),)
