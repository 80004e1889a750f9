"""Batches: submissions, batches, operations, reports and findings."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    JsonValue,
    StrictBool,
    WithJsonSchema,
    model_validator,
)

from api.context import RequestContext
from api.links import batch_links, operation_links
from api.schemas.fields import (
    CallbackUrl,
    Collection,
    Filename,
    HistoryEntry,
    JobId,
    Links,
    NextCursor,
    Note,
    Parameters,
    Reason,
    Recipients,
    Schema,
    Unavailable,
    UnavailableEvent,
)
from api.schemas.jobs import JobEvent
from api.schemas.reports import Undeliverable
from api.schemas.uploads import Upload
from jobyard.domain.batches import batch as domain
from jobyard.domain.batches import operation as domain_operation
from jobyard.domain.batches import tally
from jobyard.domain.batches.batch import BATCH, BatchState
from jobyard.domain.batches.operation import Filter, OperationState
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JOB, JobState
from jobyard.domain.manifests.profiles import PROFILES
from jobyard.domain.redaction import parameters_without_secrets
from jobyard.services.access import roles_on
from jobyard.services.batches import operations, submissions
from jobyard.services.queries import batches as batch_queries
from jobyard.services.queries import operations as operation_queries
from jobyard.services.queries import reports as report_queries
from jobyard.services.upload_form import UploadForm

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


class BatchSubmission(Schema, extra="forbid"):
    """A manifest to submit."""

    collection: Collection = Field(description="The collection of the objects.")
    filename: Filename = Field(
        description="The manifest's name. Its extension says whether it is Checkm, CSV or JSON "
        "Lines.",
        examples=["maps-1890.checkm"],
    )
    job_type: str = Field(
        default="deposit", max_length=64, description="The type of the batch's jobs."
    )
    profile: Profile | None = Field(
        default=None, description="What a line describes, if the manifest does not say so itself."
    )
    notify: Recipients | None = Field(
        default=None,
        description="Who gets the report; nobody if empty. If left out: the collection's "
        "addresses, else you, else the operators if you have no verified address.",
    )
    callback_url: CallbackUrl | None = Field(
        default=None,
        description="Called for each deposit that succeeds or fails; again if its worker vanishes.",
    )
    parameters: Parameters = Field(
        default_factory=dict,
        description="Parameters of the job type for the whole batch, up to 4 KB. A deposit of "
        "one object takes `primary`, `local`, `creator`, `title` and `date`.",
    )
    note: Note | None = Field(
        default=None, description="A note for people who read the batch later."
    )

    def submission(self) -> submissions.Submission:
        """The submission as the service takes it."""
        callback = {"callback_url": self.callback_url} if self.callback_url else {}
        return submissions.Submission(
            collection=self.collection,
            filename=self.filename,
            job_type=self.job_type,
            profile=self.profile or "",
            notify=None if self.notify is None else tuple(self.notify),
            parameters=self.parameters | callback,
            note=self.note or "",
        )


class SubmittedBatch(Schema):
    """A batch that waits for its manifest."""

    batch_id: str = Field(description="The batch's id.")
    state: BatchState = Field(description="The batch's state.")
    upload: Upload = Field(description="Where to upload the manifest.")
    links: Links

    @classmethod
    def of(
        cls, batch: domain.Batch, upload: UploadForm, request: RequestContext
    ) -> "SubmittedBatch":
        """The batch that a submission created."""
        return cls(
            batch_id=batch.batch_id,
            state=batch.state,
            upload=Upload.of(upload),
            links=batch_links(batch.batch_id, request),
        )


class FailureGroup(Schema):
    """Jobs that failed with the same code."""

    failure_code: Failure = Field(description="The failure code. Operations select by it.")
    description: str = Field(description="What the code means.")
    count: int = Field(description="The number of jobs.")
    not_requeueable: int = Field(
        description="How many of them a requeue refuses; the depositor has to submit them again."
    )
    first_seen_at: datetime | None = Field(
        description="When the first of them failed; null if that was not recorded."
    )
    last_seen_at: datetime | None = Field(description="When the last of them failed.")

    @classmethod
    def of(cls, group: tally.FailedJobs) -> "FailureGroup":
        """The group with the description of its code."""
        return cls(
            failure_code=Failure(group.code),
            description=group.description,
            count=group.count,
            not_requeueable=group.not_requeueable,
            first_seen_at=group.first_seen_at,
            last_seen_at=group.last_seen_at,
        )


class BatchSummary(Schema):
    """A batch as lists show it."""

    batch_id: str = Field(description="The batch's id.")
    collection: str = Field(description="The collection of its objects.")
    state: BatchState = Field(description="The batch's state.")
    label: str = Field(description="The state's name for depositors.")
    job_type: str = Field(description="The type of its jobs.")
    filename: str = Field(description="The manifest's name.")
    profile: str = Field(description='What a line of the manifest describes; "" until it is known.')
    submitter: str = Field(
        description='Who submitted it; "s3" for a manifest dropped in the bucket.'
    )
    submitter_id: str = Field(
        description="The submitter's id in the user pool, which decides whose batch it is; "
        '"" for dropped manifests, and for batches from before ids were recorded.'
    )
    note: str = Field(description="The submitter's note.")
    submitted_at: datetime = Field(description="When it was submitted.")
    started_at: datetime | None = Field(description="When its manifest was opened.")
    ended_at: datetime | None = Field(description="When it ended last.")
    waiting_reason: str = Field(description='What it waits for; "" if it does not wait.')
    waiting_until: datetime | None = Field(description="When the wait ends, if known.")
    counts: Counts
    counted_at: datetime | None = Field(
        description="When the jobs were counted; null if `counts`, `failure_groups` and "
        "`waiting_reason` are exact. They are exact unless the batch has more than 20 chunks and "
        "jobs that are open or being requeued. Such a batch is counted again after 2 seconds, "
        "or after ten times as long as counting takes, if that is more. It is also counted again "
        "when the batch changes its state, when an operation starts or ends, and when a person "
        "changes a job."
    )
    rate: float | None = Field(
        description="How many jobs ended per second lately; null while none runs, or if unknown."
    )
    seconds_left: float | None = Field(
        description="How long the other jobs will take at this rate; null if unknown."
    )
    failure_groups: list[FailureGroup] | None = Field(
        description="Its failed jobs by code, largest group first. Null in a list for a "
        "batch whose failed jobs can no longer change: lists do not count those."
    )
    failure_message: str = Field(description='Why the whole batch failed; "" otherwise.')
    findings_count: int = Field(description="The number of errors and warnings in its manifest.")
    duplicate_of: str = Field(
        description='A batch with the same manifest, submitted up to a day before; "" if '
        "there is none."
    )
    actions: list[BatchEvent] = Field(
        description="The events that you may send now, with POST /api/batches/{batch_id}/{event}."
    )
    links: Links

    @classmethod
    def of(cls, view: batch_queries.BatchView, request: RequestContext) -> "BatchSummary":
        """A batch as lists show it."""
        return cls(**_summary(view, request))


class StripSegment(Schema):
    """Neighbouring columns of a strip that look the same."""

    columns: int = Field(description="The number of columns.")
    shares: dict[str, int] = Field(
        description="What part of each column is in which state, in fifteenths, by state. The "
        "states are in the order in which a column shows them."
    )

    @classmethod
    def all_of(cls, strip: Iterable[tally.StripSegment]) -> "list[StripSegment]":
        """The segments of a strip."""
        return [
            cls(columns=each.columns, shares={state.value: part for state, part in each.shares})
            for each in strip
        ]


class Batch(BatchSummary):
    """A batch."""

    unavailable: Unavailable
    strip: list[StripSegment] = Field(
        description="All its jobs in the order of the manifest, in up to 500 columns."
    )
    manifest_sha256: str = Field(
        description='The SHA-256 digest of its manifest, in hexadecimal; "" until it is opened, '
        "and for batches from before digests were recorded."
    )
    notify: list[str] = Field(description="Who gets its reports.")
    undeliverable: list[Undeliverable] = Field(description="Recipients who cannot be notified.")
    parameters: dict[str, JsonValue] = Field(description="The parameters of all its jobs.")
    files_count: int = Field(description="The number of files in its manifest.")
    report_checked_at: datetime | None = Field(
        description="When its last report was written, or found unnecessary."
    )
    history: list[HistoryEntry] = Field(description="Its history, oldest first.")

    @classmethod
    def of(cls, view: batch_queries.BatchView, request: RequestContext) -> "Batch":
        """The batch with everything that is known of it."""
        batch = view.batch
        return cls(
            **_summary(view, request),
            unavailable=UnavailableEvent.all_of(view.unavailable),
            strip=StripSegment.all_of(view.strip),
            manifest_sha256=batch.manifest_sha256,
            notify=list(batch.notify),
            undeliverable=Undeliverable.all_of(batch.undeliverable),
            parameters=parameters_without_secrets(batch.parameters),
            files_count=batch.files_count,
            report_checked_at=batch.report_checked_at,
            history=HistoryEntry.all_of(batch.history),
        )


class BatchList(Schema):
    """A page of batches, newest first."""

    items: list[BatchSummary]
    next_cursor: NextCursor

    @classmethod
    def of(
        cls,
        views: Iterable[batch_queries.BatchView],
        next_cursor: str | None,
        request: RequestContext,
    ) -> "BatchList":
        """A page, and the cursor of the next one."""
        items = [BatchSummary.of(view, request) for view in views]
        return cls(items=items, next_cursor=next_cursor)


class BatchStatus(Schema):
    """A batch after an event."""

    batch_id: str = Field(description="The batch's id.")
    state: BatchState = Field(description="Its state now.")
    actions: list[BatchEvent] = Field(description="The events that you may send next.")
    links: Links

    @classmethod
    def of(cls, batch: domain.Batch, request: RequestContext) -> "BatchStatus":
        """The batch after an event."""
        return cls(
            batch_id=batch.batch_id,
            state=batch.state,
            actions=[
                BatchEvent(each)
                for each in BATCH.actions(batch.state, roles_on(batch, request.actor))
            ],
            links=batch_links(batch.batch_id, request),
        )


_REASON_OR_PREVIEW = {
    "anyOf": [
        {"required": ["reason"], "properties": {"reason": {"type": "string"}}},
        {"required": ["preview"], "properties": {"preview": {"const": True}}},
    ]
}


class OperationRequest(Schema, extra="forbid", json_schema_extra=_REASON_OR_PREVIEW):
    """Which jobs to send an event: all in the state that the other fields do not exclude."""

    reason: Reason | None = Field(default=None, description="Why. Required unless it is a preview.")
    event: JobEvent = Field(default=JobEvent("requeue"), description="The event.")
    state: JobState = Field(
        default=JobState.FAILED, description="Only jobs in this state, which must allow the event."
    )
    failure_codes: list[Failure] = Field(
        default_factory=list,
        max_length=len(Failure),
        description="Only jobs with these failure codes, if `state` is `failed`.",
    )
    job_ids: list[JobId] = Field(
        default_factory=list, max_length=1000, description="Only these jobs."
    )
    step: str = Field(
        default="", max_length=200, description="Only jobs whose first unfinished step it is."
    )
    name: str = Field(
        default="",
        max_length=200,
        description="Only jobs with this in the name of their file or object, in any case.",
    )
    preview: StrictBool = Field(default=False, description="Only count the jobs; change nothing.")

    @model_validator(mode="after")
    def _needs_a_reason(self) -> Self:
        if self.reason is None and not self.preview:
            raise ValueError("give a reason, or ask for a preview")
        return self

    def filter(self) -> Filter:
        """The filter for the jobs."""
        codes = frozenset(code.value for code in self.failure_codes)
        return Filter(self.state, codes, frozenset(self.job_ids), step=self.step, name=self.name)


class OperationResult(Schema):
    """An accepted operation, or a preview of one."""

    operation_id: str | None = Field(description="The operation's id; null for a preview.")
    matched: int = Field(description="How many jobs match.")
    may_match_more: bool = Field(
        description="Whether these are only those in the first chunks of the batch. The operation "
        "searches the others too."
    )
    not_requeueable: int = Field(
        description="How many of them a requeue refuses; the depositor has to submit them again."
    )
    links: Links

    @classmethod
    def of(
        cls, operation: domain_operation.Operation, request: RequestContext
    ) -> "OperationResult":
        """An operation that was started."""
        return cls(
            operation_id=operation.operation_id,
            matched=operation.matched,
            may_match_more=operation.may_match_more,
            not_requeueable=operation.not_requeueable,
            links=operation_links(operation.batch_id, operation.operation_id, request),
        )

    @classmethod
    def of_preview(
        cls, batch_id: str, matching: operations.MatchingJobs, request: RequestContext
    ) -> "OperationResult":
        """A preview of an operation."""
        return cls(
            operation_id=None,
            matched=matching.total,
            may_match_more=matching.may_match_more,
            not_requeueable=matching.refused,
            links=operation_links(batch_id, "", request),
        )


class OperationOutcome(Schema):
    """The outcome of an operation for one job."""

    job_id: str = Field(description="The job's id.")
    outcome: str = Field(description="`refused`, or the job's state now.")
    message: str = Field(description='Why it was refused; "" otherwise.')


class Operation(Schema):
    """An operation: an event that many jobs are sent."""

    operation_id: str = Field(description="The operation's id.")
    batch_id: str = Field(description="The batch of the jobs.")
    state: OperationState = Field(description="Whether it is still running.")
    event: str = Field(description="The event that each job is sent.")
    failure_codes: list[str] = Field(
        description="Only jobs with these failure codes; any if empty."
    )
    step: str = Field(description='Only jobs with this step; any if "".')
    name: str = Field(description='Only jobs with this in their name; any if "".')
    matched: int = Field(description="How many jobs matched when it was requested.")
    may_match_more: bool = Field(description="Whether only the first chunks were counted then.")
    counts: dict[str, int] = Field(description="The number of outcomes on this page, by outcome.")
    accepted: int | None = Field(
        description="How many jobs accepted the event; null while the operation runs, and if a "
        "worker did not finish."
    )
    refused: int | None = Field(description="How many jobs refused it; null as for `accepted`.")
    outcomes: list[OperationOutcome] = Field(
        description="The outcome for each job, in the order of the manifest."
    )
    actor: str = Field(description="Who requested it.")
    reason: str = Field(description="Why.")
    requested_at: datetime = Field(description="When it was requested.")
    ended_at: datetime | None = Field(description="When it had handled all jobs.")
    next_cursor: NextCursor
    links: Links

    @classmethod
    def of(
        cls, view: operation_queries.OperationView, next_cursor: str | None, request: RequestContext
    ) -> "Operation":
        """An operation with a page of outcomes."""
        operation = view.operation
        return cls(
            operation_id=operation.operation_id,
            batch_id=operation.batch_id,
            state=operation.state,
            event=operation.event,
            failure_codes=sorted(operation.filter.codes),
            step=operation.filter.step,
            name=operation.filter.name,
            matched=operation.matched,
            may_match_more=operation.may_match_more,
            counts=dict(view.counts),
            accepted=_count(operation, domain_operation.ACCEPTED),
            refused=_count(operation, domain_operation.REFUSED),
            outcomes=[OperationOutcome.model_validate(vars(each)) for each in view.outcomes],
            actor=operation.actor,
            reason=operation.reason,
            requested_at=operation.requested_at,
            ended_at=operation.ended_at,
            next_cursor=next_cursor,
            links=operation_links(operation.batch_id, operation.operation_id, request),
        )


def _count(operation: domain_operation.Operation, outcome: str) -> int | None:
    """How many jobs had the outcome; None if that is not known."""
    return None if operation.outcomes is None else operation.outcomes.get(outcome, 0)


class ReportChange(Schema):
    """A job whose outcome changed between two reports."""

    job_id: str = Field(description="The job's id.")
    name: str = Field(description="The name of its file or object.")
    before: str = Field(description="Its outcome in the other report.")
    after: str = Field(description="Its outcome in this report.")


class ReportChangeList(Schema):
    """A page of changes, in the order of the manifest."""

    items: list[ReportChange]
    next_cursor: NextCursor

    @classmethod
    def of(
        cls, found: Iterable[report_queries.ChangedOutcome], next_cursor: str | None
    ) -> "ReportChangeList":
        """A page, and the cursor of the next one."""
        items = [ReportChange.model_validate(vars(each)) for each in found]
        return cls(items=items, next_cursor=next_cursor)


class Finding(Schema):
    """An error, a warning or a remark about a manifest."""

    level: Literal["error", "warning", "information"] = Field(description="How severe it is.")
    code: str = Field(description="The check that found it.")
    line: int | None = Field(description="The line, from 1; null for the whole manifest.")
    column: int | None = Field(description="The character, from 1; null for the whole line.")
    message: str = Field(description="What is wrong, and what is allowed.")


class FindingList(Schema):
    """A page of findings, in the order of the manifest."""

    items: list[Finding]
    next_cursor: NextCursor

    @classmethod
    def of(cls, found: Iterable[Mapping[str, Any]], next_cursor: str | None) -> "FindingList":
        """A page, and the cursor of the next one."""
        items = [Finding.model_validate(each) for each in found]
        return cls(items=items, next_cursor=next_cursor)


def _summary(view: batch_queries.BatchView, request: RequestContext) -> dict[str, Any]:
    batch = view.batch
    groups = view.failure_groups
    return {
        "batch_id": batch.batch_id,
        "collection": batch.collection,
        "state": batch.state,
        "label": view.label,
        "job_type": batch.job_type,
        "filename": batch.filename,
        "profile": batch.profile,
        "submitter": batch.submitter,
        "submitter_id": batch.submitter_sub,
        "note": batch.note,
        "submitted_at": batch.submitted_at,
        "started_at": batch.started_at,
        "ended_at": batch.ended_at,
        "waiting_reason": view.why,
        "waiting_until": view.until,
        "counts": dict(view.counts),
        "counted_at": view.counted_at,
        "rate": view.progress.rate,
        "seconds_left": view.progress.seconds_left,
        "failure_groups": None if groups is None else [FailureGroup.of(each) for each in groups],
        "failure_message": batch.failure_message,
        "findings_count": batch.findings,
        "duplicate_of": batch.duplicate_of,
        "actions": [BatchEvent(action) for action in view.actions],
        "links": batch_links(batch.batch_id, request),
    }
