"""Holds: what is asked and what is shown."""

from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.documents.fields import Links, Reason


class Placing(BaseModel):
    """A hold to be placed."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason
    until: AwareDatetime | None = Field(
        default=None,
        description="When it runs out by itself, as ISO 8601 with a zone. What it held stays held "
        "until it is lifted or released.",
    )


class Hold(BaseModel):
    """A deliberate stop: what would start in its scope is held, what runs goes on."""

    scope: str = Field(description="`everything`, `collection:NAME` or `type:NAME`.")
    owner: str = Field(description="Who placed it.")
    reason: str = Field(description="Why.")
    since: datetime = Field(description="Since when.")
    until: datetime | None = Field(description="When it runs out; null when only a person ends it.")
    in_force: bool = Field(description="Whether it stops anything now.")
    links: Links


class Holds(BaseModel):
    """All holds."""

    items: list[Hold]


class Lifted(BaseModel):
    """A hold that was lifted."""

    scope: str = Field(description="What it was on.")
    released: int = Field(description="Batches in which something goes on now.")
