"""Which batches are archived, and what is archived of one besides its jobs and files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from jobyard.domain.archive import Phase, Tombstone, archive_folder, record_line
from jobyard.domain.batches.batch import Batch, BatchState
from jobyard.domain.jobs.job import OPEN_JOB_STATES, JobRecord, JobState
from jobyard.services.retention.chunked_archive import TooEarly
from jobyard.services.retention.work_slice import (
    RetentionContext,
    has_undelivered_report,
    retention_of,
)
from jobyard.store import batches, chunks, operations
from jobyard.store.transactions import TransactItem


def due_at(batch: Batch) -> datetime | None:
    """When a batch is due for archiving; None while it is open."""
    return batch.kept_until(retention_of(batch.job_type))


def start_archiving(suggested: Batch, context: RetentionContext) -> bool:
    """Hide a batch and begin to archive it, if it is due. Returns whether it was due.

    Raises:
        StaleState: someone else changed it at the same time.
    """
    now = context.now()
    batch = batches.get(suggested.batch_id, now)
    due = due_at(batch)
    if due is None or due > now or _is_in_use(batch):
        return False
    # Each try has a folder of its own, so that nothing in it is written twice.
    attempt = f"v{batch.version}"
    folder = archive_folder(batch.job_type, batch.submitted_at, batch.batch_id, attempt)
    batches.BATCH_TOMBSTONES.start(batch, now, folder)
    return True


def _is_in_use(batch: Batch) -> bool:
    """Whether something may still be written for an ended batch: it is being repaired, or its
    report is not delivered yet.
    """
    if operations.is_any_running(batch.batch_id):
        return True
    if has_undelivered_report(batch.batch_id):
        return True
    return any(
        record.count(JobState.SCHEDULED) + record.count(JobState.RUNNING)
        for record in chunks.of_batch(batch.batch_id)
    )


def archived_batch(batch_id: str) -> "ArchivedBatch | None":
    """The batch with a tombstone; None if it has none."""
    tombstone = batches.BATCH_TOMBSTONES.find(batch_id)
    return ArchivedBatch(tombstone) if tombstone else None


@dataclass(frozen=True)
class ArchivedBatch:
    """A batch with a tombstone; see `ArchivedOrigin`."""

    tombstone: Tombstone[Batch]

    part = "batch.jsonl.gz"

    @property
    def _batch(self) -> Batch:
        return self.tombstone.origin

    @property
    def origin_id(self) -> str:
        return self._batch.batch_id

    @property
    def folder(self) -> str:
        return self.tombstone.folder

    @property
    def phase(self) -> Phase:
        return self.tombstone.phase

    @property
    def chunk_size(self) -> int:
        return self._batch.chunk_size

    @property
    def chunk_count(self) -> int:
        return self._batch.chunk_count

    @property
    def row_count(self) -> int:
        return self._batch.entries

    @property
    def repaired_at(self) -> datetime | None:
        return self._batch.repaired_at

    @property
    def reported_ids(self) -> tuple[str, ...]:
        return (self.origin_id,)

    @property
    def folders(self) -> tuple[str, ...]:
        return (f"work/{self.origin_id}/", f"reports/{self.origin_id}/")

    def lines(self) -> Iterator[bytes]:
        yield record_line("batch", self._batch)

    def remove_records(self) -> None:
        """It has no other records of its own."""

    def summary(self) -> Mapping[str, Any]:
        batch = self._batch
        names = ("state", "job_type", "collection", "submitter", "filename", "entries")
        return {
            "batch_id": batch.batch_id,
            **{name: getattr(batch, name) for name in names},
            "submitted_at": batch.submitted_at,
            "ended_at": batch.ended_at,
            "reported": dict(batch.reported_counts),
        }

    def check_unchanged(self, job: JobRecord, now: datetime) -> None:
        batch = self._batch
        if job.state in OPEN_JOB_STATES and batch.state is BatchState.FAILED:
            raise TooEarly("one of its jobs is open", now)
        if job.at + retention_of(batch.job_type) > self.tombstone.archived_at:
            raise TooEarly("one of its jobs changed after its report", job.at)

    def in_phase(self, phase: Phase) -> TransactItem:
        return batches.BATCH_TOMBSTONES.put(self.tombstone, self.tombstone.after(phase))

    def cancel(self, repaired_at: datetime | None) -> None:
        batch = replace(self._batch, repaired_at=repaired_at)
        batches.BATCH_TOMBSTONES.cancel(self.tombstone, batch)
