"""The rates of jobs over time."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import Field

from api.context import RequestContext
from api.schemas.fields import Links, Schema
from jobyard.domain import rates as domain
from jobyard.domain.rates import RATE_STEPS, RateRange


class RatePoint(Schema):
    """What happened in one step."""

    at: datetime = Field(description="When the step began.")
    started: int = Field(description="The number of attempts that workers started.")
    ended: int = Field(description="The number of jobs that ended.")
    failed: int = Field(description="How many of these failed.")
    open_batches: int = Field(description="The number of open batches at its end.")
    deployed: str = Field(
        description='The build that was deployed in it, such as `0.2.0+8f5a6a2e`; "" if none was.'
    )


class RateHistory(Schema):
    """What workers did over time."""

    range_: RateRange = Field(alias="range", description="How far back it goes.")
    step_s: int = Field(description="The length of a step, in seconds.")
    points: list[RatePoint] = Field(
        description="The steps, oldest first. The last one is not over yet."
    )
    wait_p50_s: float | None = Field(
        description="Half of the jobs that started in this time had waited up to this many seconds "
        "since they could start, rounded up to 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, "
        "14400 or 86400. Longer waits count as 86400. Null if none started. Tasks of campaigns are "
        "not counted: they wait for their windows."
    )
    wait_p95_s: float | None = Field(description="The same for 95 % of the jobs.")
    links: Links

    @classmethod
    def of(
        cls, range_: RateRange, points: Sequence[domain.RatePoint], request: RequestContext
    ) -> "RateHistory":
        """The points of a range."""
        half, most = (domain.wait_of(points, share) for share in (0.5, 0.95))
        return cls(
            range=range_,
            step_s=int(RATE_STEPS[range_][0].total_seconds()),
            points=[
                RatePoint(
                    at=each.at,
                    started=each.jobs.started,
                    ended=each.jobs.ended,
                    failed=each.jobs.failed,
                    open_batches=each.open_batches,
                    deployed=each.deployed,
                )
                for each in points
            ],
            wait_p50_s=half.limit.total_seconds() if half else None,
            wait_p95_s=most.limit.total_seconds() if most else None,
            links={"self": request.link(f"rates?range={range_}")},
        )
