"""The commands that ask for a change: retry, hold, release, cancel, delete and the like."""

from typing import Annotated

import typer

from cli import options, progress, terminal
from cli.client import ApiClient, Document
from cli.options import Json, Reason, StackName, Watch
from cli.submit import watch_to_end
from jobyard.domain.ids import is_batch_id
from jobyard.domain.jobs.job import JobAddress
from jobyard.domain.plurals import plural

app = typer.Typer()

BatchId = Annotated[str, typer.Argument(parser=options.batch_id, metavar="BATCH")]
JobId = Annotated[str, typer.Argument(parser=options.job_id, metavar="JOB")]
BatchOrJob = Annotated[str, typer.Argument(parser=options.batch_or_job, metavar="BATCH|JOB")]


@app.command()
def retry(
    ctx: typer.Context,
    target: BatchOrJob,
    reason: Annotated[
        str,
        typer.Option(
            parser=options.reason, metavar="TEXT", help="Why. Needed, unless it is a preview."
        ),
    ] = "",
    code: Annotated[
        list[str] | None,
        typer.Option(
            parser=options.failure_code,
            metavar="CODE",
            help="Only jobs that failed for this; may be repeated.",
        ),
    ] = None,
    preview: Annotated[bool, typer.Option(help="Only say how many jobs that would be.")] = False,
    watch: Watch = False,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Try failed jobs again, from the step after the last good one.

    All failed jobs of a batch, those that failed for a CODE, or one job, also one of a schedule.
    Jobs that cannot be tried again are counted, and end the command with 1, as does a preview that
    finds none to try. With --watch the exit code is 0 if no job of the batch is failed any more;
    the batch itself stays failed until `update-reporting`.
    """
    if not (reason or preview):
        raise typer.BadParameter("give a reason, or ask for a --preview", param_hint="--reason")
    if _is_of_schedule(target):
        if code or preview or watch:
            words = "--code, --preview and --watch are for batches and their jobs"
            raise typer.BadParameter(words, param_hint="BATCH|JOB")
        _send_event(ctx, "requeue", target, reason, stack=stack, as_json=as_json)
        return
    api = ctx.obj.api(stack)
    batch_id = _origin_of(target)
    named = {
        "reason": reason,
        "code": code,
        "job_ids": [target] if target != batch_id else None,
    }
    wanted: Document = {"preview": preview} | {name: said for name, said in named.items() if said}
    asked = api.post(f"/batches/{batch_id}/retries", wanted)
    if not as_json:
        _show_retried(asked, "would" if preview else "will")
    refused = bool(asked.get("refused")) or not asked["matched"]
    if watch and not preview:
        refused |= _watch_retry(ctx, api, batch_id, asked["operation_id"], as_json=as_json)
    elif as_json:
        terminal.print_json(asked)
    elif not preview:
        _suggest_watch(batch_id)
    if refused:
        raise typer.Exit(1)


def _show_retried(asked: Document, tense: str) -> None:
    """How many jobs a retry takes, and how many it cannot."""
    refused = asked.get("refused", 0)
    tried = plural(asked["matched"] - refused, "job")
    terminal.console().print(f"{tried} {tense} be tried again")
    if refused:
        words = "cannot: whoever deposits has to submit what they are for again"
        terminal.console().print(f"{plural(refused, 'job')} {words}", style="red")


def _watch_retry(
    ctx: typer.Context, api: ApiClient, batch_id: str, operation_id: str, *, as_json: bool
) -> bool:
    """Watch a retry to its end, and show what was refused; whether anything was."""
    over = progress.is_over_with(api, batch_id, operation_id)
    try:
        watch_to_end(
            ctx, api, batch_id, is_over=over, is_good=progress.is_repaired, as_json=as_json
        )
    except typer.Exit as ended:
        if ended.exit_code == 1 and not as_json:
            _show_refused(api, batch_id, operation_id)
        raise
    return not as_json and _show_refused(api, batch_id, operation_id)


_SHOWN_REFUSALS = 20  # jobs of a retry


def _show_refused(api: ApiClient, batch_id: str, operation_id: str) -> bool:
    """Show the jobs that a retry was refused for, and why; whether there were any."""
    shown = 0
    path: str | None = f"/batches/{batch_id}/retries/{operation_id}"
    cursor: Document = {}
    while path:
        found = api.get(path, **cursor)
        for each in found.get("outcomes", ()):
            if each["outcome"] != "refused":
                continue
            shown += 1
            if shown > _SHOWN_REFUSALS:
                terminal.console().print(f"and more: `jobyard jobs {batch_id} --state failed`")
                return True
            terminal.console().print(f"{each['job_id']}: {each['message']}", markup=False)
        cursor = {"cursor": found.get("cursor")}
        path = path if found.get("cursor") else None
    return bool(shown)


@app.command()
def hold(
    ctx: typer.Context,
    target: Annotated[str, typer.Argument(parser=options.job_or_scope, metavar="SCOPE|JOB")],
    reason: Reason,
    until: Annotated[
        str | None,
        typer.Option(
            parser=options.future_time,
            metavar="TIME",
            help="When it ends by itself: 30m, 2h, 1d, 18:00, or 2030-01-31T18:00.",
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the hold that is on SCOPE already.")
    ] = False,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Hold what would start: a job, `collection:NAME`, `type:NAME` or `everything`.

    What runs goes on. A scope that is on hold already is refused, with the words of who holds it;
    --replace takes it over.
    """
    if options.is_job_id(target):
        if until or replace:
            words = "a job is held until it is released; --until and --replace are for scopes"
            raise typer.BadParameter(words)
        _send_event(ctx, "hold", target, reason, stack=stack, as_json=as_json)
        return
    wanted: Document = {"reason": reason} | ({"until": until} if until else {})
    if replace:
        wanted["replace"] = True
    held = ctx.obj.api(stack).put(f"/holds/{target}", wanted)
    if as_json:
        terminal.print_json(held)
    else:
        ends = f"until {terminal.local_time(until)}" if until else "until it is released"
        terminal.console().print(f"{target} is on hold {ends}", markup=False)


@app.command()
def release(
    ctx: typer.Context,
    target: Annotated[str, typer.Argument(parser=options.held_target, metavar="SCOPE|BATCH|JOB")],
    reason: Reason,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Release what is held: a job, a batch, or everything a hold on SCOPE holds."""
    if options.is_job_id(target) or is_batch_id(target):
        _send_event(ctx, "release", target, reason, stack=stack, as_json=as_json)
        return
    lifted, goes_on = ctx.obj.api(stack).start_delete(f"/holds/{target}", reason=reason)
    if as_json:
        terminal.print_json(lifted)
        return
    number = lifted.get("released", 0)
    held = f"; it held {plural(number, 'batch')}" if number else ""
    if goes_on:
        held += " and more, which are let go within the next minutes"
    terminal.console().print(f"{target} is released{held}", markup=False)


@app.command()
def cancel(
    ctx: typer.Context,
    target: BatchOrJob,
    reason: Reason,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Stop a batch or a job. What runs ends, nothing else starts, and the batch reports."""
    _send_event(ctx, "cancel", target, reason, stack=stack, as_json=as_json)


@app.command()
def force_fail(
    ctx: typer.Context, target: JobId, reason: Reason, stack: StackName = "", as_json: Json = False
) -> None:
    """Make a job fail that has not ended, so that its batch can."""
    _send_event(ctx, "force_fail", target, reason, stack=stack, as_json=as_json)


@app.command()
def delete(
    ctx: typer.Context,
    target: BatchOrJob,
    reason: Reason,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether you are sure.")] = False,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Give up a failed or held batch or job. A tombstone with its history remains."""
    terminal.confirm(f"Give up {target} for good?", yes=yes)
    _send_event(ctx, "delete", target, reason, stack=stack, as_json=as_json)


@app.command()
def update_reporting(
    ctx: typer.Context,
    batch_id: BatchId,
    reason: Reason,
    watch: Watch = False,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Report a failed batch again, if the outcome of any job has changed since the last report."""
    api = ctx.obj.api(stack)
    asked = api.post(f"/batches/{batch_id}/update_reporting", {"reason": reason})
    if watch:
        watch_to_end(ctx, api, batch_id, as_json=as_json)
    else:
        _show_state(batch_id, asked, as_json=as_json)


def _send_event(
    ctx: typer.Context, event: str, target: str, reason: str, *, stack: str, as_json: bool
) -> None:
    kind = "jobs" if options.is_job_id(target) else "batches"
    api: ApiClient = ctx.obj.api(stack)
    _show_state(target, api.post(f"/{kind}/{target}/{event}", {"reason": reason}), as_json=as_json)


def _show_state(target: str, asked: Document, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(asked)
        return
    terminal.console().print(f"{target} is", terminal.state(asked["state"]))
    if _is_of_schedule(target):
        shown = f"jobyard schedule show {_origin_of(target)}"
        terminal.console().print(terminal.next_commands([(shown, "how its schedule stands")]))
    elif asked["state"] not in {"held", "deleted"}:
        _suggest_watch(_origin_of(target))


def _suggest_watch(batch_id: str) -> None:
    terminal.console().print(terminal.next_commands([(f"jobyard watch {batch_id}", "how it goes")]))


def _is_of_schedule(target: str) -> bool:
    place = JobAddress.of(target)
    return place is not None and place.is_of_schedule


def _origin_of(target: str) -> str:
    """What a job is of, if `target` is one."""
    place = JobAddress.of(target)
    return place.origin_id if place else target
