"""Collections: what is sent and what is shown."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, StrictBool, model_validator

from api.schemas.batches import Cursor
from api.schemas.fields import Collection as Name
from api.schemas.fields import Group, Links, Naan, PersonName, Reason, Recipient, Schema
from jobyard.domain.collection import MAX_ADDRESSES, MAX_GROUPS, MAX_NAANS

_NAANS = "Numbers of the authorities (NAANs) whose arks its depositors may give to new objects."
_NOTIFY = "Who is told how a batch ended whose submission names nobody."
_DROPS = "Whether manifests may be dropped in the bucket for it, which nobody signs in for."
_PERSON = "Somebody's name in the user pool. Their id is what counts from then on."

Naans = Annotated[list[Naan], Field(max_length=MAX_NAANS, description=_NAANS)]
Notify = Annotated[list[Recipient], Field(max_length=MAX_ADDRESSES, description=_NOTIFY)]
People = Annotated[list[PersonName], Field(max_length=20, description=_PERSON)]
Groups = Annotated[
    list[Group],
    Field(max_length=MAX_GROUPS, description="Groups of the user pool, roles among them."),
]


class NewCollection(Schema, extra="forbid"):
    """A collection that is to be made."""

    name: Name = Field(description="Its name, which stays.")
    owner: PersonName | None = Field(
        default=None, description=f"Who owns it; left out, you do. {_PERSON}"
    )
    people: People = Field(default_factory=list)
    groups: Groups = Field(default_factory=list)
    naans: Naans = Field(default_factory=list)
    notify: Notify = Field(default_factory=list)
    accepts_drops: StrictBool = Field(default=False, description=_DROPS)
    reason: Reason | None = Field(default=None, description="Why it is made.")


class CollectionChanges(Schema, extra="forbid"):
    """What of a collection is to be otherwise. What is left out stays."""

    owner: PersonName | None = Field(default=None, description=f"Who owns it. {_PERSON}")
    naans: Naans | None = Field(default=None, description=_NAANS)
    notify: Notify | None = Field(default=None, description=_NOTIFY)
    accepts_drops: StrictBool | None = Field(default=None, description=_DROPS)
    reason: Reason

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set - {"reason"}:
            raise ValueError("something is to change: owner, naans, notify or accepts_drops")
        return self


class DepositorsRequest(Schema, extra="forbid"):
    """Whose right to deposit is given, or taken away."""

    people: People = Field(default_factory=list)
    groups: Groups = Field(default_factory=list)
    reason: Reason

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if not (self.people or self.groups):
            raise ValueError("people or groups: name somebody")
        return self


class Depositor(Schema):
    """Somebody who may deposit."""

    id: str = Field(description="Their id in the user pool, which counts.")
    name: str = Field(description="What they were called when they were allowed.")


class CollectionChange(Schema):
    """A change of a collection."""

    event: str = Field(description="`create`, `edit`, `allow` or `deny`.")
    changes: str = Field(description="What was changed.")
    at: datetime = Field(description="When.")
    actor: str = Field(description="Who: a person's name.")
    actor_id: str = Field(description="That person's id in the user pool.")
    reason: str = Field(description='Why; "" when nobody said.')
    cause: str = Field(description="The request that made it happen.")


class CollectionHold(Schema):
    """What stops a collection now."""

    scope: str = Field(description="What is held: `everything`, or this collection.")
    description: str = Field(description="By whom and why.")
    until: datetime | None = Field(description="Until when; null until somebody lifts it.")


class Collection(Schema):
    """A collection: what objects belong to, and who may deposit in it."""

    name: str = Field(description="Its name.")
    owner: str = Field(description="Who owns it: a person's name.")
    owner_id: str = Field(description="That person's id in the user pool, which counts.")
    people: list[Depositor] = Field(description="Who may deposit besides owner and admins.")
    groups: list[str] = Field(description="Groups of the user pool that may deposit.")
    naans: list[str] = Field(description=_NAANS)
    notify: list[str] = Field(description=_NOTIFY)
    accepts_drops: bool = Field(description=_DROPS)
    hold: CollectionHold | None = Field(description="What stops it now; null when nothing does.")
    may_deposit: bool = Field(description="Whether you may deposit into it.")
    may_edit: bool = Field(description="Whether you may change it.")
    version: int = Field(description="It counts the changes.")
    history: list[CollectionChange] = Field(
        description="The first change and the newest, oldest first."
    )
    links: Links


class CollectionList(Schema):
    """A page of collections, by name."""

    items: list[Collection]
    next_cursor: Cursor
