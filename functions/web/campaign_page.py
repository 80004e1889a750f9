"""What the pages of one campaign show: tabs, counters, openings, buttons."""

from collections.abc import Iterable, Mapping
from typing import Any

from jobyard.domain.campaigns.assumptions import Assumptions, assumed_timeline
from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.campaigns.forecast import CampaignForecast
from jobyard.domain.campaigns.simulation import CampaignTimeline
from jobyard.domain.errors import InvalidCampaign, JobyardError
from jobyard.domain.jobs.job import labels_for
from jobyard.domain.jobs.task import TASK, TaskState
from jobyard.domain.plurals import plural
from jobyard.domain.schedules.wall_clock import zone_named
from jobyard.services.campaigns.commands import StartedCampaign
from jobyard.services.context import QueryContext
from jobyard.services.queries.campaigns import CampaignView, TaskView, label_of, view_of
from jobyard.services.queries.job_types import list_job_types
from web.event_buttons import event_buttons, event_values
from web.pictures.openings import openings_line
from web.pictures.simulation import progress_drawing
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
# Events with a form of their own: label and icon by name.
_FORM_LINKS = {"change": ("Change", "pencil"), "retry": ("Retry what failed", "rotate-cw")}


def campaign_values(
    view: CampaignView, tab: str, request: PageRequest, refusal: JobyardError | None = None
) -> dict[str, Any]:
    """The values of campaign_layout.html. `tab` is the current one in lower case, "" for none."""
    address = f"/campaigns/{view.campaign.campaign_id}"
    actions = [event for event in view.actions if event not in _FORM_LINKS]
    buttons = event_buttons("campaign", address, actions, view.unavailable)
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
            {
                "label": "Reports",
                "address": f"{address}/reports",
                "count": view.campaign.last_report,
                "is_current": tab == "reports",
            },
            {"label": "Cost", "address": f"{address}/cost", "is_current": tab == "cost"},
        ],
        "job_type_title": job_type_titles().get(view.campaign.job_type, view.campaign.job_type),
        "state_labels": labels_for("device"),
        "counts": task_counters(view.counts, f"{address}/tasks"),
        "form_links": [
            {"label": label, "icon": icon, "address": f"{address}/{event}"}
            for event, (label, icon) in _FORM_LINKS.items()
            if event in view.actions
        ],
        **event_values(buttons, request, refusal),
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


def unfinished(view: CampaignView) -> int:
    """How many tasks of a campaign have not succeeded."""
    return view.campaign.tasks - view.counts.get(TaskState.SUCCEEDED, 0)


def preview_values(
    started: StartedCampaign, assumed: Assumptions, context: QueryContext
) -> dict[str, Any]:
    """What would become of a campaign: its openings, the forecast and a simulation."""
    view = view_of(started.campaign, context)
    campaign, forecast = view.campaign, view.forecast(context.now)
    return {
        "view": view,
        "picture": openings_line(campaign.openings, campaign.rules.schedule.zone, context.now),
        "forecast": forecast,
        "openings": opening_rows(forecast, campaign.rules.schedule.zone),
        "overlaps": [
            {
                "name": each.campaign.name,
                "address": f"/campaigns/{each.campaign.campaign_id}",
                "tasks": each.campaign.tasks,
                "targets": each.targets,
            }
            for each in started.overlaps
        ],
        "warnings": [*started.warnings, *forecast.warnings],
        **_simulation_values(campaign, assumed),
    }


def _simulation_values(campaign: Campaign, assumed: Assumptions) -> dict[str, Any]:
    """The simulation of a campaign; why there is none if it would take a request too long."""
    try:
        timeline = assumed_timeline(campaign, assumed)
    except InvalidCampaign as error:
        return {"timeline": None, "result": f"It cannot be simulated here: {error}."}
    return {
        "timeline": timeline,
        "drawing": progress_drawing(timeline),
        "result": _result_text(timeline),
        "has_failures": any(each.state is TaskState.FAILED for each in timeline.tasks),
    }


def _result_text(timeline: CampaignTimeline) -> str:
    """How a simulated campaign ends, as a sentence."""
    zone = timeline.campaign.rules.schedule.zone
    ended = f"{timeline.ended_at.astimezone(zone_named(zone)):%a %Y-%m-%d %H:%M %Z}"
    succeeded = sum(each.state is TaskState.SUCCEEDED for each in timeline.tasks)
    tasks = plural(len(timeline.tasks), "task")
    return f"{label_of(timeline.state)} at {ended}: {succeeded:,} of {tasks} succeed."
