"""Campaigns, called jobs on the pages: the list, one with its tasks, and what people do."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from gateway.errors import ValidationFailed
from jobyard.domain.access import listed, roles_for
from jobyard.domain.campaigns.assumptions import Assumptions
from jobyard.domain.errors import (
    BadRequest,
    InvalidCampaign,
    InvalidParameters,
    JobyardError,
)
from jobyard.domain.ids import Origin
from jobyard.domain.jobs.task import TASK, TaskState
from jobyard.domain.redaction import text_without_secrets
from jobyard.domain.schedules.wall_clock import WEEKDAYS
from jobyard.services.access import authorize
from jobyard.services.batches.submissions import upload_origin
from jobyard.services.campaigns import commands
from jobyard.services.campaigns.commands import StartedCampaign
from jobyard.services.campaigns.uploaded_targets import targets_upload
from jobyard.services.queries import calendars as calendar_queries
from jobyard.services.queries import campaigns as campaign_queries
from jobyard.services.queries import costs as cost_queries
from jobyard.services.queries.campaigns import CampaignView
from jobyard.services.queries.job_types import list_job_types
from jobyard.services.reports import commands as report_commands
from web import campaign_form as form
from web.batch_page import finding_rows
from web.campaign_page import (
    TASK_ORDER,
    campaign_values,
    job_type_titles,
    opening_rows,
    preview_values,
    task_counters,
    task_rows,
    unfinished,
)
from web.filters import words
from web.forms import handle_form, local_time, status_of
from web.pictures.openings import openings_line
from web.poll_interval import LIST_POLL_S
from web.report_rows import (
    address_in_list,
    link_to_file,
    report_number,
    report_rows,
    reports_address,
)
from web.request import PageRequest, current_request, page_links
from web.responses import page, see_other, shared_page

router = Router()  # type: ignore[no-untyped-call]

_PAGE_SIZE = 50
_NAME_BYTES = 200  # of a file of targets
_TASKS_SHOWN = 10  # on the page of the campaign itself


@router.get("/campaigns")
def list_campaigns() -> Response[str]:
    """All campaigns, newest first."""
    request = current_request(router)
    return shared_page("campaigns.html", request, lambda: _list_values(request), poll_s=LIST_POLL_S)


def _list_values(request: PageRequest) -> dict[str, Any]:
    state = request.query.get("state", "")
    options = _state_options()
    if state not in dict(options):
        state = ""
    is_system = request.query.get("system", "") == "yes"
    pagination = request.pagination("campaigns", str(is_system), state)
    found = campaign_queries.list_campaigns(
        request.query_context,
        after=pagination.start(request.query.get("cursor", ""), ""),
        limit=_PAGE_SIZE,
        system=is_system,
        state=state,
    )
    return {
        "campaigns": found.items,
        "searched": found.searched,
        "unknown": found.unknown,  # campaigns whose record cannot be read
        "is_system": is_system,
        "state": state,
        "options": options,
        "titles": job_type_titles(),
        "may_start": request.may("campaign", "start"),
        **page_links(request, pagination.next_cursor(found.after)),
    }


def _state_options() -> list[tuple[str, str]]:
    """The states of the filter with their labels: one of those with the same label."""
    found: dict[str, str] = {}
    for state in campaign_queries.CAMPAIGN_STATES:
        found.setdefault(campaign_queries.label_of(state), str(state))
    return [(state, label) for label, state in found.items()]


@router.get("/campaigns/new")
def new_campaign() -> Response[str]:
    """The form of a new campaign."""
    request = current_request(router)
    authorize(request.actor, "campaign", "start")
    return _form_page(request, None, form.empty_fields(str(request.zone)))


@router.post("/campaigns/new")
def start_campaign() -> Response[str]:
    """Start a campaign, or show what would become of it if the form asks for a preview."""
    request = current_request(router)
    authorize(request.actor, "campaign", "start")
    fields = form.typed_fields(request, form.empty_fields(str(request.zone)))
    is_file = form.has_file(fields)
    typed = None if is_file else form.read_targets([fields["targets"].encode()])

    def document() -> dict[str, Any]:
        if typed is None:
            return form.document_of(fields) | {"targets_file": fields["targets_file"]}
        return form.document_of(fields) | {"targets": [*typed.targets]}  # none after an error

    def act() -> str:
        started = commands.start(document(), request.command_context())
        return f"/campaigns/{started.campaign.campaign_id}"

    def preview() -> StartedCampaign:
        return commands.preview(document(), request.command_context())

    return _answer_form(request, None, fields, act, preview, typed)


@router.post("/campaigns/targets")
def upload_targets() -> Response[str]:
    """The form with which the page's script uploads a file of targets, and the file's key."""
    request = current_request(router)
    key, upload = targets_upload(request.text("filename", _NAME_BYTES), request.command_context())
    return page("targets_upload.html", request, {"key": key, "form": upload})


@router.post("/campaigns/targets/check")
def check_targets() -> Response[str]:
    """What is wrong with typed targets, which the page's script sends."""
    request = current_request(router)
    authorize(request.actor, "campaign", "start")
    checked = form.read_targets([request.body], keeps_targets=False)
    values = {"checked": checked, "findings": finding_rows([*checked.findings])}
    return page("targets_check.html", request, values)


def _answer_form(
    request: PageRequest,
    stored: CampaignView | None,
    fields: Mapping[str, Any],
    act: Callable[[], str],
    preview: Callable[[], StartedCampaign],
    typed: form.TypedTargets | None = None,
) -> Response[str]:
    """Start a campaign with `act`, or show what `preview` returns.

    `stored` is the campaign whose tasks it retries, None for one without. A preview simulates it
    with what the form assumes of its targets, such as how many are offline at first.
    """
    if request.field("action") != "preview":
        return handle_form(
            act, lambda refusal: _form_page(request, stored, fields, typed, refusal=refusal)
        )
    try:
        assumed = form.assumptions_of(fields)
        return _form_page(request, stored, fields, typed, started=preview(), assumed=assumed)
    except (BadRequest, InvalidCampaign, InvalidParameters, ValidationFailed) as refusal:
        return _form_page(request, stored, fields, typed, refusal=refusal)


def _form_page(
    request: PageRequest,
    stored: CampaignView | None,
    fields: Mapping[str, Any],
    typed: form.TypedTargets | None = None,
    *,
    started: StartedCampaign | None = None,
    assumed: Assumptions | None = None,
    refusal: JobyardError | None = None,
) -> Response[str]:
    """The form of a campaign, with what would become of `started`. `stored` is the campaign whose
    tasks it retries.
    """
    context = request.query_context
    types = [each for each in list_job_types() if Origin.CAMPAIGN in each.origins]
    types.sort(key=lambda each: each.is_listed_as_system)
    if stored:
        types = [each for each in types if each.name == stored.campaign.job_type]
    may_see_calendars = request.may("calendar", "view")
    calendars = calendar_queries.list_calendars(context) if may_see_calendars else ()
    names = dict.fromkeys([*(each.calendar.name for each in calendars), fields["calendar"]])
    values = {
        "stored": stored.campaign if stored else None,
        "unfinished": unfinished(stored) if stored else 0,
        "address": request.path,
        "fields": fields,
        "labels": form.FIELD_LABELS,
        "findings": finding_rows([*typed.findings]) if typed else form.file_findings(refusal),
        "job_types_offered": [(each.name, each.title) for each in types],
        "parameters_offered": [each for each in types if each.parameters],
        "needs": ", ".join(f"{each.needs_min} for {each.title}" for each in types),
        "may_start": request.may("campaign", "start"),
        "quotas": request.site.settings.quotas,
        "starters": listed(roles_for("campaign", "start")),
        "calendars_offered": [(name, name) for name in names if name],
        "weekdays": WEEKDAYS,
        "errors": form.errors_of(refusal, typed),
        "refusal": refusal and form.summary_of(refusal),
        "view": None,
    }
    if started and assumed:
        values |= preview_values(started, assumed, context)
    origin = upload_origin(context)
    status = status_of(refusal)
    return page("campaign_form.html", request, values, status=status, upload_origin=origin)


@router.get("/campaigns/<campaign_id>/retry")
def retry_form(campaign_id: str) -> Response[str]:
    """The form of a campaign for the tasks of another one that have not succeeded."""
    request = current_request(router)
    authorize(request.actor, "campaign", "retry")
    stored = campaign_queries.campaign(campaign_id, request.query_context)
    return _form_page(request, stored, form.fields_of(stored.campaign))


@router.post("/campaigns/<campaign_id>/retry")
def retry_campaign(campaign_id: str) -> Response[str]:
    """Start a campaign for the tasks of another one, or show what would become of it."""
    request = current_request(router)
    stored = campaign_queries.campaign(campaign_id, request.query_context)
    fields = form.typed_fields(request, form.fields_of(stored.campaign))

    def changes() -> dict[str, Any]:
        return form.retry_changes_of(fields, stored.campaign)

    def act() -> str:
        started = commands.retry(campaign_id, changes(), request.command_context())
        return f"/campaigns/{started.campaign.campaign_id}"

    def preview() -> StartedCampaign:
        return commands.preview_retry(campaign_id, changes(), request.command_context())

    return _answer_form(request, stored, fields, act, preview)


@router.get("/campaigns/<campaign_id>/change")
def change_form(campaign_id: str) -> Response[str]:
    """The form that changes a campaign while it runs."""
    return _change_page(current_request(router), campaign_id)


@router.post("/campaigns/<campaign_id>/change")
def change_campaign(campaign_id: str) -> Response[str]:
    """Change a campaign, or show what would become of it."""
    request = current_request(router)

    def act() -> str:
        commands.change(campaign_id, _typed_changes(request), request.command_context())
        return f"/campaigns/{campaign_id}"

    if request.field("action") != "save":
        return _change_page(request, campaign_id)
    return handle_form(act, lambda refusal: _change_page(request, campaign_id, refusal))


def _typed_changes(request: PageRequest) -> dict[str, Any]:
    """What a form changes: the fields that its reader did not leave as they were."""
    fields = {name: request.field(name) for name in form.CHANGEABLE}
    before = {name: request.field(f"before_{name}") for name in form.CHANGEABLE}
    return form.changes_of(fields, before)


def _change_page(
    request: PageRequest, campaign_id: str, refusal: JobyardError | None = None
) -> Response[str]:
    """The form that changes a campaign. One that was sent is shown as it was typed, with what would
    become of the campaign.
    """
    authorize(request.actor, "campaign", "change")
    context = request.query_context
    shown = view = campaign_queries.campaign(campaign_id, context)
    before = fields = form.change_fields_of(view.campaign)
    if request.method == "POST":
        fields = {name: request.field(name) for name in before}
        before = {name: request.field(f"before_{name}") for name in before}
        try:
            shown = campaign_queries.with_changes(view, form.changes_of(fields, before), context)
        except InvalidCampaign as error:
            refusal = refusal or error
    zone, forecast = shown.campaign.rules.schedule.zone, shown.forecast(context.now)
    values = {
        "campaign": view.campaign,
        "address": f"/campaigns/{campaign_id}",
        "fields": {**fields, "reason": request.field("reason")},
        "before": before,
        "shown": shown,
        "is_changed": shown is not view,
        "picture": openings_line(shown.campaign.openings, zone, context.now),
        "forecast": forecast,
        "openings": opening_rows(forecast, zone),
        "errors": form.errors_of(refusal),
        "refusal": refusal and form.summary_of(refusal),
    }
    return page("campaign_change.html", request, values, status=status_of(refusal))


@router.get("/campaigns/<campaign_id>")
def show_campaign(campaign_id: str) -> Response[str]:
    """One campaign: its state, schedule, first tasks and history."""
    request = current_request(router)
    return shared_page(
        "campaign.html",
        request,
        lambda: _campaign_values(campaign_id, request),
        poll_s=LIST_POLL_S,
        is_final=_has_ended,
    )


def _has_ended(values: Mapping[str, Any]) -> bool:
    """Whether nothing on a page of a campaign can change any more."""
    return not values["view"].campaign.is_open


def _campaign_values(
    campaign_id: str, request: PageRequest, refusal: JobyardError | None = None
) -> dict[str, Any]:
    context = request.query_context
    view = campaign_queries.campaign(campaign_id, context)
    found = view.campaign
    zone = found.rules.schedule.zone
    forecast = view.forecast(context.now) if found.is_open else None
    tasks = campaign_queries.list_tasks(
        found.campaign_id, context, state="", after=(0, 0), limit=_TASKS_SHOWN
    )
    return campaign_values(view, "overview", request, refusal) | {
        "tasks": task_rows(tasks.items),
        "picture": openings_line(found.openings, zone, context.now if found.is_open else None),
        "parameters": [
            (words(name).capitalize(), _shown(value)) for name, value in found.parameters.items()
        ],
        "forecast": forecast,
        "openings": opening_rows(forecast, zone) if forecast else [],
    }


def _shown(value: object) -> str:
    """A parameter: text as it is, anything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text_without_secrets(text)


def _refused_page(request: PageRequest, campaign_id: str, refusal: JobyardError) -> Response[str]:
    """The page of a campaign, with why a form was refused."""
    values = _campaign_values(campaign_id, request, refusal)
    return page("campaign.html", request, values, status=status_of(refusal))


@router.get("/campaigns/<campaign_id>/tasks")
def list_tasks(campaign_id: str) -> Response[str]:
    """The tasks of a campaign, in the order of its targets."""
    request = current_request(router)
    return shared_page(
        "campaign_tasks.html",
        request,
        lambda: _task_values(campaign_id, request),
        poll_s=LIST_POLL_S,
        is_final=_has_ended,
    )


def _task_values(campaign_id: str, request: PageRequest) -> dict[str, Any]:
    state = request.query.get("state", "")
    if state not in {*TaskState}:
        state = ""
    view = campaign_queries.campaign(campaign_id, request.query_context)
    pagination = request.pagination("tasks", campaign_id, state)
    found = campaign_queries.list_tasks(
        campaign_id,
        request.query_context,
        state=state,
        after=tuple(pagination.start(request.query.get("cursor", ""), (0, 0))),
        limit=_PAGE_SIZE,
    )
    audience = "device"  # of the labels of campaigns
    return campaign_values(view, "tasks", request) | {
        "tasks": task_rows(found.items),
        "searched": found.searched,
        "state": state,
        "options": [(each.value, TASK.state(each).labels[audience]) for each in TASK_ORDER],
        "counts": task_counters(view.counts, f"/campaigns/{campaign_id}/tasks", state),
        **page_links(request, pagination.next_cursor(found.after)),
    }


@router.get("/campaigns/<campaign_id>/reports")
def list_reports(campaign_id: str) -> Response[str]:
    """The reports of a campaign, with their delivery and links to their files."""
    request = current_request(router)
    return shared_page(
        "campaign_reports.html",
        request,
        lambda: _reports_values(campaign_id, request),
        poll_s=LIST_POLL_S,
        is_final=_is_reported,
    )


def _is_reported(values: Mapping[str, Any]) -> bool:
    """Whether a campaign gets no further report."""
    return not values["view"].campaign.has_work


def _reports_values(
    campaign_id: str, request: PageRequest, refusal: JobyardError | None = None
) -> dict[str, Any]:
    view = campaign_queries.campaign(campaign_id, request.query_context)
    rows = report_rows(campaign_id, request)
    return campaign_values(view, "reports", request, refusal) | {"reports": rows}


@router.post("/campaigns/<campaign_id>/reports/<seq>/resend")
def resend_report(campaign_id: str, seq: str) -> Response[str]:
    """Send the mail of a report again."""
    request = current_request(router)

    def act() -> str:
        report_commands.resend(campaign_id, report_number(seq), request.command_context())
        return reports_address(campaign_id)

    def refused(refusal: JobyardError) -> Response[str]:
        values = _reports_values(campaign_id, request, refusal)
        poll_s = 0 if _is_reported(values) else LIST_POLL_S
        status = status_of(refusal)
        return page("campaign_reports.html", request, values, status=status, poll_s=poll_s)

    return handle_form(act, refused)


@router.get("/campaigns/<campaign_id>/reports/<seq>")
def get_report(campaign_id: str, seq: str) -> Response[str]:
    """Lead to a report in the list."""
    return see_other(address_in_list(campaign_id, seq, current_request(router)))


@router.get("/campaigns/<campaign_id>/reports/<seq>/<name>")
def get_report_file(campaign_id: str, seq: str, name: str) -> Response[str]:
    """A file of a report, by a link of S3 that is valid for some minutes."""
    return see_other(link_to_file(campaign_id, seq, name, current_request(router)))


@router.get("/campaigns/<campaign_id>/cost")
def show_cost(campaign_id: str) -> Response[str]:
    """What a campaign has cost so far."""
    request = current_request(router)
    view = campaign_queries.campaign(campaign_id, request.query_context)
    cost = cost_queries.cost_of(campaign_id)
    values = campaign_values(view, "cost", request) | {"cost": cost}
    poll_s = 0 if _has_ended(values) else LIST_POLL_S
    return page("campaign_cost.html", request, values, poll_s=poll_s)


@router.post("/campaigns/<campaign_id>/<event>")
def post_event(campaign_id: str, event: str) -> Response[str]:
    """Pause, resume, cancel or force a campaign."""
    request = current_request(router)

    def act() -> str:
        context = request.command_context()
        if event == "pause":
            commands.pause(campaign_id, local_time(request, "until"), context)
        else:
            commands.send_event(campaign_id, event, context)
        return f"/campaigns/{campaign_id}"

    return handle_form(act, lambda refusal: _refused_page(request, campaign_id, refusal))
