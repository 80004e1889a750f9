"""Calendars: put, show and delete them. All for admins only."""

from typing import Annotated

from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from api.context import current_request
from api.idempotency import idempotent
from api.problems import problem_responses
from api.schemas.calendars import Calendar, CalendarList, CalendarRequest
from api.schemas.fields import Reason
from jobyard.domain.errors import (
    BadRequest,
    Forbidden,
    InvalidRule,
    InvalidTransition,
    NotFound,
    StaleState,
)
from jobyard.services import calendars
from jobyard.services.queries import calendars as calendar_queries

router = Router()  # type: ignore[no-untyped-call]

Name = Annotated[str, Path(description="The calendar's name.", max_length=64)]


@router.get(
    "/api/calendars",
    operation_id="list_calendars",
    tags=["Calendars"],
    summary="List all calendars, by name",
    responses={200: {"description": "The calendars."}, **problem_responses(Forbidden)},
)
def list_calendars() -> CalendarList:
    request = current_request(router)
    found = calendar_queries.list_calendars(request.query_context())
    return CalendarList(items=[Calendar.of(each, request) for each in found])


@router.get(
    "/api/calendars/<calendar>",
    operation_id="get_calendar",
    tags=["Calendars"],
    summary="Get a calendar",
    responses={200: {"description": "The calendar."}, **problem_responses(Forbidden, NotFound)},
)
def get_calendar(calendar: Name) -> Calendar:
    request = current_request(router)
    found = calendar_queries.calendar(calendar, request.query_context())
    return Calendar.of(found, request)


@router.put(
    "/api/calendars/<calendar>",
    operation_id="put_calendar",
    tags=["Calendars"],
    summary="Create or replace a calendar",
    description="It applies from now on to all schedules that name it.",
    responses={
        200: {"description": "The calendar."},
        **problem_responses(BadRequest, InvalidRule, Forbidden, NotFound, StaleState),
    },
    middlewares=[idempotent],
)
def put_calendar(calendar: Name, body: CalendarRequest) -> Calendar:
    request = current_request(router)
    context = request.command_context(body.reason)
    stored = calendars.put(body.calendar(calendar), body.version, context)
    return Calendar.of(stored, request)


@router.delete(
    "/api/calendars/<calendar>",
    operation_id="delete_calendar",
    tags=["Calendars"],
    summary="Delete a calendar that no schedule names",
    responses={
        200: {"description": "The deleted calendar."},
        **problem_responses(BadRequest, Forbidden, NotFound, InvalidTransition, StaleState),
    },
    middlewares=[idempotent],
)
def delete_calendar(
    calendar: Name,
    reason: Annotated[Reason, Query(description="Why.")],
    version: Annotated[
        int | None,
        Query(description="The version that you have seen. Refused if it has changed.", ge=1),
    ] = None,
) -> Calendar:
    request = current_request(router)
    stored = calendars.delete(calendar, version, request.command_context(reason))
    return Calendar.of(stored, request)
