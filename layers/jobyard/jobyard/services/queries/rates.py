"""The rates of jobs over time."""

from collections.abc import Sequence

from jobyard.domain.rates import RatePoint, RateRange, first_step, points_of
from jobyard.services.access import authorize
from jobyard.services.context import QueryContext
from jobyard.store import rates


def rate_history(rate_range: RateRange, context: QueryContext) -> Sequence[RatePoint]:
    """What workers did in each step of a graph, oldest first.

    Raises:
        Forbidden: the actor may not see rates.
    """
    authorize(context.actor, "rates", "view")
    since = first_step(rate_range, context.now)
    return points_of(rate_range, rates.samples(rate_range, since), context.now)
