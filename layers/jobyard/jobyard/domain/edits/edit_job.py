"""An edit job: a piece of work for people on the features of a dataset."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any

from jobyard.domain.datasets.commit import MAX_AUTHORS
from jobyard.domain.datasets.extent import Extent
from jobyard.domain.edits.attachment import Attachment
from jobyard.domain.edits.child import FailureType, child_id_of
from jobyard.domain.edits.team import User
from jobyard.domain.edits.work import (
    CHILDREN_READ,
    IDLE_AFTER,
    MAX_CHILDREN,
    MAX_COMMENT_BYTES,
    MAX_EDIT_HISTORY_BYTES,
    MAX_NAME_BYTES,
    MAX_PROBLEM_BYTES,
    STUCK_AFTER,
    VISIBLE_AFTER_END,
    Approval,
    ChangeSet,
    ClockColour,
    Package,
    Priority,
    SentFile,
    clock_colour,
)
from jobyard.domain.errors import InvalidTransition
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
from jobyard.domain.text import clean_fields


class EditState(StrEnum):
    """The state of an edit job; `EDIT` describes each."""

    PROPOSED = "proposed"
    BLOCKED = "blocked"
    ALLOCATED = "allocated"
    ACTIVATED = "activated"
    EMBARGOED = "embargoed"
    PREPARED = "prepared"
    DOWNLOADED = "downloaded"
    UPLOADED = "uploaded"
    INVALID = "invalid"
    QUARANTINED = "quarantined"
    CONFLICTED = "conflicted"
    COMMITTED = "committed"
    PUBLISHED = "published"
    COMPLETED = "completed"
    ABANDONED = "abandoned"
    FAILED = "failed"
    ARCHIVED = "archived"
    DELETED = "deleted"


_S = EditState
_by = partial(event_senders, "edit")
_PLANNED = (  # a planner may change what is not the extent
    _S.BLOCKED,
    _S.ALLOCATED,
    _S.EMBARGOED,
    _S.PREPARED,
    _S.DOWNLOADED,
    _S.INVALID,
    _S.QUARANTINED,
    _S.CONFLICTED,
)


def _state(state: EditState, type_: StateType, description: str) -> State:
    return State(state, type_, description, {"edit": state.value.upper()})


EDIT = Lifecycle(
    name="edit",
    initial=_S.PROPOSED,
    states=(
        _state(
            _S.PROPOSED,
            StateType.INTERACTION,
            "A planner proposed it, or took it back from its worker. It is in no worklist until a "
            "planner allocates it. Only in this state its extent can change and it can be deleted.",
        ),
        _state(
            _S.BLOCKED,
            StateType.WAITING,
            "Allocated, but data custodians were asked for attachments. It is allocated when each "
            "has uploaded a file or declined.",
        ),
        _state(
            _S.ALLOCATED,
            StateType.INTERACTION,
            "In the worklist of its team. The first worker to activate it has it.",
        ),
        _state(
            _S.ACTIVATED,
            StateType.TRANSIENT,
            "A worker has claimed it. The machine makes its workspace and writes its package.",
        ),
        _state(
            _S.EMBARGOED,
            StateType.WAITING,
            "Its package is held back until a reviewer approves it.",
        ),
        _state(
            _S.PREPARED, StateType.INTERACTION, "Its package is ready. Its worker downloads it."
        ),
        _state(
            _S.DOWNLOADED,
            StateType.INTERACTION,
            "Its worker has the package and edits. They upload what they changed; the machine "
            "reads the file, and accepts or refuses it.",
        ),
        _state(
            _S.UPLOADED,
            StateType.TRANSIENT,
            "The edits are in its workspace. The machine validates and reconciles them.",
        ),
        _state(
            _S.INVALID,
            StateType.WAITING,
            "Its changes break rules. A VALIDATION child has the data and the failures; when it is "
            "merged, the changes are checked again.",
        ),
        _state(
            _S.QUARANTINED,
            StateType.WAITING,
            "Its changes are valid. A reviewer inspects them in a QUARANTINE_REVIEW child before "
            "they are committed.",
        ),
        _state(
            _S.CONFLICTED,
            StateType.WAITING,
            "Somebody else changed the same features since it was activated. A CONFLICT child has "
            "the versions; when it is merged, the changes are checked again.",
        ),
        _state(
            _S.COMMITTED,
            StateType.TRANSIENT,
            "Its changes are in the dataset. The machine publishes them.",
        ),
        _state(
            _S.PUBLISHED,
            StateType.TRANSIENT,
            "Downstream systems were notified of its changes. The machine removes its workspace "
            "and package.",
        ),
        _state(
            _S.COMPLETED,
            StateType.TERMINAL,
            "Done and cleaned up. The worklist shows it for 24 hours.",
        ),
        _state(
            _S.ABANDONED,
            StateType.TERMINAL,
            "A planner abandoned it, or a reviewer discarded its package. Its work is dropped; a "
            "retry starts it again.",
        ),
        _state(
            _S.FAILED,
            StateType.TERMINAL,
            "The machine failed, and it has no worker who could try again. An administrator reads "
            "its process log (`jobyard edit log`); a retry starts it again.",
        ),
        _state(_S.ARCHIVED, StateType.TERMINAL, "Kept for the record, and hidden."),
        _state(
            _S.DELETED, StateType.TERMINAL, "A planner deleted the proposal. A tombstone remains."
        ),
    ),
    transitions=(
        Transition(_S.PROPOSED, "edit", _S.PROPOSED, _by("edit")),
        Transition(_S.PROPOSED, "delete", _S.DELETED, _by("delete")),
        Transition(_S.PROPOSED, "allocate", _S.ALLOCATED, _by("allocate")),
        Transition(_S.PROPOSED, "block", _S.BLOCKED, (MACHINE,)),
        *(Transition(state, "edit", state, _by("edit")) for state in _PLANNED),
        Transition(_S.BLOCKED, "answer", _S.BLOCKED, (MACHINE,)),
        Transition(_S.BLOCKED, "unblock", _S.ALLOCATED, (MACHINE,)),
        Transition(_S.BLOCKED, "abandon", _S.ABANDONED, _by("abandon")),
        Transition(_S.ALLOCATED, "activate", _S.ACTIVATED, _by("activate", machine=True)),
        Transition(_S.ALLOCATED, "revoke", _S.PROPOSED, _by("revoke")),
        Transition(_S.ALLOCATED, "abandon", _S.ABANDONED, _by("abandon")),
        Transition(_S.ACTIVATED, "prepare", _S.PREPARED, (MACHINE,)),
        Transition(_S.ACTIVATED, "embargo", _S.EMBARGOED, (MACHINE,)),
        Transition(_S.ACTIVATED, "revert", _S.ALLOCATED, (MACHINE,)),
        Transition(_S.ACTIVATED, "fail", _S.FAILED, (MACHINE,)),
        Transition(_S.EMBARGOED, "approve", _S.PREPARED, (MACHINE,)),
        Transition(_S.EMBARGOED, "discard", _S.ABANDONED, (MACHINE,)),
        Transition(_S.EMBARGOED, "abandon", _S.ABANDONED, _by("abandon")),
        Transition(_S.PREPARED, "download", _S.DOWNLOADED, _by("download")),
        Transition(_S.PREPARED, "relinquish", _S.ALLOCATED, _by("relinquish")),
        Transition(_S.PREPARED, "release", _S.ALLOCATED, _by("release")),
        Transition(_S.PREPARED, "revoke", _S.PROPOSED, _by("revoke")),
        Transition(_S.PREPARED, "abandon", _S.ABANDONED, _by("abandon")),
        Transition(_S.PREPARED, "accept", _S.UPLOADED, (MACHINE,)),
        Transition(_S.PREPARED, "fail", _S.FAILED, (MACHINE,)),
        Transition(_S.DOWNLOADED, "download", _S.DOWNLOADED, _by("download")),
        Transition(_S.DOWNLOADED, "upload", _S.DOWNLOADED, _by("upload")),
        Transition(_S.DOWNLOADED, "accept", _S.UPLOADED, (MACHINE,)),
        Transition(_S.DOWNLOADED, "refuse", _S.DOWNLOADED, (MACHINE,)),
        Transition(_S.DOWNLOADED, "finish", _S.COMPLETED, _by("finish")),
        Transition(_S.DOWNLOADED, "relinquish", _S.ALLOCATED, _by("relinquish")),
        Transition(_S.DOWNLOADED, "release", _S.ALLOCATED, _by("release")),
        Transition(_S.DOWNLOADED, "revoke", _S.PROPOSED, _by("revoke")),
        Transition(_S.DOWNLOADED, "abandon", _S.ABANDONED, _by("abandon")),
        Transition(_S.UPLOADED, "invalidate", _S.INVALID, (MACHINE,)),
        Transition(_S.UPLOADED, "quarantine", _S.QUARANTINED, (MACHINE,)),
        Transition(_S.UPLOADED, "conflict", _S.CONFLICTED, (MACHINE,)),
        Transition(_S.UPLOADED, "commit", _S.COMMITTED, (MACHINE,)),
        Transition(_S.UPLOADED, "revert", _S.DOWNLOADED, (MACHINE,)),
        Transition(_S.UPLOADED, "fail", _S.FAILED, (MACHINE,)),
        Transition(_S.INVALID, "merge", _S.UPLOADED, (MACHINE,)),
        Transition(_S.INVALID, "abandon", _S.ABANDONED, _by("abandon")),
        Transition(_S.QUARANTINED, "approve", _S.UPLOADED, (MACHINE,)),
        Transition(_S.QUARANTINED, "require_corrections", _S.QUARANTINED, (MACHINE,)),
        Transition(_S.QUARANTINED, "merge", _S.UPLOADED, (MACHINE,)),
        Transition(_S.QUARANTINED, "discard", _S.QUARANTINED, (MACHINE,)),
        Transition(_S.QUARANTINED, "prepare", _S.PREPARED, (MACHINE,)),
        Transition(_S.QUARANTINED, "fail", _S.FAILED, (MACHINE,)),
        Transition(_S.QUARANTINED, "abandon", _S.ABANDONED, _by("abandon")),
        Transition(_S.CONFLICTED, "merge", _S.UPLOADED, (MACHINE,)),
        Transition(_S.CONFLICTED, "abandon", _S.ABANDONED, _by("abandon")),
        Transition(_S.COMMITTED, "postpone", _S.COMMITTED, (MACHINE,)),
        Transition(_S.COMMITTED, "publish_again", _S.COMMITTED, _by("publish_again")),
        Transition(_S.COMMITTED, "publish", _S.PUBLISHED, (MACHINE,)),
        Transition(_S.PUBLISHED, "complete", _S.COMPLETED, (MACHINE,)),
        Transition(_S.COMPLETED, "archive", _S.ARCHIVED, _by("archive"), after_end=True),
        Transition(_S.ABANDONED, "retry", _S.ALLOCATED, _by("retry"), after_end=True),
        Transition(_S.ABANDONED, "archive", _S.ARCHIVED, _by("archive"), after_end=True),
        Transition(_S.FAILED, "retry", _S.ALLOCATED, _by("retry"), after_end=True),
        Transition(_S.FAILED, "archive", _S.ARCHIVED, _by("archive"), after_end=True),
    ),
)


@dataclass(frozen=True)
class EditJob:
    """An edit job as it is stored. `version` counts its writes; times are aware UTC.

    `planner` proposed it. It is allocated to a `team`, or to one person of it, the
    `assignee`; `worker` is who has claimed it. `buffer` is how many degrees around the extent the
    package shows for context. `quarantine` is the planner's decision, None to follow the settings.
    With `is_batch`, a function edits instead of a worker. Mails about it go to `planner_email` too.
    `attempt` is the number of the claim that is, or comes next; it grows whenever work is dropped.
    `base_revision` is the dataset's at the activation. `workspace` are the changes to commit.
    `sent` is the file that its worker uploaded last. `authors` changed something in them;
    `former_authors` had a package in an earlier attempt, so that what they made may be uploaded
    again by others. `children` counts the children by type; `open_child` is the id of the one that
    it waits for, "" for none. `revision` is the dataset's with its changes. `is_discarded`: a
    reviewer discarded the changes, and a new package has to be written. `problem` says why the
    machine's last step failed. `since` is when it came into its state, `checks` how often its
    changes were checked since the activation.
    """

    edit_id: str
    state: EditState
    version: int
    dataset: str
    name: str
    edit_type: str
    planner: User
    created_at: datetime
    since: datetime
    extent: Extent
    priority: Priority = Priority.NORMAL
    buffer: float = 0.0
    team: str = ""
    assignee: User | None = None
    worker: User | None = None
    planned_start: datetime | None = None
    planned_end: datetime | None = None
    actual_start: datetime | None = None
    actual_end: datetime | None = None
    quarantine: bool | None = None
    is_batch: bool = False
    planner_email: str = ""
    attempt: int = 1
    checks: int = 0
    base_revision: int = 0
    revision: int = 0
    package: Package | None = None
    sent: SentFile | None = None
    workspace: ChangeSet | None = None
    approval: Approval | None = None
    authors: tuple[User, ...] = ()
    former_authors: tuple[User, ...] = ()
    children: Mapping[FailureType, int] = field(default_factory=dict)
    open_child: str = ""
    attachments: tuple[Attachment, ...] = ()
    time_spent_minutes: int = 0
    upload_comment: str = ""
    is_discarded: bool = False
    problem: str = ""
    history: tuple[HistoryEntry, ...] = ()

    def __post_init__(self) -> None:
        clean_fields(
            self,
            name=MAX_NAME_BYTES,
            upload_comment=MAX_COMMENT_BYTES,
            problem=MAX_PROBLEM_BYTES,
        )

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return not EDIT.is_final(self.state)

    @property
    def needs_machine(self) -> bool:
        """Whether the machine has something to do about it now."""
        if self.state is EditState.QUARANTINED:
            return self.is_discarded
        if self.state in {EditState.ALLOCATED, EditState.PREPARED}:
            return self.is_batch
        if self.state is EditState.DOWNLOADED:
            return self.is_reading
        return EDIT.state(self.state).type is StateType.TRANSIENT

    @property
    def is_reading(self) -> bool:
        """Whether the machine reads a file that its worker uploaded."""
        return self.sent is not None and self.sent.is_reading

    @property
    def due_since(self) -> datetime:
        """Since when the machine has something to do about it, if it has."""
        return self.sent.at if self.sent and self.sent.is_reading else self.since

    @property
    def child_ids(self) -> tuple[str, ...]:
        """The ids of its children, by type and number: of each type the last `CHILDREN_READ`."""
        return tuple(
            child_id_of(self.edit_id, failure_type, number)
            for failure_type, count in self.children.items()
            for number in range(max(count - CHILDREN_READ, 0) + 1, count + 1)
        )

    @property
    def description(self) -> str:
        """What it is, as its tombstone says it."""
        return (
            f"edit job {self.edit_id} ({self.name or 'no name'}, of dataset {self.dataset}, "
            f"proposed {self.created_at:%Y-%m-%d})"
        )

    def reduced(self) -> "EditJob":
        """The edit job without the fields that only the archive keeps."""
        return replace(
            self,
            planner_email="",
            authors=(),
            former_authors=(),
            sent=None,
            attachments=(),
            upload_comment="",
            problem="",
            history=(),
        )

    @property
    def all_child_ids(self) -> tuple[str, ...]:
        """The ids of all children that it ever had, by type and number."""
        return tuple(
            child_id_of(self.edit_id, failure_type, number)
            for failure_type, count in self.children.items()
            for number in range(1, count + 1)
        )

    @property
    def earlier_children(self) -> int:
        """How many children it had before those of `child_ids`."""
        return sum(max(count - CHILDREN_READ, 0) for count in self.children.values())

    @property
    def open_attachments(self) -> tuple[Attachment, ...]:
        """The attachments whose custodians have not answered."""
        return tuple(each for each in self.attachments if each.is_open)

    def is_visible(self, now: datetime) -> bool:
        """Whether the worklist shows it: from its allocation until a day after its completion."""
        if self.state is EditState.COMPLETED:
            return self.actual_end is not None and now - self.actual_end <= VISIBLE_AFTER_END
        return self.is_open and self.state is not EditState.PROPOSED

    def clock(self, now: datetime) -> ClockColour | None:
        """Its clock while it is open."""
        return clock_colour(self.planned_start, self.planned_end, now) if self.is_open else None

    def is_idle(self, now: datetime) -> bool:
        """Whether its worker has done nothing with it for a week. It stays theirs: a planner may
        release it.
        """
        if self.state not in {EditState.PREPARED, EditState.DOWNLOADED}:
            return False
        return now - max(self.since, self._last_act_of_worker) > IDLE_AFTER

    @property
    def _last_act_of_worker(self) -> datetime:
        sub = self.worker.sub if self.worker else ""
        return max((each.at for each in self.history if each.sub == sub), default=self.since)

    def is_stuck(self, now: datetime) -> bool:
        """Whether the machine has worked on it for longer than it should."""
        return self.needs_machine and now - self.due_since > STUCK_AFTER

    def is_author(self, sub: str) -> bool:
        """Whether a person may have made something in its workspace, or is about to."""
        return any(each.sub == sub for each in (*self.authors, *self.former_authors))

    def with_author(self, person: User) -> tuple[User, ...]:
        """Its authors with one more.

        Raises:
            InvalidTransition: it has too many.
        """
        if any(each.sub == person.sub for each in self.authors):
            return self.authors
        known = {each.sub for each in (*self.authors, *self.former_authors, person)}
        if len(known) > MAX_AUTHORS:
            raise InvalidTransition(
                f"edit job {self.edit_id} has {MAX_AUTHORS} authors: abandon it, and propose "
                "smaller ones"
            )
        return (*self.authors, person)

    def with_child(self, failure_type: FailureType) -> dict[str, Any]:
        """The changed fields of the edit job when a child of this type is made.

        Raises:
            InvalidTransition: it has had too many.
        """
        if sum(self.children.values()) >= MAX_CHILDREN:
            raise InvalidTransition(
                f"edit job {self.edit_id} has had {MAX_CHILDREN} fix-ups and reviews, and gets no "
                "more: abandon it, and propose smaller ones"
            )
        number = self.children.get(failure_type, 0) + 1
        return {
            "children": {**self.children, failure_type: number},
            "open_child": child_id_of(self.edit_id, failure_type, number),
        }

    def has_entry_of(self, cause: str) -> bool:
        """Whether a cause with this key has moved it before."""
        return any(each.cause == cause for each in self.history)

    def moved(self, move: Move, **changes: Any) -> "EditJob":
        """The edit job after a move, with `changes` to its other fields."""
        return replace(
            self,
            **{"problem": "", **changes},
            state=EditState(move.after),
            version=self.version + 1,
            since=self.since if move.after == self.state else move.at,
            history=_compacted((*self.history, HistoryEntry.of(move))),
        )

    def dropping_work(self, move: Move, **changes: Any) -> "EditJob":
        """The edit job after a move that drops what its worker did: their workspace, package and
        approval. A later upload of theirs has the number of an earlier attempt, and is refused.
        """
        dropped = {
            "worker": None,
            "package": None,
            "sent": None,
            "workspace": None,
            "approval": None,
            "authors": (),
            "former_authors": self._all_authors() if self._had_package else self.former_authors,
            "open_child": "",
            "is_discarded": False,
            "base_revision": 0,
            "checks": 0,
            "attempt": self.attempt + 1,
        }
        return self.moved(move, **dropped | changes)

    @property
    def _had_package(self) -> bool:
        """Whether somebody may have edited the package of this attempt."""
        return self.workspace is not None or self.state not in _BEFORE_DOWNLOAD

    def _all_authors(self) -> tuple[User, ...]:
        found = {each.sub: each for each in (*self.former_authors, *self.authors)}
        return tuple(found.values())


_BEFORE_DOWNLOAD = frozenset({_S.BLOCKED, _S.ALLOCATED, _S.ACTIVATED, _S.EMBARGOED, _S.PREPARED})


def _compacted(history: tuple[HistoryEntry, ...]) -> tuple[HistoryEntry, ...]:
    """The history within its limit; the last revocation or abandonment stays, for its reason."""
    pinned = [at for at, entry in enumerate(history) if entry.event in {"revoke", "abandon"}]
    return compact_history(history, pinned[-1:], MAX_EDIT_HISTORY_BYTES)
