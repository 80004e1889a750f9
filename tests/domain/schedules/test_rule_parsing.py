"""Rules, read from JSON: what each field may be, and how errors are worded."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from jobyard.domain.errors import InvalidRule
from jobyard.domain.schedules.rule_parsing import MAX_TIMES, recurrence_of
from tests.domain.schedules.daily_rule import MAPS, rule


def test_an_anchor_left_out_is_today_in_the_rules_zone() -> None:
    document = {"kind": "daily", "at": "09:00", "zone": "Asia/Tokyo"}
    evening = datetime(2026, 11, 24, 20, tzinfo=UTC)

    assert recurrence_of(document, evening).anchor == date(2026, 11, 25)
    assert recurrence_of(document, date(2026, 11, 24)).anchor == date(2026, 11, 24)
    assert recurrence_of(rule(), evening).anchor == date(2026, 11, 25)


def test_an_anchor_may_have_the_time() -> None:
    assert recurrence_of({"kind": "daily", "anchor": "2026-11-25T09:00"}) == recurrence_of(MAPS)
    assert recurrence_of(rule(anchor="2026-11-25T09:00")) == recurrence_of(MAPS)


def test_a_document_has_its_defaults_written_out() -> None:
    assert recurrence_of(MAPS | {"end": None}).document() == {
        "kind": "daily",
        "every": 1,
        "at": "09:00",
        "zone": "America/Los_Angeles",
        "anchor": "2026-11-25",
        "dst": ["shift", "once"],
    }


@pytest.mark.parametrize(
    "document",
    [
        rule(kind="weekly", every=2, weekdays=["wed", "mon", "mon"], count=3, dst="skip,twice"),
        rule(kind="monthly", day="last", end="2027-11-25T10:30:15", at="09:00:05"),
        rule(kind="monthly", day=31, end="2027-11-25"),
        rule(kind="hourly", every=8760, count=MAX_TIMES),
        rule(kind="once", dst=["skip"]),
    ],
)
def test_a_rule_is_written_as_it_is_read(document: dict[str, Any]) -> None:
    read = recurrence_of(document)

    assert recurrence_of(read.document()) == read
    assert recurrence_of(read.document()).document() == read.document()


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("daily", "rule: a JSON object"),
        ([], "rule: a JSON object"),
        ({}, "kind: one of once, hourly, daily, weekly, monthly, not None"),
        (rule(kind="yearly"), "kind: one of once, .*not 'yearly'"),
        (rule(kind=["daily"]), "kind: one of"),
        (rule(cron="* * * * *"), "cron: not a field of a rule; the fields are kind, every"),
        (rule(every=0), "every: a whole number from 1 to 366"),
        (rule(every=367), "every: a whole number from 1 to 366"),
        (rule(every="2"), "every: .*not '2'"),
        (rule(every=True), "every: .*not True"),
        (rule(every=1.0), "every: .*not 1.0"),
        (rule(kind="hourly", every=8761), "from 1 to 8760 for kind hourly"),
        (rule(kind="weekly", every=53), "from 1 to 52"),
        (rule(kind="monthly", every=61), "from 1 to 60"),
        (rule(kind="once", every=2), "every: 1 for kind once"),
        (rule(kind="once", count=2), "count: 1, not 2"),
        (rule(count=0), "count: a whole number from 1"),
        (rule(count=MAX_TIMES + 1), "count: a whole number from 1"),
        (rule(weekdays=["mon"]), "weekdays: only for weekly rules, not for daily ones"),
        (rule(day=1), "day: only for monthly rules"),
        (rule(kind="weekly", weekdays=["monday"]), "thu, fri, sat, sun, not 'monday'"),
        (rule(kind="weekly", weekdays="mon"), "weekdays: a list of mon, tue"),
        (rule(kind="weekly", weekdays=[["mon"]]), "weekdays: a list of mon, tue"),
        (rule(kind="monthly", day=0), "day: a whole number from 1 to 31 or 'last', not 0"),
        (rule(kind="monthly", day=32), "day: a whole number from 1 to 31"),
        (rule(kind="monthly", day="first"), "day: .* or 'last', not 'first'"),
        (rule(at="9:00"), "at: a time of day like '09:00', not '9:00'"),
        (rule(at="24:00"), "at: a time of day"),
        (rule(at=900), "at: a time of day"),
        ({"kind": "daily", "anchor": "2026-11-25"}, "at: missing"),
        (
            rule(anchor="2026-11-25T10:00"),
            "at: 10:00, the anchor's time, or none; not 09:00",
        ),
        ({"kind": "daily", "at": "09:00"}, "anchor: missing"),
        (rule(anchor="2027-02-29"), "anchor: a date like '2026-11-25', not '2027-02-29'"),
        (rule(anchor="2026-11-25T09:00Z"), "anchor: .*no offset"),
        (rule(anchor="20261125"), "anchor: a date"),
        (rule(anchor="1899-12-31"), "anchor: a date in 1900 or later"),
        (rule(zone="America/Sacramento"), "zone: an IANA time zone"),
        (rule(zone="America"), "zone: an IANA time zone"),
        (rule(zone="../../etc/passwd"), "zone: an IANA time zone"),
        (rule(zone="right/UTC"), "zone: an IANA time zone"),
        (rule(zone=""), "zone: an IANA time zone"),
        (rule(zone=8), "zone: an IANA time zone"),
        (rule(end="2026-11-24"), "end: 2026-11-25T09:00, the anchor, or later"),
        (rule(end="2026-11-25T08:59"), "end: 2026-11-25T09:00, the anchor, or later"),
        (rule(end="soon"), "end: a date"),
        (rule(dst="never"), "dst: one of shift, skip"),
        (rule(dst=["shift", "skip"]), "dst: one of shift, skip"),
        (rule(dst="once,twice"), "dst: one of shift, skip"),
        (rule(dst=1), "dst: one of shift, skip"),
        (rule(dst=[["shift"]]), "dst: one of shift, skip"),
    ],
)
def test_an_invalid_rule_is_refused_with_what_is_allowed(document: object, words: str) -> None:
    with pytest.raises(InvalidRule, match=words) as refused:
        recurrence_of(document)

    assert str(refused.value) == f"{refused.value.where}: {refused.value.allowed}"
