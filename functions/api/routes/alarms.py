"""Alarms: what is wrong with the deployment, and what to do."""

from aws_lambda_powertools.event_handler.api_gateway import Router

from api.context import current_request
from api.problems import problem_responses
from api.schemas.alarms import AlarmList
from jobyard.domain.errors import Forbidden
from jobyard.services.queries.system import list_alarms

router = Router()  # type: ignore[no-untyped-call]


@router.get(
    "/api/alarms",
    operation_id="list_alarms",
    tags=["Alarms"],
    summary="List the alarms, the active ones first",
    description="What each means and what to do about it, as in docs/operating.md. For operators "
    "and admins.",
    responses={200: {"description": "All alarms."}, **problem_responses(Forbidden)},
)
def get_alarms() -> AlarmList:
    request = current_request(router)
    return AlarmList.of(list_alarms(request.app.cloudwatch, request.query_context()))
