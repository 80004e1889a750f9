"""The targets of a campaign: inline, or from CSV or JSON Lines, read as a stream.

A target is what one task is about, such as a device. Each has an id; the other fields are for its
job type. The same checks apply to all three forms.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol

from jobyard.domain.campaigns.target_checks import TargetCheck
from jobyard.domain.errors import InvalidCampaign, InvalidRule
from jobyard.domain.manifests.csv_format import SEPARATORS, cells_in, separated_by
from jobyard.domain.manifests.findings import Check, Finding, FindingLevels, quoted, quoted_all
from jobyard.domain.manifests.json_lines import object_on, place_of, shown_value
from jobyard.domain.manifests.lines import Span, spans
from jobyard.domain.manifests.validation import Cell
from jobyard.domain.schedules.wall_clock import zone_named
from jobyard.domain.urls import DEFAULT_PORTS, error_in

MAX_TARGETS = 100_000
MAX_INLINE_TARGETS = 1_000
MAX_TARGET_LINES = 2 * MAX_TARGETS  # of a file, with repeated and empty ones
MAX_TARGET_ID_LETTERS = 128
MAX_ADDRESS_LETTERS = 1_024
TARGET_FIELDS = ("id", "address", "zone", "secret")
_ID = re.compile(f"[A-Za-z0-9:._-]{{1,{MAX_TARGET_ID_LETTERS}}}")
_SECRET = re.compile("[A-Za-z0-9/_+=.@-]{1,512}")  # as AWS Secrets Manager allows
_JSON_ENDINGS = (".jsonl", ".ndjson", ".json")

TargetsAndFindings = tuple[list["CampaignTarget"], list[Finding]]
Cells = Mapping[str, Cell]


@dataclass(frozen=True, slots=True)
class CampaignTarget:
    """A target. `address` is a host, with or without a port, or a URL of HTTP; `zone` is its time
    zone, for people; `secret` names the secret with its credentials. All may be "" but the id.
    """

    target_id: str
    address: str = ""
    zone: str = ""
    secret: str = ""

    def document(self) -> dict[str, str]:
        """The target as JSON, without empty fields; `target_of` parses it."""
        values = (self.target_id, self.address, self.zone, self.secret)
        return {name: value for name, value in zip(TARGET_FIELDS, values, strict=True) if value}

    @classmethod
    def of_document(cls, document: Mapping[str, str]) -> "CampaignTarget":
        """The target in a document that was checked before."""
        return cls(*(document.get(name, "") for name in TARGET_FIELDS))


def _id_error(text: str) -> str:
    if _ID.fullmatch(text):
        return ""
    return f"up to {MAX_TARGET_ID_LETTERS} letters, digits and :._- are allowed"


def _address_error(text: str) -> str:
    if len(text) > MAX_ADDRESS_LETTERS:
        return f"it is longer than {MAX_ADDRESS_LETTERS:,} characters"
    if "://" in text:
        return error_in(text)
    if "/" in text or "?" in text or "#" in text:
        return "a host and perhaps a port are allowed, or a URL with https://"
    return error_in(f"https://{text}")


def _zone_error(text: str) -> str:
    try:
        zone_named(text)
    except InvalidRule as error:
        return error.allowed
    return ""


def _secret_error(text: str) -> str:
    if _SECRET.fullmatch(text):
        return ""
    return "the name of a secret has letters, digits and /_+=.@-, at most 512"


_ERRORS: Mapping[str, tuple[TargetCheck, Callable[[str], str]]] = {
    "id": (TargetCheck.TARGET_ID_BAD, _id_error),
    "address": (TargetCheck.ADDRESS_BAD, _address_error),
    "zone": (TargetCheck.ZONE_UNKNOWN, _zone_error),
    "secret": (TargetCheck.SECRET_BAD, _secret_error),
}


class _Checker:
    """Checks targets one after the other: each by itself, and against the earlier ones.

    It keeps a few dozen bytes for each target. `place` names where an earlier one is.
    """

    def __init__(self, limit: int, place: str) -> None:
        self._limit = limit
        self._place = place
        self._earlier: dict[str, tuple[int, bytes]] = {}  # by id: number and hash of the fields
        self._addresses: dict[bytes, int] = {}
        self._missing: tuple[int, int] | None = None  # where the first without an address is
        self._missing_count = 0
        self._zones: dict[str, str] = {}  # the errors of zones, which many targets share

    @property
    def count(self) -> int:
        """The number of different ids so far."""
        return len(self._earlier)

    def check(self, number: int, cells: Cells) -> tuple[CampaignTarget | None, list[Finding]]:
        """The target with the values `cells`, on line or at position `number`.

        None if it has an error, is one too many, or was listed before.
        """
        findings = self._field_findings(number, cells)
        if findings:
            return None, findings
        target = CampaignTarget(
            *(cells[name].text if name in cells else "" for name in TARGET_FIELDS)
        )
        fields = _hash_of(target.address, target.zone, target.secret)
        column = cells["id"].column
        earlier = self._earlier.get(target.target_id)
        if earlier:
            return None, [self._repeated(target, number, column, earlier, fields)]
        if self.count == self._limit:
            message = f"at most {self._limit:,} targets are allowed: start several campaigns"
            return None, [TargetCheck.TOO_MANY_TARGETS.at(number, column, message)]
        self._earlier[target.target_id] = number, fields
        if not target.address:
            self._missing = self._missing or (number, column)
            self._missing_count += 1
        return target, self._same_address(target, number, cells)

    def missing_addresses(self) -> list[Finding]:
        """Once all targets are known: a warning if only some have an address."""
        number, first = self._missing_count, self._missing
        if first is None or number == self.count:
            return []
        message = f"{number:,} of {self.count:,} targets have no address: this is the first"
        return [TargetCheck.ADDRESS_MISSING.at(*first, message)]

    def _field_findings(self, number: int, cells: Cells) -> list[Finding]:
        findings = []
        if "id" not in cells or not cells["id"].text:
            column = cells["id"].column if "id" in cells else 0
            findings.append(
                TargetCheck.TARGET_ID_MISSING.at(number, column, "a target needs an id")
            )
        for name, (check, error) in _ERRORS.items():
            cell = cells.get(name)
            if cell is None or not cell.text:
                continue
            message = self._zone_error(cell.text) if name == "zone" else error(cell.text)
            if message:
                message = f"{name} {quoted(cell.text)}: {message}"
                findings.append(check.at(number, cell.column, message))
        return findings

    def _zone_error(self, text: str) -> str:
        if text not in self._zones:
            if len(self._zones) > 1_000:
                self._zones.clear()
            self._zones[text] = _zone_error(text)
        return self._zones[text]

    def _repeated(
        self,
        target: CampaignTarget,
        number: int,
        column: int,
        earlier: tuple[int, bytes],
        fields: bytes,
    ) -> Finding:
        first, fields_before = earlier
        where = f"{quoted(target.target_id)} is listed already, {self._place.format(first)}"
        if fields == fields_before:
            message = f"{where}, with the same fields: it has one task"
            return TargetCheck.TARGET_REPEATED.at(number, column, message)
        message = f"{where}, with other fields: remove one of them"
        return TargetCheck.TARGET_DIFFERS.at(number, column, message)

    def _same_address(self, target: CampaignTarget, number: int, cells: Cells) -> list[Finding]:
        if not target.address:
            return []
        address = _hash_of(_called_url(target.address))
        first = self._addresses.setdefault(address, number)
        if first == number:
            return []
        message = f"{quoted(target.address)} is also the address of the target "
        message += f"{self._place.format(first)}: two tasks will call it"
        return [TargetCheck.ADDRESS_REPEATED.at(number, cells["address"].column, message)]


def _called_url(address: str) -> str:
    """The URL at which a device is called, the same however its address is written."""
    scheme, _, rest = (address if "://" in address else f"https://{address}").partition("://")
    host, _, path = rest.partition("/")
    host = host.lower().removesuffix(f":{DEFAULT_PORTS[scheme.lower()]}")
    return f"{scheme.lower()}://{host}/{path}".rstrip("/")


def _hash_of(*texts: str) -> bytes:
    return blake2b("\n".join(texts).encode(), digest_size=12).digest()


class _RowReader(Protocol):
    """Reads the rows of one format. A row that cannot be read has no cells."""

    def rows(self, span: Span) -> Iterator[tuple[int, Cells | None, list[Finding]]]:
        """The rows of `span` with their line numbers and findings."""


class _CsvRows:
    """Rows of CSV. The first line that is not blank names the columns, in any order."""

    def __init__(self) -> None:
        self._columns: list[str] | None = None
        self._is_broken = False

    def rows(self, span: Span) -> Iterator[tuple[int, Cells | None, list[Finding]]]:
        """The rows of `span`."""
        for number, line in enumerate(span.lines(), span.first):
            if self._is_broken:
                return
            if not line.strip(", \t"):
                continue
            if self._columns is None:
                findings = self._read_header(line, number)
                if findings:
                    yield number, None, findings
                continue
            yield self._row(line, number, self._columns)

    def _read_header(self, line: str, number: int) -> list[Finding]:
        cells, findings = cells_in(line, number)
        names = [cell.text.lower() for cell in cells]
        if findings or "id" not in names:
            self._is_broken = True
            return findings or [_no_id(line, number)]
        self._columns = ["" if name not in TARGET_FIELDS else name for name in names]
        unknown = [cell for cell in cells if cell.text.lower() not in (*TARGET_FIELDS, "")]
        if unknown:
            message = f"not a column: {quoted_all([cell.text for cell in unknown])}; "
            message += f"the columns are {', '.join(TARGET_FIELDS)}"
            findings.append(Check.FIELD_UNKNOWN.at(number, unknown[0].column, message))
        again = [cell for at, cell in enumerate(cells) if cell.text and names[at] in names[:at]]
        if again:
            self._is_broken = True
            message = f"columns named twice: {quoted_all([cell.text for cell in again])}"
            findings.append(Check.FIELD_REPEATED.at(number, again[0].column, message))
        return findings

    def _row(
        self, line: str, number: int, columns: Sequence[str]
    ) -> tuple[int, Cells | None, list[Finding]]:
        cells, findings = cells_in(line, number)
        if findings:
            return number, None, findings
        surplus = next((cell for cell in cells[len(columns) :] if cell.text.strip()), None)
        if surplus:
            message = (
                f"{len(cells)} fields for {len(columns)} columns: "
                "put a value that contains a comma in quotes"
            )
            return number, None, [Check.TOO_MANY_FIELDS.at(number, surplus.column, message)]
        named = zip(columns, cells, strict=False)
        return number, {name: _stripped(cell) for name, cell in named if name}, []


def _stripped(cell: Cell) -> Cell:
    return cell._replace(text=cell.text.strip())


def _no_id(header: str, number: int) -> Finding:
    """The finding of a header without an id. The most likely cause is another separator."""
    for separator, name in SEPARATORS.items():
        headings = [each.strip(' "').lower() for each in header.split(separator)]
        if separator in header and "id" in headings:
            return separated_by(number, header.index(separator) + 1, name)
    message = f"the first line must name the columns, id among them: {','.join(TARGET_FIELDS)}"
    return Check.FIELD_MISSING.at(number, 1, message)


class _JsonRows:
    """Rows of JSON Lines: an object on each line."""

    def rows(self, span: Span) -> Iterator[tuple[int, Cells | None, list[Finding]]]:
        """The rows of `span`."""
        for number, line in enumerate(span.lines(), span.first):
            if line.strip():
                values = object_on(line, number)
                if isinstance(values, Finding):
                    yield number, None, [values]
                else:
                    yield self._row(line, number, values)

    def _row(
        self, line: str, number: int, values: Mapping[str, Any]
    ) -> tuple[int, Cells | None, list[Finding]]:
        cells, findings = {}, []
        for name, value in values.items():
            place = place_of(line, name)
            if name not in TARGET_FIELDS:
                message = f"not a key: {quoted(name)}; the keys are {', '.join(TARGET_FIELDS)}"
                findings.append(Check.FIELD_UNKNOWN.at(number, place, message))
            elif value is not None and not isinstance(value, str):
                message = f"{name} must be a string, not {shown_value(value)}"
                findings.append(Check.VALUE_TYPE.at(number, place, message))
            else:
                cells[name] = Cell((value or "").strip(), place)
        return number, None if findings else cells, findings


def has_json_ending(filename: str) -> bool:
    """Whether a file is JSON Lines by its name."""
    return filename.lower().endswith(_JSON_ENDINGS)


class TargetReader(FindingLevels):
    """One pass over a file of targets. Iterate over it once for `(targets, findings)`, in file
    order.

    If the `worst_level` is "error" in the end, discard the targets: no campaign may be created. The
    properties describe what was read so far.
    """

    def __init__(self, blocks: Iterable[bytes], *, filename: str) -> None:
        super().__init__()
        self._filename = filename
        self._checker = _Checker(MAX_TARGETS, "on line {}")
        self._parts = self._counted(self._read(blocks))

    def __iter__(self) -> Iterator[TargetsAndFindings]:
        return self._parts

    @property
    def count(self) -> int:
        """The number of different targets."""
        return self._checker.count

    def _counted(self, parts: Iterator[TargetsAndFindings]) -> Iterator[TargetsAndFindings]:
        for targets, findings in parts:
            self._levels.update(finding.level for finding in findings)
            if targets or findings:
                yield targets, findings

    def _read(self, blocks: Iterable[bytes]) -> Iterator[TargetsAndFindings]:
        rows: _RowReader | None = None
        span = Span(1, "")
        for span in spans(blocks):
            yield [], span.findings
            if not span.is_text:
                return
            if rows is None and span.text.strip():
                rows = self._rows_of(span.text)
            if rows is not None:
                targets, findings = self._checked(rows.rows(span))
                yield targets, findings
                if any(each.code == TargetCheck.TOO_MANY_TARGETS for each in findings):
                    return
            if span.last > MAX_TARGET_LINES:
                message = f"a file has at most {MAX_TARGET_LINES:,} lines"
                yield [], [TargetCheck.TOO_MANY_TARGETS.at(span.last, 0, message)]
                return
        if not self.count and not self.errors:
            message = "there are no targets: each line must name one"
            yield [], [TargetCheck.NO_TARGETS.at(span.last, 0, message)]
        yield [], self._checker.missing_addresses()

    def _rows_of(self, start: str) -> _RowReader:
        is_json = start.lstrip().startswith(("{", "[")) or has_json_ending(self._filename)
        return _JsonRows() if is_json else _CsvRows()

    def _checked(
        self, rows: Iterator[tuple[int, Cells | None, list[Finding]]]
    ) -> TargetsAndFindings:
        targets, findings = [], []
        for number, cells, found in rows:
            findings += found
            if cells is None:
                continue
            target, found = self._checker.check(number, cells)
            findings += found
            if target is not None:
                targets.append(target)
            elif found and found[-1].code == TargetCheck.TOO_MANY_TARGETS:
                break
        return targets, findings


def inline_targets(
    values: Sequence[object], limit: int = MAX_INLINE_TARGETS
) -> tuple[list[CampaignTarget], list[str]]:
    """The targets in a JSON list, and warnings in words.

    Raises:
        InvalidCampaign: at least one of them has an error, or there is none, or too many.
    """
    checker = _Checker(limit, "as number {}")
    targets: list[CampaignTarget] = []
    warnings: list[str] = []
    problems: list[InvalidRule] = []
    for index, value in enumerate(values):
        cells, words = _inline_cells(value)
        if words:
            problems.append(InvalidRule(f"targets[{index}]", words))
            continue
        target, findings = checker.check(index + 1, cells)
        for each in findings:
            if each.level == "error":
                problems.append(InvalidRule(f"targets[{index}]", each.message))
            else:
                warnings.append(f"targets[{index}]: {each.message}")
        if target is not None:
            targets.append(target)
        elif len(targets) == limit:
            break
    if not values:
        problems.append(InvalidRule("targets", "at least one target"))
    if problems:
        raise InvalidCampaign(problems)
    return targets, warnings


def _inline_cells(value: object) -> tuple[dict[str, Cell], str]:
    """The fields of an inline target; or why it is none."""
    if isinstance(value, str):
        return {"id": Cell(value.strip(), 0)}, ""
    if not isinstance(value, Mapping):
        return {}, f"an id, or an object of {', '.join(TARGET_FIELDS)}"
    for name, each in value.items():
        if name not in TARGET_FIELDS:
            return {}, f"no field {quoted(str(name))}; the fields are {', '.join(TARGET_FIELDS)}"
        if each is not None and not isinstance(each, str):
            return {}, f"{name} must be a string, not {shown_value(each)}"
    return {name: Cell((each or "").strip(), 0) for name, each in value.items()}, ""
