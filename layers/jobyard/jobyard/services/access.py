"""Who may see and change what: the checks of services, by the table in `domain.access`.

Separate from the commands, which import more, because queries need them too.
"""

from collections.abc import Iterable
from datetime import datetime

from jobyard.domain.access import SUBMITTER, is_allowed, refusal, roles_for
from jobyard.domain.batches.batch import Batch
from jobyard.domain.collection import Collection, deposit_refusal
from jobyard.domain.errors import Forbidden, Gone, NotFound
from jobyard.domain.ids import is_batch_id
from jobyard.services.context import Actor
from jobyard.store import batches, collections


def authorize(
    actor: Actor,
    kind: str,
    event: str,
    *,
    relations: Iterable[str] = (),
    hint: str = "ask one of them",
) -> None:
    """Check that `actor`, who has `relations` to an object, may send it `event`.

    `kind` and `event` are a key of the table; `hint` says what else they can do.

    Raises:
        Forbidden: they may not; the message says who may.
    """
    if not is_allowed(kind, event, {*actor.roles, *relations}):
        raise Forbidden(refusal(kind, event, roles_for(kind, event), hint))


def visible_batch(batch_id: str, actor: Actor, now: datetime) -> Batch:
    """The batch, if `actor` may see it.

    Raises:
        NotFound: there is none, or the actor may not see it.
        Gone: its manifest was never uploaded, or it was archived.
    """
    if not is_batch_id(batch_id):
        raise NotFound(f"{batch_id!r} is not a batch id: b and 20 characters of a-z, 2-7")
    try:
        batch = batches.get(batch_id, now)
    except Gone:
        tombstone = batches.BATCH_TOMBSTONES.find(batch_id)
        if tombstone is None:
            raise
        _check_visible(tombstone.origin, actor)
        raise Gone(tombstone.description) from None
    _check_visible(batch, actor)
    return batch


def roles_on(batch: Batch, actor: Actor) -> frozenset[str]:
    """The roles of an actor who sends events to a batch, and their relation to it: a submitter
    keeps it as long as their roles let them submit.
    """
    is_own = batch.is_submitted_by(actor.sub) and is_allowed("batch", "submit", actor.roles)
    return actor.roles | ({SUBMITTER} if is_own else frozenset())


def _check_visible(batch: Batch, actor: Actor) -> None:
    is_own = batch.is_submitted_by(actor.sub) and is_allowed("batch", "list", actor.roles)
    relations = {SUBMITTER} if is_own else set()
    if not is_allowed("batch", "view", actor.roles | relations):
        raise NotFound(f"there is no batch {batch.batch_id}")


def may_submit(collection: Collection, actor: Actor) -> bool:
    """Whether an actor may submit to a collection, by their roles and the collection's rights."""
    return is_allowed("batch", "submit", actor.roles) and collection.may_deposit(actor.depositor)


def may_edit(collection: Collection, actor: Actor) -> bool:
    """Whether an actor may change a collection."""
    relations = collection.relations(actor.depositor)
    return is_allowed("collection", "edit", actor.roles | relations)


def may_see(collection: Collection, actor: Actor) -> bool:
    """Whether an actor may see a collection. Those who may submit to it may see it."""
    relations = collection.relations(actor.depositor)
    is_reader = is_allowed("collection", "view", actor.roles | relations)
    return is_reader or may_submit(collection, actor)


def visible_collection(name: str, actor: Actor) -> Collection:
    """The collection, if `actor` may see it.

    Raises:
        NotFound: there is none, or the actor may not see it.
    """
    found = collections.find(name)
    if found is None or not may_see(found, actor):
        raise NotFound(f"there is no collection {name!r}")
    return found


def authorize_deposit(name: str, actor: Actor) -> Collection:
    """The collection, if `actor` may submit to it.

    Raises:
        Forbidden: they may not. NotFound: there is none, or the actor may not see it.
    """
    authorize(actor, "batch", "submit")
    found = collections.find(name)
    reason = deposit_refusal(name, found, actor.depositor)
    if found is not None and not reason:
        return found
    if found is not None and may_see(found, actor):
        raise Forbidden(reason)
    if is_allowed("collection", "view", actor.roles):
        raise NotFound(reason)
    raise NotFound(
        f"there is no collection {name!r} that you may deposit into: ask its owner or an admin to "
        f"allow you (jobyard collection allow {name} YOUR-NAME)"
    )
