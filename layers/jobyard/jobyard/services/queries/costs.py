"""The cost of a batch, a schedule, a campaign or an edit job."""

from jobyard.domain.batches.batch import Batch
from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.cost import Cost, price_usage
from jobyard.services.access import authorize, visible_batch
from jobyard.services.campaigns.access import visible_campaign
from jobyard.services.context import QueryContext
from jobyard.services.edits.access import visible_edit
from jobyard.services.schedules.access import schedule_or_tombstone
from jobyard.store import rates, usage


def cost_of(origin_id: str) -> Cost:
    """The cost so far of a batch, a schedule, a campaign or an edit job that the actor may see."""
    return price_usage(usage.of_origin(origin_id))


def batch_cost(batch_id: str, context: QueryContext) -> tuple[Batch, Cost]:
    """A batch and its cost.

    Raises:
        NotFound, Gone: there is no such batch, or the actor may not see it.
    """
    return visible_batch(batch_id, context.actor, context.now), cost_of(batch_id)


def month_cost(context: QueryContext) -> Cost:
    """The cost of all batches, schedules, campaigns and edit jobs together, and of loading and
    exporting datasets, in this month, in UTC, so far.

    Raises:
        Forbidden: the actor may not see all costs.
    """
    authorize(context.actor, "cost", "view")
    return price_usage(rates.usage_of_month(context.now))


def schedule_cost(schedule_id: str, context: QueryContext) -> Cost:
    """The cost of a schedule's jobs, also of a deleted schedule.

    Raises:
        Forbidden: the actor may not see schedules. NotFound: there is no such schedule.
    """
    schedule_or_tombstone(schedule_id, context.actor)
    return cost_of(schedule_id)


def campaign_cost(campaign_id: str, context: QueryContext) -> tuple[Campaign, Cost]:
    """A campaign and its cost.

    Raises:
        Forbidden: the actor may not see campaigns. NotFound: there is no such campaign.
    """
    return visible_campaign(campaign_id, context.actor), cost_of(campaign_id)


def edit_cost(edit_id: str, context: QueryContext) -> Cost:
    """The cost of what the machine did for an edit job and its children.

    Raises:
        NotFound: there is no such edit job, or the actor may not see it. Gone: it was deleted.
    """
    return cost_of(visible_edit(edit_id, context.actor).edit_id)
