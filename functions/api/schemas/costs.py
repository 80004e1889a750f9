"""The cost of a batch, of a schedule, of a campaign, of an edit job and of a month."""

from datetime import date, datetime
from typing import Any

from pydantic import Field

from api.context import RequestContext
from api.links import cost_links
from api.schemas.fields import Links, Schema
from jobyard.domain import cost as domain
from jobyard.domain.batches.batch import Batch
from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.cost import PRICES


class CostLine(Schema):
    """One line of a cost."""

    kind: str = Field(
        description="What was used.", json_schema_extra={"enum": [each.kind for each in PRICES]}
    )
    title: str = Field(description="The same for people.")
    quantity: float = Field(description="How much was used.")
    dollars: float = Field(description="Its price in US dollars.")
    price: float = Field(description="The price of `per` units in US dollars.")
    per: float = Field(description="The number of units that `price` is for.")
    source: str = Field(description="The source of the price.")

    @classmethod
    def of(cls, line: domain.CostLine) -> "CostLine":
        """A line of a cost."""
        return cls(
            kind=line.price.kind,
            title=line.price.title,
            quantity=line.quantity,
            dollars=line.dollars,
            price=line.price.dollars,
            per=line.price.per,
            source=line.price.source,
        )


class CostReport(Schema):
    """What something used up to now, as Jobyard measured it and AWS lists its prices."""

    dollars: float = Field(description="The total in US dollars, without the free tier.")
    billed_ms: int = Field(description="Lambda's billed duration in milliseconds.")
    lines: list[CostLine] = Field(description="What was used, line by line.")
    priced_on: date = Field(description="The date of the prices.")
    region: str = Field(description="The AWS region of the prices.")
    links: Links


class BatchCost(CostReport):
    """What a batch cost up to now, as Jobyard measured it and AWS lists its prices.

    Not included is what cannot be assigned to a batch: the scheduler, requests of people and
    machine clients, logs, and the storage of records.
    """

    batch_id: str = Field(description="The batch.")
    dollars_per_job: float | None = Field(
        description="The total divided by the number of jobs; null if there are none."
    )

    @classmethod
    def of(cls, batch: Batch, cost: domain.Cost, request: RequestContext) -> "BatchCost":
        """The cost of a batch up to now."""
        return cls(
            batch_id=batch.batch_id,
            dollars_per_job=cost.dollars / batch.entries if batch.entries else None,
            **_cost(cost),
            links=cost_links(batch.batch_id, request),
        )


class ScheduleCost(CostReport):
    """What a schedule's jobs cost up to now, as Jobyard measured it and AWS lists its prices.

    Not included is what cannot be assigned to a schedule: the scheduler, requests of people and
    machine clients, logs, and the storage of records.
    """

    schedule_id: str = Field(description="The schedule.")

    @classmethod
    def of(cls, schedule_id: str, cost: domain.Cost, request: RequestContext) -> "ScheduleCost":
        """The cost of a schedule's jobs up to now."""
        return cls(
            schedule_id=schedule_id,
            **_cost(cost),
            links=cost_links(schedule_id, request),
        )


class CampaignCost(CostReport):
    """What a campaign cost up to now, as Jobyard measured it and AWS lists its prices.

    Not included is what cannot be assigned to a campaign: the scheduler, requests of people and
    machine clients, logs, and the storage of records.
    """

    campaign_id: str = Field(description="The campaign.")
    dollars_per_task: float = Field(description="The total divided by the number of tasks.")

    @classmethod
    def of(cls, campaign: Campaign, cost: domain.Cost, request: RequestContext) -> "CampaignCost":
        """The cost of a campaign up to now."""
        return cls(
            campaign_id=campaign.campaign_id,
            dollars_per_task=cost.dollars / campaign.tasks if campaign.tasks else 0.0,
            **_cost(cost),
            links=cost_links(campaign.campaign_id, request),
        )


class EditCost(CostReport):
    """What the machine's part of an edit job and its children cost up to now, as Jobyard measured
    it and AWS lists its prices.

    Not included are requests of people and machine clients, mails, logs, and the
    storage of records.
    """

    edit_id: str = Field(description="The edit job.")

    @classmethod
    def of(cls, edit_id: str, cost: domain.Cost, request: RequestContext) -> "EditCost":
        """The cost of an edit job up to now."""
        edit_url = request.link(f"edits/{edit_id}")
        links = {"self": f"{edit_url}/cost", "edit": edit_url}
        return cls(edit_id=edit_id, **_cost(cost), links=links)


class MonthCost(CostReport):
    """What all batches, schedules, campaigns and edit jobs cost this month, as Jobyard measured it,
    and loading and exporting datasets.

    Not included are the scheduler, requests of people and machine clients, logs, and the
    storage of records.
    """

    month: str = Field(description="The month in UTC.", examples=["2026-11"])

    @classmethod
    def of(cls, now: datetime, cost: domain.Cost, request: RequestContext) -> "MonthCost":
        """The cost of the month of `now`."""
        return cls(month=f"{now:%Y-%m}", **_cost(cost), links={"self": request.link("cost")})


def _cost(cost: domain.Cost) -> dict[str, Any]:
    return {
        "dollars": cost.dollars,
        "billed_ms": cost.usage.ms,
        "lines": [CostLine.of(line) for line in cost.lines],
        "priced_on": domain.PRICED_ON,
        "region": domain.REGION,
    }
