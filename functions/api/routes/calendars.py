"""Calendars: put, looked at, deleted. All for admin only."""

from typing import Annotated

from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from api.context import RequestContext, current_request
from api.idempotency import idempotent
from api.problems import field_path, problem_responses
from api.schemas.calendars import Calendar, CalendarChange, CalendarList, CalendarRequest
from api.schemas.fields import Reason
from jobyard.domain.errors import (
    BadRequest,
    Forbidden,
    InvalidRule,
    InvalidTransition,
    NotFound,
    StaleState,
)
from jobyard.domain.schedules.calendar import StoredCalendar, calendar_of
from jobyard.services import calendars
from jobyard.services.queries import calendars as calendar_queries

router = Router()  # type: ignore[no-untyped-call]

Name = Annotated[str, Path(description="The calendar's name.", max_length=64)]


def shown(kept: StoredCalendar, request: RequestContext) -> Calendar:
    """A calendar as its document."""
    document = kept.calendar.document()
    return Calendar(
        **document,
        version=kept.version,
        history=[CalendarChange.model_validate(vars(change)) for change in kept.changes],
        links={"self": request.link(f"calendars/{kept.calendar.name}")},
    )


@router.get(
    "/api/calendars",
    operation_id="list_calendars",
    tags=["Calendars"],
    summary="All calendars, by name",
    responses={200: {"description": "The calendars."}, **problem_responses(Forbidden)},
)
def list_calendars() -> CalendarList:
    request = current_request(router)
    found = calendar_queries.list_calendars(request.query_context())
    return CalendarList(items=[shown(kept, request) for kept in found])


@router.get(
    "/api/calendars/<calendar>",
    operation_id="get_calendar",
    tags=["Calendars"],
    summary="A calendar",
    responses={200: {"description": "The calendar."}, **problem_responses(Forbidden, NotFound)},
)
def get_calendar(calendar: Name) -> Calendar:
    request = current_request(router)
    return shown(calendar_queries.calendar(calendar, request.query_context()), request)


@router.put(
    "/api/calendars/<calendar>",
    operation_id="put_calendar",
    tags=["Calendars"],
    summary="Make a calendar, or change what one says",
    description="It holds from now on for all schedules that name it.",
    responses={
        200: {"description": "The calendar."},
        **problem_responses(BadRequest, InvalidRule, Forbidden, NotFound, StaleState),
    },
    middlewares=[idempotent],
)
def put_calendar(calendar: Name, wanted: CalendarRequest) -> Calendar:
    request = current_request(router)
    says = wanted.model_dump(include={"title", "exclude", "include"})
    with field_path("body"):
        read = calendar_of({"name": calendar, **says})
    return shown(
        calendars.put(read, wanted.version, request.command_context(wanted.reason)), request
    )


@router.delete(
    "/api/calendars/<calendar>",
    operation_id="delete_calendar",
    tags=["Calendars"],
    summary="Delete a calendar that no schedule names",
    responses={
        200: {"description": "The calendar as it was left."},
        **problem_responses(BadRequest, Forbidden, NotFound, InvalidTransition, StaleState),
    },
    middlewares=[idempotent],
)
def delete_calendar(
    calendar: Name,
    reason: Annotated[Reason, Query(description="Why.")],
    version: Annotated[
        int | None,
        Query(description="The version that you have seen: of another, nothing is done.", ge=1),
    ] = None,
) -> Calendar:
    request = current_request(router)
    return shown(calendars.delete(calendar, version, request.command_context(reason)), request)
