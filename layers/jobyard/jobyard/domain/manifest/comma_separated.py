"""CSV: a header names the columns, in any order; every further line is a row."""

import re
from collections.abc import Iterator, Sequence

from jobyard.domain.manifest.checking import Cell, Row, locals_in
from jobyard.domain.manifest.columnwise import Texts
from jobyard.domain.manifest.delimited import Padding, cells_of, column_of, columns_of
from jobyard.domain.manifest.findings import Check, Finding, shown
from jobyard.domain.manifest.inference import Inference
from jobyard.domain.manifest.lines import Span
from jobyard.domain.manifest.profiles import INFERRED, INGEST, TELLING, Column, Profile, takes
from jobyard.domain.manifest.rows import Part, Rows

_VALUE = re.compile(r'[ \t]*"((?:[^"]|"")*+)"[ \t]*(?=,|$)|([^,"]*+)(?=,|$)')


def cells_in(line: str, number: int) -> tuple[list[Cell], list[Finding]]:
    """The fields of a line of CSV. Quoted values are taken as they stand, others stripped.

    A quoted value ends on its line: no column takes a line break, and so a forgotten quote
    spoils one row only.
    """
    if '"' not in line:
        return cells_of(line, ","), []
    cells: list[Cell] = []
    start = 0
    while True:
        found = _VALUE.match(line, start)
        if found is None:
            words = (
                "a quote is not closed on its line, or stands inside a value: put the whole value "
                "in quotes, double each quote in it, and keep it on one line"
            )
            return cells, [Check.CSV_QUOTE.at(number, line.index('"', start) + 1, words)]
        quoted, bare = found.groups()
        if quoted is not None:
            cells.append(Cell(quoted.replace('""', '"'), found.start(1) + 1))
        else:
            text = bare.strip()
            cells.append(Cell(text, start + 1 + (bare.index(text) if text else 0)))
        if found.end() == len(line):
            return cells, []
        start = found.end() + 1


class CsvLayout:
    """A row of CSV under the columns that the header names; None stands for an unknown one."""

    def __init__(self, columns: Sequence[Column | None]) -> None:
        self._columns = columns
        self._padding = Padding(len(columns))

    def texts(self, text: str, first: int) -> Texts | None:
        """The columns of lines that quote nothing and have as many fields each."""
        columns = None if '"' in text else columns_of(text, ",", len(self._columns))
        if columns is None:
            return None
        if any(values[0] for values in columns):
            self._padding.saw(len(columns), first)
        named = zip(self._columns, columns, strict=False)
        return {column: texts for column, texts in named if column is not None and any(texts)}

    def row(self, line: str, number: int) -> Row | None:
        """The row on `line`, None if the line is blank."""
        if not line.strip():
            return None
        cells, findings = cells_in(line, number)
        if findings:
            return Row(number, {}, findings=findings, readable=False)
        self._padding.saw(len(cells), number)
        if len(cells) > len(self._columns):
            words = (
                f"{len(cells)} fields under {len(self._columns)} columns: "
                "put a value that holds a comma in quotes"
            )
            place = cells[len(self._columns)].column
            findings.append(Check.TOO_MANY_FIELDS.at(number, place, words))
        pairs = zip(self._columns, cells, strict=False)
        named = {column: cell for column, cell in pairs if column is not None}
        local = named.get(Column.LOCAL)
        return Row(number, named, locals_in(local.text) if local else (), findings=findings)

    def notes(self) -> list[Finding]:
        """What has been found since the last call and belongs to no row."""
        return self._padding.notes()


class Csv:
    """Reads CSV."""

    def __init__(self, expected: Profile | None) -> None:
        self.profile = expected
        self._inference: Inference | None = None
        self._opened = False
        self._rows: Rows | None = None
        self._uncheckable = 0  # rows under a header that names no fileUrl

    @property
    def files(self) -> int:
        """How many rows were read."""
        return self._rows.count if self._rows else self._uncheckable

    def read(self, span: Span) -> Iterator[Part]:
        """Entries and findings of `span`."""
        lines, first = span.lines(), span.first
        if not self._opened:
            at = next((at for at, line in enumerate(lines) if line.strip()), None)
            if at is None:
                return
            yield [], self._open(lines[at], first + at)
            lines, first = lines[at + 1 :], first + at + 1
        if self._rows is None:
            self._uncheckable += sum(bool(line.strip()) for line in lines)
            return
        for part in self._rows.read("\n".join(lines), first) if lines else ():
            yield self._inference.settle(part) if self._inference else part
        if self._inference:
            self.profile = self._inference.profile

    def end(self, last: int) -> Iterator[Part]:
        """What is left to say when the stream has ended with line `last`."""
        if self._inference:
            yield self._inference.end()
        if not self.files:
            words = "there are no rows: every line under the header names a file"
            yield [], [Check.NO_ROWS.at(last, 0, words)]

    def _open(self, header: str, number: int) -> list[Finding]:
        """Take the line that names the columns."""
        self._opened = True
        cells, findings = cells_in(header, number)
        columns: list[Column | None] = []
        for cell in cells:
            column, found = self._column(cell, number, columns)
            columns.append(column)
            findings += found
        if Column.URL not in columns:
            words = "the first line has to name the columns, fileUrl among them: "
            words += ",".join(column.value for column in Column)
            findings.append(Check.FIELD_MISSING.at(number, 1, words))
            return findings
        profile = self.profile
        if profile is None and not TELLING & set(columns):
            profile = self.profile = INGEST
        elif profile is None:
            profile, self._inference = INFERRED, Inference()
        self._rows = Rows(CsvLayout(columns), profile)
        return findings

    def _column(
        self, cell: Cell, number: int, before: Sequence[Column | None]
    ) -> tuple[Column | None, list[Finding]]:
        """The column a heading names; None if it names none that can be."""
        column = column_of(cell.text, aliases=True)
        if column is None:
            words = f"{shown(cell.text)} is no column: {', '.join(Column)} are"
            return None, [Check.FIELD_UNKNOWN.at(number, cell.column, words)]
        if column in before:
            words = f"the column {column.value} is named twice"
            return None, [Check.FIELD_REPEATED.at(number, cell.column, words)]
        if self.profile is not None and not takes(self.profile, column):
            words = f"the column {column.value} has no place in {self.profile.name}"
            return None, [Check.FIELD_UNKNOWN.at(number, cell.column, words)]
        return column, []
