"""Rates through the API."""

from datetime import timedelta

import pytest

from jobyard.domain.rates import RATE_STEPS, JobTotals, RateRange
from jobyard.services.rates import sample_rates
from jobyard.store import rates
from tests.functions.api.api_client import NOW, Api


@pytest.mark.parametrize("rate_range", RateRange)
def test_a_graph_ends_with_the_present_step(api: Api, rate_range: RateRange) -> None:
    waits = JobTotals.of_starts([timedelta(seconds=3), timedelta(minutes=8)])
    rates.add(3, JobTotals(5, 5, 2) + waits)
    rates.add(11, JobTotals(1, 1, 0))
    assert sample_rates(4, NOW)

    shown = api.get("/rates", role="viewer", query={"range": rate_range.value}).json

    step, number = RATE_STEPS[rate_range]
    assert (shown["range"], shown["step_s"]) == (rate_range, step.total_seconds())
    assert len(shown["points"]) == number
    assert (shown["wait_p50_s"], shown["wait_p95_s"]) == (5, 600)
    assert {**shown["points"][-1], "at": ""} == {
        "at": "",
        "started": 8,
        "ended": 6,
        "failed": 2,
        "open_batches": 4,
        "deployed": "",
    }


def test_an_unknown_range_is_refused(api: Api) -> None:
    answer = api.get("/rates", query={"range": "1y"})

    assert (answer.status, answer.kind) == (422, "validation-failed")


def test_nothing_is_sampled_while_nothing_changes(api: Api) -> None:
    rates.add(0, JobTotals(1, 1, 0))

    assert sample_rates(0, NOW)
    assert not sample_rates(0, NOW)
    assert sample_rates(1, NOW)


def test_a_build_that_differs_from_the_one_before_is_marked_where_it_was_deployed(api: Api) -> None:
    minute = timedelta(minutes=1)
    for minutes_ago, build in ((9, "1+a"), (8, "1+a"), (7, "1+b"), (6, "1+b"), (5, "1+a")):
        sample_rates(3, NOW - minutes_ago * minute, build)

    hour = api.get("/rates").json["points"]
    week = api.get("/rates", query={"range": "7d"}).json["points"]

    assert [each["deployed"] for each in hour[-10:]] == [*("", "", "1+b", "", "1+a"), *[""] * 5]
    assert "1+a" in {each["deployed"] for each in week[-2:]}


def test_a_stack_whose_last_sample_names_no_build_has_no_mark(api: Api) -> None:
    sample_rates(7, NOW - timedelta(minutes=3))

    assert not sample_rates(7, NOW - timedelta(minutes=2), "1+a")
    assert sample_rates(8, NOW - timedelta(minutes=1), "1+a")
    assert {each["deployed"] for each in api.get("/rates").json["points"]} == {""}
