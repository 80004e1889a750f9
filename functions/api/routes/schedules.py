"""Schedules: made, looked at, edited, suspended, resumed, run now, deleted. All for admin only.

The service that changes them is imported when it is first asked: it brings all that runs jobs.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from api.context import RequestContext, current_request
from api.idempotency import idempotent
from api.problems import field_path, problem_responses
from api.routes.costs import bill
from api.routes.jobs import Cursor, Limit
from api.schemas import schedules as schemas
from api.schemas.batches import ReasonRequest
from api.schemas.costs import ScheduleCost
from api.schemas.fields import HistoryEntry, Reason
from api.schemas.jobs import RecordCounts
from api.schemas.schedules import MissedRuns, ScheduleEvent
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
from jobyard.domain.schedules.next_runs import Upcoming, upcoming
from jobyard.domain.schedules.occurrence import Verdict
from jobyard.domain.schedules.recurrence import Recurrence
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import CatchUp, MissedPolicy, Policy
from jobyard.services.queries import costs as cost_queries
from jobyard.services.queries import schedules as schedule_queries
from jobyard.services.queries.history import history
from jobyard.services.queries.schedules import OccurrenceView, ScheduleDetails, ScheduleView

router = Router()  # type: ignore[no-untyped-call]

ScheduleId = Annotated[str, Path(description="The schedule's id.", max_length=64)]
_BadOnes = (BadRequest, InvalidRule, InvalidParameters)


def links(schedule_id: str, request: RequestContext) -> dict[str, str]:
    """Where to go from a schedule."""
    own = request.link(f"schedules/{schedule_id}")
    return {"self": own, "occurrences": f"{own}/occurrences", "cost": f"{own}/cost"}


def _brief(view: ScheduleView, request: RequestContext) -> dict[str, Any]:
    schedule = view.schedule
    latest = schedule.latest
    return {
        "schedule_id": schedule.schedule_id,
        "title": schedule.title,
        "job_type": schedule.job_type,
        "is_system": schedule.is_system,
        "state": schedule.state,
        "label": schedule.label,
        "description": schedule.rule.description(),
        "zone": schedule.rule.zone,
        "next_run_at": view.next_run,
        "resume_at": schedule.resume_at,
        "waiting_reason": view.why,
        "waiting_until": view.until,
        "running_job_ids": [schedule.place(run.at).job_id for run in schedule.active],
        "latest_run": latest
        and schemas.LatestRun(
            job_id=schedule.place(latest.at).job_id,
            scheduled_for=latest.at,
            state=latest.state,
            label=latest.label,
            ended_at=latest.ended_at,
        ),
        "actions": [ScheduleEvent(action) for action in view.actions],
        "links": links(schedule.schedule_id, request),
    }


def in_full(found: ScheduleDetails, request: RequestContext) -> schemas.Schedule:
    """A schedule with all that is known of it."""
    schedule = found.view.schedule
    rule, policy = schedule.rule, schedule.policy
    return schemas.Schedule(
        **_brief(found.view, request),
        rule=rule.document(),
        dst=[rule.gap, rule.repeated],
        missed=MissedRuns(
            which=policy.missed.which, limit=policy.missed.most, max_age_h=policy.missed.oldest_h
        ),
        overlap=policy.overlap,
        calendar=policy.calendar,
        parameters=dict(schedule.parameters),
        owner=schedule.owner,
        created_at=schedule.created_at,
        next_runs=_runs(found.upcoming),
        latest_occurrence=_occurrence(found.completed, request) if found.completed else None,
        history=[HistoryEntry.model_validate(line) for line in history(schedule.history)],
    )


def _runs(found: Iterable[Upcoming]) -> list[schemas.NextRun]:
    return [schemas.NextRun.model_validate(each.document()) for each in found]


def _occurrence(view: OccurrenceView, request: RequestContext) -> schemas.Occurrence:
    each, outcome = view.occurrence, view.occurrence.outcome
    job_id = each.place.job_id if each.verdict is Verdict.RUN else ""
    own = {"schedule": request.link(f"schedules/{each.schedule_id}")}
    began = view.started_at
    return schemas.Occurrence(
        schedule_id=each.schedule_id,
        scheduled_for=each.at,
        local=view.local.isoformat(),
        trigger=each.trigger,
        verdict=each.verdict,
        skip_reason=each.reason,
        description=view.why,
        reason=each.words,
        actor=each.actor,
        job_id=job_id,
        state=view.state,
        label=view.label,
        started_at=began,
        ended_at=outcome.ended_at if outcome else None,
        duration_s=_seconds(each.duration),
        start_delay_s=_seconds(each.late(began)),
        failure_codes=list(outcome.codes) if outcome else [],
        message=outcome.message if outcome else "",
        records=RecordCounts.model_validate(view.records) if view.records else None,
        links=own | ({"job": request.link(f"jobs/{job_id}")} if job_id else {}),
    )


def _seconds(length: timedelta | None) -> float | None:
    return None if length is None else length.total_seconds()


def _rule(rule: schemas.Rule, now: datetime) -> Recurrence:
    with field_path("body.rule"):
        return recurrence_of(rule.model_dump(exclude_unset=True), now)


def _missed(missed: MissedPolicy | MissedRuns) -> CatchUp:
    if isinstance(missed, MissedRuns):
        return CatchUp(missed.which, missed.limit, missed.max_age_h)
    return CatchUp(missed)


@router.post(
    "/api/schedules/preview",
    operation_id="preview_rule",
    tags=["Schedules"],
    summary="When a rule comes due: its next occurrences",
    description="Nothing is saved. There are fewer than asked for where the rule ends.",
    responses={
        200: {"description": "A list of the occurrences, in order."},
        **problem_responses(BadRequest, InvalidRule, Forbidden),
    },
    middlewares=[idempotent],
)
def preview_rule(wanted: schemas.RulePreviewRequest) -> list[schemas.NextRun]:
    request = current_request(router)
    now = request.app.now()
    rule, calendar = _rule(wanted.rule, now), wanted.calendar or ""
    return _runs(
        schedule_queries.list_times(
            rule, wanted.from_ or now, wanted.count, calendar, request.query_context()
        )
    )


@router.post(
    "/api/schedules",
    operation_id="create_schedule",
    tags=["Schedules"],
    summary="Make a schedule",
    description="Its first run is known at once. A rule that has no run left is refused.",
    status_code=201,
    responses={
        201: {
            "description": "The schedule.",
            "headers": {"Location": {"description": "Where it is.", "schema": {"type": "string"}}},
        },
        **problem_responses(*_BadOnes, Forbidden),
    },
    middlewares=[idempotent],
)
def create_schedule(wanted: schemas.NewSchedule) -> Response[schemas.Schedule]:
    from jobyard.services.schedules import commands

    request = current_request(router)
    asking = request.command_context()
    schedule = commands.create(
        commands.ScheduleSpec(
            title=wanted.title,
            job_type=wanted.job_type,
            rule=_rule(wanted.rule, asking.now()),
            policy=Policy(_missed(wanted.missed), wanted.overlap, wanted.calendar or ""),
            parameters=wanted.parameters,
        ),
        asking,
    )
    made = in_full(schedule_queries.details(schedule, request.query_context()), request)
    return Response(201, "application/json", made, {"Location": made.links["self"]})


@router.get(
    "/api/schedules",
    operation_id="list_schedules",
    tags=["Schedules"],
    summary="Schedules, by title",
    responses={
        200: {"description": "A page of schedules."},
        **problem_responses(BadRequest, Forbidden),
    },
)
def list_schedules(
    system: Annotated[
        bool, Query(description="Those that Jobyard made for itself, instead of people's.")
    ] = False,
    label: Annotated[
        Literal["Idle", "In Progress", "Completed", "Failed", "waiting"] | None,
        Query(
            description="Only those with this label, or those that wait: none of their jobs is "
            "going, and one will run. Such a page may show few, and have a cursor all the same."
        ),
    ] = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> schemas.ScheduleList:
    request = current_request(router)
    kind = ("schedules", str(system), label or "")
    page = schedule_queries.list_schedules(
        request.query_context(),
        system=system,
        label=label or "",
        after=request.decode_cursor(cursor, *kind, first=""),
        limit=limit,
    )
    return schemas.ScheduleList(
        items=[schemas.ScheduleSummary(**_brief(view, request)) for view in page.items],
        next_cursor=request.encode_cursor(page.after, *kind),
    )


@router.get(
    "/api/schedules/<schedule_id>",
    operation_id="get_schedule",
    tags=["Schedules"],
    summary="A schedule, with its next runs and the run that ended last",
    responses={
        200: {"description": "The schedule."},
        **problem_responses(Forbidden, NotFound, Gone),
    },
)
def get_schedule(schedule_id: ScheduleId) -> schemas.Schedule:
    request = current_request(router)
    return in_full(schedule_queries.schedule(schedule_id, request.query_context()), request)


@router.patch(
    "/api/schedules/<schedule_id>",
    operation_id="edit_schedule",
    tags=["Schedules"],
    summary="Change a schedule, and see how its next runs change",
    description="What came due before is decided as it was. A schedule that had ended begins "
    "anew if it is given other times.",
    responses={
        200: {"description": "The schedule as it is now."},
        **problem_responses(*_BadOnes, Forbidden, NotFound, StaleState, Gone),
    },
    middlewares=[idempotent],
)
def edit_schedule(
    schedule_id: ScheduleId, changes: schemas.ScheduleChanges
) -> schemas.ScheduleEdit:
    from jobyard.services.schedules import commands

    request = current_request(router)
    asking = request.command_context(changes.reason)
    edited = commands.edit(
        schedule_id,
        commands.ScheduleEdit(
            title=changes.title,
            rule=_rule(changes.rule, asking.now()) if changes.rule else None,
            parameters=changes.parameters,
            missed=None if changes.missed is None else _missed(changes.missed),
            overlap=changes.overlap,
            calendar=changes.calendar,
        ),
        asking,
    )
    return schemas.ScheduleEdit(
        schedule=in_full(
            schedule_queries.details(edited.schedule, request.query_context()), request
        ),
        next_runs_before=_runs([upcoming(edited.before.rule, at) for at in edited.runs_before]),
        next_runs_after=_runs([upcoming(edited.schedule.rule, at) for at in edited.runs_after]),
    )


@router.post(
    "/api/schedules/<schedule_id>/suspend",
    operation_id="suspend_schedule",
    tags=["Schedules"],
    summary="Let a schedule's times pass",
    description="Each is noted as skipped. What runs goes on.",
    responses={
        200: {"description": "The schedule as it is now."},
        **problem_responses(BadRequest, Forbidden, NotFound, InvalidTransition, StaleState, Gone),
    },
    middlewares=[idempotent],
)
def suspend_schedule(
    schedule_id: ScheduleId, suspension: schemas.SuspendRequest
) -> schemas.Schedule:
    from jobyard.services.schedules import commands

    request = current_request(router)
    asking = request.command_context(suspension.reason)
    schedule = commands.suspend(schedule_id, suspension.until, asking)
    return in_full(schedule_queries.details(schedule, request.query_context()), request)


@router.post(
    "/api/schedules/<schedule_id>/resume",
    operation_id="resume_schedule",
    tags=["Schedules"],
    summary="Let a suspended schedule's times count again, from now on",
    responses={
        200: {"description": "The schedule as it is now."},
        **problem_responses(Forbidden, NotFound, InvalidTransition, StaleState, Gone),
    },
    middlewares=[idempotent],
)
def resume_schedule(schedule_id: ScheduleId, asked: ReasonRequest) -> schemas.Schedule:
    from jobyard.services.schedules import commands

    request = current_request(router)
    schedule = commands.resume(schedule_id, request.command_context(asked.reason))
    return in_full(schedule_queries.details(schedule, request.query_context()), request)


@router.post(
    "/api/schedules/<schedule_id>/run_now",
    operation_id="run_schedule_now",
    tags=["Schedules"],
    summary="Have a job run at once, beside the schedule's own times",
    description="While another is going it depends on the schedule's overlap: `forbid` refuses, "
    "`queue_one` has it wait.",
    status_code=202,
    responses={
        202: {
            "description": "It is started, or waits for the run before it.",
            "headers": {
                "Location": {
                    "description": "Its job, once it has one.",
                    "schema": {"type": "string"},
                }
            },
        },
        **problem_responses(Forbidden, NotFound, InvalidTransition, StaleState, Gone),
    },
    middlewares=[idempotent],
)
def run_schedule_now(schedule_id: ScheduleId, asked: ReasonRequest) -> Response[schemas.Occurrence]:
    from jobyard.services.schedules import commands

    request = current_request(router)
    occurrence = commands.run_now(schedule_id, request.command_context(asked.reason))
    shown = _occurrence(
        schedule_queries.occurrence_of(occurrence, request.query_context()), request
    )
    job = shown.links.get("job")
    return Response(202, "application/json", shown, {"Location": job} if job else {})


@router.delete(
    "/api/schedules/<schedule_id>",
    operation_id="delete_schedule",
    tags=["Schedules"],
    summary="Give a schedule up",
    description="It has no times any more; the history of its jobs stays. Jobyard's own can only "
    "be suspended.",
    responses={
        200: {"description": "The schedule as it was left."},
        **problem_responses(Forbidden, NotFound, InvalidTransition, StaleState, Gone),
    },
    middlewares=[idempotent],
)
def delete_schedule(
    schedule_id: ScheduleId, reason: Annotated[Reason, Query(description="Why.")]
) -> schemas.Schedule:
    from jobyard.services.schedules import commands

    request = current_request(router)
    schedule = commands.delete(schedule_id, request.command_context(reason))
    return in_full(schedule_queries.details(schedule, request.query_context()), request)


@router.get(
    "/api/schedules/<schedule_id>/occurrences",
    operation_id="list_occurrences",
    tags=["Schedules"],
    summary="What became of a schedule's times, newest first",
    description="Those that no job was started for are among them, each with its reason. A "
    "deleted schedule's are kept.",
    responses={
        200: {"description": "A page of occurrences."},
        **problem_responses(BadRequest, Forbidden, NotFound),
    },
)
def list_occurrences(
    schedule_id: ScheduleId, cursor: Cursor = "", limit: Limit = 50
) -> schemas.OccurrenceList:
    request = current_request(router)
    kind = ("occurrences", schedule_id)
    before = request.decode_cursor(cursor, *kind, first=None)
    page = schedule_queries.list_occurrences(
        schedule_id,
        request.query_context(),
        before=before and datetime.fromisoformat(before),
        limit=limit,
    )
    return schemas.OccurrenceList(
        items=[_occurrence(view, request) for view in page.items],
        next_cursor=request.encode_cursor(page.after and page.after.isoformat(), *kind),
    )


@router.get(
    "/api/schedules/<schedule_id>/cost",
    operation_id="get_schedule_cost",
    tags=["Schedules"],
    summary="What a schedule's jobs used of AWS, and what that costs",
    responses={
        200: {"description": "Its bill up to now."},
        **problem_responses(Forbidden, NotFound),
    },
)
def get_schedule_cost(schedule_id: ScheduleId) -> ScheduleCost:
    request = current_request(router)
    view = cost_queries.schedule_cost(schedule_id, request.query_context())
    own = request.link(f"schedules/{schedule_id}")
    return ScheduleCost(
        schedule_id=schedule_id,
        **bill(view.cost),
        links={"self": f"{own}/cost", "schedule": own},
    )
