"""The worklist: what waits for workers and reviewers, in columns."""

from datetime import datetime
from enum import StrEnum

from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.domain.edits.review import ReviewState
from jobyard.domain.edits.work import VISIBLE_AFTER_END, Priority


class WorklistColumn(StrEnum):
    """A column of the worklist. 1SMS has no column for blocked, embargoed and reviews."""

    BLOCKED = "blocked"
    ALLOCATED = "allocated"
    ACTIVATED = "activated"
    EMBARGOED = "embargoed"
    PREPARED = "prepared"
    DOWNLOADED = "downloaded"
    UPLOADED = "uploaded"
    INVALID = "invalid"
    CONFLICTED = "conflicted"
    QUARANTINED = "quarantined"
    REVIEWS = "reviews"
    CORRECTIONS_REQUIRED = "corrections_required"
    COMPLETED = "completed"


# Columns of what has ended, which leaves them after a day.
ENDED = frozenset({WorklistColumn.COMPLETED, WorklistColumn.CORRECTIONS_REQUIRED})
_COLUMNS = {
    **{
        state.value: WorklistColumn(state.value)
        for state in EditState
        if state.value in set(WorklistColumn)
    },
    EditState.COMMITTED.value: WorklistColumn.UPLOADED,
    EditState.PUBLISHED.value: WorklistColumn.UPLOADED,
}
_LAST = "9999"  # sorts after all times


def column_of(job: EditJob | ChildJob) -> WorklistColumn | None:
    """The column that shows an edit job or a child; None if the worklist does not show it."""
    if isinstance(job, EditJob) or not job.failure_type.is_review:
        return _COLUMNS.get(job.state)
    if job.is_open:
        return WorklistColumn.REVIEWS
    if job.state == ReviewState.CORRECTIONS_REQUIRED:
        return WorklistColumn.CORRECTIONS_REQUIRED
    return None if job.state == ReviewState.ABANDONED else WorklistColumn.COMPLETED


def sort_key(job: EditJob | ChildJob) -> str:
    """The place of a job in the worklist, after its column: high priority first, then what is to
    end first. What has ended is sorted by its end. "" if the worklist does not show it.
    """
    column = column_of(job)
    if column is None:
        return ""
    ended_at = job.actual_end if isinstance(job, EditJob) else job.ended_at
    if column in ENDED:
        return f"{column}#{_text(ended_at)}#{_id_of(job)}"
    rank = 0 if job.priority is Priority.HIGH else 1
    return f"{column}#{rank}#{_text(job.planned_end)}#{_id_of(job)}"


def first_key(column: WorklistColumn, now: datetime) -> str:
    """The sort key that comes before those of a column that the worklist shows."""
    return f"{column}#{_text(now - VISIBLE_AFTER_END)}" if column in ENDED else f"{column}#"


def last_key(column: WorklistColumn) -> str:
    """The sort key that comes after all those of a column."""
    return f"{column}$"  # "$" follows "#"


def _text(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S") if at else _LAST


def _id_of(job: EditJob | ChildJob) -> str:
    return job.edit_id if isinstance(job, EditJob) else job.child_id
