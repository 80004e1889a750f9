"""Who may know of a collection, and who may deposit into it.

Apart from the services that change collections, which bring more: a submission needs none of it.
"""

from jobyard.domain.collection import Collection, Depositor, refusal
from jobyard.domain.errors import Forbidden, Unknown
from jobyard.store import collections

READERS = frozenset({"viewer", "operator", "admin"})  # who sees all batches, and all collections
_SUBMITTERS = frozenset({"depositor", "operator", "admin"})


def may_see(collection: Collection, who: Depositor) -> bool:
    """Whether somebody may know of a collection: who sees all, its owner, who may deposit into
    it."""
    may_submit = bool(who.groups & _SUBMITTERS) and collection.may_deposit(who)
    return may_submit or bool(who.groups & READERS) or collection.owner_sub == who.sub


def visible(name: str, who: Depositor) -> Collection:
    """The collection, if `who` may know of it.

    Raises:
        Unknown: there is none, or none they may know of.
    """
    found = collections.find(name)
    if found is None or not may_see(found, who):
        raise Unknown(f"there is no collection {name!r}")
    return found


def admitted(name: str, who: Depositor) -> Collection:
    """The collection, if `who` may deposit into it.

    Raises:
        Forbidden: they may not. Unknown: there is none, or none they may know of.
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
        raise Unknown(words)
    raise Unknown(
        f"there is no collection {name!r} that you may deposit into: ask its owner or an admin to "
        f"allow you (jobyard collection allow {name} YOUR-NAME)"
    )
