"""What a batch or a schedule cost, as those who look at it want it."""

from dataclasses import dataclass

from jobyard.domain.batches.batch import Batch
from jobyard.domain.cost import Cost, priced
from jobyard.domain.schedules.schedule import Schedule
from jobyard.services.access import visible_batch
from jobyard.services.context import QueryContext
from jobyard.services.schedules.access import schedule_or_tombstone
from jobyard.store import usage


@dataclass(frozen=True)
class CostView:
    """A batch and what it cost up to now."""

    batch: Batch
    cost: Cost


def cost(batch_id: str, context: QueryContext) -> CostView:
    """What a batch cost.

    Raises:
        NotFound, Gone: there is no such batch, or none this person may know of.
    """
    found = visible_batch(batch_id, context.actor, context.now)
    return CostView(found, priced(usage.of_origin(found.batch_id)))


@dataclass(frozen=True)
class ScheduleCostView:
    """A schedule and what its jobs cost up to now."""

    schedule: Schedule
    cost: Cost


def schedule_cost(schedule_id: str, context: QueryContext) -> ScheduleCostView:
    """What a schedule's jobs cost; a deleted one's too.

    Raises:
        Forbidden: the person may not see schedules. NotFound: there is no such schedule.
    """
    found = schedule_or_tombstone(schedule_id, context.actor)
    return ScheduleCostView(found, priced(usage.of_origin(found.schedule_id)))
