"""`jobyard local`: run the stack on this laptop."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import httpx
import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.text import Text

from cli import tables, terminal
from cli.local import clients, demo_stack, demo_users, deployment, emulator, mail, stack
from cli.local.emulator import HOME, PORT, WEB_PORT, Emulator
from jobyard.domain.errors import JobyardError

app = typer.Typer(help="Run the stack on this laptop.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]


@app.command()
def up(
    port: Annotated[
        int | None,
        typer.Option(
            help=f"Port on 127.0.0.1.  [default: {PORT}]", envvar="JOBYARD_PORT", min=1, max=65535
        ),
    ] = None,
    web_port: Annotated[
        int | None,
        typer.Option(
            help=f"Port on 127.0.0.1 for the pages and the API.  [default: {WEB_PORT}]",
            envvar="JOBYARD_WEB_PORT",
            min=1,
            max=65535,
        ),
    ] = None,
    files_port: Annotated[
        int | None,
        typer.Option(
            help="Port on 127.0.0.1 from which jobs may fetch files.  [default: the previous one, "
            f"{deployment.FILES_PORT} at first]",
            envvar="JOBYARD_FILES_PORT",
            min=1,
            max=65535,
        ),
    ] = None,
    iam: Annotated[bool, typer.Option(help="Enforce IAM policies, as AWS does.")] = False,
) -> None:
    """Start the emulator, deploy template.yaml to it, and create demo users and collections."""
    with _errors_as_text(), emulator.exclusive(HOME, _say):
        running = _running_or_started(port, web_port, iam=iam)
        deployed = demo_stack.deploy(running, files_port, _say)
        _show(running, deployed)


@app.command()
def down() -> None:
    """Stop the emulator and its workers. Its data is kept.

    Exits with 1 if the latest changes could not be saved.
    """
    with _errors_as_text():
        if not emulator.stop(HOME):
            terminal.console().print("the local stack is not running")
        elif error := emulator.save_error(HOME):
            raise emulator.EmulatorError(
                f"stopped, but its latest changes were not saved: {error}. "
                "Everything saved before that is kept."
            )
        else:
            terminal.console().print("stopped")


@app.command()
def status(as_json: Json = False) -> None:
    """Show the addresses of the API, buckets and state machines, and the demo users.

    Exits with 1 if the local stack is not running.
    """
    with _errors_as_text():
        running = emulator.running(HOME)
        if running is None:
            if as_json:
                terminal.print_json({"running": False})
            else:
                terminal.console().print(
                    "the local stack is not running: start it with [bold]jobyard local up[/]"
                )
            raise typer.Exit(1)
        deployed = stack.read(clients.client("cloudformation", running.endpoint), deployment.STACK)
        if as_json:
            terminal.print_json(_described(running, deployed))
        else:
            _show(running, deployed)


@app.command()
def reset() -> None:
    """Stop the emulator and delete all its data."""
    with _errors_as_text(), emulator.exclusive(HOME, _say):
        emulator.stop(HOME)
        emulator.delete_state(HOME)
    terminal.console().print("all data is deleted; [bold]jobyard local up[/] starts again")


@app.command("mail")
def mails(as_json: Json = False) -> None:
    """Show the mails that were sent, oldest first."""
    with _errors_as_text():
        found = mail.sent(_running().endpoint)
    if as_json:
        terminal.print_json([asdict(one) for one in found])
        return
    for one in found:
        terminal.console().rule(Text(one.subject, style="bold"), align="left")
        terminal.console().print(
            f"{one.at}  from {one.sender}  to {', '.join(one.to)}", style="dim", markup=False
        )
        terminal.console().print(one.text, markup=False, soft_wrap=True)
    terminal.console().print(f"{len(found)} sent")


@app.command()
def logs(
    function: Annotated[
        str, typer.Argument(help="Only of this function, such as Open or ExecuteChunk.")
    ] = "",
    minutes: Annotated[
        int, typer.Option(help="Only of the last N minutes.", min=1, max=10**6)
    ] = 10,
) -> None:
    """Show the logs of the functions, oldest first."""
    since_ms = int((time.time() - minutes * 60) * 1000)
    with _errors_as_text():
        rows = _log_lines(_running().endpoint, function, since_ms)
    console = terminal.console()
    for at_ms, name, message in rows:
        at = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
        console.print(f"{at} {name} {message}", markup=False, soft_wrap=True)


def _running_or_started(port: int | None, web_port: int | None, *, iam: bool) -> Emulator:
    running = emulator.running(HOME)
    if running is None:
        _say("starting the emulator")
        return emulator.start(HOME, port or PORT, web_port or WEB_PORT, iam=iam, say=_say)
    running = emulator.updated(running, web_port or WEB_PORT, _say)
    wanted = (port or running.port, web_port or running.web_port, iam)
    if wanted != (running.port, running.web_port, running.iam):
        raise emulator.EmulatorError(
            f"the emulator is already running, on ports {running.port} and {running.web_port} "
            f"{'with' if running.iam else 'without'} IAM: run `jobyard local down` first"
        )
    emulator.wait_until_ready(running, _say)
    return running


def _running() -> Emulator:
    running = emulator.running(HOME)
    if running is None:
        raise emulator.EmulatorError(
            "the local stack is not running: start it with `jobyard local up`"
        )
    return running


def _say(message: str) -> None:
    terminal.console().print(Text(message, style="dim"), soft_wrap=True)


@contextmanager
def _errors_as_text() -> Iterator[None]:
    """Print expected errors as text and exit with 1."""
    try:
        yield
    except JobyardError as error:
        message = str(error)
    except (ClientError, BotoCoreError, httpx.HTTPError) as error:
        message = (
            f"unexpected response from the emulator: {error}. It may have stopped; "
            f"its log is {HOME / emulator.LOG}. To recover, run `jobyard local down` "
            "and `jobyard local up`."
        )
    except OSError as error:
        message = f"the operating system refused: {error}"
    else:
        return
    terminal.print_error(message)
    raise typer.Exit(1)


def _described(running: Emulator, deployed: stack.Stack) -> dict[str, Any]:
    return {
        "running": True,
        "web_url": running.web_url,
        "endpoint": running.endpoint,
        "region": clients.REGION,
        "access_key_id": clients.KEY,
        "secret_access_key": clients.KEY,
        "files_port": deployment.files_port(running.endpoint),
        "iam": running.iam,
        "pid": running.pid,
        "log": str(running.log),
        **asdict(deployed),
        "people": [asdict(user) for user in demo_users.DEMO_USERS],
    }


def _show(running: Emulator, deployed: stack.Stack) -> None:
    rows = {
        "web": f"{running.web_url}/",
        "API": f"{deployed.api_url}/api/docs",
        "AWS endpoint": f"{running.endpoint}  (region {clients.REGION}, keys {clients.KEY})",
        "files": f"http://{emulator.HOST}:{deployment.files_port(running.endpoint)}/"
        "  (jobs may fetch files from here)",
        "intake": f"s3://{deployed.intake_bucket}/manifests/COLLECTION/",
        "work": f"s3://{deployed.work_bucket}",
        "archive": f"s3://{deployed.archive_bucket}",
        "machines": f"{deployed.batch_machine}\n{deployed.job_machine}",
        "people": f"{', '.join(user.username for user in demo_users.DEMO_USERS)}"
        f"  (password {demo_users.PASSWORD})",
        "log": str(running.log),
    }
    terminal.console().print(tables.key_values(rows.items()))


def _log_lines(endpoint: str, function: str, since_ms: int) -> list[tuple[int, str, str]]:
    """(milliseconds, function, message) of each log line, sorted by time; the sort is stable."""
    resources = clients.client("cloudformation", endpoint).describe_stack_resources(
        StackName=deployment.STACK
    )["StackResources"]
    groups = {
        row["LogicalResourceId"].removesuffix("Logs"): row["PhysicalResourceId"]
        for row in resources
        if row["ResourceType"] == "AWS::Logs::LogGroup"
    }
    if function and function not in groups:
        raise typer.BadParameter(
            f"{function!r} is not one of {', '.join(sorted(groups))}",
            param_hint="FUNCTION",
        )
    found = []
    pages = clients.client("logs", endpoint).get_paginator("filter_log_events")
    for name in [function] if function else sorted(groups):
        events = [
            event
            for page in pages.paginate(logGroupName=groups[name], startTime=since_ms)
            for event in page["events"]
        ]
        lines = [(int(event["timestamp"]), event["message"].rstrip()) for event in events]
        found += [(at_ms, name, message) for at_ms, message in logged_times(lines)]
    return sorted(found, key=lambda line: line[0])


def logged_times(lines: Sequence[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Log lines with the timestamps in their JSON, where they have one.

    The emulator stamps all lines with the end of the invocation. A START line takes the timestamp
    of the line after it.
    """
    times = [_logged_time(message) for _, message in lines]
    for number, (at_ms, message) in enumerate(lines):
        logged_at = times[number]
        if logged_at is None and message.startswith("START ") and number + 1 < len(lines):
            logged_at = times[number + 1]
        yield logged_at or at_ms, message


def _logged_time(message: str) -> int | None:
    try:
        logged_at = datetime.strptime(json.loads(message)["timestamp"], "%Y-%m-%d %H:%M:%S,%f%z")
    except (ValueError, TypeError, LookupError):
        return None
    return int(logged_at.timestamp() * 1000)
