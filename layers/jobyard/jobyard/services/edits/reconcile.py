"""Reconciles the changes of an edit job with what became live since its package was made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobyard.domain.datasets.changes import FeatureChange, change_of
from jobyard.domain.datasets.dataset import Dataset
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.edits.conflict import ConflictVersions
from jobyard.domain.edits.edit_job import EditJob
from jobyard.domain.edits.merge import Merge, merge
from jobyard.domain.edits.settings import EditSettings
from jobyard.domain.edits.upload import Choice
from jobyard.services.datasets.readers import RevisionReader
from jobyard.services.edits.context import EditContext
from jobyard.services.edits.work_files import read_change_set
from jobyard.services.edits.workspaces import Changes


@dataclass(frozen=True)
class Reconciled:
    """The changes of an edit job against a revision of its dataset.

    `theirs` are the changed features at the revision. `conflicts` are not among the changes of
    `merged`.
    """

    reader: RevisionReader
    merged: Merge
    theirs: Mapping[str, Feature]
    conflicts: Sequence[ConflictVersions]
    precision: int

    @property
    def candidate(self) -> dict[str, FeatureChange]:
        """The changes as they would be if all that is in conflict is mine: what is validated."""
        found = {each.feature_id: each for each in self.merged.changes}
        for each in self.conflicts:
            mine = each.as_chosen(Choice.MINE, self.precision)
            change = change_of(each.feature_id, each.theirs, mine, self.precision)
            if change:
                found[each.feature_id] = change
        return found


def workspace_of(job: EditJob, dataset: Dataset, context: EditContext) -> Changes:
    """The changes that a job wants to make, against the revision that its package is of."""
    return read_change_set(job.workspace, dataset.precision, context.datasets)


def reconcile(
    workspace: Changes,
    dataset: Dataset,
    revision: int,
    settings: EditSettings,
    context: EditContext,
) -> Reconciled:
    """Merge changes with what is live at a revision."""
    precision = dataset.precision
    reader = RevisionReader(dataset, revision, context.datasets)
    theirs = reader.features_at([*workspace])
    base = {name: each.before for name, each in workspace.items() if each.before is not None}
    mine = {name: each.after for name, each in workspace.items() if each.after is not None}
    merged = merge(base, mine, theirs, precision=precision, latest=settings.latest)
    conflicts = [
        ConflictVersions(each, *(of.get(each.feature_id) for of in (base, mine, theirs)))
        for each in merged.conflicts
    ]
    return Reconciled(reader, merged, theirs, conflicts, precision)
