"""One row at a time: every check of a row, and the messages for what it finds."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from jobyard.domain.arks import EXPECTED, normal_ark
from jobyard.domain.manifests import url_checks
from jobyard.domain.manifests.entry import NOTHING, Entry
from jobyard.domain.manifests.file_names import Clash
from jobyard.domain.manifests.findings import Check, Finding, shown
from jobyard.domain.manifests.profiles import (
    CONTAINER,
    CONTAINER_ENDINGS,
    MANIFEST,
    MANIFEST_ENDING,
    Column,
    Profile,
    kind_of,
)
from jobyard.domain.paths import unportable

FILE_NAME_BYTES = 1024  # of a file name in UTF-8: the longest key S3 takes
HEX_LENGTHS = {"md5": 32, "sha-256": 64, "sha-512": 128}  # sha-512 is Jobyard's extension
LOCAL_BYTES = 1024  # of a local identifier in UTF-8: it is a key of the table of identifiers
LOCALS = 100  # identifiers of a row: each is claimed by a write of its own
SIZE_DIGITS = 18  # an exabyte less one: more is a slip of the pen, and no integer we could store

_SPELLINGS = {name.replace("-", ""): name for name in HEX_LENGTHS}
_DASHES = str.maketrans("", "", "-_ ")
_SIZE = re.compile(f"[0-9]{{1,{SIZE_DIGITS}}}")
_HEX = re.compile("[0-9A-Fa-f]*")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:[/\\]")


class Cell(NamedTuple):
    """The text of a row in one column, and the character it begins at, from 1 (0: unknown)."""

    text: str
    column: int


BLANK = Cell("", 0)


class NamesBefore(Protocol):
    """The names of the rows before."""

    def clashes(self, names: Sequence[str], first: int) -> list[Clash]:
        """Remember `names`, from line `first` on; what clashes with those before."""


@dataclass(slots=True)
class Row:
    """A row as its format read it, before any check; `findings` are those of the format.

    Of a row that is not `readable` nothing else can be said.
    """

    line: int
    cells: Mapping[Column, Cell]
    local: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    findings: list[Finding] = field(default_factory=list)
    readable: bool = True

    def cell(self, column: Column) -> Cell:
        """The cell in `column`, blanks at its ends left out; a blank one if there is none."""
        cell = self.cells.get(column, BLANK)
        text = cell.text.strip()
        return cell if text == cell.text else Cell(text, cell.column)


def algorithm_named(text: str) -> str:
    """The digest algorithm that `text` names, in any case and with dashes or without; "" if none.

    Source: Merritt's own reader lowers the case and strips dashes.
    """
    return _SPELLINGS.get(text.translate(_DASHES).lower(), "")


def leave_out_half_a_digest(cells: dict[Column, Cell]) -> None:
    """Leave out the digest or its algorithm where the other is missing for a reason told before."""
    if (Column.DIGEST in cells) is not (Column.ALGORITHM in cells):
        cells.pop(Column.DIGEST, None)
        cells.pop(Column.ALGORITHM, None)


def locals_in(text: str) -> tuple[str, ...]:
    """The local identifiers in `text`, separated by ";"; "%sc" stands for a semicolon in one."""
    parts = (part.strip() for part in text.split(";"))
    return tuple(re.sub("%sc", ";", part, flags=re.IGNORECASE) for part in parts if part)


def checked(row: Row, profile: Profile, names: NamesBefore) -> tuple[Entry | None, list[Finding]]:
    """The entry of `row`, None if a check found an error; and all that was found."""
    if not row.readable:
        return None, row.findings
    findings = row.findings + _controls(row)
    url = row.cell(Column.URL)
    findings += _url(row.line, url)
    algorithm, digest, found = _digest(row)
    findings += found
    size, found = _size(row)
    findings += found
    name, found = _name(row, url, profile, names)
    findings += found
    primary = row.cell(Column.PRIMARY)
    ark = normal_ark(primary.text)
    if primary.text and not ark:
        message = f"primaryIdentifier {shown(primary.text)} is no ark: {EXPECTED} is expected"
        findings.append(Check.PRIMARY_BAD.at(row.line, primary.column, message))
    findings += _locals(row)
    if any(finding.level == "error" for finding in findings):
        return None, findings
    entry = Entry(
        row.line,
        profile.kind or kind_of(name),
        url.text,
        name,
        algorithm,
        digest,
        size,
        ark,
        row.local,
        row.cell(Column.CREATOR).text,
        row.cell(Column.TITLE).text,
        row.cell(Column.DATE).text,
        row.parameters,
    )
    return entry, findings


def _controls(row: Row) -> list[Finding]:
    if "".join((*(cell.text for cell in row.cells.values()), *row.local)).isprintable():
        return []
    findings = []
    told: set[str] = set()  # once for each column, however many identifiers are listed in it
    texts = [(str(column), *cell) for column, cell in row.cells.items()]
    if not row.cell(Column.LOCAL).text:  # a list of them, as JSON has it
        texts += [(str(Column.LOCAL), each, row.cell(Column.LOCAL).column) for each in row.local]
    for label, text, column in texts:
        bad = _CONTROL.search(text)
        if bad and label not in told:
            told.add(label)
            message = f"{label} holds the control character U+{ord(bad[0]):04X}: remove it"
            findings.append(Check.CONTROL_CHARACTER.at(row.line, column, message))
    return findings


def _url(line: int, url: Cell) -> list[Finding]:
    if not url.text:
        message = "fileUrl is empty: every row needs the URL of its file"
        return [Check.URL_MISSING.at(line, url.column, message)]
    fault = url_checks.fault(url.text)
    if not fault:
        return []
    message = f"fileUrl {shown(url.text)} {fault}"
    return [Check.URL_BAD.at(line, url.column, message)]


def _digest(row: Row) -> tuple[str, str, list[Finding]]:
    algorithm, digest = row.cell(Column.ALGORITHM), row.cell(Column.DIGEST)
    name = algorithm_named(algorithm.text)
    if algorithm.text and not name:
        message = f"hashAlgorithm {shown(algorithm.text)} is not taken: {', '.join(HEX_LENGTHS)} are"
        return "", "", [Check.ALGORITHM_UNKNOWN.at(row.line, algorithm.column, message)]
    if digest.text and not name:
        message = f"hashAlgorithm is empty beside a hashValue: {', '.join(HEX_LENGTHS)} are allowed"
        return (
            "",
            "",
            [Check.ALGORITHM_MISSING.at(row.line, algorithm.column or digest.column, message)],
        )
    if name and not digest.text:
        message = f"hashValue is empty beside {name}: give both or neither"
        return "", "", [Check.DIGEST_MISSING.at(row.line, digest.column or algorithm.column, message)]
    if name and (len(digest.text) != HEX_LENGTHS[name] or not _HEX.fullmatch(digest.text)):
        message = (
            f"hashValue {shown(digest.text)} has {len(digest.text)} characters: "
            f"{name} has {HEX_LENGTHS[name]} of 0-9 and a-f"
        )
        return "", "", [Check.DIGEST_BAD.at(row.line, digest.column, message)]
    return name, digest.text.lower(), []


def _size(row: Row) -> tuple[int | None, list[Finding]]:
    size = row.cell(Column.SIZE)
    if not size.text:
        return None, []
    if _SIZE.fullmatch(size.text):
        return int(size.text), []
    message = f"fileSize {shown(size.text)} is not a number of bytes: give 1 to {SIZE_DIGITS} digits"
    return None, [Check.SIZE_BAD.at(row.line, size.column, message)]


def _locals(row: Row) -> list[Finding]:
    column = row.cell(Column.LOCAL).column
    if len(row.local) > LOCALS:
        message = f"localIdentifier holds {len(row.local)} identifiers: {LOCALS} are allowed"
        return [Check.LOCAL_BAD.at(row.line, column, message)]
    for each in row.local:
        if len(each.encode(errors="surrogatepass")) > LOCAL_BYTES:
            message = f"localIdentifier {shown(each)} is longer than {LOCAL_BYTES} bytes"
            return [Check.LOCAL_BAD.at(row.line, column, message)]
    return []


def _name(row: Row, url: Cell, profile: Profile, names: NamesBefore) -> tuple[str, list[Finding]]:
    findings = []
    name = row.cells.get(Column.NAME, BLANK)
    if not name.text.strip():
        taken = Cell(
            url_checks.name_in(url.text) if not url_checks.fault(url.text) else "", url.column
        )
        if not taken.text or _CONTROL.search(taken.text):
            if url_checks.fault(url.text):
                return "", []  # the URL's own finding says what to do
            message = f"fileName is empty and fileUrl {shown(url.text)} ends in none: give a fileName"
            return "", [Check.NAME_MISSING.at(row.line, name.column or url.column, message)]
        message = f"fileName is empty: {shown(taken.text)} is taken from the URL"
        findings.append(Check.NAME_FROM_URL.at(row.line, name.column or url.column, message))
        name = taken
    fault = _path_fault(name.text)
    if fault:
        message = f"fileName {shown(name.text)} {fault}: a relative path such as a/b.txt is allowed"
        findings.append(Check.NAME_BAD.at(row.line, name.column, message))
        return name.text, findings
    findings += _ending(row.line, name, profile)
    why = unportable(name.text)
    if why and not _CONTROL.search(name.text):  # which is an error already
        message = f"fileName {shown(name.text)}: {why}"
        findings.append(Check.NAME_UNPORTABLE.at(row.line, name.column, message))
    for clash in names.clashes([name.text], row.line):
        findings.append(clash.check.at(row.line, name.column, clash.message))
    return name.text, findings


def _path_fault(name: str) -> str:
    if len(name.encode(errors="surrogatepass")) > FILE_NAME_BYTES:
        return f"is longer than {FILE_NAME_BYTES} bytes"
    if _ABSOLUTE.match(name):
        return "is an absolute path"
    if ".." in re.split(r"[/\\]", name):
        return 'holds ".."'
    if any(part in ("", ".") for part in name.split("/")):
        return 'holds an empty part or "."'
    return ""


def _ending(line: int, name: Cell, profile: Profile) -> list[Finding]:
    kind = kind_of(name.text)
    if kind not in profile.accepts:
        if profile.accepts == {MANIFEST}:
            allowed = f"must end in {MANIFEST_ENDING}"
        elif profile.accepts == {CONTAINER}:
            allowed = f"must end in one of {', '.join(CONTAINER_ENDINGS)}"
        else:
            allowed = f"must not end in {MANIFEST_ENDING}"
        message = f"fileName {shown(name.text)} {allowed} in {profile.name}"
        return [Check.NAME_EXTENSION.at(line, name.column, message)]
    if kind in profile.warns:
        message = f"{shown(name.text)} is a container, and will be kept as one file, not unpacked"
        return [Check.CONTAINER_AS_FILE.at(line, name.column, message)]
    return []
