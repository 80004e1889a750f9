"""What retention makes of records that have become old: lines of JSON in parts, an inventory that
says what is there, and of a batch the tombstone that says where.

The lines are kept for ever, so they have the words of the domain, not those of the tables.
"""

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from jobyard.domain.batches.batch import Batch
from jobyard.domain.plurals import plural

INVENTORY = "manifest.json"  # the name of the inventory in its folder, which is written last


def record_line(kind: str, value: Any, **names: str) -> bytes:
    """A record as a line: its kind, the names it goes by, and under its kind the fields of it."""
    document = {"kind": kind, **names, kind: _plain(value)}
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def kind_of(text: bytes) -> str:
    """The kind of a record's line."""
    return text.split(b'"', 4)[3].decode()


def _plain(value: Any) -> Any:
    """A domain value as JSON has it: times in UTC, nothing that is empty."""
    if is_dataclass(value):
        named = {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
        return {name: each for name, each in named.items() if each not in (None, "", [], {})}
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
    """Where the records of something lie that belongs to the month of `at`."""
    return "/".join(("records", job_type, at.astimezone(UTC).strftime("%Y/%m"), *names))


@dataclass(frozen=True)
class Part:
    """An object of an archive, packed by gzip. `size` is its bytes as stored, `length` and `sha256`
    are of what comes out of it; `counts` are its lines by kind, none for a copied file."""

    name: str
    size: int
    length: int
    sha256: str
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Inventory:
    """What was archived: of which batch or schedule, what that was, and in which parts."""

    origin_id: str
    summary: Mapping[str, Any]
    archived_at: datetime
    parts: tuple[Part, ...]

    @property
    def counts(self) -> dict[str, int]:
        """The records by kind."""
        total: dict[str, int] = {}
        for part in self.parts:
            for kind, number in part.counts.items():
                total[kind] = total.get(kind, 0) + number
        return total

    def part(self, name: str) -> Part | None:
        """The part of that name; None when there is none."""
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
        """The inventory that `text` gave."""
        document = json.loads(text)
        return cls(
            document["origin_id"],
            document["what"],
            datetime.fromisoformat(document["archived_at"]),
            tuple(Part(**part) for part in document["parts"]),
        )


class Phase(StrEnum):
    """How far retention came with a batch."""

    ARCHIVING = "archiving"  # its records are being written to the archive; none is removed
    REMOVING = "removing"  # all of them are there; they are being removed
    REMOVED = "removed"  # only the tombstone remains


@dataclass(frozen=True)
class Tombstone:
    """What stands where a batch was: the `batch` as it was, in the end without what only the
    archive tells; since when; the folder of the archive. `version` counts its writes on."""

    batch: Batch
    archived_at: datetime
    folder: str
    phase: Phase
    version: int

    @property
    def description(self) -> str:
        """What the batch was, and where it is now."""
        batch = self.batch
        was = (
            f"batch {batch.batch_id} ({batch.filename or 'no file'} of collection "
            f"{batch.collection}, {batch.state}, {plural(batch.entries, 'job')}, submitted "
            f"{batch.submitted_at:%Y-%m-%d})"
        )
        if self.phase is Phase.ARCHIVING:
            return f"{was} is being archived since {self.archived_at:%Y-%m-%d %H:%M} UTC"
        where = f"{self.folder}/{INVENTORY} of the archive bucket"
        return f"{was} was archived on {self.archived_at:%Y-%m-%d}: {where} says what is there"

    def reduced(self) -> "Tombstone":
        """What remains in the end."""
        few = replace(
            self.batch,
            notify=(),
            undeliverable=(),
            parameters={},
            note="",
            failure_message="",
            history=(),
        )
        return replace(self, batch=few, phase=Phase.REMOVED)
