"""JSON Lines: each line is an object. Its keys are columns, or `parameters`."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from json.decoder import JSONDecodeError, JSONDecoder
from typing import Any, NoReturn

from jobyard.domain.json_objects import RepeatedKey, object_of
from jobyard.domain.manifests.column_checks import Texts
from jobyard.domain.manifests.delimited import column_of
from jobyard.domain.manifests.entry import NO_PARAMETERS
from jobyard.domain.manifests.findings import Check, Finding, quoted, quoted_all
from jobyard.domain.manifests.inference import Inference
from jobyard.domain.manifests.lines import Span
from jobyard.domain.manifests.profiles import (
    INFERRED,
    INGEST,
    OBJECT_MARKERS,
    Column,
    Profile,
    allows_column,
)
from jobyard.domain.manifests.rows import CheckedRows, RowReader, UnreadRows
from jobyard.domain.manifests.validation import Cell, Row, drop_incomplete_digest, local_ids_in

PARAMETERS_KEY = "parameters"
PARAMETERS_DEPTH = 20  # levels of lists and objects, so that all later steps can read them
PARAMETERS_BYTES = 1_024  # as compact JSON: the job's row contains them

_MAX_UNKNOWN = 100  # unknown keys that are reported once each; further ones are for each row


def _refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity."""
    raise ValueError(f"{name} is not JSON")


_decode = JSONDecoder(object_pairs_hook=object_of, parse_constant=_refuse_constant).decode


class JsonLinesLayout:
    """A row of JSON Lines."""

    blanks = " \t\n"
    names_files = True

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._reported: set[str] = set()  # unknown keys

    def texts(self, text: str, first: int) -> Texts | None:
        """The columns of lines whose values are all strings, except whole numbers as sizes."""
        try:
            objects = list(map(_decode, text.split("\n")))
        except (ValueError, RecursionError):
            return None
        if set(map(type, objects)) != {dict}:
            return None
        texts: dict[Column, Sequence[str]] = {}
        for key in set().union(*objects):
            column = column_of(key, aliases=True)
            if column is None or column in texts or not allows_column(self._profile, column):
                return None
            values = [each.get(key, "") for each in objects]
            if column is Column.SIZE:
                values = list(map(str, values))
            try:
                joined = "".join(values)
            except TypeError:
                return None
            if joined and not joined.isprintable():
                return None
            texts[column] = values if column is Column.NAME else list(map(str.strip, values))
        return {column: values for column, values in texts.items() if any(values)}

    def row(self, line: str, number: int) -> Row | None:
        """The row on `line`; None if the line is blank."""
        if not line.strip():
            return None
        values = object_on(line, number)
        return (
            _broken(number, values)
            if isinstance(values, Finding)
            else self._row(line, number, values)
        )

    def new_findings(self) -> list[Finding]:
        """Nothing: all findings belong to a row."""
        return []

    def _row(self, line: str, number: int, values: Mapping[str, Any]) -> Row:
        row = Row(number, {})
        cells: dict[Column, Cell] = {}
        unknown: list[str] = []
        again: list[str] = []
        for key, value in values.items():
            column = column_of(key, aliases=True)
            if key == PARAMETERS_KEY:
                row.parameters, found = _parameters(value, number, place_of(line, key))
                row.findings += found
            elif column is None or not allows_column(self._profile, column):
                unknown.append(key)
            elif column in cells:
                again.append(key)
            elif column is Column.LOCAL and isinstance(value, list):
                cells[column] = Cell("", place_of(line, key))
                row.local, found = _local_ids(value, number, cells[column].column)
                row.findings += found
            else:
                text, found = _text(column, value, number, place_of(line, key))
                cells[column] = Cell(text, place_of(line, key))
                row.findings += found
                row.local = local_ids_in(text) if column is Column.LOCAL else row.local
        row.findings += self._unknown_keys(line, number, unknown)
        if again:
            message = f"{quoted_all(again)}: this line has the same column under another key"
            place = place_of(line, again[0])
            row.findings.append(Check.FIELD_REPEATED.at(number, place, message))
        row.cells = cells
        # A value of the wrong type, or under a misspelled key, would only cause more findings.
        row.readable = all(finding.code != Check.VALUE_TYPE for finding in row.findings)
        if unknown:
            row.readable = row.readable and Column.URL in cells
            drop_incomplete_digest(cells)
        return row

    def _unknown_keys(self, line: str, number: int, keys: Sequence[str]) -> list[Finding]:
        """The finding for keys that are not columns of the profile. Each is reported once."""
        new = [key for key in keys if key not in self._reported]
        if not new:
            return []
        self._reported.update(new[: _MAX_UNKNOWN - len(self._reported)])
        columns = [column.value for column in Column if allows_column(self._profile, column)]
        of = f" of {self._profile.name}" if self._profile.name else ""
        message = f"not a key{of}, here and on any other line: {quoted_all(new)}; the keys are "
        message += ", ".join((*columns, PARAMETERS_KEY))
        return [Check.FIELD_UNKNOWN.at(number, place_of(line, new[0]), message)]


def object_on(line: str, number: int) -> Mapping[str, Any] | Finding:
    """The object on a line, or the finding that says why there is none."""
    try:
        values = _decode(line)
    except RepeatedKey as error:
        message = f"the key {quoted(error.key)} is repeated"
        return Check.FIELD_REPEATED.at(number, 0, message)
    except JSONDecodeError as error:
        return Check.JSON_BAD.at(number, error.pos + 1, f"not a JSON object: {error.msg}")
    except (ValueError, RecursionError) as error:
        return Check.JSON_BAD.at(number, 0, f"not a JSON object: {error}")
    if not isinstance(values, dict):
        message = "not a JSON object: each line must be one object, {…}"
        return Check.JSON_BAD.at(number, 1, message)
    return values


def place_of(line: str, key: str) -> int:
    """The first character of `key`, from 1; 0 if it is written with escapes."""
    return line.find(json.dumps(key, ensure_ascii=False)) + 1


def _broken(number: int, finding: Finding) -> Row:
    return Row(number, {}, findings=[finding], readable=False)


def _text(column: Column, value: Any, number: int, place: int) -> tuple[str, list[Finding]]:
    if value is None:
        return "", []
    if isinstance(value, str):
        return value, []
    if column is Column.SIZE and type(value) is int:
        return str(value), []
    allowed = {Column.SIZE: "a whole number", Column.LOCAL: "a string or a list of strings"}
    kind = allowed.get(column, "a string")
    message = f"{column.value} must be {kind}, not {shown_value(value)}"
    return "", [Check.VALUE_TYPE.at(number, place, message)]


def _local_ids(
    values: Sequence[Any], number: int, place: int
) -> tuple[tuple[str, ...], list[Finding]]:
    if all(isinstance(value, str) for value in values):
        return tuple(value.strip() for value in values if value.strip()), []
    message = "localIdentifier must be a string or a list of strings"
    return (), [Check.VALUE_TYPE.at(number, place, message)]


def _parameters(value: Any, number: int, place: int) -> tuple[Mapping[str, Any], list[Finding]]:
    if value is None:
        return NO_PARAMETERS, []
    if not isinstance(value, dict):
        message = f"{PARAMETERS_KEY} must be an object, not {shown_value(value)}"
        return NO_PARAMETERS, [Check.PARAMETERS_BAD.at(number, place, message)]
    try:
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except (ValueError, RecursionError) as error:
        message = f"{PARAMETERS_KEY} cannot be stored: {error}"
        return NO_PARAMETERS, [Check.PARAMETERS_BAD.at(number, place, message)]
    if size > PARAMETERS_BYTES:
        message = f"{PARAMETERS_KEY} has {size} bytes: {PARAMETERS_BYTES} are allowed"
        return NO_PARAMETERS, [Check.PARAMETERS_TOO_LARGE.at(number, place, message)]
    if _is_deeper(value, PARAMETERS_DEPTH):
        message = f"{PARAMETERS_KEY} is nested too deeply: {PARAMETERS_DEPTH} levels are allowed"
        return NO_PARAMETERS, [Check.PARAMETERS_BAD.at(number, place, message)]
    return value, []


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether `value` has more than `levels` levels of nested lists and objects."""
    current = [value]
    for _ in range(levels):
        containers = [each for each in current if isinstance(each, dict | list)]
        values = (each.values() if isinstance(each, dict) else each for each in containers)
        current = list(chain.from_iterable(values))
    return any(isinstance(each, dict | list) for each in current)


def shown_value(value: Any) -> str:
    """A JSON value as a message shows it."""
    if isinstance(value, dict):
        return "an object"
    return "a list" if isinstance(value, list) else quoted(json.dumps(value))


class JsonLinesReader:
    """Reads JSON Lines."""

    def __init__(self, expected: Profile | None, allowed_hosts: Collection[str] = ()) -> None:
        self._allowed_hosts = allowed_hosts
        self.profile = expected
        self._inference: Inference | None = None
        self._rows: RowReader | UnreadRows | None = None

    @property
    def row_count(self) -> int:
        """The number of rows so far."""
        return self._rows.count if self._rows else 0

    def read(self, span: Span) -> Iterator[CheckedRows]:
        """The entries and findings of `span`."""
        if self._rows is None:
            if not span.text.strip():
                return
            yield [], self._begin(span)
        if self._rows is None:
            return
        for part in self._rows.read(span.text.removesuffix("\n"), span.first):
            yield self._inference.decide(part) if self._inference else part
        if self._inference:
            self.profile = self._inference.profile

    def end(self, last: int) -> Iterator[CheckedRows]:
        """The entries and findings that are left at the end; `last` is the last line's number."""
        if self._inference:
            yield self._inference.end()
        if not self.row_count:
            message = "there are no rows: each line must be a JSON object that names a file"
            yield [], [Check.NO_ROWS.at(last, 0, message)]

    def _begin(self, span: Span) -> list[Finding]:
        """Create the reader of the rows. Returns the finding if the document is not JSON Lines."""
        lines = span.lines()
        index = next(at for at, line in enumerate(lines) if line.strip())
        start = lines[index].strip()
        if not start.startswith("[") and start != "{":
            self._rows = self._open(lines)
            return []
        self._rows = UnreadRows(JsonLinesLayout.blanks)
        message = "this is one JSON document: JSON Lines has a whole object on each line, no []"
        return [Check.JSON_BAD.at(span.first + index, lines[index].index(start[0]) + 1, message)]

    def _open(self, lines: Sequence[str]) -> RowReader:
        """The reader of the rows. Without a given profile, the first object's keys decide."""
        profile = self.profile
        if profile is None:
            if OBJECT_MARKERS & _columns_of_first(lines):
                profile, self._inference = INFERRED, Inference()
            else:
                profile = self.profile = INGEST
        return RowReader(JsonLinesLayout(profile), profile, self._allowed_hosts)


def _columns_of_first(lines: Sequence[str]) -> set[Column | None]:
    for line in lines:
        try:
            values = _decode(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(values, dict):
            return {column_of(key, aliases=True) for key in values}
    return set()
