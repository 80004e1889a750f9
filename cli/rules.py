"""Recurrence rules on the command line: as JSON, or as options."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cli import options

# Options for a rule. Commands that take them read them with `rule_fields`.
RuleJson = Annotated[
    str | None,
    typer.Option(
        "--rule",
        metavar="JSON|@FILE",
        help="""The rule: {"kind": "daily", "at": "09:00", "anchor": "2026-11-25"}.""",
    ),
]
Kind = Annotated[str | None, typer.Option(help="once, hourly, daily, weekly or monthly.")]
Every = Annotated[
    int | None,
    typer.Option(
        parser=options.whole_number(1),
        metavar="N",
        help="Run every N hours, days, weeks or months.",
    ),
]
Weekdays = Annotated[
    str | None, typer.Option(metavar="DAYS", help="Weekdays of a weekly rule: mon,wed.")
]
Day = Annotated[
    str | None, typer.Option(metavar="DAY", help="Day of a monthly rule: 1 to 31, or last.")
]
At = Annotated[
    str | None,
    typer.Option(metavar="HH:MM", help="Time of day; a zone may follow."),
]
Zone = Annotated[
    str | None, typer.Option(metavar="NAME", help="Time zone, such as America/Los_Angeles.")
]
Anchor = Annotated[
    str | None,
    typer.Option(
        metavar="DATE",
        help="First day, or 2026-11-25T09:00 with the time.  [default: today]",
    ),
]
End = Annotated[
    str | None, typer.Option(metavar="DATE", help="Last day, or 2026-12-31T12:00 with a time.")
]
Times = Annotated[
    str | None,
    typer.Option(
        parser=lambda text: text and str(options.whole_number(1)(text)),  # an empty text removes it
        metavar="N",
        help="Number of occurrences, counted from the anchor.",
    ),
]
Dst = Annotated[
    str | None,
    typer.Option(
        metavar="POLICY",
        help="When clocks change: shift or skip a time that does not exist, run once or twice at "
        "a time that comes twice.  [default: shift,once]",
    ),
]

_FLAGS = {  # field of a rule: the option that sets it
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
_REMOVABLE = {"weekdays", "day", "end", "count"}  # an empty option removes these fields


def rule_fields(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a rule document that a command's options set; {} if there are none.

    An option with an empty value removes its field: the value is None.

    Raises:
        typer.BadParameter: an option is empty and its field cannot be removed.
    """
    given = {name: flags.get(flag) for name, flag in _FLAGS.items()}
    at, _, zone = (given["at"] or "").strip().partition(" ")
    if zone and given["zone"] is None:
        given |= {"at": at, "zone": zone.strip()}
    return {name: _value(name, value) for name, value in given.items() if value is not None}


def _value(field: str, given: str | int) -> Any:
    if given == "":
        if field not in _REMOVABLE:
            raise typer.BadParameter("the value is empty", param_hint=f"--{_FLAGS[field]}")
        return None
    if field in {"at", "anchor", "end"}:
        return options.two_digit_hour(str(given).strip()).replace(" ", "T")
    if field in {"weekdays", "dst"}:
        return [each.strip() for each in str(given).split(",")]
    if field == "count" or (field == "day" and str(given).isdecimal() and len(str(given)) <= 2):
        return int(given)
    return given


def rule_document(rule: str | None, fields: dict[str, Any]) -> Any:
    """The rule document from `--rule` or from `fields`; exactly one must be given.

    Raises:
        typer.BadParameter: none or both are given, `--rule` is not JSON, or a field is removed.
    """
    if rule is not None and fields:
        raise typer.BadParameter(
            "give the rule as JSON or as options, not both", param_hint="--rule"
        )
    if rule is None and not fields:
        raise typer.BadParameter("give a rule: --rule JSON, or --kind and its options")
    for field, value in fields.items():
        if value is None:
            raise typer.BadParameter("the value is empty", param_hint=f"--{_FLAGS[field]}")
    return fields if rule is None else options.read_json("--rule", rule)


def merged(current: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """The rule document `current` with `fields` applied; a None removes a field.

    If the kind changes, only time, zone, anchor and DST policy are kept.
    """
    kept = dict(current)
    if fields.get("kind", current["kind"]) != current["kind"]:
        kept = {name: current[name] for name in ("at", "zone", "anchor", "dst")}
    if "T" in fields.get("anchor", ""):
        del kept["at"]  # the new anchor has the time
    return {name: value for name, value in {**kept, **fields}.items() if value is not None}
