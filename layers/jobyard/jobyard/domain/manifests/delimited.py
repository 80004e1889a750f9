"""Fields separated by a character, in rows of Checkm and CSV."""

from jobyard.domain.manifests.findings import Check, Finding
from jobyard.domain.manifests.profiles import Column
from jobyard.domain.manifests.validation import Cell

_HEADINGS = {column.value.lower(): column for column in Column}
_ALIASES = {column.alias: column for column in Column if column.alias}


def column_of(heading: str, *, aliases: bool = False) -> Column | None:
    """The column with a heading, in any case and with any prefix; None if there is none.

    With `aliases`, the name of the `Entry` field is allowed too.
    """
    name = heading.rpartition(":")[2].strip().lower()
    return _HEADINGS.get(name) or (_ALIASES.get(name) if aliases else None)


def cells_of(line: str, separator: str) -> list[Cell]:
    """The fields of a line without quotes, stripped."""
    cells, start = [], 1
    for raw in line.split(separator):
        text = raw.strip()
        cells.append(Cell(text, start + (raw.index(text) if text else 0)))
        start += len(raw) + 1
    return cells


def columns_of(text: str, separator: str, at_most: int) -> list[list[str]] | None:
    """The columns of the lines of `text`, their fields stripped.

    None unless all lines have the same number of fields, there is no value after the first
    `at_most` columns, and no tab.
    """
    width = text.partition("\n")[0].count(separator) + 1
    if "\t" in text:
        return None
    line_ends = text.count("\n")
    # Let every line end begin a field. It must be the first field of a row.
    fields = text.replace("\n", f"{separator}\n").split(separator)
    if len(fields) != width * (line_ends + 1) or "".join(fields[::width]).count("\n") != line_ends:
        return None
    columns = [list(map(str.strip, fields[index::width])) for index in range(width)]
    return None if any(map(any, columns[at_most:])) else columns


class FieldCounts:
    """Findings about rows with fewer fields than columns, or empty ones after the last column.

    Each is reported once. `column_count` is 0 if it is unknown.
    """

    def __init__(self, column_count: int) -> None:
        self._column_count = column_count
        self._reported: set[Check] = set()
        self._new: list[Finding] = []

    def add(self, field_count: int, line: int, column: int = 0) -> None:
        """Check the number of fields of the row on `line`.

        If there are more fields than columns, the surplus is empty and begins at `column`.
        """
        if field_count < self._column_count:
            message = (
                f"the row has fields for {field_count} of {self._column_count} columns: the others "
                "are empty, here and on every shorter row"
            )
            self._report(Check.FIELDS_PADDED, line, 0, message)
        elif field_count > self._column_count > 0:
            message = (
                f"an empty field follows the last of the {self._column_count} columns: it is "
                'ignored, here and on every such row; remove the "|" at the end'
            )
            self._report(Check.FIELD_AFTER_LAST, line, column, message)

    def has_reported(self, check: Check) -> bool:
        """Whether there was a finding of `check`."""
        return check in self._reported

    def _report(self, check: Check, line: int, column: int, message: str) -> None:
        if check not in self._reported:
            self._reported.add(check)
            self._new.append(check.at(line, column, message))

    def new_findings(self) -> list[Finding]:
        """The findings since the last call."""
        findings, self._new = self._new, []
        return findings
