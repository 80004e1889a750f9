"""Makes the children of an edit job."""

from datetime import datetime

from jobyard.domain.edits.child import ChildJob, FailureType, child_id_of
from jobyard.domain.edits.edit_job import EditJob
from jobyard.domain.edits.fixup import FixupState
from jobyard.domain.edits.review import ReviewState
from jobyard.domain.edits.team import User
from jobyard.domain.edits.work import ChangeSet
from jobyard.domain.history import HistoryEntry
from jobyard.domain.lifecycle import Cause


def new_child(
    job: EditJob,
    failure_type: FailureType,
    at: datetime,
    cause: Cause,
    *,
    team: str,
    worker: User | None = None,
    subject: ChangeSet | None = None,
    findings: str = "",
) -> ChildJob:
    """The child that `job` has counted last among those of its type.

    `worker` is the person who is to do it, None for anyone of the team.
    """
    number = job.children[failure_type]
    state = ReviewState.ALLOCATED if failure_type.is_review else FixupState.ALLOCATED
    entry = HistoryEntry.note("make", state, at, cause)
    return ChildJob(
        child_id=child_id_of(job.edit_id, failure_type, number),
        parent_id=job.edit_id,
        failure_type=failure_type,
        number=number,
        state=state,
        version=1,
        dataset=job.dataset,
        name=job.name,
        edit_type=job.edit_type,
        team=team,
        created_at=at,
        since=at,
        priority=job.priority,
        worker=worker,
        planned_start=job.planned_start,
        planned_end=job.planned_end,
        subject=subject,
        findings=findings,
        history=(entry,),
    )
