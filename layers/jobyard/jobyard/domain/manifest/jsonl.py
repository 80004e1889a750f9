"""JSON Lines: every line is an object whose keys are the columns, and perhaps `parameters`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from json.decoder import JSONDecodeError, JSONDecoder
from typing import Any, NoReturn

from jobyard.domain.manifest.checking import Cell, Row, locals_in
from jobyard.domain.manifest.columnwise import Texts
from jobyard.domain.manifest.delimited import column_of
from jobyard.domain.manifest.entry import NOTHING
from jobyard.domain.manifest.findings import Check, Finding, shown
from jobyard.domain.manifest.inference import Inference
from jobyard.domain.manifest.lines import Span
from jobyard.domain.manifest.profiles import INFERRED, INGEST, TELLING, Column, Profile, takes
from jobyard.domain.manifest.rows import Part, Rows

PARAMETERS = "parameters"
PARAMETERS_BYTES = 1_024  # as compact JSON: they travel in the job's row

_KEYS = [column.value for column in Column] + [PARAMETERS]


class _RepeatedKey(ValueError):
    """An object has the key twice; JSON leaves open which of them counts."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedKey(next(key for key in keys if keys.count(key) > 1))
    return values


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decode = JSONDecoder(object_pairs_hook=_object, parse_constant=_no_number).decode


class JsonLayout:
    """A row of JSON Lines."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile

    def texts(self, text: str, first: int) -> Texts | None:
        """The columns of lines whose objects hold nothing but strings, and whole sizes."""
        try:
            objects = list(map(_decode, text.split("\n")))
        except (ValueError, RecursionError):
            return None
        if set(map(type, objects)) != {dict}:
            return None
        texts: dict[Column, Sequence[str]] = {}
        for key in set().union(*objects):
            column = column_of(key, aliases=True)
            if column is None or column in texts or not takes(self._profile, column):
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
        """The row on `line`, None if the line is blank."""
        if not line.strip():
            return None
        try:
            values = _decode(line)
        except _RepeatedKey as error:
            words = f"the key {shown(str(error))} is there twice"
            return _broken(number, Check.FIELD_REPEATED.at(number, 0, words))
        except JSONDecodeError as error:
            words = f"not a JSON object: {error.msg}"
            return _broken(number, Check.JSON_BAD.at(number, error.pos + 1, words))
        except (ValueError, RecursionError) as error:
            return _broken(number, Check.JSON_BAD.at(number, 0, f"not a JSON object: {error}"))
        if not isinstance(values, dict):
            words = "not a JSON object: every line is {…} by itself"
            return _broken(number, Check.JSON_BAD.at(number, 1, words))
        return self._row(line, number, values)

    def notes(self) -> list[Finding]:
        """Nothing: whatever is found belongs to a row."""
        return []

    def _row(self, line: str, number: int, values: Mapping[str, Any]) -> Row:
        row = Row(number, {})
        cells: dict[Column, Cell] = {}
        for key, value in values.items():
            place = line.find(json.dumps(key, ensure_ascii=False)) + 1
            column = column_of(key, aliases=True)
            if key == PARAMETERS:
                row.parameters, found = _parameters(value, number, place)
                row.findings += found
            elif column is None:
                words = f"{shown(key)} is no key: {', '.join(_KEYS)} are"
                row.findings.append(Check.FIELD_UNKNOWN.at(number, place, words))
            elif not takes(self._profile, column):
                words = f"{shown(key)} has no place in {self._profile.name}"
                row.findings.append(Check.FIELD_UNKNOWN.at(number, place, words))
            elif column in cells:
                words = f"{shown(key)} names {column.value} a second time"
                row.findings.append(Check.FIELD_REPEATED.at(number, place, words))
            elif column is Column.LOCAL and isinstance(value, list):
                cells[column] = Cell("", place)
                row.local, found = _locals(value, number, place)
                row.findings += found
            else:
                text, found = _text(column, value, number, place)
                cells[column] = Cell(text, place)
                row.findings += found
                row.local = locals_in(text) if column is Column.LOCAL else row.local
        row.cells = cells
        # A value of the wrong type is no value to check further.
        row.readable = all(finding.code != Check.VALUE_TYPE for finding in row.findings)
        return row


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
    words = (
        f"{column.value} takes {allowed.get(column, 'a string')}, not {shown(json.dumps(value))}"
    )
    return "", [Check.VALUE_TYPE.at(number, place, words)]


def _locals(
    values: Sequence[Any], number: int, place: int
) -> tuple[tuple[str, ...], list[Finding]]:
    if all(isinstance(value, str) for value in values):
        return tuple(value.strip() for value in values if value.strip()), []
    words = "localIdentifier takes a string or a list of strings"
    return (), [Check.VALUE_TYPE.at(number, place, words)]


def _parameters(value: Any, number: int, place: int) -> tuple[Mapping[str, Any], list[Finding]]:
    if value is None:
        return NOTHING, []
    if not isinstance(value, dict):
        words = f"{PARAMETERS} takes an object, not {shown(json.dumps(value))}"
        return NOTHING, [Check.PARAMETERS_BAD.at(number, place, words)]
    try:
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except (ValueError, RecursionError) as error:
        words = f"{PARAMETERS} cannot be kept: {error}"
        return NOTHING, [Check.PARAMETERS_BAD.at(number, place, words)]
    if size > PARAMETERS_BYTES:
        words = f"{PARAMETERS} takes {size} bytes: {PARAMETERS_BYTES} are allowed"
        return NOTHING, [Check.PARAMETERS_TOO_LARGE.at(number, place, words)]
    return value, []


class Jsonl:
    """Reads JSON Lines."""

    def __init__(self, expected: Profile | None) -> None:
        self.profile = expected
        self._inference: Inference | None = None
        self._rows: Rows | None = None

    @property
    def files(self) -> int:
        """How many rows were read."""
        return self._rows.count if self._rows else 0

    def read(self, span: Span) -> Iterator[Part]:
        """Entries and findings of `span`."""
        if self._rows is None:
            if not span.text.strip():
                return
            self._rows = self._open(span.lines())
        for part in self._rows.read(span.text.removesuffix("\n"), span.first):
            yield self._inference.settle(part) if self._inference else part
        if self._inference:
            self.profile = self._inference.profile

    def end(self, last: int) -> Iterator[Part]:
        """What is left to say when the stream has ended with line `last`."""
        if self._inference:
            yield self._inference.end()
        if not self.files:
            words = "there are no rows: every line is a JSON object that names a file"
            yield [], [Check.NO_ROWS.at(last, 0, words)]

    def _open(self, lines: Sequence[str]) -> Rows:
        """The rows, of a profile that the first object's keys decide where none is given."""
        profile = self.profile
        if profile is None:
            if TELLING & _columns_of_first(lines):
                profile, self._inference = INFERRED, Inference()
            else:
                profile = self.profile = INGEST
        return Rows(JsonLayout(profile), profile)


def _columns_of_first(lines: Sequence[str]) -> set[Column | None]:
    for line in lines:
        try:
            values = _decode(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(values, dict):
            return {column_of(key, aliases=True) for key in values}
    return set()
