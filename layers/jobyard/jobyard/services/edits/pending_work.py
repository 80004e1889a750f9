"""The machine's pending work on an edit job or a child, which recovery starts again."""

from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.edit_job import EditState
from jobyard.services.edits.access import id_of
from jobyard.services.edits.tasks import task_of
from jobyard.services.executions import Executions, edit_execution
from jobyard.services.pending_work import PendingWork
from jobyard.store.edits import Job


def work_of(job: Job, executions: Executions) -> PendingWork | None:
    """What the machine has to do about a job; None if it has nothing to do."""
    found = task_of(job)
    if found is None:
        return None
    job_id = id_of(job)
    task, number = found
    return PendingWork(
        executions.settings.edit_machine,
        job.due_since,
        0,
        lambda recoveries: edit_execution(job_id, task, number, recoveries),
        lambda recoveries: executions.start_edit(job_id, task, number, recoveries),
        _executions_before(job),
    )


def _executions_before(job: Job) -> tuple[str, ...]:
    """The executions of the tasks before, which do this one too if they still run."""
    read = (
        (edit_execution(id_of(job), "read", f"{job.attempt}-{job.sent.number}"),)
        if job.sent is not None and not job.is_reading
        else ()
    )
    if isinstance(job, ChildJob):
        return read
    check = edit_execution(job.edit_id, "check", f"{job.attempt}-{job.checks}")
    if job.state in {EditState.COMMITTED, EditState.PUBLISHED}:
        return (*read, check)
    if job.is_batch and job.state is EditState.UPLOADED:
        return (edit_execution(job.edit_id, "batch", str(job.attempt)),)
    return read
