"""The load of a dataset from a file: the request, and its result."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from jobyard.domain.datasets.geometry import DEFAULT_PRECISION

UPLOADS_PREFIX = "datasets/"  # of the intake bucket
UPLOAD_BYTES = 512 * 1024**2  # of the largest file, compressed or not
CONTENT_BYTES = 4 * UPLOAD_BYTES  # of a file, decompressed
# Of the features of a file, as they are stored. At 1.7 MB a second, measured with the polygons of
# the counties, a worker reads them in a third of its time.
FEATURES_BYTES = 512 * 1024**2


class LoadState(StrEnum):
    """How far the load of a dataset is."""

    LOADING = "loading"  # the file is being read
    LOADED = "loaded"
    REFUSED = "refused"  # the file has errors, or there is a dataset of that name
    FAILED = "failed"  # the machine has given up; the file may be loaded again


@dataclass(frozen=True)
class DatasetFile:
    """An uploaded file, in the version that is loaded. `size` is in bytes."""

    key: str
    version_id: str
    size: int


@dataclass(frozen=True)
class LoadRequest:
    """A dataset to load from a file. `at` is when a person asked for it."""

    load_id: str
    name: str
    title: str
    file: DatasetFile
    actor: str
    sub: str
    at: datetime
    precision: int = DEFAULT_PRECISION
    missing_is_null: bool = False

    def document(self) -> dict[str, Any]:
        """The request as JSON, as an execution carries it."""
        fields = vars(self) | {"file": vars(self.file), "at": self.at.isoformat()}
        return {**fields, "task": "load"}

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> "LoadRequest":
        """The request in a document."""
        fields = {name: value for name, value in document.items() if name != "task"}
        file, at = DatasetFile(**fields.pop("file")), datetime.fromisoformat(fields.pop("at"))
        return cls(**fields, file=file, at=at)


@dataclass(frozen=True)
class LoadResult:
    """What came of a load. `message` says why it was refused, "" if it was not.

    `findings` are documents of the first findings of each level, `errors` and `warnings` the
    numbers of all.
    """

    state: LoadState
    message: str = ""
    features: int = 0
    errors: int = 0
    warnings: int = 0
    findings: tuple[Mapping[str, Any], ...] = ()

    def document(self) -> dict[str, Any]:
        """The result as JSON."""
        return vars(self) | {"findings": [*self.findings]}

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> "LoadResult":
        """The result in a document."""
        state, findings = LoadState(document["state"]), tuple(document["findings"])
        return cls(**{**document, "state": state, "findings": findings})
