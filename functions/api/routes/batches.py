"""Batches: submit, show, requeue failed jobs, and send events."""

from typing import Annotated, Literal

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from api.access import forbidden_or
from api.context import RequestContext, current_request
from api.idempotency import idempotent
from api.problems import problem_responses
from api.routes.parameters import MAX_REPORT, BatchId, Cursor, Limit, ReportNumber, event_parameter
from api.routes.responses import LOCATION, accepted, created
from api.schemas import batches as schemas
from api.schemas import reports as report_schemas
from api.schemas.fields import ReasonRequest
from gateway.errors import ValidationFailed
from jobyard.domain import urls
from jobyard.domain.batches.batch import BATCH, BatchState
from jobyard.domain.errors import (
    BadRequest,
    Forbidden,
    Gone,
    InvalidParameters,
    InvalidTransition,
    NotFound,
    OperationInProgress,
    QuotaExceeded,
    StaleState,
)
from jobyard.services.batches import commands, operations, submissions
from jobyard.services.queries import batches as batch_queries
from jobyard.services.queries import findings as finding_queries
from jobyard.services.queries import operations as operation_queries
from jobyard.services.queries import reports as report_queries
from jobyard.services.reports import commands as report_commands

router = Router()  # type: ignore[no-untyped-call]


@router.post(
    "/api/batches",
    operation_id="submit_batch",
    tags=["Batches"],
    summary="Submit a manifest",
    description="The response says where to upload the manifest. The batch starts when the upload "
    "arrives, and expires if none arrives within 15 minutes. You need the right to deposit into "
    "the collection.",
    status_code=201,
    responses={
        201: {"description": "The batch waits for its manifest.", "headers": LOCATION},
        **problem_responses(
            BadRequest, InvalidParameters, Forbidden, NotFound, Gone, QuotaExceeded
        ),
    },
    middlewares=[idempotent],
)
def submit_batch(submission: schemas.BatchSubmission) -> Response[schemas.SubmittedBatch]:
    request = current_request(router)
    _check_callback(submission.callback_url, request)
    batch, upload = submissions.submit(submission.submission(), request.command_context())
    return created(schemas.SubmittedBatch.of(batch, upload, request))


def _check_callback(url: str | None, request: RequestContext) -> None:
    """Check that the deployment calls this URL, if there is one.

    Raises:
        ValidationFailed: it does not. Forbidden: the actor may not submit at all.
    """
    problem = urls.callback_error(url, request.app.settings.allowed_hosts) if url else ""
    if problem:
        invalid = ValidationFailed([("body.callback_url", f"the callback URL {problem}")])
        raise forbidden_or(
            invalid, router.current_event.raw_event, request.app.settings.machine_clients
        )


@router.get(
    "/api/batches",
    operation_id="list_batches",
    tags=["Batches"],
    summary="List batches, newest first",
    description="A depositor sees their own.",
    responses={
        200: {"description": "A page of batches."},
        **problem_responses(BadRequest, Forbidden),
    },
)
def list_batches(
    state: Annotated[BatchState | None, Query(description="Only batches in this state.")] = None,
    collection: Annotated[
        str, Query(description="Only batches of this collection.", max_length=200)
    ] = "",
    cursor: Cursor = "",
    limit: Limit = 50,
) -> schemas.BatchList:
    request = current_request(router)
    pagination = request.pagination("batches", state or "", collection)
    page = batch_queries.list_batches(
        request.query_context(),
        state=state or "",
        collection=collection,
        after=pagination.start(cursor, {}),
        limit=limit,
    )
    return schemas.BatchList.of(page.items, pagination.next_cursor(page.after), request)


@router.get(
    "/api/batches/<batch_id>",
    operation_id="get_batch",
    tags=["Batches"],
    summary="Get a batch with its counts and history",
    responses={200: {"description": "The batch."}, **problem_responses(NotFound, Gone)},
)
def get_batch(batch_id: BatchId) -> schemas.Batch:
    request = current_request(router)
    view = batch_queries.batch(batch_id, request.query_context())
    return schemas.Batch.of(view, request)


@router.post(
    "/api/batches/<batch_id>/operations",
    operation_id="change_jobs",
    tags=["Batches"],
    summary="Send an event to many jobs",
    description="Sends `event` to all jobs of the batch in `state`, to those with the given ids, "
    "or to the failed ones with the given failure codes. `GET` the operation to see the outcome of "
    "each job. A requeued job starts after its last successful step. While a requeue is in "
    "progress, another one of the same jobs is refused.",
    status_code=202,
    responses={
        202: {"description": "The jobs are sent the event."},
        200: {"description": "A preview: nothing was changed."},
        **problem_responses(
            BadRequest,
            Forbidden,
            NotFound,
            InvalidTransition,
            OperationInProgress,
            StaleState,
            Gone,
        ),
    },
    middlewares=[idempotent],
)
def change_jobs(
    batch_id: BatchId, wanted: schemas.OperationRequest
) -> Response[schemas.OperationResult]:
    request = current_request(router)
    if wanted.preview:
        return _preview_operation(batch_id, wanted, request)
    started = operations.change_jobs(
        batch_id, wanted.event.value, wanted.filter(), request.command_context(wanted.reason or "")
    )
    return accepted(schemas.OperationResult.of(started, request))


def _preview_operation(
    batch_id: str, wanted: schemas.OperationRequest, request: RequestContext
) -> Response[schemas.OperationResult]:
    context = request.command_context()
    preview = operations.preview_operation(batch_id, wanted.event.value, wanted.filter(), context)
    result = schemas.OperationResult.of_preview(batch_id, preview, request)
    return Response(200, "application/json", result)


@router.get(
    "/api/batches/<batch_id>/operations/<operation_id>",
    operation_id="get_operation",
    tags=["Batches"],
    summary="Get an operation with the outcome of each job",
    description="A page may have fewer outcomes than `limit`, or none, although another follows.",
    responses={
        200: {"description": "The operation and a page of outcomes."},
        **problem_responses(BadRequest, NotFound, Gone),
    },
)
def get_operation(
    batch_id: BatchId,
    operation_id: Annotated[str, Path(description="The operation's id.", max_length=64)],
    outcome: Annotated[
        Literal["accepted", "refused"] | None, Query(description="Only jobs with this outcome.")
    ] = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> schemas.Operation:
    request = current_request(router)
    pagination = request.pagination("outcomes", batch_id, operation_id, outcome or "")
    view = operation_queries.operation(
        batch_id,
        operation_id,
        request.query_context(),
        outcome=outcome or "",
        after=tuple(pagination.start(cursor, (0, 0))),
        limit=limit,
    )
    return schemas.Operation.of(view, pagination.next_cursor(view.after), request)


@router.get(
    "/api/batches/<batch_id>/reports",
    operation_id="list_reports",
    tags=["Batches"],
    summary="List the reports of a batch, with their delivery",
    responses={200: {"description": "Its reports."}, **problem_responses(NotFound, Gone)},
)
def list_reports(batch_id: BatchId) -> report_schemas.ReportList:
    context = current_request(router).query_context()
    found = report_queries.list_reports(batch_id, context)
    return report_schemas.ReportList.of(found, context)


@router.get(
    "/api/batches/<batch_id>/reports/<seq>/changes",
    operation_id="list_report_changes",
    tags=["Batches"],
    summary="List the jobs whose outcome changed between two reports",
    description="Compared with the report before, or with another one. A page may be short "
    "although a next page follows.",
    responses={
        200: {"description": "A page of changes, in the order of the manifest."},
        **problem_responses(BadRequest, NotFound, Gone),
    },
)
def list_report_changes(
    batch_id: BatchId,
    seq: ReportNumber,
    since: Annotated[
        int | None, Query(description="The number of the other report.", ge=1, le=MAX_REPORT)
    ] = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> schemas.ReportChangeList:
    request = current_request(router)
    since = seq - 1 if since is None else since
    pagination = request.pagination("report changes", batch_id, str(seq), str(since))
    page = report_queries.report_changes(
        batch_id,
        (since, seq),
        request.query_context(),
        after=pagination.start(cursor, 0),
        limit=limit,
    )
    return schemas.ReportChangeList.of(page.items, pagination.next_cursor(page.after))


@router.post(
    "/api/batches/<batch_id>/reports/<seq>/resend",
    operation_id="resend_report",
    tags=["Batches"],
    summary="Send a report's mail again",
    description="To all of its recipients, within a minute.",
    status_code=202,
    responses={
        202: {"description": "The mail waits to be sent."},
        **problem_responses(BadRequest, Forbidden, NotFound, InvalidTransition, StaleState, Gone),
    },
    middlewares=[idempotent],
)
def resend_report(
    batch_id: BatchId, seq: ReportNumber, body: ReasonRequest
) -> Response[report_schemas.Report]:
    request = current_request(router)
    report = report_commands.resend(batch_id, seq, request.command_context(body.reason))
    document = report_schemas.Report.of(report, request.query_context())
    return Response(202, "application/json", document)


@router.get(
    "/api/batches/<batch_id>/findings",
    operation_id="list_findings",
    tags=["Batches"],
    summary="List the findings in a manifest, by line and column",
    responses={
        200: {"description": "A page of findings."},
        **problem_responses(BadRequest, NotFound, Gone),
    },
)
def list_findings(batch_id: BatchId, cursor: Cursor = "", limit: Limit = 50) -> schemas.FindingList:
    request = current_request(router)
    pagination = request.pagination("findings", batch_id)
    found, following = finding_queries.list_findings(
        batch_id, request.query_context(), after=pagination.start(cursor, 0), limit=limit
    )
    return schemas.FindingList.of(found, pagination.next_cursor(following))


@router.post(
    "/api/batches/<batch_id>/<event>",
    operation_id="send_batch_event",
    tags=["Batches"],
    summary="Release, cancel or delete a batch, or report it again",
    description="The lifecycle `batch` lists the events of each state and who may send them. The "
    "batch's `actions` are those that you may send now.",
    responses={
        200: {"description": "The batch has changed."},
        202: {"description": "The batch has changed, and more work follows."},
        **problem_responses(Forbidden, NotFound, InvalidTransition, StaleState, Gone),
    },
    middlewares=[idempotent],
)
def send_event(
    batch_id: BatchId,
    event: Annotated[str, event_parameter(BATCH)],
    body: ReasonRequest,
) -> Response[schemas.BatchStatus]:
    request = current_request(router)
    batch = commands.send_batch_event(batch_id, event, request.command_context(body.reason))
    status = 202 if commands.starts_work(event) else 200
    return Response(status, "application/json", schemas.BatchStatus.of(batch, request))
