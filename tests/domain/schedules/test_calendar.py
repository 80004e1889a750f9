"""Calendars: refusals, messages, and documents that are no calendar."""

from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.errors import InvalidRule
from jobyard.domain.schedules.calendar import (
    MAX_REASON_BYTES,
    Calendar,
    CalendarChange,
    StoredCalendar,
    calendar_of,
)
from jobyard.domain.schedules.wall_clock import WEEKDAYS

PACIFIC = "America/Los_Angeles"
HOLIDAYS = calendar_of(
    {
        "name": "holidays",
        "title": "State holidays",
        "exclude": ["2026-12-25", {"from": "2026-12-28", "to": "2027-01-01"}],
    }
)


def windows(*include: dict[str, Any]) -> Calendar:
    return calendar_of({"name": "nights", "include": list(include)})


def is_open(calendar: Calendar, wall: str) -> bool:
    """Whether a run may start when clocks in UTC show `wall`."""
    return not calendar.refusal(datetime.fromisoformat(wall).replace(tzinfo=UTC), "UTC")


@pytest.mark.parametrize(
    ("instant", "words"),
    [
        ("2026-12-25T07:59", ""),
        ("2026-12-25T08:00", "calendar holidays excludes 25 December 2026"),
        ("2026-12-26T07:59", "calendar holidays excludes 25 December 2026"),
        ("2026-12-26T08:00", ""),
        ("2026-12-28T08:00", "calendar holidays excludes 28 December 2026 to 1 January 2027"),
        ("2027-01-02T07:59", "calendar holidays excludes 28 December 2026 to 1 January 2027"),
        ("2027-01-02T08:00", ""),
    ],
)
def test_dates_are_excluded_as_clocks_of_the_zone_have_them(instant: str, words: str) -> None:
    at = datetime.fromisoformat(instant).replace(tzinfo=UTC)

    assert HOLIDAYS.refusal(at, PACIFIC) == words


def test_a_calendar_that_says_nothing_refuses_nothing() -> None:
    assert is_open(calendar_of({"name": "always"}), "2026-12-25T00:00")


@pytest.mark.parametrize(
    ("wall", "may"),
    [
        ("2026-11-23T21:59", False),  # Monday
        ("2026-11-23T22:00", True),
        ("2026-11-24T03:59:59", True),
        ("2026-11-24T04:00", False),
        ("2026-11-24T22:00", True),
        ("2026-11-25T03:00", True),  # Wednesday, in Tuesday's window
        ("2026-11-25T22:00", False),
        ("2026-11-23T03:00", False),  # Monday, in no Sunday's window
    ],
)
def test_a_window_past_midnight_is_of_the_day_it_opens(wall: str, may: bool) -> None:
    nights = windows({"weekdays": ["tue", "mon"], "from": "22:00", "to": "04:00"})

    assert is_open(nights, wall) is may


@pytest.mark.parametrize(
    ("window", "opens", "closes"),
    [
        ({"from": "22:00", "to": "24:00"}, "2026-11-23T22:00", "2026-11-24T00:00"),
        ({"from": "22:00", "to": "00:00"}, "2026-11-23T22:00", "2026-11-24T00:00"),
        ({"from": "22:00"}, "2026-11-23T22:00", "2026-11-24T00:00"),
        ({"to": "06:00"}, "2026-11-23T00:00", "2026-11-23T06:00"),
        ({"weekdays": ["mon"]}, "2026-11-23T00:00", "2026-11-24T00:00"),
        (
            {"weekdays": ["sun"], "from": "23:00", "to": "01:00"},
            "2026-11-23T00:59",
            "2026-11-23T01:00",
        ),
    ],
)
def test_a_window_is_open_from_its_first_time_and_before_its_last(
    window: dict[str, Any], opens: str, closes: str
) -> None:
    assert is_open(windows(window), opens)
    assert not is_open(windows(window), closes)


def test_the_changes_of_a_calendar_are_bounded_in_size() -> None:
    kept = StoredCalendar(HOLIDAYS, 1, ())
    for number in range(60):
        change = CalendarChange(
            "put", datetime(2026, 11, 25, tzinfo=UTC), "admin", "x" * 500, f"r{number}"
        )
        kept = kept.changed(HOLIDAYS, change)

    assert (kept.version, len(kept.changes)) == (61, MAX_REASON_BYTES // 500)
    assert kept.changes[-1].cause == "r59"


TIMES = st.sampled_from(["00:00", "00:01", "08:30", "12:00", "17:59", "23:59"])
WINDOWS = st.fixed_dictionaries(
    {"weekdays": st.sets(st.sampled_from(WEEKDAYS), min_size=1).map(list)},
    optional={"from": TIMES, "to": TIMES | st.just("24:00")},
).filter(lambda each: each.get("from", "00:00") != each.get("to", "24:00") or "from" not in each)
DAYS = st.dates(date(2026, 11, 1), date(2026, 11, 30)).map(date.isoformat)


@given(
    st.lists(WINDOWS, max_size=6),
    st.lists(DAYS, max_size=5),
    st.dates(date(2026, 10, 30), date(2026, 12, 2)),
    st.times(),
)
def test_many_windows_and_dates_together_are_open_as_each_says(
    include: list[dict[str, Any]], exclude: list[str], day: date, at: time
) -> None:
    wall = datetime.combine(day, at, UTC)
    calendar = calendar_of({"name": "many", "include": include, "exclude": exclude})
    ever = not include or any(windows(each).allows(wall, "UTC") for each in include)

    expected = ever and day.isoformat() not in exclude
    assert calendar.allows(wall, "UTC") is expected
    assert (calendar.refusal(wall, "UTC") == "") is expected


def test_a_refusal_names_three_windows_and_how_many_more_there_are() -> None:
    hours = [{"from": f"{hour:02}:00", "to": f"{hour:02}:30"} for hour in range(5)]

    refusal = windows(*hours).refusal(datetime(2026, 11, 25, 9, tzinfo=UTC), "UTC")

    assert refusal == (
        "calendar nights allows runs only every day from 00:00 to 00:30, every day from 01:00 "
        "to 01:30, every day from 02:00 to 02:30 and in 2 more windows, not on Wednesday 09:00"
    )


def test_one_open_window_is_enough() -> None:
    either = windows({"weekdays": ["sat"]}, {"from": "01:00", "to": "02:00"})

    assert is_open(either, "2026-11-28T12:00")
    assert is_open(either, "2026-11-23T01:30")


def test_what_is_excluded_stays_so_within_a_window() -> None:
    both = calendar_of({"name": "both", "exclude": ["2026-11-23"], "include": [{}]})

    assert not is_open(both, "2026-11-23T12:00")
    assert is_open(both, "2026-11-24T12:00")


def test_a_closed_window_is_reported_with_its_opening_times() -> None:
    nights = windows(
        {"weekdays": ["mon", "tue"], "from": "22:00", "to": "04:00"},
        {"from": "12:00", "to": "24:00"},
        {"weekdays": ["sat"]},
    )

    assert nights.refusal(datetime(2026, 11, 25, 17, tzinfo=UTC), PACIFIC) == (
        "calendar nights allows runs only on Monday and Tuesday from 22:00 to 04:00, "
        "every day from 12:00 to 24:00 and on Saturday, not on Wednesday 09:00"
    )


@pytest.mark.parametrize(
    "document",
    [
        {"name": "a"},
        {"name": "n1", "title": "Nights", "exclude": [{"from": "2026-01-01", "to": "2026-01-01"}]},
        {"name": "holidays-2026", "exclude": ["2026-12-25"], "include": [{}], "title": None},
        {"name": "n", "include": [{"weekdays": ["sun", "mon"], "from": "22:00:30", "to": "04:00"}]},
    ],
)
def test_a_calendar_is_written_as_it_is_read(document: dict[str, Any]) -> None:
    read = calendar_of(document)

    assert calendar_of(read.document()) == read
    assert calendar_of(read.document()).document() == read.document()


def test_a_calendar_is_written_in_full() -> None:
    include = [{"weekdays": ["mon"], "from": "22:00"}]

    assert HOLIDAYS.document() == {
        "name": "holidays",
        "title": "State holidays",
        "exclude": ["2026-12-25", {"from": "2026-12-28", "to": "2027-01-01"}],
        "include": [],
    }
    assert windows(*include).document()["include"] == [
        {"weekdays": ["mon"], "from": "22:00", "to": "24:00"}
    ]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "calendar: a JSON object of name, title, exclude, include"),
        ({}, "name: up to 64 of a-z, 0-9 and dashes between them, not None"),
        ({"name": "State Holidays"}, "name: up to 64"),
        ({"name": "-"}, "name: up to 64"),
        ({"name": "a" * 65}, "name: up to 64"),
        ({"name": "a", "colour": "red"}, "colour: no such field; the fields are name"),
        ({"name": "a", "title": 1}, "title: text of up to 200 characters"),
        ({"name": "a", "title": "t" * 201}, "title: text of up to 200 characters"),
        ({"name": "a", "exclude": "2026-12-25"}, "exclude: a list of at most 1000"),
        ({"name": "a", "exclude": ["2026-12-25"] * 1001}, "exclude: a list of at most 1000"),
        ({"name": "a", "exclude": ["2026-02-30"]}, "exclude: a date like"),
        ({"name": "a", "exclude": [20261225]}, "exclude: a JSON object of from, to"),
        ({"name": "a", "exclude": [{"from": "2026-12-25"}]}, "exclude.to: a date like"),
        (
            {"name": "a", "exclude": [{"from": "2026-12-25", "to": "2026-12-24"}]},
            "exclude.to: 2026-12-25, the first date, or later",
        ),
        ({"name": "a", "include": [{"weekdays": []}]}, "include.weekdays: a list of mon"),
        ({"name": "a", "include": [{"weekdays": ["Mon"]}]}, "include.weekdays: a list of mon"),
        ({"name": "a", "include": [{"from": "25:00"}]}, "include.from: a time of day"),
        ({"name": "a", "include": [{"to": "noon"}]}, "include.to: a time of day"),
        ({"name": "a", "include": [{"from": "9:00"}]}, "include.from: a time of day"),
        (
            {"name": "a", "include": [{"from": "09:00", "to": "09:00"}]},
            "include.to: a time other than from",
        ),
        ({"name": "a", "include": [{"until": "09:00"}]}, "include.until: no such field"),
        ({"name": "a", "include": [{}] * 101}, "include: a list of at most 100"),
    ],
)
def test_an_invalid_calendar_is_refused_with_what_is_allowed(document: object, words: str) -> None:
    with pytest.raises(InvalidRule, match=words):
        calendar_of(document)
