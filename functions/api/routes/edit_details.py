"""What edit jobs are about, beyond their records."""

from typing import Annotated

from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from api.context import RequestContext, current_request
from api.problems import problem_responses
from api.routes.parameters import AttachmentIndex, Cursor
from api.schemas import edit_details as schemas
from api.schemas.costs import EditCost
from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.edit_job import EditJob
from jobyard.domain.errors import BadRequest, Forbidden, Gone, NotFound
from jobyard.services.queries import costs as cost_queries
from jobyard.services.queries import edit_details as queries
from jobyard.services.queries import edits as edit_queries
from jobyard.services.queries.datasets import RESPONSE_BYTES

router = Router()  # type: ignore[no-untyped-call]

JobId = Annotated[str, Path(description="The id of the edit job, fix-up or review.", max_length=64)]
_READ_ERRORS = (BadRequest, NotFound, Gone)


def _job(job_id: str, request: RequestContext) -> EditJob | ChildJob:
    return edit_queries.edit_job(job_id, request.query_context()).job


@router.get(
    "/api/edits/<job_id>/changes",
    operation_id="list_edit_changes",
    tags=["Edit jobs"],
    summary="List the changes that a job is about",
    description="Those to commit or committed, or those that a child repairs or reviews.",
    responses={200: {"description": "A page of changes."}, **problem_responses(*_READ_ERRORS)},
)
def list_edit_changes(
    job_id: JobId,
    cursor: Cursor = "",
    limit: Annotated[int, Query(description="How many items at most.", ge=1, le=50)] = 20,
) -> schemas.EditedFeatureList:
    request = current_request(router)
    job = _job(job_id, request)
    pagination = request.pagination("edit changes", job_id)
    after = pagination.start(cursor, 0)
    context = request.query_context()
    found = queries.changes(job, context, after=after, limit=limit, max_bytes=RESPONSE_BYTES)
    return schemas.EditedFeatureList.of(found, pagination.next_cursor(found.after or None))


@router.get(
    "/api/edits/<job_id>/cost",
    operation_id="get_edit_cost",
    tags=["Edit jobs"],
    summary="Get what an edit job used of AWS, and its price",
    responses={200: {"description": "The cost up to now."}, **problem_responses(NotFound, Gone)},
)
def get_edit_cost(job_id: JobId) -> EditCost:
    request = current_request(router)
    return EditCost.of(job_id, cost_queries.edit_cost(job_id, request.query_context()), request)


@router.get(
    "/api/edits/<job_id>/forecast",
    operation_id="get_edit_forecast",
    tags=["Edit jobs"],
    summary="Get what may conflict with the work of an edit job",
    responses={200: {"description": "The forecast."}, **problem_responses(*_READ_ERRORS)},
)
def get_edit_forecast(job_id: JobId) -> schemas.EditForecast:
    request = current_request(router)
    job = _job(job_id, request)
    if isinstance(job, ChildJob):
        raise BadRequest(f"{job_id} is a child: its edit job {job.parent_id} has a forecast")
    return schemas.EditForecast.of(queries.forecast(job, request.query_context()))


@router.get(
    "/api/edits/<job_id>/findings",
    operation_id="get_edit_findings",
    tags=["Edit jobs"],
    summary="Get what a fix-up is about: failures, conflicts or feedback",
    responses={200: {"description": "What it is about."}, **problem_responses(*_READ_ERRORS)},
)
def get_edit_findings(job_id: JobId) -> schemas.EditFindings:
    request = current_request(router)
    job = _job(job_id, request)
    if not isinstance(job, ChildJob):
        raise BadRequest(f"{job_id} is an edit job: its children have findings")
    return schemas.EditFindings.of(queries.findings(job, request.query_context()))


@router.get(
    "/api/edits/<job_id>/upload",
    operation_id="get_edit_upload",
    tags=["Edit jobs"],
    summary="Get what became of the file that was uploaded last",
    responses={200: {"description": "What was found in it."}, **problem_responses(*_READ_ERRORS)},
)
def get_edit_upload(job_id: JobId) -> schemas.UploadedEdits:
    request = current_request(router)
    report = queries.upload_report(_job(job_id, request), request.query_context())
    if report is None:
        raise NotFound(f"nothing was uploaded to the current claim of {job_id}")
    return schemas.UploadedEdits.of(report)


@router.get(
    "/api/edits/<job_id>/rescued",
    operation_id="list_rescued_uploads",
    tags=["Edit jobs"],
    summary="List the uploads that came when their claims were over",
    description="Planners and admins see all, others their own.",
    responses={200: {"description": "The uploads."}, **problem_responses(NotFound, Gone)},
)
def list_rescued_uploads(job_id: JobId) -> schemas.RescuedEditList:
    found = queries.rescued_uploads(job_id, current_request(router).query_context())
    return schemas.RescuedEditList(items=[schemas.RescuedEdit.of(each) for each in found])


@router.get(
    "/api/edits/<job_id>/rescued/diff",
    operation_id="get_rescued_upload",
    tags=["Edit jobs"],
    summary="Get how a rescued upload differs from the dataset as it is now",
    responses={200: {"description": "The differences."}, **problem_responses(*_READ_ERRORS)},
)
def get_rescued_upload(
    job_id: JobId,
    name: Annotated[str, Query(description="The `name` of the upload.", max_length=1024)] = "",
) -> schemas.RescuedEditDiff:
    context = current_request(router).query_context()
    found = queries.rescued_diff(job_id, name, context)
    return schemas.RescuedEditDiff(
        upload=schemas.RescuedEdit.of(found.upload),
        url=queries.rescued_link(job_id, name, context),
        changes=schemas.EditedFeature.all_of(found.changes),
        same=found.same,
        is_complete=found.is_complete,
    )


@router.get(
    "/api/edits/<job_id>/attachments/<index>/download",
    operation_id="get_attachment_link",
    tags=["Edit jobs"],
    summary="Get a link to download the file that a custodian sent",
    responses={
        200: {"description": "The link."},
        **problem_responses(BadRequest, Forbidden, NotFound, Gone),
    },
)
def get_attachment_link(job_id: JobId, index: AttachmentIndex) -> schemas.AttachmentDownload:
    found = queries.attachment_link(job_id, index, current_request(router).query_context())
    return schemas.AttachmentDownload(
        url=found.url, filename=found.filename, expires_s=queries.LINK_EXPIRES_S
    )
