"""The parameters of a sweep: which records of a table are due, and how they change."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from jobyard.domain.errors import InvalidParameters, InvalidRule
from jobyard.domain.schedules.wall_clock import zone_name_of, zone_named

Value = str | int | float | bool  # that an attribute may be set to or compared with
Attribute = Mapping[str, Any]  # a value in DynamoDB's format: {"S": "maps"}

MAX_NAMED_ATTRIBUTES = 50  # attributes that a plan sets, removes and checks
_NAME = re.compile(r"[A-Za-z0-9_.-]{3,255}")  # of a table or an index; source: DynamoDB's limits
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)
_FIELDS = ("table", "index", "key", "partition", "due", "change", "unless")


class DueFormat(StrEnum):
    """How a record's due time is written."""

    DATE = "date"
    INSTANT = "instant"
    EPOCH = "epoch"


_EXAMPLES = {
    DueFormat.DATE: "a date like 2026-11-25",
    DueFormat.INSTANT: "an instant like 2026-11-25T17:00:00Z",
    DueFormat.EPOCH: "a number of seconds",
}


@dataclass(frozen=True)
class Plan:
    """The checked parameters of a sweep.

    A record is due if the index's `partition` attribute has the `value`, and its `due` attribute is
    not after the sweep's time. Each due record gets the attributes in `sets` and loses those in
    `removes`. Then it is no longer due, so no record can be changed twice. A record with a value of
    `unless` is not changed and counts as failed.
    """

    table: str
    index: str
    key: tuple[str, ...]
    partition: str
    value: Value
    due: str
    due_format: DueFormat
    zone: str
    sets: Mapping[str, Value]
    removes: tuple[str, ...]
    unless: Mapping[str, Value]

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> "Plan":
        """The plan of a job's parameters, which docs/sweep.md describes.

        Raises:
            InvalidParameters: a parameter is wrong or missing.
        """
        given = _mapping("", parameters, _FIELDS)
        partition = _mapping("partition", given.get("partition"), ("name", "value"))
        due = _mapping("due", given.get("due"), ("name", "format", "zone"))
        change = _mapping("change", given.get("change"), ("set", "remove"))
        due_format = _due_format(due)
        plan = cls(
            table=_table_name("table", given.get("table")),
            index=_table_name("index", given.get("index")),
            key=_attribute_names("key", given.get("key")),
            partition=_attribute_name("partition.name", partition.get("name")),
            value=_value("partition.value", partition.get("value")),
            due=_attribute_name("due.name", due.get("name")),
            due_format=due_format,
            zone=_zone(due, due_format),
            sets=_values("change.set", change.get("set", {})),
            removes=_attribute_names("change.remove", change.get("remove", [])),
            unless=_values("unless", given.get("unless", {})),
        )
        plan._check_consistency()
        return plan

    def _check_consistency(self) -> None:
        """Check the parameters against each other.

        Raises:
            InvalidParameters: they contradict each other.
        """
        if not 1 <= len(self.key) <= 2:
            raise InvalidParameters("key", "must have one or two attributes")
        if self.value == "" or isinstance(self.value, bool):
            raise InvalidParameters("partition.value", "must be a string or a number")
        if self.partition == self.due:
            raise InvalidParameters("due.name", "must differ from partition.name")
        changed = (*self.sets, *self.removes)
        if both := set(self.sets) & set(self.removes):
            raise InvalidParameters("change.remove", f"{min(both)} is also in change.set")
        if keys := set(changed) & set(self.key):
            raise InvalidParameters(
                "change", f"{min(keys)} is in the table's key, which cannot change"
            )
        if len(changed) + len(self.unless) > MAX_NAMED_ATTRIBUTES:
            raise InvalidParameters(
                "change", f"must have at most {MAX_NAMED_ATTRIBUTES} attributes, with unless"
            )
        new = self.sets.get(self.partition, self.value)
        kinds = isinstance(new, str), isinstance(self.value, str)
        if new == "" or isinstance(new, bool) or kinds[0] != kinds[1]:
            raise InvalidParameters(
                "change.set",
                f"{self.partition} must keep its type and not be empty: it is a key of the index",
            )
        ends_due = new != self.value or {self.partition, self.due} & set(self.removes)
        if not ends_due:
            raise InvalidParameters(
                "change",
                f"a changed record would still be due: set {self.partition} to another value, "
                f"or remove {self.partition} or {self.due}",
            )

    def latest(self, at: datetime) -> Attribute:
        """The last value of `due` that is due at the time `at`."""
        utc = at.astimezone(UTC)
        if self.due_format is DueFormat.EPOCH:
            return {"N": str(math.floor(utc.timestamp()))}
        if self.due_format is DueFormat.INSTANT:
            return {"S": utc.strftime("%Y-%m-%dT%H:%M:%SZ")}
        return {"S": utc.astimezone(zone_named(self.zone)).date().isoformat()}

    def due_problem(self, due: Attribute) -> str:
        """Why this value of `due` cannot be read as a time; "" if it can.

        The index sorts strings by their characters, so an invalid date may be among the due ones.
        """
        if _has_format(self.due_format, due):
            return ""
        return f"{self.due} is not {_EXAMPLES[self.due_format]}"

    def unless_match(self, record: Mapping[str, Attribute]) -> str:
        """The first attribute of `unless` that a record has, with its value; "" for none."""
        for name, value in self.unless.items():
            found = record.get(name)
            if found is not None and _same(found, attribute(value)):
                return f"{name} is {str(value).lower() if isinstance(value, bool) else value}"
        return ""

    def is_due(self, record: Mapping[str, Attribute], latest: Attribute) -> bool:
        """Whether a record is in the partition, and its due value is not after `latest`."""
        partition, due = record.get(self.partition), record.get(self.due)
        if partition is None or due is None or due.keys() != latest.keys():
            return False
        if "N" in due:
            in_time = Decimal(due["N"]) <= Decimal(latest["N"])
        else:
            in_time = due["S"].encode() <= latest["S"].encode()
        return in_time and _same(partition, attribute(self.value))


def attribute(value: Value) -> Attribute:
    """A value in DynamoDB's format."""
    if isinstance(value, bool):
        return {"BOOL": value}
    return {"S": value} if isinstance(value, str) else {"N": repr(value)}


def _same(one: Attribute, other: Attribute) -> bool:
    if "N" in one and "N" in other:
        return Decimal(one["N"]) == Decimal(other["N"])
    return dict(one) == dict(other)


def _has_format(due_format: DueFormat, due: Attribute) -> bool:
    if due_format is DueFormat.EPOCH:
        return "N" in due
    text = due.get("S", "")
    try:
        if due_format is DueFormat.DATE:
            return bool(_DAY.fullmatch(text) and date.fromisoformat(text))
        return bool(_INSTANT.fullmatch(text) and datetime.fromisoformat(text))
    except ValueError:
        return False


def _mapping(field: str, given: object, fields: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise InvalidParameters(field, f"must be an object with {', '.join(fields)}")
    for name in given:
        if name not in fields:
            where = f"{field}.{name}" if field else str(name)
            raise InvalidParameters(where, f"is not a field; the fields are {', '.join(fields)}")
    return given


def _table_name(field: str, given: object) -> str:
    if not isinstance(given, str) or not _NAME.fullmatch(given):
        raise InvalidParameters(field, "must be a name of 3 to 255 letters, digits, . _ and -")
    return given


def _attribute_name(field: str, given: object) -> str:
    if not isinstance(given, str) or not 1 <= len(given.encode()) <= 255:
        raise InvalidParameters(field, "must be the name of an attribute, up to 255 bytes")
    return given


def _attribute_names(field: str, given: object) -> tuple[str, ...]:
    if not isinstance(given, list | tuple):
        raise InvalidParameters(field, "must be a list of attribute names")
    names = tuple(_attribute_name(field, name) for name in given)
    if len(set(names)) != len(names):
        raise InvalidParameters(field, "must not have a name twice")
    return names


def _value(field: str, given: object) -> Value:
    if isinstance(given, str | bool | int):
        return given
    if isinstance(given, float) and math.isfinite(given):
        return given
    raise InvalidParameters(field, "must be a string, a number, true or false")


def _values(field: str, given: object) -> Mapping[str, Value]:
    if not isinstance(given, Mapping):
        raise InvalidParameters(field, "must be an object of attributes and their values")
    return {
        _attribute_name(field, name): _value(f"{field}.{name}", each)
        for name, each in given.items()
    }


def _due_format(due: Mapping[str, Any]) -> DueFormat:
    try:
        return DueFormat(str(due.get("format")))
    except ValueError:
        raise InvalidParameters("due.format", f"must be one of {', '.join(DueFormat)}") from None


def _zone(due: Mapping[str, Any], due_format: DueFormat) -> str:
    if "zone" not in due:
        return "UTC"
    if due_format is not DueFormat.DATE:
        raise InvalidParameters("due.zone", "is for the format date only")
    try:
        return zone_name_of("due.zone", due["zone"])
    except InvalidRule as error:
        raise InvalidParameters("due.zone", error.allowed) from None
