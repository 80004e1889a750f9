"""Jobs: list and show them, and send events."""

from typing import Annotated
from urllib.parse import urlencode

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from api.context import current_request
from api.idempotency import idempotent
from api.problems import problem_responses
from api.routes.parameters import BatchId, Cursor, Limit, event_parameter
from api.routes.responses import LINK_TO_NEXT
from api.schemas.fields import ReasonRequest
from api.schemas.jobs import FailedRecords, Job, JobList, JobLog, JobStatus
from jobyard.domain.errors import (
    BadRequest,
    Forbidden,
    Gone,
    InvalidTransition,
    NotFound,
    StaleState,
)
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JOB, JobState
from jobyard.services.jobs.commands import send_job_event, starts_work
from jobyard.services.queries import job_csv
from jobyard.services.queries import jobs as job_queries
from jobyard.services.queries.failed_records import failed_records
from jobyard.services.queries.job_logs import attempt_log
from jobyard.services.queries.jobs import JobMatch

router = Router()  # type: ignore[no-untyped-call]

JobId = Annotated[
    str,
    Path(
        description="The job's id: batch_id.chunk.position, schedule_id.0.milliseconds, or that of "
        "a task, campaign_id.chunk.position.",
        max_length=64,
    ),
]
StateFilter = Annotated[JobState | None, Query(description="Only jobs in this state.")]
CodeFilter = Annotated[Failure | None, Query(description="Only failed jobs with this code.")]
StepFilter = Annotated[
    str, Query(description="Only jobs whose first unfinished step this is.", max_length=64)
]
NameFilter = Annotated[
    str,
    Query(
        description="Only jobs with this text in the name of their file or object, in any case.",
        max_length=200,
    ),
]


@router.get(
    "/api/batches/<batch_id>/jobs",
    operation_id="list_jobs",
    tags=["Jobs"],
    summary="List a batch's jobs, in the order of the manifest",
    description="With `step` or `name`, a page may be short, or empty, although a next page "
    "follows: each request searches up to 30 chunks.",
    responses={
        200: {"description": "A page of jobs."},
        **problem_responses(BadRequest, NotFound, Gone),
    },
)
def list_jobs(
    batch_id: BatchId,
    state: StateFilter = None,
    failure_code: CodeFilter = None,
    step: StepFilter = "",
    name: NameFilter = "",
    cursor: Cursor = "",
    limit: Limit = 50,
) -> JobList:
    request = current_request(router)
    matching = JobMatch(code=failure_code or "", step=step, name=name)
    pagination = request.pagination("jobs", batch_id, state or "", matching.code, step, name)
    chunk, position = pagination.start(cursor, (0, 0))
    page = job_queries.list_jobs(
        batch_id,
        request.query_context(),
        state=state or "",
        after=(chunk, position),
        limit=limit,
        matching=matching,
    )
    return JobList.of(page, pagination, request)


@router.get(
    "/api/batches/<batch_id>/jobs.csv",
    operation_id="list_jobs_as_csv",
    tags=["Jobs"],
    summary="List a batch's jobs as CSV, in the order of the manifest",
    description="With the columns of a report's `jobs.csv`. A long list comes in parts of about "
    "5,000 jobs: while there is a next part, the response has its URL in the header `Link`, as "
    '`rel="next"`. Only the first part names the columns, so the parts make one file. A part may '
    "have no row although a next one follows. A cell that a spreadsheet would take for a formula "
    "begins with an apostrophe.",
    responses={
        200: {
            "description": "A part of the jobs.",
            "content": {"text/csv": {"schema": {"type": "string"}}},
            "headers": LINK_TO_NEXT,
        },
        **problem_responses(BadRequest, NotFound, Gone),
    },
)
def list_jobs_as_csv(
    batch_id: BatchId,
    state: StateFilter = None,
    failure_code: CodeFilter = None,
    step: StepFilter = "",
    name: NameFilter = "",
    cursor: Cursor = "",
) -> Response[str]:
    request = current_request(router)
    matching = JobMatch(state or "", failure_code or "", step, name)
    pagination = request.pagination("jobs", batch_id, *vars(matching).values())
    chunk, position = pagination.start(cursor, (0, 0))
    part = job_csv.jobs_csv(
        batch_id,
        request.query_context(),
        matching=matching,
        after=(chunk, position),
        has_header=not cursor,
    )
    headers = {"Content-Disposition": f'attachment; filename="{batch_id}-jobs.csv"'}
    if following := pagination.next_cursor(part.after):
        given = {"state": state, "failure_code": failure_code, "step": step, "name": name}
        query = urlencode(
            {key: each for key, each in given.items() if each} | {"cursor": following}
        )
        url = request.link(f"batches/{batch_id}/jobs.csv?{query}")
        headers["Link"] = f'<{url}>; rel="next"'
    return Response(200, "text/csv; charset=utf-8", part.text, headers)


@router.get(
    "/api/jobs/<job_id>",
    operation_id="get_job",
    tags=["Jobs"],
    summary="Get a job with its steps, attempts and history",
    description="Only an admin sees a job of a schedule.",
    responses={200: {"description": "The job."}, **problem_responses(Forbidden, NotFound, Gone)},
)
def get_job(job_id: JobId) -> Job:
    request = current_request(router)
    view = job_queries.job(job_id, request.query_context())
    return Job.of(view, request)


@router.get(
    "/api/jobs/<job_id>/log",
    operation_id="get_job_log",
    tags=["Jobs"],
    summary="Get the log lines of an attempt to run a job",
    description="They are read from CloudWatch Logs, which keeps them for some days, and shows "
    "them up to a minute after they were written. A worker logs what became of its jobs when it "
    "ends. The lines are for operators and admins, those of a schedule's job for admins only: they "
    "quote AWS and libraries.",
    responses={
        200: {"description": "The lines, or why there are none."},
        **problem_responses(Forbidden, NotFound, Gone),
    },
)
def get_job_log(
    job_id: JobId,
    attempt: Annotated[
        int | None, Query(description="Its number; left out, the latest.", ge=1)
    ] = None,
) -> JobLog:
    request = current_request(router)
    found = attempt_log(job_id, attempt, request.app.logs, request.query_context())
    return JobLog.of(found, request)


@router.get(
    "/api/jobs/<job_id>/failed-records",
    operation_id="get_failed_records",
    tags=["Jobs"],
    summary="Get a link to the list of the records that a sweep could not change",
    description="The file has a JSON object with `key` and `reason` in each line, up to about "
    "16 MB; `records` of the job counts all. It is kept for 90 days.",
    responses={
        200: {"description": "The link, valid for 15 minutes."},
        **problem_responses(Forbidden, NotFound, Gone),
    },
)
def get_failed_records(job_id: JobId) -> FailedRecords:
    found = failed_records(job_id, current_request(router).query_context())
    return FailedRecords(url=found.url, records=found.records)


@router.post(
    "/api/jobs/<job_id>/<event>",
    operation_id="send_job_event",
    tags=["Jobs"],
    summary="Hold, release, requeue, force fail, cancel or delete a job",
    description="A requeued job starts after its last successful step. The lifecycle `job` lists "
    "the events of each state and who may send them. The job's `actions` are those that you may "
    "send now. Jobs of a schedule are for admins only, and cannot be held or released: suspend the "
    "schedule instead. A task of a campaign can be cancelled and requeued until its campaign ends; "
    "one that runs is cancelled after its step, or the part of it.",
    responses={
        200: {"description": "The job has changed."},
        202: {"description": "The job has changed and will run."},
        **problem_responses(Forbidden, NotFound, InvalidTransition, StaleState, Gone),
    },
    middlewares=[idempotent],
)
def send_event(
    job_id: JobId,
    event: Annotated[str, event_parameter(JOB)],
    body: ReasonRequest,
) -> Response[JobStatus]:
    request = current_request(router)
    job = send_job_event(job_id, event, request.command_context(body.reason))
    status = 202 if starts_work(event) else 200
    return Response(status, "application/json", JobStatus.of(job, request))
