"""Findings in a manifest, and the closed list of checks with the level and description of each."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

from jobyard.domain.redaction import without_secrets

MAX_FINDINGS = 10_000  # findings of a level that are kept: a few megabytes
MAX_QUOTED = 80  # characters of a value in a message
_MAX_LISTED = 5  # values in a message


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding about a manifest. `level` is error, warning or information.

    `line` counts from 1, 0 if it is about the whole manifest. `column` is the first character, from
    1, or 0 if it is about the whole line.
    """

    level: str
    code: str
    line: int
    column: int
    message: str

    @property
    def position(self) -> str:
        """Its line and column, in words."""
        where = f"line {self.line}" if self.line else "the manifest"
        return f"{where}, column {self.column}" if self.column else where

    def document(self) -> dict[str, Any]:
        """The finding as JSON; None for a line or column that is 0."""
        return without_zeros(asdict(self))


class FindingCheck(StrEnum):
    """A check of a line: its code, the level of what it finds, and when it finds it."""

    level: str
    description: str

    def __new__(cls, code: str, level: str, description: str) -> Self:
        """A member with its fields."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.level = level
        member.description = description
        return member

    def at(self, line: int, column: int, message: str) -> Finding:
        """A finding of this check; `message` says what is wrong and what is allowed."""
        return Finding(self.level, self.value, line, column, message)


class Check(FindingCheck):
    """A check, by the code of its findings. After an error no object is created.

    Source of the levels: Merritt's manifest validator, without its quirks (docs/manifests.md).
    """

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
    PROFILE_MISSING = "PROFILE_MISSING", "error", "There is no `#%profile` header before the rows."
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
        "No profile covers all rows: manifests are mixed with other files.",
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
    PREFIX_URI = "PREFIX_URI", "warning", "A prefix is declared with a wrong URI."
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
    FIELDS_OLD_WORD = "FIELDS_OLD_WORD", "warning", "`#%columns` is the old name of `#%fields`."
    FIELD_MISSING = "FIELD_MISSING", "error", "A required column is missing."
    FIELD_UNKNOWN = "FIELD_UNKNOWN", "error", "A column or key that the profile does not have."
    FIELD_UNNAMED = "FIELD_UNNAMED", "error", "A value of CSV has no heading."
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
        "The columns of CSV are separated by semicolons, tabs or bars instead of commas.",
    )
    JSON_BAD = "JSON_BAD", "error", "A line of JSON Lines is not one JSON object."
    VALUE_TYPE = "VALUE_TYPE", "error", "A JSON value has the wrong type for its key."
    PARAMETERS_BAD = "PARAMETERS_BAD", "error", "`parameters` is not a JSON object."
    PARAMETERS_TOO_LARGE = (
        "PARAMETERS_TOO_LARGE",
        "error",
        "`parameters` is longer than 1,024 bytes.",
    )
    TOO_MANY_FIELDS = "TOO_MANY_FIELDS", "error", "A row has more fields than there are columns."
    FIELD_AFTER_LAST = (
        "FIELD_AFTER_LAST",
        "warning",
        "An empty field follows the last column; it is ignored (reported once).",
    )
    FIELDS_PADDED = (
        "FIELDS_PADDED",
        "information",
        "A row has no fields for the last columns (reported once, at the first such row).",
    )
    URL_MISSING = "URL_MISSING", "error", "A row has no URL."
    URL_BAD = "URL_BAD", "error", "No file can be fetched from the URL."
    URL_DOUBTFUL = (
        "URL_DOUBTFUL",
        "warning",
        "The URL is refused unless the deployment lists its host, or it contains a `#`.",
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
    NAME_MISSING = "NAME_MISSING", "error", "No file name is given, and the URL has none."
    NAME_FROM_URL = "NAME_FROM_URL", "warning", "No file name is given; the URL's is used."
    NAME_BAD = "NAME_BAD", "error", "The file name is not a relative path within its object."
    NAME_EXTENSION = "NAME_EXTENSION", "error", "The profile does not allow the file name's ending."
    NAME_REPEATED = "NAME_REPEATED", "error", "An earlier row has the same file name."
    NAME_IS_FOLDER = (
        "NAME_IS_FOLDER",
        "error",
        "A file has the same name as a folder of the object.",
    )
    TOO_MANY_FOLDERS = (
        "TOO_MANY_FOLDERS",
        "error",
        "An object has more than 1,000,000 folders.",
    )
    NAMES_MEET = (
        "NAMES_MEET",
        "warning",
        "Two names of an object differ only in case or Unicode composition: on some disks they are "
        "one file.",
    )
    NAME_UNPORTABLE = (
        "NAME_UNPORTABLE",
        "warning",
        "Windows cannot store a file with that name.",
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
        "There are more findings: the first 10,000 of each level are listed.",
    )


class BoundedFindings:
    """Keeps the first `limit` findings of each level, and counts all."""

    def __init__(self, limit: int = MAX_FINDINGS) -> None:
        self._limit = limit
        self._levels: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """The number of findings, kept or not."""
        return self._levels.total()

    def take(self, found: Iterable[Finding]) -> Iterator[Finding]:
        """The findings of `found` that are kept, in order. Iterating counts them."""
        for finding in found:
            self._levels[finding.level] += 1
            if self._levels[finding.level] <= self._limit:
                yield finding

    @property
    def counts(self) -> Counter[str]:
        """The number of findings by level, kept or not."""
        return self._levels.copy()

    @property
    def more(self) -> dict[str, int]:
        """The number of findings that are not kept, by level, without zeros."""
        levels = self._levels.items()
        return {level: count - self._limit for level, count in levels if count > self._limit}

    def rest(self) -> list[Finding]:
        """The finding that counts those that are not kept; empty if all are."""
        if not self.more:
            return []
        by_level = ", ".join(f"{count} of level {level}" for level, count in self.more.items())
        message = f"and {sum(self.more.values())} more, which are not listed: {by_level}"
        return [Check.MORE_FINDINGS.at(0, 0, message)]


class FindingLevels:
    """Counts findings by level, for a reader that gives them one after the other."""

    def __init__(self) -> None:
        self._levels: Counter[str] = Counter()

    @property
    def errors(self) -> int:
        """The number of errors."""
        return self._levels["error"]

    @property
    def warnings(self) -> int:
        """The number of warnings."""
        return self._levels["warning"]

    @property
    def worst_level(self) -> str:
        """The highest level of the findings: "error" or "warning"; "pass" if none is that high."""
        if self.errors:
            return "error"
        return "warning" if self.warnings else "pass"


def without_zeros(document: Mapping[str, Any]) -> dict[str, Any]:
    """A finding's document with None for a line or column that is 0."""
    return {name: None if value == 0 else value for name, value in document.items()}


def quoted(value: str) -> str:
    """`value` quoted for a message: printable, short, and without secrets in URLs."""
    text = without_secrets(value)
    text = text if len(text) <= MAX_QUOTED else text[: MAX_QUOTED - 1] + "…"
    return '"' + "".join(each if each.isprintable() else "\ufffd" for each in text) + '"'


def quoted_all(values: Sequence[str]) -> str:
    """`values` quoted for a message: the first few, and how many more there are."""
    listed = ", ".join(map(quoted, values[:_MAX_LISTED]))
    more = len(values) - _MAX_LISTED
    return f"{listed} and {more} more" if more > 0 else listed


def check_table(checks: type[FindingCheck] = Check) -> str:
    """Checks as a Markdown table, as in docs/."""
    lines = ["| code | level | found when |", "|---|---|---|"]
    lines += [f"| {check.value} | {check.level} | {check.description} |" for check in checks]
    return "\n".join(lines) + "\n"
