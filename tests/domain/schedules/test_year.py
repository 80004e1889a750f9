"""A year shows each day of a rule, and a change of a rule what it adds and removes."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from jobyard.domain.schedules import year
from jobyard.domain.schedules.calendar import calendar_of
from jobyard.domain.schedules.recurrence import Recurrence
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.year import (
    Lateness,
    YearDay,
    days_of_year,
    lateness_of,
    rule_difference,
)

START = datetime(2026, 11, 30, 12, tzinfo=UTC)
CLOSED = calendar_of({"name": "closed", "title": "", "exclude": ["2026-12-25"], "include": []})


def rule(kind: str = "daily", **fields: Any) -> Recurrence:
    return recurrence_of(
        {"kind": kind, "at": "09:00", "zone": "UTC", "anchor": "2026-01-01", **fields}
    )


def test_a_daily_rule_has_a_run_on_every_day_of_the_year() -> None:
    days, is_complete = days_of_year(rule(), CLOSED, 2026)

    assert len(days) == 365
    assert is_complete
    assert [*days] == sorted(days)
    assert days[date(2026, 12, 24)] == YearDay(runs=1)
    closed = days[date(2026, 12, 25)]
    assert (closed.runs, closed.skipped) == (0, 1)
    assert closed.reason


def test_days_are_those_of_the_rules_zone_and_name_clock_changes() -> None:
    days, _ = days_of_year(
        rule(zone="America/Los_Angeles", at="02:30", anchor="2026-01-01"), None, 2026
    )

    assert date(2026, 1, 1) in days
    assert date(2027, 1, 1) not in days
    assert days[date(2026, 3, 8)].note  # 02:30 does not exist


def test_an_hourly_rule_is_counted_for_the_whole_year_and_no_more_than_so_many_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hourly = recurrence_of({"kind": "hourly", "at": "00:00", "zone": "UTC", "anchor": "2026-01-01"})
    days, is_complete = days_of_year(hourly, None, 2028)
    assert (sum(each.runs for each in days.values()), is_complete) == (366 * 24, True)

    monkeypatch.setattr(year, "MAX_YEAR_TIMES", 30)
    days, is_complete = days_of_year(hourly, None, 2028)

    assert (sum(each.runs for each in days.values()), is_complete) == (30, False)


def test_a_change_shows_the_runs_that_it_adds_and_removes() -> None:
    found = rule_difference((rule(), None), (rule(at="10:00"), None), START, 3)

    assert [each.utc.hour for each in found.next_runs] == [10, 10, 10]
    assert [each.utc.hour for each in found.added] == [10, 10]
    assert [each.utc.hour for each in found.removed] == [9, 9, 9]


def test_a_calendar_removes_only_the_runs_that_it_excludes() -> None:
    found = rule_difference((rule(), None), (rule(), CLOSED), START, 40)

    assert found.added == ()
    assert [each.utc.date() for each in found.removed] == [date(2026, 12, 25)]


def test_runs_after_the_last_compared_one_are_not_called_removed() -> None:
    """The new rule has more runs than are compared; the old one has few."""
    weekly = rule("weekly", weekdays=["mon"])

    found = rule_difference((weekly, None), (rule(), None), START, 5)

    assert found.removed == ()
    assert len(found.added) == 5


def test_a_rule_without_changes_adds_and_removes_nothing() -> None:
    found = rule_difference((rule(), CLOSED), (rule(), CLOSED), START, 10)

    assert (found.added, found.removed, len(found.next_runs)) == ((), (), 10)


def test_lateness_is_the_median_and_the_longest() -> None:
    assert lateness_of([]) == Lateness(0, None, None)
    assert lateness_of([5.0, 1.0, 60.0]) == Lateness(3, 5.0, 60.0)
