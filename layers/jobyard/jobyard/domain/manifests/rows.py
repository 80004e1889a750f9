"""The rows of a manifest, in order: checked by whole columns if possible, else one by one."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from jobyard.domain.manifests.column_checks import Texts, entries_of
from jobyard.domain.manifests.entry import Entry
from jobyard.domain.manifests.file_names import FileNames
from jobyard.domain.manifests.findings import Check, Finding, quoted
from jobyard.domain.manifests.object_names import ObjectNames
from jobyard.domain.manifests.profiles import Column, Profile
from jobyard.domain.manifests.url_checks import UrlWarnings, error_in
from jobyard.domain.manifests.validation import Row, check_row

CheckedRows = tuple[list[Entry], list[Finding]]  # the entries and findings of some lines

_SMALL_GROUP = 16  # rows that are checked one by one if a larger group has a finding


class Layout(Protocol):
    """How a format arranges a row on a line."""

    @property
    def blanks(self) -> str:
        """A line of only these characters is not a row."""

    @property
    def names_files(self) -> bool:
        """Whether rows have a file name column."""

    def texts(self, text: str, first: int) -> Texts | None:
        """The columns of the lines of `text`; None if a line has to be parsed on its own.

        `first` is the number of the first line.
        """

    def row(self, line: str, number: int) -> Row | None:
        """The row on `line`; None if there is none."""

    def new_findings(self) -> list[Finding]:
        """The findings since the last call that belong to no row."""


class RowReader:
    """Reads rows of `profile` in a `layout`; `count` is their number so far."""

    def __init__(
        self, layout: Layout, profile: Profile, allowed_hosts: Collection[str] = ()
    ) -> None:
        self.count = 0
        self._layout = layout
        self._profile = profile
        self._url_warnings = UrlWarnings(allowed_hosts)
        self._has_reported_name = False
        self._names = ObjectNames() if profile.is_one_object else FileNames()

    def read(self, text: str, first: int) -> Iterator[CheckedRows]:
        """The entries and findings of the lines of `text`; `first` is the first line's number."""
        if not text.strip(self._layout.blanks):
            return
        part = self._by_column(text, first)
        if part:
            yield part
            return
        lines = text.split("\n")
        if len(lines) <= _SMALL_GROUP:
            yield self._one_by_one(lines, first)
            return
        step = max(len(lines) // 8, _SMALL_GROUP)
        for start in range(0, len(lines), step):
            yield from self.read("\n".join(lines[start : start + step]), first + start)

    def _by_column(self, text: str, first: int) -> CheckedRows | None:
        texts = self._layout.texts(text, first)
        entries = entries_of(texts, first, self._profile, self._url_warnings) if texts else None
        if not texts or entries is None:
            return None
        self.count += len(entries)
        findings = self._layout.new_findings()
        conflicts = self._names.add_and_check(texts[Column.NAME], first)
        if conflicts:
            lines = text.split("\n")
            bad = set()
            for index, check, message in conflicts:
                row = self._layout.row(lines[index], first + index)
                column = row.cell(Column.NAME).column if row else 0
                findings.append(check.at(first + index, column, message))
                if check.level == "error":
                    bad.add(index)
            entries = [entry for index, entry in enumerate(entries) if index not in bad]
        return entries, findings

    def _one_by_one(self, lines: Sequence[str], first: int) -> CheckedRows:
        entries, findings = [], []
        for number, line in enumerate(lines, start=first):
            row = self._layout.row(line, number)
            findings += self._layout.new_findings()
            if row is None:
                continue
            self.count += 1
            entry, found = check_row(row, self._profile, self._names)
            findings += self._without_repeats(found) + self._url_warning(row)
            if entry is not None:
                entries.append(entry)
        return entries, findings

    def _without_repeats(self, findings: list[Finding]) -> list[Finding]:
        """`findings`, but only the first of those that every row has because of the header."""
        if self._layout.names_files:
            return findings
        kept = []
        for finding in findings:
            if finding.code != Check.NAME_FROM_URL:
                kept.append(finding)
            elif not self._has_reported_name:
                self._has_reported_name = True
                message = f"{finding.message}, as on every row: there is no column fileName"
                kept.append(replace(finding, message=message))
        return kept

    def _url_warning(self, row: Row) -> list[Finding]:
        url = row.cell(Column.URL)
        warning = self._url_warnings.of(url.text) if row.readable and not error_in(url.text) else ""
        if not warning:
            return []
        message = f"fileUrl {quoted(url.text)} {warning}"
        return [Check.URL_DOUBTFUL.at(row.line, url.column, message)]


class UnreadRows:
    """Counts rows that cannot be read because the header has an error."""

    def __init__(self, blanks: str, comment: str = "") -> None:
        self.count = 0
        self._blanks = blanks
        self._comment = comment

    def read(self, text: str, first: int) -> Iterator[CheckedRows]:
        """Count the lines of `text` that are rows. There are no entries and no findings."""
        lines = (line.strip(self._blanks) for line in text.split("\n"))
        comment = self._comment
        self.count += sum(not (comment and line.startswith(comment)) for line in lines if line)
        yield [], []
