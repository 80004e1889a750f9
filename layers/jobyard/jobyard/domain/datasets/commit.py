"""A commit: changes that became the next revision of a dataset, all at once."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from jobyard.domain.datasets.changes import ChangeKind
from jobyard.domain.datasets.extent import Boxes
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.text import NAME_BYTES, REASON_BYTES, clean, clean_fields

MAX_AUTHORS = 20  # that a commit names


class Author(NamedTuple):
    """A person who made changes: their id, and their name then."""

    sub: str
    name: str


@dataclass(frozen=True)
class CommitOrigin:
    """What a commit comes from: an attempt at an edit job, its authors and their comment."""

    edit_id: str
    attempt: int = 1
    authors: tuple[Author, ...] = ()
    comment: str = ""

    def __post_init__(self) -> None:
        clean_fields(self, comment=REASON_BYTES)
        cleaned = tuple(
            Author(sub, clean(name, NAME_BYTES)) for sub, name in self.authors[:MAX_AUTHORS]
        )
        object.__setattr__(self, "authors", cleaned)


@dataclass(frozen=True)
class Commit:
    """A commit as it is stored. `file` is the key of its change file, of `size` bytes.

    `features` is the number of features after it. `boxes` are around the changed features, before
    and after.
    """

    revision: int
    at: datetime
    origin: CommitOrigin
    file: str
    size: int
    inserted: int
    updated: int
    deleted: int
    features: int
    boxes: Boxes = ()

    @property
    def changes(self) -> int:
        """The number of changed features."""
        return self.inserted + self.updated + self.deleted

    def is_of(self, edit_id: str, attempt: int) -> bool:
        """Whether it comes from this attempt at an edit job."""
        return (self.origin.edit_id, self.origin.attempt) == (edit_id, attempt)


@dataclass(frozen=True, slots=True)
class CommittedChange:
    """What a commit did to a feature. `size` are the bytes of its line in the change file."""

    feature_id: str
    kind: ChangeKind
    before: Feature | None
    after: Feature | None
    revision: int
    at: datetime
    origin: CommitOrigin
    size: int = 0
