"""The pictures of campaigns: their openings on a line, and the progress of a simulation."""

import re
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from markupsafe import Markup

from jobyard.domain.campaigns.assumptions import (
    MAX_SIMULATED_TARGETS,
    Assumptions,
    assumed_timeline,
)
from jobyard.domain.campaigns.campaign import Campaign, request_of
from jobyard.domain.jobs.job import JobState
from web.pictures.openings import openings_line
from web.pictures.simulation import progress_drawing

CREATED = datetime(2026, 11, 20, 10, tzinfo=UTC)
NIGHTS = {
    "job_type": "device-update",
    "kind": "scheduled",
    "to": "2026-11-22",
    "zone": "Europe/Zurich",
    "window": {"from": "22:00", "to": "02:00"},
}


def campaign(tasks: int = 1, **fields: Any) -> Campaign:
    rules = request_of(NIGHTS | fields, CREATED, lambda _: None).rules
    return Campaign(
        "c1", JobState.SCHEDULED, 1, "n", "device-update", "Ada", CREATED, rules, tasks=tasks
    )


def line(now: datetime | None = None, **fields: Any) -> Markup:
    picture = openings_line(campaign(**fields).openings, "Europe/Zurich", now)
    ElementTree.fromstring(picture)
    return picture


def blocks(picture: Markup) -> list[tuple[float, float]]:
    """Where each opening begins on the line and how wide it is, in percent."""
    found = re.findall(r'class="s-accent" x="([\d.]+)%" width="([\d.]+)%"', picture)
    return [(float(left), float(width)) for left, width in found]


def test_openings_are_drawn_to_scale() -> None:
    first, second, third = blocks(line())

    hours = 61  # from Friday 11:00 to the end of Sunday
    assert first == pytest.approx((100 * 11 / hours, 400 / hours), abs=0.01)
    assert second == pytest.approx((100 * 35 / hours, 400 / hours), abs=0.01)
    assert third == pytest.approx((100 * 59 / hours, 200 / hours), abs=0.01)  # cut by the end


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (None, "3 openings from Fri 2026-11-20 11:00 CET to Mon 2026-11-23 00:00 CET</title>"),
        (CREATED, "; closed now, until Fri 2026-11-20 22:00 CET"),
        (datetime(2026, 11, 20, 21, tzinfo=UTC), "; open now, until Sat 2026-11-21 02:00 CET"),
    ],
)
def test_the_title_of_the_line_says_what_is_open(now: datetime | None, words: str) -> None:
    picture = line(now)

    assert words in picture
    assert ('class="deploy"' in picture) == (now is not None)


def test_after_the_last_opening_the_line_says_so() -> None:
    picture = line(datetime(2026, 11, 29, tzinfo=UTC), to="2026-11-30",
                   window={"from": "22:00", "to": "23:00", "weekdays": ["fri"]})  # fmt: skip

    assert "closed now, and it does not open again" in picture


def test_a_year_of_openings_is_a_small_picture() -> None:
    picture = line(to="2027-11-20", window={"from": "00:00", "to": "00:05"})

    assert len(picture) < 25_000
    assert all(width >= 0.25 for _, width in blocks(picture))
    assert sum(blocks(picture)[-1]) <= 100


def test_the_mark_of_the_present_moves_rarely() -> None:
    """Each move is a change of the page, which its readers load again."""
    opened = CREATED + timedelta(hours=1)

    assert line(opened) == line(opened + timedelta(seconds=9))


def test_a_progress_rises_to_the_top_when_all_tasks_succeed() -> None:
    timeline = assumed_timeline(campaign(40), Assumptions(600, 25))
    picture = progress_drawing(timeline)

    ElementTree.fromstring(picture)
    assert "Tasks that end over time: 40 succeeded" in picture
    heights = [int(each) for each in re.findall(r"V(\d+)", picture.split("line s-succeeded")[1])]
    assert heights == sorted(heights, reverse=True)
    assert heights[-1] == 0


def test_tasks_that_the_campaign_ends_fail_at_its_end() -> None:
    timeline = assumed_timeline(campaign(9, rollout={"per_minute": 1}, to="2026-11-20",
                                         window={"from": "22:00", "to": "22:05"}),
                                Assumptions(600))  # fmt: skip
    picture = progress_drawing(timeline)

    assert 'class="line s-failed"' in picture


def test_a_simulation_of_very_many_tasks_has_the_first_of_them() -> None:
    timeline = assumed_timeline(campaign(100_000), Assumptions())

    assert len(timeline.tasks) == MAX_SIMULATED_TARGETS


@pytest.mark.parametrize("percent", [0, 1, 33, 100])
def test_as_many_devices_are_offline_at_first_as_assumed(percent: int) -> None:
    timeline = assumed_timeline(campaign(300), Assumptions(60, percent))
    retried = sum(len(task.attempts) > 1 for task in timeline.tasks)

    assert retried == 300 * percent // 100
    assert timeline.state is JobState.SUCCEEDED
