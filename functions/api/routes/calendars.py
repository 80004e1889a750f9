"""Calendars: put, looked at, deleted. All for admin only."""

from typing import Annotated

from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from api.desk import Visit, visit_of
from api.documents.calendars import Calendar, CalendarChange, Calendars, CalendarWanted
from api.documents.fields import Reason
from api.problems import documented, read_from
from api.repeats import once
from jobyard.domain.calendars import Kept, calendar_of
from jobyard.domain.errors import (
    BadRequest,
    Forbidden,
    InvalidRule,
    InvalidTransition,
    NotFound,
    StaleState,
)
from jobyard.services import calendars, views

router = Router()  # type: ignore[no-untyped-call]

Name = Annotated[str, Path(description="The calendar's name.", max_length=64)]


def shown(kept: Kept, visit: Visit) -> Calendar:
    """A calendar as its document."""
    document = kept.calendar.document()
    return Calendar(
        **document,
        version=kept.version,
        history=[CalendarChange.model_validate(vars(change)) for change in kept.changes],
        links={"self": visit.link(f"calendars/{kept.calendar.name}")},
    )


@router.get(
    "/api/calendars",
    operation_id="list_calendars",
    tags=["Calendars"],
    summary="All calendars, by name",
    responses={200: {"description": "The calendars."}, **documented(Forbidden)},
)
def list_calendars() -> Calendars:
    visit = visit_of(router)
    found = views.list_calendars(visit.looking())
    return Calendars(items=[shown(kept, visit) for kept in found])


@router.get(
    "/api/calendars/<calendar>",
    operation_id="get_calendar",
    tags=["Calendars"],
    summary="A calendar",
    responses={200: {"description": "The calendar."}, **documented(Forbidden, NotFound)},
)
def get_calendar(calendar: Name) -> Calendar:
    visit = visit_of(router)
    return shown(views.calendar(calendar, visit.looking()), visit)


@router.put(
    "/api/calendars/<calendar>",
    operation_id="put_calendar",
    tags=["Calendars"],
    summary="Make a calendar, or change what one says",
    description="It holds from now on for all schedules that name it.",
    responses={
        200: {"description": "The calendar."},
        **documented(BadRequest, InvalidRule, Forbidden, NotFound, StaleState),
    },
    middlewares=[once],
)
def put_calendar(calendar: Name, wanted: CalendarWanted) -> Calendar:
    visit = visit_of(router)
    says = wanted.model_dump(include={"title", "exclude", "include"})
    with read_from("body"):
        read = calendar_of({"name": calendar, **says})
    return shown(calendars.put(read, wanted.version, visit.asking(wanted.reason)), visit)


@router.delete(
    "/api/calendars/<calendar>",
    operation_id="delete_calendar",
    tags=["Calendars"],
    summary="Delete a calendar that no schedule names",
    responses={
        200: {"description": "The calendar as it was left."},
        **documented(BadRequest, Forbidden, NotFound, InvalidTransition, StaleState),
    },
    middlewares=[once],
)
def delete_calendar(
    calendar: Name,
    reason: Annotated[Reason, Query(description="Why.")],
    version: Annotated[
        int | None,
        Query(description="The version that you have seen: of another, nothing is done.", ge=1),
    ] = None,
) -> Calendar:
    visit = visit_of(router)
    return shown(calendars.delete(calendar, version, visit.asking(reason)), visit)
