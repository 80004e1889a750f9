"""Terminal output: colours of states, times, tables, prompts, errors, JSON."""

import codecs
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from cli.client import Document
from jobyard.domain.text import clean, is_clean

UNKNOWN_WIDTH = 80  # for a terminal that reports no width
PIPED_WIDTH = 200  # for a pipe: wide enough to keep ids in one piece

MIN_WIDTH = 10  # of a column that wraps

_EVENT_COMMANDS = {"requeue": "retry", "run_now": "run"}  # commands not named like their event

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


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print a table without truncating anything. In a pipe each row is one line.

    A column whose name begins with "!" never wraps. On a narrow terminal, cells of columns whose
    names begin with "~" go below their row, labelled. If that is still too wide, every cell gets a
    line of its own.
    """
    out = console()
    heads = [Text(name.lstrip("!~"), "bold") for name in columns]
    cells = [[_single_line(cell) for cell in row] for row in rows]
    below: list[int] = []
    widths = _widths([heads, *cells])
    if out.file.isatty() and sum(widths) + 2 * (len(columns) - 1) > out.width:
        if _min_width(columns, widths) > out.width:
            _show_vertically(out, heads, cells)
            return
        below = [number for number, name in enumerate(columns) if name.startswith("~")]
        if not below:
            out.print(table(columns, cells))
            return
    above = [number for number in range(len(columns)) if number not in below]
    first, *lines = _aligned([[row[each] for each in above] for row in (heads, *cells)])
    out.print(first, soft_wrap=True)
    for row, line in zip(cells, lines, strict=True):
        out.print(line, soft_wrap=True)
        fields = [Text.assemble((heads[each].plain, "dim"), " ", row[each]) for each in below]
        full = [part for part, each in zip(fields, below, strict=True) if row[each]]
        for packed in _pack(full, out.width - 2):
            out.print(Padding(packed, (0, 0, 0, 2)))


def _min_width(columns: Sequence[str], widths: Sequence[int]) -> int:
    """The minimum width of a table whose cells may wrap or move below their row."""
    needed = [
        width if name.startswith("!") else min(width, MIN_WIDTH)
        for name, width in zip(columns, widths, strict=True)
        if not name.startswith("~")
    ]
    return sum(needed) + 2 * (len(needed) - 1)


def _show_vertically(out: Console, heads: Sequence[Text], rows: Iterable[Sequence[Text]]) -> None:
    """Print each cell on a line of its own, labelled."""
    for number, row in enumerate(rows):
        if number:
            out.print()
        for head, cell in zip(heads, row, strict=True):
            if cell:
                out.print(Text.assemble((head.plain, "dim"), " ", cell), soft_wrap=True)


def _single_line(cell: str | Text) -> Text:
    """A cell as one clean line, so that its width can be measured."""
    if not isinstance(cell, Text):
        return Text(clean(" ".join(cell.split("\n")), sys.maxsize))
    return cell


def _widths(rows: Sequence[Sequence[Text]]) -> list[int]:
    """The width of each column's widest cell."""
    return [max(cell.cell_len for cell in column) for column in zip(*rows, strict=True)]


def _aligned(rows: Sequence[Sequence[Text]]) -> Iterator[Text]:
    """Each row as one line, with aligned columns."""
    widths = _widths(rows)
    for row in rows:
        line = Text()
        for cell, width in zip(row, widths, strict=True):
            line.append_text(cell).append(" " * (width - cell.cell_len + 2))
        line.rstrip()
        yield line


def _pack(parts: Iterable[Text], width: int) -> list[Text]:
    """The parts on as few lines of `width` as possible, without breaking a part."""
    lines: list[Text] = []
    for part in parts:
        if lines and lines[-1].cell_len + 3 + part.cell_len <= width:
            lines[-1].append("   ").append_text(part)
        else:
            lines.append(part)
    return lines


def table(columns: Sequence[str], rows: Iterable[Sequence[RenderableType]]) -> Table:
    """A plain table. A column whose name begins with "!" never wraps."""
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        no_wrap = column.startswith("!")
        grid.add_column(column.lstrip("!~"), no_wrap=no_wrap, overflow="fold")
    for row in rows:
        grid.add_row(*(_as_text(cell) for cell in row))
    return grid


def key_values(rows: Iterable[tuple[str, RenderableType]]) -> Table:
    """A two-column list of names and values. Empty values are left out."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        if value:
            grid.add_row(name, _as_text(value))
    return grid


def next_commands(lines: Iterable[tuple[str, str]]) -> Table:
    """Commands, each with what it does."""
    grid = Table.grid(padding=(0, 3))
    grid.add_column(no_wrap=True)
    grid.add_column()
    for command, does in lines:
        grid.add_row(f"  [bold]{command}[/]", f"[dim]{does}[/]")
    return grid


def commands_for(events: Iterable[str]) -> str:
    """The names of the commands that send `events`, in that order."""
    return ", ".join(_EVENT_COMMANDS.get(event, event.replace("_", "-")) for event in events)


def _as_text(cell: RenderableType) -> RenderableType:
    """Text that is not interpreted as rich markup."""
    return Text(cell) if isinstance(cell, str) else cell
