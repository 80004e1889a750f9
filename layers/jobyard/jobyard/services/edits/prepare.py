"""Prepares what a worker or a reviewer needs: the package of an edit job or of a child."""

from collections.abc import Mapping, Sequence
from typing import Any

from jobyard.domain.datasets.change_file import MAX_CHANGES
from jobyard.domain.datasets.changes import FeatureChange
from jobyard.domain.datasets.dataset import Dataset
from jobyard.domain.datasets.extent import Boxes, Extent, boxes_around, boxes_of, extent_around
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.edits.attachment import AttachmentState
from jobyard.domain.edits.child import ChildJob, FailureType
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.domain.edits.fixup import FixupState
from jobyard.domain.edits.settings import EditSettings
from jobyard.domain.edits.upload import Choice
from jobyard.domain.errors import BadRequest
from jobyard.services.datasets.readers import RevisionReader
from jobyard.services.edits.context import EditContext
from jobyard.services.edits.moves import (
    move_of,
    move_with_child,
    write_child,
    write_job,
)
from jobyard.services.edits.packages import PackageContents, write_package
from jobyard.services.edits.settings import settings_for
from jobyard.services.edits.work_files import read_change_set, read_json
from jobyard.services.edits.workspaces import Changes, applied, conflicts_of, edits_of_reviewer
from jobyard.store import datasets, edits

MAX_CONTEXT = 50_000  # features around those to edit


def prepare(job_id: str, context: EditContext) -> None:
    """Write the package of a job, and move the job on. It does nothing if the job does not wait for
    it any more.

    Raises:
        BadRequest: the extent has too many features.
        StaleState: somebody changed the job meanwhile; the next try finds out what is to be done.
    """
    job = edits.find(job_id)
    if isinstance(job, ChildJob):
        if job.state == FixupState.ACTIVATED:
            _prepare_child(job, context)
    elif job is not None and _needs_package(job):
        _prepare_edit(job, context)


def _needs_package(job: EditJob) -> bool:
    is_rebuild = job.state is EditState.QUARANTINED and job.is_discarded
    return job.state is EditState.ACTIVATED or is_rebuild


def _prepare_edit(job: EditJob, context: EditContext) -> None:
    dataset = datasets.get(job.dataset)
    settings = settings_for(dataset, job.edit_type)
    included = read_change_set(job.workspace, dataset.precision, context.datasets)
    contents = _contents(job, dataset, settings, included, context)
    package = write_package(job, job, contents, dataset, context.datasets)
    if job.state is EditState.ACTIVATED and settings.embargo:
        team = settings.reviewers or job.team
        review = FailureType.EMBARGO_REVIEW
        move_with_child(job, "embargo", review, team, context, package=package)
        return
    move = move_of(job, "prepare", context)
    write_job(job, job.moved(move, package=package, is_discarded=False), context)


def _contents(
    job: EditJob,
    dataset: Dataset,
    settings: EditSettings,
    included: Changes,
    context: EditContext,
    **more: Any,
) -> PackageContents:
    """What the package of a job has: the features in its extent with the changes in its workspace,
    and what is around them.
    """
    reader = RevisionReader(dataset, job.base_revision, context.datasets)
    editable = _features_in(reader, job.extent)
    if settings.grow_extent and not job.extent.feature_ids:
        editable = _features_in(reader, _grown(job.extent, editable))
    around = tuple(
        grown for box in _boxes_around(job.extent, editable) for grown in box.grown(job.buffer)
    )
    changed = applied(editable, included)
    surroundings: dict[str, Feature] = {}
    for each in reader.features_near(around):
        if each.feature_id not in editable and each.feature_id not in included:
            surroundings[each.feature_id] = each
        if len(surroundings) > MAX_CONTEXT:
            message = f"there are more than {MAX_CONTEXT:,} features around the extent"
            raise BadRequest(f"{message}: propose a smaller extent or buffer")
    attachments = [each for each in job.attachments if each.state is AttachmentState.UPLOADED]
    return PackageContents(
        changed, surroundings, [*included.values()], attachments=attachments, **more
    )


def _features_in(reader: RevisionReader, extent: Extent) -> dict[str, Feature]:
    found: dict[str, Feature] = {}
    for each in reader.features_in(extent):
        found[each.feature_id] = each
        if len(found) > MAX_CHANGES:
            message = f"the extent has more than {MAX_CHANGES:,} features"
            raise BadRequest(f"{message}: propose several jobs with smaller ones")
    return found


def _grown(extent: Extent, features: Mapping[str, Feature]) -> Extent:
    """The extent, grown to hold its features as a whole."""
    boxes = (box for each in features.values() for box in boxes_of(each.geometry))
    return extent_around(boxes_around((*extent.area, *boxes)))


def _boxes_around(extent: Extent, features: Mapping[str, Feature]) -> Boxes:
    """The boxes of an extent; of one that lists features, those around them."""
    if extent.area:
        return extent.area
    return boxes_around(box for each in features.values() for box in boxes_of(each.geometry))


def _prepare_child(child: ChildJob, context: EditContext) -> None:
    parent = edits.get(child.parent_id)
    package = (
        parent.package
        if child.failure_type is FailureType.EMBARGO_REVIEW
        else write_package(
            child, parent, *_contents_of_child(child, parent, context), context.datasets
        )
    )
    write_child(child, child.moved(move_of(child, "prepare", context), package=package))


def _contents_of_child(
    child: ChildJob, parent: EditJob, context: EditContext
) -> tuple[PackageContents, Dataset]:
    dataset = datasets.get(child.dataset)
    findings = read_json(child.findings, context.datasets) if child.findings else None
    if child.failure_type is FailureType.CONFLICT:
        return _contents_of_conflicts(child, dataset, findings, context), dataset
    included = read_change_set(child.subject, dataset.precision, context.datasets)
    changed: Sequence[FeatureChange] = [*included.values()]
    if child.failure_type is FailureType.QUARANTINE_CORRECTIONS:
        theirs = edits_of_reviewer(findings, dataset.precision, context.datasets)
        included = {**included, **theirs}
    settings = settings_for(dataset, parent.edit_type)
    contents = _contents(
        parent, dataset, settings, included, context, findings=findings, changed=changed
    )
    return contents, dataset


def _contents_of_conflicts(
    child: ChildJob, dataset: Dataset, findings: Any, context: EditContext
) -> PackageContents:
    """The features in conflict, as they would be with all that is mine."""
    conflicts = conflicts_of(child, context.datasets)
    mine = (each.as_chosen(Choice.MINE, dataset.precision) for each in conflicts)
    editable = {each.feature_id: each for each in mine if each is not None}
    return PackageContents(editable, {}, findings=findings)
