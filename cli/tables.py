"""Tables and lists on a terminal, complete on any width."""

import sys
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli.terminal import console
from jobyard.domain.text import clean

MIN_WIDTH = 10  # of a column that wraps


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print a table without truncating anything. In a pipe each row is one line.

    A column whose name begins with "!" never wraps. On a narrow terminal, cells of columns whose
    names begin with "~" go below their row, labelled. If that is still too wide, every cell gets a
    line of its own.
    """
    out = console()
    headers = [Text(name.lstrip("!~"), "bold") for name in columns]
    cells = [[_single_line(cell) for cell in row] for row in rows]
    below: list[int] = []
    widths = _widths([headers, *cells])
    if out.file.isatty() and sum(widths) + 2 * (len(columns) - 1) > out.width:
        if _min_width(columns, widths) > out.width:
            _show_vertically(out, headers, cells)
            return
        below = [number for number, name in enumerate(columns) if name.startswith("~")]
        if not below:
            out.print(table(columns, cells))
            return
    above = [number for number in range(len(columns)) if number not in below]
    first, *lines = _aligned([[row[each] for each in above] for row in (headers, *cells)])
    out.print(first, soft_wrap=True)
    for row, line in zip(cells, lines, strict=True):
        out.print(line, soft_wrap=True)
        fields = [Text.assemble((headers[each].plain, "dim"), " ", row[each]) for each in below]
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


def _show_vertically(out: Console, headers: Sequence[Text], rows: Iterable[Sequence[Text]]) -> None:
    """Print each cell on a line of its own, labelled."""
    for number, row in enumerate(rows):
        if number:
            out.print()
        for header, cell in zip(headers, row, strict=True):
            if cell:
                out.print(Text.assemble((header.plain, "dim"), " ", cell), soft_wrap=True)


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


def _as_text(cell: RenderableType) -> RenderableType:
    """Text that is not interpreted as rich markup."""
    return Text(cell) if isinstance(cell, str) else cell
