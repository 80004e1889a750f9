"""Activity: what people did."""

from aws_lambda_powertools.event_handler.api_gateway import Router

from api.context import current_request
from api.problems import problem_responses
from api.routes.parameters import Cursor, Limit
from api.schemas.activity import ActivityList
from jobyard.domain.errors import BadRequest, Forbidden
from jobyard.services.queries import activity as activity_queries

router = Router()  # type: ignore[no-untyped-call]


@router.get(
    "/api/activity",
    operation_id="list_activity",
    tags=["Activity"],
    summary="List what people did, newest first",
    description="One entry for each request that changed something, for 90 days. Only admins see "
    "what was done to schedules and calendars. A page may be short although a next page follows.",
    responses={
        200: {"description": "A page of activity."},
        **problem_responses(BadRequest, Forbidden),
    },
)
def list_activity(cursor: Cursor = "", limit: Limit = 50) -> ActivityList:
    request = current_request(router)
    pagination = request.pagination("activity")
    start = pagination.start(cursor, None)
    page = activity_queries.recent_activity(
        request.query_context(), limit=limit, after=tuple(start) if start else None
    )
    return ActivityList.of(page.items, pagination.next_cursor(page.after), request)
