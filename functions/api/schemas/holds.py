"""Holds."""

from datetime import datetime

from pydantic import Field

from api.context import RequestContext
from api.schemas.fields import Instant, Links, Reason, Schema
from jobyard.domain import hold as domain
from jobyard.services.queries import holds as hold_queries


class HoldRequest(Schema, extra="forbid"):
    """A hold to place."""

    reason: Reason
    until: Instant | None = Field(
        default=None,
        description="When it ends by itself, as ISO 8601 with a zone. What it held is "
        "released within a minute after that.",
    )
    replace: bool = Field(
        default=False,
        description="Whether to replace a hold that is active on the scope. Without it the "
        "request is refused.",
    )


class HeldWork(Schema):
    """What a hold holds now."""

    batches: int = Field(description="Batches that it keeps from starting.")
    jobs: int = Field(description="Jobs of other batches that it keeps from starting.")
    is_exact: bool = Field(description="Whether these are all; otherwise there may be more.")


class Hold(Schema):
    """A hold: work in its scope does not start; active work continues."""

    scope: str = Field(description="`everything`, `collection:NAME`, `type:NAME` or `campaign:ID`.")
    owner: str = Field(description="Who placed it.")
    reason: str = Field(description="Why.")
    placed_at: datetime = Field(description="When it was placed.")
    until: datetime | None = Field(
        description="When it ends by itself; null if a person has to lift it."
    )
    is_active: bool = Field(description="Whether it stops work now.")
    replaced: str = Field(
        description='The hold in whose place it was put, with who placed it and why; "" if none.'
    )
    held: HeldWork | None = Field(
        description="What it holds. Null right after it was placed, and for a hold on a campaign, "
        "which holds all of its tasks."
    )
    links: Links

    @classmethod
    def of(
        cls, hold: domain.Hold, request: RequestContext, held: hold_queries.HeldWork | None = None
    ) -> "Hold":
        """A hold as it is stored, with what it holds."""
        return cls(
            scope=hold.scope,
            owner=hold.owner,
            reason=hold.reason,
            placed_at=hold.placed_at,
            until=hold.until,
            is_active=domain.active_hold([hold], request.app.now()) is not None,
            replaced=hold.replaced,
            held=HeldWork(**vars(held)) if held else None,
            links={"self": request.link(f"holds/{hold.scope}")},
        )


class HoldList(Schema):
    """All holds."""

    items: list[Hold]


class LiftedHold(Schema):
    """A lifted hold."""

    scope: str = Field(description="Its scope.")
    released_batches: int = Field(
        description="The number of batches released so far; with status 202 more follow."
    )
