"""What an edit job is about: changes, conflicts, failures of rules, a forecast, rescued uploads."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import Field, JsonValue

from api.schemas.datasets import GeoJsonFeature
from api.schemas.fields import NextCursor, Schema
from jobyard.domain.datasets.base_format import line_of_feature, to_json
from jobyard.domain.datasets.changes import ChangeKind, FeatureChange
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.edits.conflict import ConflictVersions
from jobyard.domain.edits.upload_report import MAX_GIVEN_IDS, MAX_LISTED_FINDINGS, UploadReport
from jobyard.domain.edits.work import UploadOutcome
from jobyard.domain.plurals import plural
from jobyard.services.queries import edit_details as queries
from jobyard.services.queries.datasets import RESPONSE_BYTES


def _feature(found: Feature | None, *, is_cut: bool) -> GeoJsonFeature | None:
    return GeoJsonFeature.of(found) if found and not is_cut else None


class EditedFeature(Schema):
    """A change of a feature, with the feature before and after."""

    id: str = Field(description="The feature's id.")
    op: ChangeKind = Field(description="`insert`, `update` or `delete`.")
    properties: list[str] = Field(
        description="The names of the properties that differ, and `geometry`."
    )
    before: GeoJsonFeature | None = Field(description="The feature before; null if it is new.")
    after: GeoJsonFeature | None = Field(description="The feature after; null if it is deleted.")
    is_cut: bool = Field(
        description="Whether the features are left out, because they are larger than a response. "
        "A package or an export has them."
    )

    @classmethod
    def all_of(cls, changes: Sequence[FeatureChange]) -> "list[EditedFeature]":
        """The changes of the domain, with the features of as many as a response takes."""
        items, size = [], 0
        for each in changes:
            size += sum(len(line_of_feature(side)) for side in (each.before, each.after) if side)
            is_cut = size > RESPONSE_BYTES
            items.append(
                cls(
                    id=each.feature_id,
                    op=each.kind,
                    properties=each.difference.names,
                    before=_feature(each.before, is_cut=is_cut),
                    after=_feature(each.after, is_cut=is_cut),
                    is_cut=is_cut,
                )
            )
        return items


class EditedFeatureList(Schema):
    """A page of the changes of an edit job, in the order of ids."""

    items: list[EditedFeature]
    total: int = Field(description="How many there are in all.")
    is_kept: bool = Field(description="Whether their file still exists.")
    next_cursor: NextCursor

    @classmethod
    def of(cls, found: queries.EditChanges, next_cursor: str | None) -> "EditedFeatureList":
        """The changes of a query."""
        return cls(
            items=EditedFeature.all_of(found.items),
            total=found.total,
            is_kept=found.is_kept,
            next_cursor=next_cursor,
        )


class OverlappingEdit(Schema):
    """Another open edit job on the same features."""

    id: str = Field(description="Its id.")
    name: str = Field(description="Its name.")
    state: str = Field(description="Its state.")
    worker: str = Field(description='Who has it; "" for nobody.')


class EditForecast(Schema):
    """What will have to be merged when the work comes back."""

    is_out: bool = Field(
        description="Whether a worker has the job checked out now, and the machine does not work "
        "on it."
    )
    base_revision: int = Field(description="The dataset's revision when it was activated.")
    revision: int = Field(description="The dataset's revision now.")
    changed: list[str] = Field(
        description="The ids of features in its extent that changed since then."
    )
    overlapping: list[OverlappingEdit] = Field(description="Other open edit jobs there.")
    is_complete: bool = Field(description="Whether all commits and edit jobs were checked.")
    summary: str = Field(description="The forecast in words.")

    @classmethod
    def of(cls, found: queries.Forecast | None) -> "EditForecast":
        """The forecast of a query."""
        if found is None:
            return cls(
                is_out=False,
                base_revision=0,
                revision=0,
                changed=[],
                overlapping=[],
                is_complete=True,
                summary="no worker has it checked out, or the machine works on it",
            )
        changed, others = len(found.changed), len(found.overlapping)
        verb = "overlaps" if others == 1 else "overlap"
        return cls(
            is_out=True,
            base_revision=found.base_revision,
            revision=found.revision,
            changed=[*found.changed],
            overlapping=[
                OverlappingEdit(
                    id=each.edit_id,
                    name=each.name,
                    state=each.state,
                    worker=each.worker.name if each.worker else "",
                )
                for each in found.overlapping
            ],
            is_complete=found.is_complete,
            summary=f"{changed} of your features changed in the dataset; "
            f"{plural(others, 'open edit job')} {verb}",
        )


def _as_many_as_fit(conflicts: Sequence[ConflictVersions]) -> list[dict[str, JsonValue]]:
    """The first conflicts, as many as a response takes. One that is larger by itself has no
    versions.
    """
    documents: list[dict[str, JsonValue]] = []
    size = 0
    for each in conflicts:
        document = {**each.document(), "is_cut": False}
        added = len(to_json(document))
        if added > RESPONSE_BYTES:
            document |= {**dict.fromkeys(("base", "mine", "theirs")), "is_cut": True}
            added = len(to_json(document))
        size += added
        if documents and size > RESPONSE_BYTES:
            break
        documents.append(document)
    return documents


class EditFindings(Schema):
    """What a child is about."""

    is_kept: bool = Field(
        description="Whether the file with its findings still exists; clean-up removes it."
    )
    report: dict[str, JsonValue] | None = Field(
        description="The report of a validation: `failures`, and `inherited` failures, which "
        "were there before and do not count. Null if it is about something else."
    )
    conflicts: list[dict[str, JsonValue]] = Field(
        description="The conflicts, each with the versions of its feature: base, mine and theirs. "
        "As many as a response takes; one that is larger by itself `is_cut`, and has no versions. "
        "`findings.json` in the package has all."
    )
    conflict_count: int = Field(description="How many conflicts there are, listed or not.")
    feedback: str = Field(description="What the reviewer said.")
    reviewer: str = Field(description="Who reviewed.")

    @classmethod
    def of(cls, found: queries.ChildFindings | None) -> "EditFindings":
        """The findings of a query."""
        kept = found or queries.ChildFindings()
        return cls(
            is_kept=found is not None,
            report=dict(kept.report.document()) if kept.report else None,
            conflicts=_as_many_as_fit(kept.conflicts),
            conflict_count=len(kept.conflicts),
            feedback=kept.feedback,
            reviewer=kept.reviewer,
        )


class RescuedEdit(Schema):
    """An upload that came when its claim was over. It is kept for 7 days."""

    name: str = Field(
        description="Its name: the parameter `name` of `GET /api/edits/{id}/rescued/diff`."
    )
    attempt: int = Field(description="The attempt that it was for.")
    filename: str = Field(description="The name of the file.")
    size: int = Field(description="Its bytes.")
    at: datetime = Field(description="When it was uploaded.")

    @classmethod
    def of(cls, found: queries.RescuedUpload) -> "RescuedEdit":
        """The upload of a query."""
        name = "/".join(found.key.split("/")[3:])
        return cls(
            name=name,
            attempt=found.attempt,
            filename=found.filename,
            size=found.size,
            at=found.at,
        )


class RescuedEditList(Schema):
    """Rescued uploads, the latest first."""

    items: list[RescuedEdit]


class RescuedEditDiff(Schema):
    """How a rescued upload differs from the dataset as it is now."""

    upload: RescuedEdit
    url: str = Field(description="GET the file here, within 15 minutes; no token is needed.")
    changes: list[EditedFeature] = Field(description="What it would change.")
    same: int = Field(description="How many of its features are as the dataset has them.")
    is_complete: bool = Field(description="Whether all of it was compared.")


class UploadFinding(Schema):
    """What was found in an upload."""

    level: str = Field(description="`error`, `warning` or `information`.")
    code: str = Field(description="What it is, from the list in docs/datasets.md.")
    line: int = Field(description="The line, 0 if it is about no line.")
    column: int = Field(description="The column.")
    feature_id: str = Field(description="The feature, if it is about one.")
    message: str = Field(description="What was found.")


class UploadedEdits(Schema):
    """What became of the file that was uploaded last."""

    outcome: UploadOutcome = Field(
        description="`reading` until the machine has read the file, then `accepted` or `refused`. "
        "A refused file changes nothing; upload a corrected one."
    )
    problem: str = Field(description='Why it was refused; "" if it was not.')
    changes: int = Field(description="How many features it changes.")
    findings: list[UploadFinding] = Field(
        description=f"What was found in it, errors first: the first {MAX_LISTED_FINDINGS:,}."
    )
    found: int = Field(description="How many findings there are, listed or not.")
    new_ids: dict[str, str] = Field(
        description="The new ids of features, by the ids that they had, or by the places of those "
        f"that had none, as `line:column`: the first {MAX_GIVEN_IDS:,}."
    )

    @classmethod
    def of(cls, report: UploadReport) -> "UploadedEdits":
        """The report of the domain."""
        return cls(
            outcome=report.outcome,
            problem=report.problem,
            changes=report.changes,
            findings=[
                UploadFinding(
                    level=each.level,
                    code=each.code,
                    line=each.line,
                    column=each.column,
                    feature_id=each.feature_id,
                    message=each.message,
                )
                for each in report.findings
            ],
            found=report.found,
            new_ids=dict(report.new_ids or {}),
        )


class AttachmentDownload(Schema):
    """Where to download the file that a custodian sent."""

    url: str = Field(description="GET it; no token is needed.")
    filename: str = Field(description="What its custodian called it.")
    expires_s: int = Field(description="How many seconds the link is valid.")
