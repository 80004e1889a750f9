"""Create collections, change them and their rights. Every change is one conditional write, with
its actor and reason.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from jobyard.domain.activity import Subject
from jobyard.domain.collection import Collection, CollectionChange
from jobyard.domain.errors import InvalidTransition, StaleState
from jobyard.services import activity
from jobyard.services.access import authorize, visible_collection
from jobyard.services.context import Account, Actor, CommandContext, require_reason
from jobyard.services.recipients import check_recipients
from jobyard.store import collections


@dataclass(frozen=True)
class CollectionEdit:
    """The fields of a collection to change; None leaves a field as it is."""

    owner: str | None = None  # a user name
    naans: tuple[str, ...] | None = None
    notify: tuple[str, ...] | None = None
    accepts_drops: bool | None = None

    def values(self, owner: Account | None) -> dict[str, Any]:
        """The changed fields, by name. `owner` is the new owner."""
        found: dict[str, Any] = {}
        if owner is not None:
            found |= {"owner": owner.name, "owner_sub": owner.sub}
        for name in ("naans", "notify", "accepts_drops"):
            if (value := getattr(self, name)) is not None:
                found[name] = value
        return found

    def description(self, owner: Account | None) -> str:
        """The changes as text, for the history. `owner` is the new owner."""
        parts = []
        if owner is not None:
            parts.append(f"owner {owner.name}")
        if self.naans is not None:
            parts.append(f"NAANs {', '.join(self.naans) or 'none'}")
        if self.notify is not None:
            parts.append(f"notifies {', '.join(self.notify) or 'nobody'}")
        if self.accepts_drops is not None:
            verb = "accepts" if self.accepts_drops else "refuses"
            parts.append(f"{verb} dropped manifests")
        return "; ".join(parts)


def editable_collection(name: str, actor: Actor, event: str = "edit") -> Collection:
    """The collection.

    Raises:
        NotFound: there is no such collection, or the actor may not see it.
        Forbidden: they may not send it `event`.
    """
    found = visible_collection(name, actor)
    relations = found.relations(actor.depositor)
    hint = f"ask its owner, {found.owner}, or an admin"
    authorize(actor, "collection", event, relations=relations, hint=hint)
    return found


def create(
    name: str,
    fields: CollectionEdit,
    people: Iterable[str],
    groups: Iterable[str],
    context: CommandContext,
) -> Collection:
    """Create a collection. Its owner is the actor, unless `fields` names another person. `people`
    are user names.

    A repeated request returns the collection that the first one created.

    Raises:
        Forbidden: the actor may not create collections. BadRequest: a list has too many entries,
            a person is not found, or the deployment may not mail a recipient.
        InvalidTransition: the name is taken.
    """
    authorize(context.actor, "collection", "create")
    check_recipients(fields.notify or (), context)
    owner = context.account(fields.owner) if fields.owner else None
    before = Collection(name, 0, context.actor.name, context.actor.sub)
    rights: dict[str, Any] = {
        "people": _people(people, context),
        "groups": frozenset(groups),
    }
    given = CollectionEdit(
        fields.owner, fields.naans or None, fields.notify or None, fields.accepts_drops or None
    ).description(owner)
    who = _who(rights["people"].values(), rights["groups"])
    what = "; ".join(filter(None, (given, who and f"allows {who}")))
    created = before.changed(_change("create", what, context), **fields.values(owner), **rights)
    try:
        collections.put(created)
    except StaleState:
        stored = collections.find(name)
        if stored is not None and _is_repeat(stored, "create", context):
            return _recorded(stored, "create", context)
        raise InvalidTransition(f"collection {name!r} already exists") from None
    return _recorded(created, "create", context)


def edit(name: str, changes: CollectionEdit, context: CommandContext) -> Collection:
    """Change the fields of a collection. Who may deposit into it is changed by `allow` and `deny`.

    Raises:
        NotFound: there is no such collection, or the actor may not see it.
        Forbidden: they may not change it, or not add a NAAN.
        BadRequest: no reason is given, a list has too many entries, or the deployment may not mail
            a recipient.
        StaleState: someone else changed it at the same time.
    """
    before = editable_collection(name, context.actor)
    new_naans = sorted(set(changes.naans or ()) - set(before.naans))
    if new_naans:
        hint = f"ask one of them to add NAAN {', '.join(new_naans)}"
        authorize(context.actor, "collection", "add_naan", hint=hint)
    new_recipients = tuple(each for each in changes.notify or () if each not in before.notify)
    check_recipients(new_recipients, context)
    owner = context.account(changes.owner) if changes.owner else None
    return _changed(before, "edit", changes.description(owner), changes.values(owner), context)


def allow(
    name: str, people: Iterable[str], groups: Iterable[str], context: CommandContext
) -> Collection:
    """Allow people, by user name, and groups to deposit into a collection.

    Raises:
        NotFound, Forbidden, BadRequest, StaleState: as for `edit`.
    """
    before = editable_collection(name, context.actor, "allow")
    added, added_groups = _people(people, context), frozenset(groups)
    changes = {"people": {**before.people, **added}, "groups": before.groups | added_groups}
    return _changed(before, "allow", _who(added.values(), added_groups), changes, context)


def deny(
    name: str, people: Iterable[str], groups: Iterable[str], context: CommandContext
) -> Collection:
    """Revoke the right to deposit of people and groups. People are named by id or by name. The
    owner and admins keep their right.

    Running jobs stop before their next write; batches that are not opened yet are refused.

    Raises:
        NotFound, Forbidden, BadRequest, StaleState: as for `edit`.
        InvalidTransition: one of them has no such right.
    """
    before = editable_collection(name, context.actor, "deny")
    if _is_repeat(before, "deny", context):
        return _recorded(before, "deny", context)
    denied: dict[str, str] = {}
    for person in people:
        found = {
            sub: shown
            for sub, shown in before.people.items()
            if sub == person.lower() or shown.casefold() == person.casefold()
        }
        if not found:
            raise InvalidTransition(f"{person} has no right to deposit into {name}")
        denied |= found
    denied_groups = frozenset(groups)
    if unknown := denied_groups - before.groups:
        listed = ", ".join(sorted(unknown))
        raise InvalidTransition(f"group {listed} has no right to deposit into {name}")
    left = {sub: shown for sub, shown in before.people.items() if sub not in denied}
    changes = {"people": left, "groups": before.groups - denied_groups}
    return _changed(before, "deny", _who(denied.values(), denied_groups), changes, context)


def _people(names: Iterable[str], context: CommandContext) -> dict[str, str]:
    """The people of these user names, by id."""
    return {account.sub: account.name for account in map(context.account, names)}


def _who(people: Iterable[str], groups: Iterable[str]) -> str:
    """People and groups as text, for the history."""
    return ", ".join([*people, *(f"group {each}" for each in sorted(groups))])


def _is_repeat(found: Collection, event: str, context: CommandContext) -> bool:
    """Whether this request has already sent the collection that event."""
    return any(each.cause == context.run and each.event == event for each in found.changes)


def _changed(
    before: Collection, event: str, what: str, changes: dict[str, Any], context: CommandContext
) -> Collection:
    if _is_repeat(before, event, context):
        return _recorded(before, event, context)
    require_reason(context, f"to {event} a collection")
    after = before.changed(_change(event, what, context), **changes)
    collections.put(after)
    return _recorded(after, event, context)


def _recorded(found: Collection, event: str, context: CommandContext) -> Collection:
    """The collection, after what this request did to it is recorded."""
    change = next(e for e in found.changes if (e.cause, e.event) == (context.run, event))
    activity.record(context, event, Subject("collection", found.name), change.at, change.summary)
    return found


def _change(event: str, what: str, context: CommandContext) -> CollectionChange:
    actor = context.actor
    return CollectionChange(
        event, context.now(), actor.name, actor.sub, context.reason, context.run, what
    )
