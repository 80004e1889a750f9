"""What the archive holds: an object is its versions, each the work of one job."""

from dataclasses import dataclass
from datetime import datetime

from jobyard.domain.errors import JobyardError


class IdentifierConflict(JobyardError):
    """The identifiers given for one object belong to different ones."""


@dataclass(frozen=True)
class ObjectVersion:
    """One version of an object, as it is recorded. (`ark`, `version`) is its key.

    `version` counts from 1 and may leave a number out: a job that failed for good between storing
    and recording keeps the one it took. `files` is how many, `bytes` their sum; `manifest_digest`
    is the sha-256 of the version's manifest in the archive; `at` is aware UTC.
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
