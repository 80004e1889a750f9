"""Removes the files of an attempt at an edit job that has ended, and completes the job."""

from collections.abc import Iterator

from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.services.edits.context import EditContext
from jobyard.services.edits.moves import move_of, write_job
from jobyard.services.edits.work_files import KEPT, root_of
from jobyard.store import edits

_ENDED = frozenset({EditState.PUBLISHED, EditState.COMPLETED, EditState.ABANDONED})
_PAGE = 1_000  # objects that S3 lists and deletes at once


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
    """Delete the objects of a folder, page by page, but attachments and process logs."""
    for keys in _pages(prefix, context):
        doomed = [key for key in keys if not any(f"/{each}/" in key for each in KEPT)]
        if doomed:
            context.s3.delete_objects(
                Bucket=context.settings.work_bucket,
                Delete={"Objects": [{"Key": key} for key in doomed], "Quiet": True},
            )


def _pages(prefix: str, context: EditContext) -> Iterator[list[str]]:
    after = ""
    while True:
        found = context.s3.list_objects_v2(
            Bucket=context.settings.work_bucket, Prefix=prefix, StartAfter=after, MaxKeys=_PAGE
        )
        keys = [each["Key"] for each in found.get("Contents", ())]
        if not keys:
            return
        yield keys
        after = keys[-1]
