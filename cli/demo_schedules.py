"""`make demo-schedules`: schedules a sweep on the local stack and shows it before and after."""

import json
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from cli import tables
from cli.client import ApiClient, Document
from cli.demo_runner import DemoFailed, DemoOptions, DemoRunner, Keep, Port, WebPort, run_demo
from cli.local import clients, voters
from cli.local.emulator import HOME, ROOT
from jobyard.domain.schedules.schedule import ScheduleLabel
from jobyard.domain.schedules.wall_clock import WEEKDAYS

TITLE = "Expired Confidential Voter Status Sweep"
PARAMETERS = "examples/voters/sweep.json"
SUNDAYS = ("--kind", "weekly", "--weekdays", "sun", "--at", "02:00")
ID_FILE = HOME / "demo-schedule"  # the id of the latest demo's schedule
IN_MARCH = ("--anchor", "2027-03-01", "--from", "2027-03-01T00:00:00Z")
_POLL_S = 0.3
_LEAD_S = 4.0  # time for two commands before the run is due
_TIMEOUT_S = 120.0


def demo(
    keep: Keep = False,
    port: Port = None,
    web_port: WebPort = None,
) -> None:
    """Schedule a sweep of 5,000 made-up voters, run it, and show it before and after."""
    options = DemoOptions(
        keep,
        port,
        web_port,
        None,
        users=("admin",),
        commands=(
            ("jobyard schedule history ID", "list what happened at each scheduled time"),
            ("jobyard schedule list --system", "list the schedules that Jobyard itself runs"),
            ("jobyard lifecycle schedule", "show the states of a schedule"),
            ("jobyard schedule --help", "list all schedule commands"),
        ),
        document=("docs/schedules.md", "rules, clock changes, policies, limits"),
    )
    run_demo(
        options,
        tempfile.TemporaryDirectory(prefix="jobyard-demo-"),
        lambda sessions, running, console: _play(
            DemoRunner(console, Path(sessions), running.endpoint)
        ),
    )


def _play(runner: DemoRunner) -> str:
    api = runner.as_user("admin").api("")
    dynamodb = clients.client("dynamodb", runner.endpoint)

    runner.section("A table of 5,000 made-up voters")
    voters.fill_table(dynamodb, datetime.now(UTC))
    _show_counts(runner, dynamodb)

    runner.section("Preview when the sweep would run: clocks change on 14 March 2027")
    runner.run("admin", "schedule", "preview", *SUNDAYS, *IN_MARCH, "--count", "3")

    runner.section("An admin schedules it")
    delete_earlier(api, ID_FILE, runner.console)
    runner.show_command(
        "admin",
        f'jobyard schedule create --title "{TITLE}" --job-type sweep --parameters @{PARAMETERS} '
        f"{' '.join(SUNDAYS)}",
    )
    schedule_id = str(api.post("/schedules", schedule_document())["schedule_id"])
    ID_FILE.write_text(schedule_id)
    runner.console.print(f"schedule [bold]{schedule_id}[/]")

    runner.section("The list of schedules, and the new one before it has run")
    runner.run("admin", "schedule", "list")
    runner.run("admin", "schedule", "show", schedule_id)

    runner.section("Only admins may run it")
    runner.expect_refusal("operator", "schedule", "run", schedule_id, "--reason", "now, please")

    runner.section("Run it now, in addition to its regular runs")
    runner.run("admin", "schedule", "run", schedule_id, "--reason", "to show it")
    _wait_for_end(runner, api, schedule_id)

    runner.section("The list of schedules, and the new one after it has run")
    runner.run("admin", "schedule", "list")
    runner.run("admin", "schedule", "show", schedule_id)

    runner.section("The table now")
    _show_counts(runner, dynamodb)

    runner.section(
        "A run that is skipped because the schedule is suspended is recorded too, with the reason"
    )
    _skip_one(runner, schedule_id)
    return f"schedules/{schedule_id}"


def schedule_document() -> Document:
    """The schedule as a document of the API."""
    return {
        "title": TITLE,
        "job_type": "sweep",
        "rule": {"kind": "weekly", "weekdays": ["sun"], "at": "02:00"},
        "parameters": json.loads((ROOT / PARAMETERS).read_text()),
    }


def delete_earlier(api: ApiClient, id_file: Path, console: Console) -> None:
    """Delete the schedule whose id an earlier demo wrote to `id_file`, unless it has a running job.

    Other schedules with the same title stay: a user may have created them.
    """
    earlier = id_file.read_text() if id_file.exists() else ""
    for schedule in api.list_items("/schedules")["items"] if earlier else ():
        if schedule["schedule_id"] != earlier:
            continue
        if schedule["running_job_ids"]:
            console.print(
                f"[dim]schedule {earlier} of an earlier demo has a running job, so it is kept[/]"
            )
            continue
        api.delete(f"/schedules/{earlier}", reason="the demo starts again")
        console.print(f"[dim]schedule {earlier} of an earlier demo is deleted[/]")


def _skip_one(runner: DemoRunner, schedule_id: str) -> None:
    """Suspend the schedule while a run is due, then restore its rule."""
    due_at = datetime.now(voters.ZONE) + timedelta(seconds=_LEAD_S)
    at = ("--weekdays", WEEKDAYS[due_at.weekday()], "--at", f"{due_at:%H:%M:%S}")
    schedule = ("schedule", "edit", schedule_id)
    runner.run("admin", *schedule, *at, "--reason", "a time to watch")
    runner.run("admin", "schedule", "suspend", schedule_id, "--reason", "the table is being moved")
    time.sleep(max(0.0, (due_at - datetime.now(UTC)).total_seconds()) + _POLL_S)
    runner.run("admin", "schedule", "resume", schedule_id, "--reason", "the table is in place")
    runner.run("admin", "schedule", "history", schedule_id)
    runner.run("admin", *schedule, *SUNDAYS[2:], "--reason", "Sundays, as it was")


def _wait_for_end(runner: DemoRunner, api: ApiClient, schedule_id: str) -> None:
    """Wait until the job has ended. While it runs, list the schedules once.

    Raises:
        DemoFailed: the job failed or took too long.
    """
    was_shown, deadline = False, time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline:
        label = api.get(f"/schedules/{schedule_id}")["label"]
        if label == ScheduleLabel.COMPLETED:
            return
        if label != ScheduleLabel.IN_PROGRESS:
            raise DemoFailed(f"the sweep ended as {label}")
        if not was_shown:
            was_shown = True
            runner.run("admin", "schedule", "list")
        time.sleep(_POLL_S)
    raise DemoFailed("the sweep did not end in time")


def _show_counts(runner: DemoRunner, dynamodb: Any) -> None:
    """Show the number of voters by confidential status."""
    found: Counter[str] = Counter()
    for page in dynamodb.get_paginator("scan").paginate(TableName=voters.TABLE):
        for voter in page["Items"]:
            found[voter.get("confidential_status", {"S": "not confidential"})["S"]] += 1
    rows = [(status, f"{number:,}") for status, number in sorted(found.items())]
    runner.console.print(tables.table(("confidential status", "!voters"), rows))


if __name__ == "__main__":
    typer.run(demo)
