"""Submitting a manifest, and watching what becomes of it."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Annotated, Any

import typer

from cli import options, progress, terminal
from cli.client import ApiClient, Document, UploadUncertain
from cli.options import Json, StackName, Watch

app = typer.Typer()

MAX_PIPED_BYTES = 1 << 30  # bytes that are read of a pipe: twice what any stack takes
_BLOCK = 1 << 20
_EXTENSIONS = {b"#": "checkm", b"{": "jsonl", b"[": "jsonl"}  # by how a manifest begins


@app.command()
def submit(
    ctx: typer.Context,
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="A manifest, or an object's; - is standard input."),
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
    filename: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What it is called there.  [default: its own name; of a pipe manifest.checkm, "
            ".csv or .jsonl, by what is in it]",
        ),
    ] = "",
    note: Annotated[str, typer.Option(help="A word to whoever looks at it later.")] = "",
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            parser=options.name_value,
            metavar="NAME=VALUE",
            help="For the job type; repeatable. NAME:=VALUE takes JSON, as in limit:=3.",
        ),
    ] = None,
    watch: Watch = False,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Submit a manifest: every line of it becomes a job.

    With --watch the exit code tells how the batch ended: 0 completed, 1 anything else.
    """
    if no_mail and notify:
        raise typer.BadParameter("nobody gets the report, or they do", param_hint="--no-mail")
    optional = {
        "profile": profile,
        "notify": notify,
        "callback_url": callback_url,
        "note": note,
        "parameters": dict(map(_parameter, parameter or ())),
    }
    wanted: Document = {name: value for name, value in optional.items() if value}
    if no_mail:
        wanted["notify"] = []
    with _open(file) as content:
        called = filename or _manifest_name(file, content)
        wanted |= {"collection": collection, "filename": called, "job_type": job_type}
        api = ctx.obj.api(stack)
        made = api.post("/batches", wanted)
        batch_id = made["batch_id"]
        try:
            api.upload(made["upload"], content)
        except UploadUncertain as error:
            raise UploadUncertain(f"{error}: `jobyard batch {batch_id}`") from error
    if not as_json:
        terminal.console().print(f"batch [bold]{batch_id}[/]")
    if watch:
        watch_to_end(ctx, api, batch_id, as_json=as_json)
    elif as_json:
        terminal.print_json(made)
    else:
        terminal.console().print(
            terminal.next_commands([(f"jobyard watch {batch_id}", "how it goes")])
        )


@app.command()
def watch(
    ctx: typer.Context,
    batch_id: Annotated[list[str], typer.Argument(parser=options.batch_id, metavar="BATCH...")],
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Show how batches go until they end. Ends with 0 if all of them completed, else with 1."""
    watch_to_end(ctx, ctx.obj.api(stack), *batch_id, as_json=as_json)


def watch_to_end(
    ctx: typer.Context,
    api: ApiClient,
    *batch_ids: str,
    as_json: bool,
    is_over: Callable[[Document], bool] = progress.is_over,
    is_good: Callable[[Document], bool] = progress.is_good,
) -> None:
    """Watch batches to their end, show it, and end the command with 0 if all are good, else 1."""
    console = None if as_json else terminal.console()
    try:
        ended = progress.watch(api, batch_ids, console, ctx.obj.pause, is_over)
    except KeyboardInterrupt:
        ids = " ".join(batch_ids)
        terminal.print_error(f"It goes on without you. Look again with `jobyard watch {ids}`")
        raise typer.Exit(130) from None
    if as_json:
        terminal.print_json(ended[0] if len(ended) == 1 else {"items": ended})
    elif console:
        for batch in ended:
            progress.show_end(api, batch, console)
    if not all(map(is_good, ended)):
        raise typer.Exit(1)


@contextmanager
def _open(file: str) -> Iterator[IO[bytes]]:
    """The manifest, to be read as often as it has to be sent. What is a pipe is kept meanwhile.

    Raises:
        typer.BadParameter: there is none, or nothing in it.
    """
    with _open_stream(file) as stream, TemporaryFile() as kept:
        content: IO[bytes] = stream
        if _is_piped(file):
            while block := stream.read(_BLOCK):
                if kept.tell() > MAX_PIPED_BYTES:
                    raise typer.BadParameter(
                        f"{_display_name(file)} does not end", param_hint="FILE"
                    )
                kept.write(block)
            content = kept
        if not content.seek(0, os.SEEK_END):
            raise typer.BadParameter(f"{_display_name(file)} is empty", param_hint="FILE")
        content.seek(0)
        yield content


def _open_stream(file: str) -> AbstractContextManager[IO[bytes]]:
    if file == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(file).open("rb")
    except FileNotFoundError:
        raise typer.BadParameter(
            f"{_display_name(file)} does not exist", param_hint="FILE"
        ) from None
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else str(error)
        raise typer.BadParameter(f"{_display_name(file)}: {words}", param_hint="FILE") from error


def _is_piped(file: str) -> bool:
    """Whether a manifest has no name of its own, and may be read once only."""
    return file == "-" or file.startswith(("/dev/", "/proc/")) or not Path(file).is_file()


def _manifest_name(file: str, content: IO[bytes]) -> str:
    """A manifest's own name. A pipe has none: its content says what its ending would be.

    Raises:
        typer.BadParameter: it is no UTF-8, as all that is kept of a batch is.
    """
    if not _is_piped(file):
        if not terminal.is_utf8(Path(file).name):
            words = "its name is no UTF-8: rename it, or say --filename NAME"
            raise typer.BadParameter(f"{_display_name(file)}: {words}", param_hint="FILE")
        return Path(file).name
    begin = content.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    return f"manifest.{_EXTENSIONS.get(begin, 'csv')}"


def _display_name(file: str) -> str:
    return "standard input" if file == "-" else terminal.printable_path(file)


def _parameter(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    if not name.endswith(":"):
        return name, value
    try:
        return name.removesuffix(":"), json.loads(value)
    except ValueError:
        raise typer.BadParameter(f"{value!r} is not JSON") from None
