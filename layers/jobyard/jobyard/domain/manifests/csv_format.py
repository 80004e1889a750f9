"""CSV: a header names the columns, in any order; each further line is a row."""

import re
from collections.abc import Collection, Iterator, Sequence

from jobyard.domain.manifests.column_checks import Texts
from jobyard.domain.manifests.delimited import FieldCounts, cells_of, column_of, columns_of
from jobyard.domain.manifests.findings import Check, Finding, quoted, quoted_all
from jobyard.domain.manifests.inference import Inference
from jobyard.domain.manifests.lines import Span
from jobyard.domain.manifests.profiles import (
    INFERRED,
    INGEST,
    OBJECT_MARKERS,
    Column,
    Profile,
    allows_column,
)
from jobyard.domain.manifests.rows import CheckedRows, RowReader, UnreadRows
from jobyard.domain.manifests.validation import BLANK, Cell, Row, local_ids_in

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}  # that other programs use

_HINT = re.compile(r'"?sep=(.)"?,*$', re.IGNORECASE)  # a first line that only Excel understands
_VALUE = re.compile(r'[ \t]*"((?:[^"]|"")*+)"[ \t]*(?=,|$)|([^,"]*+)(?=,|$)')


def cells_in(line: str, number: int) -> tuple[list[Cell], list[Finding]]:
    """The fields of a line of CSV. Quoted values are kept as they are, others are stripped.

    A quoted value ends on its line, since no column allows a line break. So a missing quote makes
    only one row invalid.
    """
    if '"' not in line:
        return cells_of(line, ","), []
    cells: list[Cell] = []
    start = 0
    while True:
        found = _VALUE.match(line, start)
        if found is None:
            message = (
                "a quote is not closed on its line, or is inside a value: put the whole value in "
                "quotes, double each quote in it, and keep it on one line"
            )
            return cells, [Check.CSV_QUOTE.at(number, line.index('"', start) + 1, message)]
        quoted_value, bare = found.groups()
        if quoted_value is not None:
            cells.append(Cell(quoted_value.replace('""', '"'), found.start(1) + 1))
        else:
            text = bare.strip()
            cells.append(Cell(text, start + 1 + (bare.index(text) if text else 0)))
        if found.end() == len(line):
            return cells, []
        start = found.end() + 1


class CsvLayout:
    """A row of CSV in the columns of the header; None is a column to ignore.

    `unnamed` are the indices of empty headings. `has_header_findings` says that the header explains
    why an algorithm has no digest column, or a digest no algorithm column.
    """

    blanks = ", \t\n"

    def __init__(
        self, columns: Sequence[Column | None], unnamed: Collection[int], has_header_findings: bool
    ) -> None:
        self._columns = columns
        self.names_files = Column.NAME in columns
        pair = {Column.ALGORITHM, Column.DIGEST} & set(columns)
        self._unpaired = next(iter(pair)) if len(pair) == 1 else None
        self._is_unpaired_reported = has_header_findings
        self._is_open = False  # whether the previous line ends within quotes
        self._unnamed = set(unnamed)  # without those that had a value
        self._field_counts = FieldCounts(len(columns))

    def texts(self, text: str, first: int) -> Texts | None:
        """The columns of lines without quotes that have the same number of fields."""
        columns = None if '"' in text else columns_of(text, ",", len(self._columns))
        if columns is None:
            return None
        if any(any(columns[index]) for index in self._unnamed if index < len(columns)):
            return None
        if len(columns) < len(self._columns) and any(values[0] for values in columns):
            self._field_counts.add(len(columns), first)
        named = zip(self._columns, columns, strict=False)
        texts = {column: texts for column, texts in named if column is not None and any(texts)}
        self._is_open = False
        if self._unpaired and self._is_unpaired_reported:
            texts.pop(self._unpaired, None)
        return texts

    def row(self, line: str, number: int) -> Row | None:
        """The row on `line`; None if it has no value."""
        cells, findings = cells_in(line, number)
        is_odd = bool(findings) and line.count('"') % 2 == 1
        was_open, self._is_open = self._is_open, is_odd
        if is_odd and was_open:  # the end of a value from the previous line, reported there
            self._is_open = False
            findings = []
        if findings or is_odd:
            return Row(number, {}, findings=findings, readable=False)
        if not any(cell.text.strip() for cell in cells):
            return None
        if len(cells) < len(self._columns):
            self._field_counts.add(len(cells), number)
        surplus = next((cell for cell in cells[len(self._columns) :] if cell.text.strip()), None)
        if surplus:
            message = (
                f"{len(cells)} fields for {len(self._columns)} columns: "
                "put a value that contains a comma in quotes"
            )
            findings.append(Check.TOO_MANY_FIELDS.at(number, surplus.column, message))
        for index in sorted(self._unnamed):
            if index < len(cells) and cells[index].text.strip():
                self._unnamed.remove(index)
                message = f"{quoted(cells[index].text)} has no heading: name column {index + 1}"
                findings.append(Check.FIELD_UNNAMED.at(number, cells[index].column, message))
        pairs = zip(self._columns, cells, strict=False)
        named = {column: cell for column, cell in pairs if column is not None}
        if self._unpaired and named.get(self._unpaired, BLANK).text:
            if self._is_unpaired_reported:
                del named[self._unpaired]
            self._is_unpaired_reported = True
        local = named.get(Column.LOCAL)
        return Row(number, named, local_ids_in(local.text) if local else (), findings=findings)

    def new_findings(self) -> list[Finding]:
        """The findings since the last call that belong to no row."""
        return self._field_counts.new_findings()


class CsvReader:
    """Reads CSV."""

    def __init__(self, expected: Profile | None, allowed_hosts: Collection[str] = ()) -> None:
        self._allowed_hosts = allowed_hosts
        self.profile = expected
        self._inference: Inference | None = None
        self._rows: RowReader | UnreadRows | None = None
        self._hinted = False

    @property
    def row_count(self) -> int:
        """The number of rows so far."""
        return self._rows.count if self._rows else 0

    def read(self, span: Span) -> Iterator[CheckedRows]:
        """The entries and findings of `span`."""
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
            yield self._inference.decide(part) if self._inference else part
        if self._inference:
            self.profile = self._inference.profile

    def end(self, last: int) -> Iterator[CheckedRows]:
        """The entries and findings that are left at the end; `last` is the last line's number."""
        if self._inference:
            yield self._inference.end()
        if not self.row_count and not isinstance(self._rows, UnreadRows):
            message = "there are no rows: each line after the header must name a file"
            yield [], [Check.NO_ROWS.at(last, 0, message)]

    def _after_hint(
        self, separator: str, lines: Sequence[str], number: int
    ) -> Iterator[CheckedRows]:
        """Read the `lines` after Excel's hint on line `number`, which names the separator."""
        if separator != ",":
            self._rows = UnreadRows(CsvLayout.blanks)
            name = SEPARATORS.get(separator, quoted(separator))
            yield [], [separated_by(number, len("sep=") + 1, name)]
        if lines:
            yield from self.read(Span(number + 1, "".join(f"{line}\n" for line in lines)))

    def _opened(self, header: str, number: int) -> tuple[RowReader | UnreadRows, list[Finding]]:
        """The reader of the rows after `header`, and the findings of `header`."""
        cells, findings = cells_in(header, number)
        columns = [column_of(cell.text, aliases=True) for cell in cells]
        if findings or Column.URL not in columns:
            return UnreadRows(CsvLayout.blanks), _no_url(header, number, findings)
        unknown = [cell for cell, column in zip(cells, columns, strict=True) if column is None]
        unknown = [cell for cell in unknown if cell.text]
        if unknown:
            message = f"not a column: {quoted_all([cell.text for cell in unknown])}; "
            message += f"the columns are {', '.join(Column)}"
            findings.append(Check.FIELD_UNKNOWN.at(number, unknown[0].column, message))
        findings += self._leave_out(columns, cells, number)
        profile = self.profile
        if profile is None and not OBJECT_MARKERS & set(columns):
            profile = self.profile = INGEST
        elif profile is None:
            profile, self._inference = INFERRED, Inference()
        unnamed = {index for index, cell in enumerate(cells) if not cell.text}
        layout = CsvLayout(columns, unnamed, has_header_findings=bool(findings))
        return RowReader(layout, profile, self._allowed_hosts), findings

    def _leave_out(
        self, columns: list[Column | None], cells: Sequence[Cell], number: int
    ) -> list[Finding]:
        """Set to None the columns that are repeated or that the profile does not allow.

        Returns the findings about them.
        """
        again: list[Cell] = []
        misplaced: list[Cell] = []
        seen: set[Column] = set()
        for index, (column, cell) in enumerate(zip(tuple(columns), cells, strict=True)):
            if column is None:
                continue
            if column in seen:
                again.append(cell)
            elif self.profile is not None and not allows_column(self.profile, column):
                misplaced.append(cell)
            else:
                seen.add(column)
                continue
            columns[index] = None
        findings = []
        if misplaced and self.profile:
            message = f"not a column of {self.profile.name}: "
            message += quoted_all([cell.text for cell in misplaced])
            findings.append(Check.FIELD_UNKNOWN.at(number, misplaced[0].column, message))
        if again:
            message = f"columns named twice: {quoted_all([cell.text for cell in again])}"
            findings.append(Check.FIELD_REPEATED.at(number, again[0].column, message))
        return findings


def has_url_heading(header: str, separator: str) -> bool:
    """Whether a line has a fileUrl heading if `separator` separates the headings."""
    headings = header.split(separator)
    return any(column_of(each.strip(' "'), aliases=True) is Column.URL for each in headings)


def _no_url(header: str, number: int, findings: list[Finding]) -> list[Finding]:
    """The findings of a header without fileUrl, or with `findings` about quotes.

    The most likely cause is another separator than commas.
    """
    for separator, name in SEPARATORS.items():
        if separator in header and has_url_heading(header, separator):
            return [separated_by(number, header.index(separator) + 1, name)]
    message = f"the first line must name the columns, fileUrl among them: {','.join(Column)}"
    return findings or [Check.FIELD_MISSING.at(number, 1, message)]


def separated_by(number: int, column: int, name: str) -> Finding:
    """The finding that another separator, called `name`, is between the columns."""
    message = (
        f"the columns are separated by {name} instead of commas: save the file as CSV with commas "
        '(in Excel "CSV UTF-8 (Comma delimited)"), and put values that contain a comma in quotes'
    )
    return Check.CSV_SEPARATOR.at(number, column, message)
