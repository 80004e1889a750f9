"""Job Management: schedules with their runs, in VoteCal's words. For administrators only."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from jobyard.domain.errors import JobyardError, NotFound, StaleState
from jobyard.domain.ids import Origin
from jobyard.domain.schedules.schedule import Schedule, ScheduleFilter
from jobyard.domain.schedules.wall_clock import WEEKDAYS, zone_named
from jobyard.domain.schedules.year import FIRST_YEAR, LAST_YEAR
from jobyard.services.queries import calendars as calendar_queries
from jobyard.services.queries import costs as cost_queries
from jobyard.services.queries import schedules as schedule_queries
from jobyard.services.queries.job_types import list_job_types
from jobyard.services.queries.schedules import ScheduleDetails
from jobyard.services.reports import commands as report_commands
from jobyard.services.schedules import commands
from jobyard.services.schedules.access import active_schedule
from jobyard.services.schedules.commands import ScheduleEdit, ScheduleSpec
from jobyard.services.snapshots import OLDEST_SHOWN
from web import schedule_form as form
from web.event_buttons import event_buttons, event_values
from web.filters import json_text
from web.forms import (
    handle_form,
    local_time,
    refusal_text,
    seen_version,
    status_of,
    version_to_send,
)
from web.pictures.year import year
from web.poll_interval import LIST_POLL_S, PART_AGE, poll_interval_s
from web.report_rows import report_number, report_rows, reports_address
from web.request import PageRequest, current_request, page_links
from web.responses import page, shared_page

router = Router()  # type: ignore[no-untyped-call]

_PAGE_SIZE = 50
_PREVIEWED = 20


@router.get("/job-management")
def list_schedules() -> Response[str]:
    """All jobs in VoteCal's sense: schedules with their latest run."""
    request = current_request(router)
    return shared_page(
        "job_management.html", request, lambda: _list_values(request), poll_s=LIST_POLL_S
    )


def _list_values(request: PageRequest) -> dict[str, Any]:
    label = request.query.get("status", "")
    if label not in {*ScheduleFilter}:
        label = ""
    is_system = request.query.get("system", "") == "yes"
    pagination = request.pagination("schedules", str(is_system), label)
    found = schedule_queries.list_schedules(
        request.query_context,
        system=is_system,
        label=label,
        after=pagination.start(request.query.get("cursor", ""), ""),
        limit=_PAGE_SIZE,
    )
    return {
        "schedules": found.items,
        "searched": found.searched,
        "label": label,
        "is_system": is_system,
        "options": [
            (each.value, each.value[0].upper() + each.value[1:]) for each in ScheduleFilter
        ],
        **page_links(request, pagination.next_cursor(found.after)),
    }


@router.get("/schedules/new")
def new_schedule() -> Response[str]:
    """The form of a new schedule."""
    request = current_request(router)
    return _form_page(request, None, form.empty_fields(request.query_context.now))


@router.post("/schedules/new")
def create_schedule() -> Response[str]:
    """Create a schedule, or show its next runs if the form asks for a preview."""
    request = current_request(router)
    fields = form.typed_fields(request, form.empty_fields(request.query_context.now))
    if request.field("action") != "save":
        return _form_page(request, None, fields)

    def act() -> str:
        context = request.command_context()
        spec = ScheduleSpec(
            title=form.title_of(fields),
            job_type=fields["job_type"],
            rule=form.rule_of(fields, context.now()),
            policy=form.policy_of(fields),
            parameters=form.parameters_of(fields),
            notify=form.notify_of(fields),
        )
        return f"/schedules/{commands.create(spec, context).schedule_id}"

    return handle_form(act, lambda refusal: _form_page(request, None, fields, refusal))


@router.get("/schedules/<schedule_id>")
def show_schedule(schedule_id: str) -> Response[str]:
    """Job Details: one schedule with its next runs and its latest completed job."""
    return _schedule_page(current_request(router), schedule_id)


def _schedule_values(
    details: ScheduleDetails,
    tab: str,
    request: PageRequest,
    refusal: JobyardError | None = None,
) -> dict[str, Any]:
    """What all pages of one schedule share."""
    view = details.view
    address = f"/schedules/{view.schedule.schedule_id}"
    parts = (
        ("Details", ""),
        ("History", "/history"),
        ("Year", "/year"),
        ("Reports", "/reports"),
        ("Cost", "/cost"),
    )
    tabs = [
        {"label": label, "address": address + path, "is_current": label.lower() == tab}
        for label, path in parts
    ]
    buttons = event_buttons("schedule", address, view.actions, view.unavailable)
    return {
        "view": view,
        "details": details,
        "address": address,
        "tabs_of_schedule": tabs,
        "may_edit": "edit" in view.actions,
        **event_values(buttons, request, refusal),
    }


def _schedule_page(
    request: PageRequest, schedule_id: str, refusal: JobyardError | None = None
) -> Response[str]:
    details = schedule_queries.schedule(schedule_id, request.query_context)
    values = _schedule_values(details, "details", request, refusal) | {
        "parameters": json_text(details.view.schedule.parameters)
    }
    poll_s = _poll_interval_s(details.view.schedule, request)
    return page("schedule.html", request, values, status=status_of(refusal), poll_s=poll_s)


def _poll_interval_s(schedule: Schedule, request: PageRequest) -> int:
    """Seconds until the next poll of a schedule's pages: few while a run is young."""
    starts = [run.started_at for run in schedule.active]
    now = request.query_context.now
    return min(LIST_POLL_S, poll_interval_s(max(starts), now)) if starts else LIST_POLL_S


@router.get("/schedules/<schedule_id>/history")
def show_history(schedule_id: str) -> Response[str]:
    """The runs of a schedule, newest first, the skipped ones among them with the reason."""
    request = current_request(router)
    schedule = active_schedule(schedule_id, request.actor)

    def read() -> dict[str, Any]:
        details = schedule_queries.schedule(schedule_id, request.query_context)
        pagination = request.pagination("occurrences", schedule_id)
        found = schedule_queries.list_occurrences(
            schedule_id,
            request.query_context,
            after=pagination.start(request.query.get("cursor", ""), ""),
            limit=_PAGE_SIZE,
        )
        return _schedule_values(details, "history", request) | {
            "occurrences": found.items,
            **page_links(request, pagination.next_cursor(found.after)),
        }

    return shared_page(
        "schedule_history.html",
        request,
        read,
        poll_s=_poll_interval_s(schedule, request),
        version=str(schedule.version),
        # The records of a run change while the schedule does not.
        least_age=timedelta() if schedule.active else OLDEST_SHOWN,
    )


@router.get("/schedules/<schedule_id>/year")
def show_year(schedule_id: str) -> Response[str]:
    """A year's calendar: days with runs, days whose runs are skipped, and clock changes."""
    request = current_request(router)
    details = schedule_queries.schedule(schedule_id, request.query_context)
    zone = zone_named(details.view.schedule.rule.zone)
    today = request.query_context.now.astimezone(zone).date()
    wanted = request.query.get("year", "")
    number = int(wanted) if wanted.isascii() and wanted.isdecimal() and len(wanted) == 4 else 0
    number = number if FIRST_YEAR <= number <= LAST_YEAR else today.year
    found = schedule_queries.schedule_year(schedule_id, number, request.query_context)
    days = found.days
    values = _schedule_values(details, "year", request) | {
        "picture": year(number, days, today),
        "number": number,
        "runs": sum(each.runs for each in days.values()),
        "skipped": sum(each.skipped for each in days.values()),
    }
    return page("schedule_year.html", request, values)


@router.get("/schedules/<schedule_id>/reports")
def list_reports(schedule_id: str) -> Response[str]:
    """The mails about failed jobs of a schedule, and the webhook deliveries."""
    request = current_request(router)
    return shared_page(
        "schedule_reports.html",
        request,
        lambda: _reports_values(request, schedule_id),
        poll_s=LIST_POLL_S,
        version=str(active_schedule(schedule_id, request.actor).version),
        least_age=PART_AGE,
    )


def _reports_values(
    request: PageRequest, schedule_id: str, refusal: JobyardError | None = None
) -> dict[str, Any]:
    details = schedule_queries.schedule(schedule_id, request.query_context)
    values = _schedule_values(details, "reports", request, refusal)
    return values | {"reports": report_rows(schedule_id, request)}


def _refused_reports(
    request: PageRequest, schedule_id: str, refusal: JobyardError
) -> Response[str]:
    values = _reports_values(request, schedule_id, refusal)
    status = status_of(refusal)
    return page("schedule_reports.html", request, values, status=status, poll_s=LIST_POLL_S)


@router.post("/schedules/<schedule_id>/reports/<seq>/resend")
def resend_report(schedule_id: str, seq: str) -> Response[str]:
    """Send a mail about a failed job, or a webhook delivery, again."""
    request = current_request(router)

    def act() -> str:
        report_commands.resend(schedule_id, report_number(seq), request.command_context())
        return reports_address(schedule_id)

    return handle_form(act, lambda refusal: _refused_reports(request, schedule_id, refusal))


@router.get("/schedules/<schedule_id>/cost")
def show_cost(schedule_id: str) -> Response[str]:
    """What the jobs of a schedule have cost so far."""
    request = current_request(router)
    details = schedule_queries.schedule(schedule_id, request.query_context)
    cost = cost_queries.cost_of(schedule_id)
    return page(
        "schedule_cost.html", request, _schedule_values(details, "cost", request) | {"cost": cost}
    )


@router.get("/schedules/<schedule_id>/edit")
def edit_form(schedule_id: str) -> Response[str]:
    """The form of a stored schedule."""
    request = current_request(router)
    details = schedule_queries.schedule(schedule_id, request.query_context)
    return _form_page(request, details, form.fields_of(details.view.schedule))


@router.post("/schedules/<schedule_id>/edit")
def edit_schedule(schedule_id: str) -> Response[str]:
    """Change a schedule, or show how its next runs would change."""
    request = current_request(router)
    details = schedule_queries.schedule(schedule_id, request.query_context)
    before = details.view.schedule
    fields = form.typed_fields(request, form.fields_of(before))
    if request.field("action") != "save":
        return _form_page(request, details, fields)

    def act() -> str:
        context = request.command_context()
        rule, policy = form.rule_of(fields, context.now()), form.policy_of(fields)
        changes = ScheduleEdit(
            title=form.title_of(fields),
            rule=rule if rule != before.rule else None,
            parameters=form.parameters_of(fields),
            catch_up=policy.catch_up,
            overlap=policy.overlap,
            calendar=policy.calendar,
            notify=form.notify_of(fields),
        )
        commands.edit(schedule_id, changes, context, seen=seen_version(request))
        return f"/schedules/{schedule_id}"

    return handle_form(act, lambda refusal: _form_page(request, details, fields, refusal))


def _form_page(
    request: PageRequest,
    details: ScheduleDetails | None,
    fields: Mapping[str, Any],
    refusal: JobyardError | None = None,
) -> Response[str]:
    """The form of a schedule; `details` are those of a stored one. If the rule is valid, with its
    next runs and, for a stored one, how they differ from those before.
    """
    context = request.query_context
    calendars = [each.calendar.name for each in calendar_queries.list_calendars(context)]
    stored = details.view.schedule if details else None
    values: dict[str, Any] = {
        "stored": stored,
        "seen": version_to_send(request, stored.revision, refusal) if stored else "",
        "is_outdated": isinstance(refusal, StaleState),
        "fields": fields,
        "job_types_offered": [
            (each.name, each.title)
            for each in list_job_types()
            if Origin.SCHEDULE in each.origins and not each.is_system
        ],
        "calendars_offered": [(name, name) for name in calendars],
        "weekdays": WEEKDAYS,
        "runs": [],
        "removed": [],
        "added": frozenset(),
        "rule_text": "",
    }
    try:
        rule = form.rule_of(fields, context.now)
        known = fields["calendar"] if fields["calendar"] in calendars else ""
        runs = schedule_queries.list_times(rule, context.now, _PREVIEWED, known, context)
        values |= {"runs": runs, "rule_text": rule.description()}
        if details:
            schedule_id = details.view.schedule.schedule_id
            found = schedule_queries.edit_difference(
                schedule_id, rule, known, context, count=_PREVIEWED
            )
            values |= {
                "removed": found.removed,
                "added": frozenset(each.utc for each in found.added),
            }
    except JobyardError as error:
        refusal = refusal or error
    values |= {"errors": form.errors_of(refusal), "refusal": refusal and refusal_text(refusal)}
    return page("schedule_form.html", request, values, status=status_of(refusal))


@router.post("/schedules/<schedule_id>/<event>")
def post_event(schedule_id: str, event: str) -> Response[str]:
    """Suspend, resume, run now or delete a schedule."""
    request = current_request(router)
    address = f"/schedules/{schedule_id}"

    def act() -> str:
        context = request.command_context()
        if event == "suspend":
            commands.suspend(schedule_id, local_time(request, "until"), context)
        elif event == "resume":
            commands.resume(schedule_id, context)
        elif event == "run_now":
            occurrence = commands.run_now(schedule_id, context)
            return f"{address}/history#{occurrence.address.job_id}"
        elif event == "delete":
            commands.delete(schedule_id, context)
            return "/job-management"
        else:
            raise NotFound(f"a schedule has no event {event!r}")
        return address

    return handle_form(act, lambda refusal: _schedule_page(request, schedule_id, refusal))
