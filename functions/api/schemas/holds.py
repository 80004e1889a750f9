"""Holds: what is asked and what is shown."""

from datetime import datetime

from pydantic import Field

from api.context import RequestContext
from api.schemas.fields import Instant, Links, Reason, Schema
from jobyard.domain import hold as domain


class HoldRequest(Schema, extra="forbid"):
    """A hold to be placed."""

    reason: Reason
    until: Instant | None = Field(
        default=None,
        description="When it runs out by itself, as ISO 8601 with a zone. What it "
        "held is then released, within a minute.",
    )
    replace: bool = Field(
        default=False,
        description="Whether a hold that is in force on the scope is replaced, its owner and "
        "reason with it. Without it this one is refused.",
    )


class Hold(Schema):
    """A deliberate stop: what would start in its scope is held, what runs goes on."""

    scope: str = Field(description="`everything`, `collection:NAME` or `type:NAME`.")
    owner: str = Field(description="Who placed it.")
    reason: str = Field(description="Why.")
    placed_at: datetime = Field(description="Since when.")
    until: datetime | None = Field(description="When it runs out; null when only a person ends it.")
    is_active: bool = Field(description="Whether it stops anything now.")
    links: Links

    @classmethod
    def of(cls, hold: domain.Hold, request: RequestContext) -> "Hold":
        """A hold as it is stored."""
        return cls(
            scope=hold.scope,
            owner=hold.owner,
            reason=hold.reason,
            placed_at=hold.since,
            until=hold.until,
            is_active=domain.active_hold([hold], request.app.now()) is not None,
            links={"self": request.link(f"holds/{hold.scope}")},
        )


class HoldList(Schema):
    """All holds."""

    items: list[Hold]


class LiftedHold(Schema):
    """A hold that was lifted."""

    scope: str = Field(description="What it was on.")
    released_batches: int = Field(
        description="Batches that were let go so far; with status 202 there are more."
    )
