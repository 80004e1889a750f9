"""Whole timelines: the worked examples of the seed's digest, and the cases of public reports."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobyard.domain.campaigns.simulation import CampaignTimeline, SimulatedTask, simulate
from jobyard.domain.campaigns.simulation_input import simulation_input_of
from jobyard.domain.campaigns.simulation_text import timeline_text
from jobyard.domain.errors import InvalidCampaign
from jobyard.domain.jobs.failures import Failure
from tests.domain.campaigns.simulations import (
    ALL_DAY,
    AT_ONCE,
    CREATED,
    EVENING,
    FRIDAYS,
    act,
    bad,
    document,
    many,
    ok,
    problems,
    run,
    starts,
    states,
)
from tests.domain.campaigns.test_openings import ZONES, is_open, near

SECOND = timedelta(seconds=1)


def ended(timeline: CampaignTimeline) -> str:
    return f"{timeline.ended_at:%d %H:%M}"


def ends(timeline: CampaignTimeline) -> list[tuple[str, str]]:
    return [(each.state.value, each.code) for each in timeline.tasks]


# The worked examples.


def test_a_device_that_always_fails_is_tried_six_times_in_30_minutes() -> None:
    timeline = run(AT_ONCE, {"A": [bad("DEVICE_OFFLINE")]})

    assert starts(timeline.tasks[0]) == ["10:00", "10:05", "10:10", "10:15", "10:20", "10:25"]
    assert states(timeline) == [("25 10:00", "running"), ("25 10:30", "failed")]
    assert ends(timeline) == [("failed", "EXPIRED")]


def test_a_campaign_ends_when_its_last_task_has_succeeded() -> None:
    timeline = run(AT_ONCE, {"A": [ok()], "B": [bad(), bad(), ok()]})

    assert starts(timeline.tasks[0]) == ["10:00"]
    assert starts(timeline.tasks[1]) == ["10:00", "10:05", "10:10"]
    assert states(timeline) == [("25 10:00", "running"), ("25 10:10", "succeeded")]
    assert ends(timeline) == [("succeeded", ""), ("succeeded", "")]


def test_a_campaign_in_which_one_of_two_succeeds_has_partially_succeeded() -> None:
    timeline = run(AT_ONCE, {"A": [ok()], "B": [bad()]})

    assert states(timeline)[-1] == ("25 10:30", "partially_succeeded")
    assert ends(timeline) == [("succeeded", ""), ("failed", "EXPIRED")]


def test_an_attempt_that_started_in_time_ends_in_the_grace_after_the_expiry() -> None:
    timeline = run(AT_ONCE, {"A": [bad(takes_s=420)]})

    assert starts(timeline.tasks[0]) == ["10:00", "10:12", "10:24"]
    assert f"{timeline.tasks[0].attempts[-1].ended_at:%H:%M}" == "10:31"
    assert states(timeline)[-2:] == [("25 10:30", "stopping"), ("25 10:31", "failed")]
    assert ends(timeline) == [("failed", "EXPIRED")]


def test_an_attempt_that_succeeds_in_the_grace_counts() -> None:
    timeline = run(AT_ONCE, {"A": [bad(), ok(1700)]})

    assert ended(timeline) == "25 10:33"
    assert ends(timeline) == [("succeeded", "")]


def test_an_attempt_is_cut_off_at_the_end_of_the_grace() -> None:
    timeline = run(AT_ONCE, {"A": [ok(3000)]})

    assert ended(timeline) == "25 10:35"
    assert ends(timeline) == [("failed", "EXPIRED")]
    assert timeline.tasks[0].attempts[0].code == "EXPIRED"


def test_a_retry_outside_of_the_window_waits_for_an_opening_that_may_not_come() -> None:
    """It fails at 01:57 in Zurich. The next attempt would be at 02:02."""
    targets = {"A": [ok()], "B": [bad(takes_s=(3 * 60 + 57) * 60)]}
    timeline = run(FRIDAYS | {"attempt_s": 4 * 3600}, targets)

    assert [f"{each.ended_at:%H:%M}" for each in timeline.tasks[1].attempts] == ["00:57"]
    assert states(timeline) == [
        ("25 10:00", "scheduled"),
        ("27 21:00", "running"),
        ("28 01:00", "paused"),
        ("30 23:00", "partially_succeeded"),
    ]
    assert ends(timeline) == [("succeeded", ""), ("failed", "EXPIRED")]


def test_a_new_campaign_for_one_of_two_devices_takes_its_task() -> None:
    timeline = run(
        AT_ONCE,
        {"A": [bad()], "B": [bad(), bad(), ok()]},
        act("10:07", "replace", targets=["A"]),
    )

    assert ends(timeline) == [("cancelled", ""), ("succeeded", "")]
    assert states(timeline)[-1] == ("25 10:10", "partially_succeeded")


@pytest.mark.parametrize("targets", [["A", "B"], ["B"], None])
def test_a_new_campaign_for_all_that_is_left_replaces_it(targets: list[str] | None) -> None:
    timeline = run(
        AT_ONCE,
        {"A": [ok()], "B": [bad()]} if targets == ["B"] else {"A": [bad()], "B": [bad()]},
        act("10:07", "replace", **({"targets": targets} if targets else {})),
    )

    assert states(timeline)[-1] == ("25 10:07", "replaced")
    assert ends(timeline)[1] == ("cancelled", "")


# The cases.


def test_case_1_friday_night_is_open_on_saturday_morning() -> None:
    """kured#204"""
    timeline = run(FRIDAYS, {"A": [bad(takes_s=840)]})

    assert starts(timeline.tasks[0])[-1] == "00:48"
    assert ("28 01:02", "paused") in states(timeline)  # its last step ended then


def test_case_4_no_weekdays_are_refused_in_words() -> None:
    """kured#387"""
    campaign = FRIDAYS | {"window": {"from": "22:00", "to": "02:00", "weekdays": []}}

    found = problems(document(campaign, {"A": [ok()]}))

    assert len(found) == 1
    assert found[0].startswith("campaign.window.weekdays: ")


def test_case_5_a_window_in_the_past_is_refused_with_its_dates() -> None:
    """hawkbit#2026"""
    campaign = FRIDAYS | {"from": "2026-11-02", "to": "2026-11-08"}

    assert problems(document(campaign, {"A": [ok()]})) == [
        "campaign.to: later than now; the range 2 November 2026 to 8 November 2026 ended "
        "9 November 2026 00:00 Europe/Zurich"
    ]


def test_case_6_unreached_devices_expire_and_get_a_new_campaign() -> None:
    """kibana#146018"""
    targets = {"A": [ok()], "B": [ok()]} | many(3, bad("DEVICE_OFFLINE"))
    timeline = run(AT_ONCE, targets)

    assert Counter(ends(timeline)) == {("succeeded", ""): 2, ("failed", "EXPIRED"): 3}
    assert timeline.state == "partially_succeeded"
    again = {each.target_id: [ok()] for each in timeline.tasks if each.state == "failed"}
    assert run(AT_ONCE, again).state == "succeeded"


HALF: dict[str, Any] = {"percent": 50, "at_least": 10}


def test_case_7_it_stops_when_half_of_ten_are_bad() -> None:
    """ansible#33672"""
    few = run(AT_ONCE | {"abort": HALF}, {"A": [ok()]} | many(2, bad()))
    timeline = run(AT_ONCE | {"abort": HALF}, many(5, bad()) | {f"u{i}": [ok()] for i in range(9)})

    assert "paused" not in [state for _, state in states(few)]
    assert states(timeline) == [
        ("25 10:00", "running"),
        ("25 10:00", "paused"),
        ("25 10:30", "partially_succeeded"),
    ]
    assert sum(not each.attempts for each in timeline.tasks) == 4  # beyond the first ten


def test_after_a_release_it_counts_again_from_zero() -> None:
    targets = many(5, bad(), ok()) | {f"u{i}": [ok()] for i in range(9)}
    timeline = run(AT_ONCE | {"abort": HALF}, targets, act("10:10", "resume"))

    assert states(timeline)[1:] == [
        ("25 10:00", "paused"),
        ("25 10:10", "running"),
        ("25 10:10", "succeeded"),
    ]


def test_case_9_all_that_run_when_it_stops_are_counted_before_its_end() -> None:
    """edgehog#342"""
    incompatible = {f"x{i}": [bad("INCOMPATIBLE", 90)] for i in range(10)}
    slow = {f"y{i}": [ok(600)] for i in range(3)}

    timeline = run(AT_ONCE | {"abort": HALF | {"then": "cancel"}}, incompatible | slow)

    assert Counter(each.state.value for each in timeline.tasks) == {"failed": 10, "succeeded": 3}
    assert states(timeline) == [
        ("25 10:00", "running"),
        ("25 10:01", "stopping"),
        ("25 10:11", "cancelled"),
    ]


def test_what_has_not_started_when_it_stops_is_cancelled() -> None:
    targets = {f"x{i}": [bad("INCOMPATIBLE")] for i in range(10)} | many(3, ok())

    timeline = run(AT_ONCE | {"abort": HALF | {"then": "cancel"}}, targets)

    assert Counter(each.state.value for each in timeline.tasks) == {"failed": 10, "cancelled": 3}
    assert states(timeline)[-1] == ("25 10:00", "cancelled")


def test_case_10_devices_that_are_offline_take_no_slot() -> None:
    """nerves_hub_web#1617"""
    targets = {"A": [bad("DEVICE_OFFLINE")], "B": [bad("DEVICE_OFFLINE")], "C": [ok()]}

    timeline = run(AT_ONCE | {"at_once": 2}, targets)

    assert starts(timeline.tasks[2]) == ["10:00"]


def test_case_11_never_more_run_than_allowed() -> None:
    """system-upgrade-controller#77"""
    timeline = run(AT_ONCE | {"at_once": 2}, many(40, ok(30)))

    assert most_at_once(timeline) == 2
    assert ended(timeline) == "25 10:10"


def test_case_12_a_pause_loses_no_task() -> None:
    """listmonk#2168"""
    campaign = ALL_DAY | {"rollout": {"per_minute": 10}}
    timeline = run(campaign, many(100, ok(5)), act("10:05", "pause"), act("11:00", "resume"))

    assert Counter(ends(timeline)) == {("succeeded", ""): 100}
    before = [each for each in timeline.tasks if each.attempts[0].started_at.hour == 10]
    assert len(before) == 50
    assert states(timeline) == [
        ("25 10:00", "running"),
        ("25 10:05", "paused"),
        ("25 11:00", "running"),
        ("25 11:04", "succeeded"),
    ]


def test_case_13_a_device_that_never_answers_is_timed_out_and_tried_again() -> None:
    """hawkbit#693"""
    timeline = run(ALL_DAY, {"A": [{"takes_s": None}, ok()]})

    assert starts(timeline.tasks[0]) == ["10:00", "11:05"]
    assert [each.code for each in timeline.tasks[0].attempts] == ["TIMEOUT", ""]


def test_case_14_a_campaign_without_targets_is_refused() -> None:
    """openwisp-firmware-upgrader#465"""
    assert problems(document(AT_ONCE, {})) == ["targets: at least one target"]


def test_case_15_a_busy_device_is_no_attempt() -> None:
    """screentinker#153"""
    busy = bad("DEVICE_BUSY", retry_after_s=20)
    timeline = run(AT_ONCE, {"A": [busy, busy, busy, ok()]})

    assert starts(timeline.tasks[0]) == ["10:01"]
    assert timeline.state == "succeeded"


def test_a_busy_device_uses_no_grant() -> None:
    busy = bad("DEVICE_BUSY", retry_after_s=20)
    one_a_minute = AT_ONCE | {"rollout": {"per_minute": 1}}
    timeline = run(one_a_minute, {"A": [busy, ok()], "B": [ok()], "C": [ok()]})

    began = [f"{each.attempts[0].started_at:%H:%M:%S}" for each in timeline.tasks]
    assert began == ["10:00:20", "10:01:00", "10:02:00"]


def test_case_17_one_that_hangs_does_not_keep_the_others() -> None:
    """mikr#56"""
    timeline = run(ALL_DAY, {"hangs": [{"takes_s": None}]} | many(9, ok(20)))

    assert {f"{each.attempts[0].ended_at:%H:%M:%S}" for each in timeline.tasks[1:]} == {"10:00:20"}
    assert timeline.state == "partially_succeeded"


def test_case_18_a_device_may_be_reached_in_its_third_window() -> None:
    """thingsboard#11732"""
    campaign = FRIDAYS | {"window": {"from": "22:00", "to": "02:00"}}
    first_two = run(campaign | {"to": "2026-11-27T02:00"}, {"A": [bad("DEVICE_OFFLINE")]})
    tries = len(first_two.tasks[0].attempts)

    timeline = run(campaign, {"A": [bad("DEVICE_OFFLINE")] * tries + [ok()]})

    assert timeline.state == "succeeded"
    assert ended(timeline) == "27 21:00"
    assert [state for _, state in states(timeline)] == [
        *("scheduled", "running", "paused", "running", "paused", "running", "succeeded"),
    ]


def test_case_19_a_change_that_does_not_show_is_tried_again() -> None:
    """hawkbit#3185"""
    timeline = run(AT_ONCE, {"A": [bad("VERIFY_FAILED"), ok()]})

    assert starts(timeline.tasks[0]) == ["10:00", "10:05"]


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("DEVICE_ERROR", "succeeded"),  # of a 5xx, which the job types for devices retry
        ("STEP_ERROR", "succeeded"),
        ("ANOTHER_CODE", "succeeded"),
        ("DEVICE_FORBIDDEN", "failed"),
        ("DIGEST_MISMATCH", "failed"),
    ],
)
def test_a_failure_is_tried_again_as_that_of_a_device_is(code: str, state: str) -> None:
    timeline = simulate(simulation_input_of(document(AT_ONCE, {"A": [bad(code), ok()]})))

    assert timeline.tasks[0].state == state


def test_case_21_one_incompatible_device_fails_alone() -> None:
    """openwisp-firmware-upgrader#202"""
    timeline = run(AT_ONCE, {"A": [bad("INCOMPATIBLE")], "B": [ok(60)]})

    assert ends(timeline) == [("failed", "INCOMPATIBLE"), ("succeeded", "")]
    assert states(timeline)[-1] == ("25 10:01", "partially_succeeded")
    assert len(timeline.tasks[0].attempts) == 1


def test_case_24_two_campaigns_at_ten_a_minute_start_twenty() -> None:
    """listmonk#2921"""
    both = [run(AT_ONCE | {"rollout": {"per_minute": 10}}, many(30, ok())) for _ in range(2)]

    starts_of = [each.attempts[0].started_at.minute for timeline in both for each in timeline.tasks]
    assert Counter(starts_of) == {0: 20, 1: 20, 2: 20}


# What the cases do not show.


def test_a_rollout_grows_and_is_spread_over_each_minute() -> None:
    campaign = ALL_DAY | {"rollout": {"per_minute": 50, "factor": 2, "every": 50}}
    timeline = run(campaign, many(350, ok()))

    begun = Counter(each.attempts[0].started_at.minute for each in timeline.tasks)
    assert begun == {0: 50, 1: 100, 2: 200}
    seconds = Counter(each.attempts[0].started_at for each in timeline.tasks)
    assert seconds.most_common(1)[0][1] == 7  # of 400 a minute


def test_the_first_slice_of_a_campaign_that_may_abort_is_small() -> None:
    campaign = ALL_DAY | {"rollout": {"per_minute": 50}, "abort": HALF}
    timeline = run(campaign, many(100, ok()))

    begun = Counter(each.attempts[0].started_at.minute for each in timeline.tasks)
    assert begun == {0: 10, 1: 50, 2: 40}


def test_nothing_starts_with_too_little_time_left() -> None:
    timeline = run(FRIDAYS | {"needs": 30}, {"A": [bad(takes_s=240)]})

    assert starts(timeline.tasks[0])[-1] == "00:27"
    assert ("28 01:00", "paused") in states(timeline)


def test_waits_for_a_device_that_stays_offline_grow_to_an_hour() -> None:
    begun = run(ALL_DAY, {"A": [bad("DEVICE_OFFLINE")]}).tasks[0].attempts

    waits = [
        int((after.started_at - before.ended_at) / SECOND / 60) for before, after in pairwise(begun)
    ]
    assert waits[:16] == [5] * 11 + [10, 20, 40, 60, 60]


@pytest.mark.parametrize(
    ("event", "ended_at", "state", "task"),
    [
        ("cancel", "25 10:10", "cancelled", ("succeeded", "")),  # done wins
        ("replace", "25 10:10", "replaced", ("succeeded", "")),
        ("force", "25 10:05", "cancelled", ("cancelled", "")),
    ],
)
def test_what_runs_when_it_stops_ends_unless_it_is_forced(
    event: str, ended_at: str, state: str, task: tuple[str, str]
) -> None:
    timeline = run(AT_ONCE, {"A": [ok(600)]}, act("10:05", event), act("10:05", "cancel"))

    assert (ended(timeline), timeline.state, ends(timeline)[0]) == (ended_at, state, task)
    if event == "force":
        assert [each.result for each in timeline.tasks[0].attempts] == ["cancelled"]


@pytest.mark.parametrize("event", ["cancel", "force", "replace", "pause"])
def test_what_ends_when_a_person_acts_has_ended(event: str) -> None:
    done = run(AT_ONCE, {"A": [ok(300)]}, act("10:05", event))
    expired = run(AT_ONCE, {"A": [bad()]}, act("10:30", event))

    assert (done.state, expired.state) == ("succeeded", "failed")
    assert done.refused[0].reason == "the campaign has ended: succeeded"


def test_what_runs_when_a_campaign_expires_may_still_be_forced() -> None:
    timeline = run(
        AT_ONCE, {"A": [ok(3000)]}, act("10:30", "change", at_once=3), act("10:31", "force")
    )

    assert ended(timeline) == "25 10:31"
    assert timeline.refused[0].reason == "it is stopping"


def test_a_cancel_keeps_what_succeeded() -> None:
    timeline = run(AT_ONCE, {"A": [ok()], "B": [bad()]}, act("10:07", "cancel"))

    assert ends(timeline) == [("succeeded", ""), ("cancelled", "")]
    assert states(timeline)[-1] == ("25 10:07", "cancelled")


def test_some_tasks_are_cancelled_alone() -> None:
    timeline = run(
        AT_ONCE,
        {"A": [bad()], "B": [ok(1200)], "C": [bad(takes_s=600)]},
        act("10:07", "cancel", targets=["A", "C"]),
    )

    assert ends(timeline) == [("cancelled", ""), ("succeeded", ""), ("cancelled", "")]


def test_a_pause_before_the_window_is_shown_as_held() -> None:
    timeline = run(
        FRIDAYS, {"A": [ok()]}, act("11:00", "pause"), act(f"{EVENING}22:00:00Z", "resume")
    )

    assert states(timeline) == [
        ("25 10:00", "scheduled"),
        ("25 11:00", "held"),
        ("27 22:00", "running"),
        ("27 22:00", "succeeded"),
    ]


def test_a_pause_that_is_not_ended_lasts_until_the_campaign_expires() -> None:
    timeline = run(AT_ONCE, {"A": [bad()]}, act("10:02", "pause"))

    assert states(timeline)[1:] == [("25 10:02", "paused"), ("25 10:30", "failed")]
    assert len(timeline.tasks[0].attempts) == 1


def test_the_end_and_the_speed_change_while_it_runs() -> None:
    slow = AT_ONCE | {"rollout": {"per_minute": 1}}
    timeline = run(
        slow,
        many(10, ok()) | {"late": [bad()]},
        act("10:02", "change", rollout={"per_minute": 600}),
        act("10:20", "extend", to="2026-11-25T04:00"),  # in Los Angeles
    )

    assert timeline.tasks[9].attempts[0].started_at.minute == 2
    assert ended(timeline) == "25 12:00"


def test_what_a_person_cannot_do_is_refused_with_a_reason() -> None:
    timeline = run(
        AT_ONCE,
        {"A": [ok(600)], "B": [bad()]},
        act("10:01", "resume"),
        act("10:02", "pause"),
        act("10:03", "hold"),
        act("10:04", "change", at_once=100),
        act("10:05", "cancel"),
        act("10:06", "release"),
        act("10:07", "cancel"),
        act("10:20", "cancel"),
    )

    assert [(f"{each.at:%M}", each.reason) for each in timeline.refused] == [
        ("01", "it is not on hold"),
        ("03", "it is on hold already"),
        ("04", "campaign: at least one change of to, at_once, rollout"),
        ("06", "it is stopping"),
        ("20", "the campaign has ended: cancelled"),
    ]
    assert [each["event"] for each in timeline.document()["refused"]] == [
        *("resume", "pause", "change", "resume", "cancel"),
    ]


def test_a_timeline_is_json() -> None:
    assert run(AT_ONCE, {"A": [bad("INCOMPATIBLE", 60)]}).document() == {
        "state": "failed",
        "ended_at": "2026-11-25T10:01:00Z",
        "history": [
            {"at": CREATED, "state": "running"},
            {"at": "2026-11-25T10:01:00Z", "state": "failed"},
        ],
        "tasks": [
            {
                "id": "A",
                "state": "failed",
                "code": "INCOMPATIBLE",
                "attempts": [
                    {
                        "started_at": CREATED,
                        "ended_at": "2026-11-25T10:01:00Z",
                        "result": "failed",
                        "code": "INCOMPATIBLE",
                    }
                ],
            }
        ],
    }


def test_a_simulation_has_a_limit_of_attempts() -> None:
    with pytest.raises(InvalidCampaign, match="at most 5 attempts: fewer of them, or less time"):
        simulate(simulation_input_of(document(AT_ONCE, {"A": [bad()]})), max_attempts=5)


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ({"created_at": None}, ["created_at"]),
        ({"created_at": "2026-11-25T10:00:00"}, ["created_at"]),
        ({"created_at": 5}, ["created_at"]),
        ({"created_at": "soon"}, ["created_at"]),
        ({"created_at": "9999-12-31T23:59:59-10:00"}, ["created_at"]),
        ({"created_at": "0001-01-01T00:00:00Z"}, ["created_at"]),
        ({"campaign": None}, ["campaign"]),
        ({"campaign": {}}, ["campaign.kind"]),
        ({"campaign": {"kind": "scheduled"}}, ["campaign.to"]),
        ({"campaign": AT_ONCE | {"speed": 1}}, ["campaign.speed"]),
        ({"campaign": AT_ONCE | {"zone": "Moon/Crater"}}, ["campaign.zone"]),
        ({"campaign": FRIDAYS | {"window": {"start": "22:00"}}}, ["campaign.window.start"]),
        ({"campaign": FRIDAYS | {"calendar": "nights"}}, ["campaign.calendar"]),
        ({"campaign": FRIDAYS | {"calendar": 5}}, ["campaign.calendar"]),
        ({"campaign": FRIDAYS | {"calendar": {"name": "a", "include": [{"until": "9:00"}]}}},
         ["campaign.calendar.include.until"]),
        ({"campaign": FRIDAYS | {"calendar": {"name": 1}}}, ["campaign.calendar.name"]),
        ({"targets": None}, ["targets"]),
        ({"targets": "A"}, ["targets"]),
        ({"targets": [{"id": "a b"}]}, ["targets[0]"]),
        ({"targets": [{"id": "A", "speed": 1}]}, ["targets[0]"]),
        ({"targets": [{"id": "A", "outcomes": []}]}, ["targets[0].outcomes"]),
        ({"targets": [{"id": "A", "outcomes": [1]}]}, ["targets[0].outcomes[0]"]),
        ({"targets": [{"id": "A", "outcomes": [{"takes_s": -1}]}]},
         ["targets[0].outcomes[0].takes_s"]),
        ({"targets": [{"id": "A", "outcomes": [{"takes_s": 1}]}]},
         ["targets[0].outcomes[0].result"]),
        ({"targets": [{"id": "A", "outcomes": [{"result": "failed", "code": "no"}]}]},
         ["targets[0].outcomes[0].code"]),
        ({"targets": [{"id": "A", "outcomes": [{"result": "succeeded", "code": "NO"}]}]},
         ["targets[0].outcomes[0].code"]),
        ({"targets": ["A", {"id": "A", "outcomes": [bad()]}]}, ["targets[1].outcomes"]),
        ({"acts": {}}, ["acts"]),
        ({"acts": [{"event": "cancel"}]}, ["acts[0].at"]),
        ({"acts": [{"at": CREATED}]}, ["acts[0].event"]),
        ({"acts": [{"at": CREATED, "event": "sing"}]}, ["acts[0].event"]),
        ({"acts": [act("09:00", "cancel")]}, ["acts[0].at"]),
        ({"acts": [act("11:00", "cancel", targets=["B"])]}, ["acts[0].targets"]),
        ({"acts": [act("11:00", "cancel", targets=[])]}, ["acts[0].targets"]),
        ({"acts": [act("11:00", "pause", targets=["A"])]}, ["acts[0].targets"]),
        ({"acts": [act("11:00", "pause", at_once=3)]}, ["acts[0].at_once"]),
        ({"acts": [act("11:00", "change")]}, ["acts[0]"]),
        ({"acts": [act("11:00", "change", at_once=0)]}, ["acts[0].at_once"]),
        ({"acts": [act("11:00", "change", rollout={"per_minute": 0})]},
         ["acts[0].rollout.per_minute"]),
        ({"more": 1}, ["more"]),
    ],
)  # fmt: skip
def test_an_input_that_is_wrong_is_refused_by_field(
    changes: dict[str, Any], places: list[str]
) -> None:
    value = document(AT_ONCE, {"A": [ok()]}) | changes

    with pytest.raises(InvalidCampaign) as refused:
        simulation_input_of(value)

    assert [each.where for each in refused.value.problems] == places


def test_an_input_may_be_short() -> None:
    value = {"created_at": CREATED, "campaign": AT_ONCE | {"window": {}}, "targets": ["A", "A"]}

    simulated = simulation_input_of(value)

    assert simulate(simulated).state == "succeeded"
    assert len(simulated.targets) == 1
    assert [each.split(":")[0] for each in simulated.warnings] == ["targets[1]", "window"]


# Attempts that work in parts.


@pytest.mark.parametrize(
    ("event", "state"), [("cancel", "cancelled"), ("replace", "replaced"), ("pause", "failed")]
)
def test_an_attempt_in_parts_is_stopped_after_the_part_that_runs(event: str, state: str) -> None:
    upload = ok(900) | {"part_s": 60}

    timeline = run(AT_ONCE, {"A": [upload]}, act("2026-11-25T10:05:10Z", event))

    (attempt,) = timeline.tasks[0].attempts
    assert (starts(timeline.tasks[0]), f"{attempt.ended_at:%H:%M:%S}") == (["10:00"], "10:06:00")
    result = ("failed", "EXPIRED") if event == "pause" else ("cancelled", "")
    assert (attempt.result, attempt.code, timeline.state) == (*result, state)
    ended_at = "10:30" if event == "pause" else "10:06"
    assert f"{timeline.ended_at:%H:%M}" == ended_at


def test_an_attempt_in_parts_continues_where_it_was_stopped() -> None:
    acts = act("10:05", "pause"), act("10:12", "resume")

    timeline = run(AT_ONCE | {"at_once": 1}, {"A": [ok(900) | {"part_s": 60}], "B": [ok()]}, *acts)

    (upload,) = timeline.tasks[0].attempts
    assert (f"{upload.ended_at:%H:%M}", timeline.state) == ("10:22", "succeeded")  # 7 min later
    assert [f"{each:%H:%M}" for each in upload.pauses[0]] == ["10:05", "10:12"]
    assert starts(timeline.tasks[1]) == ["10:22"]  # its place was kept
    assert states(timeline)[1:3] == [("25 10:05", "paused"), ("25 10:12", "running")]


def test_a_closed_window_stops_an_attempt_in_parts_until_the_next_one() -> None:
    nights = FRIDAYS | {"window": {"from": "22:00", "to": "02:00"}, "retry_s": 3_600}
    nights |= {"attempt_s": 14_400}
    upload = ok(7_200) | {"part_s": 90}

    timeline = run(nights, {"A": [bad(takes_s=7_200), upload]})

    last = timeline.tasks[0].attempts[-1]
    assert [f"{each:%d %H:%M}" for each in (last.started_at, last.ended_at)] == [
        "26 00:00",
        "26 22:00",
    ]
    assert [f"{each:%d %H:%M}" for each in last.pauses[0]] == ["26 01:00", "26 21:00"]
    line = next(each for each in timeline_text(timeline).splitlines() if each.startswith("A "))
    assert "==x" in line
    assert "=---" in line


def test_too_many_failures_stop_attempts_in_parts() -> None:
    abort = {"percent": 50, "at_least": 3, "then": "cancel"}
    targets = many(3, bad("INCOMPATIBLE", 100)) | {"A": [ok(900) | {"part_s": 60}]}

    timeline = run(AT_ONCE | {"abort": abort}, targets)

    (upload,) = timeline.tasks[-1].attempts  # of the second minute
    assert (f"{upload.started_at:%H:%M} {upload.ended_at:%H:%M}", upload.result) == (
        "10:01 10:02",
        "cancelled",
    )


# Any campaign.

CODES = ("DEVICE_OFFLINE", "DEVICE_BUSY", "STEP_ERROR", "INCOMPATIBLE", "TIMEOUT")
OUTCOMES = st.one_of(
    st.builds(ok, st.integers(0, 900)),
    st.builds(bad, st.sampled_from(CODES), st.integers(0, 900)),
    st.builds(lambda takes_s: ok(takes_s) | {"part_s": 40}, st.integers(0, 900)),
    st.just({"takes_s": None}),
)


@st.composite
def inputs(draw: st.DrawFn) -> dict[str, Any]:
    """A campaign of some days around a change of clocks, with acts of people."""
    zone = draw(st.sampled_from(ZONES))
    created = draw(st.sampled_from(near(zone))) - timedelta(hours=draw(st.integers(1, 30)))
    hours = draw(st.lists(st.integers(0, 23), min_size=2, max_size=2, unique=True))
    window = {"from": f"{hours[0]:02}:00", "to": f"{hours[1]:02}:30"}
    campaign: dict[str, Any] = {
        "kind": "scheduled",
        "zone": zone,
        "to": f"{created + timedelta(days=2):%Y-%m-%d}",
        "window": window,
        "needs": draw(st.sampled_from([0, 0, 20])),
        "retry_s": draw(st.sampled_from([30, 300, 7200])),
        "at_once": draw(st.integers(1, 4)),
        "attempt_s": draw(st.sampled_from([60, 600, 3600])),
    }
    if draw(st.booleans()):
        campaign["rollout"] = {"per_minute": draw(st.integers(1, 4)), "factor": 1.5, "every": 2}
    if draw(st.booleans()):
        campaign["abort"] = {
            "percent": draw(st.integers(20, 80)),
            "at_least": draw(st.integers(1, 4)),
            "then": draw(st.sampled_from(["hold", "cancel"])),
        }
    names = [f"t{number}" for number in range(draw(st.integers(1, 6)))]
    outcomes = st.lists(OUTCOMES, min_size=1, max_size=4)
    acts = [
        {
            "at": (created + timedelta(minutes=draw(st.integers(0, 3000)))).isoformat(),
            "event": draw(st.sampled_from(["pause", "resume", "resume", "cancel", "force"])),
        }
        for _ in range(draw(st.integers(0, 3)))
    ]
    return {
        "created_at": created.isoformat(),
        "campaign": campaign,
        "targets": [{"id": name, "outcomes": draw(outcomes)} for name in names],
        "acts": acts,
    }


def attempts_of(timeline: CampaignTimeline) -> list[tuple[datetime, datetime]]:
    return [(each.started_at, each.ended_at) for task in timeline.tasks for each in task.attempts]


def most_at_once(timeline: CampaignTimeline) -> int:
    """The most attempts that ran at the same time."""
    changes = sorted(
        change for start, end in attempts_of(timeline) for change in ((start, 1), (end, -1))
    )
    most = current = 0
    for _, change in changes:
        current += change
        most = max(most, current)
    return most


@settings(max_examples=80, database=None)
@given(inputs())
def test_any_campaign_keeps_its_rules(value: dict[str, Any]) -> None:
    try:
        simulated = simulation_input_of(value)
    except InvalidCampaign:
        return  # clocks leave it no opening, or one that is too short
    rules, openings = simulated.rules, simulated.rules.schedule.openings(simulated.created_at)

    timeline = simulate(simulated)

    assert not timeline.campaign.is_open
    assert timeline.ended_at <= openings.end + timedelta(minutes=5)
    times = [at for at, _ in timeline.history]
    assert times == sorted(times)
    assert times[-1] == timeline.ended_at
    assert most_at_once(timeline) <= rules.at_once
    for task in timeline.tasks:
        _check_task(task, timeline)
    for start, _ in attempts_of(timeline):
        assert is_open(openings, start)  # asked of a clock, not of the openings
        assert is_open(openings, start + max(rules.schedule.needs - SECOND, timedelta()))
        assert _state_at(timeline, start) in {"running", "stopping"}
    if rules.rollout:
        _check_rate(timeline)


def _check_task(task: SimulatedTask, timeline: CampaignTimeline) -> None:
    rules = timeline.campaign.rules
    assert task.state in {"succeeded", "failed", "cancelled"}
    assert (task.state == "failed") is bool(task.code)
    for before, after in pairwise(task.attempts):
        assert after.started_at - before.ended_at >= timedelta(seconds=rules.retry_s)
        assert before.result == "failed"
    for each in task.attempts:
        paused = sum((until - since for since, until in each.pauses), timedelta())
        assert each.ended_at - each.started_at - paused <= timedelta(seconds=rules.attempt_s)
        assert each.code != Failure.DEVICE_BUSY
    if task.state == "succeeded":
        assert task.attempts[-1].result == "succeeded"


def _state_at(timeline: CampaignTimeline, at: datetime) -> str:
    """The state at a time; of several at the same time, that in which most may happen."""
    states_then = [state for since, state in timeline.history if since == at]
    earlier = [state for since, state in timeline.history if since < at]
    candidates = [*earlier[-1:], *states_then]
    return "running" if "running" in candidates else candidates[-1]


def _check_rate(timeline: CampaignTimeline) -> None:
    """No more attempts start in any minute than the largest grants of two slices."""
    begun = sorted(start for start, _ in attempts_of(timeline))
    rollout = timeline.campaign.rules.rollout
    assert rollout is not None
    most = rollout.per_minute * rollout.factor ** (len(timeline.tasks) // rollout.every)
    for start in begun:
        within = [each for each in begun if start <= each < start + timedelta(seconds=60)]
        assert len(within) <= 2 * most


def test_times_are_in_utc() -> None:
    timeline = run(AT_ONCE, {"A": [ok()]})

    assert timeline.ended_at.tzinfo is UTC
