"""`jobyard schedule`: jobs that recur. A preview needs no stack: the domain reckons it."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated

import typer

from cli import calendars, options, rules, schedule_view, terminal
from cli.client import ApiClient, ApiError, Document
from cli.options import Json, Reason, StackName
from jobyard.domain.schedules.calendar import Calendar
from jobyard.domain.schedules.next_runs import Upcoming, preview
from jobyard.domain.schedules.recurrence import Recurrence
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import Missing, Overlap

app = typer.Typer(no_args_is_help=True, help="Jobs that recur: when they will, and when they did.")

MAX_PREVIEW = 100_000  # of a preview: of a rule that comes daily, centuries
WORDS = ("Idle", "In Progress", "Completed", "Failed", "waiting")

ScheduleId = Annotated[str, typer.Argument(parser=options.schedule_id, metavar="SCHEDULE")]
Title = Annotated[str, typer.Option(help="What people call it.")]
Parameters = Annotated[
    str | None,
    typer.Option(metavar="JSON|@FILE", help="What its jobs are told, a JSON object."),
]
Missed = Annotated[
    Missing | None,
    typer.Option(
        parser=options.one_of(Missing),
        metavar="|".join(Missing),
        help="Which of the times that were missed are made up for; else latest.",
    ),
]
CatchUpLimit = Annotated[
    int | None,
    typer.Option(
        parser=options.whole_number(1), metavar="N", help="With --missed all: the newest N."
    ),
]
MaxAge = Annotated[
    int | None,
    typer.Option(
        "--oldest",
        parser=options.whole_number(1),
        metavar="HOURS",
        help="With --missed: none that is older.",
    ),
]
OverlapPolicy = Annotated[
    Overlap | None,
    typer.Option(
        "--overlap",
        parser=options.one_of(Overlap),
        metavar="|".join(Overlap),
        help="When a run meets the one before it; else forbid.",
    ),
]
CalendarName = Annotated[
    str | None, typer.Option("--calendar", metavar="NAME", help="Its calendar.")
]


@app.callback()
def schedule() -> None:
    """Jobs that recur: when they will, and when they did."""


def _word(text: str) -> str:
    known = {word.lower(): word for word in WORDS}
    if text.lower().replace("_", " ") not in known:
        raise typer.BadParameter(f"{text!r} is none; there are {', '.join(WORDS)}")
    return known[text.lower().replace("_", " ")]


@app.command("list")
def show_list(
    ctx: typer.Context,
    word: Annotated[
        str | None,
        typer.Option(parser=_word, metavar="WORD", help=f"Only those: {', '.join(WORDS)}."),
    ] = None,
    system: Annotated[
        bool, typer.Option("--system", help="Jobyard's own, instead of people's.")
    ] = False,
    limit: Annotated[
        int,
        typer.Option(
            parser=options.whole_number(1),
            metavar="N",
            help="Show at most so many; pages are fetched for it.",
        ),
    ] = 100,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Job Management: every schedule with its status and its next run."""
    wanted = {"word": word, "system": "true" if system else None}
    found = ctx.obj.api(stack).list_items("/schedules", limit, **wanted)
    if system and not word and not found["items"] and not as_json:
        terminal.console().print("none yet: the clock makes them within a minute")
        return
    schedule_view.show_all(found, as_json=as_json)


@app.command()
def show(
    ctx: typer.Context, schedule_id: ScheduleId, stack: StackName = "", as_json: Json = False
) -> None:
    """Job Details: when it runs, how the last run came out, the next ten and the last ten."""
    api = ctx.obj.api(stack)
    found = api.get(f"/schedules/{schedule_id}")
    if as_json:
        terminal.print_json(found)
        return
    schedule_view.show_one(
        found, api.get(f"/schedules/{schedule_id}/occurrences", limit=10)["items"]
    )


@app.command()
def history(
    ctx: typer.Context,
    schedule_id: ScheduleId,
    limit: Annotated[
        int,
        typer.Option(
            parser=options.whole_number(1),
            metavar="N",
            help="Show at most so many; pages are fetched for it.",
        ),
    ] = 50,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """What became of its times, newest first: those without a job too, each with its reason."""
    api: ApiClient = ctx.obj.api(stack)
    found = api.list_items(f"/schedules/{schedule_id}/occurrences", limit)
    zone = ""
    if not as_json:
        with suppress(ApiError):  # a deleted one has a history still
            zone = api.get(f"/schedules/{schedule_id}")["zone"]
    schedule_view.show_history(found, zone, as_json=as_json)


@app.command()
def create(
    ctx: typer.Context,
    title: Title,
    job_type: Annotated[str, typer.Option("--type", help="What its jobs do, as in sweep.")],
    parameters: Parameters = None,
    rule: rules.RuleJson = None,
    kind: rules.Kind = None,
    every: rules.Every = None,
    weekdays: rules.Weekdays = None,
    day: rules.Day = None,
    at: rules.At = None,
    zone: rules.Zone = None,
    anchor: rules.Anchor = None,
    end: rules.End = None,
    times: rules.Times = None,
    dst: rules.Dst = None,
    missed: Missed = None,
    most: CatchUpLimit = None,
    oldest_h: MaxAge = None,
    overlap: OverlapPolicy = None,
    calendar: CalendarName = None,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Make a schedule. Its first run is known at once."""
    fields = rules.rule_fields(ctx.params)
    wanted: Document = {
        "title": title,
        "job_type": job_type,
        "rule": rules.rule_document(rule, fields),
        **_settings(parameters, _missed(missed, most, oldest_h), overlap, calendar),
    }
    made = ctx.obj.api(stack).post("/schedules", wanted)
    if as_json:
        terminal.print_json(made)
        return
    console = terminal.console()
    console.print(f"schedule [bold]{made['schedule_id']}[/]")
    console.print(f"{made['sentence']}; {schedule_view.next_run_text(made)}", markup=False)
    shown = f"jobyard schedule show {made['schedule_id']}"
    console.print(terminal.next_commands([(shown, "how it stands")]))


@app.command()
def edit(
    ctx: typer.Context,
    schedule_id: ScheduleId,
    reason: Reason,
    title: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    parameters: Parameters = None,
    rule: rules.RuleJson = None,
    kind: rules.Kind = None,
    every: rules.Every = None,
    weekdays: rules.Weekdays = None,
    day: rules.Day = None,
    at: rules.At = None,
    zone: rules.Zone = None,
    anchor: rules.Anchor = None,
    end: rules.End = None,
    times: rules.Times = None,
    dst: rules.Dst = None,
    missed: Missed = None,
    most: CatchUpLimit = None,
    oldest_h: MaxAge = None,
    overlap: OverlapPolicy = None,
    calendar: Annotated[
        str | None,
        typer.Option("--calendar", metavar="NAME", help='Its calendar; "" for none.'),
    ] = None,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Change a schedule, and see how its next runs change.

    Flags of the rule change that much of it, and what is not named stays as it is.
    An empty --end "", --times, --weekdays or --day takes that away.
    """
    fields = rules.rule_fields(ctx.params)
    wanted = _settings(parameters, _missed(missed, most, oldest_h), overlap, calendar)
    if title == "":
        raise typer.BadParameter("this is empty", param_hint="--title")
    wanted |= {"title": title} if title else {}
    if not (wanted or fields) and rule is None:
        raise typer.BadParameter("say what is to be otherwise, beside the reason")
    if rule is not None:
        wanted["rule"] = rules.rule_document(rule, fields)
    api: ApiClient = ctx.obj.api(stack)
    before = {} if as_json and not fields else api.get(f"/schedules/{schedule_id}")
    if fields:
        wanted["rule"] = rules.merged(before["rule"], fields)
    edited = api.patch(f"/schedules/{schedule_id}", {"reason": reason, **wanted})
    if as_json:
        terminal.print_json(edited)
    else:
        schedule_view.show_edited(before, edited)


@app.command()
def suspend(
    ctx: typer.Context,
    schedule_id: ScheduleId,
    reason: Reason,
    until: Annotated[
        str | None,
        typer.Option(
            parser=options.future_time,
            metavar="TIME",
            help="When it is resumed by itself: 30m, 2h, 1d, 18:00, or 2030-01-31T18:00.",
        ),
    ] = None,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Let its times pass, each noted as skipped. What runs goes on."""
    wanted: Document = {"reason": reason} | ({"until": until} if until else {})
    _show_state(
        ctx.obj.api(stack).post(f"/schedules/{schedule_id}/suspend", wanted), as_json=as_json
    )


@app.command()
def resume(
    ctx: typer.Context,
    schedule_id: ScheduleId,
    reason: Reason,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Let its times count again, from now on."""
    api: ApiClient = ctx.obj.api(stack)
    _show_state(api.post(f"/schedules/{schedule_id}/resume", {"reason": reason}), as_json=as_json)


@app.command()
def run(
    ctx: typer.Context,
    schedule_id: ScheduleId,
    reason: Reason,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Have a job run at once, beside its times."""
    made = ctx.obj.api(stack).post(f"/schedules/{schedule_id}/run_now", {"reason": reason})
    if as_json:
        terminal.print_json(made)
        return
    console = terminal.console()
    if not made["job_id"]:
        console.print("it waits for the run before it to end")
        shown = f"jobyard schedule history {schedule_id}"
        console.print(terminal.next_commands([(shown, "what becomes of it")]))
        return
    console.print(f"job [bold]{made['job_id']}[/]")
    console.print(terminal.next_commands([(f"jobyard job {made['job_id']}", "how it goes")]))


@app.command()
def delete(
    ctx: typer.Context,
    schedule_id: ScheduleId,
    reason: Reason,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether you are sure.")] = False,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Give it up: it has no times any more. The history of its jobs stays."""
    terminal.confirm(f"Give up {schedule_id} for good?", yes=yes)
    _show_state(
        ctx.obj.api(stack).delete(f"/schedules/{schedule_id}", reason=reason), as_json=as_json
    )


def _show_state(found: Document, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(found)
        return
    console = terminal.console()
    console.print(found["schedule_id"], "is", terminal.state(found["state"]))
    if found["state"] == "suspended":
        console.print(schedule_view.wait_text(found), markup=False)
    if found["next_run"] or found["state"] not in {"suspended", "deleted"}:
        console.print(schedule_view.next_run_text(found), markup=False)
    elif found["until"]:
        console.print("none of its times is left after that")


def _settings(
    parameters: str | None, missed: Document, overlap: Overlap | None, calendar: str | None
) -> Document:
    """The settings that flags give, as the API takes them."""
    given: Document = {
        "parameters": None if parameters is None else rules.read_json("--parameters", parameters),
        "missed": missed or None,
        "overlap": overlap.value if overlap else None,
        "calendar": calendar,
    }
    return {name: value for name, value in given.items() if value is not None}


def _missed(missed: Missing | None, most: int | None, oldest_h: int | None) -> Document:
    if missed is None:
        if most or oldest_h:
            raise typer.BadParameter("--most and --oldest say more of --missed; give that too")
        return {}
    given = {"which": missed.value, "most": most, "oldest_h": oldest_h}
    return {name: value for name, value in given.items() if value is not None}


@app.command("preview")
def show_preview(
    ctx: typer.Context,
    rule: rules.RuleJson = None,
    kind: rules.Kind = None,
    every: rules.Every = None,
    weekdays: rules.Weekdays = None,
    day: rules.Day = None,
    at: rules.At = None,
    zone: rules.Zone = None,
    anchor: rules.Anchor = None,
    end: rules.End = None,
    times: rules.Times = None,
    dst: rules.Dst = None,
    count: Annotated[
        int,
        typer.Option(
            parser=options.whole_number(1, MAX_PREVIEW), metavar="N", help="How many to show."
        ),
    ] = 10,
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
            metavar="JSON|@FILE",
            help='Leave out what it refuses: {"name": …, "exclude": […]}, as `jobyard calendar '
            "show NAME --json` prints it.",
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """When a rule comes due: the next occurrences, those on days when clocks change with a note.

    There are fewer where the rule ends. Nothing has to run for this.
    """
    since = start or datetime.now(UTC)
    fields = rules.rule_fields(ctx.params)
    wanted = recurrence_of(rules.rule_document(rule, fields), since)
    refusing = _calendar(calendar) if calendar else None
    found = preview(wanted, since, count, refusing)
    if as_json:
        terminal.print_json([each.document() for each in found])
    else:
        _show(wanted, refusing, found, since)


def _calendar(text: str) -> Calendar:
    if text.startswith(("{", "@")):
        return calendars.calendar_from(rules.read_json("--calendar", text))
    raise typer.BadParameter(
        "a preview asks no stack, so it needs the calendar's JSON, or @FILE with it: "
        "`jobyard calendar show NAME --json` prints that",
        param_hint="--calendar",
    )


def _show(
    rule: Recurrence, calendar: Calendar | None, found: list[Upcoming], since: datetime
) -> None:
    console = terminal.console()
    console.print(rule.sentence(), markup=False)
    if calendar:
        console.print(f"without what calendar {calendar.name} refuses", markup=False)
    console.print()
    if not found:
        refused = calendar if rule.first_from(since) else None
        console.print(
            f"Calendar {refused.name} refuses all of its times."
            if refused
            else "It does not come due any more."
        )
        return
    documents = (each.document() for each in found)
    rows = [
        (schedule_view.zoned_time(each["local"], rule.zone), each["utc"], each["note"])
        for each in documents
    ]
    terminal.show_table(("!in its zone", "!UTC", "~note"), rows)
