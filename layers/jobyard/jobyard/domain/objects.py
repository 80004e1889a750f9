"""Objects of the archive. An object consists of versions; each is stored by one job."""

from dataclasses import dataclass
from datetime import datetime

from jobyard.domain.errors import JobyardError


class IdentifierConflict(JobyardError):
    """The identifiers given for one object belong to different objects."""


@dataclass(frozen=True)
class ObjectVersion:
    """The record of one version of an object. (`ark`, `version`) is its key.

    `version` counts from 1, with gaps: a job that fails after it has taken a number keeps it.
    `files` is the number of files, `bytes` the sum of their sizes. `manifest_digest` is the SHA-256
    of the version's manifest in the archive; `at` is aware UTC.
    """

    ark: str
    version: int
    collection: str
    batch_id: str
    job_id: str
    files: int
    bytes: int
    manifest_digest: str
    local_ids: tuple[str, ...]
    at: datetime
