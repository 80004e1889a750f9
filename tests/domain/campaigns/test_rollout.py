"""The grant of a campaign for a slice, and how its starts are spread."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.campaigns.rollout import (
    MAX_GRANT,
    SLICE,
    Rollout,
    grant_of,
    paced,
    rollout_of,
    shares,
    start_offset,
    starts_by,
)
from jobyard.domain.errors import InvalidCampaign


@pytest.mark.parametrize(
    ("rollout", "succeeded", "grant"),
    [
        (None, 0, 1000),
        (Rollout(50), 0, 50),
        (Rollout(50), 100_000, 50),
        (Rollout(50, 2.0, 100), 99, 50),
        (Rollout(50, 2.0, 100), 100, 100),
        (Rollout(50, 2.0, 100), 299, 200),
        (Rollout(50, 2.0, 100), 100_000, 1000),
        (Rollout(3, 1.4, 10), 20, 5),  # 5.88
        (Rollout(100, 1.13, 1), 1, 113),  # in binary it would be a little less
        (Rollout(1000, 5.0, 1), 100_000, 1000),
    ],
)
def test_a_grant_grows_by_success_up_to_its_limit(
    rollout: Rollout | None, succeeded: int, grant: int
) -> None:
    assert grant_of(rollout, succeeded) == grant


@given(per_minute=st.integers(1, MAX_GRANT), index=st.integers(0, MAX_GRANT - 1))
def test_the_starts_of_a_grant_are_spread_evenly_over_the_slice(
    per_minute: int, index: int
) -> None:
    rollout = Rollout(per_minute)
    offsets = [start_offset(rollout, per_minute, each) for each in range(per_minute)]

    assert offsets[0] == timedelta()
    assert offsets == sorted(offsets)
    assert offsets[-1] < SLICE
    seconds = [offset // timedelta(seconds=1) for offset in offsets]
    assert max(map(seconds.count, {*seconds})) <= -(-per_minute // 60)
    at = offsets[index % per_minute]
    assert starts_by(rollout, per_minute, at) == sum(each <= at for each in offsets)
    assert starts_by(rollout, per_minute, SLICE) == per_minute


def test_without_a_rollout_all_may_start_at_once() -> None:
    assert starts_by(None, 1000, timedelta()) == 1000
    assert start_offset(None, 1000, 999) == timedelta()


@pytest.mark.parametrize(
    ("grant", "expected"),
    [(0, {}), (3, {1: 3}), (5, {1: 4, 3: 1}), (100, {1: 4, 3: 5, 7: 2})],
)
def test_a_grant_is_divided_among_few_chunks(grant: int, expected: dict[int, int]) -> None:
    assert shares(grant, {7: 2, 3: 5, 1: 4, 2: 0}) == expected


@pytest.mark.parametrize(
    ("grant", "waiting", "expected"),
    [
        (100, {0: 500, 1: 500, 2: 500, 3: 500, 4: 500}, {0: 25, 1: 25, 2: 25, 3: 25}),
        (10, {0: 500, 1: 500, 2: 500, 3: 500}, {0: 3, 1: 3, 2: 3, 3: 1}),
        (100, {0: 500, 1: 10}, {0: 90, 1: 10}),
        (100, {0: 20, 1: 500, 2: 20}, {0: 20, 1: 60, 2: 20}),
        (100, {0: 20}, {0: 20}),
    ],
)
def test_a_large_grant_is_divided_among_as_many_chunks_as_there_are_workers(
    grant: int, waiting: dict[int, int], expected: dict[int, int]
) -> None:
    assert shares(grant, waiting, workers=4) == expected


@pytest.mark.parametrize(
    ("grant", "shared", "expected"),
    [
        (20, {0: 6}, {0: 20}),
        (20, {0: 2, 3: 1}, {0: 13, 3: 6}),
        (20, {0: 15, 1: 5}, {0: 15, 1: 5}),
        (20, {}, {}),
    ],
)
def test_few_tasks_start_at_the_pace_of_the_whole_grant(
    grant: int, shared: dict[int, int], expected: dict[int, int]
) -> None:
    assert paced(shared, grant) == expected


def test_a_rollout_reads_back_from_its_document() -> None:
    rollout = Rollout(50, 1.5, 200)

    assert rollout_of("rollout", rollout.document()) == rollout
    assert rollout_of("rollout", {"per_minute": 7}) == Rollout(7, 1.0, 100)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({}, "rollout.per_minute"),
        ({"per_minute": 0}, "rollout.per_minute"),
        ({"per_minute": 1001}, "rollout.per_minute"),
        ({"per_minute": 5, "factor": 0.9}, "rollout.factor"),
        ({"per_minute": 5, "factor": 5.1}, "rollout.factor"),
        ({"per_minute": 5, "factor": "2"}, "rollout.factor"),
        ({"per_minute": 5, "factor": True}, "rollout.factor"),
        ({"per_minute": 5, "factor": float("nan")}, "rollout.factor"),
        ({"per_minute": 5, "every": 0}, "rollout.every"),
        ({"per_minute": 5, "rate": 2}, "rollout.rate"),
        (50, "rollout"),
    ],
)
def test_a_rollout_that_is_wrong_is_refused_by_field(value: object, where: str) -> None:
    with pytest.raises(InvalidCampaign) as refused:
        rollout_of("rollout", value)

    assert [each.where for each in refused.value.problems] == [where]
