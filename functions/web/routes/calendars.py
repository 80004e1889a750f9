"""Calendars: the dates and hours at which schedules do not run. For administrators only."""

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from jobyard.domain.errors import JobyardError, NotFound
from jobyard.services import calendars
from jobyard.services.access import authorize
from jobyard.services.queries import calendars as calendar_queries
from web.calendar_form import calendar_from, fields_of
from web.event_buttons import EventButton
from web.forms import (
    handle_form,
    refusal_values,
    seen_version,
    status_of,
    version_to_send,
)
from web.request import PageRequest, current_request
from web.responses import page
from web.schedule_form import errors_of

router = Router()  # type: ignore[no-untyped-call]

_FIELDS = ("title", "exclude", "include")


@router.get("/calendars")
def list_calendars() -> Response[str]:
    """All calendars, and the form of a new one."""
    request = current_request(router)
    found = calendar_queries.list_calendars(request.query_context)
    return page("calendars.html", request, {"calendars": found})


@router.get("/calendars/<name>")
def show_calendar(name: str) -> Response[str]:
    """One calendar, to change; a name that does not exist is the form of a new one."""
    return _calendar_page(current_request(router), name)


def _calendar_page(
    request: PageRequest, name: str, refusal: JobyardError | None = None
) -> Response[str]:
    stored = None
    fields = dict.fromkeys(_FIELDS, "")
    try:
        stored = calendar_queries.calendar(name, request.query_context)
        fields = fields_of(stored.calendar)
    except NotFound:
        pass  # a new one
    if refusal is not None:
        fields |= {each: request.field(each) for each in _FIELDS}
    values = {
        "name": name,
        "stored": stored,
        "fields": fields,
        "seen": version_to_send(request, stored.version if stored else 0, refusal),
        "errors": errors_of(refusal),
        "deletion": EventButton(
            name="delete",
            address=f"/calendars/{name}/delete",
            label="Delete",
            icon="trash-2",
            effect="No schedule can use it any more. Its history stays.",
            is_dangerous=True,
        ),
        **refusal_values(request, refusal),
    }
    return page("calendar.html", request, values, status=status_of(refusal))


@router.post("/calendars")
def new_calendar() -> Response[str]:
    """Go to the form of a new calendar."""
    request = current_request(router)
    authorize(request.actor, "calendar", "put")
    return handle_form(
        lambda: f"/calendars/{calendar_from(request.field('name'), _EMPTY).name}",
        lambda refusal: page(
            "calendars.html",
            request,
            {
                "calendars": calendar_queries.list_calendars(request.query_context),
                **refusal_values(request, refusal),
            },
            status=status_of(refusal),
        ),
    )


_EMPTY = dict.fromkeys(_FIELDS, "")


@router.post("/calendars/<name>")
def put_calendar(name: str) -> Response[str]:
    """Store a calendar, if nobody else has changed it since the reader saw it."""
    request = current_request(router)

    def act() -> str:
        fields = {each: request.field(each) for each in _FIELDS}
        calendars.put(calendar_from(name, fields), seen_version(request), request.command_context())
        return f"/calendars/{name}"

    return handle_form(act, lambda refusal: _calendar_page(request, name, refusal))


@router.post("/calendars/<name>/delete")
def delete_calendar(name: str) -> Response[str]:
    """Delete a calendar that no schedule names."""
    request = current_request(router)

    def act() -> str:
        calendars.delete(name, None, request.command_context())
        return "/calendars"

    return handle_form(act, lambda refusal: _calendar_page(request, name, refusal))
