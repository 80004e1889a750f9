"""What a job may write: into its collection only, and only as long as who submitted it may."""

from jobyard.domain.collection import Collection, deposit_refusal, naan_of
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import StepInput
from jobyard.domain.objects import ObjectVersion
from jobyard.jobtypes.deposit.refusal import Refused
from jobyard.jobtypes.step_context import StorageContext


def authorize(step_input: StepInput, context: StorageContext) -> Collection:
    """The job's collection, if who submitted the job may still deposit into it. It is asked before
    the object is identified and before each write, since a requeued job goes on where it stopped.

    Raises:
        Refused: DEPOSIT_NOT_ALLOWED. A requeue helps once the right is given.
    """
    collection = context.collection()
    words = deposit_refusal(step_input.collection, collection, step_input.depositor)
    if collection is None or words:
        raise Refused(Failure.DEPOSIT_NOT_ALLOWED, words)
    return collection


def check_ownership(latest: ObjectVersion | None, step_input: StepInput) -> None:
    """See that an object is the collection's: it belongs to the one it was first deposited in.

    Raises:
        Refused: IDENTIFIER_CONFLICT, it is another's.
    """
    if latest and latest.collection != step_input.collection:
        raise belongs_elsewhere(latest.ark)


def belongs_elsewhere(ark: str) -> Refused:
    """The refusal of an object that is another collection's."""
    words = f"{ark} belongs to another collection"
    return Refused(Failure.IDENTIFIER_CONFLICT, words, recoverable=False)


def ark_not_allowed(ark: str, collection: Collection) -> str:
    """Why an ark may not be given to a new object, and what to do."""
    known = ", ".join(collection.naans) or "none"
    return (
        f"collection {collection.name} may not name arks of {naan_of(ark)} (its NAANs: {known}): "
        f"an admin can add it (jobyard collection edit {collection.name} --naan)"
    )
