"""Uploads: what a worker changed, read from a file against the package that they were given."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any

from jobyard.domain.datasets.change_file import MAX_CHANGES
from jobyard.domain.datasets.changes import FeatureChange, change_of, in_order
from jobyard.domain.datasets.feature import Feature, is_id
from jobyard.domain.datasets.geojson import FeatureReader
from jobyard.domain.datasets.geojson_checks import FeatureFinding, GeoJsonCheck
from jobyard.domain.errors import BadRequest
from jobyard.domain.manifests.findings import FindingCheck, quoted_all
from jobyard.domain.plurals import plural

FEW_DELETIONS = 10  # that a whole upload may leave out without a confirmation, or a tenth
_OTHER_MEMBERS = ("deleted", "choices")  # members of the collection, next to its features
_MAX_FINDINGS = 1_000
# Of one file: all that a package may have to edit, and as many around them.
MAX_UPLOADED_FEATURES = 2 * MAX_CHANGES


class UploadKind(StrEnum):
    """What an uploaded file has: the changed features, or all that the package had to edit."""

    CHANGES = "changes"
    WHOLE = "whole"


class Choice(StrEnum):
    """How a worker decides a conflict without a value made by hand."""

    MINE = "mine"
    THEIRS = "theirs"
    RENUMBER = "renumber"  # both inserted it: both stay, and mine gets another id


class UploadCheck(FindingCheck):
    """A check of an upload, by the code of its findings. After an error nothing is stored."""

    DELETED_BAD = "DELETED_BAD", "error", "`deleted` is not a list of ids, or names a feature kept."
    DELETED_UNKNOWN = "DELETED_UNKNOWN", "error", "A deleted feature is not in the package."
    DELETIONS_UNCONFIRMED = (
        "DELETIONS_UNCONFIRMED",
        "error",
        "A whole upload leaves out many features, and does not say how many it deletes.",
    )
    CONTEXT_CHANGED = "CONTEXT_CHANGED", "error", "A feature of the context is changed."
    OUTSIDE_PACKAGE = (
        "OUTSIDE_PACKAGE",
        "error",
        "A feature of the dataset is changed, or inserted again, that is not in the package.",
    )
    TOO_MANY_CHANGES = (
        "TOO_MANY_CHANGES",
        "error",
        f"More than {MAX_CHANGES:,} features are changed, or {2 * MAX_CHANGES:,} are in the file.",
    )
    CHOICE_BAD = (
        "CHOICE_BAD",
        "error",
        "A choice for a conflict is not `mine`, `theirs`, or `renumber` for what both inserted.",
    )
    CONFLICT_OPEN = "CONFLICT_OPEN", "error", "A conflict is not decided."
    PROPERTY_DROPPED = (
        "PROPERTY_DROPPED",
        "warning",
        "A property is missing that the feature had; null would have kept it.",
    )
    HEIGHTS_DROPPED = "HEIGHTS_DROPPED", "warning", "Positions had heights, and have none now."


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded file as it was read. `findings` are those of the file, in its order.

    `given_ids` are the ids that features without one got, by their places: `line:column`.
    """

    features: Mapping[str, Feature]
    deleted: Sequence[str]
    choices: Mapping[str, str]
    findings: Sequence[FeatureFinding]
    given_ids: Mapping[str, str]

    @property
    def has_errors(self) -> bool:
        """Whether it cannot be used."""
        return any(each.level == "error" for each in self.findings)

    def ids_beyond(self, *known: Collection[str]) -> list[str]:
        """The ids of its features that are in none of `known`: they are new, or elsewhere."""
        return [each for each in self.features if not any(each in ids for ids in known)]


@dataclass(frozen=True, slots=True)
class PackageFeatures:
    """What a package gave to its worker.

    `context` are features that are read-only, `elsewhere` those ids of the upload that the dataset
    has and the package has not. `is_missing_null`: a property that is missing is null.
    """

    editable: Mapping[str, Feature]
    context: Mapping[str, Feature]
    elsewhere: Collection[str] = ()
    precision: int = 7
    is_missing_null: bool = False


@dataclass(frozen=True, slots=True)
class UploadedChanges:
    """The changes of an upload against its package, in the order of ids, and what was found."""

    changes: Sequence[FeatureChange]
    findings: Sequence[FeatureFinding]

    @property
    def has_errors(self) -> bool:
        """Whether nothing may be stored."""
        return any(each.level == "error" for each in self.findings)


def upload_digest(job_id: str, attempt: int, package_id: str, content_digest: str) -> str:
    """What makes an upload the same one again: 64 hexadecimal digits.

    `content_digest` is the SHA-256 of the file in hexadecimal.
    """
    return sha256(f"{job_id}\n{attempt}\n{package_id}\n{content_digest}".encode()).hexdigest()


def check_content(declared: str, actual: str) -> None:
    """Check that the stored file is the one that the worker's computer sent.

    Raises:
        BadRequest: it is another one, such as the beginning of it.
    """
    if declared.lower() != actual:
        message = f"the stored file has the SHA-256 {actual}, not {declared:.64}: upload it again"
        raise BadRequest(f"{message}; nothing was changed")


def read_upload(blocks: Iterable[bytes], precision: int) -> Upload:
    """Read an uploaded file of GeoJSON. Its findings say what is wrong with it."""
    reading = FeatureReader(blocks, precision, keep=_OTHER_MEMBERS)
    features: dict[str, Feature] = {}
    findings: list[FeatureFinding] = []
    given: dict[str, str] = {}
    for found, found_findings in reading:
        features.update({each.feature_id: each for each in found})
        for finding in found_findings:
            if finding.code == GeoJsonCheck.ID_MISSING:
                given[f"{finding.line}:{finding.column}"] = finding.feature_id
            if len(findings) < _MAX_FINDINGS or finding.level == "error":
                findings.append(finding)
        if len(findings) >= 2 * _MAX_FINDINGS:
            break
        if len(features) > MAX_UPLOADED_FEATURES:
            findings.append(_too_many(f"the file has more than {MAX_UPLOADED_FEATURES:,} features"))
            break
    deleted = _ids_in(reading.members.get("deleted", []))
    if deleted is None:
        message = "deleted: a list of ids, each a text or a whole number"
        findings.append(upload_finding(UploadCheck.DELETED_BAD, "", message))
    elif len(deleted) > MAX_CHANGES:
        findings.append(_too_many(f"deleted: more than {MAX_CHANGES:,} ids"))
    choices = reading.members.get("choices", {})
    if not _are_choices(choices):
        message = 'choices: an object with "mine", "theirs" or "renumber" for each id'
        findings.append(upload_finding(UploadCheck.CHOICE_BAD, "", message))
        choices = {}
    return Upload(features, deleted or [], choices, findings, given)


def _are_choices(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        is_id(name) and isinstance(chosen, str) and chosen in set(Choice)
        for name, chosen in value.items()
    )


def _ids_in(value: Any) -> list[str] | None:
    """The ids of a list, once each; None if it is none. 1 and "1" are the same."""
    if not isinstance(value, list):
        return None
    ids: dict[str, None] = {}
    for each in value:
        if isinstance(each, float) and each.is_integer():
            each = int(each)
        if isinstance(each, bool) or not isinstance(each, str | int) or not is_id(str(each)):
            return None
        ids[str(each)] = None
    return [*ids]


def uploaded_changes(
    upload: Upload, kind: UploadKind, package: PackageFeatures, deleting: int | None = None
) -> UploadedChanges:
    """The changes of an upload against its package.

    `deleting` is how many features the worker says a whole upload deletes, None if they do not say.
    """
    findings = _misplaced(upload, package)
    deleted = set(upload.deleted)
    if kind is UploadKind.WHOLE:
        left_out = package.editable.keys() - upload.features.keys()
        findings += _unconfirmed(len(left_out | deleted), len(package.editable), deleting)
        deleted |= left_out
    changes: list[FeatureChange] = []
    for feature_id in in_order((upload.features.keys() | deleted) - package.context.keys()):
        before = package.editable.get(feature_id)
        after = None if feature_id in deleted else upload.features.get(feature_id)
        if package.is_missing_null and before is not None and after is not None:
            after = _with_nulls(before, after)
        change = change_of(feature_id, before, after, package.precision)
        if change:
            changes.append(change)
            findings += _dropped(change)
    if len(changes) > MAX_CHANGES:
        findings.append(_too_many(f"it changes more than {MAX_CHANGES:,} features"))
    return UploadedChanges(changes, findings)


def _too_many(message: str) -> FeatureFinding:
    return upload_finding(UploadCheck.TOO_MANY_CHANGES, "", f"{message}: split the work")


def _misplaced(upload: Upload, package: PackageFeatures) -> list[FeatureFinding]:
    """Findings about features that the worker may not change."""
    findings: list[FeatureFinding] = []
    for each in upload.deleted:
        if each in package.context:
            message = "it is context, and read-only: it cannot be deleted"
            findings.append(upload_finding(UploadCheck.CONTEXT_CHANGED, each, message))
        elif each not in package.editable:
            message = "it is deleted, but it is not in the package"
            findings.append(upload_finding(UploadCheck.DELETED_UNKNOWN, each, message))
        if each in upload.features:
            message = "it is in `deleted` and among the features"
            findings.append(upload_finding(UploadCheck.DELETED_BAD, each, message))
    for each, feature in upload.features.items():
        context = package.context.get(each)
        if context is not None and change_of(each, context, feature, package.precision):
            message = "it is context, and read-only: leave it as it is, or out"
            findings.append(upload_finding(UploadCheck.CONTEXT_CHANGED, each, message))
        elif context is None and each not in package.editable and each in package.elsewhere:
            message = "the dataset has a feature of this id outside the package: give another id"
            findings.append(upload_finding(UploadCheck.OUTSIDE_PACKAGE, each, message))
    return findings


def _unconfirmed(deletions: int, editable: int, deleting: int | None) -> list[FeatureFinding]:
    """A finding if a whole upload leaves out more than a few features without the right number."""
    if deleting == deletions:
        return []
    is_few = deletions <= max(FEW_DELETIONS, editable // 10)
    if deleting is None and is_few:
        return []
    said = "" if deleting is None else f", not {deleting}"
    message = f"it deletes {deletions} of {plural(editable, 'feature')}{said}: "
    message += f"if that is meant, say so (deleting {deletions}); else upload all, or `changes`"
    return [upload_finding(UploadCheck.DELETIONS_UNCONFIRMED, "", message)]


def _with_nulls(before: Feature, after: Feature) -> Feature:
    """A feature with null for what it had before and does not have now."""
    missing = {name: None for name in before.properties if name not in after.properties}
    if not missing:
        return after
    return Feature(after.feature_id, after.geometry, {**after.properties, **missing})


def _dropped(change: FeatureChange) -> list[FeatureFinding]:
    found: list[FeatureFinding] = []
    if change.dropped_properties:
        names = quoted_all(change.dropped_properties)
        message = f"it had {names} before, which null would have kept"
        found.append(upload_finding(UploadCheck.PROPERTY_DROPPED, change.feature_id, message))
    if change.drops_heights:
        message = "its positions had heights, and have none now"
        found.append(upload_finding(UploadCheck.HEIGHTS_DROPPED, change.feature_id, message))
    return found


def upload_finding(check: UploadCheck, feature_id: str, message: str) -> FeatureFinding:
    """A finding about a feature of an upload; about the whole upload if `feature_id` is ""."""
    return FeatureFinding(check.level, check.value, 0, 0, message, feature_id)
