"""Datasets, their revisions, changes and features."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, JsonValue, StrictInt, WithJsonSchema

from api.context import RequestContext
from api.schemas.fields import Filename, Links, NextCursor, Reason, Schema
from api.schemas.uploads import Upload
from jobyard.domain.datasets import commit as domain_commit
from jobyard.domain.datasets import dataset as domain
from jobyard.domain.datasets import feature as domain_feature
from jobyard.domain.datasets.changes import ChangeKind
from jobyard.domain.datasets.dataset import TITLE_BYTES
from jobyard.domain.datasets.export import ExportRequest, ExportState
from jobyard.domain.datasets.extent import Boxes, Extent, parse_extent
from jobyard.domain.datasets.geometry import DEFAULT_PRECISION, MAX_PRECISION
from jobyard.domain.datasets.load import LoadRequest, LoadResult, LoadState
from jobyard.domain.ids import NAME_PATTERN
from jobyard.services.queries import datasets as queries

if TYPE_CHECKING:
    from jobyard.services.datasets.commands import DatasetEdit, NewDataset

_BOX = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}
BoxList = Annotated[list[list[float]], WithJsonSchema({"type": "array", "items": _BOX})]
_BOXES = (
    "The smallest boxes around it, as [west, south, east, north] in degrees: none, one, or two "
)
_BOXES += "if it crosses the antimeridian."
_REVISION = "The revision: 1 is what was loaded, each commit makes the next."
_OP = "What happened to the feature: `insert`, `update` or `delete`."
_PROPERTIES = "The names of the properties that differ, and `geometry`."


def _listed(boxes: Boxes) -> list[list[float]]:
    return [[*each] for each in boxes]


class DatasetSummary(Schema):
    """A dataset in a list."""

    name: str = Field(description="Its name.")
    title: str = Field(description="Its title for people.")
    revision: int = Field(description=_REVISION)
    features: int = Field(description="The number of its features.")
    created_at: datetime = Field(description="When it was loaded.")
    created_by: str = Field(description="Who loaded it.")
    links: Links

    @classmethod
    def of(cls, found: domain.Dataset, request: RequestContext) -> "DatasetSummary":
        """A dataset as it is stored."""
        return cls(**_summary(found, request))


def _summary(found: domain.Dataset, request: RequestContext) -> dict[str, Any]:
    own = request.link(f"datasets/{found.name}")
    return {
        "name": found.name,
        "title": found.title,
        "revision": found.revision,
        "features": found.features,
        "created_at": found.created_at,
        "created_by": found.created_by,
        "links": {"self": own, **{part: f"{own}/{part}" for part in ("commits", "changes")}},
    }


class Dataset(DatasetSummary):
    """A dataset: features that people edit."""

    boxes: BoxList = Field(description=_BOXES)
    precision: int = Field(
        description="The decimals of a degree at which two positions are the same."
    )
    missing_is_null: bool = Field(
        description="Whether a property that an upload lacks counts as null."
    )
    rules: list[dict[str, JsonValue]] = Field(
        description="The rules that its features follow. docs/datasets.md explains them."
    )
    rules_version: str = Field(description="The digest of the rules; empty without any.")
    version: int = Field(description="The number of changes of its title, rules and settings.")
    is_committing: bool = Field(
        description="Whether a commit is decided that will be finished in a moment."
    )

    @classmethod
    def of(cls, found: domain.Dataset, request: RequestContext) -> "Dataset":
        """A dataset as it is stored."""
        return cls(
            **_summary(found, request),
            boxes=_listed(found.boxes),
            precision=found.precision,
            missing_is_null=found.missing_is_null,
            rules=[dict(each) for each in found.rules],
            rules_version=found.rules_version,
            version=found.version,
            is_committing=found.pending is not None,
        )


class DatasetList(Schema):
    """A page of datasets, by name."""

    items: list[DatasetSummary]
    next_cursor: NextCursor


class DatasetUploadRequest(Schema, extra="forbid"):
    """A file of a dataset to upload."""

    filename: Filename = Field(description="The file's name.", examples=["roads.geojson.gz"])


class DatasetUpload(Schema):
    """Where to upload a file of a dataset."""

    file: str = Field(description="Load the dataset from this `file`.")
    upload: Upload = Field(description="Where to upload the file.")


class DatasetRequest(Schema, extra="forbid"):
    """A dataset to load."""

    name: str = Field(
        description="Its name: letters, digits, dots, hyphens and underscores.",
        json_schema_extra={"pattern": f"^{NAME_PATTERN}$"},
        examples=["roads"],
        max_length=64,
    )
    file: str = Field(
        description="The `file` of POST /api/datasets/uploads, after the upload.", max_length=1024
    )
    title: str = Field(default="", max_length=TITLE_BYTES, description="Its title for people.")
    precision: StrictInt = Field(
        default=DEFAULT_PRECISION,
        ge=0,
        le=MAX_PRECISION,
        description="The decimals of a degree at which two positions are the same.",
    )
    missing_is_null: bool = Field(
        default=False, description="Whether a property that an upload lacks counts as null."
    )

    def new_dataset(self) -> "NewDataset":
        """The request of the service."""
        from jobyard.services.datasets.commands import NewDataset

        return NewDataset(**self.model_dump())


class Load(Schema):
    """The load of a dataset."""

    load_id: str = Field(description="Its id.")
    state: LoadState = Field(description="How far it is.")
    message: str = Field(description="Why it was refused or has failed; empty if it has not.")
    features: int = Field(description="The features that can be loaded, once the file was read.")
    errors: int = Field(description="The errors of the file. After one nothing is loaded.")
    warnings: int = Field(description="The warnings about the file.")
    findings: list[dict[str, JsonValue]] = Field(
        description="The first errors and warnings, each with level, code, line, column, "
        "feature_id and message."
    )
    links: Links

    @classmethod
    def of(cls, name: str, load_id: str, result: LoadResult, request: RequestContext) -> "Load":
        """A load, and what came of it."""
        own = request.link(f"datasets/{name}")
        links = {"self": f"{own}/loads/{load_id}", "dataset": own}
        return cls(load_id=load_id, **result.document(), links=links)

    @classmethod
    def started(cls, asked: LoadRequest, request: RequestContext) -> "Load":
        """A load that was started."""
        return cls.of(asked.name, asked.load_id, LoadResult(LoadState.LOADING), request)


class DatasetChanges(Schema, extra="forbid"):
    """What to set of a dataset. What is left out stays."""

    title: str | None = Field(default=None, max_length=TITLE_BYTES, description="The title.")
    rules: list[dict[str, JsonValue]] | None = Field(
        default=None,
        description="All rules that its features follow. docs/datasets.md explains them.",
    )
    version: StrictInt | None = Field(
        default=None, ge=1, description="The version that you have seen. Refused if it has changed."
    )
    reason: Reason

    def edit(self) -> "DatasetEdit":
        """The request of the service."""
        from jobyard.services.datasets.commands import DatasetEdit

        return DatasetEdit(self.title, self.rules, self.version)


class Commit(Schema):
    """A commit: changes that became a revision, all at once."""

    revision: int = Field(description=_REVISION)
    at: datetime = Field(description="When it was decided.")
    edit_id: str = Field(description="The edit job that it comes from.")
    attempt: int = Field(description="The attempt at the edit job.")
    authors: list[str] = Field(description="The names of those who made the changes.")
    comment: str = Field(description="What they said about them.")
    inserted: int = Field(description="The number of inserted features.")
    updated: int = Field(description="The number of updated features.")
    deleted: int = Field(description="The number of deleted features.")
    features: int = Field(description="The number of features after it.")
    boxes: BoxList = Field(description=_BOXES)

    @classmethod
    def of(cls, made: domain_commit.Commit) -> "Commit":
        """A commit as it is stored."""
        origin = made.origin
        return cls(
            revision=made.revision,
            at=made.at,
            edit_id=origin.edit_id,
            attempt=origin.attempt,
            authors=[each.name for each in origin.authors],
            comment=origin.comment,
            inserted=made.inserted,
            updated=made.updated,
            deleted=made.deleted,
            features=made.features,
            boxes=_listed(made.boxes),
        )


class CommitList(Schema):
    """A page of commits, the last one first."""

    items: list[Commit]
    next_cursor: NextCursor


class ChangedFeature(Schema):
    """A change of a feature, without the feature."""

    revision: int = Field(description=_REVISION)
    edit_id: str = Field(description="The edit job that it comes from.")
    id: str = Field(description="The feature's id.")
    op: ChangeKind = Field(description=_OP)
    properties: list[str] = Field(description=_PROPERTIES)

    @classmethod
    def of(cls, change: queries.ListedChange) -> "ChangedFeature":
        """A change of a query."""
        return cls(
            revision=change.revision,
            edit_id=change.edit_id,
            id=change.feature_id,
            op=change.kind,
            properties=[*change.properties],
        )


class ChangedFeatureList(Schema):
    """A page of changes, in the order of commits."""

    items: list[ChangedFeature]
    next_cursor: NextCursor


class GeoJsonFeature(Schema):
    """A feature in GeoJSON (RFC 7946)."""

    type: str = Field(default="Feature", description="`Feature`.")
    id: str = Field(description="Its id.")
    geometry: dict[str, JsonValue] | None = Field(description="Its geometry; null if it has none.")
    properties: dict[str, JsonValue] = Field(description="Its properties.")

    @classmethod
    def of(cls, found: domain_feature.Feature) -> "GeoJsonFeature":
        """A feature of the domain."""
        return cls(**found.document())


class FeatureCollection(Schema):
    """Features in GeoJSON, with two members of our own."""

    type: str = Field(default="FeatureCollection", description="`FeatureCollection`.")
    features: list[GeoJsonFeature] = Field(description="The features.")
    revision: int = Field(description="The revision that they are of.")
    is_cut: bool = Field(
        description="Whether there are more, which a smaller extent or an export has."
    )


class FeatureChange(Schema):
    """What a commit did to a feature."""

    revision: int = Field(description=_REVISION)
    at: datetime = Field(description="When it was committed.")
    edit_id: str = Field(description="The edit job that it comes from.")
    authors: list[str] = Field(description="The names of those who made the change.")
    op: ChangeKind = Field(description=_OP)
    before: GeoJsonFeature | None = Field(description="The feature before; null if inserted.")
    after: GeoJsonFeature | None = Field(description="The feature after; null if deleted.")
    is_cut: bool = Field(
        description="Whether the features are left out, because they are larger than a response. "
        "An export of the changes has them."
    )

    @classmethod
    def of(cls, change: domain_commit.CommittedChange) -> "FeatureChange":
        """A change of the domain."""
        is_cut = change.size > queries.RESPONSE_BYTES
        before, after = (None, None) if is_cut else (change.before, change.after)
        return cls(
            revision=change.revision,
            at=change.at,
            edit_id=change.origin.edit_id,
            authors=[each.name for each in change.origin.authors],
            op=change.kind,
            before=GeoJsonFeature.of(before) if before else None,
            after=GeoJsonFeature.of(after) if after else None,
            is_cut=is_cut,
        )


class FeatureHistory(Schema):
    """A page of the changes of a feature, the last one first."""

    items: list[FeatureChange]
    next_cursor: NextCursor


class NewExport(Schema, extra="forbid"):
    """What to export of a dataset: all of it, an extent, or the changes since a revision."""

    revision: StrictInt | None = Field(
        default=None, ge=1, description="Of this revision; if left out, of the latest."
    )
    extent: dict[str, JsonValue] | None = Field(
        default=None,
        description="Only features in a `box`, a `polygon`, or with one of the ids `features`.",
        examples=[{"box": [-122.5, 37.2, -121.5, 38]}],
    )
    since: StrictInt | None = Field(
        default=None, ge=1, description="Instead of features, the changes after this revision."
    )

    def domain_extent(self) -> Extent | None:
        """The extent, if there is one.

        Raises:
            BadRequest: it is not valid.
        """
        return None if self.extent is None else parse_extent(self.extent)


class Export(Schema):
    """An export of a dataset."""

    export_id: str = Field(description="Its id.")
    state: ExportState = Field(description="How far it is.")
    filename: str | None = Field(default=None, description="The name of the file.")
    count: int | None = Field(default=None, description="Its features or changes.")
    size: int | None = Field(default=None, description="Its bytes.")
    url: str | None = Field(default=None, description="Where to download the file, for 15 minutes.")
    links: Links

    @classmethod
    def of(
        cls, name: str, export_id: str, view: queries.ExportView, request: RequestContext
    ) -> "Export":
        """An export of a query."""
        own = request.link(f"datasets/{name}")
        result = view.result.document() if view.result else {}
        return cls(
            export_id=export_id,
            state=view.state,
            **result,
            url=view.link or None,
            links={"self": f"{own}/exports/{export_id}", "dataset": own},
        )

    @classmethod
    def started(cls, asked: ExportRequest, request: RequestContext) -> "Export":
        """An export that was started."""
        view = queries.ExportView(ExportState.EXPORTING)
        return cls.of(asked.name, asked.export_id, view, request)
