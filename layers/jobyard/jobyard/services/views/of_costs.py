"""What a batch cost, as those who look at it want it."""

from jobyard.domain.cost import Cost, priced
from jobyard.services.asking import visible
from jobyard.services.views.looking import Looking
from jobyard.store import usage


def cost(batch_id: str, looking: Looking) -> Cost:
    """What the batch cost up to now.

    Raises:
        Unknown, Gone: there is no such batch, or none this person may know of.
    """
    found = visible(batch_id, looking.person, looking.now)
    return priced(usage.of_batch(found.batch_id))
