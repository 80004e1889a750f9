"""The forecast of a campaign."""

from datetime import timedelta
from typing import Any

import pytest

from jobyard.domain.campaigns.fields import FieldReader
from jobyard.domain.campaigns.forecast import CampaignForecast, forecast_of, start_times
from jobyard.domain.campaigns.rules import RULE_FIELDS, CampaignRules, rules_of
from tests.domain.campaigns.schedules import calendar_for, instant
from tests.domain.campaigns.simulations import ALL_DAY, AT_ONCE, FRIDAYS, many, ok, run

MINUTE = timedelta(minutes=1)
CREATED = instant("2026-11-25T10:00")
NIGHTS: dict[str, Any] = FRIDAYS | {
    "window": {"from": "22:00", "to": "23:59", "weekdays": ["wed", "thu", "fri"]}
}


def rules_with(**fields: Any) -> CampaignRules:
    reader = FieldReader(fields, RULE_FIELDS)
    rules = rules_of(reader, CREATED, calendar_for)
    reader.check()
    return rules


def forecast(tasks: int, after_min: float = 0, **fields: Any) -> CampaignForecast:
    rules = rules_with(**fields)
    openings = rules.schedule.openings(CREATED)
    return forecast_of(rules, openings, tasks, CREATED + timedelta(minutes=after_min))


@pytest.mark.parametrize(
    ("tasks", "fields", "words"),
    [
        (1240, NIGHTS | {"rollout": {"per_minute": 50}},
         "1,240 targets at 50 a minute need 25 min; 3 windows give 357 min"),
        (1, AT_ONCE, "1 target at 100 a minute needs 1 min; 1 window gives 30 min"),
        (9000, AT_ONCE | {"rollout": {"per_minute": 50}},
         "9,000 targets at 50 a minute: 1 window gives 30 min, too little"),
        (500, AT_ONCE | {"rollout": {"per_minute": 50, "factor": 2, "every": 50}, "at_once": 1000},
         "500 targets at 50 a minute, growing, need 3 min; 1 window gives 30 min"),
        (60, AT_ONCE | {"at_once": 5},
         "60 targets at 5 a minute need 12 min; 1 window gives 30 min"),
    ],
)  # fmt: skip
def test_a_forecast_says_how_much_time_is_needed_and_there(
    tasks: int, fields: dict[str, Any], words: str
) -> None:
    assert forecast(tasks, **fields).description() == words


def test_a_forecast_shows_the_next_seven_openings_and_what_they_hold() -> None:
    found = forecast(15_000, **FRIDAYS | {"to": "2027-03-31"}, needs=20, rollout={"per_minute": 10})

    assert [(each.starts, each.started) for each in found.openings] == [
        (2201, 2201 * (week + 1)) if week < 6 else (1794, 15_000) for week in range(7)
    ]
    assert found.opening_count == 18
    assert found.openings[0].document() == {
        "start": "2026-11-27T21:00:00Z",
        "end": "2026-11-28T01:00:00Z",
        "starts": 2201,  # 10 a minute, and one when exactly 20 minutes are left
        "started": 2201,
    }
    assert found.document()["available_s"] == 18 * 220 * 60
    assert found.last_start == instant("2027-01-08T23:59")
    assert found.warnings == ()


def test_a_forecast_agrees_with_a_simulation_in_which_all_succeed() -> None:
    fields = ALL_DAY | {
        "rollout": {"per_minute": 20, "factor": 1.5, "every": 30},
        "abort": {"percent": 50},
        "at_once": 1000,
    }
    timeline = run(fields, many(300, ok()))
    last = max(task.attempts[0].started_at for task in timeline.tasks)

    found = forecast(300, **fields)

    assert found.last_start is not None
    assert found.last_start <= last < found.last_start + MINUTE


def test_each_task_starts_within_the_minute_that_is_forecast() -> None:
    fields = NIGHTS | {"rollout": {"per_minute": 1, "factor": 1.5, "every": 30}, "at_once": 1000}
    rules, count = rules_with(**fields), 300
    openings = rules.schedule.openings(CREATED)

    found = start_times(rules, openings, [*range(count), 1_000_000], CREATED)

    tasks = run(fields, many(count, ok())).tasks
    starts = [task.attempts[0].started_at for task in tasks]
    assert all(found[place] - MINUTE <= at < found[place] for place, at in enumerate(starts))
    assert len(found) == count  # the windows leave no time for a million
    started = 100  # when so many have succeeded, the rate has grown by 1.5 three times
    assert start_times(rules, openings, [2], CREATED, started)[2] == (instant("2026-11-25T21:01"))


def test_a_forecast_grows_with_what_has_succeeded() -> None:
    rules = rules_with(**AT_ONCE, rollout={"per_minute": 10, "factor": 2, "every": 50})
    openings = rules.schedule.openings(CREATED)

    found = forecast_of(rules, openings, 40, CREATED, succeeded=100)

    assert (
        found.description()
        == "40 targets at 40 a minute, growing, need 1 min; 1 window gives 30 min"
    )


def test_a_forecast_is_the_same_for_a_minute() -> None:
    assert forecast(100, 5.9, **AT_ONCE) == forecast(100, 5, **AT_ONCE)
    assert forecast(100, 6, **AT_ONCE) != forecast(100, 5, **AT_ONCE)


def test_time_that_has_passed_is_not_there() -> None:
    assert forecast(10, 20, **AT_ONCE).available == timedelta(minutes=10)
    assert forecast(10, 30, **AT_ONCE).openings == ()


@pytest.mark.parametrize(
    ("tasks", "fields", "warnings"),
    [
        (10, AT_ONCE, []),
        (2000, AT_ONCE | {"rollout": {"per_minute": 50}},
         ["too little time: 500 targets would not be reached"]),
        (9, AT_ONCE | {"abort": {"percent": 50}},
         ["abort: 9 tasks are fewer than at_least, so it never stops"]),
        (9, AT_ONCE | {"retry_s": 1800},
         ["retry_s: a task that fails is not tried again, because no time is left"]),
        (9, NIGHTS | {"window": {"from": "22:00", "to": "02:00"}, "needs": 150, "to": "2026-11-26"},
         ["1 window is shorter than 150 minutes, which a task needs: nothing starts then"]),
    ],
)  # fmt: skip
def test_a_forecast_warns(tasks: int, fields: dict[str, Any], warnings: list[str]) -> None:
    assert [*forecast(tasks, **fields).warnings] == warnings
