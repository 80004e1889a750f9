"""Checks that a deposit writes only to its own collection, and that its submitter may deposit."""

from jobyard.domain.arks import naan_of
from jobyard.domain.collection import Collection, deposit_refusal
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import StepInput
from jobyard.domain.objects import ObjectVersion
from jobyard.jobtypes.deposit.refusal import Refused
from jobyard.jobtypes.step_context import StorageContext


def authorize(step_input: StepInput, context: StorageContext) -> Collection:
    """Return the job's collection if the job's submitter may still deposit into it.

    This is checked before the object is identified and before each write, because a requeued job
    continues at the step that failed.

    Raises:
        Refused: DEPOSIT_NOT_ALLOWED. A requeue helps once access is granted.
    """
    collection = context.collection()
    message = deposit_refusal(step_input.collection, collection, step_input.depositor)
    if collection is None or message:
        raise Refused(Failure.DEPOSIT_NOT_ALLOWED, message)
    return collection


def check_ownership(latest: ObjectVersion | None, step_input: StepInput) -> None:
    """Check that an object belongs to the job's collection, or is new. Its first deposit decides.

    Raises:
        Refused: IDENTIFIER_CONFLICT, the object belongs to another collection.
    """
    if latest and latest.collection != step_input.collection:
        raise belongs_elsewhere(latest.ark)


def belongs_elsewhere(ark: str) -> Refused:
    """The refusal of an object that belongs to another collection."""
    message = f"{ark} belongs to another collection"
    return Refused(Failure.IDENTIFIER_CONFLICT, message, requeueable=False)


def ark_not_allowed(ark: str, collection: Collection) -> str:
    """Why a new object may not have this ark, and what to do about it."""
    naans = ", ".join(collection.naans) or "none"
    return (
        f"collection {collection.name} may not name arks of {naan_of(ark)} (its NAANs: {naans}): "
        f"an admin can add it (jobyard collection edit {collection.name} --naan)"
    )
