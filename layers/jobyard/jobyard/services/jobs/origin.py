"""What a job comes from: what differs for people between a batch's jobs and a schedule's.

What differs for workers is in `jobs.source`. `services.origins` has a row for each origin.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from jobyard.domain.errors import InvalidTransition, NotFound
from jobyard.domain.jobs.job import JobAddress, JobRecord
from jobyard.domain.jobs.job_type import JobType
from jobyard.services.context import Actor, CommandContext, QueryContext
from jobyard.services.origins import ORIGINS

if TYPE_CHECKING:
    from jobyard.domain.schedules.occurrence import Occurrence


class JobOrigin(Protocol):
    """The batch, or the schedule and its occurrence, that one job comes from."""

    @property
    def address(self) -> JobAddress:
        """Where the job lies."""

    @property
    def job_type(self) -> JobType[Any]:
        """The job's type."""

    @property
    def occurrence(self) -> "Occurrence | None":
        """The occurrence that the job runs for, if it is of a schedule."""

    @property
    def unwritten_job(self) -> JobRecord:
        """The job as it is shown while nothing is stored of it."""

    @property
    def instead(self) -> str:
        """What to do instead of an event that no job of this origin takes."""

    @property
    def resubmission(self) -> str:
        """Who has to act on a failed job that cannot be requeued; "" if deleting it is all."""

    def check_open(self, event: str) -> None:
        """Check that the state of the origin lets the job be sent `event`.

        Raises:
            InvalidTransition: it does not.
        """

    def write(self, before: JobRecord, after: JobRecord, context: CommandContext) -> JobRecord:
        """Write a move of the job, and what the origin keeps of it; the job as stored.

        Raises:
            StaleState: someone else moved the job or its origin. InvalidTransition: not any more.
        """

    def settle(self, context: CommandContext) -> None:
        """Have the origin take note that the job has ended."""

    def row(self, context: QueryContext) -> dict[str, Any]:
        """The row of the manifest that the job runs; empty if there is none."""

    def records(self, job: JobRecord) -> Mapping[str, int | None] | None:
        """How many records the job has processed, of how many; None if it counts none."""

    def why_held(self, job: JobRecord, context: QueryContext) -> tuple[str, datetime | None]:
        """Why the held job is held, and until when."""

    def why_queued(self, job: JobRecord) -> str:
        """What the scheduled job waits for."""


def job_origin(job_id: str, actor: Actor, now: datetime) -> JobOrigin:
    """The origin of a job, if `actor` may see the job.

    Raises:
        NotFound, Gone: there is no such job, or none this person may know of. Forbidden: they may
            not see jobs of this kind.
    """
    address = JobAddress.parse(job_id)
    if address is None:
        raise NotFound(f"{job_id!r} is no job id; one is batch_id.chunk.position")
    return ORIGINS[address.origin].job_origin(address, actor, now)


def is_open(origin: JobOrigin, event: str) -> bool:
    """Whether the state of the origin lets the job be sent `event`."""
    try:
        origin.check_open(event)
    except InvalidTransition:
        return False
    return True
