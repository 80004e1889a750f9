"""Campaigns and their tasks."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pydantic import Field, JsonValue

from api.context import RequestContext
from api.links import campaign_links, job_links
from api.schemas.fields import (
    Filename,
    HistoryEntry,
    Links,
    NextCursor,
    Reason,
    Schema,
    Unavailable,
    UnavailableEvent,
)
from api.schemas.jobs import JobEvent
from api.schemas.reports import Undeliverable
from api.schemas.uploads import Upload
from jobyard.domain.campaigns import forecast as domain
from jobyard.domain.jobs.job import JobState
from jobyard.domain.jobs.task import TASK, TaskState
from jobyard.services.queries import campaigns as campaign_queries

if TYPE_CHECKING:
    from jobyard.services.campaigns.commands import StartedCampaign as Started
    from jobyard.services.campaigns.overlaps import Overlap

CampaignEvent = StrEnum(  # type: ignore[misc]
    "CampaignEvent", {name: name for name in campaign_queries.EVENTS}
)
CampaignState = StrEnum(  # type: ignore[misc]
    "CampaignState", {str(name): str(name) for name in campaign_queries.CAMPAIGN_STATES}
)


class NewCampaign(Schema, extra="allow"):
    """A campaign to start. docs/campaigns.md explains its fields."""

    name: JsonValue = Field(default=None, description="A name to show; by default the job type.")
    job_type: JsonValue = Field(default=None, description="A job type that campaigns run.")
    parameters: JsonValue = Field(default=None, description="The parameters of the job type.")
    targets: JsonValue = Field(
        default=None,
        description="Up to 1,000 targets: an id, or an object with `id`, `address`, `zone` and "
        "`secret`.",
    )
    targets_file: JsonValue = Field(
        default=None,
        description="Instead of `targets`: the `targets_file` of POST /api/campaigns/targets, "
        "after the upload.",
    )
    replace_overlapping: JsonValue = Field(
        default=None,
        description="Whether to replace the tasks that older open campaigns of the job type have "
        "on the same targets. A preview lists them.",
    )
    kind: JsonValue = Field(default=None, description="`scheduled` or `fire_and_forget`.")
    notify: JsonValue = Field(
        default=None,
        description="Who gets its reports; nobody if empty. If left out: you, else the operators "
        "if you have no verified address.",
    )

    def document(self) -> Mapping[str, Any]:
        """The request as it was sent, for the domain to check."""
        sent = self.model_dump(exclude_unset=True)
        return {name: value for name, value in sent.items() if value is not None}


class TargetsSubmission(Schema, extra="forbid"):
    """A file of targets to upload."""

    filename: Filename = Field(
        description="The file's name. Its extension says whether it is CSV or JSON Lines.",
        examples=["gateways.csv"],
    )


class TargetsUpload(Schema):
    """Where to upload a file of targets."""

    targets_file: str = Field(description="Start the campaign with this `targets_file`.")
    upload: Upload = Field(description="Where to upload the file.")


class PauseRequest(Schema, extra="forbid"):
    """Why a campaign is paused, and until when."""

    reason: Reason
    until: datetime | None = Field(
        default=None, description="When it continues by itself; if left out, when it is resumed."
    )


class CampaignChanges(Schema, extra="forbid"):
    """What to change of a campaign while it runs. Fields that are left out do not change."""

    reason: Reason
    to: JsonValue = Field(default=None, description="A later end: a date or a wall time.")
    at_once: JsonValue = Field(default=None, description="How many tasks run at the same time.")
    rollout: JsonValue = Field(
        default=None,
        description="How many attempts may start a minute; its fields that are left out stay as "
        "they are. null removes the rate, if the field is given.",
    )

    def document(self) -> Mapping[str, Any]:
        """The changes as they were sent, for the domain to check."""
        return self.model_dump(exclude_unset=True, exclude={"reason"})


class RetryRequest(Schema, extra="allow"):
    """The fields of the new campaign that differ from those of the one before."""

    to: JsonValue = Field(default=None, description="The new end, if the range is over.")

    def document(self) -> Mapping[str, Any]:
        """The fields as they were sent, for the domain to check."""
        return self.model_dump(exclude_unset=True)


class OpeningForecast(Schema):
    """A time in which tasks may start, and how many will."""

    start: datetime = Field(description="When the window opens.")
    end: datetime = Field(description="When it closes.")
    starts: int = Field(description="How many tasks start in it, by the forecast.")
    started: int = Field(description="How many have started by its end, by the forecast.")


class Forecast(Schema):
    """How many of the remaining tasks start in the next openings, if each succeeds at once."""

    description: str = Field(description="The forecast as a sentence.")
    openings: list[OpeningForecast] = Field(description="The next seven openings.")
    opening_count: int = Field(description="How many openings are left.")
    warnings: list[str] = Field(description="Likely mistakes in the request.")

    @classmethod
    def of(cls, found: domain.CampaignForecast) -> "Forecast":
        """The forecast."""
        openings = [
            OpeningForecast(
                start=each.opening.start,
                end=each.opening.end,
                starts=each.starts,
                started=each.started,
            )
            for each in found.openings
        ]
        return cls(
            description=found.description(),
            openings=openings,
            opening_count=found.opening_count,
            warnings=list(found.warnings),
        )


class CampaignSummary(Schema):
    """A campaign as lists show it."""

    campaign_id: str = Field(description="The campaign's id.")
    name: str = Field(description="Its name.")
    job_type: str = Field(description="Its job type.")
    is_system: bool = Field(description="Whether lists leave it out by default.")
    state: JobState = Field(description="Its state.")
    label: str = Field(
        description="The state's name for users; `Unknown` if no execution has settled it in time."
    )
    schedule: str = Field(description="When its tasks may run, as a sentence.")
    creator: str = Field(description="Who started it.")
    created_at: datetime = Field(description="When it was started.")
    started_at: datetime | None = Field(description="When the first task could start.")
    expires_at: datetime = Field(description="When it ends at the latest.")
    ended_at: datetime | None = Field(description="When it ended.")
    tasks: int = Field(description="The number of its tasks, one for each target.")
    done: int = Field(description="How many of them have ended.")
    counts: dict[str, int] = Field(description="Its tasks by state, at most a minute old.")
    waiting_reason: str = Field(description='Why it rests; "" if it does not rest.')
    waiting_until: datetime | None = Field(description="Until when it rests.")
    actions: list[CampaignEvent] = Field(
        description="The events that you may send now, with POST /api/campaigns/{id}/{event}."
    )
    links: Links

    @classmethod
    def of(cls, view: campaign_queries.CampaignView, request: RequestContext) -> "CampaignSummary":
        """A campaign as lists show it."""
        return cls(**_summary(view, request))


def _summary(view: campaign_queries.CampaignView, request: RequestContext) -> dict[str, Any]:
    found = view.campaign
    return {
        "campaign_id": found.campaign_id,
        "name": found.name,
        "job_type": found.job_type,
        "is_system": found.is_system,
        "state": found.state,
        "label": view.label,
        "schedule": found.rules.schedule.description(),
        "creator": found.creator,
        "created_at": found.created_at,
        "started_at": found.started_at,
        "expires_at": found.expires_at,
        "ended_at": found.ended_at,
        "tasks": found.tasks,
        "done": view.done,
        "counts": dict(view.counts),
        "waiting_reason": view.waiting_reason,
        "waiting_until": view.waiting_until,
        "actions": list(view.actions),
        "links": campaign_links(found.campaign_id, request),
    }


class Campaign(CampaignSummary):
    """A campaign."""

    targets_file: str = Field(description='The file of its targets; "" if they were inline.')
    replace_overlapping: bool = Field(
        description="Whether it replaces the tasks of older campaigns on the same targets."
    )
    replaces: str = Field(description='The campaign that it replaces; "" for none.')
    replaced_by: str = Field(description='The campaign that replaced it; "" for none.')
    retry_of: str = Field(description='The campaign whose tasks it retries; "" for none.')
    notify: list[str] = Field(description="Who gets its reports.")
    undeliverable: list[Undeliverable] = Field(description="Recipients who cannot be notified.")
    rules: dict[str, JsonValue] = Field(description="Its rules, as they were sent or by default.")
    parameters: dict[str, JsonValue] = Field(description="The parameters of its job type.")
    unavailable: Unavailable
    forecast: Forecast | None = Field(description="The forecast; null once it has ended.")
    history: list[HistoryEntry] = Field(description="Its history, oldest first.")

    @classmethod
    def of(cls, view: campaign_queries.CampaignView, request: RequestContext) -> "Campaign":
        """The campaign with everything that is known of it."""
        found = view.campaign
        now = request.query_context().now
        return cls(
            **_summary(view, request),
            targets_file=found.file_key,
            replace_overlapping=found.replace_overlapping,
            replaces=found.replaces,
            replaced_by=found.replaced_by,
            retry_of=found.retry_of,
            notify=list(found.notify),
            undeliverable=Undeliverable.all_of(found.undeliverable),
            rules=found.rules.document(),
            parameters=dict(found.parameters),
            unavailable=UnavailableEvent.all_of(view.unavailable),
            forecast=Forecast.of(view.forecast(now)) if found.is_open else None,
            history=HistoryEntry.all_of(found.history),
        )


class CampaignOverlap(Schema):
    """An older open campaign of the same job type with some of the same targets."""

    campaign_id: str = Field(description="Its id.")
    name: str = Field(description="Its name.")
    tasks: int = Field(description="The number of its tasks.")
    targets: int | None = Field(
        description="How many targets both have. Its tasks on them that have not ended would be "
        "replaced; if those are all that have not, it would be replaced as a whole. null: it is "
        "not known, because there are too many to compare, or it is not opened yet."
    )
    links: Links

    @classmethod
    def of(cls, found: "Overlap", request: RequestContext) -> "CampaignOverlap":
        """The overlap with a campaign."""
        older = found.campaign
        return cls(
            campaign_id=older.campaign_id,
            name=older.name,
            tasks=older.tasks,
            targets=found.targets,
            links=campaign_links(older.campaign_id, request),
        )


class StartedCampaign(Campaign):
    """A campaign that was started, or would be."""

    overlaps: list[CampaignOverlap] = Field(
        description="Only of a preview: the older open campaigns that have some of its targets, "
        "without the one that it `replaces`, which a warning names."
    )
    warnings: list[str] = Field(description="Likely mistakes in the request.")


def started(
    view: campaign_queries.CampaignView, found: "Started", request: RequestContext
) -> StartedCampaign:
    """A campaign that was started, or would be, with its warnings."""
    return StartedCampaign(
        **dict(Campaign.of(view, request)),
        overlaps=[CampaignOverlap.of(each, request) for each in found.overlaps],
        warnings=list(found.warnings),
    )


class UnknownCampaign(Schema):
    """A campaign whose record cannot be read."""

    campaign_id: str = Field(description="The campaign's id.")
    label: str = Field(description="Its state's name for users, `Unknown`.")
    created_at: str = Field(description="When it was started.")


class CampaignList(Schema):
    """A page of campaigns, newest first."""

    items: list[CampaignSummary]
    unknown: list[UnknownCampaign] = Field(
        description="Those on the page that cannot be read. The scheduler tick logs why."
    )
    next_cursor: NextCursor


class Task(Schema):
    """A task: the work of a campaign on one target."""

    job_id: str = Field(description="Its id, which is that of a job.")
    target: str = Field(description="The target's id.")
    address: str = Field(
        description='The target\'s address, without a token in its query; "" if it has none.'
    )
    state: TaskState = Field(description="Its state.")
    label: str = Field(description="The state's name for users.")
    last_triggered: datetime | None = Field(description="When its last attempt began.")
    step: str = Field(description='The current or next step; "" when all are done.')
    step_percent: int | None = Field(
        description="How much of that step is done; null if it does not say."
    )
    steps_done: int = Field(description="How many steps are done.")
    step_count: int = Field(description="How many steps there are.")
    failure_code: str = Field(
        description='Why it failed last; "" if it never did, or has succeeded since.'
    )
    failure_message: str = Field(description="The same for people.")
    waiting_reason: str = Field(
        description='What it waits for, or that it ends after its step or part; "" if neither.'
    )
    waiting_until: datetime | None = Field(
        description="When the wait ends: at the earliest; by the forecast, if it waits for its "
        "turn; at the latest, if another campaign works on its target. Null if that depends on "
        "what the reason says."
    )
    actions: list[JobEvent] = Field(
        description="The events that you may send now, with POST /api/jobs/{job_id}/{event}."
    )
    links: Links

    @classmethod
    def of(cls, view: campaign_queries.TaskView, request: RequestContext) -> "Task":
        """A task as lists show it."""
        task = view.task
        return cls(
            job_id=task.address.job_id,
            target=view.target.target_id,
            address=view.target.address,
            state=view.state,
            label=TASK.state(view.state).labels["device"],
            last_triggered=view.last_triggered,
            step=view.step,
            step_percent=view.step_percent,
            steps_done=view.steps_done,
            step_count=view.step_count,
            failure_code=task.failure_code,
            failure_message=task.failure_message,
            waiting_reason=view.waiting_reason,
            waiting_until=view.waiting_until,
            actions=[JobEvent(event) for event in view.actions],
            links=job_links(task.address.job_id, request),
        )


class TaskList(Schema):
    """A page of tasks, in the order of the targets."""

    items: list[Task]
    next_cursor: NextCursor
