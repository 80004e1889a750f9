"""`jobyard schedule`: jobs that recur. A preview needs no stack: the domain reckons it."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from cli import printing, rules
from cli.options import Json
from jobyard.domain.calendars import Calendar, calendar_of
from jobyard.domain.recurrence import Recurrence, Upcoming, preview, recurrence_of

app = typer.Typer(no_args_is_help=True, help="Jobs that recur: when they will.")

MOST_SHOWN = 1000


@app.callback()
def schedule() -> None:
    """Jobs that recur: when they will."""


@app.command("preview")
def show_preview(
    rule: rules.RuleJson = "",
    kind: rules.Kind = "",
    every: rules.Every = None,
    weekdays: rules.Weekdays = "",
    day: rules.Day = "",
    at: rules.At = "",
    zone: rules.Zone = "",
    anchor: rules.Anchor = "",
    end: rules.End = "",
    times: rules.Times = None,
    dst: rules.Dst = "",
    count: Annotated[int, typer.Option(min=1, max=MOST_SHOWN, help="How many to show.")] = 10,
    start: Annotated[
        datetime | None,
        typer.Option(
            "--from",
            parser=rules.instant,
            metavar="INSTANT",
            help="Show those from this instant on, as 2026-11-25T17:00:00Z; else from now on.",
        ),
    ] = None,
    calendar: Annotated[
        str,
        typer.Option(
            metavar="JSON", help='Leave out what it refuses: {"name": …, "exclude": […]}.'
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """When a rule comes due: the next occurrences, those on days when clocks change with a note.

    There are fewer where the rule ends. Nothing has to run for this.
    """
    since = start or datetime.now(UTC)
    fields = rules.fields_of(
        kind=kind,
        every=every,
        weekdays=weekdays,
        day=day,
        at=at,
        zone=zone,
        anchor=anchor,
        end=end,
        times=times,
        dst=dst,
    )
    wanted = recurrence_of(rules.rule_document(rule, fields), since)
    refusing = calendar_of(rules.parsed("--calendar", calendar)) if calendar else None
    found = preview(wanted, since, count, refusing)
    if as_json:
        printing.document([each.document() for each in found])
    else:
        _show(wanted, refusing, found, printing.console())


def _show(
    rule: Recurrence, calendar: Calendar | None, found: list[Upcoming], console: Console
) -> None:
    console.print(rule.sentence(), markup=False)
    if calendar:
        console.print(f"without what calendar {calendar.name} refuses", markup=False)
    console.print()
    if not found:
        console.print("It does not come due any more.")
        return
    rows = [
        (each.local.strftime("%a %Y-%m-%d %H:%M:%S %Z"), each.document()["utc"], each.note)
        for each in found
    ]
    console.print(printing.table(("!there", "!UTC", "note"), rows))
