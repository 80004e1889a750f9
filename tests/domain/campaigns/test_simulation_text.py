"""The drawing of a simulated campaign."""

from jobyard.domain.campaigns.simulation import CampaignTimeline
from jobyard.domain.campaigns.simulation_text import (
    LEGEND,
    MAX_DRAWN_TASKS,
    task_description,
    timeline_text,
)
from tests.domain.campaigns.simulations import (
    ALL_DAY,
    AT_ONCE,
    FRIDAYS,
    act,
    bad,
    many,
    ok,
    run,
)


def lines(timeline: CampaignTimeline) -> dict[str, str]:
    """The lines of a drawing by their labels."""
    drawn = [line.split("  ", 1) for line in timeline_text(timeline).splitlines() if "  " in line]
    return {label.strip(): rest.strip() for label, rest in drawn}


def test_windows_attempts_and_pauses_are_drawn() -> None:
    targets = {"A": [bad(takes_s=1200), ok(1200)], "B": [bad("DEVICE_OFFLINE")]}
    acts = act("2026-11-27T23:00:00Z", "pause"), act("2026-11-28T00:00:00Z", "resume")
    timeline = run(FRIDAYS, targets, *acts)

    text = timeline_text(timeline)

    assert text.splitlines()[:3] == [
        "On Friday from 22:00 to 02:00, 25 November 2026 to 30 November 2026 (Europe/Zurich)",
        "Partially Succeeded at 2026-12-01 00:00:00 Europe/Zurich: 1 of 2 tasks succeeded",
        "Forecast: 2 targets at 100 a minute need 1 min; 1 window gives 240 min",
    ]
    drawn = lines(timeline)
    assert drawn["window"] == "#" * 64
    assert drawn["state"] == "ssss" + "R" * 32 + "p" * 16 + "R" * 16 + "pppp"
    assert drawn["A"].startswith("----=====x======+  ")
    assert drawn["A"].endswith("  succeeded after 2 attempts")
    assert drawn["B"][4:6] == "xx"
    assert set(drawn["B"][36:52]) == {"-"}
    assert "!  failed: EXPIRED after" in drawn["B"]
    assert LEGEND in text


def test_a_long_campaign_is_drawn_in_lines_of_bounded_length() -> None:
    year = FRIDAYS | {"to": "2027-11-20", "window": {"from": "22:00", "to": "02:00"}}
    timeline = run(year, {"x" * 128: [bad("DEVICE_OFFLINE", 60)]})

    text = timeline_text(timeline)

    assert "Only the first 7 windows are drawn." in text
    assert max(map(len, text.splitlines())) <= 150


def test_more_tasks_than_can_be_drawn_are_counted() -> None:
    timeline = run(ALL_DAY, many(MAX_DRAWN_TASKS + 1200, ok()))

    text = timeline_text(timeline)

    assert f"t{MAX_DRAWN_TASKS - 1} " in text
    assert f"t{MAX_DRAWN_TASKS} " not in text
    assert "… and 1,200 more tasks: 1,200 succeeded" in text


def test_a_campaign_that_ends_at_once_has_a_drawing() -> None:
    drawn = lines(run(AT_ONCE, {"A": [ok()]}))

    assert drawn["A"].endswith("succeeded after 1 attempt")
    assert drawn["A"].startswith("+")


def test_what_was_forced_refused_or_never_reached_is_named() -> None:
    timeline = run(
        AT_ONCE | {"at_once": 1},
        {"A": [ok(600)], "B": [ok()]},
        act("10:05", "resume"),
        act("10:06", "force"),
    )
    expired = run(AT_ONCE, {"A": [bad()]}, act("10:00", "pause"))

    assert "Refused at Wed 25 02:05: resume: it is not on hold" in timeline_text(timeline)
    assert lines(timeline)["A"].split()[0].endswith("!")
    assert [task_description(each) for each in timeline.tasks] == [
        "cancelled after 1 attempt",
        "cancelled after 0 attempts",
    ]
    assert task_description(expired.tasks[0]) == "failed: EXPIRED, never reached"
