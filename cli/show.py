"""Commands that only read: batches, jobs, costs, findings, reports, holds."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from cli import options, tables, terminal
from cli.batch_result import report_text, undeliverable
from cli.client import ApiClient, Document
from cli.options import Json, Limit, StackName
from cli.terminal import local_time, records, state, waiting_for
from jobyard.domain.batches.batch import BatchState
from jobyard.domain.ids import is_campaign_id, is_edit_id, origin_of
from jobyard.domain.jobs.job import SUMMARY_CODE, JobState
from jobyard.domain.plurals import plural
from jobyard.domain.rates import RateRange

app = typer.Typer()

BatchId = Annotated[str, typer.Argument(parser=options.batch_id, metavar="BATCH")]
JobId = Annotated[str, typer.Argument(parser=options.job_id, metavar="JOB")]
Rows = list[tuple[str | Text, ...]]
_RATES = ("started", "ended", "failed")  # of a step


@app.command()
def batches(
    ctx: typer.Context,
    state: Annotated[
        BatchState | None,
        typer.Option(
            parser=options.one_of(BatchState),
            metavar="STATE",
            help=f"Only in this state: {', '.join(BatchState)}.",
        ),
    ] = None,
    collection: Annotated[str, typer.Option(help="Only of this collection.")] = "",
    limit: Limit = 20,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """List batches, newest first."""
    found = ctx.obj.api(stack).list_items("/batches", limit, state=state, collection=collection)
    rows: Rows = [
        (
            each["batch_id"],
            terminal.state(each["state"]),
            _job_counts(each),
            f"{each['collection']}/{each['filename']}",
            local_time(each["submitted_at"]),
            _wait_text(each),
        )
        for each in found["items"]
    ]
    columns = ("!batch", "!state", "!jobs", "manifest", "!submitted", "waiting")
    show_list(found, columns, rows, "batch", as_json=as_json)


@app.command()
def batch(
    ctx: typer.Context, batch_id: BatchId, stack: StackName = "", as_json: Json = False
) -> None:
    """Show a batch: its state, its counts, its failures and its history."""
    found = ctx.obj.api(stack).get(f"/batches/{batch_id}")
    if as_json:
        terminal.print_json(found)
        return
    console = terminal.console()
    console.print(
        tables.key_values(
            (
                ("batch", found["batch_id"]),
                ("state", state(found["state"])),
                ("waiting", _wait_text(found)),
                ("message", found.get("failure_message") or ""),
                ("jobs", terminal.counts_text(found["counts"])),
                ("counted", local_time(found["counted_at"]) if found.get("counted_at") else ""),
                ("manifest", f"{found['collection']}/{found['filename']}"),
                ("job type", found["job_type"]),
                ("profile", found.get("profile") or ""),
                ("submitted", f"{local_time(found['submitted_at'])} by {found['submitter']}"),
                ("ended", local_time(found["ended_at"]) if found.get("ended_at") else ""),
                ("reports to", ", ".join(found.get("notify") or ())),
                ("undeliverable", undeliverable(found)),
                ("findings", str(found["findings_count"] or "")),
                ("duplicate of", found["duplicate_of"]),
                ("note", found["note"]),
                ("actions", terminal.commands_for(found.get("actions") or ())),
            )
        )
    )
    groups: Rows = [
        (
            str(group["count"]),
            group["failure_code"],
            local_time(group["first_seen_at"]) if group["first_seen_at"] else "",
            local_time(group["last_seen_at"]) if group["last_seen_at"] else "",
            group["description"],
        )
        for group in found.get("failure_groups", ())
    ]
    section("Failures", ("jobs", "!code", "first seen", "last seen", "meaning"), groups)
    section("History", *history(found))


@app.command()
def jobs(
    ctx: typer.Context,
    batch_id: BatchId,
    state: Annotated[
        JobState | None,
        typer.Option(
            parser=options.one_of(JobState),
            metavar="STATE",
            help=f"Only in this state: {', '.join(JobState)}.",
        ),
    ] = None,
    code: Annotated[
        str | None,
        typer.Option(
            parser=options.failure_code, metavar="CODE", help="Only failed jobs with this code."
        ),
    ] = None,
    step: Annotated[str, typer.Option(help="Only jobs at this step.")] = "",
    name: Annotated[
        str, typer.Option(metavar="TEXT", help="Only jobs with this text in their name.")
    ] = "",
    limit: Limit = 100,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print all of these jobs as CSV, whatever the limit.")
    ] = False,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """List the jobs of a batch, in the order of its manifest."""
    if as_csv and as_json:
        raise typer.BadParameter("choose one of --csv and --json", param_hint="--csv")
    wanted = {"state": state, "failure_code": code, "step": step, "name": name}
    if as_csv:
        for part in ctx.obj.api(stack).parts(f"/batches/{batch_id}/jobs.csv", **wanted):
            terminal.print_text(part)
        return
    found = ctx.obj.api(stack).list_items(f"/batches/{batch_id}/jobs", limit, **wanted)
    rows: Rows = [
        (
            each["job_id"],
            terminal.state(each["state"]),
            each["name"],
            each.get("step") or "",
            _problem_text(each),
        )
        for each in found["items"]
    ]
    show_list(found, ("!job", "!state", "file", "step", "details"), rows, "job", as_json=as_json)


@app.command("failed-records")
def failed_records(
    ctx: typer.Context,
    job_id: JobId,
    target: Annotated[
        Path, typer.Argument(metavar="FILE", dir_okay=False, help="The file to write.")
    ],
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Download the list of the records that a sweep could not change, as JSON Lines."""
    api: ApiClient = ctx.obj.api(stack)
    found = api.get(f"/jobs/{job_id}/failed-records")
    api.download(found["url"], target)
    if as_json:
        terminal.print_json(found)
        return
    terminal.console().print(f"{plural(found['records'], 'record')} in {target}", markup=False)


def _failed_records_command(found: Document) -> str:
    """The command that downloads the failed records; "" if there is no file of them."""
    listed = (found.get("result") or {}).get("failed_records")
    return f"jobyard failed-records {found['job_id']} FILE" if listed else ""


@app.command()
def job(ctx: typer.Context, job_id: JobId, stack: StackName = "", as_json: Json = False) -> None:
    """Show a job: its state, result, steps, attempts and history."""
    found = ctx.obj.api(stack).get(f"/jobs/{job_id}")
    if as_json:
        terminal.print_json(found)
        return
    console = terminal.console()
    results: Rows = [
        (name, _result_text(value))
        for name, value in (found.get("result") or {}).items()
        if name not in {"records", "failed_records"}  # shown above
    ]
    console.print(
        tables.key_values(
            (
                ("job", found["job_id"]),
                ("state", _state_of_job(found)),
                ("waiting", _wait_text(found)),
                ("failure", _failure_text(found)),
                ("records", records(found.get("records") or {})),
                ("all failed records", _failed_records_command(found)),
                ("schedule", found.get("schedule_id") or ""),
                (
                    "scheduled for",
                    local_time(found["scheduled_for"]) if found.get("scheduled_for") else "",
                ),
                ("run now by", _run_now_by(found)),
                ("file", found["name"]),
                ("URL", found["url"]),
                ("line", str(found["line"] or "")),
                ("requeued", str(found.get("requeue_count") or "")),
                ("kept until", local_time(found["kept_until"]) if found.get("kept_until") else ""),
                ("actions", terminal.commands_for(found.get("actions") or ())),
            )
        )
    )
    section("Result", ("name", "value"), results)
    steps: Rows = [
        (
            step["name"],
            _status(step),
            local_time(step.get("started_at")),
            local_time(step.get("completed_at") or step.get("skipped_at")),
            step.get("message") or "",
        )
        for step in found.get("steps", ())
    ]
    section("Steps", ("step", "status", "started", "ended", "message"), steps)
    if found.get("advice"):
        console.print(Text.assemble(("At the device: ", "bold"), found["advice"]))
    attempts: Rows = [
        (
            _attempt_numbers(each),
            local_time(each["started_at"]),
            local_time(each.get("ended_at")),
            each.get("step") or "",
            each.get("failure_code") or "",
            _attempt_message(each),
            each.get("request_id") or "",
        )
        for each in found.get("attempts", ())
    ]
    columns = ("!attempt", "started", "ended", "step", "!code", "message", "~request")
    section("Attempts", columns, attempts)
    section("History", *history(found))


def _state_of_job(found: Document) -> Text:
    """The state of a job, of a task as lists of tasks call it."""
    is_task = is_campaign_id(found["job_id"].partition(".")[0])
    return Text(found["label"]) if is_task else state(found["state"])


def _status(step: Document) -> Text:
    """The status of a step, and its progress."""
    percent = step.get("percent")
    progress = "" if percent is None else f" {percent} %"
    return Text.assemble(state(step["status"]), progress)


def _attempt_numbers(attempt: Document) -> str:
    """Its number, or those of the attempts that it stands for."""
    first, times = attempt.get("number"), attempt.get("times", 1)
    return f"{first} to {first + times - 1}" if first and times > 1 else str(first or "")


def _attempt_message(attempt: Document) -> str:
    """Why it failed, and how often if it stands for several that are alike."""
    message, times = attempt.get("failure_message") or "", attempt.get("times", 1)
    is_folded = times > 1 and attempt.get("failure_code") != SUMMARY_CODE
    return f"{times} times: {message}" if is_folded else message


@app.command()
def log(
    ctx: typer.Context,
    job_id: JobId,
    attempt: Annotated[
        int | None,
        typer.Option(
            parser=options.whole_number(1), metavar="N", help="The attempt.  [default: the latest]"
        ),
    ] = None,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Show the log lines of an attempt to run a job, oldest first."""
    found = ctx.obj.api(stack).get(f"/jobs/{job_id}/log", attempt=attempt)
    if as_json:
        terminal.print_json(found)
        return
    console = terminal.console()
    ran = found["attempt"]
    request = f", request {ran['request_id']}" if ran["request_id"] else ""
    console.print(f"attempt {ran['number']} of {job_id}{request}", style="bold", soft_wrap=True)
    for line in found["lines"]:
        fields = [f"{name}={_result_text(value)}" for name, value in line["fields"].items()]
        shown = (local_time(line["at"]), line["level"], line["message"], *fields)
        console.print(" ".join(filter(None, shown)), markup=False, soft_wrap=True)
        if line["exception"]:
            console.print(line["exception"], markup=False, soft_wrap=True)
    if found["missing_reason"]:
        console.print(f"no log lines: {found['missing_reason']}", markup=False)
    elif not found["is_complete"]:
        console.print("there are more lines in CloudWatch Logs, under the request id", style="dim")


@app.command()
def cost(
    ctx: typer.Context,
    origin_id: Annotated[
        str, typer.Argument(parser=options.metered_id, metavar="BATCH|SCHEDULE|CAMPAIGN|EDIT")
    ],
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Show what a batch, a schedule, a campaign or an edit job has used of AWS, and its price."""
    path = "edits" if is_edit_id(origin_id) else origin_of(origin_id).path
    found = ctx.obj.api(stack).get(f"/{path}/{origin_id}/cost")
    if as_json:
        terminal.print_json(found)
        return
    rows: Rows = [
        (
            each["title"],
            f"{each['quantity']:,.0f}",
            f"${each['price']:g} for {each['per']:,.0f}",
            f"{each['dollars']:.6f}",
        )
        for each in found["lines"]
        if each["quantity"]
    ]
    console = terminal.console()
    console.print(tables.table(("usage", "!quantity", "price", "!US dollars"), rows))
    million = ""
    for each in ("job", "task"):
        if per_unit := found.get(f"dollars_per_{each}"):
            million = f", {per_unit * 1e6:,.2f} per million {each}s"
    console.print(f"total {found['dollars']:.6f} US dollars{million}")
    console.print(
        f"prices of {found['priced_on']} in {found['region']}, without the free tier; not "
        "included: the scheduler, API requests, logs, and storage of its records",
        style="dim",
    )


@app.command()
def findings(
    ctx: typer.Context,
    batch_id: BatchId,
    limit: Limit = 1000,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """List the errors and warnings in a batch's manifest, by line and column."""
    found = ctx.obj.api(stack).list_items(f"/batches/{batch_id}/findings", limit)
    rows: Rows = [
        (
            ":".join(str(each[name]) for name in ("line", "column") if each[name]) or "-",
            state(each["level"]),
            each["code"],
            each["message"],
        )
        for each in found["items"]
    ]
    columns = ("!line:column", "!level", "!code", "message")
    show_list(found, columns, rows, "finding", as_json=as_json)


@app.command()
def reports(
    ctx: typer.Context,
    origin_id: options.ReportedId,
    download: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", file_okay=False, help="Download the files of all reports to DIR."
        ),
    ] = None,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """List the reports of a batch or a campaign, or the mails about failed jobs of a schedule."""
    api = ctx.obj.api(stack)
    found = api.get(f"/{origin_of(origin_id).path}/{origin_id}/reports")
    written = []
    if download is not None:
        download.mkdir(parents=True, exist_ok=True)
        for report in found["items"]:
            for name, url in report["files"].items():
                if not url:
                    continue
                target = download / _file_name(origin_id, report["seq"], name)
                api.download(url, target)
                written.append(target)
    if as_json:
        terminal.print_json(found)
        return
    console = terminal.console()
    for report in found["items"]:
        console.print(
            f"{local_time(report['created_at'])}  {report['kind']}: {report_text(report)}; "
            f"{terminal.counts_text(report['counts'])}",
            markup=False,
        )
    for each in found.get("webhook_deliveries", ()):
        delivery = each["delivery"]
        error = f": {delivery['error']}" if delivery["error"] else ""
        console.print(
            f"{local_time(each['created_at'])}  webhook {each['seq']}: {each['subject']}, "
            f"{delivery['state']} after {plural(each['tries'], 'attempt')}{error}",
            markup=False,
        )
    for target in written:
        console.print(f"  {target}", markup=False, soft_wrap=True)
    if not found["items"]:
        console.print("no reports yet")


@app.command()
def find(
    ctx: typer.Context,
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="An id, an ark, a name, a day or a failure code.")
    ],
    kind: Annotated[
        str, typer.Option(metavar="KIND", help="List all of a kind, such as batch or schedule.")
    ] = "",
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Find batches, jobs, campaigns, schedules, objects and collections."""
    found = ctx.obj.api(stack).get("/find", q=text, **({"kind": kind} if kind else {}))
    rows: Rows = [
        (each["kind"], each["found_id"], each["title"], each["why"]) for each in found["items"]
    ]
    show_list(found, ("!kind", "!id", "name", "matches"), rows, "match", as_json=as_json)
    if not as_json:
        for each in found["more"]:
            terminal.console().print(f"more were found: --kind {each}", style="dim", markup=False)
        for each in found["not_searched"]:
            terminal.console().print(f"not searched: {each}", style="dim", markup=False)


@app.command()
def activity(
    ctx: typer.Context, limit: Limit = 20, stack: StackName = "", as_json: Json = False
) -> None:
    """List what people did, newest first."""
    found = ctx.obj.api(stack).list_items("/activity", limit)
    rows: Rows = [
        (
            local_time(each["at"]),
            each["actor"],
            terminal.commands_for([each["event"]]),
            _subject(each),
            each.get("changes", ""),
            each["reason"],
        )
        for each in found["items"]
    ]
    columns = ("!at", "by", "!event", "what", "changes", "reason")
    show_list(found, columns, rows, "act", as_json=as_json)


@app.command()
def alarms(ctx: typer.Context, stack: StackName = "", as_json: Json = False) -> None:
    """Show which alarms are on and what to do about them. Exits with 1 if any is on."""
    found = ctx.obj.api(stack).get("/alarms")
    active = [each for each in found["items"] if each["is_active"]]
    if as_json:
        terminal.print_json(found)
    else:
        console = terminal.console()
        for each in active:
            console.print(f"[bold red]{each['name']}[/] since {local_time(each['since'])}")
            console.print(f"{each['means']}.", markup=False)
            if each["advice"]:
                console.print(f"What to do: {each['advice']}.", markup=False)
            if each["chapter"]:
                console.print(f"See docs/operating.md, {each['chapter']}.", style="dim")
            console.print(each["cause"], style="dim", markup=False)
        quiet = len(found["items"]) - len(active)
        console.print(f"{plural(quiet, 'alarm')} off" if quiet else "", markup=False)
    if active:
        raise typer.Exit(1)


@app.command()
def rates(
    ctx: typer.Context,
    range_: Annotated[
        RateRange,
        typer.Option(
            "--range",
            parser=options.one_of(RateRange),
            metavar="|".join(RateRange),
            help="How far back.",
        ),
    ] = RateRange.HOUR,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Show how many jobs workers started and ended over time, oldest first."""
    found = ctx.obj.api(stack).get("/rates", range=range_)
    if as_json:
        terminal.print_json(found)
        return
    points = found["points"]
    rows: Rows = [
        (
            local_time(each["at"]),
            *(f"{each[name]:,}" for name in (*_RATES, "open_batches")),
            each["deployed"],
        )
        for each in points
        if any(each[name] for name in (*_RATES, "deployed"))
    ]
    if rows:
        tables.show_table(("!from", *_RATES, "open batches", "~deployed"), rows)
    totals = ", ".join(f"{sum(each[name] for each in points):,} {name}" for name in _RATES)
    step = terminal.duration(found["step_s"])
    terminal.console().print(f"{totals} within {range_}; a step is {step}, empty ones are left out")
    if found["wait_p50_s"] is not None:
        half, most = (terminal.duration(found[name]) for name in ("wait_p50_s", "wait_p95_s"))
        waited = f"half of the jobs waited up to {half} to start, 95 % up to {most}"
        terminal.console().print(waited)


def _subject(act: Document) -> str:
    """What was changed: its kind, its id and its title."""
    number = plural(act["count"], "job") if act["count"] else "many jobs"
    jobs = act["kind"] if act["count"] == 1 else f"{number} of batch"
    title = f" ({act['title']})" if act["title"] else ""
    return f"{jobs} {act['subject_id']}{title}"


@app.command()
def holds(ctx: typer.Context, stack: StackName = "", as_json: Json = False) -> None:
    """List all holds with their owner, reason and end."""
    found = ctx.obj.api(stack).get("/holds")
    rows: Rows = [
        (
            each["scope"],
            each["owner"],
            local_time(each["placed_at"]),
            _hold_end(each),
            _held_text(each["held"]) if each.get("held") else "",
            each["reason"],
        )
        for each in found["items"]
    ]
    columns = ("!scope", "held by", "!since", "!until", "holds", "reason")
    show_list(found, columns, rows, "hold", as_json=as_json)


def show_list(
    found: Document, columns: tuple[str, ...], rows: Rows, noun: str, *, as_json: bool
) -> None:
    """Print a list of the API as a table, or as JSON. `noun` names one of its items."""
    if as_json:
        terminal.print_json(found)
        return
    console = terminal.console()
    if not rows:
        hint = ": submit a manifest with `jobyard submit`" if noun == "batch" else ""
        console.print(f"no {noun} found{hint}")
        return
    tables.show_table(columns, rows)
    if found.get("next_cursor"):
        console.print(f"[dim]showing the first {plural(len(rows), noun)}: use --limit for more[/]")


def section(title: str, columns: tuple[str, ...], rows: Rows) -> None:
    """Print a table with a title; nothing if it has no rows."""
    if rows:
        terminal.console().print(f"\n[bold underline]{title}[/]")
        tables.show_table(columns, rows)


def history(
    found: Document, format_time: Callable[[str], str] = local_time
) -> tuple[tuple[str, ...], Rows]:
    """Columns and rows of a history. `format_time` formats its times."""
    rows: Rows = [
        (
            format_time(entry["at"]),
            entry["event"],
            Text.assemble(state(entry["from"]), " → ", state(entry["to"])),
            entry["actor"],
            entry["reason"],
        )
        for entry in found.get("history", ())
    ]
    return ("!at", "!event", "transition", "by", "reason"), rows


def _hold_end(hold: Document) -> str:
    if not hold["is_active"]:
        return "ended"
    return local_time(hold["until"]) if hold["until"] else "released"


def _held_text(held: Document) -> str:
    """What a hold holds: "2 batches, 30 jobs"."""
    more = "" if held["is_exact"] else " or more"
    return f"{plural(held['batches'], 'batch')}, {plural(held['jobs'], 'job')}{more}"


def _result_text(value: object) -> str:
    """A JSON value: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _run_now_by(found: Document) -> str:
    """Who started a schedule's job manually, and why; "" if nobody did."""
    return f"{found['actor']}: {found['reason']}" if found.get("actor") else ""


def _job_counts(found: Document) -> Text:
    counts = found["counts"]
    ended = sum(counts[name] for name in ("succeeded", "partially_succeeded"))
    counted = Text(f"{ended}/{counts['total']}" if counts["total"] else "-")
    if counts["failed"]:
        counted.append(f" {counts['failed']} failed", style="red")
    return counted


def _wait_text(found: Document) -> str:
    return waiting_for(found.get("waiting_reason") or "", found.get("waiting_until"))


def _failure_text(found: Document) -> str:
    if not found.get("failure_code") or found["state"] == "succeeded":
        return ""
    return f"{found['failure_code']}: {found['failure_message']}"


def _problem_text(found: Document) -> str:
    return _failure_text(found) if found["state"] == "failed" else _wait_text(found)


def _file_name(origin_id: str, seq: int, name: str) -> str:
    """File name of a report's file: `jobs_csv` of report 1 is `BATCH-1-jobs.csv`."""
    stem, _, suffix = name.rpartition("_")
    return f"{origin_id}-{seq}-{stem}.{suffix}" if stem else f"{origin_id}-{seq}-report.{name}"
