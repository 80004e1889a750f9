"""Checkm 0.7 as Merritt speaks it: `#%` headers, rows of fields between "|", `#%eof`."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from jobyard.domain.manifests.column_checks import Texts
from jobyard.domain.manifests.delimited import Widths, cells_of, column_of, columns_of
from jobyard.domain.manifests.findings import Check, Finding, shown, shown_all
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
from jobyard.domain.manifests.rows import Part, RowReader, UnreadRows
from jobyard.domain.manifests.validation import Cell, Row, locals_in

VERSION_LINE = "#%checkm_0.7"
END_LINE = "#%eof"

_ORDER = ("checkm", "profile", "prefix", "fields")
_HEADER_WORD = re.compile(r"[^\s|]+")  # Merritt's reader takes blanks and bars alike in a header
_MARKED = re.compile(r"[ \t]*#")
_MARKED_LATER = re.compile(r"\n[ \t]*#")
_END = re.compile(r"\s*#%\s*eof\s*(?:\||$)", re.IGNORECASE)
_BLANK = "%20"
_BAR = re.compile("%7c", re.IGNORECASE)


def unescaped(text: str) -> str:
    """`text` with "%7c" read as a bar and "%20" at its ends as blanks."""
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
    """The field that `unescaped` reads as `text`; "" for "".

    Raises:
        ValueError: the dialect has no way to write it.
    """
    bare = text.strip(" ")
    before = len(text) - len(text.lstrip(" "))
    after = len(text) - len(bare) - before
    field = "%20" * before + bare.replace("|", "%7c") + "%20" * after
    if unescaped(field) != text or field.strip() != field:
        raise ValueError(f"{shown(text)} cannot be written in a Checkm manifest")
    return field


def _is_marked(text: str) -> bool:
    """Whether a line of `text` begins with "#"."""
    return "#" in text and bool(_MARKED.match(text) or _MARKED_LATER.search(text))


class CheckmLayout:
    """A row of Checkm in the columns of `profile`."""

    blanks = "| \t\n"
    names_files = True

    def __init__(self, profile: Profile) -> None:
        self._columns = profile.columns
        # Without a profile nobody knows how many columns there are: only its absence is reported.
        self._at_most = None if profile is UNKNOWN else len(profile.columns)
        self._widths = Widths(self._at_most or 0)

    def texts(self, text: str, first: int) -> Texts | None:
        """The columns of lines that have as many fields each."""
        columns = columns_of(text, "|", self._at_most or len(text))
        if columns is None:
            return None
        is_wide = self._at_most is not None and len(columns) > self._at_most
        if is_wide and not self._widths.has_reported(Check.FIELD_AFTER_LAST):
            return None
        if any(values[0] for values in columns):
            self._widths.add(len(columns), first)
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
        """The row on `line`; None if it is blank, a comment or of empty fields alone."""
        if line.lstrip().startswith("#"):
            return None
        fields = cells_of(line, "|")
        if not any(field.text for field in fields):
            return None
        findings = []
        surplus = fields[self._at_most :] if self._at_most else []
        full = next((field for field in surplus if field.text), None)
        if full:
            message = f"{len(fields)} fields, but there are {self._at_most} columns"
            findings.append(Check.TOO_MANY_FIELDS.at(number, full.column, message))
        else:
            self._widths.add(len(fields), number, surplus[0].column if surplus else 0)
        cells = dict(zip(self._columns, fields, strict=False))
        for column, cell in cells.items() if "%" in line else ():
            if column is not Column.URL:
                cells[column] = Cell(unescaped(cell.text), cell.column)
        local = cells.get(Column.LOCAL)
        return Row(number, cells, locals_in(local.text) if local else (), findings=findings)

    def notes(self) -> list[Finding]:
        """What has been found since the last call and belongs to no row."""
        return self._widths.notes()


class Headers:
    """The headers before the rows: what they say, and what is wrong with them."""

    def __init__(self, expected: Profile | None) -> None:
        self.profile = UNKNOWN
        self._expected = expected
        self._profile_line = 0
        self._prefixes: set[str] = set()
        self._fields: tuple[int, list[Cell]] | None = None
        self._rank = 0
        self.begun = False
        self.tells_columns = True  # False once a `#%fields` header has an error: rows mean nothing
        self._out_of_order = False

    def read(self, line: str, number: int) -> list[Finding]:
        """Take a line that begins with "#"."""
        parts = [Cell(found[0], found.start() + 1) for found in _HEADER_WORD.finditer(line)]
        mark, place = parts.pop(0)
        if mark == "#%" and parts:
            mark += parts.pop(0).text
        if not mark.startswith("#%") or mark == "#%":
            return []
        word = mark[2:].lower()
        findings = self._missing_version(number) if word != VERSION_LINE[2:] else []
        self.begun = True
        kind = "fields" if word == "columns" else word.partition("_")[0]
        if kind not in _ORDER:
            return findings
        findings += self._order(kind, number)
        if kind == "profile":
            findings += self._profile(parts, number)
        elif kind == "prefix":
            findings += self._prefix(parts, number)
        elif kind == "fields":
            if word == "columns":
                message = "#%columns is the old word: write #%fields"
                findings.append(Check.FIELDS_OLD_WORD.at(number, place, message))
            if self._fields:
                findings.append(_repeated("fields", number))
            else:
                self._fields = (number, parts)
        return findings

    def _missing_version(self, number: int) -> list[Finding]:
        """The finding that another line than `VERSION_LINE` comes first; none the second time."""
        if self.begun:
            return []
        self.begun = True
        message = f"the first line should be {VERSION_LINE}"
        return [Check.CHECKM_LINE_MISSING.at(number, 1, message)]

    def close(self, number: int) -> list[Finding]:
        """What the headers lack now that line `number` is none of them."""
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
            self.tells_columns = not found
            findings += found
        else:
            named = tuple(column_of(cell.text) for cell in self._fields[1][: len(COMMON)])
            self.tells_columns = named == COMMON
        return findings

    def _order(self, kind: str, number: int) -> list[Finding]:
        rank = _ORDER.index(kind)
        late = rank < self._rank and not self._out_of_order
        self._rank = max(self._rank, rank)
        if not late:
            return []
        self._out_of_order = True
        message = f"#%{kind} is out of order: {', '.join(_ORDER)} is usual"
        return [Check.HEADER_ORDER.at(number, 1, message)]

    def _profile(self, parts: Sequence[Cell], number: int) -> list[Finding]:
        if self._profile_line:
            return [_repeated("profile", number)]
        self._profile_line = number
        value, place = parts[0] if parts else Cell("", len("#%profile") + 1)
        if len(parts) != 1 or not value.startswith(PROFILE_BASE):
            message = f"{shown(value)} is no profile: #%profile | {PROFILE_BASE}NAME is expected"
            return [Check.PROFILE_URL_BAD.at(number, place, message)]
        name = value.removeprefix(PROFILE_BASE)
        if name not in PROFILES:
            message = f"there is no profile {shown(name)}: {', '.join(PROFILES)} are known"
            return [Check.PROFILE_UNKNOWN.at(number, place + len(PROFILE_BASE), message)]
        self.profile = PROFILES[name]
        if self._expected and self.profile is not self._expected:
            message = f"the manifest says {name}, its submission says {self._expected.name}"
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
        message = f"{name} is declared as {shown(uri)}: {PREFIXES[name][0]} is its URI"
        return [Check.PREFIX_URI.at(number, place, message)]


def _repeated(header: str, number: int) -> Finding:
    message = f"#%{header} is given a second time: the first counts"
    return Check.HEADER_REPEATED.at(number, 1, message)


def _fields(number: int, cells: Sequence[Cell], profile: Profile) -> list[Finding]:
    """What is wrong with the columns that a `#%fields` header names: one error for each cause.

    A column that is missing may be the one that nobody knows, and what is named twice or unknown
    says nothing of the order.
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
        message = shown_all([cell.text for cell in unknown])
        message = f"{profile.name} has no column {message}: its columns are {standard}"
        findings.append(Check.FIELD_UNKNOWN.at(number, unknown[0].column, message))
    if again:
        message = f"columns named twice: {shown_all([cell.text for cell in again])}; "
        message += f"the columns are {standard}"
        findings.append(Check.FIELD_REPEATED.at(number, again[0].column, message))
    return findings or _place_of_columns(number, named, profile)


def _place_of_columns(number: int, named: Mapping[Column, Cell], profile: Profile) -> list[Finding]:
    """What is wrong with known columns, as they stand: one is missing, or they stand otherwise."""
    standard = ", ".join(column.heading for column in profile.columns)
    last = max([len(COMMON), *(profile.columns.index(column) + 1 for column in named)])
    missing = [column.heading for column in profile.columns[:last] if column not in named]
    if missing:
        message = f"{', '.join(missing)} not named: only columns at the end may be left out"
        return [Check.FIELD_MISSING.at(number, 1, message)]
    for expected, (column, cell) in zip(profile.columns, named.items(), strict=False):
        if column is not expected:
            message = f"{column.heading} stands where {expected.heading} is due: {standard}; "
            message += "rows are not read before the columns stand so"
            return [Check.FIELD_ORDER.at(number, cell.column, message)]
    return []


class Checkm:
    """Reads Checkm: headers, then rows, then `#%eof` and nothing more."""

    def __init__(self, expected: Profile | None, listed: Collection[str] = ()) -> None:
        self._listed = listed
        self._headers = Headers(expected)
        self._rows: RowReader | UnreadRows | None = None
        self._ended = False
        self._followed = False

    @property
    def profile(self) -> Profile | None:
        """The profile the manifest names, None if there is none of that name."""
        return None if self._headers.profile is UNKNOWN else self._headers.profile

    @property
    def files(self) -> int:
        """How many rows were read."""
        return self._rows.count if self._rows else 0

    def read(self, span: Span) -> Iterator[Part]:
        """Entries and findings of `span`."""
        if self._rows and not self._ended and not _is_marked(span.text):
            yield from self._rows.read(span.text.removesuffix("\n"), span.first)
            return
        lines, first = span.lines(), span.first
        marked = [at for at, line in enumerate(lines) if line.lstrip().startswith("#")]
        start = 0
        for mark in (*marked, len(lines)):
            yield from self._read_rows(lines[start:mark], first + start)
            if mark < len(lines):
                yield [], self._read_mark(lines[mark], first + mark)
            start = mark + 1
        if self._ended and not self._followed and not span.text.endswith("\n"):
            message = f"{END_LINE} is the last line and has no line end: add one"
            yield [], [Check.EOF_NO_NEWLINE.at(span.last, len(lines[-1]) + 1, message)]

    def end(self, last: int) -> Iterator[Part]:
        """What is left to say when the stream has ended with line `last`."""
        findings = []
        if self._rows is None and not self._headers.begun:
            message = "the manifest is empty: headers, rows and a last line #%eof are expected"
            yield [], [Check.NO_ROWS.at(last, 0, message)]
            return
        if not self._ended:
            message = f"the last line is not {END_LINE}: was the manifest cut off?"
            findings.append(Check.EOF_MISSING.at(last, 0, message))
        if self._rows is None:
            findings += self._begin_rows(last)
        if not self.files:
            message = "there are no rows: every line between the headers and #%eof names a file"
            findings.append(Check.NO_ROWS.at(last, 0, message))
        yield [], findings

    def _read_rows(self, lines: Sequence[str], first: int) -> Iterator[Part]:
        if self._ended:
            if lines:
                yield [], self._after_end(first)
            return
        if self._rows is None:
            begin = next((at for at, line in enumerate(lines) if line.strip()), None)
            if begin is None:
                return
            yield [], self._begin_rows(first + begin)
        if self._rows is not None and lines:
            yield from self._rows.read("\n".join(lines), first)

    def _begin_rows(self, number: int) -> list[Finding]:
        findings = self._headers.close(number)
        if self._headers.tells_columns:
            profile = self._headers.profile
            self._rows = RowReader(CheckmLayout(profile), profile, self._listed)
        else:
            self._rows = UnreadRows(CheckmLayout.blanks, comment="#")
        return findings

    def _read_mark(self, line: str, number: int) -> list[Finding]:
        if self._ended:
            return self._after_end(number)
        if _END.match(line):
            self._ended = True
            return self._begin_rows(number) if self._rows is None else []
        return self._headers.read(line, number) if self._rows is None else []

    def _after_end(self, number: int) -> list[Finding]:
        if self._followed:
            return []
        self._followed = True
        message = f"{END_LINE} has to be the last line: remove what follows it"
        return [Check.AFTER_EOF.at(number, 1, message)]
