"""Batches: submitted, looked at, asked; their retries, reports and findings."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from api.access import forbidden_or
from api.context import RequestContext, current_request
from api.idempotency import idempotent
from api.problems import ValidationFailed, problem_responses
from api.routes.jobs import BatchId, Cursor, Limit
from api.schemas import batches as schemas
from api.schemas.batches import BatchEvent
from api.schemas.fields import HistoryEntry
from jobyard.domain import urls
from jobyard.domain.batches.batch import BATCH, Batch, BatchState
from jobyard.domain.batches.operation import Filter
from jobyard.domain.batches.report import Report
from jobyard.domain.errors import (
    BadRequest,
    Forbidden,
    Gone,
    InvalidParameters,
    InvalidTransition,
    NotFound,
    OperationInProgress,
    StaleState,
)
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JobState
from jobyard.domain.mail_addresses import UndeliveredRecipient, all_addresses
from jobyard.domain.urls import text_without_secrets
from jobyard.services.batches import operations, submissions
from jobyard.services.batches import operations as batch_operations
from jobyard.services.batches.commands import send_batch_event
from jobyard.services.batches.submissions import Submission
from jobyard.services.context import QueryContext
from jobyard.services.queries import batches as batch_queries
from jobyard.services.queries import reports as report_queries
from jobyard.services.queries.batches import BatchView
from jobyard.services.queries.history import history
from jobyard.services.settings import MANIFEST_BYTES

router = Router()  # type: ignore[no-untyped-call]

_CHUNKS_A_PAGE = 10  # of an operation's outcomes; a chunk has up to 1,000


def links(batch_id: str, request: RequestContext) -> dict[str, str]:
    """Where to go from a batch."""
    own = request.link(f"batches/{batch_id}")
    parts = ("jobs", "findings", "reports", "cost")
    return {"self": own, **{part: f"{own}/{part}" for part in parts}}


def _brief(view: BatchView, request: RequestContext) -> dict[str, Any]:
    batch = view.batch
    groups = view.failure_groups and [
        schemas.FailureGroup(
            failure_code=Failure(code), description=description, count=count, not_retryable=final
        )
        for code, description, count, final in view.failure_groups
    ]
    return {
        "batch_id": batch.batch_id,
        "collection": batch.collection,
        "state": batch.state,
        "label": view.label,
        "job_type": batch.job_type,
        "filename": batch.filename,
        "profile": batch.profile,
        "submitter": batch.submitter,
        "submitter_id": batch.submitter_sub,
        "note": batch.note,
        "submitted_at": batch.submitted_at,
        "started_at": batch.started_at,
        "ended_at": batch.ended_at,
        "waiting_reason": view.why,
        "waiting_until": view.until,
        "counts": dict(view.counts),
        "failure_groups": groups if groups is None else list(groups),
        "failure_message": batch.message,
        "findings_count": batch.findings,
        "duplicate_of": batch.similar_to,
        "actions": [BatchEvent(action) for action in view.actions],
        "links": links(batch.batch_id, request),
    }


@router.post(
    "/api/batches",
    operation_id="submit_batch",
    tags=["Batches"],
    summary="Submit a manifest",
    description="The answer says where to upload the manifest; the batch begins when it has "
    "arrived, and is gone if it has not within 15 minutes. For depositor, operator and admin, "
    "as far as the collection lets them.",
    status_code=201,
    responses={
        201: {
            "description": "The batch is promised.",
            "headers": {
                "Location": {"description": "Where the batch is.", "schema": {"type": "string"}}
            },
        },
        **problem_responses(InvalidParameters, BadRequest, Forbidden, NotFound, Gone),
    },
    middlewares=[idempotent],
)
def submit_batch(submission: schemas.BatchSubmission) -> Response[schemas.SubmittedBatch]:
    request = current_request(router)
    if submission.callback_url:
        _check_callback(submission.callback_url, request)
    if submission.notify is None:
        request = request.with_email()
    batch, upload = submissions.submit(
        _submission(submission), MANIFEST_BYTES, request.command_context()
    )
    submitted = schemas.SubmittedBatch(
        batch_id=batch.batch_id,
        state=batch.state,
        upload=schemas.Upload(
            url=upload.url, fields=dict(upload.fields), expires_at=upload.expires_at
        ),
        links=links(batch.batch_id, request),
    )
    headers = {"Location": submitted.links["self"]}
    return Response(201, "application/json", submitted, headers)


def _submission(document: schemas.BatchSubmission) -> Submission:
    callback = {"callback_url": document.callback_url} if document.callback_url else {}
    return Submission(
        collection=document.collection,
        filename=document.filename,
        job_type=document.job_type,
        profile=document.profile or "",
        notify=None if document.notify is None else notified(document.notify),
        parameters=document.parameters | callback,
        note=document.note or "",
    )


def _check_callback(url: str, request: RequestContext) -> None:
    """Raises:
    ValidationFailed: the worker would not call it. Forbidden: the person may not submit at all.
    """
    words = urls.not_called(url, request.app.settings.allowed_hosts)
    if words:
        bad = ValidationFailed([("body.callback_url", f"the callback URL {words}")])
        raise forbidden_or(bad, router.current_event.raw_event)


def notified(named: Sequence[str]) -> tuple[str, ...]:
    """The addresses that a body's `notify` names.

    Raises:
        ValidationFailed: they are too many together.
    """
    found = all_addresses(named)
    if found.bad:
        raise ValidationFailed([("body.notify", found.bad[0].why)])
    return found.good


@router.get(
    "/api/batches",
    operation_id="list_batches",
    tags=["Batches"],
    summary="Batches, newest first",
    description="A depositor sees those of their own.",
    responses={
        200: {"description": "A page of batches."},
        **problem_responses(BadRequest, Forbidden),
    },
)
def list_batches(
    state: Annotated[BatchState | None, Query(description="Only those in this state.")] = None,
    collection: Annotated[
        str, Query(description="Only those of this collection.", max_length=200)
    ] = "",
    cursor: Cursor = "",
    limit: Limit = 50,
) -> schemas.BatchList:
    request = current_request(router)
    kind = ("batches", state or "", collection)
    page = batch_queries.list_batches(
        request.query_context(),
        state=state or "",
        collection=collection,
        after=request.decode_cursor(cursor, *kind, first={}),
        limit=limit,
    )
    return schemas.BatchList(
        items=[schemas.BatchSummary(**_brief(view, request)) for view in page.items],
        next_cursor=request.encode_cursor(page.after, *kind),
    )


def _told(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as whoever may see the batch is told them: a callback's URL may be signed."""
    return {
        name: text_without_secrets(value) if isinstance(value, str) else value
        for name, value in parameters.items()
    }


@router.get(
    "/api/batches/<batch_id>",
    operation_id="get_batch",
    tags=["Batches"],
    summary="A batch, with its counts and history",
    responses={200: {"description": "The batch."}, **problem_responses(NotFound, Gone)},
)
def get_batch(batch_id: BatchId) -> schemas.Batch:
    request = current_request(router)
    view = batch_queries.batch(batch_id, request.query_context())
    return schemas.Batch(
        **_brief(view, request),
        notify=list(view.batch.notify),
        undeliverable=_undeliverable(view.batch.untold),
        parameters=_told(view.batch.parameters),
        files_count=view.batch.files,
        report_checked_at=view.batch.checked_at,
        history=[HistoryEntry.model_validate(line) for line in history(view.batch.history)],
    )


@router.post(
    "/api/batches/<batch_id>/retries",
    operation_id="retry_jobs",
    tags=["Batches"],
    summary="Try failed jobs again",
    description="All of them, those of some failure codes, or those named. Each goes on after its "
    "last good step. The operation's address says what became of each. While a retry is under way, "
    "another one that may mean the same jobs is refused. For operator and admin.",
    status_code=202,
    responses={
        202: {"description": "They are being requeued."},
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
def retry_jobs(batch_id: BatchId, retry: schemas.RetryRequest) -> Response[schemas.RetryResult]:
    request = current_request(router)
    wanted = Filter(
        JobState.FAILED,
        frozenset(code.value for code in retry.failure_codes),
        frozenset(retry.job_ids),
    )
    own = request.link(f"batches/{batch_id}")
    if retry.preview:
        meant = operations.preview_operation(batch_id, "requeue", wanted, request.command_context())
        shown = schemas.RetryResult(
            operation_id=None,
            matched=meant.total,
            not_retryable=meant.refused,
            links={"batch": own},
        )
        return Response(200, "application/json", shown)
    operation = batch_operations.retry(
        batch_id, wanted, request.command_context(retry.reason or "")
    )
    address = f"{own}/retries/{operation.operation_id}"
    accepted = schemas.RetryResult(
        operation_id=operation.operation_id,
        matched=operation.matched,
        not_retryable=operation.refused,
        links={"self": address, "batch": own},
    )
    return Response(202, "application/json", accepted, {"Location": address})


@router.get(
    "/api/batches/<batch_id>/retries/<operation_id>",
    operation_id="get_retry",
    tags=["Batches"],
    summary="What became of a retry, job by job",
    responses={
        200: {"description": "The operation, and a page of outcomes."},
        **problem_responses(BadRequest, NotFound, Gone),
    },
)
def get_retry(
    batch_id: BatchId,
    operation_id: Annotated[str, Path(description="The operation's id.", max_length=64)],
    cursor: Cursor = "",
) -> schemas.Operation:
    request = current_request(router)
    kind = ("outcomes", batch_id, operation_id)
    view = report_queries.operation(
        batch_id,
        operation_id,
        request.query_context(),
        after=request.decode_cursor(cursor, *kind, first=0),
        limit=_CHUNKS_A_PAGE,
    )
    operation = view.operation
    own = request.link(f"batches/{batch_id}")
    return schemas.Operation(
        operation_id=operation.operation_id,
        batch_id=operation.batch_id,
        state=operation.state,
        event=operation.event,
        failure_codes=sorted(operation.filter.codes),
        matched=operation.matched,
        counts=dict(view.counts),
        outcomes=[schemas.OperationOutcome.model_validate(vars(each)) for each in view.outcomes],
        actor=operation.actor,
        reason=operation.reason,
        requested_at=operation.asked_at,
        ended_at=operation.ended_at,
        next_cursor=request.encode_cursor(view.after, *kind),
        links={"self": f"{own}/retries/{operation_id}", "batch": own},
    )


@router.get(
    "/api/batches/<batch_id>/reports",
    operation_id="list_reports",
    tags=["Batches"],
    summary="What was told about a batch, to whom, and whether it arrived",
    responses={200: {"description": "Its reports."}, **problem_responses(NotFound, Gone)},
)
def list_reports(batch_id: BatchId) -> schemas.ReportList:
    looking = current_request(router).query_context()
    return schemas.ReportList(
        items=[
            _report(report, looking) for report in report_queries.list_reports(batch_id, looking)
        ]
    )


def _undeliverable(found: Iterable[UndeliveredRecipient]) -> list[schemas.Undeliverable]:
    return [schemas.Undeliverable(address=each.address, reason=each.why) for each in found]


def _report(report: Report, looking: QueryContext) -> schemas.Report:
    linked = {
        name: report_queries.link_to(report, name, looking) if name in report.files else None
        for name in report_queries.LINKED
    }
    delivery = report.delivery
    return schemas.Report(
        seq=report.seq,
        kind=report.kind,
        created_at=report.at,
        to=list(report.to),
        subject=report.subject,
        delivery=schemas.Delivery(
            state=delivery.state,
            updated_at=delivery.at,
            message_id=delivery.message_id,
            error=delivery.error,
            undeliverable=_undeliverable(delivery.untold),
        ),
        counts=dict(report.counts),
        changed_count=report.changed,
        files=schemas.ReportFiles(
            jobs_csv=linked["jobs.csv"],
            failures_csv=linked["failures.csv"],
            json=linked["report.json"],
            html=linked["report.html"],
        ),
    )


@router.get(
    "/api/batches/<batch_id>/findings",
    operation_id="list_findings",
    tags=["Batches"],
    summary="What was found in a batch's manifest, by line and column",
    responses={
        200: {"description": "A page of findings."},
        **problem_responses(BadRequest, NotFound, Gone),
    },
)
def list_findings(batch_id: BatchId, cursor: Cursor = "", limit: Limit = 50) -> schemas.FindingList:
    request = current_request(router)
    kind = ("findings", batch_id)
    found, following = report_queries.list_findings(
        batch_id,
        request.query_context(),
        after=request.decode_cursor(cursor, *kind, first=0),
        limit=limit,
    )
    return schemas.FindingList(
        items=[schemas.Finding.model_validate(each) for each in found],
        next_cursor=request.encode_cursor(following, *kind),
    )


_GOES_ON = frozenset({"release", "cancel", "update_reporting"})  # the machine has more to do


@router.post(
    "/api/batches/<batch_id>/<event>",
    operation_id="send_batch_event",
    tags=["Batches"],
    summary="Release, cancel or delete a batch, or have it reported anew",
    description="Which state knows which event, and who may send it, is in the lifecycle "
    "`batch`; a batch's `actions` are those that are open to you.",
    responses={
        200: {"description": "It is done."},
        202: {"description": "It is done, and the batch goes on."},
        **problem_responses(Forbidden, NotFound, InvalidTransition, StaleState, Gone),
    },
    middlewares=[idempotent],
)
def send_event(
    batch_id: BatchId,
    event: Annotated[
        str,
        Path(
            description="What is asked.",
            json_schema_extra={"enum": [*BATCH.people_events()]},
            max_length=64,
        ),
    ],
    asked: schemas.ReasonRequest,
) -> Response[schemas.BatchStatus]:
    request = current_request(router)
    if event not in BATCH.people_events():
        known = ", ".join(BATCH.people_events())
        raise NotFound(f"there is no event {event!r} of batches; there are {known}")
    batch = send_batch_event(batch_id, event, request.command_context(asked.reason))
    return Response(202 if event in _GOES_ON else 200, "application/json", _moved(batch, request))


def _moved(batch: Batch, request: RequestContext) -> schemas.BatchStatus:
    return schemas.BatchStatus(
        batch_id=batch.batch_id,
        state=batch.state,
        actions=[BatchEvent(each) for each in BATCH.actions(batch.state, request.actor.roles)],
        links=links(batch.batch_id, request),
    )
