"""When windows are open, across changes of clocks."""

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.rrules import changes
from jobyard.domain.campaigns.openings import Opening, Openings
from jobyard.domain.schedules.calendar import Calendar, Excluded, Window
from tests.domain.campaigns.schedules import instant, schedule

ZONES = (
    *("America/Los_Angeles", "Europe/Zurich", "America/St_Johns", "Australia/Lord_Howe"),
    *("Africa/Casablanca", "America/Havana", "Antarctica/Troll", "Pacific/Chatham"),
    *("Asia/Beirut", "Asia/Kolkata"),
)
MINUTE = timedelta(minutes=1)
FEW_DAYS = 3


def shown(openings: tuple[Opening, ...]) -> list[tuple[str, str]]:
    return [
        (each.start.strftime("%m-%dT%H:%M"), each.end.strftime("%m-%dT%H:%M")) for each in openings
    ]


@pytest.mark.parametrize(
    ("window", "range_", "expected"),
    [
        (  # uptime-kuma#6233: the same wall time on both sides of a change
            {"from": "22:00", "to": "23:00"},
            ("Europe/Zurich", "2026-10-24", "2026-10-25"),
            [("10-24T20:00", "10-24T21:00"), ("10-25T21:00", "10-25T22:00")],
        ),
        (  # a repeated hour opens twice
            {"from": "00:30", "to": "01:30"},
            ("America/Los_Angeles", "2026-11-01", "2026-11-01"),
            [("11-01T07:30", "11-01T08:30"), ("11-01T09:00", "11-01T09:30")],
        ),
        (  # one that has all of the repeated hour is an hour longer
            {"from": "22:00", "to": "02:00"},
            ("America/Los_Angeles", "2026-10-31", "2026-11-01T12:00"),
            [("10-31T07:00", "10-31T09:00"), ("11-01T05:00", "11-01T10:00")],
        ),
        (  # a window inside a gap does not open on that day
            {"from": "02:00", "to": "03:00"},
            ("America/Los_Angeles", "2027-03-13", "2027-03-15"),
            [("03-13T10:00", "03-13T11:00"), ("03-15T09:00", "03-15T10:00")],
        ),
        (  # one around a gap is an hour shorter
            {"from": "01:00", "to": "04:00"},
            ("America/Los_Angeles", "2027-03-14", "2027-03-14"),
            [("03-14T09:00", "03-14T11:00")],
        ),
        (  # the weekday is that of the opening
            {"from": "22:00", "to": "02:00", "weekdays": ["fri"]},
            ("Europe/Zurich", "2026-11-25", "2026-11-30"),
            [("11-27T21:00", "11-28T01:00")],
        ),
        (  # the last day cuts a window that crosses midnight
            {"from": "22:00", "to": "02:00"},
            ("Europe/Zurich", "2026-11-25", "2026-11-26"),
            [("11-24T23:00", "11-25T01:00"), ("11-25T21:00", "11-26T01:00"),
             ("11-26T21:00", "11-26T23:00")],
        ),
        (  # days without times between them are one opening
            {"weekdays": ["sat", "sun"]},
            ("UTC", "2026-11-25", "2026-11-30"),
            [("11-28T00:00", "11-30T00:00")],
        ),
        (None, ("UTC", "2026-11-25T10:00", "2026-11-25T12:00"), [("11-25T10:00", "11-25T12:00")]),
    ],
)  # fmt: skip
def test_a_window_is_open_when_clocks_show_its_times(
    window: dict[str, object] | None,
    range_: tuple[str, str, str],
    expected: list[tuple[str, str]],
) -> None:
    zone, first, last = range_
    created = instant("2026-10-01T00:00")

    found = schedule(created, zone=zone, first=first, last=last, window=window).openings(created)

    assert shown(found.all) == expected


def test_a_calendar_closes_dates_and_times() -> None:
    created = instant("2026-11-25T00:00")
    window = {"from": "22:00", "to": "03:30"}

    found = schedule(
        created, zone="UTC", first="2026-11-26", last="2026-11-28", window=window, calendar="nights"
    ).openings(created)

    assert shown(found.all) == [
        ("11-26T00:00", "11-26T01:00"),
        ("11-26T03:00", "11-26T03:30"),
        ("11-26T23:00", "11-27T01:00"),
        ("11-27T03:00", "11-27T03:30"),
        ("11-27T23:00", "11-28T00:00"),
    ]


FRIDAYS = schedule(
    instant("2026-11-25T10:00"),
    zone="Europe/Zurich",
    last="2026-12-06",
    window={"from": "22:00", "to": "02:00", "weekdays": ["fri"]},
).openings(instant("2026-11-25T10:00"))


@pytest.mark.parametrize(
    ("at", "is_open", "following"),
    [
        ("2026-11-27T20:59:59.999000", False, "2026-11-27T21:00"),
        ("2026-11-27T21:00", True, "2026-12-04T21:00"),  # asked while open: the following one
        ("2026-11-28T00:59", True, "2026-12-04T21:00"),
        ("2026-11-28T00:59:59.999999", True, "2026-12-04T21:00"),
        ("2026-11-28T01:00", False, "2026-12-04T21:00"),
        ("2026-12-04T21:00", True, None),
        ("2026-12-20T00:00", False, None),
        ("2026-11-20T00:00", False, "2026-11-27T21:00"),
    ],
)
def test_whether_it_is_open_and_when_it_opens_next_are_two_questions(
    at: str, is_open: bool, following: str | None
) -> None:
    now = instant(at)

    current, following_opening = FRIDAYS.opening_at(now), FRIDAYS.next_opening(now)

    assert (current is not None) is is_open
    assert (following_opening and following_opening.start) == (following and instant(following))
    ahead = FRIDAYS.openings(now, 2)
    assert ahead[:1] == ((current or following_opening,) if current or following_opening else ())


def test_a_window_in_a_gap_opens_next_on_the_following_day() -> None:
    """zincati#301"""
    openings = schedule(
        instant("2027-03-01T00:00"),
        zone="America/Los_Angeles",
        last="2027-03-20",
        window={"from": "02:00", "to": "03:00"},
    ).openings(instant("2027-03-01T00:00"))

    following = openings.next_opening(instant("2027-03-14T09:00"))

    assert following is not None
    assert following.start == instant("2027-03-15T09:00")


def test_a_range_that_has_ended_has_no_openings() -> None:
    openings = Openings(instant("2026-11-25T10:00"), instant("2026-11-25T10:00"))

    assert openings.all == ()
    assert openings.opening_at(instant("2026-11-25T10:00")) is None


@cache
def near(zone: str) -> list[datetime]:
    found = changes(zone, date(2024, 1, 1), date(2028, 1, 1))
    return found or [datetime(2026, 11, 25, tzinfo=UTC)]


TIMES = st.builds(
    lambda hour, minute: time(hour, minute),
    st.sampled_from([0, 1, 2, 3, 12, 22, 23]),
    st.sampled_from([0, 0, 15, 30, 59]),
)
WINDOWS = st.builds(
    Window,
    st.lists(st.integers(0, 6), min_size=1, unique=True).map(lambda days: tuple(sorted(days))),
    TIMES,
    TIMES,
)


@st.composite
def calendars(draw: st.DrawFn, day: date) -> Calendar | None:
    if draw(st.booleans()):
        return None
    dates = [day + timedelta(days=back) for back in draw(st.lists(st.integers(-2, 2), max_size=2))]
    exclude = tuple(Excluded(each, each) for each in dates)
    return Calendar("any", "", exclude, tuple(draw(st.lists(WINDOWS, max_size=2))))


@st.composite
def cases(draw: st.DrawFn) -> Openings:
    """A window, and perhaps a calendar, in a few days around a change of clocks."""
    zone = draw(st.sampled_from(ZONES))
    change = draw(st.sampled_from(near(zone)))
    start = change - draw(st.integers(1, 60 * 36)) * MINUTE
    end = start + timedelta(days=FEW_DAYS)
    calendar = draw(calendars(change.astimezone(ZoneInfo(zone)).date()))
    return Openings(start, end, zone, draw(WINDOWS), calendar)


def shows(wall: datetime, window: Window) -> bool:
    """Whether a clock shows a time of the window, by comparing times of day."""
    at, yesterday = wall.time(), (wall.weekday() - 1) % 7
    if window.start < window.end:
        return wall.weekday() in window.weekdays and window.start <= at < window.end
    evening = wall.weekday() in window.weekdays and at >= window.start
    return evening or (yesterday in window.weekdays and at < window.end)


def is_open(openings: Openings, at: datetime) -> bool:
    """Whether it is open at an instant, asked without the code under test."""
    wall = at.astimezone(ZoneInfo(openings.zone)).replace(tzinfo=None)
    calendar = openings.calendar
    assert openings.window is not None
    if not shows(wall, openings.window):
        return False
    if calendar is None:
        return True
    if any(each.first <= wall.date() <= each.last for each in calendar.exclude):
        return False
    return not calendar.include or any(shows(wall, each) for each in calendar.include)


@settings(max_examples=120, database=None)
@given(cases())
def test_openings_are_those_of_a_walk_by_minutes(openings: Openings) -> None:
    walked: list[Opening] = []
    minutes = (openings.end - openings.start) // MINUTE
    opened: datetime | None = None
    for number in range(minutes + 1):
        at = openings.start + number * MINUTE
        if number < minutes and is_open(openings, at):
            opened = opened or at
        elif opened:
            walked.append(Opening(opened, at))
            opened = None

    assert list(openings.all) == walked
    assert all(before.end < after.start for before, after in pairwise(openings.all))
    for each in openings.all:
        assert openings.opening_at(each.start) == each
        assert openings.opening_at(each.end) is None
        assert openings.next_opening(each.start - MINUTE / 60) == each
