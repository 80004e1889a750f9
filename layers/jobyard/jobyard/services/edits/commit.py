"""Commits the changes of an edit job that were checked at the head of their dataset."""

from dataclasses import dataclass

from jobyard.domain.datasets.commit import Author, CommitOrigin
from jobyard.domain.datasets.dataset import HeadMoved
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.domain.errors import StaleState
from jobyard.services.datasets.commit import commit
from jobyard.services.edits.context import EditContext
from jobyard.services.edits.moves import move_of, write_job
from jobyard.services.edits.work_files import read_changes
from jobyard.store import datasets, edits


@dataclass(frozen=True)
class ReadyCommit:
    """Changes that may be committed at a revision: those of a workspace with this digest, as they
    were merged, in the file `merged`; "" if nothing else became live, so that they are as they
    were. They were checked by the rules and settings in `version` of the dataset.
    """

    edit_id: str
    revision: int
    digest: str
    merged: str = ""
    version: int = 0


def commit_changes(ready: ReadyCommit, context: EditContext) -> bool:
    """Commit what was checked, all or nothing. Returns whether it is live now; False if another
    commit came first or the settings changed, so that it has to be checked again.

    Raises:
        StaleState: somebody changed the job meanwhile.
    """
    job = edits.get(ready.edit_id)
    if job.state is not EditState.UPLOADED:
        return job.state in {EditState.COMMITTED, EditState.PUBLISHED, EditState.COMPLETED}
    if (job.workspace.digest if job.workspace else "") != ready.digest:
        raise StaleState(f"the changes of {job.edit_id} are not those that were checked")
    dataset = datasets.get(job.dataset)
    if dataset.version != ready.version:
        return False
    key = ready.merged or (job.workspace.key if job.workspace else "")
    changes = read_changes(key, dataset.precision, context.datasets).values() if key else ()
    try:
        revision = commit(job.dataset, ready.revision, changes, _origin_of(job), context.datasets)
    except HeadMoved:
        return False
    write_job(job, job.moved(move_of(job, "commit", context), revision=revision), context)
    return True


def _origin_of(job: EditJob) -> CommitOrigin:
    authors = tuple(Author(each.sub, each.name) for each in job.authors)
    return CommitOrigin(job.edit_id, job.attempt, authors, job.upload_comment)
