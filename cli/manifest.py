"""`jobyard manifest`: check a manifest before submitting it, or make one for a folder.

Neither needs a stack: they apply the rules of the domain, as ingest does.
"""

import errno
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from jobyard.domain.manifests.profiles import PROFILES, Column, Profile, kind_of
from jobyard.domain.manifests.reader import ManifestReader
from jobyard.domain.plurals import plural
from jobyard.domain.redaction import without_secrets

app = typer.Typer(no_args_is_help=True, help="Check a manifest, or make one for a folder.")

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


class Format(StrEnum):
    """Values of --format."""

    CHECKM = "checkm"
    CSV = "csv"
    JSON_LINES = "jsonl"


_WRITERS = {
    Format.CHECKM: writer.manifest,
    Format.CSV: writer.csv_manifest,
    Format.JSON_LINES: writer.json_lines,
}


class LocalIds(StrEnum):
    """Values of --local-ids."""

    PATH = "path"
    NAME = "name"
    NONE = "none"


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
    format_: Annotated[
        Format | None,
        typer.Option("--format", help="[default: by the name of --output, else checkm]"),
    ] = None,
    local_ids: Annotated[
        LocalIds,
        typer.Option(
            help="The local identifier of each object: its path in DIR, its name, or none. With "
            "it, the same file submitted again becomes a new version of its object."
        ),
    ] = LocalIds.PATH,
    local_prefix: Annotated[
        str, typer.Option(metavar="TEXT", help="Put TEXT before each local identifier.")
    ] = "",
    hidden: Annotated[bool, typer.Option("--hidden", help="Take hidden files too.")] = False,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Follow links to folders, and out of DIR.")
    ] = False,
) -> None:
    """Make a manifest of the files in a folder, sorted by path.

    Skips hidden files, links to folders or out of DIR, and files that the profile does not accept,
    with a message for each. The manifest passes `check`.

    An mrt-ingest-manifest is one object and has no local identifiers: give one when you submit it.
    """
    format_ = format_ or _format_of(output)
    request = _MakeRequest(
        folder,
        base_url.rstrip("/"),
        PROFILES[profile],
        algorithm,
        output,
        format_,
        local_ids,
        local_prefix,
        takes_hidden=hidden,
        follows_links=follow_links,
    )
    try:
        _check_base_url(request)
        files = _files_of(request)
        _check_names(request, files)
        total = sum(size for _, size in files)
        with _atomic_output(output) as stream, _progress_bar(total) as advance:
            for line in request.lines(_hashed_entries(request, files, advance)):
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
    format: Format
    local_ids: LocalIds
    local_prefix: str
    takes_hidden: bool
    follows_links: bool

    def lines(self, entries: Iterable[Entry]) -> Iterator[bytes]:
        """The manifest of the entries, line by line."""
        return _WRITERS[self.format](entries, self.profile)

    def local(self, name: str) -> tuple[str, ...]:
        """The local identifier of the object whose file is `name`; empty if it has none."""
        if self.local_ids is LocalIds.NONE or Column.LOCAL not in self.profile.columns:
            return ()
        chosen = name if self.local_ids is LocalIds.PATH else name.rpartition("/")[2]
        return (self.local_prefix + chosen,)

    def url(self, name: str) -> str:
        """URL of the file `name`. It is percent-encoded, except in s3:// URLs."""
        is_s3 = self.base_url.lower().startswith("s3://")
        return f"{self.base_url}/{name if is_s3 else quote(name)}"


def _format_of(output: Path | None) -> Format:
    """The format that the name of the output means."""
    suffix = output.suffix.lower().removeprefix(".") if output else ""
    return Format(suffix) if suffix in set(Format) else Format.CHECKM


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
    for path, reason in _walk(request.folder, request, {request.folder.resolve()}):
        name = path.relative_to(request.folder).as_posix()
        if not reason and request.output and path.resolve() == request.output.resolve():
            reason = "is the output file"
        if not reason and kind_of(name) not in request.profile.accepts:
            reason = f"is not accepted by {request.profile.name}"
        if reason:
            typer.echo(f"skipped {name!a}: {reason}", err=True)
        else:
            files.append((name, path.stat().st_size))
    if not files:
        raise BadRequest(
            f"{printable_path(request.folder)} has no file that {request.profile.name} accepts"
        )
    return sorted(files)


def _walk(folder: Path, request: _MakeRequest, entered: set[Path]) -> Iterator[tuple[Path, str]]:
    """Every file below `folder`, with the reason to skip it, or "". `entered` are the folders on
    the way, so that a link to one of them does not lead in circles.
    """
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        reason = _reason_to_skip(path, entry, request)
        if reason or not entry.is_dir():
            yield path, reason
        elif (target := path.resolve()) in entered:
            yield path, "is a link to a folder that contains it"
        else:
            yield from _walk(path, request, {*entered, target})


def _reason_to_skip(path: Path, entry: "os.DirEntry[str]", request: _MakeRequest) -> str:
    """Why a file or a folder is not taken; "" if it is."""
    if entry.name.startswith(".") and not request.takes_hidden:
        return "is hidden"
    if entry.is_symlink() and not path.exists():
        return "is a broken link"
    if entry.is_symlink() and not request.follows_links:
        if entry.is_dir():
            return "is a link to a folder"
        if not path.resolve().is_relative_to(request.folder.resolve()):
            return "is a link out of the folder"
    return "" if entry.is_dir() or entry.is_file() else "is not a file"


def _check_names(request: _MakeRequest, files: Sequence[tuple[str, int]]) -> None:
    """Refuse invalid names before hashing, which may take hours: all of them at once."""
    faults = [f"{printable_path(name)} is not UTF-8" for name, _ in files if not is_utf8(name)]
    valid = [name for name, _ in files if is_utf8(name)]
    faults += _faults_in(request, valid)
    repeated = Counter(local for name in valid for local in request.local(name))
    faults += [
        f"{plural(number, 'file')} would have the local identifier {local}: use --local-ids path"
        for local, number in repeated.items()
        if number > 1
    ]
    if faults:
        raise BadRequest("\n".join([*faults, "rename them; nothing was written"]))


def _faults_in(request: _MakeRequest, names: Sequence[str]) -> list[str]:
    """What is wrong with the names, as `check` would say it. One that the format cannot express is
    found by itself, and the others are checked without it.
    """
    faults: list[str] = []
    entries = []
    for name in names:
        entry = Entry(0, request.profile.kind, request.url(name), name, local=request.local(name))
        try:
            list(request.lines([entry]))
        except BadRequest as error:
            faults.append(str(error))
        else:
            entries.append(entry)
    if not entries:
        return faults
    reading = ManifestReader(
        request.lines(entries), filename=f"manifest.{request.format}", profile=request.profile.name
    )
    found = (finding for _, findings in reading for finding in findings)
    return faults + [each.message for each in found if each.level == "error"]


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
        yield Entry(
            0,
            request.profile.kind,
            url,
            name,
            request.algorithm,
            digest.hexdigest(),
            size,
            local=request.local(name),
        )


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
