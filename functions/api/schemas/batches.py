"""Batches: what is submitted, what is shown, retries, reports, findings."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    JsonValue,
    StrictBool,
    WithJsonSchema,
    model_validator,
)

from api.schemas.fields import (
    CallbackUrl,
    Collection,
    Filename,
    HistoryEntry,
    JobId,
    Links,
    Note,
    Parameters,
    Reason,
    Recipient,
    Schema,
)
from jobyard.domain.batches.batch import BATCH, BatchState
from jobyard.domain.batches.operation import OperationState
from jobyard.domain.batches.report import DeliveryState, ReportKind
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JOB
from jobyard.domain.mail_addresses import MAX_RECIPIENTS
from jobyard.domain.manifests.profiles import PROFILES

Profile = StrEnum("Profile", {name: name for name in PROFILES})  # type: ignore[misc]
BatchEvent = StrEnum("BatchEvent", {name: name for name in BATCH.people_events()})  # type: ignore[misc]

_COUNTS = {
    **{state.name: {"type": "integer", "description": state.description} for state in JOB.states},
    "total": {"type": "integer", "description": "All jobs of the batch."},
}
Counts = Annotated[
    dict[str, int],
    WithJsonSchema({"type": "object", "properties": _COUNTS, "required": list(_COUNTS)}),
    Field(description="How many jobs are in each state, and in all."),
]
Cursor = Annotated[
    str | None,
    Field(description="Send it as `cursor` to get the next page; null on the last."),
]


class BatchSubmission(Schema, extra="forbid"):
    """A manifest that is to be uploaded."""

    collection: Collection = Field(description="The collection the objects go to.")
    filename: Filename = Field(
        description="The manifest's name. Its ending tells Checkm, CSV and JSON Lines apart.",
        examples=["maps-1890.checkm"],
    )
    job_type: str = Field(
        default="deposit", max_length=64, description="What is done for each line."
    )
    profile: Profile | None = Field(
        default=None, description="What a line is, for a manifest that does not say so itself."
    )
    notify: list[Recipient] | None = Field(
        default=None,
        max_length=MAX_RECIPIENTS,
        description="Who is told how it ended. Nobody when empty; left out, those the collection "
        "names, else the person who submits, or the deployment's operators if that person has no "
        "verified address.",
    )
    callback_url: CallbackUrl | None = Field(
        default=None, description="Called once for every job that is done."
    )
    parameters: Parameters = Field(
        default_factory=dict,
        description="What the job type takes for the whole batch, up to 4 KB. A deposit of one "
        "object takes `primary`, `local`, `creator`, `title` and `date`.",
    )
    note: Note | None = Field(default=None, description="For people who look at the batch later.")


class Upload(Schema):
    """Where and how to send the manifest."""

    url: str = Field(description="POST a multipart/form-data form here.")
    fields: dict[str, str] = Field(
        description="The form's fields, all of them, before the field `file` with the manifest."
    )
    expires_at: datetime = Field(description="The upload must have begun by then.")


class SubmittedBatch(Schema):
    """A batch that was promised and waits for its manifest."""

    batch_id: str = Field(description="The batch's id.")
    state: BatchState = Field(description="The batch's state.")
    upload: Upload = Field(description="Where the manifest goes.")
    links: Links


class FailureGroup(Schema):
    """Jobs that failed for the same cause."""

    failure_code: Failure = Field(description="The failure code; retries take it.")
    description: str = Field(description="What it means.")
    count: int = Field(description="How many jobs.")
    not_retryable: int = Field(
        description="How many of them cannot be requeued: the depositor has to submit them again."
    )


class Undeliverable(Schema):
    """Somebody who cannot be told."""

    address: str = Field(description="Who, as it was written.")
    reason: str = Field(description="Why.")


class BatchSummary(Schema):
    """A batch as lists show it."""

    batch_id: str = Field(description="The batch's id.")
    collection: str = Field(description="The collection its objects go to.")
    state: BatchState = Field(description="Where it stands.")
    label: str = Field(description="The state in its depositors' words.")
    job_type: str = Field(description="What is done for each line.")
    filename: str = Field(description="The manifest's name.")
    profile: str = Field(description='What a line of it is; "" until that is known.')
    submitter: str = Field(description='Who submitted it; "s3" when it was dropped in the bucket.')
    submitter_id: str = Field(
        description="That person's id in the user pool, by which a batch is theirs; "
        '"" when it was dropped, and of batches older than ids.'
    )
    note: str = Field(description="What the submitter noted.")
    submitted_at: datetime = Field(description="When it was submitted.")
    started_at: datetime | None = Field(description="When it was opened.")
    ended_at: datetime | None = Field(description="When it came to its last end.")
    waiting_reason: str = Field(description='What it waits for; "" when for nothing.')
    waiting_until: datetime | None = Field(description="When the waiting ends, if that is known.")
    counts: Counts
    failure_groups: list[FailureGroup] | None = Field(
        description="Its failed jobs, largest group first. Null in a list where they were not "
        "counted: of a batch that has failed jobs and nothing more can happen to."
    )
    failure_message: str = Field(description='Why it failed as a whole; "" otherwise.')
    findings_count: int = Field(description="Errors and warnings of its manifest.")
    duplicate_of: str = Field(description="A batch that had the same manifest within a day before.")
    actions: list[BatchEvent] = Field(
        description="What you may ask of it now, as POST /api/batches/{batch_id}/{event}."
    )
    links: Links


class Batch(BatchSummary):
    """A batch."""

    notify: list[str] = Field(description="Who is told how it ended.")
    undeliverable: list[Undeliverable] = Field(description="Who should be told, and cannot be.")
    parameters: dict[str, JsonValue] = Field(description="What was set for all its jobs.")
    files_count: int = Field(description="Files its manifest names.")
    report_checked_at: datetime | None = Field(
        description="When its last report was written or found needless."
    )
    history: list[HistoryEntry] = Field(description="All that happened to it, oldest first.")


class BatchList(Schema):
    """A page of batches, newest first."""

    items: list[BatchSummary]
    next_cursor: Cursor


class ReasonRequest(Schema, extra="forbid"):
    """What is asked needs a reason."""

    reason: Reason


class BatchStatus(Schema):
    """A batch after what was asked of it."""

    batch_id: str = Field(description="The batch's id.")
    state: BatchState = Field(description="Where it stands now.")
    actions: list[BatchEvent] = Field(description="What you may ask of it next.")
    links: Links


_REASON_OR_PREVIEW = {
    "anyOf": [
        {"required": ["reason"], "properties": {"reason": {"type": "string"}}},
        {"required": ["preview"], "properties": {"preview": {"const": True}}},
    ]
}


class RetryRequest(Schema, extra="forbid", json_schema_extra=_REASON_OR_PREVIEW):
    """Which failed jobs are to be tried again. Without codes and ids, all of them."""

    reason: Reason | None = Field(default=None, description="Why; needed unless it is a preview.")
    failure_codes: list[Failure] = Field(
        default_factory=list, max_length=len(Failure), description="Only those of these codes."
    )
    job_ids: list[JobId] = Field(
        default_factory=list, max_length=1000, description="Only these jobs."
    )
    preview: StrictBool = Field(default=False, description="Only count them: nothing is changed.")

    @model_validator(mode="after")
    def _needs_a_reason(self) -> Self:
        if self.reason is None and not self.preview:
            raise ValueError("give a reason, or ask for a preview")
        return self


class RetryResult(Schema):
    """A retry that was accepted, or the preview of one."""

    operation_id: str | None = Field(description="Its id; null for a preview.")
    matched: int = Field(description="How many jobs match now.")
    not_retryable: int = Field(
        description="How many of them cannot be requeued: the depositor has to submit them again."
    )
    links: Links


class OperationOutcome(Schema):
    """What became of one job."""

    job_id: str = Field(description="The job's id.")
    outcome: str = Field(description="`refused`, or the state the job is in now.")
    message: str = Field(description='Why it was refused; "" otherwise.')


class Operation(Schema):
    """An operation on many jobs: a retry, or the release of what a hold had stopped."""

    operation_id: str = Field(description="Its id.")
    batch_id: str = Field(description="The batch whose jobs it is about.")
    state: OperationState = Field(description="Whether it is still going through them.")
    event: str = Field(description="What each job is asked.")
    failure_codes: list[str] = Field(
        description="Only jobs that failed with these codes; empty: any."
    )
    matched: int = Field(description="How many jobs matched when it was asked.")
    counts: dict[str, int] = Field(description="The outcomes on this page, by outcome.")
    outcomes: list[OperationOutcome] = Field(
        description="What became of each job, in manifest order."
    )
    actor: str = Field(description="Who asked.")
    reason: str = Field(description="Why.")
    requested_at: datetime = Field(description="When it was asked.")
    ended_at: datetime | None = Field(description="When it had gone through all of them.")
    next_cursor: Cursor
    links: Links


class Delivery(Schema):
    """Whether a report's mail arrived."""

    state: DeliveryState = Field(description="How far it got.")
    updated_at: datetime = Field(description="Since when.")
    message_id: str = Field(description='The mail service\'s name for it; "" before.')
    error: str = Field(
        description="Why the mail service did not take it, and the request under which its own "
        'words are logged; "" otherwise.'
    )
    undeliverable: list[Undeliverable] = Field(
        description="Who could not be told, while others were."
    )


class ReportFiles(Schema):
    """Links to a report's files, good for 15 minutes. What a report does not have is null."""

    jobs_csv: str | None = Field(description="All jobs.")
    failures_csv: str | None = Field(description="The failed jobs.")
    json_: str | None = Field(alias="json", description="All jobs, as JSON.")
    html: str | None = Field(description="A page to read.")


class Report(Schema):
    """What was told about a batch."""

    seq: int = Field(description="The batch's reports are counted from 1.")
    kind: ReportKind = Field(description="Why it was written.")
    created_at: datetime = Field(description="When it was written.")
    to: list[str] = Field(description="Who was told.")
    subject: str = Field(description="The mail's subject.")
    delivery: Delivery
    counts: dict[str, int] = Field(description="Jobs by what was told of them.")
    changed_count: int = Field(description="Jobs told otherwise than in the report before.")
    files: ReportFiles


class ReportList(Schema):
    """All reports of a batch, first to last."""

    items: list[Report]


class Finding(Schema):
    """Something found in a manifest."""

    level: Literal["error", "warning", "information"] = Field(description="How bad it is.")
    code: str = Field(description="Which check found it.")
    line: int | None = Field(description="The line, from 1; null for all of the manifest.")
    column: int | None = Field(description="The character, from 1; null for all of the line.")
    message: str = Field(description="What is wrong, and what is allowed.")


class FindingList(Schema):
    """A page of what was found in a manifest, in its order."""

    items: list[Finding]
    next_cursor: Cursor
