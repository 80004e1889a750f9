"""Rules of recurrence on the command line: as JSON, or in flags of their own."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import options, terminal

# Flags of a rule. All three commands that take them read them with `fields_of`.
RuleJson = Annotated[
    str | None,
    typer.Option(
        "--rule",
        metavar="JSON|@FILE",
        help="""The rule, as in {"kind": "daily", "at": "09:00", "anchor": "2026-11-25"}.""",
    ),
]
Kind = Annotated[str | None, typer.Option(help="once, hourly, daily, weekly or monthly.")]
Every = Annotated[
    int | None,
    typer.Option(
        parser=options.whole_number(1), metavar="N", help="Every N hours, days, weeks or months."
    ),
]
Weekdays = Annotated[str | None, typer.Option(metavar="DAYS", help="Of a weekly rule: mon,wed.")]
Day = Annotated[
    str | None, typer.Option(metavar="DAY", help="Of a monthly rule: 1 to 31, or last.")
]
At = Annotated[
    str | None,
    typer.Option(metavar="HH:MM", help="The time of day in the rule's zone, which may follow."),
]
Zone = Annotated[str | None, typer.Option(metavar="NAME", help="As in America/Los_Angeles.")]
Anchor = Annotated[
    str | None,
    typer.Option(
        metavar="DATE",
        help="The day from which it counts, or 2026-11-25T09:00 with the time; else today, also "
        "when that time is past.",
    ),
]
End = Annotated[
    str | None, typer.Option(metavar="DATE", help="The last day, or 2026-12-31T12:00 with a time.")
]
Times = Annotated[
    str | None,
    typer.Option(
        parser=lambda text: text and str(options.whole_number(1)(text)),
        metavar="N",
        help="How many times in all, from the anchor on.",
    ),
]
Dst = Annotated[
    str | None,
    typer.Option(
        metavar="WORDS",
        help="When clocks change: shift or skip a time left out, run once or twice at one that "
        "comes twice; else shift,once.",
    ),
]

_FLAGS = {  # of each field of a rule
    "kind": "kind",
    "every": "every",
    "weekdays": "weekdays",
    "day": "day",
    "at": "at",
    "zone": "zone",
    "anchor": "anchor",
    "end": "end",
    "count": "times",
    "dst": "dst",
}
_REMOVABLE = {"weekdays", "day", "end", "count"}  # by an empty flag


def rule_fields(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a rule that a command's flags give, as its JSON document has them.

    {} when none does; other flags are passed over. An empty flag takes its field away: None.

    Raises:
        typer.BadParameter: a flag is empty whose field cannot be taken away.
    """
    given = {name: flags.get(flag) for name, flag in _FLAGS.items()}
    at, _, zone = (given["at"] or "").strip().partition(" ")
    if zone and given["zone"] is None:
        given |= {"at": at, "zone": zone.strip()}
    return {name: _value(name, value) for name, value in given.items() if value is not None}


def _value(field: str, given: str | int) -> Any:
    if given == "":
        if field not in _REMOVABLE:
            raise typer.BadParameter("this is empty", param_hint=f"--{_FLAGS[field]}")
        return None
    if field in {"at", "anchor", "end"}:
        return options.two_digit_hour(str(given).strip()).replace(" ", "T")
    if field in {"weekdays", "dst"}:
        return [each.strip() for each in str(given).split(",")]
    if field == "count" or (field == "day" and str(given).isdecimal() and len(str(given)) <= 2):
        return int(given)
    return given


def rule_document(rule: str | None, fields: dict[str, Any]) -> Any:
    """The document of a rule, of `--rule` or of the fields that flags gave; one of them is given.

    Raises:
        typer.BadParameter: none or both are given, `--rule` is no JSON, or a flag takes away what
            is not there.
    """
    if rule is not None and fields:
        raise typer.BadParameter("give the rule as JSON or in flags, not both", param_hint="--rule")
    if rule is None and not fields:
        raise typer.BadParameter("give a rule: --rule JSON, or --kind and its flags")
    for field, value in fields.items():
        if value is None:
            raise typer.BadParameter("this is empty", param_hint=f"--{_FLAGS[field]}")
    return fields if rule is None else read_json("--rule", rule)


def merged(there: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """The document of a rule that is `there`, with some fields otherwise, None for no longer. One
    of another kind keeps only when it is due on its days."""
    kept = dict(there)
    if fields.get("kind", there["kind"]) != there["kind"]:
        kept = {name: there[name] for name in ("at", "zone", "anchor", "dst")}
    if "T" in fields.get("anchor", ""):
        del kept["at"]  # the new anchor has it
    return {name: value for name, value in {**kept, **fields}.items() if value is not None}


def read_json(option: str, text: str) -> Any:
    """The JSON that an option holds, or names the file of.

    Raises:
        typer.BadParameter: it is none, or there is no such file.
    """
    if not text.startswith("@"):
        return parse_json(option, text)
    try:
        return parse_json(option, Path(text[1:]).read_bytes())
    except FileNotFoundError:
        raise typer.BadParameter(
            f"there is no file {terminal.printable_path(text[1:])}", param_hint=option
        ) from None
    except OSError as error:
        words = f"{text[1:]!r} cannot be read: {error.strerror}"
        raise typer.BadParameter(words, param_hint=option) from error


def parse_json(option: str, text: str | bytes) -> Any:
    """The JSON that an option holds.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        words = f"this is no JSON: {error}; @FILE names a file that holds some"
        raise typer.BadParameter(words, param_hint=option) from error


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
