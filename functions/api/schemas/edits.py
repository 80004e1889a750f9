"""Edit jobs, their children, the worklist, and what is sent to them."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field, JsonValue

from api.context import RequestContext
from api.links import edit_links
from api.schemas.fields import (
    Filename,
    HistoryEntry,
    Instant,
    Links,
    NextCursor,
    Reason,
    Schema,
    Unavailable,
    UnavailableEvent,
)
from api.schemas.uploads import Upload
from jobyard.domain.datasets.extent import parse_extent
from jobyard.domain.datasets.validation_report import MAX_FAILURES
from jobyard.domain.edits.attachment import MAX_ATTACHMENTS, AttachmentState
from jobyard.domain.edits.child import ChildJob, FailureType
from jobyard.domain.edits.edit_job import EditJob as DomainEditJob
from jobyard.domain.edits.team import MAX_EMAIL_BYTES, User
from jobyard.domain.edits.upload import UploadKind
from jobyard.domain.edits.work import (
    CHILDREN_READ,
    MAX_COMMENT_BYTES,
    MAX_MINUTES,
    MAX_NAME_BYTES,
    MAX_TYPE_BYTES,
    ClockColour,
    Priority,
    SentFile,
    UploadOutcome,
)
from jobyard.domain.edits.worklist import WorklistColumn
from jobyard.services.edits.proposals import (
    MAX_BUFFER,
    AttachmentRequest,
    Proposal,
    ProposalEdit,
)
from jobyard.services.queries.edits import ColumnView, EditJobPage, EditJobView, ProcessLog

if TYPE_CHECKING:
    from jobyard.services.edits.allocations import ArchiveOutcome
    from jobyard.services.edits.claims import PackageLink
    from jobyard.services.edits.uploads import UploadRequest

_MAX_ARCHIVED = 500


class RequestedAttachment(Schema, extra="forbid"):
    """A file that a data custodian is asked for."""

    custodian: str = Field(description="The custodian's name.", min_length=1, max_length=128)
    email: str = Field(
        description="Where the mail with the link goes.", min_length=3, max_length=MAX_EMAIL_BYTES
    )
    description: str = Field(description="What is needed.", min_length=1, max_length=200)

    def request(self) -> AttachmentRequest:
        """The request for the service."""
        return AttachmentRequest(self.custodian, self.email, self.description)


class NewEditJob(Schema, extra="forbid"):
    """An edit job to propose."""

    dataset: str = Field(description="The dataset.", min_length=1, max_length=64)
    extent: dict[str, JsonValue] = Field(
        description="What it is about: `box` ([west, south, east, north], in degrees), `polygon` "
        "(a list of up to 500 [longitude, latitude]), or `features` (a list of ids).",
        examples=[{"box": [-122.5, 37.4, -121.4, 37.9]}],
    )
    name: str = Field(default="", description="Its name.", max_length=MAX_NAME_BYTES)
    type: str = Field(
        default="",
        description="Its type: one of the dataset's types of edit jobs, if it has any.",
        max_length=MAX_TYPE_BYTES,
    )
    priority: Priority = Field(default=Priority.NORMAL, description="How urgent it is.")
    buffer: float = Field(
        default=0.0,
        description="How many degrees around the extent the package shows for context.",
        ge=0,
        le=MAX_BUFFER,
    )
    planned_start: Instant | None = Field(default=None, description="When work should start.")
    planned_end: Instant | None = Field(default=None, description="When work should end.")
    quarantine: bool | None = Field(
        default=None, description="Whether a person reviews its changes; null as the settings say."
    )
    attachments: list[RequestedAttachment] = Field(
        default=[],
        description="Files that data custodians are asked for.",
        max_length=MAX_ATTACHMENTS,
    )

    def proposal(self) -> Proposal:
        """The proposal for the service.

        Raises:
            BadRequest: the extent is not valid.
        """
        return Proposal(
            dataset=self.dataset,
            extent=parse_extent(self.extent),
            name=self.name,
            edit_type=self.type,
            priority=self.priority,
            buffer=self.buffer,
            planned_start=self.planned_start,
            planned_end=self.planned_end,
            quarantine=self.quarantine,
            attachments=tuple(each.request() for each in self.attachments),
        )


class EditJobChanges(Schema, extra="forbid"):
    """What to change of an edit job. Fields that are left out do not change."""

    reason: Reason
    extent: dict[str, JsonValue] = Field(
        default={}, description="As in a proposal; only while it is proposed."
    )
    name: str = Field(default="", description="Its name.", max_length=MAX_NAME_BYTES)
    type: str = Field(
        default="",
        description="Its type; only while it is proposed.",
        max_length=MAX_TYPE_BYTES,
    )
    priority: Priority = Field(default=Priority.NORMAL, description="How urgent it is.")
    buffer: float = Field(default=0.0, description="The context in degrees.", ge=0, le=MAX_BUFFER)
    planned_start: Instant | None = Field(default=None, description="When work should start.")
    planned_end: Instant | None = Field(default=None, description="When work should end.")
    quarantine: bool | None = Field(
        default=None, description="Whether a person reviews; only while it is proposed."
    )

    def edit(self) -> ProposalEdit:
        """The changes for the service.

        Raises:
            BadRequest: the extent is not valid.
        """
        fields: dict[str, Any] = {
            {"type": "edit_type"}.get(name, name): getattr(self, name)
            for name in self.model_fields_set - {"reason"}
        }
        if "extent" in fields:
            fields["extent"] = parse_extent(fields["extent"])
        return ProposalEdit(fields)


class Allocation(Schema, extra="forbid"):
    """Who is to do a job."""

    team: str = Field(
        default="", description="The team of an edit job; a child keeps its own.", max_length=64
    )
    assignee: str = Field(
        default="", description="The one person of the team who is to do it.", max_length=128
    )
    reason: str = Field(default="", description="Why; it is kept in the history.", max_length=500)


class OptionalReason(Schema, extra="forbid"):
    """Why, if there is anything to say. Revoking and abandoning need a reason."""

    reason: str = Field(default="", description="It is kept in the history.", max_length=500)


class Decision(Schema, extra="forbid"):
    """What a reviewer says. It is needed unless they approve."""

    comment: str = Field(
        default="", description="The worker reads it.", max_length=MAX_COMMENT_BYTES
    )


class UploadSubmission(Schema, extra="forbid"):
    """A file of edits to upload."""

    attempt: int = Field(description="The `attempt` of the job.", ge=1, le=1_000_000)
    filename: Filename = Field(description="The file's name.", examples=["edits.geojson"])


class FileSubmission(Schema, extra="forbid"):
    """A file to upload."""

    filename: Filename = Field(description="The file's name.", examples=["survey.zip"])


class FileUpload(Schema):
    """Where to upload a file, before it is confirmed."""

    key: str = Field(description="Confirm the upload with this key.")
    upload: Upload = Field(description="Where to upload the file.")


class EditUpload(Schema, extra="forbid"):
    """The confirmation of an upload."""

    key: str = Field(description="The `key` of the form.", min_length=1, max_length=1024)
    attempt: int = Field(description="The `attempt` of the job.", ge=1, le=1_000_000)
    package_id: str = Field(
        description="The id of the package that was edited.", min_length=1, max_length=128
    )
    digest: str = Field(
        description="The SHA-256 of the file, in hexadecimal.",
        min_length=64,
        max_length=64,
        pattern="^[0-9a-fA-F]{64}$",
    )
    kind: UploadKind = Field(
        default=UploadKind.CHANGES,
        description="`changes`: what changed, with the ids of `deleted` features; `whole`: all "
        "features of the package.",
    )
    deleting: int | None = Field(
        default=None,
        description="How many features a whole upload deletes, if they are many.",
        ge=0,
        le=1_000_000,
    )
    comment: str = Field(default="", description="What was done.", max_length=MAX_COMMENT_BYTES)
    time_spent_minutes: int = Field(default=0, description="The time spent.", ge=0, le=MAX_MINUTES)

    def request(self) -> "UploadRequest":
        """The confirmation for the service."""
        from jobyard.services.edits.uploads import UploadRequest

        return UploadRequest(
            self.key,
            self.attempt,
            self.package_id,
            self.digest,
            self.kind,
            self.deleting,
            self.comment,
            self.time_spent_minutes,
        )


class AttachmentAnswer(Schema, extra="forbid"):
    """The answer of a planner for a custodian: the key of an uploaded file, or a reason without."""

    key: str = Field(
        default="", description='The `key` of the form; "" to decline.', max_length=1024
    )
    reason: str = Field(default="", description="Why there is no file.", max_length=200)


class ArchiveRequest(Schema, extra="forbid"):
    """Which edit jobs to archive: those with these ids, or what a dataset completed long ago."""

    edit_ids: list[str] = Field(default=[], description="Their ids.", max_length=_MAX_ARCHIVED)
    dataset: str = Field(default="", description="Instead of ids: a dataset.", max_length=64)
    older_than_days: int = Field(
        default=30, description="What was completed longer ago than this.", ge=1, le=36_500
    )


class ArchivedEdit(Schema):
    """What became of one edit job."""

    edit_id: str = Field(description="Its id.")
    archived: bool = Field(description="Whether it is archived now.")
    refusal: str = Field(description='Why not; "" if it is.')


class ArchiveResult(Schema):
    """What became of each edit job."""

    items: list[ArchivedEdit]

    @classmethod
    def of(cls, outcomes: "Sequence[ArchiveOutcome]") -> "ArchiveResult":
        """The outcomes of the service."""
        return cls(
            items=[
                ArchivedEdit(edit_id=each.edit_id, archived=not each.refusal, refusal=each.refusal)
                for each in outcomes
            ]
        )


class PersonRef(Schema):
    """A person."""

    id: str = Field(description="The id in the user pool.")
    name: str = Field(description="The user name.")

    @classmethod
    def of(cls, user: User | None) -> "PersonRef | None":
        """The person; null for nobody."""
        return cls(id=user.sub, name=user.name) if user else None


class EditPackage(Schema):
    """The package of a job."""

    package_id: str = Field(description="Its id, which an upload repeats.")
    digest: str = Field(description="The SHA-256 of the zip, in hexadecimal.")
    size: int = Field(description="Its bytes.")


class EditAttachment(Schema):
    """A file that a data custodian was asked for."""

    index: int = Field(description="Its number, from 1.")
    custodian: str = Field(description="The custodian's name.")
    description: str = Field(description="What is needed.")
    state: AttachmentState = Field(description="What the custodian answered.")
    sends: int = Field(description="How many mails with a link were sent.")
    link_expires_at: datetime | None = Field(description="When the last link expires.")
    answered_by: str = Field(description="Who answered.")
    answered_at: datetime | None = Field(description="When.")
    filename: str = Field(description="The name of the file.")
    size: int = Field(description="Its bytes.")
    reason: str = Field(description="Why there is no file.")


class SentEdits(Schema):
    """The file that was uploaded to the claim of a job last."""

    outcome: UploadOutcome = Field(
        description="`reading` until the machine has read it, then `accepted` or `refused`; "
        "GET …/upload says what was found."
    )
    filename: str = Field(description="Its name.")
    kind: UploadKind = Field(description="What it was said to have.")
    at: datetime = Field(description="When it was confirmed.")

    @classmethod
    def of(cls, sent: SentFile | None) -> "SentEdits | None":
        """The file; null for none."""
        if sent is None:
            return None
        return cls(
            outcome=sent.outcome, filename=sent.filename, kind=UploadKind(sent.kind), at=sent.at
        )


class EditApproval(Schema):
    """The approval of changes."""

    reviewer: str = Field(description="Who approved them.")
    digest: str = Field(description="The digest of the changes that it is for.")
    at: datetime = Field(description="When.")


class EditJob(Schema):
    """An edit job, or a fix-up or review that one waits for. Lists leave the history out."""

    id: str = Field(description="Its id: e, x for a fix-up or r for a review, and 20 letters.")
    kind: str = Field(description="`edit`, `fixup` or `review`: the lifecycle of its states.")
    state: str = Field(description="Its state; its lifecycle describes each.")
    version: int = Field(description="Counts its changes.")
    dataset: str = Field(description="The dataset.")
    name: str = Field(description="Its name; a child has that of its edit job with its type.")
    type: str = Field(description="The type of edit jobs.")
    priority: Priority
    clock: ClockColour | None = Field(
        description="`yellow` after the planned start, `red` after the planned end, else null."
    )
    team: str = Field(description="The team of its workers or reviewers.")
    worker: PersonRef | None = Field(description="Who has claimed it, or is to do this child.")
    assignee: PersonRef | None = Field(description="The one person it was allocated to.")
    planner: PersonRef | None = Field(description="Who proposed it; null for a child.")
    created_at: datetime = Field(description="When it was proposed or made.")
    since: datetime = Field(description="When it came into its state.")
    planned_start: datetime | None = Field(description="When work should start.")
    planned_end: datetime | None = Field(description="When work should end.")
    actual_start: datetime | None = Field(description="When it was activated last.")
    actual_end: datetime | None = Field(description="When it ended.")
    extent: dict[str, JsonValue] | None = Field(description="What it is about; null for a child.")
    buffer: float = Field(description="The context in degrees.")
    quarantine: bool | None = Field(description="The planner's decision about a review.")
    attempt: int = Field(description="The number of the claim that is, or comes next.")
    base_revision: int = Field(description="The dataset's revision when it was activated.")
    revision: int = Field(description="The dataset's revision with its changes; 0 before that.")
    package: EditPackage | None = Field(description="What its worker downloads.")
    upload: SentEdits | None = Field(description="The file that was uploaded to its claim last.")
    changes: int = Field(description="How many features its uploaded edits change.")
    approval: EditApproval | None = Field(description="The approval of its changes.")
    authors: list[str] = Field(description="Who had a part in its changes, and may not review.")
    former_authors: list[str] = Field(
        description="Who had a package of an earlier attempt. They may not review either: what "
        "they made may be uploaded again by others."
    )
    failure_type: FailureType | None = Field(description="Why a child was made; null otherwise.")
    parent_id: str = Field(description='The edit job of a child; "" otherwise.')
    open_child: str = Field(description='The child that it waits for; "" for none.')
    attachments: list[EditAttachment] = Field(description="What custodians were asked for.")
    time_spent_minutes: int = Field(description="The time that its uploads say was spent.")
    comment: str = Field(description="Of the last upload, or of the reviewer.")
    is_batch: bool = Field(description="Whether a function edits instead of a worker.")
    is_idle: bool = Field(description="Whether its worker has done nothing for a week.")
    is_stuck: bool = Field(description="Whether the machine works on it for too long.")
    problem: str = Field(description='Why the last step of the machine failed; "" if it did not.')
    children: list["EditJob"] = Field(
        description="Its children, oldest first, without details: the last "
        f"{CHILDREN_READ} of each failure type."
    )
    history: list[HistoryEntry] = Field(description="What happened, oldest first.")
    actions: list[str] = Field(description="The events that you may send now.")
    unavailable: Unavailable
    links: Links

    @classmethod
    def of(cls, view: EditJobView, request: RequestContext, *, full: bool = True) -> "EditJob":
        """The job of a view; without history unless `full`."""
        job = view.job
        fields = _child_fields(job) if isinstance(job, ChildJob) else _edit_fields(job)
        package = job.package
        return cls.model_validate(
            {
                **fields,
                "state": job.state,
                "version": job.version,
                "dataset": job.dataset,
                "type": job.edit_type,
                "priority": job.priority,
                "clock": view.clock,
                "team": job.team,
                "worker": PersonRef.of(job.worker),
                "created_at": job.created_at,
                "since": job.since,
                "planned_start": job.planned_start,
                "planned_end": job.planned_end,
                "attempt": job.attempt,
                "package": package
                and EditPackage(
                    package_id=package.package_id, digest=package.digest, size=package.size
                ),
                "upload": SentEdits.of(job.sent),
                "time_spent_minutes": job.time_spent_minutes,
                "problem": job.problem,
                "is_idle": view.is_idle,
                "is_stuck": view.is_stuck,
                "children": [
                    cls.of(EditJobView(each), request, full=False) for each in view.children
                ],
                "history": HistoryEntry.all_of(job.history) if full else [],
                "actions": [*view.actions],
                "unavailable": UnavailableEvent.all_of(view.unavailable),
                "links": edit_links(job, request),
            }
        )


def _edit_fields(job: DomainEditJob) -> dict[str, Any]:
    return {
        "id": job.edit_id,
        "kind": "edit",
        "name": job.name,
        "assignee": PersonRef.of(job.assignee),
        "planner": PersonRef.of(job.planner),
        "actual_start": job.actual_start,
        "actual_end": job.actual_end,
        "extent": job.extent.document(),
        "buffer": job.buffer,
        "quarantine": job.quarantine,
        "base_revision": job.base_revision,
        "revision": job.revision,
        "changes": job.workspace.count if job.workspace else 0,
        "approval": job.approval
        and EditApproval(
            reviewer=job.approval.reviewer, digest=job.approval.digest, at=job.approval.at
        ),
        "authors": [each.name for each in job.authors],
        "former_authors": [each.name for each in job.former_authors],
        "failure_type": None,
        "parent_id": "",
        "open_child": job.open_child,
        "attachments": [
            EditAttachment(
                index=each.index,
                custodian=each.custodian,
                description=each.description,
                state=each.state,
                sends=each.sends,
                link_expires_at=each.expires_at,
                answered_by=each.answered_by,
                answered_at=each.answered_at,
                filename=each.filename,
                size=each.size,
                reason=each.reason,
            )
            for each in job.attachments
        ],
        "comment": job.upload_comment,
        "is_batch": job.is_batch,
    }


def _child_fields(child: ChildJob) -> dict[str, Any]:
    return {
        "id": child.child_id,
        "kind": child.kind,
        "name": child.title,
        "assignee": None,
        "planner": None,
        "actual_start": None,
        "actual_end": child.ended_at,
        "extent": None,
        "buffer": 0.0,
        "quarantine": None,
        "base_revision": 0,
        "revision": 0,
        "changes": child.edits.count if child.edits else 0,
        "approval": None,
        "authors": [],
        "former_authors": [],
        "failure_type": child.failure_type,
        "parent_id": child.parent_id,
        "open_child": "",
        "attachments": [],
        "comment": child.comment,
        "is_batch": False,
    }


class EditJobList(Schema):
    """A page of edit jobs."""

    items: list[EditJob]
    next_cursor: NextCursor

    @classmethod
    def of(
        cls, page: EditJobPage, next_cursor: str | None, request: RequestContext
    ) -> "EditJobList":
        """The page of a query."""
        items = [EditJob.of(each, request, full=False) for each in page.items]
        return cls(items=items, next_cursor=next_cursor)


class WorklistPart(Schema):
    """A column of the worklist, or a page of it."""

    column: WorklistColumn
    items: list[EditJob]
    next_cursor: NextCursor

    @classmethod
    def of(
        cls, view: ColumnView, next_cursor: str | None, request: RequestContext
    ) -> "WorklistPart":
        """The column of a query."""
        items = [EditJob.of(each, request, full=False) for each in view.items]
        return cls(column=view.column, items=items, next_cursor=next_cursor)


class Worklist(Schema):
    """What waits for you, in columns."""

    columns: list[WorklistPart] = Field(description="In the order of the lifecycle.")


class PackageDownload(Schema):
    """Where to download a package from."""

    url: str = Field(description="GET it; no token is needed.")
    filename: str = Field(description="A name for the file.")
    expires_at: datetime = Field(description="Until when the link is valid.")
    job: EditJob

    @classmethod
    def of(cls, link: "PackageLink", job: EditJob) -> "PackageDownload":
        """The link of the service."""
        return cls(url=link.url, filename=link.filename, expires_at=link.expires_at, job=job)


class LogEntry(Schema):
    """A step of the process log."""

    job_id: str = Field(description="The edit job, or its child.")
    entry: HistoryEntry


class EditLog(Schema):
    """The process log of an edit job and its last children."""

    problem: str = Field(description="Why the last step of the machine failed.")
    entries: list[LogEntry] = Field(description="Oldest first.")
    report: dict[str, JsonValue] | None = Field(
        description="Of a job in batch mode whose changes broke rules: the report of the check, "
        "with `failures` and `inherited` ones. Null otherwise."
    )
    conflicts: list[str] = Field(
        description="Of a job in batch mode that failed by conflicts: the ids of the features, the "
        f"first {MAX_FAILURES:,}."
    )

    @classmethod
    def of(cls, log: ProcessLog) -> "EditLog":
        """The log of a query."""
        return cls(
            problem=log.problem,
            entries=[
                LogEntry(job_id=job_id, entry=HistoryEntry.all_of((entry,))[0])
                for job_id, entry in log.entries
            ],
            report=dict(log.report.document()) if log.report else None,
            conflicts=[*log.conflicts],
        )
