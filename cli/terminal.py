"""Terminal output: colours of states, times, prompts, errors, JSON."""

import codecs
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from cli.client import Document
from jobyard.domain.text import clean, is_clean

UNKNOWN_WIDTH = 80  # for a terminal that reports no width
PIPED_WIDTH = 200  # for a pipe: wide enough to keep ids in one piece


_EVENT_COMMANDS = {"run_now": "run"}  # commands not named like their event

STYLES = {  # by state or label, in lower case with underscores
    "succeeded": "green",
    "completed": "green",
    "partially_succeeded": "yellow",
    "failed": "red",
    "running": "cyan",
    "in_progress": "cyan",
    "suspended": "yellow",
    "skipped": "yellow",
    "waiting": "yellow",
    "processing": "cyan",
    "reporting": "cyan",
    "update_reporting": "cyan",
    "cancelling": "magenta",
    "stopping": "magenta",
    "cancelled": "magenta",
    "replaced": "magenta",
    "deleted": "magenta",
    "held": "yellow",
    "paused": "yellow",
    "error": "red",
    "warning": "yellow",
    "delivered": "green",
    "sent": "green",
    "bounced": "red",
}


# Replacements on a terminal that cannot show these characters. Others are escaped.
_ASCII = {"…": "...", "→": "->", "—": "--", "━": "#", "─": "-", "\ufffd": "?"}


def _to_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    shown = [_ASCII.get(each) or _escape_character(each) for each in letters]
    return "".join(shown), error.end


def _escape_character(letter: str) -> str:
    return letter.encode("ascii", "backslashreplace").decode()


codecs.register_error("to-ascii", _to_ascii)


def prepare_streams() -> None:
    """Make output safe when a standard stream is closed or is not UTF-8."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed, as by >&-
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="to-ascii")


class SafeConsole(Console):
    """A console that removes control and bidirectional characters from what it prints.

    File names, notes and messages come from outside and must not control the terminal.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or is_clean(segment.text):
                yield segment
            else:
                yield Segment(_cleaned(segment.text), segment.style)


def _cleaned(text: str) -> str:
    return "\n".join(clean(line, sys.maxsize) for line in text.split("\n"))


def console() -> Console:
    """Standard output, as wide as the terminal. For a pipe, COLUMNS may make it wider."""
    width = SafeConsole().width
    if not sys.stdout.isatty():
        return SafeConsole(highlight=False, width=max(PIPED_WIDTH, width))
    return SafeConsole(highlight=False, width=None if width > 0 else UNKNOWN_WIDTH)


def print_error(message: str) -> None:
    """Print an error on standard error."""
    SafeConsole(stderr=True, highlight=False, soft_wrap=True).print(
        message, style="red", markup=False
    )


def printable_path(path: str | os.PathLike[str]) -> str:
    """A path without control characters. Bytes that are not UTF-8 are escaped."""
    return clean(os.fsencode(path).decode("utf-8", "backslashreplace"), sys.maxsize)


def is_utf8(name: str) -> bool:
    """Whether a file name is valid UTF-8, as manifests and JSON require."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def prompt(question: str) -> str:
    """A line from standard input. The question goes to standard error."""
    typer.echo(f"{question} ", nl=False, err=True)
    return sys.stdin.readline().strip()


def confirm(question: str, *, yes: bool) -> None:
    """Ask for confirmation, unless `yes`.

    Raises:
        typer.Abort: the answer is not yes.
    """
    if not yes and prompt(f"{question} [y/N]").lower() not in {"y", "yes"}:
        if not sys.stdin.isatty():
            print_error("not confirmed: use --yes when there is no terminal")
        raise typer.Abort


def print_json(document: Document | list[Document]) -> None:
    """Print a JSON document. Characters that the terminal cannot show are escaped."""
    encoding = codecs.lookup(getattr(sys.stdout, "encoding", None) or "utf-8").name
    lines = json.dumps(document, indent=2, ensure_ascii=encoding != "utf-8").split("\n")
    typer.echo("\n".join(map(_escaped, lines)))


def print_text(text: str) -> None:
    """Print a text as it is; on a terminal without control characters."""
    typer.echo(_cleaned(text.replace("\r\n", "\n")) if sys.stdout.isatty() else text, nl=False)


def _escaped(line: str) -> str:
    if is_clean(line):
        return line
    return "".join(each if is_clean(each) else json.dumps(each)[1:-1] for each in line)


def state(name: str) -> Text:
    """A state, coloured."""
    return Text(name, style=STYLES.get(name.lower().replace(" ", "_"), ""))


def local_time(iso: str | None) -> str:
    """A time from the API in the zone of this machine. Today's has the zone instead of a date."""
    if not iso:
        return "-"
    at = datetime.fromisoformat(iso).astimezone()
    today = at.date() == datetime.now(UTC).astimezone().date()
    return at.strftime("%H:%M:%S %Z" if today else "%Y-%m-%d %H:%M")


def duration(seconds: float) -> str:
    """A duration in its two largest units."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def waiting_for(
    reason: str, until: str | None, format_time: Callable[[str], str] = local_time
) -> str:
    """Why something waits, and until when; "" if it does not. `format_time` formats the time."""
    if not until:
        return reason
    left = (datetime.fromisoformat(until) - datetime.now(UTC)).total_seconds()
    soon = f"in {duration(left)}" if left > 0 else "any moment"
    return f"{reason}, until {format_time(until)} ({soon})"


def counts_text(counts: Mapping[str, int]) -> str:
    """Job counts as text, without the zeros."""
    parts = [f"{n} {name.replace('_', ' ')}" for name, n in counts.items() if n and name != "total"]
    return ", ".join(parts) or "no jobs"


def records(found: Mapping[str, int | None]) -> str:
    """How many records a job has processed, as text; "" if it counts none."""
    if found.get("processed") is None:
        return ""
    total = "" if found["total"] is None else f" of {found['total']}"
    failed = f", {found['failed']} failed" if found["failed"] else ""
    return f"{found['processed']}{total} processed{failed}"


def commands_for(events: Iterable[str]) -> str:
    """The names of the commands that send `events`, in that order."""
    return ", ".join(_EVENT_COMMANDS.get(event, event.replace("_", "-")) for event in events)
