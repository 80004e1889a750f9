"""Which edit jobs are archived, and what is archived of one besides its files.

Only those that a planner has archived, and so hidden: what is shown stays where it is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from jobyard.domain.archive import Phase, Tombstone, archive_folder, record_line
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.domain.jobs.job import JobRecord
from jobyard.services.retention.work_slice import (
    Bookmark,
    RetentionContext,
    WorkSlice,
    has_undelivered_report,
)
from jobyard.store import edits
from jobyard.store.transactions import TransactItem

EDITS_KEPT = timedelta(days=90)  # after a planner archived them
EDITS_PER_READ = 100
_KIND = "edit"  # in the place of a job type


def next_slice(bookmark: Bookmark, context: RetentionContext) -> WorkSlice | None:
    """Check the next edit jobs that planners archived, oldest first, and begin to archive the first
    that is due. None after the last that may be due.
    """
    after = bookmark.get("after", "")
    latest = context.now() - EDITS_KEPT
    found = edits.oldest_archived(after=after, until=latest, limit=EDITS_PER_READ)
    for key in found:
        after = key.position
        if _start_archiving(key.job_id, context):
            return WorkSlice({"go": "edits", "after": after, "edit": key.job_id})
    return WorkSlice({"go": "edits", "after": after}) if found else None


def _start_archiving(edit_id: str, context: RetentionContext) -> bool:
    """Begin to archive an edit job, if it is due. Returns whether it was due.

    Raises:
        StaleState: someone else changed it at the same time.
    """
    now = context.now()
    job = edits.find(edit_id)
    if not isinstance(job, EditJob) or job.state is not EditState.ARCHIVED:
        return False  # the index lags behind
    is_due = job.since + EDITS_KEPT <= now
    if not is_due or any(map(has_undelivered_report, (edit_id, *job.all_child_ids))):
        return False
    # Each try has a folder of its own, so that nothing in it is written twice.
    folder = archive_folder(_KIND, job.created_at, edit_id, f"v{job.version}")
    edits.start_archiving(job, now, folder)
    return True


def next_leftover(bookmark: Bookmark) -> WorkSlice | None:
    """Continue with the next edit job whose archiving was not finished; None after the last."""
    found = edits.in_archiving(bookmark.get("after"))
    if found is None:
        return None
    return WorkSlice({"go": "edit leftovers", "after": found.position, "edit": found.job_id})


def archived_edit(edit_id: str) -> "ArchivedEdit | None":
    """The edit job with a tombstone; None if it has none."""
    tombstone = edits.tombstone(edit_id)
    return ArchivedEdit(tombstone) if tombstone else None


@dataclass(frozen=True)
class ArchivedEdit:
    """An edit job with a tombstone; see `ArchivedOrigin`. It has no chunks of jobs: its children
    are records of its own.
    """

    tombstone: Tombstone[EditJob]

    part = "edit.jsonl.gz"
    repaired_at = None
    chunk_size = 1
    chunk_count = 0
    row_count = 0

    @property
    def _job(self) -> EditJob:
        return self.tombstone.origin

    @property
    def origin_id(self) -> str:
        return self._job.edit_id

    @property
    def folder(self) -> str:
        return self.tombstone.folder

    @property
    def phase(self) -> Phase:
        return self.tombstone.phase

    @property
    def reported_ids(self) -> tuple[str, ...]:
        return (self.origin_id, *self._job.all_child_ids)

    @property
    def folders(self) -> tuple[str, ...]:
        return (f"edits/{self.origin_id}/", *(f"reports/{each}/" for each in self.reported_ids))

    def lines(self) -> Iterator[bytes]:
        job = self._job
        document: dict[str, Any] = {each.name: getattr(job, each.name) for each in fields(job)}
        yield record_line("edit", {**document, "extent": job.extent.document()})
        for child in edits.read(job.all_child_ids):
            yield record_line("child", child)

    def remove_records(self) -> None:
        edits.remove_children(self._job)

    def summary(self) -> Mapping[str, Any]:
        job = self._job
        names = ("name", "dataset", "edit_type", "team", "revision", "created_at", "actual_end")
        return {
            "edit_id": job.edit_id,
            **{name: getattr(job, name) for name in names},
            "planner": job.planner.name,
        }

    def check_unchanged(self, job: JobRecord, now: datetime) -> None:
        """It has no such jobs."""

    def in_phase(self, phase: Phase) -> TransactItem:
        return edits.tombstone_item(self.tombstone, self.tombstone.after(phase))

    def cancel(self, repaired_at: datetime | None) -> None:
        edits.cancel_archiving(self.tombstone)
