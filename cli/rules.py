"""Rules of recurrence on the command line: as JSON, or in flags of their own."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

RuleJson = Annotated[
    str,
    typer.Option(
        "--rule",
        metavar="JSON",
        help="""The rule, as in {"kind": "daily", "at": "09:00", "anchor": "2026-11-25"}.""",
    ),
]
Kind = Annotated[str, typer.Option(help="once, hourly, daily, weekly or monthly.")]
Every = Annotated[
    int | None, typer.Option(metavar="N", help="Every N hours, days, weeks or months.")
]
Weekdays = Annotated[str, typer.Option(metavar="DAYS", help="Of a weekly rule: mon,wed.")]
Day = Annotated[str, typer.Option(metavar="DAY", help="Of a monthly rule: 1 to 31, or last.")]
At = Annotated[str, typer.Option(metavar="HH:MM", help="The time of day in the rule's zone.")]
Zone = Annotated[str, typer.Option(metavar="NAME", help="As in America/Los_Angeles.")]
Anchor = Annotated[
    str,
    typer.Option(
        metavar="DATE",
        help="The day from which it counts, or 2026-11-25T09:00 with the time; else today.",
    ),
]
End = Annotated[
    str, typer.Option(metavar="DATE", help="The last day, or 2026-12-31T12:00 with a time.")
]
Times = Annotated[
    int | None, typer.Option(metavar="N", help="How many times in all, from the anchor on.")
]
Dst = Annotated[
    str,
    typer.Option(
        metavar="WORDS",
        help="When clocks change: shift or skip a time left out, run once or twice at one that "
        "comes twice; else shift,once.",
    ),
]


def fields_of(
    *,
    kind: str = "",
    every: int | None = None,
    weekdays: str = "",
    day: str = "",
    at: str = "",
    zone: str = "",
    anchor: str = "",
    end: str = "",
    times: int | None = None,
    dst: str = "",
) -> dict[str, Any]:
    """The fields of a rule that flags give, as its JSON document has them; {} when none does."""
    fields = {
        "kind": kind,
        "every": every,
        "weekdays": [each.strip() for each in weekdays.split(",")] if weekdays else None,
        "day": int(day) if day.isdecimal() and len(day) <= 2 else day,
        "at": at,
        "zone": zone,
        "anchor": anchor,
        "end": end,
        "count": times,
        "dst": [each.strip() for each in dst.split(",")] if dst else None,
    }
    return {name: value for name, value in fields.items() if value not in (None, "")}


def rule_document(rule: str, fields: dict[str, Any]) -> Any:
    """The document of a rule, of `--rule` or of the fields that flags gave; one of them is given.

    Raises:
        typer.BadParameter: none or both are given, or `--rule` is no JSON.
    """
    if rule and fields:
        raise typer.BadParameter("give the rule as JSON or in flags, not both", param_hint="--rule")
    if not rule and not fields:
        raise typer.BadParameter("give a rule: --rule JSON, or --kind and its flags")
    return parsed("--rule", rule) if rule else fields


def changed(there: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """The document of a rule that is `there`, with some fields otherwise. One of another kind keeps
    only when it is due on its days."""
    kept = dict(there)
    if fields.get("kind", there["kind"]) != there["kind"]:
        kept = {name: there[name] for name in ("at", "zone", "anchor", "dst")}
    if "T" in fields.get("anchor", ""):
        del kept["at"]  # the new anchor has it
    return {**kept, **fields}


def parsed(option: str, text: str) -> Any:
    """The JSON that an option holds.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"this is no JSON: {error}", param_hint=option) from error


def instant(text: str) -> datetime:
    """The instant (UTC) that `text` spells: a date, a time and an offset or Z."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError(text)
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no instant: give 2026-11-25T17:00:00Z, or an offset in place of the Z"
        ) from None
