"""Activity: what people did, one entry for each request that changed something."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobyard.domain.access import is_allowed
from jobyard.domain.text import NAME_BYTES, REASON_BYTES, clean_fields

CHANGES_BYTES = 1000  # of the text about what changed
ACTS_KEPT = timedelta(days=90)  # acts, after they happened


@dataclass(frozen=True)
class Subject:
    """What an act is about.

    `kind` is a kind of the access table, `subject_id` an id, a name or a scope, `title` what people
    call it. `count` is the number of jobs: another than 1 for an operation on the jobs of the batch
    `subject_id`, 0 if it was not known.
    """

    kind: str
    subject_id: str
    title: str = ""
    count: int = 1


@dataclass(frozen=True)
class Act:
    """What a person did: `event`, sent to a subject, at a time.

    `actor` is their name to show, `sub` their id. `cause` is the key of the request. `changes` is
    what changed, as text; "" if the event says it.
    """

    at: datetime
    actor: str
    sub: str
    event: str
    subject: Subject
    reason: str
    cause: str
    changes: str = ""

    def __post_init__(self) -> None:
        clean_fields(self, actor=NAME_BYTES, reason=REASON_BYTES, changes=CHANGES_BYTES)

    def is_visible_to(self, roles: Iterable[str]) -> bool:
        """Whether a person with `roles`, who may see activity, may see this act: if they may see
        its subject.
        """
        return is_allowed(self.subject.kind, "view", roles)
