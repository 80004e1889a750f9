"""What remains of an edit job that retention has archived."""

from dataclasses import dataclass, replace
from datetime import datetime

from jobyard.domain.archive import Phase, archived_text
from jobyard.domain.edits.edit_job import EditJob


@dataclass(frozen=True)
class EditTombstone:
    """What remains of an archived edit job: see `archive.Tombstone`.

    `job` is the edit job as it was; once removed, without the fields that only the archive keeps.
    """

    job: EditJob
    archived_at: datetime
    folder: str
    phase: Phase
    version: int

    @property
    def description(self) -> str:
        """What the edit job was, and where it is now."""
        job = self.job
        was = (
            f"edit job {job.edit_id} ({job.name or 'no name'}, of dataset {job.dataset}, proposed "
            f"{job.created_at:%Y-%m-%d})"
        )
        return archived_text(was, self.phase, self.archived_at, self.folder)

    def reduced(self) -> "EditTombstone":
        """The tombstone once the records are removed."""
        reduced = replace(
            self.job,
            planner_email="",
            authors=(),
            attachments=(),
            upload_comment="",
            problem="",
            history=(),
        )
        return replace(self, job=reduced, phase=Phase.REMOVED)
