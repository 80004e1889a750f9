"""The rows of one manifest, in order: by whole columns where that will do, else one by one."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from jobyard.domain.manifests.column_checks import Texts, entries_of
from jobyard.domain.manifests.entry import Entry
from jobyard.domain.manifests.file_names import Names
from jobyard.domain.manifests.findings import Check, Finding, shown
from jobyard.domain.manifests.object_names import ObjectNames
from jobyard.domain.manifests.profiles import Column, Profile
from jobyard.domain.manifests.url_checks import UrlWarnings, fault
from jobyard.domain.manifests.validation import Row, checked

Part = tuple[list[Entry], list[Finding]]

_FEW = 16  # rows not worth looking at by column once a larger group of them has been refused


class Layout(Protocol):
    """How a format lays out a row on a line. Lines of nothing but `blanks` are no rows."""

    @property
    def blanks(self) -> str:
        """The characters that alone make no row."""

    @property
    def names_files(self) -> bool:
        """Whether a row may give a file name."""

    def texts(self, text: str, first: int) -> Texts | None:
        """The columns of the lines of `text`, each a row; None unless that is plain to see."""

    def row(self, line: str, number: int) -> Row | None:
        """The row on `line`; None if none is there."""

    def notes(self) -> list[Finding]:
        """What has been found of the lines read since the last call and belongs to no row."""


class RowReader:
    """Reads rows laid out by `layout` as those of `profile`; `count` is how many there were."""

    def __init__(self, layout: Layout, profile: Profile, listed: Collection[str] = ()) -> None:
        self.count = 0
        self._layout = layout
        self._profile = profile
        self._doubts = UrlWarnings(listed)
        self._is_name_told = False
        self._names = ObjectNames() if profile.per_object else Names()

    def read(self, text: str, first: int) -> Iterator[Part]:
        """Entries and findings of the lines of `text`, which begins with line `first`."""
        if not text.strip(self._layout.blanks):
            return
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
        entries = entries_of(texts, first, self._profile, self._doubts) if texts else None
        if not texts or entries is None:
            return None
        self.count += len(entries)
        findings = self._layout.notes()
        clashes = self._names.clashes(texts[Column.NAME], first)
        if clashes:
            lines = text.split("\n")
            bad = set()
            for index, check, message in clashes:
                row = self._layout.row(lines[index], first + index)
                column = row.cell(Column.NAME).column if row else 0
                findings.append(check.at(first + index, column, message))
                if check.level == "error":
                    bad.add(index)
            entries = [entry for index, entry in enumerate(entries) if index not in bad]
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
            findings += self._once(found) + self._doubt(row)
            if entry is not None:
                entries.append(entry)
        return entries, findings

    def _once(self, findings: list[Finding]) -> list[Finding]:
        """`findings`, without the second and later ones that the header alone is the cause of."""
        if self._layout.names_files:
            return findings
        kept = []
        for finding in findings:
            if finding.code != Check.NAME_FROM_URL:
                kept.append(finding)
            elif not self._is_name_told:
                self._is_name_told = True
                message = f"{finding.message}, and so on every row: there is no column fileName"
                kept.append(replace(finding, message=message))
        return kept

    def _doubt(self, row: Row) -> list[Finding]:
        url = row.cell(Column.URL)
        message = self._doubts.of(url.text) if row.readable and not fault(url.text) else ""
        if not message:
            return []
        message = f"fileUrl {shown(url.text)} {message}"
        return [Check.URL_DOUBTFUL.at(row.line, url.column, message)]


class UnreadRows:
    """Counts rows that cannot be read, because their header has an error."""

    def __init__(self, blanks: str, comment: str = "") -> None:
        self.count = 0
        self._blanks = blanks
        self._comment = comment

    def read(self, text: str, first: int) -> Iterator[Part]:
        """Nothing of the lines of `text`."""
        lines = (line.strip(self._blanks) for line in text.split("\n"))
        comment = self._comment
        self.count += sum(not (comment and line.startswith(comment)) for line in lines if line)
        yield [], []
