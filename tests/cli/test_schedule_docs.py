"""docs/schedules.md says what the code does."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli import rules
from cli.schedules import MAX_PREVIEW
from jobyard.domain.compaction import KEPT_FIRST, KEPT_LAST
from jobyard.domain.errors import InvalidRule
from jobyard.domain.jobs.job import JobState
from jobyard.domain.schedules import calendar
from jobyard.domain.schedules.calendar import calendar_of
from jobyard.domain.schedules.next_runs import MAX_REFUSED_IN_A_ROW, preview
from jobyard.domain.schedules.occurrence import SkipReason, Trigger, Verdict
from jobyard.domain.schedules.planning import GRACE_PERIOD, MAX_OCCURRENCES
from jobyard.domain.schedules.recurrence import Gap, Kind, Repeated
from jobyard.domain.schedules.rule_parsing import MAX_EVERY, MAX_TIMES, recurrence_of
from jobyard.domain.schedules.schedule import (
    MAX_ACTIVE_RUNS,
    MAX_HISTORY_BYTES,
    CatchUp,
    LatestRun,
    MissedPolicy,
    OverlapPolicy,
    Policy,
    Schedule,
    ScheduleState,
)
from jobyard.services.schedules.commands import MAX_PARAMETER_BYTES
from tests.cli.fake_api import Run

PAGE = (Path(__file__).parents[2] / "docs" / "schedules.md").read_text()
EXAMPLES = re.findall(
    r"^\| `(\{.*?\})` \| (.*) \|$", PAGE.split("<!-- examples")[1], flags=re.MULTILINE
)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(("rule", "runs"), EXAMPLES)
def test_the_examples_run_when_the_page_says(rule: str, runs: str) -> None:
    found = preview(recurrence_of(json.loads(rule)), datetime(2026, 1, 1, tzinfo=UTC), 3)

    assert [each.local.strftime("%a %Y-%m-%d %H:%M %Z") for each in found] == runs.split(", ")


def test_there_is_an_example_of_every_rule_kind() -> None:
    assert {json.loads(rule)["kind"] for rule, _ in EXAMPLES} == set(Kind)


def test_the_page_has_every_reason_for_a_skip_as_the_code_has_it() -> None:
    listed = PAGE.split("<!-- skips")[1].split("-->\n", 1)[1].split("<!-- /skips")[0]

    rows = [
        f"| {skip.value} | {skip.description} | {'yes ' if skip.needs_attention else ''}|"
        for skip in SkipReason
    ]
    assert listed.splitlines()[2:] == rows


@pytest.mark.parametrize(
    "words", [MissedPolicy, OverlapPolicy, Gap, Repeated], ids=lambda each: each.__name__
)
def test_the_page_has_a_row_for_every_value_of_the_settings(words: type[OverlapPolicy]) -> None:
    assert [word for word in words if f"\n| `{word}`" not in PAGE] == []


def test_the_page_names_every_trigger_verdict_and_state() -> None:
    words = [*Trigger, *Verdict, *ScheduleState]

    assert [word for word in words if f"`{word}`" not in PAGE] == []


def test_the_default_settings_are_marked() -> None:
    assert f"| `{Policy().catch_up.runs}` (the default)" in PAGE
    assert f"| `{Policy().overlap}` (the default)" in PAGE
    assert f"the newest `limit` ({CatchUp().limit})" in PAGE
    assert f"`max_age_h` hours ({CatchUp().max_age_h})" in PAGE


def test_the_rule_has_the_fields_and_bounds_that_the_page_lists() -> None:
    fields = re.findall(r"^\| `(\w+)` \| `(--[a-z]+)` \|", PAGE, flags=re.MULTILINE)
    with pytest.raises(InvalidRule) as refused:
        recurrence_of({"nonsense": 1})

    assert [name for name, _ in fields if name not in str(refused.value)] == []
    assert [
        name for name, flag in fields if list(rules.rule_fields({flag[2:]: "1"})) != [name]
    ] == []
    every = re.search(
        r"hours \(up to (\d+)\), days \((\d+)\), weeks \((\d+)\) or months \((\d+)\)", PAGE
    )
    assert every is not None
    kinds = (Kind(word) for word in ("hourly", "daily", "weekly", "monthly"))
    assert [int(each) for each in every.groups()] == [MAX_EVERY[kind] for kind in kinds]


def test_the_limits_are_those_of_the_code() -> None:
    minutes = GRACE_PERIOD.total_seconds() / 60

    assert f"within {minutes:.0f} minutes of its time is in time" in PAGE
    assert f"| {MAX_ACTIVE_RUNS}, with `allow` |" in PAGE
    assert f"| occurrences decided in one write | {MAX_OCCURRENCES} |" in PAGE
    assert (
        f"the first {KEPT_FIRST} and the last {KEPT_LAST}, in {MAX_HISTORY_BYTES // 1024} KB |"
        in PAGE
    )
    assert f"| parameters | {MAX_PARAMETER_BYTES // 1024} KB of JSON |" in PAGE
    assert f"| {calendar.MAX_EXCLUDED:,} excluded dates or ranges" in PAGE
    assert f"ranges, {calendar.MAX_WINDOWS} windows |" in PAGE
    assert f"up to {MAX_TIMES:,} |" in PAGE
    assert f"| a preview | 1,000, on the command line {MAX_PREVIEW:,} |" in PAGE
    assert f"| times in a row that a calendar excludes | {MAX_REFUSED_IN_A_ROW:,} |" in PAGE


def test_the_calendar_of_the_page_is_valid() -> None:
    (example,) = [
        block for block in re.findall(r"```\n(.*?)```", PAGE, re.DOTALL) if '"exclude"' in block
    ]

    found = calendar_of(json.loads(example))

    assert found.refusal(datetime(2026, 11, 27, 4, tzinfo=UTC), "America/Los_Angeles")
    assert not found.refusal(datetime(2026, 11, 25, 4, tzinfo=UTC), "America/Los_Angeles")


@pytest.mark.parametrize(
    ("latest", "word"),
    [
        (None, "Idle"),
        *(
            (state, "Completed" if state is JobState.SUCCEEDED else "Failed")
            for state in (
                JobState.SUCCEEDED,
                JobState.FAILED,
                JobState.CANCELLED,
                JobState.REPLACED,
                JobState.DELETED,
            )
        ),
    ],
)
def test_the_four_labels_are_those_of_the_page(latest: JobState | None, word: str) -> None:
    schedule = Schedule(
        schedule_id="s",
        state=ScheduleState.ACTIVE,
        version=1,
        title="",
        job_type="sweep",
        rule=recurrence_of({"kind": "daily", "at": "09:00", "anchor": "2026-11-25"}),
        policy=Policy(),
        owner="admin",
        created_at=NOON,
        latest=latest and LatestRun(NOON, NOON, latest, NOON),
    )

    assert schedule.label == word
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| {word} |")]
    assert latest in (None, JobState.SUCCEEDED) or latest.value in row


def test_the_preview_on_the_page_is_what_the_command_prints(run: Run) -> None:
    shown = PAGE.split("The first command prints\n\n```\n")[1].split("```")[0]
    words = PAGE.split("jobyard ")[1].splitlines()[0].split()

    printed = run(*words).output

    assert [line.rstrip() for line in printed.splitlines()] == shown.splitlines()
