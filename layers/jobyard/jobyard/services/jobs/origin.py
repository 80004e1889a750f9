"""The origin of a job, for requests: what differs between jobs of batches, schedules and campaigns.

What differs for workers is in `jobs.source`. `services.origins` has a row for each origin.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from jobyard.domain.errors import InvalidTransition
from jobyard.domain.jobs.job import NO_FAILURES, JobAddress, JobRecord
from jobyard.domain.jobs.job_type import JobType
from jobyard.services.context import CommandContext, QueryContext

if TYPE_CHECKING:
    from jobyard.domain.schedules.occurrence import Occurrence


class JobOrigin(Protocol):
    """The batch, the schedule and its occurrence, or the campaign that one job comes from."""

    @property
    def address(self) -> JobAddress:
        """The job's address."""

    @property
    def job_type(self) -> JobType[Any]:
        """The job's type."""

    @property
    def title(self) -> str:
        """What people call the batch, the schedule or the campaign."""

    @property
    def occurrence(self) -> "Occurrence | None":
        """The occurrence that the job runs for; None for a batch's job."""

    @property
    def unwritten_job(self) -> JobRecord:
        """The job as it is shown before it has a stored record."""

    @property
    def refusal_hint(self) -> str:
        """What a person can do instead of an event that no job of this origin takes."""

    @property
    def resubmit_hint(self) -> str:
        """What is left to do about a failed job that cannot be requeued; "" if it can only be
        deleted.
        """

    @property
    def kept_until(self) -> datetime | None:
        """When the job is archived at the earliest; None while that is open."""

    def check_open(self, event: str) -> None:
        """Check that the state of the origin lets the job be sent `event`.

        Raises:
            InvalidTransition: it does not.
        """

    def write(self, before: JobRecord, after: JobRecord, context: CommandContext) -> JobRecord:
        """Write a move of the job, and what changes of its origin with it. Returns the stored job.

        Raises:
            StaleState: someone else moved the job or its origin. InvalidTransition: the origin's
                state does not allow the move any more.
        """

    def start(self, context: CommandContext) -> None:
        """Have the job started, after an event that lets it run again."""

    def settle(self, context: CommandContext) -> None:
        """Settle the origin after the job has ended."""

    def row(self, context: QueryContext) -> dict[str, Any]:
        """The job's row of the manifest, or its target; {} for a schedule's job."""

    def records(self, job: JobRecord) -> Mapping[str, int | None] | None:
        """Counts of the records that the job processes, by name; None if it counts none."""

    def label(self, job: JobRecord) -> str:
        """What users call the job's state."""

    def why_waiting(self, job: JobRecord, context: QueryContext) -> tuple[str, datetime | None]:
        """What the job that has not ended waits for, or why it ends soon, and until when; "" and
        None if neither, None if that is not known.
        """


def why_retried(job: JobRecord, job_type: JobType[Any]) -> tuple[str, datetime | None]:
    """Why a job with a limit of retries runs again, and when: the retry, or the message of an
    attempt that did not fail.
    """
    last = job.attempts[-1] if job.attempts else None
    if last and last.failure_code in NO_FAILURES:
        return last.failure_message, job.next_at
    limit = job_type.retry.max_retries
    return f"retry {job.start_count} of {limit} after {job.failure_code}", job.next_at


def why_closed(origin: JobOrigin, event: str) -> str:
    """Why the state of the origin does not let the job be sent `event`; "" if it does."""
    try:
        origin.check_open(event)
    except InvalidTransition as error:
        return str(error)
    return ""


def is_open(origin: JobOrigin, event: str) -> bool:
    """Whether the state of the origin lets the job be sent `event`."""
    return not why_closed(origin, event)
