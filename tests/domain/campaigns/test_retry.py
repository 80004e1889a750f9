"""When a task is tried again."""

from datetime import timedelta

import pytest

from jobyard.domain.campaigns.openings import Openings
from jobyard.domain.campaigns.retry import next_attempt_at
from jobyard.domain.schedules.calendar import window_of
from tests.domain.campaigns.schedules import instant

ENDED = instant("2026-11-25T10:00")
ALWAYS_OPEN = Openings(ENDED, ENDED + timedelta(days=30))


@pytest.mark.parametrize(
    ("retry_s", "offline", "expected_s"),
    [
        (300, 0, 300),
        (300, 11, 300),
        (300, 12, 600),
        (300, 13, 1200),
        (300, 14, 2400),
        (300, 15, 3600),
        (300, 2000, 3600),
        (30, 12, 60),
        (30, 18, 3600),
        (3600, 12, 3600),
        (86_400, 50, 86_400),
    ],
)
def test_the_wait_for_a_device_that_stays_offline_doubles_up_to_an_hour(
    retry_s: int, offline: int, expected_s: int
) -> None:
    at = next_attempt_at(ENDED, retry_s, offline, ALWAYS_OPEN)

    assert at == ENDED + timedelta(seconds=expected_s)


@pytest.mark.parametrize(("jitter", "expected_s"), [(-1.0, 450), (0.0, 600), (1.0, 750)])
def test_longer_waits_differ_by_a_quarter(jitter: float, expected_s: int) -> None:
    at = next_attempt_at(ENDED, 300, 12, ALWAYS_OPEN, jitter=jitter)

    assert at == ENDED + timedelta(seconds=expected_s)


def test_no_retry_is_early() -> None:
    assert next_attempt_at(ENDED, 3000, 12, ALWAYS_OPEN, jitter=-1.0) == ENDED + timedelta(
        seconds=3000
    )
    assert next_attempt_at(ENDED, 300, 1, ALWAYS_OPEN, jitter=-1.0) == ENDED + timedelta(
        seconds=300
    )


def test_a_longer_wait_does_not_miss_an_opening() -> None:
    window = window_of("window", {"from": "10:30", "to": "10:40"})
    openings = Openings(ENDED, ENDED + timedelta(days=2), "UTC", window)

    assert next_attempt_at(ENDED, 300, 20, openings) == instant("2026-11-25T10:30")
    assert next_attempt_at(ENDED, 300, 11, openings) == instant("2026-11-25T10:05")


@pytest.mark.parametrize(("needs_min", "expected"), [(0, "10:38"), (2, "10:38"), (3, "10:30")])
def test_a_longer_wait_leaves_what_a_task_needs_of_an_opening(
    needs_min: int, expected: str
) -> None:
    window = window_of("window", {"from": "10:30", "to": "10:40"})
    openings = Openings(ENDED, ENDED + timedelta(days=2), "UTC", window)
    ended_at = instant("2026-11-25T09:38")

    at = next_attempt_at(ended_at, 300, 20, openings, timedelta(minutes=needs_min))

    assert at == instant(f"2026-11-25T{expected}")
