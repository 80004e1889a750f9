"""Merges what was uploaded to a fix-up into its edit job, which is checked again."""

from dataclasses import replace

from jobyard.domain.datasets.changes import change_of, in_order
from jobyard.domain.datasets.dataset import Dataset
from jobyard.domain.edits.child import ChildJob, FailureType
from jobyard.domain.edits.edit_job import EditJob
from jobyard.domain.edits.fixup import FixupState
from jobyard.domain.edits.work import Approval
from jobyard.domain.errors import StaleState
from jobyard.services.datasets.commit import roll_forward
from jobyard.services.edits.context import EditContext
from jobyard.services.edits.moves import move_of, write_child, write_job
from jobyard.services.edits.reconcile import reconcile, workspace_of
from jobyard.services.edits.settings import settings_for
from jobyard.services.edits.tasks import start_task
from jobyard.services.edits.validate_changes import problem_of, validate_changes
from jobyard.services.edits.work_files import (
    folder_of,
    read_change_set,
    read_json,
    write_changes,
    write_json,
)
from jobyard.services.edits.workspaces import Changes, composed, conflicts_of, edits_of_reviewer
from jobyard.store import edits
from jobyard.store.edits import ChildWrite


def merge_child(child_id: str, context: EditContext) -> EditJob | None:
    """Merge an uploaded fix-up into its edit job, and start a check of that. Returns the edit job;
    None if the fix-up was merged or given back already.

    Corrections that break a rule are given back at once: nobody would review them.

    Raises:
        StaleState: somebody changed one of them meanwhile.
    """
    child = edits.get_child(child_id)
    parent = edits.get(child.parent_id)
    if child.state != FixupState.UPLOADED:
        return None
    if parent.open_child != child_id:
        raise StaleState(f"{parent.edit_id} does not wait for {child_id} any more")
    dataset = roll_forward(parent.dataset, context.datasets)
    made = read_change_set(child.edits, dataset.precision, context.datasets)
    base_revision, approval = parent.base_revision, None
    if child.failure_type is FailureType.CONFLICT:
        changes, base_revision, approval = _resolved(parent, child, made, dataset, context)
    else:
        changes = _corrected(parent, child, made, dataset, context)
    if child.failure_type is FailureType.QUARANTINE_CORRECTIONS:
        problem = _problem_of(parent, child, changes, dataset, context)
        if problem:
            move = move_of(child, "revert", context, problem)
            write_child(child, child.moved(move, problem=problem, edits=None))
            return None
    ordered = [changes[each] for each in in_order(changes)]
    workspace = write_changes(
        parent, ordered, child.edits.source if child.edits else "", context.datasets
    )
    after = parent.moved(
        move_of(parent, "merge", context),
        workspace=workspace,
        base_revision=base_revision,
        approval=approval and replace(approval, digest=workspace.digest),
        authors=parent.with_author(child.worker) if child.worker else parent.authors,
        open_child="",
        checks=parent.checks + 1,
    )
    completed = child.moved(move_of(child, "complete", context))
    write_job(parent, after, context, ChildWrite(child, completed))
    start_task(after, context.executions)
    return after


def _problem_of(
    parent: EditJob, child: ChildJob, changes: Changes, dataset: Dataset, context: EditContext
) -> str:
    """Why corrections are invalid; "" if they are not. The whole report is written too."""
    settings = settings_for(dataset, parent.edit_type)
    reconciled = reconcile(changes, dataset, dataset.revision, settings, context)
    report = validate_changes(reconciled, dataset)
    problem = problem_of(report, settings)
    if problem:
        key = f"{folder_of(child)}/report-{child.version}.json"
        write_json(key, report.document(), context.datasets)
    return problem


def _corrected(
    parent: EditJob, child: ChildJob, made: Changes, dataset: Dataset, context: EditContext
) -> Changes:
    """The changes of a job with those of its fix-up, and of the reviewer who asked for it."""
    changes = workspace_of(parent, dataset, context)
    if child.failure_type is FailureType.QUARANTINE_CORRECTIONS and child.findings:
        feedback = read_json(child.findings, context.datasets)
        theirs = edits_of_reviewer(feedback, dataset.precision, context.datasets)
        changes = composed(changes, theirs, dataset.precision)
    return composed(changes, made, dataset.precision)


def _resolved(
    parent: EditJob, child: ChildJob, made: Changes, dataset: Dataset, context: EditContext
) -> tuple[Changes, int, Approval | None]:
    """The changes of a job against the revision that its conflicts are with: the merge, and what
    was decided. The approval stays if nobody made a value by hand.
    """
    revision: int = read_json(child.findings, context.datasets)["revision"]
    settings = settings_for(dataset, parent.edit_type)
    workspace = workspace_of(parent, dataset, context)
    merged = reconcile(workspace, dataset, revision, settings, context).merged
    changes = {each.feature_id: each for each in merged.changes}
    is_by_hand = False
    conflicts = conflicts_of(child, context.datasets)
    for conflict in conflicts:
        feature_id = conflict.feature_id
        decision = made.get(feature_id)
        after = conflict.theirs if decision is None else decision.after
        change = change_of(feature_id, conflict.theirs, after, dataset.precision)
        if change:
            changes[feature_id] = change
        is_by_hand |= not conflict.has_only_values_of(after, dataset.precision)
    # What is renumbered is inserted, with all that is mine.
    known = {each.feature_id for each in conflicts}
    changes |= {name: each for name, each in made.items() if name not in known}
    return changes, revision, None if is_by_hand else parent.approval
