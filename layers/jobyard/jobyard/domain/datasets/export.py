"""An export of a dataset: features at a revision, or changes between two."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from jobyard.domain.datasets.extent import Extent, parse_extent


class ExportState(StrEnum):
    """How far an export is."""

    EXPORTING = "exporting"  # the file is being written
    READY = "ready"
    FAILED = "failed"  # the machine has given up; a person may request it again


@dataclass(frozen=True)
class ExportRequest:
    """What to export: all features at a revision, or those in an extent; with `since`, the changes
    of the revisions after that one.
    """

    export_id: str
    name: str
    revision: int
    extent: Extent | None = None
    since: int | None = None

    @property
    def filename(self) -> str:
        """The name of the file for people."""
        if self.since is not None:
            return f"{self.name}-changes-{self.since}-{self.revision}.jsonl.gz"
        part = "-extent" if self.extent else ""
        return f"{self.name}-{self.revision}{part}.geojson.gz"

    def document(self) -> dict[str, Any]:
        """The request as JSON, as an execution carries it."""
        return {
            "task": "export",
            "export_id": self.export_id,
            "name": self.name,
            "revision": self.revision,
            "extent": self.extent and self.extent.document(),
            "since": self.since,
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> "ExportRequest":
        """The request in a document."""
        extent = document["extent"]
        return cls(
            document["export_id"],
            document["name"],
            document["revision"],
            extent and parse_extent(extent),
            document["since"],
        )


@dataclass(frozen=True)
class ExportResult:
    """An exported file: its name for people, its features or changes, and its bytes."""

    filename: str
    count: int
    size: int

    def document(self) -> dict[str, Any]:
        """The result as JSON."""
        return dict(vars(self))

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> "ExportResult":
        """The result in a document."""
        return cls(**document)
