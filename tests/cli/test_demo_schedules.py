"""The parts of the schedules demo that need no stack, and the runner of both demos."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from cli import demo_schedules
from cli.context import CliContext
from cli.demo_runner import DemoFailed, DemoRunner
from cli.demo_schedules import IN_MARCH, PARAMETERS, SUNDAYS
from cli.local import voters
from cli.local.emulator import ROOT
from jobyard.domain.ids import Origin
from jobyard.domain.schedules.next_runs import preview
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.jobtypes import TYPES
from tests.cli.fake_api import FakeApi


@pytest.fixture
def runner(tmp_path: Path) -> DemoRunner:
    """A runner for commands that need no stack."""
    return DemoRunner(Console(file=io.StringIO(), width=200), tmp_path, "http://127.0.0.1:1")


def output_of(runner: DemoRunner) -> str:
    assert isinstance(runner.console.file, io.StringIO)
    return runner.console.file.getvalue()


def test_a_command_is_shown_as_one_would_type_it_and_run(
    runner: DemoRunner, capsys: pytest.CaptureFixture[str]
) -> None:
    runner.run("admin", "schedule", "preview", *SUNDAYS, *IN_MARCH, "--count", "3")

    assert output_of(runner) == (
        "admin $ jobyard schedule preview --kind weekly --weekdays sun --at 02:00 "
        "--anchor 2027-03-01 --from 2027-03-01T00:00:00Z --count 3\n"
    )
    assert "Clocks go forward on 14 March 2027" in capsys.readouterr().out


def test_arguments_with_blanks_are_shown_in_quotes(runner: DemoRunner) -> None:
    with pytest.raises(DemoFailed):
        runner.run("admin", "manifest", "check", "no such file")

    with pytest.raises(DemoFailed):
        runner.run("admin", "manifest", "check", '{"no": "file"}')

    assert output_of(runner) == (
        'admin $ jobyard manifest check "no such file"\n'
        """admin $ jobyard manifest check '{"no": "file"}'\n"""
    )


def test_a_command_that_should_fail_but_succeeds_ends_the_demo(runner: DemoRunner) -> None:
    with pytest.raises(DemoFailed, match="was not refused"):
        runner.expect_refusal("operator", "lifecycle", "schedule")


def test_the_schedule_is_one_that_the_job_type_takes() -> None:
    parameters = json.loads((ROOT / PARAMETERS).read_text())

    TYPES["sweep"].check_parameters(parameters)

    assert Origin.SCHEDULE in TYPES["sweep"].origins
    assert (parameters["table"], parameters["index"]) == (voters.TABLE, voters.INDEX)


def test_the_schedule_that_the_demo_shows_is_the_one_it_creates() -> None:
    made = demo_schedules.schedule_document()
    typed = dict(zip(SUNDAYS[::2], SUNDAYS[1::2], strict=True))

    assert typed == {
        "--kind": made["rule"]["kind"],
        "--weekdays": ",".join(made["rule"]["weekdays"]),
        "--at": made["rule"]["at"],
    }
    rule = recurrence_of(made["rule"] | {"anchor": "2027-03-01"})
    shown = preview(rule, datetime(2027, 3, 1, tzinfo=UTC), 3)
    assert [bool(each.note) for each in shown] == [False, True, False]


@pytest.mark.parametrize(
    ("noted", "running", "deleted"),
    [("s2", [], ["s2"]), ("s2", ["s2.0.1"], []), ("s9", [], []), (None, [], [])],
)
def test_the_demo_deletes_only_the_schedule_of_an_earlier_demo(
    noted: str | None,
    running: list[str],
    deleted: list[str],
    runner: DemoRunner,
    cli_context: CliContext,
    api: FakeApi,
    tmp_path: Path,
) -> None:
    made = tmp_path / "demo-schedule"
    if noted:
        made.write_text(noted)
    same = {"title": demo_schedules.TITLE, "running_job_ids": running}
    items = [{"schedule_id": each, **same} for each in ("s1", "s2", "s3")]
    api.answers("GET /schedules", {"items": items, "next_cursor": None})
    api.answers("DELETE /schedules/s2", {})

    demo_schedules.delete_earlier(cli_context.api(""), made, runner.console)

    gone = [each.url.path for each in api.requests if each.method == "DELETE"]
    assert gone == [f"/api/schedules/{each}" for each in deleted]
    assert [each for each in ("s1", "s2", "s3") if f"{each} of" in output_of(runner)] == (
        ["s2"] if noted == "s2" else []
    )
