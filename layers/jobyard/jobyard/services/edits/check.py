"""Checks the changes of an edit job, as they would be live, and decides what becomes of them.

Each check merges them with the head, validates the result, and leads to a child for what a person
has to do, or to a commit at that head.
"""

from typing import Any

from jobyard.domain.datasets.dataset import Dataset
from jobyard.domain.datasets.validation_report import ValidationReport
from jobyard.domain.edits.child import FailureType
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.domain.edits.settings import EditSettings
from jobyard.domain.plurals import plural
from jobyard.services.datasets.commit import committed_revision, roll_forward
from jobyard.services.edits.commit import ReadyCommit
from jobyard.services.edits.context import EditContext
from jobyard.services.edits.give_up import fail
from jobyard.services.edits.moves import move_of, move_with_child, write_job
from jobyard.services.edits.reconcile import Reconciled, reconcile, workspace_of
from jobyard.services.edits.settings import settings_for
from jobyard.services.edits.validate_changes import problem_of, validate_changes
from jobyard.services.edits.work_files import folder_of, write_changes, write_json
from jobyard.store import edits


def check(edit_id: str, context: EditContext) -> ReadyCommit | None:
    """Check the changes of a job. Returns what may be committed now; None if a person has to act,
    if the changes are committed already, or if the job does not wait for a check any more.

    Raises:
        StaleState: somebody changed the job meanwhile.
    """
    job = edits.get(edit_id)
    if job.state is not EditState.UPLOADED:
        return None
    dataset = roll_forward(job.dataset, context.datasets)
    made = committed_revision(
        job.dataset, edit_id, job.attempt, since=job.base_revision, context=context.datasets
    )
    if made is not None:
        write_job(job, job.moved(move_of(job, "commit", context), revision=made), context)
        return None
    settings = settings_for(dataset, job.edit_type)
    workspace = workspace_of(job, dataset, context)
    reconciled = reconcile(workspace, dataset, dataset.revision, settings, context)
    report = validate_changes(reconciled, dataset)
    problem = problem_of(report, settings)
    key = _store_report(job, dataset, report, reconciled, context)
    if problem:
        _require_fixes(job, FailureType.VALIDATION, "invalidate", problem, key, context)
    elif _needs_review(job, settings):
        team = settings.reviewers or job.team
        review = FailureType.QUARANTINE_REVIEW
        move_with_child(job, "quarantine", review, team, context, findings=key)
    elif reconciled.conflicts:
        conflicts = _store_conflicts(job, dataset, reconciled, context)
        problem = f"{plural(len(reconciled.conflicts), 'conflict')} with what is live by now"
        _require_fixes(job, FailureType.CONFLICT, "conflict", problem, conflicts, context)
    else:
        return _ready(job, dataset, reconciled, context)
    return None


def _ready(
    job: EditJob, dataset: Dataset, reconciled: Reconciled, context: EditContext
) -> ReadyCommit:
    """What may be committed: the changes as they were merged, unless that is what they are."""
    merged = ""
    if dataset.revision != job.base_revision:
        merged = write_changes(job, reconciled.merged.changes, "", context.datasets).key
    digest = job.workspace.digest if job.workspace else ""
    return ReadyCommit(job.edit_id, dataset.revision, digest, merged, dataset.version)


def _needs_review(job: EditJob, settings: EditSettings) -> bool:
    """Whether a person has to review the changes: an approval holds for its change set only."""
    is_on = settings.quarantine if job.quarantine is None else job.quarantine
    if not is_on or job.workspace is None or not job.workspace.count:
        return False
    return job.approval is None or job.approval.digest != job.workspace.digest


def _require_fixes(
    job: EditJob,
    failure_type: FailureType,
    event: str,
    problem: str,
    findings: str,
    context: EditContext,
) -> None:
    """Make a child for the worker of a job. Where a function edits there is none: the job fails."""
    if job.is_batch:
        fail(job, f"{failure_type}: {problem}", context, findings)
        return
    move_with_child(job, event, failure_type, job.team, context, findings=findings, problem=problem)


def _store_report(
    job: EditJob,
    dataset: Dataset,
    report: ValidationReport,
    reconciled: Reconciled,
    context: EditContext,
) -> str:
    """Write the report of a check; returns its key. A repeat at a later head writes it again."""
    document = {
        **report.document(),
        "revision": dataset.revision,
        "conflicts": [each.conflict.document() for each in reconciled.conflicts],
        "resolutions": [each.document() for each in reconciled.merged.resolutions],
    }
    return write_json(_key(job, "report"), document, context.datasets)


def _store_conflicts(
    job: EditJob, dataset: Dataset, reconciled: Reconciled, context: EditContext
) -> str:
    conflicts: list[dict[str, Any]] = [each.document() for each in reconciled.conflicts]
    document = {"revision": dataset.revision, "conflicts": conflicts}
    key = f"{_key(job, 'conflicts').removesuffix('.json')}-{dataset.revision}.json"
    return write_json(key, document, context.datasets)


def _key(job: EditJob, what: str) -> str:
    return f"{folder_of(job)}/{what}-{job.checks}.json"
