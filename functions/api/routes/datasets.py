"""Datasets: load, list, show and export them; their commits, changes and features."""

from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from api.context import current_request
from api.idempotency import idempotent
from api.problems import field_path, problem_responses
from api.routes.parameters import Cursor, Limit
from api.routes.responses import LOCATION, accepted
from api.schemas import datasets as schemas
from api.schemas.fields import Reason
from api.schemas.uploads import Upload
from jobyard.domain.datasets.extent import parse_extent
from jobyard.domain.datasets.feature import MAX_ID_LETTERS
from jobyard.domain.errors import (
    BadRequest,
    Forbidden,
    Gone,
    InvalidRule,
    InvalidTransition,
    NotFound,
    StaleState,
)
from jobyard.services.queries import datasets as queries

router = Router()  # type: ignore[no-untyped-call]

_MAX_REVISION = 2**31
DatasetName = Annotated[str, Path(description="The dataset's name.", max_length=64)]
FeatureId = Annotated[
    str, Query(description="The feature's id.", min_length=1, max_length=MAX_ID_LETTERS)
]
Revision = Annotated[
    int | None,
    Query(description="At this revision; left out, the latest.", ge=1, le=_MAX_REVISION),
]


@router.get(
    "/api/datasets",
    operation_id="list_datasets",
    tags=["Datasets"],
    summary="List datasets, by name",
    responses={
        200: {"description": "A page of datasets."},
        **problem_responses(BadRequest, Forbidden),
    },
)
def list_datasets(cursor: Cursor = "", limit: Limit = 50) -> schemas.DatasetList:
    request = current_request(router)
    pagination = request.pagination("datasets")
    found, after = queries.list_datasets(
        request.query_context(), after=pagination.start(cursor, ""), limit=limit
    )
    items = [schemas.DatasetSummary.of(each, request) for each in found]
    return schemas.DatasetList(items=items, next_cursor=pagination.next_cursor(after or None))


@router.post(
    "/api/datasets/uploads",
    operation_id="upload_dataset",
    tags=["Datasets"],
    summary="Get a form to upload the file of a dataset with",
    description="GeoJSON, or gzip of it, up to 512 MiB. Then load the dataset with its `file`.",
    responses={
        200: {"description": "The key, and where to upload the file."},
        **problem_responses(Forbidden),
    },
    middlewares=[idempotent],
)
def upload_dataset(body: schemas.DatasetUploadRequest) -> schemas.DatasetUpload:
    from jobyard.services.datasets.commands import file_form

    key, form = file_form(body.filename, current_request(router).command_context())
    return schemas.DatasetUpload(file=key, upload=Upload.of(form))


@router.post(
    "/api/datasets",
    operation_id="load_dataset",
    tags=["Datasets"],
    summary="Load a dataset from an uploaded file",
    description="The file is checked whole, and loaded if it has no errors. A name is loaded once.",
    status_code=202,
    responses={
        202: {"description": "The load.", "headers": LOCATION},
        **problem_responses(BadRequest, Forbidden, InvalidTransition),
    },
    middlewares=[idempotent],
)
def load_dataset(body: schemas.DatasetRequest) -> Response[schemas.Load]:
    from jobyard.services.datasets.commands import start_load

    request = current_request(router)
    asked = start_load(body.new_dataset(), request.command_context())
    return accepted(schemas.Load.started(asked, request))


@router.get(
    "/api/datasets/<dataset>/loads/<load_id>",
    operation_id="get_load",
    tags=["Datasets"],
    summary="Get how far the load of a dataset is, with its findings",
    responses={200: {"description": "The load."}, **problem_responses(Forbidden, NotFound)},
)
def get_load(
    dataset: DatasetName,
    load_id: Annotated[str, Path(description="The load's id.", max_length=64)],
) -> schemas.Load:
    request = current_request(router)
    result = queries.load_result(dataset, load_id, request.query_context(), request.app.machines)
    return schemas.Load.of(dataset, load_id, result, request)


@router.get(
    "/api/datasets/<dataset>",
    operation_id="get_dataset",
    tags=["Datasets"],
    summary="Get a dataset",
    responses={
        200: {"description": "The dataset."},
        **problem_responses(Forbidden, NotFound, Gone),
    },
)
def get_dataset(dataset: DatasetName) -> schemas.Dataset:
    request = current_request(router)
    return schemas.Dataset.of(queries.dataset(dataset, request.query_context()), request)


@router.put(
    "/api/datasets/<dataset>",
    operation_id="edit_dataset",
    tags=["Datasets"],
    summary="Set the title and the rules of a dataset",
    responses={
        200: {"description": "The dataset."},
        **problem_responses(BadRequest, InvalidRule, Forbidden, NotFound, Gone, StaleState),
    },
    middlewares=[idempotent],
)
def edit_dataset(dataset: DatasetName, body: schemas.DatasetChanges) -> schemas.Dataset:
    from jobyard.services.datasets.commands import edit

    request = current_request(router)
    with field_path("body"):
        found = edit(dataset, body.edit(), request.command_context(body.reason))
    return schemas.Dataset.of(found, request)


@router.delete(
    "/api/datasets/<dataset>",
    operation_id="delete_dataset",
    tags=["Datasets"],
    summary="Delete a dataset of which no edit job is open",
    description="Nobody sees it from now on. Its files are removed in one of the next nights.",
    responses={
        200: {"description": "The deleted dataset."},
        **problem_responses(BadRequest, Forbidden, NotFound, Gone, InvalidTransition, StaleState),
    },
    middlewares=[idempotent],
)
def delete_dataset(
    dataset: DatasetName, reason: Annotated[Reason, Query(description="Why.")]
) -> schemas.Dataset:
    from jobyard.services.datasets.commands import delete

    request = current_request(router)
    return schemas.Dataset.of(delete(dataset, request.command_context(reason)), request)


@router.get(
    "/api/datasets/<dataset>/commits",
    operation_id="list_commits",
    tags=["Datasets"],
    summary="List the commits of a dataset, the last one first",
    responses={
        200: {"description": "A page of commits."},
        **problem_responses(BadRequest, Forbidden, NotFound, Gone),
    },
)
def list_commits(
    dataset: DatasetName, cursor: Cursor = "", limit: Limit = 50
) -> schemas.CommitList:
    request = current_request(router)
    pagination = request.pagination("commits", dataset)
    made, before = queries.list_commits(
        dataset, request.query_context(), before=pagination.start(cursor, None), limit=limit
    )
    items = [schemas.Commit.of(each) for each in made]
    return schemas.CommitList(items=items, next_cursor=pagination.next_cursor(before or None))


@router.get(
    "/api/datasets/<dataset>/changes",
    operation_id="list_dataset_changes",
    tags=["Datasets"],
    summary="List what changed between two revisions",
    responses={
        200: {"description": "A page of changes."},
        **problem_responses(BadRequest, Forbidden, NotFound, Gone),
    },
)
def list_dataset_changes(
    dataset: DatasetName,
    since: Annotated[
        int, Query(description="Changes after this revision.", ge=1, le=_MAX_REVISION)
    ] = 1,
    until: Annotated[
        int | None,
        Query(description="Up to this one; left out, the latest.", ge=1, le=_MAX_REVISION),
    ] = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> schemas.ChangedFeatureList:
    request = current_request(router)
    pagination = request.pagination("dataset changes", dataset, str(until))
    since, skip = pagination.start(cursor, (since, 0))
    page = queries.list_changes(
        dataset, request.query_context(), since=since, until=until, skip=skip, limit=limit
    )
    following = (page.revision - 1, page.skip) if page.revision else None
    items = [schemas.ChangedFeature.of(each) for each in page.changes]
    return schemas.ChangedFeatureList(items=items, next_cursor=pagination.next_cursor(following))


@router.get(
    "/api/datasets/<dataset>/features",
    operation_id="list_features",
    tags=["Datasets"],
    summary="Get the features in a box, as GeoJSON",
    description="As many as a response takes; an export has all.",
    responses={
        200: {"description": "The features."},
        **problem_responses(BadRequest, Forbidden, NotFound, Gone),
    },
)
def list_features(
    dataset: DatasetName,
    box: Annotated[
        str,
        Query(
            description="West, south, east and north in degrees, with commas. A west that is "
            "larger than the east crosses the antimeridian.",
            max_length=200,
            openapi_examples={"": {"value": "-122.5,37.2,-121.5,38"}},
        ),
    ],
    revision: Revision = None,
) -> schemas.FeatureCollection:
    request = current_request(router)
    extent = parse_extent({"box": _numbers(box)})
    page = queries.features_in(dataset, extent, request.query_context(), revision=revision)
    features = [schemas.GeoJsonFeature.of(each) for each in page.features]
    return schemas.FeatureCollection(features=features, revision=page.revision, is_cut=page.is_cut)


def _numbers(text: str) -> list[Any]:
    try:
        return [float(each) for each in text.split(",")]
    except ValueError:
        return []


@router.get(
    "/api/datasets/<dataset>/feature",
    operation_id="get_feature",
    tags=["Datasets"],
    summary="Get a feature by its id, as GeoJSON",
    responses={
        200: {"description": "The feature."},
        **problem_responses(BadRequest, Forbidden, NotFound, Gone),
    },
)
def get_feature(
    dataset: DatasetName, id: FeatureId, revision: Revision = None
) -> schemas.GeoJsonFeature:
    request = current_request(router)
    found = queries.feature(
        dataset, id, request.query_context(), revision=revision, max_bytes=queries.RESPONSE_BYTES
    )
    return schemas.GeoJsonFeature.of(found)


@router.get(
    "/api/datasets/<dataset>/history",
    operation_id="list_feature_history",
    tags=["Datasets"],
    summary="List what commits did to a feature, the last one first",
    responses={
        200: {"description": "A page of changes."},
        **problem_responses(BadRequest, Forbidden, NotFound, Gone),
    },
)
def list_feature_history(
    dataset: DatasetName,
    id: FeatureId,
    cursor: Cursor = "",
    limit: Annotated[int, Query(description="How many items at most.", ge=1, le=20)] = 5,
) -> schemas.FeatureHistory:
    request = current_request(router)
    pagination = request.pagination("feature history", dataset, id)
    made, before = queries.history(
        dataset, id, request.query_context(), before=pagination.start(cursor, None), limit=limit
    )
    items = [schemas.FeatureChange.of(each) for each in made]
    return schemas.FeatureHistory(items=items, next_cursor=pagination.next_cursor(before or None))


@router.post(
    "/api/datasets/<dataset>/exports",
    operation_id="export_dataset",
    tags=["Datasets"],
    summary="Export a revision, an extent, or the changes since a revision",
    description="Features are GeoJSON, changes JSON Lines; both with gzip. A file is kept 7 days.",
    status_code=202,
    responses={
        202: {"description": "The export.", "headers": LOCATION},
        **problem_responses(BadRequest, Forbidden, NotFound, Gone),
    },
    middlewares=[idempotent],
)
def export_dataset(dataset: DatasetName, body: schemas.NewExport) -> Response[schemas.Export]:
    from jobyard.services.datasets.commands import start_export

    request = current_request(router)
    asked = start_export(
        dataset,
        request.command_context(),
        revision=body.revision,
        extent=body.domain_extent(),
        since=body.since,
    )
    return accepted(schemas.Export.started(asked, request))


@router.get(
    "/api/datasets/<dataset>/exports/<export_id>",
    operation_id="get_export",
    tags=["Datasets"],
    summary="Get how far an export is, with the link to its file",
    responses={200: {"description": "The export."}, **problem_responses(Forbidden, NotFound, Gone)},
)
def get_export(
    dataset: DatasetName,
    export_id: Annotated[str, Path(description="The export's id.", max_length=64)],
) -> schemas.Export:
    request = current_request(router)
    view = queries.export_result(dataset, export_id, request.query_context(), request.app.machines)
    return schemas.Export.of(dataset, export_id, view, request)
