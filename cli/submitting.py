"""Submitting a manifest, and watching what becomes of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import options, printing, progress
from cli.client import Api, Document, Unsure
from cli.options import Json, OnStack, Watch

app = typer.Typer()


@app.command()
def submit(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", exists=True, dir_okay=False, help="A manifest, or an object's."
        ),
    ],
    collection: Annotated[str, typer.Option(help="Where its objects belong.")] = "default",
    job_type: Annotated[str, typer.Option(help="What is done with each entry.")] = "deposit",
    profile: Annotated[
        str, typer.Option(help="What a row is, if the manifest does not say so itself.")
    ] = "",
    notify: Annotated[
        list[str] | None,
        typer.Option(
            parser=options.recipient,
            metavar="ADDRESS",
            help="Who gets the report, instead of you; repeatable.",
        ),
    ] = None,
    no_mail: Annotated[bool, typer.Option("--no-mail", help="Nobody gets the report.")] = False,
    callback_url: Annotated[str, typer.Option(help="Called for each job that ends.")] = "",
    note: Annotated[str, typer.Option(help="A word to whoever looks at it later.")] = "",
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            parser=options.pair,
            metavar="NAME=VALUE",
            help="For the job type; repeatable. NAME:=VALUE takes JSON, as in limit:=3.",
        ),
    ] = None,
    watch: Watch = False,
    stack: OnStack = "",
    as_json: Json = False,
) -> None:
    """Submit a manifest: every line of it becomes a job.

    With --watch the exit code tells how the batch ended: 0 completed, 1 anything else.
    """
    if not file.stat().st_size:
        raise typer.BadParameter(f"{file} is empty", param_hint="FILE")
    wanted: Document = {"collection": collection, "filename": file.name, "job_type": job_type}
    optional = {
        "profile": profile,
        "notify": notify,
        "callback_url": callback_url,
        "note": note,
        "parameters": dict(map(_parameter, parameter or ())),
    }
    wanted |= {name: value for name, value in optional.items() if value}
    if no_mail:
        wanted["notify"] = []
    api = ctx.obj.api(stack)
    made = api.post("/batches", wanted)
    batch_id = made["batch_id"]
    try:
        api.upload(made["upload"], file)
    except Unsure as error:
        raise Unsure(f"{error}: `jobyard batch {batch_id}`") from error
    if not as_json:
        printing.console().print(f"batch [bold]{batch_id}[/]")
    if watch:
        follow(ctx, api, batch_id, as_json=as_json)
    elif as_json:
        printing.document(made)
    else:
        printing.console().print(printing.commands([(f"jobyard watch {batch_id}", "how it goes")]))


@app.command()
def watch(
    ctx: typer.Context,
    batch_id: Annotated[list[str], typer.Argument(parser=options.batch_id, metavar="BATCH...")],
    stack: OnStack = "",
    as_json: Json = False,
) -> None:
    """Show how batches go until they end. Ends with 0 if all of them completed, else with 1."""
    follow(ctx, ctx.obj.api(stack), *batch_id, as_json=as_json)


def follow(
    ctx: typer.Context,
    api: Api,
    *batch_ids: str,
    as_json: bool,
    is_over: Callable[[Document], bool] = progress.is_over,
    is_good: Callable[[Document], bool] = progress.is_good,
) -> None:
    """Watch batches to their end, show it, and end the command with 0 if all are good, else 1."""
    console = None if as_json else printing.console()
    try:
        ended = progress.watch(api, batch_ids, console, ctx.obj.pause, is_over)
    except KeyboardInterrupt:
        ids = " ".join(batch_ids)
        printing.complain(f"It goes on without you. Look again with `jobyard watch {ids}`")
        raise typer.Exit(130) from None
    if as_json:
        printing.document(ended[0] if len(ended) == 1 else {"items": ended})
    elif console:
        for batch in ended:
            progress.show_end(api, batch, console)
    if not all(map(is_good, ended)):
        raise typer.Exit(1)


def _parameter(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    if not name.endswith(":"):
        return name, value
    try:
        return name.removesuffix(":"), json.loads(value)
    except ValueError:
        raise typer.BadParameter(f"{value!r} is not JSON") from None
