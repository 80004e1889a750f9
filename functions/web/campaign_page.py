"""What the pages of one campaign show: tabs, counters, openings, buttons."""

from collections.abc import Iterable, Mapping
from typing import Any

from jobyard.domain.campaigns.forecast import CampaignForecast
from jobyard.domain.errors import JobyardError
from jobyard.domain.jobs.task import TASK, TaskState
from jobyard.domain.schedules.wall_clock import zone_named
from jobyard.services.queries.campaigns import CampaignView, TaskView
from jobyard.services.queries.job_types import list_job_types
from web.event_buttons import event_buttons
from web.forms import refusal_values
from web.request import PageRequest

# What has ended first, as in bars.
TASK_ORDER = (
    TaskState.SUCCEEDED,
    TaskState.FAILED,
    TaskState.CANCELLED,
    TaskState.RUNNING,
    TaskState.RESCHEDULED,
    TaskState.SCHEDULED,
)


def campaign_values(
    view: CampaignView, tab: str, request: PageRequest, refusal: JobyardError | None = None
) -> dict[str, Any]:
    """The values of campaign_layout.html. `tab` is the current one in lower case, "" for none."""
    address = f"/campaigns/{view.campaign.campaign_id}"
    return {
        "view": view,
        "address": address,
        "tabs_of_campaign": [
            {"label": "Overview", "address": address, "is_current": tab == "overview"},
            {
                "label": "Job Tasks",
                "address": f"{address}/tasks",
                "count": view.campaign.tasks,
                "is_current": tab == "tasks",
            },
        ],
        "job_type_title": job_type_titles().get(view.campaign.job_type, view.campaign.job_type),
        "counts": task_counters(view.counts, f"{address}/tasks"),
        "buttons": event_buttons("campaign", address, view.actions, view.unavailable),
        **refusal_values(request, refusal),
    }


def job_type_titles() -> dict[str, str]:
    """The titles of all job types, by their names."""
    return {each.name: each.title for each in list_job_types()}


def task_counters(counts: Mapping[str, int], address: str, state: str = "") -> list[dict[str, Any]]:
    """The counts of tasks by state, each with a link to them. States without tasks are left out,
    unless it is the one of the page.
    """
    return [
        {
            "label": TASK.state(each).labels["device"],
            "count": counts.get(each, 0),
            "address": f"{address}?state={each}",
            "state": each.value,
            "is_current": each == state,
        }
        for each in TASK_ORDER
        if counts.get(each, 0) or each == state
    ]


def opening_rows(forecast: CampaignForecast, zone: str) -> list[dict[str, Any]]:
    """The next openings as the page lists them, by the clocks of `zone`."""
    local = zone_named(zone)
    return [
        {
            "start": each.opening.start,
            "end": each.opening.end,
            "opens": f"{each.opening.start.astimezone(local):%a %Y-%m-%d %H:%M %Z}",
            "closes": f"{each.opening.end.astimezone(local):%a %H:%M %Z}",
            "starts": each.starts,
        }
        for each in forecast.openings
    ]


def task_rows(tasks: Iterable[TaskView]) -> list[dict[str, Any]]:
    """Tasks as a list shows them."""
    return [
        {
            "view": each,
            "job_id": each.task.address.job_id,
            "label": TASK.state(each.state).labels["device"],
        }
        for each in tasks
    ]
