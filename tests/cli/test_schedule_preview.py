"""`jobyard schedule preview`, which needs no stack."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jobyard.domain.schedules.rule_parsing import recurrence_of
from tests.cli.fake_api import FakeApi, Run
from tests.cli.test_calendars import calendar

WEEKLY = {
    "kind": "weekly",
    "every": 2,
    "weekdays": ["mon", "wed"],
    "at": "09:00",
    "zone": "America/Los_Angeles",
    "anchor": "2026-11-25",
}
BEFORE = "2026-11-22T00:00:00Z"
ONCE = json.dumps({"kind": "once", "at": "09:00", "anchor": "2020-01-01"})


def previewed(run: Run, *words: str) -> Any:
    """The JSON output of a preview."""
    result = run("schedule", "preview", *words, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_a_preview_is_a_list_of_the_next_occurrences(run: Run, api: FakeApi) -> None:
    found = previewed(run, "--rule", json.dumps(WEEKLY), "--count", "2", "--from", BEFORE)

    assert found == [
        {"utc": "2026-11-25T17:00:00Z", "local": "2026-11-25T09:00:00-08:00", "note": ""},
        {"utc": "2026-12-07T17:00:00Z", "local": "2026-12-07T09:00:00-08:00", "note": ""},
    ]
    assert api.requests == []


def test_an_occurrence_at_the_instant_itself_is_the_first(run: Run) -> None:
    words = ("--rule", json.dumps(WEEKLY), "--count", "1", "--from")

    assert previewed(run, *words, "2026-12-07T17:00:00Z")[0]["utc"] == "2026-12-07T17:00:00Z"
    assert previewed(run, *words, "2026-12-07T09:00:01-08:00")[0]["utc"] == "2026-12-09T17:00:00Z"


def test_a_day_on_which_clocks_change_has_a_note(run: Run) -> None:
    rule = json.dumps({"kind": "daily", "at": "02:30", "anchor": "2027-03-13"})

    found = previewed(run, "--rule", rule, "--count", "3", "--from", BEFORE)

    assert [bool(each["note"]) for each in found] == [False, True, False]
    assert found[1]["utc"] == "2027-03-14T10:00:00Z"
    assert found[1]["local"] == "2027-03-14T03:00:00-07:00"


@pytest.mark.parametrize(
    ("flags", "rule"),
    [
        (
            "--kind weekly --every 2 --weekdays mon,wed --at 09:00 --anchor 2026-11-25 "
            "--zone America/Los_Angeles",
            WEEKLY,
        ),
        (
            "--kind monthly --day last --anchor 2026-11-25T09:00 --end 2027-11-25 --times 5",
            {
                "kind": "monthly",
                "day": "last",
                "anchor": "2026-11-25T09:00",
                "end": "2027-11-25",
                "count": 5,
            },
        ),
        (
            "--kind monthly --day 31 --at 02:30 --anchor 2026-11-25 --dst skip,twice",
            {
                "kind": "monthly",
                "day": 31,
                "at": "02:30",
                "anchor": "2026-11-25",
                "dst": ["skip", "twice"],
            },
        ),
    ],
)
def test_options_give_the_same_rule_as_json(flags: str, rule: dict[str, Any], run: Run) -> None:
    same = previewed(run, "--rule", json.dumps(rule), "--from", BEFORE)

    assert previewed(run, *flags.split(), "--from", BEFORE) == same
    assert len(same) == rule.get("count", 10)


def test_without_an_anchor_a_rule_starts_on_the_day_of_the_instant(run: Run) -> None:
    flags = ("--kind", "daily", "--every", "2", "--at", "09:00", "--from", BEFORE, "--count", "2")

    found = previewed(run, *flags)

    # In Los Angeles it is the afternoon of the 21st: that is the anchor, and its time is past.
    assert [each["local"][:10] for each in found] == ["2026-11-23", "2026-11-25"]


def test_a_preview_starts_now_by_default(run: Run) -> None:
    before = datetime.now(UTC)

    found = previewed(run, "--kind", "hourly", "--anchor", "2020-01-01T00:00", "--count", "1")

    rule = recurrence_of({"kind": "hourly", "anchor": "2020-01-01T00:00"})
    shown = datetime.fromisoformat(found[0]["utc"])
    assert shown in (rule.first_from(before), rule.first_from(datetime.now(UTC)))


def test_a_preview_leaves_out_what_a_calendar_excludes(run: Run) -> None:
    calendar = json.dumps({"name": "holidays", "exclude": ["2026-12-07"]})
    words = ("--rule", json.dumps(WEEKLY), "--from", BEFORE, "--count", "2")

    found = previewed(run, *words, "--calendar", calendar)

    assert [each["local"][:10] for each in found] == ["2026-11-25", "2026-12-09"]
    shown = run("schedule", "preview", *words, "--calendar", calendar).stdout
    assert "except where calendar holidays excludes it" in shown


def test_a_preview_takes_the_calendar_that_the_command_for_it_prints(
    run: Run, api: FakeApi, tmp_path: Path
) -> None:
    kept = calendar(exclude=["2026-12-07"], include=[])
    api.answers("GET /calendars/holidays", kept)
    file = tmp_path / "holidays.json"
    file.write_text(run("calendar", "show", "holidays", "--json").stdout)
    words = ("--rule", json.dumps(WEEKLY), "--from", BEFORE, "--count", "2", "--calendar")

    found = previewed(run, *words, f"@{file}")

    assert [each["local"][:10] for each in found] == ["2026-11-25", "2026-12-09"]
    assert previewed(run, *words, file.read_text()) == found


def test_a_preview_names_a_calendar_that_excludes_every_occurrence(run: Run) -> None:
    never = json.dumps({"name": "moon", "exclude": [{"from": "2026-01-01", "to": "2090-01-01"}]})
    rule = json.dumps({"kind": "once", "at": "09:00", "anchor": "2030-01-01"})

    shown = run("schedule", "preview", "--rule", rule, "--calendar", never).stdout
    over = run("schedule", "preview", "--rule", ONCE, "--calendar", never).stdout

    assert "Calendar moon excludes all occurrences." in shown
    assert "The rule has no more occurrences." in over


def test_a_rule_that_ends_gives_a_shorter_list(run: Run) -> None:
    ending = json.dumps(WEEKLY | {"count": 3})

    assert len(previewed(run, "--rule", ending, "--from", BEFORE)) == 3
    assert previewed(run, "--rule", ONCE) == []
    assert "has no more occurrences" in run("schedule", "preview", "--rule", ONCE).stdout


def test_a_preview_prints_the_rule_and_every_occurrence(run: Run) -> None:
    rule = json.dumps({"kind": "daily", "at": "02:30", "anchor": "2027-03-13"})

    shown = run("schedule", "preview", "--rule", rule, "--from", BEFORE, "--count", "2").stdout

    assert "Every day at 02:30 (America/Los_Angeles), from 13 March 2027" in shown
    assert "Sat 2027-03-13 02:30:00 PST  2027-03-13T10:30:00Z" in shown
    assert "02:30 does not exist then, so it runs at 03:00" in shown


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "give a rule"),
        (("--rule", "{"), 2, "this is not JSON"),
        (("--rule", "[" * 100_000), 2, "this is not JSON"),
        (("--rule", ONCE, "--kind", "daily"), 2, "not both"),
        (("--rule", ONCE, "--count", "0"), 2, "--count"),
        (("--rule", ONCE, "--count", "100001"), 2, "--count"),
        (("--rule", ONCE, "--from", "2026-11-25T09:00"), 2, "is not an instant"),
        (("--rule", ONCE, "--from", "0001-01-01T00:00+14:00"), 2, "is not an instant"),
        (("--rule", ONCE, "--calendar", "holidays"), 2, "jobyard calendar show NAME"),
        (("--rule", ONCE, "--calendar", "{"), 2, "this is not JSON"),
        (("--rule", ONCE, "--calendar", "@/no/file"), 2, "/no/file does not exist"),
        (("--rule", ONCE, "--calendar", "{}"), 1, "name: up to 64"),
        (("--rule", '"daily"'), 1, "rule: a JSON object"),
        (("--kind", "yearly"), 1, "kind: one of once, hourly"),
        (("--kind", "daily"), 1, "at: missing"),
        (("--kind", "daily", "--at", "09:00", "--every", "0"), 2, "whole number of at least 1"),
        (("--kind", "daily", "--at", "09:00", "--every", "999"), 1, "every: a whole number"),
        (("--kind", "daily", "--at", "09:00", "--times", "0"), 2, "whole number of at least 1"),
        (("--rule", "@nothing-there"), 2, "nothing-there does not exist"),
        (("--rule", "@/"), 2, "'/' cannot be read: Is a directory"),
        (("--kind", "monthly", "--at", "09:00", "--day", "32"), 1, "day: a whole number"),
        (("--kind", "weekly", "--at", "09:00", "--weekdays", "Monday"), 1, "weekdays: a list"),
    ],
)
def test_errors_of_a_preview_go_to_standard_error(
    words: tuple[str, ...], code: int, message: str, run: Run
) -> None:
    result = run("schedule", "preview", *words, "--json")

    assert result.exit_code == code
    assert message in " ".join(result.stderr.split())
    assert result.stdout == ""


def test_a_rule_may_be_read_from_a_file(run: Run, tmp_path: Path) -> None:
    rule = {"kind": "once", "anchor": "2026-12-01T14:30"}
    (tmp_path / "rule.json").write_text(json.dumps(rule))

    found = previewed(run, "--rule", f"@{tmp_path}/rule.json", "--from", BEFORE)

    assert found == previewed(run, "--rule", json.dumps(rule), "--from", BEFORE)
