"""The cost of a batch, a schedule, a campaign or an edit job."""

from dataclasses import dataclass

from jobyard.domain.batches.batch import Batch
from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.cost import Cost, price_usage
from jobyard.domain.schedules.schedule import Schedule
from jobyard.services.access import authorize, visible_batch
from jobyard.services.campaigns.access import visible_campaign
from jobyard.services.context import QueryContext
from jobyard.services.edits.access import visible_edit
from jobyard.services.schedules.access import schedule_or_tombstone
from jobyard.store import rates, usage


@dataclass(frozen=True)
class CostView:
    """A batch and its cost so far."""

    batch: Batch
    cost: Cost


def cost(batch_id: str, context: QueryContext) -> CostView:
    """The cost of a batch.

    Raises:
        NotFound, Gone: there is no such batch, or the actor may not see it.
    """
    found = visible_batch(batch_id, context.actor, context.now)
    return CostView(found, price_usage(usage.of_origin(found.batch_id)))


def month_cost(context: QueryContext) -> Cost:
    """The cost of all batches, schedules, campaigns and edit jobs together, and of loading and
    exporting datasets, in this month, in UTC, so far.

    Raises:
        Forbidden: the actor may not see all costs.
    """
    authorize(context.actor, "cost", "view")
    return price_usage(rates.usage_of_month(context.now))


@dataclass(frozen=True)
class ScheduleCostView:
    """A schedule and the cost of its jobs so far."""

    schedule: Schedule
    cost: Cost


def schedule_cost(schedule_id: str, context: QueryContext) -> ScheduleCostView:
    """The cost of a schedule's jobs, also of a deleted schedule.

    Raises:
        Forbidden: the actor may not see schedules. NotFound: there is no such schedule.
    """
    found = schedule_or_tombstone(schedule_id, context.actor)
    return ScheduleCostView(found, price_usage(usage.of_origin(found.schedule_id)))


@dataclass(frozen=True)
class CampaignCostView:
    """A campaign and its cost so far."""

    campaign: Campaign
    cost: Cost


def campaign_cost(campaign_id: str, context: QueryContext) -> CampaignCostView:
    """The cost of a campaign.

    Raises:
        Forbidden: the actor may not see campaigns. NotFound: there is no such campaign.
    """
    found = visible_campaign(campaign_id, context.actor)
    return CampaignCostView(found, price_usage(usage.of_origin(found.campaign_id)))


def edit_cost(edit_id: str, context: QueryContext) -> Cost:
    """The cost of what the machine did for an edit job and its children.

    Raises:
        NotFound: there is no such edit job, or the actor may not see it. Gone: it was deleted.
    """
    return price_usage(usage.of_origin(visible_edit(edit_id, context.actor).edit_id))
