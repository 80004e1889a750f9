"""Collections: made by admins, changed by their owners and by admins. Every change is one
conditional write, with its actor and reason.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from jobyard.domain.collection import Collection, RightsChange
from jobyard.domain.errors import InvalidTransition, StaleState
from jobyard.services.access import authorize, visible_collection
from jobyard.services.context import Actor, CommandContext, require_reason
from jobyard.store import collections


@dataclass(frozen=True)
class PoolUser:
    """A person of the user pool, found by name. The id decides; the name is shown."""

    sub: str
    name: str


@dataclass(frozen=True)
class CollectionEdit:
    """The fields of a collection to change; None leaves a field as it is."""

    owner: PoolUser | None = None
    naans: tuple[str, ...] | None = None
    notify: tuple[str, ...] | None = None
    accepts_drops: bool | None = None

    def changes(self) -> dict[str, Any]:
        """The changed fields, by name."""
        found: dict[str, Any] = {}
        if self.owner is not None:
            found |= {"owner": self.owner.name, "owner_sub": self.owner.sub}
        for name in ("naans", "notify", "accepts_drops"):
            if (value := getattr(self, name)) is not None:
                found[name] = value
        return found

    def words(self) -> str:
        """The changes in reason, for the history."""
        said = []
        if self.owner is not None:
            said.append(f"owner {self.owner.name}")
        if self.naans is not None:
            said.append(f"NAANs {', '.join(self.naans) or 'none'}")
        if self.notify is not None:
            said.append(f"tells {', '.join(self.notify) or 'nobody by itself'}")
        if self.accepts_drops is not None:
            said.append(
                "takes dropped manifests" if self.accepts_drops else "takes no dropped manifests"
            )
        return "; ".join(said)


def editable_collection(name: str, actor: Actor, event: str = "edit") -> Collection:
    """The collection, if `actor` may change it by `event`.

    Raises:
        NotFound: there is none, or the actor may not know of it. Forbidden: they may not change
            it.
    """
    found = visible_collection(name, actor)
    relations = found.relations(actor.depositor)
    owner = f"ask its owner, {found.owner}, or an admin"
    authorize(actor, "collection", event, relations=relations, instead=owner)
    return found


def create(
    name: str,
    edit: CollectionEdit,
    people: Iterable[PoolUser],
    groups: Iterable[str],
    context: CommandContext,
) -> Collection:
    """Make a collection. Its owner is the actor, unless `edit` names another.

    The same request sent again returns the collection it made.

    Raises:
        Forbidden: the actor may not make collections. BadRequest: it would hold too much.
        InvalidTransition: there is one of that name.
    """
    authorize(context.actor, "collection", "create")
    owner = edit.owner or PoolUser(context.actor.sub, context.actor.name)
    before = Collection(name, 0, owner.name, owner.sub)
    rights: dict[str, Any] = {
        "people": {each.sub: each.name for each in people},
        "groups": frozenset(groups),
    }
    given = CollectionEdit(
        edit.owner, edit.naans or None, edit.notify or None, edit.accepts_drops or None
    ).words()
    who = _who(rights["people"].values(), rights["groups"])
    what = "; ".join(filter(None, (given, who and f"allows {who}")))
    made = before.changed(_change("create", what, context), **edit.changes(), **rights)
    try:
        collections.put(made)
    except StaleState:
        stored = collections.find(name)
        if stored is not None and _is_repeat(stored, "create", context):
            return stored
        raise InvalidTransition(f"there is a collection {name!r} already") from None
    return made


def edit(name: str, wanted: CollectionEdit, context: CommandContext) -> Collection:
    """Change a collection, but not who may deposit into it.

    Raises:
        NotFound: there is none, or the actor may not know of it. Forbidden: they may not change
            it, or
            not add a NAAN. BadRequest: no reason is given, or it would hold too much.
                StaleState:
            somebody else changed it at the same time.
    """
    before = editable_collection(name, context.actor)
    more = sorted(set(wanted.naans or ()) - set(before.naans))
    if more:
        ask = f"ask one of them to add NAAN {', '.join(more)}"
        authorize(context.actor, "collection", "add_naan", instead=ask)
    return _changed(before, "edit", wanted.words(), wanted.changes(), context)


def allow(
    name: str, people: Iterable[PoolUser], groups: Iterable[str], context: CommandContext
) -> Collection:
    """Allow people and groups to deposit into a collection.

    Raises:
        NotFound, Forbidden, BadRequest, StaleState: as for `edit`.
    """
    before = editable_collection(name, context.actor, "allow")
    added, named = {each.sub: each.name for each in people}, frozenset(groups)
    changes = {"people": {**before.people, **added}, "groups": before.groups | named}
    return _changed(before, "allow", _who(added.values(), named), changes, context)


def deny(
    name: str, people: Iterable[str], groups: Iterable[str], context: CommandContext
) -> Collection:
    """Take the right to deposit from people and groups. People are named by id, or by the shown
    name. Owner and admins keep their right.

    Running jobs stop before their next write; submitted batches fail.

    Raises:
        NotFound, Forbidden, BadRequest, StaleState: as for `edit`. InvalidTransition: one of
            them has
            no such right.
    """
    before = editable_collection(name, context.actor, "deny")
    if _is_repeat(before, "deny", context):
        return before
    gone: dict[str, str] = {}
    for actor in people:
        found = {
            sub: shown
            for sub, shown in before.people.items()
            if sub == actor.lower() or shown.casefold() == actor.casefold()
        }
        if not found:
            raise InvalidTransition(f"{actor} is none of the people who may deposit into {name}")
        gone |= found
    named = frozenset(groups)
    if named - before.groups:
        reason = ", ".join(sorted(named - before.groups))
        raise InvalidTransition(f"{reason} is none of the groups that may deposit into {name}")
    left = {sub: shown for sub, shown in before.people.items() if sub not in gone}
    changes = {"people": left, "groups": before.groups - named}
    return _changed(before, "deny", _who(gone.values(), named), changes, context)


def _who(people: Iterable[str], groups: Iterable[str]) -> str:
    return ", ".join([*people, *(f"group {each}" for each in sorted(groups))])


def _is_repeat(found: Collection, event: str, context: CommandContext) -> bool:
    return any(each.cause == context.run and each.event == event for each in found.changes)


def _changed(
    before: Collection, event: str, what: str, changes: dict[str, Any], context: CommandContext
) -> Collection:
    if _is_repeat(before, event, context):
        return before
    require_reason(context, f"to {event} a collection")
    after = before.changed(_change(event, what, context), **changes)
    collections.put(after)
    return after


def _change(event: str, what: str, context: CommandContext) -> RightsChange:
    actor = context.actor
    return RightsChange(
        event, context.now(), actor.name, actor.sub, context.reason, context.run, what
    )
