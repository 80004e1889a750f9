"""The jobs of a batch, as its reports list them; and what a report needs to know of any jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from jobyard.domain.batches.batch import Batch, BatchState
from jobyard.domain.batches.chunks import unrecorded_job
from jobyard.domain.jobs.job import JobAddress, JobRecord
from jobyard.jobtypes import job_type_of
from jobyard.services.batches.job_csv import COLUMNS, cells_of
from jobyard.services.batches.rows import Row


class ReportedJobs(Protocol):
    """The jobs that a report lists: those of a batch, or the tasks of a campaign."""

    @property
    def origin_id(self) -> str:
        """The id of the batch or campaign."""

    @property
    def chunk_size(self) -> int:
        """How many jobs a chunk has; 0 if there are none."""

    @property
    def chunk_count(self) -> int:
        """How many chunks there are."""

    @property
    def last_report(self) -> int:
        """The number of the report before this one, 0 for none."""

    @property
    def began_at(self) -> datetime:
        """When it began to be reported, so that each report has slices of its own."""

    @property
    def is_update(self) -> bool:
        """Whether jobs are compared with the last report, and those that changed are listed."""

    @property
    def names(self) -> tuple[str, str]:
        """The names of the id and of the list in report.json."""

    @property
    def columns(self) -> Sequence[str]:
        """The columns of jobs.csv."""

    def cells(self, row: Row, job: JobRecord) -> Sequence[str]:
        """The values of the columns of a job."""

    def numbers(self, row: Row, job: JobRecord) -> Mapping[str, Any]:
        """The values of a job that are not text in report.json."""

    def unrecorded(self, address: JobAddress) -> JobRecord:
        """A job that has no record."""

    def title(self, row: Row) -> str:
        """What a mail calls the job of a row."""

    def group(self, job: JobRecord) -> str:
        """The group of a failed job: jobs of a group failed for the same reason."""


@dataclass(frozen=True)
class BatchJobs:
    """The jobs of a batch; see `ReportedJobs`."""

    batch: Batch

    names = ("batch_id", "jobs")
    columns = COLUMNS

    @property
    def origin_id(self) -> str:
        return self.batch.batch_id

    @property
    def chunk_size(self) -> int:
        return self.batch.chunk_size

    @property
    def chunk_count(self) -> int:
        return self.batch.chunk_count

    @property
    def last_report(self) -> int:
        return self.batch.last_report

    @property
    def began_at(self) -> datetime:
        batch = self.batch
        return max(
            (each.at for each in batch.history if each.after == batch.state != each.before),
            default=batch.submitted_at,
        )

    @property
    def is_update(self) -> bool:
        return self.batch.state is BatchState.UPDATE_REPORTING

    def cells(self, row: Row, job: JobRecord) -> Sequence[str]:
        return cells_of(row, job, job_type_of(self.batch.job_type).label(job.state.value))

    def numbers(self, row: Row, job: JobRecord) -> Mapping[str, Any]:
        return {
            "line": row.get("line"),
            "attempt_count": job.attempt_count,
            "requeue_count": job.requeue_count,
            "result": job.result,
        }

    def unrecorded(self, address: JobAddress) -> JobRecord:
        return unrecorded_job(self.batch, address)

    def title(self, row: Row) -> str:
        return str(row.get("name", ""))

    def group(self, job: JobRecord) -> str:
        return job.failure_code
