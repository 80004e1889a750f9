"""Schedules and their occurrences."""

from collections.abc import Iterable
from datetime import date as Date
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
    Recipients,
    RecordCounts,
    Schema,
    Title,
    Unavailable,
    UnavailableEvent,
)
from jobyard.domain.jobs.job import JobState
from jobyard.domain.schedules import rule_parsing
from jobyard.domain.schedules import schedule as domain
from jobyard.domain.schedules.next_runs import UpcomingRun, upcoming_run
from jobyard.domain.schedules.occurrence import SkipReason, Trigger, Verdict
from jobyard.domain.schedules.recurrence import LAST_DAY_OF_MONTH, Gap, Kind, Recurrence, Repeated
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
from jobyard.domain.schedules.year import RuleDifference
from jobyard.services.queries import schedules as schedule_queries

if TYPE_CHECKING:
    from jobyard.services.schedules import commands

ScheduleEvent = StrEnum("ScheduleEvent", {name: name for name in SCHEDULE.people_events()})  # type: ignore[misc]
MAX_PREVIEWED = 1000  # occurrences of a preview


def _json(**schema: Any) -> WithJsonSchema:
    """The JSON schema of a field that the domain parses and validates; null counts as left out."""
    return WithJsonSchema({"anyOf": [schema, {"type": "null"}]})


_DATE_OR_TIME = "^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?)?$"
_DST = [*Gap, *Repeated]


class Rule(Schema, extra="forbid"):
    """When jobs are due, in local time.

    Hours are elapsed time; days, weeks and months keep the local time of day. Weeks start on Monday
    and are counted from the anchor's. In a month without the given day, the last day counts.
    """

    kind: Annotated[JsonValue, WithJsonSchema({"type": "string", "enum": [*Kind]})] = Field(
        description="How it recurs."
    )
    every: Annotated[
        JsonValue, _json(type="integer", minimum=1, maximum=max(rule_parsing.MAX_EVERY.values()))
    ] = Field(
        default=None,
        description="The interval in hours (up to 8760), days (366), weeks (52) or months "
        "(60); 1 by default.",
    )
    weekdays: Annotated[
        JsonValue, _json(type="array", items={"type": "string", "enum": [*WEEKDAYS]})
    ] = Field(default=None, description="The days of a weekly rule; the anchor's by default.")
    day: Annotated[
        JsonValue,
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "integer", "minimum": 1, "maximum": 31},
                    {"type": "string", "enum": [LAST_DAY_OF_MONTH]},
                    {"type": "null"},
                ]
            }
        ),
    ] = Field(default=None, description="The day of a monthly rule; the anchor's by default.")
    at: Annotated[JsonValue, _json(type="string", pattern="^[0-9]{2}:[0-9]{2}(:[0-9]{2})?$")] = (
        Field(
            default=None, description="The time of day: `09:00`. Required unless the anchor has it."
        )
    )
    zone: Annotated[JsonValue, _json(type="string")] = Field(
        default=None,
        description=f"The time zone, by its IANA name; `{rule_parsing.DEFAULT_ZONE}` by default.",
    )
    anchor: Annotated[JsonValue, _json(type="string", pattern=_DATE_OR_TIME)] = Field(
        default=None,
        description="The day from which the rule counts, `2026-11-25`, or with the time of "
        "day, `2026-11-25T09:00`; today by default.",
    )
    end: Annotated[JsonValue, _json(type="string", pattern=_DATE_OR_TIME)] = Field(
        default=None, description="The last day, or the last local time, on which it may run."
    )
    count: Annotated[
        JsonValue, _json(type="integer", minimum=1, maximum=rule_parsing.MAX_TIMES)
    ] = Field(default=None, description="The number of runs, counted from the anchor.")
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
        description="What happens when clocks change. A local time that does not exist is moved "
        "to the next one that does (`shift`) or skipped (`skip`). A local time that occurs twice "
        "runs `once` or `twice`. One of each pair; `shift` and `once` by default.",
    )

    def recurrence(self, now: datetime) -> Recurrence:
        """The rule; `now` is its anchor unless it has one.

        Raises:
            InvalidRule: a field of it is not valid.
        """
        with field_path("body.rule"):
            return recurrence_of(self.model_dump(exclude_unset=True), now)


class MissedRuns(Schema, extra="forbid"):
    """Which missed runs to catch up on."""

    which: MissedPolicy = Field(description="None, the latest, or all of them.")
    limit: StrictInt = Field(
        default=10, ge=1, le=1000, description="With `all`: at most this many, the newest."
    )
    max_age_h: StrictInt = Field(
        default=24, ge=1, le=8784, description="None older than this many hours."
    )

    def missed(self) -> CatchUp:
        """The policy as a value of the domain."""
        return CatchUp(self.which, self.limit, self.max_age_h)


_NOTIFY = (
    "Addresses that get a mail when a job fails: the first time after one that succeeded, and then "
    "once in 24 hours while jobs fail. Only those in the deployment's mail domains, and your own."
)
_MISSED = "Which missed runs to catch up on. A string leaves `limit` at 10 and `max_age_h` at 24."
_CALENDAR = "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$"
CalendarName = Annotated[str, Field(pattern=_CALENDAR)]


class NewSchedule(Schema, extra="forbid"):
    """A schedule to create."""

    title: Title = Field(description="The title for people.")
    job_type: str = Field(max_length=64, description="The type of its jobs.", examples=["sweep"])
    rule: Rule = Field(description="When its jobs run.")
    parameters: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="The parameters of its jobs, up to 8 KB; GET /api/job-types describes them.",
    )
    missed: MissedPolicy | MissedRuns = Field(default=MissedPolicy.LATEST, description=_MISSED)
    overlap: OverlapPolicy = Field(
        default=OverlapPolicy.FORBID,
        description="What happens when a run is due while another is active.",
    )
    calendar: CalendarName | None = Field(
        default=None, description="The name of the calendar that excludes times."
    )
    notify: Recipients = Field(default_factory=list, description=_NOTIFY)

    def spec(self, now: datetime) -> "commands.ScheduleSpec":
        """The schedule as the service creates it.

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
            notify=tuple(self.notify),
        )


class ScheduleChanges(Schema, extra="forbid", json_schema_extra={"minProperties": 2}):
    """What to change in a schedule. Fields that are left out do not change."""

    reason: Reason
    revision: StrictInt | None = Field(
        default=None,
        ge=1,
        description="The revision that you have seen. Refused if it has been edited since.",
    )
    title: Title | None = Field(default=None, description="The title for people.")
    rule: Rule | None = Field(
        default=None, description="When its jobs run: the whole rule, not a part."
    )
    parameters: dict[str, JsonValue] | None = Field(
        default=None, description="The parameters of its jobs: all of them, not a part."
    )
    missed: MissedPolicy | MissedRuns | None = Field(default=None, description=_MISSED)
    overlap: OverlapPolicy | None = Field(
        default=None, description="What happens when a run is due while another is active."
    )
    calendar: Annotated[str, Field(pattern=f"^$|{_CALENDAR}")] | None = Field(
        default=None, description='The name of the calendar that excludes times; "" for none.'
    )
    notify: Recipients | None = Field(default=None, description=_NOTIFY)

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if all(each is None for name, each in self if name not in {"reason", "revision"}):
            raise ValueError("give at least one field to change")
        return self

    def edit(self, now: datetime) -> "commands.ScheduleEdit":
        """The edit as the service makes it.

        Raises:
            InvalidRule: the rule is not valid.
        """
        from jobyard.services.schedules import commands

        return commands.ScheduleEdit(
            title=self.title,
            rule=self.rule.recurrence(now) if self.rule else None,
            parameters=self.parameters,
            catch_up=None if self.missed is None else _missed(self.missed),
            overlap=self.overlap,
            calendar=self.calendar,
            notify=None if self.notify is None else tuple(self.notify),
        )


class RulePreviewRequest(Schema, extra="forbid"):
    """A rule to preview."""

    rule: Rule = Field(description="The rule.")
    count: StrictInt = Field(
        default=10, ge=1, le=MAX_PREVIEWED, description="How many runs to return."
    )
    from_: Instant | None = Field(
        default=None, alias="from", description="The first time that counts; now by default."
    )
    calendar: CalendarName | None = Field(
        default=None, description="The name of the calendar that excludes times."
    )


class NextRun(Schema):
    """A time at which a job will run."""

    utc: datetime = Field(description="The time in UTC.")
    local: str = Field(description="The same time in the rule's zone.")
    note: str = Field(description='On a day on which clocks change, what that means; "" otherwise.')

    @classmethod
    def all_of(cls, runs: Iterable[UpcomingRun]) -> "list[NextRun]":
        """The next runs of a rule or a schedule."""
        return [cls.model_validate(each.document()) for each in runs]


class LatestRun(Schema):
    """The run that ended last."""

    job_id: str = Field(description="Its job.")
    scheduled_for: datetime = Field(description="The time of its occurrence.")
    state: JobState = Field(description="The job's state.")
    label: ScheduleLabel = Field(description="The state's name for people.")
    ended_at: datetime = Field(description="When it ended.")

    @classmethod
    def of(cls, schedule: domain.Schedule) -> "LatestRun | None":
        """The run of a schedule that ended last; None when none has."""
        latest = schedule.latest
        if latest is None:
            return None
        return cls(
            job_id=schedule.job_address(latest.scheduled_for).job_id,
            scheduled_for=latest.scheduled_for,
            state=latest.state,
            label=latest.label,
            ended_at=latest.ended_at,
        )


class ScheduleSummary(Schema):
    """A schedule as lists show it."""

    schedule_id: str = Field(description="The schedule's id.")
    title: str = Field(description="The title for people.")
    job_type: str = Field(description="The type of its jobs.")
    is_system: bool = Field(description="Whether it is one of Jobyard's own.")
    state: ScheduleState = Field(description="The schedule's state.")
    label: ScheduleLabel = Field(
        description="The state of the schedule with its latest run, for people."
    )
    description: str = Field(description="The rule as a sentence.")
    zone: str = Field(description="The rule's time zone.")
    next_run_at: datetime | None = Field(description="The next run; null if no job will run.")
    resume_at: datetime | None = Field(
        description="When its suspension ends by itself; null if it does not."
    )
    waiting_reason: str = Field(description='What keeps it from running; "" if nothing does.')
    waiting_until: datetime | None = Field(description="When that ends, if known.")
    running_job_ids: list[str] = Field(description="The ids of its active jobs.")
    latest_run: LatestRun | None = Field(description="The run that ended last; null if none has.")
    actions: list[ScheduleEvent] = Field(
        description="The events that you may send now: `edit` with PATCH, `delete` with "
        "DELETE, the others with POST /api/schedules/{schedule_id}/{event}."
    )
    links: Links

    @classmethod
    def of(cls, view: schedule_queries.ScheduleView, request: RequestContext) -> "ScheduleSummary":
        """A schedule as lists show it."""
        return cls(**_summary(view, request))


class Occurrence(Schema):
    """An occurrence of a schedule: a time that was due, and what was decided about it."""

    schedule_id: str = Field(description="The schedule's id.")
    scheduled_for: datetime = Field(
        description="The time that was due; of a manual run, when it was requested."
    )
    local: str = Field(description="The same time in the rule's zone.")
    trigger: Trigger = Field(description="Why the occurrence exists.")
    verdict: Verdict = Field(description="What was decided about it.")
    skip_reason: SkipReason | None = Field(description="Why it was skipped; null if it was not.")
    description: str = Field(
        description='Why it has no job, for people, or what it waits for; "" if it has one.'
    )
    reason: str = Field(
        description='More about why it was skipped, or why a person started it; "" otherwise.'
    )
    actor: str = Field(description='The person who started it with "run now"; "" if nobody did.')
    job_id: str = Field(description='Its job; "" if it has none, or none yet.')
    state: JobState | None = Field(description="The job's state; null if there is no job.")
    label: str = Field(
        description="`In Progress` until the job has ended, then `Completed` or `Failed`; "
        "`Skipped` or `Waiting` if there is no job."
    )
    started_at: datetime | None = Field(description="When the job started.")
    ended_at: datetime | None = Field(description="When the job ended.")
    duration_s: float | None = Field(
        description="How many seconds it took, since a person requeued it last."
    )
    start_delay_s: float | None = Field(
        description="How many seconds after its time the job started."
    )
    failure_codes: list[str] = Field(description="Why its attempts failed, each code once.")
    message: str = Field(description='Why it failed, or who stopped it; "" otherwise.')
    records: RecordCounts | None = Field(
        description="The records it has processed so far; null if it counts none."
    )
    links: Links

    @classmethod
    def of(cls, view: schedule_queries.OccurrenceView, request: RequestContext) -> "Occurrence":
        """An occurrence with what is known of its job."""
        each, outcome = view.occurrence, view.occurrence.outcome
        job_id = each.address.job_id if each.verdict is Verdict.RUN else ""
        return cls(
            schedule_id=each.schedule_id,
            scheduled_for=each.scheduled_for,
            local=view.local.isoformat(),
            trigger=each.trigger,
            verdict=each.verdict,
            skip_reason=each.skip_reason,
            description=view.why,
            reason=each.reason,
            actor=each.actor,
            job_id=job_id,
            state=view.state,
            label=view.label,
            started_at=view.started_at,
            ended_at=outcome.ended_at if outcome else None,
            duration_s=_seconds(each.duration),
            start_delay_s=_seconds(each.start_delay(view.started_at)),
            failure_codes=list(outcome.failure_codes) if outcome else [],
            message=outcome.failure_message if outcome else "",
            records=RecordCounts.of(view.records),
            links=occurrence_links(each.schedule_id, job_id, request),
        )


class OccurrenceList(Schema):
    """A page of occurrences, newest first."""

    items: list[Occurrence]
    next_cursor: NextCursor

    @classmethod
    def of(
        cls,
        views: Iterable[schedule_queries.OccurrenceView],
        next_cursor: str | None,
        request: RequestContext,
    ) -> "OccurrenceList":
        """A page, and the cursor of the next one."""
        items = [Occurrence.of(view, request) for view in views]
        return cls(items=items, next_cursor=next_cursor)


class Schedule(ScheduleSummary):
    """A schedule."""

    unavailable: Unavailable
    revision: int = Field(description="Counts its creation and its edits, but no runs.")
    rule: dict[str, JsonValue] = Field(description="The rule, with all defaults written out.")
    dst: list[str] = Field(
        description="What the rule does with local times that do not exist, and with those that "
        "occur twice, when clocks change."
    )
    missed: MissedRuns
    overlap: OverlapPolicy = Field(
        description="What happens when a run is due while another is active."
    )
    calendar: str = Field(description='The calendar that excludes times; "" if none does.')
    parameters: dict[str, JsonValue] = Field(description="The parameters of its jobs.")
    notify: list[str] = Field(description=_NOTIFY)
    failure_mailed_at: datetime | None = Field(
        description="When the last such mail was stored; null if a job has succeeded since."
    )
    owner: str = Field(description="Who created it.")
    created_at: datetime = Field(description="When it was created.")
    next_runs: list[NextRun] = Field(description="The next twenty runs, or fewer if the rule ends.")
    latest_occurrence: Occurrence | None = Field(
        description="The occurrence that ended last; null if none has, or if it is archived."
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
            unavailable=UnavailableEvent.all_of(details.view.unavailable),
            revision=schedule.revision,
            rule=rule.document(),
            dst=[rule.gap, rule.repeated],
            missed=MissedRuns(
                which=policy.catch_up.runs,
                limit=policy.catch_up.limit,
                max_age_h=policy.catch_up.max_age_h,
            ),
            overlap=policy.overlap,
            calendar=policy.calendar,
            parameters=dict(schedule.parameters),
            notify=list(schedule.notify),
            failure_mailed_at=schedule.failure_mailed_at,
            owner=schedule.owner,
            created_at=schedule.created_at,
            next_runs=NextRun.all_of(details.next_runs),
            latest_occurrence=Occurrence.of(completed, request) if completed else None,
            history=HistoryEntry.all_of(schedule.history),
        )


class ScheduleList(Schema):
    """A page of schedules, by title."""

    items: list[ScheduleSummary]
    next_cursor: NextCursor

    @classmethod
    def of(
        cls,
        views: Iterable[schedule_queries.ScheduleView],
        next_cursor: str | None,
        request: RequestContext,
    ) -> "ScheduleList":
        """A page, and the cursor of the next one."""
        items = [ScheduleSummary.of(view, request) for view in views]
        return cls(items=items, next_cursor=next_cursor)


class ScheduleEdit(Schema):
    """An edited schedule, with its next five runs before and after."""

    schedule: Schedule
    next_runs_before: list[NextRun] = Field(description="The next runs without the edit.")
    next_runs_after: list[NextRun] = Field(description="The next runs now.")

    @classmethod
    def of(cls, edited: "commands.EditResult", schedule: Schedule) -> "ScheduleEdit":
        """A schedule after an edit."""
        before, after = edited.before.rule, edited.schedule.rule
        return cls(
            schedule=schedule,
            next_runs_before=NextRun.all_of(upcoming_run(before, at) for at in edited.runs_before),
            next_runs_after=NextRun.all_of(upcoming_run(after, at) for at in edited.runs_after),
        )


class EditPreviewRequest(Schema, extra="forbid"):
    """A change of a schedule to preview. What is left out does not change."""

    rule: Rule | None = Field(default=None, description="The new rule: the whole rule.")
    calendar: Annotated[str, Field(pattern=f"^$|{_CALENDAR}")] | None = Field(
        default=None, description='The name of the new calendar; "" for none.'
    )


class EditPreview(Schema):
    """What a change would do to the next 100 runs."""

    next_runs: list[NextRun] = Field(description="The next runs after the change.")
    added: list[NextRun] = Field(description="Those that the change adds.")
    removed: list[NextRun] = Field(description="Those that the change removes.")

    @classmethod
    def of(cls, found: RuleDifference) -> "EditPreview":
        """The difference between two rules."""
        return cls(
            next_runs=NextRun.all_of(found.next_runs),
            added=NextRun.all_of(found.added),
            removed=NextRun.all_of(found.removed),
        )


class YearDay(Schema):
    """A day on which a schedule is due."""

    date: Date = Field(description="The day in the rule's zone.")
    runs: int = Field(description="The number of its runs.")
    skipped: int = Field(description="The number of times that the calendar excludes.")
    reason: str = Field(description='Why the calendar excludes them; "" if it does not.')
    note: str = Field(description='On a day on which clocks change, what that means; "" otherwise.')


class ScheduleYear(Schema):
    """The days of a year on which a schedule is due."""

    year: int = Field(description="The year.")
    zone: str = Field(description="The rule's time zone.")
    days: list[YearDay] = Field(description="The days on which it is due, in order.")
    is_complete: bool = Field(description="Whether all times of the year are counted.")
    links: Links

    @classmethod
    def of(cls, found: schedule_queries.ScheduleYear, request: RequestContext) -> "ScheduleYear":
        """A year of a schedule."""
        return cls(
            year=found.year,
            zone=found.schedule.rule.zone,
            days=[YearDay(date=day, **vars(each)) for day, each in found.days.items()],
            is_complete=found.is_complete,
            links=schedule_links(found.schedule.schedule_id, request),
        )


class ScheduleLateness(Schema):
    """How late the jobs of a schedule's newest runs started, without manual runs."""

    runs: int = Field(description="The number of runs.")
    median_s: float | None = Field(description="Their median, in seconds.")
    longest_s: float | None = Field(description="The longest, in seconds.")
    links: Links


class SuspendRequest(Schema, extra="forbid"):
    """Why a schedule is suspended, and until when."""

    reason: Reason
    until: Instant | None = Field(
        default=None,
        description="When it resumes by itself, as ISO 8601 with a zone. If left out, a "
        "person resumes it.",
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
        "running_job_ids": [
            schedule.job_address(run.scheduled_for).job_id for run in schedule.active
        ],
        "latest_run": LatestRun.of(schedule),
        "actions": [ScheduleEvent(action) for action in view.actions],
        "links": schedule_links(schedule.schedule_id, request),
    }


def _missed(missed: MissedPolicy | MissedRuns) -> CatchUp:
    return missed.missed() if isinstance(missed, MissedRuns) else CatchUp(missed)


def _seconds(length: timedelta | None) -> float | None:
    return None if length is None else length.total_seconds()
