"""The context of retention, and the result of one slice of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from jobyard.domain.batches.report import DeliveryState
from jobyard.domain.ids import Origin
from jobyard.jobtypes import job_type_of, types_of
from jobyard.services.retention.archive import Archive
from jobyard.services.settings import Settings
from jobyard.store import reports
from jobyard.store.transactions import TransactItem

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_UNDELIVERED = {DeliveryState.QUEUED, DeliveryState.SENDING}
Bookmark = Mapping[str, Any]  # where the next slice starts; the cursor of the job's checkpoint


@dataclass(frozen=True)
class RetentionContext:
    """The deployment, S3 and the clock. `remaining` returns the seconds until the worker stops."""

    settings: Settings
    s3: "S3Client"
    now: Callable[[], datetime]
    remaining: Callable[[], float]

    def archive(self, folder: str) -> Archive:
        """The folder of that name in the archive."""
        return Archive(self.settings, self.s3, folder)


@dataclass(frozen=True)
class WorkSlice:
    """The result of one slice: where the next one starts, and how much was processed.

    `items` have to be written in one transaction with the checkpoint that counts the slice.
    `failures` are the ids of what could not be archived, each with the reason.
    """

    bookmark: Bookmark
    processed: int = 0
    failures: Sequence[tuple[str, str]] = ()
    items: Sequence[TransactItem] = ()


def has_undelivered_report(origin_id: str) -> bool:
    """Whether the mail of a report of a batch or campaign is not sent yet."""
    return any(each.delivery.state in _UNDELIVERED for each in reports.of_batch(origin_id))


def retention_of(job_type: str) -> timedelta:
    """How long ended jobs and batches are kept. A removed job type has the default retention."""
    return timedelta(days=job_type_of(job_type).retention_days)


def shortest_retention(origin: Origin) -> timedelta:
    """The shortest retention of a job type of an origin."""
    return min(retention_of(each.name) for each in types_of(origin))
