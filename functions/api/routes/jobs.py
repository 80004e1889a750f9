"""Jobs: looked at one by one or by the page, and sent what a person may send."""

from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from api.context import RequestContext, current_request
from api.idempotency import idempotent
from api.problems import problem_responses
from api.schemas.batches import ReasonRequest
from api.schemas.fields import HistoryEntry
from api.schemas.jobs import (
    Attempt,
    Job,
    JobEvent,
    JobList,
    JobStatus,
    JobSummary,
    RecordCounts,
    Step,
)
from jobyard.domain.errors import (
    BadRequest,
    Forbidden,
    Gone,
    InvalidTransition,
    NotFound,
    StaleState,
)
from jobyard.domain.ids import Origin, origin_of
from jobyard.domain.jobs import job as jobs
from jobyard.domain.jobs.job import JOB, JobRecord, JobState, StepRecord, StepStatus
from jobyard.domain.urls import without_secrets
from jobyard.services.jobs.commands import send_job_event
from jobyard.services.queries import jobs as job_queries
from jobyard.services.queries.history import history
from jobyard.services.queries.jobs import JobView

router = Router()  # type: ignore[no-untyped-call]

JobId = Annotated[
    str,
    Path(
        description="The job's id: batch_id.chunk.position, or schedule_id.0.milliseconds.",
        max_length=64,
    ),
]
BatchId = Annotated[str, Path(description="The batch's id.", max_length=64)]
Cursor = Annotated[
    str, Query(description="Where the page begins, from the page before.", max_length=1024)
]
Limit = Annotated[int, Query(description="How many, at most.", ge=1, le=200)]

_PAGE_BYTES = 4 * 1024 * 1024  # a line may be 64 KB, and Lambda answers with 6 MB at most
_COLLECTIONS = {Origin.BATCH: "batches", Origin.SCHEDULE: "schedules"}
_GOES_ON = frozenset({"release", "requeue"})  # the machine has more to do than to count


def links(job_id: str, request: RequestContext) -> dict[str, str]:
    """Where to go from a job."""
    origin_id = job_id.partition(".")[0]
    own = {"self": request.link(f"jobs/{job_id}")}
    origin = origin_of(origin_id)
    return own | {origin: request.link(f"{_COLLECTIONS[origin]}/{origin_id}")}


def in_brief(view: JobView, request: RequestContext) -> JobSummary:
    """A job as lists show it."""
    return JobSummary(**_brief(view, request))


def _brief(view: JobView, request: RequestContext) -> dict[str, Any]:
    record, place = view.job, view.job.place
    return {
        "job_id": place.job_id,
        "batch_id": place.origin_id if place.origin is Origin.BATCH else "",
        "line": view.row.get("line"),
        "name": view.row.get("name", ""),
        "url": without_secrets(view.row.get("url", "")),
        "state": record.state,
        "label": view.label,
        "waiting_reason": view.why,
        "waiting_until": view.until,
        "step": view.step,
        "failure_code": record.failure_code,
        "failure_message": record.failure_message,
        "requeue_count": record.requeues,
        "actions": [JobEvent(action) for action in view.actions],
        "links": links(place.job_id, request),
    }


def in_full(view: JobView, request: RequestContext) -> Job:
    """A job with all that is known of it."""
    recorded = {step.name: step for step in view.job.steps}
    occurrence = view.occurrence
    return Job(
        **_brief(view, request),
        schedule_id=occurrence.schedule_id if occurrence else "",
        scheduled_for=occurrence.at if occurrence else None,
        trigger=occurrence.trigger if occurrence else None,
        actor=occurrence.actor if occurrence else "",
        reason=occurrence.words if occurrence else "",
        parameters=dict(occurrence.parameters) if occurrence else {},
        records=RecordCounts.model_validate(view.records) if view.records else None,
        steps=[_step(name, recorded.get(name)) for name in view.all_steps],
        attempts=[_attempt(each) for each in view.job.attempts],
        result=dict(view.job.data),
        history=[HistoryEntry.model_validate(line) for line in history(view.job.history)],
    )


def _attempt(attempt: jobs.Attempt) -> Attempt:
    return Attempt(
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
        step=attempt.step,
        failure_code=attempt.code,
        failure_message=attempt.message,
    )


def _step(name: str, record: StepRecord | None) -> Step:
    if record is None:
        return Step(
            name=name,
            status=StepStatus.PENDING,
            started_at=None,
            skipped_at=None,
            completed_at=None,
            message="",
        )
    return Step(
        name=name,
        status=record.status,
        started_at=record.started_at,
        skipped_at=record.ended_at if record.status is StepStatus.SKIPPED else None,
        completed_at=record.ended_at if record.status is StepStatus.COMPLETED else None,
        message=record.message,
    )


@router.get(
    "/api/batches/<batch_id>/jobs",
    operation_id="list_jobs",
    tags=["Jobs"],
    summary="A batch's jobs, in the manifest's order",
    responses={
        200: {"description": "A page of jobs."},
        **problem_responses(BadRequest, NotFound, Gone),
    },
)
def list_jobs(
    batch_id: BatchId,
    state: Annotated[JobState | None, Query(description="Only those in this state.")] = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> JobList:
    request = current_request(router)
    kind = ("jobs", batch_id, state or "")
    chunk, position = request.decode_cursor(cursor, *kind, first=(0, 0))
    page = job_queries.list_jobs(
        batch_id, request.query_context(), state=state or "", after=(chunk, position), limit=limit
    )
    items: list[JobSummary] = []
    size = 0
    for view in page.items:
        item = in_brief(view, request)
        size += len(item.model_dump_json())
        if items and size > _PAGE_BYTES:
            place = view.job.place
            return JobList(
                items=items, next_cursor=request.encode_cursor((place.chunk, place.position), *kind)
            )
        items.append(item)
    return JobList(items=items, next_cursor=request.encode_cursor(page.after, *kind))


@router.get(
    "/api/jobs/<job_id>",
    operation_id="get_job",
    tags=["Jobs"],
    summary="A job, with its steps, attempts and history",
    description="One of a schedule is shown to admin only.",
    responses={200: {"description": "The job."}, **problem_responses(Forbidden, NotFound, Gone)},
)
def get_job(job_id: JobId) -> Job:
    request = current_request(router)
    return in_full(job_queries.job(job_id, request.query_context()), request)


@router.post(
    "/api/jobs/<job_id>/<event>",
    operation_id="send_job_event",
    tags=["Jobs"],
    summary="Hold, release, requeue, force to fail, cancel or delete a job",
    description="A requeued job goes on after its last good step. Which state knows which event, "
    "and who may send it, is in the lifecycle `job`; a job's `actions` are those that are open "
    "to you. One of a schedule is for admin only, and is neither held nor released: suspend the "
    "schedule instead.",
    responses={
        200: {"description": "It is done."},
        202: {"description": "It is done, and the job goes on."},
        **problem_responses(Forbidden, NotFound, InvalidTransition, StaleState, Gone),
    },
    middlewares=[idempotent],
)
def send_event(
    job_id: JobId,
    event: Annotated[
        str,
        Path(
            description="What is asked.",
            json_schema_extra={"enum": [*JOB.people_events()]},
            max_length=64,
        ),
    ],
    asked: ReasonRequest,
) -> Response[JobStatus]:
    request = current_request(router)
    if event not in JOB.people_events():
        known = ", ".join(JOB.people_events())
        raise NotFound(f"there is no event {event!r} of jobs; there are {known}")
    job = send_job_event(job_id, event, request.command_context(asked.reason))
    return Response(202 if event in _GOES_ON else 200, "application/json", _moved(job, request))


def _moved(job: JobRecord, request: RequestContext) -> JobStatus:
    address = job.place
    return JobStatus(
        job_id=address.job_id,
        batch_id=address.origin_id if address.origin is Origin.BATCH else "",
        schedule_id=address.origin_id if address.origin is Origin.SCHEDULE else "",
        state=job.state,
        actions=[JobEvent(each) for each in job.actions(request.actor.roles)],
        links=links(address.job_id, request),
    )
