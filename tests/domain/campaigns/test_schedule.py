"""Schedules of campaigns: what is accepted, what is refused, and when they end."""

from dataclasses import replace
from typing import Any

import pytest

from jobyard.domain.campaigns.fields import FieldReader
from jobyard.domain.campaigns.schedule import (
    SCHEDULE_FIELDS,
    CampaignKind,
    ignored_fields,
    schedule_of,
)
from jobyard.domain.errors import InvalidCampaign, InvalidRule
from jobyard.domain.schedules.calendar import calendar_of
from tests.domain.campaigns.schedules import instant, schedule

NOW = instant("2026-11-25T10:00")
RANGE: dict[str, Any] = {"zone": "Europe/Zurich", "first": "2026-11-25", "last": "2026-11-30"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "weekly"}, "kind: one of fire_and_forget, scheduled"),
        ({"kind": None}, "kind: missing"),
        ({"zone": "Moon/Crater"}, "zone: an IANA time zone"),
        ({"last": None}, "to: missing"),
        ({"last": "2026-02-30"}, "to: a date like"),
        (
            {"last": "2026-11-24"},
            "to: 25 November 2026, when it begins, or later, not 24 November 2026",
        ),
        ({"last": "2027-11-27"}, "to: at most 366 days after 25 November 2026"),
        ({"last": "9999-12-31", "first": "9999-12-01"}, "to: a date before the year 9999"),
        (  # hawkbit#2026: a range in the past is refused with its dates
            {"first": "2026-11-01", "last": "2026-11-20"},
            "to: later than now; the range 1 November 2026 to 20 November 2026 ended "
            "21 November 2026 00:00 Europe/Zurich",
        ),
        (
            {"first": "2026-11-26T10:00", "last": "2026-11-26T09:00"},
            "to: later than from, 26 November 2026 10:00",
        ),
        ({"window": {"weekdays": []}}, "window.weekdays: a list of mon, tue"),  # kured#387
        ({"window": {"from": "22:00", "to": "22:00"}}, "window.to: a time other than from"),
        ({"window": {"from": "00:00", "to": "00:00"}}, "window.to: a time other than from"),
        ({"window": {"from": "22:00", "to": "22:04"}}, "window.to: at least 5 minutes after"),
        ({"window": {"from": "25:00"}}, "window.from: a time of day"),
        ({"window": {"since": "22:00"}}, "window.since: no such field"),
        ({"window": "night"}, "window: a JSON object"),
        ({"window": {"from": "22:00", "to": "23:00"}, "needs": 61}, "needs: at most 60 minutes"),
        ({"needs": 601}, "needs: a whole number of minutes from 0 to 600, not 601"),
        ({"needs": True}, "needs: a whole number"),
        ({"calendar": "days"}, "calendar: one of nights"),
        ({"expires_s": 900}, "expires_s: only for fire_and_forget"),
        ({"window": {"weekdays": ["tue"]}}, "window: open at least once in the range"),
        (
            {"window": {"from": "22:00", "to": "02:00"}, "calendar": "nights", "needs": 121},
            "needs: at most as long as the longest opening",
        ),
        ({"kind": "fire_and_forget", "expires_s": 299}, "expires_s: a whole number of seconds"),
        ({"kind": "fire_and_forget", "needs": 31}, "needs: at most 30 minutes, its whole time"),
        ({"since": 1}, "since: no such field; the fields are kind, zone"),
    ],
)
def test_an_invalid_schedule_is_refused_with_what_is_allowed(
    changes: dict[str, Any], words: str
) -> None:
    fields = {**RANGE, "window": {"weekdays": ["fri"], "from": "22:00", "to": "02:00"}, **changes}
    if changes.get("window", {}) == {"weekdays": ["tue"]}:
        fields["last"] = "2026-11-28"

    with pytest.raises(InvalidCampaign) as refused:
        schedule(NOW, **fields)

    assert words in str(refused.value)


def test_a_refusal_lists_every_wrong_field() -> None:
    with pytest.raises(InvalidCampaign) as refused:
        schedule(NOW, zone="X", window={"weekdays": []}, needs=-1)

    wrong = [each.where for each in refused.value.problems]
    assert wrong == ["zone", "needs", "window.weekdays", "to"]


def test_a_document_that_is_not_an_object_is_refused() -> None:
    fields = FieldReader([1], SCHEDULE_FIELDS)
    schedule_of(fields, NOW, calendar_of)

    assert str(fields.problems[0]).startswith("campaign: a JSON object of kind")


@pytest.mark.parametrize(
    ("fields", "begins", "expires"),
    [
        (RANGE, "2026-11-25T10:00", "2026-11-30T23:00"),
        ({**RANGE, "first": "2026-11-26"}, "2026-11-25T23:00", "2026-11-30T23:00"),
        ({"zone": "UTC", "last": "2026-11-25"}, "2026-11-25T10:00", "2026-11-26T00:00"),
        (
            {"zone": "UTC", "first": "2026-11-26T08:00", "last": "2026-11-26T09:30"},
            "2026-11-26T08:00",
            "2026-11-26T09:30",
        ),
        (  # a wall time that occurs twice ends the range the second time
            {"zone": "America/Los_Angeles", "first": "2026-11-01", "last": "2026-11-01T01:30"},
            "2026-11-01T07:00",
            "2026-11-01T09:30",
        ),
        (  # one that is skipped ends it at the change
            {"zone": "America/Los_Angeles", "first": "2027-03-14", "last": "2027-03-14T02:30"},
            "2027-03-14T08:00",
            "2027-03-14T10:00",
        ),
        ({"kind": "fire_and_forget"}, "2026-11-25T10:00", "2026-11-25T10:30"),
        (
            {"kind": "fire_and_forget", "expires_s": 604_800},
            "2026-11-25T10:00",
            "2026-12-02T10:00",
        ),
    ],
)
def test_a_campaign_begins_and_expires(fields: dict[str, Any], begins: str, expires: str) -> None:
    created = min(NOW, instant(begins))

    found = schedule(created, **fields)

    assert found.begins_at(created) == instant(begins)
    assert found.expires_at(created) == instant(expires)


def test_fire_and_forget_ignores_windows() -> None:
    fields = {"kind": "fire_and_forget", "window": {"from": "22:00", "to": "02:00"}}

    (opening,) = schedule(NOW, **fields).openings(NOW).all

    assert (opening.start, opening.length.seconds) == (NOW, 1800)
    assert ignored_fields(fields) == ("window",)
    assert ignored_fields({**fields, "kind": "scheduled"}) == ()


@pytest.mark.parametrize(
    ("kind", "until", "words"),
    [
        ("scheduled", "2026-11-30", "to: later than 1 December 2026 00:00 Europe/Zurich"),
        (
            "scheduled",
            "2026-11-20",
            "to: 25 November 2026, when it begins, or later, not 20 November 2026",
        ),
        ("scheduled", "2027-12-30", "to: at most 366 days"),
        ("scheduled", "soon", "to: a date like"),
        ("fire_and_forget", "2026-11-25T11:30", "to: later than 25 November 2026 11:30"),
        ("fire_and_forget", "2026-12-25", "to: at most 7 days after its creation"),
    ],
)
def test_a_schedule_is_extended_only_to_a_later_end(kind: str, until: str, words: str) -> None:
    found = schedule(NOW, **{**RANGE, "kind": kind})

    with pytest.raises(InvalidRule) as refused:
        found.extended(until, NOW)

    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "until", "expires"),
    [
        ("scheduled", "2026-12-01", "2026-12-01T23:00"),
        ("scheduled", "2026-12-01T08:00", "2026-12-01T07:00"),
        ("fire_and_forget", "2026-11-25T12:00", "2026-11-25T11:00"),
    ],
)
def test_an_extended_schedule_ends_later(kind: str, until: str, expires: str) -> None:
    found = schedule(NOW, **{**RANGE, "kind": kind}).extended(until, NOW)

    assert found.expires_at(NOW) == instant(expires)
    assert found.kind == kind


@pytest.mark.parametrize(
    "fields",
    [
        RANGE,
        {**RANGE, "calendar": "nights", "needs": 20},
        {"zone": "UTC", "last": "2026-11-26T09:30:15", "window": {"from": "08:00"}},
        {"kind": "fire_and_forget", "expires_s": 3600},
    ],
)
def test_a_document_reads_back_as_the_same_schedule(fields: dict[str, Any]) -> None:
    found = schedule(NOW, **fields)
    reader = FieldReader(found.document(), SCHEDULE_FIELDS)

    read = schedule_of(reader, NOW, calendar_of)

    assert not reader.problems
    assert replace(read) == found


def test_a_schedule_is_described_in_words() -> None:
    friday = {"weekdays": ["fri"], "from": "22:00", "to": "02:00"}

    assert schedule(NOW, **RANGE, window=friday).description() == (
        "On Friday from 22:00 to 02:00, 25 November 2026 to 30 November 2026 (Europe/Zurich)"
    )
    assert schedule(NOW, zone="UTC", last="2026-11-30T12:00", calendar="nights").description() == (
        "Every day when calendar nights allows it, until 30 November 2026 12:00 (UTC)"
    )
    assert schedule(NOW, kind="fire_and_forget").description() == "At once, for 30 minutes"
    assert CampaignKind("scheduled") is CampaignKind.SCHEDULED
