"""Removes the files of an attempt at an edit job that has ended, and completes the job."""

from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.services.datasets import files
from jobyard.services.edits.context import EditContext
from jobyard.services.edits.moves import move_of, write_job
from jobyard.services.edits.work_files import KEPT, root_of
from jobyard.store import edits

_ENDED = frozenset({EditState.PUBLISHED, EditState.COMPLETED, EditState.ABANDONED})


def clean_up(edit_id: str, attempt: int, context: EditContext) -> None:
    """Remove the files of an attempt; of a job that has ended all but the attachments. A job that
    was published is completed.

    Raises:
        StaleState: somebody changed the job meanwhile.
    """
    job = edits.find(edit_id)
    if job is None or isinstance(job, ChildJob):
        return
    if job.state in _ENDED:
        _remove(f"{root_of(edit_id)}/", context)
    elif attempt < job.attempt:
        _remove(f"{root_of(edit_id)}/{attempt}/", context)
    if job.state is EditState.PUBLISHED:
        _complete(job, context)


def _complete(job: EditJob, context: EditContext) -> None:
    move = move_of(job, "complete", context)
    after = job.moved(move, package=None, workspace=None, actual_end=context.now())
    write_job(job, after, context)


def _remove(prefix: str, context: EditContext) -> None:
    """Delete the files of a folder, but attachments and process logs."""
    stored = (each.key for each in files.stored_under(prefix, context.datasets))
    files.remove(
        [key for key in stored if not any(f"/{each}/" in key for each in KEPT)], context.datasets
    )
