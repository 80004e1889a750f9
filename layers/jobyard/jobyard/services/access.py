"""Who may know of a collection, and who may deposit into it.

Apart from the services that change collections, which bring more: a submission needs none of it.
"""

from jobyard.domain.collection import Collection, Depositor, refusal
from jobyard.domain.errors import Forbidden, NotFound
from jobyard.store import collections

READERS = frozenset({"viewer", "operator", "admin"})  # who sees all batches, and all collections
_SUBMITTERS = frozenset({"depositor", "operator", "admin"})


def may_submit(collection: Collection, who: Depositor) -> bool:
    """Whether somebody may submit to a collection: by their role, and by its rights."""
    return bool(who.groups & _SUBMITTERS) and collection.may_deposit(who)


def may_edit(collection: Collection, who: Depositor) -> bool:
    """Whether somebody may change a collection: its owner, or an admin."""
    return "admin" in who.groups or collection.owner_sub == who.sub


def may_see(collection: Collection, who: Depositor) -> bool:
    """Whether somebody may know of a collection: who sees all, who may submit to it or change
    it."""
    return bool(who.groups & READERS) or may_submit(collection, who) or may_edit(collection, who)


def visible_collection(name: str, who: Depositor) -> Collection:
    """The collection, if `who` may know of it.

    Raises:
        NotFound: there is none, or none they may know of.
    """
    found = collections.find(name)
    if found is None or not may_see(found, who):
        raise NotFound(f"there is no collection {name!r}")
    return found


def authorize_deposit(name: str, who: Depositor) -> Collection:
    """The collection, if `who` may deposit into it.

    Raises:
        Forbidden: they may not. NotFound: there is none, or none they may know of.
    """
    if not who.groups & _SUBMITTERS:
        raise Forbidden("submitting is for depositor, operator or admin")
    found = collections.find(name)
    words = refusal(name, found, who)
    if found is not None and not words:
        return found
    if found is not None and may_see(found, who):
        raise Forbidden(words)
    if who.groups & READERS:
        raise NotFound(words)
    raise NotFound(
        f"there is no collection {name!r} that you may deposit into: ask its owner or an admin to "
        f"allow you (jobyard collection allow {name} YOUR-NAME)"
    )
