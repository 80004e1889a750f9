"""What a batch or a schedule cost."""

from datetime import date

from pydantic import Field

from api.schemas.fields import Links, Schema
from jobyard.domain.cost import PRICES


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


class ScheduleCost(CostReport):
    """What a schedule's jobs cost up to now, as Jobyard measured it and AWS lists its prices.

    What belongs to no one schedule is not in it: the clock, requests of people and programs, logs,
    and a month of keeping its records.
    """

    schedule_id: str = Field(description="The schedule.")
