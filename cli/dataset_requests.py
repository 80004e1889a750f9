"""`jobyard dataset` with a stack: load datasets, list and show them, export them."""

import json
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated

import typer

from cli import options, show, terminal
from cli.client import ApiClient, Document
from cli.context import CliContext
from cli.dataset_rules import rules_in
from cli.features import Precision, checked_features
from cli.findings import EXIT_ERRORS, opened, tee_blocks
from cli.options import Json, Limit, StackName
from cli.terminal import local_time, printable_path
from jobyard.domain.datasets.extent import parse_extent
from jobyard.domain.datasets.geometry import DEFAULT_PRECISION
from jobyard.domain.datasets.load import UPLOAD_BYTES
from jobyard.domain.errors import BadRequest
from jobyard.domain.plurals import plural

app = typer.Typer()

_POLL_S = 1.0
_MAX_POLLS = 3_600  # an hour: a load that fails is tried again, for up to 15 minutes each time
_HISTORY_PAGE = 5  # commits, whose features may be large

Name = Annotated[str, typer.Argument(metavar="DATASET", help="The dataset's name.")]
Revision = Annotated[
    int | None,
    typer.Option(min=1, metavar="REVISION", help="At this revision. By default the latest."),
]


@app.command()
def load(
    ctx: typer.Context,
    name: Name,
    file: Annotated[str, typer.Argument(help="GeoJSON, or gzip of it; - for stdin.")],
    title: Annotated[str, typer.Option(metavar="TEXT", help="The title for people.")] = "",
    precision: Precision = DEFAULT_PRECISION,
    missing_is_null: Annotated[
        bool,
        typer.Option("--missing-is-null", help="A property that an upload lacks counts as null."),
    ] = False,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Load a dataset from a file, and wait until it is there.

    The file is checked first; after one error nothing is sent. Exits with 1 if it is refused.
    """
    api: ApiClient = ctx.obj.api(stack)
    with opened(file) as stream, TemporaryFile() as copy:
        content = tee_blocks(stream, copy, UPLOAD_BYTES, "FILE")
        for _ in checked_features(
            content, printable_path(file), precision, "it is not sent", EXIT_ERRORS
        ):
            pass
        filename = Path(file).name if file != "-" else "features.geojson"
        created = api.post("/datasets/uploads", {"filename": filename})
        api.upload(created["upload"], copy, is_repeatable=True)
    request = {
        "name": name,
        "file": created["file"],
        "title": title,
        "precision": precision,
        "missing_is_null": missing_is_null,
    }
    asked = api.post("/datasets", request)
    found = _awaited(ctx.obj, api, f"/datasets/{name}/loads/{asked['load_id']}", "loading")
    if as_json:
        terminal.print_json(found)
    elif found["state"] == "loaded":
        features = plural(found["features"], "feature")
        terminal.console().print(f"loaded {features} as [bold]{name}[/]")
    else:
        terminal.print_error(found["message"])
    if found["state"] != "loaded":
        raise typer.Exit(EXIT_ERRORS)


def _awaited(context: CliContext, api: ApiClient, path: str, state: str) -> Document:
    """The document at `path` as soon as it has left `state`. Exits with 1 if it does not."""
    for _ in range(_MAX_POLLS):
        found = api.get(path)
        if found["state"] != state:
            return found
        context.pause(_POLL_S)
    terminal.print_error(f"it is still {state} after an hour: GET /api{path} shows how far it is")
    raise typer.Exit(EXIT_ERRORS)


@app.command("list")
def list_datasets(
    ctx: typer.Context, limit: Limit = 100, stack: StackName = "", as_json: Json = False
) -> None:
    """List datasets, by name."""
    found = ctx.obj.api(stack).list_items("/datasets", limit)
    rows: show.Rows = [
        (
            each["name"],
            each["title"],
            str(each["revision"]),
            f"{each['features']:,}",
            local_time(each["created_at"]),
            each["created_by"],
        )
        for each in found["items"]
    ]
    columns = ("!dataset", "title", "!revision", "!features", "!loaded", "by")
    show.show_list(found, columns, rows, "dataset", as_json=as_json)


@app.command("show")
def show_one(ctx: typer.Context, name: Name, stack: StackName = "", as_json: Json = False) -> None:
    """Show a dataset with its latest commits."""
    api: ApiClient = ctx.obj.api(stack)
    found = api.get(f"/datasets/{name}")
    if as_json:
        terminal.print_json(found)
        return
    console = terminal.console()
    title = "" if found["title"] == name else f", {found['title']}"
    console.print(f"[bold]{name}[/]{title}: revision {found['revision']}", end=", ")
    console.print(f"{plural(found['features'], 'feature')}, {plural(len(found['rules']), 'rule')}")
    made = api.list_items(f"/datasets/{name}/commits", 10)["items"]
    rows: show.Rows = [
        (
            str(each["revision"]),
            local_time(each["at"]),
            f"+{each['inserted']:,} ~{each['updated']:,} -{each['deleted']:,}",
            ", ".join(each["authors"]),
            each["edit_id"],
            each["comment"],
        )
        for each in made
    ]
    show.section("commits", ("!revision", "!at", "!changes", "by", "!edit job", "~comment"), rows)


@app.command()
def rules(
    ctx: typer.Context,
    name: Name,
    file: Annotated[str, typer.Argument(help="JSON, a list of all rules; - for stdin.")] = "",
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why they change; a file needs it.")
    ] = "",
    stack: StackName = "",
) -> None:
    """Print the rules of a dataset as JSON, or replace them by those of a file."""
    if file and not reason:
        raise typer.BadParameter("say why the rules change", param_hint="--reason")
    api: ApiClient = ctx.obj.api(stack)
    if not file:
        terminal.print_json(api.get(f"/datasets/{name}")["rules"])
        return
    wanted = [dict(each) for each in rules_in(file).documents]
    after = api.put(f"/datasets/{name}", {"rules": wanted, "reason": reason})
    terminal.console().print(f"[bold]{name}[/] has {plural(len(after['rules']), 'rule')}")


@app.command()
def delete(
    ctx: typer.Context,
    name: Name,
    reason: options.Reason,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Delete a dataset of which no edit job is open. For admins."""
    gone = ctx.obj.api(stack).delete(f"/datasets/{name}", reason=reason)
    if as_json:
        terminal.print_json(gone)
    else:
        terminal.console().print(f"[bold]{name}[/] is deleted")


@app.command()
def changes(
    ctx: typer.Context,
    name: Name,
    since: Annotated[
        int, typer.Option(min=1, metavar="REVISION", help="Changes after this revision.")
    ] = 1,
    until: Annotated[
        int | None, typer.Option(min=1, metavar="REVISION", help="Up to this revision.")
    ] = None,
    limit: Limit = 100,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """List what changed between two revisions."""
    path = f"/datasets/{name}/changes"
    found = ctx.obj.api(stack).list_items(path, limit, since=since, until=until)
    rows: show.Rows = [
        (
            str(each["revision"]),
            each["op"],
            each["id"],
            ", ".join(each["properties"]),
            each["edit_id"],
        )
        for each in found["items"]
    ]
    columns = ("!revision", "!change", "feature", "properties", "!edit job")
    show.show_list(found, columns, rows, "change", as_json=as_json)


@app.command()
def history(
    ctx: typer.Context,
    name: Name,
    feature_id: Annotated[str, typer.Argument(metavar="ID", help="The feature's id.")],
    limit: Limit = 20,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Show what commits did to a feature, the last one first, with the values that differ."""
    api: ApiClient = ctx.obj.api(stack)
    path = f"/datasets/{name}/history"
    found = api.list_items(path, limit, page_size=_HISTORY_PAGE, id=feature_id)
    if as_json:
        terminal.print_json(found)
        return
    rows: show.Rows = [
        (
            str(each["revision"]),
            local_time(each["at"]),
            each["op"],
            ", ".join(each["authors"]),
            _too_large(each) or _differing(each["before"], each["after"]),
        )
        for each in found["items"]
    ]
    columns = ("!revision", "!at", "!change", "by", "~before → after")
    show.show_list(found, columns, rows, "change", as_json=False)


def _too_large(change: Document) -> str:
    """What is said of a change whose features the API leaves out; "" of others."""
    return f"too large: export --since {change['revision'] - 1}" if change["is_cut"] else ""


def _differing(before: Document | None, after: Document | None) -> str:
    """The properties that differ, with their values."""
    old = before["properties"] if before else {}
    new = after["properties"] if after else {}
    texts = [
        f"{name}: {_value(old, name)} → {_value(new, name)}"
        for name in sorted({*old, *new})
        if _value(old, name) != _value(new, name)
    ]
    if before and after and before["geometry"] != after["geometry"]:
        texts.append("geometry")
    return "; ".join(texts)


def _value(properties: Document, name: str) -> str:
    return json.dumps(properties[name], ensure_ascii=False) if name in properties else "none"


@app.command()
def export(
    ctx: typer.Context,
    name: Name,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help="Where to store it. By default here."),
    ] = None,
    revision: Revision = None,
    extent: Annotated[
        str | None,
        typer.Option(
            metavar="JSON",
            help='Only features in it: {"box": [WEST, SOUTH, EAST, NORTH]}, {"polygon": [...]} or '
            '{"features": [IDS]}; @FILE reads it from a file.',
        ),
    ] = None,
    since: Annotated[
        int | None,
        typer.Option(min=1, metavar="REVISION", help="The changes after it, as JSON Lines."),
    ] = None,
    stack: StackName = "",
) -> None:
    """Export a dataset to a file: all of it, an extent, or the changes since a revision."""
    area = None if extent is None else _extent(extent)
    api: ApiClient = ctx.obj.api(stack)
    wanted = {"revision": revision, "extent": area, "since": since}
    body = {field: value for field, value in wanted.items() if value is not None}
    asked = api.post(f"/datasets/{name}/exports", body)
    path = f"/datasets/{name}/exports/{asked['export_id']}"
    found = _awaited(ctx.obj, api, path, "exporting")
    if found["state"] != "ready":
        terminal.print_error("the export has failed: try again")
        raise typer.Exit(EXIT_ERRORS)
    target = out or Path(found["filename"])
    api.download(found["url"], target)
    count = plural(found["count"], "change" if since else "feature")
    terminal.console().print(f"{count} in {terminal.printable_path(target)}", markup=False)


def _extent(text: str) -> Document:
    """The extent in an option, as a document."""
    document = options.read_json("--extent", text)
    if not isinstance(document, dict):
        raise typer.BadParameter("an extent is a JSON object", param_hint="--extent")
    try:
        return parse_extent(document).document()
    except BadRequest as error:
        raise typer.BadParameter(str(error), param_hint="--extent") from error
