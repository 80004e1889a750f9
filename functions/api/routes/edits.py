"""Edit jobs: propose, plan, work, review; and the worklist.

Children have the same routes as edit jobs: their ids begin with x or r.
"""

from datetime import timedelta
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from api.context import RequestContext, current_request
from api.idempotency import idempotent
from api.problems import problem_responses
from api.routes.parameters import AttachmentIndex, Cursor, Limit
from api.routes.responses import LOCATION, created
from api.schemas import edits as schemas
from api.schemas.uploads import Upload
from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.domain.edits.worklist import WorklistColumn
from jobyard.domain.errors import (
    BadRequest,
    Forbidden,
    Gone,
    InvalidTransition,
    NotFound,
    QuotaExceeded,
    StaleState,
)
from jobyard.domain.ids import is_child_id
from jobyard.services.edits import allocations, attachments, claims, proposals, publications
from jobyard.services.queries import edits as edit_queries

router = Router()  # type: ignore[no-untyped-call]

JobId = Annotated[str, Path(description="The id of the edit job, fix-up or review.", max_length=64)]
_CHANGED = (BadRequest, Forbidden, NotFound, InvalidTransition, StaleState, Gone)
_EVENTS = {
    "delete": proposals.delete,
    "activate": claims.activate,
    "relinquish": claims.relinquish,
    "finish": claims.finish,
    "revoke": allocations.revoke,
    "release": allocations.release,
    "abandon": allocations.abandon,
    "retry": allocations.retry,
    "archive": allocations.archive,
    "publish_again": publications.publish_again,
}


def _shown(job_id: str, request: RequestContext) -> schemas.EditJob:
    return schemas.EditJob.of(edit_queries.edit_job(job_id, request.query_context()), request)


def _after(job: EditJob | ChildJob, request: RequestContext) -> schemas.EditJob:
    """A job after a change, even if who made it may not see it any more."""
    view = edit_queries.view_of(job, request.query_context())
    return schemas.EditJob.of(view, request)


@router.post(
    "/api/edits",
    operation_id="propose_edit",
    tags=["Edit jobs"],
    summary="Propose an edit job",
    status_code=201,
    responses={
        201: {"description": "The proposal.", "headers": LOCATION},
        **problem_responses(*_CHANGED, QuotaExceeded),
    },
    middlewares=[idempotent],
)
def propose_edit(body: schemas.NewEditJob) -> Response[schemas.EditJob]:
    request = current_request(router)
    job = proposals.propose(body.proposal(), request.command_context())
    return created(_after(job, request))


@router.get(
    "/api/edits",
    operation_id="list_edits",
    tags=["Edit jobs"],
    summary="List edit jobs, newest first",
    description="Those of all datasets, unless a parameter says which. A page may have fewer than "
    "`limit` items, or none, although another page follows.",
    responses={
        200: {"description": "A page of edit jobs."},
        **problem_responses(BadRequest, Forbidden),
    },
)
def list_edits(
    which: Annotated[
        str,
        Query(
            alias="list",
            description="`open`, `ended` or `archived`; `stuck`, for admins: what the machine has "
            "worked on for more than half an hour, fix-ups and reviews too.",
            json_schema_extra={"enum": ["open", "ended", "archived", "stuck"]},
            max_length=16,
        ),
    ] = "open",
    own: Annotated[
        bool,
        Query(description="Those you proposed, open or ended; `list` does not count then."),
    ] = False,
    state: Annotated[
        EditState | None,
        Query(description="Only those in this state; `list` does not count then."),
    ] = None,
    dataset: Annotated[str, Query(description="Only those of this dataset.", max_length=64)] = "",
    team: Annotated[
        str, Query(description="Only those allocated to this team.", max_length=64)
    ] = "",
    edit_type: Annotated[
        str, Query(alias="type", description="Only those of this type.", max_length=64)
    ] = "",
    cursor: Cursor = "",
    limit: Limit = 50,
) -> schemas.EditJobList:
    request = current_request(router)
    wanted = edit_queries.EditFilter(which, own, dataset, state, team, edit_type)
    filters = (which, str(own), dataset, state or "", team, edit_type)
    pagination = request.pagination("edits", *filters, request.actor.sub if own else "")
    page = edit_queries.list_edits(
        request.query_context(), wanted, after=pagination.start(cursor, ""), limit=limit
    )
    return schemas.EditJobList.of(page, pagination.next_cursor(page.after or None), request)


@router.post(
    "/api/edits/archive",
    operation_id="archive_edits",
    tags=["Edit jobs"],
    summary="Archive many edit jobs, each with its outcome",
    description="Up to 500 by their ids, or what a dataset completed long ago.",
    responses={
        200: {"description": "What became of each."},
        **problem_responses(BadRequest, Forbidden, StaleState),
    },
    middlewares=[idempotent],
)
def archive_edits(body: schemas.ArchiveRequest) -> schemas.ArchiveResult:
    context = current_request(router).command_context()
    if body.dataset and not body.edit_ids:
        age = timedelta(days=body.older_than_days)
        outcomes = allocations.archive_completed(body.dataset, age, context)
    else:
        outcomes = allocations.archive_many(body.edit_ids, context)
    return schemas.ArchiveResult.of(outcomes)


@router.get(
    "/api/edits/<job_id>",
    operation_id="get_edit",
    tags=["Edit jobs"],
    summary="Get an edit job with its children, or a fix-up or review",
    responses={200: {"description": "The job."}, **problem_responses(NotFound, Gone)},
)
def get_edit(job_id: JobId) -> schemas.EditJob:
    return _shown(job_id, current_request(router))


@router.patch(
    "/api/edits/<job_id>",
    operation_id="edit_edit",
    tags=["Edit jobs"],
    summary="Change an edit job",
    description="Extent, type and quarantine change only while it is proposed. A claim stays.",
    responses={200: {"description": "The edit job."}, **problem_responses(*_CHANGED)},
    middlewares=[idempotent],
)
def edit_edit(job_id: JobId, changes: schemas.EditJobChanges) -> schemas.EditJob:
    request = current_request(router)
    context = request.command_context(changes.reason)
    return _after(proposals.edit(job_id, changes.edit(), context), request)


@router.get(
    "/api/edits/<job_id>/log",
    operation_id="get_edit_log",
    tags=["Edit jobs"],
    summary="Get the process log of an edit job and its last children",
    responses={
        200: {"description": "All moves, oldest first."},
        **problem_responses(Forbidden, NotFound, Gone),
    },
)
def get_edit_log(job_id: JobId) -> schemas.EditLog:
    context = current_request(router).query_context()
    return schemas.EditLog.of(edit_queries.process_log(job_id, context))


@router.post(
    "/api/edits/<job_id>/copy",
    operation_id="copy_edit",
    tags=["Edit jobs"],
    summary="Propose an edit job like this one",
    description="It has the extent, the type and the requests to custodians, but no planned times.",
    status_code=201,
    responses={
        201: {"description": "The proposal.", "headers": LOCATION},
        **problem_responses(*_CHANGED, QuotaExceeded),
    },
    middlewares=[idempotent],
)
def copy_edit(job_id: JobId, body: schemas.OptionalReason) -> Response[schemas.EditJob]:
    request = current_request(router)
    return created(_after(proposals.copy(job_id, request.command_context(body.reason)), request))


@router.post(
    "/api/edits/<job_id>/allocate",
    operation_id="allocate_edit",
    tags=["Edit jobs"],
    summary="Allocate an edit job to a team, or a child to another person",
    responses={200: {"description": "The job."}, **problem_responses(*_CHANGED, QuotaExceeded)},
    middlewares=[idempotent],
)
def allocate_edit(job_id: JobId, body: schemas.Allocation) -> schemas.EditJob:
    request = current_request(router)
    context = request.command_context(body.reason)
    if is_child_id(job_id):
        return _after(allocations.allocate_child(job_id, body.assignee, context), request)
    return _after(allocations.allocate(job_id, body.team, body.assignee, context), request)


@router.post(
    "/api/edits/<job_id>/download",
    operation_id="download_edit",
    tags=["Edit jobs"],
    summary="Get a link to the package",
    responses={200: {"description": "The link."}, **problem_responses(*_CHANGED)},
    middlewares=[idempotent],
)
def download_edit(job_id: JobId, body: schemas.OptionalReason) -> schemas.PackageDownload:
    request = current_request(router)
    link = claims.download(job_id, request.command_context(body.reason))
    return schemas.PackageDownload.of(link, _after(link.job, request))


@router.post(
    "/api/edits/<job_id>/upload-form",
    operation_id="start_upload",
    tags=["Edit jobs"],
    summary="Get a form to upload edits with",
    description="Upload the file, then confirm it with POST …/upload.",
    responses={200: {"description": "The form."}, **problem_responses(*_CHANGED)},
    middlewares=[idempotent],
)
def start_upload(job_id: JobId, body: schemas.UploadSubmission) -> schemas.FileUpload:
    from jobyard.services.edits import uploads

    context = current_request(router).command_context()
    key, form = uploads.upload_form(job_id, body.attempt, body.filename, context)
    return schemas.FileUpload(key=key, upload=Upload.of(form))


@router.post(
    "/api/edits/<job_id>/upload",
    operation_id="upload_edit",
    tags=["Edit jobs"],
    summary="Confirm an upload of edits",
    description="The machine reads the file then; GET …/upload says what it found. The same upload "
    "again is ignored. If the claim has ended meanwhile the answer is 409, and the file is kept "
    "for 7 days.",
    status_code=202,
    responses={202: {"description": "The file is being read."}, **problem_responses(*_CHANGED)},
    middlewares=[idempotent],
)
def upload_edit(job_id: JobId, body: schemas.EditUpload) -> Response[schemas.EditJob]:
    from jobyard.services.edits import uploads

    request = current_request(router)
    job = uploads.upload(job_id, body.request(), request.command_context(body.comment[:500]))
    return Response(202, "application/json", _after(job, request))


def _decide(job_id: str, event: str, body: schemas.Decision) -> schemas.EditJob:
    from jobyard.services.edits import reviews

    request = current_request(router)
    decide = getattr(reviews, event)
    return _after(decide(job_id, body.comment, request.command_context()), request)


@router.post(
    "/api/edits/<job_id>/approve",
    operation_id="approve_review",
    tags=["Edit jobs"],
    summary="Approve what a review is about",
    responses={200: {"description": "The review."}, **problem_responses(*_CHANGED)},
    middlewares=[idempotent],
)
def approve_review(job_id: JobId, body: schemas.Decision) -> schemas.EditJob:
    return _decide(job_id, "approve", body)


@router.post(
    "/api/edits/<job_id>/require_corrections",
    operation_id="require_corrections",
    tags=["Edit jobs"],
    summary="Ask the worker for corrections",
    responses={200: {"description": "The review."}, **problem_responses(*_CHANGED)},
    middlewares=[idempotent],
)
def require_corrections(job_id: JobId, body: schemas.Decision) -> schemas.EditJob:
    return _decide(job_id, "require_corrections", body)


@router.post(
    "/api/edits/<job_id>/discard",
    operation_id="discard_review",
    tags=["Edit jobs"],
    summary="Discard what a review is about",
    responses={200: {"description": "The review."}, **problem_responses(*_CHANGED)},
    middlewares=[idempotent],
)
def discard_review(job_id: JobId, body: schemas.Decision) -> schemas.EditJob:
    return _decide(job_id, "discard", body)


@router.post(
    "/api/edits/<job_id>/attachments",
    operation_id="request_attachment",
    tags=["Edit jobs"],
    summary="Ask a data custodian for an attachment",
    responses={200: {"description": "The edit job."}, **problem_responses(*_CHANGED)},
    middlewares=[idempotent],
)
def request_attachment(job_id: JobId, body: schemas.RequestedAttachment) -> schemas.EditJob:
    request = current_request(router)
    job = attachments.request(
        job_id, body.custodian, body.email, body.description, request.command_context()
    )
    return _after(job, request)


@router.post(
    "/api/edits/<job_id>/attachments/<index>/resend",
    operation_id="resend_attachment_request",
    tags=["Edit jobs"],
    summary="Send a custodian another link",
    description="The links before it are not valid any more.",
    responses={
        200: {"description": "The edit job."},
        **problem_responses(*_CHANGED, QuotaExceeded),
    },
    middlewares=[idempotent],
)
def resend_attachment_request(
    job_id: JobId, index: AttachmentIndex, body: schemas.OptionalReason
) -> schemas.EditJob:
    request = current_request(router)
    return _after(attachments.resend(job_id, index, request.command_context(body.reason)), request)


@router.post(
    "/api/edits/<job_id>/attachments/<index>/upload-form",
    operation_id="start_attachment",
    tags=["Edit jobs"],
    summary="Get a form to upload a file for a custodian",
    responses={200: {"description": "The form."}, **problem_responses(*_CHANGED)},
    middlewares=[idempotent],
)
def start_attachment(
    job_id: JobId, index: AttachmentIndex, body: schemas.FileSubmission
) -> schemas.FileUpload:
    context = current_request(router).command_context()
    key, form = attachments.answer_form(job_id, index, body.filename, context)
    return schemas.FileUpload(key=key, upload=Upload.of(form))


@router.post(
    "/api/edits/<job_id>/attachments/<index>/answer",
    operation_id="answer_attachment",
    tags=["Edit jobs"],
    summary="Upload a file for a custodian, or decline",
    responses={200: {"description": "The edit job."}, **problem_responses(*_CHANGED)},
    middlewares=[idempotent],
)
def answer_attachment(
    job_id: JobId, index: AttachmentIndex, body: schemas.AttachmentAnswer
) -> schemas.EditJob:
    request = current_request(router)
    context = request.command_context(body.reason)
    return _after(attachments.answer(job_id, index, body.key, context), request)


@router.post(
    "/api/edits/<job_id>/<event>",
    operation_id="send_edit_event",
    tags=["Edit jobs"],
    summary="Send an event to an edit job, fix-up or review",
    description="Events with more than a reason have paths of their own.",
    responses={200: {"description": "The job."}, **problem_responses(*_CHANGED)},
    middlewares=[idempotent],
)
def send_edit_event(
    job_id: JobId,
    event: Annotated[
        str,
        Path(description="The event.", json_schema_extra={"enum": [*_EVENTS]}, max_length=64),
    ],
    body: schemas.OptionalReason,
) -> schemas.EditJob:
    request = current_request(router)
    send = _EVENTS.get(event)
    if send is None:
        raise NotFound(f"an edit job has no event {event!r}; there are {', '.join(_EVENTS)}")
    return _after(send(job_id, request.command_context(body.reason)), request)


@router.get(
    "/api/worklist",
    operation_id="get_worklist",
    tags=["Edit jobs"],
    summary="Get your worklist, or that of a team, in columns",
    responses={
        200: {"description": "The columns, with the first jobs of each."},
        **problem_responses(Forbidden),
    },
)
def get_worklist(
    team: Annotated[str, Query(description="All of this team.", max_length=64)] = "",
    limit: Annotated[int, Query(description="How many of each column.", ge=1, le=50)] = 20,
) -> schemas.Worklist:
    request = current_request(router)
    found = edit_queries.worklist(request.query_context(), team=team, limit=limit)
    parts = []
    for each in found:
        pagination = request.pagination("worklist", each.column, team, request.actor.sub)
        cursor = pagination.next_cursor(each.after or None)
        parts.append(schemas.WorklistPart.of(each, cursor, request))
    return schemas.Worklist(columns=parts)


@router.get(
    "/api/worklist/<column>",
    operation_id="get_worklist_column",
    tags=["Edit jobs"],
    summary="Get a column of the worklist",
    responses={
        200: {"description": "A page of the column."},
        **problem_responses(BadRequest, Forbidden, NotFound),
    },
)
def get_worklist_column(
    column: Annotated[WorklistColumn, Path(description="The column.")],
    team: Annotated[str, Query(description="All of this team.", max_length=64)] = "",
    cursor: Cursor = "",
    limit: Annotated[int, Query(description="How many at most.", ge=1, le=50)] = 20,
) -> schemas.WorklistPart:
    request = current_request(router)
    pagination = request.pagination("worklist", column, team, request.actor.sub)
    found = edit_queries.worklist_column(
        column,
        request.query_context(),
        team=team,
        after=pagination.start(cursor, ""),
        limit=limit,
    )
    return schemas.WorklistPart.of(found, pagination.next_cursor(found.after or None), request)
