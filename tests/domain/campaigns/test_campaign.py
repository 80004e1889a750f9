"""A campaign: what one asks for, its rules and its record."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from jobyard.domain.campaigns.abort import AbortRule
from jobyard.domain.campaigns.campaign import (
    REQUEST_FIELDS,
    Campaign,
    CampaignRequest,
    StopReason,
    request_of,
)
from jobyard.domain.campaigns.fields import FieldReader
from jobyard.domain.campaigns.rollout import Rollout
from jobyard.domain.campaigns.rules import RULE_FIELDS, changed_rules, rules_of
from jobyard.domain.campaigns.targets import CampaignTarget
from jobyard.domain.compaction import MAX_RECORD_BYTES
from jobyard.domain.errors import InvalidCampaign
from jobyard.domain.jobs.job import JOB, JobState
from jobyard.domain.lifecycle import Cause
from tests.domain.campaigns.schedules import calendar_for, instant

CREATED = instant("2026-11-25T10:00")
AT_ONCE = {"job_type": "device-update", "kind": "fire_and_forget"}
NIGHTS: dict[str, Any] = {
    "job_type": "device-update",
    "name": "Firmware 2.4",
    "parameters": {"version": "2.4"},
    "targets": ["a", {"id": "b", "address": "10.0.0.2"}],
    "kind": "scheduled",
    "zone": "Europe/Zurich",
    "from": "2026-11-25",
    "to": "2026-11-30",
    "window": {"from": "22:00", "to": "02:00", "weekdays": ["fri"]},
    "calendar": "nights",
    "needs": 20,
    "retry_s": 600,
    "at_once": 5,
    "attempt_s": 900,
    "rollout": {"per_minute": 50},
    "abort": {"percent": 20},
}


def request(**fields: Any) -> CampaignRequest:
    return request_of(fields, CREATED, calendar_for)


def test_a_request_has_its_rules_targets_and_parameters() -> None:
    asked = request(**NIGHTS)

    assert (asked.name, asked.job_type) == ("Firmware 2.4", "device-update")
    assert asked.parameters == {"version": "2.4"}
    assert asked.targets == (CampaignTarget("a"), CampaignTarget("b", "10.0.0.2"))
    rules = asked.rules
    assert (rules.retry_s, rules.at_once, rules.attempt_s) == (600, 5, 900)
    assert (rules.rollout, rules.abort) == (Rollout(50), AbortRule(20))
    assert rules.schedule.needs == timedelta(minutes=20)


def test_a_campaign_at_once_needs_no_more_than_its_job_type() -> None:
    asked = request(**AT_ONCE)

    assert (asked.name, asked.targets, asked.replaces) == ("device-update", None, "")
    rules = asked.rules
    assert (rules.retry_s, rules.at_once, rules.attempt_s) == (300, 100, 3600)
    assert (rules.rollout, rules.abort) == (None, None)


def test_rules_read_back_from_their_document() -> None:
    rules = request(**NIGHTS | {"calendar": None}).rules
    fields = FieldReader(rules.document(), RULE_FIELDS)

    assert rules_of(fields, CREATED, calendar_for) == rules
    assert fields.problems == []


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ({"job_type": None}, ["job_type"]),
        ({"job_type": 3}, ["job_type"]),
        ({"name": " "}, ["name"]),
        ({"name": "x" * 129}, ["name"]),
        ({"parameters": []}, ["parameters"]),
        ({"targets": []}, ["targets"]),
        ({"targets": "a"}, ["targets"]),
        ({"targets": ["a b", "c"]}, ["targets[0]"]),
        ({"kind": None}, ["kind"]),
        ({"kind": "later"}, ["kind"]),
        ({"retry_s": 29}, ["retry_s"]),
        ({"retry_s": 86_401}, ["retry_s"]),
        ({"at_once": 0}, ["at_once"]),
        ({"at_once": 1001}, ["at_once"]),
        ({"attempt_s": 59}, ["attempt_s"]),
        ({"needs": 601}, ["needs"]),
        ({"window": {"weekdays": []}}, ["window.weekdays"]),
        ({"rollout": {"per_minute": 0}, "abort": {"percent": 0}}, ["rollout.per_minute",
                                                                   "abort.percent"]),
        ({"speed": 1}, ["speed"]),
        ({"at_once": 0, "window": {"weekdays": []}}, ["at_once", "window.weekdays"]),
        ({"targets": ["a b"], "to": "2020-01-01"}, ["targets[0]", "to"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_listed_by_field(changes: dict[str, Any], places: list[str]) -> None:
    with pytest.raises(InvalidCampaign) as refused:
        request(**NIGHTS | changes)

    assert [each.where for each in refused.value.problems] == places


def test_what_does_not_count_is_a_warning() -> None:
    asked = request(**AT_ONCE, window={"from": "22:00", "to": "02:00"}, targets=["a", "a"])

    first, second = asked.warnings
    assert first.startswith("targets[1]: ")
    assert second == "window: a campaign at once ignores it"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"to": "2026-12-04"}, instant("2026-12-04T23:00")),
        ({"at_once": 7}, instant("2026-11-30T23:00")),
        ({"rollout": {"per_minute": 7}}, instant("2026-11-30T23:00")),
    ],
)
def test_a_person_may_change_the_end_and_the_speed(changes: dict[str, Any], expected: Any) -> None:
    rules = request(**NIGHTS).rules

    changed = changed_rules(rules, changes, CREATED)

    assert changed.schedule.expires_at(CREATED) == expected
    assert changed.at_once == changes.get("at_once", 5)
    assert changed.rollout == (Rollout(7) if "rollout" in changes else Rollout(50))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({}, "campaign"),
        ({"at_once": 5}, "campaign"),
        ({"to": "2026-11-30"}, "to"),
        ({"retry_s": 60}, "retry_s"),
        ({"at_once": 0}, "at_once"),
    ],
)
def test_a_change_that_is_wrong_or_none_is_refused(changes: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidCampaign) as refused:
        changed_rules(request(**NIGHTS).rules, changes, CREATED)

    assert refused.value.problems[0].where == place


def campaign(**fields: Any) -> Campaign:
    rules = request(**AT_ONCE | fields).rules
    return Campaign(
        "c1", JobState.SCHEDULED, 1, "n", "device-update", "Ada", CREATED, rules, tasks=250,
        chunk_size=100,
    )  # fmt: skip


def test_moves_set_the_times_of_a_campaign() -> None:
    started = campaign().moved(JOB.move(JobState.SCHEDULED, "start", CREATED, Cause("a")))
    later = CREATED + timedelta(minutes=1)
    stopping = started.moved(
        JOB.move(started.state, "stop", later, Cause("b")), stop_reason=StopReason.CANCEL
    )
    ended = stopping.moved(JOB.move(stopping.state, "cancel", later, Cause("c")))

    assert (started.state, started.started_at, started.ended_at) == ("running", CREATED, None)
    assert (stopping.version, stopping.is_open, stopping.ended_at) == (3, True, None)
    assert (ended.state, ended.started_at, ended.ended_at) == ("cancelled", CREATED, later)
    assert [each.event for each in ended.history] == ["start", "stop", "cancel"]
    assert not ended.is_open


def test_a_campaign_of_a_year_of_openings_stays_small() -> None:
    paused = replace(campaign(), state=JobState.PAUSED)
    for index in range(800):
        event = ("resume", "pause")[index % 2]
        move = JOB.move(paused.state, event, CREATED, Cause(f"main.p{index}.c0.t1"))
        paused = paused.moved(move)

    assert paused._record_bytes() < 1024
    assert len(paused.history) < 30
    assert MAX_RECORD_BYTES == 16 * 1024


def test_chunks_have_the_tasks_in_order() -> None:
    assert campaign().chunk_count == 3
    assert [campaign().task_count(each) for each in range(3)] == [100, 100, 50]
    assert replace(campaign(), tasks=0).chunk_count == 0


def test_an_attempt_has_a_limit_and_a_grace_after_the_end_of_its_campaign() -> None:
    short = campaign(attempt_s=120)
    expires = CREATED + timedelta(minutes=30)

    assert short.expires_at == expires
    assert short.attempt_deadline(CREATED) == CREATED + timedelta(seconds=120)
    assert campaign().attempt_deadline(CREATED) == expires + timedelta(minutes=5)


def test_the_fields_of_a_request_are_listed_once() -> None:
    assert len(set(REQUEST_FIELDS)) == len(REQUEST_FIELDS)
