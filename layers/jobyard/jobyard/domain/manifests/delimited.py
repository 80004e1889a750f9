"""Fields separated by a character: what Checkm and CSV rows have in common."""

from jobyard.domain.manifests.findings import Check, Finding
from jobyard.domain.manifests.profiles import Column
from jobyard.domain.manifests.validation import Cell

_HEADINGS = {column.value.lower(): column for column in Column}
_ALIASES = {column.alias: column for column in Column if column.alias}


def column_of(heading: str, *, aliases: bool = False) -> Column | None:
    """The column a heading names, in any case and whatever its prefix; None if there is none.

    With `aliases` also by what an `Entry` calls it.
    """
    word = heading.rpartition(":")[2].strip().lower()
    return _HEADINGS.get(word) or (_ALIASES.get(word) if aliases else None)


def cells_of(line: str, separator: str) -> list[Cell]:
    """The fields of a line that quotes nothing, blanks at their ends left out."""
    cells, start = [], 1
    for raw in line.split(separator):
        text = raw.strip()
        cells.append(Cell(text, start + (raw.index(text) if text else 0)))
        start += len(raw) + 1
    return cells


def columns_of(text: str, separator: str, at_most: int) -> list[list[str]] | None:
    """The columns of the lines of `text`, blanks at the ends of the fields left out.

    None unless all lines have as many fields, none of them in a column after the first `at_most`,
    and there is no tab.
    """
    width = text.partition("\n")[0].count(separator) + 1
    if "\t" in text:
        return None
    ends = text.count("\n")
    # Every line end now begins a field: it has to be the first field of a row.
    fields = text.replace("\n", f"{separator}\n").split(separator)
    if len(fields) != width * (ends + 1) or "".join(fields[::width]).count("\n") != ends:
        return None
    columns = [list(map(str.strip, fields[at::width])) for at in range(width)]
    return None if any(map(any, columns[at_most:])) else columns


class Widths:
    """Remarks, once each, that rows have fewer fields than columns, or empty ones after the last.

    `at_most` is how many columns there are, 0 where nobody knows.
    """

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._said: set[Check] = set()
        self._notes: list[Finding] = []

    def add(self, fields: int, line: int, column: int = 0) -> None:
        """The row on `line` has that many fields; the first after the last column, if there is one,
        is empty and begins at `column`."""
        if fields < self._at_most:
            message = (
                f"{fields} of {self._at_most} columns are given: the rest are taken as empty, "
                "here and on every shorter row"
            )
            self._say(Check.FIELDS_PADDED, line, 0, message)
        elif fields > self._at_most > 0:
            message = (
                f"an empty field follows the last of the {self._at_most} columns: it is left out, "
                'here and on every such row; remove the "|" at the end'
            )
            self._say(Check.FIELD_AFTER_LAST, line, column, message)

    def has_reported(self, check: Check) -> bool:
        """Whether that has been remarked on."""
        return check in self._said

    def _say(self, check: Check, line: int, column: int, message: str) -> None:
        if check not in self._said:
            self._said.add(check)
            self._notes.append(check.at(line, column, message))

    def notes(self) -> list[Finding]:
        """The remarks that are new."""
        notes, self._notes = self._notes, []
        return notes
