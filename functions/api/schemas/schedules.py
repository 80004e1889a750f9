"""Schedules: what is sent, what is shown of them, and what became of their times."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, JsonValue, StrictInt, WithJsonSchema, model_validator

from api.context import RequestContext
from api.links import occurrence_links, schedule_links
from api.problems import field_path
from api.schemas.fields import (
    HistoryEntry,
    Instant,
    Links,
    NextCursor,
    Reason,
    RecordCounts,
    Schema,
    Title,
)
from jobyard.domain.jobs.job import JobState
from jobyard.domain.schedules import rule_parsing
from jobyard.domain.schedules import schedule as domain
from jobyard.domain.schedules.next_runs import Upcoming, upcoming
from jobyard.domain.schedules.occurrence import SkipReason, Trigger, Verdict
from jobyard.domain.schedules.recurrence import LAST, Gap, Kind, Recurrence, Repeated
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import (
    SCHEDULE,
    CatchUp,
    MissedPolicy,
    OverlapPolicy,
    Policy,
    ScheduleLabel,
    ScheduleState,
)
from jobyard.domain.schedules.wall_clock import WEEKDAYS
from jobyard.services.queries import schedules as schedule_queries

if TYPE_CHECKING:
    from jobyard.services.schedules import commands

ScheduleEvent = StrEnum("ScheduleEvent", {name: name for name in SCHEDULE.people_events()})  # type: ignore[misc]
MAX_PREVIEWED = 1000  # occurrences of a preview


def _json(**schema: Any) -> WithJsonSchema:
    """What may stand in a field that the domain reads, and refuses, itself; null is as left out."""
    return WithJsonSchema({"anyOf": [schema, {"type": "null"}]})


_DAY_OR_WALL = "^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?)?$"
_DST = [*Gap, *Repeated]


class Rule(Schema, extra="forbid"):
    """When jobs are due, in local terms.

    Hours are elapsed time; days, weeks and months keep the time that clocks show. Weeks begin on
    Monday and are counted from the anchor's. In a month that is too short the last day stands for
    the day that is missing.
    """

    kind: Annotated[JsonValue, WithJsonSchema({"type": "string", "enum": [*Kind]})] = Field(
        description="How it recurs."
    )
    every: Annotated[
        JsonValue, _json(type="integer", minimum=1, maximum=max(rule_parsing.MAX_EVERY.values()))
    ] = Field(
        default=None,
        description="Every so many hours (up to 8760), days (366), weeks (52) or months (60); 1 "
        "unless said.",
    )
    weekdays: Annotated[
        JsonValue, _json(type="array", items={"type": "string", "enum": [*WEEKDAYS]})
    ] = Field(default=None, description="Of a weekly rule; unless said, the anchor's.")
    day: Annotated[
        JsonValue,
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "integer", "minimum": 1, "maximum": 31},
                    {"type": "string", "enum": [LAST]},
                    {"type": "null"},
                ]
            }
        ),
    ] = Field(default=None, description="Of a monthly rule; unless said, the anchor's.")
    at: Annotated[JsonValue, _json(type="string", pattern="^[0-9]{2}:[0-9]{2}(:[0-9]{2})?$")] = (
        Field(
            default=None, description="The time of day: `09:00`. Needed unless the anchor has it."
        )
    )
    zone: Annotated[JsonValue, _json(type="string")] = Field(
        default=None,
        description=f"The time zone, by its IANA name; `{rule_parsing.DEFAULT_ZONE}` unless said.",
    )
    anchor: Annotated[JsonValue, _json(type="string", pattern=_DAY_OR_WALL)] = Field(
        default=None,
        description="The day from which on it counts, `2026-11-25` or with the time of day "
        "`2026-11-25T09:00`; today unless said.",
    )
    end: Annotated[JsonValue, _json(type="string", pattern=_DAY_OR_WALL)] = Field(
        default=None, description="The last day, or the last local time, that may come."
    )
    count: Annotated[
        JsonValue, _json(type="integer", minimum=1, maximum=rule_parsing.MAX_TIMES)
    ] = Field(default=None, description="How many times there are, from the anchor on.")
    dst: Annotated[
        JsonValue,
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "string"},
                    {"type": "array", "items": {"type": "string", "enum": _DST}, "maxItems": 2},
                    {"type": "null"},
                ]
            }
        ),
    ] = Field(
        default=None,
        description="When clocks change: `shift` a time they leave out to the first there is, or "
        "`skip` it; be due `once` at a time that comes twice, or `twice`. One of each; `shift` and "
        "`once` unless said.",
    )

    def recurrence(self, now: datetime) -> Recurrence:
        """The rule read; `now` is its anchor unless it has one.

        Raises:
            InvalidRule: a field of it is not valid.
        """
        with field_path("body.rule"):
            return recurrence_of(self.model_dump(exclude_unset=True), now)


class MissedRuns(Schema, extra="forbid"):
    """Which of the times that nobody could start a job at are made up for."""

    which: MissedPolicy = Field(description="None, the latest, or all of them.")
    limit: StrictInt = Field(default=10, ge=1, le=1000, description="Of all: the newest so many.")
    max_age_h: StrictInt = Field(
        default=24, ge=1, le=8784, description="None that is older than so many hours."
    )

    def missed(self) -> CatchUp:
        """The policy as the domain has it."""
        return CatchUp(self.which, self.limit, self.max_age_h)


_MISSED = "What is made up for; a word alone leaves the other two at 10 and 24."
_CALENDAR = "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$"
CalendarName = Annotated[str, Field(pattern=_CALENDAR)]


class NewSchedule(Schema, extra="forbid"):
    """A schedule to be made."""

    title: Title = Field(description="What people call it.")
    job_type: str = Field(max_length=64, description="What its jobs do.", examples=["sweep"])
    rule: Rule = Field(description="When they are due.")
    parameters: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="What the job type takes, up to 8 KB; GET /api/job-types says what that is.",
    )
    missed: MissedPolicy | MissedRuns = Field(default=MissedPolicy.LATEST, description=_MISSED)
    overlap: OverlapPolicy = Field(
        default=OverlapPolicy.FORBID,
        description="What happens at a time whose run before is still going.",
    )
    calendar: CalendarName | None = Field(
        default=None, description="The name of the calendar that may leave times out."
    )

    def spec(self, now: datetime) -> "commands.ScheduleSpec":
        """What the service is asked for.

        Raises:
            InvalidRule: the rule is not valid.
        """
        from jobyard.services.schedules import commands

        return commands.ScheduleSpec(
            title=self.title,
            job_type=self.job_type,
            rule=self.rule.recurrence(now),
            policy=Policy(_missed(self.missed), self.overlap, self.calendar or ""),
            parameters=self.parameters,
        )


class ScheduleChanges(Schema, extra="forbid", json_schema_extra={"minProperties": 2}):
    """What of a schedule is to be otherwise. What is left out stays as it is."""

    reason: Reason
    title: Title | None = Field(default=None, description="What people call it.")
    rule: Rule | None = Field(
        default=None, description="When its jobs are due: all of the rule, not a part."
    )
    parameters: dict[str, JsonValue] | None = Field(
        default=None, description="What the job type takes: all of it, not a part."
    )
    missed: MissedPolicy | MissedRuns | None = Field(default=None, description=_MISSED)
    overlap: OverlapPolicy | None = Field(
        default=None, description="What happens at a time whose run before is still going."
    )
    calendar: Annotated[str, Field(pattern=f"^$|{_CALENDAR}")] | None = Field(
        default=None, description='The calendar that may leave times out; "" for none.'
    )

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if all(each is None for name, each in self if name != "reason"):
            raise ValueError("say what is to be otherwise, beside the reason")
        return self

    def edit(self, now: datetime) -> "commands.ScheduleEdit":
        """What the service is asked for.

        Raises:
            InvalidRule: the rule is not valid.
        """
        from jobyard.services.schedules import commands

        return commands.ScheduleEdit(
            title=self.title,
            rule=self.rule.recurrence(now) if self.rule else None,
            parameters=self.parameters,
            missed=None if self.missed is None else _missed(self.missed),
            overlap=self.overlap,
            calendar=self.calendar,
        )


class RulePreviewRequest(Schema, extra="forbid"):
    """A rule that nobody has saved."""

    rule: Rule = Field(description="When jobs would be due.")
    count: StrictInt = Field(
        default=10, ge=1, le=MAX_PREVIEWED, description="How many occurrences to tell."
    )
    from_: Instant | None = Field(
        default=None, alias="from", description="Those at this time or later; now unless said."
    )
    calendar: CalendarName | None = Field(
        default=None, description="The name of a calendar, whose refusals are left out."
    )


class NextRun(Schema):
    """A time at which a job will run."""

    utc: datetime = Field(description="The time, in UTC.")
    local: str = Field(description="The same as clocks of the rule's zone show it.")
    note: str = Field(
        description='On a day on which clocks change: how, and what that means; else "".'
    )

    @classmethod
    def all_of(cls, runs: Iterable[Upcoming]) -> "list[NextRun]":
        """The next runs of a rule or a schedule."""
        return [cls.model_validate(each.document()) for each in runs]


class LatestRun(Schema):
    """How the run that ended last came out."""

    job_id: str = Field(description="Its job.")
    scheduled_for: datetime = Field(description="The time it was for.")
    state: JobState = Field(description="Where the job stands.")
    label: ScheduleLabel = Field(description="The same in VoteCal's words.")
    ended_at: datetime = Field(description="When it ended.")

    @classmethod
    def of(cls, schedule: domain.Schedule) -> "LatestRun | None":
        """The run of a schedule that ended last; None when none has."""
        latest = schedule.latest
        if latest is None:
            return None
        return cls(
            job_id=schedule.place(latest.at).job_id,
            scheduled_for=latest.at,
            state=latest.state,
            label=latest.label,
            ended_at=latest.ended_at,
        )


class ScheduleSummary(Schema):
    """A schedule as lists show it."""

    schedule_id: str = Field(description="The schedule's id.")
    title: str = Field(description="What people call it.")
    job_type: str = Field(description="What its jobs do.")
    is_system: bool = Field(description="Whether Jobyard made it for itself.")
    state: ScheduleState = Field(description="Where it stands.")
    label: ScheduleLabel = Field(description="It with its latest run, in VoteCal's words.")
    description: str = Field(description="The rule in a sentence.")
    zone: str = Field(description="The zone the rule is in.")
    next_run_at: datetime | None = Field(
        description="VoteCal's next scheduled run time; null when no job will run by it."
    )
    resume_at: datetime | None = Field(
        description="When its suspension ends by itself; null when it does not."
    )
    waiting_reason: str = Field(
        description='What keeps it from running at its times; "" when nothing does.'
    )
    waiting_until: datetime | None = Field(description="When that ends, if it is known.")
    running_job_ids: list[str] = Field(description="The ids of its jobs that have not ended.")
    latest_run: LatestRun | None = Field(description="The run that ended last; null when none has.")
    actions: list[ScheduleEvent] = Field(
        description="What you may ask of it now: `edit` by PATCH, `delete` by DELETE, the others "
        "as POST /api/schedules/{schedule_id}/{event}."
    )
    links: Links

    @classmethod
    def of(cls, view: schedule_queries.ScheduleView, request: RequestContext) -> "ScheduleSummary":
        """A schedule as lists show it."""
        return cls(**_summary(view, request))


class Occurrence(Schema):
    """A time of a schedule that came, and what became of it."""

    schedule_id: str = Field(description="The schedule's id.")
    scheduled_for: datetime = Field(description="The time; of a manual one, when it was asked for.")
    local: str = Field(description="The same as clocks of the rule's zone show it.")
    trigger: Trigger = Field(description="What made it.")
    verdict: Verdict = Field(description="What was decided about it.")
    skip_reason: SkipReason | None = Field(
        description="Why there is no job; null when there is one."
    )
    description: str = Field(
        description='The same for people, or what it waits for; "" when there is a job.'
    )
    reason: str = Field(description='More about why, or why a person wanted it; "" otherwise.')
    actor: str = Field(description='Who wanted it to run now; "" when it was its time.')
    job_id: str = Field(description='Its job; "" when there is none, or none yet.')
    state: JobState | None = Field(description="Where the job stands; null when there is none.")
    label: str = Field(
        description="In Progress until the job has ended, then Completed or Failed; Skipped or "
        "Waiting when there is no job."
    )
    started_at: datetime | None = Field(description="When the job began to run.")
    ended_at: datetime | None = Field(description="VoteCal's time of completion.")
    duration_s: float | None = Field(
        description="How many seconds it took, from the last time a person had it tried."
    )
    start_delay_s: float | None = Field(description="How many seconds after its time it began.")
    failure_codes: list[str] = Field(description="Why its attempts failed, each once.")
    message: str = Field(description='Why it failed, or who stopped it, in words; "" otherwise.')
    records: RecordCounts | None = Field(
        description="The records it has gone through, so far; null when it counts none."
    )
    links: Links

    @classmethod
    def of(cls, view: schedule_queries.OccurrenceView, request: RequestContext) -> "Occurrence":
        """An occurrence with what is known of its job."""
        each, outcome = view.occurrence, view.occurrence.outcome
        job_id = each.place.job_id if each.verdict is Verdict.RUN else ""
        return cls(
            schedule_id=each.schedule_id,
            scheduled_for=each.at,
            local=view.local.isoformat(),
            trigger=each.trigger,
            verdict=each.verdict,
            skip_reason=each.reason,
            description=view.why,
            reason=each.words,
            actor=each.actor,
            job_id=job_id,
            state=view.state,
            label=view.label,
            started_at=view.started_at,
            ended_at=outcome.ended_at if outcome else None,
            duration_s=_seconds(each.duration),
            start_delay_s=_seconds(each.late(view.started_at)),
            failure_codes=list(outcome.codes) if outcome else [],
            message=outcome.message if outcome else "",
            records=RecordCounts.of(view.records),
            links=occurrence_links(each.schedule_id, job_id, request),
        )


class OccurrenceList(Schema):
    """A page of a schedule's history, newest first."""

    items: list[Occurrence]
    next_cursor: NextCursor


class Schedule(ScheduleSummary):
    """A schedule."""

    rule: dict[str, JsonValue] = Field(
        description="The rule, as `Rule` has it, with what goes unless said written out."
    )
    dst: list[str] = Field(
        description="Of the rule: what becomes of times that clocks leave out, and of those that "
        "come twice."
    )
    missed: MissedRuns
    overlap: OverlapPolicy = Field(
        description="What happens at a time whose run before is still going."
    )
    calendar: str = Field(description='The calendar that may leave times out; "" when none may.')
    parameters: dict[str, JsonValue] = Field(description="What its jobs are told.")
    owner: str = Field(description="Who made it.")
    created_at: datetime = Field(description="When it was made.")
    next_runs: list[NextRun] = Field(description="The next ten runs; fewer when no more are left.")
    latest_occurrence: Occurrence | None = Field(
        description="VoteCal's completed job details: the run that ended last; null when none has, "
        "or when it is archived."
    )
    history: list[HistoryEntry] = Field(description="What people did to it, oldest first.")

    @classmethod
    def of_details(
        cls, details: schedule_queries.ScheduleDetails, request: RequestContext
    ) -> "Schedule":
        """The schedule with everything that is known of it."""
        schedule = details.view.schedule
        rule, policy = schedule.rule, schedule.policy
        completed = details.completed
        return cls(
            **_summary(details.view, request),
            rule=rule.document(),
            dst=[rule.gap, rule.repeated],
            missed=MissedRuns(
                which=policy.missed.which,
                limit=policy.missed.most,
                max_age_h=policy.missed.oldest_h,
            ),
            overlap=policy.overlap,
            calendar=policy.calendar,
            parameters=dict(schedule.parameters),
            owner=schedule.owner,
            created_at=schedule.created_at,
            next_runs=NextRun.all_of(details.upcoming),
            latest_occurrence=Occurrence.of(completed, request) if completed else None,
            history=HistoryEntry.all_of(schedule.history),
        )


class ScheduleList(Schema):
    """A page of schedules, by title."""

    items: list[ScheduleSummary]
    next_cursor: NextCursor


class ScheduleEdit(Schema):
    """A schedule after it was changed, and what that changed of its next five runs."""

    schedule: Schedule
    next_runs_before: list[NextRun] = Field(description="The next runs as they would have been.")
    next_runs_after: list[NextRun] = Field(description="The next runs as they are now.")

    @classmethod
    def of(
        cls,
        edited: "commands.EditResult",
        details: schedule_queries.ScheduleDetails,
        request: RequestContext,
    ) -> "ScheduleEdit":
        """A schedule after an edit."""
        before, after = edited.before.rule, edited.schedule.rule
        return cls(
            schedule=Schedule.of_details(details, request),
            next_runs_before=NextRun.all_of(upcoming(before, at) for at in edited.runs_before),
            next_runs_after=NextRun.all_of(upcoming(after, at) for at in edited.runs_after),
        )


class SuspendRequest(Schema, extra="forbid"):
    """A schedule is to be suspended."""

    reason: Reason
    until: Instant | None = Field(
        default=None,
        description="When it is resumed by itself, as ISO 8601 with a zone; unless said, a person "
        "resumes it.",
    )


def _summary(view: schedule_queries.ScheduleView, request: RequestContext) -> dict[str, Any]:
    schedule = view.schedule
    return {
        "schedule_id": schedule.schedule_id,
        "title": schedule.title,
        "job_type": schedule.job_type,
        "is_system": schedule.is_system,
        "state": schedule.state,
        "label": schedule.label,
        "description": schedule.rule.description(),
        "zone": schedule.rule.zone,
        "next_run_at": view.next_run,
        "resume_at": schedule.resume_at,
        "waiting_reason": view.why,
        "waiting_until": view.until,
        "running_job_ids": [schedule.place(run.at).job_id for run in schedule.active],
        "latest_run": LatestRun.of(schedule),
        "actions": [ScheduleEvent(action) for action in view.actions],
        "links": schedule_links(schedule.schedule_id, request),
    }


def _missed(missed: MissedPolicy | MissedRuns) -> CatchUp:
    return missed.missed() if isinstance(missed, MissedRuns) else CatchUp(missed)


def _seconds(length: timedelta | None) -> float | None:
    return None if length is None else length.total_seconds()
