"""`jobyard schedule`: manage recurring jobs. `preview` needs no stack."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated

import typer

from cli import calendars, options, rules, schedule_view, tables, terminal
from cli.client import ApiClient, ApiError, Document
from cli.options import Json, Limit, Reason, StackName
from jobyard.domain.schedules.calendar import Calendar
from jobyard.domain.schedules.next_runs import UpcomingRun, preview
from jobyard.domain.schedules.recurrence import Recurrence
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import MissedPolicy, OverlapPolicy, ScheduleFilter
from jobyard.domain.schedules.year import FIRST_YEAR, LAST_YEAR

app = typer.Typer(no_args_is_help=True, help="Manage recurring jobs.")

MAX_PREVIEW = 100_000  # occurrences; of a daily rule that is centuries

ScheduleId = Annotated[str, typer.Argument(parser=options.schedule_id, metavar="SCHEDULE")]
Title = Annotated[str, typer.Option(help="A title, for people.")]
Parameters = Annotated[
    str | None,
    typer.Option(metavar="JSON|@FILE", help="Parameters of the job type, a JSON object."),
]
Missed = Annotated[
    MissedPolicy | None,
    typer.Option(
        parser=options.one_of(MissedPolicy),
        metavar="|".join(MissedPolicy),
        help="Which missed runs to catch up on.  [default: latest]",
    ),
]
CatchUpLimit = Annotated[
    int | None,
    typer.Option(
        parser=options.whole_number(1), metavar="N", help="With --missed all: at most the newest N."
    ),
]
MaxAge = Annotated[
    int | None,
    typer.Option(
        "--missed-max-age",
        parser=options.whole_number(1),
        metavar="HOURS",
        help="With --missed: only runs missed within the last HOURS.",
    ),
]
Overlap = Annotated[
    OverlapPolicy | None,
    typer.Option(
        "--overlap",
        parser=options.one_of(OverlapPolicy),
        metavar="|".join(OverlapPolicy),
        help="What to do when the previous run has not ended.  [default: forbid]",
    ),
]
CalendarName = Annotated[
    str | None, typer.Option("--calendar", metavar="NAME", help="The calendar to follow.")
]

Notify = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ADDRESS",
        help="Gets a mail when a job fails; may be repeated.",
    ),
]


@app.callback()
def schedule() -> None:
    """Manage recurring jobs."""


def _label(text: str) -> str:
    known = {label.lower(): label for label in ScheduleFilter}
    if text.lower().replace("_", " ") not in known:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(ScheduleFilter)}")
    return known[text.lower().replace("_", " ")]


@app.command("list")
def show_list(
    ctx: typer.Context,
    label: Annotated[
        str | None,
        typer.Option(
            parser=_label, metavar="LABEL", help=f"Only those: {', '.join(ScheduleFilter)}."
        ),
    ] = None,
    system: Annotated[
        bool, typer.Option("--system", help="List the schedules that Jobyard itself runs.")
    ] = False,
    limit: Limit = 100,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """List schedules with their status and next run."""
    query = {"label": label, "system": "true" if system else None}
    found = ctx.obj.api(stack).list_items("/schedules", limit, **query)
    if system and not label and not found["items"] and not as_json:
        terminal.console().print("none yet: the scheduler creates them within a minute")
        return
    schedule_view.show_all(found, as_json=as_json)


@app.command()
def show(
    ctx: typer.Context, schedule_id: ScheduleId, stack: StackName = "", as_json: Json = False
) -> None:
    """Show a schedule, its last run, its next twenty and its history."""
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
    limit: Limit = 50,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """List what happened at each scheduled time, newest first. Skipped runs are included."""
    api: ApiClient = ctx.obj.api(stack)
    found = api.list_items(f"/schedules/{schedule_id}/occurrences", limit)
    zone = ""
    if not as_json:
        with suppress(ApiError):  # a deleted schedule still has a history
            zone = api.get(f"/schedules/{schedule_id}")["zone"]
    schedule_view.show_history(found, zone, as_json=as_json)


@app.command()
def year(
    ctx: typer.Context,
    schedule_id: ScheduleId,
    number: Annotated[
        int | None,
        typer.Option(
            "--year",
            parser=options.whole_number(FIRST_YEAR, LAST_YEAR),
            metavar="YEAR",
            help="The year.  [default: this year]",
        ),
    ] = None,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """List the days of a year on which a schedule is due, and what its calendar excludes."""
    found = ctx.obj.api(stack).get(f"/schedules/{schedule_id}/year", year=number)
    schedule_view.show_year(found, as_json=as_json)


@app.command()
def lateness(
    ctx: typer.Context, schedule_id: ScheduleId, stack: StackName = "", as_json: Json = False
) -> None:
    """Show how late the newest runs of a schedule started."""
    found = ctx.obj.api(stack).get(f"/schedules/{schedule_id}/lateness")
    schedule_view.show_lateness(found, as_json=as_json)


@app.command()
def create(
    ctx: typer.Context,
    title: Title,
    job_type: Annotated[str, typer.Option(help="The job type to run, such as sweep.")],
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
    missed_limit: CatchUpLimit = None,
    missed_max_age: MaxAge = None,
    overlap: Overlap = None,
    calendar: CalendarName = None,
    notify: Notify = None,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Create a schedule and show its first run."""
    fields = rules.rule_fields(ctx.params)
    body: Document = {
        "title": title,
        "job_type": job_type,
        "rule": rules.rule_document(rule, fields),
        **_settings(parameters, _missed(missed, missed_limit, missed_max_age), overlap, calendar),
        **({"notify": notify} if notify else {}),
    }
    created = ctx.obj.api(stack).post("/schedules", body)
    if as_json:
        terminal.print_json(created)
        return
    console = terminal.console()
    console.print(f"schedule [bold]{created['schedule_id']}[/]")
    console.print(f"{created['description']}; {schedule_view.next_run_text(created)}", markup=False)
    shown = f"jobyard schedule show {created['schedule_id']}"
    console.print(tables.next_commands([(shown, "show the schedule")]))


@app.command()
def edit(
    ctx: typer.Context,
    schedule_id: ScheduleId,
    reason: Reason,
    title: Annotated[str | None, typer.Option(help="A title, for people.")] = None,
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
    missed_limit: CatchUpLimit = None,
    missed_max_age: MaxAge = None,
    overlap: Overlap = None,
    calendar: Annotated[
        str | None,
        typer.Option("--calendar", metavar="NAME", help='The calendar to follow; "" for none.'),
    ] = None,
    notify: Notify = None,
    no_notify: Annotated[
        bool, typer.Option("--no-notify", help="Nobody gets a mail when a job fails.")
    ] = False,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Change a schedule and show how its next runs change.

    Options of the rule change only those parts of it. An empty value (--end "") removes --end,
    --times, --weekdays or --day.
    """
    fields = rules.rule_fields(ctx.params)
    body = _settings(parameters, _missed(missed, missed_limit, missed_max_age), overlap, calendar)
    if title == "":
        raise typer.BadParameter("the value is empty", param_hint="--title")
    if notify and no_notify:
        raise typer.BadParameter("give --notify or --no-notify, not both")
    body |= {"title": title} if title else {}
    body |= {"notify": notify or []} if notify or no_notify else {}
    if not (body or fields) and rule is None:
        raise typer.BadParameter("nothing to change: give at least one option besides --reason")
    if rule is not None:
        body["rule"] = rules.rule_document(rule, fields)
    api: ApiClient = ctx.obj.api(stack)
    before = {} if as_json and not fields else api.get(f"/schedules/{schedule_id}")
    if fields:
        body["rule"] = rules.merged(before["rule"], fields)
    edited = api.patch(f"/schedules/{schedule_id}", {"reason": reason, **body})
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
            help="When to resume: 30m, 2h, 1d, 18:00 or 2030-01-31T18:00.  [default: never]",
        ),
    ] = None,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Suspend a schedule. Its runs are recorded as skipped; a running job continues."""
    body: Document = {"reason": reason} | ({"until": until} if until else {})
    _show_state(ctx.obj.api(stack).post(f"/schedules/{schedule_id}/suspend", body), as_json=as_json)


@app.command()
def resume(
    ctx: typer.Context,
    schedule_id: ScheduleId,
    reason: Reason,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Resume a suspended schedule. Runs that were skipped are not caught up on."""
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
    """Run a job of the schedule now. Its regular runs stay as they are."""
    created = ctx.obj.api(stack).post(f"/schedules/{schedule_id}/run_now", {"reason": reason})
    if as_json:
        terminal.print_json(created)
        return
    console = terminal.console()
    if not created["job_id"]:
        console.print("the job starts when the previous run has ended")
        shown = f"jobyard schedule history {schedule_id}"
        console.print(tables.next_commands([(shown, "watch for it")]))
        return
    console.print(f"job [bold]{created['job_id']}[/]")
    console.print(tables.next_commands([(f"jobyard job {created['job_id']}", "show the job")]))


@app.command()
def delete(
    ctx: typer.Context,
    schedule_id: ScheduleId,
    reason: Reason,
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation.")] = False,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Delete a schedule. It starts no more jobs; the history of its jobs stays readable."""
    terminal.confirm(f"Delete {schedule_id}? This cannot be undone.", yes=yes)
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
    if found["next_run_at"] or found["state"] not in {"suspended", "deleted"}:
        console.print(schedule_view.next_run_text(found), markup=False)
    elif found["waiting_until"]:
        console.print("its rule has no more runs after that")


def _settings(
    parameters: str | None, missed: Document, overlap: OverlapPolicy | None, calendar: str | None
) -> Document:
    """The settings that options give, as fields of the API."""
    given: Document = {
        "parameters": None if parameters is None else options.read_json("--parameters", parameters),
        "missed": missed or None,
        "overlap": overlap.value if overlap else None,
        "calendar": calendar,
    }
    return {name: value for name, value in given.items() if value is not None}


def _missed(missed: MissedPolicy | None, limit: int | None, max_age_h: int | None) -> Document:
    if missed is None:
        if limit or max_age_h:
            raise typer.BadParameter("--missed-limit and --missed-max-age need --missed")
        return {}
    given = {"which": missed.value, "limit": limit, "max_age_h": max_age_h}
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
            parser=options.instant,
            metavar="INSTANT",
            help="Start at this instant, such as 2026-11-25T17:00:00Z.  [default: now]",
        ),
    ] = None,
    calendar: Annotated[
        str,
        typer.Option(
            metavar="JSON|@FILE",
            help='Follow this calendar: {"name": …, "exclude": […]}, as printed by `jobyard '
            "calendar show NAME --json`.",
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Show the next occurrences of a rule, with a note on days when clocks change.

    Needs no running stack.
    """
    since = start or datetime.now(UTC)
    fields = rules.rule_fields(ctx.params)
    recurrence = recurrence_of(rules.rule_document(rule, fields), since)
    applied = _calendar(calendar) if calendar else None
    found = preview(recurrence, since, count, applied)
    if as_json:
        terminal.print_json([each.document() for each in found])
    else:
        _show(recurrence, applied, found, since)


def _calendar(text: str) -> Calendar:
    if text.startswith(("{", "@")):
        return calendars.calendar_from(options.read_json("--calendar", text))
    raise typer.BadParameter(
        "preview uses no stack: give the calendar as JSON or @FILE; "
        "`jobyard calendar show NAME --json` prints it",
        param_hint="--calendar",
    )


def _show(
    rule: Recurrence, calendar: Calendar | None, found: list[UpcomingRun], since: datetime
) -> None:
    console = terminal.console()
    console.print(rule.description(), markup=False)
    if calendar:
        console.print(f"except where calendar {calendar.name} excludes it", markup=False)
    console.print()
    if not found:
        if calendar and rule.first_from(since):
            console.print(f"Calendar {calendar.name} excludes all occurrences.")
        else:
            console.print("The rule has no more occurrences.")
        return
    documents = (each.document() for each in found)
    rows = [
        (schedule_view.zoned_time(each["local"], rule.zone), each["utc"], each["note"])
        for each in documents
    ]
    tables.show_table(("!time in zone", "!UTC", "~note"), rows)
