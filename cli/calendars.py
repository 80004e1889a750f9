"""`jobyard calendar`: manage the named calendars that schedules follow."""

import re
from contextlib import suppress
from typing import Annotated, Any

import typer

from cli import options, tables, terminal
from cli.client import ApiClient, ApiError, Document
from cli.options import Json, Reason, StackName
from cli.show import Rows, section, show_list
from cli.terminal import local_time
from jobyard.domain.schedules.calendar import Calendar, calendar_of

app = typer.Typer(no_args_is_help=True, help="Manage the calendars that schedules follow.")

Name = Annotated[str, typer.Argument(parser=options.calendar_name, metavar="NAME")]
Version = Annotated[
    int | None,
    typer.Option(
        parser=options.whole_number(),
        metavar="N",
        help="Only if this is still the calendar's version.",
    ),
]
_NOT_SETTINGS = {"version", "history", "links"}  # fields of the API's document only
_WINDOW = re.compile(r"(?:(?P<days>[a-z,]+)\b ?)?(?:(?P<since>[\d:]+)-(?P<until>[\d:]+))?")


@app.callback()
def calendar() -> None:
    """Manage the calendars that schedules follow."""


@app.command("list")
def list_all(ctx: typer.Context, stack: StackName = "", as_json: Json = False) -> None:
    """List all calendars."""
    found = ctx.obj.api(stack).get("/calendars")
    rows: Rows = [
        (each["name"], each["title"], _excluded(each), _windows(each), str(each["version"]))
        for each in found["items"]
    ]
    columns = ("!calendar", "title", "excludes", "includes only", "!version")
    show_list(found, columns, rows, "calendar", as_json=as_json)


@app.command()
def show(ctx: typer.Context, name: Name, stack: StackName = "", as_json: Json = False) -> None:
    """Show a calendar and its history."""
    found = ctx.obj.api(stack).get(f"/calendars/{name}")
    if as_json:
        terminal.print_json(found)
        return
    _show(found)
    changes: Rows = [
        (local_time(each["at"]), each["event"], each["actor"], each["reason"])
        for each in found["history"]
    ]
    section("History", ("!at", "!event", "by", "reason"), changes)


@app.command()
def put(
    ctx: typer.Context,
    name: Name,
    reason: Reason,
    title: Annotated[str, typer.Option(help="A title, for people.")] = "",
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DATE", help="Days without runs: 2026-12-25, or 2026-12-28..2027-01-01."
        ),
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WINDOW",
            help="Run only in this window: 'mon,tue 22:00-04:00', 'sat,sun' or '22:00-04:00'.",
        ),
    ] = None,
    version: Version = None,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Create or replace a calendar. --exclude and --include may be repeated."""
    body: Document = {
        "title": title,
        "exclude": [_dates(text) for text in exclude or ()],
        "include": [_window(text) for text in include or ()],
    }
    calendar_of({"name": name, **body})  # refuse before sending
    seen = {} if version is None else {"version": version}
    api: ApiClient = ctx.obj.api(stack)
    before: Document = {}
    if not as_json:
        with suppress(ApiError):  # it may not exist yet
            before = api.get(f"/calendars/{name}")
    found = api.put(f"/calendars/{name}", {"reason": reason, **body, **seen})
    if as_json:
        terminal.print_json(found)
        return
    _show(found)
    if not (found["exclude"] or found["include"]):
        terminal.console().print("the calendar excludes nothing")
    if before and _settings(before) != _settings(found):
        console = terminal.console()
        console.print("\n[bold underline]Before[/]")
        console.print(tables.key_values(_settings(before)))


@app.command()
def delete(
    ctx: typer.Context,
    name: Name,
    reason: Reason,
    version: Version = None,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Delete a calendar that no schedule uses."""
    deleted = ctx.obj.api(stack).delete(f"/calendars/{name}", reason=reason, version=version)
    if as_json:
        terminal.print_json(deleted)
    else:
        terminal.console().print(f"calendar {name} is deleted", markup=False)


def _show(found: Document) -> None:
    terminal.console().print(
        tables.key_values(
            (
                ("calendar", found["name"]),
                *_settings(found),
                ("version", str(found["version"])),
            )
        )
    )


def _settings(found: Document) -> tuple[tuple[str, str], ...]:
    """The settings of a calendar as labelled text."""
    return (
        ("title", found["title"]),
        ("excludes", _excluded(found)),
        ("includes only", _windows(found)),
    )


def _dates(text: str) -> Any:
    """A date, or a range from `2026-12-28..2027-01-01`, as the API takes it."""
    first, dots, last = text.partition("..")
    return {"from": first, "to": last} if dots else text


def _window(text: str) -> dict[str, Any]:
    """A window from `mon,tue 22:00-04:00`, as the API takes it. Either part is optional."""
    found = _WINDOW.fullmatch(text)
    if not text or not found:
        raise typer.BadParameter(
            f"{text!r} is not a window: give 'mon,tue 22:00-04:00', 'sat,sun' or '22:00-04:00'",
            param_hint="--include",
        )
    days, since, until = found.group("days", "since", "until")
    weekdays = {"weekdays": days.split(",")} if days else {}
    return weekdays | ({"from": since, "to": until} if since else {})


def _excluded(found: Document) -> str:
    return "; ".join(each.description() for each in calendar_from(found).exclude)


def _windows(found: Document) -> str:
    return "; ".join(each.description() for each in calendar_from(found).include)


def calendar_from(found: Any) -> Calendar:
    """The calendar in a JSON document: a hand-written one, or the API's with all its fields.

    Raises:
        InvalidRule: the document is not a calendar.
    """
    if isinstance(found, dict):
        found = {name: value for name, value in found.items() if name not in _NOT_SETTINGS}
    return calendar_of(found)
