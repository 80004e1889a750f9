"""A hold: a deliberate stop of everything, a collection, a job type or a campaign, with owner and
reason.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from jobyard.domain.errors import BadRequest
from jobyard.domain.ids import NAME_PATTERN
from jobyard.domain.text import NAME_BYTES, REASON_BYTES, clean_fields

EVERYTHING = "everything"
_SCOPE = re.compile(f"everything|(?:collection|type):{NAME_PATTERN}|campaign:c[a-z2-7]{{20}}")


@dataclass(frozen=True)
class HoldLift:
    """Who lifted a hold, when and why, and how far the release of the held work is.

    The release makes rounds over all held work, in slices. `cursor` is the position in the round,
    empty at its start. `pending_count` counts what the round could not release yet,
    `released_count` the batches released in all rounds. `round_started_at` is when the round began.
    """

    actor: str
    reason: str
    at: datetime
    round_started_at: datetime
    sub: str = ""
    round: int = 0
    cursor: tuple[str, str] = ("", "")
    pending_count: int = 0
    released_count: int = 0

    @property
    def is_round_start(self) -> bool:
        """Whether the next slice is the first of a round."""
        return not any(self.cursor)


@dataclass(frozen=True)
class Hold:
    """A stop of `scope`: "everything", "collection:NAME", "type:NAME" or "campaign:ID".

    New work is held instead of started. Running jobs of batches and schedules continue, tasks of
    campaigns stop after their step or part. Without `until` it lasts until it is lifted. A hold
    with a `lift` stops nothing any more: it remains until all that it held is released. `owner` is
    a name to show, `owner_sub` the id of that person; "" in holds from before ids were stored.
    `replaced` describes the hold in whose place it was put; "" if there was none.
    """

    scope: str
    owner: str
    reason: str
    placed_at: datetime
    until: datetime | None = None
    owner_sub: str = ""
    lift: HoldLift | None = None
    replaced: str = ""

    def __post_init__(self) -> None:
        clean_fields(self, owner=NAME_BYTES, reason=REASON_BYTES, replaced=2 * REASON_BYTES)

    def description(self) -> str:
        """Why work in its scope waits."""
        return f"{self.scope} is held by {self.owner}: {self.reason}"

    def covers(self, collection: str, job_type: str) -> bool:
        """Whether it stops work of `job_type` in `collection`."""
        return self.scope in scopes_of(collection, job_type)


def scopes_of(collection: str, job_type: str) -> tuple[str, str, str]:
    """The scopes that cover work of `job_type` in `collection`, widest first."""
    return (EVERYTHING, f"collection:{collection}", f"type:{job_type}")


def scopes_of_campaign(campaign_id: str, job_type: str) -> tuple[str, str, str]:
    """The scopes that cover a campaign, widest first."""
    return (EVERYTHING, f"type:{job_type}", f"campaign:{campaign_id}")


def check_scope(scope: str) -> str:
    """`scope`, if it has the form of a scope.

    Raises:
        BadRequest: it does not; the message lists the forms.
    """
    if not _SCOPE.fullmatch(scope):
        raise BadRequest(
            f"{scope!r} is not a scope of a hold; "
            f"a scope is {EVERYTHING!r}, 'collection:NAME', 'type:NAME' or 'campaign:ID'"
        )
    return scope


def active_hold(holds: Iterable[Hold], now: datetime) -> Hold | None:
    """The first of `holds` that is neither lifted nor expired at `now`; None if all are."""
    for hold in holds:
        if hold.lift is None and (hold.until is None or now < hold.until):
            return hold
    return None
