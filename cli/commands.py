"""Commands that change batches, jobs and holds: requeue, hold, release, cancel, delete and more."""

from collections.abc import Sequence
from typing import Annotated

import typer

from cli import options, progress, tables, terminal
from cli.client import ApiClient, Document
from cli.options import Json, Reason, StackName, Watch
from cli.submit import watch_to_end
from jobyard.domain.ids import Origin, is_batch_id, origin_of
from jobyard.domain.jobs.job import JobAddress, JobState
from jobyard.domain.plurals import plural

app = typer.Typer()

BatchId = Annotated[str, typer.Argument(parser=options.batch_id, metavar="BATCH")]
JobId = Annotated[str, typer.Argument(parser=options.job_id, metavar="JOB")]
JobsIn = Annotated[
    JobState | None,
    typer.Option(
        "--jobs",
        parser=options.one_of(JobState),
        metavar="STATE",
        help="Not the batch, but those of its jobs that are in this state.",
    ),
]
Codes = Annotated[
    list[str] | None,
    typer.Option(
        "--code",
        parser=options.failure_code,
        metavar="CODE",
        help="Only jobs with this failure code; may be repeated.",
    ),
]
BatchOrJob = Annotated[str, typer.Argument(parser=options.batch_or_job, metavar="BATCH|JOB")]


@app.command()
def requeue(
    ctx: typer.Context,
    target: BatchOrJob,
    reason: Annotated[
        str,
        typer.Option(
            parser=options.reason, metavar="TEXT", help="The reason. Required without --preview."
        ),
    ] = "",
    code: Codes = None,
    preview: Annotated[bool, typer.Option(help="Only count the jobs; requeue nothing.")] = False,
    watch: Watch = False,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Requeue failed jobs: run them again from the first step that did not succeed.

    Requeues all failed jobs of a batch, those with a failure CODE, or one job. A failed task runs
    again in its campaign, unless that has ended.

    Exits with 1 if some jobs cannot be requeued, or if there are none. With --watch the exit code
    is 0 if the batch has no failed job left; the batch itself stays failed until
    `update-reporting`.
    """
    if not (reason or preview):
        raise typer.BadParameter("give a reason, or use --preview", param_hint="--reason")
    if _is_not_in_a_batch(target):
        if code or preview or watch:
            message = "--code, --preview and --watch apply to batches and their jobs only"
            raise typer.BadParameter(message, param_hint="BATCH|JOB")
        _send_event(ctx, "requeue", target, reason, stack=stack, as_json=as_json)
        return
    api = ctx.obj.api(stack)
    batch_id = _origin_of(target)
    optional = {
        "reason": reason,
        "failure_codes": code,
        "job_ids": [target] if target != batch_id else None,
    }
    body: Document = {"preview": preview} | {
        name: value for name, value in optional.items() if value
    }
    response = api.post(f"/batches/{batch_id}/operations", body)
    if not as_json:
        _show_requeued(response, "would" if preview else "will")
    refused = bool(response.get("not_requeueable")) or not response["matched"]
    if watch and not preview:
        refused |= _watch_requeue(ctx, api, batch_id, response["operation_id"], as_json=as_json)
    elif as_json:
        terminal.print_json(response)
    elif not preview:
        _suggest_watch(batch_id)
    if refused:
        raise typer.Exit(1)


def _show_requeued(response: Document, tense: str) -> None:
    """Print how many jobs are requeued and how many cannot be. `tense` is "will" or "would"."""
    refused = response.get("not_requeueable", 0)
    requeued = plural(response["matched"] - refused, "job")
    terminal.console().print(f"{requeued} {tense} be requeued")
    if refused:
        message = "cannot be requeued: the depositor has to submit these objects again"
        terminal.console().print(f"{plural(refused, 'job')} {message}", style="red")


def _watch_requeue(
    ctx: typer.Context, api: ApiClient, batch_id: str, operation_id: str, *, as_json: bool
) -> bool:
    """Watch a requeue until it ends, then show the jobs it refused. True if there were any."""
    is_over = progress.is_over_with_operation(api, batch_id, operation_id)
    try:
        watch_to_end(
            ctx, api, batch_id, is_over=is_over, is_success=progress.is_repaired, as_json=as_json
        )
    except typer.Exit as ended:
        if ended.exit_code == 1 and not as_json:
            _show_refused(api, batch_id, operation_id)
        raise
    return not as_json and _show_refused(api, batch_id, operation_id)


_SHOWN_REFUSALS = 20  # of one requeue


def _show_refused(api: ApiClient, batch_id: str, operation_id: str) -> bool:
    """Show the jobs that a requeue refused, with the reasons. True if there were any."""
    shown = 0
    path: str | None = f"/batches/{batch_id}/operations/{operation_id}"
    query: Document = {"outcome": "refused"}
    while path:
        found = api.get(path, **query)
        for each in found.get("outcomes", ()):
            shown += 1
            if shown > _SHOWN_REFUSALS:
                terminal.console().print(f"and more: `jobyard jobs {batch_id} --state failed`")
                return True
            terminal.console().print(f"{each['job_id']}: {each['message']}", markup=False)
        query["cursor"] = found.get("next_cursor")
        path = path if found.get("next_cursor") else None
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
            help="When the hold ends: 30m, 2h, 1d, 18:00 or 2030-01-31T18:00.  [default: never]",
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the hold that SCOPE already has.")
    ] = False,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Hold work before it starts: a job, `collection:NAME`, `type:NAME` or `everything`.

    Running jobs continue; tasks of campaigns stop after their step or part. A scope that is already
    on hold is refused unless you --replace its hold.
    """
    if options.is_job_id(target):
        if until or replace:
            message = "--until and --replace apply to scopes; a job is held until it is released"
            raise typer.BadParameter(message)
        _send_event(ctx, "hold", target, reason, stack=stack, as_json=as_json)
        return
    body: Document = {"reason": reason} | ({"until": until} if until else {})
    if replace:
        body["replace"] = True
    held = ctx.obj.api(stack).put(f"/holds/{target}", body)
    if as_json:
        terminal.print_json(held)
    else:
        ends = f"until {terminal.local_time(until)}" if until else "until it is released"
        terminal.console().print(f"{target} is on hold {ends}", markup=False)
        if held.get("replaced"):
            terminal.console().print(f"in place of: {held['replaced']}", markup=False)


@app.command()
def release(
    ctx: typer.Context,
    target: Annotated[str, typer.Argument(parser=options.held_target, metavar="SCOPE|BATCH|JOB")],
    reason: Reason,
    jobs: JobsIn = None,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Release a job, a batch, its held jobs, or everything that a hold on SCOPE holds."""
    if jobs:
        _send_to_many(ctx, "release", target, jobs, reason, stack=stack, as_json=as_json)
        return
    if options.is_job_id(target) or is_batch_id(target):
        _send_event(ctx, "release", target, reason, stack=stack, as_json=as_json)
        return
    lifted, continues = ctx.obj.api(stack).start_delete(f"/holds/{target}", reason=reason)
    if as_json:
        terminal.print_json(lifted)
        return
    number = lifted.get("released_batches", 0)
    held = f", with {plural(number, 'batch')}" if number else ""
    if continues:
        held += "; the rest of its work is released within minutes"
    terminal.console().print(f"{target} is released{held}", markup=False)


@app.command()
def cancel(
    ctx: typer.Context,
    target: BatchOrJob,
    reason: Reason,
    jobs: JobsIn = None,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Cancel a batch or a job. Running jobs end, no others start, and the batch is reported.

    A task of a campaign that runs is cancelled after its step or part.
    """
    if jobs:
        _send_to_many(ctx, "cancel", target, jobs, reason, stack=stack, as_json=as_json)
        return
    _send_event(ctx, "cancel", target, reason, stack=stack, as_json=as_json)


@app.command()
def force_fail(
    ctx: typer.Context, target: JobId, reason: Reason, stack: StackName = "", as_json: Json = False
) -> None:
    """Fail a job that has not ended, so that its batch can end."""
    _send_event(ctx, "force_fail", target, reason, stack=stack, as_json=as_json)


@app.command()
def delete(
    ctx: typer.Context,
    target: BatchOrJob,
    reason: Reason,
    jobs: JobsIn = None,
    code: Codes = None,
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation.")] = False,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Delete a failed or held batch or job. Its history stays readable.

    With --code its failed jobs with that CODE are deleted.
    """
    if code:
        jobs = jobs or JobState.FAILED
    what = f"the {jobs} jobs of {target}" if jobs else target
    what += f" with {', '.join(code)}" if code else ""
    terminal.confirm(f"Delete {what}? This cannot be undone.", yes=yes)
    if jobs:
        _send_to_many(ctx, "delete", target, jobs, reason, code, stack=stack, as_json=as_json)
        return
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
    """Report a failed batch again if the outcome of a job has changed since the last report."""
    api = ctx.obj.api(stack)
    response = api.post(f"/batches/{batch_id}/update_reporting", {"reason": reason})
    if watch:
        watch_to_end(ctx, api, batch_id, as_json=as_json)
    else:
        _show_state(batch_id, response, as_json=as_json)


@app.command("resend-report")
def resend_report(
    ctx: typer.Context,
    origin_id: options.ReportedId,
    number: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="Number of the report.")],
    reason: Reason,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Send the mail of a report, or a webhook delivery, again, to all of its recipients."""
    path = f"/{origin_of(origin_id).path}/{origin_id}/reports/{number}/resend"
    report = ctx.obj.api(stack).post(path, {"reason": reason})
    if as_json:
        terminal.print_json(report)
        return
    to = ", ".join(report["to"])
    terminal.console().print(f"report {number} of {origin_id} waits to be sent to {to}")


def _send_event(
    ctx: typer.Context, event: str, target: str, reason: str, *, stack: str, as_json: bool
) -> None:
    kind = "jobs" if options.is_job_id(target) else "batches"
    api: ApiClient = ctx.obj.api(stack)
    _show_state(target, api.post(f"/{kind}/{target}/{event}", {"reason": reason}), as_json=as_json)


def _send_to_many(
    ctx: typer.Context,
    event: str,
    batch_id: str,
    state: str,
    reason: str,
    codes: Sequence[str] | None = None,
    *,
    stack: str,
    as_json: bool,
) -> None:
    """Send an event to all jobs of a batch in a state, and with one of the failure codes."""
    if not is_batch_id(batch_id):
        raise typer.BadParameter("--jobs applies to batches only", param_hint="--jobs")
    body: Document = {"event": event, "state": state, "reason": reason}
    if codes:
        body["failure_codes"] = codes
    response = ctx.obj.api(stack).post(f"/batches/{batch_id}/operations", body)
    if as_json:
        terminal.print_json(response)
        return
    terminal.console().print(f"{event} is sent to {plural(response['matched'], 'job')}")
    _suggest_watch(batch_id)


def _show_state(target: str, response: Document, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(response)
        return
    terminal.console().print(f"{target} is", terminal.state(response["state"]))
    if _is_not_in_a_batch(target):
        origin = origin_of(_origin_of(target))
        shown = f"jobyard {origin} show {_origin_of(target)}"
        terminal.console().print(tables.next_commands([(shown, f"show its {origin}")]))
    elif response["state"] not in {"held", "deleted"}:
        _suggest_watch(_origin_of(target))


def _suggest_watch(batch_id: str) -> None:
    terminal.console().print(
        tables.next_commands([(f"jobyard watch {batch_id}", "watch its progress")])
    )


def _is_not_in_a_batch(target: str) -> bool:
    """Whether `target` is a job of a schedule or of a campaign."""
    address = JobAddress.parse(target)
    return address is not None and address.origin is not Origin.BATCH


def _origin_of(target: str) -> str:
    """The origin of a job; `target` itself if it is not a job id."""
    address = JobAddress.parse(target)
    return address.origin_id if address else target
