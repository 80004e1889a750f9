"""What a batch cost."""

from typing import Any

from aws_lambda_powertools.event_handler.api_gateway import Router

from api.context import current_request
from api.problems import problem_responses
from api.routes.jobs import BatchId
from api.schemas import costs as schemas
from jobyard.domain.cost import PRICED_ON, REGION, Cost
from jobyard.domain.errors import Gone, NotFound
from jobyard.services.queries import costs as cost_queries

router = Router()  # type: ignore[no-untyped-call]


def bill(cost: Cost) -> dict[str, Any]:
    """The fields that every bill has."""
    lines = [
        schemas.CostLine(
            kind=line.price.kind,
            title=line.price.title,
            quantity=line.quantity,
            dollars=line.dollars,
            price=line.price.dollars,
            per=line.price.per,
            source=line.price.source,
        )
        for line in cost.lines
    ]
    return {
        "dollars": cost.dollars,
        "billed_ms": cost.usage.ms,
        "lines": lines,
        "priced_on": PRICED_ON,
        "region": REGION,
    }


@router.get(
    "/api/batches/<batch_id>/cost",
    operation_id="get_batch_cost",
    tags=["Batches"],
    summary="What a batch used of AWS, and what that costs",
    responses={200: {"description": "Its bill up to now."}, **problem_responses(NotFound, Gone)},
)
def get_batch_cost(batch_id: BatchId) -> schemas.BatchCost:
    request = current_request(router)
    view = cost_queries.cost(batch_id, request.query_context())
    cost, jobs = view.cost, view.batch.entries
    own = request.link(f"batches/{batch_id}")
    return schemas.BatchCost(
        batch_id=batch_id,
        dollars_per_job=cost.dollars / jobs if jobs else None,
        **bill(cost),
        links={"self": f"{own}/cost", "batch": own},
    )
