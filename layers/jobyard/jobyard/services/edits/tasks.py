"""What the machine has to do about an edit job or a child, and which execution does it."""

from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.edit_job import EditState
from jobyard.domain.edits.fixup import FixupState
from jobyard.services.edits.access import id_of
from jobyard.services.executions import Executions
from jobyard.store.edits import Job

_BATCH = frozenset({EditState.ALLOCATED, EditState.ACTIVATED, EditState.PREPARED})


def start_task(job: Job, executions: Executions) -> None:
    """Start the execution of what the machine has to do about a job; nothing if it has nothing to
    do. A repeat starts no second one, and the recovery of the next minute starts what was not.
    """
    found = task_of(job)
    if found is not None:
        executions.start_edit(id_of(job), *found)


def task_of(job: Job) -> tuple[str, str] | None:
    """The task that a job waits for, and its number; None if it waits for none."""
    if not job.needs_machine:
        return None
    if job.sent is not None and job.sent.is_reading:
        return "read", f"{job.attempt}-{job.sent.number}"
    if isinstance(job, ChildJob):
        if job.state == FixupState.ACTIVATED:
            return "prepare", str(job.attempt)
        return "check", f"{job.attempt}-{job.version}"
    if job.is_batch and job.state in _BATCH:
        return "batch", str(job.attempt)
    match job.state:
        case EditState.ACTIVATED:
            return "prepare", str(job.attempt)
        case EditState.QUARANTINED:
            return "prepare", f"{job.attempt}-{job.checks}"
        case EditState.UPLOADED:
            return "check", f"{job.attempt}-{job.checks}"
        case EditState.COMMITTED:
            return "publish", str(job.attempt)
        case _:
            return "clean_up", str(job.attempt)
