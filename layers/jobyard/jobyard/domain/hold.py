"""A hold: a deliberate stop on a collection, a job type or everything, with owner and reason."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from jobyard.domain.errors import BadRequest

EVERYTHING = "everything"
NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"  # of a collection or a job type, as a regular expression
_SCOPE = re.compile(f"everything|(?:collection|type):{NAME}")


@dataclass(frozen=True)
class Hold:
    """A stop on `scope`: "everything", "collection:NAME" or "type:NAME".

    What would start is held instead; what runs goes on. `until` None means until it is lifted.
    `owner` is a name to show, `owner_sub` the id of that person; "" of holds older than ids.
    """

    scope: str
    owner: str
    reason: str
    since: datetime
    until: datetime | None = None
    owner_sub: str = ""

    def words(self) -> str:
        """Why something waits, in a sentence."""
        return f"{self.scope} is held by {self.owner}: {self.reason}"

    def covers(self, collection: str, job_type: str) -> bool:
        """Whether work of `job_type` in `collection` is stopped by it."""
        return self.scope in scopes_of(collection, job_type)


def scopes_of(collection: str, job_type: str) -> tuple[str, str, str]:
    """The scopes that cover work of `job_type` in `collection`, widest first."""
    return (EVERYTHING, f"collection:{collection}", f"type:{job_type}")


def checked_scope(scope: str) -> str:
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


def in_force(holds: Iterable[Hold], now: datetime) -> Hold | None:
    """The first of `holds` that has not run out at `now`."""
    for hold in holds:
        if hold.until is None or now < hold.until:
            return hold
    return None
