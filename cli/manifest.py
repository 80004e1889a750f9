"""`jobyard manifest`: check a manifest before submitting it, or make one for a folder.

Neither needs a stack: they apply the rules of the domain, as ingest does.
"""

import errno
import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated, Any
from urllib.parse import quote, urlsplit

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from cli.findings import (
    EXIT_ERRORS,
    EXIT_UNREADABLE,
    blocks,
    opened,
    print_document,
    print_listing,
)
from cli.terminal import SafeConsole, is_utf8, print_error, printable_path
from jobyard.domain.errors import BadRequest
from jobyard.domain.manifests import url_checks, writer
from jobyard.domain.manifests.entry import Entry
from jobyard.domain.manifests.profiles import PROFILES, Profile, kind_of
from jobyard.domain.manifests.reader import ManifestReader
from jobyard.domain.plurals import plural
from jobyard.domain.redaction import without_secrets

app = typer.Typer(no_args_is_help=True, help="Check a manifest, or make one for a folder.")

SHOWN_NAMES = 10  # invalid file names that an error shows
_HASHES: dict[str, Callable[[], "hashlib._Hash"]] = {
    "md5": lambda: hashlib.md5(usedforsecurity=False),
    "sha-256": hashlib.sha256,
    "sha-512": hashlib.sha512,
}


class ProfileName(StrEnum):
    """Values of --profile."""

    INGEST = "mrt-ingest-manifest"
    BATCH = "mrt-batch-manifest"
    CONTAINER_BATCH = "mrt-container-batch-manifest"
    SINGLE_FILE_BATCH = "mrt-single-file-batch-manifest"


class Algorithm(StrEnum):
    """Values of --algorithm."""

    MD5 = "md5"
    SHA_256 = "sha-256"
    SHA_512 = "sha-512"


@app.command()
def check(
    file: Annotated[str, typer.Argument(help="The manifest; - is standard input.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document, and nothing else.")
    ] = False,
    profile: Annotated[
        ProfileName | None,
        typer.Option(help="The expected profile.  [default: what the manifest declares]"),
    ] = None,
) -> None:
    """Check a manifest in Checkm, CSV or JSON Lines.

    Exits with 0 if it can be submitted, 1 if it has errors, 2 if it cannot be read.
    """
    with opened(file) as stream:
        name = printable_path(file)
        reading = ManifestReader(blocks(stream), filename=name, profile=profile)
        if as_json:
            print_document(reading, lambda: _head_of(reading))
        else:
            print_listing(reading, name, lambda: _verdict_of(reading))
    if reading.worst_level == "error":
        raise typer.Exit(EXIT_ERRORS)


def _head_of(reading: ManifestReader) -> dict[str, Any]:
    return {
        "profile": reading.profile,
        "entries": reading.job_count,
        "files": reading.row_count,
    }


def _verdict_of(reading: ManifestReader) -> Text:
    if reading.worst_level == "error":
        return Text("no objects will be created", style="bold red")
    noun = "file" if reading.is_one_object else "row"
    created = f"{plural(reading.job_count, 'object')} of {plural(reading.row_count, noun)}"
    return Text(f"{created} will be created ({reading.profile})", style="green")


@app.command()
def make(
    folder: Annotated[Path, typer.Argument(help="The folder whose files to list.", metavar="DIR")],
    base_url: Annotated[
        str,
        typer.Option(help="URL of the folder: https://…, http://… or s3://…"),
    ],
    profile: Annotated[
        ProfileName, typer.Option(help="The manifest's profile.")
    ] = ProfileName.INGEST,
    algorithm: Annotated[Algorithm, typer.Option(help="The digest algorithm.")] = Algorithm.SHA_256,
    output: Annotated[
        Path | None, typer.Option(help="The file to write.  [default: standard output]")
    ] = None,
) -> None:
    """Make a Checkm manifest of the files in a folder, sorted by path.

    Skips hidden files, links to folders and files that the profile does not accept, with a message
    for each. The manifest passes `check`.
    """
    request = _MakeRequest(folder, base_url.rstrip("/"), PROFILES[profile], algorithm, output)
    try:
        _check_base_url(request)
        files = _files_of(request)
        _check_names(request, files)
        total = sum(size for _, size in files)
        with _atomic_output(output) as stream, _progress_bar(total) as advance:
            for line in writer.manifest(_hashed_entries(request, files, advance), request.profile):
                stream.write(line)
    except BadRequest as error:
        print_error(str(error))
        raise typer.Exit(EXIT_ERRORS) from error
    except BrokenPipeError:
        raise  # the reader closed the pipe
    except OSError as error:
        print_error(f"{printable_path(error.filename or folder)}: {error.strerror or error}")
        raise typer.Exit(EXIT_UNREADABLE) from error
    where = f" to {printable_path(output)}" if output else ""
    typer.echo(f"{plural(len(files), 'file')} written{where}", err=True)


@dataclass(frozen=True)
class _MakeRequest:
    """The arguments of `make`."""

    folder: Path
    base_url: str
    profile: Profile
    algorithm: str
    output: Path | None

    def url(self, name: str) -> str:
        """URL of the file `name`. It is percent-encoded, except in s3:// URLs."""
        is_s3 = self.base_url.lower().startswith("s3://")
        return f"{self.base_url}/{name if is_s3 else quote(name)}"


def _check_base_url(request: _MakeRequest) -> None:
    if not is_utf8(request.base_url):
        raise BadRequest(f"--base-url {printable_path(request.base_url)} is not UTF-8")
    fault = url_checks.error_in(f"{request.base_url}/x")
    if not fault and request.base_url.startswith("http"):
        parts = urlsplit(request.base_url)
        if parts.query or parts.fragment:
            fault = "has a query or a fragment: give the URL of a folder"
    if fault:
        raise BadRequest(f"--base-url {without_secrets(request.base_url)} {fault}")


def _files_of(request: _MakeRequest) -> list[tuple[str, int]]:
    """Name and size in bytes of each file, sorted by name. Prints a message for skipped files."""
    if not request.folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "is not a folder", str(request.folder))
    files = []
    for path, reason in _walk(request.folder):
        name = path.relative_to(request.folder).as_posix()
        if not reason and request.output and path.resolve() == request.output.resolve():
            reason = "is the output file"
        if not reason and kind_of(name) not in request.profile.accepts:
            reason = f"is not accepted by {request.profile.name}"
        if reason:
            typer.echo(f"skipped {name!a}: {reason}", err=True)
        else:
            files.append((name, path.stat().st_size))
    if invalid := [name for name, _ in files if not is_utf8(name)]:
        names = ", ".join(map(printable_path, invalid[:SHOWN_NAMES]))
        more = f" and {len(invalid) - SHOWN_NAMES} more" if len(invalid) > SHOWN_NAMES else ""
        raise BadRequest(f"file names must be UTF-8, these are not: {names}{more}; rename them")
    if not files:
        raise BadRequest(
            f"{printable_path(request.folder)} has no file that {request.profile.name} accepts"
        )
    return sorted(files)


def _walk(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file below `folder`, with the reason to skip it, or ""."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        if entry.name.startswith("."):
            yield path, "is hidden"
        elif entry.is_dir(follow_symlinks=False):
            yield from _walk(path)
        elif entry.is_dir():
            yield path, "is a link to a folder"
        elif not entry.is_file():
            yield path, "is not a file" if path.exists() else "is a broken link"
        else:
            yield path, ""


def _check_names(request: _MakeRequest, files: Sequence[tuple[str, int]]) -> None:
    """Refuse invalid names before hashing, which may take hours."""
    entries = (Entry(0, request.profile.kind, request.url(name), name) for name, _ in files)
    reading = ManifestReader(writer.manifest(entries, request.profile), filename="manifest.checkm")
    faults = [
        finding.message
        for _, findings in reading
        for finding in findings
        if finding.level == "error"
    ]
    if faults:
        raise BadRequest("\n".join(faults))


def _hashed_entries(
    request: _MakeRequest, files: Sequence[tuple[str, int]], advance: Callable[[int], None]
) -> Iterator[Entry]:
    """The entry of each file. Its size is that of the bytes that were hashed."""
    for name, _ in files:
        digest, size = _HASHES[request.algorithm](), 0
        with (request.folder / name).open("rb") as stream:
            for block in blocks(stream):
                digest.update(block)
                size += len(block)
                advance(len(block))
        url = request.url(name)
        yield Entry(0, request.profile.kind, url, name, request.algorithm, digest.hexdigest(), size)


@contextmanager
def _atomic_output(output: Path | None) -> Iterator[IO[bytes]]:
    """A stream to `output`, which is created whole or not at all."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    partial = output.with_name(f".{output.name}.part")
    try:
        with partial.open("wb") as stream:
            yield stream
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _progress_bar(total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar of `total` bytes on standard error. Yields the function that advances it."""
    columns = (
        TextColumn("hashing"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = SafeConsole(stderr=True)
    is_shown = console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=not is_shown) as progress:
        bar = progress.add_task("", total=total)
        yield lambda count: progress.update(bar, advance=count)
