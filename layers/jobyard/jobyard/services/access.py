"""Who may know of a batch, a job or a collection, and who may deposit into one.

Apart from the services that change them, which bring more: a submission needs none of it.
"""

from datetime import datetime

from jobyard.domain.batches.batch import Batch, BatchState
from jobyard.domain.collection import Collection, Depositor, refusal
from jobyard.domain.errors import Forbidden, Gone, NotFound
from jobyard.domain.ids import is_batch_id
from jobyard.domain.jobs.job import JobAddress
from jobyard.services.context import Actor
from jobyard.store import batches, collections

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


def visible_batch(batch_id: str, person: Actor, now: datetime) -> Batch:
    """The batch, if `person` may see it.

    Raises:
        NotFound: there is none, or none this person may know of.
        Gone: it was promised and never came, or it was archived.
    """
    if not is_batch_id(batch_id):
        raise NotFound(f"{batch_id!r} is no batch id; one is b and 20 of a to z, 2 to 7")
    try:
        batch = batches.get(batch_id, now)
    except Gone:
        tombstone = batches.tombstone(batch_id)
        if tombstone is None:
            raise
        _check_visible(tombstone.batch, person)
        raise Gone(tombstone.words) from None
    _check_visible(batch, person)
    return batch


def _check_visible(batch: Batch, person: Actor) -> None:
    own = "depositor" in person.roles and batch.is_of(person.sub)
    if not (own or person.roles & READERS):
        raise NotFound(f"there is no batch {batch.batch_id}")


def visible_job(job_id: str, person: Actor, now: datetime) -> tuple[Batch, JobAddress]:
    """The batch of a job and the job's place in it, if `person` may see it.

    Raises:
        NotFound, Gone: there is no such job, or none this person may know of.
    """
    place = JobAddress.of(job_id)
    if place is None:
        raise NotFound(f"{job_id!r} is no job id; one is batch_id.chunk.position")
    batch = visible_batch(place.origin_id, person, now)
    if batch.state is BatchState.DELETED:
        raise Gone(f"batch {batch.batch_id} of job {job_id} was deleted")
    if place.chunk >= batch.chunks or place.position >= batch.size_of(place.chunk):
        raise NotFound(f"batch {batch.batch_id} has no job {job_id}")
    return batch, place
