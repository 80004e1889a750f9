"""The origin of a batch's job: which events it takes, and why it waits."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jobyard.domain.batches.batch import Batch, BatchState
from jobyard.domain.batches.chunks import unrecorded_job
from jobyard.domain.errors import Gone, InvalidTransition, NotFound
from jobyard.domain.jobs.job import JobAddress, JobRecord, JobState
from jobyard.domain.jobs.job_type import JobType
from jobyard.jobtypes import job_type_of
from jobyard.services.access import visible_batch
from jobyard.services.batches import rows
from jobyard.services.batches.held import held_by
from jobyard.services.context import Actor, CommandContext, QueryContext
from jobyard.services.jobs.origin import why_retried
from jobyard.store import jobs


@dataclass(frozen=True)
class BatchOrigin:
    """The batch of the job at `address`; see `JobOrigin`."""

    batch: Batch
    address: JobAddress

    occurrence = None
    refusal_hint = "its actions list what can be sent"
    resubmit_hint = "the depositor has to submit it again"

    @property
    def title(self) -> str:
        return self.batch.filename

    @property
    def job_type(self) -> JobType[Any]:
        return job_type_of(self.batch.job_type)

    @property
    def unwritten_job(self) -> JobRecord:
        return unrecorded_job(self.batch, self.address)

    @property
    def kept_until(self) -> datetime | None:
        return self.batch.kept_until(timedelta(days=self.job_type.retention_days))

    def check_open(self, event: str) -> None:
        if not self.batch.is_open_to(event):
            raise InvalidTransition(f"its batch is {self.batch.state}: cannot {event} a job of it")

    def write(self, before: JobRecord, after: JobRecord, _context: CommandContext) -> JobRecord:
        return jobs.apply(before, after, self.batch.state)

    def start(self, context: CommandContext) -> None:
        context.executions.start_job(self.address, context.run)

    def settle(self, context: CommandContext) -> None:
        context.executions.start_batch(self.batch.batch_id, "settle", context.run)

    def row(self, context: QueryContext) -> rows.Row:
        return rows.row_of(context.s3, context.settings, self.batch, self.address)

    def records(self, job: JobRecord) -> Mapping[str, int | None] | None:
        return job.data.get("records")

    def label(self, job: JobRecord) -> str:
        return self.job_type.label(job.state.value)

    def why_waiting(self, job: JobRecord, context: QueryContext) -> tuple[str, datetime | None]:
        if job.state is JobState.HELD:
            return self._why_held(job, context)
        if job.state is not JobState.SCHEDULED:
            return "", None
        return why_retried(job, self.job_type) if job.next_at else (self._why_queued(job), None)

    def _why_held(self, job: JobRecord, context: QueryContext) -> tuple[str, datetime | None]:
        last = job.history[-1]
        if last.by_machine:
            return held_by(self.batch, context)
        return f"held by {last.actor}: {last.reason}", None

    def _why_queued(self, job: JobRecord) -> str:
        if job.history:
            return "waits for a worker"
        before = self.address.chunk * self.batch.chunk_size + self.address.position
        return f"waits for a worker, behind up to {before} other jobs of its batch"


def batch_origin(address: JobAddress, actor: Actor, now: datetime) -> BatchOrigin:
    """The batch of a job, if `actor` may see it.

    Raises:
        NotFound, Gone: there is no such job, or the actor may not see it.
    """
    batch = visible_batch(address.origin_id, actor, now)
    if batch.state is BatchState.DELETED:
        raise Gone(f"batch {batch.batch_id} of job {address.job_id} was deleted")
    if not batch.has_job(address.chunk, address.position):
        raise NotFound(f"batch {batch.batch_id} has no job {address.job_id}")
    return BatchOrigin(batch, address)
