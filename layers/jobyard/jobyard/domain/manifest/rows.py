"""The rows of one manifest, in order: by whole columns where that will do, else one by one."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from jobyard.domain.manifest.checking import Row, checked, repeated
from jobyard.domain.manifest.columnwise import Texts, entries_of
from jobyard.domain.manifest.entry import Entry
from jobyard.domain.manifest.findings import Finding
from jobyard.domain.manifest.names import Names
from jobyard.domain.manifest.profiles import Column, Profile

Part = tuple[list[Entry], list[Finding]]

_FEW = 16  # rows not worth looking at by column once a larger group of them has been refused


class Layout(Protocol):
    """How a format lays out a row on a line."""

    def texts(self, text: str, first: int) -> Texts | None:
        """The columns of the lines of `text`, each a row; None unless that is plain to see."""

    def row(self, line: str, number: int) -> Row | None:
        """The row on `line`; None if none is there."""

    def notes(self) -> list[Finding]:
        """What has been found of the lines read since the last call and belongs to no row."""


class Rows:
    """Reads rows laid out by `layout` as those of `profile`; `count` is how many there were."""

    def __init__(self, layout: Layout, profile: Profile) -> None:
        self.count = 0
        self._layout = layout
        self._profile = profile
        self._names = Names()

    def read(self, text: str, first: int) -> Iterator[Part]:
        """Entries and findings of the lines of `text`, which begins with line `first`."""
        part = self._by_column(text, first)
        if part:
            yield part
            return
        lines = text.split("\n")
        if len(lines) <= _FEW:
            yield self._one_by_one(lines, first)
            return
        step = max(len(lines) // 8, _FEW)
        for start in range(0, len(lines), step):
            yield from self.read("\n".join(lines[start : start + step]), first + start)

    def _by_column(self, text: str, first: int) -> Part | None:
        texts = self._layout.texts(text, first)
        entries = entries_of(texts, first, self._profile) if texts else None
        if not texts or entries is None:
            return None
        self.count += len(entries)
        findings = self._layout.notes()
        again = self._names.add_all(texts[Column.NAME], first)
        if again:
            lines = text.split("\n")
            for index, earlier in again:
                row = self._layout.row(lines[index], first + index)
                column = row.cell(Column.NAME).column if row else 0
                name = entries[index].name
                findings.append(repeated(first + index, column, name, earlier))
            for index, _ in reversed(again):
                del entries[index]
        return entries, findings

    def _one_by_one(self, lines: Sequence[str], first: int) -> Part:
        entries, findings = [], []
        for number, line in enumerate(lines, start=first):
            row = self._layout.row(line, number)
            findings += self._layout.notes()
            if row is None:
                continue
            self.count += 1
            entry, found = checked(row, self._profile, self._names)
            findings += found
            if entry is not None:
                entries.append(entry)
        return entries, findings
