"""A batch: one submitted manifest, its jobs, its counts, its reports. Source: Merritt's ingest.

The lifecycle follows its four use cases, with two additions. A cancelled batch is `cancelling`
until its running jobs have ended. A refused manifest passes through `reporting`, because it is
reported.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

from jobyard.domain.cause_key import Action, CauseKey
from jobyard.domain.collection import Depositor
from jobyard.domain.compaction import MAX_RECORD_BYTES, json_bytes
from jobyard.domain.history import HistoryEntry, compact_history
from jobyard.domain.lifecycle import (
    MACHINE,
    Lifecycle,
    Move,
    State,
    StateType,
    Transition,
    event_senders,
)
from jobyard.domain.mail_addresses import UndeliverableRecipient
from jobyard.domain.plurals import plural
from jobyard.domain.text import FILENAME_BYTES, MESSAGE_BYTES, NAME_BYTES, clean_fields


class BatchState(StrEnum):
    """The state of a batch; `BATCH` describes each."""

    PENDING = "pending"
    HELD = "held"
    PROCESSING = "processing"
    CANCELLING = "cancelling"
    REPORTING = "reporting"
    UPDATE_REPORTING = "update_reporting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DELETED = "deleted"


_S = BatchState
# How long after `upload_until` a manifest is still accepted: its upload may have started in time.
UPLOAD_GRACE = timedelta(hours=1)

_by = partial(event_senders, "batch")

BATCH = Lifecycle(
    name="batch",
    initial=_S.PENDING,
    states=(
        State(
            _S.PENDING,
            StateType.WAITING,
            "Submitted. It waits for its manifest, or for the machine to open it.",
            {"deposit": "Pending"},
        ),
        State(
            _S.HELD,
            StateType.WAITING,
            "Its collection, job type or everything is on hold. A person, or the end of the hold, "
            "releases it; a person may delete it.",
            {"deposit": "Held"},
        ),
        State(
            _S.PROCESSING,
            StateType.TRANSIENT,
            "Its jobs run. After the last one it is reported.",
            {"deposit": "Processing"},
        ),
        State(
            _S.CANCELLING,
            StateType.TRANSIENT,
            "A person cancelled it, or its jobs made no progress for days. Running jobs end, no "
            "others start; after the last one it is reported.",
            {"deposit": "Cancelling"},
        ),
        State(
            _S.REPORTING,
            StateType.TRANSIENT,
            "No job is open. The files of its report are written and one mail is sent.",
            {"deposit": "Reporting"},
        ),
        State(
            _S.UPDATE_REPORTING,
            StateType.TRANSIENT,
            "An admin requested a new report. It is compared with the last one sent.",
            {"deposit": "Update reporting"},
        ),
        State(
            _S.COMPLETED,
            StateType.TERMINAL,
            "Reported without failed jobs.",
            {"deposit": "Completed"},
        ),
        State(
            _S.FAILED,
            StateType.INTERACTION,
            "Reported with failed jobs or a refused manifest. It stays failed while jobs are "
            "repaired, until an admin updates the report or deletes it.",
            {"deposit": "Failed"},
        ),
        State(
            _S.CANCELLED,
            StateType.TERMINAL,
            "Cancelled and reported.",
            {"deposit": "Cancelled"},
        ),
        State(
            _S.DELETED,
            StateType.TERMINAL,
            "A person deleted it. A tombstone with its history remains.",
            {"deposit": "Deleted"},
        ),
    ),
    transitions=(
        Transition(_S.PENDING, "start", _S.PROCESSING, (MACHINE,)),
        Transition(_S.PENDING, "hold", _S.HELD, (MACHINE,)),
        Transition(_S.HELD, "release", _S.PENDING, _by("release")),
        Transition(_S.HELD, "delete", _S.DELETED, _by("delete")),
        Transition(_S.PROCESSING, "cancel", _S.CANCELLING, _by("cancel", machine=True)),
        Transition(_S.PENDING, "cancel", _S.CANCELLING, _by("cancel")),
        Transition(_S.PROCESSING, "report", _S.REPORTING, (MACHINE,)),
        Transition(_S.CANCELLING, "report", _S.REPORTING, (MACHINE,)),
        Transition(_S.REPORTING, "complete", _S.COMPLETED, (MACHINE,)),
        Transition(_S.REPORTING, "fail", _S.FAILED, (MACHINE,)),
        Transition(_S.REPORTING, "stop", _S.CANCELLED, (MACHINE,)),
        Transition(_S.REPORTING, "clear", _S.DELETED, (MACHINE,)),
        Transition(_S.FAILED, "update_reporting", _S.UPDATE_REPORTING, _by("update_reporting")),
        Transition(_S.FAILED, "delete", _S.DELETED, _by("delete")),
        Transition(_S.UPDATE_REPORTING, "complete", _S.COMPLETED, (MACHINE,)),
        Transition(_S.UPDATE_REPORTING, "fail", _S.FAILED, (MACHINE,)),
        Transition(_S.UPDATE_REPORTING, "clear", _S.DELETED, (MACHINE,)),
    ),
)

_FIELD_BYTES = 128  # of a field that a dropped manifest may set to any text
S3_SUBMITTER = "s3"  # the submitter of a dropped manifest
INTAKE_PREFIX = "manifests/"  # of the keys of manifests in the intake bucket
_RESERVED_BYTES = 1024  # for the keys of a record and their copies in indexes

OPEN_BATCH_STATES = frozenset(
    {_S.PENDING, _S.HELD, _S.PROCESSING, _S.CANCELLING, _S.REPORTING, _S.UPDATE_REPORTING}
)
# The states of a batch in which its jobs take events. Not while a report is written: it would show
# a requeued job's old state.
REPAIRABLE = frozenset({_S.PROCESSING, _S.FAILED})
_OPEN_TO_JOBS = REPAIRABLE | {_S.CANCELLING, _S.UPDATE_REPORTING}


@dataclass(frozen=True)
class ManifestSource:
    """The S3 object a manifest was uploaded as. `size` is bytes."""

    bucket: str
    key: str
    version_id: str
    size: int


@dataclass(frozen=True)
class Batch:
    """A batch as it is stored. `version` counts its writes; times are aware UTC.

    `submitter` is a name to show. `submitter_sub` is the id of that person: "" if the manifest was
    dropped in the bucket, and in batches from before ids were stored. `submitter_groups` are those
    of their groups that gave them the right to deposit. `entries` is the number of its jobs,
    `chunk_size` the number of jobs in a chunk (the last may have fewer). `findings` counts those of
    its manifest. `notify` are the recipients of its reports, `undeliverable` those who cannot get
    one, with the reason. `failure_message` says why it failed as a whole, "" if it did not.
    `reported_counts` are the counts of the last report, by job state. `repaired_at` is when one of
    its jobs last changed after its end, as far as retention has recorded it. `manifest_sha256` is
    "" until it is opened, and in batches from before digests were stored.
    """

    batch_id: str
    state: BatchState
    version: int
    collection: str
    submitter: str
    job_type: str
    filename: str
    submitted_at: datetime
    profile: str = ""
    source: ManifestSource | None = None
    notify: tuple[str, ...] = ()
    undeliverable: tuple[UndeliverableRecipient, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    upload_until: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    entries: int = 0
    files_count: int = 0
    chunk_size: int = 0
    findings: int = 0
    duplicate_of: str = ""
    failure_message: str = ""
    report_checked_at: datetime | None = None
    last_report: int = 0
    reported_counts: Mapping[str, int] = field(default_factory=dict)
    repaired_at: datetime | None = None
    history: tuple[HistoryEntry, ...] = ()
    submitter_sub: str = ""
    submitter_groups: frozenset[str] = frozenset()
    manifest_sha256: str = ""

    def __post_init__(self) -> None:
        clean_fields(
            self, filename=FILENAME_BYTES, submitter=NAME_BYTES, failure_message=MESSAGE_BYTES
        )
        clean_fields(self, collection=_FIELD_BYTES, job_type=_FIELD_BYTES, profile=_FIELD_BYTES)

    def moved(self, move: Move, **changes: Any) -> "Batch":
        """The batch after `move`, with `changes` to its other fields."""
        return self.with_entry(HistoryEntry.of(move), **changes, state=BatchState(move.after))

    def with_entry(self, entry: HistoryEntry, **changes: Any) -> "Batch":
        """The batch with one more entry in its history, and with `changes` to its other fields."""
        after = replace(self, **changes, version=self.version + 1)
        max_bytes = MAX_RECORD_BYTES - _RESERVED_BYTES - after._record_bytes()
        history = (*self.history, entry)
        return replace(after, history=compact_history(history, _pinned(history), max_bytes))

    def _record_bytes(self) -> int:
        """The size of the stored record in bytes without its history, never too low."""
        fields = vars(self) | {
            "history": (),
            "source": self.source and [*vars(self.source).values()],
            "undeliverable": [[*vars(each).values()] for each in self.undeliverable],
        }
        return json_bytes(fields)

    @property
    def description(self) -> str:
        """What it is, as its tombstone says it."""
        return (
            f"batch {self.batch_id} ({self.filename or 'no file'} of collection "
            f"{self.collection}, {self.state}, {plural(self.entries, 'job')}, submitted "
            f"{self.submitted_at:%Y-%m-%d})"
        )

    def reduced(self) -> "Batch":
        """The batch without the fields that only the archive keeps."""
        return replace(
            self,
            notify=(),
            undeliverable=(),
            parameters={},
            note="",
            failure_message="",
            history=(),
        )

    @property
    def chunk_count(self) -> int:
        """The number of its chunks; 0 before it is opened."""
        return -(-self.entries // self.chunk_size) if self.entries else 0

    @property
    def upload_key(self) -> str:
        """The key in the intake bucket to which its manifest is to be uploaded."""
        return f"{INTAKE_PREFIX}{self.collection}/{self.batch_id}/{self.filename}"

    @property
    def awaits_upload(self) -> bool:
        """Whether its manifest has not been uploaded yet."""
        return self.state is BatchState.PENDING and self.source is None

    def has_expired(self, now: datetime) -> bool:
        """Whether the time to upload its manifest is over."""
        return self.awaits_upload and self.upload_until is not None and self.upload_until <= now

    def kept_until(self, retention: timedelta) -> datetime | None:
        """When it is archived, with its jobs, if nobody repairs a job before; None while it is
        open.
        """
        if self.state in OPEN_BATCH_STATES:
            return None
        moments = [self.submitted_at, self.ended_at, self.repaired_at]
        moments += [entry.at for entry in self.history[-1:]]
        return max(each for each in moments if each) + retention

    @property
    def is_executing(self) -> bool:
        """Whether its main run passes over its chunks: to run their jobs, or to cancel them."""
        return self.state in {BatchState.PROCESSING, BatchState.CANCELLING}

    @property
    def is_cancelled(self) -> bool:
        """Whether it was cancelled. Then a row without a record is a cancelled job."""
        return any(entry.after == BatchState.CANCELLING for entry in self.history)

    def is_open_to(self, event: str) -> bool:
        """Whether the batch's state allows a person to send `event` to one of its jobs."""
        return self.state in (REPAIRABLE if event == "requeue" else _OPEN_TO_JOBS)

    @property
    def depositor(self) -> Depositor:
        """Whose right to deposit counts for its jobs."""
        return Depositor(self.submitter_sub, self.submitter_groups)

    @property
    def is_dropped(self) -> bool:
        """Whether its manifest was dropped in the bucket, by a program that did not sign in."""
        return self.submitter == S3_SUBMITTER and not self.submitter_sub

    def is_submitted_by(self, sub: str) -> bool:
        """Whether the person with this id submitted it."""
        return bool(sub) and self.submitter_sub == sub

    def job_count(self, chunk: int) -> int:
        """The number of jobs in `chunk`, a number from 0."""
        return min(self.chunk_size, self.entries - chunk * self.chunk_size)

    def has_job(self, chunk: int, position: int) -> bool:
        """Whether there is a job at this position of a chunk; both count from 0."""
        return chunk < self.chunk_count and position < self.job_count(chunk)


def _pinned(history: Sequence[HistoryEntry]) -> set[int]:
    """The indices of entries that are always kept.

    These are the last of each: cancel, claim by an execution that opens the batch, event of a
    person.
    """
    events = BATCH.people_events()
    pinned: dict[str, int] = {}
    for index, entry in enumerate(history):
        if entry.after == BatchState.CANCELLING:
            pinned["cancel"] = index
        if CauseKey.parse(entry.cause).action is Action.OPEN:
            pinned["claim"] = index
        if entry.event in events:
            pinned["person"] = index
    return {*pinned.values()}
