"""Rates: what workers did over time."""

from typing import Annotated

from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Query

from api.context import current_request
from api.problems import problem_responses
from api.schemas.rates import RateHistory
from jobyard.domain.errors import Forbidden
from jobyard.domain.rates import RateRange
from jobyard.services.queries import rates as rate_queries

router = Router()  # type: ignore[no-untyped-call]


@router.get(
    "/api/rates",
    operation_id="get_rates",
    tags=["Rates"],
    summary="Get how many jobs workers started and ended over time",
    description="Sampled once a minute, of all batches, schedules and campaigns. A job that "
    "ends without a worker, such as a cancelled one that had not started, is not counted.",
    responses={200: {"description": "The rates."}, **problem_responses(Forbidden)},
)
def get_rates(
    range_: Annotated[
        RateRange, Query(alias="range", description="How far back: 60, 120 or 84 points.")
    ] = RateRange.HOUR,
) -> RateHistory:
    request = current_request(router)
    points = rate_queries.rate_history(range_, request.query_context())
    return RateHistory.of(range_, points, request)
