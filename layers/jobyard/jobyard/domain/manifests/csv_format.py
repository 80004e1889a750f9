"""CSV: a header names the columns, in any order; every further line is a row."""

import re
from collections.abc import Collection, Iterator, Sequence

from jobyard.domain.manifests.column_checks import Texts
from jobyard.domain.manifests.delimited import Widths, cells_of, column_of, columns_of
from jobyard.domain.manifests.findings import Check, Finding, shown, shown_all
from jobyard.domain.manifests.inference import Inference
from jobyard.domain.manifests.lines import Span
from jobyard.domain.manifests.profiles import INFERRED, INGEST, TELLING, Column, Profile, takes
from jobyard.domain.manifests.rows import Part, RowReader, UnreadRows
from jobyard.domain.manifests.validation import BLANK, Cell, Row, locals_in

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}  # what others part columns by

_HINT = re.compile(r'"?sep=(.)"?,*$', re.IGNORECASE)  # Excel's own first line, for Excel alone
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
            message = (
                "a quote is not closed on its line, or stands inside a value: put the whole value "
                "in quotes, double each quote in it, and keep it on one line"
            )
            return cells, [Check.CSV_QUOTE.at(number, line.index('"', start) + 1, message)]
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
    """A row of CSV under the columns that the header names; None stands for one without a name."""

    blanks = ", \t\n"

    def __init__(
        self, columns: Sequence[Column | None], unnamed: Collection[int], is_half_told: bool
    ) -> None:
        self._columns = columns
        self.names_files = Column.NAME in columns
        pair = {Column.ALGORITHM, Column.DIGEST} & set(columns)
        self._half = next(iter(pair)) if len(pair) == 1 else None  # without the other one
        self._is_half_told = is_half_told
        self._is_open = False  # whether the line before ends within quotes
        self._unnamed = set(unnamed)  # indexes of empty headings under which no value was found yet
        self._widths = Widths(len(columns))

    def texts(self, text: str, first: int) -> Texts | None:
        """The columns of lines that quote nothing and have as many fields each."""
        columns = None if '"' in text else columns_of(text, ",", len(self._columns))
        if columns is None:
            return None
        if any(any(columns[index]) for index in self._unnamed if index < len(columns)):
            return None
        if len(columns) < len(self._columns) and any(values[0] for values in columns):
            self._widths.add(len(columns), first)
        named = zip(self._columns, columns, strict=False)
        texts = {column: texts for column, texts in named if column is not None and any(texts)}
        self._is_open = False
        if self._half and self._is_half_told:
            texts.pop(self._half, None)
        return texts

    def row(self, line: str, number: int) -> Row | None:
        """The row on `line`, None if it has no value."""
        cells, findings = cells_in(line, number)
        is_odd = bool(findings) and line.count('"') % 2 == 1
        was_open, self._is_open = self._is_open, is_odd
        if is_odd and was_open:  # the end of a value that began on the line before: told there
            self._is_open = False
            findings = []
        if findings or is_odd:
            return Row(number, {}, findings=findings, readable=False)
        if not any(cell.text.strip() for cell in cells):
            return None
        if len(cells) < len(self._columns):
            self._widths.add(len(cells), number)
        surplus = next((cell for cell in cells[len(self._columns) :] if cell.text.strip()), None)
        if surplus:
            message = (
                f"{len(cells)} fields under {len(self._columns)} columns: "
                "put a value that holds a comma in quotes"
            )
            findings.append(Check.TOO_MANY_FIELDS.at(number, surplus.column, message))
        for index in sorted(self._unnamed):
            if index < len(cells) and cells[index].text.strip():
                self._unnamed.remove(index)
                message = (
                    f"{shown(cells[index].text)} stands under no heading: name column {index + 1}"
                )
                findings.append(Check.FIELD_UNNAMED.at(number, cells[index].column, message))
        pairs = zip(self._columns, cells, strict=False)
        named = {column: cell for column, cell in pairs if column is not None}
        if self._half and named.get(self._half, BLANK).text:
            if self._is_half_told:
                del named[self._half]
            self._is_half_told = True
        local = named.get(Column.LOCAL)
        return Row(number, named, locals_in(local.text) if local else (), findings=findings)

    def notes(self) -> list[Finding]:
        """What has been found since the last call and belongs to no row."""
        return self._widths.notes()


class Csv:
    """Reads CSV."""

    def __init__(self, expected: Profile | None, listed: Collection[str] = ()) -> None:
        self._listed = listed
        self.profile = expected
        self._inference: Inference | None = None
        self._rows: RowReader | UnreadRows | None = None
        self._hinted = False

    @property
    def files(self) -> int:
        """How many rows were read."""
        return self._rows.count if self._rows else 0

    def read(self, span: Span) -> Iterator[Part]:
        """Entries and findings of `span`."""
        lines, first = span.lines(), span.first
        if self._rows is None:
            at = next((at for at, line in enumerate(lines) if line.strip(CsvLayout.blanks)), None)
            if at is None:
                return
            hint = _HINT.match(lines[at]) if not self._hinted else None
            if hint:
                self._hinted = True
                yield from self._after_hint(hint[1], lines[at + 1 :], first + at)
                return
            self._rows, findings = self._opened(lines[at], first + at)
            yield [], findings
            lines, first = lines[at + 1 :], first + at + 1
        for part in self._rows.read("\n".join(lines), first) if lines else ():
            yield self._inference.settle(part) if self._inference else part
        if self._inference:
            self.profile = self._inference.profile

    def end(self, last: int) -> Iterator[Part]:
        """What is left to say when the stream has ended with line `last`."""
        if self._inference:
            yield self._inference.end()
        if not self.files and not isinstance(self._rows, UnreadRows):
            message = "there are no rows: every line under the header names a file"
            yield [], [Check.NO_ROWS.at(last, 0, message)]

    def _after_hint(self, separator: str, lines: Sequence[str], number: int) -> Iterator[Part]:
        """Read on under Excel's line `number`, which says what parts the columns."""
        if separator != ",":
            self._rows = UnreadRows(CsvLayout.blanks)
            name = SEPARATORS.get(separator, shown(separator))
            yield [], [_separated(number, len("sep=") + 1, name)]
        if lines:
            yield from self.read(Span(number + 1, "".join(f"{line}\n" for line in lines)))

    def _opened(self, header: str, number: int) -> tuple[RowReader | UnreadRows, list[Finding]]:
        """The rows under the line that names the columns, and what is wrong with that line."""
        cells, findings = cells_in(header, number)
        columns = [column_of(cell.text, aliases=True) for cell in cells]
        if findings or Column.URL not in columns:
            return UnreadRows(CsvLayout.blanks), _no_url(header, number, findings)
        unknown = [cell for cell, column in zip(cells, columns, strict=True) if column is None]
        unknown = [cell for cell in unknown if cell.text]
        if unknown:
            message = f"no column: {shown_all([cell.text for cell in unknown])}; columns are "
            message += ", ".join(Column)
            findings.append(Check.FIELD_UNKNOWN.at(number, unknown[0].column, message))
        findings += self._leave_out(columns, cells, number)
        profile = self.profile
        if profile is None and not TELLING & set(columns):
            profile = self.profile = INGEST
        elif profile is None:
            profile, self._inference = INFERRED, Inference()
        unnamed = {index for index, cell in enumerate(cells) if not cell.text}
        layout = CsvLayout(columns, unnamed, is_half_told=bool(findings))
        return RowReader(layout, profile, self._listed), findings

    def _leave_out(
        self, columns: list[Column | None], cells: Sequence[Cell], number: int
    ) -> list[Finding]:
        """Leave out the columns that are named again, or that the profile does not take."""
        again: list[Cell] = []
        misplaced: list[Cell] = []
        seen: set[Column] = set()
        for index, (column, cell) in enumerate(zip(tuple(columns), cells, strict=True)):
            if column is None:
                continue
            if column in seen:
                again.append(cell)
            elif self.profile is not None and not takes(self.profile, column):
                misplaced.append(cell)
            else:
                seen.add(column)
                continue
            columns[index] = None
        findings = []
        if misplaced and self.profile:
            message = f"no column of {self.profile.name}: "
            message += shown_all([cell.text for cell in misplaced])
            findings.append(Check.FIELD_UNKNOWN.at(number, misplaced[0].column, message))
        if again:
            message = f"columns named twice: {shown_all([cell.text for cell in again])}"
            findings.append(Check.FIELD_REPEATED.at(number, again[0].column, message))
        return findings


def names_url(header: str, separator: str) -> bool:
    """Whether a line names a fileUrl column among columns that `separator` parts."""
    headings = header.split(separator)
    return any(column_of(each.strip(' "'), aliases=True) is Column.URL for each in headings)


def _no_url(header: str, number: int, findings: list[Finding]) -> list[Finding]:
    """What is wrong with a first line that names no fileUrl, or has those `findings` of quotes:
    most likely something else than commas parts it."""
    for separator, name in SEPARATORS.items():
        if separator in header and names_url(header, separator):
            return [_separated(number, header.index(separator) + 1, name)]
    message = "the first line has to name the columns, fileUrl among them: "
    return findings or [Check.FIELD_MISSING.at(number, 1, message + ",".join(Column))]


def _separated(number: int, column: int, name: str) -> Finding:
    message = (
        f"columns are parted by {name} here, and have to be by commas: save the file as CSV with "
        'commas (in Excel "CSV UTF-8 (Comma delimited)"), values that hold a comma in quotes'
    )
    return Check.CSV_SEPARATOR.at(number, column, message)
