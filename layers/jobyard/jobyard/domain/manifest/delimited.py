"""Fields separated by a character: what Checkm and CSV rows have in common."""

from jobyard.domain.manifest.checking import Cell
from jobyard.domain.manifest.findings import Check, Finding
from jobyard.domain.manifest.profiles import Column


def column_of(heading: str, *, aliases: bool = False) -> Column | None:
    """The column a heading names, in any case and whatever its prefix; None if there is none.

    With `aliases` also by what an `Entry` calls it.
    """
    word = heading.rpartition(":")[2].strip().lower()
    for column in Column:
        if word == column.value.lower() or (aliases and word and word == column.alias):
            return column
    return None


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

    None unless all lines have as many fields, not above `at_most`, and there is no tab.
    """
    width = text.partition("\n")[0].count(separator) + 1
    if width > at_most or "\t" in text:
        return None
    ends = text.count("\n")
    # Every line end now begins a field: it has to be the first field of a row.
    fields = text.replace("\n", f"{separator}\n").split(separator)
    if len(fields) != width * (ends + 1) or "".join(fields[::width]).count("\n") != ends:
        return None
    return [list(map(str.strip, fields[at::width])) for at in range(width)]


class Padding:
    """Remarks, once, that trailing empty columns are left out."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._said = False
        self._notes: list[Finding] = []

    def saw(self, fields: int, line: int) -> None:
        """The row on `line` has that many fields."""
        if fields < self._columns and not self._said:
            self._said = True
            words = (
                f"{fields} of {self._columns} columns are given: the rest are taken as empty, "
                "here and on every shorter row"
            )
            self._notes.append(Check.FIELDS_PADDED.at(line, 0, words))

    def notes(self) -> list[Finding]:
        """The remark, if it is new."""
        notes, self._notes = self._notes, []
        return notes
