"""Rules of recurrence: the worked examples and decisions of domain.md 0.d, refusals and labels."""

from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest

from jobyard.domain.schedules.next_runs import preview
from jobyard.domain.schedules.rule_parsing import recurrence_of
from tests.domain.schedules.daily_rule import LONG_AGO, MAPS, rule

SPRING = "Clocks go forward on 14 March 2027 from 02:00 to 03:00; "
AUTUMN = "Clocks go back on 1 November 2026 from 02:00 to 01:00; "


def local(document: dict[str, Any], count: int, start: datetime = LONG_AGO) -> list[str]:
    """The first occurrences, as their zone's clocks show them."""
    shown = [each.local for each in preview(recurrence_of(document), start, count)]
    return [each.strftime("%Y-%m-%d %H:%M %Z") for each in shown]


def utc(document: dict[str, Any], count: int) -> list[str]:
    found = islice(recurrence_of(document).occurrences_from(LONG_AGO), count)
    return [each.strftime("%Y-%m-%d %H:%MZ") for each in found]


@pytest.mark.parametrize(
    ("document", "occurrences"),
    [
        pytest.param(
            {"kind": "daily", "at": "02:30", "anchor": "2027-03-13"},
            ["2027-03-13 02:30 PST", "2027-03-14 03:00 PDT", "2027-03-15 02:30 PDT"],
            id="a daily time that does not exist comes at the first valid instant",
        ),
        pytest.param(
            {"kind": "daily", "at": "01:30", "anchor": "2026-10-31"},
            ["2026-10-31 01:30 PDT", "2026-11-01 01:30 PDT", "2026-11-02 01:30 PST"],
            id="a daily time that occurs twice comes once, the first time",
        ),
        pytest.param(
            {"kind": "hourly", "every": 6, "at": "20:00", "anchor": "2026-10-31"},
            ["2026-10-31 20:00 PDT", "2026-11-01 01:00 PST", "2026-11-01 07:00 PST"],
            id="hours are elapsed time",
        ),
        pytest.param(
            {
                "kind": "weekly",
                "every": 2,
                "weekdays": ["mon", "wed"],
                "at": "09:00",
                "anchor": "2026-11-25",
            },
            [
                "2026-11-25 09:00 PST",
                "2026-12-07 09:00 PST",
                "2026-12-09 09:00 PST",
                "2026-12-21 09:00 PST",
            ],
            id="weeks are counted from the Monday of the anchor's",
        ),
        pytest.param(
            {"kind": "monthly", "day": 31, "at": "09:00", "anchor": "2027-01-31"},
            [
                "2027-01-31 09:00 PST",
                "2027-02-28 09:00 PST",
                "2027-03-31 09:00 PDT",
                "2027-04-30 09:00 PDT",
            ],
            id="day 31 is the last of shorter months and stays 31",
        ),
        pytest.param(
            {"kind": "monthly", "every": 3, "day": 31, "at": "09:00", "anchor": "2027-01-31"},
            [
                "2027-01-31 09:00 PST",
                "2027-04-30 09:00 PDT",
                "2027-07-31 09:00 PDT",
                "2027-10-31 09:00 PDT",
            ],
            id="every three months on day 31",
        ),
    ],
)
def test_the_worked_examples_give_the_documented_results(
    document: dict[str, Any], occurrences: list[str]
) -> None:
    assert local(document, len(occurrences)) == occurrences


def test_the_worked_examples_are_these_instants() -> None:
    gap = {"kind": "daily", "at": "02:30", "anchor": "2027-03-14"}
    twice = {"kind": "daily", "at": "01:30", "anchor": "2026-11-01"}
    hours = {"kind": "hourly", "every": 6, "anchor": "2026-10-31T20:00"}

    assert utc(gap, 1) == ["2027-03-14 10:00Z"]
    assert utc(twice, 2) == ["2026-11-01 08:30Z", "2026-11-02 09:30Z"]
    assert utc(hours, 2) == ["2026-11-01 03:00Z", "2026-11-01 09:00Z"]


@pytest.mark.parametrize(
    ("dst", "spring", "autumn"),
    [
        ("shift", ["14 03:00", "15 02:30"], ["01 01:30 PDT", "02 01:30 PST"]),
        ("skip", ["15 02:30", "16 02:30"], ["01 01:30 PDT", "02 01:30 PST"]),
        ("once", ["14 03:00", "15 02:30"], ["01 01:30 PDT", "02 01:30 PST"]),
        ("twice", ["14 03:00", "15 02:30"], ["01 01:30 PDT", "01 01:30 PST"]),
        (["skip", "twice"], ["15 02:30", "16 02:30"], ["01 01:30 PDT", "01 01:30 PST"]),
    ],
)
def test_each_dst_policy_decides_its_own_case(
    dst: str | list[str], spring: list[str], autumn: list[str]
) -> None:
    in_spring = local(rule(at="02:30", anchor="2027-03-14", dst=dst), 2)
    in_autumn = local(rule(at="01:30", anchor="2026-11-01", dst=dst), 2)

    assert [each[8:16] for each in in_spring] == spring
    assert [each[8:] for each in in_autumn] == autumn


def test_the_second_of_two_is_found_from_between_them() -> None:
    twice = recurrence_of(rule(at="01:30", anchor="2026-10-30", dst="twice"))

    assert twice.next_after(datetime(2026, 11, 1, 8, 30, tzinfo=UTC)) == datetime(
        2026, 11, 1, 9, 30, tzinfo=UTC
    )


def test_a_day_that_a_zone_leaves_out_is_due_when_the_next_begins() -> None:
    apia = rule(zone="Pacific/Apia", anchor="2011-12-29")

    assert [each[:16] for each in local(apia, 4)] == [
        "2011-12-29 09:00",
        "2011-12-31 00:00",
        "2011-12-31 09:00",
        "2012-01-01 09:00",
    ]
    assert len(local(apia | {"dst": "skip", "end": "2012-01-01"}, 9)) == 3


def test_two_wall_times_that_fall_on_one_instant_are_one_occurrence() -> None:
    apia = rule(zone="Pacific/Apia", at="00:00", anchor="2011-12-29")

    days = [each[:10] for each in local(apia, 3)]

    assert days == ["2011-12-29", "2011-12-31", "2012-01-01"]


def test_half_an_hour_left_out_is_half_an_hour() -> None:
    lord_howe = rule(zone="Australia/Lord_Howe", at="02:15", anchor="2026-10-04")

    assert utc(lord_howe, 2) == ["2026-10-03 15:30Z", "2026-10-04 15:15Z"]
    assert local(lord_howe, 1)[0].startswith("2026-10-04 02:30")


def test_an_anchor_that_does_not_exist_starts_the_hours_behind_the_gap() -> None:
    missing = {"kind": "hourly", "every": 2, "anchor": "2027-03-14T02:30"}

    assert utc(missing, 2) == ["2027-03-14 10:00Z", "2027-03-14 12:00Z"]
    assert utc(missing | {"dst": "skip"}, 2) == ["2027-03-14 12:00Z", "2027-03-14 14:00Z"]
    assert utc(missing | {"dst": "skip", "count": 2}, 9) == ["2027-03-14 12:00Z"]


def test_each_hour_runs_once_even_if_clocks_show_it_twice() -> None:
    hours = {"kind": "hourly", "anchor": "2026-11-01T01:00", "dst": "twice"}

    assert utc(hours, 3) == ["2026-11-01 08:00Z", "2026-11-01 09:00Z", "2026-11-01 10:00Z"]


def test_once_is_once() -> None:
    once = {"kind": "once", "at": "09:00", "anchor": "2026-11-25"}

    assert utc(once, 3) == ["2026-11-25 17:00Z"]
    assert recurrence_of(once).next_after(datetime(2026, 11, 25, 17, tzinfo=UTC)) is None


def test_no_weekday_ticked_is_the_anchors() -> None:
    weekly = {"kind": "weekly", "at": "09:00", "anchor": "2026-11-25"}

    assert [each[:10] for each in local(weekly, 2)] == ["2026-11-25", "2026-12-02"]
    assert local(weekly | {"weekdays": []}, 9) == local(weekly, 9)


def test_weekdays_before_the_anchor_are_left_out_of_its_week_only() -> None:
    weekly = rule(kind="weekly", every=3, weekdays=["sun", "mon"], anchor="2026-11-25")

    assert [each[:10] for each in local(weekly, 3)] == ["2026-11-29", "2026-12-14", "2026-12-20"]


def test_a_week_with_all_days_before_the_anchor_is_skipped() -> None:
    weekly = rule(kind="weekly", every=2, weekdays=["mon"], anchor="2026-11-26")

    assert local(weekly, 1) == ["2026-12-07 09:00 PST"]


def test_a_month_with_its_day_before_the_anchor_is_skipped() -> None:
    monthly = rule(kind="monthly", every=2, day=10, anchor="2026-11-25")

    assert [each[:10] for each in local(monthly, 2)] == ["2027-01-10", "2027-03-10"]


def test_a_monthly_rule_without_a_day_has_the_anchors() -> None:
    monthly = rule(kind="monthly", anchor="2027-01-30")

    assert [each[5:10] for each in local(monthly, 3)] == ["01-30", "02-28", "03-30"]


def test_the_last_day_is_the_last_also_in_leap_years() -> None:
    monthly = rule(kind="monthly", day="last", anchor="2027-11-30", every=3)

    assert [each[:10] for each in local(monthly, 3)] == ["2027-11-30", "2028-02-29", "2028-05-31"]


def test_an_end_is_inclusive_as_a_date_and_as_a_time() -> None:
    assert len(local(rule(end="2026-11-27"), 9)) == 3
    assert len(local(rule(end="2026-11-27T09:00"), 9)) == 3
    assert len(local(rule(end="2026-11-27T08:59"), 9)) == 2
    assert len(local(rule(kind="hourly", end="2026-11-25T11:30"), 9)) == 3


def test_an_end_on_a_day_whose_clocks_change_is_what_they_show() -> None:
    hours = {"kind": "hourly", "at": "00:00"}

    assert len(local(hours | {"anchor": "2026-11-01", "end": "2026-11-01T01:30"}, 9)) == 3
    assert len(local(hours | {"anchor": "2027-03-14", "end": "2027-03-14T02:30"}, 9)) == 2
    assert len(local(hours | {"anchor": "2026-11-01", "end": "2026-11-01"}, 99)) == 25
    assert len(local(hours | {"anchor": "2027-03-14", "end": "2027-03-14"}, 99)) == 23


def test_a_count_is_of_wall_times_whether_they_exist_or_not() -> None:
    skipping = rule(at="02:30", anchor="2027-03-13", count=3, dst="skip")
    twice = rule(at="01:30", anchor="2026-11-01", count=2, dst="twice")

    assert [each[8:10] for each in local(skipping, 9)] == ["13", "15"]
    assert [each[8:10] for each in local(twice, 9)] == ["01", "01", "02"]
    assert len(local(rule(kind="weekly", weekdays=["mon", "fri"], count=5), 9)) == 5


def test_whichever_of_end_and_count_comes_first_counts() -> None:
    assert len(local(rule(end="2026-11-27", count=9), 9)) == 3
    assert len(local(rule(end="2027-11-27", count=2), 9)) == 2


def test_at_may_return_the_instant_itself_and_next_is_later() -> None:
    daily = recurrence_of(MAPS)
    due = datetime(2026, 11, 25, 17, tzinfo=UTC)

    assert daily.first_from(due) == due
    assert daily.next_after(due) == datetime(2026, 11, 26, 17, tzinfo=UTC)
    assert daily.first_from(LONG_AGO) == due
    assert daily.next_after(LONG_AGO) == due


@pytest.mark.parametrize("kind", ["once", "hourly", "daily", "weekly", "monthly"])
@pytest.mark.parametrize("zone", ["Asia/Tokyo", "UTC", "America/Los_Angeles"])
def test_time_ends_without_an_error(kind: str, zone: str) -> None:
    last = recurrence_of(rule(kind=kind, at="23:00", zone=zone, anchor="9999-12-31"))
    always = recurrence_of(rule(kind=kind, zone=zone))
    evening = datetime(9999, 12, 31, 12, tzinfo=UTC)

    assert len(preview(last, LONG_AGO, 9)) == (zone != "America/Los_Angeles")
    assert always.next_after(datetime.max.replace(tzinfo=UTC)) is None
    assert len(preview(always, evening, 99)) == len(list(always.occurrences_from(evening))) <= 12
    assert always.first_from(LONG_AGO) == always.first_from(datetime(2026, 11, 25, tzinfo=UTC))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (rule(kind="once"), "Once on 25 November 2026 at 09:00 (America/Los_Angeles)"),
        (rule(), "Every day at 09:00 (America/Los_Angeles), from 25 November 2026"),
        (
            rule(kind="hourly", every=6, zone="UTC", dst="skip,twice"),
            "Every 6 hours, from 25 November 2026 at 09:00 (UTC)",
        ),
        (
            rule(kind="weekly", every=2, weekdays=["mon", "wed"]),
            "Every 2 weeks on Monday and Wednesday at 09:00 (America/Los_Angeles), "
            "from 25 November 2026",
        ),
        (
            rule(kind="weekly", zone="UTC", weekdays=["mon", "tue", "sun"], count=1),
            "Every week on Monday, Tuesday and Sunday at 09:00 (UTC), from 25 November 2026, "
            "1 time",
        ),
        (
            rule(kind="weekly", zone="UTC"),
            "Every week on Wednesday at 09:00 (UTC), from 25 November 2026",
        ),
        (
            rule(kind="monthly", day=31, zone="UTC", end="2027-11-25"),
            "Every month on day 31, or the last of a shorter month, at 09:00 (UTC), "
            "from 25 November 2026, until 25 November 2027",
        ),
        (
            rule(kind="monthly", every=3, day="last", zone="UTC", end="2027-11-25T10:00"),
            "Every 3 months on the last day at 09:00 (UTC), from 25 November 2026, "
            "until 25 November 2027 at 10:00",
        ),
        (
            rule(zone="UTC", at="09:00:30", dst="skip,twice", count=20),
            "Every day at 09:00:30 (UTC), from 25 November 2026, 20 times; "
            "not if a clock change skips the time; twice if a clock change repeats it",
        ),
    ],
)
def test_a_rule_is_said_in_plain_language(document: dict[str, Any], words: str) -> None:
    assert recurrence_of(document).description() == words


@pytest.mark.parametrize(
    ("document", "notes"),
    [
        (
            rule(at="02:30", anchor="2027-03-13"),
            ["", f"{SPRING}02:30 does not exist then, so it runs at 03:00", ""],
        ),
        (
            rule(at="09:00", anchor="2027-03-13"),
            ["", f"{SPRING}09:00 occurs once, as on other days", ""],
        ),
        (
            rule(at="03:00", anchor="2027-03-13", dst="skip"),
            ["", f"{SPRING}03:00 occurs once, as on other days", ""],
        ),
        (
            rule(at="01:30", anchor="2026-11-01", dst="twice"),
            [
                f"{AUTUMN}01:30 occurs twice, and this is the first time",
                f"{AUTUMN}01:30 occurs twice, and this is the second time",
                "",
            ],
        ),
        (
            rule(at="00:30", anchor="2026-11-01"),
            [f"{AUTUMN}00:30 occurs once, as on other days", "", ""],
        ),
        (
            rule(kind="hourly", every=24, at="12:00", anchor="2026-10-31"),
            ["", f"{AUTUMN}hourly rules count elapsed time", ""],
        ),
        (
            rule(zone="Pacific/Apia", anchor="2011-12-29", end="2011-12-31T00:00"),
            [
                "",
                "Clocks go forward on 30 December 2011 from 00:00 to 00:00 on 31 December 2011; "
                "09:00 does not exist then, so it runs at 00:00",
            ],
        ),
        (rule(zone="UTC", anchor="9999-12-31"), [""]),
    ],
)
def test_a_day_whose_clocks_change_is_noted(document: dict[str, Any], notes: list[str]) -> None:
    found = preview(recurrence_of(document), LONG_AGO, 3)

    assert [each.note for each in found] == notes


def test_clocks_that_go_back_at_midnight_are_noted_on_the_day_that_is_longer() -> None:
    late = recurrence_of(rule(zone="America/Sao_Paulo", at="23:30", anchor="2018-02-16"))

    notes = [each.note for each in preview(late, LONG_AGO, 3)]

    assert notes[::2] == ["", ""]
    assert notes[1].startswith("Clocks go back on 18 February 2018 from 00:00 to 23:00 on 17")
    assert notes[1].endswith("23:30 occurs twice, and this is the first time")


def test_clocks_that_went_past_midnight_are_noted_on_the_day_that_begins_late() -> None:
    early = recurrence_of(rule(zone="America/Sao_Paulo", at="00:00", anchor="2017-10-14"))

    notes = [each.note for each in preview(early, LONG_AGO, 3)]

    assert notes[::2] == ["", ""]
    assert notes[1].endswith("00:00 does not exist then, so it runs at 01:00")


def test_a_time_that_occurs_twice_around_midnight_has_a_note_both_times() -> None:
    """In St John's clocks went from 00:01 back to 23:01 of the day before."""
    late = rule(zone="America/St_Johns", at="23:30", anchor="2009-10-31", dst="twice", count=1)

    notes = [each.note for each in preview(recurrence_of(late), LONG_AGO, 3)]

    assert [note[-10:] for note in notes] == ["first time", "econd time"]
