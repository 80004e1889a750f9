"""What a step is given besides its input: one class for each set of capabilities.

A job type declares the class as its `context`, and the runner builds exactly that. So a step can
reach what its job type declares and nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from jobyard.domain.collection import Collection
from jobyard.domain.jobs.checkpoint import Checkpoint
from jobyard.domain.objects import ObjectVersion

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

    from jobyard.jobtypes.http_client import HttpClient


class Objects(Protocol):
    """The objects' records and who owns which identifier. Every read sees the last write."""

    def identify(self, collection: str, local_ids: Sequence[str], ark: str) -> str:
        """The ark all of `local_ids` belong to from now on: their owner's, else `ark`.

        Local ids nobody has yet are claimed for that ark; each is unique within its collection.

        Raises:
            IdentifierConflict: they belong to different arks.
        """

    def latest(self, ark: str) -> ObjectVersion | None:
        """The highest version of the object; None when it has none."""

    def record(self, version: ObjectVersion) -> None:
        """Record a version; a repeat by the same job changes nothing.

        Raises:
            StaleState: another job has recorded that version.
        """

    def latest_and_own(
        self, ark: str, job_id: str
    ) -> tuple[ObjectVersion | None, ObjectVersion | None]:
        """The highest version of the object, and the one that this job recorded; None for none."""


class Checkpoints(Protocol):
    """How far long jobs came. Every read sees the last write."""

    def get(self, job_id: str) -> Checkpoint:
        """The job's checkpoint; of version 0 when it has none yet."""

    def written(self, seen: Checkpoint, after: Checkpoint, at: datetime) -> Mapping[str, Any]:
        """The item of a DynamoDB transaction that writes `after` over the one that was `seen`.

        It is refused by its condition when someone else has written one since.
        """


class MaintenanceTasks(Protocol):
    """What the system's own jobs do, a bounded piece at a time; each piece is counted once."""

    def recover_slice(self, seen: Checkpoint) -> Checkpoint:
        """The checkpoint after some more was looked at, and taken up if no execution works on it.

        `processed` counts what was looked at, `recovered` in its place what was taken up.
        """

    def archive(self, seen: Checkpoint, remaining: Callable[[], float]) -> Checkpoint:
        """The checkpoint after some more was archived or removed; the one that was `seen` when
        `remaining` seconds are not enough for it.

        `processed` counts the batches and occurrences that are archived and removed.
        """


@dataclass(frozen=True)
class StepContext:
    """What every step is given.

    `now` is the time, aware UTC. `remaining` is the seconds until the step must have ended.
    """

    now: Callable[[], datetime]
    remaining: Callable[[], float]


@dataclass(frozen=True)
class HttpContext(StepContext):
    """For steps that call URLs."""

    http: "HttpClient"


@dataclass(frozen=True)
class StorageContext(StepContext):
    """For steps that fetch files and store them as versions of objects.

    `s3_sources` are the `bucket/prefix`es that files may come from by s3://. `collection` returns
    the job's collection, at most some two seconds old; None when there is none.
    """

    http: "HttpClient"
    s3: "S3Client"
    s3_sources: tuple[str, ...]
    work_bucket: str
    archive_bucket: str
    objects: Objects
    collection: Callable[[], Collection | None]


@dataclass(frozen=True)
class TableContext(StepContext):
    """For steps that change records of other people's tables, of which `sweep_tables` may be."""

    dynamodb: "DynamoDBClient"
    sweep_tables: tuple[str, ...]
    checkpoints: Checkpoints


@dataclass(frozen=True)
class MaintenanceContext(StepContext):
    """For steps of the system's own job types. Calling `maintenance` makes its clients."""

    checkpoints: Checkpoints
    maintenance: Callable[[], MaintenanceTasks]
