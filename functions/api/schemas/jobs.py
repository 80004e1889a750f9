"""Jobs."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field, JsonValue

from api.context import RequestContext
from api.links import job_links
from api.schemas.fields import (
    HistoryEntry,
    Links,
    NextCursor,
    RecordCounts,
    Schema,
    Unavailable,
    UnavailableEvent,
)
from gateway.pagination import Pagination
from jobyard.domain.ids import Origin
from jobyard.domain.jobs import job as domain
from jobyard.domain.jobs.job import JOB, JobState, StepStatus
from jobyard.domain.redaction import without_secrets
from jobyard.domain.schedules.occurrence import Trigger
from jobyard.services.queries import jobs as job_queries
from jobyard.services.queries.job_logs import AttemptLog

_MAX_PAGE_BYTES = 4 * 1024 * 1024  # a line may have 64 KB, and Lambda returns at most 6 MB
JobEvent = StrEnum("JobEvent", {name: name for name in JOB.people_events()})  # type: ignore[misc]


class JobSummary(Schema):
    """A job as lists show it."""

    job_id: str = Field(
        description="The job's id: batch_id.chunk.position, schedule_id.0.milliseconds, or for a "
        "task campaign_id.chunk.position."
    )
    batch_id: str = Field(description='Its batch; "" for a job of a schedule or campaign.')
    line: int | None = Field(
        description="Its line in the manifest, from 1; null for a job of a schedule or campaign."
    )
    name: str = Field(description='The name of its file; "" for a job of a schedule or campaign.')
    url: str = Field(
        description='The source of its file; "" for a manifest of one object, and for a job '
        "of a schedule or campaign."
    )
    state: JobState = Field(description="The job's state.")
    label: str = Field(description="The state's name for users of the job type.")
    waiting_reason: str = Field(description='What it waits for; "" if it does not wait.')
    waiting_until: datetime | None = Field(description="When the wait ends, if known.")
    step: str = Field(description='The current or next step; "" when all are done.')
    failure_code: str = Field(
        description='Why it failed last; "" if it never did, or has succeeded since.'
    )
    failure_message: str = Field(description="The same for people.")
    requeue_count: int = Field(description="How often a person requeued it.")
    actions: list[JobEvent] = Field(
        description="The events that you may send now, with POST /api/jobs/{job_id}/{event}."
    )
    links: Links

    @classmethod
    def of(cls, view: job_queries.JobView, request: RequestContext) -> "JobSummary":
        """A job as lists show it."""
        return cls(**_summary(view, request))


class Step(Schema):
    """A step of a job."""

    name: str = Field(description="The step's name.")
    status: StepStatus = Field(description="The step's status.")
    started_at: datetime | None = Field(description="When it started.")
    skipped_at: datetime | None = Field(description="When it was found unnecessary.")
    completed_at: datetime | None = Field(description="When it was completed.")
    message: str = Field(description='A warning; "" if there is none.')
    percent: int | None = Field(
        description="How much of it is done, at most ten seconds old; null if it does not say."
    )

    @classmethod
    def of(cls, name: str, record: domain.StepRecord | None) -> "Step":
        """A step of a job; pending without a record."""
        status = record.status if record else StepStatus.PENDING
        ended_at = record.ended_at if record else None
        return cls(
            name=name,
            status=status,
            started_at=record.started_at if record else None,
            skipped_at=ended_at if status is StepStatus.SKIPPED else None,
            completed_at=ended_at if status is StepStatus.COMPLETED else None,
            message=record.message if record else "",
            percent=record.percent if record else None,
        )


class Attempt(Schema):
    """An attempt at a job, or a part of one."""

    number: int = Field(
        description="Its number, from 1. One that stands for several has that of the first."
    )
    times: int = Field(
        description="How many attempts it stands for: in a long list, those that follow each other "
        "and are alike in step and code. It has the start of the first, and end and message of the "
        "last. They have no log."
    )
    started_at: datetime = Field(description="When it started.")
    ended_at: datetime | None = Field(description="When it ended; null while it runs.")
    step: str = Field(description='The step that failed or waits; "" if none does.')
    failure_code: str = Field(
        description='Why it failed; "" if it did not. Two codes are no failures: after `WAIT` the '
        "step that waited runs again, after `PART` the step that made progress continues. `MORE` "
        "stands for attempts that a long list leaves out; the message counts them."
    )
    failure_message: str = Field(description="The same for people.")
    request_id: str = Field(
        description="The AWS request id of the worker's invocation, which its log lines have; "
        '"" if it is not known.'
    )

    @classmethod
    def of(cls, number: int, attempt: domain.Attempt) -> "Attempt":
        """An attempt as it is stored."""
        return cls(
            number=number,
            times=attempt.count,
            started_at=attempt.started_at,
            ended_at=attempt.ended_at,
            step=attempt.step,
            failure_code=attempt.failure_code,
            failure_message=attempt.failure_message,
            request_id=attempt.request_id,
        )


class LogLine(Schema):
    """A line of a log."""

    at: datetime = Field(description="When it was written.")
    level: str = Field(description='`INFO`, `WARNING` or `ERROR`; "" for a line of Lambda itself.')
    message: str = Field(description="What happened.")
    fields: dict[str, JsonValue] = Field(description="What else the line says, by name.")
    exception: str = Field(description='The traceback of an unexpected error; "" if there is none.')


class JobLog(Schema):
    """The log of an attempt at a job."""

    job_id: str = Field(description="The job's id.")
    attempt: Attempt
    lines: list[LogLine] = Field(description="The lines, oldest first: up to 200, and 64 KB.")
    is_complete: bool = Field(description="Whether these are all lines.")
    missing_reason: str = Field(description='Why there are no lines; "" if there are some.')
    links: Links

    @classmethod
    def of(cls, found: AttemptLog, request: RequestContext) -> "JobLog":
        """The log of an attempt."""
        return cls(
            job_id=found.job_id,
            attempt=Attempt.of(found.number, found.attempt),
            lines=[
                LogLine(
                    at=each.at,
                    level=each.level,
                    message=each.message,
                    fields=dict(each.fields),
                    exception=each.exception,
                )
                for each in found.lines
            ],
            is_complete=found.is_complete,
            missing_reason=found.missing,
            links={
                "self": request.link(f"jobs/{found.job_id}/log?attempt={found.number}"),
                "job": request.link(f"jobs/{found.job_id}"),
            },
        )


class Job(JobSummary):
    """A job."""

    unavailable: Unavailable
    kept_until: datetime | None = Field(
        description="When it is archived at the earliest; null until that is known, after its end "
        "or its batch's or campaign's."
    )
    schedule_id: str = Field(description='Its schedule; "" for a job of a batch or campaign.')
    scheduled_for: datetime | None = Field(
        description="The time of its occurrence; null for a job of a batch or campaign."
    )
    trigger: Trigger | None = Field(
        description="Why the occurrence exists; null for a job of a batch or campaign."
    )
    actor: str = Field(description='The person who started it with "run now"; "" if nobody did.')
    reason: str = Field(description='Why they started it; "" if nobody did.')
    parameters: dict[str, JsonValue] = Field(
        description="The parameters of its schedule. Batches and campaigns show those of their "
        "jobs."
    )
    records: RecordCounts | None = Field(
        description="The records it has processed; null if it counts none."
    )
    steps: list[Step] = Field(description="All steps of its type, in order.")
    advice: str = Field(
        description='What a person can do at the device that is stuck in the step; "" if none is.'
    )
    attempts: list[Attempt] = Field(
        description="The attempts, oldest first. A long list folds those that are alike; one that "
        "is still long has the first three, the last twenty, and how "
        "many are left out between them. One that runs is the last."
    )
    result: dict[str, JsonValue] = Field(description="The results of its steps.")
    history: list[HistoryEntry] = Field(
        description="Its history, oldest first. A long one has the first three entries, the "
        "last twenty, and how many are left out between them."
    )

    @classmethod
    def of(cls, view: job_queries.JobView, request: RequestContext) -> "Job":
        """The job with everything that is known of it."""
        recorded = {step.name: step for step in view.job.steps}
        occurrence = view.occurrence
        return cls(
            **_summary(view, request),
            unavailable=UnavailableEvent.all_of(view.unavailable),
            kept_until=view.kept_until,
            schedule_id=occurrence.schedule_id if occurrence else "",
            scheduled_for=occurrence.scheduled_for if occurrence else None,
            trigger=occurrence.trigger if occurrence else None,
            actor=occurrence.actor if occurrence else "",
            reason=occurrence.reason if occurrence else "",
            parameters=dict(occurrence.parameters) if occurrence else {},
            records=RecordCounts.of(view.records),
            steps=[Step.of(name, recorded.get(name)) for name in view.all_steps],
            advice=view.advice,
            attempts=[Attempt.of(*each) for each in view.job.numbered_attempts],
            result=view.job.result,
            history=HistoryEntry.all_of(view.job.history),
        )


class JobList(Schema):
    """A page of jobs, in the order of the manifest."""

    items: list[JobSummary]
    next_cursor: NextCursor

    @classmethod
    def of(
        cls, page: job_queries.JobList, pagination: Pagination, request: RequestContext
    ) -> "JobList":
        """A page of jobs, shortened so that Lambda can return it."""
        items: list[JobSummary] = []
        size = 0
        for view in page.items:
            item = JobSummary.of(view, request)
            size += len(item.model_dump_json().encode())
            if items and size > _MAX_PAGE_BYTES:
                start = job_queries.position_in_batch(view.job)
                return cls(items=items, next_cursor=pagination.next_cursor(start))
            items.append(item)
        return cls(items=items, next_cursor=pagination.next_cursor(page.after))


class FailedRecords(Schema):
    """The file that lists the records that a job could not process."""

    url: str = Field(description="A link to the file, valid for 15 minutes.")
    records: int = Field(description="How many records it lists.")


class JobStatus(Schema):
    """A job after an event."""

    job_id: str = Field(description="The job's id.")
    batch_id: str = Field(description='Its batch; "" for a job of a schedule or campaign.')
    schedule_id: str = Field(description='Its schedule; "" for a job of a batch or campaign.')
    state: JobState = Field(description="Its state now.")
    actions: list[JobEvent] = Field(description="The events that you may send next.")
    links: Links

    @classmethod
    def of(cls, job: domain.JobRecord, request: RequestContext) -> "JobStatus":
        """The job after an event."""
        address = job.address
        return cls(
            job_id=address.job_id,
            batch_id=address.id_of(Origin.BATCH),
            schedule_id=address.id_of(Origin.SCHEDULE),
            state=job.state,
            actions=[JobEvent(each) for each in job.actions(request.actor.roles)],
            links=job_links(address.job_id, request),
        )


def _summary(view: job_queries.JobView, request: RequestContext) -> dict[str, Any]:
    record, address = view.job, view.job.address
    return {
        "job_id": address.job_id,
        "batch_id": address.id_of(Origin.BATCH),
        "line": view.row.get("line"),
        "name": view.row.get("name", ""),
        "url": without_secrets(view.row.get("url", "")),
        "state": record.state,
        "label": view.label,
        "waiting_reason": view.why,
        "waiting_until": view.until,
        "step": view.step,
        "failure_code": record.failure_code,
        "failure_message": record.failure_message,
        "requeue_count": record.requeue_count,
        "actions": [JobEvent(action) for action in view.actions],
        "links": job_links(address.job_id, request),
    }
