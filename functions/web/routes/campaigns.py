"""Campaigns, called jobs on the pages: the list, one with its tasks, and what people do."""

import json
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from jobyard.domain.errors import JobyardError, NotFound
from jobyard.domain.jobs.task import TASK, TaskState
from jobyard.domain.redaction import text_without_secrets
from jobyard.services.queries import campaigns as campaign_queries
from web.campaign_page import (
    TASK_ORDER,
    campaign_values,
    job_type_titles,
    opening_rows,
    task_counters,
    task_rows,
)
from web.filters import words
from web.forms import handle_form, local_time, status_of
from web.pictures.openings import openings_line
from web.poll_interval import LIST_POLL_S
from web.request import PageRequest, current_request, page_links
from web.responses import page, shared_page

router = Router()  # type: ignore[no-untyped-call]

_PAGE_SIZE = 50
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
        "unknown": found.unknown,
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
    return campaign_values(view, "tasks", request) | {
        "tasks": task_rows(found.items),
        "state": state,
        "options": [(each.value, TASK.state(each).labels["device"]) for each in TASK_ORDER],
        "counts": task_counters(view.counts, f"/campaigns/{campaign_id}/tasks", state),
        **page_links(request, pagination.next_cursor(found.after)),
    }


@router.post("/campaigns/<campaign_id>/<event>")
def post_event(campaign_id: str, event: str) -> Response[str]:
    """Pause, resume or cancel a campaign."""
    from jobyard.services.campaigns import commands

    request = current_request(router)

    def act() -> str:
        context = request.command_context()
        if event == "pause":
            commands.pause(campaign_id, local_time(request, "until"), context)
        elif event == "resume":
            commands.resume(campaign_id, context)
        elif event == "cancel":
            commands.cancel(campaign_id, context)
        else:
            raise NotFound(f"a job with tasks has no event {event!r}")
        return f"/campaigns/{campaign_id}"

    return handle_form(act, lambda refusal: _refused_page(request, campaign_id, refusal))
