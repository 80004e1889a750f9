"""A hold: a deliberate stop on a collection, a job type or everything, with owner and reason."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from jobyard.domain.errors import BadRequest
from jobyard.domain.text import NAME_BYTES, REASON_BYTES, clean_fields

EVERYTHING = "everything"
NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"  # of a collection or a job type, as a regular expression
_SCOPE = re.compile(f"everything|(?:collection|type):{NAME}")


@dataclass(frozen=True)
class HoldRelease:
    """The lifting of a hold: the person, the reason, the time, and the progress of the release.

    The release makes rounds over all held work, each in slices. `place` is the position in the
    round, empty at its start. `left` counts what the round could not release yet, `released` the
    batches of all rounds. `round_at` is when the round began.
    """

    actor: str
    reason: str
    at: datetime
    round_started_at: datetime
    sub: str = ""
    round: int = 0
    cursor: tuple[str, str] = ("", "")
    remaining: int = 0
    released_count: int = 0

    @property
    def is_round_start(self) -> bool:
        """Whether its next slice is the first of a round."""
        return not any(self.cursor)


@dataclass(frozen=True)
class Hold:
    """A stop on `scope`: "everything", "collection:NAME" or "type:NAME".

    What would start is held instead; what runs goes on. `until` None means until it is lifted. One
    with a `lift` stops nothing any more; it stays until nothing is left that it held.
    `owner` is a name to show, `owner_sub` the id of that person; "" of holds older than ids.
    """

    scope: str
    owner: str
    reason: str
    placed_at: datetime
    until: datetime | None = None
    owner_sub: str = ""
    release: HoldRelease | None = None

    def __post_init__(self) -> None:
        clean_fields(self, owner=NAME_BYTES, reason=REASON_BYTES)

    def description(self) -> str:
        """Why something waits, in a sentence."""
        return f"{self.scope} is held by {self.owner}: {self.reason}"

    def covers(self, collection: str, job_type: str) -> bool:
        """Whether work of `job_type` in `collection` is stopped by it."""
        return self.scope in scopes_of(collection, job_type)


def scopes_of(collection: str, job_type: str) -> tuple[str, str, str]:
    """The scopes that cover work of `job_type` in `collection`, widest first."""
    return (EVERYTHING, f"collection:{collection}", f"type:{job_type}")


def check_scope(scope: str) -> str:
    """`scope` if it has the form of one.

    Raises:
        BadRequest: it has not; the message says which forms there are.
    """
    if not _SCOPE.fullmatch(scope):
        raise BadRequest(
            f"{scope!r} is no scope of a hold; "
            f"a scope is {EVERYTHING!r}, 'collection:NAME' or 'type:NAME'"
        )
    return scope


def active_hold(holds: Iterable[Hold], now: datetime) -> Hold | None:
    """The first of `holds` that is not lifted and has not run out at `now`."""
    for hold in holds:
        if hold.release is None and (hold.until is None or now < hold.until):
            return hold
    return None
