"""Bars, steps, timelines, rates and calendars: each says in its title what it shows."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from markupsafe import Markup

from jobyard.domain.jobs.job import SUMMARY_CODE, Attempt, StepRecord, StepStatus
from jobyard.domain.schedules.year import YearDay
from web.filters import duration
from web.pictures.bar import bar
from web.pictures.rates import Rate, rates
from web.pictures.steps import step_diagram
from web.pictures.timeline import MAX_ROWS, timeline
from web.pictures.year import year

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOSTILE = '<script>alert("&")</script>'
STEPS = (
    StepRecord("fetch", StepStatus.COMPLETED, NOON, NOON + 63 * SECOND, HOSTILE),
    StepRecord("verify", StepStatus.FAILED, NOON, NOON + 4 * SECOND),
)
FAILED = Attempt(NOON + 60 * SECOND, NOON + 70 * SECOND, "fetch", "PAYLOAD_BUSY", "later")
RUNNING = Attempt(NOON + 100 * SECOND, None)


def local(at: datetime) -> str:
    return f"{at:%H:%M:%S} UTC"


def title(picture: Markup) -> str:
    """The first title of a picture."""
    found = re.search(r"<title>(.*?)</title>", picture)
    assert found
    return found[1]


PICTURES: dict[str, Callable[[], Markup]] = {
    "bar": lambda: bar({"succeeded": 3, "failed": 1}),
    "empty bar": lambda: bar({}),
    "steps": lambda: step_diagram(("fetch", "verify", HOSTILE), STEPS, "verify"),
    "timeline": lambda: timeline(((1, FAILED), (2, RUNNING)), NOON, NOON + 200 * SECOND, local),
    "rates": lambda: rates([Rate(NOON + n * SECOND, n, 2, 0, HOSTILE) for n in range(9)], local),
    "year": lambda: year(2027, {date(2027, 3, 14): YearDay(1, 1, HOSTILE, "clocks go forward")}),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_well_formed_and_escapes_what_it_shows(name: str) -> None:
    picture = PICTURES[name]()

    ElementTree.fromstring(f"<div>{picture}</div>")
    assert 'role="img"' in picture
    assert title(picture)
    assert "<script" not in picture
    assert "style=" not in picture


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.25, "250 ms"), (-1, "0 ms"), (59, "59 s"), (60, "1 min"), (7500, "2 h 5 min")],
)
def test_a_length_has_at_most_two_units(seconds: float, words: str) -> None:
    assert duration(timedelta(seconds=seconds)) == words


def test_a_bar_shows_counts_in_order_and_leaves_out_zeros_and_the_total() -> None:
    counts = {"total": 1_204, "scheduled": 4, "succeeded": 1_200, "held": 0}

    picture = bar(counts, {"succeeded": "Delivered"})

    assert title(picture) == "1,200 delivered, 4 scheduled"
    assert re.findall(r'class="s-(\w+)"', picture) == ["succeeded", "scheduled"]


def test_few_jobs_are_seen_in_a_bar_and_its_parts_add_up() -> None:
    picture = bar({"succeeded": 1_000_000, "failed": 1, "running": 2})

    found = re.findall(r'class="s-\w+" x="[\d.]+%" width="([\d.]+)%', picture)
    widths = [float(each) for each in found]
    assert min(widths) >= 1
    assert sum(widths) == pytest.approx(100)


def test_the_steps_are_shown_each_with_its_status_and_the_resume_point() -> None:
    picture = step_diagram(("fetch", "verify", "store"), STEPS, "verify")

    assert title(picture) == (
        "Steps: fetch completed · 1 min 3 s; verify failed · 4 s, a requeue starts here; "
        "store pending"
    )
    assert "A requeue starts here." in picture


def test_a_running_step_shows_its_progress() -> None:
    running = StepRecord("upload", StepStatus.RUNNING, NOON, percent=42)

    assert title(step_diagram(["upload"], [running])) == "Steps: upload running · 42 %"


def test_a_skipped_step_took_no_time() -> None:
    skipped = StepRecord("fetch", StepStatus.SKIPPED, NOON, NOON)

    assert title(step_diagram(("fetch",), [skipped])) == "Steps: fetch skipped"


def test_a_timeline_tells_waiting_from_working() -> None:
    picture = timeline(((1, FAILED), (2, RUNNING)), NOON, NOON + 200 * SECOND, local)

    assert title(picture) == "2 attempts: worked 1 min 50 s, waited 1 min 30 s"
    assert 'class="s-failed" x="30.00%"' in picture
    assert 'class="s-running" x="50.00%"' in picture
    assert "12:00:00 UTC" in picture


def test_a_timeline_of_a_job_that_has_not_started_has_only_its_axis() -> None:
    picture = timeline((), NOON, NOON, local)

    assert title(picture) == "0 attempts: worked 0 ms"
    assert "Attempt" not in picture


def test_a_timeline_keeps_the_first_and_the_last_of_many_attempts() -> None:
    many = [
        (n, Attempt(NOON + n * SECOND, NOON + n * SECOND + SECOND / 2, "", "TIMEOUT"))
        for n in range(1, 41)
    ]
    more = Attempt(NOON, NOON + SECOND, "", SUMMARY_CODE, "37 attempts", {"TIMEOUT": 37})
    alike = Attempt(NOON, NOON + 59 * SECOND, "reach", "DEVICE_OFFLINE", times=12)
    last = Attempt(NOON + 59 * SECOND, NOON + 60 * SECOND)

    picture = timeline(
        (*many, (41, more), (78, alike), (90, last)), NOON, NOON + 60 * SECOND, local
    )

    assert picture.count("<tspan") == 2 * MAX_ROWS
    assert "Attempt 1<" in picture
    assert "37 attempts<" in picture
    assert "12 attempts<" in picture
    assert "over 59 s" in picture
    assert "Attempt 90<" in picture  # its number among all
    assert title(picture) == "90 attempts: over 1 min"


def test_rates_have_round_numbers_at_their_axis_and_mark_deployments() -> None:
    points = [
        Rate(NOON + n * SECOND, 3 * n, 100, 1, "0.2.0+8f5a6a2e" if n == 30 else "")
        for n in range(61)
    ]

    picture = rates(points, local)

    assert ">200</text>" in picture
    assert picture.count('class="deploy"') == 1
    assert 'd="M500.0 0v1000"' in picture
    assert title(picture).endswith(
        "180 started, 100 finished, 1 failed; 0.2.0+8f5a6a2e deployed 12:00:30 UTC"
    )


def test_one_rate_is_no_picture() -> None:
    assert rates([Rate(NOON, 1, 1, 0)], local) == ""


def test_a_year_of_daily_runs_has_at_most_50_kilobytes() -> None:
    days = {date(2027, 1, 1) + timedelta(days=n): YearDay(runs=1) for n in range(365)}

    assert len(year(2027, days).encode()) <= 50_000


def test_a_year_marks_runs_skipped_days_and_clock_changes() -> None:
    days = {
        date(2027, 3, 14): YearDay(runs=2, note="clocks go forward"),
        date(2027, 3, 15): YearDay(skipped=1, reason="calendar"),
        **{date(2027, 3, day): YearDay(runs=1) for day in (1, 2, 3, 8)},
    }

    picture = year(2027, days, today=date(2027, 3, 1))

    words = "a run on 1 to 3, 8; on 14 2 runs, clocks go forward; on 15 1 skipped (calendar)"
    assert f"March 2027: {words}</title>" in picture
    assert "April 2027: no runs" in picture
    assert picture.count('class="change"') == picture.count('class="skip-mark"') == 1
    assert picture.count("today") == 1
    assert picture.count("<text") - 12 * 8 == 365
