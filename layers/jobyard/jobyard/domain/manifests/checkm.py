"""Merritt's dialect of Checkm 0.7: `#%` headers, rows of fields separated by "|", `#%eof`."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from jobyard.domain.manifests.column_checks import Texts
from jobyard.domain.manifests.delimited import FieldCounts, cells_of, column_of, columns_of
from jobyard.domain.manifests.findings import Check, Finding, quoted, quoted_all
from jobyard.domain.manifests.lines import Span
from jobyard.domain.manifests.profiles import (
    COMMON,
    PREFIXES,
    PROFILE_BASE,
    PROFILES,
    UNKNOWN,
    Column,
    Profile,
)
from jobyard.domain.manifests.rows import CheckedRows, RowReader, UnreadRows
from jobyard.domain.manifests.validation import Cell, Row, local_ids_in

VERSION_LINE = "#%checkm_0.7"
END_LINE = "#%eof"

_ORDER = ("checkm", "profile", "prefix", "fields")
_HEADER_PART = re.compile(r"[^\s|]+")  # in headers, Merritt's reader splits at blanks and bars
_HASH = re.compile(r"[ \t]*#")
_HASH_LATER = re.compile(r"\n[ \t]*#")
_END = re.compile(r"\s*#%\s*eof\s*(?:\||$)", re.IGNORECASE)
_BLANK = "%20"
_BAR = re.compile("%7c", re.IGNORECASE)


def unescaped(text: str) -> str:
    """`text` with "|" for "%7c", and spaces for "%20" at its ends."""
    if "%" not in text:
        return text
    start, end = 0, len(text)
    while text.startswith(_BLANK, start, end):
        start += len(_BLANK)
    while text.endswith(_BLANK, start, end):
        end -= len(_BLANK)
    before, after = start // len(_BLANK), (len(text) - end) // len(_BLANK)
    return " " * before + _BAR.sub("|", text[start:end]) + " " * after


def escaped(text: str) -> str:
    """The field from which `unescaped` gets `text`.

    Raises:
        ValueError: the dialect has no such field.
    """
    bare = text.strip(" ")
    before = len(text) - len(text.lstrip(" "))
    after = len(text) - len(bare) - before
    field = "%20" * before + bare.replace("|", "%7c") + "%20" * after
    if unescaped(field) != text or field.strip() != field:
        raise ValueError(f"{quoted(text)} cannot be written in a Checkm manifest")
    return field


def _has_hash_line(text: str) -> bool:
    """Whether a line of `text` begins with "#"."""
    return "#" in text and bool(_HASH.match(text) or _HASH_LATER.search(text))


class CheckmLayout:
    """A row of Checkm in the columns of `profile`."""

    blanks = "| \t\n"
    names_files = True

    def __init__(self, profile: Profile) -> None:
        self._columns = profile.columns
        # None without a profile: then only the missing profile is reported.
        self._column_count = None if profile is UNKNOWN else len(profile.columns)
        self._field_counts = FieldCounts(self._column_count or 0)

    def texts(self, text: str, first: int) -> Texts | None:
        """The columns of lines that have the same number of fields."""
        columns = columns_of(text, "|", self._column_count or len(text))
        if columns is None:
            return None
        is_wide = self._column_count is not None and len(columns) > self._column_count
        if is_wide and not self._field_counts.has_reported(Check.FIELD_AFTER_LAST):
            return None
        if any(values[0] for values in columns):
            self._field_counts.add(len(columns), first)
        texts: dict[Column, Sequence[str]] = {}
        for column, values in zip(self._columns, columns, strict=False):
            if "%" in text and column is not Column.URL:
                values = list(map(unescaped, values))
                if column is not Column.NAME:
                    values = list(map(str.strip, values))
            if any(values):
                texts[column] = values
        return texts

    def row(self, line: str, number: int) -> Row | None:
        """The row on `line`; None if it is blank, a comment or has only empty fields."""
        if line.lstrip().startswith("#"):
            return None
        fields = cells_of(line, "|")
        if not any(field.text for field in fields):
            return None
        findings = []
        surplus = fields[self._column_count :] if self._column_count else []
        value = next((field for field in surplus if field.text), None)
        if value:
            message = f"{len(fields)} fields, but there are {self._column_count} columns"
            findings.append(Check.TOO_MANY_FIELDS.at(number, value.column, message))
        else:
            self._field_counts.add(len(fields), number, surplus[0].column if surplus else 0)
        cells = dict(zip(self._columns, fields, strict=False))
        for column, cell in cells.items() if "%" in line else ():
            if column is not Column.URL:
                cells[column] = Cell(unescaped(cell.text), cell.column)
        local = cells.get(Column.LOCAL)
        return Row(number, cells, local_ids_in(local.text) if local else (), findings=findings)

    def new_findings(self) -> list[Finding]:
        """The findings since the last call that belong to no row."""
        return self._field_counts.new_findings()


class Headers:
    """The headers before the rows. `has_columns` is False if the rows cannot be read."""

    def __init__(self, expected: Profile | None) -> None:
        self.profile = UNKNOWN
        self._expected = expected
        self._profile_line = 0
        self._prefixes: set[str] = set()
        self._fields: tuple[int, list[Cell]] | None = None
        self._rank = 0
        self.has_started = False
        self.has_columns = True
        self._is_order_reported = False

    def read(self, line: str, number: int) -> list[Finding]:
        """Read a line that begins with "#". Returns its findings."""
        parts = [Cell(found[0], found.start() + 1) for found in _HEADER_PART.finditer(line)]
        header, place = parts.pop(0)
        if header == "#%" and parts:
            header += parts.pop(0).text
        if not header.startswith("#%") or header == "#%":
            return []
        name = header[2:].lower()
        findings = self._missing_version(number) if name != VERSION_LINE[2:] else []
        self.has_started = True
        kind = "fields" if name == "columns" else name.partition("_")[0]
        if kind not in _ORDER:
            return findings
        findings += self._order(kind, number)
        if kind == "profile":
            findings += self._profile(parts, number)
        elif kind == "prefix":
            findings += self._prefix(parts, number)
        elif kind == "fields":
            if name == "columns":
                message = "#%columns is the old name: write #%fields"
                findings.append(Check.FIELDS_OLD_WORD.at(number, place, message))
            if self._fields:
                findings.append(_repeated("fields", number))
            else:
                self._fields = (number, parts)
        return findings

    def _missing_version(self, number: int) -> list[Finding]:
        """The finding that the first line is not `VERSION_LINE`; empty after the first line."""
        if self.has_started:
            return []
        self.has_started = True
        message = f"the first line should be {VERSION_LINE}"
        return [Check.CHECKM_LINE_MISSING.at(number, 1, message)]

    def close(self, number: int) -> list[Finding]:
        """Findings about missing headers. Line `number` is the first line after the headers."""
        findings = self._missing_version(number)
        if not self._profile_line:
            message = f"no #%profile header before this line: #%profile | {PROFILE_BASE}… is needed"
            findings.append(Check.PROFILE_MISSING.at(number, 1, message))
        for prefix, uris in PREFIXES.items():
            if prefix not in self._prefixes:
                message = f"the prefix is not declared: #%prefix | {prefix} | {uris[0]}"
                findings.append(Check.PREFIX_MISSING.at(number, 1, message))
        if self._fields is None:
            message = "no #%fields header: the profile's own columns are assumed"
            findings.append(Check.FIELDS_MISSING.at(number, 1, message))
        elif self.profile is not UNKNOWN:
            found = _fields(*self._fields, self.profile)
            self.has_columns = not found
            findings += found
        else:
            named = tuple(column_of(cell.text) for cell in self._fields[1][: len(COMMON)])
            self.has_columns = named == COMMON
        return findings

    def _order(self, kind: str, number: int) -> list[Finding]:
        rank = _ORDER.index(kind)
        is_late = rank < self._rank
        self._rank = max(self._rank, rank)
        if not is_late or self._is_order_reported:
            return []
        self._is_order_reported = True
        message = f"#%{kind} is out of order: the usual order is {', '.join(_ORDER)}"
        return [Check.HEADER_ORDER.at(number, 1, message)]

    def _profile(self, parts: Sequence[Cell], number: int) -> list[Finding]:
        if self._profile_line:
            return [_repeated("profile", number)]
        self._profile_line = number
        value, place = parts[0] if parts else Cell("", len("#%profile") + 1)
        if len(parts) != 1 or not value.startswith(PROFILE_BASE):
            message = f"{quoted(value)} is not a profile: write #%profile | {PROFILE_BASE}NAME"
            return [Check.PROFILE_URL_BAD.at(number, place, message)]
        name = value.removeprefix(PROFILE_BASE)
        if name not in PROFILES:
            message = f"there is no profile {quoted(name)}: the profiles are {', '.join(PROFILES)}"
            return [Check.PROFILE_UNKNOWN.at(number, place + len(PROFILE_BASE), message)]
        self.profile = PROFILES[name]
        if self._expected and self.profile is not self._expected:
            message = f"the profile is {name}, but the submission's is {self._expected.name}"
            return [Check.PROFILE_DIFFERS.at(number, place + len(PROFILE_BASE), message)]
        return []

    def _prefix(self, parts: Sequence[Cell], number: int) -> list[Finding]:
        name = parts[0].text.lower() if parts else ""
        if len(parts) != 2 or not name.endswith(":"):
            place = parts[0].column if parts else len("#%prefix") + 1
            message = "the header is not of the form #%prefix | name: | URI"
            return [Check.PREFIX_MALFORMED.at(number, place, message)]
        if name not in PREFIXES:
            return []
        if name in self._prefixes:
            return [_repeated(f"prefix {name}", number)]
        self._prefixes.add(name)
        uri, place = parts[1]
        if uri in PREFIXES[name]:
            return []
        message = f"{name} is declared as {quoted(uri)}: {PREFIXES[name][0]} is its URI"
        return [Check.PREFIX_URI.at(number, place, message)]


def _repeated(header: str, number: int) -> Finding:
    message = f"#%{header} is repeated: the first one counts"
    return Check.HEADER_REPEATED.at(number, 1, message)


def _fields(number: int, cells: Sequence[Cell], profile: Profile) -> list[Finding]:
    """The findings about the columns of a `#%fields` header, one error for each cause.

    Missing columns and the order are checked only if no column is unknown or repeated.
    """
    standard = ", ".join(column.heading for column in profile.columns)
    named: dict[Column, Cell] = {}
    unknown: list[Cell] = []
    again: list[Cell] = []
    for cell in cells:
        column = column_of(cell.text)
        if column is None or column not in profile.columns:
            unknown.append(cell)
        elif column in named:
            again.append(cell)
        else:
            named[column] = cell
    findings = []
    if unknown:
        names = quoted_all([cell.text for cell in unknown])
        message = f"{profile.name} has no column {names}: its columns are {standard}"
        findings.append(Check.FIELD_UNKNOWN.at(number, unknown[0].column, message))
    if again:
        message = f"columns named twice: {quoted_all([cell.text for cell in again])}; "
        message += f"the columns are {standard}"
        findings.append(Check.FIELD_REPEATED.at(number, again[0].column, message))
    return findings or _missing_or_misplaced(number, named, profile)


def _missing_or_misplaced(
    number: int, named: Mapping[Column, Cell], profile: Profile
) -> list[Finding]:
    """The finding that a column is missing, or else that one is out of order."""
    standard = ", ".join(column.heading for column in profile.columns)
    last = max([len(COMMON), *(profile.columns.index(column) + 1 for column in named)])
    missing = [column.heading for column in profile.columns[:last] if column not in named]
    if missing:
        message = f"missing: {', '.join(missing)}; only columns at the end may be left out"
        return [Check.FIELD_MISSING.at(number, 1, message)]
    for expected, (column, cell) in zip(profile.columns, named.items(), strict=False):
        if column is not expected:
            message = f"{column.heading} is in the place of {expected.heading}: the order is "
            message += f"{standard}; rows are not read in another order"
            return [Check.FIELD_ORDER.at(number, cell.column, message)]
    return []


class CheckmReader:
    """Reads Checkm: headers, then rows, then `#%eof` and nothing more."""

    def __init__(self, expected: Profile | None, allowed_hosts: Collection[str] = ()) -> None:
        self._allowed_hosts = allowed_hosts
        self._headers = Headers(expected)
        self._rows: RowReader | UnreadRows | None = None
        self._ended = False
        self._is_rest_reported = False

    @property
    def profile(self) -> Profile | None:
        """The manifest's profile; None if it has none or an unknown one."""
        return None if self._headers.profile is UNKNOWN else self._headers.profile

    @property
    def row_count(self) -> int:
        """The number of rows so far."""
        return self._rows.count if self._rows else 0

    def read(self, span: Span) -> Iterator[CheckedRows]:
        """The entries and findings of `span`."""
        if self._rows and not self._ended and not _has_hash_line(span.text):
            yield from self._rows.read(span.text.removesuffix("\n"), span.first)
            return
        lines, first = span.lines(), span.first
        hash_lines = [at for at, line in enumerate(lines) if line.lstrip().startswith("#")]
        start = 0
        for index in (*hash_lines, len(lines)):
            yield from self._read_rows(lines[start:index], first + start)
            if index < len(lines):
                yield [], self._read_hash_line(lines[index], first + index)
            start = index + 1
        if self._ended and not self._is_rest_reported and not span.text.endswith("\n"):
            message = f"{END_LINE} is the last line and has no line end: add one"
            yield [], [Check.EOF_NO_NEWLINE.at(span.last, len(lines[-1]) + 1, message)]

    def end(self, last: int) -> Iterator[CheckedRows]:
        """The findings that are left at the end; `last` is the last line's number."""
        findings = []
        if self._rows is None and not self._headers.has_started:
            message = "the manifest is empty: headers, rows and a last line #%eof are expected"
            yield [], [Check.NO_ROWS.at(last, 0, message)]
            return
        if not self._ended:
            message = f"the last line is not {END_LINE}: was the manifest cut off?"
            findings.append(Check.EOF_MISSING.at(last, 0, message))
        if self._rows is None:
            findings += self._begin_rows(last)
        if not self.row_count:
            message = "there are no rows: every line between the headers and #%eof names a file"
            findings.append(Check.NO_ROWS.at(last, 0, message))
        yield [], findings

    def _read_rows(self, lines: Sequence[str], first: int) -> Iterator[CheckedRows]:
        if self._ended:
            if lines:
                yield [], self._after_end(first)
            return
        if self._rows is None:
            index = next((at for at, line in enumerate(lines) if line.strip()), None)
            if index is None:
                return
            yield [], self._begin_rows(first + index)
        if self._rows is not None and lines:
            yield from self._rows.read("\n".join(lines), first)

    def _begin_rows(self, number: int) -> list[Finding]:
        findings = self._headers.close(number)
        if self._headers.has_columns:
            profile = self._headers.profile
            self._rows = RowReader(CheckmLayout(profile), profile, self._allowed_hosts)
        else:
            self._rows = UnreadRows(CheckmLayout.blanks, comment="#")
        return findings

    def _read_hash_line(self, line: str, number: int) -> list[Finding]:
        if self._ended:
            return self._after_end(number)
        if _END.match(line):
            self._ended = True
            return self._begin_rows(number) if self._rows is None else []
        return self._headers.read(line, number) if self._rows is None else []

    def _after_end(self, number: int) -> list[Finding]:
        if self._is_rest_reported:
            return []
        self._is_rest_reported = True
        message = f"{END_LINE} must be the last line: remove what follows it"
        return [Check.AFTER_EOF.at(number, 1, message)]
