"""Children of an edit job: fix-ups and reviews. The edit job waits for the one that is open."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from jobyard.domain.edits.fixup import FIXUP, FixupState
from jobyard.domain.edits.review import REVIEW, ReviewState
from jobyard.domain.edits.team import User
from jobyard.domain.edits.work import (
    MAX_COMMENT_BYTES,
    MAX_EDIT_HISTORY_BYTES,
    MAX_NAME_BYTES,
    MAX_PROBLEM_BYTES,
    STUCK_AFTER,
    VISIBLE_AFTER_END,
    ChangeSet,
    ClockColour,
    Package,
    Priority,
    SentFile,
    clock_colour,
)
from jobyard.domain.history import HistoryEntry, compact_history
from jobyard.domain.ids import fixup_id_of, review_id_of
from jobyard.domain.lifecycle import Lifecycle, Move, StateType
from jobyard.domain.plurals import plural
from jobyard.domain.text import clean_fields


class FailureType(StrEnum):
    """Why a child was made, as its metadata names it."""

    VALIDATION = "VALIDATION"
    CONFLICT = "CONFLICT"
    QUARANTINE_REVIEW = "QUARANTINE_REVIEW"
    EMBARGO_REVIEW = "EMBARGO_REVIEW"
    QUARANTINE_CORRECTIONS = "QUARANTINE_CORRECTIONS"

    @property
    def is_review(self) -> bool:
        """Whether a person decides about it, instead of working on it."""
        return self in {FailureType.QUARANTINE_REVIEW, FailureType.EMBARGO_REVIEW}

    @property
    def lifecycle(self) -> Lifecycle:
        """The lifecycle of its children."""
        return REVIEW if self.is_review else FIXUP


def child_id_of(edit_id: str, failure_type: FailureType, number: int) -> str:
    """The id of a child. `number` counts those of its edit job and type from 1."""
    make = review_id_of if failure_type.is_review else fixup_id_of
    return make(edit_id, failure_type, number)


@dataclass(frozen=True)
class ChildJob:
    """A child as it is stored. `version` counts its writes; times are aware UTC.

    `name`, `priority` and the planned times are its edit job's. `team` is the team of its workers
    or reviewers. Until it is activated, `worker` is the one who is to do it, None for anyone of
    the team. `attempt` is the number of the claim; it grows when a claim ends without a result.
    `subject` is what it is about: the changes to repair or review. `findings` is the key of a file:
    the report of a validation, conflicts, or the feedback of a review. `sent` is the file that its
    worker or reviewer uploaded last, `edits` are what was accepted of it. `since` is when it came
    into its state.
    """

    child_id: str
    parent_id: str
    failure_type: FailureType
    number: int
    state: str
    version: int
    dataset: str
    name: str
    edit_type: str
    team: str
    created_at: datetime
    since: datetime
    priority: Priority = Priority.NORMAL
    worker: User | None = None
    planned_start: datetime | None = None
    planned_end: datetime | None = None
    ended_at: datetime | None = None
    attempt: int = 1
    package: Package | None = None
    subject: ChangeSet | None = None
    findings: str = ""
    sent: SentFile | None = None
    edits: ChangeSet | None = None
    comment: str = ""
    time_spent_minutes: int = 0
    problem: str = ""
    history: tuple[HistoryEntry, ...] = ()

    def __post_init__(self) -> None:
        clean_fields(
            self, name=MAX_NAME_BYTES, comment=MAX_COMMENT_BYTES, problem=MAX_PROBLEM_BYTES
        )

    @property
    def title(self) -> str:
        """What people call it, such as "Bridges - VALIDATION 1"."""
        return f"{self.name} - {self.failure_type} {self.number}"

    @property
    def kind(self) -> str:
        """What it is in the access table."""
        return self.lifecycle.name

    @property
    def lifecycle(self) -> Lifecycle:
        """Its lifecycle."""
        return self.failure_type.lifecycle

    @property
    def state_type(self) -> StateType:
        """What it waits for."""
        return self.lifecycle.state(self.state).type

    @property
    def is_reading(self) -> bool:
        """Whether the machine reads a file that its worker or reviewer uploaded."""
        return self.sent is not None and self.sent.is_reading

    @property
    def refused_events(self) -> dict[str, str]:
        """Why a review does not allow what its state does, by event: nobody edits what is under
        embargo, and only a fix-up for corrections keeps what a reviewer uploaded.
        """
        if self.failure_type is FailureType.EMBARGO_REVIEW:
            return {
                event: f"what is under embargo {has}: approve or discard it"
                for event, has in (
                    ("upload", "is not edited"),
                    ("require_corrections", "has no corrections"),
                )
            }
        if not self.failure_type.is_review or self.edits is None or not self.edits.count:
            return {}
        lost = f"your {plural(self.edits.count, 'change')} would be lost"
        reason = f"{lost}: require corrections, or relinquish it first"
        return dict.fromkeys(("approve", "discard"), reason)

    @property
    def needs_machine(self) -> bool:
        """Whether the machine has something to do about it now."""
        return self.is_open and (self.is_reading or self.state_type is StateType.TRANSIENT)

    @property
    def due_since(self) -> datetime:
        """Since when the machine has something to do about it, if it has."""
        return self.sent.at if self.sent and self.sent.is_reading else self.since

    def is_stuck(self, now: datetime) -> bool:
        """Whether the machine has worked on it for longer than it should."""
        return self.needs_machine and now - self.due_since > STUCK_AFTER

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return not self.lifecycle.is_final(self.state)

    def is_visible(self, now: datetime) -> bool:
        """Whether the worklist shows it: while it is open, and a day longer if it has a result."""
        if self.is_open:
            return True
        if self.state in {FixupState.ABANDONED, ReviewState.ABANDONED} or self.ended_at is None:
            return False
        return now - self.ended_at <= VISIBLE_AFTER_END

    def clock(self, now: datetime) -> ClockColour | None:
        """The clock of its edit job while it is open."""
        return clock_colour(self.planned_start, self.planned_end, now) if self.is_open else None

    def has_entry_of(self, cause: str) -> bool:
        """Whether a cause with this key has moved it before."""
        return any(each.cause == cause for each in self.history)

    def moved(self, move: Move, **changes: Any) -> "ChildJob":
        """The child after a move, with `changes` to its other fields."""
        history = compact_history(
            (*self.history, HistoryEntry.of(move)), (), MAX_EDIT_HISTORY_BYTES
        )
        is_end = self.lifecycle.is_final(move.after)
        return replace(
            self,
            **{"ended_at": move.at if is_end else self.ended_at, "problem": "", **changes},
            state=_state_of(self.lifecycle, move.after),
            version=self.version + 1,
            since=self.since if move.after == self.state else move.at,
            history=history,
        )

    def given_up(self, move: Move, worker: User | None, **changes: Any) -> "ChildJob":
        """The child after a move that ends its claim. It is for `worker` now, None for anyone."""
        fields = {
            "package": None,
            "sent": None,
            "edits": None,
            "attempt": self.attempt + 1,
            **changes,
        }
        return self.moved(move, worker=worker, **fields)


def _state_of(lifecycle: Lifecycle, name: str) -> str:
    return ReviewState(name) if lifecycle is REVIEW else FixupState(name)
