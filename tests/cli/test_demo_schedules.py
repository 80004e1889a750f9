"""What the demo of schedules does, as far as it needs no stack; and the stage of both demos."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from cli import demo_schedules
from cli.demo_schedules import IN_MARCH, PARAMETERS, SUNDAYS
from cli.local import voters
from cli.local.emulator import ROOT
from cli.stage import DemoFailed, Stage
from jobyard.domain.recurrence import preview, recurrence_of
from jobyard.jobtypes import TYPES


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A stage whose commands need no stack."""
    return Stage(Console(file=io.StringIO(), width=200), tmp_path, "http://127.0.0.1:1")


def said(stage: Stage) -> str:
    assert isinstance(stage.console.file, io.StringIO)
    return stage.console.file.getvalue()


def test_a_command_is_shown_as_one_would_type_it_and_run(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.run("admin", "schedule", "preview", *SUNDAYS, *IN_MARCH, "--count", "3")

    assert said(stage) == (
        "$ jobyard schedule preview --kind weekly --weekdays sun --at 02:00 --anchor 2027-03-01 "
        "--from 2027-03-01T00:00:00Z --count 3\n"
    )
    assert "Clocks go forward on 14 March 2027" in capsys.readouterr().out


def test_words_with_blanks_are_shown_in_quotes(stage: Stage) -> None:
    with pytest.raises(DemoFailed):
        stage.run("admin", "manifest", "check", "no such file")

    assert said(stage) == '$ jobyard manifest check "no such file"\n'


def test_a_command_that_should_be_refused_and_is_not_ends_the_demo(stage: Stage) -> None:
    with pytest.raises(DemoFailed, match="was not refused"):
        stage.refused("operator", "lifecycle", "schedule")


def test_the_schedule_is_one_that_the_job_type_takes() -> None:
    parameters = json.loads((ROOT / PARAMETERS).read_text())

    TYPES["sweep"].check(parameters)

    assert TYPES["sweep"].scheduled
    assert (parameters["table"], parameters["index"]) == (voters.TABLE, voters.INDEX)


def test_what_is_typed_is_what_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made = demo_schedules.wanted()
    typed = dict(zip(SUNDAYS[::2], SUNDAYS[1::2], strict=True))

    assert typed == {
        "--kind": made["rule"]["kind"],
        "--weekdays": ",".join(made["rule"]["weekdays"]),
        "--at": made["rule"]["at"],
    }
    rule = recurrence_of(made["rule"] | {"anchor": "2027-03-01"})
    shown = preview(rule, datetime(2027, 3, 1, tzinfo=UTC), 3)
    assert [bool(each.note) for each in shown] == [False, True, False]
