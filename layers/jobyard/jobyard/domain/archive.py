"""The format of archived records: parts of JSON Lines, an inventory of them, and tombstones.

Archives are kept forever, so a line has the names of the domain, not those of the tables.
"""

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Generic, Protocol, Self, TypeVar

INVENTORY = "manifest.json"  # the inventory in the folder of an archive; it is written last


def record_line(kind: str, value: Any, **names: str) -> bytes:
    """A record as a line of JSON: its kind, its `names` (ids), and its fields under its kind."""
    document = {"kind": kind, **names, kind: _plain(value)}
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def kind_of(text: bytes) -> str:
    """The kind of the record in a line."""
    return text.split(b'"', 4)[3].decode()


def _plain(value: Any) -> Any:
    """A domain value as JSON: times in UTC, without empty fields."""
    if is_dataclass(value):
        by_name = {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
        return {name: each for name, each in by_name.items() if each not in (None, "", [], {})}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, Set):
        return sorted(_plain(each) for each in value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def archive_folder(job_type: str, at: datetime, *names: str) -> str:
    """The folder in the archive for records of the month of `at`."""
    return "/".join(("records", job_type, at.astimezone(UTC).strftime("%Y/%m"), *names))


@dataclass(frozen=True)
class Part:
    """A gzip file of an archive.

    `size` is its size in bytes as stored; `length` in bytes and `sha256` are those of its content.
    `counts` are its lines by kind, empty for a copied file.
    """

    name: str
    size: int
    length: int
    sha256: str
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Inventory:
    """What was archived of an origin, and in which parts. `summary` describes the origin."""

    origin_id: str
    summary: Mapping[str, Any]
    archived_at: datetime
    parts: tuple[Part, ...]

    @property
    def counts(self) -> dict[str, int]:
        """The number of records by kind."""
        total: dict[str, int] = {}
        for part in self.parts:
            for kind, number in part.counts.items():
                total[kind] = total.get(kind, 0) + number
        return total

    def part(self, name: str) -> Part | None:
        """The part called `name`; None if there is none."""
        return next((part for part in self.parts if part.name == name), None)

    def text(self) -> bytes:
        """The inventory as JSON, for people and programs."""
        document = {
            "origin_id": self.origin_id,
            "what": _plain(self.summary),
            "archived_at": _plain(self.archived_at),
            "records": self.counts,
            "parts": [vars(part) | {"counts": dict(part.counts)} for part in self.parts],
        }
        return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def of(cls, text: bytes) -> "Inventory":
        """The inventory that `text()` wrote."""
        document = json.loads(text)
        return cls(
            document["origin_id"],
            document["what"],
            datetime.fromisoformat(document["archived_at"]),
            tuple(Part(**part) for part in document["parts"]),
        )


class Phase(StrEnum):
    """How far the retention of a batch, campaign or edit job is."""

    ARCHIVING = "archiving"  # its records are being written to the archive; none is removed
    REMOVING = "removing"  # all records are archived and are being removed
    REMOVED = "removed"  # only the tombstone remains


class Archivable(Protocol):
    """A batch, a campaign or an edit job, as its tombstone keeps it."""

    @property
    def version(self) -> int:
        """The number of its writes."""

    @property
    def description(self) -> str:
        """What it is, in a few words."""

    def reduced(self) -> Self:
        """It without the fields that only the archive keeps."""


_Origin = TypeVar("_Origin", bound=Archivable)


@dataclass(frozen=True)
class Tombstone(Generic[_Origin]):
    """What remains of an archived batch, campaign or edit job.

    `origin` is it as it was; once removed, without the fields that only the archive keeps. `folder`
    is its folder in the archive. `version` continues that of the origin.
    """

    origin: _Origin
    archived_at: datetime
    folder: str
    phase: Phase
    version: int

    @property
    def description(self) -> str:
        """What it was, and where it is now."""
        was = self.origin.description
        if self.phase is Phase.ARCHIVING:
            return f"{was} is being archived; this began on {self.archived_at:%Y-%m-%d %H:%M} UTC"
        where = f"{self.folder}/{INVENTORY} in the archive bucket"
        return f"{was} was archived on {self.archived_at:%Y-%m-%d}: see {where}"

    def after(self, phase: Phase) -> "Tombstone[_Origin]":
        """The tombstone in a phase; reduced once the records are removed."""
        origin = self.origin.reduced() if phase is Phase.REMOVED else self.origin
        return replace(self, origin=origin, phase=phase)
