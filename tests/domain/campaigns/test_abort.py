"""When a campaign stops because too many of its tasks fail."""

from dataclasses import replace
from datetime import timedelta

import pytest

from jobyard.domain.campaigns.abort import (
    AbortAction,
    AbortRule,
    OutcomeCounts,
    abort_rule_of,
    count_outcomes,
)
from jobyard.domain.errors import InvalidCampaign
from jobyard.domain.jobs.job import (
    PART,
    WAITED,
    Attempt,
    JobAddress,
    JobRecord,
    JobState,
    new_job,
)
from tests.domain.campaigns.schedules import instant

NOW = instant("2026-11-25T10:00")
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("bad", "ended", "is_met"),
    [
        (2, 3, False),  # ansible#33672: too few have ended
        (9, 9, False),
        (4, 10, False),
        (5, 10, True),
        (5, 11, False),
        (6, 12, True),
        (0, 100, False),
    ],
)
def test_it_stops_when_a_share_of_enough_tasks_is_bad(bad: int, ended: int, is_met: bool) -> None:
    assert AbortRule(50, 10).is_met(OutcomeCounts(ended, ended, bad)) is is_met


def test_the_first_slice_is_small() -> None:
    rule = AbortRule(50, 10)

    assert rule.limited(50, OutcomeCounts()) == 10
    assert rule.limited(7, OutcomeCounts()) == 7
    assert rule.limited(50, OutcomeCounts(started=1)) == 50


def task(state: JobState, code: str = "", attempts: int = 1) -> JobRecord:
    """A task whose attempts started at `NOW`."""
    record = new_job(JobAddress("b" + "a" * 20, 0, 0), NOW)
    tried = (Attempt(NOW, NOW + MINUTE, "", code),) * attempts
    return replace(record, state=state, version=1, failure_code=code, attempts=tried)


@pytest.mark.parametrize(
    ("record", "counts"),
    [
        (task(JobState.SCHEDULED, attempts=0), OutcomeCounts()),
        (task(JobState.RUNNING, attempts=0), OutcomeCounts(1)),
        (task(JobState.RUNNING, "TIMEOUT"), OutcomeCounts(1)),
        (task(JobState.SUCCEEDED), OutcomeCounts(1, 1)),
        (task(JobState.FAILED, "INCOMPATIBLE"), OutcomeCounts(1, 1, 1)),
        (task(JobState.SCHEDULED, "VERIFY_FAILED"), OutcomeCounts(1, 1, 1)),
        (task(JobState.SCHEDULED, "DEVICE_OFFLINE"), OutcomeCounts(1)),
        (task(JobState.SCHEDULED, "DEVICE_BUSY"), OutcomeCounts(1)),
        (task(JobState.SCHEDULED), OutcomeCounts(1)),  # its step continues later
        (task(JobState.FAILED, "EXPIRED"), OutcomeCounts(1)),
        (task(JobState.CANCELLED, "TIMEOUT"), OutcomeCounts(1)),
    ],
)
def test_failures_that_say_nothing_about_the_change_do_not_count(
    record: JobRecord, counts: OutcomeCounts
) -> None:
    assert count_outcomes([record], None) == counts
    assert count_outcomes([record], NOW) == counts


def test_after_a_release_only_later_attempts_count() -> None:
    failed = task(JobState.FAILED, "INCOMPATIBLE")
    again = replace(failed, attempts=(*failed.attempts, Attempt(NOW + 2 * MINUTE, None)))

    counts = count_outcomes([failed, again], NOW + MINUTE)

    assert counts == OutcomeCounts(1, 1, 1)
    assert counts + counts == OutcomeCounts(2, 2, 2)


@pytest.mark.parametrize("code", [PART, WAITED])
def test_a_failure_does_not_count_once_another_attempt_has_begun(code: str) -> None:
    failed = task(JobState.SCHEDULED, "VERIFY_FAILED")
    began = Attempt(NOW + 2 * MINUTE, NOW + 3 * MINUTE, "upload", code)
    continues = replace(failed, attempts=(*failed.attempts, began))
    running = replace(continues, state=JobState.RUNNING, at=NOW + 4 * MINUTE)

    for since in (None, NOW + MINUTE):
        assert count_outcomes([continues, running], since) == OutcomeCounts(2)


def test_an_attempt_that_began_before_a_release_does_not_count() -> None:
    part = Attempt(NOW, NOW + MINUTE, "upload", PART)
    failed = task(JobState.SCHEDULED, "VERIFY_FAILED")
    last = Attempt(NOW + 2 * MINUTE, NOW + 3 * MINUTE, "verify", "VERIFY_FAILED")
    ended = replace(failed, attempts=(part, part, last))

    assert count_outcomes([ended], NOW) == OutcomeCounts(1, 1, 1)
    assert count_outcomes([ended], NOW + MINUTE) == OutcomeCounts()


def test_an_abort_rule_reads_back_from_its_document() -> None:
    rule = AbortRule(20, 5, AbortAction.CANCEL)

    assert abort_rule_of("abort", rule.document()) == rule
    assert abort_rule_of("abort", {"percent": 1}) == AbortRule(1, 10, AbortAction.HOLD)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({}, "abort.percent"),
        ({"percent": 0}, "abort.percent"),
        ({"percent": 101}, "abort.percent"),
        ({"percent": 50, "at_least": 0}, "abort.at_least"),
        ({"percent": 50, "then": "stop"}, "abort.then"),
        ({"percent": 50, "after": 1}, "abort.after"),
        ("50 %", "abort"),
    ],
)
def test_an_abort_rule_that_is_wrong_is_refused_by_field(value: object, where: str) -> None:
    with pytest.raises(InvalidCampaign) as refused:
        abort_rule_of("abort", value)

    assert [each.where for each in refused.value.problems] == [where]
