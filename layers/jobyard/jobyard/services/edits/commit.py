"""Commits the changes of an edit job that were checked at the head of their dataset."""

from collections.abc import Iterable
from dataclasses import dataclass

from jobyard.domain.datasets.changes import FeatureChange
from jobyard.domain.datasets.commit import Author, CommitOrigin
from jobyard.domain.datasets.dataset import HeadMoved
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.domain.errors import StaleState
from jobyard.services.datasets.commit import commit
from jobyard.services.edits.context import EditContext
from jobyard.services.edits.moves import move_of, write_job
from jobyard.services.edits.reconcile import reconcile, workspace_of
from jobyard.services.edits.settings import settings_for
from jobyard.store import datasets, edits


@dataclass(frozen=True)
class ReadyCommit:
    """Changes that may be committed: those with this digest, at this revision."""

    edit_id: str
    revision: int
    digest: str


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
    workspace = workspace_of(job, dataset, context)
    changes: Iterable[FeatureChange] = workspace.values()
    if ready.revision != job.base_revision:  # else they were checked as they are
        settings = settings_for(dataset, job.edit_type)
        reconciled = reconcile(workspace, dataset, ready.revision, settings, context)
        if reconciled.conflicts:  # the check found none: the settings have changed since
            return False
        changes = reconciled.merged.changes
    try:
        revision = commit(job.dataset, ready.revision, changes, _origin_of(job), context.datasets)
    except HeadMoved:
        return False
    write_job(job, job.moved(move_of(job, "commit", context), revision=revision), context)
    return True


def _origin_of(job: EditJob) -> CommitOrigin:
    authors = tuple(Author(each.sub, each.name) for each in job.authors)
    return CommitOrigin(job.edit_id, job.attempt, authors, job.upload_comment)
