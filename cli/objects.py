"""`jobyard object`: show objects of the archive and download their files."""

from pathlib import Path
from typing import Annotated

import typer

from cli import options, tables, terminal
from cli.client import ApiClient, Document
from cli.options import Json, Limit, StackName
from cli.show import Rows, section
from cli.terminal import local_time
from jobyard.domain.arks import object_id_of
from jobyard.domain.errors import BadRequest
from jobyard.domain.plurals import plural

app = typer.Typer(no_args_is_help=True, help="Show stored objects and download their files.")

Ark = Annotated[str, typer.Argument(parser=options.ark, metavar="ARK")]
Version = Annotated[
    int | None, typer.Option(min=1, help="Number of the version. The newest by default.")
]


@app.callback()
def objects() -> None:
    """Show stored objects and download their files."""


@app.command()
def show(
    ctx: typer.Context,
    ark: Ark,
    version: Version = None,
    limit: Limit = 100,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Show an object: its versions, and the files of one of them."""
    api: ApiClient = ctx.obj.api(stack)
    path = f"/objects/{object_id_of(ark)}"
    found = api.get(path)
    number = version or found["versions"][0]["version"]
    details = _version(api, path, number, limit)
    if as_json:
        terminal.print_json({**found, "version": details})
        return
    terminal.console().print(
        tables.key_values(
            (
                ("ark", found["ark"]),
                ("collection", found["collection"]),
                ("local ids", ", ".join(found["local_ids"])),
                ("version", str(number)),
                ("stored", f"{local_time(details['stored_at'])} by {details['depositor'] or '?'}"),
                ("batch", details["batch_id"]),
                ("size", f"{plural(details['files_count'], 'file')}, {details['bytes']:,} bytes"),
                ("manifest", f"sha256 {details['manifest_sha256']}"),
            )
        )
    )
    versions: Rows = [
        (str(each["version"]), local_time(each["stored_at"]), str(each["files_count"]))
        for each in found["versions"]
    ]
    section("Versions", ("!version", "!stored", "!files"), versions)
    files: Rows = [
        (each["name"], f"{each['size']:,}", " ".join(each["digests"].values()))
        for each in details["files"]
    ]
    section("Files", ("name", "!bytes", "digests"), files)


@app.command()
def get(
    ctx: typer.Context,
    ark: Ark,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="FILE", help="Only these files. All by default.")
    ] = None,
    to: Annotated[
        Path, typer.Option(metavar="FOLDER", file_okay=False, help="Where to store them.")
    ] = Path(),
    version: Version = None,
    stack: StackName = "",
) -> None:
    """Download the files of an object into a folder. Existing files are not replaced."""
    api: ApiClient = ctx.obj.api(stack)
    path = f"/objects/{object_id_of(ark)}"
    number = version or api.get(path)["versions"][0]["version"]
    wanted = names or [each["name"] for each in _version(api, path, number, None)["files"]]
    for name in wanted:
        target = _target(to, name)
        link = api.get(f"{path}/versions/{number}/download", name=name)
        target.parent.mkdir(parents=True, exist_ok=True)
        api.download(link["url"], target)
        terminal.console().print(terminal.printable_path(target), markup=False)


def _version(api: ApiClient, path: str, number: int, limit: int | None) -> Document:
    """A version with up to `limit` of its files; None for all."""
    first = api.get(f"{path}/versions/{number}", limit=min(limit or 200, 200))
    files, cursor = first["files"], first["next_cursor"]
    while cursor and (limit is None or len(files) < limit):
        page = api.get(f"{path}/versions/{number}", cursor=cursor, limit=200)
        files, cursor = files + page["files"], page["next_cursor"]
    return {**first, "files": files[:limit], "next_cursor": cursor}


def _target(folder: Path, name: str) -> Path:
    """Where a file is stored.

    Raises:
        BadRequest: its name leads out of the folder, or there is such a file.
    """
    target = folder / name
    if not target.resolve().is_relative_to(folder.resolve()):
        raise BadRequest(f"the name {terminal.printable_path(name)} leads out of the folder")
    if target.exists():
        raise BadRequest(f"{terminal.printable_path(target)} exists already")
    return target
