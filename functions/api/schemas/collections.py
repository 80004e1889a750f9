"""Collections."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, StrictBool, model_validator

from api.context import RequestContext
from api.links import collection_links
from api.schemas.fields import Collection as Name
from api.schemas.fields import (
    Group,
    Links,
    Naan,
    NextCursor,
    PersonName,
    Reason,
    Recipients,
    Schema,
)
from jobyard.domain import collection as domain
from jobyard.domain.collection import MAX_ADDRESSES, MAX_GROUPS, MAX_NAANS
from jobyard.domain.hold import Hold
from jobyard.services.collections import CollectionEdit
from jobyard.services.queries import collections as collection_queries

_NAANS = "The name assigning authority numbers (NAANs) that the arks of new objects may have."
_NOTIFY = "Who gets the report of a batch whose submission names nobody."
_DROPS = "Whether programs that do not sign in may drop manifests for it in the bucket."
_PERSON = "A user name. The person's id is stored."

Naans = Annotated[list[Naan], Field(max_length=MAX_NAANS, description=_NAANS)]
Notify = Annotated[Recipients, Field(max_length=MAX_ADDRESSES, description=_NOTIFY)]
People = Annotated[list[PersonName], Field(max_length=20, description=_PERSON)]
Groups = Annotated[
    list[Group],
    Field(max_length=MAX_GROUPS, description="Groups of the user pool, roles among them."),
]


class NewCollection(Schema, extra="forbid"):
    """A collection to create."""

    name: Name = Field(description="Its name, which cannot change.")
    owner: PersonName | None = Field(
        default=None, description=f"Who owns it; you by default. {_PERSON}"
    )
    people: People = Field(default_factory=list)
    groups: Groups = Field(default_factory=list)
    naans: Naans = Field(default_factory=list)
    notify: Notify = Field(default_factory=list)
    accepts_drops: StrictBool = Field(default=False, description=_DROPS)
    reason: Reason | None = Field(default=None, description="Why it is created.")

    def settings(self) -> CollectionEdit:
        """The settings of the new collection."""
        return _edit(self)


class CollectionChanges(Schema, extra="forbid"):
    """What to change in a collection. Fields that are left out do not change."""

    owner: PersonName | None = Field(default=None, description=f"Who owns it. {_PERSON}")
    naans: Naans | None = Field(default=None, description=_NAANS)
    notify: Notify | None = Field(default=None, description=_NOTIFY)
    accepts_drops: StrictBool | None = Field(default=None, description=_DROPS)
    reason: Reason

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set - {"reason"}:
            raise ValueError("give at least one of owner, naans, notify and accepts_drops")
        return self

    def settings(self) -> CollectionEdit:
        """The settings to change."""
        return _edit(self)


class DepositorsRequest(Schema, extra="forbid"):
    """The people and groups to allow or deny."""

    people: People = Field(default_factory=list)
    groups: Groups = Field(default_factory=list)
    reason: Reason

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if not (self.people or self.groups):
            raise ValueError("give at least one person or group")
        return self


class Depositor(Schema):
    """A person who may deposit."""

    id: str = Field(description="The id in the user pool, which decides.")
    name: str = Field(description="The user name when the person was allowed.")


class CollectionChange(Schema):
    """A change of a collection."""

    event: str = Field(description="`create`, `edit`, `allow` or `deny`.")
    changes: str = Field(description="What was changed.")
    at: datetime = Field(description="When.")
    actor: str = Field(description="Who: a user name.")
    actor_id: str = Field(description="The actor's id in the user pool.")
    reason: str = Field(description='Why; "" if not given.')
    cause: str = Field(description="The request that made the change.")

    @classmethod
    def of(cls, change: domain.CollectionChange) -> "CollectionChange":
        """A change as it is stored."""
        return cls(
            event=change.event,
            changes=change.summary,
            at=change.at,
            actor=change.actor,
            actor_id=change.sub,
            reason=change.reason,
            cause=change.cause,
        )


class CollectionHold(Schema):
    """The hold on a collection."""

    scope: str = Field(description="The scope of the hold: `everything`, or this collection.")
    description: str = Field(description="Who holds it and why.")
    until: datetime | None = Field(description="Until when; null until a person lifts it.")

    @classmethod
    def of(cls, hold: Hold | None) -> "CollectionHold | None":
        """The hold on a collection; None when there is none."""
        if hold is None:
            return None
        return cls(scope=hold.scope, description=hold.description(), until=hold.until)


class Collection(Schema):
    """A collection: it owns objects, and says who may deposit."""

    name: str = Field(description="Its name.")
    owner: str = Field(description="The owner: a user name.")
    owner_id: str = Field(description="The owner's id in the user pool, which decides.")
    people: list[Depositor] = Field(
        description="The people who may deposit, in addition to the owner and admins."
    )
    groups: list[str] = Field(description="The groups of the user pool that may deposit.")
    naans: list[str] = Field(description=_NAANS)
    notify: list[str] = Field(description=_NOTIFY)
    accepts_drops: bool = Field(description=_DROPS)
    hold: CollectionHold | None = Field(description="The hold on it; null if there is none.")
    may_deposit: bool = Field(description="Whether you may deposit into it.")
    may_edit: bool = Field(description="Whether you may edit it.")
    version: int = Field(description="The number of changes.")
    history: list[CollectionChange] = Field(
        description="The first change and the latest, oldest first."
    )
    links: Links

    @classmethod
    def of(cls, view: collection_queries.CollectionView, request: RequestContext) -> "Collection":
        """A collection as the actor may see it."""
        collection = view.collection
        people = sorted(collection.people.items(), key=lambda each: each[1])
        return cls(
            name=collection.name,
            owner=collection.owner,
            owner_id=collection.owner_sub,
            people=[Depositor(id=sub, name=name) for sub, name in people],
            groups=sorted(collection.groups),
            naans=list(collection.naans),
            notify=list(collection.notify),
            accepts_drops=collection.accepts_drops,
            hold=CollectionHold.of(view.hold),
            may_deposit=view.may_deposit,
            may_edit=view.may_edit,
            version=collection.version,
            history=[CollectionChange.of(each) for each in collection.changes],
            links=collection_links(collection.name, request),
        )


class CollectionList(Schema):
    """A page of collections, by name."""

    items: list[Collection]
    next_cursor: NextCursor

    @classmethod
    def of(
        cls,
        views: Iterable[collection_queries.CollectionView],
        next_cursor: str | None,
        request: RequestContext,
    ) -> "CollectionList":
        """A page, and the cursor of the next one."""
        items = [Collection.of(view, request) for view in views]
        return cls(items=items, next_cursor=next_cursor)


def _edit(body: NewCollection | CollectionChanges) -> CollectionEdit:
    return CollectionEdit(
        owner=body.owner or None,
        naans=None if body.naans is None else tuple(dict.fromkeys(body.naans)),
        notify=None if body.notify is None else tuple(body.notify),
        accepts_drops=body.accepts_drops,
    )
