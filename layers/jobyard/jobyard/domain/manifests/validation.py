"""All checks of a single row, with the messages of their findings."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from jobyard.domain.arks import EXAMPLE_ARK, normal_ark
from jobyard.domain.manifests import url_checks
from jobyard.domain.manifests.entry import NO_PARAMETERS, Entry
from jobyard.domain.manifests.file_names import NameConflict
from jobyard.domain.manifests.findings import Check, Finding, quoted
from jobyard.domain.manifests.profiles import (
    CONTAINER,
    CONTAINER_ENDINGS,
    MANIFEST,
    MANIFEST_ENDING,
    Column,
    Profile,
    kind_of,
)
from jobyard.domain.paths import unportable_reason
from jobyard.domain.plurals import plural

MAX_FILE_NAME_BYTES = 1024  # of a file name in UTF-8: the longest key of S3
HEX_LENGTHS = {"md5": 32, "sha-256": 64, "sha-512": 128}  # sha-512 is Jobyard's extension
MAX_LOCAL_ID_BYTES = 1024  # of a local identifier in UTF-8: it is a key of the table of identifiers
MAX_LOCAL_IDS = 100  # local identifiers of a row: each takes a write
MAX_SIZE_DIGITS = 18  # of a size in bytes, less than an exabyte

_SPELLINGS = {name.replace("-", ""): name for name in HEX_LENGTHS}
_DASHES = str.maketrans("", "", "-_ ")
_SIZE = re.compile(f"[0-9]{{1,{MAX_SIZE_DIGITS}}}")
_HEX = re.compile("[0-9A-Fa-f]*")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:[/\\]")


class Cell(NamedTuple):
    """The text of a row in one column. `column` is its first character's, from 1; 0 if unknown."""

    text: str
    column: int


BLANK = Cell("", 0)


class EarlierNames(Protocol):
    """The file names of the earlier rows."""

    def add_and_check(self, names: Sequence[str], first: int) -> list[NameConflict]:
        """Add `names`, from line `first` on. Returns their conflicts with earlier names."""


@dataclass(slots=True)
class Row:
    """A row as parsed by its format. `findings` are the format's.

    A row that is not `readable` is not checked any further.
    """

    line: int
    cells: Mapping[Column, Cell]
    local: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=lambda: NO_PARAMETERS)
    findings: list[Finding] = field(default_factory=list)
    readable: bool = True

    def cell(self, column: Column) -> Cell:
        """The stripped cell in `column`; a blank one if there is none."""
        cell = self.cells.get(column, BLANK)
        text = cell.text.strip()
        return cell if text == cell.text else Cell(text, cell.column)


def algorithm_named(text: str) -> str:
    """The digest algorithm with the name `text`; "" if there is none.

    Case, dashes, underscores and spaces are ignored. Source: Merritt, the repository whose manifest
    formats these are, ignores case and dashes.
    """
    return _SPELLINGS.get(text.translate(_DASHES).lower(), "")


def drop_incomplete_digest(cells: dict[Column, Cell]) -> None:
    """Drop a digest without an algorithm, or an algorithm without a digest.

    For rows in which the other one already has a finding.
    """
    if (Column.DIGEST in cells) is not (Column.ALGORITHM in cells):
        cells.pop(Column.DIGEST, None)
        cells.pop(Column.ALGORITHM, None)


def local_ids_in(text: str) -> tuple[str, ...]:
    """The local identifiers in `text`, separated by ";"; "%sc" stands for a semicolon in one."""
    parts = (part.strip() for part in text.split(";"))
    return tuple(re.sub("%sc", ";", part, flags=re.IGNORECASE) for part in parts if part)


def check_row(
    row: Row, profile: Profile, names: EarlierNames
) -> tuple[Entry | None, list[Finding]]:
    """The entry of `row`, None if it has an error, and all its findings."""
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
        message = f"primaryIdentifier {quoted(primary.text)} is not an ark such as {EXAMPLE_ARK}"
        findings.append(Check.PRIMARY_BAD.at(row.line, primary.column, message))
    findings += _local_ids(row)
    if any(finding.level == "error" for finding in findings):
        return None, findings
    entry = Entry(
        line=row.line,
        kind=profile.kind or kind_of(name),
        url=url.text,
        name=name,
        algorithm=algorithm,
        digest=digest,
        size=size,
        primary=ark,
        local=row.local,
        creator=row.cell(Column.CREATOR).text,
        title=row.cell(Column.TITLE).text,
        date=row.cell(Column.DATE).text,
        parameters=row.parameters,
    )
    return entry, findings


def _controls(row: Row) -> list[Finding]:
    """Findings of control characters, at most one for each column."""
    if "".join((*(cell.text for cell in row.cells.values()), *row.local)).isprintable():
        return []
    findings = []
    reported: set[str] = set()
    texts = [(str(column), *cell) for column, cell in row.cells.items()]
    if not row.cell(Column.LOCAL).text:  # JSON Lines has the identifiers in a list
        texts += [(str(Column.LOCAL), each, row.cell(Column.LOCAL).column) for each in row.local]
    for name, text, column in texts:
        bad = _CONTROL.search(text)
        if bad and name not in reported:
            reported.add(name)
            message = f"{name} contains the control character U+{ord(bad[0]):04X}: remove it"
            findings.append(Check.CONTROL_CHARACTER.at(row.line, column, message))
    return findings


def _url(line: int, url: Cell) -> list[Finding]:
    if not url.text:
        message = "fileUrl is empty: every row needs the URL of its file"
        return [Check.URL_MISSING.at(line, url.column, message)]
    error = url_checks.error_in(url.text)
    if not error:
        return []
    message = f"fileUrl {quoted(url.text)} {error}"
    return [Check.URL_BAD.at(line, url.column, message)]


def _digest(row: Row) -> tuple[str, str, list[Finding]]:
    """The algorithm and the digest, both "" if there is a finding."""
    algorithm, digest = row.cell(Column.ALGORITHM), row.cell(Column.DIGEST)
    name = algorithm_named(algorithm.text)
    allowed = f"{', '.join(HEX_LENGTHS)} are allowed"
    if algorithm.text and not name:
        message = f"hashAlgorithm {quoted(algorithm.text)} is not supported: {allowed}"
        return "", "", [Check.ALGORITHM_UNKNOWN.at(row.line, algorithm.column, message)]
    if digest.text and not name:
        message = f"hashValue has no hashAlgorithm: {allowed}"
        column = algorithm.column or digest.column
        return "", "", [Check.ALGORITHM_MISSING.at(row.line, column, message)]
    if name and not digest.text:
        message = f"hashAlgorithm {name} has no hashValue: give both or neither"
        column = digest.column or algorithm.column
        return "", "", [Check.DIGEST_MISSING.at(row.line, column, message)]
    if name and (len(digest.text) != HEX_LENGTHS[name] or not _HEX.fullmatch(digest.text)):
        message = (
            f"hashValue {quoted(digest.text)} has {plural(len(digest.text), 'character')}: "
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
    message = (
        f"fileSize {quoted(size.text)} is not a number of bytes with 1 to {MAX_SIZE_DIGITS} digits"
    )
    return None, [Check.SIZE_BAD.at(row.line, size.column, message)]


def _local_ids(row: Row) -> list[Finding]:
    column = row.cell(Column.LOCAL).column
    if len(row.local) > MAX_LOCAL_IDS:
        message = f"localIdentifier has {len(row.local)} identifiers: {MAX_LOCAL_IDS} are allowed"
        return [Check.LOCAL_BAD.at(row.line, column, message)]
    for each in row.local:
        if len(each.encode(errors="surrogatepass")) > MAX_LOCAL_ID_BYTES:
            message = f"localIdentifier {quoted(each)} is longer than {MAX_LOCAL_ID_BYTES} bytes"
            return [Check.LOCAL_BAD.at(row.line, column, message)]
    return []


def _name(row: Row, url: Cell, profile: Profile, names: EarlierNames) -> tuple[str, list[Finding]]:
    """The file name, from the URL if the row has none, and the findings about it."""
    findings = []
    name = row.cells.get(Column.NAME, BLANK)
    if not name.text.strip():
        if url_checks.error_in(url.text):
            return "", []  # the finding about the URL says what to do
        column = name.column or url.column
        name = Cell(url_checks.file_name_in(url.text), url.column)
        if not name.text or _CONTROL.search(name.text):
            message = f"fileName is empty, and fileUrl {quoted(url.text)} has no name at its end"
            return "", [Check.NAME_MISSING.at(row.line, column, message)]
        message = f"fileName is empty: {quoted(name.text)} is taken from the URL"
        findings.append(Check.NAME_FROM_URL.at(row.line, column, message))
    error = _path_error(name.text)
    if error:
        message = (
            f"fileName {quoted(name.text)} {error}: a relative path such as a/b.txt is allowed"
        )
        findings.append(Check.NAME_BAD.at(row.line, name.column, message))
        return name.text, findings
    findings += _ending(row.line, name, profile)
    reason = unportable_reason(name.text)
    if reason and not _CONTROL.search(name.text):  # a control character is an error already
        message = f"fileName {quoted(name.text)}: {reason}"
        findings.append(Check.NAME_UNPORTABLE.at(row.line, name.column, message))
    for conflict in names.add_and_check([name.text], row.line):
        findings.append(conflict.check.at(row.line, name.column, conflict.message))
    return name.text, findings


def _path_error(name: str) -> str:
    if len(name.encode(errors="surrogatepass")) > MAX_FILE_NAME_BYTES:
        return f"is longer than {MAX_FILE_NAME_BYTES} bytes"
    if _ABSOLUTE.match(name):
        return "is an absolute path"
    if ".." in re.split(r"[/\\]", name):
        return 'contains ".."'
    if any(part in ("", ".") for part in name.split("/")):
        return 'contains an empty part or "."'
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
        message = f"fileName {quoted(name.text)} {allowed} in {profile.name}"
        return [Check.NAME_EXTENSION.at(line, name.column, message)]
    if kind in profile.warns:
        message = f"{quoted(name.text)} is a container: it will be kept as one file, not unpacked"
        return [Check.CONTAINER_AS_FILE.at(line, name.column, message)]
    return []
