"""What edit jobs and their children are worked on with: packages, change sets, clocks."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from jobyard.domain.text import REASON_BYTES

MAX_NAME_BYTES = 200  # of an edit job
MAX_TYPE_BYTES = 64  # of the name of a type of edit jobs
MAX_COMMENT_BYTES = 2_000  # of an upload or a review
MAX_PROBLEM_BYTES = REASON_BYTES
MAX_EDIT_HISTORY_BYTES = 8 * 1024
MAX_MINUTES = 100_000  # of work in all
MAX_CHILDREN = 200  # of an edit job, in all of its attempts: each waits for a person
CHILDREN_READ = 20  # of each type, the last ones: five types are one batch of reads
IDLE_AFTER = timedelta(days=7)  # without an event of its worker, a claim is shown as idle
STUCK_AFTER = timedelta(minutes=30)  # the machine's work raises an alarm; source: DEC 3-13
VISIBLE_AFTER_END = timedelta(hours=24)  # in the worklist; source: DEC 3-1


class Priority(StrEnum):
    """How urgent an edit job is."""

    HIGH = "high"
    NORMAL = "normal"


class ClockColour(StrEnum):
    """The clock of an edit job in the worklist."""

    YELLOW = "yellow"  # its planned start has passed
    RED = "red"  # its planned end has passed


@dataclass(frozen=True)
class Package:
    """The files that a worker or a reviewer downloads, a zip at `key` of the work bucket.

    `package_id` is repeated by the upload that answers it. `digest` is its SHA-256 in hexadecimal,
    `size` its bytes.
    """

    package_id: str
    key: str
    digest: str
    size: int


class UploadOutcome(StrEnum):
    """What became of a file of edits that was uploaded."""

    READING = "reading"  # the machine reads it, or is about to
    ACCEPTED = "accepted"
    REFUSED = "refused"  # it has a mistake, and nothing was changed


@dataclass(frozen=True)
class SentFile:
    """The file that was uploaded to a claim last, at `key` of the intake bucket.

    `package_id` is of the package that it answers, `digest` its SHA-256 in hexadecimal, as it was
    declared. `kind` is one of `UploadKind`, `deleting` the number of features that it deletes, None
    if that was left open. `number` tells the files of a claim apart. `minutes` count when it is
    accepted.
    """

    key: str
    package_id: str
    digest: str
    kind: str
    deleting: int | None
    minutes: int
    number: int
    at: datetime
    outcome: UploadOutcome = UploadOutcome.READING

    @property
    def is_reading(self) -> bool:
        """Whether the machine has not read it."""
        return self.outcome is UploadOutcome.READING

    @property
    def filename(self) -> str:
        """The name of the file."""
        return self.key.rpartition("/")[2]


@dataclass(frozen=True)
class ChangeSet:
    """Changes of features, as a file at `key` of the work bucket.

    `digest` is the SHA-256 of the file in hexadecimal, `count` its changed features. `source` is
    a digest of the upload that it was made of: a repeated upload has the same.
    """

    key: str
    digest: str
    count: int
    source: str = ""


@dataclass(frozen=True)
class Approval:
    """The approval of a change set: it holds for changes with this digest, and no others."""

    digest: str
    reviewer_sub: str
    reviewer: str
    at: datetime


def clock_colour(
    planned_start: datetime | None, planned_end: datetime | None, now: datetime
) -> ClockColour | None:
    """The clock of work that has not ended; None if it is on time or has no plan."""
    if planned_end is not None and now > planned_end:
        return ClockColour.RED
    if planned_start is not None and now > planned_start:
        return ClockColour.YELLOW
    return None
