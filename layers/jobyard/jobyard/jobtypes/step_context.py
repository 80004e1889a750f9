"""The contexts of steps: one class for each set of capabilities.

A job type declares a class as its `context`, and the runner passes an instance of it to each step.
So a step can use what its job type declares and nothing else. `services.jobs.worker` has a
function for each class.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from jobyard.domain.collection import Collection
from jobyard.domain.jobs.callback import CallbackAnswer
from jobyard.domain.jobs.checkpoint import Checkpoint
from jobyard.domain.objects import ObjectVersion
from jobyard.jobtypes.functions import FunctionAnswer

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

    from jobyard.jobtypes.http_client import HttpClient


class Objects(Protocol):
    """The records of objects and their identifiers. All reads are strongly consistent."""

    def identify(self, collection: str, local_ids: Sequence[str], ark: str) -> str:
        """Return the ark that all of `local_ids` belong to; `ark` if they belong to none yet.

        Local ids that belong to no ark are assigned to that one. A local id is unique within its
        collection.

        Raises:
            IdentifierConflict: the local ids belong to different arks.
        """

    def latest(self, ark: str) -> ObjectVersion | None:
        """The highest version of the object, or None."""

    def record(self, version: ObjectVersion) -> None:
        """Record a version. Repeating it for the same job changes nothing.

        Raises:
            StaleState: another job has recorded that version.
        """

    def latest_and_own(
        self, ark: str, job_id: str
    ) -> tuple[ObjectVersion | None, ObjectVersion | None]:
        """The highest version of the object, and the one this job recorded. Each may be None."""


class Checkpoints(Protocol):
    """The progress of long jobs. Reads are strongly consistent."""

    def get(self, job_id: str) -> Checkpoint:
        """The job's checkpoint. Its version is 0 if there is none yet."""

    def put_item(self, seen: Checkpoint, after: Checkpoint, at: datetime) -> Mapping[str, Any]:
        """The item of a DynamoDB transaction that replaces the checkpoint `seen` by `after`.

        Its condition fails if someone else has written a checkpoint since.
        """


class Functions(Protocol):
    """The Lambda functions that the deployment allows."""

    def invoke(self, name: str, payload: bytes, *, is_async: bool) -> FunctionAnswer:
        """Invoke a function, by its ARN or its name, and return its answer; an empty one if
        `is_async`.

        Raises:
            FunctionRefused: it was not invoked, or did not answer.
        """


class Callbacks(Protocol):
    """The callbacks of functions: a token for each call, and what was answered with it."""

    def issue(self, key: str, until: datetime) -> str:
        """A new token to answer the call with `key`, valid until then. The seven before it stay
        valid too.
        """

    def find(self, key: str) -> CallbackAnswer | None:
        """The answer to the call with `key`, by a strong read; None if there is none yet."""


class MaintenanceTasks(Protocol):
    """The work of the system's own jobs, in bounded slices. Each slice is counted exactly once."""

    def recover_slice(self, seen: Checkpoint) -> Checkpoint:
        """Check one more slice of unfinished work, and start executions for orphaned work.

        The new checkpoint's `processed` counts what was checked, and `recovered` in its cursor what
        was recovered.
        """

    def archive(self, seen: Checkpoint, remaining: Callable[[], float]) -> Checkpoint:
        """Archive or remove one more slice. Returns `seen` if `remaining` seconds are not enough
        for it.

        The new checkpoint's `processed` counts the batches, campaigns, occurrences and edit jobs
        that were archived and removed.
        """

    def pack(self, seen: Checkpoint) -> Checkpoint:
        """Pack the next dataset if it is due, which takes some minutes at most.

        The new checkpoint's `processed` counts the datasets that were packed.
        """


def _ignore(_percent: float) -> None:
    """Show no progress."""


def _never() -> bool:
    return False


@dataclass(frozen=True)
class StepContext:
    """What every step is given.

    `now` is the time, aware UTC. `remaining` is the seconds until the step must have ended. A step
    may call `progress` with its progress in percent, as often as it likes. A step of a campaign
    that works in parts calls `must_stop` after each of them, and returns `Continue` if it is True:
    its task is cancelled or late, its campaign is on hold or ends, or the window has closed.
    """

    now: Callable[[], datetime]
    remaining: Callable[[], float]
    progress: Callable[[float], None] = field(default=_ignore, kw_only=True)
    must_stop: Callable[[], bool] = field(default=_never, kw_only=True)


@dataclass(frozen=True)
class HttpContext(StepContext):
    """For steps that call URLs."""

    http: "HttpClient"


@dataclass(frozen=True)
class DeviceContext(StepContext):
    """For steps that call devices.

    `devices` is the client for devices, which may call the networks that the deployment allows;
    `http` is the one for everything else. `credentials` returns the JSON object in a secret; None
    if the deployment may not read it, or it has none.
    """

    http: "HttpClient"
    devices: "HttpClient"
    credentials: Callable[[str], Mapping[str, Any] | None]


@dataclass(frozen=True)
class CallContext(StepContext):
    """For steps that call URLs with credentials. `credentials` returns the JSON object in a secret;
    None if the deployment does not allow it for calls, or it has none.
    """

    http: "HttpClient"
    credentials: Callable[[str], Mapping[str, Any] | None]


@dataclass(frozen=True)
class FunctionContext(StepContext):
    """For steps that invoke functions. A function may answer later, at `callback_url`."""

    functions: Functions
    callbacks: Callbacks
    callback_url: str


@dataclass(frozen=True)
class StorageContext(StepContext):
    """For steps that fetch files and store them as versions of objects.

    `s3_sources` are the allowed sources of s3:// URLs, as `bucket/prefix`. `collection` returns the
    job's collection, read at most about two seconds ago; None if it has none.
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
    """For steps that change records of the user's tables. `sweep_tables` are the allowed ones; the
    records that could not be changed are listed in a file in the work bucket.
    """

    dynamodb: "DynamoDBClient"
    sweep_tables: tuple[str, ...]
    checkpoints: Checkpoints
    s3: "S3Client"
    work_bucket: str


@dataclass(frozen=True)
class MaintenanceContext(StepContext):
    """For steps of system job types. `maintenance` creates its clients when it is called."""

    checkpoints: Checkpoints
    maintenance: Callable[[], MaintenanceTasks]
