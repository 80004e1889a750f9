"""The cost of a batch, and of a month."""

from aws_lambda_powertools.event_handler.api_gateway import Router

from api.context import current_request
from api.problems import problem_responses
from api.routes.parameters import BatchId
from api.schemas.costs import BatchCost, MonthCost
from jobyard.domain.errors import Forbidden, Gone, NotFound
from jobyard.services.queries import costs as cost_queries

router = Router()  # type: ignore[no-untyped-call]


@router.get(
    "/api/batches/<batch_id>/cost",
    operation_id="get_batch_cost",
    tags=["Batches"],
    summary="Get what a batch used of AWS, and its price",
    responses={200: {"description": "The cost up to now."}, **problem_responses(NotFound, Gone)},
)
def get_batch_cost(batch_id: BatchId) -> BatchCost:
    request = current_request(router)
    batch, cost = cost_queries.batch_cost(batch_id, request.query_context())
    return BatchCost.of(batch, cost, request)


@router.get(
    "/api/cost",
    operation_id="get_month_cost",
    tags=["Rates"],
    summary="Get what all batches, schedules, campaigns and edit jobs cost this month",
    responses={200: {"description": "The cost up to now."}, **problem_responses(Forbidden)},
)
def get_month_cost() -> MonthCost:
    request = current_request(router)
    context = request.query_context()
    return MonthCost.of(context.now, cost_queries.month_cost(context), request)
