"""Schedules: create, show, edit, suspend, resume, run now and delete. All for admins only.

The handlers that change schedules import their service themselves: it loads everything that runs
jobs, which a read does not need.
"""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from api.context import RequestContext, current_request
from api.idempotency import idempotent
from api.links import schedule_links
from api.problems import problem_responses
from api.routes.parameters import Cursor, Limit, ReportNumber
from api.routes.responses import LOCATION, accepted, created
from api.schemas import schedules as schemas
from api.schemas.costs import ScheduleCost
from api.schemas.fields import Reason, ReasonRequest
from api.schemas.reports import Report, ReportList
from jobyard.domain.errors import (
    BadRequest,
    Forbidden,
    Gone,
    InvalidParameters,
    InvalidRule,
    InvalidTransition,
    NotFound,
    StaleState,
)
from jobyard.domain.schedules.schedule import Schedule, ScheduleFilter
from jobyard.domain.schedules.year import FIRST_YEAR, LAST_YEAR
from jobyard.services.queries import costs as cost_queries
from jobyard.services.queries import reports as report_queries
from jobyard.services.queries import schedules as schedule_queries

router = Router()  # type: ignore[no-untyped-call]

ScheduleId = Annotated[str, Path(description="The schedule's id.", max_length=64)]
_INVALID = (BadRequest, InvalidRule, InvalidParameters)


def _schema(schedule: Schedule, request: RequestContext) -> schemas.Schedule:
    return schemas.Schedule.of_details(
        schedule_queries.details(schedule, request.query_context()), request
    )


@router.post(
    "/api/schedules/preview",
    operation_id="preview_rule",
    tags=["Schedules"],
    summary="Preview the next runs of a rule",
    description="Nothing is saved. There are fewer runs than requested if the rule ends.",
    responses={
        200: {"description": "The runs, in order."},
        **problem_responses(BadRequest, InvalidRule, Forbidden),
    },
    middlewares=[idempotent],
)
def preview_rule(body: schemas.RulePreviewRequest) -> list[schemas.NextRun]:
    context = current_request(router).query_context()
    rule, start = body.rule.recurrence(context.now), body.from_ or context.now
    runs = schedule_queries.list_times(rule, start, body.count, body.calendar or "", context)
    return schemas.NextRun.all_of(runs)


@router.post(
    "/api/schedules",
    operation_id="create_schedule",
    tags=["Schedules"],
    summary="Create a schedule",
    description="A rule without a run in the future is refused.",
    status_code=201,
    responses={
        201: {"description": "The schedule.", "headers": LOCATION},
        **problem_responses(*_INVALID, Forbidden),
    },
    middlewares=[idempotent],
)
def create_schedule(body: schemas.NewSchedule) -> Response[schemas.Schedule]:
    from jobyard.services.schedules import commands

    request = current_request(router)
    context = request.command_context()
    return created(_schema(commands.create(body.spec(context.now()), context), request))


@router.get(
    "/api/schedules",
    operation_id="list_schedules",
    tags=["Schedules"],
    summary="List schedules, by title",
    responses={
        200: {"description": "A page of schedules."},
        **problem_responses(BadRequest, Forbidden),
    },
)
def list_schedules(
    system: Annotated[bool, Query(description="Jobyard's own schedules, not people's.")] = False,
    label: Annotated[
        ScheduleFilter | None,
        Query(
            description="Only schedules with this label. A `waiting` schedule has a next run and "
            "no active job. A filtered page may be short although a next page follows."
        ),
    ] = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> schemas.ScheduleList:
    request = current_request(router)
    pagination = request.pagination("schedules", str(system), label or "")
    page = schedule_queries.list_schedules(
        request.query_context(),
        system=system,
        label=label or "",
        after=pagination.start(cursor, ""),
        limit=limit,
    )
    return schemas.ScheduleList.of(page.items, pagination.next_cursor(page.after), request)


@router.get(
    "/api/schedules/<schedule_id>",
    operation_id="get_schedule",
    tags=["Schedules"],
    summary="Get a schedule with its next runs and its latest run",
    responses={
        200: {"description": "The schedule."},
        **problem_responses(Forbidden, NotFound, Gone),
    },
)
def get_schedule(schedule_id: ScheduleId) -> schemas.Schedule:
    request = current_request(router)
    details = schedule_queries.schedule(schedule_id, request.query_context())
    return schemas.Schedule.of_details(details, request)


@router.patch(
    "/api/schedules/<schedule_id>",
    operation_id="edit_schedule",
    tags=["Schedules"],
    summary="Edit a schedule, and see how its next runs change",
    description="Runs that were due before the edit are decided by the old rule. A schedule that "
    "had ended becomes active again if its new rule has runs left.",
    responses={
        200: {"description": "The edited schedule."},
        **problem_responses(*_INVALID, Forbidden, NotFound, StaleState, Gone),
    },
    middlewares=[idempotent],
)
def edit_schedule(
    schedule_id: ScheduleId, changes: schemas.ScheduleChanges
) -> schemas.ScheduleEdit:
    from jobyard.services.schedules import commands

    request = current_request(router)
    context = request.command_context(changes.reason)
    edited = commands.edit(schedule_id, changes.edit(context.now()), context, seen=changes.revision)
    return schemas.ScheduleEdit.of(edited, _schema(edited.schedule, request))


@router.post(
    "/api/schedules/<schedule_id>/preview",
    operation_id="preview_edit",
    tags=["Schedules"],
    summary="Preview which runs a change of a schedule adds and removes",
    description="Nothing is changed.",
    responses={
        200: {"description": "The runs, in order."},
        **problem_responses(BadRequest, InvalidRule, Forbidden, NotFound, Gone),
    },
    middlewares=[idempotent],
)
def preview_edit(schedule_id: ScheduleId, body: schemas.EditPreviewRequest) -> schemas.EditPreview:
    context = current_request(router).query_context()
    rule = body.rule.recurrence(context.now) if body.rule else None
    found = schedule_queries.edit_difference(schedule_id, rule, body.calendar, context)
    return schemas.EditPreview.of(found)


@router.get(
    "/api/schedules/<schedule_id>/year",
    operation_id="get_schedule_year",
    tags=["Schedules"],
    summary="Get the days of a year on which a schedule is due",
    responses={
        200: {"description": "The days, in order."},
        **problem_responses(BadRequest, Forbidden, NotFound, Gone),
    },
)
def get_schedule_year(
    schedule_id: ScheduleId,
    year: Annotated[
        int | None,
        Query(description="This year if left out.", ge=FIRST_YEAR, le=LAST_YEAR),
    ] = None,
) -> schemas.ScheduleYear:
    request = current_request(router)
    context = request.query_context()
    found = schedule_queries.schedule_year(schedule_id, year or context.now.year, context)
    return schemas.ScheduleYear.of(found, request)


@router.get(
    "/api/schedules/<schedule_id>/lateness",
    operation_id="get_schedule_lateness",
    tags=["Schedules"],
    summary="Get how late the jobs of a schedule's newest runs started",
    responses={
        200: {"description": "The delays of up to 50 runs."},
        **problem_responses(Forbidden, NotFound),
    },
)
def get_schedule_lateness(schedule_id: ScheduleId) -> schemas.ScheduleLateness:
    request = current_request(router)
    found = schedule_queries.lateness(schedule_id, request.query_context())
    return schemas.ScheduleLateness(**vars(found), links=schedule_links(schedule_id, request))


@router.post(
    "/api/schedules/<schedule_id>/suspend",
    operation_id="suspend_schedule",
    tags=["Schedules"],
    summary="Suspend a schedule",
    description="Its runs are skipped until it is resumed; each is recorded. Active jobs continue.",
    responses={
        200: {"description": "The suspended schedule."},
        **problem_responses(BadRequest, Forbidden, NotFound, InvalidTransition, StaleState, Gone),
    },
    middlewares=[idempotent],
)
def suspend_schedule(
    schedule_id: ScheduleId, suspension: schemas.SuspendRequest
) -> schemas.Schedule:
    from jobyard.services.schedules import commands

    request = current_request(router)
    context = request.command_context(suspension.reason)
    return _schema(commands.suspend(schedule_id, suspension.until, context), request)


@router.post(
    "/api/schedules/<schedule_id>/resume",
    operation_id="resume_schedule",
    tags=["Schedules"],
    summary="Resume a suspended schedule",
    description="Runs start again from now on. Those that were due before stay skipped.",
    responses={
        200: {"description": "The resumed schedule."},
        **problem_responses(Forbidden, NotFound, InvalidTransition, StaleState, Gone),
    },
    middlewares=[idempotent],
)
def resume_schedule(schedule_id: ScheduleId, body: ReasonRequest) -> schemas.Schedule:
    from jobyard.services.schedules import commands

    request = current_request(router)
    return _schema(commands.resume(schedule_id, request.command_context(body.reason)), request)


@router.post(
    "/api/schedules/<schedule_id>/run_now",
    operation_id="run_schedule_now",
    tags=["Schedules"],
    summary="Run a job of a schedule now",
    description="The schedule's regular runs are not affected. While another job is active, the "
    "overlap policy decides: `forbid` refuses the run, `queue_one` lets it wait.",
    status_code=202,
    responses={
        202: {
            "description": "The job is started, or waits for the active one.",
            "headers": LOCATION,
        },
        **problem_responses(Forbidden, NotFound, InvalidTransition, StaleState, Gone),
    },
    middlewares=[idempotent],
)
def run_schedule_now(schedule_id: ScheduleId, body: ReasonRequest) -> Response[schemas.Occurrence]:
    from jobyard.services.schedules import commands

    request = current_request(router)
    occurrence = commands.run_now(schedule_id, request.command_context(body.reason))
    view = schedule_queries.occurrence_of(occurrence, request.query_context())
    return accepted(schemas.Occurrence.of(view, request), "job")


@router.delete(
    "/api/schedules/<schedule_id>",
    operation_id="delete_schedule",
    tags=["Schedules"],
    summary="Delete a schedule",
    description="It has no more runs; its history is kept. Jobyard's own schedules can only be "
    "suspended.",
    responses={
        200: {"description": "The deleted schedule."},
        **problem_responses(Forbidden, NotFound, InvalidTransition, StaleState, Gone),
    },
    middlewares=[idempotent],
)
def delete_schedule(
    schedule_id: ScheduleId, reason: Annotated[Reason, Query(description="Why.")]
) -> schemas.Schedule:
    from jobyard.services.schedules import commands

    request = current_request(router)
    return _schema(commands.delete(schedule_id, request.command_context(reason)), request)


@router.get(
    "/api/schedules/<schedule_id>/occurrences",
    operation_id="list_occurrences",
    tags=["Schedules"],
    summary="List the occurrences of a schedule, newest first",
    description="Skipped runs are among them, each with its reason. Those of a deleted schedule "
    "are kept.",
    responses={
        200: {"description": "A page of occurrences."},
        **problem_responses(BadRequest, Forbidden, NotFound),
    },
)
def list_occurrences(
    schedule_id: ScheduleId, cursor: Cursor = "", limit: Limit = 50
) -> schemas.OccurrenceList:
    request = current_request(router)
    pagination = request.pagination("occurrences", schedule_id)
    page = schedule_queries.list_occurrences(
        schedule_id, request.query_context(), after=pagination.start(cursor, ""), limit=limit
    )
    return schemas.OccurrenceList.of(page.items, pagination.next_cursor(page.after), request)


@router.get(
    "/api/schedules/<schedule_id>/reports",
    operation_id="list_schedule_reports",
    tags=["Schedules"],
    summary="List the mails about failed jobs of a schedule, with their delivery",
    responses={
        200: {"description": "Its reports."},
        **problem_responses(Forbidden, NotFound, Gone),
    },
)
def list_schedule_reports(schedule_id: ScheduleId) -> ReportList:
    context = current_request(router).query_context()
    return ReportList.of(report_queries.list_reports(schedule_id, context), context)


@router.post(
    "/api/schedules/<schedule_id>/reports/<seq>/resend",
    operation_id="resend_schedule_report",
    tags=["Schedules"],
    summary="Send the mail about a failed job, or a webhook delivery, again",
    description="To all of its recipients, within a minute.",
    status_code=202,
    responses={
        202: {"description": "It waits to be sent."},
        **problem_responses(BadRequest, Forbidden, NotFound, Gone, InvalidTransition, StaleState),
    },
    middlewares=[idempotent],
)
def resend_schedule_report(
    schedule_id: ScheduleId, seq: ReportNumber, body: ReasonRequest
) -> Response[Report]:
    from jobyard.services.reports import commands as report_commands

    request = current_request(router)
    report = report_commands.resend(schedule_id, seq, request.command_context(body.reason))
    return Response(202, "application/json", Report.of(report, request.query_context()))


@router.get(
    "/api/schedules/<schedule_id>/cost",
    operation_id="get_schedule_cost",
    tags=["Schedules"],
    summary="Get what a schedule's jobs used of AWS, and its price",
    responses={
        200: {"description": "The cost up to now."},
        **problem_responses(Forbidden, NotFound),
    },
)
def get_schedule_cost(schedule_id: ScheduleId) -> ScheduleCost:
    request = current_request(router)
    cost = cost_queries.schedule_cost(schedule_id, request.query_context())
    return ScheduleCost.of(schedule_id, cost, request)
