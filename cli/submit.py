"""Commands that submit a manifest and watch batches."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Annotated, Any

import typer

from cli import batch_result, job_watch, options, progress, tables, terminal
from cli.client import ApiClient, Document, UploadUncertain
from cli.options import Json, StackName, Watch
from jobyard.domain.ids import is_batch_id, is_schedule_id

app = typer.Typer()

MAX_PIPED_BYTES = 1 << 30  # twice the largest manifest a stack accepts
_BLOCK = 1 << 20
_EXTENSIONS = {b"#": "checkm", b"{": "jsonl", b"[": "jsonl"}  # by the first character


@app.command()
def submit(
    ctx: typer.Context,
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="The manifest; - is standard input."),
    ],
    collection: Annotated[str, typer.Option(help="The collection to submit to.")] = "default",
    job_type: Annotated[str, typer.Option(help="The job type to run for each entry.")] = "deposit",
    profile: Annotated[
        str, typer.Option(help="The manifest's profile.  [default: what the manifest declares]")
    ] = "",
    notify: Annotated[
        list[str] | None,
        typer.Option(
            parser=options.recipient,
            metavar="ADDRESS",
            help="Send the report to this address instead of yours; may be repeated.",
        ),
    ] = None,
    no_mail: Annotated[bool, typer.Option("--no-mail", help="Send no report.")] = False,
    callback_url: Annotated[str, typer.Option(help="URL to call when a job ends.")] = "",
    filename: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Name of the manifest.  [default: the file's name; for a pipe manifest.checkm, "
            ".csv or .jsonl, by its content]",
        ),
    ] = "",
    note: Annotated[str, typer.Option(help="A note, shown with the batch.")] = "",
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            parser=options.name_value,
            metavar="NAME=VALUE",
            help="Parameter of the job type; may be repeated. NAME:=VALUE takes JSON: limit:=3.",
        ),
    ] = None,
    watch: Watch = False,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Submit a manifest. Each of its entries becomes a job.

    With --watch the exit code is 0 if the batch completed, else 1.
    """
    if no_mail and notify:
        raise typer.BadParameter("give --no-mail or --notify, not both", param_hint="--no-mail")
    optional = {
        "profile": profile,
        "notify": notify,
        "callback_url": callback_url,
        "note": note,
        "parameters": dict(map(_parameter, parameter or ())),
    }
    body: Document = {name: value for name, value in optional.items() if value}
    if no_mail:
        body["notify"] = []
    with _open(file) as content:
        name = filename or _manifest_name(file, content)
        body |= {"collection": collection, "filename": name, "job_type": job_type}
        api = ctx.obj.api(stack)
        created = api.post("/batches", body)
        batch_id = created["batch_id"]
        try:
            api.upload(created["upload"], content)
        except UploadUncertain as error:
            raise UploadUncertain(f"{error}: run `jobyard batch {batch_id}`") from error
    if not as_json:
        terminal.console().print(f"batch [bold]{batch_id}[/]")
    if watch:
        watch_to_end(ctx, api, batch_id, as_json=as_json)
    elif as_json:
        terminal.print_json(created)
    else:
        terminal.console().print(
            tables.next_commands([(f"jobyard watch {batch_id}", "watch its progress")])
        )


@app.command()
def watch(
    ctx: typer.Context,
    target: Annotated[
        list[str], typer.Argument(parser=options.watchable, metavar="BATCH|JOB|SCHEDULE...")
    ],
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Show the progress of batches, or of jobs, until they end. Exits with 0 if all completed, else
    with 1.

    Of a SCHEDULE it shows the jobs that run now, or the last one if none does.
    """
    api = ctx.obj.api(stack)
    batches = [each for each in target if is_batch_id(each)]
    if batches and len(batches) < len(target):
        raise typer.BadParameter("watch batches or jobs, not both", param_hint="BATCH|JOB|SCHEDULE")
    if batches:
        watch_to_end(ctx, api, *batches, as_json=as_json)
        return
    _watch_jobs(ctx, api, target, as_json=as_json)


def _watch_jobs(
    ctx: typer.Context, api: ApiClient, targets: Sequence[str], *, as_json: bool
) -> None:
    """Watch jobs, and those of schedules, until they end.

    Raises:
        typer.Exit: with 1 if one has not succeeded, with 130 after Ctrl-C.
    """
    job_ids = [
        job_id
        for target in targets
        for job_id in (_jobs_of(target, api) if is_schedule_id(target) else [target])
    ]
    try:
        ended = job_watch.watch(
            api, job_ids, None if as_json else terminal.console(), ctx.obj.pause
        )
    except KeyboardInterrupt:
        again = f"`jobyard watch {' '.join(job_ids)}`"
        terminal.print_error(f"The jobs keep running. To watch again: {again}")
        raise typer.Exit(130) from None
    if as_json:
        terminal.print_json(ended[0] if len(ended) == 1 else {"items": ended})
    if not all(map(job_watch.is_success, ended)):
        raise typer.Exit(1)


def _jobs_of(schedule_id: str, api: ApiClient) -> Sequence[str]:
    """The jobs of a schedule that run now, or else the last one.

    Raises:
        typer.BadParameter: it has none.
    """
    running: list[str] = api.get(f"/schedules/{schedule_id}")["running_job_ids"]
    if running:
        return running
    newest = api.list_items(f"/schedules/{schedule_id}/occurrences", 20)["items"]
    last = next((each["job_id"] for each in newest if each.get("job_id")), "")
    if not last:
        raise typer.BadParameter(f"schedule {schedule_id} has run no job yet")
    return [last]


def watch_to_end(
    ctx: typer.Context,
    api: ApiClient,
    *batch_ids: str,
    as_json: bool,
    is_over: Callable[[Document], bool] = progress.is_over,
    is_success: Callable[[Document], bool] = progress.is_completed,
) -> None:
    """Watch batches until `is_over` and show their results.

    Raises:
        typer.Exit: with 1 if `is_success` is false for a batch, with 130 after Ctrl-C.
    """
    console = None if as_json else terminal.console()
    try:
        ended = progress.watch(api, batch_ids, console, ctx.obj.pause, is_over)
    except KeyboardInterrupt:
        ids = " ".join(batch_ids)
        still = "The batch keeps" if len(batch_ids) == 1 else "The batches keep"
        terminal.print_error(f"{still} running. To watch again: `jobyard watch {ids}`")
        raise typer.Exit(130) from None
    if as_json:
        terminal.print_json(ended[0] if len(ended) == 1 else {"items": ended})
    elif console:
        for batch in ended:
            batch_result.show_end(api, batch, console)
    if not all(map(is_success, ended)):
        raise typer.Exit(1)


@contextmanager
def _open(file: str) -> Iterator[IO[bytes]]:
    """Open the manifest as a seekable stream, so that the upload can be retried.

    A pipe is copied to a temporary file.

    Raises:
        typer.BadParameter: the file does not exist, it is empty, or a pipe has more than
            MAX_PIPED_BYTES.
    """
    with _open_stream(file) as stream, TemporaryFile() as copy:
        content: IO[bytes] = stream
        if _is_piped(file):
            while block := stream.read(_BLOCK):
                if copy.tell() > MAX_PIPED_BYTES:
                    message = f"{_display_name(file)} is larger than {MAX_PIPED_BYTES:,} bytes"
                    raise typer.BadParameter(message, param_hint="FILE")
                copy.write(block)
            content = copy
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
        message = error.strerror if isinstance(error, OSError) else str(error)
        raise typer.BadParameter(f"{_display_name(file)}: {message}", param_hint="FILE") from error


def _is_piped(file: str) -> bool:
    """Whether `file` is a pipe: it has no name of its own and can be read only once."""
    return file == "-" or file.startswith(("/dev/", "/proc/")) or not Path(file).is_file()


def _manifest_name(file: str, content: IO[bytes]) -> str:
    """The manifest's file name. For a pipe it is `manifest` with an extension for the content.

    Raises:
        typer.BadParameter: the name is not UTF-8.
    """
    if not _is_piped(file):
        if not terminal.is_utf8(Path(file).name):
            message = "its name is not UTF-8: rename it, or give --filename NAME"
            raise typer.BadParameter(f"{_display_name(file)}: {message}", param_hint="FILE")
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
