"""What a batch or a schedule cost."""

from datetime import date
from typing import Any

from pydantic import Field

from api.context import RequestContext
from api.links import cost_links
from api.schemas.fields import Links, Schema
from jobyard.domain import cost as domain
from jobyard.domain.cost import PRICES
from jobyard.services.queries.costs import CostView


class CostLine(Schema):
    """One line of a bill."""

    kind: str = Field(
        description="What was used.", json_schema_extra={"enum": [each.kind for each in PRICES]}
    )
    title: str = Field(description="The same in words.")
    quantity: float = Field(description="How much of it was used.")
    dollars: float = Field(description="What that costs, in US dollars.")
    price: float = Field(description="US dollars for `per` of it.")
    per: float = Field(description="What `price` is for.")
    source: str = Field(description="Where the price is from.")

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

    dollars: float = Field(description="The sum, in US dollars, without a free tier.")
    billed_ms: int = Field(description="Lambda's billed time.")
    lines: list[CostLine] = Field(description="The bill, line by line.")
    priced_on: date = Field(description="The day the prices are of.")
    region: str = Field(description="The region they are of.")
    links: Links


class BatchCost(CostReport):
    """What a batch cost up to now, as Jobyard measured it and AWS lists its prices.

    What belongs to no one batch is not in it: the clock, requests of people and programs, logs, and
    a month of keeping its records.
    """

    batch_id: str = Field(description="The batch.")
    dollars_per_job: float | None = Field(
        description="The sum by the batch's jobs; null when it has none."
    )

    @classmethod
    def of(cls, view: CostView, request: RequestContext) -> "BatchCost":
        """The cost of a batch up to now."""
        batch, dollars = view.batch, view.cost.dollars
        return cls(
            batch_id=batch.batch_id,
            dollars_per_job=dollars / batch.entries if batch.entries else None,
            **_cost(view.cost),
            links=cost_links(batch.batch_id, request),
        )


class ScheduleCost(CostReport):
    """What a schedule's jobs cost up to now, as Jobyard measured it and AWS lists its prices.

    What belongs to no one schedule is not in it: the clock, requests of people and programs, logs,
    and a month of keeping its records.
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


def _cost(cost: domain.Cost) -> dict[str, Any]:
    return {
        "dollars": cost.dollars,
        "billed_ms": cost.usage.ms,
        "lines": [CostLine.of(line) for line in cost.lines],
        "priced_on": domain.PRICED_ON,
        "region": domain.REGION,
    }
