"""What a batch cost, as those who look at it want it."""

from dataclasses import dataclass

from jobyard.domain.batch import Batch
from jobyard.domain.cost import Cost, priced
from jobyard.services.asking import visible
from jobyard.services.views.looking import Looking
from jobyard.store import usage


@dataclass(frozen=True)
class CostView:
    """A batch and what it cost up to now."""

    batch: Batch
    cost: Cost


def cost(batch_id: str, looking: Looking) -> CostView:
    """What a batch cost.

    Raises:
        Unknown, Gone: there is no such batch, or none this person may know of.
    """
    found = visible(batch_id, looking.person, looking.now)
    return CostView(found, priced(usage.of_origin(found.batch_id)))
