"""Prints the findings about a file, as a list for people or as one JSON document."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Protocol

import typer
from rich.text import Text

from cli.terminal import STYLES, SafeConsole, print_error, printable_path
from jobyard.domain.manifests.findings import MAX_FINDINGS, BoundedFindings, Finding
from jobyard.domain.plurals import plural

SHOWN_FINDINGS = 1_000  # findings of each level that a listing shows
EXIT_ERRORS, EXIT_UNREADABLE = 1, 2

_BLOCK = 1_048_576


class Reading(Protocol):
    """A pass over a file: iterating gives what was read, with findings."""

    @property
    def errors(self) -> int:
        """The number of errors."""

    @property
    def warnings(self) -> int:
        """The number of warnings."""

    @property
    def worst_level(self) -> str:
        """The highest level of the findings, or "pass"."""

    def __iter__(self) -> Iterator[tuple[Any, Sequence[Finding]]]:
        """What was read, with findings, in file order."""


@contextmanager
def opened(file: str) -> Iterator[IO[bytes]]:
    """The stream of a file; `-` is standard input. Exits with 2 if it cannot be read."""
    try:
        if file == "-":
            yield sys.stdin.buffer
        else:
            with Path(file).open("rb") as stream:
                yield stream
    except BrokenPipeError:
        raise  # the reader closed the pipe
    except OSError as error:
        print_error(f"{printable_path(file)} cannot be read: {error.strerror or error}")
        raise typer.Exit(EXIT_UNREADABLE) from error


def blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """The bytes of a stream, block by block."""
    while block := stream.read(_BLOCK):
        yield block


def tee_blocks(stream: IO[bytes], copy: IO[bytes], limit: int, option: str) -> Iterator[bytes]:
    """The blocks of a stream, which are also written to `copy`: a pipe can be read only once.

    Raises:
        typer.BadParameter: the file of `option` is larger than `limit` bytes.
    """
    for block in blocks(stream):
        copy.write(block)
        if copy.tell() > limit:
            raise typer.BadParameter(f"it is larger than {limit:,} bytes", param_hint=option)
        yield block


def print_document(reading: Reading, head: Callable[[], dict[str, Any]]) -> None:
    """Print JSON: the verdict, the fields of `head`, which is called after the end, and the
    findings.

    Findings are spooled to disk, because the verdict comes first. Their number is limited as in a
    batch.
    """
    with TemporaryFile() as spool:
        for finding in _kept_findings(reading):
            spool.write(b", " if spool.tell() else b"")
            spool.write(json.dumps(finding.document()).encode("ascii"))
        begin = json.dumps({"verdict": reading.worst_level, **head()})
        typer.echo(begin[:-1] + ', "findings": [', nl=False)
        spool.seek(0)
        for block in blocks(spool):
            typer.echo(block.decode("ascii"), nl=False)
        typer.echo("]}")


def _kept_findings(reading: Reading) -> Iterator[Finding]:
    kept = BoundedFindings()
    for _, found in reading:
        yield from kept.take(found)
    yield from kept.rest()


def print_listing(reading: Reading, file: str, verdict: Callable[[], Text]) -> None:
    """Print a line for each finding, then the verdict, which is called after the end."""
    console = SafeConsole(highlight=False, soft_wrap=True)
    kept = BoundedFindings(SHOWN_FINDINGS)
    for _, found in reading:
        for finding in kept.take(found):
            console.print(line_of(finding, file))
    more = sum(kept.more.values())
    if more:
        highest = max(kept.more.values()) + SHOWN_FINDINGS
        which = (
            "all of them" if highest <= MAX_FINDINGS else f"up to {MAX_FINDINGS:,} of each level"
        )
        console.print(f"… and {more} more: --json lists {which}")
    levels = (("error", reading.errors), ("warning", reading.warnings))
    counts = [plural(count, level) for level, count in levels if count]
    console.print(
        Text.assemble(f"{file}: ", verdict(), f": {', '.join(counts) or 'no errors or warnings'}")
    )


def line_of(finding: Finding, file: str) -> Text:
    """A finding on one line."""
    location = ":".join((file, *(str(each) for each in (finding.line, finding.column) if each)))
    level = (finding.level, STYLES.get(finding.level, "dim"))
    return Text.assemble(location, " ", level, f" {finding.message} ({finding.code})")
