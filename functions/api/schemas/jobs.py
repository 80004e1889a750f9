"""Jobs: what is shown of them."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field, JsonValue

from api.schemas.batches import Cursor
from api.schemas.fields import HistoryEntry, Links, Schema
from jobyard.domain.jobs.job import JOB, JobState, StepStatus
from jobyard.domain.schedules.occurrence import Trigger

JobEvent = StrEnum("JobEvent", {name: name for name in JOB.people_events()})  # type: ignore[misc]


class JobSummary(Schema):
    """A job as lists show it."""

    job_id: str = Field(
        description="The job's id: batch_id.chunk.position, or schedule_id.0.milliseconds."
    )
    batch_id: str = Field(description='Its batch; "" when it is one of a schedule.')
    line: int | None = Field(
        description="Its line in the manifest, from 1; null when it is one of a schedule."
    )
    name: str = Field(description='The file\'s name; "" when it is one of a schedule.')
    url: str = Field(
        description='Where the file comes from; "" for a manifest of one object, and when it is '
        "one of a schedule."
    )
    state: JobState = Field(description="Where it stands.")
    label: str = Field(description="The state in its users' words.")
    waiting_reason: str = Field(description='What it waits for; "" when for nothing.')
    waiting_until: datetime | None = Field(description="When the waiting ends, if that is known.")
    step: str = Field(description='The step it is at or goes on with; "" when all are done.')
    failure_code: str = Field(description='Why its last attempt failed; "" when it did not.')
    failure_message: str = Field(description="The same in words.")
    requeue_count: int = Field(description="How often a person had it tried again.")
    actions: list[JobEvent] = Field(
        description="What you may ask of it now, as POST /api/jobs/{job_id}/{event}."
    )
    links: Links


class Step(Schema):
    """A step of a job."""

    name: str = Field(description="What is done.")
    status: StepStatus = Field(description="How it stands.")
    started_at: datetime | None = Field(description="When it began.")
    skipped_at: datetime | None = Field(description="When it was found not to be needed.")
    completed_at: datetime | None = Field(description="When it was done.")
    message: str = Field(description='A warning worth showing; "" when there is none.')


class Attempt(Schema):
    """One try of a job."""

    started_at: datetime = Field(description="When it began.")
    ended_at: datetime | None = Field(description="When it ended.")
    step: str = Field(description='The step it failed at; "" when it did not.')
    failure_code: str = Field(
        description='Why it failed; "" when it did not. `MORE` for the attempts that a long list '
        "leaves out, which the message counts."
    )
    failure_message: str = Field(description="The same in words.")


class RecordCounts(Schema):
    """The records a job has gone through, so far."""

    processed: int = Field(description="Those that were processed.")
    failed: int = Field(description="Those that could not be.")
    total: int | None = Field(description="All of them; null until it has gone through all.")


class Job(JobSummary):
    """A job."""

    schedule_id: str = Field(description='Its schedule; "" when it is one of a batch.')
    scheduled_for: datetime | None = Field(
        description="The time of its schedule that it is for; null when it is one of a batch."
    )
    trigger: Trigger | None = Field(
        description="What made it: that time, a person, or that it had been missed."
    )
    actor: str = Field(description='Who had it run now; "" when nobody did.')
    reason: str = Field(description='Why they did; "" when nobody did.')
    parameters: dict[str, JsonValue] = Field(
        description="What its schedule told it; a batch has those of its jobs."
    )
    records: RecordCounts | None = Field(
        description="The records it has gone through; null when it counts none."
    )
    steps: list[Step] = Field(description="All steps of its type, in order.")
    attempts: list[Attempt] = Field(
        description="The tries, first to last: the first three and the last twenty, and how many "
        "between."
    )
    result: dict[str, JsonValue] = Field(description="What its steps have found and made.")
    history: list[HistoryEntry] = Field(
        description="What happened to it, oldest first; of much the first three, the last twenty, "
        "and how many of each between."
    )


class JobList(Schema):
    """A page of jobs, in the manifest's order."""

    items: list[JobSummary]
    next_cursor: Cursor


class JobStatus(Schema):
    """A job after what was asked of it."""

    job_id: str = Field(description="The job's id.")
    batch_id: str = Field(description='Its batch; "" when it is one of a schedule.')
    schedule_id: str = Field(description='Its schedule; "" when it is one of a batch.')
    state: JobState = Field(description="Where it stands now.")
    actions: list[JobEvent] = Field(description="What you may ask of it next.")
    links: Links
