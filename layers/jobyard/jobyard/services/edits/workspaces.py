"""Workspaces: the changes that an edit job wants to make, composed of what people uploaded."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from jobyard.domain.datasets.changes import FeatureChange, change_of, in_order
from jobyard.domain.datasets.dataset import Dataset
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.datasets.geojson_checks import FeatureFinding
from jobyard.domain.edits.child import ChildJob, FailureType
from jobyard.domain.edits.conflict import ConflictVersions, conflict_from, decided
from jobyard.domain.edits.new_ids import new_ids_for
from jobyard.domain.edits.package import CHANGES_FILE, FEATURES_FILE, uploaded_blocks
from jobyard.domain.edits.upload import (
    Choice,
    Upload,
    UploadedChanges,
    UploadKind,
    read_upload,
    uploaded_changes,
)
from jobyard.domain.edits.work import ChangeSet
from jobyard.domain.errors import BadRequest, InvalidTransition
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.datasets.readers import RevisionReader
from jobyard.services.edits.packages import IncludedChanges, read_contents
from jobyard.services.edits.work_files import read_change_set, read_json, write_changes
from jobyard.services.settings import Settings
from jobyard.store import datasets, edits
from jobyard.store.edits import Job

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Changes = Mapping[str, FeatureChange]
_MAX_LISTED_FINDINGS = 10  # findings in the message of a refusal


@dataclass(frozen=True)
class UploadedFile:
    """A file that a worker uploaded. `deleting` is how many features they say that it deletes, None
    if they do not. `digest` is its SHA-256 in hexadecimal.
    """

    body: bytes
    kind: UploadKind
    deleting: int | None
    digest: str


@dataclass(frozen=True)
class WrittenWorkspace:
    """The changes of an upload as they were written, with what was found: warnings only.

    `new_ids` are the ids that features got, by the ids that they had or by the places of those that
    had none, as `line:column`.
    """

    changes: ChangeSet
    findings: Sequence[FeatureFinding]
    new_ids: Mapping[str, str]


class InvalidUpload(BadRequest):
    """An upload was refused, and nothing was changed. `findings` say where and why."""

    def __init__(self, findings: Sequence[FeatureFinding]) -> None:
        errors = [each for each in findings if each.level == "error"]
        shown = "; ".join(
            f"{_place_of(each)}{each.message} ({each.code})"
            for each in errors[:_MAX_LISTED_FINDINGS]
        )
        more = (
            f"; and {len(errors) - _MAX_LISTED_FINDINGS} more"
            if len(errors) > _MAX_LISTED_FINDINGS
            else ""
        )
        super().__init__(f"nothing was changed: {shown}{more}")
        self.findings = tuple(findings)


def _place_of(finding: FeatureFinding) -> str:
    if finding.line:
        return f"{finding.position}: "
    return f"feature {finding.feature_id}: " if finding.feature_id else ""


class WorkspaceContext(Protocol):
    """What writing a workspace needs of the context of a command."""

    @property
    def settings(self) -> Settings:
        """The deployment."""

    @property
    def s3(self) -> "S3Client":
        """The client of S3."""

    @property
    def now(self) -> Callable[[], datetime]:
        """The clock."""


def write_workspace(job: Job, upload: UploadedFile, context: WorkspaceContext) -> WrittenWorkspace:
    """Write what an upload changes in the package of a job. No table is written.

    A repeat of the same upload writes the same.

    Raises:
        InvalidUpload: the file has errors, or changes what it may not.
        BadRequest: the zip is damaged or hostile.
        InvalidTransition: the job has no package.
    """
    if job.package is None:
        raise InvalidTransition("the job has no package now, so there is nothing to upload to")
    files = DatasetContext(context.settings, context.s3, context.now)
    dataset = datasets.get(job.dataset)
    wanted = CHANGES_FILE if upload.kind is UploadKind.CHANGES else FEATURES_FILE
    read = read_upload(uploaded_blocks(io.BytesIO(upload.body), wanted), dataset.precision)
    if read.has_errors:
        raise InvalidUpload(read.findings)
    new_ids = dict(read.given_ids)
    if isinstance(job, ChildJob) and job.failure_type is FailureType.CONFLICT:
        conflicts = conflicts_of(job, files)
        new_ids |= _renumbered_ids(job, conflicts, read, dataset, files)
        result = decided(conflicts, read, dataset.precision, new_ids)
        changes = {each.feature_id: each for each in result.changes}
    else:
        contents = read_contents(job.package, dataset.precision, files)
        unknown = read.ids_beyond(contents.editable, contents.context)
        revision = (
            edits.get(job.parent_id).base_revision
            if isinstance(job, ChildJob)
            else job.base_revision
        )
        elsewhere = RevisionReader(dataset, revision, files).features_at(unknown)
        result = uploaded_changes(
            read, upload.kind, contents.features(elsewhere, dataset), upload.deleting
        )
        changes = _with_included(job, contents, result, dataset.precision)
    if result.has_errors:
        raise InvalidUpload(result.findings)
    ordered = [changes[each] for each in in_order(changes)]
    written = write_changes(job, ordered, upload.digest, files)
    return WrittenWorkspace(written, (*read.findings, *result.findings), new_ids)


def _renumbered_ids(
    child: ChildJob,
    conflicts: Sequence[ConflictVersions],
    read: Upload,
    dataset: Dataset,
    files: DatasetContext,
) -> dict[str, str]:
    """New ids for the features that the worker of a CONFLICT child has renumbered."""
    renumbered = [
        each.feature_id
        for each in conflicts
        if read.choices.get(each.feature_id) == Choice.RENUMBER and Choice.RENUMBER in each.choices
    ]
    if not renumbered:
        return {}
    mine = read_change_set(child.subject, dataset.precision, files)
    reader = RevisionReader(dataset, dataset.revision, files)
    return new_ids_for(renumbered, mine.keys(), reader.features_at)


def _with_included(
    job: Job, contents: IncludedChanges, result: UploadedChanges, precision: int
) -> dict[str, FeatureChange]:
    """The changes of a job against the dataset: those that its package had already, too.

    The edits of a child stay apart: they are merged when they are checked.
    """
    changes = {each.feature_id: each for each in result.changes}
    if isinstance(job, ChildJob):
        return changes
    return composed(contents.included, changes, precision)


def composed(first: Changes, second: Changes, precision: int) -> dict[str, FeatureChange]:
    """The changes that two sets make one after the other. What is undone is left out."""
    result = dict(first)
    for feature_id, later in second.items():
        before = first[feature_id].before if feature_id in first else later.before
        change = change_of(feature_id, before, later.after, precision)
        if change:
            result[feature_id] = change
        else:
            result.pop(feature_id, None)
    return result


def applied(features: Mapping[str, Feature], changes: Changes) -> dict[str, Feature]:
    """Features with changes made."""
    result = dict(features)
    for feature_id, change in changes.items():
        if change.after is None:
            result.pop(feature_id, None)
        else:
            result[feature_id] = change.after
    return result


def conflicts_of(child: ChildJob, context: DatasetContext) -> list[ConflictVersions]:
    """The conflicts that a CONFLICT child is about."""
    return [conflict_from(each) for each in read_json(child.findings, context)["conflicts"]]


def edits_of_reviewer(
    feedback: Mapping[str, Any] | None, precision: int, context: DatasetContext
) -> Changes:
    """What a reviewer changed in what they reviewed, by their feedback: a child for corrections has
    it already.
    """
    stored = feedback["edits"] if feedback else None
    return read_change_set(ChangeSet(*stored) if stored else None, precision, context)
