"""What can be found in a manifest: the closed list of checks, with a level and a sentence each."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from jobyard.domain.urls import without_secrets

MAX_FINDINGS = (
    10_000  # findings of a level that are kept; more than anyone reads, and some megabytes
)
MAX_QUOTED = 80  # characters of a value that a message quotes
_LISTED = 5  # values that a message quotes one by one


@dataclass(frozen=True, slots=True)
class Finding:
    """Something found at a place. `level` is error, warning or information.

    `line` counts from 1; `column` is the character the fault begins at, from 1, or 0 where a
    place within the line has no meaning.
    """

    level: str
    code: str
    line: int
    column: int
    message: str

    @property
    def position(self) -> str:
        """Where it was found, as a sentence has it."""
        where = f"line {self.line}" if self.line else "the manifest"
        return f"{where}, column {self.column}" if self.column else where

    def document(self) -> dict[str, Any]:
        """The finding as JSON has it: None for a line or column that it does not have."""
        return without_zeros(asdict(self))


class Check(StrEnum):
    """A check, by the code its findings carry. An error means that no object will be created.

    Source of the levels: Merritt's manifest validator, without its quirks (docs/manifests.md).
    """

    level: str
    description: str

    INVALID_UTF8 = "INVALID_UTF8", "error", "The bytes are not UTF-8 text."
    REPLACEMENT_CHARACTER = (
        "REPLACEMENT_CHARACTER",
        "error",
        "U+FFFD stands where another program could not read a character.",
    )
    CONTROL_CHARACTER = (
        "CONTROL_CHARACTER",
        "error",
        "A control character (NUL, escape, a tab or line break inside a value).",
    )
    LINE_TOO_LONG = "LINE_TOO_LONG", "error", "A line is longer than 65,536 bytes."
    BYTE_ORDER_MARK = "BYTE_ORDER_MARK", "warning", "The file begins with a byte order mark."
    NO_ROWS = "NO_ROWS", "error", "There is no row, so there is nothing to deposit."
    PROFILE_MISSING = "PROFILE_MISSING", "error", "No `#%profile` header stands before the rows."
    PROFILE_URL_BAD = (
        "PROFILE_URL_BAD",
        "error",
        "The `#%profile` header does not name a profile by its full URL.",
    )
    PROFILE_UNKNOWN = "PROFILE_UNKNOWN", "error", "There is no profile of that name."
    PROFILE_DIFFERS = (
        "PROFILE_DIFFERS",
        "error",
        "The manifest names another profile than the submission.",
    )
    PROFILE_MIXED = (
        "PROFILE_MIXED",
        "error",
        "Rows that no single profile covers: manifests mixed with other files.",
    )
    CHECKM_LINE_MISSING = (
        "CHECKM_LINE_MISSING",
        "warning",
        "The first line is not `#%checkm_0.7`.",
    )
    HEADER_ORDER = (
        "HEADER_ORDER",
        "warning",
        "A header is out of order: checkm, profile, prefix, fields.",
    )
    HEADER_REPEATED = "HEADER_REPEATED", "warning", "A header is given twice; the first counts."
    PREFIX_MISSING = "PREFIX_MISSING", "warning", "The `mrt:` or `nfo:` prefix is not declared."
    PREFIX_URI = "PREFIX_URI", "warning", "A prefix is declared with another URI than its own."
    PREFIX_MALFORMED = (
        "PREFIX_MALFORMED",
        "warning",
        "A `#%prefix` header is not of the form `#%prefix | name: | URI`.",
    )
    FIELDS_MISSING = (
        "FIELDS_MISSING",
        "warning",
        "No `#%fields` header; the profile's columns are assumed.",
    )
    FIELDS_OLD_WORD = (
        "FIELDS_OLD_WORD",
        "warning",
        "`#%columns` is the old word for `#%fields`.",
    )
    FIELD_MISSING = "FIELD_MISSING", "error", "A column that must be named is not."
    FIELD_UNKNOWN = "FIELD_UNKNOWN", "error", "A column or key that the profile does not have."
    FIELD_UNNAMED = "FIELD_UNNAMED", "error", "A value stands under an empty heading of CSV."
    FIELD_REPEATED = "FIELD_REPEATED", "error", "A column or key is named twice."
    FIELD_ORDER = "FIELD_ORDER", "error", "The columns are not in the profile's order."
    EOF_MISSING = (
        "EOF_MISSING",
        "error",
        "No `#%eof` line at the end; the manifest may have been cut off.",
    )
    EOF_NO_NEWLINE = "EOF_NO_NEWLINE", "warning", "The `#%eof` line has no line end."
    AFTER_EOF = "AFTER_EOF", "error", "Something follows the `#%eof` line."
    CSV_QUOTE = (
        "CSV_QUOTE",
        "error",
        "A quoted CSV value is not closed on its line, or text follows its closing quote.",
    )
    CSV_SEPARATOR = (
        "CSV_SEPARATOR",
        "error",
        "Semicolons, tabs or bars stand between the columns of CSV, where commas have to.",
    )
    JSON_BAD = "JSON_BAD", "error", "A line of JSON Lines is not one JSON object."
    VALUE_TYPE = "VALUE_TYPE", "error", "A JSON value is of a type its key does not take."
    PARAMETERS_BAD = "PARAMETERS_BAD", "error", "`parameters` is not a JSON object."
    PARAMETERS_TOO_LARGE = (
        "PARAMETERS_TOO_LARGE",
        "error",
        "`parameters` takes more than 1,024 bytes.",
    )
    TOO_MANY_FIELDS = "TOO_MANY_FIELDS", "error", "A row has more fields than there are columns."
    FIELD_AFTER_LAST = (
        "FIELD_AFTER_LAST",
        "warning",
        "An empty field follows the last column; it is left out (said once).",
    )
    FIELDS_PADDED = (
        "FIELDS_PADDED",
        "information",
        "Trailing empty columns are left out (said once, at the first such row).",
    )
    URL_MISSING = "URL_MISSING", "error", "A row has no URL."
    URL_BAD = "URL_BAD", "error", "The URL is not one that a file can be fetched from."
    URL_DOUBTFUL = (
        "URL_DOUBTFUL",
        "warning",
        "The URL is refused unless the deployment lists its host, or holds a `#`.",
    )
    ALGORITHM_UNKNOWN = (
        "ALGORITHM_UNKNOWN",
        "error",
        "The digest algorithm is not md5, sha-256 or sha-512.",
    )
    ALGORITHM_MISSING = "ALGORITHM_MISSING", "error", "A digest is given without its algorithm."
    DIGEST_MISSING = "DIGEST_MISSING", "error", "An algorithm is given without a digest."
    DIGEST_BAD = "DIGEST_BAD", "error", "The digest is not hex of the algorithm's length."
    SIZE_BAD = "SIZE_BAD", "error", "The size is not a whole number of bytes."
    NAME_MISSING = "NAME_MISSING", "error", "No file name is given and the URL holds none."
    NAME_FROM_URL = "NAME_FROM_URL", "warning", "No file name is given; the URL's is taken."
    NAME_BAD = "NAME_BAD", "error", "The file name is not a relative path within its object."
    NAME_EXTENSION = "NAME_EXTENSION", "error", "The file name's ending is not the profile's."
    NAME_REPEATED = "NAME_REPEATED", "error", "An earlier row has the same file name."
    NAME_IS_FOLDER = (
        "NAME_IS_FOLDER",
        "error",
        "A name is a file, and a folder in the name of another file of the object.",
    )
    TOO_MANY_FOLDERS = (
        "TOO_MANY_FOLDERS",
        "error",
        "The names of one object lie in more than 1,000,000 folders.",
    )
    NAMES_MEET = (
        "NAMES_MEET",
        "warning",
        "Two names of one object differ in case or composition alone: one file on some disks.",
    )
    NAME_UNPORTABLE = (
        "NAME_UNPORTABLE",
        "warning",
        "Windows cannot hold a file of that name.",
    )
    CONTAINER_AS_FILE = (
        "CONTAINER_AS_FILE",
        "warning",
        "A container will be kept as a single file, not unpacked.",
    )
    LOCAL_BAD = (
        "LOCAL_BAD",
        "error",
        "A local identifier is longer than 1,024 bytes, or a row has more than 100.",
    )
    PRIMARY_BAD = "PRIMARY_BAD", "error", "The primary identifier is not an ark."
    MORE_FINDINGS = (
        "MORE_FINDINGS",
        "information",
        "There is more than is listed: of each level the first 10,000 are.",
    )

    def __new__(cls, code: str, level: str, description: str) -> "Check":
        member = str.__new__(cls, code)
        member._value_ = code
        member.level = level
        member.description = description
        return member

    def at(self, line: int, column: int, message: str) -> Finding:
        """A finding of this check; `message` says what is wrong and what is allowed."""
        return Finding(self.level, self.value, line, column, message)


class BoundedFindings:
    """The first `most` findings of each level, in the manifest's order, and how many there are."""

    def __init__(self, most: int = MAX_FINDINGS) -> None:
        self._most = most
        self._levels: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """How many were found, kept or not."""
        return self._levels.total()

    def take(self, found: Iterable[Finding]) -> Iterator[Finding]:
        """Those of some more findings that are kept."""
        for finding in found:
            self._levels[finding.level] += 1
            if self._levels[finding.level] <= self._most:
                yield finding

    @property
    def more(self) -> dict[str, int]:
        """How many of a level are not kept, of those levels alone that have some."""
        levels = self._levels.items()
        return {level: count - self._most for level, count in levels if count > self._most}

    def rest(self) -> list[Finding]:
        """The finding that says how many are not kept; none if all are."""
        if not self.more:
            return []
        by_level = ", ".join(f"{count} of level {level}" for level, count in self.more.items())
        message = f"and {sum(self.more.values())} more, which are not listed: {by_level}"
        return [Check.MORE_FINDINGS.at(0, 0, message)]


def without_zeros(document: Mapping[str, Any]) -> dict[str, Any]:
    """A finding's document with None for a line or column that it does not have."""
    return {name: None if value == 0 else value for name, value in document.items()}


def shown(value: str) -> str:
    """`value` as a message quotes it: printable, short, and without a password in any URL."""
    text = without_secrets(value)
    text = text if len(text) <= MAX_QUOTED else text[: MAX_QUOTED - 1] + "…"
    return '"' + "".join(each if each.isprintable() else "\ufffd" for each in text) + '"'


def shown_all(values: Sequence[str]) -> str:
    """`values` as a message quotes them: the first few, and how many more."""
    message = ", ".join(map(shown, values[:_LISTED]))
    return message if len(values) <= _LISTED else f"{message} and {len(values) - _LISTED} more"


def table() -> str:
    """Every check as a row of a Markdown table: how docs/manifests.md lists them."""
    lines = ["| code | level | found when |", "|---|---|---|"]
    lines += [f"| {check.value} | {check.level} | {check.description} |" for check in Check]
    return "\n".join(lines) + "\n"
