"""A dataset as it is stored: its head, which each commit moves, and its settings."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from jobyard.domain.datasets.commit import Commit, CommitOrigin
from jobyard.domain.datasets.extent import Boxes, boxes_around
from jobyard.domain.datasets.geometry import DEFAULT_PRECISION
from jobyard.domain.errors import BadRequest, StaleState
from jobyard.domain.ids import is_name
from jobyard.domain.text import NAME_BYTES, clean_fields

FIRST_REVISION = 1  # what was loaded
NAME_LETTERS = 64  # of a name, as NAME_PATTERN has it
_RESERVED = frozenset({"new"})  # names of pages below /datasets/
TITLE_BYTES = 200  # of a title, in UTF-8
MAX_SETTINGS_BYTES = 100_000  # of the rules and the settings of edit jobs, as JSON


class HeadMoved(StaleState):
    """A commit was refused: the dataset has another revision than expected. Merge and try again."""


@dataclass(frozen=True, slots=True)
class PendingCommit:
    """A commit that is decided and not finished; anybody may finish it.

    `file` is the key of its change file, which has all the rest.
    """

    revision: int
    file: str
    edit_id: str
    attempt: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Deletion:
    """When a dataset was deleted, who did it, and why."""

    at: datetime
    by: str
    reason: str


@dataclass(frozen=True)
class Dataset:
    """A dataset. `revision` is that of its head: readers see what was committed until then.

    `features` is their number at the head, `boxes` is around all that it ever had since the base.
    `base` is the folder of its base files, which have the features at `base_revision`. `rules` are
    documents that were checked, `rules_version` is their digest. `edit_types` are the settings of
    edit jobs as documents, by job type. `version` counts the writes of the settings, from 1,
    `head_version` those of the head: a commit changes the head only. `load_id` is the load that
    made it. `changed_at` and `cause` are when a request changed its settings last, or deleted it,
    and which. `deletion` says when it was deleted, and who did it.
    """

    name: str
    title: str
    created_at: datetime
    created_by: str
    created_by_sub: str
    base: str
    features: int
    boxes: Boxes = ()
    version: int = 1
    revision: int = FIRST_REVISION
    base_revision: int = FIRST_REVISION
    pending: PendingCommit | None = None
    precision: int = DEFAULT_PRECISION
    missing_is_null: bool = False
    rules: tuple[Mapping[str, Any], ...] = ()
    rules_version: str = ""
    edit_types: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    head_version: int = 1
    load_id: str = ""
    changed_at: datetime | None = None
    cause: str = ""
    deletion: "Deletion | None" = None

    def __post_init__(self) -> None:
        clean_fields(self, title=TITLE_BYTES, created_by=NAME_BYTES)

    def with_settings(self, **changes: Any) -> "Dataset":
        """The dataset with other settings.

        Raises:
            BadRequest: they are too large.
        """
        after = replace(self, **changes, version=self.version + 1)
        if len(json.dumps([*after.rules, after.edit_types]).encode()) > MAX_SETTINGS_BYTES:
            message = f"the rules and settings of a dataset have up to {MAX_SETTINGS_BYTES:,} bytes"
            raise BadRequest(message)
        return after

    def deleted(self, deletion: Deletion, cause: str) -> "Dataset":
        """The dataset after its deletion. Its files are removed later."""
        return replace(
            self, deletion=deletion, version=self.version + 1, changed_at=deletion.at, cause=cause
        )

    @property
    def description(self) -> str:
        """What it is, and if it was deleted, who did it and why."""
        gone = self.deletion
        if gone is None:
            return f"dataset {self.name}"
        return f"dataset {self.name} was deleted by {gone.by} on {gone.at:%Y-%m-%d}: {gone.reason}"

    def awaiting(self, pending: PendingCommit) -> "Dataset":
        """The dataset after it was decided what its next commit is."""
        return replace(self, pending=pending, head_version=self.head_version + 1)

    def after(self, commit: Commit) -> "Dataset":
        """The dataset after the commit that follows its head."""
        return replace(
            self,
            head_version=self.head_version + 1,
            revision=commit.revision,
            features=commit.features,
            boxes=boxes_around((*self.boxes, *commit.boxes)),
            pending=None,
        )

    def rebased(self, base: str, base_revision: int, boxes: Boxes) -> "Dataset":
        """The dataset with other base files, which have a later revision."""
        return replace(
            self,
            base=base,
            base_revision=base_revision,
            boxes=boxes,
            head_version=self.head_version + 1,
        )

    def check_revision(self, revision: int) -> None:
        """Check that the dataset has a revision.

        Raises:
            BadRequest: it has not.
        """
        if not FIRST_REVISION <= revision <= self.revision:
            message = f"{self.name} has the revisions {FIRST_REVISION} to {self.revision}"
            raise BadRequest(f"{message}, not {revision}")

    def is_pending(self, origin: CommitOrigin) -> bool:
        """Whether the commit that is decided comes from `origin`."""
        pending = self.pending
        if pending is None:
            return False
        return (pending.edit_id, pending.attempt) == (origin.edit_id, origin.attempt)


def check_name(name: str) -> None:
    """Check the name of a dataset.

    Raises:
        BadRequest: it is not valid.
    """
    if name in _RESERVED:
        raise BadRequest(f"no dataset can be called {name}: the address of a page is")
    if not is_name(name):
        message = f"a name has up to {NAME_LETTERS} letters, digits, dots, hyphens and underscores"
        raise BadRequest(f"{name!r:.80} cannot be the name of a dataset: {message}")
